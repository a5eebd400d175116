/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_MODEL_WEAK_H
#define USCHED_TESTS_MODEL_WEAK_H

/*
 * What a test leaves out of the protocol, one thing at a time.
 */

#include "model.h"

/*
 * Orders, fences, atomic operations, and a few rules: name, setup of tests/t_model.c in which it is
 * looked for, whether it is missed there, what it is.
 */
#define PROTOCOL_WEAK(X)								\
	X(P1_MEMBARRIER, take, true, "membarrier in take")				\
	X(P1_SIGNAL_FENCE, take, true, "signal fence in enter")				\
	X(P1_ENTER_FENCE, no_membarrier, true, "fence in enter, where there is no membarrier")	\
	X(P1_ENTER_EXCHANGE, no_membarrier, true, "the same, with an exchange in its place")	\
	X(P1_TAKE_FENCE, no_membarrier, true, "fence in take, where there is no membarrier")	\
	X(P1_LOOK_ACQUIRE, take_ticks, false, "acquire of revoke in enter")		\
	X(P2_LEAVE, take, true, "release in leave")					\
	X(P2_LEAVE_HANDLER, take_ticks, true, "release at the handler's end")		\
	X(P2_LEAVE_PENDING, take_ticks, true, "release after a note was dealt with")	\
	X(P2_ACQUIRE, take, true, "acquire of in_runtime in take")			\
	X(P3_RELEASE, hand_off, true, "release of go in give")				\
	X(P3_ACQUIRE, hand_off, true, "acquire of go in wait")				\
	X(P4_REQUEST_ACQUIRE, take_ticks, false, "acquire of the look before REQUESTED")	\
	X(P4_REQUEST_RELEASE, take_ticks, false, "release of REQUESTED")		\
	X(P4_TAKE, take, true, "CAS to TAKEN")						\
	X(P4_TAKE_ACQUIRE, take_ticks, false, "acquire of the CAS to TAKEN")		\
	X(P4_TAKE_RELEASE, take_ticks, false, "release of the CAS to TAKEN")		\
	X(P4_UNDO_ACQUIRE, take_ticks, false, "acquire of the look before a request is withdrawn") \
	X(P4_UNDO_RELEASE, take_ticks, false, "release of NONE in withdraw")		\
	X(P4_REGAIN, take, true, "CAS in regain")					\
	X(P4_REGAIN_ACQUIRE, take_ticks, false, "acquire of the CAS in regain")		\
	X(P4_REGAIN_RELEASE, take_ticks, false, "release of the CAS in regain")		\
	X(P4_LOST_RELEASE, take_ticks, false, "release of revoke = NONE in regain")	\
	X(P5_RING_RELEASE, steal_yield, true, "release of a push to a ring")		\
	X(P5_RING_ACQUIRE, steal_yield, true, "acquire of a pop from a ring")		\
	X(P5_RING, steal_yield, true, "pop from a ring in one step")			\
	X(P5_INBOX_RELEASE, take, true, "release of a push to an inbox")		\
	X(P5_INBOX_ACQUIRE, take, true, "acquire of a pop from an inbox")		\
	X(P5_INBOX_PUSH, sleep_alone, true, "push to an inbox in one step")		\
	X(P5_INBOX_POP, sleep_alone, true, "pop from an inbox in one step")		\
	X(P5_SPARE_RELEASE, revoke_spare, true, "release of a push of a spare")		\
	X(P5_SPARE_ACQUIRE, revoke_spare, true, "acquire of a pop of a spare")		\
	X(P5_SPARE_PUSH, revoke_again, true, "push of a spare in one step")		\
	X(P5_SPARE_POP, hand_off_both, true, "pop of a spare in one step")		\
	X(P7_SLEEP_FENCE, sleep, true, "fence before the last look")			\
	X(P7_WAKE_FENCE, sleep, true, "fence before the idle bits")			\
	X(P7_WORKER_FENCE, mailbox_revoke, true, "fence after a push to a mailbox")	\
	X(P7_SET, sleep, true, "fetch_or of an idle bit")				\
	X(P7_CLAIM, sleep, true, "fetch_and of an idle bit")				\
	X(P7_SET_ORDER, sleep, false, "acq_rel of the fetch_or")			\
	X(P7_CLAIM_ORDER, sleep, false, "acq_rel of the fetch_and")			\
	X(P7_COUNT, sleep, true, "fetch_add of idle_count")				\
	X(P8_SIGNAL_FENCE, hand_off, true, "signal fence in leave")			\
	X(P8_DISPATCH, hand_off, true, "a dispatch deletes the note")			\
	X(DORMANT_RELEASE, revoke, true, "release of DORMANT")				\
	X(DORMANT_ACQUIRE, revoke, true, "acquire of DORMANT")				\
	X(DORMANT_MAILBOX, mailbox_revoke, true, "second look at the mode after a push to a mailbox")	\
	X(DORMANT_SIGHT, mailbox_revoke, true, "look into dormant mailboxes before sleep")	\
	X(W1_RELEASE, park, true, "release of WAITING")					\
	X(W1_ACQUIRE, park, true, "acquire of the CAS from WAITING")			\
	X(W1_CLAIM, park, true, "CAS from WAITING")					\
	X(K1_WORKER, steal_take, true, "look at carrier->worker in take")		\
	X(STAND_IN, stand_in, true, "a stopped fiber's carrier where there is no spare")	\
	X(STAND_IN_NEXT, stand_in_next, true, "the look at next, where there is no spare")	\
	X(STAND_IN_OUTSIDE, stand_in_share, true, "the look at next after that at in_runtime")	\
	X(STAND_IN_CLEAR, stand_in_next, true, "next = NULL before its carrier is given a worker") \
	X(STAND_IN_POP_ACQUIRE, stand_in, true, "acquire of the monitor's pop from a ring")	\
	X(STAND_IN_INBOX_ACQUIRE, stand_in_inbox, true, "acquire of the monitor's pop from an inbox") \
	X(STAND_IN_PASS_ON, stand_in_behind, true, "one without a carrier goes to the inbox")	\
	X(STAND_IN_PASS_ON_RELEASE, stand_in_behind, true, "release of that push")		\
	X(STAND_IN_BACK, stand_in_sleep, true, "a stopped fiber goes back if the request fails")	\
	X(STAND_IN_BACK_RELEASE, stand_in_back, true, "release of that push")		\
	X(STAND_IN_NOTIFY, stand_in_sleep, true, "wake-up after the monitor has put a fiber back") \
	X(K4_GIVE, hand_off, true, "nothing of the worker after give")			\
	X(F3_BOUND, steal, true, "bound before the fiber is queued")

enum protocol_weak {
	PROTOCOL_WHOLE,
#define X(name, setup, missed, text) WITHOUT_##name,
	PROTOCOL_WEAK(X)
#undef X
	PROTOCOL_WEAK_COUNT,
	WITHOUT_NEEDLESS = PROTOCOL_WEAK_COUNT,	/* all that protocol_is_needless() names, at once */
};

/** protocol_is_needless() - what the protocol can do without, since something else gives the same */
bool protocol_is_needless(enum protocol_weak weak);

/** protocol_without() - whether this is left out now */
bool protocol_without(const struct model *model, enum protocol_weak weak);

/* An order without what is left out. */
static inline enum model_order protocol_order(const struct model *model, unsigned int order,
					      enum protocol_weak acquire, enum protocol_weak release)
{
	if (protocol_without(model, acquire))
		order &= ~(unsigned int)MODEL_ACQUIRE;
	if (protocol_without(model, release))
		order &= ~(unsigned int)MODEL_RELEASE;
	return order;
}

#endif /* USCHED_TESTS_MODEL_WEAK_H */
