/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_POLL_H
#define USCHED_WORKER_POLL_H

/*
 * What a worker's epoll holds, told apart by the event's data.
 *
 *	the worker's eventfd	USCHED_POLL_WAKE
 *	a dormant sibling's epoll	USCHED_POLL_ADOPTED | number of that worker
 *	a file descriptor	anything else: the I/O layer's
 */

#include <stdint.h>

#define USCHED_POLL_WAKE    UINT64_MAX
#define USCHED_POLL_ADOPTED (UINT64_C(1) << 62)

enum { USCHED_POLL_EVENTS = 64 };	/* of one call; a worker has room for twice as many */

#endif /* USCHED_WORKER_POLL_H */
