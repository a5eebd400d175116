/* SPDX-License-Identifier: MIT */
/*
 * The fake runtime and daemon; see fake_peer.h.
 */

#include "fake_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const char *const fault_names[FAKE_FAULTS] = {
	"none", "silent", "hangup", "short", "long", "magic", "major", "serial", "type", "length",
	"no-descriptors", "one-descriptor", "more-descriptors", "pipe", "file", "session", "stride",
	"workers", "layout", "refuse", "records", "record-bytes", "no-end", "retired",
};

int fake_fault_by_name(const char *name)
{
	int i;

	for (i = 0; i < FAKE_FAULTS; i++)
		if (!strcmp(fault_names[i], name))
			return i;
	return -1;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

socklen_t fake_runtime_address(struct sockaddr_un *address, unsigned int uid, unsigned int pid,
			       unsigned int number)
{
	int length;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	length = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
			  number > 1 ? "usched/%u/%u/%u" : "usched/%u/%u", uid, pid, number);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

socklen_t fake_daemon_address(struct sockaddr_un *address, const char *directory)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), "%.90s/control.sock", directory);
	return sizeof(*address);
}

/* -------------------------------------------------------------- segments */

static void *segment(int *descriptor, size_t bytes)
{
	void *memory;

	*descriptor = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*descriptor < 0 || ftruncate(*descriptor, (off_t)bytes))
		return NULL;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *descriptor, 0);
	if (memory == MAP_FAILED ||
	    fcntl(*descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return NULL;
	return memory;
}

static void header(struct usched_segment_header *to, uint64_t magic, size_t body, size_t stride,
		   uint32_t workers, uint64_t session)
{
	to->magic = magic;
	to->major = USCHED_LAYOUT_MAJOR;
	to->minor = USCHED_LAYOUT_MINOR;
	to->header_bytes = (uint32_t)body;
	to->worker_stride_bytes = (uint32_t)stride;
	to->workers = workers;
	to->total_bytes = (uint32_t)(body + workers * stride);
	to->session[0] = session;
	to->session[1] = ~session;
}

struct usched_report_worker *fake_pair_worker(const struct fake_pair *pair, unsigned int index)
{
	return (struct usched_report_worker *)(pair->report + 1) + index;
}

int fake_pair_create(struct fake_pair *pair, uint64_t session, uint32_t workers)
{
	struct usched_report *report;
	struct usched_grant *grant;
	unsigned int i;

	pair->grant = grant = segment(&pair->grant_fd, sizeof(*grant) +
				      workers * sizeof(struct usched_grant_worker));
	pair->report = report = segment(&pair->report_fd, sizeof(*report) +
					workers * sizeof(struct usched_report_worker));
	if (!grant || !report)
		return -1;
	header(&grant->header, USCHED_GRANT_MAGIC, sizeof(*grant),
	       sizeof(struct usched_grant_worker), workers, session);
	header(&report->header, USCHED_REPORT_MAGIC, sizeof(*report),
	       sizeof(struct usched_report_worker), workers, session);
	grant->epoch = 7;
	grant->grant_generation = 3;
	grant->cpus[0] = 0x3;
	grant->tunables.generation = 1;
	/* As where nobody has set anything: all of them "default", but for these. */
	memset(grant->tunables.values, 0xff, USCHED_TUNABLES * sizeof(grant->tunables.values[0]));
	grant->tunables.values[USCHED_TUNABLE_QUANTUM] = 2000000;
	grant->tunables.values[USCHED_TUNABLE_AUTO_MIN] = 500000;
	grant->tunables.values[USCHED_TUNABLE_AUTO_MAX] = 10000000;
	grant->tunables.values[USCHED_TUNABLE_WAKEUP] = 100000;
	grant->tunables.values[USCHED_TUNABLE_BUDGET] = 100;

	report->pid = (uint32_t)getpid();
	report->uid = geteuid();
	report->start_time_ns = now_ns();
	strcpy(report->name, "fake");
	report->tick_source = 1;
	report->guard_kind = 1;
	report->tick_cost_ns = 12000;
	report->quantum_floor_ns = 120000;
	report->carriers_max = 64;
	report->signal = 23;
	report->heartbeat = 1;
	report->published_ns = now_ns();
	report->attachment = USCHED_ATTACHMENT_EMBEDDED;
	report->demand_cpus = 1;
	report->tunables_acked = 1;
	report->quantum_ns = 2000000;
	report->grant_acked = 3;
	report->fibers_alive = 5;
	report->fibers_spawned = 9;
	report->fibers_parked = 2;
	report->carriers = 4;
	report->carriers_idle = 1;
	for (i = 0; i < workers; i++) {
		struct usched_report_worker *worker = fake_pair_worker(pair, i);

		worker->cpu = i;
		worker->state = USCHED_WORKER_RUNNING;
		worker->carrier_tid = 1000 + i;
		worker->runnable = i + 1;
		worker->dispatches = 100 * (i + 1);
		worker->ticks = 40 + i;
		worker->fiber = 0x100000001 + i;
	}
	return 0;
}

static void pair_destroy(struct fake_pair *pair)
{
	if (pair->grant)
		munmap(pair->grant, pair->grant->header.total_bytes);
	if (pair->report)
		munmap(pair->report, pair->report->header.total_bytes);
	close(pair->grant_fd);
	close(pair->report_fd);
}

/* ---------------------------------------------------------------- answers */

static void answer(int socket, const struct fake_peer *peer, const struct usched_message *request,
		   struct usched_message *message, uint16_t type, size_t bytes,
		   const int *descriptors, unsigned int count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control;
	uint8_t large[2000];
	struct iovec part;
	struct msghdr header_ = { .msg_iov = &part, .msg_iovlen = 1 };
	int fault = atomic_load(&peer->fault);

	message->magic = fault == FAKE_MAGIC ? 0x12345678 : USCHED_WIRE_MAGIC;
	message->major = fault == FAKE_MAJOR ? 9 : USCHED_WIRE_MAJOR;
	message->minor = USCHED_WIRE_MINOR;
	message->type = fault == FAKE_TYPE ? USCHED_MESSAGE_WELCOME : type;
	message->total_bytes = (uint16_t)(fault == FAKE_LENGTH ? bytes + 8 : bytes);
	message->serial = fault == FAKE_SERIAL ? request->serial + 1 : request->serial;
	part.iov_base = message;
	part.iov_len = fault == FAKE_SHORT ? 8 : bytes;
	if (fault == FAKE_LONG) {
		memset(large, 0, sizeof(large));
		memcpy(large, message, bytes);
		part.iov_base = large;
		part.iov_len = sizeof(large);
	}
	if (count) {
		struct cmsghdr *first;

		header_.msg_control = control.bytes;
		header_.msg_controllen = CMSG_SPACE(count * sizeof(int));
		memset(&control, 0, sizeof(control));
		first = CMSG_FIRSTHDR(&header_);
		first->cmsg_level = SOL_SOCKET;
		first->cmsg_type = SCM_RIGHTS;
		first->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(first), descriptors, count * sizeof(int));
	}
	sendmsg(socket, &header_, MSG_NOSIGNAL);
}

static void refuse(int socket, const struct fake_peer *peer, const struct usched_message *request,
		   int error, const char *text)
{
	struct usched_message_error message;

	memset(&message, 0, sizeof(message));
	message.error = error;
	snprintf(message.text, sizeof(message.text), "%s", text);
	answer(socket, peer, request, &message.header, USCHED_MESSAGE_ERROR, sizeof(message), NULL, 0);
}

static void answer_open(int socket, struct fake_peer *peer, const struct usched_message *request)
{
	struct fake_pair wrong, *pair = &peer->pairs[atomic_load(&peer->pair)];
	int fault = atomic_load(&peer->fault);
	int descriptor[8] = { pair->grant_fd, pair->report_fd };
	unsigned int count = 2, i;
	int made = 0, pipes[2];
	struct usched_message message;

	switch (fault) {
	case FAKE_NO_DESCRIPTORS:
		count = 0;
		break;
	case FAKE_ONE_DESCRIPTOR:
		count = 1;
		break;
	case FAKE_MORE_DESCRIPTORS:
		count = 8;
		for (i = 2; i < 8; i++)
			descriptor[i] = pair->grant_fd;
		break;
	case FAKE_PIPE:
		if (!pipe(pipes)) {
			descriptor[0] = pipes[0];
			descriptor[1] = pipes[1];
			made = 1;
		}
		break;
	case FAKE_FILE:
		descriptor[1] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		break;
	case FAKE_SESSION:
		descriptor[1] = peer->pairs[1].report_fd;
		break;
	case FAKE_STRIDE:
	case FAKE_WORKERS:
	case FAKE_LAYOUT:
		made = !fake_pair_create(&wrong, 1, FAKE_WORKERS_COUNT);
		if (fault == FAKE_STRIDE)
			wrong.report->header.worker_stride_bytes = 8;
		else if (fault == FAKE_WORKERS)
			wrong.report->header.workers = wrong.grant->header.workers = 3;
		else
			wrong.report->header.major = 2;
		descriptor[0] = wrong.grant_fd;
		descriptor[1] = wrong.report_fd;
		break;
	case FAKE_RETIRED:
		pair->grant->retired = 1;
		break;
	}
	memset(&message, 0, sizeof(message));
	answer(socket, peer, request, &message, USCHED_MESSAGE_OPEN_REPLY, sizeof(message), descriptor,
	       count);
	if (fault == FAKE_FILE)
		close(descriptor[1]);
	else if (made && fault == FAKE_PIPE) {
		close(pipes[0]);
		close(pipes[1]);
	} else if (made) {
		close(wrong.grant_fd);
		close(wrong.report_fd);
	}
}

static void answer_fibers(int socket, struct fake_peer *peer, const struct usched_message *request)
{
	struct usched_message_fibers_reply message;
	int memory = memfd_create("fibers", MFD_CLOEXEC);
	int fault = atomic_load(&peer->fault);
	unsigned int i;

	for (i = 0; i < FAKE_FIBERS_COUNT; i++) {
		struct usched_fiber_record record;
		ssize_t written;

		memset(&record, 0, sizeof(record));
		record.id = 0x500000000u - i;		/* in falling order */
		snprintf(record.name, sizeof(record.name), "fiber \033[31m%u", i);
		record.state = i;
		record.worker_cpu = i ? i : UINT32_MAX;
		record.wait_kind = i == USCHED_FIBER_RECORD_PARKED ? 5 : 0;
		record.wait_object = 11;
		record.stack_bytes = 262144;
		record.function = 0x401000;
		written = write(memory, &record, sizeof(record));
		(void)written;
	}
	memset(&message, 0, sizeof(message));
	message.count = fault == FAKE_RECORDS ? 1000 : FAKE_FIBERS_COUNT;
	message.record_bytes = fault == FAKE_RECORD_BYTES ? 8 : sizeof(struct usched_fiber_record);
	message.left_out = 2;
	message.taken_ns = now_ns();
	answer(socket, peer, request, &message.header, USCHED_MESSAGE_FIBERS_REPLY, sizeof(message),
	       &memory, 1);
	close(memory);
}

static void answer_set(int socket, struct fake_peer *peer, const struct usched_message_set *request)
{
	struct fake_pair *pair = &peer->pairs[atomic_load(&peer->pair)];
	struct usched_tunables *tunables = &pair->grant->tunables;
	struct usched_message_set_reply message;

	if (!peer->listed_pid && pair->report->attachment == USCHED_ATTACHMENT_DAEMON) {
		refuse(socket, peer, &request->header, EPERM,
		       "the daemon at /run/elsewhere owns the tunables; ask it");
		return;
	}
	memset(&message, 0, sizeof(message));
	message.old_value = tunables->values[USCHED_TUNABLE_QUANTUM];
	message.new_value = request->value;
	message.effective_value = request->value;
	message.generation = tunables->generation;
	if (!request->dry_run) {
		atomic_fetch_add(&peer->sets, 1);
		pair->grant->sequence++;
		tunables->values[USCHED_TUNABLE_QUANTUM] = request->value;
		message.generation = ++tunables->generation;
		pair->grant->sequence++;
		if (atomic_load(&peer->acknowledges)) {
			pair->report->quantum_ns = request->value &&
				request->value < pair->report->quantum_floor_ns ?
				pair->report->quantum_floor_ns : request->value;
			pair->report->tunables_acked = message.generation;
		}
	}
	answer(socket, peer, &request->header, &message.header, USCHED_MESSAGE_SET_REPLY,
	       sizeof(message), NULL, 0);
}

static void answer_list(int socket, struct fake_peer *peer, const struct usched_message *request)
{
	struct usched_message_list_entry entry;
	struct usched_message end;

	if (peer->listed_pid) {
		memset(&entry, 0, sizeof(entry));
		entry.pid = peer->listed_pid;
		entry.number = peer->listed_number;
		strcpy(entry.name, "listed");
		entry.granted_cpus = 2;
		entry.demand_cpus = 1;
		entry.quantum_ns = 500000;
		entry.carriers_refused = 7;
		answer(socket, peer, request, &entry.header, USCHED_MESSAGE_LIST_ENTRY,
		       sizeof(entry), NULL, 0);
	}
	if (atomic_load(&peer->fault) == FAKE_NO_END)
		return;
	memset(&end, 0, sizeof(end));
	answer(socket, peer, request, &end, USCHED_MESSAGE_LIST_END, sizeof(end), NULL, 0);
}

static void answer_status(int socket, struct fake_peer *peer, const struct usched_message *request)
{
	struct usched_message_status_reply message;

	memset(&message, 0, sizeof(message));
	message.pid = (uint32_t)getpid();
	message.epoch = 42;
	message.runtimes = peer->listed_pid ? 1 : 0;
	message.cpus = 4;
	message.start_time_ns = now_ns();
	message.policy_period_ns = 10000000;
	strcpy(message.version, "0.1.0");
	answer(socket, peer, request, &message.header, USCHED_MESSAGE_STATUS_REPLY, sizeof(message),
	       NULL, 0);
}

static void serve(int socket, struct fake_peer *peer)
{
	struct pollfd wait[2] = { { .fd = socket, .events = POLLIN },
				  { .fd = peer->stop, .events = POLLIN } };
	union usched_message_any request;
	int fault;

	if (poll(wait, 2, 5000) <= 0 || wait[1].revents ||
	    recv(socket, &request, sizeof(request), 0) < (ssize_t)sizeof(request.header))
		return;
	atomic_fetch_add(&peer->requests, 1);
	fault = atomic_load(&peer->fault);
	if (fault == FAKE_HANGUP)
		return;
	if (fault == FAKE_SILENT) {
		wait[0].events = POLLRDHUP;
		poll(wait, 2, 5000);
		return;
	}
	if (fault == FAKE_REFUSE) {
		refuse(socket, peer, &request.header, EACCES, "it is not yours\nreally");
		return;
	}
	switch (request.header.type) {
	case USCHED_MESSAGE_OPEN:
		atomic_store(&peer->asked, request.target.number);
		answer_open(socket, peer, &request.header);
		break;
	case USCHED_MESSAGE_FIBERS:
		answer_fibers(socket, peer, &request.header);
		break;
	case USCHED_MESSAGE_SET:
		atomic_store(&peer->asked, request.set.number);
		answer_set(socket, peer, &request.set);
		break;
	case USCHED_MESSAGE_LIST:
		answer_list(socket, peer, &request.header);
		break;
	case USCHED_MESSAGE_STATUS:
		answer_status(socket, peer, &request.header);
		break;
	default:
		refuse(socket, peer, &request.header, EINVAL, "this message is not known");
		break;
	}
	if (fault == FAKE_NO_END) {
		wait[0].events = POLLRDHUP;
		poll(wait, 2, 5000);
	}
}

static void *run(void *argument)
{
	struct fake_peer *peer = argument;
	struct pollfd wait[2] = { { .fd = peer->listener, .events = POLLIN },
				  { .fd = peer->stop, .events = POLLIN } };

	while (poll(wait, 2, -1) > 0 && !wait[1].revents) {
		int socket = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);

		if (socket < 0)
			continue;
		serve(socket, peer);
		close(socket);
	}
	return NULL;
}

int fake_peer_start(struct fake_peer *peer, const struct sockaddr_un *address, socklen_t bytes)
{
	unsigned int i;

	memset(peer, 0, sizeof(*peer));
	atomic_store(&peer->acknowledges, 1);
	for (i = 0; i < FAKE_PAIRS; i++)
		if (fake_pair_create(&peer->pairs[i], 100 + i, FAKE_WORKERS_COUNT))
			return -1;
	peer->stop = eventfd(0, EFD_CLOEXEC);
	peer->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (peer->listener < 0 || bind(peer->listener, (const struct sockaddr *)address, bytes) ||
	    listen(peer->listener, 8))
		return -1;
	return pthread_create(&peer->thread, NULL, run, peer) ? -1 : 0;
}

void fake_peer_stop(struct fake_peer *peer)
{
	const uint64_t one = 1;
	ssize_t written = write(peer->stop, &one, sizeof(one));
	unsigned int i;

	(void)written;
	pthread_join(peer->thread, NULL);
	close(peer->listener);
	close(peer->stop);
	for (i = 0; i < FAKE_PAIRS; i++)
		pair_destroy(&peer->pairs[i]);
}
