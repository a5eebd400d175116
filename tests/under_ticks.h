/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_UNDER_TICKS_H
#define USCHED_TESTS_UNDER_TICKS_H

/*
 * A runtime with ticks of 200 us and with endless loops, beside whatever a case's fibers do; and a count
 * of the system calls of theirs that a tick has interrupted.
 *
 * For one source file of a program.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <usched/usched.h>

#include "harness.h"
#include "preempt/tick.h"
#include "runtime/runtime.h"

#define SOON usched_after(UINT64_C(60000000000))

static const enum usched_tick kinds[] = { USCHED_TICK_PERF, USCHED_TICK_TIMER };

enum { FIBERS = 8, HOGS = 2 };

static struct usched_runtime *runtime;
static usched_fiber_t hogs[HOGS];
static _Atomic bool enough;
static _Atomic unsigned int interrupted;	/* calls that ended with EINTR */

static inline struct usched_runtime *create(enum usched_tick tick, unsigned int workers)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *made = NULL;

	options.workers = workers;
	options.tick = tick;
	options.quantum_ns = 200000;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	setenv("USCHED_QUANTUM_FLOOR_NS", "100000", 1);
	if (usched_runtime_create(&made, &options))
		made = NULL;
	unsetenv("USCHED_QUANTUM_FLOOR_NS");
	return made;
}

static inline bool perf_works(void)
{
	struct usched_tick_probe probe;

	return usched_tick_choose(USCHED_TICK_PERF, SIGURG, &probe) == 0;
}

/* False: this kind cannot be had here. */
static inline bool can_tick(enum usched_tick tick)
{
	return tick != USCHED_TICK_PERF || perf_works();
}

static inline void *hog(void *argument)
{
	volatile uint64_t turns = 0;

	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		turns++;
	return argument;
}

/* A runtime with endless loops beside whatever the case does. */
static inline void start(enum usched_tick tick)
{
	runtime = create(tick, 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	atomic_store(&enough, false);
	atomic_store(&interrupted, 0);
	for (unsigned int i = 0; i < HOGS; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &hogs[i], hog, NULL, NULL), 0);
}

static inline void stop(void)
{
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < HOGS; i++)
		CU_ASSERT_EQUAL(usched_join(hogs[i], NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

/* Several fibers, each of which returns NULL if all went well. */
static inline void run_fibers(void *(*function)(void *), unsigned int count)
{
	usched_fiber_t ids[FIBERS];
	void *result = NULL;

	for (unsigned int i = 0; i < count; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], function, (void *)(uintptr_t)(i + 1),
					     NULL), 0);
	for (unsigned int i = 0; i < count; i++) {
		result = &result;
		CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
}

static inline void under_each_tick(void *(*function)(void *))
{
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!can_tick(kinds[i]))
			continue;
		start(kinds[i]);
		run_fibers(function, FIBERS);
		CU_ASSERT_EQUAL(atomic_load(&interrupted), 0);
		stop();
	}
}

static inline void *doubles(void *argument)
{
	usched_sleep_until(usched_after(100000));
	return (void *)(2 * (uintptr_t)argument);
}

/* A handler of the program's. */
static _Atomic unsigned int program_signals;

static inline void counts_signals(int signal)
{
	(void)signal;
	atomic_fetch_add(&program_signals, 1);
}

#endif /* USCHED_TESTS_UNDER_TICKS_H */
