/* SPDX-License-Identifier: MIT */
/*
 * The daemon's word about itself, and the list of all runtimes.
 *
 *	daemon: LIST ------------------+
 *	                               +--> one entry a runtime, by pid and number
 *	/proc/net/unix: own sockets ---+
 *
 * A runtime that the daemon lists is not asked again.
 */

#include "client/runtime.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DAEMON_ENTRIES_MAX = 4096, BRIEFLY = 8 };

struct usched_client_list {
	int daemon;			/* as usched_client_list_daemon() returns */
	size_t left_out;
	size_t count;
	size_t room;
	struct usched_client_entry *entry;
};

static const char what[] = "cannot list the runtimes";

int usched_client_daemon_status(struct usched_client *client, struct usched_client_daemon *status)
{
	struct usched_client_daemon made = { .size = sizeof(made) };
	struct usched_message_target request = { .pid = 0 };
	const struct usched_message_status_reply *reply;
	struct usched_exchange exchange;
	int result;

	result = usched_daemon_request(client, &exchange, &request.header, USCHED_MESSAGE_STATUS,
				       sizeof(request), USCHED_MESSAGE_STATUS_REPLY, 0, 0,
				       "cannot ask the daemon");
	if (!result) {
		reply = &exchange.answer.message.status;
		made.pid = reply->pid;
		made.uid = reply->uid;
		made.start_time_ns = reply->start_time_ns;
		made.epoch = reply->epoch;
		made.passes = reply->passes;
		made.policy_period_ns = reply->policy_period_ns;
		made.refused = reply->refused;
		made.runtimes = reply->runtimes;
		made.cpus = reply->cpus;
		usched_client_text(made.version, sizeof(made.version), reply->version,
				   sizeof(reply->version));
		result = usched_client_give(status, &made, sizeof(made));
	}
	usched_exchange_close(&exchange);
	return result;
}

static struct usched_client_entry *add(struct usched_client_list *list)
{
	struct usched_client_entry *entry;

	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;

		entry = reallocarray(list->entry, room, sizeof(*entry));
		if (!entry)
			return NULL;
		list->entry = entry;
		list->room = room;
	}
	entry = &list->entry[list->count++];
	memset(entry, 0, sizeof(*entry));
	entry->size = sizeof(*entry);
	entry->number = 1;
	return entry;
}

/* All entries of the daemon. Sets the failure; only -ENOMEM is the caller's. */
static int from_daemon(struct usched_client *client, struct usched_client_list *list)
{
	struct usched_message_target request = { .pid = 0 };
	struct usched_exchange exchange;
	int result;

	result = usched_daemon_request(client, &exchange, &request.header, USCHED_MESSAGE_LIST,
				       sizeof(request), USCHED_MESSAGE_LIST_ENTRY,
				       USCHED_MESSAGE_LIST_END, 0, what);
	while (!result && exchange.answer.message.header.type == USCHED_MESSAGE_LIST_ENTRY) {
		const struct usched_message_list_entry *said = &exchange.answer.message.list_entry;
		struct usched_client_entry *entry;

		entry = list->count < DAEMON_ENTRIES_MAX ? add(list) : NULL;
		if (!entry) {
			usched_exchange_close(&exchange);
			return usched_client_no_memory(client, what);
		}
		entry->pid = said->pid;
		entry->uid = said->uid;
		entry->number = said->number ? said->number : 1;
		entry->known = 1;
		entry->attachment = USCHED_CLIENT_ATTACHED;
		usched_client_text(entry->name, sizeof(entry->name), said->name, sizeof(said->name));
		entry->granted_cpus = said->granted_cpus;
		entry->demand_cpus = said->demand_cpus;
		entry->quantum_ns = said->quantum_ns;
		entry->since_ns = said->since_ns;
		entry->carriers_refused = said->carriers_refused;
		result = usched_exchange_receive(&exchange, USCHED_MESSAGE_LIST_ENTRY,
						 USCHED_MESSAGE_LIST_END, 0);
		if (!result && exchange.answer.message.header.type == USCHED_MESSAGE_ERROR) {
			result = -EIO;
			exchange.reason = "it broke off the list";
		}
		if (result) {
			usched_client_fail(client, -ENOTCONN, "%s", what);
			usched_client_why(client, "the daemon at %s cannot be used: %s",
					  client->directory, exchange.reason);
			usched_client_hint(client, "look at the daemon's messages; restart it if it hangs");
			result = -ENOTCONN;
		}
	}
	list->daemon = result == -ENOTCONN && exchange.absent ? -ENOENT : result;
	usched_exchange_close(&exchange);
	return result == -ENOMEM || result == -EMFILE ? result : 0;
}

static void fill(struct usched_client_entry *entry, const struct usched_client_info *info)
{
	entry->known = 1;
	entry->attachment = info->attachment;
	memcpy(entry->name, info->name, sizeof(entry->name));
	entry->granted_cpus = info->granted_cpus;
	entry->demand_cpus = info->demand_cpus;
	entry->quantum_ns = info->grant_known && info->tunables_generation &&
			    info->quantum_wanted_ns == USCHED_QUANTUM_AUTO ?
			    USCHED_QUANTUM_AUTO : info->quantum_ns;
	entry->since_ns = info->start_time_ns;
	entry->carriers_refused = info->carriers_refused;
}

/* One runtime by its own socket. Positive: it was silent until the deadline, and may be asked again. */
static int from_socket(struct usched_client *client, struct usched_client_list *list,
		       const struct usched_socket_name *name, uint64_t deadline_ns, bool again)
{
	struct usched_client_runtime runtime = { .client = client, .pid = name->pid,
		.uid = name->uid, .number = name->number, .process = -1, .has_socket = 1,
		.name = *name, .segments = { .grant = -1, .report = -1 } };
	struct usched_client_info info = { .size = sizeof(info) };
	struct usched_client_snapshot *snapshot;
	struct usched_client_entry *entry;
	struct usched_exchange exchange;
	uint64_t now = usched_client_now();
	int result;

	usched_runtime_label(runtime.label, name->pid, name->number);
	/* When the time for all is over, each still shows, as one that is not known. */
	result = usched_runtime_segments(client, name, &exchange, &runtime.segments,
					 deadline_ns > now ? deadline_ns - now : 1);
	if (result == -EREMCHG) {
		list->left_out++;
		return 0;
	}
	if (exchange.absent)
		return 0;		/* ended meanwhile */
	if (result == -ETIMEDOUT && again)
		return 1;
	entry = add(list);
	if (!entry) {
		usched_segments_close(&runtime.segments);
		return usched_client_no_memory(client, what);
	}
	entry->pid = name->pid;
	entry->uid = name->uid;
	entry->number = name->number;
	entry->attachment = USCHED_CLIENT_UNKNOWN;
	if (!result) {
		result = usched_client_snapshot_open(&runtime, &snapshot);
		if (!result) {
			usched_client_snapshot_info(snapshot, &info);
			usched_client_snapshot_close(snapshot);
			fill(entry, &info);
		}
	}
	usched_segments_close(&runtime.segments);
	return 0;
}

static int by_pid(const void *left, const void *right)
{
	const struct usched_client_entry *a = left, *b = right;

	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

static int listed(const struct usched_client_list *list, size_t count,
		  const struct usched_socket_name *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (list->entry[i].pid == name->pid && list->entry[i].number == name->number)
			return 1;
	return 0;
}

/*
 * Each is asked briefly first, so that some that never answer (stopped, or stuck) do not use up the time
 * of the others; then those that were silent have what is left of it.
 */
static int from_sockets(struct usched_client *client, struct usched_client_list *list)
{
	struct usched_socket_name *names = NULL;
	uint64_t deadline_ns = usched_client_now() + 2 * client->timeout_ns;
	size_t from_daemon_count = list->count;
	size_t count = 0, silent = 0, i;
	int result;

	result = usched_socket_names(0, &names, &count);
	if (result == -EIO)
		return 0;		/* /proc/net is hidden: the daemon's list is all there is */
	if (result)
		return usched_client_no_memory(client, what);
	for (i = 0; result >= 0 && i < count; i++) {
		uint64_t brief_ns = usched_client_now() + client->timeout_ns / BRIEFLY;

		if (listed(list, from_daemon_count, &names[i]))
			continue;
		result = from_socket(client, list, &names[i],
				     brief_ns < deadline_ns ? brief_ns : deadline_ns, true);
		if (result > 0)
			names[silent++] = names[i];
	}
	for (i = 0; result >= 0 && i < silent; i++)
		result = from_socket(client, list, &names[i], deadline_ns, false);
	free(names);
	return result < 0 ? result : 0;
}

int usched_client_list_open(struct usched_client *client, struct usched_client_list **list)
{
	struct usched_client_list *made = calloc(1, sizeof(*made));
	struct usched_client kept;
	int result;

	if (!made)
		return usched_client_no_memory(client, what);
	result = from_daemon(client, made);
	kept = *client;
	if (!result)
		result = from_sockets(client, made);
	if (result) {
		usched_client_list_close(made);
		return result;
	}
	if (made->daemon) {
		/* What the sockets said on the way must not hide why the daemon is missing. */
		memcpy(client->what, kept.what, sizeof(kept.what));
		memcpy(client->why, kept.why, sizeof(kept.why));
		memcpy(client->hint, kept.hint, sizeof(kept.hint));
		client->failure.error = kept.failure.error;
	}
	if (made->count)
		qsort(made->entry, made->count, sizeof(made->entry[0]), by_pid);
	*list = made;
	return 0;
}

void usched_client_list_close(struct usched_client_list *list)
{
	if (!list)
		return;
	free(list->entry);
	free(list);
}

size_t usched_client_list_count(const struct usched_client_list *list)
{
	return list->count;
}

int usched_client_list_daemon(const struct usched_client_list *list)
{
	return list->daemon;
}

size_t usched_client_list_left_out(const struct usched_client_list *list)
{
	return list->left_out;
}

int usched_client_list_get(const struct usched_client_list *list, size_t index,
			   struct usched_client_entry *entry)
{
	if (index >= list->count)
		return -EINVAL;
	return usched_client_give(entry, &list->entry[index], sizeof(list->entry[index]));
}
