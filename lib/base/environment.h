/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_ENVIRONMENT_H
#define USCHED_BASE_ENVIRONMENT_H

/*
 * The USCHED_* variables, read once at start.
 *
 * An unset or empty variable leaves the value as it was. A program that runs with more rights than
 * its caller (set-user-id, file capabilities) sees no variable at all. A wrong one gives a sentence
 * with what is wrong, why, and what is allowed; the caller prints it:
 *
 *	USCHED_QUANTUM=5 is refused: it has no unit (ns, us, ms or s); give off, or from 100us to 1s
 *
 * Callable from: any thread at start. Another thread's setenv() at the same time is the user's
 * mistake, as everywhere in C.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for every error text below. */
#define USCHED_ENVIRONMENT_ERROR_BYTES 256

/**
 * usched_environment_duration() - read a variable that holds a duration
 * @name:	of the variable
 * @may_be_off:	"off" is allowed and gives 0
 * @min_ns, @max_ns: the range of other values
 * @value_ns:	set when the variable is set
 * @error:	USCHED_ENVIRONMENT_ERROR_BYTES for the error text
 *
 * Return:	1: @value_ns was set; 0: the variable is not there
 * Errors:	-EINVAL  @error says why
 */
int usched_environment_duration(const char *name, bool may_be_off, uint64_t min_ns,
				uint64_t max_ns, uint64_t *value_ns, char *error);

/**
 * usched_environment_integer() - read a variable that holds a whole number
 * @min, @max:	its range
 * @value:	set when the variable is set
 *
 * Return, Errors: as usched_environment_duration()
 */
int usched_environment_integer(const char *name, uint64_t min, uint64_t max, uint64_t *value,
			       char *error);

/**
 * usched_environment_choice() - read a variable that holds one of some words
 * @words:	the words; NULL ends the list
 * @index:	set to the place of the word in the list when the variable is set
 *
 * Return, Errors: as usched_environment_duration()
 */
int usched_environment_choice(const char *name, const char *const *words, unsigned int *index,
			      char *error);

#endif /* USCHED_BASE_ENVIRONMENT_H */
