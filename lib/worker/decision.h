/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_DECISION_H
#define USCHED_WORKER_DECISION_H

/*
 * What can come of a tick. The table that decides is in preempt/decide.c, in this order; each
 * outcome is counted by the worker, so that it can be read, tested and shown.
 */

enum usched_decision {
	USCHED_DECISION_DEFERRED,	/* inside the library: a note is left		*/
	USCHED_DECISION_LOST,		/* the worker had been taken: it waited its turn */
	USCHED_DECISION_REVOKED,	/* the CPU was revoked: all queued elsewhere	*/
	USCHED_DECISION_OFF,		/* no quantum for this fiber			*/
	USCHED_DECISION_YOUNG,		/* the slice is not over			*/
	USCHED_DECISION_SECTION,	/* preemption is off here: a note is left	*/
	USCHED_DECISION_NEVER,		/* the fiber's mode				*/
	USCHED_DECISION_ALONE,		/* nothing else to run				*/
	USCHED_DECISION_YIELDED,	/* the stack was switched in the handler	*/
	USCHED_DECISION_GRACE,		/* in libc, perhaps with a lock: look again soon */
	USCHED_DECISION_DIRECT,		/* handed over to the next fiber's own carrier	*/
	USCHED_DECISION_SPARE,		/* handed over to a spare carrier		*/
	USCHED_DECISION_STARVED,	/* no spare: it goes on				*/
	USCHED_DECISION_COUNT,
};

/* Why a fiber of mode YIELD was not switched, but treated as HANDOFF. */
enum usched_veto {
	USCHED_VETO_CODE,		/* not in code that was declared for it		*/
	USCHED_VETO_STACK,		/* not on the fiber's stack			*/
	USCHED_VETO_MASK,		/* signals are blocked: inside somebody's handler */
	USCHED_VETO_FRAME,		/* the signal frame is larger than at start	*/
	USCHED_VETO_CALLER,		/* called by code that was not declared		*/
	USCHED_VETO_COUNT,
};

#endif /* USCHED_WORKER_DECISION_H */
