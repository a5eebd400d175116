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
 *	- ticks by tgkill for carriers without a tick of their own.
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

/** usched_monitor_kick() - a tick by tgkill to the carrier of a worker, for a revocation. */
void usched_monitor_kick(struct usched_worker *worker);

/** usched_monitor_tick_all() - the timerfd's beat: a tick for each running carrier without one */
void usched_monitor_tick_all(struct usched_scheduler *scheduler);

#endif /* USCHED_PREEMPT_MONITOR_H */
