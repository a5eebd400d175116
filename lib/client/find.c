/* SPDX-License-Identifier: MIT */
/*
 * The sockets of runtimes: their names from /proc/net/unix, requests to them.
 */

#include "client/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTENING 0x10000u	/* "Flags" of a listening socket in /proc/net/unix */

/* A decimal number without sign or leading zeros; moves *text behind it. */
static int number(const char **text, uint32_t *value)
{
	uint64_t sum = 0;
	const char *at = *text;

	if (*at < '0' || *at > '9' || (*at == '0' && at[1] >= '0' && at[1] <= '9'))
		return 0;
	while (*at >= '0' && *at <= '9') {
		sum = sum * 10 + (uint64_t)(*at++ - '0');
		if (sum > UINT32_MAX)
			return 0;
	}
	*text = at;
	*value = (uint32_t)sum;
	return 1;
}

/* "Num: RefCount Protocol Flags Type St Inode @usched/UID/PID[/N]" */
static int parse(const char *line, struct usched_socket_name *name)
{
	unsigned int flags;
	int at = 0;
	const char *path;

	if (sscanf(line, "%*x: %*x %*x %x %*x %*x %*u %n", &flags, &at) != 1 || !at)
		return 0;
	path = line + at;
	if (!(flags & LISTENING) || strncmp(path, "@usched/", 8))
		return 0;
	path += 8;
	if (!number(&path, &name->uid) || *path++ != '/' || !number(&path, &name->pid))
		return 0;
	name->number = 1;
	if (*path == '/') {
		path++;
		if (!number(&path, &name->number) || name->number < 2)
			return 0;
	}
	return name->pid != 0 && (*path == '\n' || *path == '\0');
}

static int by_pid(const void *left, const void *right)
{
	const struct usched_socket_name *a = left, *b = right;

	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

int usched_socket_names(uint32_t pid, struct usched_socket_name **names, size_t *count)
{
	struct usched_socket_name *found = NULL;
	struct usched_socket_name name;
	size_t room = 0, used = 0, kept = 0, i;
	size_t line_room = 0;
	char *line = NULL;
	FILE *table;
	int result = 0;

	table = fopen("/proc/net/unix", "re");
	if (!table)
		return errno == ENOMEM ? -ENOMEM : -EIO;
	while (used < USCHED_SOCKET_NAMES_MAX && getline(&line, &line_room, table) > 0) {
		if (!parse(line, &name) || (pid && name.pid != pid))
			continue;
		if (used == room) {
			struct usched_socket_name *more;

			room = room ? room * 2 : 16;
			more = reallocarray(found, room, sizeof(*found));
			if (!more) {
				result = -ENOMEM;
				goto out;
			}
			found = more;
		}
		found[used++] = name;
	}
	if (used)
		qsort(found, used, sizeof(*found), by_pid);
	for (i = 0; i < used; i++)
		if (!kept || by_pid(&found[kept - 1], &found[i]))
			found[kept++] = found[i];
	*names = found;
	*count = kept;
	found = NULL;
out:
	free(found);
	free(line);
	fclose(table);
	return result;
}

int usched_runtime_request(struct usched_client *client, const struct usched_socket_name *name,
			   struct usched_exchange *exchange, struct usched_message *message,
			   uint16_t type, size_t bytes, uint16_t answer, unsigned int descriptors,
			   uint64_t timeout_ns)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int length, result;

	/* An abstract name begins with a zero byte and has no final one. */
	if (name->number > 1)
		length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
				  "usched/%u/%u/%u", name->uid, name->pid, name->number);
	else
		length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
				  "usched/%u/%u", name->uid, name->pid);
	result = usched_exchange_open(exchange, &address,
				      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
						  (size_t)length), timeout_ns);
	if (result)
		return result;
	if ((uint32_t)exchange->peer.pid != name->pid || exchange->peer.uid != name->uid) {
		exchange->reason = "who listens on its socket's name is another process";
		return -EREMCHG;
	}
	result = usched_exchange_send(exchange, message, type, bytes, ++client->serial);
	if (result)
		return result;
	return usched_exchange_receive(exchange, answer, 0, descriptors);
}

int usched_runtime_segments(struct usched_client *client, const struct usched_socket_name *name,
			    struct usched_exchange *exchange, struct usched_segments *segments,
			    uint64_t timeout_ns)
{
	struct usched_message_target request = { .pid = name->pid };
	int result;

	result = usched_runtime_request(client, name, exchange, &request.header,
					USCHED_MESSAGE_OPEN, sizeof(request),
					USCHED_MESSAGE_OPEN_REPLY, 2, timeout_ns);
	if (!result && exchange->answer.message.header.type == USCHED_MESSAGE_ERROR) {
		exchange->reason = exchange->answer.message.error.text;
		exchange->answer.message.error.text[USCHED_WIRE_TEXT_BYTES - 1] = '\0';
		result = usched_exchange_code(exchange);
	} else if (!result) {
		result = usched_segments_open(segments, exchange->descriptor[0],
					      exchange->descriptor[1], &exchange->reason);
		if (!result)
			exchange->descriptor[0] = exchange->descriptor[1] = -1;
	}
	usched_exchange_close(exchange);
	return result;
}
