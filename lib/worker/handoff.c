/* SPDX-License-Identifier: MIT */
/*
 * Leaving a fiber in mid-run: its carrier gives the worker away and sleeps with it.
 *
 *	carrier A, fiber f running                     carrier B (a spare, or one with fiber g)
 *	  choose B, and what runs next
 *	  f READY_BOUND -> ring
 *	  give(B, worker) ---------------------------> goes on with the worker
 *	  wait  ...
 *	  <------------------------- somebody takes f from a queue and gives its worker to A
 *	  f RUNNING, with that worker
 */
#include <errno.h>

#include "base/assert.h"
#include "worker/dispatch.h"
#include "worker/inbox.h"

enum { BUSY_EVENTS = 4 };	/* since the last fiber that had been stopped went on */

/*
 * While I/O is busy the next events come within the minimum slice, and nobody need wait for the monitor to
 * see them: the carrier's own tick looks then. For single ones it would be a tick in vain.
 */
static void order_look(struct usched_carrier *carrier, struct usched_worker *worker,
		       struct usched_fiber *fiber)
{
	struct usched_scheduler *scheduler = worker->scheduler;
	uint64_t events = atomic_load_explicit(&worker->counters.io_events, memory_order_relaxed);
	uint64_t wakeup_ns = atomic_load_explicit(&scheduler->wakeup_ns, memory_order_relaxed);
	uint64_t came = events - worker->events_seen;

	worker->events_seen = events;
	if (came < BUSY_EVENTS)
		return;
	/* With a quantum that is off this is false, too. */
	if (wakeup_ns && wakeup_ns < usched_quantum_of(worker, fiber) &&
	    usched_fiber_mode(fiber) != USCHED_PREEMPT_NEVER &&
	    scheduler->hooks.tick_in(carrier, wakeup_ns))
		usched_make_urgent(worker, atomic_load_explicit(&worker->counters.dispatches,
								memory_order_relaxed));
}

void usched_resume_bound(struct usched_carrier *carrier, struct usched_fiber *fiber)
{
	struct usched_worker *worker = usched_owned(carrier);

	usched_assert(usched_current(carrier) == fiber);
	usched_assert(usched_fiber_bound(fiber) == carrier);
	atomic_store_explicit(&fiber->bound, NULL, memory_order_relaxed);	/* F3 */
	usched_begin_slice(carrier, worker, fiber);
	carrier->tick_dispatches = atomic_load_explicit(&worker->counters.dispatches,
							memory_order_relaxed);
	order_look(carrier, worker, fiber);
}

static void bind_fiber(struct usched_carrier *carrier, struct usched_fiber *fiber)
{
	atomic_store_explicit(&fiber->bound, carrier, memory_order_relaxed);	/* F3 */
	usched_fiber_set_state(fiber, USCHED_FIBER_READY_BOUND);
	usched_count(&fiber->preemptions);
}

static void wait_with(struct usched_carrier *carrier, struct usched_fiber *fiber)
{
	if (!usched_carrier_wait(carrier))
		usched_assert(!"a carrier with a fiber was told to end");
	usched_resume_bound(carrier, fiber);
}

void usched_hand_off(struct usched_carrier *carrier, struct usched_carrier *target,
		     struct usched_fiber *next, bool front)
{
	struct usched_fiber *fiber = usched_current(carrier);
	struct usched_worker *worker = usched_owned(carrier);

	usched_assert(usched_fiber_bound(next) == target || !usched_fiber_bound(next));
	if (!usched_fiber_bound(next))
		target->handed = next;		/* ours to write until `go`: it was popped */
	bind_fiber(carrier, fiber);
	if (front)
		usched_unpick(worker, fiber);
	else
		usched_queue(worker, fiber, USCHED_RING_USED);
	usched_carrier_disown(carrier);
	atomic_store_explicit(&worker->mode, USCHED_WORKER_MODE_MOVING, memory_order_relaxed);
	USCHED_STEP("handoff", carrier);
	usched_carrier_give(target, worker);		/* K4: the worker is gone */
	wait_with(carrier, fiber);
}

void usched_surrender(struct usched_carrier *carrier)
{
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_scheduler *scheduler = carrier->scheduler;
	struct usched_pool *pool = worker->pool;
	struct usched_fiber *fiber = usched_current(carrier);
	struct usched_fiber *queued = usched_swap_next(worker, NULL);

	if (queued)
		usched_inbox_push(&pool->inbox, queued);
	for (unsigned int kind = 0; kind < USCHED_RING_COUNT; kind++) {
		/* Bounded: only this thread pushes to the rings. */
		while ((queued = usched_ring_pop(&worker->rings[kind])))
			usched_inbox_push(&pool->inbox, queued);
	}
	while ((queued = usched_inbox_pop(&worker->mailbox)))
		usched_inbox_push(&pool->inbox, queued);
	if (fiber) {
		bind_fiber(carrier, fiber);
		usched_inbox_push(&pool->inbox, fiber);
	}
	usched_carrier_disown(carrier);
	atomic_store_explicit(&worker->owner, NULL, memory_order_relaxed);
	if (!fiber)
		usched_spare_push(carrier);
	/* Release: the monitor that sees DORMANT may give the worker away -> its acquire load. */
	atomic_store_explicit(&worker->mode, USCHED_WORKER_MODE_DORMANT, memory_order_release);
	usched_notify_outside(scheduler, pool);		/* its fence: [S1] [S4] of find.c */
	if (fiber)
		wait_with(carrier, fiber);
}
