/* SPDX-License-Identifier: MIT */
/*
 * The client and one runtime, which is a fake: what is right is read right, and each way to be wrong gives
 * its error, leaves no descriptor open and changes nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/session.h"
#include "fake_peer.h"
#include "fake_session.h"
#include "harness.h"
#include "usched/client.h"

static void text_is_made_printable(void)
{
	static const struct {
		const char *from, *to;
	} row[] = {
		{ "plain", "plain" }, { "a\nb\tc", "a?b?c" }, { "\033[31mred", "?[31mred" },
		{ "gr\xc3\xbcn", "gr\xc3\xbcn" }, { "\xc3", "?" }, { "\xff\xfe", "??" },
		{ "\xc2\x9b" "31m", "??31m" }, { "\xe2\x80\xae" "abc", "???abc" },
		{ "\xc0\x80", "??" }, { "\xed\xa0\x80", "???" }, { "", "" },
	};
	char to[24];
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		usched_client_text(to, sizeof(to), row[i].from, 24);
		CU_ASSERT_STRING_EQUAL(to, row[i].to);
	}
	/* No final zero in the source, and no room for all of it: never half a character. */
	usched_client_text(to, 4, "abcdefgh", 8);
	CU_ASSERT_STRING_EQUAL(to, "abc");
	usched_client_text(to, 4, "ab\xc3\xbc", 4);
	CU_ASSERT_STRING_EQUAL(to, "ab");
	to[0] = 'x';
	usched_client_text(to, 0, "ab", 2);
	CU_ASSERT_EQUAL(to[0], 'x');
}

static void a_session_needs_a_short_directory(void)
{
	struct usched_client_options options = USCHED_CLIENT_OPTIONS_INIT;
	struct usched_client *client = NULL;
	char name[200];

	memset(name, 'x', sizeof(name));
	name[90] = '\0';
	options.socket_directory = name;
	CU_ASSERT_EQUAL_FATAL(usched_client_open(&client, &options), 0);
	usched_client_close(client);
	client = NULL;
	name[90] = 'x';
	name[91] = '\0';
	CU_ASSERT_EQUAL(usched_client_open(&client, &options), -EINVAL);
	CU_ASSERT_PTR_NULL(client);
	options.size = 4;
	CU_ASSERT_EQUAL(usched_client_open(&client, &options), -EINVAL);

	setenv("USCHED_SOCKET", "/tmp/elsewhere", 1);
	CU_ASSERT_EQUAL_FATAL(usched_client_open(&client, NULL), 0);
	CU_ASSERT_STRING_EQUAL(usched_client_directory(client), "/tmp/elsewhere");
	usched_client_close(client);
	unsetenv("USCHED_SOCKET");
	CU_ASSERT_EQUAL_FATAL(usched_client_open(&client, NULL), 0);
	CU_ASSERT_STRING_EQUAL(usched_client_directory(client), "/run/usched");
	usched_client_close(client);
}

static void what_is_no_runtime_says_why(void)
{
	struct usched_client *client = session();
	struct usched_client_runtime *runtime = NULL;
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(0);
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(usched_client_runtime_open(client, &runtime, (uint32_t)child, 0), -ESRCH);
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->why, "there is no process"));
	CU_ASSERT_EQUAL(open_self(client, &runtime), -ESRCH);
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->why, "no usched runtime"));
	CU_ASSERT_EQUAL(usched_client_runtime_open(client, &runtime, 0, 0), -ESRCH);
	CU_ASSERT_EQUAL(usched_client_runtime_open(client, &runtime, UINT32_MAX, 0), -ESRCH);
	CU_ASSERT_PTR_NULL(runtime);
	usched_client_close(client);
}

static void a_runtime_is_read_right(void)
{
	struct usched_client_info info = { .size = sizeof(info) };
	struct usched_client_worker worker = { .size = sizeof(worker) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *snapshot;
	struct fake_peer peer;

	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_snapshot_open(runtime, &snapshot), 0);
	CU_ASSERT_EQUAL(usched_client_snapshot_info(snapshot, &info), 0);
	CU_ASSERT_EQUAL(info.pid, (uint32_t)getpid());
	CU_ASSERT_EQUAL(info.uid, geteuid());
	CU_ASSERT_STRING_EQUAL(info.name, "fake");
	CU_ASSERT_EQUAL(info.workers, FAKE_WORKERS_COUNT);
	CU_ASSERT_EQUAL(info.attachment, USCHED_CLIENT_EMBEDDED);
	CU_ASSERT_EQUAL(info.tick, USCHED_TICK_PERF);
	CU_ASSERT_EQUAL(info.quantum_ns, 2000000);
	CU_ASSERT_EQUAL(info.grant_known, 1);
	CU_ASSERT_EQUAL(info.granted_cpus, 2);
	CU_ASSERT_EQUAL(info.carriers_max, 64);
	CU_ASSERT_EQUAL(info.fibers_spawned, 9);
	CU_ASSERT_EQUAL(usched_client_snapshot_worker(snapshot, 1, &worker), 0);
	CU_ASSERT_EQUAL(worker.cpu, 1);
	CU_ASSERT_EQUAL(worker.dispatches, 200);
	CU_ASSERT_EQUAL(worker.ticks, 41);
	CU_ASSERT_EQUAL(worker.fiber, 0x100000002);
	CU_ASSERT_EQUAL(usched_client_snapshot_worker(snapshot, 2, &worker), -EINVAL);
	usched_client_snapshot_close(snapshot);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&peer);
}

static void every_wrong_answer_has_its_error(void)
{
	static const struct {
		enum fake_fault fault;
		int error;
	} row[] = {
		{ FAKE_SILENT, -ETIMEDOUT }, { FAKE_HANGUP, -EBADMSG }, { FAKE_SHORT, -EBADMSG },
		{ FAKE_LONG, -EBADMSG }, { FAKE_MAGIC, -EBADMSG }, { FAKE_MAJOR, -EBADMSG },
		{ FAKE_SERIAL, -EBADMSG }, { FAKE_TYPE, -EBADMSG }, { FAKE_LENGTH, -EBADMSG },
		{ FAKE_NO_DESCRIPTORS, -EBADMSG }, { FAKE_ONE_DESCRIPTOR, -EBADMSG },
		{ FAKE_MORE_DESCRIPTORS, -EBADMSG }, { FAKE_PIPE, -EBADMSG }, { FAKE_FILE, -EBADMSG },
		{ FAKE_SESSION, -EBADMSG }, { FAKE_STRIDE, -EBADMSG }, { FAKE_WORKERS, -EBADMSG },
		{ FAKE_LAYOUT, -EBADMSG }, { FAKE_REFUSE, -EACCES },
	};
	struct usched_client *client = session();
	struct usched_client_runtime *runtime = NULL;
	struct fake_peer peer;
	unsigned int before;
	size_t i;

	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	usched_client_runtime_close(runtime);
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int result;

		atomic_store(&peer.fault, row[i].fault);
		before = descriptors_open();
		result = open_self(client, &runtime);
		CU_ASSERT_EQUAL(result, row[i].error);
		if (result != row[i].error)
			printf("fault %d gave %d\n", (int)row[i].fault, result);
		CU_ASSERT(usched_client_failure(client)->why[0] != '\0');
		CU_ASSERT_PTR_NULL(strchr(usched_client_failure(client)->why, '\n'));
		/* The peer's thread may still hold its end: only ours is counted once it let go. */
		atomic_store(&peer.fault, FAKE_NONE);
		CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
		usched_client_runtime_close(runtime);
		{
			unsigned int patience;

			for (patience = 0; patience < 1000 && descriptors_open() > before; patience++)
				usleep(1000);
			/*
			 * The kernel closes descriptors that find no room in the receiver's buffer;
			 * qemu's user mode receives into a larger one and loses them.
			 */
			if (row[i].fault != FAKE_MORE_DESCRIPTORS || !getenv("USCHED_EMULATOR"))
				CU_ASSERT(descriptors_open() <= before);
		}
	}
	usched_client_close(client);
	fake_peer_stop(&peer);
}

static void wild_values_are_tamed(void)
{
	struct usched_client_info info = { .size = sizeof(info) };
	struct usched_client_worker worker = { .size = sizeof(worker) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *snapshot;
	struct fake_peer peer;

	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	memset(peer.pairs[0].report->name, 0x1b, sizeof(peer.pairs[0].report->name));
	peer.pairs[0].report->attachment = 99;
	peer.pairs[0].report->tick_source = 99;
	peer.pairs[0].report->demand_cpus = 1000000;
	peer.pairs[0].report->header.workers = 1000;
	peer.pairs[0].report->header.worker_stride_bytes = 1;
	fake_pair_worker(&peer.pairs[0], 0)->state = 77;
	peer.pairs[0].grant->sequence = 1;
	CU_ASSERT_EQUAL_FATAL(usched_client_snapshot_open(runtime, &snapshot), 0);
	CU_ASSERT_EQUAL(usched_client_snapshot_info(snapshot, &info), 0);
	CU_ASSERT_STRING_EQUAL(info.name, "???????????????????????");
	CU_ASSERT_EQUAL(info.attachment, USCHED_CLIENT_UNKNOWN);
	CU_ASSERT_EQUAL(info.tick, USCHED_TICK_AUTO);
	CU_ASSERT_EQUAL(info.demand_cpus, FAKE_WORKERS_COUNT);
	CU_ASSERT_EQUAL(info.workers, FAKE_WORKERS_COUNT);
	CU_ASSERT_EQUAL(info.grant_known, 0);
	CU_ASSERT_EQUAL(usched_client_snapshot_worker(snapshot, 0, &worker), 0);
	CU_ASSERT_EQUAL(worker.state, USCHED_CLIENT_WORKER_UNKNOWN);
	CU_ASSERT_EQUAL(worker.dispatches, 100);
	usched_client_snapshot_close(snapshot);

	peer.pairs[0].report->header.magic = 0;
	CU_ASSERT_EQUAL(usched_client_snapshot_open(runtime, &snapshot), -EBADMSG);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&peer);
}

static void retired_segments_are_followed(void)
{
	struct usched_client_worker worker = { .size = sizeof(worker) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *snapshot;
	struct fake_peer peer;

	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	fake_pair_worker(&peer.pairs[1], 0)->dispatches = 4711;
	atomic_store(&peer.pair, 1);
	peer.pairs[0].grant->retired = 1;
	CU_ASSERT_EQUAL_FATAL(usched_client_snapshot_open(runtime, &snapshot), 0);
	CU_ASSERT_EQUAL(usched_client_snapshot_worker(snapshot, 0, &worker), 0);
	CU_ASSERT_EQUAL(worker.dispatches, 4711);
	usched_client_snapshot_close(snapshot);

	/* A liar that never offers a living pair is given up, soon. */
	atomic_store(&peer.fault, FAKE_RETIRED);
	peer.pairs[1].grant->retired = 1;
	CU_ASSERT_EQUAL(usched_client_snapshot_open(runtime, &snapshot), -EBADMSG);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&peer);
}

static void counters_that_go_backwards_begin_anew(void)
{
	struct usched_client_worker change = { .size = sizeof(change) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *first, *second, *third;
	struct fake_peer peer;
	uint64_t elapsed_ns = 0;

	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_snapshot_open(runtime, &first), 0);
	fake_pair_worker(&peer.pairs[0], 0)->ticks += 17;
	CU_ASSERT_EQUAL_FATAL(usched_client_snapshot_open(runtime, &second), 0);
	CU_ASSERT_EQUAL(usched_client_snapshot_change(first, second, 0, &change, &elapsed_ns), 0);
	CU_ASSERT_EQUAL(change.ticks, 17);
	CU_ASSERT_EQUAL(change.dispatches, 0);
	CU_ASSERT(elapsed_ns >= 1);
	fake_pair_worker(&peer.pairs[0], 0)->parks = 0;
	fake_pair_worker(&peer.pairs[0], 0)->ticks = 3;
	CU_ASSERT_EQUAL_FATAL(usched_client_snapshot_open(runtime, &third), 0);
	CU_ASSERT_EQUAL(usched_client_snapshot_change(second, third, 0, &change, NULL), -ESTALE);
	CU_ASSERT_EQUAL(change.ticks, 17);
	CU_ASSERT_EQUAL(usched_client_snapshot_change(second, third, 1, &change, NULL), 0);
	CU_ASSERT_EQUAL(usched_client_snapshot_change(second, third, 2, &change, NULL), -EINVAL);
	usched_client_snapshot_close(first);
	usched_client_snapshot_close(second);
	usched_client_snapshot_close(third);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&peer);
}

static void fibers_are_listed_in_order(void)
{
	struct usched_client_fiber fiber = { .size = sizeof(fiber) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct usched_client_fibers *fibers = NULL;
	struct fake_peer peer;
	uint64_t last = 0;
	size_t i;

	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_fibers_open(runtime, &fibers), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_fibers_count(fibers), FAKE_FIBERS_COUNT);
	CU_ASSERT_EQUAL(usched_client_fibers_left_out(fibers), 2);
	for (i = 0; i < FAKE_FIBERS_COUNT; i++) {
		CU_ASSERT_EQUAL(usched_client_fibers_get(fibers, i, &fiber), 0);
		CU_ASSERT(fiber.id > last);
		CU_ASSERT_PTR_NULL(strchr(fiber.name, '\033'));
		CU_ASSERT_EQUAL(fiber.descriptor, fiber.state == USCHED_CLIENT_FIBER_PARKED ? 11 : -1);
		last = fiber.id;
	}
	CU_ASSERT_EQUAL(fiber.cpu, -1);
	CU_ASSERT_EQUAL(usched_client_fibers_get(fibers, i, &fiber), -EINVAL);
	usched_client_fibers_close(fibers);

	fibers = NULL;
	atomic_store(&peer.fault, FAKE_RECORDS);
	CU_ASSERT_EQUAL(usched_client_fibers_open(runtime, &fibers), -EBADMSG);
	atomic_store(&peer.fault, FAKE_RECORD_BYTES);
	CU_ASSERT_EQUAL(usched_client_fibers_open(runtime, &fibers), -EBADMSG);
	atomic_store(&peer.fault, FAKE_SILENT);
	CU_ASSERT_EQUAL(usched_client_fibers_open(runtime, &fibers), -ETIMEDOUT);
	CU_ASSERT_PTR_NULL(fibers);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&peer);
}

static void a_quantum_is_set_and_acknowledged(void)
{
	struct usched_client_setting setting = { .size = sizeof(setting) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct fake_peer peer;
	uint64_t acked_ns = 0;

	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 500000, USCHED_CLIENT_DRY_RUN, &setting), 0);
	CU_ASSERT_EQUAL(atomic_load(&peer.sets), 0);
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 500000, 0, &setting), 0);
	CU_ASSERT_EQUAL(atomic_load(&peer.sets), 1);
	CU_ASSERT_EQUAL(setting.old_value, 2000000);
	CU_ASSERT_EQUAL(setting.effective_value, 500000);
	CU_ASSERT_EQUAL(setting.through_daemon, 0);
	CU_ASSERT_STRING_EQUAL(setting.clamped_by, "");
	CU_ASSERT_EQUAL(usched_client_wait(runtime, setting.generation, usched_client_now() + TIMEOUT_NS,
					   &acked_ns), 0);
	CU_ASSERT(acked_ns > 0);

	/* The floor of the fake is 120 us. */
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 100000, 0, &setting), 0);
	CU_ASSERT_EQUAL(setting.effective_value, 120000);
	CU_ASSERT_PTR_NOT_NULL(strstr(setting.clamped_by, "floor"));
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", USCHED_QUANTUM_OFF, 0, &setting), 0);
	CU_ASSERT_EQUAL(setting.effective_value, 0);

	atomic_store(&peer.acknowledges, 0);
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 1000000, 0, &setting), 0);
	CU_ASSERT_EQUAL(usched_client_wait(runtime, setting.generation, usched_client_now() + 5000000,
					   NULL), -ETIMEDOUT);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&peer);
}

static void a_wrong_set_changes_nothing(void)
{
	static const uint64_t wrong[] = { 1, 99999, USCHED_QUANTUM_MAX_NS + 1, UINT64_MAX };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct fake_peer peer;
	size_t i;

	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", wrong[i], 0, NULL), -ERANGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->hint, "give off, auto, or from 100us to 1s"));
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantun", 1000000, 0, NULL), -EINVAL);
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 1000000, 8, NULL), -EINVAL);
	atomic_store(&peer.fault, FAKE_REFUSE);
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 1000000, 0, NULL), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->why, "it is not yours?really"));
	atomic_store(&peer.fault, FAKE_SERIAL);
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 1000000, 0, NULL), -EBADMSG);
	/* Of the requests above only those whose value was in range were sent, and the fake that
	   answered with a wrong serial is the only one that changed something. */
	CU_ASSERT_EQUAL(atomic_load(&peer.sets), 1);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&peer);
}

static void structs_of_any_size_are_filled(void)
{
	struct {
		struct usched_client_info info;
		uint64_t newer[2];
	} larger;
	struct usched_client_info info;
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *snapshot;
	struct fake_peer peer;

	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_snapshot_open(runtime, &snapshot), 0);
	memset(&larger, 0x55, sizeof(larger));
	larger.info.size = sizeof(larger);
	CU_ASSERT_EQUAL(usched_client_snapshot_info(snapshot, &larger.info), 0);
	CU_ASSERT_EQUAL(larger.info.size, sizeof(larger));
	CU_ASSERT_EQUAL(larger.newer[1], 0);
	memset(&info, 0x55, sizeof(info));
	info.size = offsetof(struct usched_client_info, uid);
	CU_ASSERT_EQUAL(usched_client_snapshot_info(snapshot, &info), 0);
	CU_ASSERT_EQUAL(info.pid, (uint32_t)getpid());
	CU_ASSERT_EQUAL(info.uid, 0x55555555);
	info.size = 4;
	CU_ASSERT_EQUAL(usched_client_snapshot_info(snapshot, &info), -EINVAL);
	usched_client_snapshot_close(snapshot);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&peer);
}

static void a_runtime_that_ends_is_gone(void)
{
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *snapshot;
	struct fake_peer peer;
	int ready[2], status;
	pid_t child;
	char byte;

	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		struct sockaddr_un address;
		socklen_t bytes = fake_runtime_address(&address, geteuid(), (unsigned int)getpid(), 1);

		if (!fake_peer_start(&peer, &address, bytes) && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	CU_ASSERT_EQUAL_FATAL(usched_client_runtime_open(client, &runtime, (uint32_t)child, 1), 0);
	kill(child, SIGKILL);
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(usched_client_snapshot_open(runtime, &snapshot), -ESRCH);
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->why, "has ended"));
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 1000000, 0, NULL), -ESRCH);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "text_is_made_printable", text_is_made_printable },
		{ "a_session_needs_a_short_directory", a_session_needs_a_short_directory },
		{ "what_is_no_runtime_says_why", what_is_no_runtime_says_why },
		{ "a_runtime_is_read_right", a_runtime_is_read_right },
		{ "every_wrong_answer_has_its_error", every_wrong_answer_has_its_error },
		{ "wild_values_are_tamed", wild_values_are_tamed },
		{ "retired_segments_are_followed", retired_segments_are_followed },
		{ "counters_that_go_backwards_begin_anew", counters_that_go_backwards_begin_anew },
		{ "fibers_are_listed_in_order", fibers_are_listed_in_order },
		{ "a_quantum_is_set_and_acknowledged", a_quantum_is_set_and_acknowledged },
		{ "a_wrong_set_changes_nothing", a_wrong_set_changes_nothing },
		{ "structs_of_any_size_are_filled", structs_of_any_size_are_filled },
		{ "a_runtime_that_ends_is_gone", a_runtime_that_ends_is_gone },
	};

	return fake_session_main("client", tests, sizeof(tests) / sizeof(tests[0]));
}
