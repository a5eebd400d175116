/* SPDX-License-Identifier: MIT */
#ifndef USCHED_RUNTIME_RUNTIME_H
#define USCHED_RUNTIME_RUNTIME_H

/*
 * A runtime: the scheduler, and the threads beside the carriers.
 *
 *	creating thread		makes all of it, then is a plain thread like any other
 *	carriers	us/cN	run fibers (worker/, preempt/)
 *	monitor		us/mon	passes each millisecond while a worker runs; control plane, grants
 *	creator		us/new	makes further carriers; it alone may wait for libc's locks
 *
 * Files: options.c what is wanted, build.c pools and workers, threads.c the threads, spares.c how many
 * carriers are kept, host.c what the control plane asks for, spawn.c birth of fibers, fork.c a child of
 * fork, runtime.c create and destroy.
 */

#include "base/clock.h"
#include "memory/overflow.h"
#include "memory/topology.h"
#include "preempt/tick.h"
#include "runtime/control.h"
#include "runtime/options.h"
#include "worker/scheduler.h"

#define USCHED_SPARES_LOOK_NS UINT64_C(1000000000)

/* The monitor's notes on the spares; see spares.c. */
struct usched_spares {
	_Atomic uint64_t look_ns;		/* tests make it shorter; relaxed	*/
	bool looking;				/* there are more than are kept		*/
	uint32_t least;				/* in the look that began then:	*/
	uint64_t since_ns;
	uint32_t surplus;			/* still to be dismissed		*/
	uint64_t dismissed;			/* ever					*/
	bool ending;				/* at this pass some were dismissed, or had not ended */
};

struct usched_runtime {
	struct usched_scheduler scheduler;	/* first: &runtime->scheduler is &runtime */
	struct usched_settings settings;
	struct usched_topology topology;
	struct usched_tick_probe tick;
	bool signal_installed, signal_shared;	/* with a handler of the program's */
	uint32_t report_flags;
	uint64_t tick_cost_ns;
	uint64_t started_ns;
	uint64_t tunables[USCHED_TUNABLES];	/* what is wished for; the monitor's	*/
	bool automatic;				/* some quantum adapts itself	*/
	uint64_t adapted_ns;			/* when it was looked at last	*/
	struct usched_control *control;

	pthread_t monitor_thread, creator_thread;
	int overflow_hook;			/* negative: none			*/
	bool monitor_runs, creator_runs;
	int monitor_wake;			/* eventfd				*/
	int tick_timerfd;			/* -1: carriers have their own ticks	*/
	_Atomic uint64_t requests[USCHED_TUNABLES];	/* by the API, for the monitor	*/
	_Atomic uint32_t helpers_stop;		/* futex: creator and monitor end	*/
	_Atomic uint32_t creator_word;		/* futex: raised to make carriers	*/
	_Atomic uint32_t ended_word;		/* futex: raised as fibers end while stopping */
	_Atomic(struct usched_carrier *) ended_last;	/* its thread is joined by the next	*/
	_Atomic(struct usched_carrier *) vacated;	/* places whose threads were joined	*/
	struct usched_carrier *vacant;		/* the same, the creator's		*/
	_Atomic uint32_t monitor_begins;	/* futex: raised once all is made	*/
	_Atomic uint64_t carriers_refused;
	_Atomic uint32_t carriers_error;	/* of the last one refused; 0: carriers_max */
	_Atomic bool attached;			/* the daemon owns the tunables		*/

	/* The monitor's. */
	struct pollfd *polled;			/* what it sleeps on: enum polled, then the workers */
	uint64_t granted[USCHED_CPU_WORDS];
	uint64_t grant_generation, grant_acked, tunables_acked;
	struct usched_spares spares;
};

static inline struct usched_runtime *usched_runtime_of(struct usched_scheduler *scheduler)
{
	return (struct usched_runtime *)scheduler;	/* the first member */
}

/* build.c */

/** usched_build() - pools, workers, tables, without any thread. 0 or -errno. */
int usched_build(struct usched_runtime *runtime);

/** usched_unbuild() - free what usched_build() made, also after its failure */
void usched_unbuild(struct usched_runtime *runtime);

/* threads.c */

/**
 * usched_threads_start() - creator, monitor, a carrier per worker, and spares if the limits allow
 *
 * Return:	0; -EAGAIN, -ENOMEM: a thread is missing; then usched_threads_stop() ends the others
 */
int usched_threads_start(struct usched_runtime *runtime);

/** usched_monitor_start() - the control plane is there too: the monitor begins its work */
void usched_monitor_start(struct usched_runtime *runtime);

/** usched_threads_stop() - end and join all; no fiber is left */
void usched_threads_stop(struct usched_runtime *runtime);

/** usched_monitor_wake() - another pass at once. Callable from anywhere. */
void usched_monitor_wake(struct usched_scheduler *scheduler);

/** usched_need_carrier() - the hook: a hand-off found no spare */
void usched_need_carrier(struct usched_scheduler *scheduler);

/* spares.c */

/**
 * usched_spares_trim() - dismiss spares that nobody has needed. The monitor, at each of its passes.
 *
 * Return:	when it is to be called again; UINT64_MAX: when there are other reasons for a pass
 */
uint64_t usched_spares_trim(struct usched_runtime *runtime, uint64_t now_ns);

/** usched_spares_kept() - so many are never dismissed. Callable from: anywhere. */
uint32_t usched_spares_kept(const struct usched_runtime *runtime);

/** usched_spares_are_ending() - the count of carriers changes: a pass tells of it. The monitor. */
bool usched_spares_are_ending(const struct usched_runtime *runtime);

/* fork.c */

/** usched_fork_matters() - a runtime begins: a child of fork is outside until the last one has ended */
void usched_fork_matters(void);
void usched_fork_matters_not(void);

/* tunables.c */

/** usched_tune() - make the tuning true: quanta of workers and carriers, minimum slice, budget */
void usched_tune(struct usched_runtime *runtime);

/** usched_tune_requests() - what the API has asked for since. The monitor. */
void usched_tune_requests(struct usched_runtime *runtime);

/** usched_adapt() - automatic quanta follow the queues. The monitor, at each of its passes. */
void usched_adapt(struct usched_runtime *runtime, uint64_t now_ns);

/* runtime->requests: nothing is asked for. No tunable has this value. */
#define USCHED_TUNABLE_NOT_ASKED (UINT64_MAX - 2)

/* host.c */

extern const struct usched_control_host usched_host;	/* without context */

/** usched_reconcile() - start granted workers, see which revoked ones have stopped. The monitor. */
void usched_reconcile(struct usched_runtime *runtime);

/** usched_waiting() - ready fibers of a worker, without those in inboxes; a hint */
uint32_t usched_waiting(struct usched_worker *worker);

/** usched_whose_stack() - for the report of a stack overflow; overflowed.c */
bool usched_whose_stack(void *runtime, uintptr_t address, struct usched_overflow_found *found);

/** usched_alive() - fibers that have not ended; 0 is exact */
uint64_t usched_alive(struct usched_scheduler *scheduler, uint64_t *spawned);

#endif /* USCHED_RUNTIME_RUNTIME_H */
