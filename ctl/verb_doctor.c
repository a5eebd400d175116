/* SPDX-License-Identifier: MIT */
/* schedctl doctor: which mechanisms work here, how to get the others, and who lacks carriers. */

#include "ctl/ctl.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/probe.h"

static const struct ctl_column columns[] = {
	{ "MECHANISM", 0 }, { "VERDICT", 0 }, { "FOUND", 0 },
};

static const char *const verdicts[] = { "ok", "limited", "missing" };

enum { ROWS_MAX = 32 };

static void probe_daemon(struct ctl *ctl, struct ctl_probe *probe)
{
	struct usched_client_daemon status = { .size = sizeof(status) };
	const struct usched_client_failure *failure;

	if (!usched_client_daemon_status(ctl->client, &status)) {
		probe->verdict = CTL_WORKS;
		snprintf(probe->detail, sizeof(probe->detail), "uschedd %s, process %u, %u runtime%s",
			 status.version, status.pid, status.runtimes, status.runtimes == 1 ? "" : "s");
		return;
	}
	failure = usched_client_failure(ctl->client);
	probe->verdict = CTL_MISSING;
	snprintf(probe->detail, sizeof(probe->detail), "%.159s", failure->why);
	snprintf(probe->hint, sizeof(probe->hint), "%.159s", failure->hint);
}

/* Of a runtime that was refused carriers: why, and what it has. False: it could not be read. */
static bool read_refusal(struct ctl *ctl, const struct usched_client_entry *entry,
			 struct usched_client_info *info)
{
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *snapshot;
	bool read;

	if (usched_client_runtime_open(ctl->client, &runtime, entry->pid, entry->number))
		return false;
	read = !usched_client_snapshot_open(runtime, &snapshot);
	if (read) {
		usched_client_snapshot_info(snapshot, info);
		usched_client_snapshot_close(snapshot);
	}
	usched_client_runtime_close(runtime);
	return read;
}

/* Runtimes that wanted more carriers than they got. Those that do not answer, or belong to others,
   are left out: `list` tells of them. */
static void put_refusals(struct ctl *ctl, json_t *array)
{
	struct usched_client_list *list;
	size_t total;

	if (usched_client_list_open(ctl->client, &list))
		return;
	total = usched_client_list_count(list);
	for (size_t i = 0; i < total; i++) {
		struct usched_client_entry entry = { .size = sizeof(entry) };
		struct usched_client_info info = { .size = sizeof(info) };
		const char *why = "carriers_max is reached", *hint = "raise USCHED_CARRIERS_MAX";

		usched_client_list_get(list, i, &entry);
		if (!entry.carriers_refused || !read_refusal(ctl, &entry, &info))
			continue;
		if (info.carriers_error) {
			why = strerror((int)info.carriers_error);
			hint = "raise ulimit -u, TasksMax= or pids.max";
		}
		if (array) {
			json_t *row = json_object();

			ctl_json_number(row, "pid", entry.pid);
			ctl_json_number(row, "runtime", entry.number);
			ctl_json_text(row, "name", info.name);
			ctl_json_number(row, "carriers", info.carriers);
			ctl_json_number(row, "carriers_max", info.carriers_max);
			ctl_json_number(row, "carriers_refused", info.carriers_refused);
			ctl_json_number(row, "carriers_error", info.carriers_error);
			ctl_json_text(row, "why", why);
			ctl_json_text(row, "hint", hint);
			ctl_json_append(array, row);
		} else {
			printf("%s (%s) was refused %llu carriers, and has %u of at most %u: %s; %s\n",
			       ctl_runtime(entry.pid, entry.number).text, info.name,
			       (unsigned long long)info.carriers_refused, info.carriers,
			       info.carriers_max, why, hint);
		}
	}
	usched_client_list_close(list);
}

int ctl_verb_doctor(struct ctl *ctl, int count, char **arguments)
{
	struct ctl_probe probe[ROWS_MAX];
	const char *name[ROWS_MAX];
	const char *tick = NULL;
	size_t rows = 0, better = 0, i;

	(void)count;
	(void)arguments;
	memset(probe, 0, sizeof(probe));
	for (i = 0; ctl_probes[i].name && rows + 1 < ROWS_MAX; i++, rows++) {
		name[rows] = ctl_probes[i].name;
		ctl_probes[i].run(&probe[rows]);
		/* In the order in which a runtime tries them. */
		if (!tick && !strncmp(name[rows], "tick-", 5)) {
			if (probe[rows].verdict == CTL_WORKS)
				tick = name[rows] + 5;
			else
				better = rows + 1;
		}
	}
	name[rows] = "daemon";
	probe_daemon(ctl, &probe[rows++]);

	if (ctl->json) {
		json_t *object = ctl_json(), *array = json_array(), *refusals = json_array();

		ctl_json_text(object, "tick", tick);
		for (i = 0; i < rows; i++) {
			json_t *row = json_object();

			ctl_json_text(row, "name", name[i]);
			ctl_json_text(row, "verdict", verdicts[probe[i].verdict]);
			ctl_json_text(row, "found", probe[i].detail);
			ctl_json_text(row, "hint", probe[i].hint[0] ? probe[i].hint : NULL);
			ctl_json_append(array, row);
		}
		ctl_json_put(object, "mechanisms", array);
		put_refusals(ctl, refusals);
		ctl_json_put(object, "refusals", refusals);
		ctl_json_print(object);
	} else {
		struct ctl_table *table = ctl_table_open(columns, sizeof(columns) / sizeof(columns[0]));

		for (i = 0; i < rows; i++) {
			ctl_table_cell(table, "%s", name[i]);
			ctl_table_cell(table, "%s", verdicts[probe[i].verdict]);
			ctl_table_cell(table, "%s", probe[i].detail);
		}
		ctl_table_close(table);
		printf("\nA runtime started here preempts by: %s\n", tick ? tick : "nothing");
		for (i = 0; i < better; i++)
			if (!strncmp(name[i], "tick-", 5))
				printf("not by %s: %s\n", name[i] + 5, probe[i].detail);
		for (i = 0; i < rows; i++)
			if (probe[i].hint[0])
				printf("to get %s: %s\n", name[i], probe[i].hint);
		put_refusals(ctl, NULL);
	}
	return tick ? CTL_DONE : CTL_FAILED;
}
