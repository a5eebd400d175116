/* SPDX-License-Identifier: MIT */
#ifndef USCHED_CLIENT_RUNTIME_H
#define USCHED_CLIENT_RUNTIME_H

/*
 * An open runtime, and the search for the sockets of runtimes.
 *
 * A runtime listens on the abstract name "usched/UID/PID", the second of a process on
 * "usched/UID/PID/2". Anybody may bind any name; the kernel's SO_PEERCRED is what counts,
 * so a listener whose pid or uid is not the name's is a liar and is passed over.
 */

#include <stddef.h>
#include <stdint.h>

#include "client/exchange.h"
#include "client/segments.h"
#include "client/session.h"

struct usched_socket_name {
	uint32_t uid;
	uint32_t pid;
	uint32_t number;	/* 1: no suffix */
};

enum { USCHED_RUNTIME_LABEL_BYTES = 24 };

struct usched_client_runtime {
	struct usched_client *client;
	uint32_t pid;
	uint32_t uid;
	uint32_t number;
	char label[USCHED_RUNTIME_LABEL_BYTES];
	int process;		/* pidfd, -1: the kernel gives none	*/
	int has_socket;		/* it listens on `name`			*/
	struct usched_socket_name name;
	int through_daemon;	/* the segments came from the daemon	*/
	struct usched_segments segments;
};

enum { USCHED_SOCKET_NAMES_MAX = 4096 };

/**
 * usched_socket_names() - the names that somebody listens on
 * @pid:	only those of this process; 0: all
 * @names:	set to an array, ordered by pid and number; free(3) it
 *
 * Nothing of it is verified yet.
 *
 * Return:	0; -ENOMEM; -EIO /proc/net/unix cannot be read
 */
int usched_socket_names(uint32_t pid, struct usched_socket_name **names, size_t *count);

/**
 * usched_runtime_request() - one request to a runtime's own socket, and its answer
 * @timeout_ns:	for all of it
 *
 * Return:	0: the answer has the wished type, or is an ERROR
 * Errors:	as usched_exchange_open(), _send(), _receive();
 *		-EREMCHG the listener is not who the name says
 *		The failure is not set; exchange->reason is.
 * Ownership:	call usched_exchange_close() in any case.
 */
int usched_runtime_request(struct usched_client *client, const struct usched_socket_name *name,
			   struct usched_exchange *exchange, struct usched_message *message,
			   uint16_t type, size_t bytes, uint16_t answer, unsigned int descriptors,
			   uint64_t timeout_ns);

/**
 * usched_runtime_segments() - the pair of segments in use now, from its own socket
 * @segments:	filled on success
 *
 * Return:	0; otherwise as usched_runtime_request(), or the code of its refusal. The
 *		failure is not set; exchange->reason is. The exchange is closed.
 */
int usched_runtime_segments(struct usched_client *client, const struct usched_socket_name *name,
			    struct usched_exchange *exchange, struct usched_segments *segments,
			    uint64_t timeout_ns);

/** usched_runtime_label() - as people name it: "4711", and "4711/2" for the second of a process */
void usched_runtime_label(char label[USCHED_RUNTIME_LABEL_BYTES], uint32_t pid, uint32_t number);

/** usched_runtime_gone() - whether the process has ended. */
int usched_runtime_gone(const struct usched_client_runtime *runtime);

/**
 * usched_runtime_fail() - the failure for a request to a runtime that went wrong
 * @error:	what usched_runtime_request() returned, or 0 for an ERROR answer
 * @what:	the first line
 *
 * Return:	the error of client.h's table
 */
int usched_runtime_fail(struct usched_client_runtime *runtime,
			const struct usched_exchange *exchange, int error, const char *what);

/** usched_runtime_reopen() - get the segments again. Sets the failure. */
int usched_runtime_reopen(struct usched_client_runtime *runtime);

#endif /* USCHED_CLIENT_RUNTIME_H */
