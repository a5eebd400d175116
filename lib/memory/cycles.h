/* SPDX-License-Identifier: MIT */
#ifndef USCHED_MEMORY_CYCLES_H
#define USCHED_MEMORY_CYCLES_H

/*
 * At which rate the CPU's cycle counter runs.
 *
 * The kernel knows exactly and writes it on the first page of every perf event; where perf is
 * refused, the counter is compared with the clock for 1 ms.
 */

#include "base/clock.h"

enum usched_cycles_source {
	USCHED_CYCLES_FROM_PERF,
	USCHED_CYCLES_MEASURED,
};

/**
 * usched_cycles_find_rate() - fill in the rate
 *
 * Return:	where it comes from: enum usched_cycles_source.
 * Callable from: any thread; takes up to 2 ms. Changes errno.
 */
enum usched_cycles_source usched_cycles_find_rate(struct usched_cycles_rate *rate);

/**
 * usched_cycles_measure_rate() - fill in the rate by comparison with the clock
 *
 * Callable from: any thread; takes 1 ms, more on a busy machine.
 */
void usched_cycles_measure_rate(struct usched_cycles_rate *rate);

#endif /* USCHED_MEMORY_CYCLES_H */
