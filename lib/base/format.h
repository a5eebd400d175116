/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_FORMAT_H
#define USCHED_BASE_FORMAT_H

/*
 * Text made without libc, for code that must not wait: signal handlers, the end of a process, and
 * every thread that runs beside a stopped fiber (which may hold stdio's and malloc's locks).
 *
 *	char buffer[128];
 *	struct usched_format text;
 *
 *	usched_format_init(&text, buffer, sizeof(buffer));
 *	usched_format_string(&text, "usched: worker ");
 *	usched_format_decimal(&text, worker);
 *	usched_format_write(&text, STDERR_FILENO);
 *
 * Invariants
 *	I1  the buffer always holds a string that ends with a zero byte;
 *	I2  what does not fit is cut, and cut is set; nothing is written behind the buffer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct usched_format {
	char *buffer;
	size_t size;	/* bytes of buffer, the final zero included	*/
	size_t length;	/* bytes of text so far				*/
	bool cut;
};

/**
 * usched_format_init() - start with an empty text
 * @buffer:	at least one byte; stays the caller's
 *
 * Callable from: anywhere, signal handler.
 */
void usched_format_init(struct usched_format *format, char *buffer, size_t size);

/**
 * usched_format_string() - append a string; NULL appends nothing
 *
 * Callable from: anywhere, signal handler.
 */
void usched_format_string(struct usched_format *format, const char *string);

/**
 * usched_format_decimal() - append an unsigned number in base ten
 *
 * Callable from: anywhere, signal handler.
 */
void usched_format_decimal(struct usched_format *format, uint64_t value);

/**
 * usched_format_signed() - append a signed number in base ten
 *
 * Callable from: anywhere, signal handler.
 */
void usched_format_signed(struct usched_format *format, int64_t value);

/**
 * usched_format_hex() - append a number as 0x and hexadecimal digits
 *
 * Callable from: anywhere, signal handler.
 */
void usched_format_hex(struct usched_format *format, uint64_t value);

/**
 * usched_format_write() - write the text so far to a descriptor
 *
 * Interrupted and partial writes are continued; any other error ends it, since the callers
 * have nobody left to tell.
 *
 * Callable from: anywhere, signal handler. Changes errno.
 */
void usched_format_write(const struct usched_format *format, int descriptor);

#endif /* USCHED_BASE_FORMAT_H */
