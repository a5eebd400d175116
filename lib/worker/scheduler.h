/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_SCHEDULER_H
#define USCHED_WORKER_SCHEDULER_H

/*
 * The structures of one runtime's scheduler: pools of workers, and the carriers that run them.
 *
 *	scheduler
 *	  +- pool (one per NUMA node)         inbox: fibers from outside, and from full rings
 *	  |    +- worker (one per CPU)        rings, timers, poll; no stack, no thread
 *	  |         ^
 *	  |         | owns, one at a time
 *	  +- carrier (kernel thread)          native stack, where the loop runs
 *	  |    +- current fiber               its stack, where the user's code runs
 *	  +- spare carriers                   asleep, one word to wake each
 *
 * A worker's fields are written by the carrier that owns it, unless the comment says otherwise;
 * what observers read is atomic and relaxed.
 *
 * Hooks: layers above fill `hooks` before the first carrier starts; they are never changed.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <signal.h>
#include <sys/types.h>

#include <urcu/wfcqueue.h>

#include "arch/context.h"
#include "arch/cpu.h"
#include "arch/float_environment.h"
#include "arch/sanitize.h"
#include "base/clock.h"
#include "base/spinlock.h"
#include "fiber/fiber.h"
#include "memory/stack.h"
#include "memory/table.h"
#include "worker/decision.h"
#include "worker/ring.h"
#include "worker/timers.h"

struct epoll_event;
struct usched_descriptor;
struct usched_event_state;
struct usched_scheduler;
struct usched_worker;

/* Fibers from outside the ring: any thread adds, wait-free; one consumer at a time. */
struct usched_inbox {
	_Alignas(USCHED_CACHELINE) struct cds_wfcq_tail tail;
	_Alignas(USCHED_CACHELINE) struct __cds_wfcq_head head;
	atomic_flag consumer;		/* test-and-set acquire, clear release: one consumer */
};

/* Which ring. A lower number runs first, with the exceptions in dispatch.c. */
enum usched_ring_kind {
	USCHED_RING_HIGH,		/* priority high				*/
	USCHED_RING_FRESH,		/* new, or woken by I/O, a timer, another fiber	*/
	USCHED_RING_AHEAD,		/* some of those that I/O or a timer woke while many are fresh */
	USCHED_RING_USED,		/* has used up its slice, or yielded		*/
	USCHED_RING_LOW,		/* priority low					*/
	USCHED_RING_COUNT,
};

enum {
	USCHED_PREEMPT_MODES = USCHED_PREEMPT_YIELD + 1,
	USCHED_PRIORITIES = USCHED_PRIORITY_LOW + 1,
};

/* Written by the owner of the worker with relaxed stores; read by the monitor. */
struct usched_worker_counters {
	_Atomic uint64_t dispatches, ticks, notes, urgent, tick_stops, budget_yields, yields,
		parks, wakes, steals, spawned, ended, polls, io_events, timers_fired, idle_ns;
	/* ticks + notes = the sum of all decisions: each tick has one outcome, and so has each
	   note that it left. */
	_Atomic uint64_t decisions[USCHED_PREEMPT_MODES][USCHED_DECISION_COUNT];
	_Atomic uint64_t vetoes[USCHED_VETO_COUNT];
};

enum {
	USCHED_WORKER_CACHE = 64,	/* stacks of a class, and descriptors, kept by a worker */
	USCHED_WORKER_CACHE_LARGE = 4,	/* large stacks */
};

struct usched_worker_cache {
	uint32_t count;
	uint32_t items[USCHED_WORKER_CACHE];
};

enum usched_worker_mode {		/* worker->mode: for observers and the monitor	*/
	USCHED_WORKER_MODE_DORMANT,	/* CPU not granted; nobody owns it		*/
	USCHED_WORKER_MODE_MOVING,	/* inside an order				*/
	USCHED_WORKER_MODE_OWNED,
	USCHED_WORKER_MODE_IDLE,	/* its owner sleeps in the poll			*/
};

/* The monitor's notes for wake-up preemption; see preempt/wakeup.h. */
struct usched_watch {
	bool armed;			/* the monitor sleeps on the worker's epoll	*/
	bool ready;			/* the epoll has something			*/
	uint64_t polls;			/* the worker's, when the epoll had something	*/
	uint64_t arm_ns;		/* not armed before				*/
	uint64_t pause_ns;		/* until it is armed again			*/
	uint64_t again_ns;		/* when another look was taken soon		*/
	uint64_t dispatches;		/* the slice that runs, and since when it was seen */
	uint64_t since_ns;
	uint64_t urgent_ns;		/* the last urgent signal			*/
	uint64_t ordered_ns;		/* for when a tick of the owner was ordered	*/
};

struct usched_worker {
	/* Hot, the owner's. */
	_Alignas(USCHED_CACHELINE) struct usched_scheduler *scheduler;	/* fixed		*/
	struct usched_pool *pool;		/* fixed					*/
	_Atomic(struct usched_fiber *) next;	/* woken last, runs next; the owner's alone, relaxed:
						   others only look whether there is one	*/
	uint32_t next_streak;			/* dispatches from `next` in a row		*/
	_Atomic bool next_stale;		/* by the monitor: the tick is to put `next` where
						   thieves can take it			*/
	uint32_t fresh_streak;			/* dispatches since one from USED		*/
	uint32_t woken_behind;			/* fibers woken while many were fresh		*/
	bool after_ahead;			/* of FRESH and AHEAD, the latter was last	*/
	uint32_t polls_skipped;			/* dispatches since the last poll		*/
	bool polling;				/* in usched_poll()				*/
	uint64_t events_seen;			/* io_events when a stopped fiber went on	*/
	uint64_t poll_dispatches, poll_cycles;	/* at the last poll, and at its end		*/
	uint64_t run_ns;			/* of a fiber, from dispatch to dispatch, smoothed; 0:
						   none was measured		*/
	uint32_t cpu;				/* fixed					*/
	uint32_t number;			/* fixed: index in scheduler->workers		*/
	uint32_t node;				/* fixed					*/
	_Atomic bool poll_due;			/* set by the monitor and the tick, cleared by the
						   owner; relaxed: a late poll is only late	*/
	_Atomic bool revoked;			/* by the monitor: the CPU is no longer granted	*/
	_Atomic bool tick_off;			/* nobody else to run: its owner's tick is stopped */
	uint32_t aging;				/* classes below HIGH that still get a turn	*/
	bool normal_served;			/* NORMAL had one before this page		*/
	uint64_t used_page;			/* age_served when one of USED ran last		*/
	_Atomic uint64_t urgent;		/* by the monitor, or the owner: dispatches + 1 of the
						   fiber that is to make room for one that became ready */
	_Atomic uint64_t quanta_ns[USCHED_PRIORITIES];	/* by the monitor, by priority	*/
	struct usched_worker_counters counters;

	struct usched_ring rings[USCHED_RING_COUNT];
	struct usched_inbox mailbox;		/* fibers meant for this very worker		*/
	struct usched_timers timers;		/* has a lock: a sibling fires those of a
						   dormant worker				*/

	struct usched_worker_cache stacks[3];	/* by class; reserved ones not in use		*/
	struct usched_worker_cache descriptors;
	uint32_t stack_credits[3];		/* reservations held for later spawns		*/

	struct epoll_event *events;		/* room for one poll; fixed			*/
	int poll_descriptor;			/* epoll; fixed					*/
	int wake_descriptor;			/* eventfd inside it; fixed			*/
	_Atomic uint32_t descriptors_watched;	/* ever added to the epoll			*/
	_Atomic(struct usched_worker *) adopts;	/* first dormant worker whose timers and poll
						   this one serves, by the monitor; relaxed:
						   both places have their own locks		*/
	_Atomic(struct usched_worker *) adopted_next;	/* by the monitor */

	_Atomic(struct usched_carrier *) spares[2];	/* asleep, last ran on this CPU		*/
	struct usched_worker **victims;		/* all others, nearest first; fixed		*/

	struct usched_worker *guardian;		/* the monitor's: who serves it while dormant	*/

	/* Read by the monitor. */
	_Atomic(struct usched_carrier *) owner;	/* a hint, see take(); see usched_carrier_wait() */
	_Atomic uint32_t mode;			/* enum usched_worker_mode			*/
	_Atomic uint64_t idle_since_ns;		/* its owner sleeps in the poll since; 0: it does
						   not. See [I1] of find.c			*/
	_Atomic uint64_t age_turn;		/* raised by the monitor each 10 ms: one of each
						   class that priorities keep from running	*/
	uint64_t age_served;
	/* The monitor's own notes. */
	uint64_t seen_dispatches;
	uint64_t seen_ticks;
	struct usched_carrier *seen_owner;
	uint64_t seen_clock_ns;			/* the owner's CPU clock when dispatches moved	*/
	uint64_t seen_since_ns;			/* when dispatches last moved			*/
	struct usched_watch watch;
	uint64_t automatic_ns;			/* the quantum that adapts itself; 0: not begun	*/
	uint32_t waiting;			/* how many wait, smoothed, in sixteenths	*/
	_Atomic uint64_t automatic_changes;	/* by the monitor				*/
	_Atomic uint64_t taken;			/* by the monitor				*/
	_Atomic uint64_t taken_urgent;		/* of these, for somebody who had become ready	*/
	uint64_t grant_acked;
};

struct usched_pool {
	struct usched_scheduler *scheduler;
	struct usched_stacks stacks;
	struct usched_inbox inbox;
	_Atomic bool urgent;			/* the inbox is to be looked at soon; relaxed: a
						   hint, it is looked at anyway		*/
	uint32_t node;
	uint32_t worker_count;
	struct usched_worker **workers;
};

/* A CPU's bit is set while its worker sleeps in the poll and nobody has chosen to wake it. */
#define USCHED_IDLE_WORDS (1024 / 64)

enum usched_revoke {		/* carrier->revoke */
	USCHED_REVOKE_NONE,
	USCHED_REVOKE_REQUESTED,
	USCHED_REVOKE_TAKEN,
};

struct usched_carrier {
	/* Its own thread's, which alone writes them; the monitor reads them atomically. */
	_Alignas(USCHED_CACHELINE) _Atomic uint32_t in_runtime;
	_Atomic bool pending;			/* a tick came inside the runtime		*/
	_Atomic(struct usched_worker *) worker;	/* NULL: none					*/
	_Atomic(struct usched_fiber *) current;	/* NULL: on the native stack, or spare		*/
	uint64_t slice_start_cycles;
	uint64_t tick_dispatches;		/* worker's dispatches at the last tick		*/
	uint32_t grace;				/* looks that this slice was given in libc	*/
	uint32_t alone;				/* ticks in a row that found nobody else	*/
	uint32_t losses;			/* how often its worker was taken		*/
	int32_t budget;				/* library calls left before it yields		*/

	/* How the last switch is to be completed by who comes next; see dispatch.h. */
	struct usched_fiber *left;
	uint32_t after;				/* enum usched_after				*/
	struct usched_spinlock *after_unlock;
	void (*after_publish)(struct usched_fiber *fiber, uint32_t word, void *argument);
	void *after_argument;

	struct usched_fiber *handed;		/* the loop's next fiber; also written by who
						   orders a spare, before `go`		*/

	struct usched_context native;
	struct usched_sanitize native_sanitize;
	struct usched_exceptions *exceptions;	/* this thread's, in the C++ runtime; NULL: none */

	_Alignas(USCHED_CACHELINE) _Atomic uint32_t revoke;	/* CAS by monitor and itself	*/
	_Atomic uint32_t go;			/* futex; see carrier.h				*/
	_Atomic(struct usched_worker *) order;	/* before go; NULL: stop			*/
	_Atomic uint32_t spare_next;		/* index + 1 in the stack of spares		*/

	struct usched_scheduler *scheduler;
	uint32_t index;
	pid_t tid;
	_Atomic uint32_t cpu;			/* of its affinity; written by who gives it work */
	pthread_t thread;
	clockid_t clock;
	/* For the monitor's guesses; relaxed. See usched_carrier_begin().		*/
	_Atomic uint64_t owned_cycles;		/* so long it has owned workers, until it had none */
	_Atomic uint64_t begun_cycles;		/* has had one since; 0: has none		*/
	_Atomic uint64_t looked_cycles;		/* what it had owned at the last look		*/
	_Atomic uint64_t looked_clock_ns;	/* what its CPU clock said then			*/
	_Atomic bool ready;			/* release by its thread -> acquire: tid, clock and
						   tick are set; cleared before it is to end, [V1] */
	_Atomic uint32_t holds;			/* who use the tick of another's carrier, [V1]	*/
	struct usched_carrier *vacant_next;	/* while it has no thread; see runtime/threads.c */

	/* The tick, L5. */
	int tick_kind;
	int tick_descriptor;			/* perf						*/
	timer_t tick_timer;			/* POSIX					*/
	_Atomic uint64_t tick_ns;		/* its period; 0: stopped. See tick.h, [Q1]	*/
	_Atomic bool tick_fast;			/* shorter than that for one tick; see tick.h, [Q2] */
	_Atomic bool signal_sent;		/* the monitor has ever sent it a tick		*/
};

struct usched_hooks {
	/* L7: an epoll event with this data arrived at a worker that the caller owns. */
	void (*io_event)(struct usched_carrier *carrier, uint64_t data, uint32_t events);
	/* L7: one with this data is going to be handled; others before. */
	void (*io_soon)(const struct usched_scheduler *scheduler, uint64_t data);
	/* L5: the current fiber wants another tick than the carrier has. */
	void (*tick_set)(struct usched_carrier *carrier, uint64_t period_ns);
	/* L5: the caller's own tick comes after so long, once. False: it cannot be ordered. */
	bool (*tick_in)(struct usched_carrier *carrier, uint64_t delay_ns);
	/* L5: a carrier ends to own a worker, or goes to sleep with it. */
	void (*tick_stop)(struct usched_carrier *carrier);
	/* L5: a worker whose tick was stopped has something else to run. */
	void (*tick_wanted)(struct usched_worker *worker);
	/* L5: a tick came inside the runtime, which is now left; hand off or not. */
	void (*tick_pending)(struct usched_carrier *carrier);
	/* L10: no spare carrier was there, or a carrier is needed soon. */
	void (*need_carrier)(struct usched_scheduler *scheduler);
	/* L10: a worker becomes busy while the monitor sleeps. */
	void (*wake_monitor)(struct usched_scheduler *scheduler);
	/* L10: the last fiber may have ended while somebody waits for that. */
	void (*fiber_ended)(struct usched_scheduler *scheduler);
};

struct usched_scheduler {
	uint32_t number;			/* of the runtime, in its fibers' handles	*/
	uint32_t worker_count;
	uint32_t pool_count;
	uint32_t carriers_max;
	struct usched_hooks hooks;
	struct usched_worker *workers;
	struct usched_pool *pools;
	struct usched_carrier *carriers;	/* places, see USCHED_CARRIER_PLACES		*/
	struct usched_table fibers;
	struct usched_descriptor *descriptors;	/* by file descriptor; see io/descriptor.h	*/
	uint32_t descriptors_max;
	sigset_t carrier_mask;			/* signal mask of running carriers		*/
	struct usched_float_environment float_environment; /* of its carriers: their creator's; fixed */
	bool membarrier;			/* else enter uses a full fence			*/
	struct usched_cycles_rate rate;
	uint64_t quantum_floor_ns;		/* a shorter quantum is raised to this		*/
	_Atomic uint64_t frame_bytes;		/* of a signal frame, at start; relaxed: the same
						   whoever wrote it				*/

	_Alignas(USCHED_CACHELINE) _Atomic uint64_t quantum_ns;	/* by the monitor: the runtime's */
	_Atomic uint64_t wakeup_ns;		/* by the monitor: before a ready fiber stops the
						   running one; 0: it waits for the quantum	*/
	_Atomic int32_t budget;			/* by the monitor: calls; INT32_MAX: no limit	*/
	_Atomic uint64_t watch_ns;		/* by the monitor: when it looks at the timers next */
	_Atomic bool monitor_slow;		/* no worker has others waiting: passes are rare */
	_Atomic bool stopping;			/* somebody waits for the last fiber		*/
	_Atomic bool stop;			/* all carriers end				*/
	_Atomic bool monitor_asleep;

	_Alignas(USCHED_CACHELINE) _Atomic uint32_t searching;	/* workers looking for work	*/
	_Atomic uint32_t idle_count;
	_Atomic uint32_t ticks_off;			/* workers whose tick is stopped		*/
	_Atomic uint64_t idle[USCHED_IDLE_WORDS];	/* by worker number			*/

	_Alignas(USCHED_CACHELINE) _Atomic uint64_t spares;	/* tag 32, index + 1		*/
	_Atomic uint32_t carrier_places;	/* of carriers[], in use or once in use		*/
	_Atomic uint32_t spare_count;
	_Atomic uint64_t carriers_made;		/* by the creator				*/
	_Atomic uint64_t carriers_ended;	/* release by each at its end -> acquire	*/
	_Atomic uint32_t carriers_wanted;	/* by starved hand-offs				*/

	/* Events that were posted, and that the monitor has to look at; see sync/event.h. */
	_Alignas(USCHED_CACHELINE) _Atomic(struct usched_event_state *) posted;

	/* Spawned and ended by plain threads; workers count their own. */
	_Alignas(USCHED_CACHELINE) _Atomic uint64_t spawned_outside;
};

/* Of carriers[]: one more than the limit, for a thread that has ended and was not joined yet. */
#define USCHED_CARRIER_PLACES(scheduler) ((size_t)(scheduler)->carriers_max + 1)

/* Carriers that exist now. */
static inline uint32_t usched_carriers_alive(const struct usched_scheduler *scheduler)
{
	/* Ended first: one that is made and ends between the loads is counted as alive. */
	uint64_t ended = atomic_load_explicit(&scheduler->carriers_ended, memory_order_acquire);

	return (uint32_t)(atomic_load_explicit(&scheduler->carriers_made, memory_order_relaxed) -
			  ended);
}

/* Raise a counter that only the caller writes: no locked instruction. */
static inline void usched_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* How often a tick ended so, whatever the fiber's mode. */
static inline uint64_t usched_decided(struct usched_worker_counters *counters,
				      enum usched_decision decision)
{
	uint64_t sum = 0;

	for (unsigned int mode = 0; mode < USCHED_PREEMPT_MODES; mode++)
		sum += atomic_load_explicit(&counters->decisions[mode][decision],
					    memory_order_relaxed);
	return sum;
}

#endif /* USCHED_WORKER_SCHEDULER_H */
