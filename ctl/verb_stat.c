/* SPDX-License-Identifier: MIT */
/*
 * schedctl stat: counters since the start, or rates.
 *
 *	snapshot --interval--> snapshot --interval--> snapshot
 *	        \____ one line ____/\____ one line ____/
 *
 * The library computes differences and refuses those of counters that went backwards; such
 * an interval is skipped with a note, and the next one counts from the new beginning.
 */

#include "ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "ctl/counters.h"
#include "ctl/output.h"

enum { LINES_PER_TITLE = 20 };

static const struct ctl_column columns[] = {
	{ "CPU", 1 }, { "DISPATCHES", 1 }, { "TICKS", 1 }, { "IN PLACE", 1 }, { "DIRECT", 1 },
	{ "SPARE", 1 }, { "STARVED", 1 }, { "TAKEN", 1 }, { "YIELDS", 1 }, { "PARKS", 1 }, { "WAKES", 1 },
	{ "STEALS", 1 }, { "SPAWNED", 1 }, { "IO", 1 }, { "TIMERS", 1 }, { "IDLE", 1 },
};

static void put_total(struct ctl_table *table, const struct usched_client_worker *worker)
{
	ctl_table_cell(table, "%llu", (unsigned long long)worker->dispatches);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->ticks);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->tick_yielded);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->handoffs_direct);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->handoffs_spare);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->starved);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->taken);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->yields);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->parks);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->wakes);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->steals);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->spawned);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->io_events);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->timers_fired);
	ctl_table_cell(table, "%s", ctl_duration(worker->idle_ns / 1000000 * 1000000).text);
}

static json_t *head(const struct usched_client_info *info)
{
	json_t *object = ctl_json();

	ctl_json_number(object, "pid", info->pid);
	ctl_json_number(object, "runtime", info->number);
	ctl_json_text(object, "name", info->name);
	ctl_json_number(object, "read_ns", info->read_ns);
	ctl_json_number(object, "quantum_ns", info->quantum_ns);
	ctl_json_number(object, "fibers_alive", info->fibers_alive);
	ctl_json_number(object, "demand_cpus", info->demand_cpus);
	return object;
}

static json_t *one(const struct usched_client_worker *worker)
{
	json_t *object = json_object();

	ctl_json_number(object, "cpu", worker->cpu);
	ctl_counters_json(object, worker);
	return object;
}

static int totals(struct ctl *ctl, const struct usched_client_snapshot *snapshot)
{
	struct usched_client_info info = { .size = sizeof(info) };
	struct usched_client_worker sum = { .size = sizeof(sum) };
	struct ctl_table *table = NULL;
	json_t *array = NULL, *object, *all;
	uint32_t i;

	usched_client_snapshot_info(snapshot, &info);
	if (ctl->json)
		array = json_array();
	else
		table = ctl_table_open(columns, sizeof(columns) / sizeof(columns[0]));
	for (i = 0; i < info.workers; i++) {
		struct usched_client_worker worker = { .size = sizeof(worker) };

		usched_client_snapshot_worker(snapshot, i, &worker);
		ctl_counters_add(&sum, &worker);
		if (ctl->json) {
			ctl_json_append(array, one(&worker));
		} else {
			ctl_table_cell(table, "%u", worker.cpu);
			put_total(table, &worker);
		}
	}
	if (ctl->json) {
		object = head(&info);
		all = json_object();
		ctl_counters_json(all, &sum);
		ctl_json_put(object, "total", all);
		ctl_json_put(object, "workers", array);
		ctl_json_print(object);
	} else {
		ctl_table_cell(table, "all");
		put_total(table, &sum);
		ctl_table_close(table);
	}
	return CTL_DONE;
}

static void put_titles(void)
{
	printf("%9s %10s %10s %10s %9s %9s %9s %10s %9s %9s %6s\n", "RUNNABLE", "DISPATCH/s", "TICK/s",
	       "HANDOFF/s", "STARVED/s", "TAKEN/s", "STEAL/s", "PARK/s", "SPAWN/s", "IO/s", "BUSY%");
}

/* awake: workers whose CPU is granted; the others are neither busy nor idle. */
static void put_rates(const struct usched_client_worker *sum, uint64_t elapsed_ns, uint32_t awake)
{
	double busy = awake ? 100.0 - 100.0 * (double)sum->idle_ns / (double)elapsed_ns / awake : 0;

	printf("%9u %10s %10s %10s %9s %9s %9s %10s %9s %9s %6.1f\n", sum->runnable,
	       ctl_rate(sum->dispatches, elapsed_ns).text, ctl_rate(sum->ticks, elapsed_ns).text,
	       ctl_rate(sum->handoffs_direct + sum->handoffs_spare, elapsed_ns).text,
	       ctl_rate(sum->starved, elapsed_ns).text, ctl_rate(sum->taken, elapsed_ns).text,
	       ctl_rate(sum->steals, elapsed_ns).text, ctl_rate(sum->parks, elapsed_ns).text,
	       ctl_rate(sum->spawned, elapsed_ns).text, ctl_rate(sum->io_events, elapsed_ns).text,
	       busy < 0 ? 0 : busy);
}

/* One line for the time between two snapshots; 1: they have no common start. */
static int rates(struct ctl *ctl, const struct usched_client_snapshot *before,
		 const struct usched_client_snapshot *after, uint64_t line)
{
	struct usched_client_info info = { .size = sizeof(info) };
	struct usched_client_worker sum = { .size = sizeof(sum) };
	json_t *array = NULL, *object, *all;
	uint64_t elapsed_ns = 1;
	uint32_t awake = 0, i;

	usched_client_snapshot_info(after, &info);
	if (ctl->json)
		array = json_array();
	for (i = 0; i < info.workers; i++) {
		struct usched_client_worker worker = { .size = sizeof(worker) };

		if (usched_client_snapshot_change(before, after, i, &worker, &elapsed_ns)) {
			json_decref(array);
			return 1;
		}
		ctl_counters_add(&sum, &worker);
		sum.runnable += worker.runnable;
		awake += worker.state != USCHED_CLIENT_WORKER_DORMANT;
		if (ctl->json)
			ctl_json_append(array, one(&worker));
	}
	if (ctl->json) {
		object = head(&info);
		all = json_object();
		ctl_counters_json(all, &sum);
		ctl_json_number(object, "elapsed_ns", elapsed_ns);
		ctl_json_number(object, "runnable", sum.runnable);
		ctl_json_put(object, "change", all);
		ctl_json_put(object, "workers", array);
		ctl_json_print(object);
	} else {
		if (line % LINES_PER_TITLE == 0)
			put_titles();
		put_rates(&sum, elapsed_ns, awake);
	}
	return 0;
}

static int follow(struct ctl *ctl, struct usched_client_runtime *runtime,
		  struct usched_client_snapshot *before)
{
	struct usched_client_snapshot *after;
	struct timespec next;
	uint64_t line = 0, round;
	int code = CTL_DONE;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (round = 0; !ctl->count || round < ctl->count; round++) {
		uint64_t ns = (uint64_t)next.tv_nsec + ctl->interval_ns;

		next.tv_sec += (time_t)(ns / 1000000000u);
		next.tv_nsec = (long)(ns % 1000000000u);
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == EINTR)
			;
		if (usched_client_snapshot_open(runtime, &after)) {
			code = ctl_client_error(ctl);
			break;
		}
		if (rates(ctl, before, after, line))
			ctl_note(ctl, "the counters began anew: this interval is left out");
		else
			line++;
		usched_client_snapshot_close(before);
		before = after;
		/* Each line at once, also into a pipe; a reader that left ends us. */
		if (fflush(stdout))
			break;
	}
	usched_client_snapshot_close(before);
	return code;
}

int ctl_verb_stat(struct ctl *ctl, int count, char **arguments)
{
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *snapshot;
	int code;

	(void)count;
	code = ctl_target(ctl, arguments[0], &runtime);
	if (code)
		return code;
	if (ctl->count && !ctl->interval_ns)
		ctl->interval_ns = 1000000000;
	if (usched_client_snapshot_open(runtime, &snapshot)) {
		code = ctl_client_error(ctl);
	} else if (ctl->interval_ns) {
		code = follow(ctl, runtime, snapshot);
	} else {
		code = totals(ctl, snapshot);
		usched_client_snapshot_close(snapshot);
	}
	usched_client_runtime_close(runtime);
	return code;
}
