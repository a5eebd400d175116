/* SPDX-License-Identifier: MIT */
/*
 * Interleavings of the protocol, forced through the named points of worker/step.h: one side is held at
 * a point until the other has got where it must not matter. All of them, and where each is forced:
 *
 *	 1 enter's store, between the monitor's	an_entry_before_the_look_keeps_the_worker
 *	   request and its look
 *	 2 after the request the system call	a_request_that_was_refused_takes_nothing
 *	   returns; enter refuses, and leaves
 *	 3 taken; a tick comes before any entry	a_tick_before_any_entry_finds_the_loss
 *	   ... or inside regain			ticks_while_the_loss_is_noticed_count_nowhere
 *	 4 a request that is made too late	a_stale_request_does_not_take_the_next_worker
 *	   meets the carrier's next worker
 *	 5 a stopped fiber's carrier is ordered	a_carrier_is_ordered_before_it_sleeps
 *	   before it sleeps, by a thief too	t_handoff: a_thief_orders_the_carrier_that_gives_away
 *	 6 a spare is ordered before it sleeps	t_handoff: a_spare_is_ordered_before_it_sleeps
 *	 7 two hogs, and no spare		t_handoff: two_hogs_hand_over_to_each_other
 *	 8 taken while its tick was off		t_ticks: who_lost_its_worker_gets_a_tick_that_was_off
 *	 9 the tick is stopped while work comes	t_ticks: work_from_outside_meets_a_tick_that_stops
 *	   from outside, a timer or input waits	t_ticks: no_tick_stops_beside_timers_or_descriptors
 *						t_revoke: a_lone_hog_serves_what_it_adopts
 *	10 a CPU is revoked under a hog, with	t_revoke: a_cpu_is_given_back_without_a_spare
 *	   timers and input, without spares
 *	11 a tick at every instruction		t_step
 *	12 somebody reaches for a fiber that is	t_handoff: a_held_fiber_is_joined_and_retuned
 *	   held, or does not wait quite yet	t_handoff: a_waker_waits_for_the_commit
 *	13 the monitor puts a fiber back while	t_handoff: a_fiber_that_is_put_back_wakes_its_worker
 *	   its worker has gone to sleep
 *	14 a tick is hurried while its period	t_ticks: a_tick_that_is_hurried_meanwhile_is_put_right
 *	   is set
 *	15 a lock's bias ends while its worker	t_biased: a_worker_that_is_late_takes_shared
 *	   takes it, or hands it over		t_biased: who_comes_while_the_lock_is_handed_over_waits
 *
 * This file has those between a carrier and the monitor:
 *
 *	fiber "blocker" on the only worker	monitor
 *	read(2) of an empty pipe
 *						revoke = REQUESTED
 *						"requested"	<- the tests begin here
 *	enter: in_runtime = 1, "enter"		membarrier, look at in_runtime
 *	revoke REQUESTED: "regain"		revoke = TAKEN, "taken"
 *
 * A second fiber waits for the worker all the time: it is why the monitor asks. Ticks are off, or
 * forced. One file, since all of them begin from this scene.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <usched/usched.h>

#include "forced.h"
#include "harness.h"
#include "worker/dispatch.h"

#if USCHED_DEBUG

enum { TURNS = 20 };

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
static void *(*blocker)(void *) = blocks_then_enters;
static usched_fiber_t both[2];

static void *spawns_both(void *argument)
{
	if (usched_spawn(NULL, &both[0], blocker, argument, NULL) ||
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
	/* By the monitor, who has the only worker, and has hurried the one that lost it. */
	if (is(point, "give") && atomic_load(&waits_held))
		atomic_store(&given, 1);
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

	/* Hurried, it is seen running, or it has stopped again. */
	HOLD_UNTIL(atomic_load(&given));
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
	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	tick = USCHED_TICK_TIMER;
	other = stays_beside;
	run_turns(hurried_late, "auto", sees_the_timer_stop, check_hurried);
	tick = USCHED_TICK_AUTO;
	other = runs_beside;
}

/*
 * 3. Taken, the system call returns, and a tick is the first to enter: it waits for a turn, and is
 *    counted as that by the worker that it is given.
 */
static void *blocks_then_computes(void *argument)
{
	char byte = 0;

	if (read(pipe_ends[0], &byte, 1) != 1)
		return argument;
	atomic_store(&user_code, true);
	while (!atomic_load(&go_on))
		;
	return NULL;
}

static uint64_t lost_before;

static void tick_enters_first(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (is(point, "requested"))
		is_asked_first(carrier);
	if (carrier != atomic_load(&asked))
		return;
	if (is(point, "taken") && atomic_fetch_add(&taken_count, 1) == 0) {
		let_read_return();
		HOLD_UNTIL(atomic_load(&user_code));
		lost_before = forced_sum(runtime, USCHED_DECISION_LOST);
		usched_tick_send(carrier);
		HOLD_UNTIL(atomic_load(&regained));
	} else if (is(point, "regain")) {
		atomic_store(&revoke_seen, revoke_of(carrier));
		atomic_fetch_add(&regained, 1);
		atomic_store(&go_on, true);
	}
}

static void check_found_by_tick(void)
{
	CU_ASSERT_EQUAL(atomic_load(&revoke_seen), USCHED_REVOKE_TAKEN);
	CU_ASSERT(atomic_load(&regained) >= 1);
	CU_ASSERT(forced_sum(runtime, USCHED_DECISION_LOST) > lost_before);
}

static void a_tick_before_any_entry_finds_the_loss(void)
{
	blocker = blocks_then_computes;
	run_turns(tick_enters_first, "auto", NULL, check_found_by_tick);
	run_turns(tick_enters_first, "off", NULL, check_found_by_tick);
	blocker = blocks_then_enters;
}

/*
 * Ticks inside regain, before the carrier has given the worker up and after: they are notes of nobody.
 * The monitor holds the worker meanwhile, so nobody else counts on it.
 */
static _Atomic uint64_t counted_before, counted_after, given_ticks;
static _Atomic bool note_left, note_kept;
static _Atomic uint32_t notes_left;

static uint64_t ticks_of(struct usched_worker *worker)
{
	return atomic_load(&worker->counters.ticks);
}

/* A note that no tick was counted for: of before the wait. The monitor may send one as soon as the carrier
   is an owner, and asks for the worker first if it wants that. */
static bool has_old_note(struct usched_carrier *carrier)
{
	return atomic_load(&carrier->pending) && revoke_of(carrier) == USCHED_REVOKE_NONE &&
	       ticks_of(usched_owned(carrier)) == atomic_load(&given_ticks);
}

/* Did a real tick bring us here? Then one more waits for the end of its handler. */
static bool in_tick(void)
{
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	return sigismember(&blocked, usched_tick_signal());
}

static uint64_t counted(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		sum += atomic_load(&runtime->scheduler.workers[i].counters.ticks) +
		       atomic_load(&runtime->scheduler.workers[i].counters.notes);
	for (unsigned int decision = 0; decision < USCHED_DECISION_COUNT; decision++)
		sum += forced_sum(runtime, decision);
	return sum;
}

static void ticks_inside_regain(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (is(point, "requested"))
		is_asked_first(carrier);
	if (carrier != atomic_load(&asked))
		return;
	if (is(point, "taken") && atomic_fetch_add(&taken_count, 1) == 0) {
		atomic_store(&counted_before, counted());
		let_read_return();
		HOLD_UNTIL(atomic_load(&waits_held));
		atomic_store(&counted_after, counted());
	} else if (is(point, "regain") && atomic_fetch_add(&regained, 1) == 0) {
		atomic_store(&revoke_seen, revoke_of(carrier));
		usched_tick_send(carrier);		/* comes before the call returns */
	} else if (is(point, "wait") && atomic_load(&regained) && !atomic_load(&waits_held)) {
		usched_tick_send(carrier);
		atomic_store(&note_left, in_tick() || atomic_load(&carrier->pending));
		atomic_fetch_add(&notes_left, atomic_load(&carrier->pending));
		atomic_store(&waits_held, 1);
	} else if (is(point, "give")) {
		/* Whoever gives it has it: nobody else counts there. */
		atomic_store(&given_ticks, ticks_of(atomic_load(&carrier->order)));
	} else if (is(point, "waited") && atomic_load(&waits_held) && !atomic_load(&go_on)) {
		atomic_store(&note_kept, has_old_note(carrier));
		atomic_store(&go_on, true);
	}
}

static void check_counted_nowhere(void)
{
	CU_ASSERT_EQUAL(atomic_load(&revoke_seen), USCHED_REVOKE_TAKEN);
	CU_ASSERT_EQUAL(atomic_load(&counted_after), atomic_load(&counted_before));
	CU_ASSERT(atomic_load(&note_left));
	CU_ASSERT_FALSE(atomic_load(&note_kept));
}

static void ticks_while_the_loss_is_noticed_count_nowhere(void)
{
	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	tick = USCHED_TICK_TIMER;
	atomic_store(&notes_left, 0);
	run_turns(ticks_inside_regain, "auto", NULL, check_counted_nowhere);
	run_turns(ticks_inside_regain, "off", NULL, check_counted_nowhere);
	tick = USCHED_TICK_AUTO;
	CU_ASSERT(atomic_load(&notes_left) > 0);
}

/*
 * 4. The monitor has made up its mind, and stops before its request. Meanwhile the fiber is stopped by
 *    a tick, and its carrier sleeps; the request comes then. A thief gives the carrier a second worker,
 *    and it is in user code when the monitor looks: it sees all that it wants but for the worker.
 */
static _Atomic(struct usched_worker *) second;
static _Atomic bool is_stale, both_are_there;

static void request_comes_late(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (is(point, "asking") && is_asked_first(carrier)) {
		/* Who waits may be half in the mailbox, where a tick cannot take it. */
		HOLD_UNTIL(atomic_load(&both_are_there));
		/* A thief that is awake could take it, as it passes through the ring. */
		HOLD_UNTIL(atomic_load(&atomic_load(&second)->idle_since_ns));
		let_read_return();
		HOLD_UNTIL(atomic_load(&user_code));
		forced_tick(carrier);
		HOLD_UNTIL(atomic_load(&waits_held));
	} else if (carrier != atomic_load(&asked)) {
		return;
	} else if (is(point, "wait") && usched_current(carrier)) {
		atomic_store(&waits_held, 1);
	} else if (is(point, "requested") && !atomic_load(&is_stale)) {
		HOLD_UNTIL((usched_wake_worker(atomic_load(&second)),
			    atomic_load(&carrier->worker) == atomic_load(&second) &&
			    atomic_load(&carrier->in_runtime) == 0));
		atomic_store(&revoke_seen, revoke_of(carrier));
		atomic_store(&is_stale, true);
	} else if (is(point, "taken")) {
		atomic_fetch_add(&taken_count, 1);
	}
}

static _Atomic(struct usched_worker *) ran_on;

static void *says_where_then_blocks(void *argument)
{
	atomic_store(&ran_on, usched_owned(usched_carrier_self_get()));
	return blocks_then_computes(argument);
}

static void a_stale_request_does_not_take_the_next_worker(void)
{
	struct usched_fiber_options never = USCHED_FIBER_OPTIONS_INIT;
	void *result;

	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	usched_step_hook = nothing_held;
	runtime = forced_start(2, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	if (!granted_worker(runtime, 1)) {
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
		USCHED_SKIP("few-cpus: needs two CPUs");
	}
	never.preempt = USCHED_PREEMPT_NEVER;
	for (unsigned int i = 0; i < TURNS; i++) {
		begin_turn();
		atomic_store(&is_stale, false);
		atomic_store(&both_are_there, false);
		atomic_store(&ran_on, NULL);
		usched_step_hook = request_comes_late;
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &both[0], says_where_then_blocks, &both,
						   NULL), 0);
		HOLD_UNTIL(atomic_load(&ran_on));
		atomic_store(&second, granted_worker(runtime, atomic_load(&ran_on) ==
							      granted_worker(runtime, 0)));
		/* In its mailbox, from where nobody steals it. */
		never.cpu = (int)atomic_load(&ran_on)->cpu;
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &both[1], stays_beside, NULL, &never), 0);
		atomic_store(&both_are_there, true);
		HOLD_UNTIL(atomic_load(&is_stale) &&
			   revoke_of(atomic_load(&asked)) == USCHED_REVOKE_NONE);
		atomic_store(&go_on, true);
		for (unsigned int j = 0; j < 2; j++) {
			result = &both;
			CU_ASSERT_EQUAL_FATAL(usched_join(both[j], &result, SOON), 0);
			CU_ASSERT_PTR_NULL(result);
		}
		CU_ASSERT_EQUAL(atomic_load(&revoke_seen), USCHED_REVOKE_REQUESTED);
		CU_ASSERT_EQUAL(atomic_load(&taken_count), 0);
		CU_ASSERT_EQUAL_FATAL(atomic_load(&holds_expired), 0);
	}
	usched_step_hook = nothing_held;
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

#else

static void needs_steps(void)
{
	USCHED_SKIP("no-steps: configure with --enable-debug");
}

#define an_entry_before_the_look_keeps_the_worker needs_steps
#define a_request_that_was_refused_takes_nothing needs_steps
#define a_tick_before_any_entry_finds_the_loss needs_steps
#define ticks_while_the_loss_is_noticed_count_nowhere needs_steps
#define a_carrier_is_ordered_before_it_sleeps needs_steps
#define a_stale_request_does_not_take_the_next_worker needs_steps
#define no_timer_runs_while_its_carrier_sleeps needs_steps

#endif

int main(void)
{
	static const struct usched_test tests[] = {
		{ "an_entry_before_the_look_keeps_the_worker",
		  an_entry_before_the_look_keeps_the_worker },
		{ "a_request_that_was_refused_takes_nothing",
		  a_request_that_was_refused_takes_nothing },
		{ "a_tick_before_any_entry_finds_the_loss",
		  a_tick_before_any_entry_finds_the_loss },
		{ "ticks_while_the_loss_is_noticed_count_nowhere",
		  ticks_while_the_loss_is_noticed_count_nowhere },
		{ "a_carrier_is_ordered_before_it_sleeps", a_carrier_is_ordered_before_it_sleeps },
		{ "a_stale_request_does_not_take_the_next_worker",
		  a_stale_request_does_not_take_the_next_worker },
		{ "no_timer_runs_while_its_carrier_sleeps",
		  no_timer_runs_while_its_carrier_sleeps },
	};

	return usched_test_main("protocol", tests, sizeof(tests) / sizeof(tests[0]));
}
