/* SPDX-License-Identifier: MIT */
/*
 * Sockets and other descriptors: try, and wait if it would block.
 *
 * A fiber waits in the runtime's epoll; a plain thread in ppoll(2), on the same non-blocking
 * descriptor. Each call is tried first, since data is often there already. A call that needed no
 * wait takes one from the fiber's budget.
 *
 * errno is read out of line: after a wait the fiber may be in another thread (base/errno.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/errno.h"
#include "io/descriptor.h"

/* The caller of an operation: a fiber's scheduler, or none. */
struct caller {
	struct usched_scheduler *scheduler;	/* NULL: a plain thread */
	struct usched_descriptor *state;	/* NULL: a plain thread */
	uint32_t generation;
};

static int begin(struct caller *caller, int descriptor)
{
	/* The scheduler is fixed for a fiber, so a stale carrier answers right, too. */
	struct usched_carrier *carrier = usched_carrier_self_get();
	struct usched_descriptor *state;
	int error;

	if (usched_is_refused(carrier))
		return -EPERM;
	caller->scheduler = carrier ? carrier->scheduler : NULL;
	caller->generation = 0;
	caller->state = NULL;
	if (!caller->scheduler) {
		/* As for fibers: else a deadline could not be kept. */
		int flags = fcntl(descriptor, F_GETFL);

		if (flags < 0 || (!(flags & O_NONBLOCK) &&
				  fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0))
			return -errno;
		return 0;
	}
	state = usched_descriptor_open(caller->scheduler, descriptor, &error);
	if (!state)
		return error;
	caller->state = state;
	caller->generation = atomic_load_explicit(&state->generation, memory_order_acquire);
	return 0;
}

static int wait_as_thread(int descriptor, enum usched_direction direction, uint64_t deadline_ns)
{
	struct pollfd poll_one = {
		.fd = descriptor,
		.events = direction == USCHED_READABLE ? POLLIN : POLLOUT,
	};

	if (deadline_ns == USCHED_NOW)
		return -EAGAIN;
	for (;;) {
		struct timespec left, *timeout = NULL;
		int count;

		if (deadline_ns != USCHED_FOREVER) {
			uint64_t now_ns = usched_clock_now_ns();

			if (now_ns >= deadline_ns)
				return -ETIMEDOUT;
			left.tv_sec = (time_t)((deadline_ns - now_ns) / 1000000000);
			left.tv_nsec = (long)((deadline_ns - now_ns) % 1000000000);
			timeout = &left;
		}
		count = ppoll(&poll_one, 1, timeout, NULL);
		if (count > 0)
			return 0;
		if (count < 0 && errno != EINTR)
			return -errno;
	}
}

/* After a call that failed with @error: 0 means try again, else it is the result. */
static int wait_if_blocked(const struct caller *caller, int descriptor,
			   enum usched_direction direction, enum usched_wait_kind kind,
			   uint64_t deadline_ns, int error)
{
	if (error == EINTR)
		return 0;
	if (error != EAGAIN && error != EWOULDBLOCK)
		return -error;
	if (!caller->scheduler)
		return wait_as_thread(descriptor, direction, deadline_ns);
	return usched_descriptor_wait(caller->scheduler, descriptor, direction, kind,
				      caller->generation, deadline_ns);
}

int usched_listen(int *descriptor, const struct sockaddr *address, socklen_t address_bytes,
		  int backlog)
{
	struct usched_carrier *carrier = usched_carrier_self_get();
	int one = 1, error, new;

	if (usched_is_refused(carrier))
		return -EPERM;
	new = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (new < 0)
		return -errno;
	if (address->sa_family == AF_INET || address->sa_family == AF_INET6)
		setsockopt(new, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(new, address, address_bytes) || listen(new, backlog)) {
		error = -errno;
		close(new);
		return error;
	}
	if (carrier)
		usched_descriptor_note(carrier->scheduler, new);
	*descriptor = new;
	return 0;
}

int usched_accept(int descriptor, int *connection, struct sockaddr *address,
		  socklen_t *address_bytes, uint64_t deadline_ns)
{
	struct caller caller;
	int error = begin(&caller, descriptor);

	while (!error) {
		int new = accept4(descriptor, address, address_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (new >= 0) {
			if (caller.scheduler)
				usched_descriptor_note(caller.scheduler, new);
			*connection = new;
			usched_charge_outside();
			return 0;
		}
		if (usched_errno_get() == ECONNABORTED)
			continue;
		error = wait_if_blocked(&caller, descriptor, USCHED_READABLE, USCHED_WAIT_ON_ACCEPT,
					deadline_ns, usched_errno_get());
	}
	return error;
}

/* Also with a time-out of nothing a signal ends the call. */
static bool is_writable(int descriptor)
{
	struct pollfd poll_one = { .fd = descriptor, .events = POLLOUT };
	int count;

	do
		count = poll(&poll_one, 1, 0);
	while (count < 0 && usched_errno_get() == EINTR);
	return count != 0;
}

int usched_connect(int *descriptor, const struct sockaddr *address, socklen_t address_bytes,
		   uint64_t deadline_ns)
{
	struct caller caller;
	socklen_t error_bytes = sizeof(int);
	int error = 0, new;

	if (usched_in_child())
		return -EPERM;
	new = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (new < 0)
		return -errno;
	if (usched_carrier_self_get())
		usched_descriptor_note(usched_carrier_self_get()->scheduler, new);
	error = begin(&caller, new);
	if (!error && connect(new, address, address_bytes)) {
		error = -errno;
		if (error == -EINPROGRESS || error == -EINTR) {
			/* Readiness left over from before the connect counts for nothing. */
			do {
				error = wait_if_blocked(&caller, new, USCHED_WRITABLE,
							USCHED_WAIT_ON_CONNECT, deadline_ns, EAGAIN);
			} while (!error && !is_writable(new));
			if (!error) {
				getsockopt(new, SOL_SOCKET, SO_ERROR, &error, &error_bytes);
				error = -error;
			}
		}
	}
	if (error) {
		usched_close(new);
		return error;
	}
	*descriptor = new;
	usched_charge_outside();
	return 0;
}

/* One try. A short read of TCP is noted: what comes after @seen gives an event. */
static ssize_t read_once(struct usched_descriptor *tcp, uint32_t seen, int descriptor, void *buffer,
			 size_t count)
{
	ssize_t bytes;

	if (!tcp)
		return read(descriptor, buffer, count);
	bytes = recv(descriptor, buffer, count, 0);
	if (bytes > 0 && (size_t)bytes < count)
		usched_descriptor_drained(tcp, seen);
	return bytes;
}

int usched_read(int descriptor, void *buffer, size_t count, size_t *got, uint64_t deadline_ns)
{
	struct caller caller;
	int error = begin(&caller, descriptor), late = 0;

	while (!error) {
		struct usched_descriptor *tcp = usched_descriptor_tcp(caller.state);
		uint32_t seen = tcp ? usched_descriptor_seen(tcp) : 0;
		bool tries = late || !tcp || !usched_descriptor_is_drained(tcp, seen);
		int failure = EAGAIN;

		if (tries) {
			ssize_t bytes = read_once(tcp, seen, descriptor, buffer, count);

			if (bytes >= 0) {
				*got = (size_t)bytes;
				usched_charge_outside();
				return 0;
			}
			if (late)
				return late;
			failure = usched_errno_get();
		}
		error = wait_if_blocked(&caller, descriptor, USCHED_READABLE, USCHED_WAIT_ON_READ,
					deadline_ns, failure);
		/* It may be there, and only the event not yet. */
		if (!tries && (error == -EAGAIN || error == -ETIMEDOUT)) {
			late = error;
			error = 0;
		}
	}
	return error;
}

static ssize_t write_once(int descriptor, const void *buffer, size_t count)
{
	ssize_t bytes = send(descriptor, buffer, count, MSG_NOSIGNAL);

	if (bytes < 0 && usched_errno_get() == ENOTSOCK)
		bytes = write(descriptor, buffer, count);
	return bytes;
}

int usched_write(int descriptor, const void *buffer, size_t count, size_t *written,
		 uint64_t deadline_ns)
{
	struct caller caller;
	size_t done = 0;
	int error = begin(&caller, descriptor);

	while (!error && done < count) {
		ssize_t bytes = write_once(descriptor, (const char *)buffer + done, count - done);

		if (bytes >= 0)
			done += (size_t)bytes;
		else
			error = wait_if_blocked(&caller, descriptor, USCHED_WRITABLE,
						USCHED_WAIT_ON_WRITE, deadline_ns,
						usched_errno_get());
	}
	if (written)
		*written = done;
	usched_charge_outside();
	return error;
}

int usched_close(int descriptor)
{
	struct usched_carrier *carrier = usched_enter();

	if (usched_is_refused(carrier))
		return -EPERM;
	usched_descriptor_close(carrier, descriptor);
	usched_leave_here(carrier);
	/* Linux closes the number even when it reports an error: never try again. */
	return close(descriptor) && errno != EINTR ? -errno : 0;
}
