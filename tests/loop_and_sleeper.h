/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_LOOP_AND_SLEEPER_H
#define USCHED_TESTS_LOOP_AND_SLEEPER_H

/*
 * The least that needs ticks: an endless loop and a sleeper on one worker. The sleeper comes and goes, and
 * then ends both.
 *
 * For one source file of a program.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include <usched/usched.h>

#include "runtime/runtime.h"

#define SOON usched_after(UINT64_C(60000000000))

enum { TURNS = 100 };

static inline struct usched_runtime *start_with(enum usched_tick tick, uint64_t quantum_ns)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;

	options.workers = 1;
	options.tick = tick;
	options.quantum_ns = quantum_ns;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	return usched_runtime_create(&runtime, &options) ? NULL : runtime;
}

static inline struct usched_runtime *start(enum usched_tick tick)
{
	return start_with(tick, 1000000);
}

static _Atomic bool enough;

static inline void *spin(void *argument)
{
	volatile uint64_t turns = 0;

	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		turns++;
	return argument;
}

static inline void *comes_and_goes(void *argument)
{
	for (unsigned int i = 0; i < TURNS; i++)
		usched_sleep_until(usched_after(100000));
	atomic_store(&enough, true);
	return argument;
}

static inline uint64_t handoffs(struct usched_runtime *runtime)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++) {
		struct usched_worker_counters *counters = &runtime->scheduler.workers[i].counters;

		sum += usched_decided(counters, USCHED_DECISION_DIRECT) +
		       usched_decided(counters, USCHED_DECISION_SPARE);
	}
	return sum;
}

#endif /* USCHED_TESTS_LOOP_AND_SLEEPER_H */
