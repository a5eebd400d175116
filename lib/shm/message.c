/* SPDX-License-Identifier: MIT */
/*
 * Messages; see message.h.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/child.h"
#include "shm/message.h"

/* More than any honest peer sends, so that the kernel does not drop what we must close. */
enum { CONTROL_DESCRIPTORS = 253 };

uint32_t usched_message_bytes(uint16_t type)
{
	switch (type) {
	case USCHED_MESSAGE_HELLO:		return sizeof(struct usched_message_hello);
	case USCHED_MESSAGE_WELCOME:		return sizeof(struct usched_message_welcome);
	case USCHED_MESSAGE_STATUS:
	case USCHED_MESSAGE_LIST:
	case USCHED_MESSAGE_OPEN:
	case USCHED_MESSAGE_FIBERS:		return sizeof(struct usched_message_target);
	case USCHED_MESSAGE_STATUS_REPLY:	return sizeof(struct usched_message_status_reply);
	case USCHED_MESSAGE_LIST_ENTRY:		return sizeof(struct usched_message_list_entry);
	case USCHED_MESSAGE_SET:		return sizeof(struct usched_message_set);
	case USCHED_MESSAGE_SET_REPLY:		return sizeof(struct usched_message_set_reply);
	case USCHED_MESSAGE_FIBERS_REPLY:	return sizeof(struct usched_message_fibers_reply);
	case USCHED_MESSAGE_ERROR:		return sizeof(struct usched_message_error);
	case USCHED_MESSAGE_DOORBELL:
	case USCHED_MESSAGE_DEMAND:
	case USCHED_MESSAGE_LIST_END:
	case USCHED_MESSAGE_OPEN_REPLY:		return sizeof(struct usched_message);
	default:				return 0;
	}
}

int usched_message_check(const void *data, size_t bytes)
{
	struct usched_message header;

	if (bytes < sizeof(header))
		return -EPROTO;
	memcpy(&header, data, sizeof(header));
	if (header.magic != USCHED_WIRE_MAGIC)
		return -EPROTO;
	if (header.major != USCHED_WIRE_MAJOR)
		return -EPROTONOSUPPORT;
	if (header.total_bytes != bytes || usched_message_bytes(header.type) != bytes)
		return -EPROTO;
	return 0;
}

void usched_message_init(union usched_message_any *message, enum usched_message_type type,
			 uint32_t serial)
{
	memset(message, 0, sizeof(*message));
	message->header.magic = USCHED_WIRE_MAGIC;
	message->header.major = USCHED_WIRE_MAJOR;
	message->header.minor = USCHED_WIRE_MINOR;
	message->header.type = (uint16_t)type;
	message->header.total_bytes = (uint16_t)usched_message_bytes((uint16_t)type);
	message->header.serial = serial;
}

int usched_message_send(int socket, const union usched_message_any *message,
			const int *descriptors, unsigned int count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(USCHED_MESSAGE_DESCRIPTORS * sizeof(int))];
	} control;
	struct iovec part = {
		.iov_base = (void *)(uintptr_t)message,
		.iov_len = message->header.total_bytes,
	};
	struct msghdr envelope = { .msg_iov = &part, .msg_iovlen = 1 };

	if (count > 0) {
		struct cmsghdr *header;

		memset(&control, 0, sizeof(control));
		envelope.msg_control = &control;
		envelope.msg_controllen = CMSG_SPACE(count * sizeof(int));
		header = CMSG_FIRSTHDR(&envelope);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
	}
	if (sendmsg(socket, &envelope, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

int usched_message_receive(int socket, union usched_message_any *message, int *descriptors,
			   unsigned int *count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(CONTROL_DESCRIPTORS * sizeof(int))];
	} control;
	struct iovec part = { .iov_base = message, .iov_len = sizeof(*message) };
	struct msghdr envelope = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	unsigned int kept = 0;
	ssize_t bytes = recvmsg(socket, &envelope, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int error = 0;

	if (count)
		*count = 0;
	if (bytes < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&envelope); header;
	     header = CMSG_NXTHDR(&envelope, header)) {
		size_t carried;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		carried = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < carried; i++) {
			int descriptor;

			memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (descriptors && kept < USCHED_MESSAGE_DESCRIPTORS) {
				descriptors[kept++] = descriptor;
			} else {
				close(descriptor);
				error = -EPROTO;
			}
		}
	}
	if (bytes == 0 && !error)
		error = -ECONNRESET;		/* a datagram of nothing is no message either */
	if (!error && (envelope.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		error = -EPROTO;
	if (!error)
		error = usched_message_check(message, (size_t)bytes);
	while (error && kept > 0)
		close(descriptors[--kept]);
	if (count)
		*count = kept;
	return error;
}

void usched_message_hang_up(int socket)
{
	if (socket >= 0)
		shutdown(socket, SHUT_RDWR);
	usched_owned_close(socket);
}

void usched_message_error(union usched_message_any *message, uint32_t serial, int error,
			  const char *text)
{
	usched_message_init(message, USCHED_MESSAGE_ERROR, serial);
	message->error.error = error;
	strncpy(message->error.text, text, sizeof(message->error.text) - 1);
}

int usched_address_path(struct sockaddr_un *address, socklen_t *bytes, const char *directory,
			const char *name)
{
	struct usched_format format;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	usched_format_init(&format, address->sun_path, sizeof(address->sun_path));
	usched_format_string(&format, directory);
	usched_format_string(&format, "/");
	usched_format_string(&format, name);
	*bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + format.length + 1);
	return format.cut ? -ENAMETOOLONG : 0;
}

void usched_address_embedded(struct sockaddr_un *address, socklen_t *bytes, uid_t uid, pid_t pid,
			     unsigned int ordinal)
{
	struct usched_format format;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	/* The first byte stays zero: an abstract name, which has no final zero. */
	usched_format_init(&format, address->sun_path + 1, sizeof(address->sun_path) - 1);
	usched_format_string(&format, "usched/");
	usched_format_decimal(&format, uid);
	usched_format_string(&format, "/");
	usched_format_decimal(&format, (uint64_t)pid);
	if (ordinal > 1) {
		usched_format_string(&format, "/");
		usched_format_decimal(&format, ordinal);
	}
	*bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + format.length);
}
