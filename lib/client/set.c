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

#include "shm/tunable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WAIT_STEP_NS 500000	/* between two looks; the monitor's own step is 1 ms */

_Static_assert((int)USCHED_CLIENT_KEY_MAX == (int)USCHED_KEY_BYTES, "the public size is the wire's");
_Static_assert((int)USCHED_CLIENT_MAY_OFF == (int)USCHED_TUNABLE_OFF &&
	       (int)USCHED_CLIENT_MAY_AUTO == (int)USCHED_TUNABLE_AUTO &&
	       (int)USCHED_CLIENT_MAY_DEFAULT == (int)USCHED_TUNABLE_DEFAULT &&
	       (int)USCHED_CLIENT_MAY_COUNT == (int)USCHED_TUNABLE_COUNT, "the same bits");

int usched_client_tunable_find(const char *key, struct usched_client_tunable *tunable)
{
	struct usched_client_tunable made = { .size = sizeof(made) };
	const struct usched_tunable_rule *rule;
	uint64_t fiber;
	int number = usched_tunable_find(key, strlen(key) + 1, &fiber);

	if (number < 0 || strlen(key) >= sizeof(made.key))
		return -EINVAL;
	rule = usched_tunable_rule((unsigned int)number);
	strcpy(made.key, key);
	made.least = rule->least;
	made.most = rule->most;
	made.may = rule->may & ~(uint32_t)USCHED_TUNABLE_FLOORED;
	made.number = (uint32_t)number;
	return usched_client_give(tunable, &made, sizeof(made));
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

static void fill(struct usched_client_setting *setting, unsigned int tunable,
		 const struct usched_client_info *info,
		 const struct usched_message_set_reply *reply)
{
	setting->old_value = reply->old_value;
	setting->new_value = reply->new_value;
	setting->effective_value = reply->effective_value;
	setting->generation = reply->generation;
	usched_client_text(setting->clamped_by, sizeof(setting->clamped_by), reply->clamped_by,
			   sizeof(reply->clamped_by));
	/* Whoever answered may leave the floor, which is the runtime's, to the runtime. */
	if (usched_tunable_effective(tunable, setting->effective_value, info->quantum_floor_ns) !=
	    setting->effective_value) {
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
	char what[112], refusal[160];
	uint64_t fiber;
	int result, tunable = usched_tunable_find(key, strlen(key) + 1, &fiber);

	snprintf(what, sizeof(what), "cannot set %.39s of process %s", key, runtime->label);
	if (tunable < 0 || strlen(key) >= sizeof(request.key)) {
		usched_client_fail(client, -EINVAL, "%s", what);
		usched_client_why(client, "there is no tunable of this name");
		usched_client_hint(client, "the tunables are: " USCHED_TUNABLE_KEYS);
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
	if (!usched_tunable_check((unsigned int)tunable, value, info.quantum_floor_ns, refusal,
				  sizeof(refusal))) {
		usched_client_fail(client, -ERANGE, "%s", what);
		usched_client_refusal(client, "", refusal);
		return -ERANGE;
	}
	for (attempt = 0; ; attempt++) {
		memset(&request, 0, sizeof(request));
		strcpy(request.key, key);
		request.value = value;
		request.dry_run = flags & USCHED_CLIENT_DRY_RUN ? 1 : 0;
		asked = info.attachment;
		made.through_daemon = tunable != USCHED_TUNABLE_FIBER &&
				      (asked == USCHED_CLIENT_ATTACHED ||
				       asked == USCHED_CLIENT_EXPIRED || !runtime->has_socket);
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
	fill(&made, (unsigned int)tunable, &info, &reply);
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
