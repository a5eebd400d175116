/* SPDX-License-Identifier: MIT */
#ifndef USCHED_SYNC_BIASED_H
#define USCHED_SYNC_BIASED_H

/*
 * A lock that one worker alone nearly always takes, for the price of two stores.
 *
 *	struct usched_spinlock *held = usched_biased_lock(&object->lock, carrier);
 *	...
 *	usched_spinlock_unlock(held);			or handed to usched_wait()
 *
 * There are two spinlocks in it. `shared` is everybody's. `own` is that of one worker, which takes it
 * by a plain store. Who holds either is alone:
 *
 *	unbiased --1,000 times in a row by fibers of one worker--> biased to it
 *	                  biased --anybody else comes--> unbiased for good
 *
 * Who ends the bias clears `worker`, has every thread pass a fence, and waits until `own` is free: the
 * fence in the often used direction is the rare one's system call. It happens once in the life of a
 * lock, so that locks of objects that come and go between workers never pay for it. And the bias is
 * never another worker's, since one that was late, between its look and its store, would release what
 * is the other one's. Plain threads end the hope of it, too: they are not worth the question.
 *
 * A worker has one owner, and is not taken from it inside the runtime (K1, [P1] of worker/carrier.h): so
 * what the owner before wrote under `own` came with the worker.
 *
 * Memory order
 *	[B1] the worker:  store own, compiler fence, load worker
 *	     who ends it: store worker = NULL, membarrier, load own
 *	     One of them sees the other.
 *	[B2] unlock of own: release -> who ends the bias: acquire load of own, until it is free
 *
 * Without membarrier there is no bias. Source: quickly reacquirable locks, Dice, Moir and Scherer 2003.
 */

#include "worker/carrier.h"

struct usched_biased_lock {
	struct usched_spinlock shared;
	struct usched_spinlock own;
	_Atomic(struct usched_worker *) worker;	/* whose `own` is; NULL: nobody's. Under shared */
	struct usched_worker *candidate;	/* who took `shared` last; under it	*/
	uint32_t uses;				/* by the candidate, in a row; under it	*/
};

/** usched_biased_init() - a free lock, of one rank with its two halves. Nobody else knows it yet. */
void usched_biased_init(struct usched_biased_lock *lock, enum usched_lock_rank rank);

/** For the inline function below. */
struct usched_spinlock *usched_biased_lock_shared(struct usched_biased_lock *lock,
						  struct usched_worker *worker);

/**
 * usched_biased_lock() - take the lock, waiting for it
 * @carrier:	the caller's, inside the runtime; NULL: a plain thread
 *
 * Return:	the half that is held, for usched_spinlock_unlock()
 * Ordering:	[B1], and as usched_spinlock_lock()
 * Callable from: fiber inside the runtime, any thread
 */
static inline struct usched_spinlock *usched_biased_lock(struct usched_biased_lock *lock,
							 struct usched_carrier *carrier)
{
	struct usched_worker *worker = carrier ? usched_owned(carrier) : NULL;

	/* Relaxed: looked at again below. */
	if (worker && __builtin_expect(worker == atomic_load_explicit(&lock->worker,
								      memory_order_relaxed), 1)) {
		usched_spinlock_take(&lock->own);
		atomic_signal_fence(memory_order_seq_cst);				/* [B1] */
		USCHED_STEP("biased", carrier);
		if (__builtin_expect(worker == atomic_load_explicit(&lock->worker,
								    memory_order_relaxed), 1))
			return &lock->own;
		usched_spinlock_unlock(&lock->own);
	}
	return usched_biased_lock_shared(lock, worker);
}

#endif /* USCHED_SYNC_BIASED_H */
