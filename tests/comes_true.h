/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_COMES_TRUE_H
#define USCHED_TESTS_COMES_TRUE_H

/* Waiting for what other threads do by themselves, with a limit that only wrong code meets. */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"

/* False: not within so many nanoseconds. One look decides: what has come true may go again. */
#define COMES_TRUE_WITHIN(limit_ns, condition)					\
	({									\
		const struct timespec pause = { .tv_nsec = 100000 };		\
		uint64_t end_ns = usched_clock_now_ns() + (limit_ns);		\
		bool came;							\
										\
		while (!(came = (condition)) && usched_clock_now_ns() < end_ns)	\
			nanosleep(&pause, NULL);				\
		came;								\
	})

#endif /* USCHED_TESTS_COMES_TRUE_H */
