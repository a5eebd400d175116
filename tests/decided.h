/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_DECIDED_H
#define USCHED_TESTS_DECIDED_H

/*
 * What tests of the decision table share: a runtime of one worker, so that order decides; its counters,
 * which say which row was taken; and fibers that compute until the case has seen enough.
 *
 * For one source file of a program.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <usched/usched.h>

#include "harness.h"
#include "runtime/runtime.h"

#define SOON usched_after(UINT64_C(60000000000))

static struct usched_runtime *runtime;

/* A tick of 200 us, unless the case says otherwise. */
static inline void start(uint64_t quantum_ns, uint64_t wakeup_ns, uint32_t budget)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	runtime = NULL;
	options.workers = 1;
	options.quantum_ns = quantum_ns;
	options.wakeup_ns = wakeup_ns;
	options.budget = budget;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	setenv("USCHED_QUANTUM_FLOOR_NS", "100000", 1);
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	unsetenv("USCHED_QUANTUM_FLOOR_NS");
}

static inline void stop(void)
{
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static inline struct usched_worker *worker(void)
{
	return &runtime->scheduler.workers[0];
}

static inline uint64_t get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline uint64_t decided(enum usched_preempt mode, enum usched_decision decision)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		sum += get(&runtime->scheduler.workers[i].counters.decisions[mode][decision]);
	return sum;
}

static inline usched_fiber_t spawn(enum usched_preempt mode, void *(*function)(void *), void *argument)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	usched_fiber_t id = 0;

	options.preempt = mode;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, function, argument, &options), 0);
	return id;
}

static inline void *join(usched_fiber_t id)
{
	void *result = NULL;

	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	return result;
}

/* Those that compute, until the case has seen enough. */
static _Atomic bool enough;

/* One more, by the only writer. */
static inline void turn(_Atomic uint64_t *turns)
{
	atomic_store_explicit(turns, atomic_load_explicit(turns, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static inline void *spins(void *argument)
{
	_Atomic uint64_t *turns = argument;

	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		turn(turns);
	return NULL;
}

#endif /* USCHED_TESTS_DECIDED_H */
