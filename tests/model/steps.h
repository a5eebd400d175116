/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_MODEL_STEPS_H
#define USCHED_TESTS_MODEL_STEPS_H

/*
 * The steps of protocol.h, by the file that takes them, with what a trace says of each.
 */

#define PROTOCOL_CARRIER_STEPS(X)					\
	X(ENTER, "enter: in_runtime = 1")				\
	X(ENTER_LATE, "enter: in_runtime = 1, too late")		\
	X(ENTER_LOOK, "enter: look at revoke")				\
	X(REGAIN, "regain: CAS to NONE")				\
	X(REGAIN_LOST, "regain: lost, revoke = NONE")			\
	X(REGAIN_QUEUE, "regain: the fiber to the inbox")		\
	X(WAIT_WITH_FIBER, "wait with the fiber")			\
	X(WAIT, "wait for go")						\
	X(RESUME, "resume the bound fiber")				\
	X(LEAVE, "leave: in_runtime = 0")				\
	X(LEAVE_LATE, "leave: in_runtime = 0, too late")		\
	X(LEAVE_LOOK, "leave: look at pending")				\
	X(LEAVE_NOTE, "a note: what to do")				\
	X(LEAVE_END, "in_runtime = 0 after a note")			\
	X(LOOP, "loop")							\
	X(LOOP_WAIT, "loop: wait for a worker")				\
	X(FIND, "find: must it stop?")					\
	X(FIND_PICKED, "find: picked?")					\
	X(FIND_STOLEN, "find: stolen?")					\
	X(DISPATCH, "dispatch")						\
	X(DISPATCH_BOUND, "dispatch bound: a spare from now on")	\
	X(DISPATCH_GIVE, "dispatch bound: give")

#define PROTOCOL_PICK_STEPS(X)						\
	X(PICK, "pick: next")						\
	X(PICK_RING, "pick: ring")					\
	X(PICK_MAILBOX, "pick: mailbox")				\
	X(PICK_MAILBOX_MOVE, "pick: mailbox to ring")			\
	X(PICK_INBOX, "pick: inbox")					\
	X(PICK_INBOX_MOVE, "pick: inbox to ring")			\
	X(PICK_AGAIN, "pick: ring again")				\
	X(STEAL_RING, "steal: ring")					\
	X(STEAL_MAILBOX, "steal: mailbox of a dormant worker")		\
	X(STEAL_INBOX, "steal: inbox")

#define PROTOCOL_IDLE_STEPS(X)						\
	X(SLEEP, "sleep")						\
	X(SLEEP_BIT, "sleep: set the idle bit")				\
	X(SLEEP_LOOK, "sleep: fence, look again")			\
	X(SLEEP_POLL, "sleep: poll")					\
	X(SLEEP_CLAIM, "sleep over: clear the idle bit")		\
	X(SLEEP_COUNT, "sleep over: idle_count")			\
	X(NOTIFY, "notify: fence, look at the idle bits")		\
	X(NOTIFY_CLAIM, "notify: clear an idle bit")			\
	X(NOTIFY_WAKE, "notify: wake")

#define PROTOCOL_USER_STEPS(X)						\
	X(USER, "user code")						\
	X(BLOCKED, "blocked in the kernel")				\
	X(CALL, "a call")						\
	X(YIELD, "yield: revoked?")					\
	X(YIELD_PICKED, "yield: picked?")				\
	X(PARK, "park: revoked?")					\
	X(PARK_PICKED, "park: picked?")					\
	X(WAKE_FIBER, "wake: claim")					\
	X(WAKE_NEXT, "wake: to next")					\
	X(WAKE_RING, "wake: the other to the ring")			\
	X(PIN_PARK, "pinned park: take a spare")			\
	X(PIN_PUBLISH, "pinned park: publish")				\
	X(PIN_GIVE, "pinned park: give")				\
	X(EXIT, "exit: revoked?")					\
	X(EXIT_PICKED, "exit: picked?")					\
	X(COMPLETE, "complete the switch")

#define PROTOCOL_TICK_STEPS(X)						\
	X(SHARE, "tick: next to the ring?")				\
	X(HANDLER, "tick: decide")					\
	X(HANDLER_END, "tick over: in_runtime = 0")			\
	X(HAND_OFF, "hand off: take a spare")				\
	X(HAND_OFF_PICKED, "hand off: to whom?")			\
	X(HAND_OFF_SPARE, "hand off: the spare back")			\
	X(HAND_OFF_NEXT, "hand off: no spare, to next again")		\
	X(HAND_OFF_NEXT_RING, "hand off: no spare, the other to the ring")	\
	X(HAND_OFF_QUEUE, "hand off: queue the own fiber")		\
	X(HAND_OFF_GIVE, "hand off: give")				\
	X(SURRENDER, "surrender: drain")				\
	X(SURRENDER_PUSH, "surrender: to the inbox")			\
	X(SURRENDER_FIBER, "surrender: the own fiber")			\
	X(SURRENDER_SPARE, "surrender: a spare from now on")		\
	X(SURRENDER_DORMANT, "surrender: DORMANT")			\
	X(SURRENDERED, "surrender: done")

#define PROTOCOL_MONITOR_STEPS(X)					\
	X(REST, "rest")							\
	X(LOOK, "pass: look at a worker")				\
	X(TAKE_SPARE, "take: a spare")					\
	X(TAKE_REQUEST, "take: CAS to REQUESTED")			\
	X(TAKE_BARRIER, "take: membarrier")				\
	X(TAKE_CHECK, "take: look at in_runtime")			\
	X(TAKE_CHECK_WORKER, "take: look at worker and current")	\
	X(STAND_IN_NEXT, "take: no spare; who is in next?")		\
	X(STAND_IN_RING, "take: who is in the ring?")			\
	X(STAND_IN_INBOX, "take: who is in the inbox?")			\
	X(STAND_IN_PASS_ON, "take: one without a carrier to the inbox")	\
	X(TAKE_UNDO, "take: CAS back to NONE")				\
	X(TAKE_TAKEN, "take: CAS to TAKEN")				\
	X(TAKE_GIVE, "take: give to the spare")				\
	X(TAKE_RETURN, "take: the spare, or the stopped fiber, back")	\
	X(TAKE_NEXT, "take: next request")				\
	X(REVOKE_KICK, "revoke: kick the owner")			\
	X(RECONCILE, "reconcile: a spare")				\
	X(RECONCILE_GIVE, "reconcile: give")

#define PROTOCOL_OUTSIDE_STEPS(X)					\
	X(OUTSIDE, "outside: next fiber")				\
	X(OUTSIDE_PUSH, "outside: to the inbox")			\
	X(OUTSIDE_MAILBOX, "outside: to the mailbox")			\
	X(OUTSIDE_CLAIM, "outside: fence, clear the idle bit")		\
	X(OUTSIDE_WAKE, "outside: wake")				\
	X(OUTSIDE_AGAIN, "outside: dormant by now?")			\
	X(OVER, "over")

#define PROTOCOL_STEPS(X)						\
	PROTOCOL_CARRIER_STEPS(X) PROTOCOL_PICK_STEPS(X) PROTOCOL_IDLE_STEPS(X)	\
	PROTOCOL_USER_STEPS(X) PROTOCOL_TICK_STEPS(X) PROTOCOL_MONITOR_STEPS(X)	\
	PROTOCOL_OUTSIDE_STEPS(X)

enum protocol_step {
#define X(name, text) AT_##name,
	PROTOCOL_STEPS(X)
#undef X
};

#endif /* USCHED_TESTS_MODEL_STEPS_H */
