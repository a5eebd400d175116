/* SPDX-License-Identifier: MIT */
#ifndef USCHED_FIBER_FIBER_H
#define USCHED_FIBER_FIBER_H

/*
 * The fiber descriptor: who it is, where it stands, what it waits for.
 *
 *	         dispatch            park              wake
 *	NEW ---------------> RUNNING ------> PARKED ----------> READY
 *	(in a queue)         |  |  ^                              |
 *	                     |  |  +------------------------------+
 *	                     |  |              dispatch
 *	              return |  | tick, or the worker was taken
 *	                     v  v
 *	                  DONE  READY_BOUND --> RUNNING    STRANDED --> READY_BOUND
 *
 *	state		in which queue		who owns the stack	who acts next
 *	NEW		ring or inbox		has none		a worker dispatches
 *	READY		ring or inbox		nobody			a worker dispatches
 *	RUNNING		carrier->current	the fiber		the fiber, or a tick
 *	PARKED		an object's list,	nobody			whoever wakes it
 *			timers, a descriptor
 *	READY_BOUND	ring or inbox		`bound`, asleep on it	a worker gives itself to `bound`
 *	STRANDED	none			the carrier that lost	that carrier, at its next entry
 *			its worker
 *	DONE		none			nobody			the joiner frees it
 *
 * A descriptor lives in a table whose memory is never unmapped while the runtime exists: a stale
 * handle reads an old descriptor, never a wild one. The handle of a fiber is
 *
 *	 63        58 57                32 31                  0
 *	[ runtime 6  |  index in the table 26 | generation 32     ]
 *
 * Invariants
 *	F1  A fiber is in exactly one queue, one waiting place, or is some carrier's `current`.
 *	F2  An unbound fiber is made visible to others only from another stack than its own.
 *	F3  `bound` is set by its own carrier before the fiber is queued, and cleared by it after.
 *	F4  Whoever frees a descriptor clears `id` under `lock` first.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <urcu/wfcqueue.h>
#include <usched/usched.h>

#include "arch/context.h"
#include "arch/cpu.h"
#include "arch/sanitize.h"
#include "base/spinlock.h"
#include "fiber/waiter.h"

struct usched_carrier;
struct usched_pool;

enum usched_fiber_state {
	USCHED_FIBER_NEW,
	USCHED_FIBER_READY,
	USCHED_FIBER_RUNNING,
	USCHED_FIBER_PARKED,
	USCHED_FIBER_READY_BOUND,
	USCHED_FIBER_STRANDED,
	USCHED_FIBER_DONE,
};

/* What the C++ runtime keeps for each thread of the exceptions in flight: __cxa_eh_globals of the
   Itanium C++ ABI. It belongs to the code that runs, so it moves with the fiber. */
struct usched_exceptions {
	void *caught;
	unsigned int uncaught;
};

enum usched_join_state {		/* guarded by lock */
	USCHED_JOIN_OPEN,		/* a joiner may come			*/
	USCHED_JOIN_WAITED,		/* `joiner` waits			*/
	USCHED_JOIN_DETACHED,		/* nobody will come			*/
	USCHED_JOIN_TOLD,		/* `joiner` has it: it frees the descriptor */
};

struct usched_fiber {
	/* What a dispatch touches. Written by whoever owns the fiber (F1). */
	_Alignas(USCHED_CACHELINE) struct usched_context context;
	_Atomic(struct usched_carrier *) bound;	/* relaxed: the queue orders it (F3)	*/
	struct usched_pool *pool;		/* where its stack is from; fixed	*/
	struct cds_wfcq_node node;		/* in an inbox				*/
	_Atomic uint8_t state;			/* relaxed: for observers and asserts	*/
	_Atomic uint8_t mode;			/* enum usched_preempt; fixed, relaxed: the monitor */
	_Atomic uint8_t priority;		/* enum usched_priority; may look at a new owner's */
	uint8_t stack_class;			/* enum usched_stack			*/
	bool has_stack;				/* a slot and a reservation; see birth.c */
	uint32_t stack_slot;			/* meaningful with has_stack		*/
	uint32_t index;				/* in the table; fixed			*/
	_Atomic uint32_t worker_cpu;		/* last; relaxed: for observers		*/
	_Atomic uint64_t quantum_ns;		/* its own; USCHED_QUANTUM_DEFAULT: its class's.
						   Relaxed: taken up at the next dispatch or tick */
	bool has_float_environment;		/* of its own; fixed			*/

	struct usched_sanitize sanitize;
	void *stack_low;			/* bounds, once it ran			*/
	void *stack_top;
	void *stack_entry;			/* below it lies what its function has called */
	_Atomic uint32_t sections;		/* open preempt-off sections; written by itself,
						   relaxed: the monitor takes it for a hint	*/
	bool section_note;			/* a tick came inside one		*/
	struct usched_exceptions exceptions;	/* while it does not run		*/

	/* What waiting touches. */
	_Alignas(USCHED_CACHELINE) struct usched_waiter waiter;
	_Atomic uint64_t alarm;			/* deadline of its live timer entry, 0: none;
						   see worker/timers.h			*/

	/* Birth and death. */
	_Alignas(USCHED_CACHELINE) struct usched_spinlock lock;	/* id, join, joiner, result */
	_Atomic uint8_t join;			/* enum usched_join_state; relaxed: the lock orders */
	_Atomic uint64_t id;			/* 0: free; acquire pairs with the release at spawn */
	uint32_t generation;
	struct usched_waiter *joiner;
	void *(*function)(void *argument);
	void *argument;
	void *result;
	_Atomic uint64_t preemptions;		/* relaxed: a statistic			*/
	char name[USCHED_NAME_MAX];
};

enum { USCHED_ID_INDEX_BITS = 26, USCHED_ID_RUNTIME_BITS = 6 };

#define USCHED_RUNTIMES_MAX ((1u << USCHED_ID_RUNTIME_BITS) - 1)
#define USCHED_FIBERS_MAX   ((1u << USCHED_ID_INDEX_BITS) - 1)

static inline uint64_t usched_id_make(unsigned int runtime, uint32_t index, uint32_t generation)
{
	return (uint64_t)runtime << 58 | (uint64_t)index << 32 | generation;
}

static inline unsigned int usched_id_runtime(uint64_t id)
{
	return (unsigned int)(id >> 58);
}

static inline uint32_t usched_id_index(uint64_t id)
{
	return (uint32_t)(id >> 32) & USCHED_FIBERS_MAX;
}

static inline void usched_fiber_set_state(struct usched_fiber *fiber, enum usched_fiber_state state)
{
	/* Relaxed: whoever may act on the fiber learnt so from a queue or a lock. */
	atomic_store_explicit(&fiber->state, (uint8_t)state, memory_order_relaxed);
}

static inline struct usched_carrier *usched_fiber_bound(struct usched_fiber *fiber)
{
	return atomic_load_explicit(&fiber->bound, memory_order_relaxed);	/* F3 */
}

static inline enum usched_preempt usched_fiber_mode(const struct usched_fiber *fiber)
{
	return (enum usched_preempt)atomic_load_explicit(&fiber->mode, memory_order_relaxed);
}

static inline enum usched_priority usched_fiber_priority(const struct usched_fiber *fiber)
{
	return (enum usched_priority)atomic_load_explicit(&fiber->priority, memory_order_relaxed);
}

static inline enum usched_join_state usched_fiber_join_state(const struct usched_fiber *fiber)
{
	return (enum usched_join_state)atomic_load_explicit(&fiber->join, memory_order_relaxed);
}

static inline void usched_fiber_set_join_state(struct usched_fiber *fiber,
					       enum usched_join_state state)
{
	atomic_store_explicit(&fiber->join, (uint8_t)state, memory_order_relaxed);
}

/* Its own word, read by its own thread; a hint for others. */
static inline bool usched_in_section(struct usched_fiber *fiber)
{
	return atomic_load_explicit(&fiber->sections, memory_order_relaxed) != 0;
}

#endif /* USCHED_FIBER_FIBER_H */
