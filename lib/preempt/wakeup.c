/* SPDX-License-Identifier: MIT */
/*
 * Wake-up preemption; see wakeup.h.
 */
#include "preempt/monitor.h"
#include "preempt/tick.h"
#include "preempt/wakeup.h"
#include "worker/dispatch.h"

enum {
	PAUSE_NS = 1000000,	/* between looks at the epoll of a worker that serves itself	*/
	LONGEST_PAUSE_NS = 64000000,	/* after many that were in vain				*/
	AGAIN_NS = 50000,	/* until another look at who was in the library		*/
	LATE_NS = 100000,	/* a tick that was ordered, before it is looked for		*/
};

void usched_wakeup_init(struct usched_scheduler *scheduler)
{
	for (uint32_t i = 0; i < scheduler->worker_count; i++)
		scheduler->workers[i].watch.pause_ns = PAUSE_NS;
}

void usched_wakeup_ready(struct usched_worker *worker, uint64_t now_ns)
{
	struct usched_watch *watch = &worker->watch;

	watch->armed = false;
	watch->ready = true;
	watch->polls = atomic_load_explicit(&worker->counters.polls, memory_order_relaxed);
	watch->arm_ns = now_ns + watch->pause_ns;
}

/* The worker has polled since: it serves itself, and needs the monitor's eyes less often. */
static void in_vain(struct usched_watch *watch)
{
	watch->ready = false;
	watch->pause_ns = watch->pause_ns < LONGEST_PAUSE_NS / 2 ? watch->pause_ns * 2 :
			  LONGEST_PAUSE_NS;
}

static uint64_t first_timer_ns(struct usched_worker *worker)
{
	uint64_t first_ns = UINT64_MAX;

	/* Bounded by the number of workers, and by our own doing: the monitor makes the list. */
	for (; worker; worker = atomic_load_explicit(&worker->adopted_next, memory_order_relaxed)) {
		uint64_t own_ns = atomic_load_explicit(&worker->timers.first_ns,
						       memory_order_relaxed);

		if (own_ns < first_ns)
			first_ns = own_ns;
	}
	return first_ns;
}

static void sooner(uint64_t *due_ns, uint64_t at_ns)
{
	if (at_ns < *due_ns)
		*due_ns = at_ns;
}

/* A fiber waits that is worth more than the running one, or has just come from outside. */
static bool outranked(struct usched_worker *worker, const struct usched_fiber *fiber)
{
	if (usched_fiber_priority(fiber) == USCHED_PRIORITY_HIGH)
		return false;
	return usched_ring_length(&worker->rings[USCHED_RING_HIGH]) > 0 ||
	       atomic_load_explicit(&worker->pool->urgent, memory_order_relaxed);
}

/*
 * When a timer will be due is known before: the carrier's own tick is set to that moment. So the fiber that
 * sleeps waits for one timer of the kernel, and not for the monitor's and then for a tick. Return: when
 * the monitor is to look after it.
 */
static uint64_t order_tick(struct usched_worker *worker, struct usched_carrier *owner,
			   struct usched_fiber *fiber, uint64_t dispatches, uint64_t at_ns,
			   uint64_t now_ns)
{
	struct usched_watch *watch = &worker->watch;

	if (watch->ordered_ns == at_ns)
		return at_ns + LATE_NS;
	/* A tick of the quantum comes before, and finds nothing: it would undo the order. */
	if (at_ns - now_ns >= usched_quantum_of(worker, fiber) || !usched_tick_in(owner, at_ns - now_ns))
		return at_ns;
	watch->ordered_ns = at_ns;
	usched_make_urgent(worker, dispatches);
	return at_ns + LATE_NS;
}

static void look_at(struct usched_worker *worker, uint64_t wakeup_ns, uint64_t now_ns,
		    uint64_t *due_ns)
{
	struct usched_watch *watch = &worker->watch;
	/* Acquire <- usched_carrier_wait's release: its thread is known, and may be signalled. */
	struct usched_carrier *owner = atomic_load_explicit(&worker->owner, memory_order_acquire);
	uint64_t dispatches = atomic_load_explicit(&worker->counters.dispatches,
						   memory_order_relaxed);
	/* Acquire <- carrier_thread's release: the thread and the tick of a carrier made meanwhile. */
	struct usched_fiber *fiber = owner && atomic_load_explicit(&owner->ready, memory_order_acquire) ?
				     usched_current(owner) : NULL;
	uint64_t timer_ns, adopted_ns, allowed_ns;

	if (watch->ready &&
	    watch->polls != atomic_load_explicit(&worker->counters.polls, memory_order_relaxed))
		in_vain(watch);
	if (!owner || !fiber || usched_owned(owner) != worker ||
	    atomic_load_explicit(&owner->in_runtime, memory_order_relaxed)) {
		watch->ready = false;	/* it polls by itself */
		if (now_ns - watch->again_ns >= PAUSE_NS &&
		    atomic_load_explicit(&worker->timers.first_ns, memory_order_relaxed) != UINT64_MAX) {
			/* Or has just begun a slice, and told us: on one CPU it is still there. */
			watch->again_ns = now_ns;
			sooner(due_ns, now_ns + AGAIN_NS);
		}
		return;
	}
	if (dispatches != watch->dispatches) {
		watch->dispatches = dispatches;
		watch->since_ns = now_ns;
		watch->ordered_ns = 0;
	} else if (watch->pause_ns != PAUSE_NS && now_ns - watch->since_ns >= PAUSE_NS) {
		watch->pause_ns = PAUSE_NS;	/* who runs for so long does not poll */
		watch->arm_ns = now_ns;
	}
	if (usched_fiber_mode(fiber) == USCHED_PREEMPT_NEVER ||
	    usched_quantum_of(worker, fiber) == USCHED_QUANTUM_OFF)
		return;
	if (!watch->armed && now_ns >= watch->arm_ns &&
	    (atomic_load_explicit(&worker->descriptors_watched, memory_order_relaxed) != 0 ||
	     atomic_load_explicit(&worker->adopts, memory_order_relaxed)))
		watch->armed = true;
	else if (!watch->armed && now_ns < watch->arm_ns)
		sooner(due_ns, watch->arm_ns);

	timer_ns = atomic_load_explicit(&worker->timers.first_ns, memory_order_relaxed);
	adopted_ns = first_timer_ns(atomic_load_explicit(&worker->adopts, memory_order_relaxed));
	sooner(&timer_ns, adopted_ns);
	allowed_ns = (watch->since_ns > watch->urgent_ns ? watch->since_ns : watch->urgent_ns) +
		     wakeup_ns;
	if (!watch->ready && !outranked(worker, fiber)) {
		uint64_t at_ns = timer_ns > allowed_ns ? timer_ns : allowed_ns;

		if (timer_ns == UINT64_MAX)
			return;
		if (at_ns > now_ns) {
			sooner(due_ns, order_tick(worker, owner, fiber, dispatches, at_ns, now_ns));
			return;
		}
		if (watch->ordered_ns == at_ns && now_ns < at_ns + LATE_NS) {
			sooner(due_ns, at_ns + LATE_NS);
			return;
		}
	}
	if (now_ns < allowed_ns) {
		sooner(due_ns, allowed_ns);
		return;
	}
	if (!usched_monitor_take_blocked(worker, owner)) {
		usched_make_urgent(worker, dispatches);
		usched_tick_send(owner);
	}
	watch->urgent_ns = now_ns;
	watch->ready = false;
	watch->pause_ns = PAUSE_NS;
	watch->arm_ns = now_ns + wakeup_ns;
	/* It may have been just leaving: look again, whether it did. */
	sooner(due_ns, now_ns + wakeup_ns);
}

uint64_t usched_wakeup_pass(struct usched_scheduler *scheduler, uint64_t now_ns)
{
	uint64_t wakeup_ns = atomic_load_explicit(&scheduler->wakeup_ns,
						     memory_order_relaxed);
	uint64_t due_ns = UINT64_MAX;

	for (uint32_t i = 0; wakeup_ns && i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];

		if (atomic_load_explicit(&worker->mode, memory_order_acquire) ==
		    USCHED_WORKER_MODE_OWNED)
			look_at(worker, wakeup_ns, now_ns, &due_ns);
	}
	return due_ns;
}
