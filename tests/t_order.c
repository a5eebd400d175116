/* SPDX-License-Identifier: MIT */
/*
 * Who runs first of many that were woken at once: lib/worker/dispatch.h, FRESH and AHEAD.
 *
 * Sleepers with deadlines in a row are all due before the only worker looks at its timers, so they are woken
 * in one go, in the order of their numbers. What follows from that is an order, and no time.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <usched/usched.h>

#include "base/clock.h"
#include "harness.h"

enum { MANY = 64, SLEEPERS = 300 };

#define FIRST_LEAD_NS UINT64_C(20000000)
#define LAST_LEAD_NS UINT64_C(20000000000)

static _Atomic unsigned int asleep, count, awake;
static _Atomic bool late;
static uint64_t due_ns;			/* of the first */
static unsigned int places[SLEEPERS], order[SLEEPERS];

static void *sleeper(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;

	atomic_fetch_add(&asleep, 1);
	usched_sleep_until(due_ns + number);
	places[number] = atomic_fetch_add(&awake, 1);
	order[places[number]] = number;
	return NULL;
}

/* Keeps the worker from its timers until all are due. */
static void *computer(void *argument)
{
	while (atomic_load(&asleep) < atomic_load(&count))
		usched_yield();
	atomic_store(&late, usched_clock_now_ns() >= due_ns);
	while (usched_clock_now_ns() <= due_ns + SLEEPERS)
		;
	return argument;
}

/* One of two: while one looks at the timers, the other one has used up its turn, and waits. */
static void *yielder(void *argument)
{
	while (atomic_load(&awake) < atomic_load(&count))
		usched_yield();
	return argument;
}

/* False: the machine was too slow for the lead, and nothing is known. */
static bool wake_at_once(unsigned int sleepers, unsigned int yielders, uint64_t lead_ns)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;

	options.workers = 1;
	options.quantum_ns = USCHED_QUANTUM_OFF;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	atomic_store(&asleep, 0);
	atomic_store(&awake, 0);
	atomic_store(&count, sleepers);
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	due_ns = usched_clock_now_ns() + lead_ns;
	for (unsigned int i = 0; i < sleepers; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, NULL, sleeper, (void *)(uintptr_t)i, NULL), 0);
	for (unsigned int i = 0; i < yielders; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, NULL, yielder, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, NULL, computer, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, USCHED_FOREVER), 0);
	CU_ASSERT_EQUAL_FATAL(atomic_load(&awake), sleepers);
	return !atomic_load(&late);
}

static void wake(unsigned int sleepers, unsigned int yielders)
{
	uint64_t lead_ns = FIRST_LEAD_NS;

	while (!wake_at_once(sleepers, yielders, lead_ns)) {
		lead_ns *= 2;
		CU_ASSERT_FATAL(lead_ns <= LAST_LEAD_NS);
	}
}

/* Both those who went ahead and those who did not have kept their order. Return: how many went ahead. */
static unsigned int ahead(unsigned int sleepers)
{
	unsigned int went = 0, last[2] = { 0, 0 };

	for (unsigned int place = 0; place < sleepers; place++) {
		bool passed = place < order[place];
		unsigned int *before = &last[passed];

		went += passed;
		CU_ASSERT(order[place] + 1 > *before);
		*before = order[place] + 1;
	}
	return went;
}

static void few_run_in_order(void)
{
	wake(MANY, 0);
	for (unsigned int i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(places[i], i);
}

static void of_many_every_second_goes_ahead(void)
{
	unsigned int behind = 0;

	wake(SLEEPERS, 0);
	CU_ASSERT_EQUAL(ahead(SLEEPERS), (SLEEPERS - MANY - 1) / 2);
	/* And the others have every second turn. */
	for (unsigned int i = 0; i < SLEEPERS; i++) {
		if (places[i] >= i)
			CU_ASSERT(places[i] <= 2 * behind++ + 1);
	}
}

static void beside_fibers_that_compute_it_is_every_fourth(void)
{
	wake(SLEEPERS, 2);
	CU_ASSERT_EQUAL(ahead(SLEEPERS), (SLEEPERS - MANY - 1) / 4);
}

static const struct usched_test tests[] = {
	{ "few_run_in_order", few_run_in_order },
	{ "of_many_every_second_goes_ahead", of_many_every_second_goes_ahead },
	{ "beside_fibers_that_compute_it_is_every_fourth",
	  beside_fibers_that_compute_it_is_every_fourth },
};

int main(void)
{
	return usched_test_main("order", tests, sizeof(tests) / sizeof(tests[0]));
}
