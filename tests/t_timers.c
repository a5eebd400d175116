/* SPDX-License-Identifier: MIT */
/*
 * The heap of timers by itself, with fibers that never run; then sleeping as a program sees it.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <usched/usched.h>

#include "arch/cpu.h"
#include "fiber/fiber.h"
#include "harness.h"
#include "worker/timers.h"

#define SOON usched_after(UINT64_C(60000000000))

enum { FIBERS = 3000, SLACK = 1024, ROUNDS = 20000, SLEEPERS = 200 };

static struct usched_timers timers;
static struct usched_fiber *fibers;

static void begin(void)
{
	fibers = aligned_alloc(_Alignof(struct usched_fiber), sizeof(*fibers) * FIBERS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fibers);
	memset(fibers, 0, sizeof(*fibers) * FIBERS);
	for (uint32_t i = 0; i < FIBERS; i++)
		fibers[i].waiter.fiber = &fibers[i];
	CU_ASSERT_EQUAL_FATAL(usched_timers_init(&timers), 0);
}

static void end(void)
{
	usched_timers_destroy(&timers);
	free(fibers);
}

/* The fiber waits until then, as usched_park() makes it. */
static uint32_t wait_until(struct usched_fiber *fiber, uint64_t deadline_ns)
{
	uint32_t word;

	usched_waiter_begin(&fiber->waiter, USCHED_WAIT_ON_SLEEP, 0, NULL, deadline_ns);
	if (usched_timers_reserve(&timers))
		abort();
	word = usched_waiter_commit(&fiber->waiter);
	if (deadline_ns != USCHED_FOREVER)
		usched_timers_arm(&timers, fiber, deadline_ns);
	return word;
}

static bool wake(struct usched_fiber *fiber)
{
	return usched_waiter_claim_word(&fiber->waiter, usched_waiter_word(&fiber->waiter),
					USCHED_WAIT_VALUE);
}

static void they_expire_in_order(void)
{
	uint64_t state = 12345, last_ns = 0;
	uint32_t count = 0;
	struct usched_fiber *fiber;

	begin();
	CU_ASSERT_PTR_NULL(usched_timers_expire(&timers, UINT64_MAX - 1));
	for (uint32_t i = 0; i < FIBERS; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
		wait_until(&fibers[i], 1000 + (state >> 40) % 5000);
	}
	CU_ASSERT_EQUAL(timers.count, FIBERS);
	CU_ASSERT_PTR_NULL(usched_timers_expire(&timers, 999));
	for (uint64_t now_ns = 1000; now_ns <= 6000; now_ns += 10) {
		while ((fiber = usched_timers_expire(&timers, now_ns))) {
			uint64_t deadline_ns = atomic_load(&fiber->waiter.deadline_ns);

			if (deadline_ns < last_ns || deadline_ns > now_ns ||
			    usched_waiter_reason(&fiber->waiter) != USCHED_WAIT_TIMED_OUT ||
			    atomic_load(&fiber->alarm) != 0)
				CU_FAIL("out of order, too early, or not ended");
			last_ns = deadline_ns;
			count++;
		}
		CU_ASSERT(atomic_load(&timers.first_ns) > now_ns);
	}
	CU_ASSERT_EQUAL(count, FIBERS);
	CU_ASSERT_EQUAL(timers.count, 0);
	CU_ASSERT_EQUAL(atomic_load(&timers.first_ns), UINT64_MAX);
	end();
}

static void one_entry_serves_many_waits(void)
{
	struct usched_fiber *fiber;

	begin();
	fiber = &fibers[0];
	for (uint64_t deadline_ns = 1000; deadline_ns < 2000; deadline_ns++) {
		wait_until(fiber, deadline_ns);
		CU_ASSERT(wake(fiber));
		CU_ASSERT_EQUAL_FATAL(timers.count, 1);
	}
	/* Its time comes while the fiber waits until later: nothing ends, and it serves again. */
	wait_until(fiber, 5000);
	CU_ASSERT_PTR_NULL(usched_timers_expire(&timers, 4999));
	CU_ASSERT_EQUAL(timers.count, 1);
	CU_ASSERT_EQUAL(atomic_load(&timers.first_ns), 5000);
	CU_ASSERT_EQUAL(usched_waiter_reason(&fiber->waiter), USCHED_WAIT_WAITING);
	CU_ASSERT_PTR_EQUAL(usched_timers_expire(&timers, 5000), fiber);
	CU_ASSERT_EQUAL(timers.count, 0);
	/* While it does not wait, or for ever, the entry is dropped; the next wait has its own. */
	wait_until(fiber, 6000);
	CU_ASSERT(wake(fiber));
	CU_ASSERT_PTR_NULL(usched_timers_expire(&timers, 6000));
	CU_ASSERT_EQUAL(timers.count, 0);
	wait_until(fiber, 7000);
	CU_ASSERT(wake(fiber));
	wait_until(fiber, USCHED_FOREVER);
	CU_ASSERT_PTR_NULL(usched_timers_expire(&timers, 8000));
	CU_ASSERT_EQUAL(usched_waiter_reason(&fiber->waiter), USCHED_WAIT_WAITING);
	CU_ASSERT_EQUAL(atomic_load(&fiber->alarm), 0);
	CU_ASSERT(wake(fiber));
	wait_until(fiber, 9000);
	CU_ASSERT_PTR_EQUAL(usched_timers_expire(&timers, 9000), fiber);
	end();
}

static void an_earlier_wait_kills_the_later_entry(void)
{
	struct usched_fiber *fiber;

	begin();
	fiber = &fibers[0];
	wait_until(fiber, 9000);
	CU_ASSERT(wake(fiber));
	wait_until(fiber, 3000);
	CU_ASSERT_EQUAL(timers.count, 2);
	CU_ASSERT_PTR_EQUAL(usched_timers_expire(&timers, 3000), fiber);
	/* The same instant again: one entry lives, whichever. */
	wait_until(fiber, 9000);
	CU_ASSERT_PTR_EQUAL(usched_timers_expire(&timers, 9000), fiber);
	CU_ASSERT_PTR_NULL(usched_timers_expire(&timers, 9000));
	CU_ASSERT_EQUAL(timers.count, 0);
	end();
}

static void dead_entries_are_swept(void)
{
	enum { LIVE = 500 };
	uint32_t most = 0, count = 0;

	begin();
	for (uint32_t i = 1; i <= LIVE; i++)
		wait_until(&fibers[i], 10);
	/* Each earlier than the last: each kills an entry. */
	for (uint64_t deadline_ns = 200000; deadline_ns > 100; deadline_ns--) {
		wait_until(&fibers[0], deadline_ns);
		if (!wake(&fibers[0]))
			abort();
		if (timers.count > most)
			most = timers.count;
	}
	CU_ASSERT(most <= 2 * (LIVE + 1) + SLACK);
	CU_ASSERT(timers.capacity <= 4 * (2 * (LIVE + 1) + SLACK));
	while (usched_timers_expire(&timers, 200000))
		count++;
	CU_ASSERT_EQUAL(count, LIVE);
	CU_ASSERT_EQUAL(timers.count, 0);
	end();
}

/* A value and the time come at once: one of the two ends the wait. */
static _Atomic uint32_t round_number, round_done, value_wins;

static void *wakes(void *argument)
{
	uint32_t done = 0;

	while (done < ROUNDS) {
		uint32_t now = atomic_load(&round_number);

		if (now == done) {
			sched_yield();
			continue;
		}
		if (wake(argument))
			atomic_fetch_add(&value_wins, 1);
		done = now;
		atomic_store(&round_done, done);
	}
	return NULL;
}

static void a_value_or_the_time_but_not_both(void)
{
	pthread_t waker;
	uint32_t timer_wins = 0;
	uint64_t end_ns = SOON;

	begin();
	atomic_store(&round_number, 0);
	atomic_store(&round_done, 0);
	atomic_store(&value_wins, 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&waker, NULL, wakes, &fibers[0]), 0);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		wait_until(&fibers[0], i);
		atomic_store(&round_number, i);
		for (uint32_t turn = 0; turn < i % 32; turn++)
			usched_cpu_relax();
		if (usched_timers_expire(&timers, i) == &fibers[0])
			timer_wins++;
		while (atomic_load(&round_done) != i && usched_now() < end_ns)
			sched_yield();
	}
	pthread_join(waker, NULL);
	CU_ASSERT_EQUAL(timer_wins + atomic_load(&value_wins), ROUNDS);
	end();
}

struct sleeper {
	uint64_t deadline_ns, woke_ns;
	usched_fiber_t id;
};

static void *sleeps(void *argument)
{
	struct sleeper *sleeper = argument;
	int error = usched_sleep_until(sleeper->deadline_ns);

	sleeper->woke_ns = usched_now();
	return (void *)(intptr_t)error;
}

static void nobody_wakes_too_early(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime;
	static struct sleeper sleepers[SLEEPERS];

	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	for (unsigned int i = 0; i < SLEEPERS; i++) {
		sleepers[i].deadline_ns = usched_after(i * 7919 % SLEEPERS * 100000);
		CU_ASSERT_EQUAL(usched_spawn(runtime, &sleepers[i].id, sleeps, &sleepers[i], NULL), 0);
	}
	for (unsigned int i = 0; i < SLEEPERS; i++) {
		void *result = runtime;

		CU_ASSERT_EQUAL(usched_join(sleepers[i].id, &result, SOON), 0);
		CU_ASSERT_EQUAL((intptr_t)result, 0);
		CU_ASSERT(sleepers[i].woke_ns >= sleepers[i].deadline_ns);
	}
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "they_expire_in_order", they_expire_in_order },
		{ "one_entry_serves_many_waits", one_entry_serves_many_waits },
		{ "an_earlier_wait_kills_the_later_entry", an_earlier_wait_kills_the_later_entry },
		{ "dead_entries_are_swept", dead_entries_are_swept },
		{ "a_value_or_the_time_but_not_both", a_value_or_the_time_but_not_both },
		{ "nobody_wakes_too_early", nobody_wakes_too_early },
	};

	return usched_test_main("timers", tests, sizeof(tests) / sizeof(tests[0]));
}
