/* SPDX-License-Identifier: MIT */
#ifndef USCHED_PREEMPT_MONITOR_H
#define USCHED_PREEMPT_MONITOR_H

/*
 * What the monitor thread does for the scheduler in each pass, about once a millisecond while a
 * worker runs:
 *
 *	- a carrier that blocks in the kernel, or is busy there, while its worker has other work:
 *	  the worker is taken from it and given to a spare;
 *	- a fiber that waits in a queue while a worker sleeps: the worker is woken;
 *	- a carrier that blocks there while its worker's CPU is to be given back: the same;
 *	- ticks by signals for carriers without a tick of their own.
 *
 * Detection is a guess, and may be: taking is safe whatever the reason (K2 of carrier.h).
 *
 * Only the monitor thread calls in. It takes no lock that a stopped fiber may hold: no malloc, no
 * stdio.
 */

#include <stdbool.h>
#include <stdint.h>

#include "worker/scheduler.h"

/** usched_monitor_init() - use membarrier, if the kernel has it. Before the first carrier. */
void usched_monitor_init(struct usched_scheduler *scheduler);

enum usched_monitor_seen {
	USCHED_MONITOR_SLEEP,		/* no worker is awake				*/
	USCHED_MONITOR_ALONE,		/* those that are have nothing else to run	*/
	USCHED_MONITOR_WORK,		/* another pass is due soon			*/
};

/** usched_monitor_pass() - one look at all workers */
enum usched_monitor_seen usched_monitor_pass(struct usched_scheduler *scheduler, uint64_t now_ns);

/**
 * usched_monitor_take_blocked() - somebody else is to run here now: not by a tick, if that is no use
 *
 * A carrier that perf stops is not disturbed in a system call; its worker is taken from it instead.
 *
 * Return:	false: nothing was done, and a tick is to be sent
 */
bool usched_monitor_take_blocked(struct usched_worker *worker, struct usched_carrier *owner);

/** usched_monitor_kick() - a tick to the carrier of a worker, for a revocation. */
void usched_monitor_kick(struct usched_worker *worker);

/** usched_monitor_tick_all() - the timerfd's beat: a tick for each running carrier without one */
void usched_monitor_tick_all(struct usched_scheduler *scheduler);

#endif /* USCHED_PREEMPT_MONITOR_H */
