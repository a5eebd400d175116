/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_RING_H
#define USCHED_WORKER_RING_H

/*
 * A worker's run queue of one kind: a bounded ring, one producer, many consumers.
 *
 * Only the carrier that owns the worker pushes. The owner pops to run, other workers pop to
 * steal. A full ring is no error: the owner sends the fiber to the pool's inbox instead.
 *
 *	  head                tail
 *	   v                   v
 *	[ .  F  F  F  F  F  .  . ]	F in [head, tail) is runnable
 *
 * Invariants
 *	R1  tail - head is in [0, CAPACITY]; both only grow, modulo 2^32.
 *	R2  tail is written by the owner alone; head by compare-exchange.
 *	R3  a fiber is in at most one queue; being popped ends its membership.
 *
 * Memory order
 *	[A] push: release store of tail   -> pop: acquire load of tail
 *	    The popper sees the slot and all that was written to the fiber before.
 *	[B] pop: release cmpxchg of head  -> push: acquire load of head
 *	    The popper's read of the slot ends before the owner reuses it.
 *	[C] cmpxchg of head               -> pop: acquire load of head
 *	    A popper that sees head = h also sees tail >= h (R1).
 *
 * Limit: a popper stopped for exactly 2^32 pops could mistake an old head for a new one: a stall
 * of seconds at the highest rate, in the middle of three instructions; accepted.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/cpu.h"

struct usched_fiber;

enum { USCHED_RING_CAPACITY = 1024 };	/* power of two: indices wrap for free */

struct usched_ring {
	_Alignas(USCHED_CACHELINE) _Atomic uint32_t head;	/* contended: poppers */
	_Alignas(USCHED_CACHELINE) _Atomic uint32_t tail;	/* written by the owner */
	_Atomic(struct usched_fiber *) slots[USCHED_RING_CAPACITY];
};

_Static_assert((USCHED_RING_CAPACITY & (USCHED_RING_CAPACITY - 1)) == 0, "ring index wraps");

static inline _Atomic(struct usched_fiber *) *usched_ring_slot(struct usched_ring *ring, uint32_t at)
{
	return &ring->slots[at % USCHED_RING_CAPACITY];
}

/**
 * usched_ring_push() - append a runnable fiber
 *
 * Return:	true; false when the ring is full: the fiber is untouched.
 * Ownership:	on true the fiber belongs to whoever pops it.
 * Ordering:	[A] as releaser, [B] as acquirer.
 * Callable from: the owner, inside the runtime.
 */
static inline bool usched_ring_push(struct usched_ring *ring, struct usched_fiber *fiber)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);	/* [B] */
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);	/* R2 */

	if (tail - head >= USCHED_RING_CAPACITY)
		return false;
	/* Relaxed and atomic: a popper about to lose its race may still read the slot. */
	atomic_store_explicit(usched_ring_slot(ring, tail), fiber, memory_order_relaxed);
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);		/* [A] */
	return true;
}

/**
 * usched_ring_pop() - take the oldest fiber
 *
 * Return:	a fiber the caller now owns; NULL when the ring was seen empty.
 * Ordering:	[A] [C] as acquirer, [B] [C] as releaser.
 * Callable from: the owner, or a thief; inside the runtime. Lock-free.
 */
static inline struct usched_fiber *usched_ring_pop(struct usched_ring *ring)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);	/* [C] */

	for (;;) {
		uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire); /* [A] */
		struct usched_fiber *fiber;

		if (tail == head)
			return NULL;
		fiber = atomic_load_explicit(usched_ring_slot(ring, head), memory_order_relaxed);
		if (atomic_compare_exchange_weak_explicit(&ring->head, &head, head + 1,
							  memory_order_acq_rel,
							  memory_order_acquire)) /* [B] [C] */
			return fiber;
	}
}

/**
 * usched_ring_length() - how many fibers, roughly
 *
 * Return:	a count in [0, CAPACITY], out of date. For victims and statistics, and for the
 *		recheck before sleep, which has a fence of its own.
 * Callable from: any thread, signal handler.
 */
static inline uint32_t usched_ring_length(struct usched_ring *ring)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t length = tail - head;

	/* head may have been read long before tail: more were popped than are left. */
	return length <= USCHED_RING_CAPACITY ? length : 0;
}

#endif /* USCHED_WORKER_RING_H */
