/* SPDX-License-Identifier: MIT */
/*
 * Interleavings of hand-offs between carriers, spares and thieves, and with those who reach for the fiber
 * that is handed off; see the table in t_protocol.c. Most have ticks that come when the test says so,
 * and holds at the points of worker/step.h.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <usched/usched.h>

#include "forced.h"
#include "harness.h"
#include "sync/wait.h"

#if USCHED_DEBUG

enum { TURNS = 20 };

static struct usched_runtime *runtime;

/* The hook is set before the first carrier, and never NULL again: it may be about to be called. */
static bool start_forced(uint32_t workers, uint32_t carriers)
{
	usched_step_hook = forced_step;
	runtime = forced_start(workers, carriers);
	if (runtime)
		stop_monitor(runtime);
	return runtime != NULL;
}

static void stop(void)
{
	atomic_store(&forced_hook, NULL);
	let_monitor_go();
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

static struct usched_fiber *fiber_of(usched_fiber_t id)
{
	return usched_table_record(&runtime->scheduler.fibers, usched_id_index(id));
}

static bool is_held(usched_fiber_t id)
{
	struct usched_carrier *bound = usched_fiber_bound(fiber_of(id));

	return bound && atomic_load(&bound->worker) == NULL;
}

/*
 * 5. A fiber that is handed off is in the queue before its carrier has given the worker away. A thief
 *    takes it from there and orders the carrier, which has another worker then before it has gone to
 *    sleep for it.
 */
static _Atomic(struct usched_carrier *) watched;
static _Atomic(struct usched_worker *) second;
static _Atomic bool ordered_early;

static void thief_is_faster(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (!is(point, "handoff") || carrier != atomic_load(&watched))
		return;
	HOLD_UNTIL((usched_wake_worker(atomic_load(&second)), atomic_load(&carrier->go)));
	atomic_store(&ordered_early, true);
}

static void a_thief_orders_the_carrier_that_gives_away(void)
{
	struct usched_fiber_options never = USCHED_FIBER_OPTIONS_INIT;
	static struct hog stopped, next;

	CU_ASSERT_FATAL(start_forced(2, 0));
	if (!granted_worker(runtime, 1)) {
		stop();
		USCHED_SKIP("few-cpus: needs two CPUs");
	}
	never.preempt = USCHED_PREEMPT_NEVER;
	for (unsigned int i = 0; i < TURNS; i++) {
		struct usched_worker *first;

		atomic_store(&ordered_early, false);
		begin_hog(&stopped, NULL);
		HOLD_UNTIL(atomic_load(&stopped.carrier));
		atomic_store(&watched, atomic_load(&stopped.carrier));
		first = atomic_load(&atomic_load(&watched)->worker);
		atomic_store(&second, granted_worker(runtime, first == granted_worker(runtime, 0)));
		/* In the mailbox, from where nobody steals it. */
		never.cpu = (int)first->cpu;
		begin_hog(&next, &never);
		/* A thief that is awake could take the next one, as it passes through the ring. */
		HOLD_UNTIL(atomic_load(&atomic_load(&second)->idle_since_ns));
		atomic_store(&forced_hook, thief_is_faster);
		forced_tick(atomic_load(&watched));
		HOLD_UNTIL(atomic_load(&ordered_early));
		HOLD_UNTIL(atomic_load(&next.carrier));
		hog_runs(&stopped);
		CU_ASSERT_PTR_EQUAL(atomic_load(&atomic_load(&watched)->worker), atomic_load(&second));
		CU_ASSERT_PTR_EQUAL(atomic_load(&atomic_load(&next.carrier)->worker), first);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
		atomic_store(&forced_hook, NULL);
		end_hog(&next);
		end_hog(&stopped);
	}
	stop();
}

/*
 * 6. The loop gives its worker to a stopped fiber's carrier, and is a spare from before. That fiber is
 *    stopped again at once, and orders the spare before it has gone to sleep.
 */
static _Atomic bool dawdles_now;
static _Atomic(struct usched_carrier *) dawdler;

static void spare_dawdles(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (!is(point, "wait") || usched_current(carrier) || !atomic_exchange(&dawdles_now, false))
		return;
	atomic_store(&dawdler, carrier);
	HOLD_UNTIL(atomic_load(&carrier->go));
	atomic_store(&ordered_early, true);
}

static void a_spare_is_ordered_before_it_sleeps(void)
{
	static struct hog stopped, between, last;

	/* One carrier runs, and there is one spare. */
	CU_ASSERT_FATAL(start_forced(1, 2));
	for (unsigned int i = 0; i < TURNS; i++) {
		struct usched_carrier *carrier;

		atomic_store(&ordered_early, false);
		atomic_store(&dawdler, NULL);
		begin_hog(&stopped, NULL);
		HOLD_UNTIL(atomic_load(&stopped.carrier));
		carrier = atomic_load(&stopped.carrier);
		begin_hog(&between, NULL);
		forced_tick(carrier);
		HOLD_UNTIL(atomic_load(&between.carrier));
		HOLD_UNTIL(is_held(stopped.id));
		atomic_store(&forced_hook, spare_dawdles);
		atomic_store(&dawdles_now, true);
		end_hog(&between);
		HOLD_UNTIL(atomic_load(&dawdler));
		begin_hog(&last, NULL);
		hog_runs(&stopped);
		forced_tick(carrier);
		HOLD_UNTIL(atomic_load(&last.carrier));
		CU_ASSERT(atomic_load(&ordered_early));
		CU_ASSERT_PTR_EQUAL(atomic_load(&last.carrier), atomic_load(&dawdler));
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
		atomic_store(&forced_hook, NULL);
		end_hog(&last);
		end_hog(&stopped);
	}
	stop();
}

/*
 * 5 and 6, by real ticks: two workers if there are, hogs, and every carrier that is about to sleep is held
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

static void *counts_to_the_end(void *argument)
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
		usched_step_hook = forced_step;
		CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
		atomic_store(&forced_hook, dawdles);
		for (unsigned int i = 0; i < 6; i++)
			CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], counts_to_the_end, &options, NULL), 0);
		for (unsigned int i = 0; i < 6; i++) {
			void *result = &options;

			CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
			CU_ASSERT_PTR_NULL(result);
		}
		atomic_store(&forced_hook, NULL);
		CU_ASSERT(atomic_load(&early_orders) > 0);
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	}
}

/*
 * 7. Two hogs have the only two carriers: each tick hands the worker to the other one's carrier.
 */
static void two_hogs_hand_over_to_each_other(void)
{
	static struct hog hogs[2];
	uint64_t spare, direct;

	CU_ASSERT_FATAL(start_forced(1, 2));
	begin_hog(&hogs[0], NULL);
	HOLD_UNTIL(atomic_load(&hogs[0].carrier));
	begin_hog(&hogs[1], NULL);
	forced_tick(atomic_load(&hogs[0].carrier));
	HOLD_UNTIL(atomic_load(&hogs[1].carrier) && is_held(hogs[0].id));
	spare = forced_sum(runtime, USCHED_DECISION_SPARE);
	for (unsigned int i = 0; i < 10 * TURNS; i++) {
		struct hog *running = &hogs[(i + 1) % 2], *stopped = &hogs[i % 2];
		uint64_t turns;

		direct = forced_sum(runtime, USCHED_DECISION_DIRECT);
		forced_tick(atomic_load(&running->carrier));
		hog_runs(stopped);
		HOLD_UNTIL(is_held(running->id));
		turns = atomic_load(&running->turns);
		hog_runs(stopped);
		CU_ASSERT_EQUAL(atomic_load(&running->turns), turns);
		CU_ASSERT_EQUAL(forced_sum(runtime, USCHED_DECISION_DIRECT), direct + 1);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	}
	CU_ASSERT_EQUAL(forced_sum(runtime, USCHED_DECISION_SPARE), spare);
	CU_ASSERT_EQUAL(forced_sum(runtime, USCHED_DECISION_STARVED), 0);
	CU_ASSERT(every_tick_is_counted_once(runtime));
	atomic_store(&hogs[1].end, true);	/* one of them is held until the other ends */
	end_hog(&hogs[0]);
	end_hog(&hogs[1]);
	stop();
}

/* ---- reaching for a fiber that is held ---- */

static struct hog held, holder;
static _Atomic int joined;		/* 1: what it should be, -1: not */
static _Atomic bool holder_joins;

static void join_held(void)
{
	void *result = &held;

	if (usched_join(held.id, &result, SOON) || result)
		atomic_store(&joined, -1);
	else
		atomic_store(&joined, 1);
}

static void *joins_held(void *argument)
{
	join_held();
	return argument;
}

static void *computes_then_joins(void *argument)
{
	hog_computes(argument);
	if (atomic_load(&holder_joins))
		join_held();
	return NULL;
}

/* One fiber is stopped in mid-run, and asleep with its carrier; another one computes. */
static void hold_one(bool joins)
{
	struct usched_fiber_options never = USCHED_FIBER_OPTIONS_INIT;

	atomic_store(&joined, 0);
	atomic_store(&holder_joins, joins);
	begin_hog(&held, NULL);
	HOLD_UNTIL(atomic_load(&held.carrier));
	never.preempt = USCHED_PREEMPT_NEVER;
	atomic_store(&holder.carrier, NULL);
	atomic_store(&holder.end, false);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &holder.id, computes_then_joins, &holder, &never),
			      0);
	forced_tick(atomic_load(&held.carrier));
	HOLD_UNTIL(atomic_load(&holder.carrier) && is_held(held.id));
}

static bool is_waited_for(usched_fiber_t id)
{
	return usched_fiber_join_state(fiber_of(id)) == USCHED_JOIN_WAITED;
}

/*
 * 12. While a fiber is held its quantum is changed, it is joined by a thread, by a fiber of its worker,
 *     or detached: each of these changes its descriptor only, and it goes on where it was.
 */
static void a_held_fiber_is_joined_and_retuned(void)
{
	CU_ASSERT_FATAL(start_forced(1, 0));
	for (unsigned int i = 0; i < 3 * TURNS; i++) {
		uint64_t turns;
		pthread_t thread;

		hold_one(i % 3 == 1);
		turns = atomic_load(&held.turns);
		CU_ASSERT_EQUAL(usched_set_quantum(held.id, 5000000), 0);
		CU_ASSERT_EQUAL(usched_join(held.id, NULL, USCHED_NOW), -EAGAIN);
		CU_ASSERT_EQUAL(usched_join(held.id, NULL, usched_after(1000000)), -ETIMEDOUT);
		if (i % 3 == 0) {
			CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, joins_held, NULL), 0);
			HOLD_UNTIL(is_waited_for(held.id));
			CU_ASSERT_EQUAL(usched_join(held.id, NULL, SOON), -EBUSY);
			CU_ASSERT_EQUAL(usched_detach(held.id), -EBUSY);
		} else if (i % 3 == 2) {
			CU_ASSERT_EQUAL(usched_detach(held.id), 0);
			CU_ASSERT_EQUAL(usched_join(held.id, NULL, SOON), -ESRCH);
		}
		CU_ASSERT(is_held(held.id));
		CU_ASSERT_EQUAL(atomic_load(&held.turns), turns);
		atomic_store(&holder.end, true);
		hog_runs(&held);
		CU_ASSERT_EQUAL(atomic_load(&fiber_of(held.id)->quantum_ns), 5000000);
		if (i % 3 == 1)
			HOLD_UNTIL(is_waited_for(held.id));
		atomic_store(&held.end, true);
		if (i % 3 == 0)
			pthread_join(thread, NULL);
		CU_ASSERT_EQUAL_FATAL(usched_join(holder.id, NULL, SOON), 0);
		HOLD_UNTIL(usched_alive(&runtime->scheduler, NULL) == 0);
		CU_ASSERT_EQUAL(atomic_load(&joined), i % 3 == 2 ? 0 : 1);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	}
	stop();
}

/*
 * A receiver has left its stack and does not wait yet: the carrier is held before it commits the wait.
 * A sender that comes now must wait for that; else it would find nobody to wake.
 */
static struct usched_channel *channel;
static _Atomic bool commits, send_begins, send_is_over, sent_early;

static void held_before_commit(const char *point, void *carrier)
{
	(void)carrier;
	if (!is(point, "commit") || atomic_exchange(&commits, true))
		return;
	HOLD_UNTIL(atomic_load(&send_begins));
	for (unsigned int i = 0; i < 10; i++)
		pause_shortly();
	atomic_store(&sent_early, atomic_load(&send_is_over));
}

static void *receives(void *argument)
{
	uint64_t value = 0;

	return usched_channel_receive(channel, &value, SOON) || value != 4711 ? argument : NULL;
}

static void a_waker_waits_for_the_commit(void)
{
	const uint64_t value = 4711;

	CU_ASSERT_FATAL(start_forced(1, 0));
	CU_ASSERT_EQUAL_FATAL(usched_channel_create(&channel, sizeof(value), 0), 0);
	for (unsigned int i = 0; i < TURNS; i++) {
		usched_fiber_t id;
		void *result = &id;

		atomic_store(&commits, false);
		atomic_store(&send_begins, false);
		atomic_store(&send_is_over, false);
		atomic_store(&forced_hook, held_before_commit);
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, receives, &id, NULL), 0);
		HOLD_UNTIL(atomic_load(&commits));
		atomic_store(&send_begins, true);
		CU_ASSERT_EQUAL(usched_channel_send(channel, &value, SOON), 0);
		atomic_store(&send_is_over, true);
		CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
		CU_ASSERT_FALSE(atomic_load(&sent_early));
	}
	stop();
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
}

/*
 * 13. Without a spare the monitor takes a stopped fiber out of the ring, whose carrier is to have the
 *     worker of one that blocks. Just then that goes on and ends; the worker finds nothing, and sleeps.
 *     The stopped fiber goes to the inbox, and somebody has to be told.
 */
static int blocks_on[2];
static _Atomic bool blocked_ends, stood_in;

static void holds_who_stands_in(const char *point, void *carrier)
{
	(void)carrier;
	if (!is(point, "stand in") || !atomic_exchange(&blocked_ends, false))
		return;
	(void)!write(blocks_on[1], "", 1);
	HOLD_UNTIL(atomic_load(&granted_worker(runtime, 0)->idle_since_ns));
	atomic_store(&stood_in, true);
}

static void *blocks_in_read(void *argument)
{
	char byte;

	return read(blocks_on[0], &byte, 1) == 1 ? argument : NULL;
}

static void a_fiber_that_is_put_back_wakes_its_worker(void)
{
	static struct hog stopped;
	usched_fiber_t id;
	void *result;

	CU_ASSERT_FATAL(start_forced(1, 2));
	CU_ASSERT_EQUAL_FATAL(pipe(blocks_on), 0);
	for (unsigned int i = 0; i < TURNS; i++) {
		atomic_store(&stood_in, false);
		begin_hog(&stopped, NULL);
		HOLD_UNTIL(atomic_load(&stopped.carrier));
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, blocks_in_read, &id, NULL), 0);
		forced_tick(atomic_load(&stopped.carrier));
		HOLD_UNTIL(is_held(stopped.id));
		atomic_store(&forced_hook, holds_who_stands_in);
		atomic_store(&blocked_ends, true);
		let_monitor_go();
		HOLD_UNTIL(atomic_load(&stood_in));
		hog_runs(&stopped);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
		stop_monitor(runtime);
		atomic_store(&forced_hook, NULL);
		end_hog(&stopped);
		CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
		CU_ASSERT_PTR_EQUAL(result, &id);
	}
	close(blocks_on[0]);
	close(blocks_on[1]);
	stop();
}

#else

static void needs_steps(void)
{
	USCHED_SKIP("no-steps: configure with --enable-debug");
}

#define a_thief_orders_the_carrier_that_gives_away needs_steps
#define a_spare_is_ordered_before_it_sleeps needs_steps
#define hogs_move_between_dawdling_carriers needs_steps
#define two_hogs_hand_over_to_each_other needs_steps
#define a_held_fiber_is_joined_and_retuned needs_steps
#define a_waker_waits_for_the_commit needs_steps
#define a_fiber_that_is_put_back_wakes_its_worker needs_steps

#endif

int main(void)
{
	static const struct usched_test tests[] = {
		{ "a_thief_orders_the_carrier_that_gives_away",
		  a_thief_orders_the_carrier_that_gives_away },
		{ "a_spare_is_ordered_before_it_sleeps", a_spare_is_ordered_before_it_sleeps },
		{ "hogs_move_between_dawdling_carriers", hogs_move_between_dawdling_carriers },
		{ "two_hogs_hand_over_to_each_other", two_hogs_hand_over_to_each_other },
		{ "a_held_fiber_is_joined_and_retuned", a_held_fiber_is_joined_and_retuned },
		{ "a_waker_waits_for_the_commit", a_waker_waits_for_the_commit },
		{ "a_fiber_that_is_put_back_wakes_its_worker",
		  a_fiber_that_is_put_back_wakes_its_worker },
	};

	return usched_test_main("handoff", tests, sizeof(tests) / sizeof(tests[0]));
}
