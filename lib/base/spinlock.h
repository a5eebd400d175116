/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_SPINLOCK_H
#define USCHED_BASE_SPINLOCK_H

/*
 * The lock of the runtime's own structures: held for tens of instructions, never across a switch
 * (but for the one lock that parking hands over, on the same thread), never by a signal handler.
 *
 *	word	bit 0: held	bits 8-15: rank		zero bytes: free, of rank SYNC
 *
 * A fiber turns preemption off before it locks: were it stopped inside, all others would spin for
 * a holder that does not run. The kernel may still stop the holder's thread, so a waiter spins
 * briefly, then gives its CPU away, then sleeps in short naps. There is no queue and no fairness:
 * with sections this short none was needed, and a ticket lock is slow when a ticket holder is off
 * its CPU.
 *
 * Memory order
 *	[A] unlock: release store of word -> lock: acquire compare-exchange of word
 *	    What the last holder wrote is seen by the next one.
 *
 * With --enable-debug every thread remembers what it holds, and taking a lock out of order ends
 * the process with the names of both ranks.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"

/* Outermost first: a thread that holds one takes only later ones, or the same rank at a higher
   address. */
enum usched_lock_rank {
	USCHED_RANK_RUNTIME = 1,	/* start, stop, lists of pools and carriers	*/
	USCHED_RANK_CHANNEL,
	USCHED_RANK_SYNC,		/* mutex; also every zero-initialised lock	*/
	USCHED_RANK_FIBER,		/* join and state of one fiber			*/
	USCHED_RANK_TIMER,
	USCHED_RANK_IO,
	USCHED_RANK_STACK,
	USCHED_RANK_TABLE,
	USCHED_RANK_LOG,
};

enum {
	USCHED_SPINLOCK_HELD = 1,
	USCHED_SPINLOCK_RANK_SHIFT = 8,
};

struct usched_spinlock {
	_Atomic uint32_t word;
};

_Static_assert(sizeof(struct usched_spinlock) == 4, "public objects embed it in their opaque words");

#define USCHED_SPINLOCK_INIT(rank) { (uint32_t)(rank) << USCHED_SPINLOCK_RANK_SHIFT }

/* For the inline functions below. */
void usched_spinlock_lock_slow(struct usched_spinlock *lock);
#if USCHED_DEBUG
void usched_spinlock_check_order(const struct usched_spinlock *lock);
void usched_spinlock_note_held(const struct usched_spinlock *lock);
void usched_spinlock_note_released(const struct usched_spinlock *lock);
#else
static inline void usched_spinlock_check_order(const struct usched_spinlock *lock)
{
	(void)lock;
}
static inline void usched_spinlock_note_held(const struct usched_spinlock *lock)
{
	(void)lock;
}
static inline void usched_spinlock_note_released(const struct usched_spinlock *lock)
{
	(void)lock;
}
#endif

/**
 * usched_spinlock_init() - make a free lock
 *
 * Callable from: anywhere; nobody else knows the lock yet.
 */
static inline void usched_spinlock_init(struct usched_spinlock *lock, enum usched_lock_rank rank)
{
	atomic_init(&lock->word, (uint32_t)rank << USCHED_SPINLOCK_RANK_SHIFT);
}

/**
 * usched_spinlock_trylock() - take the lock if it is free
 *
 * The order of ranks is not checked: who does not wait cannot deadlock.
 *
 * Return:	true: the caller holds it.
 * Ordering:	[A] as acquirer.
 * Callable from: fiber, worker, any thread; preemption off.
 */
static inline bool usched_spinlock_trylock(struct usched_spinlock *lock)
{
	/* Relaxed: only a guess, which the compare-exchange proves. */
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	if (word & USCHED_SPINLOCK_HELD)
		return false;
	if (!atomic_compare_exchange_strong_explicit(&lock->word, &word,
						     word | USCHED_SPINLOCK_HELD,
						     memory_order_acquire,	/* [A] */
						     memory_order_relaxed))
		return false;
	usched_spinlock_note_held(lock);
	return true;
}

/**
 * usched_spinlock_lock() - take the lock, waiting for it
 *
 * Ordering:	[A] as acquirer.
 * Callable from: fiber, worker, any thread; preemption off.
 */
static inline void usched_spinlock_lock(struct usched_spinlock *lock)
{
	usched_spinlock_check_order(lock);
	if (__builtin_expect(!usched_spinlock_trylock(lock), 0))
		usched_spinlock_lock_slow(lock);
}

/**
 * usched_spinlock_take() - take a lock that nobody else may take now: no compare-exchange
 *
 * Ordering:	none; the caller has its own with whoever took it before.
 * Callable from: as usched_spinlock_lock()
 */
static inline void usched_spinlock_take(struct usched_spinlock *lock)
{
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	usched_spinlock_check_order(lock);
	atomic_store_explicit(&lock->word, word | USCHED_SPINLOCK_HELD, memory_order_relaxed);
	usched_spinlock_note_held(lock);
}

/**
 * usched_spinlock_unlock() - give the lock back
 *
 * Ordering:	[A] as releaser.
 * Callable from: the thread that locked it.
 */
static inline void usched_spinlock_unlock(struct usched_spinlock *lock)
{
	/* Relaxed: only the holder changes a held word. */
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	usched_debug_assert(word & USCHED_SPINLOCK_HELD);
	usched_spinlock_note_released(lock);
	atomic_store_explicit(&lock->word, word & ~(uint32_t)USCHED_SPINLOCK_HELD,
			      memory_order_release);			/* [A] */
}

/**
 * usched_spinlock_pass() - wait until the one who held it at the time of the call has released it
 *
 * Ordering:	[A] as acquirer.
 * Callable from: as usched_spinlock_lock(); the caller need not be alone afterwards.
 */
static inline void usched_spinlock_pass(struct usched_spinlock *lock)
{
	if (__builtin_expect(atomic_load_explicit(&lock->word, memory_order_acquire) &	/* [A] */
			     USCHED_SPINLOCK_HELD, 0)) {
		usched_spinlock_lock(lock);
		usched_spinlock_unlock(lock);
	}
}

/**
 * usched_spinlock_await() - wait until the lock is free, without taking it
 *
 * Ordering:	[A] as acquirer.
 * Callable from: as usched_spinlock_lock()
 */
void usched_spinlock_await(const struct usched_spinlock *lock);

/* For assertions: somebody holds the lock, hopefully the caller. */
static inline bool usched_spinlock_is_held(const struct usched_spinlock *lock)
{
	/* Relaxed: an assertion of the holder, who has stored the word itself. */
	return atomic_load_explicit(&lock->word, memory_order_relaxed) & USCHED_SPINLOCK_HELD;
}

#endif /* USCHED_BASE_SPINLOCK_H */
