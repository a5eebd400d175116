/* SPDX-License-Identifier: MIT */
/* schedctl workers: the CPUs of one runtime, what each does now and did so far. */

#include "ctl/ctl.h"

#include "ctl/counters.h"
#include "ctl/output.h"

static const struct ctl_column columns[] = {
	{ "CPU", 1 }, { "NODE", 1 }, { "STATE", 0 }, { "CARRIER", 1 }, { "RUNNABLE", 1 },
	{ "WAIT", 1 }, { "RUN", 1 }, { "TIMERS", 1 }, { "DISPATCHES", 1 }, { "TICKS", 1 },
	{ "HANDOFFS", 1 }, { "STARVED", 1 }, { "TAKEN", 1 }, { "STEALS", 1 }, { "FIBER", 0 },
};

static void put_row(struct ctl_table *table, const struct usched_client_worker *worker, uint64_t now)
{
	const char *state = ctl_worker_state(worker->state);

	ctl_table_cell(table, "%u", worker->cpu);
	ctl_table_cell(table, "%u", worker->node);
	ctl_table_cell(table, "%s", state ? state : "");
	if (worker->carrier_tid)
		ctl_table_cell(table, "%u", worker->carrier_tid);
	else
		ctl_table_cell(table, "%s", "");
	ctl_table_cell(table, "%u", worker->runnable);
	ctl_table_cell(table, "%s", ctl_age(worker->oldest_ready_ns, now).text);
	ctl_table_cell(table, "%s", ctl_age(worker->run_start_ns, now).text);
	ctl_table_cell(table, "%u", worker->timers);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->dispatches);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->ticks);
	ctl_table_cell(table, "%llu",
		       (unsigned long long)(worker->handoffs_direct + worker->handoffs_spare));
	ctl_table_cell(table, "%llu", (unsigned long long)worker->starved);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->taken);
	ctl_table_cell(table, "%llu", (unsigned long long)worker->steals);
	if (worker->fiber)
		ctl_table_cell(table, "0x%llx", (unsigned long long)worker->fiber);
	else
		ctl_table_cell(table, "%s", "");
}

static json_t *to_json(const struct usched_client_worker *worker)
{
	json_t *object = json_object();

	ctl_json_number(object, "cpu", worker->cpu);
	ctl_json_number(object, "node", worker->node);
	ctl_json_text(object, "state", ctl_worker_state(worker->state));
	if (worker->carrier_tid)
		ctl_json_number(object, "carrier_tid", worker->carrier_tid);
	else
		ctl_json_null(object, "carrier_tid");
	ctl_json_number(object, "runnable", worker->runnable);
	ctl_json_number(object, "timers", worker->timers);
	ctl_json_number(object, "quantum_ns", worker->quantum_ns);
	if (worker->oldest_ready_ns)
		ctl_json_number(object, "oldest_ready_ns", worker->oldest_ready_ns);
	else
		ctl_json_null(object, "oldest_ready_ns");
	if (worker->run_start_ns)
		ctl_json_number(object, "run_start_ns", worker->run_start_ns);
	else
		ctl_json_null(object, "run_start_ns");
	ctl_json_id(object, "fiber", worker->fiber);
	ctl_counters_json(object, worker);
	return object;
}

int ctl_verb_workers(struct ctl *ctl, int count, char **arguments)
{
	struct usched_client_info info = { .size = sizeof(info) };
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *snapshot;
	struct ctl_table *table = NULL;
	json_t *array = NULL, *object;
	uint32_t i;
	int code;

	(void)count;
	code = ctl_target(ctl, arguments[0], &runtime);
	if (code)
		return code;
	if (usched_client_snapshot_open(runtime, &snapshot)) {
		code = ctl_client_error(ctl);
		goto out;
	}
	usched_client_snapshot_info(snapshot, &info);
	if (ctl->json)
		array = json_array();
	else
		table = ctl_table_open(columns, sizeof(columns) / sizeof(columns[0]));
	for (i = 0; i < info.workers; i++) {
		struct usched_client_worker worker = { .size = sizeof(worker) };

		usched_client_snapshot_worker(snapshot, i, &worker);
		if (ctl->json)
			ctl_json_append(array, to_json(&worker));
		else
			put_row(table, &worker, info.read_ns);
	}
	if (ctl->json) {
		object = ctl_json();
		ctl_json_number(object, "pid", info.pid);
		ctl_json_number(object, "runtime", info.number);
		ctl_json_number(object, "read_ns", info.read_ns);
		ctl_json_number(object, "published_ns", info.published_ns);
		ctl_json_put(object, "workers", array);
		ctl_json_print(object);
	} else {
		ctl_table_close(table);
	}
	usched_client_snapshot_close(snapshot);
out:
	usched_client_runtime_close(runtime);
	return code;
}
