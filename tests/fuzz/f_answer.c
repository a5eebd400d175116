/* SPDX-License-Identifier: MIT */
/*
 * Answers of an enemy that poses as the daemon or as a runtime, taken as a client takes them.
 *
 * Input: datagrams, each one byte of flags, two bytes of length, then its bytes. An answer that is
 * accepted must have the length of its type, or a reader of its fields runs past it.
 *
 *	flags & 1	the header is made right, so that the fields behind it are reached
 *	flags & 6	so many descriptors go with it, 0 to 3: one more than any answer has
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/exchange.h"
#include "client/session.h"
#include "shm/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATAGRAMS_MAX = 8, DATAGRAM_BYTES_MAX = 1500, SERIAL = 7 };

static void send_datagram(int socket, const uint8_t *bytes, size_t size, uint8_t flags)
{
	uint8_t copy[DATAGRAM_BYTES_MAX];
	struct iovec part = { .iov_base = copy, .iov_len = size };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} control = { 0 };
	size_t descriptors = (flags >> 1) & 3;

	memcpy(copy, bytes, size);
	if ((flags & 1) && size >= sizeof(struct usched_message)) {
		struct usched_message message;

		memcpy(&message, copy, sizeof(message));
		message.magic = USCHED_WIRE_MAGIC;
		message.major = USCHED_WIRE_MAJOR;
		message.total_bytes = (uint16_t)size;
		message.serial = SERIAL;
		memcpy(copy, &message, sizeof(message));
	}
	if (descriptors != 0) {
		struct cmsghdr *rights;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
		for (size_t i = 0; i < descriptors; i++)
			memcpy(CMSG_DATA(rights) + i * sizeof(int), &socket, sizeof(int));
	}
	(void)sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A descriptor that leaks at each answer would end a long-lived observer. */
static int lowest_free(void)
{
	int descriptor = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	close(descriptor);
	return descriptor;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		uint16_t type, other;
		unsigned int descriptors;
	} expected[] = {
		{ USCHED_MESSAGE_STATUS_REPLY, 0, 0 },
		{ USCHED_MESSAGE_LIST_ENTRY, USCHED_MESSAGE_LIST_END, 0 },
		{ USCHED_MESSAGE_OPEN_REPLY, 0, 2 },
		{ USCHED_MESSAGE_SET_REPLY, 0, 0 },
		{ USCHED_MESSAGE_FIBERS_REPLY, 0, 1 },
	};
	struct usched_exchange exchange;
	int before = lowest_free();
	int pair[2];
	size_t which;

	if (size < 1)
		return 0;
	which = data[0] % (sizeof(expected) / sizeof(expected[0]));
	data++;
	size--;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		abort();
	memset(&exchange, 0, sizeof(exchange));
	exchange.socket = pair[0];
	exchange.serial = SERIAL;
	exchange.deadline_ns = usched_client_now() + UINT64_C(1000000000);
	for (size_t i = 0; i < USCHED_EXCHANGE_DESCRIPTORS; i++)
		exchange.descriptor[i] = -1;

	for (int i = 0; i < DATAGRAMS_MAX && size >= 3; i++) {
		uint8_t flags = data[0];
		size_t bytes = (size_t)(data[1] | data[2] << 8) % DATAGRAM_BYTES_MAX;

		data += 3;
		size -= 3;
		if (bytes > size)
			bytes = size;
		send_datagram(pair[1], data, bytes, flags);
		data += bytes;
		size -= bytes;
	}
	close(pair[1]);

	for (int i = 0; i < DATAGRAMS_MAX; i++) {
		int result = usched_exchange_receive(&exchange, expected[which].type,
						     expected[which].other,
						     expected[which].descriptors);

		if (result == 0 && exchange.answer.message.header.type == USCHED_MESSAGE_ERROR)
			(void)usched_exchange_code(&exchange);
		if (result < 0 && exchange.reason == NULL)
			abort();
		if (result == -EPIPE || result == -ETIMEDOUT)
			break;
	}
	usched_exchange_close(&exchange);
	if (lowest_free() != before)
		abort();
	return 0;
}
