/* SPDX-License-Identifier: MIT */
/*
 * The promise: an endless loop, a blocking system call, a held lock of libc do not stall the other
 * fibers of the same worker. By each tick, without membarrier, with few carriers.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"

#define SOON usched_after(UINT64_C(60000000000))

static struct usched_runtime *start(enum usched_tick tick, uint64_t quantum_ns)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;

	options.workers = 1;
	options.tick = tick;
	options.quantum_ns = quantum_ns;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	if (usched_runtime_create(&runtime, &options))
		return NULL;
	return runtime;
}

static _Atomic bool enough;

static void *spin(void *argument)
{
	volatile uint64_t *turns = argument;

	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		(*turns)++;
	return NULL;
}

/* Comes and goes a hundred times while the others never stop, then tells them to. */
static void *comes_and_goes(void *argument)
{
	for (unsigned int i = 0; i < 100; i++)
		usched_sleep_until(usched_after(100000));
	atomic_store(&enough, true);
	return argument;
}

static void three_loops_and_a_sleeper(struct usched_runtime *runtime)
{
	static uint64_t turns[3];
	usched_fiber_t loops[3], sleeper;

	atomic_store(&enough, false);
	memset(turns, 0, sizeof(turns));
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &loops[i], spin, &turns[i], NULL), 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &sleeper, comes_and_goes, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(sleeper, NULL, SOON), 0);
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(usched_join(loops[i], NULL, SOON), 0);
		CU_ASSERT(turns[i] > 0);
	}
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static void perf_ticks_stop_a_loop(void)
{
	struct usched_runtime *runtime = start(USCHED_TICK_PERF, 1000000);

	if (!runtime)
		USCHED_SKIP("no-perf: perf_event_open is denied");
	three_loops_and_a_sleeper(runtime);
}

static void timer_ticks_stop_a_loop(void)
{
	struct usched_runtime *runtime = start(USCHED_TICK_TIMER, 1000000);

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	three_loops_and_a_sleeper(runtime);
}

static void timerfd_ticks_stop_a_loop(void)
{
	struct usched_runtime *runtime = start(USCHED_TICK_TIMERFD, 1000000);

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	three_loops_and_a_sleeper(runtime);
}

static void it_works_without_membarrier(void)
{
	struct usched_runtime *runtime;

	setenv("USCHED_MEMBARRIER", "off", 1);
	runtime = start(USCHED_TICK_AUTO, 1000000);
	unsetenv("USCHED_MEMBARRIER");
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	three_loops_and_a_sleeper(runtime);
}

static void it_works_with_few_carriers(void)
{
	struct usched_runtime *runtime;

	setenv("USCHED_CARRIERS_MAX", "5", 1);
	runtime = start(USCHED_TICK_AUTO, 1000000);
	unsetenv("USCHED_CARRIERS_MAX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	three_loops_and_a_sleeper(runtime);
}

static void the_quantum_changes_live(void)
{
	struct usched_runtime *runtime = start(USCHED_TICK_AUTO, USCHED_QUANTUM_OFF);

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL(usched_runtime_set_quantum(runtime, 1000000), 0);
	three_loops_and_a_sleeper(runtime);
}

static _Atomic unsigned int steps;

static void *never_stops_within(void *argument)
{
	unsigned int before = atomic_load(&steps);
	volatile unsigned int work = 0;

	/* Longer than many quanta; another fiber of this worker must not step in between. */
	for (unsigned int i = 0; i < 30000000; i++)
		work++;
	return (void *)(uintptr_t)(atomic_load(&steps) - before + (argument != NULL));
}

static void *steps_on(void *argument)
{
	while (!atomic_load(&enough)) {
		atomic_fetch_add(&steps, 1);
		usched_yield();
	}
	return argument;
}

static void never_means_never(void)
{
	struct usched_runtime *runtime = start(USCHED_TICK_AUTO, 500000);
	struct usched_fiber_options never = USCHED_FIBER_OPTIONS_INIT;
	usched_fiber_t id, other;
	void *result = &id;

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	atomic_store(&enough, false);
	never.preempt = USCHED_PREEMPT_NEVER;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &other, steps_on, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, never_stops_within, NULL, &never), 0);
	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	atomic_store(&enough, true);
	CU_ASSERT_EQUAL(usched_join(other, NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static int pipe_ends[2];

static void *reads_blocking(void *argument)
{
	char byte = 0;

	/* A direct system call: nothing of ours in it. */
	return read(pipe_ends[0], &byte, 1) == 1 && byte == 'x' ? NULL : argument;
}

static void *writes_later(void *argument)
{
	usched_sleep_until(usched_after(2000000));
	return write(pipe_ends[1], "x", 1) == 1 ? NULL : argument;
}

static void a_blocked_fiber_holds_nobody_up(void)
{
	struct usched_runtime *runtime = start(USCHED_TICK_AUTO, 1000000);
	usched_fiber_t reader, writer;
	void *result = &reader;

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &reader, reads_blocking, &reader, NULL), 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &writer, writes_later, &reader, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(reader, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	CU_ASSERT_EQUAL(usched_join(writer, NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static void *uses_libc(void *argument)
{
	unsigned int seed = (unsigned int)(uintptr_t)argument;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < 4000; i++) {
		size_t bytes = 16 + rand_r(&seed) % 4000;
		unsigned char *memory = malloc(bytes);
		char text[64];

		if (!memory)
			return (void *)1;
		memset(memory, (int)(i & 0xff), bytes);
		snprintf(text, sizeof(text), "%zu %.3f", bytes, (double)i / 7);
		for (size_t at = 0; at < bytes; at++)
			sum += memory[at] != (i & 0xff);
		sum += strtoul(text, NULL, 10) != bytes;
		free(memory);
	}
	return (void *)(uintptr_t)sum;
}

static void libc_stays_whole(void)
{
	struct usched_runtime *runtime = start(USCHED_TICK_AUTO, USCHED_QUANTUM_MIN_NS);
	usched_fiber_t ids[16];

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	for (uintptr_t i = 0; i < 16; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], uses_libc, (void *)i, NULL), 0);
	for (unsigned int i = 0; i < 16; i++) {
		void *wrong = &ids[i];

		CU_ASSERT_EQUAL(usched_join(ids[i], &wrong, SOON), 0);
		CU_ASSERT_PTR_NULL(wrong);
	}
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static pthread_mutex_t foreign = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned int contenders;

enum { CARRIERS = 3, CONTENDERS = 6 };

static void *holds_until_all_wait(void *argument)
{
	pthread_mutex_lock(&foreign);
	atomic_fetch_add(&contenders, 1);
	/* Its own carrier, and the others in the kernel: then there is none left. */
	while (atomic_load(&contenders) < CARRIERS)
		;
	pthread_mutex_unlock(&foreign);
	return argument;
}

static void *contends(void *argument)
{
	while (atomic_load(&contenders) == 0)
		usched_yield();
	atomic_fetch_add(&contenders, 1);
	pthread_mutex_lock(&foreign);
	pthread_mutex_unlock(&foreign);
	return argument;
}

/* All carriers but its own wait in the kernel for what a stopped fiber holds: it runs on. */
static void a_stopped_holder_runs_though_no_carrier_is_left(void)
{
	struct usched_runtime *runtime;
	usched_fiber_t ids[CONTENDERS + 1];

	setenv("USCHED_CARRIERS_MAX", "3", 1);
	runtime = start(USCHED_TICK_AUTO, 1000000);
	unsetenv("USCHED_CARRIERS_MAX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	for (unsigned int turn = 0; turn < 20; turn++) {
		atomic_store(&contenders, 0);
		CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[0], holds_until_all_wait, NULL, NULL), 0);
		for (unsigned int i = 1; i <= CONTENDERS; i++)
			CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], contends, NULL, NULL), 0);
		for (unsigned int i = 0; i <= CONTENDERS; i++)
			CU_ASSERT_EQUAL(usched_join(ids[i], NULL, SOON), 0);
	}
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "perf_ticks_stop_a_loop", perf_ticks_stop_a_loop },
		{ "timer_ticks_stop_a_loop", timer_ticks_stop_a_loop },
		{ "timerfd_ticks_stop_a_loop", timerfd_ticks_stop_a_loop },
		{ "it_works_without_membarrier", it_works_without_membarrier },
		{ "it_works_with_few_carriers", it_works_with_few_carriers },
		{ "the_quantum_changes_live", the_quantum_changes_live },
		{ "never_means_never", never_means_never },
		{ "a_blocked_fiber_holds_nobody_up", a_blocked_fiber_holds_nobody_up },
		{ "libc_stays_whole", libc_stays_whole },
		{ "a_stopped_holder_runs_though_no_carrier_is_left",
		  a_stopped_holder_runs_though_no_carrier_is_left },
	};

	return usched_test_main("preempt", tests, sizeof(tests) / sizeof(tests[0]));
}
