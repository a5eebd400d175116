/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a spinlock, and the check of lock ranks.
 */
#include <sched.h>
#include <stddef.h>
#include <time.h>

#include "base/assert.h"
#include "base/spinlock.h"

enum {
	SPINS = 100,		/* looks at the word; longer than any section takes	*/
	YIELDS = 20,		/* then the holder's thread may be on our CPU		*/
	NAP_MIN_NS = 20000,	/* then it is off its CPU, perhaps for milliseconds	*/
	NAP_MAX_NS = 500000,
};

/* A hint to the core, through the compiler: this layer does not know the CPU. */
static inline void pause_briefly(void)
{
#if __has_builtin(__builtin_ia32_pause)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" : : : "memory");
#endif
}

/* What a waiter does between its looks: each call waits a little longer. */
struct patience {
	unsigned int looks;
	long nap_ns;
};

static void wait_a_little(struct patience *patience)
{
	struct timespec nap = { .tv_sec = 0, .tv_nsec = patience->nap_ns };

	if (++patience->looks <= SPINS) {
		pause_briefly();
	} else if (patience->looks <= SPINS + YIELDS) {
		sched_yield();
	} else {
		nanosleep(&nap, NULL);
		if (patience->nap_ns < NAP_MAX_NS)
			patience->nap_ns *= 2;
	}
}

void usched_spinlock_lock_slow(struct usched_spinlock *lock)
{
	struct patience patience = { .nap_ns = NAP_MIN_NS };

	do
		wait_a_little(&patience);
	while (!usched_spinlock_trylock(lock));
}

void usched_spinlock_await(const struct usched_spinlock *lock)
{
	struct patience patience = { .nap_ns = NAP_MIN_NS };

	while (atomic_load_explicit(&lock->word, memory_order_acquire) & USCHED_SPINLOCK_HELD)	/* [A] */
		wait_a_little(&patience);
}

#if USCHED_DEBUG

enum { HELD_MAX = 8 };

/*
 * What this thread holds. The record is touched only while preemption is off, hence between two
 * switches, so the address of a thread-local variable is safe to use here. Initial-exec by the
 * build's flags: no allocation at first use.
 */
static _Thread_local struct {
	unsigned int count;
	const struct usched_spinlock *locks[HELD_MAX];
} held;

static enum usched_lock_rank rank_of(const struct usched_spinlock *lock)
{
	/* Relaxed: the rank's bits never change. */
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
	uint32_t rank = word >> USCHED_SPINLOCK_RANK_SHIFT;

	return rank == 0 ? USCHED_RANK_SYNC : (enum usched_lock_rank)rank;
}

static const char *rank_name(enum usched_lock_rank rank)
{
	static const char *const names[] = {
		[USCHED_RANK_RUNTIME] = "RUNTIME", [USCHED_RANK_CHANNEL] = "CHANNEL",
		[USCHED_RANK_SYNC] = "SYNC", [USCHED_RANK_FIBER] = "FIBER",
		[USCHED_RANK_TIMER] = "TIMER", [USCHED_RANK_IO] = "IO",
		[USCHED_RANK_STACK] = "STACK", [USCHED_RANK_TABLE] = "TABLE",
		[USCHED_RANK_LOG] = "LOG",
	};
	_Static_assert(sizeof(names) / sizeof(names[0]) == USCHED_RANK_LOG + 1, "one name a rank");

	return rank <= USCHED_RANK_LOG ? names[rank] : "unknown";
}

__attribute__((noinline)) void usched_spinlock_check_order(const struct usched_spinlock *lock)
{
	enum usched_lock_rank mine = rank_of(lock);

	for (unsigned int i = 0; i < held.count; i++) {
		enum usched_lock_rank theirs = rank_of(held.locks[i]);

		if (held.locks[i] == lock)
			usched_fatal("a thread locks a lock of rank ", rank_name(mine),
				     " that it holds already");
		if (theirs > mine || (theirs == mine && held.locks[i] > lock))
			usched_fatal("locks are taken out of order: ", rank_name(mine),
				     " while ", rank_name(theirs), " is held");
	}
}

__attribute__((noinline)) void usched_spinlock_note_held(const struct usched_spinlock *lock)
{
	unsigned int place = held.count;

	usched_assert(place < HELD_MAX);
	/* The place first: a signal handler may take and release a lock in between. */
	held.count = place + 1;
	atomic_signal_fence(memory_order_seq_cst);
	held.locks[place] = lock;
}

__attribute__((noinline)) void usched_spinlock_note_released(const struct usched_spinlock *lock)
{
	unsigned int i = held.count;

	/* Nearly always the last one taken. */
	while (i > 0 && held.locks[i - 1] != lock)
		i--;
	if (i == 0)
		usched_fatal("a thread unlocks a lock of rank ", rank_name(rank_of(lock)),
			     " that it does not hold");
	for (; i < held.count; i++)
		held.locks[i - 1] = held.locks[i];
	held.count--;
}

#endif
