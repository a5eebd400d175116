/* SPDX-License-Identifier: MIT */
/*
 * Choosing and switching; see dispatch.h. Looking outside the own worker is in find.c, leaving a
 * fiber in mid-run in handoff.c, birth and memory of fibers in birth.c. Picking is not in a file of its
 * own, since usched_park() is flat: picking, switching and completing are compiled into it.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/futex.h"
#include "worker/ahead.h"
#include "worker/dispatch.h"
#include "worker/inbox.h"

enum {
	NEXT_STREAK = 3,
	FRESH_STREAK = 64,
	INBOX_EVERY = 61,
	INBOX_BATCH = 32,
	POLL_EVERY = 64,
	TAKE_BOUND_INBOX = 64,
	MANY_FRESH = 64,		/* more of them do not stay in the caches	*/
	AHEAD_EVERY = 2,		/* of those woken then, one goes ahead		*/
	AHEAD_EVERY_BESIDE_USED = 4,	/* the same where all wait longer, for turns of USED */
};

static enum usched_ring_kind ring_of(const struct usched_fiber *fiber, enum usched_ring_kind kind)
{
	if (usched_fiber_priority(fiber) == USCHED_PRIORITY_NORMAL)
		return kind;
	return usched_fiber_priority(fiber) == USCHED_PRIORITY_HIGH ? USCHED_RING_HIGH : USCHED_RING_LOW;
}

void usched_queue(struct usched_worker *worker, struct usched_fiber *fiber,
		  enum usched_ring_kind kind)
{
	if (!usched_ring_push(&worker->rings[ring_of(fiber, kind)], fiber))
		usched_inbox_push(&worker->pool->inbox, fiber);
}

void usched_ready_outside(struct usched_fiber *fiber)
{
	struct usched_pool *pool = fiber->pool;		/* the fiber is gone once it is pushed */
	struct usched_scheduler *scheduler = pool->scheduler;
	bool low = usched_fiber_priority(fiber) == USCHED_PRIORITY_LOW;

	usched_inbox_push(&pool->inbox, fiber);
	if (usched_notify_outside(scheduler, pool) || low ||
	    atomic_load_explicit(&scheduler->wakeup_ns, memory_order_relaxed) == 0)
		return;
	/* All workers are busy: one is to look at the inbox soon. The first to say so tells the
	   monitor; the flag falls when somebody looks. */
	if (!atomic_exchange_explicit(&pool->urgent, true, memory_order_relaxed))
		scheduler->hooks.wake_monitor(scheduler);
}

/* Where a fiber goes that I/O or a timer woke: see AHEAD in dispatch.h. */
static enum usched_ring_kind ring_of_woken(struct usched_worker *worker)
{
	uint32_t every = AHEAD_EVERY;

	if (usched_ring_length(&worker->rings[USCHED_RING_FRESH]) <= MANY_FRESH)
		return USCHED_RING_FRESH;
	if (usched_ring_length(&worker->rings[USCHED_RING_USED]) > 0)
		every = AHEAD_EVERY_BESIDE_USED;
	return ++worker->woken_behind % every == 0 ? USCHED_RING_AHEAD : USCHED_RING_FRESH;
}

void usched_ready(struct usched_carrier *carrier, struct usched_fiber *fiber,
		  enum usched_place place)
{
	struct usched_worker *worker = carrier ? usched_owned(carrier) : NULL;
	struct usched_scheduler *scheduler = fiber->pool->scheduler;

	usched_fiber_set_state(fiber, USCHED_FIBER_READY);
	if (!worker || worker->scheduler != scheduler) {
		usched_ready_outside(fiber);
		return;
	}
	usched_count(&worker->counters.wakes);
	if (place == USCHED_PLACE_NEXT && usched_fiber_priority(fiber) == USCHED_PRIORITY_NORMAL) {
		fiber = usched_swap_next(worker, fiber);
		if (!fiber) {
			usched_notify_self(worker);	/* the monitor sees to thieves */
			return;
		}
	}
	usched_queue(worker, fiber,
		     place == USCHED_PLACE_WOKEN ? ring_of_woken(worker) : USCHED_RING_FRESH);
	usched_notify(worker);
}

void usched_waiter_resume(struct usched_carrier *carrier, struct usched_fiber *fiber,
			  _Atomic uint32_t *word)
{
	if (fiber)
		usched_ready(carrier, fiber, USCHED_PLACE_NEXT);
	else
		usched_futex_wake(word, 1, true);
}

/* A batch from an inbox into the rings. Bound fibers and woken ones both count as fresh. */
static bool take_inbox(struct usched_worker *worker, struct usched_inbox *inbox)
{
	unsigned int taken = 0;

	while (taken < INBOX_BATCH) {
		struct usched_fiber *fiber = usched_inbox_pop(inbox);

		if (!fiber)
			break;
		usched_queue(worker, fiber, USCHED_RING_FRESH);
		taken++;
	}
	return taken > 0;
}

__attribute__((noinline))
static bool take_inboxes(struct usched_worker *worker)
{
	bool taken = take_inbox(worker, &worker->mailbox);

	return take_inbox(worker, &worker->pool->inbox) || taken;
}

/* FRESH and AHEAD in turn, while both have somebody. */
static struct usched_fiber *pop_fresh(struct usched_worker *worker)
{
	enum usched_ring_kind kind = worker->after_ahead ? USCHED_RING_FRESH : USCHED_RING_AHEAD;
	struct usched_fiber *fiber = usched_ring_pop(&worker->rings[kind]);

	if (!fiber) {
		kind = worker->after_ahead ? USCHED_RING_AHEAD : USCHED_RING_FRESH;
		fiber = usched_ring_pop(&worker->rings[kind]);
	}
	worker->after_ahead = fiber && kind == USCHED_RING_AHEAD;
	if (fiber)
		usched_fetch_ahead(&worker->rings[kind]);
	return fiber;
}

static bool has_fresh(struct usched_worker *worker)
{
	return usched_ring_length(&worker->rings[USCHED_RING_FRESH]) > 0 ||
	       usched_ring_length(&worker->rings[USCHED_RING_AHEAD]) > 0;
}

/* The classes from @least up: NORMAL's rings, unless only HIGH will do; LOW last. */
static struct usched_fiber *pick_ring(struct usched_worker *worker, enum usched_priority least)
{
	struct usched_ring *rings = worker->rings;
	struct usched_fiber *fiber = usched_ring_pop(&rings[USCHED_RING_HIGH]);

	if (fiber || least == USCHED_PRIORITY_HIGH)
		return fiber;
	if (worker->fresh_streak < FRESH_STREAK) {
		fiber = pop_fresh(worker);
		if (fiber) {
			worker->fresh_streak++;
			return fiber;
		}
	}
	worker->fresh_streak = 0;
	fiber = usched_ring_pop(&rings[USCHED_RING_USED]);
	if (fiber) {
		worker->used_page = worker->age_served;
		usched_fetch_ahead(&rings[USCHED_RING_USED]);
		return fiber;
	}
	fiber = pop_fresh(worker);
	if (!fiber && least == USCHED_PRIORITY_LOW)
		fiber = usched_ring_pop(&rings[USCHED_RING_LOW]);
	return fiber;
}

/* Each page that the monitor turns gives one fiber of LOW a turn, and one of NORMAL: of USED, unless one
   of these has had its turn since the last page. Else it would run before somebody who was just woken. */
__attribute__((noinline))
static struct usched_fiber *pick_aged(struct usched_worker *worker)
{
	uint64_t turn = atomic_load_explicit(&worker->age_turn, memory_order_relaxed);
	struct usched_fiber *fiber = NULL;

	if (turn != worker->age_served) {
		worker->normal_served = worker->used_page == worker->age_served;
		worker->age_served = turn;
		worker->aging = 2;
	}
	while (!fiber && worker->aging > 0) {
		worker->aging--;
		if (worker->aging == 1) {
			fiber = usched_ring_pop(&worker->rings[USCHED_RING_LOW]);
		} else if (!worker->normal_served) {
			fiber = usched_ring_pop(&worker->rings[USCHED_RING_USED]);
			if (!fiber)
				fiber = pop_fresh(worker);
		}
	}
	return fiber;
}

static inline bool inbox_is_due(struct usched_worker *worker)
{
	if (atomic_load_explicit(&worker->counters.dispatches, memory_order_relaxed) % INBOX_EVERY &&
	    !atomic_load_explicit(&worker->pool->urgent, memory_order_relaxed))
		return false;
	atomic_store_explicit(&worker->pool->urgent, false, memory_order_relaxed);
	return true;
}

/* The fiber woken last has had its turns: as if it were queued behind all that are fresh, and one picked. */
__attribute__((noinline))
static struct usched_fiber *pick_after_streak(struct usched_worker *worker, struct usched_fiber *fiber,
					      enum usched_priority least)
{
	if (worker->fresh_streak < FRESH_STREAK && least != USCHED_PRIORITY_HIGH &&
	    usched_ring_length(&worker->rings[USCHED_RING_HIGH]) == 0 && !has_fresh(worker)) {
		worker->fresh_streak++;
		return fiber;
	}
	usched_queue(worker, fiber, USCHED_RING_FRESH);
	return pick_ring(worker, least);
}

/* As usched_pick_from(), but of the inboxes only now and then. */
static struct usched_fiber *pick_own(struct usched_worker *worker, enum usched_priority least)
{
	struct usched_fiber *fiber;

	if (__builtin_expect(worker->aging > 0 ||
			     atomic_load_explicit(&worker->age_turn, memory_order_relaxed) !=
			     worker->age_served, 0)) {
		fiber = pick_aged(worker);
		if (fiber)
			return fiber;
	}
	fiber = usched_swap_next(worker, NULL);
	if (fiber && ++worker->next_streak <= NEXT_STREAK && least != USCHED_PRIORITY_HIGH)
		return fiber;
	worker->next_streak = 0;
	if (inbox_is_due(worker))
		take_inboxes(worker);
	return fiber ? pick_after_streak(worker, fiber, least) : pick_ring(worker, least);
}

/* What the own queues did not have. */
__attribute__((noinline))
static struct usched_fiber *pick_inbox(struct usched_worker *worker, enum usched_priority least)
{
	return take_inboxes(worker) ? pick_ring(worker, least) : NULL;
}

struct usched_fiber *usched_pick_from(struct usched_worker *worker, enum usched_priority least)
{
	struct usched_fiber *fiber = pick_own(worker, least);

	return fiber ? fiber : pick_inbox(worker, least);
}

void usched_unpick(struct usched_worker *worker, struct usched_fiber *fiber)
{
	fiber = usched_swap_next(worker, fiber);
	if (fiber)
		usched_queue(worker, fiber, USCHED_RING_FRESH);
}

void usched_share_next(struct usched_worker *worker)
{
	struct usched_fiber *fiber;

	atomic_store_explicit(&worker->next_stale, false, memory_order_relaxed);
	fiber = usched_swap_next(worker, NULL);
	if (!fiber)
		return;
	usched_queue(worker, fiber, USCHED_RING_FRESH);
	usched_notify(worker);
}

/* The fiber, if it is bound; one that is not goes to the end of the pool's inbox. NULL is fine. */
static struct usched_fiber *keep_bound(struct usched_pool *pool, struct usched_fiber *fiber)
{
	if (!fiber || usched_fiber_bound(fiber))
		return fiber;
	usched_inbox_push(&pool->inbox, fiber);
	return NULL;
}

struct usched_fiber *usched_take_bound(struct usched_worker *worker)
{
	struct usched_pool *pool = worker->pool;
	struct usched_fiber *found = NULL;

	for (unsigned int kind = 0; kind < USCHED_RING_COUNT; kind++) {
		struct usched_ring *ring = &worker->rings[kind];

		for (uint32_t left = usched_ring_length(ring); !found && left > 0; left--)
			found = keep_bound(pool, usched_ring_pop(ring));
	}
	for (unsigned int left = TAKE_BOUND_INBOX; !found && left > 0; left--)
		found = keep_bound(pool, usched_inbox_pop(&worker->mailbox));
	for (unsigned int left = TAKE_BOUND_INBOX; !found && left > 0; left--)
		found = keep_bound(pool, usched_inbox_pop(&pool->inbox));
	return found;
}

bool usched_has_ready(struct usched_worker *worker)
{
	if (atomic_load_explicit(&worker->next, memory_order_relaxed) ||
	    !usched_inbox_empty(&worker->mailbox) || !usched_inbox_empty(&worker->pool->inbox))
		return true;
	for (unsigned int kind = 0; kind < USCHED_RING_COUNT; kind++) {
		if (usched_ring_length(&worker->rings[kind]) > 0)
			return true;
	}
	return false;
}

/* Whether the owner should look at timers and I/O before it picks. */
static bool poll_is_due(struct usched_worker *worker)
{
	if (++worker->polls_skipped < POLL_EVERY &&
	    !atomic_load_explicit(&worker->poll_due, memory_order_relaxed))
		return false;
	worker->polls_skipped = 0;
	atomic_store_explicit(&worker->poll_due, false, memory_order_relaxed);
	return true;
}

void usched_begin_slice(struct usched_carrier *carrier, struct usched_worker *worker,
			struct usched_fiber *fiber)
{
	struct usched_scheduler *scheduler = worker->scheduler;
	uint64_t quantum_ns = usched_quantum_of(worker, fiber);
	uint64_t tick_ns = atomic_load_explicit(&carrier->tick_ns, memory_order_relaxed);
	uint64_t first_ns = atomic_load_explicit(&worker->timers.first_ns, memory_order_relaxed);

	usched_count(&worker->counters.dispatches);
	usched_fiber_set_state(fiber, USCHED_FIBER_RUNNING);
	atomic_store_explicit(&fiber->worker_cpu, worker->cpu, memory_order_relaxed);
	atomic_store_explicit(&carrier->current, fiber, memory_order_relaxed);
	/* A note was for the fiber before. */
	atomic_store_explicit(&carrier->pending, false, memory_order_relaxed);
	carrier->budget = atomic_load_explicit(&scheduler->budget, memory_order_relaxed);
	/* Too slow a tick, or none, for a fiber that has a quantum; 0 wraps. One too fast is
	   noticed by the tick itself. */
	if (__builtin_expect(quantum_ns - 1 < tick_ns - 1, 0))
		scheduler->hooks.tick_set(carrier, quantum_ns);
	/* The monitor ends a sleep beside a running fiber: it must know of earlier timers. Once:
	   it writes the word anew when it has looked. */
	if (__builtin_expect(first_ns < atomic_load_explicit(&scheduler->watch_ns,
							     memory_order_relaxed), 0)) {
		atomic_store_explicit(&scheduler->watch_ns, first_ns, memory_order_relaxed);
		scheduler->hooks.wake_monitor(scheduler);
	}
}

/* What the C++ runtime keeps for a thread of the exceptions in flight goes with the fiber. */
static inline void keep_exceptions(struct usched_carrier *carrier, struct usched_fiber *fiber)
{
	if (__builtin_expect(carrier->exceptions != NULL, 0))
		fiber->exceptions = *carrier->exceptions;
}

static inline void bring_exceptions(struct usched_carrier *carrier, struct usched_fiber *fiber)
{
	if (__builtin_expect(carrier->exceptions != NULL, 0))
		*carrier->exceptions = fiber->exceptions;
}

/* The fiber becomes the carrier's current one; a new one gets its stack. */
static void make_current(struct usched_carrier *carrier, struct usched_worker *worker,
			 struct usched_fiber *fiber)
{
	if (atomic_load_explicit(&fiber->state, memory_order_relaxed) == USCHED_FIBER_NEW) {
		if (!fiber->has_stack)
			usched_stack_attach(worker, fiber);
		usched_sanitize_init(&fiber->sanitize, fiber->stack_low, fiber->stack_top);
		usched_arch_context_init(&fiber->context, fiber->stack_low, fiber->stack_top,
					 usched_fiber_main, fiber);
	}
	bring_exceptions(carrier, fiber);
	usched_begin_slice(carrier, worker, fiber);
}

/* The fiber is over: claim who joins it. Under its lock. */
static bool claim_joiner_locked(struct usched_fiber *fiber, struct usched_claimed *claimed)
{
	if (usched_fiber_join_state(fiber) != USCHED_JOIN_WAITED ||
	    !usched_claim(fiber->joiner, USCHED_WAIT_VALUE, claimed))
		return false;
	/* On behalf of the joiner, which then needs no lock: the handle is used up (F4). */
	usched_fiber_set_join_state(fiber, USCHED_JOIN_TOLD);
	atomic_store_explicit(&fiber->id, 0, memory_order_relaxed);
	return true;
}

__attribute__((noinline))
static void retire(struct usched_carrier *carrier, struct usched_fiber *fiber)
{
	struct usched_scheduler *scheduler = carrier->scheduler;
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_claimed claimed = { NULL, NULL };
	/* Neither is ever left, and TOLD is set by this thread alone, see joiner_to_run(). */
	bool told = usched_fiber_join_state(fiber) == USCHED_JOIN_TOLD;
	bool detached = usched_fiber_join_state(fiber) == USCHED_JOIN_DETACHED;

	usched_sanitize_destroy(&fiber->sanitize);
	usched_stack_retire(worker, fiber, told || detached);

	if (!told) {
		usched_spinlock_lock(&fiber->lock);
		usched_fiber_set_state(fiber, USCHED_FIBER_DONE);
		detached = usched_fiber_join_state(fiber) == USCHED_JOIN_DETACHED;
		if (detached)		/* under lock (F4) */
			atomic_store_explicit(&fiber->id, 0, memory_order_relaxed);
		claim_joiner_locked(fiber, &claimed);
		/* After this the joiner may free the descriptor, and reuse it. */
		usched_spinlock_unlock(&fiber->lock);
	}
	if (detached)
		usched_fiber_free(scheduler, carrier, fiber);
	usched_resume(carrier, &claimed);
	usched_count(&worker->counters.ended);
	/* Relaxed: destroy sets it and then looks at the counters again and again. */
	if (atomic_load_explicit(&scheduler->stopping, memory_order_relaxed))
		scheduler->hooks.fiber_ended(scheduler);
}

/* The joiner of a fiber that ends, if it can run right here and next: it takes over without any
   queue. It runs nowhere before the fiber has left its stack, so it may be told now. */
static struct usched_fiber *joiner_to_run(struct usched_carrier *carrier,
					  struct usched_fiber *fiber)
{
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_claimed claimed = { NULL, NULL };
	struct usched_fiber *joiner;

	/* A peek: the lock proves it. */
	if (usched_fiber_join_state(fiber) != USCHED_JOIN_WAITED)
		return NULL;
	usched_spinlock_lock(&fiber->lock);
	joiner = usched_fiber_join_state(fiber) == USCHED_JOIN_WAITED ? fiber->joiner->fiber : NULL;
	if (joiner && (joiner->pool->scheduler != worker->scheduler ||
		       usched_fiber_priority(joiner) != USCHED_PRIORITY_NORMAL))
		joiner = NULL;
	/* Not DONE unless claimed: until we have left the stack nobody else may free it. */
	if (joiner && claim_joiner_locked(fiber, &claimed))
		usched_fiber_set_state(fiber, USCHED_FIBER_DONE);
	else
		joiner = NULL;
	usched_spinlock_unlock(&fiber->lock);
	if (joiner)
		usched_count(&worker->counters.wakes);
	return joiner;
}

/* First thing after any switch: complete it for the fiber that left. */
static inline void complete(struct usched_carrier *carrier)
{
	struct usched_fiber *left = carrier->left;
	uint32_t after = carrier->after;

	carrier->after = USCHED_AFTER_NOTHING;
	if (after == USCHED_AFTER_READY) {
		usched_fiber_set_state(left, USCHED_FIBER_READY);
		usched_queue(usched_owned(carrier), left, USCHED_RING_USED);
	} else if (after == USCHED_AFTER_PARK) {
		uint64_t deadline_ns = atomic_load_explicit(&left->waiter.deadline_ns,
							    memory_order_relaxed);
		uint32_t word;

		usched_fiber_set_state(left, USCHED_FIBER_PARKED);
		USCHED_STEP("commit", carrier);
		word = usched_waiter_commit(&left->waiter);
		if (carrier->after_publish)
			carrier->after_publish(left, word, carrier->after_argument);
		if (carrier->after_unlock)
			usched_spinlock_unlock(carrier->after_unlock);
		/* From here on the fiber may run elsewhere; arming late for a wait that is over
		   only makes an entry that is dropped. */
		if (deadline_ns != USCHED_FOREVER)
			usched_timers_arm(&usched_owned(carrier)->timers, left, deadline_ns);
	} else if (after == USCHED_AFTER_EXIT) {
		retire(carrier, left);
	}
}

static struct usched_carrier *switch_fiber(struct usched_carrier *carrier, struct usched_fiber *fiber,
					   enum usched_after after, struct usched_fiber *next)
{
	struct usched_worker *worker = usched_owned(carrier);

	usched_debug_assert(carrier == usched_carrier_self_get());
	usched_debug_assert(fiber != NULL);
	usched_debug_assert(carrier->after == USCHED_AFTER_NOTHING);
	carrier->left = fiber;
	carrier->after = after;
	keep_exceptions(carrier, fiber);
	if (next && !usched_fiber_bound(next)) {
		make_current(carrier, worker, next);
		usched_sanitize_switch_begin(&fiber->sanitize, &next->sanitize);
		usched_arch_switch(&fiber->context, &next->context);
	} else {
		carrier->handed = next;
		atomic_store_explicit(&carrier->current, NULL, memory_order_relaxed);
		usched_sanitize_switch_begin(&fiber->sanitize, &carrier->native_sanitize);
		usched_arch_switch(&fiber->context, &carrier->native);
	}
	usched_sanitize_switch_finish(&fiber->sanitize);
	carrier = usched_carrier_self_get();
	complete(carrier);
	return carrier;
}

/* The runtime's floating-point environment, for a fiber with one of its own that begins or has ended. */
__attribute__((noinline))
static void reset_float_environment(struct usched_carrier *carrier)
{
	struct usched_float_environment gone;

	usched_float_environment_swap(&gone, &carrier->scheduler->float_environment);
}

/* The same from before the next fiber begins until this one is back, which finds its own again: so all
   others, the loop and first frames of fibers know of the runtime's alone. */
__attribute__((noinline))
static struct usched_carrier *leave_float_environment(struct usched_carrier *carrier,
						      struct usched_fiber *fiber,
						      enum usched_after after,
						      struct usched_fiber *next)
{
	struct usched_float_environment own, runtimes;

	usched_float_environment_swap(&own, &carrier->scheduler->float_environment);
	carrier = switch_fiber(carrier, fiber, after, next);
	usched_float_environment_swap(&runtimes, &own);
	return carrier;
}

/* Leave the current fiber for the next one, or for the loop. Returns on the fiber's new carrier. */
static struct usched_carrier *leave_fiber(struct usched_carrier *carrier, enum usched_after after,
					  struct usched_fiber *next)
{
	struct usched_fiber *fiber = usched_current(carrier);

	if (__builtin_expect(fiber->has_float_environment, 0))
		return leave_float_environment(carrier, fiber, after, next);
	return switch_fiber(carrier, fiber, after, next);
}

/* What to run when the current fiber leaves; NULL sends it to the loop. Polling wakes fibers, and must
   not meet a lock that the caller holds: then the loop polls instead. */
static struct usched_fiber *next_after(struct usched_carrier *carrier, bool locked)
{
	struct usched_worker *worker = usched_owned(carrier);

	if (atomic_load_explicit(&worker->revoked, memory_order_relaxed))
		return NULL;		/* the loop gives the CPU back */
	if (poll_is_due(worker)) {
		if (locked) {
			atomic_store_explicit(&worker->poll_due, true, memory_order_relaxed);
			return NULL;
		}
		usched_poll(carrier, 0);
	}
	return usched_pick(worker);
}

/* The same when it ends: who joins it goes before those in the inboxes. */
static struct usched_fiber *next_after_end(struct usched_carrier *carrier,
					   struct usched_fiber *fiber)
{
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_fiber *next;

	if (atomic_load_explicit(&worker->revoked, memory_order_relaxed))
		return NULL;
	if (poll_is_due(worker))
		usched_poll(carrier, 0);
	next = pick_own(worker, USCHED_PRIORITY_LOW);
	if (!next)
		next = joiner_to_run(carrier, fiber);
	return next ? next : pick_inbox(worker, USCHED_PRIORITY_LOW);
}

/* Flat, as usched_park(). */
__attribute__((flatten))
bool usched_yield_from(struct usched_carrier *carrier)
{
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_fiber *next;

	if (!usched_on_own_stack(carrier))
		return false;
	next = next_after(carrier, false);
	usched_count(&worker->counters.yields);
	if (!next && !atomic_load_explicit(&worker->revoked, memory_order_relaxed)) {
		carrier->budget = atomic_load_explicit(&carrier->scheduler->budget,
						       memory_order_relaxed);
		return false;
	}
	leave_fiber(carrier, USCHED_AFTER_READY, next);
	return true;
}

/* No tick may have come, if the fiber was in the kernel each time: the calls count instead. */
static bool is_overdue(struct usched_carrier *carrier, struct usched_worker *worker,
		       struct usched_fiber *fiber)
{
	uint64_t dispatches = atomic_load_explicit(&worker->counters.dispatches,
						   memory_order_relaxed);
	uint64_t quantum_ns = usched_quantum_of(worker, fiber);
	uint64_t now = usched_cycles();

	if (quantum_ns == USCHED_QUANTUM_OFF)
		return false;
	if (dispatches != carrier->tick_dispatches) {	/* the slice begins, as for a tick */
		carrier->tick_dispatches = dispatches;
		carrier->slice_start_cycles = now;
		carrier->grace = 0;
		carrier->alone = 0;
		return false;
	}
	return usched_cycles_to_ns(&worker->scheduler->rate, now - carrier->slice_start_cycles) >
	       quantum_ns;
}

bool usched_slice_is_over(struct usched_carrier *carrier)
{
	struct usched_worker *worker = usched_owned(carrier);

	return atomic_load_explicit(&carrier->pending, memory_order_relaxed) ||
	       carrier->budget <= 0 || usched_is_urgent(worker) ||
	       is_overdue(carrier, worker, usched_current(carrier));
}

struct usched_carrier *usched_charge_slowly(struct usched_carrier *carrier)
{
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_fiber *fiber = usched_current(carrier);

	if (carrier->budget > 0 && !is_overdue(carrier, worker, fiber))
		return carrier;
	if (usched_in_section(fiber)) {
		fiber->section_note = true;
		carrier->budget = carrier->budget < 0 ? 0 : carrier->budget;
		return carrier;
	}
	if (carrier->budget <= 0)
		usched_count(&worker->counters.budget_yields);
	usched_yield_from(carrier);
	return usched_carrier_self_get();
}

void usched_charge_outside(void)
{
	struct usched_carrier *carrier = usched_carrier_self_get();

	/* Own word of the carrier, which a fiber stopped here keeps. */
	if (!carrier || (--carrier->budget > 0 && (carrier->budget & 15) != 0))
		return;
	usched_enter_carrier(carrier);
	usched_leave(usched_charge_slowly(carrier));
}

struct usched_carrier *usched_switch_to(struct usched_carrier *carrier, struct usched_fiber *next)
{
	return leave_fiber(carrier, USCHED_AFTER_READY, next);
}

/* Flat: picking, switching and completing are one function here, a sixth fewer instructions. */
__attribute__((flatten))
struct usched_carrier *usched_park(struct usched_carrier *carrier, struct usched_spinlock *lock,
				   void (*publish)(struct usched_fiber *, uint32_t, void *),
				   void *argument)
{
	carrier->after_unlock = lock;
	carrier->after_publish = publish;
	carrier->after_argument = argument;
	usched_count(&usched_owned(carrier)->counters.parks);
	return leave_fiber(carrier, USCHED_AFTER_PARK, next_after(carrier, lock != NULL));
}

void usched_leave_pending(struct usched_carrier *carrier)
{
	struct usched_fiber *fiber = usched_current(carrier);

	if (!usched_on_own_stack(carrier)) {
		carrier->scheduler->hooks.tick_pending(carrier);	/* leaves no stack */
		return;
	}
	/* A note is taken once; a tick that comes meanwhile writes another, for another turn. */
	do {
		atomic_store_explicit(&carrier->pending, false, memory_order_relaxed);
		usched_enter_carrier(carrier);
		if (usched_in_section(fiber)) {
			fiber->section_note = true;
		} else if (usched_fiber_mode(fiber) != USCHED_PREEMPT_NEVER &&
			   usched_quantum_of(usched_owned(carrier), fiber) != USCHED_QUANTUM_OFF) {
			usched_yield_from(carrier);
			carrier = usched_carrier_self_get();
		}
		atomic_store_explicit(&carrier->in_runtime, 0, memory_order_release);	/* [P2] */
		atomic_signal_fence(memory_order_seq_cst);
	} while (atomic_load_explicit(&carrier->pending, memory_order_relaxed));
}

/* The last thing a fiber does, whose stack @sanitize goes on on: `return end_at(...)`. */
USCHED_SANITIZE_INLINE const struct usched_context *end_at(const struct usched_context *load,
							   struct usched_sanitize *sanitize)
{
	usched_sanitize_leave_begin(sanitize);
#if defined(USCHED_SANITIZE_ADDRESS) || defined(USCHED_SANITIZE_THREAD)
	usched_arch_leave(load);	/* they count even the return for the next stack */
#else
	return load;
#endif
}

#if !defined(USCHED_SANITIZE_ADDRESS) && !defined(USCHED_SANITIZE_THREAD)
/* Whoever of the two has none gets one, and the other way round. */
static void swap_stacks(struct usched_fiber *ended, struct usched_fiber *next)
{
	struct { void *low, *top; uint32_t slot; bool has; } kept = {
		next->stack_low, next->stack_top, next->stack_slot, next->has_stack,
	};

	next->stack_low = ended->stack_low;
	next->stack_top = ended->stack_top;
	next->stack_slot = ended->stack_slot;
	next->has_stack = true;
	ended->stack_low = kept.low;
	ended->stack_top = kept.top;
	ended->stack_slot = kept.slot;
	ended->has_stack = kept.has;
}
#endif

/* Flat, as usched_park(). */
__attribute__((flatten))
const struct usched_context *usched_fiber_main(void *argument)
{
	struct usched_fiber *fiber = argument;
	struct usched_carrier *carrier = usched_carrier_self_get();
	struct usched_worker *worker;
	struct usched_fiber *next;

	usched_sanitize_switch_finish(&fiber->sanitize);
	fiber->stack_entry = __builtin_frame_address(0);
	complete(carrier);
	if (__builtin_expect(fiber->has_float_environment, 0))
		reset_float_environment(carrier);
	usched_leave(carrier);

	fiber->result = fiber->function(fiber->argument);

	carrier = usched_carrier_self_get();
	if (__builtin_expect(!carrier, 0))
		exit(0);	/* a child of fork, whose last thread ends: as threads do */
	usched_enter_carrier(carrier);
	if (__builtin_expect(fiber->has_float_environment, 0))
		reset_float_environment(carrier);
	worker = usched_owned(carrier);
	next = next_after_end(carrier, fiber);
#if !defined(USCHED_SANITIZE_ADDRESS) && !defined(USCHED_SANITIZE_THREAD)
	if (next && !usched_fiber_bound(next) && next->pool == fiber->pool &&
	    next->stack_class == fiber->stack_class &&
	    atomic_load_explicit(&next->state, memory_order_relaxed) == USCHED_FIBER_NEW) {
		/* The warm stack goes to the next new fiber; nothing on it is needed any more. */
		swap_stacks(fiber, next);
		bring_exceptions(carrier, next);
		usched_begin_slice(carrier, worker, next);
		retire(carrier, fiber);
		usched_arch_start(next->stack_low, next->stack_top, usched_fiber_main, next);
	}
#endif
	carrier->left = fiber;
	carrier->after = USCHED_AFTER_EXIT;
	if (next && !usched_fiber_bound(next)) {
		make_current(carrier, worker, next);
		return end_at(&next->context, &next->sanitize);
	}
	carrier->handed = next;
	atomic_store_explicit(&carrier->current, NULL, memory_order_relaxed);
	return end_at(&carrier->native, &carrier->native_sanitize);
}

/* The worker goes to the carrier of a fiber that was stopped in mid-run; this one becomes a spare. */
static void dispatch_bound(struct usched_carrier *carrier, struct usched_worker *worker,
			   struct usched_fiber *fiber)
{
	usched_carrier_disown(carrier);
	atomic_store_explicit(&worker->mode, USCHED_WORKER_MODE_MOVING, memory_order_relaxed);
	usched_spare_push(carrier);
	usched_carrier_give(usched_fiber_bound(fiber), worker);
}

void usched_carrier_loop(struct usched_carrier *carrier)
{
	struct usched_scheduler *scheduler = carrier->scheduler;

	for (;;) {
		struct usched_worker *worker = usched_owned(carrier);
		struct usched_fiber *fiber = carrier->handed;

		usched_assert(usched_current(carrier) == NULL);
		carrier->handed = NULL;
		if (!fiber)
			fiber = usched_find(carrier);
		if (!fiber) {
			if (atomic_load_explicit(&scheduler->stop, memory_order_acquire))
				return;		/* <- destroy's release store */
			usched_surrender(carrier);
			if (!usched_carrier_wait(carrier))
				return;
			continue;
		}
		if (usched_fiber_bound(fiber)) {
			dispatch_bound(carrier, worker, fiber);
			if (!usched_carrier_wait(carrier))
				return;
			continue;
		}
		make_current(carrier, worker, fiber);
		usched_sanitize_switch_begin(&carrier->native_sanitize, &fiber->sanitize);
		usched_arch_switch(&carrier->native, &fiber->context);
		usched_sanitize_switch_finish(&carrier->native_sanitize);
		complete(carrier);
	}
}
