/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_REAL_DAEMON_H
#define USCHED_TESTS_REAL_DAEMON_H

/*
 * The uschedd of this build, on a directory of its own, and runtimes that attach to it: no fibers, only
 * what the daemon sees of one. Waiting is for a condition, with a limit that only a broken daemon reaches.
 *
 * For one source file of a program.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness.h"
#include "runtime/control_private.h"

#define LIMIT_NS UINT64_C(20000000000)

static char directory[96];
static pid_t daemon_pid;
static uint64_t machine[USCHED_CPU_WORDS];	/* CPUs of this test */
static uint32_t machine_cpus;

/* An emulator's command stands before the program's name. */
static inline pid_t spawn(const char *output, char *const arguments[])
{
	char program[512];
	const char *build = getenv("USCHED_BUILDDIR");
	char *line[16] = {
		(char *)"sh", (char *)"-c", (char *)"exec $USCHED_EMULATOR \"$@\"", (char *)"sh", program,
	};
	pid_t child;

	snprintf(program, sizeof(program), "%s/uschedd", build ? build : ".");
	for (int i = 0; arguments[i] && i < 10; i++)
		line[5 + i] = arguments[i];
	child = fork();
	if (child == 0) {
		int file = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(file, STDOUT_FILENO);
		dup2(file, STDERR_FILENO);
		execv("/bin/sh", line);
		_exit(127);
	}
	return child;
}

static inline int finish_of(pid_t child)
{
	int status = 0;

	for (uint64_t end_ns = usched_clock_now_ns() + LIMIT_NS; usched_clock_now_ns() < end_ns;) {
		pid_t ended = waitpid(child, &status, WNOHANG);

		if (ended == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		usleep(2000);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return -1;
}

static const char *file_text(const char *name)
{
	static char text[8192];
	FILE *file = fopen(name, "r");
	size_t bytes = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

	text[bytes] = '\0';
	if (file)
		fclose(file);
	return text;
}

static char log_name[128];

static inline int connect_to(const char *name)
{
	struct sockaddr_un address;
	socklen_t bytes;
	int end = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	usched_address_path(&address, &bytes, directory, name);
	if (end >= 0 && connect(end, (struct sockaddr *)&address, bytes)) {
		close(end);
		return -1;
	}
	return end;
}

static inline void start_daemon(void)
{
	char *arguments[] = {
		(char *)"--foreground", (char *)"--socket-directory", directory, (char *)"--verbose", NULL,
	};
	int end = -1;

	daemon_pid = spawn(log_name, arguments);
	for (uint64_t limit_ns = usched_clock_now_ns() + LIMIT_NS;
	     end < 0 && usched_clock_now_ns() < limit_ns; usleep(2000))
		end = connect_to("control.sock");
	CU_ASSERT_TRUE_FATAL(end >= 0);
	close(end);
}

static inline void begin(void)
{
	const char *temporary = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%.70s/usched-d.XXXXXX", temporary ? temporary : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	chmod(directory, 0755);
	snprintf(log_name, sizeof(log_name), "%s/log", directory);
	start_daemon();
}

static inline void end_daemon(void)
{
	kill(daemon_pid, SIGTERM);
	CU_ASSERT_EQUAL(finish_of(daemon_pid), 0);
	daemon_pid = 0;
}

static inline void end(void)
{
	static const char *const names[] = { "log", "log2", "lock", "client.sock", "control.sock" };
	char path[128];

	if (daemon_pid)
		end_daemon();
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	CU_ASSERT_EQUAL(rmdir(directory), 0);
}

/* The next message, waited for. */
static inline int receive(int socket, union usched_message_any *message, int *descriptors,
		   unsigned int *count)
{
	uint64_t limit_ns = usched_clock_now_ns() + LIMIT_NS;
	int error;

	do {
		struct pollfd poller = { socket, POLLIN, 0 };

		poll(&poller, 1, 100);
		error = usched_message_receive(socket, message, descriptors, count);
	} while (error == -EAGAIN && usched_clock_now_ns() < limit_ns);
	return error;
}

/* One request to the control socket, and its answer. */
static inline int ask(union usched_message_any *message, int *descriptors, unsigned int *count)
{
	int socket = connect_to("control.sock");
	int error = usched_message_send(socket, message, NULL, 0);

	if (!error)
		error = receive(socket, message, descriptors, count);
	close(socket);
	return error;
}

static inline struct usched_message_status_reply status(void)
{
	union usched_message_any message;

	usched_message_init(&message, USCHED_MESSAGE_STATUS, 1);
	CU_ASSERT_EQUAL_FATAL(ask(&message, NULL, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(message.header.type, USCHED_MESSAGE_STATUS_REPLY);
	return message.status;
}

/* A runtime that does as it is told. */
struct runtime {
	int socket;
	struct usched_pair pair;
	struct usched_message_welcome welcome;
	uint64_t cpus[USCHED_CPU_WORDS];	/* granted now		*/
	int lazy;				/* gives nothing back	*/
};

static inline void say_hello(struct runtime *runtime, const char *name, uint32_t number)
{
	union usched_message_any message;

	memset(runtime, 0, sizeof(*runtime));
	runtime->pair = (struct usched_pair){ USCHED_SEGMENT_NONE, USCHED_SEGMENT_NONE };
	runtime->socket = connect_to("client.sock");
	CU_ASSERT_TRUE_FATAL(runtime->socket >= 0);
	usched_message_init(&message, USCHED_MESSAGE_HELLO, 1);
	strncpy(message.hello.name, name, sizeof(message.hello.name) - 1);
	memcpy(message.hello.cpus, machine, sizeof(machine));
	message.hello.workers = machine_cpus;
	message.hello.workers_max = machine_cpus;
	usched_tunables_start(message.hello.tunables);
	message.hello.number = number;
	CU_ASSERT_EQUAL_FATAL(usched_message_send(runtime->socket, &message, NULL, 0), 0);
}

/* 0: a runtime that has no number, since it listens on no socket of its own. */
static inline void attach_as(struct runtime *runtime, const char *name, uint32_t number)
{
	union usched_message_any message;
	int descriptors[2];
	unsigned int count = 0;

	say_hello(runtime, name, number);
	CU_ASSERT_EQUAL_FATAL(receive(runtime->socket, &message, descriptors, &count), 0);
	CU_ASSERT_EQUAL_FATAL(message.header.type, USCHED_MESSAGE_WELCOME);
	CU_ASSERT_EQUAL_FATAL(count, 2);
	runtime->welcome = message.welcome;
	CU_ASSERT_EQUAL(fcntl(descriptors[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	CU_ASSERT_EQUAL_FATAL(usched_segment_accept(&runtime->pair.grant, USCHED_SEGMENT_GRANT, machine_cpus,
						    message.welcome.session, descriptors[0], false), 0);
	CU_ASSERT_EQUAL_FATAL(usched_segment_accept(&runtime->pair.report, USCHED_SEGMENT_REPORT,
						    machine_cpus, message.welcome.session,
						    descriptors[1], true), 0);
}

static inline void attach(struct runtime *runtime, const char *name)
{
	attach_as(runtime, name, 0);
}

static inline void detach(struct runtime *runtime)
{
	close(runtime->socket);
	usched_segment_close(&runtime->pair.grant);
	usched_segment_close(&runtime->pair.report);
}

/* The program: its machine is what this process may use. */
static inline int real_daemon_main(const char *module, const struct usched_test *tests, size_t count)
{
	cpu_set_t set;
	int result;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
		if (CPU_ISSET(cpu, &set)) {
			machine[cpu / 64] |= UINT64_C(1) << (cpu % 64);
			machine_cpus++;
		}
	}
	result = usched_test_main(module, tests, count);
	/* A case that failed half-way left its daemon. */
	if (daemon_pid > 0)
		kill(daemon_pid, SIGKILL);
	return result;
}

#endif /* USCHED_TESTS_REAL_DAEMON_H */
