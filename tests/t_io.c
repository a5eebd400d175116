/* SPDX-License-Identifier: MIT */
/*
 * Sockets and pipes: deadlines, ends, closes, and an echo over many connections.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"

#define SOON usched_after(UINT64_C(30000000000))

enum { CONNECTIONS = 100, ROUNDS = 20, BIG_BYTES = 4 << 20 };

static struct sockaddr_in address;

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

	for (unsigned int i = 0; i < CONNECTIONS; i++) {
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
	for (uintptr_t i = 0; i < CONNECTIONS; i++)
		MUST(usched_spawn(NULL, &clients[i], one_client, (void *)i, NULL) == 0);
	for (unsigned int i = 0; i < CONNECTIONS; i++) {
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

int main(void)
{
	static const struct usched_test tests[] = {
		{ "many_connections_echo", many_connections_echo },
		{ "deadlines_and_ends_are_told", deadlines_and_ends_are_told },
		{ "a_close_wakes_the_reader", a_close_wakes_the_reader },
		{ "a_big_write_arrives_whole", a_big_write_arrives_whole },
	};

	return usched_test_main("io", tests, sizeof(tests) / sizeof(tests[0]));
}
