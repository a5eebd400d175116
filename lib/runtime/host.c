/* SPDX-License-Identifier: MIT */
/*
 * What the control plane asks of the runtime: publish, apply, list. All by the monitor thread,
 * but for the first grant, which the creating thread applies.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "preempt/monitor.h"
#include "runtime/runtime.h"
#include "sync/wait.h"
#include "worker/dispatch.h"
#include "worker/inbox.h"
#include "worker/poll.h"

#define PUT(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define GET(word) atomic_load_explicit(&(word), memory_order_relaxed)

uint64_t usched_alive(struct usched_scheduler *scheduler, uint64_t *spawned)
{
	uint64_t ended = 0, begun;

	/* Ended first: a fiber that begins and ends between the two sums is counted as alive, so
	   equality means that at some moment between them nobody was. */
	for (uint32_t i = 0; i < scheduler->worker_count; i++)
		ended += atomic_load_explicit(&scheduler->workers[i].counters.ended,
					      memory_order_acquire);
	atomic_thread_fence(memory_order_seq_cst);
	begun = atomic_load_explicit(&scheduler->spawned_outside, memory_order_acquire);
	for (uint32_t i = 0; i < scheduler->worker_count; i++)
		begun += atomic_load_explicit(&scheduler->workers[i].counters.spawned,
					      memory_order_acquire);
	if (spawned)
		*spawned = begun;
	return begun - ended;
}

uint32_t usched_waiting(struct usched_worker *worker)
{
	uint32_t count = GET(worker->next) ? 1 : 0;

	for (unsigned int kind = 0; kind < USCHED_RING_COUNT; kind++)
		count += usched_ring_length(&worker->rings[kind]);
	return count;
}

static enum usched_worker_state state_of(struct usched_worker *worker, struct usched_fiber **fiber)
{
	struct usched_carrier *owner = GET(worker->owner);
	uint32_t mode = GET(worker->mode);

	*fiber = NULL;
	if (mode == USCHED_WORKER_MODE_DORMANT)
		return USCHED_WORKER_DORMANT;
	if (mode == USCHED_WORKER_MODE_IDLE)
		return USCHED_WORKER_IDLE;
	if (owner && GET(owner->worker) == worker)
		*fiber = GET(owner->current);
	return *fiber ? USCHED_WORKER_RUNNING : USCHED_WORKER_SCHEDULING;
}

/* With the sleep in progress; never less than was said before, see [I1] of worker/find.c. */
static uint64_t idle_ns(struct usched_worker *worker, uint64_t now_ns, uint64_t said_ns)
{
	uint64_t sum_ns = atomic_load_explicit(&worker->counters.idle_ns, memory_order_acquire);
	uint64_t since_ns = GET(worker->idle_since_ns);

	if (since_ns && since_ns < now_ns)
		sum_ns += now_ns - since_ns;
	return sum_ns > said_ns ? sum_ns : said_ns;
}

static void publish_worker(struct usched_worker *worker, struct usched_report_worker *slot,
			   uint64_t now_ns)
{
	struct usched_worker_counters *counters = &worker->counters;
	struct usched_carrier *owner = GET(worker->owner);
	struct usched_fiber *fiber;
	enum usched_worker_state state = state_of(worker, &fiber);
	uint64_t vetoes = 0;

	for (unsigned int veto = 0; veto < USCHED_VETO_COUNT; veto++)
		vetoes += GET(counters->vetoes[veto]);
	PUT(slot->cpu, worker->cpu);
	PUT(slot->node, worker->node);
	PUT(slot->state, state);
	PUT(slot->carrier_tid, state != USCHED_WORKER_DORMANT && owner &&
			       atomic_load_explicit(&owner->ready, memory_order_acquire) ?
			       (uint32_t)owner->tid : 0);
	PUT(slot->grant_acked, worker->grant_acked);
	PUT(slot->runnable, usched_waiting(worker));
	PUT(slot->timers, GET(worker->timers.length));
	PUT(slot->fiber, fiber ? GET(fiber->id) : 0);
	PUT(slot->run_start_ns, fiber ? worker->seen_since_ns : 0);
	PUT(slot->oldest_ready_ns, usched_waiting(worker) ? worker->seen_since_ns : 0);
	PUT(slot->dispatches, GET(counters->dispatches));
	PUT(slot->ticks, GET(counters->ticks));
	PUT(slot->tick_deferred, usched_decided(counters, USCHED_DECISION_DEFERRED));
	PUT(slot->tick_young, usched_decided(counters, USCHED_DECISION_YOUNG));
	PUT(slot->tick_never, usched_decided(counters, USCHED_DECISION_NEVER));
	PUT(slot->tick_alone, usched_decided(counters, USCHED_DECISION_ALONE));
	PUT(slot->handoffs_direct, usched_decided(counters, USCHED_DECISION_DIRECT));
	PUT(slot->handoffs_spare, usched_decided(counters, USCHED_DECISION_SPARE));
	PUT(slot->starved, usched_decided(counters, USCHED_DECISION_STARVED));
	PUT(slot->taken, GET(worker->taken));
	PUT(slot->taken_urgent, GET(worker->taken_urgent));
	PUT(slot->yields, GET(counters->yields));
	PUT(slot->parks, GET(counters->parks));
	PUT(slot->wakes, GET(counters->wakes));
	PUT(slot->steals, GET(counters->steals));
	PUT(slot->spawned, GET(counters->spawned));
	PUT(slot->polls, GET(counters->polls));
	PUT(slot->io_events, GET(counters->io_events));
	PUT(slot->timers_fired, GET(counters->timers_fired));
	PUT(slot->idle_ns, idle_ns(worker, now_ns, slot->idle_ns));
	PUT(slot->tick_lost, usched_decided(counters, USCHED_DECISION_LOST));
	PUT(slot->tick_revoked, usched_decided(counters, USCHED_DECISION_REVOKED));
	PUT(slot->tick_off, usched_decided(counters, USCHED_DECISION_OFF));
	PUT(slot->tick_section, usched_decided(counters, USCHED_DECISION_SECTION));
	PUT(slot->tick_grace, usched_decided(counters, USCHED_DECISION_GRACE));
	PUT(slot->tick_yielded, usched_decided(counters, USCHED_DECISION_YIELDED));
	PUT(slot->tick_notes, GET(counters->notes));
	PUT(slot->tick_urgent, GET(counters->urgent));
	PUT(slot->tick_stops, GET(counters->tick_stops));
	PUT(slot->quantum_ns, GET(worker->quanta_ns[USCHED_PRIORITY_NORMAL]));
	PUT(slot->quantum_changes, GET(worker->automatic_changes));
	PUT(slot->vetoes, vetoes);
	PUT(slot->budget_yields, GET(counters->budget_yields));
}

static void publish(void *context, struct usched_report *report,
		    struct usched_report_worker *slots, uint32_t count)
{
	struct usched_runtime *runtime = context;
	struct usched_scheduler *scheduler = &runtime->scheduler;
	uint64_t spawned, alive = usched_alive(scheduler, &spawned);
	uint64_t parked, waiting = 0;
	uint32_t demand = 0, busy = 0;

	for (uint32_t i = 0; i < scheduler->worker_count && i < count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];
		struct usched_report_worker *slot =
			(struct usched_report_worker *)((char *)slots +
				(size_t)i * report->header.worker_stride_bytes);

		publish_worker(worker, slot, report->published_ns);
		busy += slot->state == USCHED_WORKER_RUNNING ||
			slot->state == USCHED_WORKER_SCHEDULING;
		waiting += slot->runnable;
	}
	for (uint32_t i = 0; i < scheduler->pool_count; i++)
		waiting += !usched_inbox_empty(&scheduler->pools[i].inbox);
	demand = waiting + busy < scheduler->worker_count ? (uint32_t)waiting + busy :
		 scheduler->worker_count;
	parked = alive > busy + waiting ? alive - busy - waiting : 0;
	PUT(report->demand_cpus, demand);
	PUT(report->tunables_acked, runtime->tunables_acked);
	PUT(report->quantum_ns, GET(scheduler->quantum_ns));
	PUT(report->grant_acked, runtime->grant_acked);
	PUT(report->fibers_alive, alive);
	PUT(report->fibers_spawned, spawned);
	PUT(report->fibers_parked, parked);
	PUT(report->carriers, usched_carriers_alive(scheduler));
	PUT(report->carriers_idle, GET(scheduler->spare_count));
	/* Acquire <- refused(): the reason is at least as new as the count. */
	PUT(report->carriers_refused,
	    atomic_load_explicit(&runtime->carriers_refused, memory_order_acquire));
	PUT(report->carriers_error, GET(runtime->carriers_error));
	PUT(report->flags, runtime->report_flags |
			   (usched_tick_is_replaced() ? USCHED_REPORT_TICKS_LOST : 0));
	atomic_store_explicit(&runtime->attached,
			      report->attachment == USCHED_ATTACHMENT_DAEMON, memory_order_relaxed);
}

static bool is_granted(const struct usched_runtime *runtime, const struct usched_worker *worker)
{
	return runtime->granted[worker->cpu / 64] >> (worker->cpu % 64) & 1;
}

static void apply(void *context, const uint64_t cpus[USCHED_CPU_WORDS], uint64_t grant_generation,
		  const uint64_t tunables[USCHED_TUNABLES], uint64_t tunables_generation)
{
	struct usched_runtime *runtime = context;
	struct usched_scheduler *scheduler = &runtime->scheduler;

	memcpy(runtime->tunables, tunables, sizeof(runtime->tunables));
	usched_tune(runtime);
	runtime->tunables_acked = tunables_generation;
	memcpy(runtime->granted, cpus, sizeof(runtime->granted));
	runtime->grant_generation = grant_generation;
	/* Each pair counts its own generations: an earlier one's says nothing about this. */
	runtime->grant_acked = 0;
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];
		bool revoke = !is_granted(runtime, worker);

		/* Relaxed: the owner looks at its next dispatch or tick. */
		if (atomic_exchange_explicit(&worker->revoked, revoke, memory_order_relaxed) !=
		    revoke && revoke)
			usched_monitor_kick(worker);
	}
	usched_reconcile(runtime);
}

/* A granted worker serves the timers and descriptors of the dormant ones. */
static void adopt(struct usched_worker *guardian, struct usched_worker *dormant)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = USCHED_POLL_ADOPTED | dormant->number,
	};

	if (dormant->guardian == guardian)
		return;
	if (dormant->guardian) {
		_Atomic(struct usched_worker *) *link = &dormant->guardian->adopts;

		/* Bounded by the number of workers. A reader in the middle may end early, and
		   looks again at its next poll. */
		while (GET(*link) && GET(*link) != dormant)
			link = &GET(*link)->adopted_next;
		if (GET(*link) == dormant)
			atomic_store_explicit(link, GET(dormant->adopted_next),
					      memory_order_release);
		epoll_ctl(dormant->guardian->poll_descriptor, EPOLL_CTL_DEL,
			  dormant->poll_descriptor, NULL);
	}
	dormant->guardian = guardian;
	if (!guardian)
		return;
	epoll_ctl(guardian->poll_descriptor, EPOLL_CTL_ADD, dormant->poll_descriptor, &event);
	atomic_store_explicit(&dormant->adopted_next, GET(guardian->adopts), memory_order_relaxed);
	/* Release -> the poll's acquire: the link behind it. */
	atomic_store_explicit(&guardian->adopts, dormant, memory_order_release);
	usched_wake_worker(guardian);	/* it may sleep past a timer that it now serves */
}

void usched_reconcile(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	struct usched_worker *guardian = NULL;
	bool all_stopped = true;

	for (uint32_t i = 0; !guardian && i < scheduler->worker_count; i++) {
		if (is_granted(runtime, &scheduler->workers[i]))
			guardian = &scheduler->workers[i];
	}
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];
		/* Acquire <- surrender's release: all that it left. */
		bool dormant = atomic_load_explicit(&worker->mode, memory_order_acquire) ==
			       USCHED_WORKER_MODE_DORMANT;
		struct usched_carrier *spare;
		struct usched_fiber *stopped;

		if (!is_granted(runtime, worker)) {
			all_stopped &= dormant;
			if (dormant && GET(worker->descriptors_watched) + GET(worker->timers.length) > 0)
				adopt(guardian, worker);
			continue;
		}
		worker->grant_acked = runtime->grant_generation;
		if (!dormant)
			continue;
		adopt(NULL, worker);
		spare = usched_spare_pop(worker);
		if (!spare) {
			usched_need_carrier(scheduler);
			/* A stopped fiber has a carrier of its own. With all carriers stopped so,
			   and the last worker gone, nobody else would ever release one. */
			stopped = usched_take_bound(worker);
			spare = stopped ? usched_fiber_bound(stopped) : NULL;
		}
		if (!spare)
			continue;		/* the next pass finds it */
		atomic_store_explicit(&worker->mode, USCHED_WORKER_MODE_MOVING,
				      memory_order_relaxed);
		usched_carrier_give(spare, worker);
	}
	if (all_stopped)
		runtime->grant_acked = runtime->grant_generation;
}

static bool describe(struct usched_runtime *runtime, struct usched_fiber *fiber,
		     struct usched_fiber_record *record)
{
	uint64_t id = atomic_load_explicit(&fiber->id, memory_order_acquire);

	if (id == 0)
		return false;
	memset(record, 0, sizeof(*record));
	record->id = id;
	memcpy(record->name, fiber->name, sizeof(record->name));
	switch (GET(fiber->state)) {
	case USCHED_FIBER_NEW:		record->state = USCHED_FIBER_RECORD_NEW; break;
	case USCHED_FIBER_READY:	record->state = USCHED_FIBER_RECORD_READY; break;
	case USCHED_FIBER_RUNNING:	record->state = USCHED_FIBER_RECORD_RUNNING; break;
	case USCHED_FIBER_PARKED:	record->state = USCHED_FIBER_RECORD_PARKED; break;
	case USCHED_FIBER_READY_BOUND:	record->state = USCHED_FIBER_RECORD_READY_BOUND; break;
	case USCHED_FIBER_STRANDED:	record->state = USCHED_FIBER_RECORD_STRANDED; break;
	default:			record->state = USCHED_FIBER_RECORD_DONE; break;
	}
	record->worker_cpu = record->state == USCHED_FIBER_RECORD_NEW ? UINT32_MAX :
			     GET(fiber->worker_cpu);
	if (record->state == USCHED_FIBER_RECORD_PARKED) {
		record->wait_kind = GET(fiber->waiter.kind);
		record->wait_object = GET(fiber->waiter.object);
	}
	record->mode = usched_fiber_mode(fiber);
	record->priority = usched_fiber_priority(fiber);
	record->preemptions = GET(fiber->preemptions);
	record->stack_bytes = usched_stacks_slot_bytes(&runtime->scheduler.pools[0].stacks,
						       fiber->stack_class);
	record->function = (uint64_t)(uintptr_t)fiber->function;
	/* The descriptor may have got another fiber meanwhile: then this is a mixture. */
	return atomic_load_explicit(&fiber->id, memory_order_acquire) == id;
}

static uint32_t fibers(void *context, struct usched_fiber_record *records, uint32_t room,
		       uint64_t *left_out)
{
	struct usched_runtime *runtime = context;
	struct usched_table *table = &runtime->scheduler.fibers;
	uint32_t limit = usched_table_limit(table), count = 0;

	*left_out = 0;
	for (uint32_t index = 1; index < limit; index++) {
		struct usched_fiber *fiber = usched_table_record(table, index);

		if (count < room)
			count += describe(runtime, fiber, &records[count]);
		else
			*left_out += atomic_load_explicit(&fiber->id, memory_order_relaxed) != 0;
	}
	return count;
}

static int fiber_quantum(void *context, uint64_t id, const uint64_t *quantum_ns, uint64_t *old_ns)
{
	struct usched_runtime *runtime = context;
	struct usched_scheduler *scheduler;
	struct usched_fiber *fiber = usched_find_locked(id, &scheduler);
	bool found = fiber && scheduler == &runtime->scheduler;

	if (found)
		*old_ns = GET(fiber->quantum_ns);
	if (fiber)
		usched_spinlock_unlock(&fiber->lock);
	if (!found)
		return -ESRCH;
	return quantum_ns ? usched_set_quantum(id, *quantum_ns) : 0;
}

const struct usched_control_host usched_host = {
	.publish = publish,
	.apply = apply,
	.fibers = fibers,
	.fiber_quantum = fiber_quantum,
};
