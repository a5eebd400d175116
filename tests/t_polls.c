/* SPDX-License-Identifier: MIT */
/*
 * What a poll brings: one fiber runs where it was found, many wake another worker, and a fiber that goes
 * on beside busy descriptors looks for their next events.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"
#include "runtime/runtime.h"

enum { ROUNDS = 500, MANY = 32 };

static int ends[MANY][2];
static _Atomic unsigned int answers;
static _Atomic bool stop;

static struct usched_runtime *start(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;

	options.workers = 2;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	return runtime;
}

static void *answer(void *argument)
{
	int descriptor = ends[(uintptr_t)argument][0];
	char byte;
	size_t got;

	while (usched_read(descriptor, &byte, 1, &got, USCHED_FOREVER) == 0 && got)
		atomic_fetch_add(&answers, 1);
	usched_close(descriptor);
	return NULL;
}

static void begin(struct usched_runtime *runtime, usched_fiber_t fibers[], unsigned int count)
{
	atomic_store(&answers, 0);
	for (uintptr_t i = 0; i < count; i++) {
		CU_ASSERT_EQUAL_FATAL(pipe(ends[i]), 0);
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &fibers[i], answer, (void *)i, NULL), 0);
	}
}

static void end(struct usched_runtime *runtime, usched_fiber_t fibers[], unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		close(ends[i][1]);
	for (unsigned int i = 0; i < count; i++)
		CU_ASSERT_EQUAL(usched_join(fibers[i], NULL, USCHED_FOREVER), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, USCHED_FOREVER), 0);
}

static void pause_ms(unsigned int ms)
{
	struct timespec pause = { .tv_nsec = ms * 1000000L };

	nanosleep(&pause, NULL);
}

static uint64_t polls_of(struct usched_runtime *runtime, unsigned int worker)
{
	return atomic_load(&runtime->scheduler.workers[worker].counters.polls);
}

static void one_event_wakes_one_worker(void)
{
	struct usched_runtime *runtime = start();
	uint64_t first, second;
	usched_fiber_t fiber;

	if (runtime->scheduler.worker_count < 2) {
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, USCHED_FOREVER), 0);
		usched_test_skip("few-cpus: needs two workers");
		return;
	}
	begin(runtime, &fiber, 1);
	pause_ms(10);
	first = polls_of(runtime, 0);
	second = polls_of(runtime, 1);
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		CU_ASSERT_EQUAL(write(ends[0][1], "x", 1), 1);
		while (atomic_load(&answers) < i)
			pause_ms(0);
	}
	first = polls_of(runtime, 0) - first;
	second = polls_of(runtime, 1) - second;
	printf("info: %u events, %llu and %llu polls\n", ROUNDS, (unsigned long long)first,
	       (unsigned long long)second);
	/* The one that watches polls for each; the monitor may wake the other now and then. */
	CU_ASSERT(first + second < ROUNDS + ROUNDS / 2);
	end(runtime, &fiber, 1);
}

static void *compute(void *argument)
{
	while (!atomic_load(&stop))
		;
	return argument;
}

/* However short they were before: what waits behind a long one is taken by the other worker. */
static void events_behind_a_long_run_are_answered(void)
{
	struct usched_runtime *runtime = start();
	usched_fiber_t fibers[MANY], hog;

	begin(runtime, fibers, MANY);
	for (unsigned int round = 1; round <= ROUNDS; round++) {
		for (unsigned int i = 0; i < MANY; i++)
			CU_ASSERT_EQUAL(write(ends[i][1], "x", 1), 1);
		while (atomic_load(&answers) < round * MANY)
			pause_ms(0);
	}
	atomic_store(&stop, false);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &hog, compute, NULL, NULL), 0);
	for (unsigned int i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(write(ends[i][1], "x", 1), 1);
	while (atomic_load(&answers) < (ROUNDS + 1) * MANY)
		pause_ms(1);
	atomic_store(&stop, true);
	CU_ASSERT_EQUAL(usched_join(hog, NULL, USCHED_FOREVER), 0);
	end(runtime, fibers, MANY);
}

static bool (*tick_in)(struct usched_carrier *carrier, uint64_t delay_ns);
static _Atomic unsigned int orders;

static bool count_order(struct usched_carrier *carrier, uint64_t delay_ns)
{
	atomic_fetch_add(&orders, 1);
	return tick_in(carrier, delay_ns);
}

/* So many events at once, until each was answered. */
static void send_events(unsigned int count, unsigned int *sent)
{
	for (unsigned int i = 0; i < count; i++)
		CU_ASSERT_EQUAL(write(ends[i][1], "x", 1), 1);
	*sent += count;
	while (atomic_load(&answers) < *sent)
		pause_ms(0);
}

/* A fiber that was stopped goes on while many events come: its own tick is to look for the next ones. */
static void a_stopped_fiber_looks_for_events(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	usched_fiber_t hogs[2], fibers[MANY];
	struct usched_runtime *runtime = NULL;
	unsigned int sent = 0;

	options.workers = 1;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	tick_in = runtime->scheduler.hooks.tick_in;
	runtime->scheduler.hooks.tick_in = count_order;
	begin(runtime, fibers, MANY);
	send_events(MANY, &sent);
	atomic_store(&stop, false);
	atomic_store(&orders, 0);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &hogs[i], compute, NULL, NULL), 0);
	while (atomic_load(&runtime->scheduler.workers[0].counters.dispatches) < 3 * MANY)
		pause_ms(1);
	CU_ASSERT(atomic_load(&orders) <= 1);	/* for those before; since then nothing came */
	atomic_store(&orders, 0);
	for (unsigned int i = 0; i < 20; i++)
		send_events(MANY, &sent);
	printf("info: %u orders for 20 times %u events\n", atomic_load(&orders), MANY);
	CU_ASSERT(atomic_load(&orders) > 0);
	CU_ASSERT(atomic_load(&orders) <= 20 * MANY / 4);
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(usched_join(hogs[i], NULL, USCHED_FOREVER), 0);
	end(runtime, fibers, MANY);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "one_event_wakes_one_worker", one_event_wakes_one_worker },
		{ "events_behind_a_long_run_are_answered", events_behind_a_long_run_are_answered },
		{ "a_stopped_fiber_looks_for_events", a_stopped_fiber_looks_for_events },
	};

	return usched_test_main("polls", tests, sizeof(tests) / sizeof(tests[0]));
}
