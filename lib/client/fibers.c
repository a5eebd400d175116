/* SPDX-License-Identifier: MIT */
/*
 * The fibers of a runtime: a memfd of records that the runtime made for us.
 */

#include "client/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	RECORD_BYTES_MAX = 1024,
	RECORDS_MAX = 1 << 24,		/* as many fibers as a runtime may have */
	PORTION = 1024,			/* records of one read			*/
};

struct usched_client_fibers {
	size_t count;
	uint64_t left_out;
	uint64_t taken_ns;
	struct usched_client_fiber fiber[];
};

static void convert(struct usched_client_fiber *to, const struct usched_fiber_record *from)
{
	to->size = sizeof(*to);
	to->id = from->id;
	usched_client_text(to->name, sizeof(to->name), from->name, sizeof(from->name));
	to->state = from->state < USCHED_CLIENT_FIBER_UNKNOWN ?
		(enum usched_client_fiber_state)from->state : USCHED_CLIENT_FIBER_UNKNOWN;
	to->wait = from->wait_kind < USCHED_CLIENT_WAIT_UNKNOWN ?
		(enum usched_client_wait)from->wait_kind : USCHED_CLIENT_WAIT_UNKNOWN;
	to->descriptor = from->wait_kind >= USCHED_CLIENT_WAIT_READ &&
		from->wait_kind <= USCHED_CLIENT_WAIT_CONNECT && from->wait_object <= INT32_MAX ?
		(int)from->wait_object : -1;
	to->cpu = from->worker_cpu <= INT32_MAX ? (int)from->worker_cpu : -1;
	to->preempt = (enum usched_preempt)(from->mode & 0xff);
	to->priority = (enum usched_priority)(from->priority & 0xff);
	to->since_ns = from->since_ns;
	to->preemptions = from->preemptions;
	to->stack_bytes = from->stack_bytes;
	to->function = from->function;
}

static int by_id(const void *left, const void *right)
{
	const struct usched_client_fiber *a = left, *b = right;

	return a->id < b->id ? -1 : a->id > b->id;
}

static int read_records(int descriptor, uint32_t record_bytes, struct usched_client_fibers *fibers)
{
	uint8_t *portion = malloc((size_t)PORTION * record_bytes);
	size_t done = 0;
	int result = 0;

	if (!portion)
		return -ENOMEM;
	while (done < fibers->count) {
		size_t now = fibers->count - done < PORTION ? fibers->count - done : PORTION;
		size_t bytes = now * record_bytes, got = 0, i;

		while (got < bytes) {
			ssize_t more = pread(descriptor, portion + got, bytes - got,
					     (off_t)(done * record_bytes + got));

			if (more < 0 && errno == EINTR)
				continue;
			if (more <= 0) {
				result = -EBADMSG;
				goto out;
			}
			got += (size_t)more;
		}
		for (i = 0; i < now; i++) {
			struct usched_fiber_record record;

			memcpy(&record, portion + i * record_bytes, sizeof(record));
			convert(&fibers->fiber[done + i], &record);
		}
		done += now;
	}
out:
	free(portion);
	return result;
}

/* Whether the memfd is one, and as large as the answer says. */
static const char *wrong(int descriptor, const struct usched_message_fibers_reply *reply)
{
	struct stat status;

	if (fcntl(descriptor, F_GET_SEALS) < 0)
		return "its list of fibers is not a memfd";
	if (reply->count > RECORDS_MAX || reply->record_bytes < sizeof(struct usched_fiber_record) ||
	    reply->record_bytes > RECORD_BYTES_MAX)
		return "its list of fibers has sizes that cannot be";
	if (fstat(descriptor, &status) ||
	    (uint64_t)status.st_size < (uint64_t)reply->count * reply->record_bytes)
		return "its list of fibers is shorter than it says";
	return NULL;
}

int usched_client_fibers_open(struct usched_client_runtime *runtime,
			      struct usched_client_fibers **fibers)
{
	struct usched_message_target request = { .pid = runtime->pid };
	const struct usched_message_fibers_reply *reply;
	struct usched_client_fibers *made = NULL;
	struct usched_exchange exchange;
	char what[64];
	int result;

	snprintf(what, sizeof(what), "cannot list the fibers of process %s", runtime->label);
	if (!runtime->has_socket) {
		usched_client_fail(runtime->client, -ESRCH, "%s", what);
		usched_client_why(runtime->client, "the runtime answers on no socket of its own here: "
				  "it was reached through the daemon");
		usched_client_hint(runtime->client, "run this in the network namespace of the process: "
				   "nsenter -t %u -n", runtime->pid);
		return -ESRCH;
	}
	result = usched_runtime_request(runtime->client, &runtime->name, &exchange, &request.header,
					USCHED_MESSAGE_FIBERS, sizeof(request),
					USCHED_MESSAGE_FIBERS_REPLY, 1, runtime->client->timeout_ns);
	if (result || exchange.answer.message.header.type == USCHED_MESSAGE_ERROR) {
		result = usched_runtime_fail(runtime, &exchange, result, what);
		goto out;
	}
	reply = &exchange.answer.message.fibers_reply;
	exchange.reason = wrong(exchange.descriptor[0], reply);
	if (exchange.reason) {
		result = usched_runtime_fail(runtime, &exchange, -EBADMSG, what);
		goto out;
	}
	made = calloc(1, sizeof(*made) + reply->count * sizeof(made->fiber[0]));
	if (!made) {
		result = usched_client_no_memory(runtime->client, what);
		goto out;
	}
	made->count = reply->count;
	made->left_out = reply->left_out;
	made->taken_ns = reply->taken_ns;
	result = read_records(exchange.descriptor[0], reply->record_bytes, made);
	if (result) {
		exchange.reason = result == -ENOMEM ? "there is no memory left"
						    : "its list of fibers cannot be read";
		result = usched_runtime_fail(runtime, &exchange, result, what);
		goto out;
	}
	qsort(made->fiber, made->count, sizeof(made->fiber[0]), by_id);
	*fibers = made;
	made = NULL;
out:
	free(made);
	usched_exchange_close(&exchange);
	return result;
}

void usched_client_fibers_close(struct usched_client_fibers *fibers)
{
	free(fibers);
}

size_t usched_client_fibers_count(const struct usched_client_fibers *fibers)
{
	return fibers->count;
}

uint64_t usched_client_fibers_left_out(const struct usched_client_fibers *fibers)
{
	return fibers->left_out;
}

uint64_t usched_client_fibers_taken_ns(const struct usched_client_fibers *fibers)
{
	return fibers->taken_ns;
}

int usched_client_fibers_get(const struct usched_client_fibers *fibers, size_t index,
			     struct usched_client_fiber *fiber)
{
	if (index >= fibers->count)
		return -EINVAL;
	return usched_client_give(fiber, &fibers->fiber[index], sizeof(fibers->fiber[index]));
}
