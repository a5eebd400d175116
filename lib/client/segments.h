/* SPDX-License-Identifier: MIT */
#ifndef USCHED_CLIENT_SEGMENTS_H
#define USCHED_CLIENT_SEGMENTS_H

/*
 * A pair of segments (shm/layout.h) as an observer holds it: two descriptors that came
 * from a process that may lie.
 *
 *	open	is it a sealed memfd, do the headers agree with its size and each other?
 *	read	pread(2) into our own copy, by the sizes that open() wrote down
 *
 * Invariants
 *	V1  offsets, strides and counts are those of `struct usched_segments`, checked once;
 *	    what the headers say later changes nothing;
 *	V2  a descriptor that could block or shrink is refused: a memfd sealed against
 *	    SHRINK and GROW is neither a pipe nor a file of some network.
 */

#include <stdint.h>

#include "shm/layout.h"

struct usched_segments {
	int grant;			/* descriptors; -1: none	*/
	int report;
	uint32_t workers;
	uint32_t report_header_bytes;
	uint32_t report_stride_bytes;
	uint64_t session[2];
};

/**
 * usched_segments_open() - check a pair and keep it
 * @grant:	descriptors; on success they belong to @segments
 * @reason:	set on failure to a constant string
 *
 * Return:	0; -EBADMSG it is no pair of ours; -EIO it cannot be read
 */
int usched_segments_open(struct usched_segments *segments, int grant, int report,
			 const char **reason);

/** usched_segments_close() - close both; may be called again. */
void usched_segments_close(struct usched_segments *segments);

/**
 * usched_segments_read_grant() - a consistent copy of the grant's body
 * @known:	set to 0 when it was being written each time we looked
 *
 * Return:	0; -EBADMSG; -EIO
 */
int usched_segments_read_grant(const struct usched_segments *segments, struct usched_grant *grant,
			       int *known, const char **reason);

/**
 * usched_segments_read_report() - a copy of the report and its workers
 * @workers:	room for segments->workers
 *
 * Return:	0; -EBADMSG; -EIO; -ENOMEM
 */
int usched_segments_read_report(const struct usched_segments *segments,
				struct usched_report *report,
				struct usched_report_worker *workers, const char **reason);

#endif /* USCHED_CLIENT_SEGMENTS_H */
