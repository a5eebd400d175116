/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_MODEL_EVENT_H
#define USCHED_TESTS_MODEL_EVENT_H

/*
 * Events as a machine of model.h: lib/sync/event.c and the waiter of lib/fiber/waiter.h. See event.c.
 */

#include "model.h"

/* What is explored. */
struct event_setup {
	const char *name;
	const char *waiters;		/* f fiber, t thread; F and T: with a deadline		*/
	unsigned int waits;		/* of each						*/
	unsigned int posts;		/* by a thread, in a row				*/
	unsigned int handled;		/* the first waiter is interrupted by a handler, which posts */
	unsigned int nested;		/* the thread that posts is interrupted by one, too	*/
	bool destroyed;			/* by the first waiter, when all is over		*/
	bool other;			/* another event is pushed to the monitor's list	*/
};

/*
 * What is left out: name, setup of tests/t_model.c, whether it is missed there, what it is.
 *
 * Not missed: the counts of posts are in one word with queued and the holds, which each change reads,
 * and a change carries on what the one before it has passed on. The lock orders a claim by a post after
 * the commit. A woken fiber comes out of an inbox, a woken thread looks at the lock; either is as good as
 * [W2], which is there for waits without a lock, but a thread needs one of the two.
 */
#define EVENT_WEAK(X)									\
	X(E1_POST, event_two, true, "[E1] release of the CAS in post")			\
	X(E1_TAKE, event_two, true, "[E1] acquire of the CAS in take")			\
	X(E1_BACK, event_deadline, false, "[E1] release where a post is given back")	\
	X(COUNT_POST, event_handled, true, "CAS of word in post")				\
	X(COUNT_TAKE, event_two, true, "CAS of word in take")				\
	X(COUNT_BACK, event_deadline, true, "fetch_add where a post is given back")	\
	X(COUNT_END, event_handled, true, "fetch_sub at the end of post")			\
	X(BACK, event_deadline, true, "a post is given back")				\
	X(LOCK, event_two, true, "CAS of the lock")					\
	X(LOCK_ACQUIRE, event_two, true, "acquire of the lock")				\
	X(LOCK_RELEASE, event_two, true, "release of the lock")				\
	X(TRYLOCK, event_handled, true, "the look whether the lock is held, in post")	\
	X(E2_QUEUED, event_handled, true, "fetch_or of queued")				\
	X(E2_QUEUED_ACQUIRE, event_handled, true, "[E2] acquire of the fetch_or of queued")	\
	X(E2_QUEUED_RELEASE, event_handled, false, "[E2] release of the fetch_or of queued")	\
	X(E2_CLEAR, event_handled, true, "fetch_add that ends queued")			\
	X(E2_CLEAR_ACQUIRE, event_handled, false, "[E2] acquire of the end of queued")	\
	X(E2_CLEAR_RELEASE, event_handled, true, "[E2] release of the end of queued")	\
	X(E2_FIRST, event_handled, true, "the end of queued before the look at the waiters")	\
	X(E3_PUSH, event_other, true, "CAS of the push to the list")			\
	X(E3_PUSH_RELEASE, event_two, true, "[E3] release of the push to the list")	\
	X(E3_TAKE, event_other, true, "exchange of the list")				\
	X(E3_TAKE_ACQUIRE, event_two, true, "[E3] acquire of the exchange of the list")	\
	X(WAKE, event_handled, true, "wake-up of the monitor")				\
	X(E4_RELEASE, event_destroyed, true, "[E4] release of the end of a hold")	\
	X(E4_ACQUIRE, event_destroyed, true, "[E4] acquire in destroy")			\
	X(E4_WAIT, event_destroyed, true, "the wait in destroy")			\
	X(E4_HOLD, event_destroyed, true, "the monitor's hold")				\
	X(W1_COMMIT, event_deadline, true, "[W1] release of the commit")		\
	X(W1_TIMER, event_deadline, true, "[W1] acquire of the claim by a timer")	\
	X(W1_CLAIM, event_deadline, false, "[W1] acquire of the claim by a post")	\
	X(CLAIM, event_deadline, true, "CAS of the claim by a post")			\
	X(CLAIM_TIMER, event_deadline, true, "CAS of the claim by a timer")		\
	X(W2_CLAIM, event_nested, false, "[W2] release of the claim")			\
	X(W2_WAITER, event_nested, false, "[W2] acquire by the waiter")			\
	X(PASS, event_destroyed, false, "the thread's look at the lock after its wait") \
	X(W2_PASS, event_two, true, "[W2] release of the claim, nor that look")

enum {
	EVENT_WHOLE,
#define X(name, setup, missed, text) EVENT_WITHOUT_##name,
	EVENT_WEAK(X)
#undef X
};

/** event_machine() - the machine of a setup; in use until the next call */
const struct model_machine *event_machine(const struct event_setup *setup);

#endif /* USCHED_TESTS_MODEL_EVENT_H */
