/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_AHEAD_H
#define USCHED_WORKER_AHEAD_H

/*
 * What runs soon is brought into the caches. With more fibers than the caches hold, each switch begins
 * with a dozen lines that are not there: the descriptor, then the stack, whose address is in it. The
 * queue knows who comes: the descriptor is fetched two turns ahead, the stack one.
 *
 *	ring	[ popped | next: its stack | the one after: its descriptor | ...
 *
 * Only hints. A thief may have taken a fiber meanwhile, and even run it: then another address is
 * fetched, which cannot fault. Descriptors stay readable as long as the runtime exists.
 */

#include "arch/sanitize.h"
#include "worker/scheduler.h"

/* Of a parked fiber's stack: the frames between its own code and the switch, and some of that code's. */
enum { USCHED_FETCH_STACK_BYTES = 448 };

static inline void usched_fetch_descriptor(const struct usched_fiber *fiber)
{
	__builtin_prefetch(&fiber->context, 1);
	__builtin_prefetch(&fiber->stack_top, 1);
	__builtin_prefetch(&fiber->waiter, 1);
}

static inline void usched_fetch_stack(const struct usched_fiber *fiber)
{
#ifndef USCHED_SANITIZE_THREAD		/* it would see a race: the address may be changing */
	uintptr_t sp = (uintptr_t)fiber->context.sp;

	for (unsigned int at = 0; at < USCHED_FETCH_STACK_BYTES; at += USCHED_CACHELINE)
		__builtin_prefetch((const void *)(sp + at), 1);
#else
	(void)fiber;
#endif
}

/** usched_fetch_ahead() - of the ring that was just popped. Its owner. */
static inline void usched_fetch_ahead(struct usched_ring *ring)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	/* Relaxed: the owner itself filled these slots. */
	if (head == tail)
		return;
	usched_fetch_stack(atomic_load_explicit(usched_ring_slot(ring, head), memory_order_relaxed));
	if (head + 1 != tail)
		usched_fetch_descriptor(atomic_load_explicit(usched_ring_slot(ring, head + 1),
							     memory_order_relaxed));
}

#endif /* USCHED_WORKER_AHEAD_H */
