# SPDX-License-Identifier: MIT
#
# uschedd. Append here, for example:
#	sbin_PROGRAMS += uschedd
#	uschedd_SOURCES = daemon/main.c daemon/loop.c daemon/loop.h
#	uschedd_CFLAGS = $(AM_CFLAGS) $(INIH_CFLAGS)
#	uschedd_LDADD = libcore.la $(INIH_LIBS)
# Code that tests need too goes into a convenience library (noinst_LTLIBRARIES += libdaemon.la).
