/* SPDX-License-Identifier: MIT */
/*
 * The control plane of a runtime and a daemon that is this test: right, silent, lying and dying ones. It
 * attaches, obeys, and goes on alone.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
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

static char directory[96];

/* The daemon that is this test. */
static int daemon_listener = -1, daemon_end = -1;
static struct usched_pair daemon_pair;
static union usched_message_any hello;

static void make_directory(void)
{
	const char *temporary = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%.70s/usched-t.XXXXXX", temporary ? temporary : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
}

static void remove_directory(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/client.sock", directory);
	unlink(path);
	rmdir(directory);
}

static void daemon_start(void)
{
	struct sockaddr_un address;
	socklen_t bytes;

	CU_ASSERT_EQUAL_FATAL(usched_address_path(&address, &bytes, directory, "client.sock"), 0);
	unlink(address.sun_path);
	daemon_listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CU_ASSERT_EQUAL_FATAL(bind(daemon_listener, (struct sockaddr *)&address, bytes), 0);
	CU_ASSERT_EQUAL_FATAL(listen(daemon_listener, 8), 0);
}

static void daemon_hang_up(void)
{
	if (daemon_end >= 0)
		close(daemon_end);
	daemon_end = -1;
}

static void daemon_stop(void)
{
	daemon_hang_up();
	close(daemon_listener);
	usched_segment_close(&daemon_pair.grant);
	usched_segment_close(&daemon_pair.report);
}

/* Pass until HELLO is here. */
static int daemon_hear(void)
{
	int error = -EAGAIN;

	daemon_hang_up();
	for (int i = 0; i < TRIES && error == -EAGAIN; i++) {
		struct pollfd poller = { daemon_listener, POLLIN, 0 };

		pass();
		if (daemon_end < 0 && poll(&poller, 1, 10) > 0)
			daemon_end = accept4(daemon_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (daemon_end >= 0)
			error = usched_message_receive(daemon_end, &hello, NULL, NULL);
	}
	return error;
}

enum lie { NO_LIE, LIE_SESSION, LIE_SLOTS, LIE_SWAPPED };

static void daemon_welcome(enum lie lie, uint64_t cpus)
{
	const uint64_t session[2] = { 1, 2 }, set_cpus[USCHED_CPU_WORDS] = { cpus };
	uint32_t slots = hello.hello.workers + (lie == LIE_SLOTS);
	union usched_message_any message;
	int descriptors[2];

	usched_segment_close(&daemon_pair.grant);
	usched_segment_close(&daemon_pair.report);
	CU_ASSERT_EQUAL_FATAL(usched_segment_create(&daemon_pair.grant, USCHED_SEGMENT_GRANT, slots,
						    session), 0);
	CU_ASSERT_EQUAL_FATAL(usched_segment_create(&daemon_pair.report, USCHED_SEGMENT_REPORT, slots,
						    session), 0);
	usched_grant_store(usched_segment_grant(&daemon_pair.grant), set_cpus,
			   hello.hello.tunables);
	usched_message_init(&message, USCHED_MESSAGE_WELCOME, 1);
	message.welcome.session[0] = 1 + (lie == LIE_SESSION);
	message.welcome.session[1] = 2;
	descriptors[lie == LIE_SWAPPED] = usched_segment_reopen(&daemon_pair.grant);
	descriptors[lie != LIE_SWAPPED] = dup(daemon_pair.report.descriptor);
	CU_ASSERT_EQUAL(usched_message_send(daemon_end, &message, descriptors, 2), 0);
	close(descriptors[0]);
	close(descriptors[1]);
	/* The socket is ready before this returns. */
	pass();
}

static void daemon_grant(uint64_t cpus)
{
	const uint64_t set_cpus[USCHED_CPU_WORDS] = { cpus };
	union usched_message_any bell;

	usched_grant_store(usched_segment_grant(&daemon_pair.grant), set_cpus, NULL);
	usched_message_init(&bell, USCHED_MESSAGE_DOORBELL, 0);
	CU_ASSERT_EQUAL(usched_message_send(daemon_end, &bell, NULL, 0), 0);
	pass();
}

static void attach(uint64_t cpus)
{
	daemon_start();
	CU_ASSERT_EQUAL_FATAL(daemon_hear(), 0);
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_ATTACHING);
	daemon_welcome(NO_LIE, cpus);
	CU_ASSERT_EQUAL_FATAL(control->state, USCHED_ATTACHMENT_DAEMON);
}

static void it_attaches_obeys_and_goes_on_alone(void)
{
	union usched_message_any message;
	struct usched_report *report;
	struct usched_grant_copy copy;

	make_directory();
	start(directory);
	pass();
	usched_control_set(control, USCHED_TUNABLE_QUANTUM, 3000000);
	attach(0x2);
	CU_ASSERT_EQUAL(hello.hello.workers, 4);
	CU_ASSERT_EQUAL(hello.hello.workers_max, 3);
	CU_ASSERT_EQUAL(hello.hello.cpus[0], 0x17);
	CU_ASSERT_EQUAL(hello.hello.tunables[USCHED_TUNABLE_QUANTUM], 3000000);
	CU_ASSERT_EQUAL(hello.hello.number, 1);
	CU_ASSERT_EQUAL(host.cpus[0], 0x2);
	CU_ASSERT_EQUAL(host.quantum_ns, 3000000);
	CU_ASSERT_EQUAL(usched_segment_grant(&control->old.grant)->retired, 1);
	report = usched_segment_report(&daemon_pair.report);
	CU_ASSERT_EQUAL(report->attachment, USCHED_ATTACHMENT_DAEMON);
	CU_ASSERT_EQUAL(report->pid, (uint32_t)getpid());
	CU_ASSERT_EQUAL(report->session_changes, 1);

	/* The daemon arbitrates: its grants, with what is not ours left out; our tunables no more. */
	daemon_grant(0x3f);
	CU_ASSERT_EQUAL(host.cpus[0], 0x17);
	pass();
	CU_ASSERT_EQUAL(report->grant_acked, 2);
	daemon_grant(0x20);
	CU_ASSERT_EQUAL(host.cpus[0], 0x17);	/* nothing is no grant */
	CU_ASSERT_EQUAL(usched_control_set(control, USCHED_TUNABLE_QUANTUM, 5000000), -EPERM);
	set(&message, "quantum", 5000000, 0);
	CU_ASSERT_EQUAL(message.error.error, EBUSY);
	CU_ASSERT_EQUAL(host.quantum_ns, 3000000);

	/* It dies: our own pair again, the tunables stay, an observer of the old pair sees it. */
	daemon_stop();
	pass();
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_EMBEDDED);
	CU_ASSERT_EQUAL(usched_segment_report(&control->old.report)->attachment,
			USCHED_ATTACHMENT_EXPIRED);
	CU_ASSERT_EQUAL(host.cpus[0], 0x7);
	CU_ASSERT_EQUAL(host.quantum_ns, 3000000);
	CU_ASSERT_EQUAL(usched_grant_load(usched_segment_grant(&control->pair.grant), &copy), 0);
	CU_ASSERT_EQUAL(copy.tunables[USCHED_TUNABLE_QUANTUM], 3000000);
	set(&message, "quantum", 5000000, 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_SET_REPLY);

	/* And another one is found again. */
	attach(0x1);
	CU_ASSERT_EQUAL(hello.hello.tunables[USCHED_TUNABLE_QUANTUM], 5000000);
	CU_ASSERT_EQUAL(control->moves, 3);
	finish();
	daemon_stop();
	remove_directory();
}

static void demand_is_told_when_it_changes(void)
{
	union usched_message_any message;

	make_directory();
	start(directory);
	attach(0x1);
	pass();
	CU_ASSERT_EQUAL(usched_message_receive(daemon_end, &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_DEMAND);
	skew_ns += 20000000;
	pass();
	CU_ASSERT_EQUAL(usched_message_receive(daemon_end, &message, NULL, NULL), -EAGAIN);
	host.demand = 4;
	skew_ns += 20000000;
	pass();
	CU_ASSERT_EQUAL(usched_message_receive(daemon_end, &message, NULL, NULL), 0);
	finish();
	daemon_stop();
	remove_directory();
}

static void a_lease_ends_after_500_active_passes(void)
{
	struct usched_grant *grant;
	int passes = 0;

	make_directory();
	start(directory);
	attach(0x1);
	grant = usched_segment_grant(&daemon_pair.grant);
	/* Heartbeats keep it, and so does having nothing to do; a leap of the clock is one pass. */
	for (int i = 0; i < 700; i++) {
		__atomic_store_n(&grant->heartbeat, grant->heartbeat + 1, __ATOMIC_RELAXED);
		skew_ns += 10000000;
		pass();
	}
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_DAEMON);
	active = 0;
	for (int i = 0; i < 700; i++) {
		skew_ns += 10000000;
		pass();
	}
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_DAEMON);
	active = 1;
	skew_ns += UINT64_C(3600000000000);
	pass();
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_DAEMON);
	while (control->state == USCHED_ATTACHMENT_DAEMON && passes < 2000) {
		skew_ns += 10000000;
		pass();
		passes++;
	}
	CU_ASSERT_EQUAL(passes, 499);
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_EMBEDDED);
	CU_ASSERT_EQUAL(host.cpus[0], 0x7);
	finish();
	daemon_stop();
	remove_directory();
}

static void a_lying_daemon_is_not_believed(void)
{
	make_directory();
	start(directory);
	daemon_start();
	for (enum lie lie = LIE_SESSION; lie <= LIE_SWAPPED; lie++) {
		CU_ASSERT_EQUAL_FATAL(daemon_hear(), 0);
		daemon_welcome(lie, 0x1);
		CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_EMBEDDED);
		CU_ASSERT_EQUAL(host.cpus[0], 0x7);
		skew_ns += UINT64_C(60000000000);	/* past the pause */
	}
	/* One that says nothing: after a second we go on looking. */
	CU_ASSERT_EQUAL_FATAL(daemon_hear(), 0);
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_ATTACHING);
	skew_ns += UINT64_C(1100000000);
	pass();
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_EMBEDDED);
	CU_ASSERT_TRUE(control->retry_ns > usched_clock_now_ns() + skew_ns);
	finish();
	daemon_stop();
	remove_directory();
}

static void a_quantum_set_before_welcome_is_not_lost(void)
{
	union usched_message_any message;

	make_directory();
	start(directory);
	daemon_start();
	CU_ASSERT_EQUAL_FATAL(daemon_hear(), 0);
	CU_ASSERT_EQUAL(hello.hello.tunables[USCHED_TUNABLE_QUANTUM], 10000000);
	set(&message, "quantum", 4000000, 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_SET_REPLY);
	/* It takes its word back by hanging up, and comes again. */
	CU_ASSERT_EQUAL(usched_message_receive(daemon_end, &hello, NULL, NULL), -ECONNRESET);
	CU_ASSERT_EQUAL_FATAL(daemon_hear(), 0);
	CU_ASSERT_EQUAL(hello.hello.tunables[USCHED_TUNABLE_QUANTUM], 4000000);
	daemon_welcome(NO_LIE, 0x1);
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_DAEMON);
	CU_ASSERT_EQUAL(host.quantum_ns, 4000000);
	finish();
	daemon_stop();
	remove_directory();
}

/* Nothing is polled for: first the directory appears, then the socket in it. */
static void a_daemon_that_starts_later_is_found(void)
{
	if (getenv("USCHED_EMULATOR"))
		USCHED_SKIP("emulator: knows no inotify for sure");
	make_directory();
	CU_ASSERT_EQUAL(rmdir(directory), 0);
	active = 0;
	start(directory);
	CU_ASSERT_EQUAL(pass(), UINT64_MAX);
	CU_ASSERT_EQUAL(mkdir(directory, 0755), 0);
	attach(0x4);
	CU_ASSERT_EQUAL(host.cpus[0], 0x4);
	finish();
	daemon_stop();
	remove_directory();
}

static void another_users_daemon_is_not_used(void)
{
	if (getuid() != 0)
		USCHED_SKIP("non-root: needs root to become another user");
	make_directory();
	start(directory);
	daemon_start();
	CU_ASSERT_EQUAL_FATAL(seteuid(NOBODY), 0);
	CU_ASSERT_EQUAL(listen(daemon_listener, 8), 0);
	CU_ASSERT_EQUAL_FATAL(seteuid(0), 0);
	for (int i = 0; i < 20; i++)
		pass();
	CU_ASSERT_EQUAL(control->state, USCHED_ATTACHMENT_EMBEDDED);
	daemon_end = accept4(daemon_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (daemon_end >= 0)
		CU_ASSERT_EQUAL(usched_message_receive(daemon_end, &hello, NULL, NULL), -ECONNRESET);
	finish();
	daemon_stop();
	remove_directory();
}

static void two_runtimes_of_a_process_have_two_names(void)
{
	struct usched_control *first;
	struct sockaddr_un address;
	socklen_t bytes;
	int end = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	make_directory();
	start(NULL);
	first = control;
	start(directory);
	usched_address_embedded(&address, &bytes, getuid(), getpid(), 2);
	CU_ASSERT_EQUAL(connect(end, (struct sockaddr *)&address, bytes), 0);
	close(end);
	/* The daemon hears of it under the same number. */
	daemon_start();
	CU_ASSERT_EQUAL_FATAL(daemon_hear(), 0);
	CU_ASSERT_EQUAL(hello.hello.number, 2);
	daemon_stop();
	finish();
	usched_control_destroy(first);
	remove_directory();
	usched_control_destroy(NULL);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "it_attaches_obeys_and_goes_on_alone", it_attaches_obeys_and_goes_on_alone },
		{ "demand_is_told_when_it_changes", demand_is_told_when_it_changes },
		{ "a_lease_ends_after_500_active_passes", a_lease_ends_after_500_active_passes },
		{ "a_lying_daemon_is_not_believed", a_lying_daemon_is_not_believed },
		{ "a_quantum_set_before_welcome_is_not_lost",
		  a_quantum_set_before_welcome_is_not_lost },
		{ "a_daemon_that_starts_later_is_found", a_daemon_that_starts_later_is_found },
		{ "another_users_daemon_is_not_used", another_users_daemon_is_not_used },
		{ "two_runtimes_of_a_process_have_two_names",
		  two_runtimes_of_a_process_have_two_names },
	};

	daemon_pair.grant.descriptor = -1;
	daemon_pair.report.descriptor = -1;
	return usched_test_main("attach", tests, sizeof(tests) / sizeof(tests[0]));
}
