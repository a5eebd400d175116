/* SPDX-License-Identifier: MIT */
/* schedctl fibers: every fiber of one runtime, its state and what it waits for. */

#include "ctl/ctl.h"

#include "ctl/output.h"

static const struct ctl_column columns[] = {
	{ "ID", 1 }, { "STATE", 0 }, { "CPU", 1 }, { "WAITS", 0 }, { "SINCE", 1 },
	{ "PREEMPTED", 1 }, { "MODE", 0 }, { "PRIO", 0 }, { "STACK", 1 }, { "FUNCTION", 1 },
	{ "NAME", 0 },
};

static const char *state_of(const struct usched_client_fiber *fiber)
{
	static const char *const names[] = { "new", "ready", "running", "parked", "stopped",
					     "stranded", "done" };

	return fiber->state < USCHED_CLIENT_FIBER_UNKNOWN ? names[fiber->state] : NULL;
}

static const char *wait_of(const struct usched_client_fiber *fiber)
{
	static const char *const names[] = { NULL, "sleep", "join", "channel", "mutex", "read",
					     "write", "accept", "connect", "event" };

	_Static_assert(sizeof(names) / sizeof(names[0]) == USCHED_CLIENT_WAIT_UNKNOWN,
		       "a word for each");

	return fiber->wait < USCHED_CLIENT_WAIT_UNKNOWN ? names[fiber->wait] : NULL;
}

static const char *mode_of(const struct usched_client_fiber *fiber)
{
	return fiber->preempt == USCHED_PREEMPT_HANDOFF ? "handoff" :
	       fiber->preempt == USCHED_PREEMPT_NEVER ? "never" : NULL;
}

static const char *priority_of(const struct usched_client_fiber *fiber)
{
	return fiber->priority == USCHED_PRIORITY_NORMAL ? "normal" :
	       fiber->priority == USCHED_PRIORITY_HIGH ? "high" :
	       fiber->priority == USCHED_PRIORITY_LOW ? "low" : NULL;
}

static void put_row(struct ctl_table *table, const struct usched_client_fiber *fiber, uint64_t now)
{
	const char *state = state_of(fiber), *waits = wait_of(fiber);
	const char *mode = mode_of(fiber), *priority = priority_of(fiber);

	ctl_table_cell(table, "0x%llx", (unsigned long long)fiber->id);
	ctl_table_cell(table, "%s", state ? state : "");
	if (fiber->cpu >= 0)
		ctl_table_cell(table, "%d", fiber->cpu);
	else
		ctl_table_cell(table, "%s", "");
	if (waits && fiber->descriptor >= 0)
		ctl_table_cell(table, "%s fd %d", waits, fiber->descriptor);
	else
		ctl_table_cell(table, "%s", waits ? waits : "");
	ctl_table_cell(table, "%s", ctl_age(fiber->since_ns, now).text);
	ctl_table_cell(table, "%llu", (unsigned long long)fiber->preemptions);
	ctl_table_cell(table, "%s", mode ? mode : "");
	ctl_table_cell(table, "%s", priority ? priority : "");
	ctl_table_cell(table, "%s", ctl_bytes(fiber->stack_bytes).text);
	ctl_table_cell(table, "0x%llx", (unsigned long long)fiber->function);
	ctl_table_cell(table, "%s", fiber->name);
}

static json_t *to_json(const struct usched_client_fiber *fiber)
{
	json_t *object = json_object();

	ctl_json_id(object, "id", fiber->id);
	ctl_json_text(object, "name", fiber->name[0] ? fiber->name : NULL);
	ctl_json_text(object, "state", state_of(fiber));
	if (fiber->cpu >= 0)
		ctl_json_number(object, "cpu", (uint64_t)fiber->cpu);
	else
		ctl_json_null(object, "cpu");
	ctl_json_text(object, "waits_for", wait_of(fiber));
	if (fiber->descriptor >= 0)
		ctl_json_number(object, "descriptor", (uint64_t)fiber->descriptor);
	else
		ctl_json_null(object, "descriptor");
	if (fiber->since_ns)
		ctl_json_number(object, "since_ns", fiber->since_ns);
	else
		ctl_json_null(object, "since_ns");
	ctl_json_number(object, "preemptions", fiber->preemptions);
	ctl_json_text(object, "preempt", mode_of(fiber));
	ctl_json_text(object, "priority", priority_of(fiber));
	ctl_json_number(object, "stack_bytes", fiber->stack_bytes);
	ctl_json_id(object, "function", fiber->function);
	return object;
}

int ctl_verb_fibers(struct ctl *ctl, int count, char **arguments)
{
	struct usched_client_runtime *runtime;
	struct usched_client_fibers *fibers;
	struct ctl_table *table = NULL;
	json_t *array = NULL, *object;
	uint64_t taken, left_out;
	size_t total, i;
	int code;

	(void)count;
	code = ctl_target(ctl, arguments[0], &runtime);
	if (code)
		return code;
	if (usched_client_fibers_open(runtime, &fibers)) {
		code = ctl_client_error(ctl);
		goto out;
	}
	total = usched_client_fibers_count(fibers);
	taken = usched_client_fibers_taken_ns(fibers);
	left_out = usched_client_fibers_left_out(fibers);
	if (ctl->json)
		array = json_array();
	else
		table = ctl_table_open(columns, sizeof(columns) / sizeof(columns[0]));
	for (i = 0; i < total; i++) {
		struct usched_client_fiber fiber = { .size = sizeof(fiber) };

		usched_client_fibers_get(fibers, i, &fiber);
		if (ctl->json)
			ctl_json_append(array, to_json(&fiber));
		else
			put_row(table, &fiber, taken);
	}
	if (ctl->json) {
		object = ctl_json();
		ctl_json_text(object, "target", arguments[0]);
		ctl_json_number(object, "taken_ns", taken);
		ctl_json_number(object, "left_out", left_out);
		ctl_json_put(object, "fibers", array);
		ctl_json_print(object);
	} else {
		ctl_table_close(table);
		ctl_note(ctl, "%zu fiber%s", total, total == 1 ? "" : "s");
		if (left_out)
			ctl_note(ctl, "%llu more were left out: one answer holds no more",
				 (unsigned long long)left_out);
	}
	usched_client_fibers_close(fibers);
out:
	usched_client_runtime_close(runtime);
	return code;
}
