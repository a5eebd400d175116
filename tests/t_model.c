/* SPDX-License-Identifier: MIT */
/*
 * The protocol of carriers, workers and the monitor, explored: no interleaving and no old value of
 * memory leads to a worker with two owners, a fiber in two places or in none, a race on what changes
 * hands, or a state from which the fibers are never done. See model/model.h for the memory and what
 * it leaves out, model/protocol.h for the checks; model/event.c and model/period.c for events and ticks;
 * model/queues.h for what is explored apart.
 *
 * Then each order, fence and atomic operation is left out, one at a time, and the explorer must find
 * what goes wrong without it; or must not, where something else gives the same.
 *
 * One line for each exploration says how many states and transitions it had. The shortest way to an
 * unexpected violation is written, too; with USCHED_MODEL_TRACE=1 also the expected ones.
 *
 *	USCHED_MODEL_TRACE=1 USCHED_TEST=without_P1_MEMBARRIER ./tests/t_model
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"
#include "model/event.h"
#include "model/period.h"
#include "model/protocol.h"
#include "model/queues.h"

/* A sanitizer makes the program ten times slower, and so may an emulator. */
#if USCHED_ASAN || USCHED_TSAN || !defined(__x86_64__)
#define MORE(here, there) (there)
#else
#define MORE(here, there) (here)
#endif

/* Each has at least so many carriers as the monitor would have made: one more than there are fibers
   that may be stopped in mid-run, where a stopped one is waited for. */
#define SETUPS(X)							\
	/* the monitor takes; two, three and four carriers */		\
	X(take, .carriers = 2, .workers = 1, .fibers = { "c", "c" }, .where = "00", .takes = 1) \
	X(take_ticks, .carriers = 2, .workers = 1, .fibers = { "c", "c" }, .where = "00", \
	  .takes = 1, .ticks = MORE(2, 1))				\
	X(take_twice, .carriers = 2, .workers = 1, .fibers = { "c", "c" }, .where = "00", \
	  .takes = 2, .ticks = MORE(1, 0))				\
	X(take_three, .carriers = 3, .workers = 1, .fibers = { "c", "c" }, .where = "00", \
	  .takes = 1, .ticks = MORE(2, 1))				\
	X(take_four, .carriers = 4, .workers = 1, .fibers = { "c", "", "" }, .where = "000", \
	  .takes = MORE(2, 1))						\
	X(no_membarrier, .carriers = 2, .workers = 1, .fibers = { "cc", "c" }, .where = "00", \
	  .takes = 1, .no_membarrier = true)				\
	X(no_membarrier_ticks, .carriers = 2, .workers = 1, .fibers = { "c", "c" }, .where = "00", \
	  .takes = MORE(2, 1), .ticks = 1, .no_membarrier = true)	\
	X(blocked_two, .carriers = 2, .workers = 1, .fibers = { "b", "s" }, .where = "00") \
	X(blocked, .carriers = MORE(3, 2), .workers = 1, .fibers = { "b", "s" }, .where = "00") \
	X(batched, .carriers = 4, .workers = 2, .fibers = { "", MORE("", NULL) }, \
	  .where = "01", .takes = 1, .batched = true)					\
	/* there is no spare, but somebody was stopped who has a carrier */	\
	X(stand_in, .carriers = 2, .workers = 1, .fibers = { "ts", "b" }, .where = "00", \
	  .stands_in = true)						\
	X(stand_in_next, .carriers = 2, .workers = 1, .fibers = { "ts", "b" }, .where = "00", \
	  .stands_in = true, .front = true)				\
	X(stand_in_behind, .carriers = 2, .workers = 1, .fibers = { "ts", "b", "" }, .where = "000", \
	  .stands_in = true)						\
	X(stand_in_inbox, .carriers = 2, .workers = 1, .fibers = { "c", "c" }, .where = "00", \
	  .stands_in = true, .takes = 2)				\
	X(stand_in_back, .carriers = 2, .workers = 1, .fibers = { "t", "c" }, .where = "00", \
	  .stands_in = true, .takes = 1, .ticks = 1)			\
	X(stand_in_share, .carriers = 3, .workers = 2, .fibers = { "t", "t" }, .where = "00", \
	  .stands_in = true, .front = true, .takes = 1)			\
	X(stand_in_sleep, .carriers = 2, .workers = 1, .fibers = { "t", "" }, .where = "00", \
	  .stands_in = true, .takes = 1, .sleeps = true)		\
	X(stand_in_workers, .carriers = 3, .workers = 2, .fibers = { "t", "" }, .where = "01", \
	  .stands_in = true, .takes = 1)				\
	/* hand-off to a spare, to a bound carrier, to nobody */	\
	X(hand_off, .carriers = 3, .workers = 1, .fibers = { "c", ".", "" }, .where = "000", \
	  .ticks = 2)							\
	X(hand_off_four, .carriers = 4, .workers = 1, .fibers = { ".", ".", ".", "y" }, \
	  .where = "0000", .ticks = 4)					\
	X(hand_off_front, .carriers = 3, .workers = 1, .fibers = { ".", ".", "y" }, .where = "000", \
	  .ticks = 3, .front = true)					\
	X(hand_off_both, .carriers = 3, .workers = 2, .fibers = { "t", "", "t", "" }, \
	  .where = "0011")						\
	X(hand_off_workers, .carriers = 4, .workers = 2, .fibers = { ".", ".", ".", "" }, \
	  .where = "0011", .ticks = MORE(2, 1))				\
	X(starved, .carriers = 1, .workers = 1, .fibers = { ".", "", "" }, .where = "000", \
	  .ticks = 2)							\
	/* two workers: thieves of bound and unbound fibers */		\
	X(steal, .carriers = 3, .workers = 2, .fibers = { "c", "c", "" }, .where = "000", \
	  .ticks = 1)							\
	X(steal_yield, .carriers = 2, .workers = 2, .fibers = { "y", "y" }, .where = "00") \
	X(steal_take, .carriers = 3, .workers = 2, .fibers = { "t", "" }, .where = "00", \
	  .takes = 1)							\
	X(steal_take_call, .carriers = 3, .workers = 2, .fibers = { "c", "" }, .where = "00", \
	  .takes = 1)							\
	X(park, .carriers = 2, .workers = 2, .fibers = { "p", "w", "w" }, .where = "000") \
	X(park_front, .carriers = 3, .workers = 1, .fibers = { "p", "t", "w" }, .where = "000", \
	  .front = true)						\
	X(park_take, .carriers = 3, .workers = 2, .fibers = { "p", "w" }, .where = "01", \
	  .takes = 1)							\
	X(pinned, .carriers = 3, .workers = 2, .fibers = { "k", "w" }, .where = "00") \
	X(pinned_tick, .carriers = 3, .workers = 2, .fibers = { "k", "tw" }, .where = "00") \
	X(pinned_take, .carriers = 3, .workers = 2, .fibers = { "k", "w" }, .where = "00", \
	  .takes = MORE(1, 0))						\
	/* a CPU is revoked, and granted again */			\
	X(revoke, .carriers = 3, .workers = 1, .fibers = { "c", "c" }, .where = "00", .ticks = 1, \
	  .revokes = 1)							\
	X(revoke_take, .carriers = 3, .workers = 1, .fibers = { "c", "c" }, .where = "00", \
	  .takes = 1, .revokes = MORE(1, 0))				\
	X(revoke_spare, .carriers = 2, .workers = 2, .fibers = { "t", "" }, .where = "00", \
	  .revokes = 1, .for_good = true)				\
	X(revoke_again, .carriers = 3, .workers = 2, .fibers = { "tt", "" }, .where = "00", \
	  .revokes = 1)							\
	X(revoke_one, .carriers = 3, .workers = 2, .fibers = { "t", MORE("t", "") }, .where = "01", \
	  .revokes = 1)							\
	/* idle workers, and who wakes them */				\
	X(sleep, .carriers = 2, .workers = 2, .fibers = { "" }, .where = "o", .sleeps = true) \
	X(sleep_alone, .carriers = 1, .workers = 1, .fibers = { "", "", "" }, .where = "ooo", \
	  .sleeps = true)						\
	X(sleep_two, .carriers = 2, .workers = 2, .fibers = { "", MORE("", NULL) }, \
	  .where = MORE("oo", "o"), .sleeps = true)			\
	X(sleep_take, .carriers = 2, .workers = 1, .fibers = { "c", "" }, .where = "0i", \
	  .sleeps = true, .takes = 1)					\
	X(sleep_revoke, .carriers = 2, .workers = 2, .fibers = { "" }, .where = "1", .sleeps = true, \
	  .revokes = 1, .for_good = true)				\
	X(mailbox, .carriers = 2, .workers = 2, .fibers = { "" }, .where = "m", .sleeps = true) \
	X(mailbox_revoke, .carriers = 2, .workers = 2, .fibers = { "" }, .where = "m", \
	  .sleeps = true, .revokes = 1, .for_good = true)

#define X(setup, ...) static const struct protocol_setup setup = { .name = #setup, __VA_ARGS__ };
SETUPS(X)
#undef X

/* Posts to events, and who waits for them. */
#define EVENTS(X)							\
	X(event_two, .waiters = "ft", .waits = 1, .posts = MORE(2, 1))		\
	X(event_deadline, .waiters = "Ff", .waits = 1, .posts = 1)		\
	X(event_handled, .waiters = "f", .waits = 2, .posts = 1, .handled = 1)	\
	X(event_thread, .waiters = "T", .waits = 1, .posts = 1, .handled = 1)	\
	X(event_nested, .waiters = "t", .waits = 2, .posts = 1, .nested = 1)	\
	X(event_other, .waiters = "f", .waits = 1, .posts = 1, .other = true)	\
	X(event_destroyed, .waiters = "t", .waits = 2, .posts = 2, .destroyed = true)

#define X(setup, ...) static const struct event_setup setup = { .name = #setup, __VA_ARGS__ };
EVENTS(X)
#undef X

/* The period of a tick, and who changes it. */
#define PERIODS(X)							\
	X(period_ordered, .monitor = "o", .quantum = 2, .next = 2, .calls = 1, .dispatches = 1)	\
	X(period_renewed, .monitor = "q", .quantum = 2, .next = 3, .calls = MORE(2, 1),	\
	  .dispatches = MORE(2, 1))						\
	X(period_calm, .monitor = "hq", .quantum = 3, .next = 2, .calls = MORE(2, 1), .dispatches = 1) \
	X(period_grown, .monitor = "h", .quantum = 2, .next = 2, .calls = 2, .dispatches = 3, .own = true) \
	X(period_slower, .monitor = "q", .quantum = 3, .next = 2, .calls = 1, .dispatches = 1)	\
	X(period_rested, .monitor = "", .quantum = 2, .next = 2, .calls = 1, .dispatches = 0,	\
	  .rests = true, .outside = true)				\
	X(period_rested_soon, .monitor = "h", .quantum = 2, .next = 2, .calls = 0, .dispatches = 0, \
	  .rests = true, .outside = true)

#define X(setup, ...) static const struct period_setup setup = { .name = #setup, __VA_ARGS__ };
PERIODS(X)
#undef X

static struct model_result explore(const struct model_machine *machine, unsigned int weakened,
				   bool narrow, const char *what)
{
	bool tell = getenv("USCHED_MODEL_TRACE") != NULL;
	struct model_result result = model_explore(machine, weakened, narrow, tell);

	printf("     %-20s %8u states %9" PRIu64 " transitions  %s%s%s\n", machine->name,
	       result.states, result.transitions, what, result.failure[0] ? ": " : "",
	       result.failure);
	return result;
}

static void must_hold(const struct model_machine *machine, unsigned int weakened, bool narrow,
		      const char *what)
{
	struct model_result result = explore(machine, weakened, narrow, what);

	if (result.verdict != MODEL_HOLDS && result.verdict != MODEL_TOO_LARGE)
		(void)model_explore(machine, weakened, narrow, true);
	CU_ASSERT_EQUAL(result.verdict, MODEL_HOLDS);
	CU_ASSERT(result.states > 1);
}

static void must_break(const struct model_machine *machine, unsigned int weakened,
		       const char *what)
{
	struct model_result result = explore(machine, weakened, false, what);

	CU_ASSERT_NOT_EQUAL(result.verdict, MODEL_HOLDS);
	CU_ASSERT_NOT_EQUAL(result.verdict, MODEL_TOO_LARGE);
}

static void check_without(const struct model_machine *machine, unsigned int weakened, bool missed,
			  const char *text)
{
	char what[MODEL_TEXT];

	snprintf(what, sizeof(what), "without %s", text);
	if (missed)
		must_break(machine, weakened, what);
	else
		must_hold(machine, weakened, machine->barred != 0, what);
}

#define X(setup, ...)							\
	static void setup##_holds(void)					\
	{								\
		must_hold(protocol_machine(&setup), PROTOCOL_WHOLE, true, "hold"); \
	}
SETUPS(X)
#undef X

/* A step that is never taken would be one that nothing was shown of. */
static void every_step_is_taken(void)
{
	static const struct protocol_setup *const setups[] = {
		&take_ticks, &blocked_two, &hand_off_front, &starved, &steal, &park_front, &pinned,
		&revoke, &sleep, &mailbox, &steal_yield, &revoke_spare, &stand_in_behind, &stand_in_next,
	};
	static const struct {
		enum protocol_step at;
		const char *name;
	} steps[] = {
#define X(step, text) { AT_##step, #step },
		PROTOCOL_STEPS(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++)
		(void)model_explore(protocol_machine(setups[i]), PROTOCOL_WHOLE, true, false);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		/* The first two belong to something that is left out, the last is an end. */
		if (steps[i].at == AT_ENTER_LATE || steps[i].at == AT_LEAVE_LATE ||
		    steps[i].at == AT_OVER)
			continue;
		if (!protocol_was_taken(steps[i].at))
			printf("     never taken: %s\n", steps[i].name);
		CU_ASSERT(protocol_was_taken(steps[i].at));
	}
}

static void what_is_needless_is_so_together(void)
{
	static const struct protocol_setup *const setups[] = {
		&take_ticks, &take_twice, &take_three, &no_membarrier_ticks, &steal_take_call,
		&revoke, &sleep, &mailbox,
	};

	for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++)
		must_hold(protocol_machine(setups[i]), WITHOUT_NEEDLESS, true,
			  "without what is needless");
}

static void queues_hold(void)
{
	must_hold(&ring_machine, RING_WHOLE, false, "hold");
	must_hold(&spares_machine, SPARES_WHOLE, false, "hold");
	must_hold(&dismiss_machine, DISMISS_WHOLE, false, "hold");
	must_hold(&inbox_machine, INBOX_WHOLE, false, "hold");
}

static void events_hold(void)
{
#define X(setup, ...) must_hold(event_machine(&setup), EVENT_WHOLE, true, "hold");
	EVENTS(X)
#undef X
}

static void periods_hold(void)
{
#define X(setup, ...) must_hold(period_machine(&setup), PERIOD_WHOLE, false, "hold");
	PERIODS(X)
#undef X
}

static void biases_hold(void)
{
	must_hold(&bias_moves_machine, BIAS_WHOLE, false, "hold");
	must_hold(&bias_two_machine, BIAS_WHOLE, false, "hold");
}

static void pairs_hold(void)
{
	must_hold(&pairs_s2_machine, PAIRS_WHOLE, false, "hold");
	must_hold(&pairs_q1_machine, PAIRS_WHOLE, false, "hold");
}

/* ---- something is left out --------------------------------------------------------------------- */

#define X(name, setup, missed, text)					\
	static void without_##name(void)				\
	{								\
		check_without(protocol_machine(&setup), WITHOUT_##name, missed, text); \
	}
PROTOCOL_WEAK(X)
#undef X

#define X(name, missed, text)						\
	static void ring_without_##name(void)				\
	{								\
		check_without(&ring_machine, RING_WITHOUT_##name, missed, text); \
	}
RING_WEAK(X)
#undef X

#define X(name, missed, text)						\
	static void spares_without_##name(void)				\
	{								\
		check_without(&spares_machine, SPARES_WITHOUT_##name, missed, text); \
	}
SPARES_WEAK(X)
#undef X

#define X(name, missed, text)						\
	static void dismiss_without_##name(void)			\
	{								\
		check_without(&dismiss_machine, DISMISS_WITHOUT_##name, missed, text); \
	}
DISMISS_WEAK(X)
#undef X

#define X(name, missed, text)						\
	static void inbox_without_##name(void)				\
	{								\
		check_without(&inbox_machine, INBOX_WITHOUT_##name, missed, text); \
	}
INBOX_WEAK(X)
#undef X

#define X(name, setup, missed, text)					\
	static void event_without_##name(void)				\
	{								\
		check_without(event_machine(&setup), EVENT_WITHOUT_##name, missed, text); \
	}
EVENT_WEAK(X)
#undef X

#define X(name, setup, missed, text)					\
	static void period_without_##name(void)				\
	{								\
		check_without(period_machine(&setup), PERIOD_WITHOUT_##name, missed, text); \
	}
PERIOD_WEAK(X)
#undef X

#define X(name, setup, missed, text)					\
	static void bias_without_##name(void)				\
	{								\
		check_without(&bias_##setup##_machine, BIAS_WITHOUT_##name, missed, text); \
	}
BIAS_WEAK(X)
#undef X

static const struct model_machine *pair_of(unsigned int weakened)
{
	switch (weakened) {
	case PAIRS_WITHOUT_S2_OWNER:
	case PAIRS_WITHOUT_S2_MONITOR:
		return &pairs_s2_machine;
	default:
		return &pairs_q1_machine;
	}
}

#define X(name, missed, text)						\
	static void pairs_without_##name(void)				\
	{								\
		check_without(pair_of(PAIRS_WITHOUT_##name), PAIRS_WITHOUT_##name, missed, text); \
	}
PAIRS_WEAK(X)
#undef X

/* The states are the same whatever counts them: an emulator would only take ten times as long. */
static void all_states(void)
{
	USCHED_SKIP("emulator: it would count the same states, slowly");
}

int main(void)
{
	static const struct usched_test none[] = { { "all_states", all_states } };
	static const struct usched_test tests[] = {
#define X(setup, ...) { #setup "_holds", setup##_holds },
		SETUPS(X)
#undef X
		{ "every_step_is_taken", every_step_is_taken },
		{ "queues_hold", queues_hold },
		{ "events_hold", events_hold },
		{ "periods_hold", periods_hold },
		{ "biases_hold", biases_hold },
		{ "pairs_hold", pairs_hold },
		{ "what_is_needless_is_so_together",
		  what_is_needless_is_so_together },
#define X(name, setup, missed, text) { "without_" #name, without_##name },
		PROTOCOL_WEAK(X)
#undef X
#define X(name, missed, text) { "ring_without_" #name, ring_without_##name },
		RING_WEAK(X)
#undef X
#define X(name, missed, text) { "spares_without_" #name, spares_without_##name },
		SPARES_WEAK(X)
#undef X
#define X(name, missed, text) { "dismiss_without_" #name, dismiss_without_##name },
		DISMISS_WEAK(X)
#undef X
#define X(name, missed, text) { "inbox_without_" #name, inbox_without_##name },
		INBOX_WEAK(X)
#undef X
#define X(name, setup, missed, text) { "event_without_" #name, event_without_##name },
		EVENT_WEAK(X)
#undef X
#define X(name, setup, missed, text) { "period_without_" #name, period_without_##name },
		PERIOD_WEAK(X)
#undef X
#define X(name, setup, missed, text) { "bias_without_" #name, bias_without_##name },
		BIAS_WEAK(X)
#undef X
#define X(name, missed, text) { "pairs_without_" #name, pairs_without_##name },
		PAIRS_WEAK(X)
#undef X
	};

	if (getenv("USCHED_EMULATOR"))
		return usched_test_main("model", none, 1);
	return usched_test_main("model", tests, sizeof(tests) / sizeof(tests[0]));
}
