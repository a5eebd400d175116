/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_CHILDREN_H
#define USCHED_TESTS_CHILDREN_H

/*
 * Children of a test's fibers. A child tells by its exit code; it uses nothing of the harness.
 *
 * For one source file of a program.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "under_ticks.h"

/* A sanitizer's locks, of memory and of threads, are in a child as another thread held them. */
#define CHILD_HAS_LIBC (!USCHED_ASAN && !USCHED_TSAN)

/* Of a case that forks while other threads run. */
#define SKIP_WITHOUT_FORK()									\
	do {											\
		if (USCHED_TSAN)								\
			USCHED_SKIP("tsan: a child may wait for a lock of the sanitizer's");	\
		if (getenv("USCHED_EMULATOR"))							\
			USCHED_SKIP("emulator: a child may wait for a lock of the emulator's");	\
	} while (0)

/* waitpid(2) is restarted after a signal; what it is here for is to count where it is not. */
static inline int status_of(pid_t child)
{
	int status = -1;

	while (waitpid(child, &status, 0) != child) {
		if (errno != EINTR)
			return -1;
		atomic_fetch_add(&interrupted, 1);
	}
	return status;
}

static inline bool exits_with(pid_t child, int code)
{
	int status = child > 0 ? status_of(child) : -1;

	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* In a child: a bounded end, whatever goes wrong. */
#define CHILD_EXPECT(condition, code)		\
	do {					\
		if (!(condition))		\
			_exit(code);		\
	} while (0)

#endif /* USCHED_TESTS_CHILDREN_H */
