/* SPDX-License-Identifier: MIT */
#ifndef USCHED_MEMORY_PSEUDO_H
#define USCHED_MEMORY_PSEUDO_H

/*
 * The small files of /proc and /sys: read whole into a buffer of the caller's, without malloc or
 * stdio, since the monitor reads some of them beside stopped fibers.
 */

#include <stddef.h>
#include <stdint.h>

/* The kernel gives attributes of at most one page. */
enum { USCHED_PSEUDO_BYTES = 4097, USCHED_PSEUDO_PATH_BYTES = 512 };

/**
 * usched_pseudo_read() - read a file
 * @path:	absolute
 * @buffer:	filled with the text and a final zero; empty on errors
 *
 * Return:	bytes read, cut at @size - 1
 * Errors:	those of open(2) and read(2), negative
 * Callable from: any thread. Changes errno.
 */
int usched_pseudo_read(const char *path, char *buffer, size_t size);

/**
 * usched_pseudo_number() - read a decimal number from a text
 * @at:		moved behind the digits
 *
 * Return:	0
 * Errors:	-EINVAL  no digit there, or above 2^63 - 1
 * Callable from: anywhere.
 */
int usched_pseudo_number(const char **at, uint64_t *value);

/**
 * usched_pseudo_list() - the next range of a list such as "0-3,8,10-11"
 * @at:		begins at the text; moved on
 *
 * Return:	1: @first and @last were set; 0: the list is over, or is no list from here on
 * Callable from: anywhere.
 */
int usched_pseudo_list(const char **at, uint64_t *first, uint64_t *last);

#endif /* USCHED_MEMORY_PSEUDO_H */
