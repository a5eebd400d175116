/* SPDX-License-Identifier: MIT */
/*
 * Changing a tunable, and waiting until it is in force.
 *
 *	attachment read from the report
 *	  EMBEDDED, ATTACHING --> the runtime's own socket
 *	  DAEMON, EXPIRED ------> the daemon
 *
 * The runtime may move while we ask. Its own socket then refuses and names the daemon, so
 * one more look at the report decides again, once.
 */

#include "client/runtime.h"

#include "base/duration.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WAIT_STEP_NS 500000	/* between two looks; the monitor's own step is 1 ms */

/* The range that the key admits, given the runtime's own floor. */
static int in_range(const struct usched_client_info *info, uint64_t value, uint64_t *low)
{
	*low = USCHED_QUANTUM_MIN_NS;
	if (info->quantum_floor_ns && info->quantum_floor_ns < *low)
		*low = info->quantum_floor_ns;
	return value == USCHED_QUANTUM_OFF || (value >= *low && value <= USCHED_QUANTUM_MAX_NS);
}

static int read_info(struct usched_client_runtime *runtime, struct usched_client_info *info)
{
	struct usched_client_snapshot *snapshot;
	int result = usched_client_snapshot_open(runtime, &snapshot);

	if (result)
		return result;
	info->size = sizeof(*info);
	result = usched_client_snapshot_info(snapshot, info);
	usched_client_snapshot_close(snapshot);
	return result;
}

static int ask_daemon(struct usched_client_runtime *runtime, struct usched_message_set *request,
		      struct usched_message_set_reply *reply, const char *what)
{
	struct usched_client *client = runtime->client;
	struct usched_exchange exchange;
	int result;

	request->number = (uint16_t)runtime->number;
	request->pid = runtime->pid;
	result = usched_daemon_request(client, &exchange, &request->header, USCHED_MESSAGE_SET,
				       sizeof(*request), USCHED_MESSAGE_SET_REPLY, 0, 0, what);
	if (!result)
		*reply = exchange.answer.message.set_reply;
	else if (result == -EACCES)
		usched_client_hint(client, "try as user %u or as root", runtime->uid);
	usched_exchange_close(&exchange);
	return result;
}

static int ask_runtime(struct usched_client_runtime *runtime, struct usched_message_set *request,
		       struct usched_message_set_reply *reply, const char *what)
{
	struct usched_exchange exchange;
	int result;

	request->pid = runtime->pid;
	result = usched_runtime_request(runtime->client, &runtime->name, &exchange,
					&request->header, USCHED_MESSAGE_SET, sizeof(*request),
					USCHED_MESSAGE_SET_REPLY, 0, runtime->client->timeout_ns);
	if (!result && exchange.answer.message.header.type == USCHED_MESSAGE_SET_REPLY)
		*reply = exchange.answer.message.set_reply;
	else
		result = usched_runtime_fail(runtime, &exchange, result, what);
	usched_exchange_close(&exchange);
	return result;
}

static void fill(struct usched_client_setting *setting, const struct usched_client_info *info,
		 const struct usched_message_set_reply *reply)
{
	setting->old_value = reply->old_value;
	setting->new_value = reply->new_value;
	setting->effective_value = reply->effective_value;
	setting->generation = reply->generation;
	usched_client_text(setting->clamped_by, sizeof(setting->clamped_by), reply->clamped_by,
			   sizeof(reply->clamped_by));
	/* Whoever answered may leave the floor, which is the runtime's, to the runtime. */
	if (setting->effective_value && setting->effective_value < info->quantum_floor_ns) {
		setting->effective_value = info->quantum_floor_ns;
		snprintf(setting->clamped_by, sizeof(setting->clamped_by),
			 "the runtime's floor: a tick costs %llu ns",
			 (unsigned long long)info->tick_cost_ns);
	}
}

int usched_client_set(struct usched_client_runtime *runtime, const char *key, uint64_t value,
		      unsigned int flags, struct usched_client_setting *setting)
{
	struct usched_client_setting made = { .size = sizeof(made) };
	struct usched_message_set request;
	struct usched_message_set_reply reply;
	struct usched_client *client = runtime->client;
	struct usched_client_info info;
	enum usched_client_attachment asked;
	unsigned int attempt;
	char what[96], refusal[128];
	uint64_t low;
	int result;

	snprintf(what, sizeof(what), "cannot set %.24s of process %s", key, runtime->label);
	if (strcmp(key, "quantum")) {
		usched_client_fail(client, -EINVAL, "%s", what);
		usched_client_why(client, "there is no tunable of this name");
		usched_client_hint(client, "the tunables are: quantum");
		return -EINVAL;
	}
	if (flags & ~USCHED_CLIENT_DRY_RUN) {
		usched_client_fail(client, -EINVAL, "%s", what);
		usched_client_why(client, "flags has bits that this library does not know");
		usched_client_hint(client, "the flags are: USCHED_CLIENT_DRY_RUN");
		return -EINVAL;
	}
	result = read_info(runtime, &info);
	if (result)
		return result;
	if (!in_range(&info, value, &low)) {
		usched_client_fail(client, -ERANGE, "%s", what);
		usched_client_refusal(client, "",
				      usched_duration_refusal(refusal, sizeof(refusal), key, value, low,
							      USCHED_QUANTUM_MAX_NS));
		return -ERANGE;
	}
	for (attempt = 0; ; attempt++) {
		memset(&request, 0, sizeof(request));
		strcpy(request.key, "quantum");
		request.value = value;
		request.dry_run = flags & USCHED_CLIENT_DRY_RUN ? 1 : 0;
		asked = info.attachment;
		made.through_daemon = asked == USCHED_CLIENT_ATTACHED ||
				      asked == USCHED_CLIENT_EXPIRED || !runtime->has_socket;
		if (made.through_daemon)
			result = ask_daemon(runtime, &request, &reply, what);
		else
			result = ask_runtime(runtime, &request, &reply, what);
		if (!result || attempt || result == -ERANGE)
			break;
		/* Did it move? What was said is kept, in case it did not. */
		{
			struct usched_client kept = *client;
			int again = read_info(runtime, &info);

			if (again || info.attachment == asked) {
				memcpy(client->what, kept.what, sizeof(kept.what));
				memcpy(client->why, kept.why, sizeof(kept.why));
				memcpy(client->hint, kept.hint, sizeof(kept.hint));
				client->failure.error = result;
				break;
			}
		}
	}
	if (result)
		return result;
	fill(&made, &info, &reply);
	if (setting)
		return usched_client_give(setting, &made, sizeof(made));
	return 0;
}

int usched_client_wait(struct usched_client_runtime *runtime, uint64_t generation,
		       uint64_t deadline_ns, uint64_t *acked_ns)
{
	const struct timespec step = { 0, WAIT_STEP_NS };
	struct usched_client *client = runtime->client;
	struct usched_client_info info;
	uint64_t session[2];
	char what[80];
	int result;

	memcpy(session, runtime->segments.session, sizeof(session));
	for (;;) {
		result = read_info(runtime, &info);
		if (result)
			return result;
		snprintf(what, sizeof(what), "cannot see the change of process %s in force",
			 runtime->label);
		if (memcmp(session, runtime->segments.session, sizeof(session))) {
			usched_client_fail(client, -ESTALE, "%s", what);
			usched_client_why(client, "the runtime moved %s the daemon meanwhile",
					  info.attachment == USCHED_CLIENT_ATTACHED ? "to" : "from");
			usched_client_hint(client, "look at schedctl show %s, and set it again if needed",
					   runtime->label);
			return -ESTALE;
		}
		if (info.tunables_acked >= generation) {
			if (acked_ns)
				*acked_ns = info.read_ns;
			return 0;
		}
		if (info.read_ns >= deadline_ns) {
			usched_client_fail(client, -ETIMEDOUT, "%s", what);
			usched_client_why(client, "not every carrier has acknowledged it yet "
					  "(generation %llu of %llu)",
					  (unsigned long long)info.tunables_acked,
					  (unsigned long long)generation);
			usched_client_hint(client, "a carrier that is stopped takes it over when it "
					   "continues: schedctl show %s", runtime->label);
			return -ETIMEDOUT;
		}
		nanosleep(&step, NULL);
	}
}
