/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_INBOX_H
#define USCHED_WORKER_INBOX_H

/*
 * Fibers from outside a ring: spawned or woken by plain threads, overflowed, bound ones whose
 * carrier lost its worker, and all that a dormant worker had. Any thread adds, wait-free
 * (liburcu's wait-free concurrent queue, after Desnoyers and Jiangshan); one consumer at a time,
 * who gets out of the way of another instead of waiting.
 *
 * An adder that the kernel stopped between its two stores hides what was added after it until it
 * runs again: the consumer sees "would block" and comes back later. A worker that is about to
 * sleep sees a non-empty inbox and does not.
 *
 * Memory order
 *	[I] push: the queue's full barrier     -> pop: acquire fence after the dequeue
 *	    The queue itself reads a fiber only through the pointer to it. What was done before the
 *	    push and is not reached through it, all that a program does before it spawns, is seen
 *	    by the fence. It comes before the flag is cleared: the next consumer may get the link to
 *	    its fiber from this one.
 */

#include <stdbool.h>

#include "worker/scheduler.h"

static inline void usched_inbox_init(struct usched_inbox *inbox)
{
	__cds_wfcq_init(&inbox->head, &inbox->tail);
	atomic_flag_clear_explicit(&inbox->consumer, memory_order_relaxed);
}

static inline bool usched_inbox_empty(struct usched_inbox *inbox)
{
	return cds_wfcq_empty(__cds_wfcq_head_cast(&inbox->head), &inbox->tail);
}

/* Callable from: any thread inside or outside the runtime, signal handler on a carrier. */
static inline void usched_inbox_push(struct usched_inbox *inbox, struct usched_fiber *fiber)
{
	usched_sanitize_release(fiber);
	cds_wfcq_node_init(&fiber->node);
	cds_wfcq_enqueue(__cds_wfcq_head_cast(&inbox->head), &inbox->tail, &fiber->node);
}

/* The oldest fiber; NULL: none, or somebody else is taking. Callable from: inside the runtime. */
static inline struct usched_fiber *usched_inbox_pop(struct usched_inbox *inbox)
{
	struct cds_wfcq_node *node;

	if (usched_inbox_empty(inbox) ||
	    atomic_flag_test_and_set_explicit(&inbox->consumer, memory_order_acquire))
		return NULL;
	node = __cds_wfcq_dequeue_nonblocking(__cds_wfcq_head_cast(&inbox->head), &inbox->tail);
	atomic_thread_fence(memory_order_acquire);				/* [I] */
	atomic_flag_clear_explicit(&inbox->consumer, memory_order_release);	/* -> test_and_set */
	if (node == NULL || node == CDS_WFCQ_WOULDBLOCK)
		return NULL;
	usched_sanitize_acquire(caa_container_of(node, struct usched_fiber, node));
	return caa_container_of(node, struct usched_fiber, node);
}

#endif /* USCHED_WORKER_INBOX_H */
