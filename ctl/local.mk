# SPDX-License-Identifier: MIT
#
# schedctl: the public client header and its own files, nothing else of the library.

bin_PROGRAMS += schedctl
schedctl_SOURCES = ctl/main.c ctl/ctl.h ctl/options.c ctl/help.c ctl/output.c ctl/output.h \
	ctl/counters.c ctl/counters.h ctl/probe.c ctl/probe.h ctl/verb_list.c ctl/verb_status.c \
	ctl/verb_show.c ctl/verb_workers.c ctl/verb_fibers.c ctl/verb_stat.c ctl/verb_set.c \
	ctl/verb_doctor.c ctl/verb_version.c
schedctl_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
schedctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
schedctl_LDADD = libusched.la $(JANSSON_LIBS)
