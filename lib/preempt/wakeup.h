/* SPDX-License-Identifier: MIT */
#ifndef USCHED_PREEMPT_WAKEUP_H
#define USCHED_PREEMPT_WAKEUP_H

/*
 * Wake-up preemption: a fiber that becomes ready does not wait for the quantum of the one that runs.
 *
 * While a worker runs user code nobody looks at its timers and its epoll. The monitor does: it
 * sleeps in one poll(2) over the armed workers' epolls, until the earliest timer. When something is
 * ready, and the running fiber has had the minimum slice, it marks the worker urgent for this very
 * dispatch and sends a tick. The handler then makes room (row 3 of decide.c), polls, and the fiber that
 * has just become ready runs next. A timer is known before it is due: where perf makes the ticks, one
 * is ordered for that moment, and the monitor looks a little later whether it came.
 *
 *	armed ---- the worker's epoll is ready ----> ready
 *	  ^		(one event, then silent)	|  urgent sent, or the worker sees to it itself
 *	  |						v
 *	  +---- the pause is over: minimum slice ---- disarmed
 *		after an urgent, else a pass
 *
 * The minimum slice is also the rate limit: at most one urgent signal, and one look at an epoll, in
 * that time for each worker. A worker that switches often serves its own I/O, and is looked at only
 * once a pass.
 *
 * A fiber that comes from outside while all workers are busy (pool->urgent), and one of a higher
 * priority, end a slice in the same way.
 *
 * All functions: the monitor only. They lock and allocate nothing.
 */

#include <stdint.h>

#include "worker/scheduler.h"

/** usched_wakeup_init() - once, before the first pass */
void usched_wakeup_init(struct usched_scheduler *scheduler);

/** usched_wakeup_ready() - the epoll of this worker, which was armed, is ready */
void usched_wakeup_ready(struct usched_worker *worker, uint64_t now_ns);

/**
 * usched_wakeup_pass() - look at all workers, and say in watch.armed whose epoll the monitor sleeps on
 *
 * Return:	when to look again though nothing becomes readable, ns; UINT64_MAX: no need
 */
uint64_t usched_wakeup_pass(struct usched_scheduler *scheduler, uint64_t now_ns);

#endif /* USCHED_PREEMPT_WAKEUP_H */
