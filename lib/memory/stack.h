/* SPDX-License-Identifier: MIT */
#ifndef USCHED_MEMORY_STACK_H
#define USCHED_MEMORY_STACK_H

/*
 * Stacks: slots of address space in big slabs, one set of slabs a pool, three classes.
 *
 *	slab	low address                                             high address
 *		[guard|    slot 0 |guard|    slot 1 |guard|    slot 2 | ... not yet guarded ]
 *		       ^low       ^top
 *
 * Only touched pages cost memory. A slab is one mapping; the first is 64 MiB of address space, each
 * further one twice as much, up to 1 GiB. Slots are numbered through all slabs of a class.
 *
 *	numbers	0           next_fresh           capacity           mapped            maximum
 *		[ taken or free ][ never used     ][ mapped, no guard ][ no address yet ]
 *
 * A stack is reserved long before it is taken: a spawn reserves (and may be refused), the dispatch
 * of a new fiber takes (and cannot fail). In between nobody owns a particular slot. Workers keep a
 * few slots in caches; the slack of a class says how many, all caches together.
 *
 * Free slots are kept last in, first out in an array outside the stacks, since the slot used last
 * has its pages and perhaps its cache lines.
 *
 * Invariants
 *	I1  slots taken and not given back <= reserved + slack <= capacity;
 *	I2  every slot below capacity has its guard;
 *	I3  slabs are never moved or unmapped before destroy.
 *
 * Memory order
 *	[A] grow: release store of capacity and slab_count -> acquire loads of them
 *	    The slabs below are mapped, guarded, and their addresses can be read.
 *	[B] unreserve: release on reserved -> reserve: acquire on reserved
 *	    A slot that was given back before its reservation ended is found by whoever takes on
 *	    the strength of the next reservation.
 *
 * Functions of this file call neither malloc nor stdio.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/spinlock.h"
#include "memory/guard.h"
#include "usched/usched.h"

enum { USCHED_STACK_CLASSES = 3 };	/* indexed by enum usched_stack */

struct usched_stacks_class {
	/* Fixed after init. */
	size_t slot_bytes;		/* a power of two, the guard included		*/
	size_t guard_bytes;
	uint32_t maximum;		/* slots; stacks_max + slack			*/
	uint32_t slack;
	uint32_t first_shift;		/* log2 of the slots of the first slab		*/
	uint32_t slabs_max;
	_Atomic uintptr_t *slabs;	/* addresses; slabs_max of them			*/
	uint32_t *free_slots;		/* maximum of them; guarded by lock		*/

	_Atomic uint32_t capacity;	/* written under growth_lock			*/
	_Atomic uint32_t slab_count;	/* written under growth_lock			*/
	_Alignas(64) _Atomic uint32_t reserved;	/* by compare-exchange			*/

	struct usched_spinlock growth_lock;	/* guards mapped and charged		*/
	uint32_t mapped;		/* slots that have addresses			*/
	uint32_t charged;		/* guards taken from the budget			*/

	_Alignas(64) struct usched_spinlock lock;	/* guards what follows		*/
	uint32_t free_count;
	uint32_t next_fresh;		/* lowest slot that was never taken		*/
	uint32_t trimmed;		/* free_slots below this index hold no pages	*/
};

struct usched_stacks {
	struct usched_stacks_class classes[USCHED_STACK_CLASSES];
	enum usched_guard guard;
	int node;
	_Atomic(const char *) refusal;
};

struct usched_stacks_options {
	enum usched_guard guard;	/* what usched_guard_probe() returned		*/
	int node;			/* memory comes from this NUMA node; -1: any	*/
	uint32_t stacks_max;		/* that may be reserved, per class, below 2^31	*/
	uint32_t slack[USCHED_STACK_CLASSES]; /* what all caches may hold together	*/
};

struct usched_stacks_usage {
	uint32_t reserved;
	uint32_t capacity;		/* slots that could be in use			*/
	uint32_t free;			/* of those used before				*/
	uint64_t address_bytes;		/* of address space				*/
};

/**
 * usched_stacks_init() - make an empty set of stacks
 *
 * Address space and memory are taken by the first reservations only.
 *
 * Return:	0
 * Errors:	-ENOMEM
 * Ownership:	free with usched_stacks_destroy().
 * Callable from: any thread.
 */
int usched_stacks_init(struct usched_stacks *stacks, const struct usched_stacks_options *options);

/**
 * usched_stacks_destroy() - unmap everything
 *
 * Callable from: any thread; nobody stands on one of the stacks.
 */
void usched_stacks_destroy(struct usched_stacks *stacks);

/**
 * usched_stacks_reserve() - make sure that so many more stacks can be taken
 * @count:	at least 1
 *
 * Without growth it is one compare-exchange. Growth maps a slab or makes a batch of guards.
 *
 * Return:	0
 * Errors:	-EAGAIN  stacks_max would be exceeded
 *		-ENOMEM  no address space, no page tables, or no more guards;
 *			 usched_stacks_refusal() says which. Nothing was reserved.
 * Ordering:	[A], [B] as acquirer.
 * Locks:	takes growth_lock (rank STACK) while it grows.
 * Callable from: fiber, worker, any thread; preemption off.
 */
int usched_stacks_reserve(struct usched_stacks *stacks, enum usched_stack class, uint32_t count);

/**
 * usched_stacks_unreserve() - so many reservations are over
 *
 * The slots have been given back, or moved into a cache within its share of the slack.
 *
 * Ordering:	[B] as releaser.
 * Callable from: fiber, worker, any thread.
 */
void usched_stacks_unreserve(struct usched_stacks *stacks, enum usched_stack class,
			     uint32_t count);

/**
 * usched_stacks_refusal() - why the last reservation was refused
 *
 * Return:	a constant sentence: what ran out and what to do; NULL when none was refused.
 * Callable from: anywhere.
 */
const char *usched_stacks_refusal(const struct usched_stacks *stacks);

/**
 * usched_stacks_take() - get slots that were reserved, or fill a cache from the slack
 * @slots:	filled with @count slots
 *
 * Never fails: asking for more than I1 allows is a mistake that ends the process.
 *
 * Return:	@count.
 * Locks:	takes the class's lock (rank STACK).
 * Callable from: worker, preemption off.
 */
unsigned int usched_stacks_take(struct usched_stacks *stacks, enum usched_stack class,
				uint32_t *slots, unsigned int count);

/**
 * usched_stacks_give() - put slots back
 *
 * The last one is the first to be taken again. What was on them stays in memory.
 *
 * Locks:	takes the class's lock (rank STACK).
 * Callable from: worker, any thread; preemption off; nobody stands on them.
 */
void usched_stacks_give(struct usched_stacks *stacks, enum usched_stack class,
			const uint32_t *slots, unsigned int count);

/**
 * usched_stacks_bounds() - where a slot lies
 * @slot:	taken by the caller, or known to be below capacity
 * @low:	set to the lowest usable byte, just above the guard
 * @top:	set to one past the highest byte; a multiple of the page size
 *
 * Callable from: anywhere, signal handler.
 */
void usched_stacks_bounds(const struct usched_stacks *stacks, enum usched_stack class,
			  uint32_t slot, void **low, void **top);

/**
 * usched_stacks_slot_bytes() - size of a class, the guard included: what people are told
 *
 * Callable from: anywhere, signal handler.
 */
static inline size_t usched_stacks_slot_bytes(const struct usched_stacks *stacks,
					      enum usched_stack class)
{
	return stacks->classes[class].slot_bytes;
}

/**
 * usched_stacks_find() - which slot an address lies in
 * @in_guard:	set: is it the guard's page?
 *
 * Return:	true: the outputs were set.
 * Ordering:	[A] as acquirer.
 * Callable from: anywhere, signal handler.
 */
bool usched_stacks_find(const struct usched_stacks *stacks, uintptr_t address,
			enum usched_stack *class, uint32_t *slot, bool *in_guard);

/**
 * usched_stacks_trim() - give the pages of free slots back to the kernel
 * @keep:	so many of the slots used last keep theirs
 *
 * Return:	how many slots were trimmed.
 * Locks:	takes the class's lock (rank STACK), for a few slots at a time.
 * Callable from: monitor, any thread; preemption off.
 */
uint32_t usched_stacks_trim(struct usched_stacks *stacks, enum usched_stack class, uint32_t keep);

/**
 * usched_stacks_usage() - figures of one class
 *
 * Callable from: monitor, any thread; preemption off. Takes the class's lock.
 */
void usched_stacks_usage(struct usched_stacks *stacks, enum usched_stack class,
			 struct usched_stacks_usage *usage);

#endif /* USCHED_MEMORY_STACK_H */
