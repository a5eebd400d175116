/* SPDX-License-Identifier: MIT */
#ifndef USCHED_CLIENT_SESSION_H
#define USCHED_CLIENT_SESSION_H

/*
 * What the parts of the client share: the session, and how a failure is told.
 *
 * A failure is a code and three lines: what could not be done, why, and what to do. It is
 * put together where it happens, while the reason is known; the caller of the library
 * prints it as it is.
 *
 * Invariants
 *	S1  every text in a failure or a result is printable: one line, no control
 *	    characters, valid UTF-8 (base/printable.h made it so);
 *	S2  a function that returns a negative value has set the failure, unless its comment
 *	    says that it leaves that to its caller;
 *	S3  a failure has a hint: one for its error until a better one is given.
 */

#include <stddef.h>
#include <stdint.h>

#include <usched/client.h>

#include "shm/message.h"

enum {
	USCHED_CLIENT_TEXT_BYTES = 384,
};

struct usched_client {
	char directory[USCHED_DIRECTORY_MAX + 1];
	uint64_t timeout_ns;
	uint32_t serial;		/* of the last request */
	struct usched_client_failure failure;
	char what[USCHED_CLIENT_TEXT_BYTES];
	char why[USCHED_CLIENT_TEXT_BYTES];
	char hint[USCHED_CLIENT_TEXT_BYTES];
};

/**
 * usched_client_fail() - begin a failure: its code and what could not be done
 *
 * Why is empty, and the hint one for @error, until the two functions below fill them.
 *
 * Return:	@error, for a return statement
 */
int usched_client_fail(struct usched_client *client, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** usched_client_why() - the reason of the failure begun last. */
void usched_client_why(struct usched_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** usched_client_hint() - what to do about the failure begun last. */
void usched_client_hint(struct usched_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * usched_client_refusal() - the reason and what to do, from one line of another process
 * @who:	what comes before the reason: "the runtime says: "
 * @text:	"REASON; WHAT TO DO", as wire.h has it; without the second part the hint is one for
 *		the error that the failure began with
 */
void usched_client_refusal(struct usched_client *client, const char *who, const char *text);

/** usched_client_no_memory() - the failure of every allocation. Return: -ENOMEM */
int usched_client_no_memory(struct usched_client *client, const char *what);

/** usched_client_now() - CLOCK_MONOTONIC in ns. */
uint64_t usched_client_now(void);

/**
 * usched_client_give() - fill a struct of the caller's size
 * @to:		begins with its size, set by the caller
 * @from:	begins with a size too, whose value is replaced
 * @from_bytes:	of the library's struct
 *
 * Return:	0; -EINVAL the caller's size cannot even hold the field itself
 */
int usched_client_give(void *to, const void *from, size_t from_bytes);

#endif /* USCHED_CLIENT_SESSION_H */
