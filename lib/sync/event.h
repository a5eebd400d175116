/* SPDX-License-Identifier: MIT */
#ifndef USCHED_SYNC_EVENT_H
#define USCHED_SYNC_EVENT_H

/*
 * Events: a count of posts, and who waits for one. Posted from anywhere, also from a signal handler
 * that interrupted the library itself with a lock held: the poster waits for nothing.
 *
 *	usched_post()					who else touches the event
 *	  word: one post more, one poster more
 *	  try the lock
 *	    free: give the post to the first waiter	a waiter, under the lock
 *	    held: word: queued; the first who set it
 *	          pushes the event to the runtime's	the monitor: takes all that were
 *	          list and wakes the monitor		pushed, and gives their posts away
 *	  word: one poster less				destroy: waits until nobody is left
 *
 *	word:	63     62                 32 31                0
 *		queued | posters inside it  | posts not taken
 *
 * The lock may be held by the very code that the handler interrupted, so nobody may wait for it;
 * whoever finds it held leaves the event to the monitor. A post that finds it free has it for a few
 * instructions. A tick meanwhile only leaves a note (usched_begin_visit()): else a fiber could be
 * stopped with the lock held, or between "queued" and the push, which would hide later posts.
 *
 * A poster never enters the runtime, since a fiber whose worker was taken would have to wait there
 * for its turn. So it may touch no worker, and wakes as a plain thread does, through inboxes: these
 * and the wake-up take no lock, so it does not matter what the handler interrupted.
 *
 * Invariants
 *	E1  posts only shrink by being taken: by a waiter that finds no other one waiting, or for one
 *	    that was claimed, both under the lock.
 *	E2  after each post somebody looks at the waiters under the lock: the poster, or the monitor.
 *	E3  a poster's or the monitor's last access to an event is the end of its hold on the word; the
 *	    runtime's, since an event ends before its runtime, comes before.
 *
 * Memory order
 *	[E1] post: release CAS of word	-> take: acquire CAS. What was written before the post.
 *	[E2] queued: acq_rel change by poster and monitor; whoever sets it last finds the other's posts.
 *	[E3] list: release push		-> acquire exchange by the monitor
 *	[E4] release end of a hold	-> acquire load in destroy
 */

#include <stdatomic.h>
#include <stdint.h>

#include "base/list.h"
#include "base/spinlock.h"
#include "worker/scheduler.h"

#define USCHED_EVENT_QUEUED (UINT64_C(1) << 63)
#define USCHED_EVENT_POSTER (UINT64_C(1) << 32)

/* What usched_event's opaque words hold. */
struct usched_event_state {
	_Atomic uint64_t word;
	struct usched_spinlock lock;		/* guards waiters			*/
	uint32_t number;			/* of the runtime; fixed		*/
	struct usched_scheduler *scheduler;	/* NULL: destroyed			*/
	struct usched_event_state *next;	/* in the runtime's list, while queued	*/
	struct usched_list waiters;
};

/**
 * usched_events_deliver() - give away the posts of all events that were left to the monitor
 *
 * Locks:	takes each event's
 * Callable from: the monitor
 */
void usched_events_deliver(struct usched_scheduler *scheduler);

#endif /* USCHED_SYNC_EVENT_H */
