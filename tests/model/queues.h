/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_MODEL_QUEUES_H
#define USCHED_TESTS_MODEL_QUEUES_H

/*
 * The parts that protocol.h takes for granted, each as a machine of its own: that the real queues do
 * what one read-modify-write would, that a lock with a bias excludes as one without it, and pairs of two
 * sides of which one must see the other.
 */

#include "model.h"

/* ring.c: lib/worker/ring.h, two places, the owner and two thieves */
#define RING_WEAK(X)								\
	X(A_RELEASE, true, "[A] release of tail in push")			\
	X(A_ACQUIRE, true, "[A] acquire of tail in pop")			\
	X(B_RELEASE, true, "[B] release of the CAS of head")			\
	X(B_ACQUIRE, true, "[B] acquire of head in push")			\
	X(C_ACQUIRE, true, "[C] acquire of head in pop")			\
	X(C_LOST, true, "[C] acquire of a CAS of head that was lost")		\
	X(CAS, true, "CAS of head")						\
	X(CAS_ACQUIRE, false, "[B] [C] acquire of a CAS of head that is won")

/* spares.c: lib/worker/carrier.c, one warm place and the stack, three threads */
#define SPARES_WEAK(X)								\
	X(TAG, true, "tag of the stack")					\
	X(PUSH, true, "CAS of a push to the stack")				\
	X(PUSH_RELEASE, true, "release of a push to the stack")			\
	X(POP, true, "CAS of a pop from the stack")				\
	X(POP_ACQUIRE, true, "acquire of the first load in pop")		\
	X(POP_LOST, true, "acquire of a CAS of pop that was lost")		\
	X(WARM_PUSH, true, "CAS of a push to a warm place")			\
	X(WARM_PUSH_RELEASE, true, "release of a push to a warm place")		\
	X(WARM_POP, true, "exchange of a pop from a warm place")		\
	X(WARM_POP_ACQUIRE, true, "acquire of a pop from a warm place")		\
	X(POP_WON, false, "acquire of a CAS of pop that is won")

/* dismiss.c: lib/worker/carrier.h, [V1]; two visitors, the monitor, a thread and the next one */
#define DISMISS_WEAK(X)								\
	X(HOLD_FENCE, true, "[V1] fence between holds and ready")		\
	X(FENCE, true, "[V1] fence between ready and holds")			\
	X(COUNT, true, "atomic changes of holds")				\
	X(LET_GO_RELEASE, true, "[V1] release of letting go")			\
	X(HOLDS_ACQUIRE, true, "[V1] acquire of holds")				\
	X(READY_RELEASE, true, "[V1] release of ready by the next thread")	\
	X(READY_ACQUIRE, true, "[V1] acquire of ready in hold")			\
	X(VACATE_RELEASE, true, "release of the place")				\
	X(VACATE_ACQUIRE, true, "acquire of the place")

/* inbox.c: lib/worker/inbox.h over liburcu's queue, two adders and two consumers */
#define INBOX_WEAK(X)								\
	X(EXCHANGE, true, "liburcu's exchange of the tail")			\
	X(LAST, true, "liburcu's CAS of the tail")				\
	X(FLAG, true, "test-and-set of consumer")				\
	X(FLAG_ACQUIRE, true, "acquire of consumer")				\
	X(FLAG_RELEASE, true, "release of consumer")				\
	X(POP_FENCE, true, "acquire fence after the pop")

/* bias.c: lib/sync/biased.h; the third column is the machine in which it is looked for */
#define BIAS_WEAK(X)								\
	X(B1_SIGNAL_FENCE, moves, true, "[B1] signal fence between own and worker")	\
	X(B1_MEMBARRIER, moves, true, "[B1] membarrier between worker and own")	\
	X(LOOK, two, true, "look at worker before own is taken")		\
	X(LOOK_AGAIN, moves, true, "second look at worker")			\
	X(RETREAT_RELEASE, moves, false, "release of own after a second look in vain")\
	X(AWAIT, moves, true, "the wait for own")				\
	X(B2_RELEASE, moves, true, "[B2] release of own")			\
	X(B2_ACQUIRE, moves, true, "[B2] acquire of own in the wait for it")	\
	X(CLEAR, moves, true, "worker = NULL before the wait for own")		\
	X(ONCE, two, true, "no second bias of a lock")				\
	X(SET_INSIDE, moves, true, "worker is set while shared is held")		\
	X(END_INSIDE, moves, true, "shared is held until own is free")		\
	X(SHARED_CAS, moves, true, "CAS of shared")				\
	X(SHARED_ACQUIRE, moves, true, "acquire of shared")			\
	X(SHARED_RELEASE, moves, true, "release of shared")			\
	X(P3_RELEASE, moves, true, "[P3] release of go: what came under own comes with the worker")	\
	X(P3_ACQUIRE, moves, true, "[P3] acquire of go")

/* pairs.c: two threads, each stores, fences, and looks at what the other stores */
#define PAIRS_WEAK(X)								\
	X(S2_OWNER, true, "[S2] fence between mode and the look at the monitor")	\
	X(S2_MONITOR, true, "[S2] fence between asleep and the last look")	\
	X(Q1_AGAIN, true, "[Q1] fence between the timer and the second look")	\
	X(Q1_APPLY, true, "[Q1] fence between the quantum and armed")

enum {
	RING_WHOLE,
#define X(name, missed, text) RING_WITHOUT_##name,
	RING_WEAK(X)
#undef X
};

enum {
	SPARES_WHOLE,
#define X(name, missed, text) SPARES_WITHOUT_##name,
	SPARES_WEAK(X)
#undef X
};

enum {
	DISMISS_WHOLE,
#define X(name, missed, text) DISMISS_WITHOUT_##name,
	DISMISS_WEAK(X)
#undef X
};

enum {
	INBOX_WHOLE,
#define X(name, missed, text) INBOX_WITHOUT_##name,
	INBOX_WEAK(X)
#undef X
};

enum {
	BIAS_WHOLE,
#define X(name, setup, missed, text) BIAS_WITHOUT_##name,
	BIAS_WEAK(X)
#undef X
};

enum {
	PAIRS_WHOLE,
#define X(name, missed, text) PAIRS_WITHOUT_##name,
	PAIRS_WEAK(X)
#undef X
};

extern const struct model_machine ring_machine, spares_machine, dismiss_machine, inbox_machine,
	bias_moves_machine, bias_two_machine, pairs_s2_machine, pairs_q1_machine;

#endif /* USCHED_TESTS_MODEL_QUEUES_H */
