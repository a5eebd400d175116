/* SPDX-License-Identifier: MIT */
/*
 * The real uschedd, on a directory of its own. Runtimes are this test: right ones, silent ones, lying
 * ones, dying ones; one case uses the real control plane. Waiting is for a condition, with a limit
 * that only a broken daemon reaches.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake_host.h"
#include "harness.h"
#include "runtime/control_private.h"

enum { NOBODY = 65534, RUNTIMES = 3 };
#define LIMIT_NS UINT64_C(20000000000)

static char directory[96];
static pid_t daemon_pid;
static uint64_t machine[USCHED_CPU_WORDS];	/* CPUs of this test */
static uint32_t machine_cpus;

/* An emulator's command stands before the program's name. */
static pid_t spawn(const char *output, char *const arguments[])
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

static int finish_of(pid_t child)
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

static int connect_to(const char *name)
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

static void start_daemon(void)
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

static void begin(void)
{
	const char *temporary = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%.70s/usched-d.XXXXXX", temporary ? temporary : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	chmod(directory, 0755);
	snprintf(log_name, sizeof(log_name), "%s/log", directory);
	start_daemon();
}

static void end_daemon(void)
{
	kill(daemon_pid, SIGTERM);
	CU_ASSERT_EQUAL(finish_of(daemon_pid), 0);
	daemon_pid = 0;
}

static void end(void)
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
static int receive(int socket, union usched_message_any *message, int *descriptors,
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
static int ask(union usched_message_any *message, int *descriptors, unsigned int *count)
{
	int socket = connect_to("control.sock");
	int error = usched_message_send(socket, message, NULL, 0);

	if (!error)
		error = receive(socket, message, descriptors, count);
	close(socket);
	return error;
}

static struct usched_message_status_reply status(void)
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

static void say_hello(struct runtime *runtime, const char *name, uint32_t number)
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
static void attach_as(struct runtime *runtime, const char *name, uint32_t number)
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

static void attach(struct runtime *runtime, const char *name)
{
	attach_as(runtime, name, 0);
}

static void detach(struct runtime *runtime)
{
	close(runtime->socket);
	usched_segment_close(&runtime->pair.grant);
	usched_segment_close(&runtime->pair.report);
}

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

static void a_second_daemon_is_refused(void)
{
	char *arguments[] = { (char *)"--socket-directory", directory, NULL };
	char name[128];

	begin();
	snprintf(name, sizeof(name), "%s/log2", directory);
	CU_ASSERT_EQUAL(finish_of(spawn(name, arguments)), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(file_text(name), "another uschedd serves this directory"));
	CU_ASSERT_PTR_NOT_NULL(strstr(file_text(name), "hint: "));
	CU_ASSERT_EQUAL(status().pid, (uint32_t)daemon_pid);
	end();
}

static void wrong_options_are_refused(void)
{
	static const struct {
		const char *option, *value;
		int code;
		const char *text;
	} cases[] = {
		{ "--nonsense", NULL, 2, "hint: " },
		{ "extra", NULL, 2, "argument 'extra': only options" },
		{ "--cpus", "1-", 2, "list of CPUs" },
		{ "--cpus", "3-1", 2, "list of CPUs" },
		{ "--cpus", "1-2x", 2, "--cpus '1-2x': this is no list of CPUs" },
		{ "--cpus", "9999", 6, "--cpus '9999': out of range" },
		{ "--cpus", "0-1024", 6, "from 0 to 1023" },
		{ "--cpus", "99999999999999999999", 6, "from 0 to 1023" },
		{ "--cpus", "9999,", 6, "from 0 to 1023" },
		{ "--cpus", "1023", 6, "--cpus '1023': the daemon may use none" },
		{ "--cpus", "", 2, "list of CPUs" },
		{ "--period", "10", 2, "unit" },
		{ "--period", "off", 2, "no time" },
		{ "--period", "\033[31m", 2, "--period '?[31m'" },
		{ "--period", "1us", 6, "from 1ms to 1s" },
		{ "--period", "2s", 6, "--period '2s': out of range" },
		{ "--period", "99999999999999999999s", 6, "from 1ms to 1s" },
		{ "--socket-directory", "", 2, "is empty" },
		{ "--socket-directory", "/nonexistent/deeper", 1, "hint: " },
		{ "--socket-directory", "/proc/nonexistent", 1, "hint: " },
		{ "--socket-directory", "/tmp/0123456789012345678901234567890123456789012345678901234567890"
		  "1234567890123456789012345", 2, "too long" },
		{ "--help", NULL, 0, "--socket-directory DIR" },
		{ "--version", NULL, 0, "uschedd 0." },
	};
	char name[] = "/tmp/usched-o.XXXXXX";
	int file = mkstemp(name);

	CU_ASSERT_TRUE_FATAL(file >= 0);
	close(file);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *arguments[] = { (char *)cases[i].option, (char *)cases[i].value, NULL };
		int code = finish_of(spawn(name, arguments));

		if (code != cases[i].code || !strstr(file_text(name), cases[i].text))
			printf("%s %s: exit code %d: %s\n", cases[i].option,
			       cases[i].value ? cases[i].value : "", code, file_text(name));
		CU_ASSERT_EQUAL(code, cases[i].code);
		CU_ASSERT_PTR_NOT_NULL(strstr(file_text(name), cases[i].text));
	}
	unlink(name);
}

static void sockets_are_for_everybody_and_go_with_the_daemon(void)
{
	struct stat info;
	char path[128];

	begin();
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, i ? "control.sock" : "client.sock");
		CU_ASSERT_EQUAL(stat(path, &info), 0);
		CU_ASSERT_EQUAL(info.st_mode & 0777, 0666);
	}
	end_daemon();
	CU_ASSERT_EQUAL(stat(path, &info), -1);
	end();
}

static int listen_at(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int end = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	CU_ASSERT_EQUAL_FATAL(bind(end, (struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(end, 1), 0);
	return end;
}

static ino_t inode_of(const char *path)
{
	struct stat info;

	return lstat(path, &info) ? 0 : info.st_ino;
}

enum place { PLACE_FILE, PLACE_LINK, PLACE_FOLDER, PLACE_LISTENER, PLACE_STREAM, PLACE_DEAD, PLACES };

/* Only a socket that nobody listens on makes way; the rest stays, and the daemon says why it ends. */
static void what_is_not_ours_is_not_removed(void)
{
	static const char *const reasons[PLACES] = {
		"is no socket", "is no socket", "is no socket", "another program listens",
		"another program listens", "",
	};
	char *arguments[] = { (char *)"--socket-directory", directory, NULL };
	char path[2][128], name[128];
	ino_t before;

	begin();
	end_daemon();
	snprintf(name, sizeof(name), "%s/log2", directory);
	for (unsigned int i = 0; i < 2; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%s", directory, i ? "control.sock" : "client.sock");
	for (int place = PLACE_FILE; place < PLACE_DEAD; place++) {
		for (unsigned int i = 0; i < 2; i++) {
			int descriptor = -1;

			if (place == PLACE_FILE)
				descriptor = open(path[i], O_WRONLY | O_CREAT | O_EXCL, 0600);
			else if (place == PLACE_LINK)
				(void)!symlink("/nonexistent", path[i]);
			else if (place == PLACE_FOLDER)
				mkdir(path[i], 0700);
			else
				descriptor = listen_at(path[i], place == PLACE_STREAM ? SOCK_STREAM :
						       SOCK_SEQPACKET);
			before = inode_of(path[i]);
			CU_ASSERT_NOT_EQUAL(before, 0);
			CU_ASSERT_EQUAL(finish_of(spawn(name, arguments)), 1);
			CU_ASSERT_PTR_NOT_NULL(strstr(file_text(name), path[i]));
			CU_ASSERT_PTR_NOT_NULL(strstr(file_text(name), reasons[place]));
			CU_ASSERT_PTR_NOT_NULL(strstr(file_text(name), "hint: "));
			CU_ASSERT_EQUAL(inode_of(path[i]), before);
			/* What it had made before it failed went with it. */
			CU_ASSERT_EQUAL(inode_of(path[!i]), 0);
			if (descriptor >= 0)
				close(descriptor);
			CU_ASSERT_EQUAL(remove(path[i]), 0);
		}
	}
	close(listen_at(path[0], SOCK_SEQPACKET));
	close(listen_at(path[1], SOCK_STREAM));
	start_daemon();
	CU_ASSERT_EQUAL(status().pid, (uint32_t)daemon_pid);

	/* Nor does it remove at its end what took the place of its socket. */
	CU_ASSERT_EQUAL(unlink(path[0]), 0);
	close(open(path[0], O_WRONLY | O_CREAT | O_EXCL, 0600));
	before = inode_of(path[0]);
	end_daemon();
	CU_ASSERT_EQUAL(inode_of(path[0]), before);
	CU_ASSERT_EQUAL(inode_of(path[1]), 0);
	end();
}

static void nonsense_is_refused_and_counted(void)
{
	static const char noise[3000];
	union usched_message_any message;
	int sockets[8], pair[2] = { 0, 1 };
	uint64_t before;

	begin();
	before = status().refused;
	for (int i = 0; i < 8; i++) {
		sockets[i] = connect_to("client.sock");
		CU_ASSERT_TRUE_FATAL(sockets[i] >= 0);
	}
	send(sockets[0], noise, sizeof(noise), 0);
	send(sockets[1], noise, 3, 0);
	usched_message_init(&message, USCHED_MESSAGE_DEMAND, 1);	/* before HELLO */
	usched_message_send(sockets[2], &message, NULL, 0);
	usched_message_init(&message, USCHED_MESSAGE_LIST, 1);		/* the other socket's */
	usched_message_send(sockets[3], &message, NULL, 0);
	usched_message_init(&message, USCHED_MESSAGE_HELLO, 1);		/* no CPUs */
	usched_message_send(sockets[4], &message, NULL, 0);
	message.hello.cpus[0] = 1;
	message.hello.workers = 1000;					/* a lie about their number */
	message.hello.workers_max = 1;
	usched_message_send(sockets[5], &message, NULL, 0);
	message.hello.workers = 1;					/* with descriptors */
	usched_message_send(sockets[6], &message, pair, 2);
	message.hello.number = USCHED_WIRE_RUNTIMES_MAX + 1;
	usched_message_send(sockets[7], &message, NULL, 0);
	for (int i = 0; i < 8; i++) {
		int error;

		do
			error = receive(sockets[i], &message, NULL, NULL);
		while (!error && message.header.type == USCHED_MESSAGE_ERROR);
		CU_ASSERT_TRUE(error == -ECONNRESET);
		close(sockets[i]);
	}
	CU_ASSERT_EQUAL(status().refused, before + 8);
	CU_ASSERT_EQUAL(status().runtimes, 0);
	/* The control socket tells what was wrong. */
	sockets[0] = connect_to("control.sock");
	send(sockets[0], noise, 100, 0);
	CU_ASSERT_EQUAL(receive(sockets[0], &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_ERROR);
	CU_ASSERT_EQUAL(receive(sockets[0], &message, NULL, NULL), -ECONNRESET);
	close(sockets[0]);
	end();
}

static void the_silent_are_dropped(void)
{
	union usched_message_any message;
	int client, observer;

	begin();
	client = connect_to("client.sock");
	observer = connect_to("control.sock");
	CU_ASSERT_EQUAL(receive(client, &message, NULL, NULL), -ECONNRESET);
	CU_ASSERT_EQUAL(receive(observer, &message, NULL, NULL), -ECONNRESET);
	close(client);
	close(observer);
	end();
}

static void one_that_talks_without_end_is_dropped(void)
{
	union usched_message_any message;
	struct runtime runtime;
	int error = 0;

	begin();
	attach(&runtime, "chatty");
	usched_message_init(&message, USCHED_MESSAGE_DEMAND, 1);
	for (int i = 0; i < 10000000 && (!error || error == -EAGAIN); i++)
		error = usched_message_send(runtime.socket, &message, NULL, 0);
	CU_ASSERT_TRUE(error == -EPIPE || error == -ECONNRESET);
	CU_ASSERT_EQUAL(status().runtimes, 0);
	detach(&runtime);
	end();
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

	socket = connect_to("control.sock");
	usched_message_init(&message, USCHED_MESSAGE_LIST, 77);
	CU_ASSERT_EQUAL(usched_message_send(socket, &message, NULL, 0), 0);
	CU_ASSERT_EQUAL_FATAL(receive(socket, &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(message.header.type, USCHED_MESSAGE_LIST_ENTRY);
	CU_ASSERT_EQUAL(message.list_entry.pid, pid);
	CU_ASSERT_EQUAL(message.list_entry.uid, getuid());
	CU_ASSERT_STRING_EQUAL(message.list_entry.name, "listed");
	CU_ASSERT_EQUAL(message.list_entry.granted_cpus, 1);
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

static void a_killed_daemon_leaves_nothing_in_the_way(void)
{
	struct runtime runtime;
	union usched_message_any message;
	uint64_t epoch;

	begin();
	attach(&runtime, "survivor");
	epoch = runtime.welcome.epoch;
	kill(daemon_pid, SIGKILL);
	CU_ASSERT_EQUAL(finish_of(daemon_pid), 128 + SIGKILL);
	while (receive(runtime.socket, &message, NULL, NULL) == 0)
		CU_ASSERT_EQUAL(message.header.type, USCHED_MESSAGE_DOORBELL);
	detach(&runtime);
	start_daemon();		/* over stale sockets, and a lock that nobody holds */
	attach(&runtime, "survivor");
	CU_ASSERT_NOT_EQUAL(runtime.welcome.epoch, epoch);
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

static const struct usched_test tests[] = {
	{ "a_second_daemon_is_refused", a_second_daemon_is_refused },
	{ "wrong_options_are_refused", wrong_options_are_refused },
	{ "sockets_are_for_everybody_and_go_with_the_daemon",
	  sockets_are_for_everybody_and_go_with_the_daemon },
	{ "what_is_not_ours_is_not_removed", what_is_not_ours_is_not_removed },
	{ "nonsense_is_refused_and_counted", nonsense_is_refused_and_counted },
	{ "the_silent_are_dropped", the_silent_are_dropped },
	{ "one_that_talks_without_end_is_dropped", one_that_talks_without_end_is_dropped },
	{ "cpus_are_shared_by_demand", cpus_are_shared_by_demand },
	{ "a_cpu_that_is_not_given_back_goes_on_in_time", a_cpu_that_is_not_given_back_goes_on_in_time },
	{ "a_killed_process_frees_its_cpus", a_killed_process_frees_its_cpus },
	{ "a_child_of_fork_keeps_no_entry", a_child_of_fork_keeps_no_entry },
	{ "observers_list_open_and_set", observers_list_open_and_set },
	{ "runtimes_of_one_process_are_told_apart", runtimes_of_one_process_are_told_apart },
	{ "another_user_learns_and_changes_nothing", another_user_learns_and_changes_nothing },
	{ "a_killed_daemon_leaves_nothing_in_the_way", a_killed_daemon_leaves_nothing_in_the_way },
	{ "the_real_control_plane_moves_there_and_back", the_real_control_plane_moves_there_and_back },
};

int main(void)
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
	result = usched_test_main("daemon", tests, sizeof(tests) / sizeof(tests[0]));
	/* A case that failed half-way left its daemon. */
	if (daemon_pid > 0)
		kill(daemon_pid, SIGKILL);
	return result;
}
