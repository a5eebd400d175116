/* SPDX-License-Identifier: MIT */
/*
 * Interleavings of the protocol between a carrier and the monitor, forced through the named points
 * of worker/step.h: one side is held at a point until the other has got where it must not matter.
 *
 *	fiber "blocker" on the only worker	monitor
 *	read(2) of an empty pipe
 *						revoke = REQUESTED
 *						"requested"	<- the tests begin here
 *	enter: in_runtime = 1, "enter"		membarrier, look at in_runtime
 *	revoke REQUESTED: "regain"		revoke = TAKEN, "taken"
 *
 * A second fiber waits for the worker all the time: it is why the monitor asks. Ticks are off. A
 * hold has a deadline; one that expires is counted, and fails the case.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <usched/usched.h>

#include "base/clock.h"
#include "harness.h"
#include "runtime/runtime.h"
#include "worker/carrier.h"

#if USCHED_DEBUG

#define SOON usched_after(UINT64_C(30000000000))

enum { HOLD_MS = 10000, TURNS = 20 };

/* Also from the tick's handler: only atomics and system calls. */
static void pause_shortly(void)
{
	const struct timespec pause = { .tv_nsec = 50000 };

	nanosleep(&pause, NULL);
}

static _Atomic uint32_t holds_expired;

#define HOLD_UNTIL(condition)						\
	do {								\
		uint64_t hold_end_ns = usched_clock_now_ns() + HOLD_MS * UINT64_C(1000000); \
		while (!(condition)) {					\
			if (usched_clock_now_ns() > hold_end_ns) {	\
				atomic_fetch_add(&holds_expired, 1);	\
				break;					\
			}						\
			pause_shortly();				\
		}							\
	} while (0)

static struct usched_runtime *runtime;
static int pipe_ends[2];
static _Atomic(struct usched_carrier *) asked;	/* whom the monitor asks in this turn */
static _Atomic bool entered, user_code, go_on, other_ran;
static _Atomic uint32_t taken_count, regained, given, waits_held;
static _Atomic uint32_t revoke_seen;

static void begin_turn(void)
{
	atomic_store(&asked, NULL);
	atomic_store(&entered, false);
	atomic_store(&user_code, false);
	atomic_store(&go_on, false);
	atomic_store(&other_ran, false);
	atomic_store(&taken_count, 0);
	atomic_store(&regained, 0);
	atomic_store(&given, 0);
	atomic_store(&waits_held, 0);
	atomic_store(&revoke_seen, USCHED_REVOKE_NONE);
}

static bool is(const char *point, const char *name)
{
	return !strcmp(point, name);
}

/* The first carrier that is asked in this turn, and from then on only that one. */
static bool is_asked_first(struct usched_carrier *carrier)
{
	struct usched_carrier *none = NULL;

	return atomic_compare_exchange_strong(&asked, &none, carrier);
}

static void let_read_return(void)
{
	(void)!write(pipe_ends[1], "x", 1);
}

static uint32_t revoke_of(struct usched_carrier *carrier)
{
	return atomic_load(&carrier->revoke);
}

/* Blocks in the kernel, without the library knowing; then calls in. */
static void *blocks_then_enters(void *argument)
{
	char byte = 0;

	if (read(pipe_ends[0], &byte, 1) != 1)
		return argument;
	if (usched_self() == 0)		/* enters and leaves, and never switches by itself */
		return argument;
	atomic_store(&user_code, true);
	while (!atomic_load(&go_on))
		;
	return NULL;
}

static void *runs_beside(void *argument)
{
	atomic_store(&other_ran, true);
	return argument;
}

/* Keeps the worker until somebody says so; asleep, it would lose it to the monitor. */
static void *stays_beside(void *argument)
{
	while (!atomic_load(&go_on))
		;
	return runs_beside(argument);
}

static void *(*other)(void *) = runs_beside;
static usched_fiber_t both[2];

static void *spawns_both(void *argument)
{
	if (usched_spawn(NULL, &both[0], blocks_then_enters, argument, NULL) ||
	    usched_spawn(NULL, &both[1], other, NULL, NULL))
		return argument;
	return NULL;
}

/* One turn: the blocker is asked for its worker by the monitor, under @hook. */
static void turn(void (*hook)(const char *, void *))
{
	usched_fiber_t id;
	void *result;

	usched_step_hook = hook;
	result = &both;
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, spawns_both, &both, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_PTR_NULL_FATAL(result);
	for (unsigned int i = 0; i < 2; i++) {
		result = &both;
		CU_ASSERT_EQUAL_FATAL(usched_join(both[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	CU_ASSERT(atomic_load(&other_ran));
	CU_ASSERT_EQUAL(atomic_load(&holds_expired), 0);
}

static void nothing_held(const char *point, void *carrier)
{
	(void)point;
	(void)carrier;
}

static enum usched_tick tick;

static void run_turns(void (*hook)(const char *, void *), const char *membarrier,
		      void *(*beside)(void *), void (*check)(void))
{
	pthread_t thread;

	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	options.workers = 1;
	options.tick = tick;
	options.quantum_ns = USCHED_QUANTUM_OFF;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	atomic_store(&holds_expired, 0);
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	/* Set before the first carrier, and never NULL again: a hook may be about to be called. */
	usched_step_hook = nothing_held;
	setenv("USCHED_MEMBARRIER", membarrier, 1);
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	unsetenv("USCHED_MEMBARRIER");
	for (unsigned int i = 0; i < TURNS; i++) {
		begin_turn();
		if (beside)
			CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, beside, NULL), 0);
		turn(hook);
		if (beside)
			pthread_join(thread, NULL);
		check();
	}
	usched_step_hook = nothing_held;
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/*
 * 1. The carrier's store comes between the request and the look: the monitor must give up, and the
 *    carrier, held before it looks at revoke, must find that it was not taken.
 */
static void store_before_look(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (is(point, "requested") && is_asked_first(carrier)) {
		let_read_return();
		HOLD_UNTIL(atomic_load(&entered));
	} else if (carrier != atomic_load(&asked)) {
		return;
	} else if (is(point, "enter") && !atomic_load(&entered)) {
		atomic_store(&entered, true);
		HOLD_UNTIL(revoke_of(carrier) != USCHED_REVOKE_REQUESTED);
		atomic_store(&revoke_seen, revoke_of(carrier));
		atomic_store(&go_on, true);
	} else if (is(point, "taken")) {
		atomic_fetch_add(&taken_count, 1);
	}
}

static void check_not_taken(void)
{
	CU_ASSERT(atomic_load(&entered));
	CU_ASSERT_EQUAL(atomic_load(&revoke_seen), USCHED_REVOKE_NONE);
	CU_ASSERT_EQUAL(atomic_load(&taken_count), 0);
}

static void an_entry_before_the_look_keeps_the_worker(void)
{
	run_turns(store_before_look, "auto", NULL, check_not_taken);
	run_turns(store_before_look, "off", NULL, check_not_taken);
}

/*
 * 2. After the request the system call returns, the carrier enters, refuses, leaves, and is in user
 *    code again when the monitor looks: the monitor sees what it wants to see, and must still fail.
 */
static void refused_and_left(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (is(point, "requested")) {
		if (!is_asked_first(carrier)) {
			/* The next request: the first attempt is over. */
			atomic_store(&go_on, true);
			return;
		}
		let_read_return();
		HOLD_UNTIL(atomic_load(&user_code));
		atomic_store(&revoke_seen, revoke_of(carrier));
		atomic_store(&entered, atomic_load(&carrier->in_runtime) == 0);
	} else if (is(point, "taken")) {
		atomic_fetch_add(&taken_count, 1);
	} else if (is(point, "regain") && carrier == atomic_load(&asked)) {
		atomic_fetch_add(&regained, 1);
	}
}

static void *ends_the_turn(void *argument)
{
	/* The spare that the attempt had taken comes back when it is over. */
	HOLD_UNTIL(atomic_load(&user_code) &&
		   atomic_load(&runtime->scheduler.spare_count) >= 2);
	atomic_store(&go_on, true);
	return argument;
}

static void check_refused(void)
{
	CU_ASSERT(atomic_load(&entered));
	CU_ASSERT_EQUAL(atomic_load(&revoke_seen), USCHED_REVOKE_NONE);
	CU_ASSERT_EQUAL(atomic_load(&regained), 1);
	CU_ASSERT_EQUAL(atomic_load(&taken_count), 0);
}

static void a_request_that_was_refused_takes_nothing(void)
{
	run_turns(refused_and_left, "auto", ends_the_turn, check_refused);
	run_turns(refused_and_left, "off", ends_the_turn, check_refused);
}

/*
 * 3. Taken, and only then does the system call return: the entry finds TAKEN, the fiber is queued
 *    with its carrier, and
 * 5. somebody takes it from the queue and orders the carrier before that has gone to sleep.
 */
static void taken_then_ordered_early(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (is(point, "requested"))
		is_asked_first(carrier);
	if (carrier != atomic_load(&asked))
		return;
	if (is(point, "taken")) {
		if (atomic_fetch_add(&taken_count, 1) == 0)
			let_read_return();
	} else if (is(point, "regain")) {
		atomic_store(&revoke_seen, revoke_of(carrier));
		atomic_fetch_add(&regained, 1);
	} else if (is(point, "give")) {
		atomic_fetch_add(&given, 1);
	} else if (is(point, "wait") && usched_current(carrier) && atomic_load(&regained) &&
		   !atomic_load(&waits_held)) {
		atomic_fetch_add(&waits_held, 1);
		HOLD_UNTIL(atomic_load(&carrier->go));
		atomic_store(&go_on, true);
	}
}

static void check_ordered_early(void)
{
	CU_ASSERT_EQUAL(atomic_load(&revoke_seen), USCHED_REVOKE_TAKEN);
	CU_ASSERT(atomic_load(&taken_count) >= 1);
	CU_ASSERT_EQUAL(atomic_load(&waits_held), 1);
	CU_ASSERT(atomic_load(&given) >= 1);
}

static void a_carrier_is_ordered_before_it_sleeps(void)
{
	run_turns(taken_then_ordered_early, "auto", NULL, check_ordered_early);
	run_turns(taken_then_ordered_early, "off", NULL, check_ordered_early);
}

/*
 * The monitor sets the tick of a carrier that lost its worker to 50 us; the carrier has noticed by
 * itself meanwhile, stopped its timer, and waits. The timer must not run on while it sleeps.
 */
static void hurried_late(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (is(point, "requested"))
		is_asked_first(carrier);
	if (carrier != atomic_load(&asked))
		return;
	if (is(point, "taken") && atomic_fetch_add(&taken_count, 1) == 0) {
		let_read_return();
		HOLD_UNTIL(atomic_load(&waits_held));
	} else if (is(point, "wait") && usched_current(carrier)) {
		atomic_store(&waits_held, 1);
	}
}

static void *sees_the_timer_stop(void *argument)
{
	struct itimerspec left = { .it_value.tv_sec = 1 };

	/* At first it may not be set yet: hurried, it is seen running, or it has stopped again. */
	HOLD_UNTIL(atomic_load(&waits_held) && atomic_load(&atomic_load(&asked)->tick_fast));
	HOLD_UNTIL(timer_gettime(atomic_load(&asked)->tick_timer, &left) == 0 &&
		   left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
	atomic_store(&go_on, true);
	return argument;
}

static void check_hurried(void)
{
	CU_ASSERT(atomic_load(&taken_count) >= 1);
	CU_ASSERT_EQUAL(atomic_load(&waits_held), 1);
}

static void no_timer_runs_while_its_carrier_sleeps(void)
{
	tick = USCHED_TICK_TIMER;
	other = stays_beside;
	run_turns(hurried_late, "auto", sees_the_timer_stop, check_hurried);
	tick = USCHED_TICK_AUTO;
	other = runs_beside;
}

/*
 * 5 and 6 by ticks: two workers if there are, hogs, and every carrier that is about to sleep is held
 * until it is ordered, or for a millisecond. Orders before the sleep become the rule.
 */
static _Atomic uint32_t early_orders;

static void dawdles(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (!is(point, "wait"))
		return;
	for (unsigned int i = 0; i < 20 && !atomic_load(&carrier->go); i++)
		pause_shortly();
	if (atomic_load(&carrier->go))
		atomic_fetch_add(&early_orders, 1);
}

static void *computes(void *argument)
{
	volatile uint64_t sum = 0;

	for (uint64_t i = 0; i < 20000000; i++)
		sum += i;
	return (void *)(uintptr_t)(sum == UINT64_C(199999990000000) ? 0 : (uintptr_t)argument);
}

static void hogs_move_between_dawdling_carriers(void)
{
	for (unsigned int workers = 1; workers <= 2; workers++) {
		struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
		usched_fiber_t ids[6];

		options.workers = workers;
		options.quantum_ns = USCHED_QUANTUM_MIN_NS;
		options.flags = USCHED_RUNTIME_EMBEDDED;
		atomic_store(&early_orders, 0);
		usched_step_hook = nothing_held;
		CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
		usched_step_hook = dawdles;
		for (unsigned int i = 0; i < 6; i++)
			CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], computes, &options, NULL), 0);
		for (unsigned int i = 0; i < 6; i++) {
			void *result = &options;

			CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
			CU_ASSERT_PTR_NULL(result);
		}
		usched_step_hook = nothing_held;
		CU_ASSERT(atomic_load(&early_orders) > 0);
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	}
}

/*
 * A plain thread spawns for one CPU, and stops between its look at the worker's mode and its push.
 * Meanwhile that CPU is revoked: the worker has emptied its mailbox, nobody will look there, and the
 * only other worker sleeps.
 */
static struct usched_worker *kept, *revoked;
static _Atomic bool revoke_wanted, grant_wanted;

static struct usched_worker *granted_worker(uint32_t skip)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;

	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		uint32_t cpu = scheduler->workers[i].cpu;

		if ((runtime->granted[cpu / 64] >> (cpu % 64) & 1) && skip-- == 0)
			return &scheduler->workers[i];
	}
	return NULL;
}

/* By the monitor's thread, as the control plane does. */
static void regrant(bool back)
{
	uint64_t cpus[USCHED_CPU_WORDS];

	memcpy(cpus, runtime->granted, sizeof(cpus));
	if (back)
		cpus[revoked->cpu / 64] |= UINT64_C(1) << (revoked->cpu % 64);
	else
		cpus[revoked->cpu / 64] &= ~(UINT64_C(1) << (revoked->cpu % 64));
	usched_host.apply(runtime, cpus, runtime->grant_generation + 1,
			  runtime->tunables, runtime->tunables_acked);
}

static bool sleeps(struct usched_worker *worker)
{
	return atomic_load(&worker->mode) == USCHED_WORKER_MODE_IDLE;
}

static void revoked_before_push(const char *point, void *carrier)
{
	(void)carrier;
	if (is(point, "pass") && atomic_exchange(&revoke_wanted, false)) {
		regrant(false);
	} else if (is(point, "pass") && atomic_exchange(&grant_wanted, false)) {
		regrant(true);
	} else if (is(point, "mailbox")) {
		atomic_store(&revoke_wanted, true);
		usched_monitor_wake(&runtime->scheduler);
		HOLD_UNTIL(atomic_load(&revoked->mode) == USCHED_WORKER_MODE_DORMANT);
		HOLD_UNTIL(sleeps(kept));
	}
}

static void a_fiber_for_a_revoked_cpu_runs_elsewhere(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_fiber_options fiber = USCHED_FIBER_OPTIONS_INIT;
	usched_fiber_t id;
	void *result;

	options.quantum_ns = USCHED_QUANTUM_OFF;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	options.workers = 2;
	atomic_store(&holds_expired, 0);
	usched_step_hook = nothing_held;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	kept = granted_worker(0);
	revoked = granted_worker(1);
	if (!revoked) {
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
		USCHED_SKIP("few-cpus: needs two CPUs");
	}
	fiber.cpu = (int)revoked->cpu;
	for (unsigned int i = 0; i < TURNS; i++) {
		atomic_store(&other_ran, false);
		HOLD_UNTIL(sleeps(kept) && sleeps(revoked));
		usched_step_hook = revoked_before_push;
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, runs_beside, NULL, &fiber), 0);
		result = &fiber;
		CU_ASSERT_EQUAL_FATAL(usched_join(id, &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
		CU_ASSERT(atomic_load(&other_ran));
		atomic_store(&grant_wanted, true);
		usched_monitor_wake(&runtime->scheduler);
		HOLD_UNTIL(!atomic_load(&grant_wanted));
	}
	usched_step_hook = nothing_held;
	CU_ASSERT_EQUAL(atomic_load(&holds_expired), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

/*
 * The only CPU of a runtime moves to another one, and back, while both carriers that it may have are
 * with a fiber that was stopped in mid-run: no spare is left to begin there, and nobody else would
 * ever release one.
 */
static _Atomic bool move_wanted;
static _Atomic uint64_t hog_turns[2];

static void moves_the_only_cpu(const char *point, void *carrier)
{
	uint64_t cpus[USCHED_CPU_WORDS] = { 0 };
	struct usched_worker *to = kept;

	(void)carrier;
	if (!is(point, "pass") || !atomic_exchange(&move_wanted, false))
		return;
	cpus[to->cpu / 64] = UINT64_C(1) << (to->cpu % 64);
	usched_host.apply(runtime, cpus, runtime->grant_generation + 1, runtime->tunables,
			  runtime->tunables_acked);
}

static void *counts_turns(void *argument)
{
	_Atomic uint64_t *turns = argument;

	while (!atomic_load(&go_on))
		atomic_fetch_add(turns, 1);
	return NULL;
}

static void the_only_cpu_moves_while_no_carrier_is_left(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	usched_fiber_t ids[2];

	options.quantum_ns = USCHED_QUANTUM_MIN_NS;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	options.workers = 2;
	options.carriers_max = 2;
	atomic_store(&holds_expired, 0);
	atomic_store(&go_on, false);
	usched_step_hook = nothing_held;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	kept = granted_worker(0);
	revoked = granted_worker(1);
	if (!revoked) {
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
		USCHED_SKIP("few-cpus: needs two CPUs");
	}
	for (unsigned int i = 0; i < 2; i++) {
		atomic_store(&hog_turns[i], 0);
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &ids[i], counts_turns, &hog_turns[i], NULL),
				      0);
	}
	for (unsigned int i = 0; i < 2; i++)
		HOLD_UNTIL(atomic_load(&hog_turns[i]) > 0);
	usched_step_hook = moves_the_only_cpu;
	for (unsigned int turn = 0; turn < TURNS && !atomic_load(&holds_expired); turn++) {
		struct usched_worker *from = revoked;
		uint64_t seen[2];

		atomic_store(&move_wanted, true);
		usched_monitor_wake(&runtime->scheduler);
		HOLD_UNTIL(atomic_load(&from->mode) == USCHED_WORKER_MODE_DORMANT);
		for (unsigned int i = 0; i < 2; i++)
			seen[i] = atomic_load(&hog_turns[i]);
		for (unsigned int i = 0; i < 2; i++)
			HOLD_UNTIL(atomic_load(&hog_turns[i]) > seen[i]);
		revoked = kept;
		kept = from;
	}
	CU_ASSERT_EQUAL(atomic_load(&holds_expired), 0);
	usched_step_hook = nothing_held;
	atomic_store(&go_on, true);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(usched_join(ids[i], NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

#else

static void needs_steps(void)
{
	USCHED_SKIP("no-steps: configure with --enable-debug");
}

#define an_entry_before_the_look_keeps_the_worker needs_steps
#define a_request_that_was_refused_takes_nothing needs_steps
#define a_carrier_is_ordered_before_it_sleeps needs_steps
#define hogs_move_between_dawdling_carriers needs_steps
#define no_timer_runs_while_its_carrier_sleeps needs_steps
#define a_fiber_for_a_revoked_cpu_runs_elsewhere needs_steps
#define the_only_cpu_moves_while_no_carrier_is_left needs_steps

#endif

int main(void)
{
	static const struct usched_test tests[] = {
		{ "an_entry_before_the_look_keeps_the_worker",
		  an_entry_before_the_look_keeps_the_worker },
		{ "a_request_that_was_refused_takes_nothing",
		  a_request_that_was_refused_takes_nothing },
		{ "a_carrier_is_ordered_before_it_sleeps", a_carrier_is_ordered_before_it_sleeps },
		{ "no_timer_runs_while_its_carrier_sleeps", no_timer_runs_while_its_carrier_sleeps },
		{ "hogs_move_between_dawdling_carriers", hogs_move_between_dawdling_carriers },
		{ "a_fiber_for_a_revoked_cpu_runs_elsewhere",
		  a_fiber_for_a_revoked_cpu_runs_elsewhere },
		{ "the_only_cpu_moves_while_no_carrier_is_left",
		  the_only_cpu_moves_while_no_carrier_is_left },
	};

	return usched_test_main("protocol", tests, sizeof(tests) / sizeof(tests[0]));
}
