# SPDX-License-Identifier: MIT
#
# Programs that show the library at work. They link libusched.la as a user's program would, without
# libtool's wrapper script: the main job pins and measures them.

# One server, twice: the shared files, and the one file that says who runs a connection.
noinst_LTLIBRARIES += examples/httpd/libhttpd.la
examples_httpd_libhttpd_la_SOURCES = \
	examples/httpd/beneath.c examples/httpd/beneath.h \
	examples/httpd/connection.c examples/httpd/connection.h \
	examples/httpd/gzip.c examples/httpd/gzip.h \
	examples/httpd/handler.c examples/httpd/handler.h \
	examples/httpd/main.c \
	examples/httpd/request.c examples/httpd/request.h \
	examples/httpd/response.c examples/httpd/response.h \
	examples/httpd/serve.h
examples_httpd_libhttpd_la_CFLAGS = $(AM_CFLAGS) $(ZLIB_CFLAGS)
examples_httpd_libhttpd_la_LIBADD = $(ZLIB_LIBS)

noinst_PROGRAMS += examples/httpd/httpd examples/httpd/httpd-threads
examples_httpd_httpd_SOURCES = examples/httpd/serve_fibers.c
examples_httpd_httpd_LDFLAGS = $(AM_LDFLAGS) -no-install
examples_httpd_httpd_LDADD = examples/httpd/libhttpd.la libusched.la
examples_httpd_httpd_threads_SOURCES = examples/httpd/serve_threads.c
examples_httpd_httpd_threads_LDFLAGS = $(AM_LDFLAGS) -no-install
examples_httpd_httpd_threads_LDADD = examples/httpd/libhttpd.la -lpthread

EXTRA_DIST += examples/mainjob/run examples/mainjob/README.md examples/mainjob/light.lua \
	examples/mainjob/heavy.lua examples/mainjob/summarize.awk examples/mainjob/judge.awk
