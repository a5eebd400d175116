/* SPDX-License-Identifier: MIT */
/*
 * uschedd as a program: its options, its sockets and whose place they may take, and what it does with
 * those who send nonsense, nothing, or too much.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"
#include "real_daemon.h"

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

int main(void)
{
	static const struct usched_test tests[] = {
		{ "a_second_daemon_is_refused", a_second_daemon_is_refused },
		{ "wrong_options_are_refused", wrong_options_are_refused },
		{ "sockets_are_for_everybody_and_go_with_the_daemon",
		  sockets_are_for_everybody_and_go_with_the_daemon },
		{ "what_is_not_ours_is_not_removed", what_is_not_ours_is_not_removed },
		{ "nonsense_is_refused_and_counted", nonsense_is_refused_and_counted },
		{ "the_silent_are_dropped", the_silent_are_dropped },
		{ "one_that_talks_without_end_is_dropped", one_that_talks_without_end_is_dropped },
		{ "a_killed_daemon_leaves_nothing_in_the_way",
		  a_killed_daemon_leaves_nothing_in_the_way },
	};

	return real_daemon_main("daemon", tests, sizeof(tests) / sizeof(tests[0]));
}
