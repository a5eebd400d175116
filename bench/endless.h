/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ENDLESS_H
#define BENCH_ENDLESS_H

/*
 * What computes without end and helps a scheduler with nothing, until the program says stop.
 *
 * Relaxed throughout: a flag, nothing else goes with it.
 */
#include <stdatomic.h>
#include <stdbool.h>

static atomic_bool stopped;

static inline bool is_stopped(void)
{
	return atomic_load_explicit(&stopped, memory_order_relaxed);
}

static inline void stop_all(void)
{
	atomic_store_explicit(&stopped, true, memory_order_relaxed);
}

/* The function of a fiber, or of a thread. */
static inline void *loop(void *argument)
{
	while (!is_stopped())
		;
	return argument;
}

#endif /* BENCH_ENDLESS_H */
