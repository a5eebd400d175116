/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_TIMERS_H
#define USCHED_WORKER_TIMERS_H

/*
 * A worker's timers: a binary heap of (deadline, fiber).
 *
 * A wait with a deadline is ended by the earliest of its value and its timer, and nearly all are
 * ended by the value: a server sets a deadline of seconds on each read, and reads again at once.
 * So a fiber keeps one entry for many waits, its alarm, and nothing is cancelled:
 *
 *	fiber->alarm	deadline of the one live entry of this fiber, in whatever heap; 0: none
 *
 *	arm(deadline)	alarm set and not later: that entry serves. Else CAS alarm to the
 *			deadline and push an entry; an entry whose deadline differs from its
 *			fiber's alarm is dead.
 *	fire(entry)	dead: drop. The fiber waits until later: push it again for then. It waits
 *			and the time has come: the wait ends with TIMED_OUT. It does not wait:
 *			alarm = 0, and look once more.
 *
 * A heap that has filled with dead entries is swept when it has doubled since the last sweep, so
 * it never holds more than twice the live ones plus a constant.
 *
 * Memory order
 *	[T1] arm: seq_cst store of WAITING (via the fence in arm), then load alarm
 *	     fire: seq_cst CAS of alarm to 0, then load the waiter's word
 *	     One of the two sees the other: no wait is left without an entry.
 *
 * The lock guards the heap alone: the owner pushes and fires; a sibling fires for a worker whose
 * CPU was revoked. Memory comes from mmap; room for a push is made before the fiber leaves its
 * stack, where failure can still be reported.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "base/spinlock.h"

struct usched_fiber;

struct usched_timer_entry {
	uint64_t deadline_ns;
	struct usched_fiber *fiber;
};

struct usched_timers {
	struct usched_spinlock lock;
	uint32_t count;
	uint32_t capacity;
	uint32_t sweep_at;			/* sweep when count reaches this	*/
	struct usched_timer_entry *entries;
	_Atomic uint32_t length;			/* = count, for observers; relaxed	*/
	_Atomic uint64_t first_ns;		/* of the heap; UINT64_MAX: empty. Relaxed: the
						   owner wrote it, others only peek		*/
};

/** usched_timers_init() - an empty heap. Return: 0 or -ENOMEM. */
int usched_timers_init(struct usched_timers *timers);

/** usched_timers_destroy() - give its memory back */
void usched_timers_destroy(struct usched_timers *timers);

/**
 * usched_timers_reserve() - make room for one more entry
 *
 * Return:	0; -ENOMEM
 * Locks:	takes lock
 * Callable from: the worker's owner, before its fiber leaves the stack.
 */
int usched_timers_reserve(struct usched_timers *timers);

/**
 * usched_timers_arm() - see to it that a committed wait ends at its deadline
 * @timers:	of the worker that the caller owns; has room (usched_timers_reserve())
 * @fiber:	its waiter was committed; the wait may be over by now
 * @deadline_ns: of that wait
 *
 * Ordering:	[T1]
 * Callable from: the worker's owner, on another stack than the fiber's.
 */
void usched_timers_arm(struct usched_timers *timers, struct usched_fiber *fiber,
		       uint64_t deadline_ns);

/**
 * usched_timers_expire() - take one fiber whose time has come
 * @now_ns:	CLOCK_MONOTONIC
 *
 * Return:	a fiber whose wait ended with TIMED_OUT: the caller makes it ready; NULL: none.
 * Callable from: the owner, or a sibling that serves a dormant worker; also in the tick handler.
 */
struct usched_fiber *usched_timers_expire(struct usched_timers *timers, uint64_t now_ns);

#endif /* USCHED_WORKER_TIMERS_H */
