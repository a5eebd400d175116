/* SPDX-License-Identifier: MIT */
/*
 * Fibers as a program sees them: birth, end, handles, time, and a runtime's start and stop.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"
#include "runtime/runtime.h"

/* A test that would hang fails after this long. */
#define SOON usched_after(UINT64_C(30000000000))

static struct usched_runtime *start(unsigned int workers)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;

	options.workers = workers;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	return runtime;
}

static void stop(struct usched_runtime *runtime)
{
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static void *same(void *argument)
{
	return argument;
}

static void *nap(void *argument)
{
	usched_sleep_until(usched_after(5000000));
	return argument;
}

static _Atomic int may_end;

static void *until_told(void *argument)
{
	while (!atomic_load(&may_end))
		usched_sleep_until(usched_after(1000000));
	return argument;
}

static void results_come_back(void)
{
	struct usched_runtime *runtime = start(2);
	usched_fiber_t ids[100];
	void *result;

	for (uintptr_t i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], i % 2 ? same : nap, (void *)i, NULL), 0);
	for (uintptr_t i = 0; i < 100; i++) {
		result = NULL;
		CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
		CU_ASSERT_EQUAL((uintptr_t)result, i);
	}
	stop(runtime);
}

static void stale_handles_are_refused(void)
{
	struct usched_runtime *runtime = start(1);
	usched_fiber_t id, other;

	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, same, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_join(id, NULL, SOON), -ESRCH);
	CU_ASSERT_EQUAL(usched_detach(id), -ESRCH);
	/* Its descriptor is used again; the handle is not. */
	CU_ASSERT_EQUAL(usched_spawn(runtime, &other, same, NULL, NULL), 0);
	CU_ASSERT_NOT_EQUAL(id, other);
	CU_ASSERT_EQUAL(usched_join(id, NULL, SOON), -ESRCH);
	CU_ASSERT_EQUAL(usched_join(other, NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_join(0, NULL, SOON), -ESRCH);
	CU_ASSERT_EQUAL(usched_join(UINT64_MAX, NULL, SOON), -ESRCH);
	stop(runtime);
}

static void *joins_itself(void *argument)
{
	(void)argument;
	return (void *)(intptr_t)usched_join(usched_self(), NULL, USCHED_FOREVER);
}

static void a_fiber_cannot_wait_for_itself(void)
{
	struct usched_runtime *runtime = start(1);
	usched_fiber_t id;
	void *result = NULL;

	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, joins_itself, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_EQUAL((intptr_t)result, -EDEADLK);
	stop(runtime);
}

static void a_join_that_times_out_changes_nothing(void)
{
	struct usched_runtime *runtime = start(1);
	usched_fiber_t id;

	atomic_store(&may_end, 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, until_told, &may_end, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, NULL, USCHED_NOW), -EAGAIN);
	CU_ASSERT_EQUAL(usched_join(id, NULL, usched_after(3000000)), -ETIMEDOUT);
	atomic_store(&may_end, 1);
	CU_ASSERT_EQUAL(usched_join(id, NULL, SOON), 0);
	stop(runtime);
}

static void *joins(void *argument)
{
	return (void *)(intptr_t)usched_join(*(usched_fiber_t *)argument, NULL, SOON);
}

static void only_one_may_join(void)
{
	struct usched_runtime *runtime = start(2);
	usched_fiber_t id, joiners[2];
	intptr_t sum = 0;

	atomic_store(&may_end, 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, until_told, NULL, NULL), 0);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &joiners[i], joins, &id, NULL), 0);
	/* One of them is refused at once, and says so. */
	while (usched_join(joiners[0], NULL, usched_after(1000000)) == -ETIMEDOUT &&
	       usched_join(joiners[1], NULL, usched_after(1000000)) == -ETIMEDOUT)
		;
	atomic_store(&may_end, 1);
	for (unsigned int i = 0; i < 2; i++) {
		void *result = NULL;

		if (usched_join(joiners[i], &result, SOON) == 0)
			sum += (intptr_t)result;
	}
	CU_ASSERT(sum == 0 || sum == -EBUSY);
	stop(runtime);
}

static void destroy_waits_for_fibers(void)
{
	struct usched_runtime *runtime = start(2);

	atomic_store(&may_end, 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, NULL, until_told, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, USCHED_NOW), -EAGAIN);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, usched_after(3000000)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(usched_spawn(runtime, NULL, same, NULL, NULL), -ESHUTDOWN);
	atomic_store(&may_end, 1);
	stop(runtime);
	CU_ASSERT_EQUAL(usched_runtime_destroy(NULL, USCHED_NOW), 0);
}

static void bad_options_are_refused(void)
{
	struct usched_runtime *runtime = start(1);
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	struct usched_runtime_options wrong = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *other;
	usched_fiber_t id;

	CU_ASSERT_EQUAL(usched_spawn(NULL, &id, same, NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, NULL, NULL, NULL), -EINVAL);
	options.cpu = 1023;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, same, NULL, &options), -ENODEV);
	options.cpu = USCHED_ANYWHERE;
	options.node = 1000;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, same, NULL, &options), -ENODEV);
	options.node = USCHED_ANYWHERE;
	options.stack = (enum usched_stack)7;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, same, NULL, &options), -EINVAL);
	wrong.quantum_ns = 5;
	CU_ASSERT_EQUAL(usched_runtime_create(&other, &wrong), -EINVAL);
	CU_ASSERT_EQUAL(usched_runtime_set_quantum(runtime, 5), -ERANGE);
	stop(runtime);
}

static void every_stack_class_works(void)
{
	struct usched_runtime *runtime = start(1);

	for (int class = USCHED_STACK_DEFAULT; class <= USCHED_STACK_LARGE; class++) {
		struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
		usched_fiber_t ids[20];

		options.stack = (enum usched_stack)class;
		options.name = "a name that is far too long for it";
		for (unsigned int i = 0; i < 20; i++)
			CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], nap, NULL, &options), 0);
		for (unsigned int i = 0; i < 20; i++)
			CU_ASSERT_EQUAL(usched_join(ids[i], NULL, SOON), 0);
	}
	stop(runtime);
}

static char order[16];
static _Atomic unsigned int order_count;

static void *note(void *argument)
{
	unsigned int at = atomic_fetch_add(&order_count, 1);

	if (at < sizeof(order) - 1)
		order[at] = *(char *)argument;
	return NULL;
}

static bool settled;

/* Each 10 ms one fiber of every class gets a turn whatever waits. Without such a turn on its way at
   the begin, and none begun at the end, the order is that of the priorities. */
static void *spawns_by_priority(void *argument)
{
	static char names[] = "LNH";
	struct usched_worker *worker = argument;
	usched_fiber_t ids[3];
	static const enum usched_priority priorities[] = {
		USCHED_PRIORITY_LOW, USCHED_PRIORITY_NORMAL, USCHED_PRIORITY_HIGH,
	};
	uint64_t turn = atomic_load(&worker->age_turn);

	settled = worker->age_served == turn && worker->aging == 0;
	for (unsigned int i = 0; i < 3; i++) {
		struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;

		options.priority = priorities[i];
		usched_spawn(NULL, &ids[i], note, &names[i], &options);
	}
	for (unsigned int i = 0; i < 3; i++)
		usched_join(ids[i], NULL, USCHED_FOREVER);
	settled = settled && atomic_load(&worker->age_turn) == turn;
	return NULL;
}

static void higher_priority_runs_first(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_fiber_options never = USCHED_FIBER_OPTIONS_INIT;
	struct usched_runtime *runtime;
	unsigned int rounds = 0;
	usched_fiber_t id;

	options.workers = 1;
	options.quantum_ns = USCHED_QUANTUM_OFF;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	never.preempt = USCHED_PREEMPT_NEVER;
	do {
		memset(order, 0, sizeof(order));
		atomic_store(&order_count, 0);
		CU_ASSERT_EQUAL(usched_spawn(runtime, &id, spawns_by_priority,
					     &runtime->scheduler.workers[0], &never), 0);
		CU_ASSERT_EQUAL(usched_join(id, NULL, SOON), 0);
		CU_ASSERT_EQUAL(strlen(order), 3);
	} while (!settled && ++rounds < 10000);
	CU_ASSERT(settled);
	CU_ASSERT_STRING_EQUAL(order, "HNL");
	stop(runtime);
}

struct page {
	struct usched_worker *worker;
	bool served;			/* one of USED has run since the last page */
};

static void *yields_and_notes(void *argument)
{
	usched_yield();
	return note(argument);
}

/* A page is turned while one that has yielded waits, and one that is new. */
static void *turns_a_page(void *argument)
{
	static char names[] = "UF";
	struct page *page = argument;
	struct usched_worker *worker = page->worker;
	uint64_t turn = atomic_load(&worker->age_turn);
	usched_fiber_t used, fresh;

	usched_spawn(NULL, &used, yields_and_notes, &names[0], NULL);
	usched_yield();
	worker->age_served = turn - 1;
	worker->aging = 0;
	worker->used_page = page->served ? turn - 1 : turn - 2;
	usched_spawn(NULL, &fresh, note, &names[1], NULL);
	usched_join(fresh, NULL, USCHED_FOREVER);
	usched_join(used, NULL, USCHED_FOREVER);
	settled = atomic_load(&worker->age_turn) == turn;
	return NULL;
}

static void a_page_gives_a_turn_to_who_had_none(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_fiber_options never = USCHED_FIBER_OPTIONS_INIT;

	options.workers = 1;
	options.quantum_ns = USCHED_QUANTUM_OFF;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	never.preempt = USCHED_PREEMPT_NEVER;
	for (unsigned int served = 0; served < 2; served++) {
		struct usched_runtime *runtime;
		unsigned int rounds = 0;
		usched_fiber_t id;
		struct page page;

		CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
		page = (struct page){ &runtime->scheduler.workers[0], served };
		do {
			memset(order, 0, sizeof(order));
			atomic_store(&order_count, 0);
			CU_ASSERT_EQUAL(usched_spawn(runtime, &id, turns_a_page, &page, &never), 0);
			CU_ASSERT_EQUAL(usched_join(id, NULL, SOON), 0);
		} while (!settled && ++rounds < 10000);
		CU_ASSERT(settled);
		CU_ASSERT_STRING_EQUAL(order, served ? "FU" : "UF");
		stop(runtime);
	}
}

static void runtimes_live_side_by_side(void)
{
	struct usched_runtime *runtimes[3];
	usched_fiber_t ids[3];

	for (uintptr_t i = 0; i < 3; i++) {
		runtimes[i] = start(1);
		CU_ASSERT_EQUAL(usched_spawn(runtimes[i], &ids[i], nap, (void *)i, NULL), 0);
	}
	for (uintptr_t i = 0; i < 3; i++) {
		void *result = NULL;

		CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
		CU_ASSERT_EQUAL((uintptr_t)result, i);
		stop(runtimes[i]);
		CU_ASSERT_EQUAL(usched_join(ids[i], NULL, SOON), -ESRCH);
	}
}

static void *spawns_tree(void *argument)
{
	intptr_t depth = (intptr_t)argument, sum = 1;
	usched_fiber_t ids[4];

	if (depth == 0)
		return (void *)1;
	for (unsigned int i = 0; i < 4; i++) {
		if (usched_spawn(NULL, &ids[i], spawns_tree, (void *)(depth - 1), NULL))
			return (void *)-1;
	}
	for (unsigned int i = 0; i < 4; i++) {
		void *result = NULL;

		usched_join(ids[i], &result, USCHED_FOREVER);
		sum += (intptr_t)result;
	}
	return (void *)sum;
}

static void a_tree_of_fibers_adds_up(void)
{
	struct usched_runtime *runtime = start(0);
	usched_fiber_t id;
	void *result = NULL;

	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, spawns_tree, (void *)6, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_EQUAL((intptr_t)result, 5461);	/* (4^7 - 1) / 3 */
	stop(runtime);
}

static void threads_may_call(void)
{
	uint64_t before = usched_now();

	CU_ASSERT_EQUAL(usched_self(), 0);
	CU_ASSERT_PTR_NULL(usched_runtime_current());
	CU_ASSERT_EQUAL(usched_yield(), 0);
	CU_ASSERT_EQUAL(usched_sleep_until(usched_after(1000000)), 0);
	CU_ASSERT(usched_now() - before >= 1000000);
	CU_ASSERT_EQUAL(usched_sleep_until(USCHED_FOREVER), -EINVAL);
	CU_ASSERT_EQUAL(usched_after(UINT64_MAX), USCHED_FOREVER);
	CU_ASSERT(!strncmp(usched_version(), "0.", 2));
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "results_come_back", results_come_back },
		{ "stale_handles_are_refused", stale_handles_are_refused },
		{ "a_fiber_cannot_wait_for_itself", a_fiber_cannot_wait_for_itself },
		{ "a_join_that_times_out_changes_nothing", a_join_that_times_out_changes_nothing },
		{ "only_one_may_join", only_one_may_join },
		{ "destroy_waits_for_fibers", destroy_waits_for_fibers },
		{ "bad_options_are_refused", bad_options_are_refused },
		{ "every_stack_class_works", every_stack_class_works },
		{ "higher_priority_runs_first", higher_priority_runs_first },
		{ "a_page_gives_a_turn_to_who_had_none", a_page_gives_a_turn_to_who_had_none },
		{ "runtimes_live_side_by_side", runtimes_live_side_by_side },
		{ "a_tree_of_fibers_adds_up", a_tree_of_fibers_adds_up },
		{ "threads_may_call", threads_may_call },
	};

	return usched_test_main("fiber", tests, sizeof(tests) / sizeof(tests[0]));
}
