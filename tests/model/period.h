/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_MODEL_PERIOD_H
#define USCHED_TESTS_MODEL_PERIOD_H

/*
 * The period of a carrier's tick as a machine of model.h: lib/preempt/tick.c, the order of a tick in
 * wakeup.c, and what decide.c does with it. See period.c.
 */

#include "model.h"

/* What is explored. The monitor's script has one letter for each thing it does:
 *
 *	o  orders a tick for a sleeper, and looks again until that has run
 *	h  has a tick come soon: a hurry, or a kick
 *	q  changes the quantum, and renews the tick of who runs
 */
struct period_setup {
	const char *name;
	const char *monitor;
	unsigned int quantum, next;	/* of the worker, before and after q; 2 or 3		*/
	unsigned int calls;		/* of the library					*/
	unsigned int dispatches;
	bool own;			/* each second dispatch is of a fiber with a quantum of 3 */
	bool rests;			/* a tick that finds nobody else may stop the tick	*/
	bool outside;			/* somebody pushes work, and wants the tick back	*/
};

/*
 * What is left out: name, setup of tests/t_model.c, whether it is missed there, what it is.
 *
 * Not missed, since all this asks is that nothing is wrong for ever: a quantum that is looked at again
 * ([Q1] says that it counts at once, which is in pairs.c); calm, since the next tick outside the library
 * would do the same; and the flag before the short period, since the tick after that finds the flag.
 */
#define PERIOD_WEAK(X)									\
	X(FAST_FIRST, period_ordered, true, "the flag falls before the period is set")	\
	X(NS_FIRST, period_calm, true, "tick_ns before the period is set")		\
	X(NS_AGAIN, period_calm, true, "the second look at tick_ns")			\
	X(WANTED_AGAIN, period_calm, false, "the look at the quantum after a period was set") \
	X(CALM_AGAIN, period_calm, true, "a second look by a tick that leaves a note")	\
	X(CALM, period_calm, false, "the period of before, by a tick that leaves a note")	\
	X(FLAG_BEFORE, period_ordered, false, "the flag before the short period is set")	\
	X(FLAG_AFTER, period_ordered, true, "the flag after the short period is set")	\
	X(LATE, period_ordered, true, "the look after a tick that was ordered")		\
	X(THIS_DISPATCH, period_ordered, true, "urgent is for one dispatch")		\
	X(GROWN, period_grown, true, "a tick that finds its period too short")		\
	X(SLOW, period_slower, true, "a dispatch that finds the period too long")		\
	X(S3_CARRIER, period_rested, true, "[S3] fence between tick_off and the last look")	\
	X(S3_OUTSIDE, period_rested, true, "[S3] fence between a push and the look at tick_off") \
	X(S3_CLAIM, period_rested, true, "exchange of tick_off")			\
	X(REST_AGAIN, period_rested, true, "a second look when the tick was stopped")

enum {
	PERIOD_WHOLE,
#define X(name, setup, missed, text) PERIOD_WITHOUT_##name,
	PERIOD_WEAK(X)
#undef X
};

/** period_machine() - the machine of a setup; in use until the next call */
const struct model_machine *period_machine(const struct period_setup *setup);

#endif /* USCHED_TESTS_MODEL_PERIOD_H */
