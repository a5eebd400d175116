/* SPDX-License-Identifier: MIT */
#ifndef USCHED_SYNC_WAIT_H
#define USCHED_SYNC_WAIT_H

/*
 * Waiting for something, as a fiber or as a plain thread. The one blocking primitive: join, sleep,
 * mutex, channel and sockets are written with it.
 *
 *	struct usched_waiter own, *waiter;
 *	struct usched_carrier *carrier = usched_enter();
 *
 *	usched_spinlock_lock(&object->lock);
 *	...				the object says: wait
 *	waiter = usched_waiter_of(carrier, &own);
 *	usched_waiter_begin(waiter, kind, 0, data, deadline_ns);
 *	usched_list_push_back(&object->waiters, &waiter->node);
 *	reason = usched_wait(&carrier, waiter, &object->lock);		released there
 *	...				TIMED_OUT: lock, and unlink what is still linked
 *	usched_leave(carrier);
 *
 * A waker holds the object's lock, unlinks the waiter, and claims it with usched_claim(). Only if
 * the claim succeeds does it copy a value, and, after unlocking, resume the waiter.
 */

#include "worker/dispatch.h"

/** usched_waiter_of() - the caller's waiter: in its fiber's descriptor, or on the thread's stack */
static inline struct usched_waiter *usched_waiter_of(struct usched_carrier *carrier,
						     struct usched_waiter *own)
{
	if (carrier)
		return &usched_current(carrier)->waiter;
	own->fiber = NULL;
	atomic_init(&own->word, 0);
	return own;
}

/**
 * usched_wait_check() - may the caller wait until then?
 *
 * Return:	0; -EAGAIN for USCHED_NOW; -EPERM on a stack that is not the fiber's; -ENOMEM no memory
 *		for the timer
 * Callable from: inside the runtime; takes the timers' lock
 */
int usched_wait_check_slowly(struct usched_carrier *carrier, uint64_t deadline_ns);

static inline int usched_wait_check(struct usched_carrier *carrier, uint64_t deadline_ns)
{
	if (__builtin_expect(carrier && deadline_ns == USCHED_FOREVER &&
			     usched_on_own_stack(carrier), 1))
		return 0;
	return usched_wait_check_slowly(carrier, deadline_ns);
}

/** usched_wait_as_thread() - usched_wait() of a plain thread */
enum usched_wait_state usched_wait_as_thread(struct usched_waiter *waiter,
					     struct usched_spinlock *lock);

/**
 * usched_wait() - sleep until somebody claims the waiter, or its deadline
 * @carrier:	the caller's; changed to where the fiber goes on
 * @lock:	held by the caller; released here. NULL: none
 *
 * Return:	the reason
 * May switch:	yes
 */
static inline enum usched_wait_state usched_wait(struct usched_carrier **carrier,
						 struct usched_waiter *waiter,
						 struct usched_spinlock *lock)
{
	if (__builtin_expect(!*carrier, 0))
		return usched_wait_as_thread(waiter, lock);
	*carrier = usched_park(*carrier, lock, NULL, NULL);
	return usched_waiter_reason(waiter);
}

/** usched_wait_failure() - the -errno of a wait that did not end with a value; closed gives @closed */
int usched_wait_failure(enum usched_wait_state reason, int closed);

/** usched_wait_error() - the same, and 0 for a value */
static inline int usched_wait_error(enum usched_wait_state reason, int closed)
{
	return __builtin_expect(reason == USCHED_WAIT_VALUE, 1) ? 0 :
	       usched_wait_failure(reason, closed);
}

/** usched_find_locked() - the fiber of a handle, with its lock; NULL: there is none. Inside the runtime. */
struct usched_fiber *usched_find_locked(uint64_t id, struct usched_scheduler **scheduler);

#endif /* USCHED_SYNC_WAIT_H */
