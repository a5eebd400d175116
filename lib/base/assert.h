/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_ASSERT_H
#define USCHED_BASE_ASSERT_H

/*
 * What must never happen, and how the process ends when it does.
 *
 *	usched_assert		cheap conditions; stays in release builds
 *	usched_debug_assert	costly ones; compiled in with --enable-debug only
 *	usched_fatal		an end with a sentence for people
 *
 * All three write one line to stderr with write(2) and abort. They are for our own mistakes and
 * for what cannot be continued; never for input, a peer process, or a lack of memory.
 */

#include <stddef.h>

/* Not 1 and not defined: compiled outside the build system, for instance by an editor. */
#ifndef USCHED_DEBUG
#define USCHED_DEBUG 0
#endif

/**
 * usched_assert_failed() - end the process; called by usched_assert()
 *
 * Never in line: its buffer would be one more in the caller's frame for each assertion.
 *
 * Callable from: anywhere, signal handler.
 */
__attribute__((noinline, cold))
_Noreturn void usched_assert_failed(const char *condition, const char *file, unsigned int line);

/**
 * usched_fatal_parts() - end the process with a message; see usched_fatal()
 * @parts:	strings, the last one followed by NULL
 *
 * Callable from: anywhere, signal handler.
 */
__attribute__((noinline, cold))
_Noreturn void usched_fatal_parts(const char *const *parts);

/* Ends the process: usched_fatal("fiber '", name, "' called pthread_exit()"). One line of at most
   1,000 bytes; "usched: " and the line end are added. Callable from anywhere, signal handler. */
#define usched_fatal(...) usched_fatal_parts((const char *const[]){ __VA_ARGS__, NULL })

#define usched_assert(condition)							\
	(__builtin_expect(!!(condition), 1) ?						\
	 (void)0 : usched_assert_failed(#condition, __FILE__, __LINE__))

#if USCHED_DEBUG
#define usched_debug_assert(condition) usched_assert(condition)
#else
/* sizeof: the condition must compile, and its variables count as used, but nothing runs. */
#define usched_debug_assert(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

#endif /* USCHED_BASE_ASSERT_H */
