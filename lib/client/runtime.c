/* SPDX-License-Identifier: MIT */
/*
 * Opening a runtime: from its own socket, else from the daemon.
 *
 * The own socket comes first because it needs no daemon and always hands out the pair in
 * use. The daemon is the way to a runtime in another network namespace, whose abstract
 * names we cannot see, and to one whose process is stopped.
 */

#include "client/runtime.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void usched_runtime_label(char label[USCHED_RUNTIME_LABEL_BYTES], uint32_t pid, uint32_t number)
{
	snprintf(label, USCHED_RUNTIME_LABEL_BYTES, number > 1 ? "%u/%u" : "%u", pid, number);
}

int usched_runtime_gone(const struct usched_client_runtime *runtime)
{
	struct pollfd process = { .fd = runtime->process, .events = POLLIN };

	if (runtime->process >= 0)
		return poll(&process, 1, 0) > 0;
	return kill((pid_t)runtime->pid, 0) && errno == ESRCH;
}

static int fail_gone(struct usched_client_runtime *runtime, const char *what)
{
	usched_client_fail(runtime->client, -ESRCH, "%s", what);
	usched_client_why(runtime->client, "process %u has ended", runtime->pid);
	usched_client_hint(runtime->client, "schedctl list shows the runtimes that live");
	return -ESRCH;
}

int usched_runtime_fail(struct usched_client_runtime *runtime,
			const struct usched_exchange *exchange, int error, const char *what)
{
	struct usched_client *client = runtime->client;
	char text[USCHED_WIRE_TEXT_BYTES];

	if (usched_runtime_gone(runtime))
		return fail_gone(runtime, what);
	if (!error) {
		error = usched_exchange_code(exchange);
		usched_client_fail(client, error, "%s", what);
		snprintf(text, sizeof(text), "%.*s", USCHED_WIRE_TEXT_BYTES - 1,
			 exchange->answer.message.error.text);
		usched_client_refusal(client, "the runtime says: ", text);
		if (error == -EACCES)
			usched_client_hint(client, "try as user %u or as root", runtime->uid);
		return error;
	}
	switch (error) {
	case -EACCES:
	case -EPERM:
		usched_client_fail(client, -EACCES, "%s", what);
		usched_client_why(client, "it belongs to uid %u and you are uid %u: %s", runtime->uid,
				  (unsigned int)geteuid(), exchange->reason);
		usched_client_hint(client, "try as user %u or as root", runtime->uid);
		break;
	case -ETIMEDOUT:
		usched_client_fail(client, -ETIMEDOUT, "%s", what);
		usched_client_why(client, "%s", exchange->reason);
		usched_client_hint(client, "it may be stopped, or its CPUs overloaded: see State in "
				   "/proc/%u/status", runtime->pid);
		break;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		usched_client_fail(client, error == -ENOMEM ? -ENOMEM : -EMFILE, "%s", what);
		usched_client_why(client, "%s", exchange->reason);
		break;
	case -EINVAL:
	case -ERANGE:
	case -ESRCH:
	case -EBUSY:
		usched_client_fail(client, error, "%s", what);
		usched_client_refusal(client, "", exchange->reason);
		break;
	default:
		usched_client_fail(client, -EBADMSG, "%s", what);
		usched_client_why(client, "%s", exchange->reason);
		usched_client_hint(client, "its version of usched may differ: restart it with this one");
		break;
	}
	return client->failure.error;
}

/* The verified own socket, if there is one. 0: found; -ESRCH; other: it exists and fails.
   *others: whether there are names of other runtimes of the process. */
static int open_own(struct usched_client_runtime *runtime, struct usched_exchange *exchange,
		    int *others)
{
	struct usched_socket_name *names = NULL;
	struct usched_socket_name guess;
	char path[32];
	struct stat status;
	size_t count = 0, i;
	int result, worst = -ESRCH;

	*others = 0;

	if (usched_socket_names(runtime->pid, &names, &count)) {
		/* /proc/net is hidden; the name can still be guessed. */
		snprintf(path, sizeof(path), "/proc/%u", runtime->pid);
		if (stat(path, &status))
			return -ESRCH;
		guess.uid = status.st_uid;
		guess.pid = runtime->pid;
		guess.number = runtime->number;
		names = malloc(sizeof(*names));
		if (!names)
			return -ENOMEM;
		names[0] = guess;
		count = 1;
	}
	for (i = 0; i < count; i++) {
		if (names[i].number != runtime->number) {
			*others = 1;
			continue;
		}
		result = usched_runtime_segments(runtime->client, &names[i], exchange,
						 &runtime->segments, runtime->client->timeout_ns);
		if (result == -EREMCHG || exchange->absent)
			continue;
		runtime->name = names[i];
		runtime->uid = names[i].uid;
		runtime->has_socket = 1;
		runtime->through_daemon = 0;
		worst = result;
		break;
	}
	free(names);
	return worst;
}

/* The pair that the daemon made for it. Sets the failure. */
static int open_daemon(struct usched_client_runtime *runtime, const char *what)
{
	struct usched_message_target request = { .pid = runtime->pid, .number = runtime->number };
	struct usched_exchange exchange;
	int result;

	result = usched_daemon_request(runtime->client, &exchange, &request.header,
				       USCHED_MESSAGE_OPEN, sizeof(request),
				       USCHED_MESSAGE_OPEN_REPLY, 0, 2, what);
	if (!result) {
		result = usched_segments_open(&runtime->segments, exchange.descriptor[0],
					      exchange.descriptor[1], &exchange.reason);
		if (!result) {
			exchange.descriptor[0] = exchange.descriptor[1] = -1;
			runtime->through_daemon = 1;
		} else {
			usched_client_fail(runtime->client, result, "%s", what);
			usched_client_why(runtime->client, "the daemon's answer is wrong: %s",
					  exchange.reason);
			usched_client_hint(runtime->client,
					   "its version of usched may differ: restart it with this one");
		}
	}
	usched_exchange_close(&exchange);
	return result;
}

static int open_segments(struct usched_client_runtime *runtime, const char *what)
{
	struct usched_exchange exchange = { .socket = -1, .reason = "" };
	struct usched_client *client = runtime->client;
	int own, result, others;

	own = open_own(runtime, &exchange, &others);
	if (!own)
		return 0;
	if (own == -EACCES || own == -EPERM || own == -ENOMEM || own == -EMFILE)
		return usched_runtime_fail(runtime, &exchange, own, what);
	if (usched_runtime_gone(runtime))
		return fail_gone(runtime, what);
	result = open_daemon(runtime, what);
	if (!result || result == -EACCES)
		return result;
	if (own != -ESRCH)
		return usched_runtime_fail(runtime, &exchange, own, what);
	if (result != -ESRCH && result != -ENOTCONN)
		return result;
	usched_client_fail(client, -ESRCH, "%s", what);
	if (runtime->number > 1 || others)
		usched_client_why(client, "process %u has no runtime number %u", runtime->pid,
				  runtime->number);
	else
		usched_client_why(client, "process %u runs, but it has no usched runtime%s",
				  runtime->pid, result == -ENOTCONN ? " (and there is no daemon to ask)"
								    : " that the daemon knows");
	usched_client_hint(client, others ? "schedctl list shows those that it has, as PID/N" :
			   "schedctl list shows the processes that have one");
	return -ESRCH;
}

int usched_runtime_reopen(struct usched_client_runtime *runtime)
{
	char what[64];

	usched_segments_close(&runtime->segments);
	snprintf(what, sizeof(what), "cannot read process %s", runtime->label);
	return open_segments(runtime, what);
}

int usched_client_runtime_open(struct usched_client *client, struct usched_client_runtime **runtime,
			       uint32_t pid, uint32_t number)
{
	struct usched_client_runtime *made;
	char label[USCHED_RUNTIME_LABEL_BYTES];
	char what[64];
	char path[32];
	struct stat status;
	int result;

	usched_runtime_label(label, pid, number);
	snprintf(what, sizeof(what), "cannot open process %s", label);
	made = calloc(1, sizeof(*made));
	if (!made)
		return usched_client_no_memory(client, what);
	made->client = client;
	made->pid = pid;
	made->number = number ? number : 1;
	memcpy(made->label, label, sizeof(made->label));
	made->process = -1;
	made->segments.grant = -1;
	made->segments.report = -1;

	/* The process first: a pid that is reused while we look shows as an ended process. */
	snprintf(path, sizeof(path), "/proc/%u", pid);
	if (pid && pid <= INT32_MAX)
		made->process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (!pid || pid > INT32_MAX ||
	    (made->process < 0 && (errno == ESRCH || errno == EINVAL) && stat(path, &status))) {
		result = usched_client_fail(client, -ESRCH, "%s", what);
		usched_client_why(client, "there is no process %u", pid);
		usched_client_hint(client, "schedctl list shows the runtimes that live");
		goto err_made;
	}
	if (made->process < 0 && (errno == EMFILE || errno == ENFILE)) {
		result = usched_client_fail(client, -EMFILE, "%s", what);
		usched_client_why(client, "too many files are open");
		goto err_made;
	}
	made->uid = stat(path, &status) ? 0 : status.st_uid;

	result = open_segments(made, what);
	if (result)
		goto err_made;
	if (usched_runtime_gone(made)) {
		result = fail_gone(made, what);
		goto err_made;
	}
	*runtime = made;
	return 0;

err_made:
	usched_client_runtime_close(made);
	return result;
}

void usched_client_runtime_close(struct usched_client_runtime *runtime)
{
	if (!runtime)
		return;
	usched_segments_close(&runtime->segments);
	if (runtime->process >= 0)
		close(runtime->process);
	free(runtime);
}
