/* SPDX-License-Identifier: MIT */
/*
 * From what is wished for to what the workers read.
 *
 *	quantum of a fiber	its own, else its priority's, else its pool's, else the runtime's
 *
 * The workers hold one quantum for each priority, already resolved and raised to the floor; a
 * fiber's own is in its descriptor. Called by the monitor, and once by the creating thread.
 */
#include <sys/timerfd.h>

#include "preempt/monitor.h"
#include "runtime/runtime.h"
#include "worker/dispatch.h"

static uint64_t resolve(const struct usched_runtime *runtime, const struct usched_worker *worker,
			unsigned int priority)
{
	const struct usched_tuning *tuning = &runtime->tuning;
	uint64_t quantum_ns = tuning->priority_quanta_ns[priority];

	if (quantum_ns == USCHED_QUANTUM_DEFAULT)
		quantum_ns = worker->pool->quantum_ns;
	if (quantum_ns == USCHED_QUANTUM_DEFAULT)
		quantum_ns = tuning->quantum_ns;
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

void usched_tune(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	const struct usched_tuning *tuning = &runtime->tuning;
	uint32_t count = atomic_load_explicit(&scheduler->carrier_count, memory_order_acquire);

	atomic_store_explicit(&scheduler->wakeup_ns, tuning->wakeup_ns, memory_order_relaxed);
	atomic_store_explicit(&scheduler->budget,
			      tuning->budget ? (int32_t)tuning->budget : INT32_MAX,
			      memory_order_relaxed);
	/* First the words, which a carrier that starts or wakes just now reads; then all that run,
	   without their help. */
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];

		for (unsigned int priority = 0; priority < USCHED_PRIORITIES; priority++)
			atomic_store_explicit(&worker->quanta_ns[priority],
					      resolve(runtime, worker, priority),
					      memory_order_relaxed);
	}
	atomic_store_explicit(&scheduler->quantum_ns,
			      usched_quantum_clamp(scheduler, tuning->quantum_ns),
			      memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);				/* [Q1] of tick.h */
	for (uint32_t i = 0; i < count; i++) {
		/* One that is not ready yet runs nothing. */
		if (atomic_load_explicit(&scheduler->carriers[i].ready, memory_order_acquire))
			usched_tick_renew(&scheduler->carriers[i]);
	}
	set_beat(runtime);
}
