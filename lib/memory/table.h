/* SPDX-License-Identifier: MIT */
#ifndef USCHED_MEMORY_TABLE_H
#define USCHED_MEMORY_TABLE_H

/*
 * Records of one size, found by a small number.
 *
 *	index	 0	 1	 2	       limit	    committed	       maximum
 *		[unused][record][record]...[   ][ zeroed   ][ reserved addresses    ]
 *
 * One stretch of addresses is reserved at the start and made usable chunk by chunk, so a record is
 * found with one multiplication and never moves. A directory of chunks was the alternative; it
 * costs a dependent load on every look-up of a fiber by its handle. Memory is spent when a record is
 * first touched, and given back when the table is destroyed.
 *
 * Free indexes are kept last in, first out in an array beside the records, since the record used
 * last is the one that is still in a cache.
 *
 * Invariants
 *	I1  index 0 is never handed out;
 *	I2  an index is either in the free array or with whoever took it;
 *	I3  a record is zero bytes when its index is handed out for the first time, and is left as
 *	    it is when it is handed out again: a generation counter inside survives;
 *	I4  the record of an index that has ever been handed out is readable until destroy.
 *
 * Memory order
 *	[A] take: release store of limit  -> record, limit: acquire load of limit
 *	    Who sees the index below the limit may read the record. What is ordered is mprotect(2),
 *	    which no sanitizer sees: weakening this pair fails no test.
 *
 * Functions of this file call neither malloc nor stdio.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/spinlock.h"

struct usched_table {
	/* Fixed after init. */
	unsigned char *base;		/* record 0				*/
	uint32_t *free_indexes;		/* guarded by lock			*/
	size_t record_bytes;
	uint32_t maximum;		/* indexes are below			*/
	size_t reserved_bytes;
	size_t chunk_bytes;
	_Atomic uint32_t limit;		/* highest index handed out + 1; written under lock	*/

	struct usched_spinlock lock;	/* guards what follows			*/
	uint32_t free_count;
	size_t committed_bytes;
};

/**
 * usched_table_init() - make an empty table
 * @record_bytes: a multiple of 8; with one of 64 no two records share a cache line
 * @records_max: how many indexes can be out at one time, 1 to 2^31
 *
 * Where the address space is limited (RLIMIT_AS) the maximum is halved until it fits, but not below
 * 4,096; table->maximum - 1 tells what is left.
 *
 * Return:	0
 * Errors:	-ENOMEM  no address space
 * Ownership:	free with usched_table_destroy().
 * Callable from: any thread.
 */
int usched_table_init(struct usched_table *table, size_t record_bytes, uint32_t records_max);

/**
 * usched_table_destroy() - give all memory back
 *
 * Callable from: any thread; nobody uses the table any more.
 */
void usched_table_destroy(struct usched_table *table);

/**
 * usched_table_take() - get indexes
 * @indexes:	filled with them
 * @count:	how many are wanted, at least 1
 *
 * Return:	how many there are, 1 to @count: fewer when the table is nearly full.
 * Errors:	-EAGAIN  all are out
 *		-ENOMEM  the kernel refuses memory for new records
 * Ownership:	the caller's, until usched_table_give().
 * Ordering:	[A] as releaser. What the giver of an index wrote before is seen.
 * Locks:	takes table->lock (rank TABLE); may call mprotect(2) inside, once a chunk.
 * Callable from: fiber, worker, any thread; preemption off.
 */
int usched_table_take(struct usched_table *table, uint32_t *indexes, unsigned int count);

/**
 * usched_table_give() - put indexes back
 *
 * The last one given is the first one taken again.
 *
 * Locks:	takes table->lock (rank TABLE).
 * Callable from: fiber, worker, any thread; preemption off.
 */
void usched_table_give(struct usched_table *table, const uint32_t *indexes, unsigned int count);

/**
 * usched_table_limit() - where a walk over all records ends
 *
 * Return:	the highest index handed out so far + 1; 1 when there was none.
 * Ordering:	[A] as acquirer.
 * Callable from: anywhere, signal handler.
 */
static inline uint32_t usched_table_limit(const struct usched_table *table)
{
	return atomic_load_explicit(&table->limit, memory_order_acquire);	/* [A] */
}

/**
 * usched_table_record() - the record of an index
 * @index:	any value, trusted or not
 *
 * Return:	the record; NULL for 0 and for an index that was never handed out. Whether it is out
 *		just now is not known here: the record's own generation tells.
 * Ordering:	[A] as acquirer.
 * Callable from: anywhere, signal handler.
 */
static inline void *usched_table_record(const struct usched_table *table, uint32_t index)
{
	if (index == 0 || index >= usched_table_limit(table))
		return NULL;
	return table->base + (size_t)index * table->record_bytes;
}

#endif /* USCHED_MEMORY_TABLE_H */
