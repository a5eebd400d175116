/* SPDX-License-Identifier: MIT */
/*
 * Ticks at odd moments: stopped while work comes, needed by one that lost its worker, sent to one that
 * handles a tick, sleeps, or has another worker meanwhile, or to a spare; hurried while they are set; and what a fiber that was
 * switched in place may not carry from one thread to another. Ticks come when the test says so. See the
 * table in t_protocol.c.
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

#if USCHED_DEBUG

enum { TURNS = 20 };

static struct usched_runtime *runtime;
static struct usched_worker *worker;
static struct hog hogs[3];

/* One worker. The hook is set before the first carrier, and never NULL again: it may be about to be
   called. */
static void start(void)
{
	usched_step_hook = forced_step;
	runtime = forced_start(1, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	worker = granted_worker(runtime, 0);
}

static void start_without_monitor(void)
{
	start();
	stop_monitor(runtime);
}

static void stop(void)
{
	atomic_store(&forced_hook, NULL);
	let_monitor_go();
	CU_ASSERT_EQUAL(atomic_load(&holds_expired), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static void begin(struct hog *hog, const struct usched_fiber_options *options)
{
	CU_ASSERT_EQUAL_FATAL(hog_begin(hog, runtime, options), 0);
}

static void end(struct hog *hog)
{
	CU_ASSERT_EQUAL_FATAL(hog_end(hog), 0);
}

static uint64_t ticks_of_worker(void)
{
	return atomic_load(&worker->counters.ticks);
}

/* ---- a tick that is stopped ---- */

/*
 * 8. A fiber that was alone, so that its tick was stopped, blocks and loses its worker. When the system
 *    call returns it computes and never enters: a tick must come all the same, and soon.
 */
static int pipe_ends[2];
static _Atomic bool has_begun, at_rest, far_off, entered_by_tick;
static _Atomic uint32_t revoke_seen;
static _Atomic bool go_on;
static _Atomic(struct usched_carrier *) loser;

static void *rests_then_blocks(void *argument)
{
	char byte = 0;

	atomic_store(&has_begun, true);
	while (!atomic_load(&at_rest))
		;
	if (read(pipe_ends[0], &byte, 1) != 1)
		return argument;
	while (!atomic_load(&go_on))
		;
	return NULL;
}

static void *hands_back(void *argument)
{
	return argument;
}

static void lost_at_rest(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument, *none = NULL;
	struct itimerspec left;

	if (is(point, "taken") && atomic_compare_exchange_strong(&loser, &none, carrier)) {
		atomic_store(&far_off, timer_gettime(carrier->tick_timer, &left) == 0 &&
				       (left.it_value.tv_sec > 60 ||
					(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0)));
		(void)!write(pipe_ends[1], "x", 1);
	} else if (is(point, "regain") && carrier == atomic_load(&loser)) {
		atomic_store(&revoke_seen, atomic_load(&carrier->revoke));
		atomic_store(&entered_by_tick, !atomic_load(&go_on));
	}
}

static void who_lost_its_worker_gets_a_tick_that_was_off(void)
{
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	start();
	for (unsigned int i = 0; i < TURNS; i++) {
		uint64_t lost = forced_sum(runtime, USCHED_DECISION_LOST);
		usched_fiber_t ids[2];
		void *result = &ids;

		atomic_store(&has_begun, false);
		atomic_store(&at_rest, false);
		atomic_store(&entered_by_tick, false);
		atomic_store(&go_on, false);
		atomic_store(&loser, NULL);
		atomic_store(&forced_hook, lost_at_rest);
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &ids[0], rests_then_blocks, &ids, NULL), 0);
		HOLD_UNTIL(atomic_load(&has_begun));
		/* Two ticks that find it alone; none is on its way afterwards. */
		while (!atomic_load(&worker->tick_off) && atomic_load(&holds_expired) == 0) {
			uint64_t ticks = ticks_of_worker();

			forced_tick(atomic_load(&worker->owner));
			HOLD_UNTIL(ticks_of_worker() > ticks);
			HOLD_UNTIL(atomic_load(&atomic_load(&worker->owner)->in_runtime) == 0);
		}
		atomic_store(&at_rest, true);
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &ids[1], hands_back, NULL, NULL), 0);
		HOLD_UNTIL(forced_sum(runtime, USCHED_DECISION_LOST) > lost);
		atomic_store(&go_on, true);
		CU_ASSERT_EQUAL_FATAL(usched_join(ids[0], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
		CU_ASSERT_EQUAL_FATAL(usched_join(ids[1], NULL, SOON), 0);
		CU_ASSERT(atomic_load(&far_off));
		CU_ASSERT(atomic_load(&entered_by_tick));
		CU_ASSERT_EQUAL(atomic_load(&revoke_seen), USCHED_REVOKE_TAKEN);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	}
	stop();
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/*
 * 9. A tick that found nobody is about to stop; then a fiber comes from outside, into the pool's inbox
 *    or the worker's mailbox: just before the owner says so, just after that, or when it has looked
 *    again. Either way the tick is there in the end. The monitor, which would see to it later, stands
 *    still.
 */
static const char *const moments[] = { "rest", "resting", "rested" };
static _Atomic(const char *) moment;
static _Atomic bool is_there, has_come;

static void work_comes(const char *point, void *carrier)
{
	(void)carrier;
	if (atomic_load(&moment) && is(point, atomic_load(&moment))) {
		atomic_store(&moment, NULL);
		atomic_store(&is_there, true);
		HOLD_UNTIL(atomic_load(&has_come));
	}
}

static bool tick_is_set(struct usched_carrier *carrier)
{
	struct itimerspec left = { .it_value.tv_sec = 0 };

	return !atomic_load(&worker->tick_off) && atomic_load(&carrier->tick_ns) == FORCED_QUANTUM_NS &&
	       timer_gettime(carrier->tick_timer, &left) == 0 && left.it_value.tv_sec > 60;
}

/* Comes, and is over but for the hook: none is on its way afterwards. */
static void one_tick(struct usched_carrier *carrier)
{
	uint64_t ticks = ticks_of_worker();

	forced_tick(carrier);
	HOLD_UNTIL(ticks_of_worker() > ticks);
	HOLD_UNTIL(atomic_load(&is_there) || atomic_load(&carrier->in_runtime) == 0);
}

static void work_from_outside_meets_a_tick_that_stops(void)
{
	start_without_monitor();
	for (unsigned int i = 0; i < 6 * TURNS; i++) {
		struct usched_fiber_options there = USCHED_FIBER_OPTIONS_INIT;
		struct usched_carrier *carrier;

		atomic_store(&is_there, false);
		atomic_store(&has_come, false);
		begin(&hogs[0], NULL);
		HOLD_UNTIL(atomic_load(&hogs[0].carrier));
		carrier = atomic_load(&hogs[0].carrier);
		atomic_store(&forced_hook, work_comes);
		atomic_store(&moment, moments[i % 3]);
		while (!atomic_load(&is_there) && atomic_load(&holds_expired) == 0)
			one_tick(carrier);
		if (i % 6 >= 3)
			there.cpu = (int)worker->cpu;
		begin(&hogs[1], &there);
		atomic_store(&has_come, true);
		HOLD_UNTIL(atomic_load(&carrier->in_runtime) == 0);
		CU_ASSERT(tick_is_set(carrier));
		forced_tick(carrier);
		hog_runs(&hogs[1]);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
		end(&hogs[1]);
		end(&hogs[0]);
	}
	stop();
}

/* Nobody tells of a timer of the worker's own, or of input: its ticks look, so they go on. */
static struct usched_channel *channel;

static void *receives(void *argument)
{
	uint64_t value = 0;

	return usched_channel_receive(channel, &value, usched_after(FORCED_QUANTUM_NS)) ? argument : NULL;
}

static void *reads(void *argument)
{
	char byte = 0;
	size_t got;

	return usched_read(pipe_ends[0], &byte, 1, &got, USCHED_FOREVER) ? argument : NULL;
}

static void ten_ticks_find_it_alone(void *(*waits)(void *))
{
	uint64_t parks = atomic_load(&worker->counters.parks);
	usched_fiber_t id;
	void *result = &id;

	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, waits, &id, NULL), 0);
	HOLD_UNTIL(atomic_load(&worker->counters.parks) > parks &&
		   atomic_load(&worker->mode) == USCHED_WORKER_MODE_IDLE);
	begin(&hogs[0], NULL);
	HOLD_UNTIL(atomic_load(&hogs[0].carrier));
	for (unsigned int i = 0; i < 10; i++) {
		uint64_t alone = forced_sum(runtime, USCHED_DECISION_ALONE);

		forced_tick(atomic_load(&hogs[0].carrier));
		HOLD_UNTIL(forced_sum(runtime, USCHED_DECISION_ALONE) > alone);
	}
	HOLD_UNTIL(atomic_load(&atomic_load(&hogs[0].carrier)->in_runtime) == 0);
	CU_ASSERT_EQUAL(atomic_load(&worker->counters.tick_stops), 0);
	CU_ASSERT(tick_is_set(atomic_load(&hogs[0].carrier)));
	end(&hogs[0]);
	if (waits == reads) {
		CU_ASSERT_EQUAL(write(pipe_ends[1], "x", 1), 1);
	} else {
		CU_ASSERT_EQUAL(usched_channel_send(channel, &(uint64_t){ 0 }, SOON), 0);
	}
	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
}

static void no_tick_stops_beside_timers_or_descriptors(void)
{
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	CU_ASSERT_EQUAL_FATAL(usched_channel_create(&channel, sizeof(uint64_t), 0), 0);
	start_without_monitor();
	ten_ticks_find_it_alone(receives);
	stop();
	start_without_monitor();
	ten_ticks_find_it_alone(reads);
	stop();
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* ---- ticks that wait, and come too late ---- */

/*
 * Five ticks come while the carrier handles one and hands its worker over. None nests, and they are
 * one: it comes when the fiber goes on, in the carrier's next tenure, and finds the slice young.
 */
static _Atomic(struct usched_carrier *) handles;
static _Atomic uint64_t ticks_before, ticks_after;

static void more_ticks_come(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (!is(point, "handoff") || carrier != atomic_load(&handles))
		return;
	atomic_store(&ticks_before, ticks_of_worker());
	for (unsigned int i = 0; i < 5; i++)
		usched_tick_send(carrier);
	atomic_store(&ticks_after, ticks_of_worker());
}

static void ticks_in_the_handler_are_one_and_come_later(void)
{
	struct usched_fiber_options never = USCHED_FIBER_OPTIONS_INIT;

	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	start_without_monitor();
	never.preempt = USCHED_PREEMPT_NEVER;
	for (unsigned int i = 0; i < TURNS; i++) {
		uint64_t ticks, young = forced_sum(runtime, USCHED_DECISION_YOUNG);
		uint64_t deferred = forced_sum(runtime, USCHED_DECISION_DEFERRED);

		begin(&hogs[0], NULL);
		HOLD_UNTIL(atomic_load(&hogs[0].carrier));
		begin(&hogs[1], &never);
		ticks = ticks_of_worker();
		atomic_store(&handles, atomic_load(&hogs[0].carrier));
		atomic_store(&forced_hook, more_ticks_come);
		forced_tick(atomic_load(&handles));
		hog_runs(&hogs[1]);
		CU_ASSERT_EQUAL(atomic_load(&ticks_before), ticks + 1);
		CU_ASSERT_EQUAL(atomic_load(&ticks_after), ticks + 1);
		CU_ASSERT_EQUAL(ticks_of_worker(), ticks + 1);
		end(&hogs[1]);
		hog_runs(&hogs[0]);
		CU_ASSERT_EQUAL(ticks_of_worker(), ticks + 2);
		CU_ASSERT_EQUAL(forced_sum(runtime, USCHED_DECISION_YOUNG), young + 1);
		CU_ASSERT_EQUAL(forced_sum(runtime, USCHED_DECISION_DEFERRED), deferred);
		CU_ASSERT(every_tick_is_counted_once(runtime));
		atomic_store(&forced_hook, NULL);
		end(&hogs[0]);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	}
	stop();
}

/* The monitor marks a dispatch as over; when its tick comes another fiber runs, which is not meant. */
static void a_tick_for_an_earlier_dispatch_is_dropped(void)
{
	start_without_monitor();
	for (unsigned int i = 0; i < TURNS; i++) {
		uint64_t young, urgent = atomic_load(&worker->counters.urgent);

		begin(&hogs[0], NULL);
		HOLD_UNTIL(atomic_load(&hogs[0].carrier));
		begin(&hogs[1], NULL);
		usched_make_urgent(worker, atomic_load(&worker->counters.dispatches));
		end(&hogs[0]);
		HOLD_UNTIL(atomic_load(&hogs[1].carrier));
		begin(&hogs[2], NULL);
		young = forced_sum(runtime, USCHED_DECISION_YOUNG);
		usched_tick_send(atomic_load(&hogs[1].carrier));
		HOLD_UNTIL(forced_sum(runtime, USCHED_DECISION_YOUNG) > young);
		hog_runs(&hogs[1]);
		CU_ASSERT_PTR_NULL(atomic_load(&hogs[2].carrier));
		CU_ASSERT_FALSE(usched_is_urgent(worker));
		CU_ASSERT_EQUAL(atomic_load(&worker->counters.urgent), urgent);
		/* The same for this very dispatch: over. */
		forced_tick(atomic_load(&hogs[1].carrier));
		hog_runs(&hogs[2]);
		CU_ASSERT_EQUAL(atomic_load(&worker->counters.urgent), urgent + 1);
		end(&hogs[2]);
		end(&hogs[1]);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	}
	stop();
}

/* Ticks for a carrier that has given its worker away: nobody's, also when it has the next one. */
static struct usched_carrier *the_spare(void)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	uint32_t count = atomic_load(&scheduler->carrier_places);

	for (uint32_t i = 0; i < count; i++) {
		struct usched_carrier *carrier = &scheduler->carriers[i];

		if (atomic_load(&carrier->worker) == NULL && atomic_load(&carrier->current) == NULL &&
		    carrier->clock && atomic_load(&carrier->cpu) == worker->cpu)
			return carrier;
	}
	return NULL;
}

static void ticks_to_a_spare_are_nobodys(void)
{
	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	start_without_monitor();
	for (unsigned int i = 0; i < TURNS; i++) {
		struct usched_carrier *spare;
		uint64_t ticks, notes;

		/* The one that gives its worker to the first hog's carrier: on this CPU, it is warm. */
		begin(&hogs[0], NULL);
		HOLD_UNTIL(atomic_load(&hogs[0].carrier));
		begin(&hogs[1], NULL);
		forced_tick(atomic_load(&hogs[0].carrier));
		hog_runs(&hogs[1]);
		end(&hogs[1]);
		hog_runs(&hogs[0]);
		HOLD_UNTIL(the_spare());
		spare = the_spare();
		ticks = ticks_of_worker();
		notes = atomic_load(&worker->counters.notes);
		for (unsigned int j = 0; j < 5; j++)
			usched_tick_send(spare);
		HOLD_UNTIL(atomic_load(&spare->pending));
		CU_ASSERT_EQUAL(ticks_of_worker(), ticks);
		/* Now it is ordered, and its fiber is not stopped for them. */
		begin(&hogs[1], NULL);
		forced_tick(atomic_load(&hogs[0].carrier));
		hog_runs(&hogs[1]);
		if (atomic_load(&hogs[1].carrier) == spare)
			CU_ASSERT_FALSE(atomic_load(&spare->pending));
		CU_ASSERT_EQUAL(ticks_of_worker(), ticks + 1);
		CU_ASSERT_EQUAL(atomic_load(&worker->counters.notes), notes);
		end(&hogs[1]);
		end(&hogs[0]);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	}
	stop();
}

/* ---- what belongs to the thread ---- */

/*
 * The return from a signal handler sets the alternate stack that was there when it began. A fiber that
 * was switched in place and goes on in another thread must not bring the first one's there: two threads
 * on one alternate stack would overwrite each other.
 */
enum { CARRIERS_SEEN = 64 };

static void *_Atomic alternate[CARRIERS_SEEN];
static _Atomic unsigned int wrong_stacks;

static void compare_alternate_stack(struct usched_carrier *carrier)
{
	void *none = NULL;
	stack_t now;

	sigaltstack(NULL, &now);
	if (carrier->index < CARRIERS_SEEN &&
	    !atomic_compare_exchange_strong(&alternate[carrier->index], &none, now.ss_sp) &&
	    none != now.ss_sp)
		atomic_fetch_add(&wrong_stacks, 1);
}

static void each_has_its_own(const char *point, void *carrier)
{
	if (is(point, "wait") || is(point, "waited"))
		compare_alternate_stack(carrier);
}

static _Atomic bool moves_on;
static _Atomic uint64_t moved_turns;

USCHED_MIGRATABLE static void *computes_migratable(void *argument)
{
	atomic_store(&hogs[0].carrier, usched_carrier_self_get());
	while (!atomic_load_explicit(&moves_on, memory_order_relaxed))
		atomic_fetch_add_explicit(&moved_turns, 1, memory_order_relaxed);
	compare_alternate_stack(usched_carrier_self_get());
	return usched_carrier_self_get() == atomic_load(&hogs[0].carrier) ? argument : NULL;
}

static void a_fiber_that_moves_brings_no_alternate_stack(void)
{
	struct usched_fiber_options yield = USCHED_FIBER_OPTIONS_INIT;

	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	yield.preempt = USCHED_PREEMPT_YIELD;
	for (unsigned int i = 0; i < CARRIERS_SEEN; i++)
		atomic_store(&alternate[i], NULL);
	atomic_store(&wrong_stacks, 0);
	atomic_store(&forced_hook, each_has_its_own);
	start_without_monitor();
	for (unsigned int i = 0; i < TURNS; i++) {
		uint64_t yielded = forced_sum(runtime, USCHED_DECISION_YIELDED), turns;
		void *result = &hogs;
		usched_fiber_t id;

		atomic_store(&moves_on, false);
		atomic_store(&hogs[0].carrier, NULL);
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, computes_migratable, &hogs, &yield), 0);
		HOLD_UNTIL(atomic_load(&hogs[0].carrier));
		begin(&hogs[1], NULL);
		/* In place, in this thread; then the other one is stopped, and keeps the thread. */
		turns = atomic_load(&moved_turns);
		HOLD_UNTIL(atomic_load(&moved_turns) > turns);
		forced_tick(atomic_load(&hogs[0].carrier));
		HOLD_UNTIL(atomic_load(&hogs[1].carrier));
		CU_ASSERT_PTR_EQUAL(atomic_load(&hogs[1].carrier), atomic_load(&hogs[0].carrier));
		CU_ASSERT_EQUAL(forced_sum(runtime, USCHED_DECISION_YIELDED), yielded + 1);
		hog_runs(&hogs[1]);
		turns = atomic_load(&moved_turns);
		forced_tick(atomic_load(&hogs[1].carrier));
		HOLD_UNTIL(atomic_load(&moved_turns) > turns);
		atomic_store(&moves_on, true);
		CU_ASSERT_EQUAL_FATAL(usched_join(id, &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
		end(&hogs[1]);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	}
	CU_ASSERT_EQUAL(atomic_load(&wrong_stacks), 0);
	stop();
}

/*
 * 14. A carrier puts its period right, and just then somebody hurries its next tick. One more comes soon,
 *     and the one after that is the quantum's.
 */
static _Atomic bool hurries;

static void hurries_meanwhile(const char *point, void *carrier)
{
	if (is(point, "period") && atomic_exchange(&hurries, false))
		usched_tick_hurry(carrier);
}

static void a_tick_that_is_hurried_meanwhile_is_put_right(void)
{
	struct usched_carrier *carrier;

	start_without_monitor();
	begin(&hogs[0], NULL);
	begin(&hogs[1], NULL);		/* so that no tick rests */
	HOLD_UNTIL(atomic_load(&hogs[0].carrier));
	carrier = atomic_load(&hogs[0].carrier);
	HOLD_UNTIL(tick_is_set(carrier));
	for (unsigned int i = 0; i < TURNS; i++) {
		atomic_store(&forced_hook, hurries_meanwhile);
		atomic_store(&hurries, true);
		usched_tick_hurry(carrier);
		HOLD_UNTIL(!atomic_load(&hurries));
		HOLD_UNTIL(tick_is_set(carrier));
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	}
	atomic_store(&forced_hook, NULL);
	atomic_store(&hogs[1].end, true);
	end(&hogs[0]);
	end(&hogs[1]);
	stop();
}

#else

static void needs_steps(void)
{
	USCHED_SKIP("no-steps: configure with --enable-debug");
}

#define who_lost_its_worker_gets_a_tick_that_was_off needs_steps
#define work_from_outside_meets_a_tick_that_stops needs_steps
#define no_tick_stops_beside_timers_or_descriptors needs_steps
#define ticks_in_the_handler_are_one_and_come_later needs_steps
#define a_tick_for_an_earlier_dispatch_is_dropped needs_steps
#define ticks_to_a_spare_are_nobodys needs_steps
#define a_fiber_that_moves_brings_no_alternate_stack needs_steps
#define a_tick_that_is_hurried_meanwhile_is_put_right needs_steps

#endif

int main(void)
{
	static const struct usched_test tests[] = {
		{ "who_lost_its_worker_gets_a_tick_that_was_off",
		  who_lost_its_worker_gets_a_tick_that_was_off },
		{ "work_from_outside_meets_a_tick_that_stops",
		  work_from_outside_meets_a_tick_that_stops },
		{ "no_tick_stops_beside_timers_or_descriptors",
		  no_tick_stops_beside_timers_or_descriptors },
		{ "ticks_in_the_handler_are_one_and_come_later",
		  ticks_in_the_handler_are_one_and_come_later },
		{ "a_tick_for_an_earlier_dispatch_is_dropped",
		  a_tick_for_an_earlier_dispatch_is_dropped },
		{ "ticks_to_a_spare_are_nobodys", ticks_to_a_spare_are_nobodys },
		{ "a_fiber_that_moves_brings_no_alternate_stack",
		  a_fiber_that_moves_brings_no_alternate_stack },
		{ "a_tick_that_is_hurried_meanwhile_is_put_right",
		  a_tick_that_is_hurried_meanwhile_is_put_right },
	};

	return usched_test_main("ticks", tests, sizeof(tests) / sizeof(tests[0]));
}
