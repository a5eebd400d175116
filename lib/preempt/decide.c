/* SPDX-License-Identifier: MIT */
/*
 * The decision table: what a tick does to the fiber that it interrupts.
 *
 *	 what the tick finds				what it does		 counted as
 *	   not a carrier, or not our signal		the previous handler	 - (signal.c)
 *	   the carrier is inside the library		leave a note		 DEFERRED
 *	   the worker was taken				wait for a turn		 LOST
 *	 and then, the first row that applies:		(table[] below)
 *	 1 the worker's CPU was revoked			queue all, wait		 REVOKED
 *	 2 the fiber has no quantum			stop the tick		 OFF
 *	 3 the slice is not over			go on			 YOUNG
 *	 4 preemption is off in this section		leave a note		 SECTION
 *	 5 the fiber's mode is NEVER			go on			 NEVER
 *	 6 nothing else to run				go on, perhaps rest	 ALONE
 *	 7 mode YIELD, and nothing speaks against it	switch the stack	 YIELDED
 *	 8 in libc, and this slice has grace left	look again in 50 us	 GRACE
 *	 9 the next fiber has a carrier			hand over to it		 DIRECT
 *	10 there is a spare carrier			hand over to it		 SPARE
 *	11 somebody behind has a carrier		hand over to that, too	 DIRECT
 *	12 else						go on, want a carrier	 STARVED
 *
 * A note is a tick that came inside the library, or inside a section: the same table is gone
 * through when the fiber leaves, so rows 7 and 8, which need the interrupted frame, do not apply.
 *
 * Slices. The tick is free-running: no system call is made at a switch. A tick that finds another
 * dispatch count than the last one starts the slice; the slice is over when it has lasted a quantum
 * less half a period. So one that began with a cooperative switch lasts one to two quanta; one that
 * began with a hand-off, which restarts the count, one. If the monitor asked for this very dispatch
 * to end, because somebody else became ready, it is over at once: the monitor has seen to the
 * minimum.
 */
#include <stddef.h>

#include "preempt/code.h"
#include "preempt/tick.h"
#include "worker/dispatch.h"

enum {
	GRACES = 2,			/* looks that a slice is given in libc		*/
	ALONE_TICKS = 2,		/* in a row, before the tick is stopped		*/
};

struct tick {
	struct usched_carrier *carrier;
	struct usched_worker *worker;
	struct usched_fiber *fiber;
	struct usched_fiber *next;	/* picked; belongs to nobody else meanwhile	*/
	struct usched_carrier *spare;
	ucontext_t *frame;		/* NULL: a note					*/
};

static void count(const struct tick *tick, enum usched_decision decision)
{
	usched_count(&tick->worker->counters.decisions[usched_fiber_mode(tick->fiber)][decision]);
}

static bool is_revoked(struct tick *tick)
{
	return atomic_load_explicit(&tick->worker->revoked, memory_order_relaxed);
}

static void surrender(struct tick *tick)
{
	count(tick, USCHED_DECISION_REVOKED);
	usched_surrender(tick->carrier);
}

static bool has_no_quantum(struct tick *tick)
{
	return usched_quantum_of(tick->worker, tick->fiber) == USCHED_QUANTUM_OFF;
}

static void stop_tick(struct tick *tick)
{
	count(tick, USCHED_DECISION_OFF);
	usched_tick_set(tick->carrier, 0);
}

static bool is_young(struct tick *tick)
{
	struct usched_carrier *carrier = tick->carrier;
	struct usched_worker *worker = tick->worker;
	uint64_t dispatches = atomic_load_explicit(&worker->counters.dispatches,
						   memory_order_relaxed);
	uint64_t quantum_ns = usched_quantum_of(worker, tick->fiber);
	uint64_t period_ns = atomic_load_explicit(&carrier->tick_ns, memory_order_relaxed);
	uint64_t now = usched_cycles(), ran_ns;
	bool young;

	if (usched_is_urgent(worker)) {
		atomic_store_explicit(&worker->urgent, 0, memory_order_relaxed);	/* served once */
		usched_count(&worker->counters.urgent);
		carrier->grace = 0;
		return false;
	}
	if (dispatches != carrier->tick_dispatches) {
		carrier->tick_dispatches = dispatches;
		carrier->slice_start_cycles = now;
		carrier->grace = 0;
		carrier->alone = 0;
		/* Left from a fiber with a shorter one. */
		if (period_ns < quantum_ns)
			usched_tick_set(carrier, quantum_ns);
		return true;
	}
	ran_ns = usched_cycles_to_ns(&carrier->scheduler->rate, now - carrier->slice_start_cycles);
	young = ran_ns + (period_ns < quantum_ns ? period_ns : quantum_ns) / 2 < quantum_ns;
	/* The quantum grew while the carrier slept with its fiber. */
	if (young && period_ns < quantum_ns)
		usched_tick_set(carrier, quantum_ns);
	return young;
}

static bool is_in_section(struct tick *tick)
{
	return usched_in_section(tick->fiber);
}

static void note_for_section(struct tick *tick)
{
	count(tick, USCHED_DECISION_SECTION);
	tick->fiber->section_note = true;
}

static bool is_never(struct tick *tick)
{
	return usched_fiber_mode(tick->fiber) == USCHED_PREEMPT_NEVER;
}

static bool is_alone(struct tick *tick)
{
	atomic_store_explicit(&tick->worker->poll_due, false, memory_order_relaxed);
	usched_poll(tick->carrier, 0);
	tick->next = usched_pick_from(tick->worker, usched_fiber_priority(tick->fiber));
	return !tick->next;
}

static void perhaps_rest(struct tick *tick)
{
	count(tick, USCHED_DECISION_ALONE);
	if (++tick->carrier->alone >= ALONE_TICKS)
		usched_tick_rest(tick->carrier);
}

static bool may_move(struct tick *tick)
{
	enum usched_veto veto;

	if (usched_fiber_mode(tick->fiber) != USCHED_PREEMPT_YIELD || !tick->frame)
		return false;
	if (usched_code_allows(tick->carrier, tick->fiber, tick->frame, &veto))
		return true;
	usched_count(&tick->worker->counters.vetoes[veto]);
	return false;
}

static void switch_stack(struct tick *tick)
{
	struct usched_carrier *before = tick->carrier;
	struct usched_float_environment handlers;
	sigset_t signal;

	count(tick, USCHED_DECISION_YIELDED);
	usched_count(&tick->fiber->preemptions);
	/* The kernel blocked it for the handler, in this thread: whoever comes next here needs it. */
	sigemptyset(&signal);
	sigaddset(&signal, usched_tick_signal());
	pthread_sigmask(SIG_UNBLOCK, &signal, NULL);
	/* Here it is the kernel's for a handler, or the fiber's, whose own is in the frame. Whoever
	   comes next finds the program's. */
	usched_float_environment_swap(&handlers, &before->scheduler->float_environment);
	tick->carrier = usched_switch_to(tick->carrier, tick->next);
	/* sigreturn also puts the alternate stack back: the one of the thread that it now is. The
	   mask in the frame is every carrier's. */
	if (tick->carrier != before)
		sigaltstack(NULL, &tick->frame->uc_stack);
}

static bool is_in_libc(struct tick *tick)
{
	return tick->frame && tick->carrier->grace < GRACES &&
	       tick->carrier->tick_kind != USCHED_TICK_TIMERFD &&
	       usched_code_is_libc(usched_arch_pc(tick->frame));
}

static void look_again(struct tick *tick)
{
	count(tick, USCHED_DECISION_GRACE);
	tick->carrier->grace++;
	usched_unpick(tick->worker, tick->next);
	usched_tick_hurry(tick->carrier);
}

static bool next_has_carrier(struct tick *tick)
{
	return usched_fiber_bound(tick->next) != NULL;
}

/* A holder of libc's locks that is stopped all the same goes to the front. */
static bool to_the_front(const struct tick *tick)
{
	return tick->frame && usched_code_is_libc(usched_arch_pc(tick->frame));
}

static void hand_over_directly(struct tick *tick)
{
	count(tick, USCHED_DECISION_DIRECT);
	usched_hand_off(tick->carrier, usched_fiber_bound(tick->next), tick->next,
			to_the_front(tick));
}

static bool spare_is_there(struct tick *tick)
{
	tick->spare = usched_spare_pop(tick->worker);
	return tick->spare != NULL;
}

static void hand_over_to_spare(struct tick *tick)
{
	struct usched_scheduler *scheduler = tick->worker->scheduler;

	count(tick, USCHED_DECISION_SPARE);
	/* The last one: the next is made while this fiber runs. Relaxed: a hint. */
	if (atomic_load_explicit(&scheduler->spare_count, memory_order_relaxed) == 0)
		scheduler->hooks.need_carrier(scheduler);
	usched_hand_off(tick->carrier, tick->spare, tick->next, to_the_front(tick));
}

/* What was picked has not begun, so without a spare it cannot run; somebody further behind may. */
static bool another_has_carrier(struct tick *tick)
{
	struct usched_fiber *bound = usched_take_bound(tick->worker);

	if (!bound)
		return false;
	usched_unpick(tick->worker, tick->next);
	tick->next = bound;
	return true;
}

static void hand_over_behind(struct tick *tick)
{
	struct usched_scheduler *scheduler = tick->worker->scheduler;

	USCHED_STEP("behind", tick->carrier);		/* row 9 has the same counter */
	scheduler->hooks.need_carrier(scheduler);
	hand_over_directly(tick);
}

static bool always(struct tick *tick)
{
	(void)tick;
	return true;
}

static void want_carrier(struct tick *tick)
{
	count(tick, USCHED_DECISION_STARVED);
	usched_unpick(tick->worker, tick->next);
	tick->worker->scheduler->hooks.need_carrier(tick->worker->scheduler);
}

static const struct {
	bool (*applies)(struct tick *tick);
	void (*act)(struct tick *tick);			/* NULL: go on */
	enum usched_decision go_on;
} table[] = {
	{ is_revoked,		surrender,		0 },				/*  1 */
	{ has_no_quantum,	stop_tick,		0 },				/*  2 */
	{ is_young,		NULL,			USCHED_DECISION_YOUNG },	/*  3 */
	{ is_in_section,	note_for_section,	0 },				/*  4 */
	{ is_never,		NULL,			USCHED_DECISION_NEVER },	/*  5 */
	{ is_alone,		perhaps_rest,		0 },				/*  6 */
	{ may_move,		switch_stack,		0 },				/*  7 */
	{ is_in_libc,		look_again,		0 },				/*  8 */
	{ next_has_carrier,	hand_over_directly,	0 },				/*  9 */
	{ spare_is_there,	hand_over_to_spare,	0 },				/* 10 */
	{ another_has_carrier,	hand_over_behind,	0 },				/* 11 */
	{ always,		want_carrier,		0 },				/* 12 */
};

/* Inside the library, on the fiber's stack. Returns the carrier on which the fiber goes on. */
static struct usched_carrier *decide(struct usched_carrier *carrier, ucontext_t *frame)
{
	struct tick tick = {
		.carrier = carrier,
		.worker = usched_owned(carrier),
		.fiber = usched_current(carrier),
		.frame = frame,
	};
	size_t row = 0;

	while (!table[row].applies(&tick))
		row++;			/* the last one always does */
	if (table[row].act)
		table[row].act(&tick);
	else
		count(&tick, table[row].go_on);
	return tick.carrier;
}

void usched_preempt_tick(struct usched_carrier *carrier, ucontext_t *frame)
{
	struct usched_scheduler *scheduler = carrier->scheduler;
	struct usched_worker *worker;
	struct usched_fiber *fiber;
	uint32_t losses = carrier->losses;

	if (atomic_load_explicit(&carrier->in_runtime, memory_order_relaxed)) {
		worker = usched_owned(carrier);
		fiber = usched_current(carrier);
		atomic_store_explicit(&carrier->pending, true, memory_order_relaxed);
		/* The first one, at the start. */
		if (atomic_load_explicit(&scheduler->frame_bytes, memory_order_relaxed) == 0)
			atomic_store_explicit(&scheduler->frame_bytes,
					      usched_arch_sp(frame) - (uintptr_t)frame,
					      memory_order_relaxed);
		/* The first row of all, but for one whose worker was taken, or may be just now, and
		   which does not know yet: its counters are another's. [P1] */
		if (worker && atomic_load_explicit(&carrier->revoke, memory_order_acquire) !=
			      USCHED_REVOKE_NONE)
			return;
		if (worker) {
			usched_tick_calm(carrier);	/* the note is what it was for */
			atomic_store_explicit(&worker->poll_due, true, memory_order_relaxed);
			usched_count(&worker->counters.ticks);
			usched_count(&worker->counters.decisions[fiber ? usched_fiber_mode(fiber) : 0]
					       [USCHED_DECISION_DEFERRED]);
		} else {
			/* It sleeps: somebody armed it for the worker that it has just given away. */
			usched_tick_stop(carrier);
		}
		return;
	}
	usched_enter_carrier(carrier);
	worker = usched_owned(carrier);
	usched_count(&worker->counters.ticks);
	atomic_store_explicit(&worker->poll_due, true, memory_order_relaxed);
	if (atomic_load_explicit(&worker->next_stale, memory_order_relaxed))
		usched_share_next(worker);
	if (atomic_load_explicit(&carrier->tick_fast, memory_order_relaxed))
		usched_tick_set(carrier, usched_quantum_of(worker, usched_current(carrier)));
	if (carrier->losses != losses)
		usched_count(&worker->counters.decisions[usched_fiber_mode(usched_current(carrier))]
				       [USCHED_DECISION_LOST]);
	else
		carrier = decide(carrier, frame);
	/* After a switch in place the signal is not blocked: a tick may have left a note. */
	usched_leave_here(carrier);
}

void usched_preempt_pending(struct usched_carrier *carrier)
{
	/* As often as a tick comes just here, in these few instructions. */
	do {
		atomic_store_explicit(&carrier->pending, false, memory_order_relaxed);
		usched_enter_carrier(carrier);
		usched_count(&usched_owned(carrier)->counters.notes);
		decide(carrier, NULL);
		atomic_store_explicit(&carrier->in_runtime, 0, memory_order_release);	/* [P2] */
		atomic_signal_fence(memory_order_seq_cst);
	} while (atomic_load_explicit(&carrier->pending, memory_order_relaxed));
}
