/* SPDX-License-Identifier: MIT */
#ifndef USCHED_FIBER_WAITER_H
#define USCHED_FIBER_WAITER_H

/*
 * One who waits, a fiber or a plain thread, and the word that decides why it goes on.
 *
 *	         begin          commit (other stack)      wake, once
 *	IDLE ----------> PREPARED ----------> WAITING ------------------> reason
 *	  ^                                                                 |
 *	  +----------------------------- end -------------------------------+
 *
 * All blocking in the library ends here. Whoever changes WAITING to a reason, by compare and
 * exchange, has won: it alone makes the fiber ready, and the waiter gets exactly one reason. So a
 * value that was handed over is never lost to a timeout of the same instant, nor the reverse.
 *
 *	word:  31                       3 2      0
 *	      [ number of the wait      |  state  ]
 *
 * The number grows with each wait. A waker that found the waiter in a place without a lock (a
 * descriptor's slot) brings the word it found there, and cannot wake a later wait by mistake.
 * 2^29 waits during one such access would be needed to fool it: seconds at the highest rate.
 *
 * A fiber's waiter lies in its descriptor, never on its stack: wakers touch no fiber's stack but
 * through `data`, and only while they have won.
 *
 * Memory order
 *	[W1] commit: release store of WAITING     -> wake: acquire CAS
 *	     The waker sees data, deadline and the saved context.
 *	[W2] wake: release CAS to the reason      -> end: acquire load
 *	     The waiter sees what the waker wrote through `data`.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct usched_fiber;

enum usched_wait_state {
	USCHED_WAIT_IDLE,
	USCHED_WAIT_PREPARED,
	USCHED_WAIT_WAITING,
	/* The reasons. */
	USCHED_WAIT_VALUE,	/* what it waited for is there			*/
	USCHED_WAIT_CLOSED,	/* it will never be: the object was closed	*/
	USCHED_WAIT_TIMED_OUT,
	USCHED_WAIT_CANCELED,
	USCHED_WAIT_REFUSED,	/* the place was taken by somebody else		*/
};

enum { USCHED_WAIT_STATE_MASK = 7 };

/* What it waits for: observers show it. The numbers are those of shm/wire.h. */
enum usched_wait_kind {
	USCHED_WAIT_ON_NOTHING,
	USCHED_WAIT_ON_SLEEP,
	USCHED_WAIT_ON_JOIN,
	USCHED_WAIT_ON_CHANNEL,
	USCHED_WAIT_ON_MUTEX,
	USCHED_WAIT_ON_READ,
	USCHED_WAIT_ON_WRITE,
	USCHED_WAIT_ON_ACCEPT,
	USCHED_WAIT_ON_CONNECT,
	USCHED_WAIT_ON_EVENT,
};

struct usched_waiter {
	struct usched_list node;	/* in the object's list, under the object's lock */
	struct usched_fiber *fiber;	/* NULL: a plain thread, asleep on `word`	*/
	_Atomic uint32_t word;
	_Atomic uint16_t kind;		/* enum usched_wait_kind; relaxed: observers read it while it changes */
	_Atomic uint32_t object;	/* a descriptor, or 0; the same			*/
	void *data;			/* where the waker copies a value from or to	*/
	_Atomic uint64_t deadline_ns;	/* relaxed; published by [W1]			*/
};

static inline uint32_t usched_waiter_word(const struct usched_waiter *waiter)
{
	return atomic_load_explicit(&waiter->word, memory_order_acquire);	/* [W2] */
}

/* The waiter's own side: a new wait begins. Not yet to be woken. */
static inline void usched_waiter_begin(struct usched_waiter *waiter, enum usched_wait_kind kind,
				       uint32_t object, void *data, uint64_t deadline_ns)
{
	/* Relaxed: nobody else changes the word of a waiter that does not wait. */
	uint32_t word = atomic_load_explicit(&waiter->word, memory_order_relaxed);

	atomic_store_explicit(&waiter->kind, (uint16_t)kind, memory_order_relaxed);
	atomic_store_explicit(&waiter->object, object, memory_order_relaxed);
	waiter->data = data;
	atomic_store_explicit(&waiter->deadline_ns, deadline_ns, memory_order_relaxed);
	atomic_store_explicit(&waiter->word,
			      ((word | USCHED_WAIT_STATE_MASK) + 1) | USCHED_WAIT_PREPARED,
			      memory_order_relaxed);
}

/* From another stack than the waiter's (or by a plain thread itself): it may be woken now. */
static inline uint32_t usched_waiter_commit(struct usched_waiter *waiter)
{
	uint32_t word = atomic_load_explicit(&waiter->word, memory_order_relaxed);

	word = (word & ~(uint32_t)USCHED_WAIT_STATE_MASK) | USCHED_WAIT_WAITING;
	atomic_store_explicit(&waiter->word, word, memory_order_release);	/* [W1] */
	return word;
}

/* Try to end the wait that is known by its word. True: the caller must make the waiter ready. */
static inline bool usched_waiter_claim_word(struct usched_waiter *waiter, uint32_t word,
					    enum usched_wait_state reason)
{
	return (word & USCHED_WAIT_STATE_MASK) == USCHED_WAIT_WAITING &&
	       atomic_compare_exchange_strong_explicit(&waiter->word, &word,
		       (word & ~(uint32_t)USCHED_WAIT_STATE_MASK) | (uint32_t)reason,
		       memory_order_acq_rel, memory_order_acquire);		/* [W1] [W2] */
}

/* Whom a claim has made ready, for after the object's lock was released. */
struct usched_claimed {
	struct usched_fiber *fiber;	/* NULL: a thread	*/
	_Atomic uint32_t *word;		/* NULL: nobody		*/
};

/* End a wait, under the object's lock. False: it had ended by itself. */
static inline bool usched_claim(struct usched_waiter *waiter, enum usched_wait_state reason,
				struct usched_claimed *claimed)
{
	struct usched_fiber *fiber = waiter->fiber;
	uint32_t word = usched_waiter_word(waiter);

	if (atomic_load_explicit(&waiter->deadline_ns, memory_order_relaxed) == UINT64_MAX) {
		/* Nobody but the holder of the lock ends a wait without a deadline: timers look
		   at the deadline before they claim, and then by CAS of another wait's word. */
		if ((word & USCHED_WAIT_STATE_MASK) != USCHED_WAIT_WAITING)
			return false;
		atomic_store_explicit(&waiter->word,
				      (word & ~(uint32_t)USCHED_WAIT_STATE_MASK) | (uint32_t)reason,
				      memory_order_release);			/* [W2] */
	} else if (!usched_waiter_claim_word(waiter, word, reason)) {
		return false;
	}
	claimed->fiber = fiber;
	claimed->word = &waiter->word;
	return true;
}

static inline enum usched_wait_state usched_waiter_reason(const struct usched_waiter *waiter)
{
	return (enum usched_wait_state)(usched_waiter_word(waiter) & USCHED_WAIT_STATE_MASK);
}

#endif /* USCHED_FIBER_WAITER_H */
