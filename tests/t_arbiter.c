/* SPDX-License-Identifier: MIT */
/*
 * uschedd as the arbiter of runtimes: it shares the CPUs among them, whether they are right, lazy, dying
 * or children of fork; observers list, open and set them; and the real control plane comes and goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake_host.h"
#include "harness.h"
#include "real_daemon.h"
#include "runtime/control_private.h"

enum { NOBODY = 65534 };

/* Read the grant, and give back what is gone, as a runtime would at its doorbell. */
static void obey(struct runtime *runtime)
{
	struct usched_report *report = usched_segment_report(&runtime->pair.report);
	struct usched_grant_copy copy;

	if (usched_grant_load(usched_segment_grant(&runtime->pair.grant), &copy))
		return;
	memcpy(runtime->cpus, copy.cpus, sizeof(copy.cpus));
	if (!runtime->lazy)
		__atomic_store_n(&report->grant_acked, copy.grant_generation, __ATOMIC_RELAXED);
}

static void want(struct runtime *runtime, uint32_t demand)
{
	__atomic_store_n(&usched_segment_report(&runtime->pair.report)->demand_cpus, demand,
			 __ATOMIC_RELAXED);
}

static uint32_t count_of(const uint64_t *cpus)
{
	uint32_t count = 0;

	for (unsigned int i = 0; i < USCHED_CPU_WORDS; i++)
		count += (uint32_t)__builtin_popcountll(cpus[i]);
	return count;
}

static int overlap(const struct runtime *one, const struct runtime *other)
{
	for (unsigned int i = 0; i < USCHED_CPU_WORDS; i++) {
		if (one->cpus[i] & other->cpus[i])
			return 1;
	}
	return 0;
}

/* Until each has so many CPUs, all different. */
static int come_to(struct runtime *runtimes, unsigned int count, const uint32_t *counts)
{
	for (uint64_t limit_ns = usched_clock_now_ns() + LIMIT_NS; usched_clock_now_ns() < limit_ns;
	     usleep(1000)) {
		int right = 1;

		for (unsigned int i = 0; i < count; i++) {
			obey(&runtimes[i]);
			right &= count_of(runtimes[i].cpus) == counts[i];
			for (unsigned int j = 0; j < i; j++)
				right &= !overlap(&runtimes[i], &runtimes[j]);
		}
		if (right)
			return 1;
	}
	for (unsigned int i = 0; i < count; i++)
		printf("runtime %u has %u CPUs, wanted %u\n", i, count_of(runtimes[i].cpus), counts[i]);
	return 0;
}

static void cpus_are_shared_by_demand(void)
{
	struct runtime runtimes[2];
	uint32_t half = machine_cpus / 2;

	if (machine_cpus < 2)
		USCHED_SKIP("few-cpus: two runtimes need two CPUs");
	begin();
	attach(&runtimes[0], "one");
	want(&runtimes[0], machine_cpus);
	CU_ASSERT_TRUE(come_to(runtimes, 1, (uint32_t[]){ machine_cpus }));
	attach(&runtimes[1], "other");
	CU_ASSERT_TRUE(come_to(runtimes, 2, (uint32_t[]){ machine_cpus - 1, 1 }));
	want(&runtimes[1], machine_cpus);
	CU_ASSERT_TRUE(come_to(runtimes, 2, (uint32_t[]){ machine_cpus - half, half }));
	/* What one does not want the other gets; a lie about demand is worth its share only. */
	want(&runtimes[0], 0);
	want(&runtimes[1], UINT32_MAX);
	CU_ASSERT_TRUE(come_to(runtimes, 2, (uint32_t[]){ 1, machine_cpus - 1 }));
	want(&runtimes[0], UINT32_MAX);
	CU_ASSERT_TRUE(come_to(runtimes, 2, (uint32_t[]){ machine_cpus - half, half }));
	detach(&runtimes[1]);
	CU_ASSERT_TRUE(come_to(runtimes, 1, (uint32_t[]){ machine_cpus }));
	detach(&runtimes[0]);
	end();
}

static void a_cpu_that_is_not_given_back_goes_on_in_time(void)
{
	struct runtime runtimes[2];
	uint32_t half = machine_cpus / 2;

	if (machine_cpus < 2)
		USCHED_SKIP("few-cpus: two runtimes need two CPUs");
	begin();
	attach(&runtimes[0], "lazy");
	runtimes[0].lazy = 1;
	want(&runtimes[0], machine_cpus);
	CU_ASSERT_TRUE(come_to(runtimes, 1, (uint32_t[]){ machine_cpus }));
	attach(&runtimes[1], "patient");
	want(&runtimes[1], machine_cpus);
	CU_ASSERT_TRUE(come_to(runtimes, 2, (uint32_t[]){ machine_cpus - half, half }));
	if (half > 1)
		CU_ASSERT_PTR_NOT_NULL(strstr(file_text(log_name), "did not give its CPUs back in time"));
	detach(&runtimes[0]);
	detach(&runtimes[1]);
	end();
}

static void a_killed_process_frees_its_cpus(void)
{
	struct runtime runtime, other;
	int ready[2], status_word;
	char byte;
	pid_t child;

	if (machine_cpus < 2)
		USCHED_SKIP("few-cpus: two runtimes need two CPUs");
	begin();
	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		attach(&other, "victim");
		want(&other, machine_cpus);
		(void)!write(ready[1], "x", 1);
		pause();
		_exit(0);
	}
	CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
	attach(&runtime, "heir");
	want(&runtime, machine_cpus);
	CU_ASSERT_EQUAL(status().runtimes, 2);
	kill(child, SIGKILL);
	CU_ASSERT_TRUE(come_to(&runtime, 1, (uint32_t[]){ machine_cpus }));
	CU_ASSERT_EQUAL(status().runtimes, 1);
	waitpid(child, &status_word, 0);
	close(ready[0]);
	close(ready[1]);
	detach(&runtime);
	end();
}

/* A child of a real runtime's fiber; it stays until the case is over. */
static int life[2];

static void *forks_one_that_stays(void *argument)
{
	pid_t child = fork();
	char byte;

	if (child == 0) {
		close(life[1]);
		_exit((int)read(life[0], &byte, 1));	/* until nobody is there to write */
	}
	return child > 0 ? NULL : argument;
}

static int until_runtimes_are(uint32_t count)
{
	union usched_message_any message;

	for (uint64_t limit_ns = usched_clock_now_ns() + LIMIT_NS; usched_clock_now_ns() < limit_ns;
	     usleep(2000)) {
		usched_message_init(&message, USCHED_MESSAGE_STATUS, 1);
		if (ask(&message, NULL, NULL) == 0 && message.status.runtimes == count)
			return 1;
	}
	return 0;
}

/* Their parent: one runtime ends before it, and one ends with it. */
static int forks_beside_the_daemon(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime;

	options.socket_directory = directory;
	options.workers = 1;
	for (int i = 0; i < 2; i++) {
		usched_fiber_t id;
		void *result;

		if (usched_runtime_create(&runtime, &options) || !until_runtimes_are(1))
			return 1;
		result = &id;
		if (usched_spawn(runtime, &id, forks_one_that_stays, &id, NULL) ||
		    usched_join(id, &result, usched_after(LIMIT_NS)) || result)
			return 2;
		if (i == 0 && (usched_runtime_destroy(runtime, usched_after(LIMIT_NS)) ||
			       !until_runtimes_are(0)))
			return 3;
	}
	return 0;
}

static void a_child_of_fork_keeps_no_entry(void)
{
	struct sockaddr_un address;
	socklen_t bytes;
	pid_t parent;
	int probe;

	begin();
	CU_ASSERT_EQUAL_FATAL(pipe2(life, O_CLOEXEC), 0);
	fflush(stdout);
	parent = fork();
	if (parent == 0)
		_exit(forks_beside_the_daemon());
	CU_ASSERT_EQUAL(finish_of(parent), 0);
	/* Its children live: they read from the pipe, whose other end is still here. */
	CU_ASSERT_TRUE(until_runtimes_are(0));
	for (unsigned int number = 1; number <= 2; number++) {
		probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		usched_address_embedded(&address, &bytes, getuid(), parent, number);
		CU_ASSERT_EQUAL(connect(probe, (struct sockaddr *)&address, bytes), -1);
		CU_ASSERT_EQUAL(errno, ECONNREFUSED);
		close(probe);
	}
	close(life[0]);
	close(life[1]);
	end();
}

static int set(union usched_message_any *message, const char *key, uint64_t value, uint32_t pid,
	       uint16_t dry_run, uint16_t number)
{
	usched_message_init(message, USCHED_MESSAGE_SET, 1);
	memcpy(message->set.key, key, strlen(key));
	message->set.value = value;
	message->set.pid = pid;
	message->set.dry_run = dry_run;
	message->set.number = number;
	CU_ASSERT_EQUAL_FATAL(ask(message, NULL, NULL), 0);
	return message->header.type == USCHED_MESSAGE_ERROR ? message->error.error : 0;
}

/* All passes of the policy that began after this call include what happened before it: the first may
   have been under way, the second was not. */
static int two_passes(void)
{
	uint64_t first = status().passes;

	for (uint64_t limit_ns = usched_clock_now_ns() + LIMIT_NS; usched_clock_now_ns() < limit_ns;
	     usleep(2000)) {
		if (status().passes >= first + 2)
			return 1;
	}
	return 0;
}

static void observers_list_open_and_set(void)
{
	uint32_t pid = (uint32_t)getpid();
	union usched_message_any message;
	struct usched_grant_copy copy;
	struct runtime runtime;
	int socket, descriptors[2];
	unsigned int count = 0;

	begin();
	attach(&runtime, "listed");
	CU_ASSERT_EQUAL(status().runtimes, 1);
	CU_ASSERT_EQUAL(status().epoch, runtime.welcome.epoch);
	CU_ASSERT_EQUAL(status().policy_period_ns, 10000000);
	__atomic_store_n(&usched_segment_report(&runtime.pair.report)->carriers_refused, UINT64_MAX,
			 __ATOMIC_RELAXED);
	CU_ASSERT_TRUE(two_passes());

	socket = connect_to("control.sock");
	usched_message_init(&message, USCHED_MESSAGE_LIST, 77);
	CU_ASSERT_EQUAL(usched_message_send(socket, &message, NULL, 0), 0);
	CU_ASSERT_EQUAL_FATAL(receive(socket, &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(message.header.type, USCHED_MESSAGE_LIST_ENTRY);
	CU_ASSERT_EQUAL(message.list_entry.pid, pid);
	CU_ASSERT_EQUAL(message.list_entry.uid, getuid());
	CU_ASSERT_STRING_EQUAL(message.list_entry.name, "listed");
	CU_ASSERT_EQUAL(message.list_entry.granted_cpus, 1);
	CU_ASSERT_EQUAL(message.list_entry.carriers_refused, UINT32_MAX);
	CU_ASSERT_EQUAL_FATAL(receive(socket, &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_LIST_END);
	CU_ASSERT_EQUAL(message.header.serial, 77);
	close(socket);

	usched_message_init(&message, USCHED_MESSAGE_OPEN, 1);
	message.target.pid = pid;
	CU_ASSERT_EQUAL_FATAL(ask(&message, descriptors, &count), 0);
	CU_ASSERT_EQUAL_FATAL(count, 2);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(pwrite(descriptors[i], "x", 1, 0), -1);
		close(descriptors[i]);
	}

	CU_ASSERT_EQUAL(set(&message, "quantum", 500000, pid, 1, 0), 0);
	CU_ASSERT_EQUAL(message.set_reply.old_value, 2000000);
	CU_ASSERT_EQUAL(message.set_reply.new_value, 500000);
	CU_ASSERT_EQUAL(usched_grant_load(usched_segment_grant(&runtime.pair.grant), &copy), 0);
	CU_ASSERT_EQUAL(copy.tunables[USCHED_TUNABLE_QUANTUM], 2000000);
	CU_ASSERT_EQUAL(set(&message, "quantum", 500000, pid, 0, 0), 0);
	CU_ASSERT_EQUAL(usched_grant_load(usched_segment_grant(&runtime.pair.grant), &copy), 0);
	CU_ASSERT_EQUAL(copy.tunables[USCHED_TUNABLE_QUANTUM], 500000);
	CU_ASSERT_EQUAL(copy.tunables_generation, message.set_reply.generation);
	CU_ASSERT_EQUAL(receive(runtime.socket, &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_DOORBELL);

	CU_ASSERT_EQUAL(set(&message, "quantum", 1, pid, 0, 0), ERANGE);
	CU_ASSERT_EQUAL(set(&message, "quantum", 2000000000, pid, 0, 0), ERANGE);
	CU_ASSERT_EQUAL(set(&message, "weight", 1, pid, 0, 0), EINVAL);
	CU_ASSERT_EQUAL(set(&message, "quantum", 500000, 1, 0, 0), ESRCH);
	usched_message_init(&message, USCHED_MESSAGE_FIBERS, 1);
	CU_ASSERT_EQUAL(ask(&message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message.error.error, EOPNOTSUPP);
	CU_ASSERT_EQUAL(usched_grant_load(usched_segment_grant(&runtime.pair.grant), &copy), 0);
	CU_ASSERT_EQUAL(copy.tunables[USCHED_TUNABLE_QUANTUM], 500000);
	detach(&runtime);
	end();
}

/* Of the pair that OPEN gives for this number; 0: there is no such runtime. */
static uint64_t session_of(uint32_t number)
{
	struct usched_segment_header header = { 0 };
	union usched_message_any message;
	int descriptors[2];
	unsigned int count = 0;

	usched_message_init(&message, USCHED_MESSAGE_OPEN, 1);
	message.target.pid = (uint32_t)getpid();
	message.target.number = number;
	CU_ASSERT_EQUAL_FATAL(ask(&message, descriptors, &count), 0);
	if (message.header.type == USCHED_MESSAGE_ERROR) {
		CU_ASSERT_EQUAL(message.error.error, ESRCH);
		return 0;
	}
	CU_ASSERT_EQUAL_FATAL(count, 2);
	CU_ASSERT_EQUAL(pread(descriptors[0], &header, sizeof(header), 0), (ssize_t)sizeof(header));
	close(descriptors[0]);
	close(descriptors[1]);
	return header.session[0];
}

static uint64_t quantum_of(const struct runtime *runtime)
{
	struct usched_grant_copy copy = { 0 };

	CU_ASSERT_EQUAL(usched_grant_load(usched_segment_grant(&runtime->pair.grant), &copy), 0);
	return copy.tunables[USCHED_TUNABLE_QUANTUM];
}

/* Each runtime of a process is asked by its number, in whatever order they attached. */
static void runtimes_of_one_process_are_told_apart(void)
{
	uint32_t pid = (uint32_t)getpid();
	struct runtime first, second, nameless;
	union usched_message_any message;
	uint64_t numbers = 0;
	int socket;

	begin();
	attach_as(&second, "second", 2);
	CU_ASSERT_EQUAL(session_of(0), 0);
	CU_ASSERT_EQUAL(set(&message, "quantum", 500000, pid, 0, 1), ESRCH);
	attach_as(&first, "first", 1);
	attach_as(&nameless, "nameless", 0);		/* gets 3 */

	CU_ASSERT_EQUAL(session_of(0), first.welcome.session[0]);
	CU_ASSERT_EQUAL(session_of(1), first.welcome.session[0]);
	CU_ASSERT_EQUAL(session_of(2), second.welcome.session[0]);
	CU_ASSERT_EQUAL(session_of(3), nameless.welcome.session[0]);
	CU_ASSERT_EQUAL(session_of(4), 0);

	CU_ASSERT_EQUAL(set(&message, "quantum", 500000, pid, 0, 2), 0);
	CU_ASSERT_EQUAL(quantum_of(&first), 2000000);
	CU_ASSERT_EQUAL(quantum_of(&second), 500000);
	CU_ASSERT_EQUAL(set(&message, "quantum", 700000, pid, 0, 0), 0);
	CU_ASSERT_EQUAL(set(&message, "quantum", 800000, pid, 1, 1), 0);	/* a dry run */
	CU_ASSERT_EQUAL(set(&message, "quantum", 900000, pid, 0, 3), 0);
	CU_ASSERT_EQUAL(set(&message, "quantum", 600000, pid, 0, 4), ESRCH);
	CU_ASSERT_EQUAL(quantum_of(&first), 700000);
	CU_ASSERT_EQUAL(quantum_of(&second), 500000);
	CU_ASSERT_EQUAL(quantum_of(&nameless), 900000);

	socket = connect_to("control.sock");
	usched_message_init(&message, USCHED_MESSAGE_LIST, 1);
	CU_ASSERT_EQUAL(usched_message_send(socket, &message, NULL, 0), 0);
	while (receive(socket, &message, NULL, NULL) == 0 &&
	       message.header.type == USCHED_MESSAGE_LIST_ENTRY) {
		static const char *const names[] = { "", "first", "second", "nameless" };

		CU_ASSERT_FATAL(message.list_entry.number >= 1 && message.list_entry.number <= 3);
		CU_ASSERT_STRING_EQUAL(message.list_entry.name, names[message.list_entry.number]);
		numbers |= UINT64_C(1) << message.list_entry.number;
	}
	CU_ASSERT_EQUAL(numbers, 0xe);
	close(socket);
	detach(&first);
	detach(&second);
	detach(&nameless);
	end();
}

static void another_user_learns_and_changes_nothing(void)
{
	union usched_message_any message;
	struct runtime runtime;

	if (getuid() != 0)
		USCHED_SKIP("non-root: needs root to become another user");
	begin();
	attach(&runtime, "private");
	CU_ASSERT_EQUAL_FATAL(seteuid(NOBODY), 0);
	CU_ASSERT_EQUAL(set(&message, "quantum", 500000, (uint32_t)getpid(), 0, 0), EPERM);
	usched_message_init(&message, USCHED_MESSAGE_OPEN, 1);
	message.target.pid = (uint32_t)getpid();
	CU_ASSERT_EQUAL(ask(&message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message.error.error, EPERM);
	CU_ASSERT_EQUAL(status().runtimes, 1);
	CU_ASSERT_EQUAL_FATAL(seteuid(0), 0);
	detach(&runtime);
	end();
}

static int reach(struct usched_control *control, enum usched_attachment state)
{
	for (uint64_t limit_ns = usched_clock_now_ns() + LIMIT_NS; usched_clock_now_ns() < limit_ns;) {
		struct pollfd poller = { usched_control_descriptor(control), POLLIN, 0 };

		poll(&poller, 1, 5);
		usched_control_pass(control, usched_clock_now_ns(), 1);
		if (control->state == state)
			return 1;
	}
	return 0;
}

static void the_real_control_plane_moves_there_and_back(void)
{
	static struct usched_control_options options;
	struct usched_control *control;
	struct fake_host host;
	struct usched_control_host callbacks = fake_host_of(&host);

	begin();
	memset(&host, 0, sizeof(host));
	host.demand = machine_cpus;
	options.name = "real";
	options.socket_directory = directory;
	memcpy(options.cpus, machine, sizeof(machine));
	options.workers = machine_cpus;
	options.workers_max = machine_cpus;
	usched_tunables_start(options.tunables);
	CU_ASSERT_EQUAL_FATAL(usched_control_create(&control, &options, &callbacks), 0);
	CU_ASSERT_TRUE(reach(control, USCHED_ATTACHMENT_DAEMON));
	for (uint64_t limit_ns = usched_clock_now_ns() + LIMIT_NS;
	     count_of(host.cpus) < machine_cpus && usched_clock_now_ns() < limit_ns; usleep(1000))
		usched_control_pass(control, usched_clock_now_ns(), 1);
	CU_ASSERT_EQUAL(count_of(host.cpus), machine_cpus);
	kill(daemon_pid, SIGKILL);
	finish_of(daemon_pid);
	CU_ASSERT_TRUE(reach(control, USCHED_ATTACHMENT_EMBEDDED));
	CU_ASSERT_EQUAL(count_of(host.cpus), machine_cpus);
	start_daemon();
	CU_ASSERT_TRUE(reach(control, USCHED_ATTACHMENT_DAEMON));
	usched_control_destroy(control);
	end();
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "cpus_are_shared_by_demand", cpus_are_shared_by_demand },
		{ "a_cpu_that_is_not_given_back_goes_on_in_time",
		  a_cpu_that_is_not_given_back_goes_on_in_time },
		{ "a_killed_process_frees_its_cpus", a_killed_process_frees_its_cpus },
		{ "a_child_of_fork_keeps_no_entry", a_child_of_fork_keeps_no_entry },
		{ "observers_list_open_and_set", observers_list_open_and_set },
		{ "runtimes_of_one_process_are_told_apart",
		  runtimes_of_one_process_are_told_apart },
		{ "another_user_learns_and_changes_nothing",
		  another_user_learns_and_changes_nothing },
		{ "the_real_control_plane_moves_there_and_back",
		  the_real_control_plane_moves_there_and_back },
	};

	return real_daemon_main("arbiter", tests, sizeof(tests) / sizeof(tests[0]));
}
