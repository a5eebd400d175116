/* SPDX-License-Identifier: MIT */
/*
 * The carriers' side of the protocol: wait, give, regain, and the spares; see carrier.h.
 */
#include <sched.h>
#include <time.h>

#include "base/assert.h"
#include "base/futex.h"
#include "worker/carrier.h"
#include "worker/dispatch.h"

USCHED_DEFINE_THREAD_SLOT(usched_carrier_self, struct usched_carrier *);

#if USCHED_DEBUG
void (*_Atomic usched_step_hook)(const char *point, void *carrier);
#endif

uint64_t usched_carrier_clock_ns(const struct usched_carrier *carrier)
{
	struct timespec clock;

	if (clock_gettime(carrier->clock, &clock))
		return 0;
	return (uint64_t)clock.tv_sec * 1000000000 + (uint64_t)clock.tv_nsec;
}

void usched_carrier_reset(struct usched_carrier *carrier)
{
	atomic_store_explicit(&carrier->begun_cycles, 0, memory_order_relaxed);
	atomic_store_explicit(&carrier->looked_cycles,
			      atomic_load_explicit(&carrier->owned_cycles, memory_order_relaxed),
			      memory_order_relaxed);
	atomic_store_explicit(&carrier->looked_clock_ns, usched_carrier_clock_ns(carrier),
			      memory_order_relaxed);
}

bool usched_carrier_wait(struct usched_carrier *carrier)
{
	struct usched_scheduler *scheduler = carrier->scheduler;
	struct usched_worker *worker;

	scheduler->hooks.tick_stop(carrier);
	USCHED_STEP("wait", carrier);
	while (!atomic_load_explicit(&carrier->go, memory_order_acquire))	/* [P3] */
		usched_futex_wait(&carrier->go, 0, UINT64_MAX, true);
	/* Relaxed: nobody writes go again before this carrier can be found again. */
	atomic_store_explicit(&carrier->go, 0, memory_order_relaxed);
	worker = atomic_load_explicit(&carrier->order, memory_order_relaxed);
	atomic_store_explicit(&carrier->worker, worker, memory_order_relaxed);
	if (!worker)
		return false;
	/* The monitor treats both as hints and takes with the words of carrier.h. Release -> who sends
	   the owner a tick, or sets its tick: both are there, since its thread opened them. */
	atomic_store_explicit(&worker->owner, carrier, memory_order_release);
	atomic_store_explicit(&worker->mode, USCHED_WORKER_MODE_OWNED, memory_order_relaxed);
	atomic_store_explicit(&carrier->pending, false, memory_order_relaxed);
	carrier->slice_start_cycles = usched_cycles();
	usched_carrier_begin(carrier, carrier->slice_start_cycles);
	/* The fiber that goes on here has this worker from now: its slice begins. */
	carrier->tick_dispatches = atomic_load_explicit(&worker->counters.dispatches,
							memory_order_relaxed);
	carrier->grace = 0;
	carrier->alone = 0;
	USCHED_STEP("waited", carrier);
	return true;
}

void usched_carrier_give(struct usched_carrier *carrier, struct usched_worker *worker)
{
	if (worker && atomic_load_explicit(&carrier->cpu, memory_order_relaxed) != worker->cpu) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(worker->cpu, &set);
		/* Fails when the CPU went away under us: the carrier then runs where the kernel
		   lets it, and the next grant sorts it out. Relaxed: ordered by go. */
		if (sched_setaffinity(carrier->tid, sizeof(set), &set) == 0)
			atomic_store_explicit(&carrier->cpu, worker->cpu, memory_order_relaxed);
	}
	atomic_store_explicit(&carrier->order, worker, memory_order_relaxed);
	USCHED_STEP("give", carrier);
	atomic_store_explicit(&carrier->go, 1, memory_order_release);		/* [P3] */
	usched_futex_wake(&carrier->go, 1, true);
}

void usched_regain(struct usched_carrier *carrier)
{
	uint32_t seen = USCHED_REVOKE_REQUESTED;
	struct usched_fiber *fiber;

	USCHED_STEP("regain", carrier);
	if (atomic_compare_exchange_strong_explicit(&carrier->revoke, &seen, USCHED_REVOKE_NONE,
						    memory_order_acq_rel,
						    memory_order_acquire) ||	/* [P4] */
	    seen == USCHED_REVOKE_NONE)
		return;			/* still the owner */

	usched_assert(seen == USCHED_REVOKE_TAKEN);
	fiber = usched_current(carrier);
	usched_assert(fiber != NULL);
	carrier->losses++;
	/* For a part of that time it had none, and the kernel may have worked for it then. */
	usched_carrier_reset(carrier);
	atomic_store_explicit(&carrier->worker, NULL, memory_order_relaxed);
	atomic_store_explicit(&carrier->revoke, USCHED_REVOKE_NONE, memory_order_release); /* [P4] */
	atomic_store_explicit(&fiber->bound, carrier, memory_order_relaxed);	/* F3 */
	usched_fiber_set_state(fiber, USCHED_FIBER_READY_BOUND);
	usched_ready_outside(fiber);
	/* A carrier with a fiber is never told to end: destroy waits for the fibers. */
	if (!usched_carrier_wait(carrier))
		usched_assert(!"a carrier with a fiber was told to end");
	usched_resume_bound(carrier, fiber);
}

/*
 * Spares: first the two places of the worker on whose CPU the carrier ran last, since a wake on
 * the same CPU costs a tenth of one across CPUs; then one stack for all. The stack's word holds
 * the index of its top and a tag that grows with each change, so that a pop that was overtaken
 * fails (2^32 changes during one pop would fool it).
 */
static void stack_push(struct usched_scheduler *scheduler, struct usched_carrier *carrier)
{
	uint64_t old = atomic_load_explicit(&scheduler->spares, memory_order_relaxed);
	uint64_t new;

	do {
		atomic_store_explicit(&carrier->spare_next, (uint32_t)old, memory_order_relaxed);
		new = ((old >> 32) + 1) << 32 | (carrier->index + 1);
	} while (!atomic_compare_exchange_weak_explicit(&scheduler->spares, &old, new,
							memory_order_release,	/* -> stack_pop */
							memory_order_relaxed));
}

static struct usched_carrier *stack_pop(struct usched_scheduler *scheduler)
{
	uint64_t old = atomic_load_explicit(&scheduler->spares, memory_order_acquire); /* <- push */
	struct usched_carrier *carrier;
	uint64_t new;

	do {
		if ((uint32_t)old == 0)
			return NULL;
		carrier = &scheduler->carriers[(uint32_t)old - 1];
		new = ((old >> 32) + 1) << 32 |
		      atomic_load_explicit(&carrier->spare_next, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(&scheduler->spares, &old, new,
							memory_order_acquire,	/* <- push */
							memory_order_acquire));
	return carrier;
}

void usched_spare_push(struct usched_carrier *carrier)
{
	struct usched_scheduler *scheduler = carrier->scheduler;
	uint32_t cpu = atomic_load_explicit(&carrier->cpu, memory_order_relaxed);

	/* A count for the monitor and observers; release -> create's acquire, which waits for the
	   first carriers by it. */
	atomic_fetch_add_explicit(&scheduler->spare_count, 1, memory_order_release);
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];

		if (worker->cpu != cpu)
			continue;
		for (unsigned int place = 0; place < 2; place++) {
			struct usched_carrier *empty = NULL;

			if (atomic_compare_exchange_strong_explicit(&worker->spares[place], &empty,
								    carrier, memory_order_release,
								    memory_order_relaxed))
				return;		/* -> usched_spare_pop */
		}
		break;
	}
	stack_push(scheduler, carrier);
}

static struct usched_carrier *pop_warm(struct usched_worker *worker)
{
	for (unsigned int place = 0; place < 2; place++) {
		struct usched_carrier *carrier;

		if (!atomic_load_explicit(&worker->spares[place], memory_order_relaxed))
			continue;
		carrier = atomic_exchange_explicit(&worker->spares[place], NULL,
						   memory_order_acquire);	/* <- push */
		if (carrier)
			return carrier;
	}
	return NULL;
}

struct usched_carrier *usched_spare_pop(struct usched_worker *worker)
{
	struct usched_scheduler *scheduler = worker->scheduler;
	struct usched_carrier *carrier = pop_warm(worker);

	if (!carrier)
		carrier = stack_pop(scheduler);
	for (uint32_t i = 0; !carrier && i < scheduler->worker_count; i++)
		carrier = pop_warm(&scheduler->workers[i]);
	if (carrier)
		atomic_fetch_sub_explicit(&scheduler->spare_count, 1, memory_order_relaxed);
	return carrier;
}

bool usched_spare_dismiss(struct usched_scheduler *scheduler)
{
	struct usched_carrier *carrier = stack_pop(scheduler);

	if (!carrier)
		return false;
	atomic_fetch_sub_explicit(&scheduler->spare_count, 1, memory_order_relaxed);
	atomic_store_explicit(&carrier->ready, false, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);				/* [V1] */
	USCHED_STEP("dismiss", carrier);
	if (atomic_load_explicit(&carrier->holds, memory_order_acquire) != 0) {	/* [V1] */
		atomic_store_explicit(&carrier->ready, true, memory_order_release);
		usched_spare_push(carrier);
		return false;
	}
	usched_carrier_give(carrier, NULL);
	return true;
}

void usched_carrier_main(struct usched_carrier *carrier)
{
	struct usched_scheduler *scheduler = carrier->scheduler;

	usched_sanitize_init_native(&carrier->native_sanitize);
	atomic_store_explicit(&carrier->in_runtime, 1, memory_order_relaxed);
	usched_carrier_self_set(carrier);
	usched_spare_push(carrier);
	/* [S2] of find.c: it counts the spares, and may have gone to sleep meanwhile. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&scheduler->monitor_asleep, memory_order_relaxed))
		scheduler->hooks.wake_monitor(scheduler);
	if (!usched_carrier_wait(carrier))
		return;
	/* Ticks may come from here on; inside the runtime they only leave a note. */
	pthread_sigmask(SIG_SETMASK, &scheduler->carrier_mask, NULL);
	usched_carrier_loop(carrier);
}
