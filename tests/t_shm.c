/* SPDX-License-Identifier: MIT */
/*
 * The wire formats: their sizes and offsets are pinned here, a segment keeps its seals, and what
 * another process sends is believed only as far as it was checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "shm/message.h"
#include "shm/segment.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

enum { WORKERS = 3, SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static const uint64_t session[2] = { UINT64_C(0x1122334455667788), 7 };

static unsigned int open_descriptors(void)
{
	unsigned int count = 0;

	for (int i = 0; i < 256; i++)
		count += fcntl(i, F_GETFD) >= 0;
	return count;
}

/* A number here changes only together with the major version. */
static void the_layout_is_the_one_of_version_1(void)
{
#define AT(type, field, bytes) CU_ASSERT_EQUAL(offsetof(struct type, field), bytes)
	AT(usched_segment_header, major, 8);
	AT(usched_segment_header, header_bytes, 12);
	AT(usched_segment_header, worker_stride_bytes, 20);
	AT(usched_segment_header, workers, 24);
	AT(usched_segment_header, session, 32);
	AT(usched_grant, heartbeat, 128);
	AT(usched_grant, epoch, 136);
	AT(usched_grant, retired, 144);
	AT(usched_grant, weight, 152);
	AT(usched_grant, sequence, 256);
	AT(usched_grant, grant_generation, 264);
	AT(usched_grant, tunables, 272);
	AT(usched_grant, cpus, 536);
	AT(usched_grant_worker, park_generation, 8);
	AT(usched_grant_worker, futex, 16);
	AT(usched_grant_worker, cpu, 20);
	AT(usched_report, pid, 128);
	AT(usched_report, start_time_ns, 136);
	AT(usched_report, name, 144);
	AT(usched_report, tick_source, 168);
	AT(usched_report, tick_cost_ns, 176);
	AT(usched_report, flags, 200);
	AT(usched_report, perf_refused, 204);
	AT(usched_report, timer_refused, 208);
	AT(usched_report, heartbeat, 256);
	AT(usched_report, attachment, 272);
	AT(usched_report, demand_cpus, 276);
	AT(usched_report, tunables_acked, 280);
	AT(usched_report, grant_acked, 296);
	AT(usched_report, carriers, 328);
	AT(usched_report, session_changes, 344);
	AT(usched_report_worker, grant_acked, 16);
	AT(usched_report_worker, oldest_ready_ns, 32);
	AT(usched_report_worker, dispatches, 56);
	AT(usched_report_worker, handoffs_direct, 104);
	AT(usched_report_worker, yields, 136);
	AT(usched_report_worker, idle_ns, 200);
	AT(usched_report_worker, tick_lost, 208);
	AT(usched_report_worker, budget_yields, 288);
	AT(usched_report_worker, quantum_ns, 296);
	AT(usched_message, type, 8);
	AT(usched_message, serial, 12);
	AT(usched_message_hello, workers, 40);
	AT(usched_message_hello, tunables, 48);
	AT(usched_message_hello, number, 432);
	AT(usched_message_target, number, 20);
	AT(usched_message_list_entry, number, 200);
	AT(usched_message_list_entry, carriers_refused, 204);
	AT(usched_message_set, dry_run, 20);
	AT(usched_message_set, number, 22);
	AT(usched_message_set, key, 24);
	AT(usched_message_set, value, 64);
	AT(usched_message_error, text, 24);
#undef AT
	CU_ASSERT_EQUAL(sizeof(struct usched_message_status_reply), 88);
	CU_ASSERT_EQUAL(sizeof(struct usched_message_list_entry), 208);
	CU_ASSERT_EQUAL(sizeof(struct usched_message_error), 280);
	CU_ASSERT_EQUAL(usched_segment_bytes(USCHED_SEGMENT_GRANT, WORKERS), 768 + 3 * 128);
	CU_ASSERT_EQUAL(usched_segment_bytes(USCHED_SEGMENT_REPORT, WORKERS), 384 + 3 * 384);
	CU_ASSERT_EQUAL(memcmp(&(uint64_t){ USCHED_GRANT_MAGIC }, "USGRANT1", 8), 0);
}

/* Linux 5.1; an emulator may know the call and not this seal. */
static int kernel_has_future_write(void)
{
	int descriptor = memfd_create("probe", MFD_ALLOW_SEALING), result;

	result = fcntl(descriptor, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
	close(descriptor);
	return result == 0;
}

static void check_seals(enum usched_segment_kind kind)
{
	struct usched_segment segment = USCHED_SEGMENT_NONE;
	struct stat status;
	int seals;

	CU_ASSERT_EQUAL_FATAL(usched_segment_create(&segment, kind, WORKERS, session), 0);
	seals = fcntl(segment.descriptor, F_GET_SEALS);
	CU_ASSERT_EQUAL(seals & SEALS, SEALS);
	CU_ASSERT_EQUAL(ftruncate(segment.descriptor, 4096), -1);
	CU_ASSERT_EQUAL(ftruncate(segment.descriptor, 0), -1);
	CU_ASSERT_EQUAL(fcntl(segment.descriptor, F_ADD_SEALS, F_SEAL_WRITE), -1);
	CU_ASSERT_EQUAL(fstat(segment.descriptor, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(fcntl(segment.descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	/* The writer goes on writing. */
	((char *)segment.memory)[segment.bytes - 1] = 1;
	if (kind == USCHED_SEGMENT_GRANT && kernel_has_future_write()) {
		CU_ASSERT_EQUAL(seals & F_SEAL_FUTURE_WRITE, F_SEAL_FUTURE_WRITE);
		CU_ASSERT_PTR_EQUAL(mmap(NULL, segment.bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
					 segment.descriptor, 0), MAP_FAILED);
		CU_ASSERT_EQUAL(pwrite(segment.descriptor, "x", 1, 0), -1);
	}
	usched_segment_close(&segment);
	CU_ASSERT_EQUAL(segment.descriptor, -1);
	usched_segment_close(&segment);
}

static void seals_hold(void)
{
	check_seals(USCHED_SEGMENT_GRANT);
	check_seals(USCHED_SEGMENT_REPORT);
}

static void a_reader_cannot_write(void)
{
	struct usched_segment segment = USCHED_SEGMENT_NONE, seen = USCHED_SEGMENT_NONE;
	uint64_t tunables[USCHED_TUNABLES] = { 2000000 };
	int descriptor;

	CU_ASSERT_EQUAL_FATAL(usched_segment_create(&segment, USCHED_SEGMENT_GRANT, WORKERS, session), 0);
	descriptor = usched_segment_reopen(&segment);
	CU_ASSERT_TRUE_FATAL(descriptor >= 0);
	CU_ASSERT_EQUAL(pwrite(descriptor, "x", 1, 0), -1);
	CU_ASSERT_PTR_EQUAL(mmap(NULL, segment.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
			    MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(usched_segment_accept(&seen, USCHED_SEGMENT_GRANT, WORKERS, session,
						    descriptor, false), 0);
	usched_grant_store(usched_segment_grant(&segment), NULL, tunables);
	CU_ASSERT_EQUAL(usched_segment_grant(&seen)->tunables.values[0], 2000000);
	usched_segment_close(&seen);
	usched_segment_close(&segment);
}

static void a_child_does_not_inherit_the_mapping(void)
{
	struct usched_segment segment = USCHED_SEGMENT_NONE;
	int status = -1;
	pid_t child;

	if (getenv("USCHED_EMULATOR"))
		USCHED_SKIP("emulator: maps memory its own way");
	CU_ASSERT_EQUAL_FATAL(usched_segment_create(&segment, USCHED_SEGMENT_GRANT, 1, session), 0);
	child = fork();
	if (child == 0)
		_exit(msync(segment.memory, 1, MS_ASYNC) == -1 && errno == ENOMEM ? 0 : 1);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	usched_segment_close(&segment);
}

enum flaw {
	NO_FLAW, LATER_MINOR, UNSEALED, SHORT, LONG, MAGIC, OTHER_KIND, MAJOR, HEADER_BYTES, TOTAL_BYTES,
	STRIDE, SLOTS, SESSION, PLAIN_FILE, PIPE, FLAWS,
};

static int make_flawed(enum flaw flaw)
{
	uint32_t bytes = usched_segment_bytes(USCHED_SEGMENT_GRANT, WORKERS);
	struct usched_segment_header header = {
		.magic = USCHED_GRANT_MAGIC, .major = USCHED_LAYOUT_MAJOR,
		.minor = USCHED_LAYOUT_MINOR, .header_bytes = sizeof(struct usched_grant),
		.total_bytes = bytes, .worker_stride_bytes = sizeof(struct usched_grant_worker),
		.workers = WORKERS, .session = { session[0], session[1] },
	};
	int ends[2], descriptor;

	if (flaw == PIPE) {
		CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
		close(ends[1]);
		return ends[0];
	}
	if (flaw == PLAIN_FILE) {
		FILE *file = tmpfile();

		CU_ASSERT_PTR_NOT_NULL_FATAL(file);
		descriptor = dup(fileno(file));
		fclose(file);
	} else {
		descriptor = memfd_create("flawed", MFD_ALLOW_SEALING);
	}
	CU_ASSERT_TRUE_FATAL(descriptor >= 0);
	header.magic ^= flaw == MAGIC;
	if (flaw == OTHER_KIND)
		header.magic = USCHED_REPORT_MAGIC;
	header.major += flaw == MAJOR;
	header.minor += flaw == LATER_MINOR;
	header.header_bytes -= flaw == HEADER_BYTES ? 8 : 0;
	header.total_bytes += flaw == TOTAL_BYTES ? 128 : 0;
	header.worker_stride_bytes = flaw == STRIDE ? 8 : header.worker_stride_bytes;
	header.workers = flaw == SLOTS ? UINT32_MAX : header.workers;
	header.session[1] += flaw == SESSION;
	bytes += flaw == LONG ? 4096 : 0;
	bytes -= flaw == SHORT ? 1 : 0;
	CU_ASSERT_EQUAL(ftruncate(descriptor, bytes), 0);
	CU_ASSERT_EQUAL(pwrite(descriptor, &header, sizeof(header), 0), (ssize_t)sizeof(header));
	if (flaw != UNSEALED && flaw != PLAIN_FILE)
		CU_ASSERT_EQUAL(fcntl(descriptor, F_ADD_SEALS, SEALS), 0);
	return descriptor;
}

static void a_hostile_segment_is_not_mapped(void)
{
	unsigned int before = open_descriptors();

	for (int flaw = NO_FLAW; flaw < FLAWS; flaw++) {
		struct usched_segment segment = USCHED_SEGMENT_NONE;
		int result = usched_segment_accept(&segment, USCHED_SEGMENT_GRANT, WORKERS, session,
						   make_flawed((enum flaw)flaw), false);

		if (flaw <= LATER_MINOR) {
			CU_ASSERT_EQUAL(result, 0);
			usched_segment_close(&segment);
		} else {
			CU_ASSERT_EQUAL(result, -EBADMSG);
			CU_ASSERT_PTR_NULL(segment.memory);
		}
		CU_ASSERT_EQUAL(open_descriptors(), before);
	}
}

static struct usched_grant shared_grant;
static _Atomic int stop;

static void *write_grants(void *argument)
{
	uint64_t cpus[USCHED_CPU_WORDS], values[USCHED_TUNABLES];

	for (uint64_t value = 1; !atomic_load(&stop); value++) {
		for (unsigned int i = 0; i < USCHED_CPU_WORDS; i++)
			cpus[i] = value;
		for (unsigned int i = 0; i < USCHED_TUNABLES; i++)
			values[i] = value;
		usched_grant_store(&shared_grant, cpus, values);
	}
	return argument;
}

static void a_grant_is_read_whole_or_not_at_all(void)
{
	const uint64_t cpus[USCHED_CPU_WORDS] = { 5 };
	struct usched_grant_copy copy;
	unsigned int whole = 0, torn = 0;
	pthread_t writer;

	memset(&shared_grant, 0, sizeof(shared_grant));
	usched_grant_store(&shared_grant, cpus, NULL);
	CU_ASSERT_EQUAL(usched_grant_load(&shared_grant, &copy), 0);
	CU_ASSERT_EQUAL(copy.grant_generation, 1);
	CU_ASSERT_EQUAL(copy.tunables_generation, 0);
	CU_ASSERT_EQUAL(copy.cpus[0], 5);
	/* A writer that died in the middle: the reader gives up. */
	shared_grant.sequence++;
	CU_ASSERT_EQUAL(usched_grant_load(&shared_grant, &copy), -EAGAIN);

	memset(&shared_grant, 0, sizeof(shared_grant));
	atomic_store(&stop, 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, write_grants, NULL), 0);
	/* Until the writer has written as often: they do meet. */
	copy.grant_generation = 0;
	for (unsigned int try = 0; try < 20000000 && (whole < 20000 || copy.grant_generation < 20000);
	     try++) {
		if (usched_grant_load(&shared_grant, &copy))
			continue;
		whole++;
		torn += copy.grant_generation != copy.tunables_generation ||
			copy.tunables[0] != copy.tunables_generation ||
			copy.tunables[USCHED_TUNABLES - 1] != copy.tunables_generation;
		for (unsigned int i = 0; i < USCHED_CPU_WORDS; i++)
			torn += copy.cpus[i] != copy.grant_generation;
	}
	atomic_store(&stop, 1);
	pthread_join(writer, NULL);
	CU_ASSERT_TRUE(whole >= 20000);
	CU_ASSERT_TRUE(copy.grant_generation >= 20000);
	CU_ASSERT_EQUAL(torn, 0);
}

static void each_type_has_one_length(void)
{
	union usched_message_any message;
	unsigned int known = 0;

	for (unsigned int type = 0; type <= UINT16_MAX; type++) {
		uint32_t bytes = usched_message_bytes((uint16_t)type);

		known += bytes != 0;
		CU_ASSERT_TRUE(bytes <= sizeof(message));
	}
	CU_ASSERT_EQUAL(known, 16);
	usched_message_init(&message, USCHED_MESSAGE_SET, 9);
	CU_ASSERT_EQUAL(message.header.total_bytes, sizeof(struct usched_message_set));
	CU_ASSERT_EQUAL(message.header.serial, 9);
	CU_ASSERT_EQUAL(usched_message_check(&message, sizeof(struct usched_message_set)), 0);
	CU_ASSERT_EQUAL(usched_message_check(&message, sizeof(struct usched_message_set) - 1), -EPROTO);
	CU_ASSERT_EQUAL(usched_message_check(&message, 15), -EPROTO);
	CU_ASSERT_EQUAL(usched_message_check(&message, 0), -EPROTO);
	message.header.total_bytes++;
	CU_ASSERT_EQUAL(usched_message_check(&message, sizeof(struct usched_message_set)), -EPROTO);
	message.header.total_bytes--;
	message.header.major++;
	CU_ASSERT_EQUAL(usched_message_check(&message, sizeof(struct usched_message_set)), -EPROTONOSUPPORT);
	message.header.major--;
	message.header.type = 77;
	CU_ASSERT_EQUAL(usched_message_check(&message, sizeof(struct usched_message_set)), -EPROTO);
	message.header.type = USCHED_MESSAGE_SET;
	message.header.magic++;
	CU_ASSERT_EQUAL(usched_message_check(&message, sizeof(struct usched_message_set)), -EPROTO);
}

static void make_pair(int ends[2])
{
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static void messages_arrive_with_their_descriptors(void)
{
	union usched_message_any message, got;
	int ends[2], sent[2] = { 0, 1 }, received[2] = { -1, -1 };
	unsigned int count = 9, before;

	make_pair(ends);
	before = open_descriptors();
	CU_ASSERT_EQUAL(usched_message_receive(ends[1], &got, received, &count), -EAGAIN);
	CU_ASSERT_EQUAL(count, 0);
	usched_message_init(&message, USCHED_MESSAGE_WELCOME, 3);
	message.welcome.epoch = 42;
	CU_ASSERT_EQUAL(usched_message_send(ends[0], &message, sent, 2), 0);
	CU_ASSERT_EQUAL(usched_message_receive(ends[1], &got, received, &count), 0);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(got.welcome.epoch, 42);
	CU_ASSERT_EQUAL(fcntl(received[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(received[0]);
	close(received[1]);

	/* Where none are expected they are closed, and the message is refused. */
	CU_ASSERT_EQUAL(usched_message_send(ends[0], &message, sent, 2), 0);
	CU_ASSERT_EQUAL(usched_message_receive(ends[1], &got, NULL, NULL), -EPROTO);
	CU_ASSERT_EQUAL(open_descriptors(), before);
	close(ends[0]);
	CU_ASSERT_EQUAL(usched_message_receive(ends[1], &got, NULL, NULL), -ECONNRESET);
	CU_ASSERT_EQUAL(usched_message_send(ends[1], &message, NULL, 0), -EPIPE);
	close(ends[1]);
}

static void a_flood_of_descriptors_is_closed(void)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(200 * sizeof(int))];
	} control;
	union usched_message_any message, got;
	struct iovec part = { .iov_base = &message };
	struct msghdr envelope = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int ends[2], received[2];
	unsigned int count, before;

	if (getenv("USCHED_EMULATOR"))
		USCHED_SKIP("emulator: loses surplus descriptors");
	make_pair(ends);
	before = open_descriptors();
	memset(&control, 0, sizeof(control));
	usched_message_init(&message, USCHED_MESSAGE_WELCOME, 1);
	part.iov_len = message.header.total_bytes;
	header = CMSG_FIRSTHDR(&envelope);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(200 * sizeof(int));
	CU_ASSERT_EQUAL_FATAL(sendmsg(ends[0], &envelope, 0), (ssize_t)part.iov_len);
	CU_ASSERT_EQUAL(usched_message_receive(ends[1], &got, received, &count), -EPROTO);
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT_EQUAL(open_descriptors(), before);
	close(ends[0]);
	close(ends[1]);
}

static void a_wrong_datagram_is_taken_off_the_socket(void)
{
	static const char noise[4096];
	union usched_message_any message, got;
	int ends[2];

	make_pair(ends);
	usched_message_init(&message, USCHED_MESSAGE_DEMAND, 1);
	CU_ASSERT_EQUAL(send(ends[0], noise, sizeof(noise), 0), (ssize_t)sizeof(noise));
	CU_ASSERT_EQUAL(send(ends[0], &message, 8, 0), 8);
	CU_ASSERT_EQUAL(usched_message_send(ends[0], &message, NULL, 0), 0);
	CU_ASSERT_EQUAL(usched_message_receive(ends[1], &got, NULL, NULL), -EPROTO);
	CU_ASSERT_EQUAL(usched_message_receive(ends[1], &got, NULL, NULL), -EPROTO);
	CU_ASSERT_EQUAL(usched_message_receive(ends[1], &got, NULL, NULL), 0);
	CU_ASSERT_EQUAL(got.header.type, USCHED_MESSAGE_DEMAND);
	/* One that does not read makes nobody wait. */
	for (int i = 0; i < 100000; i++) {
		int error = usched_message_send(ends[0], &message, NULL, 0);

		if (error) {
			CU_ASSERT_EQUAL(error, -EAGAIN);
			break;
		}
		CU_ASSERT_NOT_EQUAL(i, 99999);
	}
	close(ends[0]);
	close(ends[1]);
}

static void errors_and_addresses_fit(void)
{
	union usched_message_any message;
	struct sockaddr_un address;
	char text[2 * USCHED_WIRE_TEXT_BYTES];
	socklen_t bytes;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	usched_message_error(&message, 1, EPERM, text);
	CU_ASSERT_EQUAL(strlen(message.error.text), USCHED_WIRE_TEXT_BYTES - 1);
	CU_ASSERT_EQUAL(message.error.error, EPERM);
	CU_ASSERT_EQUAL(usched_address_path(&address, &bytes, text, "client.sock"), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(usched_address_path(&address, &bytes, "/run/usched", "client.sock"), 0);
	CU_ASSERT_STRING_EQUAL(address.sun_path, "/run/usched/client.sock");
	usched_address_embedded(&address, &bytes, 1000, 4711, 1);
	CU_ASSERT_EQUAL(bytes, offsetof(struct sockaddr_un, sun_path) + 1 + strlen("usched/1000/4711"));
	CU_ASSERT_EQUAL(address.sun_path[0], '\0');
	CU_ASSERT_EQUAL(memcmp(address.sun_path + 1, "usched/1000/4711", 16), 0);
	usched_address_embedded(&address, &bytes, 1000, 4711, 12);
	CU_ASSERT_EQUAL(memcmp(address.sun_path + 1, "usched/1000/4711/12", 19), 0);
}

static const struct usched_test tests[] = {
	{ "the_layout_is_the_one_of_version_1", the_layout_is_the_one_of_version_1 },
	{ "seals_hold", seals_hold },
	{ "a_reader_cannot_write", a_reader_cannot_write },
	{ "a_child_does_not_inherit_the_mapping", a_child_does_not_inherit_the_mapping },
	{ "a_hostile_segment_is_not_mapped", a_hostile_segment_is_not_mapped },
	{ "a_grant_is_read_whole_or_not_at_all", a_grant_is_read_whole_or_not_at_all },
	{ "each_type_has_one_length", each_type_has_one_length },
	{ "messages_arrive_with_their_descriptors", messages_arrive_with_their_descriptors },
	{ "a_flood_of_descriptors_is_closed", a_flood_of_descriptors_is_closed },
	{ "a_wrong_datagram_is_taken_off_the_socket", a_wrong_datagram_is_taken_off_the_socket },
	{ "errors_and_addresses_fit", errors_and_addresses_fit },
};

int main(void)
{
	return usched_test_main("shm", tests, sizeof(tests) / sizeof(tests[0]));
}
