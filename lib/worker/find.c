/* SPDX-License-Identifier: MIT */
/*
 * Looking outside the own worker: timers and I/O, the queues of others, sleep, and waking others.
 *
 * Sleep and wake
 *	[S1] a worker about to sleep: set its idle bit, seq_cst fence, look at every queue again
 *	     who adds from outside:   push to an inbox, seq_cst fence, look at the idle bits
 *	     One of them sees the other, so no fiber from outside waits while a worker sleeps.
 *	An owner that adds to its own ring looks at the count without the fence, or not at all: it
 *	runs the fiber itself if nobody comes, and the monitor looks again within a millisecond.
 *	[S3] a tick that is to stop: set tick_off, seq_cst fence, look at every queue again
 *	     who adds from outside:  as in [S1], then look at the count of stopped ticks
 *	     So a worker with somebody waiting keeps its tick, or gets it back.
 *	[S4] mailboxes. A worker that gives its CPU up: mode DORMANT, seq_cst fence, look at the
 *	     idle bits; who adds to its mailbox: push, seq_cst fence, look at the mode. One of them
 *	     wakes another worker, which takes from the mailboxes of dormant ones, and looks at
 *	     them before it sleeps.
 *	Whoever clears an idle bit wakes that worker, so one reason wakes one worker; while one
 *	searches no other is woken, and the one that finds work wakes the next.
 *	[I1] who wakes:     clear idle_since_ns, then release the sum in idle_ns
 *	     who publishes: acquire idle_ns, then look at idle_since_ns
 *	     So no sleep is counted twice; one may be missed until the next look.
 */
#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/dispatch.h"
#include "worker/inbox.h"
#include "worker/poll.h"

enum {
	STEAL_MAX = 64,
	SHARE_NS = 100000,	/* what a poll brings is worth waking another worker for */
};

int usched_poll_events(int descriptor, struct epoll_event *events, uint64_t timeout_ns)
{
#ifdef SYS_epoll_pwait2
	static _Atomic int missing;	/* relaxed: each finds out for itself at worst */
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / 1000000000),
		.tv_nsec = (long)(timeout_ns % 1000000000),
	};

	if (timeout_ns == 0 || timeout_ns == UINT64_MAX)
		return epoll_wait(descriptor, events, USCHED_POLL_EVENTS, timeout_ns ? -1 : 0);
	if (!atomic_load_explicit(&missing, memory_order_relaxed)) {
		int count = (int)syscall(SYS_epoll_pwait2, descriptor, events, USCHED_POLL_EVENTS,
					 &timeout, NULL, (size_t)0);

		if (count >= 0 || errno != ENOSYS)
			return count;
		atomic_store_explicit(&missing, 1, memory_order_relaxed);
	}
#endif
	if (timeout_ns > UINT64_C(1000000000))
		timeout_ns = UINT64_C(1000000000);	/* the caller comes back */
	return epoll_wait(descriptor, events, USCHED_POLL_EVENTS,
			  (int)((timeout_ns + 999999) / 1000000));
}

static void fire_timers(struct usched_carrier *carrier, struct usched_timers *timers)
{
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_fiber *fiber;
	uint64_t now_ns;

	if (atomic_load_explicit(&timers->first_ns, memory_order_relaxed) == UINT64_MAX)
		return;
	now_ns = usched_clock_now_ns();
	while ((fiber = usched_timers_expire(timers, now_ns))) {
		usched_count(&worker->counters.timers_fired);
		usched_ready(carrier, fiber, USCHED_PLACE_WOKEN);
	}
}

static void handle_events(struct usched_carrier *carrier, struct epoll_event *events, int count)
{
	struct usched_worker *worker = usched_owned(carrier);

	/* The first is handled at once. */
	for (int i = 1; i < count; i++)
		worker->scheduler->hooks.io_soon(worker->scheduler, events[i].data.u64);
	for (int i = 0; i < count; i++) {
		uint64_t data = events[i].data.u64;

		if (data == USCHED_POLL_WAKE)
			continue;	/* edge-triggered: it has done what it is for */
		if (data & USCHED_POLL_ADOPTED) {
			struct usched_worker *adopted =
				&worker->scheduler->workers[data & ~USCHED_POLL_ADOPTED];
			struct epoll_event *more = events + USCHED_POLL_EVENTS;
			int found = usched_poll_events(adopted->poll_descriptor, more, 0);

			for (int j = 0; j < found; j++) {
				uint64_t inner = more[j].data.u64;

				if (!(inner & USCHED_POLL_ADOPTED)) {
					worker->scheduler->hooks.io_event(carrier, inner,
									  more[j].events);
				}
			}
		} else {
			usched_count(&worker->counters.io_events);
			worker->scheduler->hooks.io_event(carrier, data, events[i].events);
		}
	}
}

/* How long a fiber runs here, from poll to poll. */
static void measure_runs(struct usched_worker *worker)
{
	uint64_t dispatches = atomic_load_explicit(&worker->counters.dispatches,
						   memory_order_relaxed);
	uint64_t ran_ns;

	if (dispatches == worker->poll_dispatches)
		return;
	ran_ns = usched_cycles_to_ns(&worker->scheduler->rate,
				     usched_cycles() - worker->poll_cycles);
	ran_ns /= dispatches - worker->poll_dispatches;
	worker->run_ns = worker->run_ns ? (worker->run_ns + ran_ns) / 2 : ran_ns;
	worker->poll_dispatches = dispatches;
}

__attribute__((noinline))	/* not into the flat functions of dispatch.c, at link time either */
void usched_poll(struct usched_carrier *carrier, uint64_t timeout_ns)
{
	struct usched_worker *worker = usched_owned(carrier);
	uint64_t wakes = atomic_load_explicit(&worker->counters.wakes, memory_order_relaxed);
	int count;

	measure_runs(worker);
	worker->polling = true;
	usched_count(&worker->counters.polls);
	if (timeout_ns != 0 ||
	    atomic_load_explicit(&worker->descriptors_watched, memory_order_relaxed) != 0 ||
	    atomic_load_explicit(&worker->adopts, memory_order_relaxed)) {
		count = usched_poll_events(worker->poll_descriptor, worker->events, timeout_ns);
		handle_events(carrier, worker->events, count);		/* none, after an error */
	}
	fire_timers(carrier, &worker->timers);
	for (struct usched_worker *adopted = atomic_load_explicit(&worker->adopts,
								  memory_order_acquire);
	     adopted; adopted = atomic_load_explicit(&adopted->adopted_next, memory_order_acquire))
		fire_timers(carrier, &adopted->timers);
	worker->polling = false;
	worker->poll_cycles = usched_cycles();
	/* One of them runs here at once. Should the others take longer than they used to, the
	   monitor sees them wait. */
	wakes = atomic_load_explicit(&worker->counters.wakes, memory_order_relaxed) - wakes;
	if (wakes > 1 && (worker->run_ns == 0 || wakes * worker->run_ns > SHARE_NS))
		usched_notify(worker);
}

void usched_wake_worker(struct usched_worker *worker)
{
	uint64_t one = 1;

	(void)!write(worker->wake_descriptor, &one, sizeof(one));
}

/* Clear a worker's idle bit. True: it was set, and the caller has to wake the worker. */
static bool claim_idle(struct usched_scheduler *scheduler, uint32_t number)
{
	uint64_t bit = UINT64_C(1) << (number % 64);

	/* acq_rel with the sleeper's fetch_or: its queues were looked at before. */
	if (!(atomic_fetch_and_explicit(&scheduler->idle[number / 64], ~bit,
					memory_order_acq_rel) & bit))
		return false;
	atomic_fetch_sub_explicit(&scheduler->idle_count, 1, memory_order_relaxed);
	return true;
}

void usched_notify_worker(struct usched_worker *worker)
{
	atomic_thread_fence(memory_order_seq_cst);			/* [S1] [S3] */
	if (claim_idle(worker->scheduler, worker->number))
		usched_wake_worker(worker);
	else if (atomic_load_explicit(&worker->tick_off, memory_order_relaxed))
		worker->scheduler->hooks.tick_wanted(worker);
}

bool usched_wake_any(struct usched_scheduler *scheduler, struct usched_pool *pool)
{
	for (unsigned int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < scheduler->worker_count; i++) {
			uint64_t word = atomic_load_explicit(&scheduler->idle[i / 64],
							     memory_order_relaxed);

			if (word == 0) {
				i |= 63;	/* the next word */
				continue;
			}
			if (!(word >> (i % 64) & 1) ||
			    (pass == 0 && scheduler->workers[i].pool != pool))
				continue;
			if (claim_idle(scheduler, i)) {
				usched_wake_worker(&scheduler->workers[i]);
				return true;
			}
		}
	}
	return false;
}

void usched_notify(struct usched_worker *worker)
{
	struct usched_scheduler *scheduler = worker->scheduler;

	usched_notify_self(worker);
	if (worker->polling)
		return;			/* it sees to all of them at its end */
	/* Relaxed, see [S1]. */
	if (atomic_load_explicit(&scheduler->idle_count, memory_order_relaxed) == 0 ||
	    atomic_load_explicit(&scheduler->searching, memory_order_relaxed) != 0)
		return;
	usched_wake_any(scheduler, worker->pool);
}

void usched_hasten_monitor(struct usched_scheduler *scheduler)
{
	/* Relaxed: it only keeps others from saying the same. */
	atomic_store_explicit(&scheduler->monitor_slow, false, memory_order_relaxed);
	scheduler->hooks.wake_monitor(scheduler);
}

bool usched_notify_outside(struct usched_scheduler *scheduler, struct usched_pool *pool)
{
	atomic_thread_fence(memory_order_seq_cst);			/* [S1] [S3] */
	if (atomic_load_explicit(&scheduler->monitor_slow, memory_order_relaxed))
		usched_hasten_monitor(scheduler);
	if (atomic_load_explicit(&scheduler->idle_count, memory_order_relaxed) != 0 &&
	    usched_wake_any(scheduler, pool))
		return true;
	for (uint32_t i = 0; i < pool->worker_count &&
	     atomic_load_explicit(&scheduler->ticks_off, memory_order_relaxed) != 0; i++) {
		if (!atomic_load_explicit(&pool->workers[i]->tick_off, memory_order_relaxed))
			continue;
		scheduler->hooks.tick_wanted(pool->workers[i]);
		break;
	}
	return false;
}

/* Half of a ring: one fiber to run, the others to our own ring. */
static struct usched_fiber *steal_ring(struct usched_worker *worker, struct usched_ring *from,
				       enum usched_ring_kind kind)
{
	uint32_t wanted = (usched_ring_length(from) + 1) / 2;
	struct usched_fiber *first = NULL;

	if (wanted > STEAL_MAX)
		wanted = STEAL_MAX;
	while (wanted-- > 0) {
		struct usched_fiber *fiber = usched_ring_pop(from);

		if (!fiber)
			break;
		usched_count(&worker->counters.steals);
		if (!first)
			first = fiber;
		else
			usched_queue(worker, fiber, kind);
	}
	return first;
}

static struct usched_fiber *steal(struct usched_worker *worker)
{
	struct usched_scheduler *scheduler = worker->scheduler;
	struct usched_fiber *fiber = NULL;

	for (uint32_t i = 0; !fiber && i + 1 < scheduler->worker_count; i++) {
		struct usched_worker *victim = worker->victims[i];

		for (unsigned int kind = 0; !fiber && kind < USCHED_RING_COUNT; kind++)
			fiber = steal_ring(worker, &victim->rings[kind], kind);
		if (!fiber && atomic_load_explicit(&victim->mode, memory_order_relaxed) ==
			      USCHED_WORKER_MODE_DORMANT)
			fiber = usched_inbox_pop(&victim->mailbox);
	}
	for (uint32_t i = 0; !fiber && i < scheduler->pool_count; i++)
		fiber = usched_inbox_pop(&scheduler->pools[i].inbox);
	return fiber;
}

/* The recheck before sleep: is there anything that this worker could run? */
static bool work_in_sight(struct usched_worker *worker)
{
	struct usched_scheduler *scheduler = worker->scheduler;

	if (!usched_inbox_empty(&worker->mailbox))
		return true;
	for (uint32_t i = 0; i < scheduler->pool_count; i++) {
		if (!usched_inbox_empty(&scheduler->pools[i].inbox))
			return true;
	}
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		struct usched_worker *other = &scheduler->workers[i];

		for (unsigned int kind = 0; kind < USCHED_RING_COUNT; kind++) {
			if (usched_ring_length(&other->rings[kind]) > 0)
				return true;
		}
		if (!usched_inbox_empty(&other->mailbox) &&
		    atomic_load_explicit(&other->mode, memory_order_relaxed) ==
		    USCHED_WORKER_MODE_DORMANT)					/* [S4] */
			return true;
	}
	return false;
}

static uint64_t time_to_first(struct usched_worker *worker)
{
	uint64_t first_ns = atomic_load_explicit(&worker->timers.first_ns, memory_order_relaxed);
	uint64_t now_ns;

	for (struct usched_worker *adopted = atomic_load_explicit(&worker->adopts,
								  memory_order_acquire);
	     adopted;
	     adopted = atomic_load_explicit(&adopted->adopted_next, memory_order_acquire)) {
		uint64_t other_ns = atomic_load_explicit(&adopted->timers.first_ns,
							 memory_order_relaxed);

		if (other_ns < first_ns)
			first_ns = other_ns;
	}
	if (first_ns == UINT64_MAX)
		return UINT64_MAX;
	now_ns = usched_clock_now_ns();
	return first_ns > now_ns ? first_ns - now_ns : 0;
}

static bool must_stop(struct usched_worker *worker)
{
	return atomic_load_explicit(&worker->revoked, memory_order_relaxed) ||
	       atomic_load_explicit(&worker->scheduler->stop, memory_order_relaxed);
}

static void sleep_until_work(struct usched_carrier *carrier)
{
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_scheduler *scheduler = worker->scheduler;
	uint64_t bit = UINT64_C(1) << (worker->number % 64);
	uint64_t began_ns, slept_ns, timeout_ns;

	atomic_store_explicit(&worker->mode, USCHED_WORKER_MODE_IDLE, memory_order_relaxed);
	atomic_fetch_add_explicit(&scheduler->idle_count, 1, memory_order_relaxed);
	atomic_fetch_or_explicit(&scheduler->idle[worker->number / 64], bit, memory_order_acq_rel);
	atomic_thread_fence(memory_order_seq_cst);				/* [S1] */
	timeout_ns = time_to_first(worker);
	if (timeout_ns == 0) {
		usched_poll(carrier, 0);
	} else if (!work_in_sight(worker) && !must_stop(worker)) {
		scheduler->hooks.tick_stop(carrier);
		usched_carrier_end(carrier, usched_cycles());
		began_ns = usched_clock_now_ns();
		atomic_store_explicit(&worker->idle_since_ns, began_ns, memory_order_relaxed);
		usched_poll(carrier, timeout_ns);
		atomic_store_explicit(&worker->idle_since_ns, 0, memory_order_relaxed);
		slept_ns = usched_clock_now_ns() - began_ns +
			   atomic_load_explicit(&worker->counters.idle_ns, memory_order_relaxed);
		atomic_store_explicit(&worker->counters.idle_ns, slept_ns,
				      memory_order_release);			/* [I1] */
		usched_carrier_begin(carrier, usched_cycles());
	}
	claim_idle(scheduler, worker->number);
	atomic_store_explicit(&worker->mode, USCHED_WORKER_MODE_OWNED, memory_order_relaxed);
	/* [S2] mode, fence, load asleep | the monitor: store asleep, fence, look at the modes. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&scheduler->monitor_asleep, memory_order_relaxed))
		scheduler->hooks.wake_monitor(scheduler);
}

/* While one searches nobody else is woken; who finds something wakes the next. */
static struct usched_fiber *search(struct usched_worker *worker)
{
	struct usched_scheduler *scheduler = worker->scheduler;
	struct usched_fiber *fiber;

	atomic_fetch_add_explicit(&scheduler->searching, 1, memory_order_relaxed);
	fiber = steal(worker);
	if (atomic_fetch_sub_explicit(&scheduler->searching, 1, memory_order_relaxed) == 1 && fiber)
		usched_notify(worker);
	return fiber;
}

struct usched_fiber *usched_find(struct usched_carrier *carrier)
{
	struct usched_worker *worker = usched_owned(carrier);

	for (;;) {
		struct usched_fiber *fiber;

		if (must_stop(worker))
			return NULL;
		if (atomic_load_explicit(&worker->poll_due, memory_order_relaxed)) {
			atomic_store_explicit(&worker->poll_due, false, memory_order_relaxed);
			usched_poll(carrier, 0);
		}
		fiber = usched_pick(worker);
		/* Own timers and I/O come before the work of others; the sleep looks at them, too. */
		if (!fiber && work_in_sight(worker)) {
			usched_poll(carrier, 0);
			fiber = usched_pick(worker);
			if (!fiber)
				fiber = search(worker);
		}
		if (fiber)
			return fiber;
		sleep_until_work(carrier);
	}
}
