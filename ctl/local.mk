# SPDX-License-Identifier: MIT
#
# schedctl. Append here, for example:
#	bin_PROGRAMS += schedctl
#	schedctl_SOURCES = ctl/main.c ctl/ctl.h
#	schedctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
#	schedctl_LDADD = libusched.la $(JANSSON_LIBS)
