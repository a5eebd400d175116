/* SPDX-License-Identifier: MIT */
/*
 * Descriptors, stacks and reservations add up, however fibers end and wherever they are freed: joined
 * by who waited, joined late, detached, joined by a plain thread, of each class of stack.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"
#include "runtime/runtime.h"

enum { PARENTS = 8, ROUNDS = 300, BATCH = 5, THREAD_ROUNDS = 200 };

static struct usched_runtime *runtime;
static _Atomic unsigned int failures;

static void must(int result)
{
	if (result)
		atomic_fetch_add(&failures, 1);
}

static void *child(void *argument)
{
	char room[2000];

	/* Its stack is its own: nobody else writes there. */
	for (unsigned int i = 0; i < sizeof(room); i++)
		room[i] = (char)(uintptr_t)argument;
	if ((uintptr_t)argument % 3 == 0)
		usched_yield();
	for (unsigned int i = 0; i < sizeof(room); i++) {
		volatile char *byte = &room[i];

		must(*byte != (char)(uintptr_t)argument);
	}
	return argument;
}

static void *parent(void *argument)
{
	uintptr_t number = (uintptr_t)argument * 7919;
	usched_fiber_t ids[BATCH];
	void *result;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;

		options.stack = (round + number) % 7 == 0 ? USCHED_STACK_LARGE :
				round / 3 % 2 ? USCHED_STACK_DEFAULT : USCHED_STACK_SMALL;
		/* One that is waited for. */
		must(usched_spawn(NULL, &ids[0], child, (void *)number, &options));
		must(usched_join(ids[0], &result, USCHED_FOREVER));
		must(result != (void *)number);
		/* One that is over before. */
		must(usched_spawn(NULL, &ids[0], child, (void *)number, &options));
		usched_yield();
		usched_yield();
		must(usched_join(ids[0], &result, USCHED_FOREVER));
		must(usched_spawn(NULL, NULL, child, (void *)number, &options));
		for (unsigned int i = 0; i < BATCH; i++)
			must(usched_spawn(NULL, &ids[i], child, (void *)(number + i), &options));
		for (unsigned int i = 0; i < BATCH; i++)
			must(usched_join(ids[i], &result, USCHED_FOREVER));
		number++;
	}
	return NULL;
}

static void *outsider(void *argument)
{
	for (uintptr_t i = 0; i < THREAD_ROUNDS; i++) {
		usched_fiber_t id;

		must(usched_spawn(runtime, &id, child, (void *)i, NULL));
		must(usched_join(id, NULL, USCHED_FOREVER));
		must(usched_spawn(runtime, NULL, child, (void *)i, NULL));
	}
	return argument;
}

static uint64_t ended(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		sum += atomic_load(&runtime->scheduler.workers[i].counters.ended);
	return sum;
}

/* All have ended and nobody runs: what is reserved is held by a worker, or kept by a free descriptor. */
static void they_add_up(void)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	uint32_t limit = usched_table_limit(&scheduler->fibers);

	for (uint32_t i = 0; i < scheduler->pool_count; i++) {
		struct usched_pool *pool = &scheduler->pools[i];

		for (unsigned int class = 0; class < USCHED_STACK_CLASSES; class++) {
			struct usched_stacks_usage usage;
			uint32_t held = 0, kept = 0;

			usched_stacks_usage(&pool->stacks, class, &usage);
			for (uint32_t j = 0; j < pool->worker_count; j++)
				held += pool->workers[j]->stack_credits[class];
			for (uint32_t index = 1; index < limit; index++) {
				struct usched_fiber *fiber = usched_table_record(&scheduler->fibers,
										 index);

				kept += fiber->has_stack && fiber->pool == pool &&
					fiber->stack_class == class;
			}
			printf("info: class %u: %u reserved, %u held, %u kept\n", class,
			       usage.reserved, held, kept);
			CU_ASSERT_EQUAL(usage.reserved, held + kept);
			CU_ASSERT(kept <= USCHED_WORKER_CACHE * pool->worker_count);
			CU_ASSERT(class != USCHED_STACK_LARGE || kept == 0);
		}
	}
}

static void reservations_add_up(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	uint64_t all = PARENTS * (1 + ROUNDS * (3 + BATCH)) + 2 * THREAD_ROUNDS;
	usched_fiber_t parents[PARENTS];
	pthread_t thread;

#if USCHED_TSAN
	USCHED_SKIP("tsan: it looks at words that are the workers' own");
#endif
	options.workers = 2;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, outsider, NULL), 0);
	for (uintptr_t i = 0; i < PARENTS; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &parents[i], parent, (void *)i, NULL), 0);
	for (unsigned int i = 0; i < PARENTS; i++)
		CU_ASSERT_EQUAL(usched_join(parents[i], NULL, USCHED_FOREVER), 0);
	pthread_join(thread, NULL);
	while (ended() < all) {		/* the guard ends it */
		struct timespec pause = { .tv_nsec = 1000000 };

		nanosleep(&pause, NULL);
	}
	CU_ASSERT_EQUAL(atomic_load(&failures), 0);
	CU_ASSERT_EQUAL(ended(), all);
	they_add_up();
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, USCHED_FOREVER), 0);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "reservations_add_up", reservations_add_up },
	};

	return usched_test_main("birth", tests, sizeof(tests) / sizeof(tests[0]));
}
