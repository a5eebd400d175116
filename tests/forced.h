/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_FORCED_H
#define USCHED_TESTS_FORCED_H

/*
 * What tests need that force an order of events: holds, and ticks that come when the test says so.
 *
 * A hold waits, at a point of worker/step.h or in a fiber, until another thread has got somewhere. It
 * has a deadline; one that expires is counted, and fails the case.
 *
 * Forced ticks. forced_start() makes a runtime whose own ticks are an hour apart. forced_tick() says
 * what the monitor says for one that became ready, and sends what it sends: the slice of the fiber that
 * runs there now is over, whatever its age.
 *
 * For one source file of a program.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <usched/usched.h>

#include "base/clock.h"
#include "preempt/tick.h"
#include "runtime/runtime.h"
#include "worker/carrier.h"

#define SOON usched_after(UINT64_C(30000000000))

enum { HOLD_MS = 10000 };

static _Atomic uint32_t holds_expired;

/* Also from the tick's handler: only atomics and system calls. */
static inline void pause_shortly(void)
{
	const struct timespec pause = { .tv_nsec = 50000 };

	nanosleep(&pause, NULL);
}

static inline void hold_expired(const char *condition)
{
	atomic_fetch_add(&holds_expired, 1);
	(void)!write(STDERR_FILENO, "expired: ", 9);
	(void)!write(STDERR_FILENO, condition, strlen(condition));
	(void)!write(STDERR_FILENO, "\n", 1);
}

#define HOLD_UNTIL(condition)						\
	do {								\
		uint64_t hold_end_ns = usched_clock_now_ns() + HOLD_MS * UINT64_C(1000000); \
		while (!(condition)) {					\
			if (usched_clock_now_ns() > hold_end_ns) {	\
				hold_expired(#condition);		\
				break;					\
			}						\
			pause_shortly();				\
		}							\
	} while (0)

static inline bool is(const char *point, const char *name)
{
	return !strcmp(point, name);
}

/* An hour; nobody may ask for it, so it is set behind the runtime's back. */
#define FORCED_QUANTUM_NS UINT64_C(3600000000000)

/* @carriers: at most so many; 0: as many as wanted. NULL: could not be made. */
static inline struct usched_runtime *forced_start_with(enum usched_tick tick, uint32_t workers,
						       uint32_t carriers)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	const struct itimerspec never = { .it_value.tv_sec = 0 };
	struct usched_runtime *runtime = NULL;

	options.workers = workers;
	options.carriers_max = carriers;
	options.tick = tick;
	options.quantum_ns = USCHED_QUANTUM_MAX_NS;
	options.wakeup_ns = USCHED_WAKEUP_OFF;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	atomic_store(&holds_expired, 0);
	if (usched_runtime_create(&runtime, &options))
		return NULL;
	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++) {
		for (unsigned int priority = 0; priority < USCHED_PRIORITIES; priority++)
			atomic_store(&runtime->scheduler.workers[i].quanta_ns[priority],
				     FORCED_QUANTUM_NS);
	}
	if (runtime->tick_timerfd >= 0)
		timerfd_settime(runtime->tick_timerfd, 0, &never, NULL);
	return runtime;
}

static inline struct usched_runtime *forced_start(uint32_t workers, uint32_t carriers)
{
	return forced_start_with(USCHED_TICK_TIMER, workers, carriers);
}

/* A worker with a CPU: the first one, the second one. NULL: there are not so many. */
static inline struct usched_worker *granted_worker(struct usched_runtime *runtime, uint32_t skip)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;

	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		uint32_t cpu = scheduler->workers[i].cpu;

		if ((runtime->granted[cpu / 64] >> (cpu % 64) & 1) && skip-- == 0)
			return &scheduler->workers[i];
	}
	return NULL;
}

/* The runtime's whole grant but for one worker, or with it. By the monitor's thread: its control plane
   does just this. */
static inline void regrant(struct usched_runtime *runtime, const struct usched_worker *worker, bool with)
{
	uint64_t cpus[USCHED_CPU_WORDS];

	memcpy(cpus, runtime->granted, sizeof(cpus));
	if (with)
		cpus[worker->cpu / 64] |= UINT64_C(1) << (worker->cpu % 64);
	else
		cpus[worker->cpu / 64] &= ~(UINT64_C(1) << (worker->cpu % 64));
	usched_host.apply(runtime, cpus, runtime->grant_generation + 1, runtime->tunables,
			  runtime->tunables_acked);
}

static inline uint64_t forced_sum(struct usched_runtime *runtime, enum usched_decision decision)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		sum += usched_decided(&runtime->scheduler.workers[i].counters, decision);
	return sum;
}

/* Does each tick have one outcome, and each note? To be asked while no tick is on its way. */
static inline bool every_tick_is_counted_once(struct usched_runtime *runtime)
{
	uint64_t ticks = 0, outcomes = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++) {
		struct usched_worker_counters *counters = &runtime->scheduler.workers[i].counters;

		ticks += atomic_load(&counters->ticks) + atomic_load(&counters->notes);
	}
	for (unsigned int decision = 0; decision < USCHED_DECISION_COUNT; decision++)
		outcomes += forced_sum(runtime, decision);
	return ticks == outcomes;
}

static inline void forced_tick(struct usched_carrier *carrier)
{
	struct usched_worker *worker = carrier ? atomic_load(&carrier->worker) : NULL;

	if (!carrier)
		return;			/* an owner that is not there yet */
	if (worker)
		usched_make_urgent(worker, atomic_load(&worker->counters.dispatches));
	usched_tick_send(carrier);
}

#if USCHED_DEBUG
/*
 * The hook of a program that sets another one for each case, and holds the monitor: it takes workers from
 * carriers that stand still for any reason, also for one of the machine's, and none of this may happen
 * where each hand-off is counted. It is held at the beginning of a pass.
 */
static void (*_Atomic forced_hook)(const char *point, void *carrier);
static _Atomic bool monitor_is_to_stand, monitor_stands, monitor_may_pass;

static inline void forced_step(const char *point, void *carrier)
{
	void (*hook)(const char *, void *) = atomic_load(&forced_hook);

	while (is(point, "pass") && atomic_load(&monitor_is_to_stand)) {
		if (atomic_load(&monitor_may_pass)) {
			atomic_store(&monitor_stands, false);	/* first, see let_monitor_pass() */
			atomic_store(&monitor_may_pass, false);
			break;
		}
		atomic_store(&monitor_stands, true);
		pause_shortly();
	}
	if (hook)
		hook(point, carrier);
}

static inline void stop_monitor(struct usched_runtime *runtime)
{
	atomic_store(&monitor_stands, false);
	atomic_store(&monitor_is_to_stand, true);
	HOLD_UNTIL((usched_monitor_wake(&runtime->scheduler), atomic_load(&monitor_stands)));
}

/* Once: then it stands again, before the next one. It was stopped. */
static inline void let_monitor_pass(struct usched_runtime *runtime)
{
	atomic_store(&monitor_may_pass, true);
	HOLD_UNTIL((usched_monitor_wake(&runtime->scheduler),
		    !atomic_load(&monitor_may_pass) && atomic_load(&monitor_stands)));
}

/* Before the runtime ends, too. */
static inline void let_monitor_go(void)
{
	atomic_store(&monitor_is_to_stand, false);
}
#endif

/* A fiber that computes, and calls nothing, until it is told to end. */
struct hog {
	_Atomic(struct usched_carrier *) carrier;	/* where it began; NULL: it has not */
	_Atomic uint64_t turns;
	_Atomic bool end;
	usched_fiber_t id;
};

static inline void *hog_computes(void *argument)
{
	struct hog *hog = argument;

	atomic_store(&hog->carrier, usched_carrier_self_get());
	while (!atomic_load_explicit(&hog->end, memory_order_relaxed))
		atomic_store_explicit(&hog->turns,
				      atomic_load_explicit(&hog->turns, memory_order_relaxed) + 1,
				      memory_order_relaxed);
	return NULL;
}

static inline int hog_begin(struct hog *hog, struct usched_runtime *runtime,
			    const struct usched_fiber_options *options)
{
	atomic_store(&hog->carrier, NULL);
	atomic_store(&hog->turns, 0);
	atomic_store(&hog->end, false);
	return usched_spawn(runtime, &hog->id, hog_computes, hog, options);
}

static inline int hog_end(struct hog *hog)
{
	atomic_store(&hog->end, true);
	return usched_join(hog->id, NULL, SOON);
}

/* Hold until it has got on. */
static inline void hog_runs(struct hog *hog)
{
	uint64_t turns = atomic_load(&hog->turns);

	HOLD_UNTIL(atomic_load(&hog->turns) != turns);
}

#endif /* USCHED_TESTS_FORCED_H */
