/* SPDX-License-Identifier: MIT */
/*
 * The control socket: STATUS and LIST for everybody, OPEN and SET for a process's own user and root.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include <usched/usched.h>

#define REQUEST_NS UINT64_C(1000000000)

void observer_drop(struct observer *observer)
{
	if (observer->socket >= 0)
		close(observer->socket);
	observer->socket = -1;
}

void observers_accept(struct daemon *daemon, uint64_t now_ns)
{
	struct observer *observer = NULL;
	uint32_t same_user = 0;
	pid_t pid;
	uid_t uid;
	int socket = accept_peer(daemon, daemon->control_listener.socket, &pid, &uid);

	if (socket < 0)
		return;
	for (unsigned int i = 0; i < OBSERVERS_MAX; i++) {
		if (daemon->observers[i].socket < 0)
			observer = observer ? observer : &daemon->observers[i];
		else
			same_user += daemon->observers[i].uid == uid;
	}
	if (!observer || same_user >= OBSERVERS_PER_USER) {
		close(socket);
		daemon->refused++;
		return;
	}
	observer->socket = socket;
	observer->pid = pid;
	observer->uid = uid;
	observer->deadline_ns = now_ns + REQUEST_NS;
	if (watch(daemon, socket, SOURCE_OBSERVER, (uint32_t)(observer - daemon->observers)))
		observer_drop(observer);
}

static int refuse(struct observer *observer, uint32_t serial, int error, const char *text)
{
	union usched_message_any reply;

	usched_message_error(&reply, serial, error, text);
	return usched_message_send(observer->socket, &reply, NULL, 0);
}

static int reply_status(struct daemon *daemon, struct observer *observer, uint32_t serial)
{
	union usched_message_any reply;

	usched_message_init(&reply, USCHED_MESSAGE_STATUS_REPLY, serial);
	reply.status.pid = (uint32_t)getpid();
	reply.status.uid = (uint32_t)getuid();
	reply.status.start_time_ns = daemon->started_ns;
	reply.status.epoch = daemon->epoch;
	reply.status.passes = daemon->passes;
	reply.status.runtimes = daemon->client_count;
	reply.status.cpus = usched_cpu_count(daemon->cpus);
	reply.status.refused = daemon->refused;
	reply.status.policy_period_ns = daemon->period_ns;
	snprintf(reply.status.version, sizeof(reply.status.version), "%s", PACKAGE_VERSION);
	return usched_message_send(observer->socket, &reply, NULL, 0);
}

static int reply_list(struct daemon *daemon, struct observer *observer, uint32_t serial)
{
	union usched_message_any reply;
	int error = 0;

	for (unsigned int i = 0; !error && i < RUNTIMES_MAX; i++) {
		struct client *client = &daemon->clients[i];

		if (client->socket < 0 || !client->attached)
			continue;
		usched_message_init(&reply, USCHED_MESSAGE_LIST_ENTRY, serial);
		reply.list_entry.pid = (uint32_t)client->pid;
		reply.list_entry.uid = (uint32_t)client->uid;
		reply.list_entry.number = client->number;
		memcpy(reply.list_entry.name, client->name, sizeof(client->name));
		reply.list_entry.granted_cpus = usched_cpu_count(client->granted);
		reply.list_entry.demand_cpus = client->demand;
		reply.list_entry.quantum_ns = client->tunables[USCHED_TUNABLE_QUANTUM];
		reply.list_entry.since_ns = client->since_ns;
		reply.list_entry.carriers_refused = client->carriers_refused;
		memcpy(reply.list_entry.cpus, client->granted, sizeof(client->granted));
		error = usched_message_send(observer->socket, &reply, NULL, 0);
	}
	if (error)
		return error;
	usched_message_init(&reply, USCHED_MESSAGE_LIST_END, serial);
	return usched_message_send(observer->socket, &reply, NULL, 0);
}

static int reply_open(struct observer *observer, struct client *client, uint32_t serial)
{
	union usched_message_any reply;
	int descriptors[2] = {
		usched_segment_reopen(&client->grant), usched_segment_reopen(&client->report),
	};
	int error;

	usched_message_init(&reply, USCHED_MESSAGE_OPEN_REPLY, serial);
	if (descriptors[0] < 0 || descriptors[1] < 0)
		error = refuse(observer, serial, EMFILE,
			       "the daemon has no file descriptor left; raise its RLIMIT_NOFILE");
	else
		error = usched_message_send(observer->socket, &reply, descriptors, 2);
	for (unsigned int i = 0; i < 2; i++) {
		if (descriptors[i] >= 0)
			close(descriptors[i]);
	}
	return error;
}

static int reply_set(struct daemon *daemon, struct observer *observer, struct client *client,
		     const struct usched_message_set *request)
{
	union usched_message_any reply;
	uint32_t serial = request->header.serial;
	uint64_t value = request->value, floor_ns = client->quantum_floor_ns, old, fiber;
	struct usched_grant *grant = usched_segment_grant(&client->grant);
	int tunable = usched_tunable_find(request->key, sizeof(request->key), &fiber);
	char refusal[USCHED_WIRE_TEXT_BYTES], from[USCHED_TUNABLE_TEXT_BYTES],
		to[USCHED_TUNABLE_TEXT_BYTES];
	unsigned int which = (unsigned int)tunable;

	if (tunable == USCHED_TUNABLE_FIBER)
		return refuse(observer, serial, EINVAL,
			      "a fiber's quantum is its runtime's to set; ask that");
	if (tunable < 0)
		return refuse(observer, serial, EINVAL,
			      "there is no such tunable; there are: " USCHED_TUNABLE_KEYS);
	if (!usched_tunable_check(which, value, floor_ns, refusal, sizeof(refusal)))
		return refuse(observer, serial, ERANGE, refusal);
	old = client->tunables[which];
	usched_message_init(&reply, USCHED_MESSAGE_SET_REPLY, serial);
	usched_tunable_answer(which, old, value, floor_ns, &reply.set_reply);
	if (!request->dry_run) {
		client->tunables[which] = value;
		usched_grant_store(grant, NULL, client->tunables);
		say(daemon, 6, "process %d (uid %u) set %.*s of process %s from %s to %s",
		    (int)observer->pid, (unsigned int)observer->uid, (int)sizeof(request->key),
		    request->key, client_name(client),
		    usched_tunable_format(which, old, from, sizeof(from)),
		    usched_tunable_format(which, value, to, sizeof(to)));
	}
	reply.set_reply.generation = grant->tunables.generation;
	if (!request->dry_run)
		client_doorbell(daemon, client);
	return usched_message_send(observer->socket, &reply, NULL, 0);
}

static int serve(struct daemon *daemon, struct observer *observer,
		 const union usched_message_any *request)
{
	uint32_t serial = request->header.serial;
	struct client *client;
	uint32_t pid, number;

	if (request->header.type == USCHED_MESSAGE_STATUS)
		return reply_status(daemon, observer, serial);
	if (request->header.type == USCHED_MESSAGE_LIST)
		return reply_list(daemon, observer, serial);
	if (request->header.type != USCHED_MESSAGE_OPEN && request->header.type != USCHED_MESSAGE_SET)
		return refuse(observer, serial, EOPNOTSUPP,
			      "the daemon's control socket answers STATUS, LIST, OPEN and SET");
	if (request->header.type == USCHED_MESSAGE_SET) {
		pid = request->set.pid;
		number = request->set.number;
	} else {
		pid = request->target.pid;
		number = request->target.number;
	}
	client = client_find(daemon, (pid_t)pid, number);
	if (!client)
		return refuse(observer, serial, ESRCH, number > 1 ?
			      "this runtime of the process is not attached to the daemon; schedctl list shows who is" :
			      "no runtime of this process is attached to the daemon; schedctl list shows who is");
	if (observer->uid != 0 && observer->uid != client->uid)
		return refuse(observer, serial, EPERM,
			      "the process belongs to another user; ask as that user or as root");
	if (request->header.type == USCHED_MESSAGE_OPEN)
		return reply_open(observer, client, serial);
	return reply_set(daemon, observer, client, &request->set);
}

void observer_event(struct daemon *daemon, struct observer *observer, uint64_t now_ns)
{
	union usched_message_any request;
	int error = usched_message_receive(observer->socket, &request, NULL, NULL);

	if (error == -EAGAIN)
		return;
	if (error == -EPROTO || error == -EPROTONOSUPPORT) {
		daemon->refused++;
		refuse(observer, 0, -error,
		       "this is no message of this version of usched; use the schedctl that belongs to the daemon");
	}
	if (!error) {
		observer->deadline_ns = now_ns + REQUEST_NS;
		error = serve(daemon, observer, &request);
	}
	if (error)
		observer_drop(observer);
}
