/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_DURATION_H
#define USCHED_BASE_DURATION_H

/*
 * Durations as people write them: a whole number and a unit, or "off".
 *
 *	500us	2ms	1s	250ns	off
 *
 * A bare number is refused: "5" has been milliseconds in one tool and microseconds in the next.
 * "off" is 0 in both directions.
 */

#include <stddef.h>
#include <stdint.h>

/* Room for any duration as text, the final zero included: 20 digits and a unit. */
#define USCHED_DURATION_TEXT_BYTES 24

/**
 * usched_duration_parse() - read a duration
 * @text:	the whole string is the duration; no spaces
 * @ns:		set to it, in nanoseconds
 * @why:	on errors set to a constant text that ends a sentence, such as
 *		"it has no unit (ns, us, ms or s)"; may be NULL
 *
 * Return:	0
 * Errors:	-EINVAL  not a duration
 *		-ERANGE  above 2^64 - 2 ns (the largest value means "no limit" elsewhere)
 * Callable from: anywhere, signal handler.
 */
int usched_duration_parse(const char *text, uint64_t *ns, const char **why);

/**
 * usched_duration_format() - write a duration in the largest unit that keeps it exact
 * @buffer:	USCHED_DURATION_TEXT_BYTES hold any result
 *
 * usched_duration_parse() reads it back as the same value.
 *
 * Return:	@buffer.
 * Callable from: anywhere, signal handler.
 */
char *usched_duration_format(uint64_t ns, char *buffer, size_t size);

/**
 * usched_duration_refusal() - why a duration is out of range, and what to give: one style for all
 * @what:	it is, such as "quantum"
 * @ns:		the value; "off" and values in the range are not refused, and never come here
 *
 *	a quantum of 2s is out of range; give off, or from 100us to 1s
 *
 * Return:	@buffer
 * Callable from: anywhere, signal handler.
 */
char *usched_duration_refusal(char *buffer, size_t size, const char *what, uint64_t ns,
			      uint64_t min_ns, uint64_t max_ns);

#endif /* USCHED_BASE_DURATION_H */
