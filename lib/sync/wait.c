/* SPDX-License-Identifier: MIT */
/*
 * Waiting; see wait.h.
 */
#include <errno.h>

#include "base/futex.h"
#include "sync/wait.h"

int usched_wait_check_slowly(struct usched_carrier *carrier, uint64_t deadline_ns)
{
	if (deadline_ns == USCHED_NOW)
		return -EAGAIN;
	if (carrier && !usched_on_own_stack(carrier))
		return -EPERM;
	if (carrier && deadline_ns != USCHED_FOREVER)
		return usched_timers_reserve(&usched_owned(carrier)->timers);
	return 0;
}

enum usched_wait_state usched_wait_as_thread(struct usched_waiter *waiter,
					     struct usched_spinlock *lock)
{
	uint64_t deadline_ns = atomic_load_explicit(&waiter->deadline_ns, memory_order_relaxed);
	uint32_t word = usched_waiter_commit(waiter);

	if (lock)
		usched_spinlock_unlock(lock);
	while (usched_waiter_word(waiter) == word) {
		int error = usched_futex_wait(&waiter->word, word, deadline_ns, true);

		if (error == -ETIMEDOUT)
			usched_waiter_claim_word(waiter, word, USCHED_WAIT_TIMED_OUT);
	}
	/* The claimer may still be copying a value, under the lock. */
	if (lock) {
		usched_spinlock_lock(lock);
		usched_spinlock_unlock(lock);
	}
	return usched_waiter_reason(waiter);
}

int usched_wait_failure(enum usched_wait_state reason, int closed)
{
	switch (reason) {
	case USCHED_WAIT_CLOSED:
		return closed;
	case USCHED_WAIT_CANCELED:
		return -ECANCELED;
	case USCHED_WAIT_REFUSED:
		return -EBUSY;
	default:
		return -ETIMEDOUT;
	}
}
