/* SPDX-License-Identifier: MIT */
#ifndef HTTPD_SERVE_H
#define HTTPD_SERVE_H

/*
 * All that the two programs do differently: who runs a connection, and how a call waits.
 *
 *	serve_fibers.c	httpd:		a fiber per connection, usched's sockets
 *	serve_threads.c	httpd-threads:	a thread per connection, blocking sockets
 *
 * The parser, the handlers and the connection loop are the same objects in both.
 *
 * Deadlines are absolute, in nanoseconds of CLOCK_MONOTONIC. Every call returns 0 or -errno.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct site;

struct serve_options {
	struct sockaddr_storage address;
	socklen_t address_bytes;
	unsigned int workers;		/* 0: one per CPU				*/
};

extern const char serve_description[];	/* one line for --help				*/
extern const bool serve_has_workers;	/* whether --workers means anything here	*/

/** serve_after() - the deadline that lies @delay_ns from now */
uint64_t serve_after(uint64_t delay_ns);

/**
 * serve_read() - wait for bytes of a connection and take what is there
 * @got:	set to 1 to @count; 0 at the end of the stream
 *
 * Errors:	-ETIMEDOUT; those of read(2), negative
 */
int serve_read(int descriptor, void *buffer, size_t count, size_t *got, uint64_t deadline_ns);

/**
 * serve_write() - write all of it
 *
 * Errors:	-ETIMEDOUT, -EPIPE; those of write(2), negative
 */
int serve_write(int descriptor, const void *buffer, size_t count, uint64_t deadline_ns);

/** serve_close() - close a connection */
int serve_close(int descriptor);

/**
 * serve_run() - listen, serve until SIGTERM or SIGINT, finish what is in flight
 * @site:	handed to connection_serve() for each connection
 *
 * The caller has blocked both signals in all threads. Calls serve_ready() once, when connections
 * are accepted.
 *
 * Return:	the exit code of the program, after a message on stderr when it is not 0.
 */
int serve_run(struct site *site, const struct serve_options *options);

/**
 * serve_ready() - say where we listen, on stdout (in main.c)
 * @descriptor:	the listening socket
 *
 * Return:	0; -errno when nobody can read it
 */
int serve_ready(int descriptor);

#endif /* HTTPD_SERVE_H */
