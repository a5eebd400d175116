/* SPDX-License-Identifier: MIT */
/*
 * Observers of one runtime: OPEN, SET and FIBERS over the abstract socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/format.h"
#include "runtime/control_private.h"

#define REQUEST_NS UINT64_C(1000000000)		/* an observer has so long to ask */
#define RETRY_NS   UINT64_C(100000000)		/* for a descriptor to become free */

void usched_control_listen(struct usched_control *control)
{
	static const char unobserved[] =
		"usched: this runtime cannot be observed: its abstract socket cannot be bound "
		"(another network namespace policy?); it works without\n";
	int listener = usched_owned_add(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK |
					       SOCK_CLOEXEC, 0));

	for (unsigned int ordinal = 1; listener >= 0 && ordinal <= USCHED_WIRE_RUNTIMES_MAX;
	     ordinal++) {
		struct sockaddr_un address;
		socklen_t bytes;

		usched_address_embedded(&address, &bytes, getuid(), getpid(), ordinal);
		if (bind(listener, (struct sockaddr *)&address, bytes) == 0) {
			if (listen(listener, USCHED_OBSERVERS_MAX) == 0 &&
			    usched_control_watch(control, listener, USCHED_EVENT_LISTENER) == 0) {
				control->listener = listener;
				control->number = ordinal;
				return;
			}
			break;
		}
		if (errno != EADDRINUSE)
			break;
	}
	usched_message_hang_up(listener);
	(void)!write(STDERR_FILENO, unobserved, sizeof(unobserved) - 1);
}

void usched_control_drop(struct usched_observer *observer)
{
	usched_message_hang_up(observer->socket);
	observer->socket = -1;
}

/* A listener that nobody accepts from is ready for ever, and would keep the monitor awake. */
static void set_deaf(struct usched_control *control, bool deaf)
{
	struct epoll_event event = {
		.events = deaf ? 0 : EPOLLIN,
		.data.u32 = USCHED_EVENT_LISTENER,
	};

	if (control->deaf != deaf &&
	    epoll_ctl(control->epoll, EPOLL_CTL_MOD, control->listener, &event) == 0)
		control->deaf = deaf;
}

uint64_t usched_control_listen_pass(struct usched_control *control, uint64_t now_ns)
{
	bool room = false;

	if (!control->deaf)
		return UINT64_MAX;
	if (now_ns < control->listen_ns)
		return control->listen_ns;
	for (unsigned int i = 0; i < USCHED_OBSERVERS_MAX; i++)
		room |= control->observers[i].socket < 0;
	if (room)
		set_deaf(control, false);
	return UINT64_MAX;		/* a slot's own deadline wakes us */
}

/* Of other users we keep a few, long enough to tell them why they get nothing. */
static bool is_one_stranger_too_many(const struct usched_control *control)
{
	unsigned int strangers = 0;

	for (unsigned int i = 0; i < USCHED_OBSERVERS_MAX; i++)
		strangers += control->observers[i].socket >= 0 && !control->observers[i].allowed;
	return strangers > USCHED_STRANGERS_MAX;
}

void usched_control_accept(struct usched_control *control, uint64_t now_ns)
{
	for (unsigned int i = 0; i < USCHED_OBSERVERS_MAX; i++) {
		struct usched_observer *observer = &control->observers[i];
		struct ucred peer;
		socklen_t bytes = sizeof(peer);

		if (observer->socket >= 0)
			continue;
		observer->socket = usched_owned_add(accept4(control->listener, NULL, NULL,
							    SOCK_NONBLOCK | SOCK_CLOEXEC));
		if (observer->socket < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS) {
				control->listen_ns = now_ns + RETRY_NS;
				set_deaf(control, true);
			}
			return;
		}
		observer->deadline_ns = now_ns + REQUEST_NS;
		observer->allowed = getsockopt(observer->socket, SOL_SOCKET, SO_PEERCRED, &peer,
					       &bytes) == 0 &&
				    (peer.uid == 0 || peer.uid == getuid());
		if ((!observer->allowed && is_one_stranger_too_many(control)) ||
		    usched_control_watch(control, observer->socket, i))
			usched_control_drop(observer);
	}
	control->listen_ns = 0;
	set_deaf(control, true);	/* all slots are taken */
}

static int reply_open(struct usched_control *control, int socket, uint32_t serial)
{
	union usched_message_any reply;
	int descriptors[2], error;

	descriptors[0] = usched_segment_reopen(&control->pair.grant);
	descriptors[1] = usched_segment_reopen(&control->pair.report);
	usched_message_init(&reply, USCHED_MESSAGE_OPEN_REPLY, serial);
	if (descriptors[0] < 0 || descriptors[1] < 0) {
		usched_message_error(&reply, serial, EMFILE,
				     "the process has no file descriptor left to share its segments; raise its RLIMIT_NOFILE");
		error = usched_message_send(socket, &reply, NULL, 0);
	} else {
		error = usched_message_send(socket, &reply, descriptors, 2);
	}
	for (unsigned int i = 0; i < 2; i++) {
		if (descriptors[i] >= 0)
			close(descriptors[i]);
	}
	return error;
}

/* A sealed memfd of records: the reader takes its time, nobody waits for it. */
static int reply_fibers(struct usched_control *control, int socket, uint32_t serial)
{
	const size_t bytes = USCHED_FIBER_RECORDS_MAX * sizeof(struct usched_fiber_record);
	union usched_message_any reply;
	uint64_t left_out = 0;
	uint32_t count;
	void *memory;
	int error;
	int descriptor = memfd_create("usched-fibers", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (descriptor < 0 || ftruncate(descriptor, (off_t)bytes) || fchmod(descriptor, 0600) ||
	    (memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)) ==
		    MAP_FAILED) {
		usched_message_error(&reply, serial, ENOMEM,
				     "the process has no memory or descriptor left for the list of its fibers");
		if (descriptor >= 0)
			close(descriptor);
		return usched_message_send(socket, &reply, NULL, 0);
	}
	count = control->host.fibers(control->host.context, memory, USCHED_FIBER_RECORDS_MAX,
				     &left_out);
	munmap(memory, bytes);
	(void)!ftruncate(descriptor, (off_t)(count * sizeof(struct usched_fiber_record)));
	fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	usched_message_init(&reply, USCHED_MESSAGE_FIBERS_REPLY, serial);
	reply.fibers_reply.count = count;
	reply.fibers_reply.record_bytes = sizeof(struct usched_fiber_record);
	reply.fibers_reply.left_out = left_out;
	reply.fibers_reply.taken_ns = usched_clock_now_ns();
	error = usched_message_send(socket, &reply, &descriptor, 1);
	close(descriptor);
	return error;
}

static const char unknown_key[] = "there is no such tunable; there are: " USCHED_TUNABLE_KEYS;

static int reply_set(struct usched_control *control, int socket,
		     const struct usched_message_set *request)
{
	union usched_message_any reply;
	uint32_t serial = request->header.serial;
	uint64_t floor_ns = control->options.fixed.quantum_floor_ns;
	uint64_t value = request->value, old = 0, fiber = 0;
	uint64_t generation = usched_segment_grant(&control->pair.grant)->tunables.generation;
	char refusal[USCHED_WIRE_TEXT_BYTES];
	int tunable = usched_tunable_find(request->key, sizeof(request->key), &fiber);

	if (tunable != USCHED_TUNABLE_FIBER && !usched_control_is_arbiter(control)) {
		usched_message_error(&reply, serial, EBUSY,
				     "the daemon sets this process's tunables; ask it: schedctl does so when it finds the daemon's socket (--socket DIR)");
		return usched_message_send(socket, &reply, NULL, 0);
	}
	if (tunable < 0) {
		usched_message_error(&reply, serial, EINVAL, unknown_key);
		return usched_message_send(socket, &reply, NULL, 0);
	}
	if (!usched_tunable_check((unsigned int)tunable, value, floor_ns, refusal, sizeof(refusal))) {
		usched_message_error(&reply, serial, ERANGE, refusal);
		return usched_message_send(socket, &reply, NULL, 0);
	}
	usched_message_init(&reply, USCHED_MESSAGE_SET_REPLY, serial);
	if (tunable == USCHED_TUNABLE_FIBER) {
		if (control->host.fiber_quantum(control->host.context, fiber,
						request->dry_run ? NULL : &value, &old)) {
			usched_message_error(&reply, serial, ESRCH,
					     "it has no fiber of this ID, or has none any more; schedctl fibers lists them");
			return usched_message_send(socket, &reply, NULL, 0);
		}
	} else {
		old = control->tunables[tunable];
		if (!request->dry_run)
			generation = usched_control_tune(control, (unsigned int)tunable, value);
	}
	usched_tunable_answer((unsigned int)tunable, old, value, floor_ns, &reply.set_reply);
	reply.set_reply.generation = generation;
	return usched_message_send(socket, &reply, NULL, 0);
}

void usched_control_serve(struct usched_control *control, struct usched_observer *observer,
			  uint64_t now_ns)
{
	union usched_message_any request, reply;
	int error = usched_message_receive(observer->socket, &request, NULL, NULL);

	if (error == -EAGAIN)
		return;
	if (error) {
		if (error == -EPROTO || error == -EPROTONOSUPPORT) {
			usched_message_error(&reply, 0, -error,
					     "this is not a message of this version of usched; use the schedctl that belongs to the library");
			usched_message_send(observer->socket, &reply, NULL, 0);
		}
		usched_control_drop(observer);
		return;
	}
	observer->deadline_ns = now_ns + REQUEST_NS;
	if (!observer->allowed) {
		usched_message_error(&reply, request.header.serial, EPERM,
				     "the process belongs to another user; ask as that user or as root");
		error = usched_message_send(observer->socket, &reply, NULL, 0);
	} else if (request.header.type == USCHED_MESSAGE_OPEN) {
		error = reply_open(control, observer->socket, request.header.serial);
	} else if (request.header.type == USCHED_MESSAGE_FIBERS) {
		error = reply_fibers(control, observer->socket, request.header.serial);
	} else if (request.header.type == USCHED_MESSAGE_SET) {
		error = reply_set(control, observer->socket, &request.set);
	} else {
		usched_message_error(&reply, request.header.serial, EOPNOTSUPP,
				     "a runtime answers OPEN, FIBERS and SET; the rest is the daemon's");
		error = usched_message_send(observer->socket, &reply, NULL, 0);
	}
	/* One that does not read its replies is not worth a buffer. */
	if (error)
		usched_control_drop(observer);
}
