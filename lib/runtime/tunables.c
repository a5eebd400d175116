/* SPDX-License-Identifier: MIT */
/*
 * From what is wished for to what the workers read.
 *
 *	quantum of a fiber	its own, else its priority's, else its node's, else the runtime's
 *
 * The workers hold one quantum for each priority, already resolved and raised to the floor; a
 * fiber's own is in its descriptor. Called by the monitor, and once by the creating thread.
 *
 * An automatic quantum shares auto_max among the one that runs and those that wait on the same
 * worker, so that each gets its turn once in that time, as long as auto_min allows it: the rule of
 * the Completely Fair Scheduler's latency target. How many wait is smoothed over 40 ms, and a change
 * below a quarter is not worth telling the timer.
 */
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>

#include "base/child.h"
#include "preempt/monitor.h"
#include "runtime/runtime.h"
#include "worker/dispatch.h"

enum {
	ADAPT_NS = 10000000,
	SMOOTH = 4,			/* a look counts for one part of so many	*/
	WAITING_UNIT = 16,		/* of worker->waiting				*/
	WORTH_PART = 4,			/* smaller changes than this part are not made	*/
	NODES = USCHED_TUNABLES - USCHED_TUNABLE_QUANTUM_NODE,
};

static uint64_t resolve(struct usched_runtime *runtime, const struct usched_worker *worker,
			unsigned int priority)
{
	const uint64_t *tunables = runtime->tunables;
	uint64_t quantum_ns = tunables[USCHED_TUNABLE_QUANTUM_PRIORITY + priority];

	if (quantum_ns == USCHED_QUANTUM_DEFAULT && worker->pool->node < NODES)
		quantum_ns = tunables[USCHED_TUNABLE_QUANTUM_NODE + worker->pool->node];
	if (quantum_ns == USCHED_QUANTUM_DEFAULT)
		quantum_ns = tunables[USCHED_TUNABLE_QUANTUM];
	if (quantum_ns == USCHED_QUANTUM_AUTO) {
		runtime->automatic = true;
		quantum_ns = worker->automatic_ns;
	}
	return usched_quantum_clamp(&runtime->scheduler, quantum_ns);
}

/* The monitor's beat serves all carriers without a tick of their own: the shortest quantum. */
static void set_beat(const struct usched_runtime *runtime)
{
	const struct usched_scheduler *scheduler = &runtime->scheduler;
	struct itimerspec setting;
	uint64_t beat_ns = 0;

	if (runtime->tick_timerfd < 0)
		return;
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		for (unsigned int priority = 0; priority < USCHED_PRIORITIES; priority++) {
			uint64_t own_ns = atomic_load_explicit(
				&scheduler->workers[i].quanta_ns[priority], memory_order_relaxed);

			if (own_ns != USCHED_QUANTUM_OFF && (beat_ns == 0 || own_ns < beat_ns))
				beat_ns = own_ns;
		}
	}
	setting.it_interval.tv_sec = (time_t)(beat_ns / 1000000000);
	setting.it_interval.tv_nsec = (long)(beat_ns % 1000000000);
	setting.it_value = setting.it_interval;
	timerfd_settime(runtime->tick_timerfd, 0, &setting, NULL);
}

/* The bounds of an automatic quantum; the lower one gives way. */
static uint64_t bounded(const struct usched_runtime *runtime, uint64_t quantum_ns)
{
	uint64_t least_ns = usched_quantum_clamp(&runtime->scheduler,
						 runtime->tunables[USCHED_TUNABLE_AUTO_MIN]);
	uint64_t most_ns = usched_quantum_clamp(&runtime->scheduler,
						runtime->tunables[USCHED_TUNABLE_AUTO_MAX]);

	if (quantum_ns < least_ns)
		quantum_ns = least_ns;
	return quantum_ns > most_ns ? most_ns : quantum_ns;
}

static uint64_t automatic(const struct usched_runtime *runtime, const struct usched_worker *worker)
{
	return bounded(runtime, runtime->tunables[USCHED_TUNABLE_AUTO_MAX] * WAITING_UNIT /
				(WAITING_UNIT + worker->waiting));
}

static void set_quanta(struct usched_runtime *runtime, struct usched_worker *worker)
{
	for (unsigned int priority = 0; priority < USCHED_PRIORITIES; priority++)
		atomic_store_explicit(&worker->quanta_ns[priority],
				      resolve(runtime, worker, priority), memory_order_relaxed);
}

/* What observers are told: of an automatic one the shortest. */
static void set_shown(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	uint64_t quantum_ns = runtime->tunables[USCHED_TUNABLE_QUANTUM];

	if (quantum_ns == USCHED_QUANTUM_AUTO) {
		for (uint32_t i = 0; i < scheduler->worker_count; i++) {
			if (scheduler->workers[i].automatic_ns < quantum_ns)
				quantum_ns = scheduler->workers[i].automatic_ns;
		}
	}
	atomic_store_explicit(&scheduler->quantum_ns, usched_quantum_clamp(scheduler, quantum_ns),
			      memory_order_relaxed);
}

void usched_tune(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	const uint64_t *tunables = runtime->tunables;
	uint32_t count = atomic_load_explicit(&scheduler->carrier_places, memory_order_acquire);

	atomic_store_explicit(&scheduler->wakeup_ns, tunables[USCHED_TUNABLE_WAKEUP],
			      memory_order_relaxed);
	atomic_store_explicit(&scheduler->budget, tunables[USCHED_TUNABLE_BUDGET] ?
			      (int32_t)tunables[USCHED_TUNABLE_BUDGET] : INT32_MAX,
			      memory_order_relaxed);
	runtime->automatic = false;
	/* First the words, which a carrier that starts or wakes just now reads; then all that run,
	   without their help. */
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];

		worker->automatic_ns = automatic(runtime, worker);
		set_quanta(runtime, worker);
	}
	set_shown(runtime);
	atomic_thread_fence(memory_order_seq_cst);				/* [Q1] of tick.h */
	for (uint32_t i = 0; i < count; i++) {
		/* One that is not ready yet runs nothing. */
		if (atomic_load_explicit(&scheduler->carriers[i].ready, memory_order_acquire))
			usched_tick_renew(&scheduler->carriers[i]);
	}
	set_beat(runtime);
}

void usched_tune_requests(struct usched_runtime *runtime)
{
	for (unsigned int i = 0; i < USCHED_TUNABLES; i++) {
		uint64_t value = USCHED_TUNABLE_NOT_ASKED;

		if (atomic_load_explicit(&runtime->requests[i], memory_order_relaxed) != value)
			value = atomic_exchange_explicit(&runtime->requests[i], value,
							 memory_order_relaxed);
		if (value != USCHED_TUNABLE_NOT_ASKED)
			usched_control_set(runtime->control, i, value);
	}
}

/* Does the worker's quantum need a change that is worth it? */
static bool adapt_one(struct usched_runtime *runtime, struct usched_worker *worker)
{
	uint32_t waiting = usched_waiting(worker) * WAITING_UNIT;
	uint64_t wanted_ns;

	worker->waiting = (worker->waiting * (SMOOTH - 1) + waiting) / SMOOTH;
	wanted_ns = automatic(runtime, worker);
	/* The bounds themselves are always reached. */
	if (wanted_ns == worker->automatic_ns ||
	    (wanted_ns > worker->automatic_ns - worker->automatic_ns / WORTH_PART &&
	     wanted_ns < worker->automatic_ns + worker->automatic_ns / WORTH_PART &&
	     wanted_ns != bounded(runtime, 0) && wanted_ns != bounded(runtime, UINT64_MAX)))
		return false;
	worker->automatic_ns = wanted_ns;
	/* Relaxed: only the monitor writes it. */
	atomic_store_explicit(&worker->automatic_changes,
			      atomic_load_explicit(&worker->automatic_changes,
						   memory_order_relaxed) + 1, memory_order_relaxed);
	set_quanta(runtime, worker);
	return true;
}

void usched_adapt(struct usched_runtime *runtime, uint64_t now_ns)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	bool changed = false;

	if (!runtime->automatic || now_ns - runtime->adapted_ns < ADAPT_NS)
		return;
	runtime->adapted_ns = now_ns;
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];
		struct usched_carrier *owner;

		if (!adapt_one(runtime, worker))
			continue;
		changed = true;
		atomic_thread_fence(memory_order_seq_cst);			/* [Q1] of tick.h */
		owner = atomic_load_explicit(&worker->owner, memory_order_relaxed);
		if (owner && atomic_load_explicit(&owner->ready, memory_order_acquire))
			usched_tick_renew(owner);
	}
	if (changed) {
		set_shown(runtime);
		set_beat(runtime);
	}
}

int usched_runtime_tune(struct usched_runtime *runtime, const char *key, uint64_t value)
{
	char why[160];
	uint64_t fiber;
	int tunable = usched_tunable_find(key, strlen(key) + 1, &fiber);

	if (usched_in_child())
		return -EPERM;
	if (tunable < 0 || tunable == USCHED_TUNABLE_FIBER)
		return -EINVAL;
	if (!usched_tunable_check((unsigned int)tunable, value, 0, why, sizeof(why)))
		return -ERANGE;
	/* Relaxed: the monitor found itself attached a pass ago; a move meanwhile is a race that
	   the operator's own set could lose as well. */
	if (atomic_load_explicit(&runtime->attached, memory_order_relaxed))
		return -EPERM;
	atomic_store_explicit(&runtime->requests[tunable], value, memory_order_relaxed);
	usched_monitor_wake(&runtime->scheduler);
	return 0;
}

int usched_runtime_set_quantum(struct usched_runtime *runtime, uint64_t quantum_ns)
{
	return usched_runtime_tune(runtime, "quantum", quantum_ns);
}
