/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_CARRIER_H
#define USCHED_WORKER_CARRIER_H

/*
 * Carriers, and how the right to run a worker moves between them.
 *
 * carrier state	worker	in_runtime	where it is
 *	SPARE		-	1		asleep in wait(), reachable as a spare
 *	LOOP		w	1		on its native stack
 *	RUNTIME		w	1		on a fiber's stack, inside the library
 *	USER		w	0		on a fiber's stack, in the user's code
 *	LOST		-	0		in the user's code; its worker was taken, and it does not
 *					know yet
 *	HELD		-	1		asleep in wait() with its fiber, which is queued
 *
 *	SPARE --order--> LOOP --dispatch--> USER <--leave/enter--> RUNTIME --park--> LOOP
 *	USER --tick--> RUNTIME --hand off--> HELD --order--> RUNTIME
 *	USER --take--> LOST --enter--> HELD
 *	SPARE --order of no worker--> its thread ends
 *
 * The words
 *	in_runtime, worker, current	written by the carrier's own thread only
 *	revoke				NONE, REQUESTED, TAKEN: by compare-exchange only
 *	order, then go			by whoever removed the carrier from where it could be
 *					found (the spares, or its bound fiber from a queue): one
 *					writer for each wait
 *
 * Invariants
 *	K1  A worker has one owner: a carrier in LOOP, RUNTIME or USER, one order on its way, or
 *	    the monitor after TAKEN.
 *	K2  Safety never depends on why the monitor takes a worker.
 *	K3  A carrier with a bound fiber runs no other fiber.
 *	K4  After give() the giver touches nothing of the worker.
 *
 * Memory order
 *	[P1] enter: store in_runtime, then load revoke
 *	     take:  store REQUESTED, membarrier, then load in_runtime
 *	     One of them sees the other. Without membarrier both use a seq_cst fence. An exchange
 *	     in enter is not enough: the load of revoke may pass its store.
 *	[P2] leave: release store of in_runtime -> take: acquire load
 *	[P3] give: release store of go          -> wait: acquire load
 *	[P4] revoke: acq_rel CAS from REQUESTED by both sides, of which one wins: the carrier's to
 *	     NONE, the monitor's to TAKEN. Only the monitor leaves NONE, and only the carrier TAKEN, by
 *	     release stores -> the other's acquire; who withdraws a request stores what a carrier that
 *	     comes in between stores, too.
 *	[V1] hold:    raise holds, seq_cst fence, acquire load of ready; use its tick; release: lower
 *	     dismiss: clear ready, seq_cst fence, acquire load of holds; go on only if there are none
 *	     One of them sees the other. So nobody uses the tick of a carrier that ends, or of the
 *	     next one in its place, which sets ready with release.
 *
 * Ends. Only the monitor dismisses a spare, so what the monitor itself does with a carrier that is
 * ready needs no hold. The place in carriers[] stays readable for ever, and gets another thread.
 */

#include <stdbool.h>

#include "base/child.h"
#include "worker/scheduler.h"
#include "worker/step.h"

USCHED_DECLARE_THREAD_SLOT(usched_carrier_self, struct usched_carrier *);

/* The fiber of a carrier, read by its own thread. */
static inline struct usched_fiber *usched_current(const struct usched_carrier *carrier)
{
	return atomic_load_explicit(&carrier->current, memory_order_relaxed);	/* own word */
}

static inline struct usched_worker *usched_owned(const struct usched_carrier *carrier)
{
	return atomic_load_explicit(&carrier->worker, memory_order_relaxed);	/* own word */
}

/*
 * The fiber of this dispatch is to make room for one that became ready: its next tick, or call, ends its
 * slice. For any later dispatch it means nothing. By the monitor or the owner, perhaps both at once; relaxed:
 * who reads it compares.
 */
static inline void usched_make_urgent(struct usched_worker *worker, uint64_t dispatches)
{
	atomic_store_explicit(&worker->urgent, dispatches + 1, memory_order_relaxed);
}

static inline bool usched_is_urgent(const struct usched_worker *worker)
{
	return atomic_load_explicit(&worker->urgent, memory_order_relaxed) ==
	       atomic_load_explicit(&worker->counters.dispatches, memory_order_relaxed) + 1;
}

/*
 * Does the caller run on the stack of the carrier's fiber? Not in a signal handler on an alternate
 * stack: what leaves the stack from there would have it overwritten by the thread's next signal.
 */
static inline bool usched_on_own_stack(const struct usched_carrier *carrier)
{
	const struct usched_fiber *fiber = usched_current(carrier);
	const char *here = __builtin_frame_address(0);

	return here >= (const char *)fiber->stack_low && here < (const char *)fiber->stack_top;
}

/**
 * usched_regain() - enter() found a request: keep the worker, or wait for another
 *
 * May switch:	the kernel thread sleeps; the fiber stays on it
 * Callable from: enter only
 */
void usched_regain(struct usched_carrier *carrier);

/* From the user's code into the library: from here on ticks only leave a note. */
static inline void usched_enter_carrier(struct usched_carrier *carrier)
{
	atomic_store_explicit(&carrier->in_runtime, 1, memory_order_relaxed);		/* [P1] */
	if (__builtin_expect(carrier->scheduler->membarrier, 1))
		atomic_signal_fence(memory_order_seq_cst);
	else
		atomic_thread_fence(memory_order_seq_cst);				/* [P1] */
	USCHED_STEP("enter", carrier);
	if (__builtin_expect(atomic_load_explicit(&carrier->revoke, memory_order_acquire) !=
			     USCHED_REVOKE_NONE, 0))					/* [P1] */
		usched_regain(carrier);
}

/* The carrier under the calling fiber, entered; NULL for a plain thread, which need not enter. */
static inline struct usched_carrier *usched_enter(void)
{
	struct usched_carrier *carrier = usched_carrier_self_get();

	if (carrier)
		usched_enter_carrier(carrier);
	return carrier;
}

/* A plain thread, in a child of fork: all that it could touch is its parent's. Fibers, which the child
   has none of, pay nothing for the question. */
static inline bool usched_is_refused(const struct usched_carrier *carrier)
{
	return !carrier && usched_in_child();
}

/** usched_leave_pending() - leave() found a tick's note: yield, then leave. May switch. */
void usched_leave_pending(struct usched_carrier *carrier);

/* Back to the user's code, from a function that may switch. */
static inline void usched_leave(struct usched_carrier *carrier)
{
	if (!carrier)
		return;
	USCHED_STEP("leave", carrier);
	atomic_store_explicit(&carrier->in_runtime, 0, memory_order_release);	/* [P2] */
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(atomic_load_explicit(&carrier->pending, memory_order_relaxed), 0))
		usched_leave_pending(carrier);
}

/* The same from a function that never moves the fiber to another thread: a note leads to a
   hand-off at the most. */
static inline void usched_leave_here(struct usched_carrier *carrier)
{
	if (!carrier)
		return;
	USCHED_STEP("leave", carrier);
	atomic_store_explicit(&carrier->in_runtime, 0, memory_order_release);	/* [P2] */
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(atomic_load_explicit(&carrier->pending, memory_order_relaxed), 0))
		carrier->scheduler->hooks.tick_pending(carrier);
}

/*
 * For a function that may have interrupted the library itself, and must not wait: as inside the
 * library ticks only leave a note, and the worker is not taken from here on. It may have been taken
 * before, so nothing of it may be touched. Return: what end_visit wants.
 */
static inline bool usched_begin_visit(struct usched_carrier *carrier)
{
	bool was_inside;

	if (!carrier)
		return true;
	/* Relaxed: the thread's own word, which a handler in between puts back. */
	was_inside = atomic_load_explicit(&carrier->in_runtime, memory_order_relaxed) != 0;
	atomic_store_explicit(&carrier->in_runtime, 1, memory_order_relaxed);		/* [P1] */
	if (carrier->scheduler->membarrier)
		atomic_signal_fence(memory_order_seq_cst);
	else
		atomic_thread_fence(memory_order_seq_cst);				/* [P1] */
	return was_inside;
}

static inline void usched_end_visit(struct usched_carrier *carrier, bool was_inside)
{
	/* Inside the library its own leave sees to the note. */
	if (!was_inside)
		usched_leave_here(carrier);
}

/*
 * How long a carrier has owned a worker, and not slept in its poll: so long it should have been on a CPU.
 * What its CPU clock lacks of that it stood still, and the monitor judges by that; see stands_still() in
 * preempt/monitor.c. By the carrier's own thread.
 */
static inline void usched_carrier_begin(struct usched_carrier *carrier, uint64_t now_cycles)
{
	atomic_store_explicit(&carrier->begun_cycles, now_cycles, memory_order_relaxed);
}

static inline void usched_carrier_end(struct usched_carrier *carrier, uint64_t now_cycles)
{
	uint64_t begun_cycles = atomic_load_explicit(&carrier->begun_cycles, memory_order_relaxed);
	uint64_t owned_cycles = atomic_load_explicit(&carrier->owned_cycles, memory_order_relaxed);

	atomic_store_explicit(&carrier->begun_cycles, 0, memory_order_relaxed);
	atomic_store_explicit(&carrier->owned_cycles, owned_cycles + now_cycles - begun_cycles,
			      memory_order_relaxed);
}

/* Before the worker is given away: the kernel may let whoever gets it run first, and for long. */
static inline void usched_carrier_disown(struct usched_carrier *carrier)
{
	usched_carrier_end(carrier, usched_cycles());
	atomic_store_explicit(&carrier->worker, NULL, memory_order_relaxed);
}

/** usched_carrier_reset() - what its thread has run and owned until now counts no more */
void usched_carrier_reset(struct usched_carrier *carrier);

/** usched_carrier_clock_ns() - its thread's CPU clock; 0: it cannot be read */
uint64_t usched_carrier_clock_ns(const struct usched_carrier *carrier);

/**
 * usched_carrier_wait() - sleep until somebody gives this carrier a worker
 *
 * Return:	true; false: the runtime stops and there is no worker
 * Ordering:	[P3] as acquirer
 * Callable from: the carrier, which owns no worker; also in the tick handler
 */
bool usched_carrier_wait(struct usched_carrier *carrier);

/**
 * usched_carrier_give() - hand a worker to a carrier that waits, or will wait at once
 * @worker:	owned by the caller until now; NULL: the carrier is to end
 *
 * Ordering:	[P3] as releaser
 * Callable from: the owner, the monitor; signal handler
 */
void usched_carrier_give(struct usched_carrier *carrier, struct usched_worker *worker);

/** usched_spare_push() - a carrier that is about to wait may be found from now on */
void usched_spare_push(struct usched_carrier *carrier);

/**
 * usched_spare_pop() - take a spare carrier for a worker, warm ones first
 *
 * Return:	it is the caller's to give an order to; NULL: there is none
 * Callable from: anybody inside the runtime, the monitor; signal handler. Lock-free.
 */
struct usched_carrier *usched_spare_pop(struct usched_worker *worker);

/**
 * usched_spare_dismiss() - order a spare carrier to end; one of those that are not warm
 *
 * Return:	false: there is none, or somebody holds it just now
 * Ordering:	[V1]
 * Callable from: the monitor
 */
bool usched_spare_dismiss(struct usched_scheduler *scheduler);

/*
 * Keep a carrier that was found by way of its worker, and may have lost that long ago, from ending.
 * For a few instructions and a system call. False: it is not there (any more).
 */
static inline bool usched_carrier_hold(struct usched_carrier *carrier)
{
	/* Relaxed: ordered by the fence. */
	atomic_fetch_add_explicit(&carrier->holds, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);				/* [V1] */
	if (atomic_load_explicit(&carrier->ready, memory_order_acquire)) {	/* [V1] */
		USCHED_STEP("held", carrier);
		return true;
	}
	atomic_fetch_sub_explicit(&carrier->holds, 1, memory_order_relaxed);	/* nothing was used */
	return false;
}

static inline void usched_carrier_let_go(struct usched_carrier *carrier)
{
	atomic_fetch_sub_explicit(&carrier->holds, 1, memory_order_release);	/* [V1] */
}

/** usched_carrier_main() - the life of a carrier's thread, once its tick is open */
void usched_carrier_main(struct usched_carrier *carrier);

#endif /* USCHED_WORKER_CARRIER_H */
