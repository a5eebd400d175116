/* SPDX-License-Identifier: MIT */
#ifndef USCHED_PREEMPT_TICK_H
#define USCHED_PREEMPT_TICK_H

/*
 * What makes a running fiber stop: a signal to its carrier, once a quantum of running.
 *
 *	perf	a task-clock event per carrier, user mode only. It counts the time that the thread
 *		runs: a sleeping one gets no tick, and no system call is cut short by one. Nor by
 *		one that the monitor sends, which is a shorter period for a moment.
 *	timer	a POSIX timer per carrier, CLOCK_MONOTONIC, armed while the carrier has a worker
 *	timerfd	one timer in the monitor, which signals the carriers that run
 *
 * They are tried in this order. Any carrier may lack a tick of its own kind (no more descriptors,
 * say); it then takes the next kind, so kinds may differ within a runtime; the monitor serves
 * those with the last one.
 *
 * The period is that of the fiber which runs. It is changed when a dispatch finds it too long, or a
 * tick finds it too short, so fibers of one quantum switch without a system call.
 *
 * Memory order
 *	[Q1] the monitor: store the quanta, seq_cst fence, set the period of who runs
 *	     a carrier:   set the period from a quantum, seq_cst fence, load the quantum again
 *	     Whoever sets last has seen the newest quantum.
 *	[Q2] who sets a period: store tick_ns, clear tick_fast; set; look at tick_ns again
 *	     who shortens it:   set; then set tick_fast
 *	     Several may do so at once. The kernel sets one after the other, under a lock of its own,
 *	     which also orders what is before and after it. So in the end the period is that in tick_ns,
 *	     or tick_fast is set, and the next tick sets it right.
 *
 * The signal is a standard one: several that wait become one, where real-time signals would queue
 * up during a long system call and arrive all at once.
 */

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include <usched/usched.h>

#include "worker/carrier.h"

/* Why a kind was not taken. Observers read the numbers: see shm/layout.h. */
enum usched_tick_refusal {
	USCHED_TICK_NOT_REFUSED,	/* taken, or not tried: a better one was	*/
	USCHED_TICK_NOT_WANTED,		/* another one was asked for			*/
	USCHED_TICK_DENIED,		/* EPERM, EACCES				*/
	USCHED_TICK_MISSING,		/* the kernel does not have it			*/
	USCHED_TICK_LIMITED,		/* no descriptor, timer or memory was left	*/
	USCHED_TICK_FAILED,		/* anything else				*/
};

struct usched_tick_probe {
	enum usched_tick kind;		/* the one to use			*/
	enum usched_tick_refusal perf, timer;
	const char *why;		/* the better one was not taken; NULL: it is the best */
};

/**
 * usched_tick_choose() - the first kind of tick that works here
 * @wanted:	USCHED_TICK_AUTO, or a kind to insist on
 *
 * Return:	0; -ENOTSUP when @wanted does not work here (probe->why says why)
 * Callable from: any thread
 */
int usched_tick_choose(enum usched_tick wanted, int signal, struct usched_tick_probe *probe);

/**
 * usched_tick_install() - one more runtime uses @signal; the first one installs the handler
 * @shared:	set: the program has a handler of its own, which gets what is not a tick
 *
 * Return:	0; -EBUSY another runtime uses another signal; -EINVAL no such signal
 * Callable from: any thread that is not a fiber
 */
int usched_tick_install(int signal, bool *shared);

/** usched_tick_uninstall() - the last runtime puts back what was there. Its carriers have ended. */
void usched_tick_uninstall(void);

/** usched_tick_forget() - in a child of fork: no runtime uses a signal; what was there is put back */
void usched_tick_forget(void);

/** usched_tick_signal() - the signal in use; 0: none. Callable from: anywhere. */
int usched_tick_signal(void);

/**
 * usched_tick_send() - a tick as soon as can be, to a carrier that is ready
 *
 * One that perf stops gets it within 10 us of its next running outside the kernel, so that no system
 * call of its fiber is cut short; one of another kind at once, by a signal.
 *
 * Callable from: any thread
 */
void usched_tick_send(struct usched_carrier *carrier);

/**
 * usched_tick_in() - one tick after so much more of running, then the period of before
 *
 * Return:	false: only perf's ticks can do that; nothing happened
 * Callable from: any thread
 */
bool usched_tick_in(struct usched_carrier *carrier, uint64_t delay_ns);

/** usched_tick_raise() - the signal of a tick, at once. Any thread. */
void usched_tick_raise(struct usched_carrier *carrier);

/**
 * usched_tick_suspect() - ticks should have come, and did not: has the program replaced the handler?
 *
 * If so it says so on stderr, once. Callable from: the monitor
 */
void usched_tick_suspect(void);

/** usched_tick_is_replaced() - ticks are lost to a handler of the program's. The monitor. */
bool usched_tick_is_replaced(void);

/** usched_tick_open() - the calling thread's own tick, not yet running. Never fails, see above. */
void usched_tick_open(struct usched_carrier *carrier, enum usched_tick kind);

/** usched_tick_close() - by its own thread, at the end */
void usched_tick_close(struct usched_carrier *carrier);

/**
 * usched_tick_set() - change the period of a carrier's tick, running or not
 * @period_ns:	0: stop
 *
 * Ordering:	[Q1]
 * Callable from: the monitor, the carrier; signal handler. Takes effect at once.
 */
void usched_tick_set(struct usched_carrier *carrier, uint64_t period_ns);

/** usched_tick_begin() - the hook tick_set: its own worker's new fiber needs another period */
void usched_tick_begin(struct usched_carrier *carrier, uint64_t period_ns);

/** usched_tick_renew() - the quanta have changed: set the period of who runs. The monitor. */
void usched_tick_renew(struct usched_carrier *carrier);

/** usched_tick_stop() - the hook: the carrier goes to sleep. A tick that counts running time stays. */
void usched_tick_stop(struct usched_carrier *carrier);

/** usched_tick_rest() - a worker has one fiber and nothing else. True: its tick was stopped [S3]. */
bool usched_tick_rest(struct usched_carrier *carrier);

/** usched_tick_wanted() - the hook: it has something else. Callable from: anywhere. */
void usched_tick_wanted(struct usched_worker *worker);

/**
 * usched_tick_cost_ns() - what one tick takes from user code here
 *
 * Measured on the calling thread with its own tick, a few milliseconds. 0: could not be measured.
 * Callable from: a carrier, before it carries
 */
uint64_t usched_tick_cost_ns(struct usched_carrier *carrier, uint64_t (*cycles_to_ns)(uint64_t));

/** usched_tick_hurry() - the next tick in 50 us; the one after that is the quantum's again */
void usched_tick_hurry(struct usched_carrier *carrier);

/** usched_tick_calm() - the tick that was hurried, or sent, has come: the period of before. Anywhere. */
void usched_tick_calm(struct usched_carrier *carrier);

/** usched_preempt_pending() - the hook tick_pending; see decide.c */
void usched_preempt_pending(struct usched_carrier *carrier);

/** usched_preempt_tick() - a tick came: decide what to do with the running fiber; see decide.c */
void usched_preempt_tick(struct usched_carrier *carrier, ucontext_t *frame);

#endif /* USCHED_PREEMPT_TICK_H */
