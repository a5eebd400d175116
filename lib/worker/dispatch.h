/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_DISPATCH_H
#define USCHED_WORKER_DISPATCH_H

/*
 * Choosing the next fiber, and leaving one for another.
 *
 *	fiber A: park                          whoever runs next on this carrier
 *	  carrier->left = A
 *	  carrier->after = PARK, unlock L
 *	  switch ----------------------------> completes for A: commit its wait, unlock L
 *	                                       goes on
 *
 * A fiber is published from the other side, since until then its stack is in use. The next fiber
 * is entered directly when it is ready and unbound; else the carrier's native loop looks further.
 *
 * Order of choice, one look each:
 *	1. each 10 ms one LOW fiber, and one NORMAL if none of USED had a turn since (the monitor turns
 *	   the page)
 *	2. `next`, the fiber woken last, at most 3 times in a row: it shares the waker's slice
 *	3. HIGH
 *	4. FRESH (new, or woken) and AHEAD in turn, but after 64 of them in a row one USED
 *	5. USED (preempted or yielded), then LOW
 *	6. the mailbox and the pool's inbox; each 61st dispatch they come first
 *	7. timers and I/O, then the queues of others, nearest first. If those are empty, the sleep
 *	   looks at timers and I/O itself: one system call
 *
 * What a poll makes ready is told to others once, at its end, and only if it is worth 100 us of work, by
 * how long fibers ran here last: a sleeping worker costs more to wake than a few short answers, and
 * would poll away from under this one. Should they take longer, the monitor sees them wait.
 *
 * While more than 64 are fresh, the caches no longer hold their memory, nor what the kernel keeps for their
 * connections: who waits longest is the coldest. So every second one that I/O or a timer wakes then goes to
 * AHEAD, and is soon served from the caches. Who comes k-th to FRESH runs 2k-th at the latest, and who goes
 * ahead next time is chance: over a while all are served alike. Beside fibers in USED it is every fourth.
 *
 * Fibers that have just been woken run before those that used up their slice: it keeps the wait of
 * short work near one quantum beside any number of long ones, and the 64 bound what it can take.
 */

#include <stdbool.h>
#include <stdint.h>

#include "worker/carrier.h"

enum usched_after {
	USCHED_AFTER_NOTHING,
	USCHED_AFTER_READY,	/* queue it again: it yielded				*/
	USCHED_AFTER_PARK,	/* commit its wait, then unlock or publish		*/
	USCHED_AFTER_EXIT,	/* it is over: stack and descriptor			*/
};

/* Where a fiber that is made ready goes. */
enum usched_place {
	USCHED_PLACE_NEXT,	/* right after the caller: another fiber woke it	*/
	USCHED_PLACE_WOKEN,	/* in FRESH or AHEAD: I/O or a timer woke it		*/
};

/** usched_carrier_loop() - run workers until the runtime stops. On the native stack. */
void usched_carrier_loop(struct usched_carrier *carrier);

/**
 * usched_ready() - queue a fiber that nobody else may touch now
 * @carrier:	the caller's, inside the runtime; NULL: a plain thread
 *
 * With a worker of the fiber's own runtime it goes to that worker, else to its pool's inbox.
 *
 * Ownership:	the fiber is whoever's takes it from the queue.
 * Callable from: fiber and loop inside the runtime, any thread; the tick handler
 */
void usched_ready(struct usched_carrier *carrier, struct usched_fiber *fiber,
		  enum usched_place place);

/** usched_ready_outside() - into the inbox of its pool, and tell; the fiber's state is set */
void usched_ready_outside(struct usched_fiber *fiber);

/** usched_queue() - append to a ring of an owned worker, or to its pool's inbox */
void usched_queue(struct usched_worker *worker, struct usched_fiber *fiber,
		  enum usched_ring_kind kind);

/**
 * usched_pick_from() - the next fiber of an owned worker, without looking outside it
 * @least:	of this priority or a higher one; a lower one only when its turn has come by age
 *
 * Return:	a fiber, maybe bound; NULL: its rings, mailbox and inbox have none
 * Callable from: the owner; the tick handler
 */
struct usched_fiber *usched_pick_from(struct usched_worker *worker, enum usched_priority least);

static inline struct usched_fiber *usched_pick(struct usched_worker *worker)
{
	return usched_pick_from(worker, USCHED_PRIORITY_LOW);
}

/** usched_swap_next() - the owner's exchange of `next`: no other thread writes it */
static inline struct usched_fiber *usched_swap_next(struct usched_worker *worker,
						    struct usched_fiber *fiber)
{
	struct usched_fiber *old = atomic_load_explicit(&worker->next, memory_order_relaxed);

	if (old != fiber)
		atomic_store_explicit(&worker->next, fiber, memory_order_relaxed);
	return old;
}

/**
 * usched_waiter_resume() - a waiter was claimed: make its fiber ready, or wake its thread
 * @fiber:	waiter->fiber, read before the claim could let a thread's waiter go out of scope
 * @word:	&waiter->word; only its address is used
 */
void usched_waiter_resume(struct usched_carrier *carrier, struct usched_fiber *fiber,
			  _Atomic uint32_t *word);

/* usched_ready() with PLACE_NEXT where nobody is next, and nobody else need know: the common case of a
   wake-up, in line. False: nothing happened. */
static inline bool usched_make_next(struct usched_carrier *carrier, struct usched_fiber *fiber)
{
	struct usched_worker *worker;

	if (!carrier || !fiber)
		return false;
	worker = usched_owned(carrier);		/* it has one: the caller is inside the runtime */
	/* Relaxed: as in usched_notify_self() and usched_swap_next(). */
	if (worker->scheduler != fiber->pool->scheduler ||
	    usched_fiber_priority(fiber) != USCHED_PRIORITY_NORMAL ||
	    atomic_load_explicit(&worker->next, memory_order_relaxed) ||
	    atomic_load_explicit(&worker->tick_off, memory_order_relaxed) ||
	    atomic_load_explicit(&worker->scheduler->monitor_slow, memory_order_relaxed))
		return false;
	usched_fiber_set_state(fiber, USCHED_FIBER_READY);
	usched_count(&worker->counters.wakes);
	atomic_store_explicit(&worker->next, fiber, memory_order_relaxed);
	return true;
}

/** usched_resume() - let a claimed waiter go on; the object's lock is released */
static inline void usched_resume(struct usched_carrier *carrier, struct usched_claimed *claimed)
{
	if (claimed->word && !usched_make_next(carrier, claimed->fiber))
		usched_waiter_resume(carrier, claimed->fiber, claimed->word);
}

/** usched_share_next() - put `next` into a ring, where thieves see it. The owner; tick handler. */
void usched_share_next(struct usched_worker *worker);

/** usched_unpick() - put back what was picked, so that it is the next one again */
void usched_unpick(struct usched_worker *worker, struct usched_fiber *fiber);

/**
 * usched_take_bound() - out of the worker's queues, a fiber that has a carrier of its own
 *
 * For who finds no spare: nobody else can run on that worker then. What stands before it goes to
 * the pool's inbox. At most one pass over the queues.
 *
 * Return:	a fiber the caller now owns; NULL: none was seen
 * Callable from: the owner, or a thief; inside the runtime; the monitor
 */
struct usched_fiber *usched_take_bound(struct usched_worker *worker);

/** usched_has_ready() - a peek: would usched_pick() find somebody? Callable from: anywhere. */
bool usched_has_ready(struct usched_worker *worker);

/** usched_quantum_of() - how long a fiber may run on this worker while others wait, ns; 0: no end */
static inline uint64_t usched_quantum_of(const struct usched_worker *worker,
					 const struct usched_fiber *fiber)
{
	uint64_t own_ns = atomic_load_explicit(&fiber->quantum_ns, memory_order_relaxed);

	/* Relaxed: a change is taken up at the next dispatch, tick or pass of the monitor. */
	return __builtin_expect(own_ns == USCHED_QUANTUM_DEFAULT, 1) ?
	       atomic_load_explicit(&worker->quanta_ns[usched_fiber_priority(fiber)], memory_order_relaxed) :
	       own_ns;
}

/* USCHED_QUANTUM_DEFAULT, off, or within the limits; tests may have a lower one than MIN. */
static inline bool usched_quantum_is_valid(uint64_t quantum_ns, uint64_t least_ns)
{
	return quantum_ns == USCHED_QUANTUM_DEFAULT || quantum_ns == USCHED_QUANTUM_OFF ||
	       (quantum_ns >= least_ns && quantum_ns <= USCHED_QUANTUM_MAX_NS);
}

static inline uint64_t usched_quantum_clamp(const struct usched_scheduler *scheduler,
					    uint64_t quantum_ns)
{
	return quantum_ns != USCHED_QUANTUM_OFF && quantum_ns < scheduler->quantum_floor_ns ?
	       scheduler->quantum_floor_ns : quantum_ns;
}

/**
 * usched_begin_slice() - a fiber is the carrier's current one from here on
 *
 * Counts the dispatch, refills the budget, and sees to it that a tick comes in time.
 *
 * Callable from: the owner of @worker, about to run @fiber
 */
void usched_begin_slice(struct usched_carrier *carrier, struct usched_worker *worker,
			struct usched_fiber *fiber);

/** usched_yield_from() - the current fiber goes to the end of the queue. False: nobody else is. */
bool usched_yield_from(struct usched_carrier *carrier);

/**
 * usched_charge() - a library call of the current fiber is done and did not park
 *
 * Takes one from the budget of the slice. When it is used up the fiber yields; now and then it also
 * does so because its quantum is over and no tick came, as when ticks fall into the kernel.
 *
 * Return:	the carrier on which the fiber goes on
 * May switch:	yes
 * Callable from: the current fiber, inside the runtime; a plain thread, with NULL
 */
struct usched_carrier *usched_charge_slowly(struct usched_carrier *carrier);

static inline struct usched_carrier *usched_charge(struct usched_carrier *carrier)
{
	if (carrier && __builtin_expect(--carrier->budget <= 0 || (carrier->budget & 15) == 0, 0))
		return usched_charge_slowly(carrier);
	return carrier;
}

/* The same for a call that cannot switch: the next one that can will. */
static inline void usched_charge_here(struct usched_carrier *carrier)
{
	if (carrier && carrier->budget > 0)
		carrier->budget--;
}

/** usched_slice_is_over() - should the current fiber let others run now? Inside the runtime. */
bool usched_slice_is_over(struct usched_carrier *carrier);

/** usched_charge_outside() - as usched_charge(), by the user's side of the library. May switch. */
void usched_charge_outside(void);

/**
 * usched_switch_to() - queue the current fiber as used and run a picked one
 *
 * Return:	the carrier on which the current fiber goes on, at its next turn
 * May switch:	yes
 * Callable from: the current fiber, inside the runtime; the tick handler, for a fiber that may move
 */
struct usched_carrier *usched_switch_to(struct usched_carrier *carrier, struct usched_fiber *next);

/**
 * usched_park() - leave the current fiber, whose waiter has begun to wait
 * @lock:	held; released once the fiber has left its stack. NULL: use @publish
 * @publish:	called on the other side with the committed word; NULL: nothing to publish
 *
 * Return:	the carrier on which the fiber goes on
 * Locks:	hands @lock over
 * May switch:	yes
 * Callable from: the current fiber, inside the runtime
 */
struct usched_carrier *usched_park(struct usched_carrier *carrier, struct usched_spinlock *lock,
				   void (*publish)(struct usched_fiber *, uint32_t, void *),
				   void *argument);

/** usched_fiber_main() - where each fiber begins, an usched_arch_entry; the argument is its descriptor */
const struct usched_context *usched_fiber_main(void *fiber);

/** usched_resume_bound() - a carrier got a worker again and goes on with its bound fiber */
void usched_resume_bound(struct usched_carrier *carrier, struct usched_fiber *fiber);

/**
 * usched_hand_off() - give the worker to another carrier, and sleep with the current fiber
 * @target:	the carrier of @next, when that is bound; else a spare, the caller's
 * @next:	picked; runs on @target
 * @front:	queue the current fiber so that it runs again soon (it may hold a lock of libc)
 *
 * Returns at this fiber's next turn.
 *
 * Callable from: the current fiber's carrier, inside the runtime; the tick handler
 */
void usched_hand_off(struct usched_carrier *carrier, struct usched_carrier *target,
		     struct usched_fiber *next, bool front);

/**
 * usched_surrender() - the CPU was revoked: queue all elsewhere, and own no worker any more
 *
 * Without a current fiber the carrier becomes a spare; a current one is queued as bound. Either
 * way the caller waits next.
 *
 * Callable from: the owner; the tick handler
 */
void usched_surrender(struct usched_carrier *carrier);

/**
 * usched_poll() - timers and I/O of an owned worker, and of the dormant ones it serves
 * @timeout_ns:	0: do not wait; else sleep at most so long, or until woken
 *
 * Callable from: the owner; with 0 also in the tick handler
 */
void usched_poll(struct usched_carrier *carrier, uint64_t timeout_ns);

/** usched_notify() - a ring of an owned worker has grown: should a sleeping worker steal? */
void usched_notify(struct usched_worker *worker);

/** usched_hasten_monitor() - somebody is no longer alone: passes are to be frequent again */
void usched_hasten_monitor(struct usched_scheduler *scheduler);

/** usched_notify_self() - the owner's fiber is no longer alone: it needs its tick, and the monitor */
static inline void usched_notify_self(struct usched_worker *worker)
{
	struct usched_scheduler *scheduler = worker->scheduler;

	/* Relaxed: the owner's own word; the monitor's is a hint, its next pass comes anyway. */
	if (__builtin_expect(atomic_load_explicit(&worker->tick_off, memory_order_relaxed), 0))
		scheduler->hooks.tick_wanted(worker);
	if (__builtin_expect(atomic_load_explicit(&scheduler->monitor_slow,
						  memory_order_relaxed), 0))
		usched_hasten_monitor(scheduler);
}

/** usched_notify_outside() - an inbox has grown: wake a sleeping worker, best of that pool. True: did */
bool usched_notify_outside(struct usched_scheduler *scheduler, struct usched_pool *pool);

/** usched_notify_worker() - its mailbox has grown: wake it if it sleeps */
void usched_notify_worker(struct usched_worker *worker);

/** usched_wake_worker() - end the sleep of a worker in its poll. Callable from: anywhere. */
void usched_wake_worker(struct usched_worker *worker);

/** usched_wake_any() - end the sleep of one sleeping worker. False: none sleeps. */
bool usched_wake_any(struct usched_scheduler *scheduler, struct usched_pool *pool);

/**
 * usched_find() - the next fiber of an owned worker, from wherever there is one
 *
 * Sleeps until there is. Return: a fiber; NULL: the worker was revoked or the runtime stops.
 */
struct usched_fiber *usched_find(struct usched_carrier *carrier);

/* descriptors and stacks: birth.c */

/** usched_fiber_allocate() - a free descriptor with a stack reserved; see birth.c. 0 or -errno. */
int usched_fiber_allocate(struct usched_scheduler *scheduler, struct usched_carrier *carrier,
			  struct usched_pool *pool, enum usched_stack class,
			  struct usched_fiber **fiber);

/** usched_fiber_free() - give a descriptor back; its id is 0 already */
void usched_fiber_free(struct usched_scheduler *scheduler, struct usched_carrier *carrier,
		       struct usched_fiber *fiber);

/** usched_stack_attach() - a new fiber gets its stack; cannot fail, it was reserved */
void usched_stack_attach(struct usched_worker *worker, struct usched_fiber *fiber);

/**
 * usched_stack_retire() - a finished fiber's stack, seen from another stack
 * @freed_at_once:	usched_fiber_free() follows, in this thread: it may be kept
 */
void usched_stack_retire(struct usched_worker *worker, struct usched_fiber *fiber, bool freed_at_once);

#endif /* USCHED_WORKER_DISPATCH_H */
