/* SPDX-License-Identifier: MIT */
/*
 * What a runtime does without: a CPU that is revoked while everything is in use, spares, the monitor for
 * a while. See the table in t_protocol.c. Ticks are real here; grants change, and the monitor stands
 * still, at the points of worker/step.h.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <usched/usched.h>

#include "forced.h"
#include "harness.h"
#include "worker/dispatch.h"

#if USCHED_DEBUG

enum { TURNS = 20 };

static struct usched_runtime *runtime;

/* Set before the first carrier, and never NULL again: a hook may be about to be called. */
static void nothing_held(const char *point, void *carrier)
{
	(void)point;
	(void)carrier;
}

static void stop(void)
{
	usched_step_hook = nothing_held;
	CU_ASSERT_EQUAL(atomic_load(&holds_expired), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static void begin_hog(struct hog *hog, const struct usched_fiber_options *options)
{
	CU_ASSERT_EQUAL_FATAL(hog_begin(hog, runtime, options), 0);
}

static void end_hog(struct hog *hog)
{
	CU_ASSERT_EQUAL_FATAL(hog_end(hog), 0);
}

/* ---- a grant that changes; the monitor's thread does it, at its next pass ---- */

static struct usched_worker *kept, *second, *revoked;
static _Atomic bool revoke_wanted, grant_wanted;

static void change_grant(const char *point, void *carrier)
{
	(void)carrier;
	if (is(point, "pass") && atomic_load(&revoke_wanted)) {
		regrant(runtime, revoked, false);
		atomic_store(&revoke_wanted, false);
	} else if (is(point, "pass") && atomic_load(&grant_wanted)) {
		regrant(runtime, revoked, true);
		atomic_store(&grant_wanted, false);
	}
}

static uint32_t mode_of(struct usched_worker *worker)
{
	return atomic_load(&worker->mode);
}

static void revoke_cpu_of(struct usched_worker *worker)
{
	revoked = worker;
	atomic_store(&revoke_wanted, true);
	usched_monitor_wake(&runtime->scheduler);
	HOLD_UNTIL(!atomic_load(&revoke_wanted) && mode_of(worker) == USCHED_WORKER_MODE_DORMANT);
}

static void grant_cpu_of(struct usched_worker *worker)
{
	revoked = worker;
	atomic_store(&grant_wanted, true);
	usched_monitor_wake(&runtime->scheduler);
	HOLD_UNTIL(!atomic_load(&grant_wanted) && mode_of(worker) == USCHED_WORKER_MODE_IDLE);
}

static int pipe_ends[2];
static _Atomic bool other_ran, sleeps_last, reader_ends, sleeper_ends;

static void *reads(void *argument)
{
	char byte = 0;
	size_t got = 0;

	if (usched_read(pipe_ends[0], &byte, 1, &got, USCHED_FOREVER) || got != 1 || byte != 'x')
		return argument;
	atomic_store(&reader_ends, true);
	return NULL;
}

static void *sleeps_often(void *argument)
{
	bool last;

	do {
		last = atomic_load(&sleeps_last);
		if (usched_sleep_until(usched_after(1000000)))
			return argument;
	} while (!last);
	return NULL;
}

static void *runs_elsewhere(void *argument)
{
	atomic_store(&other_ran, true);
	return argument;
}

/* Long enough that all is set up before; if it is not, the case proves less, and nothing goes wrong. */
static void *sleeps_once(void *argument)
{
	if (usched_sleep_until(usched_after(500000000)))
		return argument;
	atomic_store(&sleeper_ends, true);
	return NULL;
}

/* Two CPUs, both granted; a reader and a sleeper have their descriptor and timer at the second one.
   False: there are not two. */
static usched_fiber_t reader, sleeper;

static bool reader_and_sleeper_on_the_second(uint32_t carriers)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	options.workers = 2;
	options.carriers_max = carriers;
	options.quantum_ns = 1000000;
	options.wakeup_ns = USCHED_WAKEUP_OFF;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	atomic_store(&holds_expired, 0);
	atomic_store(&reader_ends, false);
	atomic_store(&sleeper_ends, false);
	atomic_store(&revoke_wanted, false);
	atomic_store(&grant_wanted, false);
	usched_step_hook = change_grant;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	kept = granted_worker(runtime, 0);
	second = granted_worker(runtime, 1);
	if (!second)
		return false;
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	/* Alone, so that nobody steals them first. */
	revoke_cpu_of(kept);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &reader, reads, &reader, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &sleeper, sleeps_once, &reader, NULL), 0);
	HOLD_UNTIL(atomic_load(&second->descriptors_watched) > 0 &&
		   atomic_load(&second->counters.parks) >= 2);
	grant_cpu_of(kept);
	return true;
}

static void join_reader_and_sleeper(void)
{
	void *result = &reader;

	CU_ASSERT_EQUAL_FATAL(usched_join(reader, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	result = &reader;
	CU_ASSERT_EQUAL_FATAL(usched_join(sleeper, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/*
 * 10. A CPU is revoked on which a hog computes; a timer and a descriptor are at its worker; each of the
 *     two carriers has a hog, and there is no third. All the same it is given back at once, both hogs
 *     go on, and as soon as one carrier is free what the timer and the descriptor have woken runs.
 */
static void a_cpu_is_given_back_without_a_spare(void)
{
	struct usched_fiber_options pinned = USCHED_FIBER_OPTIONS_INIT;
	static struct hog hogs[2];

	if (!reader_and_sleeper_on_the_second(2)) {
		stop();
		USCHED_SKIP("few-cpus: needs two CPUs");
	}
	pinned.cpu = (int)kept->cpu;
	begin_hog(&hogs[0], &pinned);
	HOLD_UNTIL(atomic_load(&hogs[0].carrier));
	pinned.cpu = (int)second->cpu;
	begin_hog(&hogs[1], &pinned);
	HOLD_UNTIL(atomic_load(&hogs[1].carrier));
	HOLD_UNTIL(atomic_load(&runtime->scheduler.spare_count) == 0);
	revoke_cpu_of(second);
	CU_ASSERT(forced_sum(runtime, USCHED_DECISION_REVOKED) > 0);
	CU_ASSERT_EQUAL(write(pipe_ends[1], "x", 1), 1);
	for (unsigned int i = 0; i < TURNS; i++) {
		hog_runs(&hogs[0]);
		hog_runs(&hogs[1]);
	}
	CU_ASSERT_EQUAL(mode_of(second), USCHED_WORKER_MODE_DORMANT);
	end_hog(&hogs[1]);
	HOLD_UNTIL(atomic_load(&reader_ends) && atomic_load(&sleeper_ends));
	hog_runs(&hogs[0]);
	end_hog(&hogs[0]);
	join_reader_and_sleeper();
	grant_cpu_of(second);
	stop();
}

/*
 * 9. A hog is alone on its CPU, so its tick is stopped. Then its worker has to serve the timer and the
 *    descriptor of one whose CPU was revoked: the tick comes back, and those whom they wake run beside
 *    the hog.
 */
static void a_lone_hog_serves_what_it_adopts(void)
{
	struct usched_fiber_options pinned = USCHED_FIBER_OPTIONS_INIT;
	static struct hog hog;

	if (!reader_and_sleeper_on_the_second(0)) {
		stop();
		USCHED_SKIP("few-cpus: needs two CPUs");
	}
	pinned.cpu = (int)kept->cpu;
	begin_hog(&hog, &pinned);
	HOLD_UNTIL(atomic_load(&kept->tick_off));
	revoke_cpu_of(second);
	CU_ASSERT_EQUAL(write(pipe_ends[1], "x", 1), 1);
	HOLD_UNTIL(atomic_load(&reader_ends) && atomic_load(&sleeper_ends));
	hog_runs(&hog);
	end_hog(&hog);
	join_reader_and_sleeper();
	grant_cpu_of(second);
	stop();
}

/*
 * A plain thread spawns for one CPU, and stops between its look at the worker's mode and its push.
 * Meanwhile that CPU is revoked: the worker has emptied its mailbox, nobody will look there, and the
 * only other worker sleeps.
 */
static bool sleeps(struct usched_worker *worker)
{
	return atomic_load(&worker->mode) == USCHED_WORKER_MODE_IDLE;
}

static void revoked_before_push(const char *point, void *carrier)
{
	(void)carrier;
	if (is(point, "pass") && atomic_exchange(&revoke_wanted, false)) {
		regrant(runtime, revoked, false);
	} else if (is(point, "pass") && atomic_exchange(&grant_wanted, false)) {
		regrant(runtime, revoked, true);
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
	kept = granted_worker(runtime, 0);
	revoked = granted_worker(runtime, 1);
	if (!revoked) {
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
		USCHED_SKIP("few-cpus: needs two CPUs");
	}
	fiber.cpu = (int)revoked->cpu;
	for (unsigned int i = 0; i < TURNS; i++) {
		atomic_store(&other_ran, false);
		HOLD_UNTIL(sleeps(kept) && sleeps(revoked));
		usched_step_hook = revoked_before_push;
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, runs_elsewhere, NULL, &fiber), 0);
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

/* ---- without spares, without the monitor ---- */

/* The one that runs: it has begun, and was not told to end. */
static struct hog *begun(struct hog *hogs, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (atomic_load(&hogs[i].carrier) && !atomic_load(&hogs[i].end))
			return &hogs[i];
	}
	return NULL;
}

/* A single carrier, so nobody who computes can be stopped, and all the same everything ends. */
static void all_ends_well_without_any_spare(void)
{
	static struct hog hogs[3];
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	usched_fiber_t ids[2];

	options.workers = 1;
	options.carriers_max = 1;
	options.quantum_ns = 1000000;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	atomic_store(&holds_expired, 0);
	atomic_store(&sleeps_last, true);
	usched_step_hook = nothing_held;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[0], reads, &reader, NULL), 0);
	for (unsigned int i = 0; i < 3; i++)
		begin_hog(&hogs[i], NULL);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[1], sleeps_often, &reader, NULL), 0);
	CU_ASSERT_EQUAL(write(pipe_ends[1], "x", 1), 1);
	for (unsigned int i = 0; i < 3; i++) {
		struct hog *hog = NULL;

		HOLD_UNTIL((hog = begun(hogs, 3)));
		CU_ASSERT_PTR_NOT_NULL_FATAL(hog);
		if (i < 2)		/* somebody waits, and nobody can run beside it */
			HOLD_UNTIL(forced_sum(runtime, USCHED_DECISION_STARVED) > i);
		end_hog(hog);
	}
	for (unsigned int i = 0; i < 2; i++) {
		void *result = &ids;

		CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	CU_ASSERT_EQUAL(forced_sum(runtime, USCHED_DECISION_SPARE), 0);
	CU_ASSERT_EQUAL(forced_sum(runtime, USCHED_DECISION_DIRECT), 0);
	stop();
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/*
 * The monitor stands still for 100 ms, five times. Ticks need no monitor: meanwhile hogs are stopped
 * for each other, and a sleeper comes and goes.
 */
static struct hog siblings[3];
static _Atomic unsigned int stalls_over;
static _Atomic bool stall;

static uint64_t handed_over(void)
{
	return forced_sum(runtime, USCHED_DECISION_DIRECT) +
	       forced_sum(runtime, USCHED_DECISION_SPARE);
}

static void monitor_stands_still(const char *point, void *carrier)
{
	uint64_t end_ns, before, fired;
	_Atomic uint64_t *timers;

	(void)carrier;
	if (!is(point, "pass") || !atomic_exchange(&stall, false))
		return;
	timers = &granted_worker(runtime, 0)->counters.timers_fired;
	fired = atomic_load(timers);
	end_ns = usched_after(100000000);
	before = handed_over();
	for (unsigned int i = 0; i < 3; i++)
		hog_runs(&siblings[i]);
	HOLD_UNTIL(handed_over() >= before + 6);
	HOLD_UNTIL(atomic_load(timers) > fired);
	HOLD_UNTIL(usched_clock_now_ns() >= end_ns);
	atomic_fetch_add(&stalls_over, 1);
}

static void ticks_go_on_while_the_monitor_stands_still(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	options.workers = 1;
	options.tick = USCHED_TICK_TIMER;	/* of its own; the monitor's need it */
	options.quantum_ns = 1000000;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	atomic_store(&holds_expired, 0);
	atomic_store(&sleeps_last, false);
	atomic_store(&stalls_over, 0);
	atomic_store(&stall, false);
	usched_step_hook = monitor_stands_still;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	for (unsigned int i = 0; i < 3; i++)
		begin_hog(&siblings[i], NULL);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &sleeper, sleeps_often, &reader, NULL), 0);
	for (unsigned int i = 0; i < 5; i++) {
		atomic_store(&stall, true);
		HOLD_UNTIL(atomic_load(&stalls_over) > i);
	}
	CU_ASSERT_EQUAL(atomic_load(&stalls_over), 5);
	for (unsigned int i = 0; i < 3; i++)
		end_hog(&siblings[i]);
	atomic_store(&sleeps_last, true);
	CU_ASSERT_EQUAL(usched_join(sleeper, NULL, SOON), 0);
	stop();
}

/*
 * The only CPU of a runtime moves to another one, and back, while both carriers that it may have are
 * with a fiber that was stopped in mid-run: no spare is left to begin there, and nobody else would
 * ever release one.
 */
static _Atomic bool move_wanted, go_on;
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
	kept = granted_worker(runtime, 0);
	revoked = granted_worker(runtime, 1);
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

#define a_cpu_is_given_back_without_a_spare needs_steps
#define a_lone_hog_serves_what_it_adopts needs_steps
#define a_fiber_for_a_revoked_cpu_runs_elsewhere needs_steps
#define the_only_cpu_moves_while_no_carrier_is_left needs_steps
#define all_ends_well_without_any_spare needs_steps
#define ticks_go_on_while_the_monitor_stands_still needs_steps

#endif

int main(void)
{
	static const struct usched_test tests[] = {
		{ "a_cpu_is_given_back_without_a_spare", a_cpu_is_given_back_without_a_spare },
		{ "a_lone_hog_serves_what_it_adopts", a_lone_hog_serves_what_it_adopts },
		{ "a_fiber_for_a_revoked_cpu_runs_elsewhere",
		  a_fiber_for_a_revoked_cpu_runs_elsewhere },
		{ "the_only_cpu_moves_while_no_carrier_is_left",
		  the_only_cpu_moves_while_no_carrier_is_left },
		{ "all_ends_well_without_any_spare", all_ends_well_without_any_spare },
		{ "ticks_go_on_while_the_monitor_stands_still",
		  ticks_go_on_while_the_monitor_stands_still },
	};

	return usched_test_main("revoke", tests, sizeof(tests) / sizeof(tests[0]));
}
