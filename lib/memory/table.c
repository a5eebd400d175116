/* SPDX-License-Identifier: MIT */
/*
 * The table of records; see the header.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "memory/table.h"

enum {
	CHUNK_BYTES = 1 << 20,		/* addresses made usable at one time; not memory spent */
	MAXIMUM_MIN = 4096,
};

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

/* Address space only: nothing may touch it, and no accounting counts it. */
static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int usched_table_init(struct usched_table *table, size_t record_bytes, uint32_t records_max)
{
	/* Index 0 is not used. */
	uint64_t maximum = (uint64_t)records_max + 1;
	void *base, *free_indexes;

	usched_assert(record_bytes > 0 && record_bytes % 8 == 0 && record_bytes <= CHUNK_BYTES);
	usched_assert(records_max > 0 && records_max <= UINT32_C(1) << 31);

	for (;;) {
		size_t bytes = round_up(maximum * record_bytes, CHUNK_BYTES);

		base = reserve(bytes);
		/* Usable at once: pages that are never touched cost nothing. */
		free_indexes = mmap(NULL, maximum * sizeof(uint32_t), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (base != NULL && free_indexes != MAP_FAILED) {
			table->reserved_bytes = bytes;
			break;
		}
		if (base != NULL)
			munmap(base, bytes);
		if (free_indexes != MAP_FAILED)
			munmap(free_indexes, maximum * sizeof(uint32_t));
		if (maximum / 2 < MAXIMUM_MIN)
			return -ENOMEM;
		maximum /= 2;
	}

	table->base = base;
	table->free_indexes = free_indexes;
	table->record_bytes = record_bytes;
	table->maximum = (uint32_t)maximum;
	table->chunk_bytes = CHUNK_BYTES;
	table->free_count = 0;
	table->committed_bytes = 0;
	atomic_init(&table->limit, 1);
	usched_spinlock_init(&table->lock, USCHED_RANK_TABLE);
	return 0;
}

void usched_table_destroy(struct usched_table *table)
{
	munmap(table->base, table->reserved_bytes);
	munmap(table->free_indexes, (size_t)table->maximum * sizeof(uint32_t));
	table->base = NULL;
	table->free_indexes = NULL;
}

/* Makes the records below @limit usable. */
static int commit_locked(struct usched_table *table, uint32_t limit)
{
	size_t needed = (size_t)limit * table->record_bytes;

	while (table->committed_bytes < needed) {
		if (mprotect(table->base + table->committed_bytes, table->chunk_bytes,
			     PROT_READ | PROT_WRITE) < 0)
			return -ENOMEM;
		table->committed_bytes += table->chunk_bytes;
	}
	return 0;
}

int usched_table_take(struct usched_table *table, uint32_t *indexes, unsigned int count)
{
	unsigned int taken = 0;
	uint32_t limit, fresh;
	int r = -EAGAIN;

	usched_assert(count > 0);

	usched_spinlock_lock(&table->lock);
	while (taken < count && table->free_count > 0)
		indexes[taken++] = table->free_indexes[--table->free_count];

	/* Relaxed: written under the lock only. */
	limit = atomic_load_explicit(&table->limit, memory_order_relaxed);
	fresh = table->maximum - limit;
	if (fresh > count - taken)
		fresh = count - taken;
	if (fresh > 0) {
		r = commit_locked(table, limit + fresh);
		if (r == 0) {
			for (uint32_t i = 0; i < fresh; i++)
				indexes[taken++] = limit + i;
			atomic_store_explicit(&table->limit, limit + fresh,
					      memory_order_release);		/* [A] */
		}
	}
	usched_spinlock_unlock(&table->lock);

	return taken > 0 ? (int)taken : r;
}

void usched_table_give(struct usched_table *table, const uint32_t *indexes, unsigned int count)
{
	usched_spinlock_lock(&table->lock);
	for (unsigned int i = 0; i < count; i++) {
		/* Relaxed: written under the lock only. */
		usched_assert(indexes[i] > 0 &&
			      indexes[i] < atomic_load_explicit(&table->limit,
								memory_order_relaxed));
		usched_assert(table->free_count < table->maximum);
		table->free_indexes[table->free_count++] = indexes[i];
	}
	usched_spinlock_unlock(&table->lock);
}
