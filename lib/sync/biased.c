/* SPDX-License-Identifier: MIT */
/*
 * The way into a biased lock for all but its worker; see biased.h.
 */
#include <stddef.h>

#include "base/membarrier.h"
#include "sync/biased.h"

enum { USES_BEFORE_BIAS = 1000 };
#define NEVER UINT32_MAX		/* of `uses`: there will be no bias (any more) */

void usched_biased_init(struct usched_biased_lock *lock, enum usched_lock_rank rank)
{
	usched_spinlock_init(&lock->shared, rank);
	usched_spinlock_init(&lock->own, rank);
	atomic_init(&lock->worker, NULL);
	lock->candidate = NULL;
	lock->uses = 0;
}

/* Under `shared`, so there is one who ends it. */
static void end_bias(struct usched_biased_lock *lock)
{
	lock->uses = NEVER;
	/* Relaxed: the fence orders it. */
	atomic_store_explicit(&lock->worker, NULL, memory_order_relaxed);
	usched_membarrier();							/* [B1] */
	USCHED_STEP("unbiased", lock);
	usched_spinlock_await(&lock->own);					/* [B2] */
}

/* Under `shared`: one use more, of one worker in a row or not. */
static void count_use(struct usched_biased_lock *lock, struct usched_worker *worker)
{
	if (!worker || !worker->scheduler->membarrier) {
		lock->uses = NEVER;
	} else if (worker != lock->candidate) {
		lock->candidate = worker;
		lock->uses = 1;
	} else if (++lock->uses == USES_BEFORE_BIAS) {
		/* From its next call on; this one still holds `shared`. Its own word then. */
		atomic_store_explicit(&lock->worker, worker, memory_order_relaxed);
	}
}

struct usched_spinlock *usched_biased_lock_shared(struct usched_biased_lock *lock,
						  struct usched_worker *worker)
{
	usched_spinlock_lock(&lock->shared);
	/* Relaxed: `shared` orders it. */
	if (atomic_load_explicit(&lock->worker, memory_order_relaxed))
		end_bias(lock);
	else if (lock->uses != NEVER)
		count_use(lock, worker);
	return &lock->shared;
}
