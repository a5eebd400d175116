/* SPDX-License-Identifier: MIT */
#ifndef USCHED_IO_DESCRIPTOR_H
#define USCHED_IO_DESCRIPTOR_H

/*
 * Readiness of file descriptors.
 *
 * A descriptor is added to the epoll of one worker, edge-triggered for both directions, the first
 * time that somebody has to wait for it; it stays there until it is closed. Each direction has one
 * word, changed without a lock, so that a worker can poll in the tick's handler:
 *
 *	               event                      wait (other stack)
 *	READY <-------------------- EMPTY ----------------------------> who waits
 *	  |                          ^  ^                                   |
 *	  +---- wait finds it -------+  +------- event: claim, ready -------+
 *
 *	CLOSED: usched_close() is at work; waits end with CANCELED.
 *
 * "Who waits" is the fiber's index in the table and the word of its wait, so that a late event
 * cannot wake a later wait of the same fiber. A read or write is tried before waiting, so a READY
 * left over from an old event costs one more try and nothing else.
 *
 * A read of TCP that gives less than was asked for has emptied the socket; then the next one waits
 * without a try that could only fail. It must not wait for what is there already:
 *
 *	read                            next read                     event
 *	  seen = events                   drained_at == events?         events + 1, then the word
 *	  recv: short                     yes: wait
 *	  drained_at = seen               no: try
 *
 * What arrives after the recv gives an event. Either that is taken from the epoll before the next
 * read looks, which then tries; or later, and finds a waiter, or leaves READY for one. What arrived
 * before the recv was read, but for the end of the stream and urgent data, where a read stops: their
 * events set ENDING for good, and nothing is left out any more.
 *
 * Memory order
 *	[D1] event: acq_rel change of the word  -> wait: acq_rel CAS
 *	     An event between the try and the wait is seen by the wait.
 *	[D2] event: release sum in `events`, then [D1]  -> read: acquire load of `events`
 *	     Who was woken by an event, or finds its READY, does not take the one before for the last.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/dispatch.h"

enum usched_direction { USCHED_READABLE, USCHED_WRITABLE };

enum usched_descriptor_state {
	USCHED_DESCRIPTOR_UNKNOWN,	/* not ours, or closed			*/
	USCHED_DESCRIPTOR_READY,	/* non-blocking, not watched yet	*/
	USCHED_DESCRIPTOR_WATCHED,	/* in some worker's epoll		*/
};

enum {
	USCHED_DESCRIPTOR_ENDING = 1,	/* of `events`: a short read proves nothing	*/
	USCHED_DESCRIPTOR_EVENT = 2,	/* what each one adds				*/
};

struct usched_descriptor {
	_Atomic uint64_t waiting[2];	/* by direction				*/
	_Atomic uint32_t generation;	/* grows when it is closed		*/
	_Atomic uint32_t events;	/* for reading, that the epoll told of	*/
	_Atomic uint32_t drained_at;	/* `events` before a short read; relaxed */
	_Atomic uint8_t state;		/* enum usched_descriptor_state		*/
	_Atomic bool is_tcp;		/* known once it is watched; relaxed	*/
};

_Static_assert(sizeof(struct usched_descriptor) == 32, "two in a cache line, and none in two");

/** usched_descriptors_init() - room for all descriptors of the process. 0 or -ENOMEM. */
int usched_descriptors_init(struct usched_scheduler *scheduler);

/** usched_descriptors_destroy() - give it back */
void usched_descriptors_destroy(struct usched_scheduler *scheduler);

/** usched_descriptors_forget() - in a child of fork: no scheduler has a table */
void usched_descriptors_forget(void);

/** usched_descriptor_event() - the hook io_event: make ready who waits for it */
void usched_descriptor_event(struct usched_carrier *carrier, uint64_t data, uint32_t events);

/** usched_descriptor_soon() - the hook io_soon: bring who waits for it into the caches */
void usched_descriptor_soon(const struct usched_scheduler *scheduler, uint64_t data);

/**
 * usched_descriptor_open() - the state of a descriptor, made non-blocking on first use
 *
 * Return:	it; NULL: the number is out of range (-EBADF for callers), or fcntl failed (*error)
 * Callable from: fiber
 */
struct usched_descriptor *usched_descriptor_open(struct usched_scheduler *scheduler,
						 int descriptor, int *error);

/** usched_descriptor_tcp() - @state, if a short read empties it; else NULL. Callable from: fiber. */
static inline struct usched_descriptor *usched_descriptor_tcp(struct usched_descriptor *state)
{
	return state && atomic_load_explicit(&state->is_tcp, memory_order_relaxed) ? state : NULL;
}

/**
 * usched_descriptor_seen() - before a read: the events so far, for usched_descriptor_drained()
 *
 * Callable from: fiber
 */
static inline uint32_t usched_descriptor_seen(const struct usched_descriptor *state)
{
	return atomic_load_explicit(&state->events, memory_order_acquire);		/* [D2] */
}

/** usched_descriptor_drained() - a read of TCP gave less than asked for. Callable from: fiber. */
static inline void usched_descriptor_drained(struct usched_descriptor *state, uint32_t seen)
{
	if (!(seen & USCHED_DESCRIPTOR_ENDING))
		atomic_store_explicit(&state->drained_at, seen, memory_order_relaxed);
}

/** usched_descriptor_is_drained() - would a read fail for sure? Callable from: fiber. */
static inline bool usched_descriptor_is_drained(const struct usched_descriptor *state, uint32_t seen)
{
	return atomic_load_explicit(&state->drained_at, memory_order_relaxed) == seen;
}

/** usched_descriptor_note() - a new descriptor that is non-blocking already */
void usched_descriptor_note(struct usched_scheduler *scheduler, int descriptor);

/**
 * usched_descriptor_wait() - sleep until it may be ready
 * @generation:	of the descriptor, from before the call that would block
 *
 * Return:	0: try again; -ETIMEDOUT, -EAGAIN, -EBUSY, -ECANCELED, -ENOMEM; -errno of epoll_ctl
 * May switch:	yes
 * Callable from: fiber, outside the runtime
 */
int usched_descriptor_wait(struct usched_scheduler *scheduler, int descriptor,
			   enum usched_direction direction, enum usched_wait_kind kind,
			   uint32_t generation, uint64_t deadline_ns);

/**
 * usched_descriptor_close() - wake who waits in it, in any runtime, and forget it
 * @carrier:	the caller's, inside the runtime; NULL: a plain thread
 *
 * The caller closes it then. A descriptor is a number of the whole process: a runtime that still
 * took it for watched would wait for ever in the next file of that number.
 *
 * Locks:	takes the lock of the list of runtimes, when there is another runtime than the caller's
 */
void usched_descriptor_close(struct usched_carrier *carrier, int descriptor);

#endif /* USCHED_IO_DESCRIPTOR_H */
