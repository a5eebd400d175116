/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_STEP_H
#define USCHED_WORKER_STEP_H

/*
 * Named points of the protocol, so that a test can force an interleaving: it sets the hook, and
 * stops one side at a point until the other side has passed another. Only builds configured with
 * --enable-debug have them; elsewhere USCHED_STEP is nothing.
 */

#if USCHED_DEBUG
extern void (*_Atomic usched_step_hook)(const char *point, void *carrier);
#define USCHED_STEP(point, carrier)					\
	do {								\
		void (*step_hook)(const char *, void *) = usched_step_hook; \
									\
		if (step_hook)						\
			step_hook((point), (carrier));			\
	} while (0)
#else
#define USCHED_STEP(point, carrier) ((void)0)
#endif

#endif /* USCHED_WORKER_STEP_H */
