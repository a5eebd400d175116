/* SPDX-License-Identifier: MIT */
/* schedctl list: every runtime, the daemon's and the embedded ones. */

#include "ctl/ctl.h"

#include <errno.h>
#include <time.h>

#include "ctl/output.h"

static const struct ctl_column columns[] = {
	{ "PID", 1 }, { "UID", 1 }, { "ARBITER", 0 }, { "CPUS", 1 }, { "DEMAND", 1 },
	{ "QUANTUM", 1 }, { "AGE", 1 }, { "NAME", 0 },
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put_row(struct ctl_table *table, const struct usched_client_entry *entry, uint64_t now)
{
	const char *attachment = ctl_attachment(entry->attachment);

	ctl_table_cell(table, "%s", ctl_runtime(entry->pid, entry->number).text);
	ctl_table_cell(table, "%u", entry->uid);
	ctl_table_cell(table, "%s", attachment ? attachment : "");
	if (!entry->known) {
		ctl_table_cell(table, "%s", "");
		ctl_table_cell(table, "%s", "");
		ctl_table_cell(table, "%s", "");
		ctl_table_cell(table, "%s", "");
		ctl_table_cell(table, "%s", "");
		return;
	}
	ctl_table_cell(table, "%u", entry->granted_cpus);
	ctl_table_cell(table, "%u", entry->demand_cpus);
	ctl_table_cell(table, "%s", ctl_quantum(entry->quantum_ns).text);
	ctl_table_cell(table, "%s", ctl_age(entry->since_ns, now).text);
	ctl_table_cell(table, "%s", entry->name);
}

static json_t *to_json(const struct usched_client_entry *entry)
{
	json_t *object = json_object();

	ctl_json_number(object, "pid", entry->pid);
	ctl_json_number(object, "runtime", entry->number);
	ctl_json_number(object, "uid", entry->uid);
	ctl_json_text(object, "attachment", ctl_attachment(entry->attachment));
	if (entry->known) {
		ctl_json_text(object, "name", entry->name);
		ctl_json_number(object, "granted_cpus", entry->granted_cpus);
		ctl_json_number(object, "demand_cpus", entry->demand_cpus);
		ctl_json_number(object, "quantum_ns", entry->quantum_ns);
		ctl_json_number(object, "since_ns", entry->since_ns);
	} else {
		ctl_json_null(object, "name");
		ctl_json_null(object, "granted_cpus");
		ctl_json_null(object, "demand_cpus");
		ctl_json_null(object, "quantum_ns");
		ctl_json_null(object, "since_ns");
	}
	return object;
}

int ctl_verb_list(struct ctl *ctl, int count, char **arguments)
{
	struct usched_client_list *list;
	struct ctl_table *table = NULL;
	json_t *array = NULL, *object;
	size_t total, i, known = 0;
	uint64_t now = now_ns();
	int daemon;

	(void)count;
	(void)arguments;
	if (usched_client_list_open(ctl->client, &list))
		return ctl_client_error(ctl);
	daemon = usched_client_list_daemon(list);
	/* No daemon is a way to work. One that was named, or that misbehaves, is an error. */
	if (daemon && (daemon != -ENOENT || ctl->directory)) {
		usched_client_list_close(list);
		return ctl_client_error(ctl);
	}
	total = usched_client_list_count(list);
	if (ctl->json)
		array = json_array();
	else
		table = ctl_table_open(columns, sizeof(columns) / sizeof(columns[0]));
	for (i = 0; i < total; i++) {
		struct usched_client_entry entry = { .size = sizeof(entry) };

		usched_client_list_get(list, i, &entry);
		known += entry.known != 0;
		if (ctl->json)
			ctl_json_append(array, to_json(&entry));
		else
			put_row(table, &entry, now);
	}
	if (ctl->json) {
		object = ctl_json();
		ctl_json_flag(object, "daemon", !daemon);
		ctl_json_text(object, "socket_directory", usched_client_directory(ctl->client));
		ctl_json_number(object, "unreadable", total - known);
		ctl_json_number(object, "listeners_left_out", usched_client_list_left_out(list));
		ctl_json_put(object, "runtimes", array);
		ctl_json_print(object);
	} else {
		ctl_table_close(table);
		ctl_note(ctl, "%zu runtime%s; %s at %s", total, total == 1 ? "" : "s",
			 daemon ? "no daemon" : "daemon", usched_client_directory(ctl->client));
		if (known < total)
			ctl_note(ctl, "%zu could not be read: they belong to others, or do not answer",
				 total - known);
		if (usched_client_list_left_out(list))
			ctl_note(ctl, "%zu socket%s left out: the owner is not who the name says",
				 usched_client_list_left_out(list),
				 usched_client_list_left_out(list) == 1 ? "" : "s");
	}
	usched_client_list_close(list);
	return known < total ? CTL_FAILED : CTL_DONE;
}
