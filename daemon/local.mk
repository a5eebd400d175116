# SPDX-License-Identifier: MIT
#
# uschedd. Code that tests need too goes into a convenience library, as the policy does.

# The policy is a library of its own, so that its test needs no daemon.
noinst_LTLIBRARIES += libpolicy.la
libpolicy_la_SOURCES = daemon/policy.c daemon/policy.h
sbin_PROGRAMS += uschedd
uschedd_SOURCES = daemon/main.c daemon/clients.c daemon/observers.c daemon/daemon.h
uschedd_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/daemon
uschedd_LDADD = libpolicy.la libcore.la
