# SPDX-License-Identifier: MIT
#
# uschedd. Append here, for example:
#	sbin_PROGRAMS += uschedd
#	uschedd_SOURCES = daemon/main.c daemon/loop.c daemon/loop.h
#	uschedd_CFLAGS = $(AM_CFLAGS) $(INIH_CFLAGS)
#	uschedd_LDADD = libcore.la $(INIH_LIBS)
# Code that tests need too goes into a convenience library (noinst_LTLIBRARIES += libdaemon.la).

# The policy is a library of its own, so that its test needs no daemon.
noinst_LTLIBRARIES += libpolicy.la
libpolicy_la_SOURCES = daemon/policy.c daemon/policy.h
sbin_PROGRAMS += uschedd
uschedd_SOURCES = daemon/main.c daemon/clients.c daemon/observers.c daemon/daemon.h
uschedd_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/daemon
uschedd_LDADD = libpolicy.la libcore.la
