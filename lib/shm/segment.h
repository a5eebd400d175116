/* SPDX-License-Identifier: MIT */
#ifndef USCHED_SHM_SEGMENT_H
#define USCHED_SHM_SEGMENT_H

/*
 * The two memfds of layout.h: making, sealing, mapping, and trusting them.
 *
 *	grant	sealed against shrinking, growing and further sealing; also against writing, once
 *		its one writer has mapped it (F_SEAL_FUTURE_WRITE, where the kernel has it)
 *	report	sealed against shrinking and growing; its reader uses pread(2)
 *
 * Mode 0600: a memfd could otherwise be opened for writing through /proc by anybody who was given a
 * read-only descriptor. Mappings are not inherited by a child (MADV_DONTFORK).
 *
 * Neither malloc nor stdio.
 */

#include <stdbool.h>
#include <stdint.h>

#include "shm/layout.h"
#include "shm/tunable.h"

enum usched_segment_kind { USCHED_SEGMENT_GRANT, USCHED_SEGMENT_REPORT };

struct usched_segment {
	int descriptor;		/* -1: none */
	void *memory;		/* NULL: not mapped */
	uint32_t bytes;
	uint32_t workers;
};

#define USCHED_SEGMENT_NONE { -1, 0, 0, 0 }

/** usched_segment_bytes() - of a segment with so many worker slots */
uint32_t usched_segment_bytes(enum usched_segment_kind kind, uint32_t workers);

/**
 * usched_segment_create() - a new one, mapped for writing, header filled, sealed
 *
 * Return:	0; -errno of memfd_create, ftruncate, mmap
 * Ownership:	free with usched_segment_close()
 */
int usched_segment_create(struct usched_segment *segment, enum usched_segment_kind kind,
			  uint32_t workers, const uint64_t session[2]);

/**
 * usched_segment_accept() - map one that another process made
 * @descriptor:	taken over, also on failure
 * @workers:	how many slots it must have, by our own table
 * @writable:	map for writing
 *
 * Return:	0; -EBADMSG it is not what it should be (size, seals, header); -errno of mmap
 */
int usched_segment_accept(struct usched_segment *segment, enum usched_segment_kind kind,
			  uint32_t workers, const uint64_t session[2], int descriptor,
			  bool writable);

/** usched_segment_close() - unmap and close; a closed one is fine */
void usched_segment_close(struct usched_segment *segment);

/** usched_segment_reopen() - a read-only descriptor of it, the caller's. Return: it, or -errno. */
int usched_segment_reopen(const struct usched_segment *segment);

static inline struct usched_grant *usched_segment_grant(const struct usched_segment *segment)
{
	return segment->memory;
}

static inline struct usched_report *usched_segment_report(const struct usched_segment *segment)
{
	return segment->memory;
}

static inline struct usched_grant_worker *
usched_segment_grant_worker(const struct usched_segment *segment, uint32_t number)
{
	return (struct usched_grant_worker *)((char *)segment->memory +
					      sizeof(struct usched_grant)) + number;
}

/**
 * usched_grant_store() - change CPUs and tunables; by the one writer
 * @cpus:	NULL: leave them, and the grant generation, alone
 * @tunables:	USCHED_TUNABLES values; NULL: leave them, and their generation, alone
 *
 * Ordering:	a sequence lock: odd while it is being written
 */
void usched_grant_store(struct usched_grant *grant, const uint64_t cpus[USCHED_CPU_WORDS],
			const uint64_t *tunables);

/* A consistent copy of what usched_grant_store() writes. */
struct usched_grant_copy {
	uint64_t grant_generation;
	uint64_t tunables_generation;
	uint64_t tunables[USCHED_TUNABLES];
	uint64_t cpus[USCHED_CPU_WORDS];
};

/** usched_grant_load() - Return: 0; -EAGAIN the writer held it odd all the time (bounded tries) */
int usched_grant_load(const struct usched_grant *grant, struct usched_grant_copy *copy);

#endif /* USCHED_SHM_SEGMENT_H */
