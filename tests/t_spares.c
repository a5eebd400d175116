/* SPDX-License-Identifier: MIT */
/*
 * Spare carriers after a burst that needed many: they end, few are kept, and the next burst gets new
 * ones in the same places. Whatever else happens meanwhile, nobody uses what belonged to one that has
 * ended, and a monitor that has nothing left to end sleeps without a time to wake.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <usched/usched.h>

#include "comes_true.h"
#include "harness.h"
#include "own_process.h"
#include "runtime/control_private.h"
#include "runtime/runtime.h"
#include "worker/carrier.h"
#include "worker/step.h"

#define SOON usched_after(UINT64_C(60000000000))

enum {
#if defined(USCHED_SANITIZE_ADDRESS) || defined(USCHED_SANITIZE_THREAD)
	MANY = 60,
#else
	MANY = 200,
#endif
	SOME = 40,
	BURSTS = 20,
	HASTY_BURSTS = 40,
	WORKERS = 2,
	TRIES = 3,
	SHORT_NS = 1000000,
};

/* False: not within half a minute. */
#define COMES_TRUE(condition) COMES_TRUE_WITHIN(UINT64_C(30000000000), condition)

static struct usched_runtime *runtime;
static _Atomic unsigned int begun;
static int pipe_ends[2];

static void *reads(void *argument)
{
	char byte;

	atomic_fetch_add(&begun, 1);
	while (read(pipe_ends[0], &byte, 1) != 1) {
		if (errno != EINTR)
			return argument;
	}
	return NULL;
}

static void *does_nothing(void *argument)
{
	return argument;
}

/* By their name: a sanitizer has threads of its own. */
static unsigned int carriers_listed(void)
{
	return threads_alive("us/c");
}

static void start(enum usched_tick tick, uint64_t look_ns)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	options.workers = WORKERS;
	options.tick = tick;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	atomic_store(&runtime->spares.look_ns, look_ns);
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
}

static void stop(void)
{
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

/* So many fibers are inside read(2) at once, or about to be: each has a carrier for itself. */
static void burst(unsigned int count)
{
	usched_fiber_t readers[MANY];

	atomic_store(&begun, 0);
	for (unsigned int i = 0; i < count; i++)
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &readers[i], reads, &begun, NULL), 0);
	CU_ASSERT(COMES_TRUE(atomic_load(&begun) == count));
	for (unsigned int i = 0; i < count; i++)
		CU_ASSERT_EQUAL(write(pipe_ends[1], "x", 1), 1);
	for (unsigned int i = 0; i < count; i++) {
		void *result = &begun;

		CU_ASSERT_EQUAL(usched_join(readers[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
}

static uint32_t alive(void)
{
	return usched_carriers_alive(&runtime->scheduler);
}

static uint64_t ended(void)
{
	return atomic_load(&runtime->scheduler.carriers_ended);
}

/* What is kept, and the owners of the workers. */
static uint32_t bound(void)
{
	return usched_spares_kept(runtime) + runtime->scheduler.worker_count;
}

static bool is_trimmed(void)
{
	return atomic_load(&runtime->scheduler.spare_count) <= usched_spares_kept(runtime) &&
	       alive() <= bound() && carriers_listed() == alive();
}

static uint32_t reported(void)
{
	const struct usched_report *report = usched_segment_report(&runtime->control->pair.report);

	return __atomic_load_n(&report->carriers, __ATOMIC_RELAXED);
}

/* Asleep, and only something that happens will wake it. */
static bool monitor_sleeps_for_good(void)
{
	return atomic_load(&runtime->scheduler.monitor_asleep) &&
	       atomic_load(&runtime->scheduler.watch_ns) == UINT64_MAX;
}

static void few_spares_are_left_of_a_burst(void)
{
	start(USCHED_TICK_AUTO, USCHED_SPARES_LOOK_NS);
	burst(MANY);
	CU_ASSERT(atomic_load(&runtime->scheduler.carriers_made) >= MANY);
	CU_ASSERT(MANY > bound());
	CU_ASSERT(COMES_TRUE(is_trimmed()));
	CU_ASSERT(ended() > 0);
	/* Not one more than what nobody needs. */
	CU_ASSERT(alive() >= usched_spares_kept(runtime));
	/* Observers learn it though nothing runs, and then there is nothing left to do. */
	CU_ASSERT(COMES_TRUE(reported() == alive()));
	CU_ASSERT(COMES_TRUE(monitor_sleeps_for_good()));
	burst(MANY);
	CU_ASSERT(COMES_TRUE(is_trimmed()));
	stop();
}

#if USCHED_DEBUG
/* The monitor goes on when all that it has dismissed have ended: for a second at most. */
static void until_they_have_ended(const char *point, void *carrier)
{
	(void)carrier;
	if (strcmp(point, "trimmed") == 0)
		(void)COMES_TRUE_WITHIN(UINT64_C(1000000000), ended() == runtime->spares.dismissed);
}
#endif

static void carriers_that_end_at_once_are_told_of(void)
{
#if USCHED_DEBUG
	start(USCHED_TICK_AUTO, SHORT_NS);
	usched_step_hook = until_they_have_ended;
	burst(SOME);
	CU_ASSERT(COMES_TRUE(is_trimmed()));
	CU_ASSERT(ended() > 0);
	CU_ASSERT(COMES_TRUE(reported() == alive()));
	stop();
	usched_step_hook = NULL;
#else
	USCHED_SKIP("no-steps: not built with --enable-debug");
#endif
}

static unsigned int perf_events(void)
{
	unsigned int count = 0;

	/* At rest: nobody comes or goes. */
	for (uint32_t i = 0; i < atomic_load(&runtime->scheduler.carrier_places); i++) {
		const struct usched_carrier *carrier = &runtime->scheduler.carriers[i];

		count += atomic_load(&carrier->ready) && carrier->tick_kind == USCHED_TICK_PERF;
	}
	return count;
}

static void bursts_use_the_same_places(void)
{
	static const enum usched_tick ticks[] = { USCHED_TICK_AUTO, USCHED_TICK_TIMER };

	for (unsigned int kind = 0; kind < 2; kind++) {
		unsigned int others;
		uint64_t made;

		start(ticks[kind], SHORT_NS);
		/* Then it has opened all that it wants. */
		CU_ASSERT(COMES_TRUE(monitor_sleeps_for_good()));
		others = descriptors_open() - perf_events();
		for (unsigned int i = 0; i < BURSTS; i++) {
			burst(SOME);
			CU_ASSERT(COMES_TRUE(is_trimmed()));
			CU_ASSERT(COMES_TRUE(descriptors_open() - perf_events() == others));
		}
		made = atomic_load(&runtime->scheduler.carriers_made);
		/* Each burst ended what it had made, and the last of them stands for all. */
		CU_ASSERT(made >= BURSTS * (SOME - bound()));
		CU_ASSERT(atomic_load(&runtime->scheduler.carrier_places) < made / 2);
		CU_ASSERT(atomic_load(&runtime->scheduler.carrier_places) <= 3 * SOME);
		stop();
	}
}

static _Atomic bool over;

/* Wakes workers whose tick rests, by way of their owners, which may have just become spares. */
static void *spawns(void *argument)
{
	while (!atomic_load(&over)) {
		usched_fiber_t fiber;

		if (usched_spawn(runtime, &fiber, does_nothing, NULL, NULL))
			return argument;
		if (usched_join(fiber, NULL, SOON))
			return argument;
	}
	return NULL;
}

static void a_burst_begins_while_spares_end(void)
{
	pthread_t threads[2];

	start(USCHED_TICK_TIMER, 1);
	atomic_store(&over, false);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, spawns, &over), 0);
	for (unsigned int i = 0; i < HASTY_BURSTS; i++)
		burst(SOME);
	atomic_store(&over, true);
	for (unsigned int i = 0; i < 2; i++) {
		void *result = &over;

		CU_ASSERT_EQUAL(pthread_join(threads[i], &result), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	CU_ASSERT(COMES_TRUE(is_trimmed()));
	CU_ASSERT(ended() > 0);
	stop();
}

/* The runtime ends while spares end by themselves. */
static void a_runtime_ends_while_spares_end(void)
{
	for (unsigned int i = 0; i < BURSTS; i++) {
		start(USCHED_TICK_AUTO, 1);
		burst(SOME);
		stop();
		CU_ASSERT_EQUAL(carriers_listed(), 0);
	}
}

static pthread_key_t key;
static _Atomic unsigned int destroyed;

static void destroys(void *value)
{
	(void)value;
	/* A plain thread by now, which may use the library as such. */
	if (usched_self() == 0 && usched_runtime_current() == NULL)
		atomic_fetch_add(&destroyed, 1);
}

static void *sets_and_reads(void *argument)
{
	pthread_setspecific(key, &key);
	return reads(argument);
}

static void destructors_run_at_the_end_of_a_carrier(void)
{
	usched_fiber_t readers[SOME];

	CU_ASSERT_EQUAL_FATAL(pthread_key_create(&key, destroys), 0);
	start(USCHED_TICK_AUTO, SHORT_NS);
	atomic_store(&begun, 0);
	for (unsigned int i = 0; i < SOME; i++)
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &readers[i], sets_and_reads, &begun, NULL),
				      0);
	CU_ASSERT(COMES_TRUE(atomic_load(&begun) == SOME));
	for (unsigned int i = 0; i < SOME; i++)
		CU_ASSERT_EQUAL(write(pipe_ends[1], "x", 1), 1);
	for (unsigned int i = 0; i < SOME; i++)
		CU_ASSERT_EQUAL(usched_join(readers[i], NULL, SOON), 0);
	CU_ASSERT(COMES_TRUE(is_trimmed()));
	CU_ASSERT(atomic_load(&destroyed) >= SOME - bound());
	stop();
	CU_ASSERT_EQUAL(atomic_load(&destroyed), SOME);
	pthread_key_delete(key);
}

#if USCHED_DEBUG
static _Atomic unsigned int tries;

static void count_tries(const char *point, void *carrier)
{
	(void)carrier;
	if (point[0] == 'd' && !strcmp(point, "dismiss"))
		atomic_fetch_add(&tries, 1);
}

static void a_carrier_that_is_held_does_not_end(void)
{
	struct usched_scheduler *scheduler;
	uint32_t places, count = 0, gone = 0, there;
	bool held[3 * SOME];

	usched_step_hook = count_tries;
	start(USCHED_TICK_AUTO, USCHED_SPARES_LOOK_NS * 1000);
	scheduler = &runtime->scheduler;
	burst(SOME);
	CU_ASSERT(COMES_TRUE(atomic_load(&scheduler->spare_count) > usched_spares_kept(runtime)));
	places = atomic_load(&scheduler->carrier_places);
	CU_ASSERT_FATAL(places <= 3 * SOME);
	for (uint32_t i = 0; i < places; i++) {
		held[i] = usched_carrier_hold(&scheduler->carriers[i]);
		count += held[i];
	}
	CU_ASSERT(count >= SOME);
	atomic_store(&tries, 0);
	atomic_store(&runtime->spares.look_ns, SHORT_NS);
	usched_monitor_wake(scheduler);
	CU_ASSERT(COMES_TRUE(atomic_load(&tries) >= TRIES));
	/* Some may have begun only after that, and these may end. */
	CU_ASSERT(ended() <= atomic_load(&scheduler->carrier_places) - count);
	for (uint32_t i = 0; i < places; i++) {
		if (held[i])
			usched_carrier_let_go(&scheduler->carriers[i]);
	}
	CU_ASSERT(COMES_TRUE(is_trimmed()));
	/* Those that have gone cannot be held. */
	there = alive();
	for (uint32_t i = 0; i < places; i++) {
		if (usched_carrier_hold(&scheduler->carriers[i]))
			usched_carrier_let_go(&scheduler->carriers[i]);
		else
			gone++;
	}
	CU_ASSERT(gone > 0);
	CU_ASSERT(gone + there >= places);
	stop();
	usched_step_hook = NULL;
}
#else
static void a_carrier_that_is_held_does_not_end(void)
{
	USCHED_SKIP("no-steps: needs a build with --enable-debug");
}
#endif

int main(void)
{
	static const struct usched_test tests[] = {
		{ "few_spares_are_left_of_a_burst", few_spares_are_left_of_a_burst },
	{ "carriers_that_end_at_once_are_told_of", carriers_that_end_at_once_are_told_of },
		{ "bursts_use_the_same_places", bursts_use_the_same_places },
		{ "a_burst_begins_while_spares_end", a_burst_begins_while_spares_end },
		{ "a_runtime_ends_while_spares_end", a_runtime_ends_while_spares_end },
		{ "destructors_run_at_the_end_of_a_carrier",
		  destructors_run_at_the_end_of_a_carrier },
		{ "a_carrier_that_is_held_does_not_end", a_carrier_that_is_held_does_not_end },
	};

	return usched_test_main("spares", tests, sizeof(tests) / sizeof(tests[0]));
}
