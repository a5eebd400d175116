/* SPDX-License-Identifier: MIT */
/*
 * The weather of a run: a thread that raises ticks, revokes CPUs and decides the phases.
 *
 *	gale	ticks to random carriers, 5 to 15 us apart, mostly to those that run
 *	calm	none, so that the monitor finds carriers that are blocked, and takes their workers
 *	lull	a gale over few fibers: all others sleep, so that a tick finds nobody else
 *	drought	a gale while the acts block together, so that no spare carrier is left
 *
 * A tick is raised by what the monitor uses for it, usched_tick_send(): a signal that the handler
 * takes for the carrier's own, wherever it comes. So each is a true pass through the decision table.
 *
 * A CPU is revoked as a new grant does it: the worker's word, and a kick. One at a time, and the next
 * only once the worker has come back, as the arbiter leaves a runtime one CPU at least.
 *
 * With --enable-debug the points of the protocol (worker/step.h) dawdle now and then, in the handler
 * and in the monitor too, so that each side is late where it is not expected to be.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "preempt/monitor.h"
#include "preempt/tick.h"
#include "runtime/runtime.h"
#include "storm.h"
#include "worker/step.h"

#define GET(word) atomic_load_explicit(&(word), memory_order_relaxed)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

enum phase { GALE, CALM, LULL, DROUGHT };

static const struct {
	enum phase phase;
	uint64_t lasts_ns;
} phases[] = {
	{ GALE, 20 * MS }, { CALM, 8 * MS }, { LULL, 6 * MS }, { GALE, 20 * MS }, { CALM, 8 * MS },
	{ DROUGHT, 16 * MS },
};

enum { PHASES = sizeof(phases) / sizeof(phases[0]) };

_Atomic uint64_t storm_raised, storm_revoked;

static pthread_t thread;
static _Atomic bool stop;
static uint64_t random_state;

static uint64_t chance(uint64_t below)
{
	return (storm_next(&random_state) >> 11) % below;
}

static void raise_one(struct usched_scheduler *scheduler)
{
	uint32_t carriers = atomic_load_explicit(&scheduler->carrier_places, memory_order_acquire);
	struct usched_carrier *carrier = &scheduler->carriers[chance(carriers)];

	if (chance(4) != 0) {
		struct usched_worker *worker = &scheduler->workers[chance(scheduler->worker_count)];

		carrier = GET(worker->owner);
	}
	if (!carrier || !atomic_load_explicit(&carrier->ready, memory_order_acquire))
		return;
	usched_tick_send(carrier);
	atomic_fetch_add_explicit(&storm_raised, 1, memory_order_relaxed);
}

struct revocation {
	struct usched_worker *worker;	/* NULL: none is on its way */
	bool gone;			/* it was dormant, and may come back */
	uint64_t next_ns;
};

static void revoke_cpus(struct usched_scheduler *scheduler, struct revocation *revocation,
		   uint64_t now_ns)
{
	struct usched_worker *worker = revocation->worker;
	uint32_t mode;

	if (!worker) {
		if (now_ns < revocation->next_ns || scheduler->worker_count < 2)
			return;
		worker = &scheduler->workers[chance(scheduler->worker_count)];
		if (GET(worker->mode) == USCHED_WORKER_MODE_DORMANT)
			return;			/* never granted */
		revocation->worker = worker;
		revocation->gone = false;
		atomic_store_explicit(&worker->revoked, true, memory_order_relaxed);
		usched_monitor_kick(worker);
		atomic_fetch_add_explicit(&storm_revoked, 1, memory_order_relaxed);
		return;
	}
	mode = GET(worker->mode);
	if (!revocation->gone && mode == USCHED_WORKER_MODE_DORMANT) {
		atomic_store_explicit(&worker->revoked, false, memory_order_relaxed);
		revocation->gone = true;
	} else if (revocation->gone && mode == USCHED_WORKER_MODE_OWNED) {
		revocation->worker = NULL;
		revocation->next_ns = now_ns + (1 + chance(3)) * MS;
	}
}

/* Busy for a while in a gale, else asleep: there may be no CPU to spare. */
static void pass_time(enum phase phase, uint64_t begin_ns)
{
	const struct timespec nap = { .tv_nsec = (long)(200 * US) };
	uint64_t end_ns = usched_clock_now_ns() + 5 * US + chance(10 * US);

	if (phase == CALM || (usched_clock_now_ns() - begin_ns) / MS % 2) {
		nanosleep(&nap, NULL);
		return;
	}
	while (usched_clock_now_ns() < end_ns)
		usched_cpu_relax();
}

static void *blow(void *argument)
{
	struct usched_scheduler *scheduler = argument;
	struct revocation revocation = { 0 };
	unsigned int at = (unsigned int)chance(PHASES);

	prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
	while (!GET(stop)) {
		enum phase phase = phases[at % PHASES].phase;
		uint64_t begin_ns = usched_clock_now_ns();
		uint64_t end_ns = begin_ns + phases[at % PHASES].lasts_ns, now_ns;

		atomic_store_explicit(&storm_run.lull_end_ns, phase == LULL ? end_ns : 0,
				      memory_order_relaxed);
		atomic_store_explicit(&storm_run.drought, phase == DROUGHT, memory_order_relaxed);
		while (!GET(stop) && (now_ns = usched_clock_now_ns()) < end_ns) {
			if (phase != CALM)
				raise_one(scheduler);
			revoke_cpus(scheduler, &revocation, now_ns);
			pass_time(phase, begin_ns);
		}
		at++;
	}
	if (revocation.worker)
		atomic_store_explicit(&revocation.worker->revoked, false, memory_order_relaxed);
	atomic_store_explicit(&storm_run.lull_end_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&storm_run.drought, false, memory_order_relaxed);
	return NULL;
}

#if USCHED_DEBUG

/* Also in the tick's handler: only atomics and system calls. */
static void dawdle(const char *point, void *argument)
{
	static _Atomic uint64_t calls;
	struct usched_carrier *carrier = argument;
	uint64_t mixed = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) *
			 UINT64_C(11400714819323198485);
	uint64_t end_ns;

	if (carrier && !strcmp(point, "behind"))
		storm_rows_behind(usched_fiber_mode(usched_current(carrier)));
	mixed ^= mixed >> 32;
	/* "enter" and "leave" are at each call of the library. */
	if (mixed % (!strcmp(point, "enter") || !strcmp(point, "leave") ? 512 : 16) != 0)
		return;
	if (mixed / 512 % 32 == 0) {
		const struct timespec pause = { .tv_nsec = (long)(50 * US) };

		nanosleep(&pause, NULL);
		return;
	}
	end_ns = usched_clock_now_ns() + 1 * US + mixed / 16384 % 20 * US;
	while (usched_clock_now_ns() < end_ns)
		usched_cpu_relax();
}

#endif

void storm_weather_init(void)
{
#if USCHED_DEBUG
	usched_step_hook = dawdle;
#endif
}

void storm_weather_start(uint64_t seed)
{
	random_state = seed | 1;
	atomic_store(&stop, false);
	if (pthread_create(&thread, NULL, blow, &storm_run.runtime->scheduler)) {
		fprintf(stderr, "storm: the weather's thread cannot be made\n");
		exit(1);
	}
}

void storm_weather_stop(void)
{
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}
