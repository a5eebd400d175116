/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_CLOCK_H
#define USCHED_BASE_CLOCK_H

/*
 * The one clock, CLOCK_MONOTONIC in nanoseconds, and the arithmetic between it and the CPU's
 * cycle counter. Which rate the counter has is found out in memory/cycles.h.
 *
 *	nanoseconds = cycles * ns_per_cycle_q32 / 2^32		and the reverse
 *
 * The products are taken in 128 bits, so any 64-bit count is converted without overflow of the
 * product; the results are rounded down and differ from the truth by less than 1 in 10^8.
 */

#include <stdint.h>
#include <time.h>

struct usched_cycles_rate {
	uint64_t ns_per_cycle_q32;	/* 2^32 at 1 GHz	*/
	uint64_t cycles_per_ns_q32;
};

/**
 * usched_clock_now_ns() - CLOCK_MONOTONIC
 *
 * Return:	nanoseconds since some moment before the process began.
 * Callable from: anywhere, signal handler.
 */
static inline uint64_t usched_clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/**
 * usched_cycles_to_ns() - how long so many cycles take
 *
 * Callable from: anywhere, signal handler.
 */
static inline uint64_t usched_cycles_to_ns(const struct usched_cycles_rate *rate, uint64_t cycles)
{
	return (uint64_t)(((unsigned __int128)cycles * rate->ns_per_cycle_q32) >> 32);
}

/**
 * usched_cycles_from_ns() - how many cycles pass in so many nanoseconds
 *
 * Callable from: anywhere, signal handler.
 */
static inline uint64_t usched_cycles_from_ns(const struct usched_cycles_rate *rate, uint64_t ns)
{
	return (uint64_t)(((unsigned __int128)ns * rate->cycles_per_ns_q32) >> 32);
}

#endif /* USCHED_BASE_CLOCK_H */
