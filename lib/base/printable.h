/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_PRINTABLE_H
#define USCHED_BASE_PRINTABLE_H

/*
 * Text of unknown origin on its way to a terminal or a log: names that other processes chose,
 * arguments, variables. An escape sequence in one of these must not act on who reads it.
 */

#include <stddef.h>

/**
 * usched_printable() - copy text so that it can be shown
 * @to:		room for @to_bytes, at least 1, the final zero included
 * @from:	ends at a zero byte or after @from_bytes
 *
 * The copy is one line of valid UTF-8. Control characters, invisible ones and those that turn a line
 * around become '?', and so does each byte of what is not valid UTF-8. What does not fit is cut
 * between two characters.
 *
 * Callable from: anywhere, signal handler.
 */
void usched_printable(char *to, size_t to_bytes, const char *from, size_t from_bytes);

#endif /* USCHED_BASE_PRINTABLE_H */
