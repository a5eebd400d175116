/* SPDX-License-Identifier: MIT */
/*
 * Sockets and pipes: deadlines, ends, closes, and an echo over many connections.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"

#define SOON usched_after(UINT64_C(60000000000))

enum { CONNECTIONS = 500, ROUNDS = 5, BIG_BYTES = 4 << 20 };

static struct sockaddr_in address;
static unsigned int connections = CONNECTIONS;	/* fewer where descriptors are */

static struct usched_runtime *start(unsigned int workers)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;

	options.workers = workers;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	return runtime;
}

static void run(unsigned int workers, void *(*function)(void *))
{
	struct usched_runtime *runtime = start(workers);
	usched_fiber_t id;
	void *failed = runtime;

	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, function, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, &failed, SOON), 0);
	/* A fiber must not assert: it says by its line where it failed. */
	CU_ASSERT_EQUAL((intptr_t)failed, 0);
	if (failed)
		printf("info: failed at line %d\n", (int)(intptr_t)failed);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

#define MUST(condition)					\
	do {						\
		if (!(condition))			\
			return (void *)(intptr_t)__LINE__;	\
	} while (0)

static int listen_somewhere(int *listener)
{
	socklen_t bytes = sizeof(address);
	int error;

	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	error = usched_listen(listener, (struct sockaddr *)&address, sizeof(address), 128);
	if (!error && getsockname(*listener, (struct sockaddr *)&address, &bytes))
		error = -errno;
	return error;
}

static void *echo_one(void *argument)
{
	int connection = (int)(intptr_t)argument;
	char buffer[256];
	size_t got;

	while (usched_read(connection, buffer, sizeof(buffer), &got, SOON) == 0 && got > 0) {
		if (usched_write(connection, buffer, got, NULL, SOON))
			break;
	}
	usched_close(connection);
	return NULL;
}

static void *accept_all(void *argument)
{
	int listener = (int)(intptr_t)argument;

	for (unsigned int i = 0; i < connections; i++) {
		int connection;

		MUST(usched_accept(listener, &connection, NULL, NULL, SOON) == 0);
		MUST(usched_spawn(NULL, NULL, echo_one, (void *)(intptr_t)connection, NULL) == 0);
	}
	return NULL;
}

static void *one_client(void *argument)
{
	char text[32], back[32];
	size_t got;
	int socket;

	MUST(usched_connect(&socket, (struct sockaddr *)&address, sizeof(address), SOON) == 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		size_t done = 0;

		snprintf(text, sizeof(text), "%08u %p", i, argument);
		MUST(usched_write(socket, text, sizeof(text), &got, SOON) == 0 && got == sizeof(text));
		while (done < sizeof(back)) {
			MUST(usched_read(socket, back + done, sizeof(back) - done, &got, SOON) == 0);
			MUST(got > 0);
			done += got;
		}
		MUST(!memcmp(text, back, sizeof(text)));
	}
	MUST(usched_close(socket) == 0);
	return NULL;
}

static void *echoes(void *argument)
{
	usched_fiber_t acceptor, clients[CONNECTIONS];
	void *failed = NULL;
	int listener;

	(void)argument;
	MUST(listen_somewhere(&listener) == 0);
	MUST(usched_spawn(NULL, &acceptor, accept_all, (void *)(intptr_t)listener, NULL) == 0);
	for (uintptr_t i = 0; i < connections; i++)
		MUST(usched_spawn(NULL, &clients[i], one_client, (void *)i, NULL) == 0);
	for (unsigned int i = 0; i < connections; i++) {
		MUST(usched_join(clients[i], &failed, SOON) == 0);
		if (failed)
			return failed;
	}
	MUST(usched_join(acceptor, &failed, SOON) == 0);
	MUST(usched_close(listener) == 0);
	return failed;
}

static void many_connections_echo(void)
{
	run(1, echoes);
	run(0, echoes);
}

static void *refusals(void *argument)
{
	int listener, connection, client;
	char byte;
	size_t got;

	(void)argument;
	MUST(usched_read(-1, &byte, 1, &got, SOON) == -EBADF);
	MUST(listen_somewhere(&listener) == 0);
	MUST(usched_accept(listener, &connection, NULL, NULL, USCHED_NOW) == -EAGAIN);
	MUST(usched_accept(listener, &connection, NULL, NULL, usched_after(2000000)) == -ETIMEDOUT);
	MUST(usched_connect(&client, (struct sockaddr *)&address, sizeof(address), SOON) == 0);
	MUST(usched_accept(listener, &connection, NULL, NULL, SOON) == 0);
	MUST(usched_read(connection, &byte, 1, &got, USCHED_NOW) == -EAGAIN);
	MUST(usched_read(connection, &byte, 1, &got, usched_after(2000000)) == -ETIMEDOUT);
	MUST(usched_write(client, "x", 1, NULL, SOON) == 0);
	MUST(usched_read(connection, &byte, 1, &got, SOON) == 0 && got == 1 && byte == 'x');
	MUST(usched_close(client) == 0);
	MUST(usched_read(connection, &byte, 1, &got, SOON) == 0 && got == 0);
	/* The peer is gone: an error, no signal. */
	for (unsigned int i = 0; i < 100; i++) {
		int error = usched_write(connection, "x", 1, NULL, SOON);

		if (error) {
			MUST(error == -EPIPE || error == -ECONNRESET);
			break;
		}
		usched_sleep_until(usched_after(1000000));
		MUST(i < 99);
	}
	MUST(usched_close(connection) == 0);
	MUST(usched_close(listener) == 0);
	/* Nobody listens any more. */
	MUST(usched_connect(&client, (struct sockaddr *)&address, sizeof(address), SOON) ==
	     -ECONNREFUSED);
	return NULL;
}

static void deadlines_and_ends_are_told(void)
{
	run(1, refusals);
}

static int pipe_ends[2];

static void *reads_one(void *argument)
{
	char byte;
	size_t got;

	(void)argument;
	return (void *)(intptr_t)usched_read(pipe_ends[0], &byte, 1, &got, SOON);
}

static void *closes(void *argument)
{
	usched_fiber_t first, second;
	void *result = NULL;

	(void)argument;
	MUST(pipe(pipe_ends) == 0);
	MUST(usched_spawn(NULL, &first, reads_one, NULL, NULL) == 0);
	usched_sleep_until(usched_after(2000000));
	MUST(usched_spawn(NULL, &second, reads_one, NULL, NULL) == 0);
	MUST(usched_join(second, &result, SOON) == 0);
	MUST((intptr_t)result == -EBUSY);
	MUST(usched_close(pipe_ends[0]) == 0);
	MUST(usched_join(first, &result, SOON) == 0);
	MUST((intptr_t)result == -ECANCELED);
	MUST(usched_close(pipe_ends[1]) == 0);
	return NULL;
}

static void a_close_wakes_the_reader(void)
{
	run(1, closes);
}

static void *writes_much(void *argument)
{
	char *block = malloc(BIG_BYTES);
	size_t written = 0;

	(void)argument;
	MUST(block != NULL);
	for (size_t i = 0; i < BIG_BYTES; i++)
		block[i] = (char)(i * 31 >> 3);
	MUST(usched_write(pipe_ends[1], block, BIG_BYTES, &written, SOON) == 0);
	MUST(written == BIG_BYTES);
	MUST(usched_close(pipe_ends[1]) == 0);
	free(block);
	return NULL;
}

static void *pipes(void *argument)
{
	usched_fiber_t writer;
	void *failed = NULL;
	size_t total = 0, got;
	static char buffer[10000];

	(void)argument;
	MUST(pipe(pipe_ends) == 0);
	MUST(usched_spawn(NULL, &writer, writes_much, NULL, NULL) == 0);
	for (;;) {
		MUST(usched_read(pipe_ends[0], buffer, sizeof(buffer), &got, SOON) == 0);
		if (got == 0)
			break;
		for (size_t i = 0; i < got; i++)
			MUST(buffer[i] == (char)((total + i) * 31 >> 3));
		total += got;
	}
	MUST(total == BIG_BYTES);
	MUST(usched_join(writer, &failed, SOON) == 0);
	MUST(usched_close(pipe_ends[0]) == 0);
	return failed;
}

static void a_big_write_arrives_whole(void)
{
	run(1, pipes);
	run(2, pipes);
}

/* Waits in what another closes; both directions, a listener, and from where. */
static int victim;

static void *writes_until_it_ends(void *argument)
{
	static char block[65536];
	int error;

	(void)argument;
	do {
		error = usched_write(victim, block, sizeof(block), NULL, SOON);
	} while (!error);
	return (void *)(intptr_t)error;
}

static void *reads_victim(void *argument)
{
	char byte;
	size_t got;

	(void)argument;
	return (void *)(intptr_t)usched_read(victim, &byte, 1, &got, SOON);
}

static void *accepts_victim(void *argument)
{
	int connection;

	(void)argument;
	return (void *)(intptr_t)usched_accept(victim, &connection, NULL, NULL, SOON);
}

static void *closes_victim(void *argument)
{
	(void)argument;
	return (void *)(intptr_t)usched_close(victim);
}

static void *writes_one(void *argument)
{
	size_t written;

	return (void *)(intptr_t)usched_write((int)(intptr_t)argument, "y", 1, &written, SOON);
}

/* Spawn, and wait until the second one is refused: the first one waits then. */
static usched_fiber_t waiting_fiber(struct usched_runtime *runtime, void *(*function)(void *))
{
	usched_fiber_t ids[2] = { 0, 0 };
	void *result = NULL;

	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], function, NULL, NULL), 0);
	for (;;) {
		for (unsigned int i = 0; i < 2; i++) {
			int error = usched_join(ids[i], &result, usched_after(1000000));

			if (error == -ETIMEDOUT)
				continue;
			CU_ASSERT_EQUAL(error, 0);
			CU_ASSERT_EQUAL((intptr_t)result, -EBUSY);
			return ids[1 - i];
		}
	}
}

enum closer { BY_THREAD, BY_FIBER, BY_FOREIGN_FIBER, CLOSERS };

/* A fiber waits in `victim`; who else there is closes it; a new file gets the same number. */
static void close_and_reuse(void *(*function)(void *), int (*make)(int *ends), enum closer closer)
{
	struct usched_runtime *runtime = start(1);
	struct usched_runtime *foreign = start(1);
	int ends[2];
	usched_fiber_t waiter, id;
	void *result = NULL;

	CU_ASSERT_EQUAL_FATAL(make(ends), 0);
	victim = ends[0];
	waiter = waiting_fiber(runtime, function);
	if (closer == BY_THREAD) {
		CU_ASSERT_EQUAL(usched_close(victim), 0);
	} else {
		CU_ASSERT_EQUAL(usched_spawn(closer == BY_FIBER ? runtime : foreign, &id, closes_victim,
					     NULL, NULL), 0);
		CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
		CU_ASSERT_EQUAL((intptr_t)result, 0);
	}
	CU_ASSERT_EQUAL(usched_join(waiter, &result, SOON), 0);
	CU_ASSERT_EQUAL((intptr_t)result, -ECANCELED);
	if (ends[1] >= 0)
		CU_ASSERT_EQUAL(usched_close(ends[1]), 0);

	/* The number comes back as another file. */
	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	if (ends[0] != victim && ends[1] != victim)
		CU_ASSERT_EQUAL(dup2(ends[0], victim), victim);
	victim = ends[0];
	waiter = waiting_fiber(runtime, reads_victim);
	CU_ASSERT_EQUAL(usched_spawn(foreign, &id, writes_one, (void *)(intptr_t)ends[1], NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_EQUAL((intptr_t)result, 0);
	CU_ASSERT_EQUAL(usched_join(waiter, &result, SOON), 0);
	CU_ASSERT_EQUAL((intptr_t)result, 0);
	CU_ASSERT_EQUAL(usched_close(ends[0]), 0);
	CU_ASSERT_EQUAL(usched_close(ends[1]), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(foreign, SOON), 0);
}

static int make_reader(int *ends)
{
	return pipe(ends);
}

static int make_writer(int *ends)
{
	int both[2];

	if (pipe(both))
		return -errno;
	ends[0] = both[1];
	ends[1] = both[0];
	return 0;
}

static int make_listener(int *ends)
{
	ends[1] = -1;
	return listen_somewhere(&ends[0]);
}

static void whoever_closes_wakes_the_waiter(void)
{
	for (int closer = BY_THREAD; closer < CLOSERS; closer++) {
		close_and_reuse(reads_victim, make_reader, (enum closer)closer);
		close_and_reuse(writes_until_it_ends, make_writer, (enum closer)closer);
		close_and_reuse(accepts_victim, make_listener, (enum closer)closer);
	}
}

/* The server is plain threads, the clients are fibers, and they share nothing but the address. */
static void *thread_serves(void *argument)
{
	int listener = (int)(intptr_t)argument;

	for (unsigned int i = 0; i < 20; i++) {
		int connection;

		MUST(usched_accept(listener, &connection, NULL, NULL, SOON) == 0);
		echo_one((void *)(intptr_t)connection);
	}
	return NULL;
}

static void *twenty_clients(void *argument)
{
	usched_fiber_t clients[20];
	void *failed = NULL, *first = NULL;

	for (uintptr_t i = 0; i < 20; i++)
		MUST(usched_spawn(NULL, &clients[i], one_client, (void *)i, NULL) == 0);
	for (unsigned int i = 0; i < 20; i++) {
		MUST(usched_join(clients[i], &failed, SOON) == 0);
		if (failed)
			first = failed;
	}
	(void)argument;
	return first;
}

static void threads_and_fibers_talk(void)
{
	pthread_t server, client;
	void *failed = &server;
	int listener;

	/* Thread to fiber. */
	CU_ASSERT_EQUAL_FATAL(listen_somewhere(&listener), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&server, NULL, thread_serves,
					     (void *)(intptr_t)listener), 0);
	run(2, twenty_clients);
	pthread_join(server, &failed);
	CU_ASSERT_EQUAL((intptr_t)failed, 0);
	/* Thread to thread: no runtime at all. */
	CU_ASSERT_EQUAL_FATAL(pthread_create(&server, NULL, thread_serves,
					     (void *)(intptr_t)listener), 0);
	for (unsigned int i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL_FATAL(pthread_create(&client, NULL, one_client, NULL), 0);
		pthread_join(client, &failed);
		CU_ASSERT_EQUAL((intptr_t)failed, 0);
	}
	pthread_join(server, &failed);
	CU_ASSERT_EQUAL((intptr_t)failed, 0);
	CU_ASSERT_EQUAL(usched_accept(listener, &listener, NULL, NULL, USCHED_NOW), -EAGAIN);
	CU_ASSERT_EQUAL(usched_accept(listener, &listener, NULL, NULL, usched_after(1000000)),
			-ETIMEDOUT);
	CU_ASSERT_EQUAL(usched_close(listener), 0);
}

/* A write that cannot be finished says how far it came, and the rest can follow. */
static void *partial(void *argument)
{
	static char block[1 << 20], buffer[1 << 16];
	size_t written = 0, more = 0, got, total = 0;
	int ends[2];

	(void)argument;
	MUST(pipe(ends) == 0);
	MUST(usched_write(ends[1], block, 0, &written, USCHED_NOW) == 0 && written == 0);
	MUST(usched_write(ends[1], block, sizeof(block), &written, usched_after(2000000)) == -ETIMEDOUT);
	MUST(written > 0 && written < sizeof(block));
	MUST(usched_write(ends[1], block, 65536, &more, USCHED_NOW) == -EAGAIN);
	written += more;
	while (total < written) {
		MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, USCHED_NOW) == 0 && got > 0);
		total += got;
	}
	MUST(total == written);
	MUST(usched_read(ends[0], buffer, 1, &got, USCHED_NOW) == -EAGAIN);
	MUST(usched_close(ends[0]) == 0 && usched_close(ends[1]) == 0);
	MUST(usched_close(ends[1]) == -EBADF);
	MUST(usched_read(ends[0], buffer, 1, &got, SOON) == -EBADF);
	return NULL;
}

static void a_partial_write_is_told(void)
{
	run(1, partial);
}

static void *local_sockets(void *argument)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	char byte = 0;
	int listener, client, connection;
	size_t got;

	(void)argument;
	snprintf(local.sun_path + 1, sizeof(local.sun_path) - 1, "usched-t-io-%d", (int)getpid());
	MUST(usched_connect(&client, (struct sockaddr *)&local, sizeof(local), SOON) ==
	     -ECONNREFUSED);
	MUST(usched_listen(&listener, (struct sockaddr *)&local, sizeof(local), 8) == 0);
	MUST(usched_listen(&client, (struct sockaddr *)&local, sizeof(local), 8) == -EADDRINUSE);
	MUST(usched_connect(&client, (struct sockaddr *)&local, sizeof(local), SOON) == 0);
	MUST(usched_accept(listener, &connection, NULL, NULL, SOON) == 0);
	MUST(usched_write(connection, "u", 1, NULL, SOON) == 0);
	MUST(usched_read(client, &byte, 1, &got, SOON) == 0 && byte == 'u');
	/* The peer is gone: EPIPE at once, and no signal, which would end us. */
	MUST(usched_close(client) == 0);
	MUST(usched_write(connection, "u", 1, NULL, SOON) == -EPIPE);
	MUST(usched_read(connection, &byte, 1, &got, SOON) == 0 && got == 0);
	MUST(usched_close(connection) == 0 && usched_close(listener) == 0);
	return NULL;
}

static void local_sockets_work(void)
{
	CU_ASSERT(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	run(1, local_sockets);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "many_connections_echo", many_connections_echo },
		{ "deadlines_and_ends_are_told", deadlines_and_ends_are_told },
		{ "a_close_wakes_the_reader", a_close_wakes_the_reader },
		{ "a_big_write_arrives_whole", a_big_write_arrives_whole },
		{ "whoever_closes_wakes_the_waiter", whoever_closes_wakes_the_waiter },
		{ "threads_and_fibers_talk", threads_and_fibers_talk },
		{ "a_partial_write_is_told", a_partial_write_is_told },
		{ "local_sockets_work", local_sockets_work },
	};
	struct rlimit limit;

	/* Two descriptors for a connection, and some for the runtime. */
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * CONNECTIONS + 200)
		connections = 100;

	return usched_test_main("io", tests, sizeof(tests) / sizeof(tests[0]));
}
