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

struct epoll_event;

/**
 * usched_poll_events() - epoll_wait for at most USCHED_POLL_EVENTS events
 * @timeout_ns:	0: do not wait; UINT64_MAX: for ever. A kernel without epoll_pwait2 rounds up to 1 ms
 *
 * Callable from: anywhere; with 0 also in a signal handler
 */
int usched_poll_events(int descriptor, struct epoll_event *events, uint64_t timeout_ns);

#endif /* USCHED_WORKER_POLL_H */
