/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: the wire format turned into the structs of client.h.
 *
 *	read G (consistent) -> read C -> has G been retired meanwhile? then open anew
 *
 * A runtime that moves between its own segments and the daemon's marks the old pair retired.
 * The new pair exists by then, so a few attempts are enough.
 */

#include "client/runtime.h"

#include "shm/tunable.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REOPEN_ATTEMPTS = 8 };

/* A heartbeat older than this does not say when the counters were last right. */
#define FRESH_NS UINT64_C(20000000)

struct usched_client_snapshot {
	uint64_t session[2];
	struct usched_client_info info;
	uint64_t tunables[USCHED_TUNABLES];
	struct usched_client_worker worker[];
};

static uint32_t bits(const uint64_t words[USCHED_CPU_WORDS])
{
	uint32_t count = 0, i;

	for (i = 0; i < USCHED_CPU_WORDS; i++)
		count += (uint32_t)__builtin_popcountll(words[i]);
	return count;
}

static enum usched_client_refusal refusal(uint32_t code)
{
	_Static_assert((int)USCHED_CLIENT_REFUSAL_UNKNOWN == (int)USCHED_REPORT_FAILED + 1,
		       "client.h and layout.h");

	return code < USCHED_CLIENT_REFUSAL_UNKNOWN ? (enum usched_client_refusal)code :
						      USCHED_CLIENT_REFUSAL_UNKNOWN;
}

static void convert_info(struct usched_client_info *info,
			 const struct usched_client_runtime *runtime,
			 const struct usched_grant *grant, int grant_known,
			 const struct usched_report *report)
{
	_Static_assert(USCHED_CLIENT_CPU_WORDS == (int)USCHED_CPU_WORDS, "client.h and layout.h");
	_Static_assert(USCHED_NAME_MAX == (int)USCHED_SEGMENT_NAME_BYTES, "client.h and layout.h");

	info->size = sizeof(*info);
	info->published_ns = report->published_ns;
	info->heartbeat = report->heartbeat;
	info->pid = runtime->pid;
	info->uid = runtime->uid;
	info->number = runtime->number;
	info->workers = runtime->segments.workers;
	usched_client_text(info->name, sizeof(info->name), report->name, sizeof(report->name));
	info->start_time_ns = report->start_time_ns;
	info->attachment = report->attachment < USCHED_CLIENT_UNKNOWN ?
		(enum usched_client_attachment)report->attachment : USCHED_CLIENT_UNKNOWN;
	info->through_daemon = (uint32_t)runtime->through_daemon;
	info->session_changes = report->session_changes;
	info->tick = report->tick_source <= USCHED_TICK_TIMERFD ?
		(enum usched_tick)report->tick_source : USCHED_TICK_AUTO;
	info->signal = report->signal;
	info->tick_cost_ns = report->tick_cost_ns;
	info->quantum_floor_ns = report->quantum_floor_ns;
	info->quantum_ns = report->quantum_ns;
	info->tunables_acked = report->tunables_acked;
	info->guard_kind = report->guard_kind;
	info->flags = report->flags;
	info->perf_refused = refusal(report->perf_refused);
	info->timer_refused = refusal(report->timer_refused);
	info->grant_known = (uint32_t)grant_known;
	if (grant_known) {
		info->quantum_wanted_ns = grant->tunables.values[USCHED_TUNABLE_QUANTUM];
		info->tunables_generation = grant->tunables.generation;
		info->granted_cpus = bits(grant->cpus);
		info->grant_generation = grant->grant_generation;
		info->arbiter_epoch = grant->epoch;
		memcpy(info->cpus, grant->cpus, sizeof(info->cpus));
	}
	info->grant_acked = report->grant_acked;
	info->demand_cpus = report->demand_cpus < info->workers ? report->demand_cpus
								: info->workers;
	info->carriers = report->carriers;
	info->carriers_idle = report->carriers_idle;
	info->carriers_max = report->carriers_max;
	info->carriers_refused = report->carriers_refused;
	info->carriers_error = report->carriers_error;
	info->fibers_alive = report->fibers_alive;
	info->fibers_spawned = report->fibers_spawned;
	info->fibers_parked = report->fibers_parked;
}

/* When the counters were right: at the publication if it is recent, else (an idle runtime does
   not publish, and nothing changes) at the reading. */
static uint64_t moment(const struct usched_client_info *info)
{
	if (info->published_ns <= info->read_ns && info->read_ns - info->published_ns <= FRESH_NS)
		return info->published_ns;
	return info->read_ns;
}

static void convert_worker(struct usched_client_worker *to, const struct usched_report_worker *from,
			   const struct usched_client_info *info)
{
	to->size = sizeof(*to);
	to->cpu = from->cpu;
	to->node = from->node;
	to->state = from->state < USCHED_CLIENT_WORKER_UNKNOWN ?
		(enum usched_client_worker_state)from->state : USCHED_CLIENT_WORKER_UNKNOWN;
	to->carrier_tid = from->carrier_tid;
	to->runnable = from->runnable;
	to->timers = from->timers;
	to->oldest_ready_ns = from->oldest_ready_ns;
	to->run_start_ns = from->run_start_ns;
	to->fiber = from->fiber;
	to->dispatches = from->dispatches;
	to->ticks = from->ticks;
	to->tick_deferred = from->tick_deferred;
	to->tick_young = from->tick_young;
	to->tick_never = from->tick_never;
	to->tick_alone = from->tick_alone;
	to->handoffs_direct = from->handoffs_direct;
	to->handoffs_spare = from->handoffs_spare;
	to->starved = from->starved;
	to->taken = from->taken;
	to->yields = from->yields;
	to->parks = from->parks;
	to->wakes = from->wakes;
	to->steals = from->steals;
	to->spawned = from->spawned;
	to->polls = from->polls;
	to->io_events = from->io_events;
	to->timers_fired = from->timers_fired;
	to->idle_ns = from->idle_ns;
	to->tick_lost = from->tick_lost;
	to->tick_revoked = from->tick_revoked;
	to->tick_off = from->tick_off;
	to->tick_section = from->tick_section;
	to->tick_grace = from->tick_grace;
	to->tick_yielded = from->tick_yielded;
	to->tick_notes = from->tick_notes;
	to->tick_urgent = from->tick_urgent;
	to->taken_urgent = from->taken_urgent;
	to->tick_stops = from->tick_stops;
	to->vetoes = from->vetoes;
	to->budget_yields = from->budget_yields;
	to->quantum_ns = from->quantum_ns;
	to->quantum_changes = from->quantum_changes;
	/* One that slept when the runtime published last has slept since, or there would be a later
	   publication. */
	if (to->state == USCHED_CLIENT_WORKER_IDLE && moment(info) > info->published_ns)
		to->idle_ns += moment(info) - info->published_ns;
}

/* Sets the failure for a pair that cannot be read. */
static int fail_read(struct usched_client_runtime *runtime, int error, const char *reason)
{
	struct usched_exchange said = { .socket = -1, .reason = reason };
	char what[64];

	if (error == -ENOMEM)
		return usched_client_no_memory(runtime->client, "cannot read the runtime");
	snprintf(what, sizeof(what), "cannot read process %s", runtime->label);
	return usched_runtime_fail(runtime, &said, error, what);
}

/* One pair of copies; 1: the pair is retired. A daemon that was killed cannot mark its G; then the
   runtime says so in C. */
static int read_pair(struct usched_client_runtime *runtime, struct usched_grant *grant,
		     int *grant_known, struct usched_report *report,
		     struct usched_report_worker *workers)
{
	const char *reason = "";
	struct usched_grant later;
	int known, result;

	result = usched_segments_read_grant(&runtime->segments, grant, grant_known, &reason);
	if (!result)
		result = usched_segments_read_report(&runtime->segments, report, workers, &reason);
	if (!result)
		result = usched_segments_read_grant(&runtime->segments, &later, &known, &reason);
	if (result)
		return fail_read(runtime, result, reason);
	return later.retired != 0 || report->attachment == USCHED_ATTACHMENT_EXPIRED;
}

int usched_client_snapshot_open(struct usched_client_runtime *runtime,
				struct usched_client_snapshot **snapshot)
{
	struct usched_client_snapshot *made = NULL;
	struct usched_report_worker *workers = NULL;
	struct usched_report report;
	struct usched_grant grant;
	int grant_known = 0;
	unsigned int attempt;
	int result = 1;
	uint32_t i;

	for (attempt = 0; result > 0 && attempt < REOPEN_ATTEMPTS; attempt++) {
		if (usched_runtime_gone(runtime))
			return fail_read(runtime, -ESRCH, "");
		if (attempt) {
			/* Between the mark and the new pair's socket lies one pass. */
			struct timespec pass = { 0, 2000000 };

			nanosleep(&pass, NULL);
		}
		if (attempt || runtime->segments.grant < 0) {
			result = usched_runtime_reopen(runtime);
			if (result)
				return result;
		}
		free(workers);
		workers = calloc(runtime->segments.workers, sizeof(*workers));
		if (!workers)
			return usched_client_no_memory(runtime->client, "cannot read the runtime");
		result = read_pair(runtime, &grant, &grant_known, &report, workers);
	}
	if (result < 0)
		goto out;
	if (result > 0) {
		result = fail_read(runtime, -EBADMSG, "its segments are retired and it offers no others");
		goto out;
	}
	made = calloc(1, sizeof(*made) + runtime->segments.workers * sizeof(made->worker[0]));
	if (!made) {
		result = usched_client_no_memory(runtime->client, "cannot read the runtime");
		goto out;
	}
	memcpy(made->session, runtime->segments.session, sizeof(made->session));
	convert_info(&made->info, runtime, &grant, grant_known, &report);
	memcpy(made->tunables, grant.tunables.values, sizeof(made->tunables));
	made->info.read_ns = usched_client_now();
	for (i = 0; i < runtime->segments.workers; i++)
		convert_worker(&made->worker[i], &workers[i], &made->info);
	*snapshot = made;
out:
	free(workers);
	return result;
}

void usched_client_snapshot_close(struct usched_client_snapshot *snapshot)
{
	free(snapshot);
}

int usched_client_snapshot_info(const struct usched_client_snapshot *snapshot,
				struct usched_client_info *info)
{
	return usched_client_give(info, &snapshot->info, sizeof(snapshot->info));
}

int usched_client_snapshot_tunable(const struct usched_client_snapshot *snapshot, uint32_t number,
				   uint64_t *value)
{
	if (number >= USCHED_TUNABLES)
		return -EINVAL;
	if (!snapshot->info.grant_known || !snapshot->info.tunables_generation)
		return -EAGAIN;
	*value = snapshot->tunables[number];
	return 0;
}

int usched_client_snapshot_worker(const struct usched_client_snapshot *snapshot, size_t index,
				  struct usched_client_worker *worker)
{
	if (index >= snapshot->info.workers)
		return -EINVAL;
	return usched_client_give(worker, &snapshot->worker[index], sizeof(snapshot->worker[index]));
}

int usched_client_snapshot_change(const struct usched_client_snapshot *before,
				  const struct usched_client_snapshot *after, size_t index,
				  struct usched_client_worker *worker, uint64_t *elapsed_ns)
{
	const struct usched_client_worker *old;
	struct usched_client_worker change;
	uint64_t from, to;
	int result;

	if (index >= before->info.workers || index >= after->info.workers)
		return -EINVAL;
	old = &before->worker[index];
	change = after->worker[index];
	if (old->cpu != change.cpu || before->info.start_time_ns != after->info.start_time_ns)
		return -ESTALE;

#define SUBTRACT(counter)				\
	do {						\
		if (change.counter < old->counter)	\
			return -ESTALE;			\
		change.counter -= old->counter;		\
	} while (0)
	SUBTRACT(dispatches);
	SUBTRACT(ticks);
	SUBTRACT(tick_deferred);
	SUBTRACT(tick_young);
	SUBTRACT(tick_never);
	SUBTRACT(tick_alone);
	SUBTRACT(handoffs_direct);
	SUBTRACT(handoffs_spare);
	SUBTRACT(starved);
	SUBTRACT(taken);
	SUBTRACT(yields);
	SUBTRACT(parks);
	SUBTRACT(wakes);
	SUBTRACT(steals);
	SUBTRACT(spawned);
	SUBTRACT(polls);
	SUBTRACT(io_events);
	SUBTRACT(timers_fired);
	SUBTRACT(tick_lost);
	SUBTRACT(tick_revoked);
	SUBTRACT(tick_off);
	SUBTRACT(tick_section);
	SUBTRACT(tick_grace);
	SUBTRACT(tick_yielded);
	SUBTRACT(tick_notes);
	SUBTRACT(tick_urgent);
	SUBTRACT(taken_urgent);
	SUBTRACT(tick_stops);
	SUBTRACT(vetoes);
	SUBTRACT(budget_yields);
	SUBTRACT(quantum_changes);
#undef SUBTRACT

	from = moment(&before->info);
	to = moment(&after->info);
	to = to > from ? to : from + 1;
	/* Partly an estimate, see convert_worker(): a runtime that was too busy to publish may have
	   slept less than that. */
	change.idle_ns = change.idle_ns > old->idle_ns ? change.idle_ns - old->idle_ns : 0;
	if (change.idle_ns > to - from)
		change.idle_ns = to - from;
	result = usched_client_give(worker, &change, sizeof(change));
	if (!result && elapsed_ns)
		*elapsed_ns = to - from;
	return result;
}
