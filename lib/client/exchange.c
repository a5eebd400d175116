/* SPDX-License-Identifier: MIT */
/*
 * Requests over SOCK_SEQPACKET. An answer is looked at only after its length, magic,
 * version, type, serial and number of descriptors were found right; a datagram that is cut
 * short or carries more than it should is no answer.
 */

#include "client/exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* How long an answer must be at least; 0: nobody sends this to an observer. */
static size_t answer_bytes(uint16_t type)
{
	switch (type) {
	case USCHED_MESSAGE_STATUS_REPLY:
		return sizeof(struct usched_message_status_reply);
	case USCHED_MESSAGE_LIST_ENTRY:
		return sizeof(struct usched_message_list_entry);
	case USCHED_MESSAGE_LIST_END:
	case USCHED_MESSAGE_OPEN_REPLY:
		return sizeof(struct usched_message);
	case USCHED_MESSAGE_SET_REPLY:
		return sizeof(struct usched_message_set_reply);
	case USCHED_MESSAGE_FIBERS_REPLY:
		return sizeof(struct usched_message_fibers_reply);
	case USCHED_MESSAGE_ERROR:
		return sizeof(struct usched_message_error);
	default:
		return 0;
	}
}

static int failed(struct usched_exchange *exchange, int error, const char *reason)
{
	exchange->reason = reason;
	return error;
}

static int failed_errno(struct usched_exchange *exchange, int error)
{
	/* The constant string of glibc's table: no buffer that another call may reuse. */
	const char *name = strerrordesc_np(error);

	return failed(exchange, -error, name ? name : "unknown error");
}

static void drop_descriptors(struct usched_exchange *exchange)
{
	unsigned int i;

	for (i = 0; i < exchange->descriptors; i++)
		if (exchange->descriptor[i] >= 0)
			close(exchange->descriptor[i]);
	exchange->descriptors = 0;
}

static int wait_for(struct usched_exchange *exchange, short events)
{
	for (;;) {
		uint64_t now = usched_client_now();
		struct pollfd poll_socket = { .fd = exchange->socket, .events = events };
		struct timespec left = { 0, 0 };
		int ready;

		if (now < exchange->deadline_ns) {
			left.tv_sec = (time_t)((exchange->deadline_ns - now) / 1000000000u);
			left.tv_nsec = (long)((exchange->deadline_ns - now) % 1000000000u);
		}
		ready = ppoll(&poll_socket, 1, &left, NULL);
		if (ready > 0)
			return 0;
		if (ready == 0)
			return failed(exchange, -ETIMEDOUT, "it does not answer in time");
		if (errno != EINTR)
			return failed_errno(exchange, errno);
	}
}

int usched_exchange_open(struct usched_exchange *exchange, const struct sockaddr_un *address,
			 socklen_t bytes, uint64_t timeout_ns)
{
	socklen_t peer_bytes = sizeof(exchange->peer);
	struct timeval patience = {
		.tv_sec = (time_t)(timeout_ns / 1000000000u),
		.tv_usec = (suseconds_t)(timeout_ns % 1000000000u / 1000u),
	};
	int result;

	memset(exchange, 0, sizeof(*exchange));
	exchange->reason = "";
	exchange->deadline_ns = usched_client_now() + timeout_ns;
	exchange->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (exchange->socket < 0)
		return failed_errno(exchange, errno);
	/* A full backlog makes connect() wait, and this is the only bound for that wait. */
	if (!patience.tv_sec && !patience.tv_usec)
		patience.tv_usec = 1;
	setsockopt(exchange->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	do
		result = connect(exchange->socket, (const struct sockaddr *)address, bytes);
	while (result && errno == EINTR && usched_client_now() < exchange->deadline_ns);
	if (result) {
		if (errno == EAGAIN || errno == EINTR)
			return failed(exchange, -ETIMEDOUT, "it does not accept connections");
		exchange->absent = errno == ENOENT || errno == ECONNREFUSED;
		return failed_errno(exchange, errno);
	}
	if (getsockopt(exchange->socket, SOL_SOCKET, SO_PEERCRED, &exchange->peer, &peer_bytes))
		return failed_errno(exchange, errno);
	return 0;
}

int usched_exchange_send(struct usched_exchange *exchange, struct usched_message *message,
			 uint16_t type, size_t bytes, uint32_t serial)
{
	ssize_t sent;

	message->magic = USCHED_WIRE_MAGIC;
	message->major = USCHED_WIRE_MAJOR;
	message->minor = USCHED_WIRE_MINOR;
	message->type = type;
	message->total_bytes = (uint16_t)bytes;
	message->serial = serial;
	exchange->serial = serial;
	for (;;) {
		int result;

		sent = send(exchange->socket, message, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent == (ssize_t)bytes)
			return 0;
		if (sent >= 0)
			return failed(exchange, -EPIPE, "the request was cut");
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return failed_errno(exchange, errno);
		result = wait_for(exchange, POLLOUT);
		if (result)
			return result;
	}
}

/* Takes all descriptors of a datagram: those beyond our room were closed by the kernel. */
static int take_descriptors(struct usched_exchange *exchange, struct msghdr *header)
{
	struct cmsghdr *control;
	int result = 0;

	for (control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control)) {
		size_t count, i;

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			int descriptor;

			memcpy(&descriptor, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
			if (exchange->descriptors < USCHED_EXCHANGE_DESCRIPTORS) {
				exchange->descriptor[exchange->descriptors++] = descriptor;
			} else {
				close(descriptor);
				result = -EBADMSG;
			}
		}
	}
	return result;
}

static int check(struct usched_exchange *exchange, size_t bytes, int flags, uint16_t type,
		 uint16_t other, unsigned int descriptors)
{
	const struct usched_message *header = &exchange->answer.message.header;

	if (flags & (MSG_TRUNC | MSG_CTRUNC))
		return failed(exchange, -EBADMSG, "its answer is longer than any answer");
	if (bytes < sizeof(*header))
		return failed(exchange, -EBADMSG, "its answer is shorter than a header");
	if (header->magic != USCHED_WIRE_MAGIC)
		return failed(exchange, -EBADMSG, "its answer is not of the usched protocol");
	if (header->major != USCHED_WIRE_MAJOR)
		return failed(exchange, -EBADMSG, "it speaks another version of the protocol");
	if (header->total_bytes != bytes || !answer_bytes(header->type) ||
	    bytes < answer_bytes(header->type))
		return failed(exchange, -EBADMSG, "its answer has the wrong length");
	if (header->serial != exchange->serial)
		return failed(exchange, -EBADMSG, "it answers another request");
	if (header->type == USCHED_MESSAGE_ERROR) {
		if (exchange->descriptors)
			return failed(exchange, -EBADMSG, "its refusal carries descriptors");
		return 0;
	}
	if (header->type != type && (!other || header->type != other))
		return failed(exchange, -EBADMSG, "its answer is of the wrong kind");
	if (exchange->descriptors != (header->type == type ? descriptors : 0))
		return failed(exchange, -EBADMSG, "its answer has the wrong number of descriptors");
	return 0;
}

int usched_exchange_receive(struct usched_exchange *exchange, uint16_t type, uint16_t other,
			    unsigned int descriptors)
{
	/* Room for one more than is right, so that a surplus is seen and closed. */
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE((USCHED_EXCHANGE_DESCRIPTORS + 1) * sizeof(int))];
	} control;
	struct iovec part = { .iov_base = exchange->answer.bytes,
			      .iov_len = sizeof(exchange->answer.bytes) };
	ssize_t got;
	int result;

	drop_descriptors(exchange);
	memset(&exchange->answer, 0, sizeof(exchange->answer));
	for (;;) {
		struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1,
					 .msg_control = control.bytes,
					 .msg_controllen = sizeof(control.bytes) };

		got = recvmsg(exchange->socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (got >= 0) {
			/* An empty datagram looks like the end, but may carry descriptors. */
			result = take_descriptors(exchange, &header);
			if (!result && got == 0)
				return failed(exchange, -EPIPE, "it hung up without an answer");
			if (result)
				return failed(exchange, result,
					      "its answer has the wrong number of descriptors");
			return check(exchange, (size_t)got, header.msg_flags, type, other,
				     descriptors);
		}
		if (errno == ECONNRESET)
			return failed(exchange, -EPIPE, "it hung up without an answer");
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return failed_errno(exchange, errno);
		result = wait_for(exchange, POLLIN);
		if (result)
			return result;
	}
}

void usched_exchange_close(struct usched_exchange *exchange)
{
	drop_descriptors(exchange);
	if (exchange->socket >= 0)
		close(exchange->socket);
	exchange->socket = -1;
}

int usched_exchange_code(const struct usched_exchange *exchange)
{
	switch (exchange->answer.message.error.error) {
	case EACCES:
	case EPERM:
		return -EACCES;
	case ESRCH:
	case ENOENT:
		return -ESRCH;
	case ERANGE:
		return -ERANGE;
	case EINVAL:
	case EOPNOTSUPP:
		return -EINVAL;
	case EBUSY:
	case EAGAIN:
		return -EBUSY;
	default:
		return -EIO;
	}
}

int usched_daemon_request(struct usched_client *client, struct usched_exchange *exchange,
			  struct usched_message *message, uint16_t type, size_t bytes,
			  uint16_t answer, uint16_t other, unsigned int descriptors,
			  const char *what)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char who[USCHED_DIRECTORY_MAX + 32];
	int result;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock",
		 client->directory);
	result = usched_exchange_open(exchange, &address, sizeof(address), client->timeout_ns);
	if (!result)
		result = usched_exchange_send(exchange, message, type, bytes, ++client->serial);
	if (!result)
		result = usched_exchange_receive(exchange, answer, other, descriptors);
	if (!result) {
		if (exchange->answer.message.header.type != USCHED_MESSAGE_ERROR)
			return 0;
		result = usched_exchange_code(exchange);
		usched_client_fail(client, result, "%s", what);
		exchange->answer.message.error.text[USCHED_WIRE_TEXT_BYTES - 1] = '\0';
		snprintf(who, sizeof(who), "the daemon at %s says: ", client->directory);
		usched_client_refusal(client, who, exchange->answer.message.error.text);
		return result;
	}
	switch (result) {
	case -EACCES:
	case -EPERM:
		usched_client_fail(client, -EACCES, "%s", what);
		usched_client_why(client, "no permission to connect to %s", address.sun_path);
		usched_client_hint(client, "ask who runs this daemon, or name another directory with USCHED_SOCKET");
		return -EACCES;
	case -ENOENT:
	case -ECONNREFUSED:
		usched_client_fail(client, -ENOTCONN, "%s", what);
		usched_client_why(client, result == -ENOENT ? "there is no daemon: %s does not exist" :
				  "there is no daemon: nobody listens on %s", address.sun_path);
		usched_client_hint(client, "start uschedd, or name its directory with USCHED_SOCKET");
		return -ENOTCONN;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		usched_client_fail(client, result == -ENOMEM ? -ENOMEM : -EMFILE, "%s", what);
		usched_client_why(client, "%s", exchange->reason);
		return client->failure.error;
	case -EPROTOTYPE:
	case -ENOTSOCK:
	case -ENOTDIR:
	case -EBADMSG:
	case -EPIPE:
		usched_client_fail(client, -ENOTCONN, "%s", what);
		usched_client_why(client, "what listens on %s is not the daemon: %s", address.sun_path,
				  exchange->reason);
		usched_client_hint(client, "name the daemon's directory with USCHED_SOCKET");
		return -ENOTCONN;
	default:
		usched_client_fail(client, -ENOTCONN, "%s", what);
		usched_client_why(client, "the daemon at %s cannot be used: %s", client->directory,
				  exchange->reason);
		usched_client_hint(client, "look at the daemon's messages; restart it if it hangs");
		return -ENOTCONN;
	}
}
