# SPDX-License-Identifier: MIT
#
# Programs that show the library at work. They link libusched.la as a user's program would:
#	noinst_PROGRAMS += examples/httpd
#	examples_httpd_SOURCES = examples/httpd.c
#	examples_httpd_LDADD = libusched.la $(ZLIB_LIBS)
# Scripts go to EXTRA_DIST.
