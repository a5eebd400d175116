/* SPDX-License-Identifier: MIT */
/*
 * The monitor's pass; see monitor.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/membarrier.h"
#include "preempt/monitor.h"
#include "preempt/tick.h"
#include "worker/dispatch.h"
#include "worker/inbox.h"

enum {
	AGE_TURN_NS = 10000000,		/* one fiber of each lower priority */
	LATE_NS = 4000000,		/* that a tick may be late	*/
	STILL_NS = 30000,		/* less standing still, and this part of its time, */
	STILL_PERCENT = 5,		/* are interrupts and our own passes */
	LEAST_NS = 500000,		/* where the kernel does not tell: at least so long, */
	SURELY_PERCENT = 90,		/* and this part of its time, is taken for blocked */
};

void usched_monitor_init(struct usched_scheduler *scheduler)
{
	scheduler->membarrier = scheduler->membarrier && usched_membarrier_register();
}

/* Does the kernel say that the thread is inside a system call or a fault, and not on a CPU? With a masked
   /proc it says nothing: @silent. */
static bool is_blocked(const struct usched_carrier *carrier, bool silent)
{
	char path[64], text[16];
	struct usched_format format;
	ssize_t got;
	int descriptor;

	usched_format_init(&format, path, sizeof(path));
	usched_format_string(&format, "/proc/self/task/");
	usched_format_decimal(&format, (uint64_t)carrier->tid);
	usched_format_string(&format, "/syscall");
	descriptor = open(path, O_RDONLY | O_CLOEXEC);
	if (descriptor < 0)
		return silent;
	got = read(descriptor, text, sizeof(text));
	close(descriptor);
	return got <= 0 ? silent : memcmp(text, "running", 7) != 0;
}

/* A CPU to give back is work, too: another carrier can do it. */
static bool has_other_work(struct usched_worker *worker)
{
	return usched_has_ready(worker) ||
	       atomic_load_explicit(&worker->revoked, memory_order_relaxed) ||
	       atomic_load_explicit(&worker->timers.first_ns, memory_order_relaxed) != UINT64_MAX ||
	       atomic_load_explicit(&worker->descriptors_watched, memory_order_relaxed) != 0 ||
	       atomic_load_explicit(&worker->adopts, memory_order_relaxed);
}

/*
 * Who is to have the worker if there is no spare: the carrier of a fiber that waits in a queue with
 * it. Without that, a fiber that holds a lock which all carriers wait for in the kernel would never
 * run again, and nobody else either.
 *
 * In `next`, which is the owner's: then nothing is popped yet, and *popped is NULL.
 */
static struct usched_carrier *stand_in(struct usched_worker *worker, struct usched_fiber **popped)
{
	struct usched_fiber *next = atomic_load_explicit(&worker->next, memory_order_relaxed);

	*popped = NULL;
	/* The owner's release of in_runtime [P2] is before our look at both. */
	if (next && usched_fiber_bound(next))
		return usched_fiber_bound(next);
	*popped = usched_take_bound(worker);
	return *popped ? usched_fiber_bound(*popped) : NULL;
}

/* The request is withdrawn: the worker stays with its owner. Who enters meanwhile stores NONE as well. */
static void withdraw(struct usched_carrier *carrier)
{
	if (atomic_load_explicit(&carrier->revoke, memory_order_acquire) == USCHED_REVOKE_REQUESTED)
		atomic_store_explicit(&carrier->revoke, USCHED_REVOKE_NONE, memory_order_release); /* [P4] */
}

static void put_back(struct usched_worker *worker, struct usched_carrier *spare,
		     struct usched_fiber *popped)
{
	if (spare)
		usched_spare_push(spare);
	if (popped)
		usched_inbox_push(&worker->pool->inbox, popped);
	/* The owner was in the library meanwhile: it may have looked for them in vain, and sleep. */
	if (!spare && !usched_inbox_empty(&worker->pool->inbox))
		usched_notify_outside(worker->scheduler, worker->pool);		/* [S1] of find.c */
}

/* False: it is as it was. */
static bool take(struct usched_scheduler *scheduler, struct usched_worker *worker,
		 struct usched_carrier *carrier)
{
	struct usched_carrier *spare = usched_spare_pop(worker), *heir = spare;
	uint32_t seen = USCHED_REVOKE_REQUESTED;
	struct usched_fiber *fiber, *popped = NULL;

	if (!spare)
		scheduler->hooks.need_carrier(scheduler);
	USCHED_STEP("asking", carrier);
	if (atomic_load_explicit(&carrier->revoke, memory_order_acquire) != USCHED_REVOKE_NONE) {
		put_back(worker, spare, NULL);
		return false;
	}
	/* Nobody else leaves NONE [P4]. */
	atomic_store_explicit(&carrier->revoke, USCHED_REVOKE_REQUESTED, memory_order_release);
	USCHED_STEP("requested", carrier);
	if (scheduler->membarrier)
		usched_membarrier();				/* [P1] */
	else
		atomic_thread_fence(memory_order_seq_cst);	/* enter has one, too [P1] */
	/* While the carrier is in user code it changes neither word, and entering it would find
	   the request and undo it; so all are still true if the second CAS succeeds. */
	if (atomic_load_explicit(&carrier->in_runtime, memory_order_acquire) != 0 ||	/* [P2] */
	    atomic_load_explicit(&carrier->worker, memory_order_relaxed) != worker ||
	    !(fiber = atomic_load_explicit(&carrier->current, memory_order_relaxed)) ||
	    (!spare && !(heir = stand_in(worker, &popped)))) {
		withdraw(carrier);
		put_back(worker, spare, NULL);
		return false;
	}
	if (popped)
		USCHED_STEP("stand in", carrier);
	if (!atomic_compare_exchange_strong_explicit(&carrier->revoke, &seen,
						     USCHED_REVOKE_TAKEN, memory_order_acq_rel,
						     memory_order_acquire)) {	/* [P4] */
		put_back(worker, spare, popped);
		return false;
	}
	USCHED_STEP("taken", carrier);
	/* For observers; the carrier may be regaining already and have set it to READY_BOUND. */
	{
		uint8_t running = USCHED_FIBER_RUNNING;

		atomic_compare_exchange_strong_explicit(&fiber->state, &running,
							USCHED_FIBER_STRANDED,
							memory_order_relaxed,
							memory_order_relaxed);
	}
	usched_tick_hurry(carrier);
	atomic_store_explicit(&worker->taken,
			      atomic_load_explicit(&worker->taken, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	atomic_store_explicit(&worker->mode, USCHED_WORKER_MODE_MOVING, memory_order_relaxed);
	/* The worker is ours until it is given: so is its `next`. */
	if (!spare && !popped)
		usched_swap_next(worker, NULL);
	usched_carrier_give(heir, worker);
	return true;
}

bool usched_monitor_take_blocked(struct usched_worker *worker, struct usched_carrier *owner)
{
	if (owner->tick_kind != USCHED_TICK_PERF || !is_blocked(owner, false))
		return false;
	/* Timers and I/O come before those who were waiting already. */
	atomic_store_explicit(&worker->poll_due, true, memory_order_relaxed);
	if (!take(worker->scheduler, worker, owner))
		return false;
	/* Relaxed: the monitor's own word, as `taken`. */
	atomic_store_explicit(&worker->taken_urgent,
			      atomic_load_explicit(&worker->taken_urgent, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	return true;
}

/*
 * What a carrier did since it was last looked at as an owner. All the time that it owned a worker it should
 * have been on a CPU: what its CPU clock lacks of that it stood still, blocked in the kernel, or because
 * the kernel had given its CPU to somebody else.
 */
struct look {
	uint64_t clock_ns;		/* its CPU clock			*/
	int64_t owned_ns, still_ns;
};

/*
 * Relaxed: some of it may be of a moment later, when the carrier has given its worker away or has another
 * one. Then this guess is wrong, and perhaps the next; whoever is blocked does neither.
 */
static struct look look_since_last(struct usched_carrier *owner)
{
	uint64_t begun_cycles = atomic_load_explicit(&owner->begun_cycles, memory_order_relaxed);
	uint64_t cycles = atomic_load_explicit(&owner->owned_cycles, memory_order_relaxed);
	uint64_t looked_cycles = atomic_load_explicit(&owner->looked_cycles, memory_order_relaxed);
	uint64_t looked_ns = atomic_load_explicit(&owner->looked_clock_ns, memory_order_relaxed);
	struct look look = { .clock_ns = usched_carrier_clock_ns(owner) };
	uint64_t now_cycles = usched_cycles();

	/* Another CPU's counter may be a little ahead. */
	if (begun_cycles && now_cycles > begun_cycles)
		cycles += now_cycles - begun_cycles;
	if (look.clock_ns && cycles > looked_cycles) {
		look.owned_ns = (int64_t)usched_cycles_to_ns(&owner->scheduler->rate,
							     cycles - looked_cycles);
		look.still_ns = look.owned_ns - (int64_t)(look.clock_ns - looked_ns);
	}
	atomic_store_explicit(&owner->looked_cycles, cycles, memory_order_relaxed);
	atomic_store_explicit(&owner->looked_clock_ns, look.clock_ns, memory_order_relaxed);
	return look;
}

/*
 * To ask the kernel costs 30 us where the caches are cold, so who runs is not to be asked. Where it does not
 * tell, the clock's word must do.
 */
static bool stands_still(struct usched_worker *worker, struct usched_carrier *owner,
			 const struct look *look)
{
	bool surely = look->still_ns >= LEAST_NS &&
		      look->still_ns > look->owned_ns * SURELY_PERCENT / 100;

	if (look->still_ns < STILL_NS + look->owned_ns * STILL_PERCENT / 100 || !has_other_work(worker))
		return false;
	return is_blocked(owner, surely);
}

static void look_at(struct usched_scheduler *scheduler, struct usched_worker *worker,
		    uint64_t now_ns)
{
	struct usched_carrier *owner = atomic_load_explicit(&worker->owner, memory_order_relaxed);
	uint64_t dispatches = atomic_load_explicit(&worker->counters.dispatches,
						   memory_order_relaxed);
	uint64_t ticks = atomic_load_explicit(&worker->counters.ticks, memory_order_relaxed);
	struct usched_fiber *fiber;
	uint64_t quantum_ns;
	struct look look;

	atomic_store_explicit(&worker->poll_due, true, memory_order_relaxed);
	if (!owner || !atomic_load_explicit(&owner->ready, memory_order_acquire))
		return;
	look = look_since_last(owner);
	if (owner != worker->seen_owner || dispatches != worker->seen_dispatches ||
	    atomic_load_explicit(&owner->in_runtime, memory_order_relaxed)) {
		worker->seen_owner = owner;
		worker->seen_dispatches = dispatches;
		worker->seen_ticks = ticks;
		worker->seen_clock_ns = look.clock_ns;
		worker->seen_since_ns = now_ns;
		if (!atomic_load_explicit(&owner->in_runtime, memory_order_relaxed) &&
		    stands_still(worker, owner, &look))
			take(scheduler, worker, owner);
		return;
	}
	/* It has run the same fiber since the last pass: let others have what it woke. */
	if (atomic_load_explicit(&worker->next, memory_order_relaxed) &&
	    atomic_load_explicit(&scheduler->idle_count, memory_order_relaxed) != 0) {
		atomic_store_explicit(&worker->next_stale, true, memory_order_relaxed);
		usched_tick_send(owner);
	}
	if (!has_other_work(worker))
		return;
	if (atomic_load_explicit(&worker->tick_off, memory_order_relaxed))
		usched_tick_wanted(worker);
	if (stands_still(worker, owner, &look)) {
		take(scheduler, worker, owner);
		return;
	}
	/* A hint like the rest; a descriptor's memory is always there to be read. */
	fiber = usched_current(owner);
	quantum_ns = fiber ? usched_quantum_of(worker, fiber) : 0;
	if (quantum_ns && ticks == worker->seen_ticks &&
	    look.clock_ns - worker->seen_clock_ns > 2 * quantum_ns + LATE_NS &&
	    usched_fiber_mode(fiber) != USCHED_PREEMPT_NEVER &&
	    atomic_load_explicit(&fiber->sections, memory_order_relaxed) == 0) {
		/* It runs, but no tick arrives: busy in the kernel, or the signal is blocked. On a
		   virtual machine time that the host took counts as run, so a tick may be late. A
		   fiber that is never preempted loses its worker only when it is blocked. */
		usched_tick_suspect();
		take(scheduler, worker, owner);
	}
}

enum usched_monitor_seen usched_monitor_pass(struct usched_scheduler *scheduler, uint64_t now_ns)
{
	enum usched_monitor_seen seen = USCHED_MONITOR_SLEEP;
	bool waiting = false;

	USCHED_STEP("pass", NULL);
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];
		/* Acquire <- surrender's release of DORMANT. */
		uint32_t mode = atomic_load_explicit(&worker->mode, memory_order_acquire);

		if (mode == USCHED_WORKER_MODE_MOVING ||
		    (mode == USCHED_WORKER_MODE_OWNED && has_other_work(worker)))
			seen = USCHED_MONITOR_WORK;
		else if (mode == USCHED_WORKER_MODE_OWNED && seen == USCHED_MONITOR_SLEEP)
			seen = USCHED_MONITOR_ALONE;
		if (mode == USCHED_WORKER_MODE_OWNED) {
			look_at(scheduler, worker, now_ns);
			for (unsigned int kind = 0; kind < USCHED_RING_COUNT; kind++)
				waiting |= usched_ring_length(&worker->rings[kind]) > 0;
		}
		atomic_store_explicit(&worker->age_turn, now_ns / AGE_TURN_NS,
				      memory_order_relaxed);
	}
	if (waiting && atomic_load_explicit(&scheduler->idle_count, memory_order_relaxed) > 0)
		usched_wake_any(scheduler, &scheduler->pools[0]);
	return seen;
}

void usched_monitor_kick(struct usched_worker *worker)
{
	struct usched_carrier *owner = atomic_load_explicit(&worker->owner, memory_order_relaxed);

	if (owner && atomic_load_explicit(&owner->ready, memory_order_acquire))
		usched_tick_send(owner);
	usched_wake_worker(worker);
}

void usched_monitor_tick_all(struct usched_scheduler *scheduler)
{
	uint32_t count = atomic_load_explicit(&scheduler->carrier_places, memory_order_acquire);

	for (uint32_t i = 0; i < count; i++) {
		struct usched_carrier *carrier = &scheduler->carriers[i];

		if (atomic_load_explicit(&carrier->ready, memory_order_acquire) &&
		    carrier->tick_kind == USCHED_TICK_TIMERFD &&
		    atomic_load_explicit(&carrier->tick_ns, memory_order_relaxed) != 0 &&
		    !atomic_load_explicit(&carrier->in_runtime, memory_order_relaxed))
			usched_tick_send(carrier);
	}
}
