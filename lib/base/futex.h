/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_FUTEX_H
#define USCHED_BASE_FUTEX_H

/*
 * Sleeping on a word, and waking those who do. glibc offers no wrapper.
 *
 * A private word is one of this process; a shared one lies in a shared mapping, where waiting and
 * waking work through a read-only map, too.
 *
 * Ordering: none of its own. The word's writer stores with release before the wake, and the
 * sleeper loads with acquire after it.
 */

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Wake everybody. */
#define USCHED_FUTEX_ALL INT_MAX

/**
 * usched_futex_wait() - sleep while a word has a value
 * @word:	may be in memory that this process can only read
 * @expected:	with any other value the call returns at once
 * @deadline_ns: absolute, CLOCK_MONOTONIC; UINT64_MAX: no deadline
 * @is_private:	nobody outside this process wakes it
 *
 * Return:	0: woken, perhaps for nothing; look at the word again
 * Errors:	-EAGAIN    the word had another value
 *		-EINTR     a signal was handled
 *		-ETIMEDOUT the deadline has passed
 * Ordering:	none.
 * Callable from: any thread, signal handler. Changes errno.
 */
static inline int usched_futex_wait(const _Atomic uint32_t *word, uint32_t expected,
				    uint64_t deadline_ns, bool is_private)
{
	/* The bitset form alone takes an absolute time of CLOCK_MONOTONIC. */
	int operation = FUTEX_WAIT_BITSET | (is_private ? FUTEX_PRIVATE_FLAG : 0);
	struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / 1000000000),
		.tv_nsec = (long)(deadline_ns % 1000000000),
	};
	long r = syscall(SYS_futex, word, operation, expected,
			 deadline_ns == UINT64_MAX ? NULL : &deadline, NULL,
			 FUTEX_BITSET_MATCH_ANY);

	return r < 0 ? -errno : 0;
}

/**
 * usched_futex_wake() - wake threads that sleep on a word
 * @count:	at most so many; USCHED_FUTEX_ALL: all of them
 * @is_private:	as the sleepers said
 *
 * Return:	how many were woken.
 * Errors:	-EFAULT, -EINVAL  @word is no such word
 * Ordering:	none.
 * Callable from: any thread, signal handler. Changes errno.
 */
static inline int usched_futex_wake(const _Atomic uint32_t *word, int count, bool is_private)
{
	int operation = FUTEX_WAKE | (is_private ? FUTEX_PRIVATE_FLAG : 0);
	long r = syscall(SYS_futex, word, operation, count, NULL, NULL, 0);

	return r < 0 ? -errno : (int)r;
}

#endif /* USCHED_BASE_FUTEX_H */
