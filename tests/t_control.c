/* SPDX-License-Identifier: MIT */
/*
 * The control plane of a runtime that is alone: what it grants itself and publishes, and how observers read
 * and set it, right, silent and strange ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness.h"
#include "lone_control.h"
#include "runtime/control_private.h"

enum { NOBODY = 65534 };

static void it_starts_alone_with_what_it_may_use(void)
{
	start(NULL);
	CU_ASSERT_EQUAL(host.applied, 1);
	CU_ASSERT_EQUAL(host.cpus[0], 0x7);	/* three of four */
	CU_ASSERT_EQUAL(host.quantum_ns, 10000000);
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_EMBEDDED);
	CU_ASSERT_EQUAL(usched_segment_grant_worker(&control->pair.grant, 3)->cpu, 4);
	CU_ASSERT_EQUAL(pass(), UINT64_MAX);
	finish();
}

static void an_active_runtime_publishes_an_idle_one_once(void)
{
	uint32_t before;

	start(NULL);
	pass();
	before = host.published;
	for (int i = 0; i < 10; i++) {
		skew_ns += 10000000;
		pass();
	}
	CU_ASSERT_EQUAL(host.published, before + 10);
	active = 0;
	for (int i = 0; i < 10; i++) {
		skew_ns += 10000000;
		pass();
	}
	CU_ASSERT_EQUAL(host.published, before + 11);
	finish();
}

/* What an idle runtime published last must be true at rest: a worker that was awake just then is
   published again, at once. */
static void what_is_published_last_is_at_rest(void)
{
	uint32_t before;

	start(NULL);
	pass();
	before = host.published;
	active = 0;
	host.awake = 1;
	CU_ASSERT(pass() <= usched_clock_now_ns() + skew_ns);
	host.awake = 0;
	CU_ASSERT_EQUAL(pass(), UINT64_MAX);
	CU_ASSERT_EQUAL(host.published, before + 2);
	pass();
	CU_ASSERT_EQUAL(host.published, before + 2);
	finish();
}

static void open_gives_the_pair_to_read(void)
{
	union usched_message_any message;
	struct usched_report report;
	int descriptors[2];
	unsigned int count = 0;

	start(NULL);
	usched_message_init(&message, USCHED_MESSAGE_OPEN, 8);
	CU_ASSERT_EQUAL_FATAL(ask(&message, descriptors, &count), 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_OPEN_REPLY);
	CU_ASSERT_EQUAL(message.header.serial, 8);
	CU_ASSERT_EQUAL_FATAL(count, 2);
	CU_ASSERT_EQUAL(pread(descriptors[1], &report, sizeof(report), 0), (ssize_t)sizeof(report));
	CU_ASSERT_EQUAL(report.pid, (uint32_t)getpid());
	CU_ASSERT_EQUAL(report.demand_cpus, 2);
	CU_ASSERT_STRING_EQUAL(report.name, "test");
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(pwrite(descriptors[i], "x", 1, 0), -1);
		CU_ASSERT_EQUAL(fcntl(descriptors[i], F_GETFL) & O_ACCMODE, O_RDONLY);
		close(descriptors[i]);
	}
	finish();
}

static void set_changes_the_quantum_and_nothing_wrong_does(void)
{
	union usched_message_any message;

	start(NULL);
	set(&message, "quantum", 2000000, 0);
	CU_ASSERT_EQUAL_FATAL(message.header.type, USCHED_MESSAGE_SET_REPLY);
	CU_ASSERT_EQUAL(message.set_reply.old_value, 10000000);
	CU_ASSERT_EQUAL(message.set_reply.effective_value, 2000000);
	CU_ASSERT_EQUAL(message.set_reply.clamped_by[0], '\0');
	CU_ASSERT_EQUAL(host.quantum_ns, 2000000);
	CU_ASSERT_EQUAL(usched_segment_report(&control->pair.report)->tunables_acked,
			message.set_reply.generation);

	set(&message, "quantum", 0, 1);
	CU_ASSERT_EQUAL(message.set_reply.effective_value, 0);
	CU_ASSERT_EQUAL(host.quantum_ns, 2000000);

	set(&message, "quantum", 100000, 0);	/* below the floor */
	CU_ASSERT_EQUAL(message.set_reply.effective_value, 200000);
	CU_ASSERT_NOT_EQUAL(message.set_reply.clamped_by[0], '\0');

	set(&message, "quantum", 99, 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_ERROR);
	CU_ASSERT_EQUAL(message.error.error, ERANGE);
	set(&message, "quantum", UINT64_MAX, 0);
	CU_ASSERT_EQUAL(message.error.error, ERANGE);
	set(&message, "quantity", 2000000, 0);
	CU_ASSERT_EQUAL(message.error.error, EINVAL);
	/* A key that fills its field has no end. */
	set(&message, "quantumquantumquantumqua", 2000000, 0);
	CU_ASSERT_EQUAL(message.error.error, EINVAL);
	CU_ASSERT_EQUAL(host.quantum_ns, 100000);

	CU_ASSERT_EQUAL(usched_control_set(control, USCHED_TUNABLE_QUANTUM, 7000000), 0);
	CU_ASSERT_EQUAL(host.quantum_ns, 7000000);
	finish();
}

static void fibers_come_as_a_sealed_file(void)
{
	union usched_message_any message;
	struct usched_fiber_record record;
	int descriptors[2];
	unsigned int count = 0;
	struct stat status;

	start(NULL);
	host.fibers = USCHED_FIBER_RECORDS_MAX + 5;
	usched_message_init(&message, USCHED_MESSAGE_FIBERS, 1);
	CU_ASSERT_EQUAL_FATAL(ask(&message, descriptors, &count), 0);
	CU_ASSERT_EQUAL_FATAL(count, 1);
	CU_ASSERT_EQUAL(message.fibers_reply.count, USCHED_FIBER_RECORDS_MAX);
	CU_ASSERT_EQUAL(message.fibers_reply.left_out, 5);
	CU_ASSERT_EQUAL(fstat(descriptors[0], &status), 0);
	CU_ASSERT_EQUAL(status.st_size, (off_t)(USCHED_FIBER_RECORDS_MAX * sizeof(record)));
	CU_ASSERT_EQUAL(pread(descriptors[0], &record, sizeof(record), sizeof(record)),
			(ssize_t)sizeof(record));
	CU_ASSERT_EQUAL(record.id, 2);
	CU_ASSERT_EQUAL(ftruncate(descriptors[0], 0), -1);
	CU_ASSERT_EQUAL(pwrite(descriptors[0], "x", 1, 0), -1);
	close(descriptors[0]);
	finish();
}

static void nonsense_is_refused_in_words(void)
{
	union usched_message_any message;
	int end;

	start(NULL);
	usched_message_init(&message, USCHED_MESSAGE_STATUS, 4);
	CU_ASSERT_EQUAL_FATAL(ask(&message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_ERROR);
	CU_ASSERT_EQUAL(message.error.error, EOPNOTSUPP);
	end = observe();
	CU_ASSERT_EQUAL(send(end, "hello?", 6, 0), 6);
	CU_ASSERT_EQUAL(await(end, &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message.error.error, EPROTO);
	CU_ASSERT_EQUAL(await(end, &message, NULL, NULL), -ECONNRESET);
	close(end);
	finish();
}

static int is_quiet(void)
{
	struct pollfd poller = { usched_control_descriptor(control), POLLIN, 0 };

	return poll(&poller, 1, 0) == 0;
}

/* C3, and the monitor sleeps meanwhile. */
static void silent_observers_cost_nothing(void)
{
	union usched_message_any message;
	int silent[USCHED_OBSERVERS_MAX], last;
	uint64_t due_ns;

	start(NULL);
	active = 0;
	for (int i = 0; i < USCHED_OBSERVERS_MAX; i++)
		silent[i] = observe();
	last = observe();
	usched_message_init(&message, USCHED_MESSAGE_OPEN, 1);
	CU_ASSERT_EQUAL(usched_message_send(last, &message, NULL, 0), 0);
	for (int i = 0; i < 4; i++)
		due_ns = pass();
	CU_ASSERT_TRUE(is_quiet());
	CU_ASSERT_TRUE(due_ns <= usched_clock_now_ns() + UINT64_C(1000000000));
	CU_ASSERT_EQUAL(usched_message_receive(last, &message, NULL, NULL), -EAGAIN);
	/* Their second is over: they go, and the ninth is served. */
	skew_ns = UINT64_C(1100000000);
	pass();
	CU_ASSERT_EQUAL(usched_message_receive(silent[0], &message, NULL, NULL), -ECONNRESET);
	skew_ns = 0;
	CU_ASSERT_EQUAL(await(last, &message, (int[2]){ 0 }, &(unsigned int){ 0 }), 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_OPEN_REPLY);
	for (int i = 0; i < USCHED_OBSERVERS_MAX; i++)
		close(silent[i]);
	close(last);
	finish();
}

static void another_user_learns_and_changes_nothing(void)
{
	union usched_message_any message;
	int ends[4], end;

	if (getuid() != 0)
		USCHED_SKIP("non-root: needs root to become another user");
	start(NULL);
	usched_message_init(&message, USCHED_MESSAGE_SET, 1);
	memcpy(message.set.key, "quantum", 7);
	CU_ASSERT_EQUAL_FATAL(seteuid(NOBODY), 0);
	for (int i = 0; i < 4; i++) {
		struct sockaddr_un address;
		socklen_t bytes;

		ends[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		usched_address_embedded(&address, &bytes, 0, getpid(), 1);
		CU_ASSERT_EQUAL(connect(ends[i], (struct sockaddr *)&address, bytes), 0);
	}
	CU_ASSERT_EQUAL_FATAL(seteuid(0), 0);
	CU_ASSERT_EQUAL(usched_message_send(ends[0], &message, NULL, 0), 0);
	CU_ASSERT_EQUAL(await(ends[0], &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_ERROR);
	CU_ASSERT_EQUAL(message.error.error, EPERM);
	CU_ASSERT_EQUAL(host.quantum_ns, 10000000);
	/* They hold two of the eight places; the rest are turned away. */
	CU_ASSERT_EQUAL(await(ends[3], &message, NULL, NULL), -ECONNRESET);
	usched_message_init(&message, USCHED_MESSAGE_FIBERS, 1);
	end = observe();
	CU_ASSERT_EQUAL(usched_message_send(end, &message, NULL, 0), 0);
	CU_ASSERT_EQUAL(await(end, &message, (int[2]){ 0 }, &(unsigned int){ 0 }), 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_FIBERS_REPLY);
	close(end);
	for (int i = 0; i < 4; i++)
		close(ends[i]);
	finish();
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "it_starts_alone_with_what_it_may_use", it_starts_alone_with_what_it_may_use },
		{ "an_active_runtime_publishes_an_idle_one_once",
		  an_active_runtime_publishes_an_idle_one_once },
		{ "what_is_published_last_is_at_rest", what_is_published_last_is_at_rest },
		{ "open_gives_the_pair_to_read", open_gives_the_pair_to_read },
		{ "set_changes_the_quantum_and_nothing_wrong_does",
		  set_changes_the_quantum_and_nothing_wrong_does },
		{ "fibers_come_as_a_sealed_file", fibers_come_as_a_sealed_file },
		{ "nonsense_is_refused_in_words", nonsense_is_refused_in_words },
		{ "silent_observers_cost_nothing", silent_observers_cost_nothing },
		{ "another_user_learns_and_changes_nothing",
		  another_user_learns_and_changes_nothing },
	};

	return usched_test_main("control", tests, sizeof(tests) / sizeof(tests[0]));
}
