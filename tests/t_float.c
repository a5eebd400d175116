/* SPDX-License-Identifier: MIT */
/*
 * Fibers with a floating-point environment of their own (USCHED_FIBER_FENV): each keeps it, and no
 * other fiber sees it, by whatever way either of them goes.
 *
 *	in every mode	ticks, yields, sleeps, channels and children, all at once
 *	by hops		from worker to worker at each wake
 *	by each way	one worker and no tick, so that it is known who comes after whom
 */
#include <fenv.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <usched/usched.h>

#include "environments.h"
#include "harness.h"
#include "runtime/runtime.h"

/* ---- in every mode ---- */

enum { DECLARED = 4, PLAIN = 3, ENOUGH_TICKS = 100 };

static _Atomic bool enough;
static struct usched_channel *channel;

USCHED_MIGRATABLE static void compute(void)
{
	for (unsigned int i = 0; i < 2000000 && !atomic_load_explicit(&enough, memory_order_relaxed); i++)
		__asm__ volatile("");
}

static void *plain_child(void *argument)
{
	check_plain();
	return argument;
}

/* Its mess is for nobody. */
static void *declared_child(void *argument)
{
	check_fresh();
	make_own(9);
	return argument;
}

static void *declared_works(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;
	enum usched_preempt mode = usched_fiber_mode(usched_current(usched_carrier_self_get()));
	uint64_t own, value = number;

	check_fresh();
	own = make_own(number + 1);
	while (!atomic_load(&enough)) {
		usched_fiber_t child[2];

		compute();
		check_own(own);
		usched_yield();
		check_own(own);
		usched_sleep_until(usched_after(20000 * number));
		check_own(own);
		usched_channel_send(channel, &value, SOON);
		check_own(own);
		usched_channel_receive(channel, &value, SOON);
		check_own(own);
		child[0] = spawn(USCHED_FIBER_FENV, mode, declared_child, NULL);
		child[1] = spawn(0, mode, plain_child, NULL);
		join(child[0]);
		check_own(own);
		join(child[1]);
		check_own(own);
	}
	return NULL;
}

static void *plain_works(void *argument)
{
	check_plain();
	while (!atomic_load(&enough)) {
		compute();
		check_plain();
		usched_yield();
		check_plain();
		usched_sleep_until(usched_after(30000));
		check_plain();
	}
	return argument;
}

static uint64_t decided(enum usched_preempt mode, enum usched_decision decision)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		sum += atomic_load_explicit(&runtime->scheduler.workers[i].counters.decisions[mode][decision],
					    memory_order_relaxed);
	return sum;
}

/* Ticks that stopped a fiber of this mode, as is usual for it here. */
static uint64_t stopped(enum usched_preempt mode)
{
	if (mode == USCHED_PREEMPT_NEVER)
		return decided(mode, USCHED_DECISION_NEVER);
	if (mode == USCHED_PREEMPT_YIELD && !USCHED_SIGNALS_ARE_DELAYED)
		return decided(mode, USCHED_DECISION_YIELDED);
	return decided(mode, USCHED_DECISION_DIRECT) + decided(mode, USCHED_DECISION_SPARE);
}

static void *watches(void *argument)
{
	enum usched_preempt mode = *(enum usched_preempt *)argument;
	uint64_t end_ns = usched_after(UINT64_C(30000000000));

	while (stopped(mode) < ENOUGH_TICKS && usched_now() < end_ns)
		usched_sleep_until(usched_after(100000));
	atomic_store(&enough, true);
	return NULL;
}

static void keep_in_mode(enum usched_preempt mode)
{
	usched_fiber_t ids[DECLARED + PLAIN];

	start(2, 200000);
	atomic_store(&enough, false);
	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	CU_ASSERT_EQUAL_FATAL(usched_channel_create(&channel, sizeof(uint64_t), DECLARED), 0);
	for (unsigned int i = 0; i < DECLARED + PLAIN; i++)
		ids[i] = i < DECLARED ? spawn(USCHED_FIBER_FENV, mode, declared_works, (void *)(uintptr_t)i) :
			 spawn(0, mode, plain_works, NULL);
	join(spawn_plain(watches, &mode));
	for (unsigned int i = 0; i < DECLARED + PLAIN; i++)
		join(ids[i]);
	CU_ASSERT(stopped(mode) >= ENOUGH_TICKS);
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	stop();
}

static void an_environment_is_kept_in_mode_handoff(void)
{
	keep_in_mode(USCHED_PREEMPT_HANDOFF);
}

static void an_environment_is_kept_in_mode_never(void)
{
	keep_in_mode(USCHED_PREEMPT_NEVER);
}

static void an_environment_is_kept_in_mode_yield(void)
{
	keep_in_mode(USCHED_PREEMPT_YIELD);
}

/* ---- from worker to worker ---- */

/*
 * Two feeders turn on a worker each, and by turns wake the hoppers and wait for each. Who is woken
 * runs where its waker does; the other worker is busy with its feeder, and steals nobody.
 */
enum { FEEDERS = 2, HOPPERS = 3, ROUNDS = 200 };

struct hopper {
	struct usched_channel *go, *gone;
	unsigned int moves;
};

static struct hopper hoppers[HOPPERS];
static _Atomic unsigned int round_now, feeders_there;

/* Where the caller was just now. Not inlined: it reads the carrier anew. */
__attribute__((noinline)) static struct usched_worker *worker_now(void)
{
	return atomic_load_explicit(&usched_carrier_self_get()->worker, memory_order_relaxed);
}

static bool spin_until(_Atomic unsigned int *word, unsigned int value)
{
	uint64_t end_ns = SOON;

	while (atomic_load(word) < value && usched_now() < end_ns)
		;
	return atomic_load(word) >= value;
}

static void *feeds(void *argument)
{
	unsigned int which = (unsigned int)(uintptr_t)argument;
	char byte = 0;

	atomic_fetch_add(&feeders_there, 1);
	if (!spin_until(&feeders_there, FEEDERS))
		return NULL;
	for (unsigned int i = which; i < ROUNDS; i += FEEDERS) {
		if (!spin_until(&round_now, i))
			return NULL;
		for (unsigned int j = 0; j < HOPPERS; j++) {
			usched_channel_send(hoppers[j].go, &byte, SOON);
			usched_channel_receive(hoppers[j].gone, &byte, SOON);
		}
		atomic_fetch_add(&round_now, 1);
	}
	return NULL;
}

static void *hops(void *argument)
{
	struct hopper *hopper = argument;
	bool declared = usched_current(usched_carrier_self_get())->has_float_environment;
	uint64_t own = declared ? make_own((unsigned int)(hopper - hoppers) + 1) : 0;
	struct usched_worker *before = NULL;
	char byte;

	while (usched_channel_receive(hopper->go, &byte, SOON) == 0) {
		if (worker_now() != before)
			hopper->moves++;
		before = worker_now();
		if (declared)
			check_own(own);
		else
			check_plain();
		usched_channel_send(hopper->gone, &byte, SOON);
	}
	return NULL;
}

static void an_environment_moves_with_its_fiber(void)
{
	usched_fiber_t ids[HOPPERS], feeders[FEEDERS];

	start(FEEDERS, USCHED_QUANTUM_OFF);
	if (runtime->scheduler.worker_count < FEEDERS) {
		stop();
		USCHED_SKIP("few-cpus: needs two workers");
	}
	atomic_store(&round_now, 0);
	atomic_store(&feeders_there, 0);
	for (unsigned int i = 0; i < HOPPERS; i++) {
		hoppers[i].moves = 0;
		CU_ASSERT_EQUAL_FATAL(usched_channel_create(&hoppers[i].go, 1, 0), 0);
		CU_ASSERT_EQUAL_FATAL(usched_channel_create(&hoppers[i].gone, 1, 0), 0);
		ids[i] = i < HOPPERS - 1 ? spawn_declared(hops, &hoppers[i]) :
			 spawn_plain(hops, &hoppers[i]);
	}
	for (unsigned int i = 0; i < FEEDERS; i++)
		feeders[i] = spawn(0, USCHED_PREEMPT_NEVER, feeds, (void *)(uintptr_t)i);
	for (unsigned int i = 0; i < FEEDERS; i++)
		join(feeders[i]);
	CU_ASSERT_EQUAL(atomic_load(&round_now), ROUNDS);
	for (unsigned int i = 0; i < HOPPERS; i++) {
		usched_channel_close(hoppers[i].go);
		join(ids[i]);
		/* Nearly each round; a feeder whose thread stood still may have lost its worker. */
		CU_ASSERT(hoppers[i].moves > ROUNDS / 4);
		CU_ASSERT_EQUAL(usched_channel_free(hoppers[i].go), 0);
		CU_ASSERT_EQUAL(usched_channel_free(hoppers[i].gone), 0);
	}
	stop();
}

/* ---- by each way that a fiber leaves: one worker, no ticks ---- */

enum { REPEATS = 20 };

static _Atomic unsigned int turn;		/* counts who comes */

/* Out of order is a loss as well: the case would prove nothing. */
static void comes_as(unsigned int place)
{
	if (atomic_fetch_add(&turn, 1) != place)
		atomic_fetch_add(&losses, 1);
}

static void *ends_first(void *argument)
{
	comes_as(0);
	check_fresh();
	make_own(1);
	return argument;
}

static void *begins_second(void *argument)
{
	comes_as(1);
	check_plain();
	return argument;
}

static void *begins_second_declared(void *argument)
{
	comes_as(1);
	check_fresh();
	return argument;
}

/* Who ends gives its stack to the next new fiber. */
static void *ends_before_new_ones(void *argument)
{
	for (unsigned int i = 0; i < REPEATS; i++) {
		usched_fiber_t first, second;

		atomic_store(&turn, 0);
		first = spawn_declared(ends_first, NULL);
		second = i % 2 ? spawn_declared(begins_second_declared, NULL) :
			 spawn_plain(begins_second, NULL);
		join(second);
		check_plain();
		join(first);
	}
	return argument;
}

static void nobody_inherits_from_one_that_has_ended(void)
{
	start(1, USCHED_QUANTUM_OFF);
	join(spawn_plain(ends_before_new_ones, NULL));
	stop();
}

/* Who joins it goes on at once. */
static void *joins_each(void *argument)
{
	for (unsigned int i = 0; i < REPEATS; i++) {
		atomic_store(&turn, 0);
		join(spawn_declared(ends_first, NULL));
		comes_as(1);
		check_plain();
	}
	return argument;
}

static void *joins_each_declared(void *argument)
{
	uint64_t own = make_own(6);

	for (unsigned int i = 0; i < REPEATS; i++) {
		atomic_store(&turn, 0);
		join(spawn_declared(ends_first, NULL));
		comes_as(1);
		check_own(own);
	}
	return argument;
}

static void who_joins_keeps_its_own(void)
{
	start(1, USCHED_QUANTUM_OFF);
	join(spawn_plain(joins_each, NULL));
	join(spawn_declared(joins_each_declared, NULL));
	stop();
}

/* Plain fibers may compute, and leave flags behind in their thread. */
static void *raises_and_joins(void *argument)
{
	for (unsigned int i = 0; i < REPEATS; i++) {
		feraiseexcept(FE_INVALID);
		atomic_store(&turn, 0);
		join(spawn_declared(ends_first, NULL));
	}
	return argument;
}

static void a_new_one_has_no_flag_raised(void)
{
	start(1, USCHED_QUANTUM_OFF);
	join(spawn_plain(raises_and_joins, NULL));
	stop();
}

/* Whom it yields to begins, or goes on. */
static void *yields_between(void *argument)
{
	uint64_t own;

	comes_as(0);
	own = make_own(2);
	usched_yield();
	comes_as(2);
	check_own(own);
	usched_yield();
	comes_as(4);
	check_own(own);
	return argument;
}

static void *yields_beside(void *argument)
{
	comes_as(1);
	check_plain();
	usched_yield();
	comes_as(3);
	check_plain();
	return argument;
}

static void *yields_beside_declared(void *argument)
{
	uint64_t own;

	comes_as(1);
	check_fresh();
	own = make_own(5);
	usched_yield();
	comes_as(3);
	check_own(own);
	return argument;
}

static void *spawns_who_yield(void *argument)
{
	for (unsigned int i = 0; i < REPEATS; i++) {
		usched_fiber_t first, second;

		atomic_store(&turn, 0);
		first = spawn_declared(yields_between, NULL);
		second = i % 2 ? spawn_declared(yields_beside_declared, NULL) :
			 spawn_plain(yields_beside, NULL);
		join(first);
		join(second);
		check_plain();
	}
	return argument;
}

static void a_yield_keeps_both_apart(void)
{
	start(1, USCHED_QUANTUM_OFF);
	join(spawn_plain(spawns_who_yield, NULL));
	stop();
}

/* The worker has nobody else: its loop runs on the carrier's own stack, until a thread spawns. */
static void *sleeps_alone(void *argument)
{
	_Atomic bool *may_go_on = argument;
	uint64_t own;

	comes_as(0);
	own = make_own(3);
	while (!atomic_load(may_go_on)) {
		usched_sleep_until(usched_after(100000));
		check_own(own);
	}
	return NULL;
}

static void the_loop_begins_others_without_it(void)
{
	static _Atomic bool may_go_on;

	start(1, USCHED_QUANTUM_OFF);
	for (unsigned int i = 0; i < REPEATS; i++) {
		usched_fiber_t first;

		atomic_store(&turn, 0);
		atomic_store(&may_go_on, false);
		first = spawn_declared(sleeps_alone, &may_go_on);
		while (atomic_load(&turn) == 0)
			usched_sleep_until(usched_after(100000));
		join(spawn_plain(begins_second, NULL));
		atomic_store(&may_go_on, true);
		join(first);
		/* It has ended, and the loop goes on after it. */
		atomic_store(&turn, 1);
		join(spawn_plain(begins_second, NULL));
	}
	stop();
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "an_environment_is_kept_in_mode_handoff", an_environment_is_kept_in_mode_handoff },
		{ "an_environment_is_kept_in_mode_never", an_environment_is_kept_in_mode_never },
		{ "an_environment_is_kept_in_mode_yield", an_environment_is_kept_in_mode_yield },
		{ "an_environment_moves_with_its_fiber", an_environment_moves_with_its_fiber },
		{ "nobody_inherits_from_one_that_has_ended", nobody_inherits_from_one_that_has_ended },
		{ "who_joins_keeps_its_own", who_joins_keeps_its_own },
		{ "a_new_one_has_no_flag_raised", a_new_one_has_no_flag_raised },
		{ "a_yield_keeps_both_apart", a_yield_keeps_both_apart },
		{ "the_loop_begins_others_without_it", the_loop_begins_others_without_it },
	};

	return usched_test_main("float", tests, sizeof(tests) / sizeof(tests[0]));
}
