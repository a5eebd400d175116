/* SPDX-License-Identifier: MIT */
/*
 * A short read of TCP empties the socket, so the next one waits without a try; and never waits for
 * what is there already: the end, urgent data, or what came when nobody looked at the epoll.
 *
 * No case has a deadline where a wrong wait would only come late: it hangs, and the guard ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"

enum { ROUNDS = 200, NUMBER = 300 };

static _Atomic unsigned int reads, vain_reads;

/* The library's calls come here. */
ssize_t recv(int descriptor, void *buffer, size_t count, int flags)
{
	ssize_t got = syscall(SYS_recvfrom, descriptor, buffer, count, flags, NULL, NULL);

	atomic_fetch_add(&reads, 1);
	if (got < 0)
		atomic_fetch_add(&vain_reads, 1);
	return got;
}

static void *fail(int line)
{
	return (void *)(intptr_t)line;
}

#define MUST(condition)				\
	do {					\
		if (!(condition))		\
			return fail(__LINE__);	\
	} while (0)

static void run(void *(*function)(void *))
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;
	usched_fiber_t id;
	void *failed = &options;

	options.workers = 1;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, function, NULL, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, &failed, USCHED_FOREVER), 0);
	/* A fiber must not assert: it says by its line where it failed. */
	CU_ASSERT_EQUAL((intptr_t)failed, 0);
	if (failed)
		printf("info: failed at line %d\n", (int)(intptr_t)failed);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, USCHED_FOREVER), 0);
}

/* Two ends of a connection. The first is the library's; the other is written to without it. */
static int connect_pair(int ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t bytes = sizeof(address);
	int listener, error;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	error = usched_listen(&listener, (struct sockaddr *)&address, sizeof(address), 1);
	if (error)
		return error;
	if (getsockname(listener, (struct sockaddr *)&address, &bytes))
		return -errno;
	ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(ends[1], (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	error = usched_accept(listener, &ends[0], NULL, NULL, USCHED_FOREVER);
	usched_close(listener);
	return error;
}

static int finish(int ends[2])
{
	close(ends[1]);
	return usched_close(ends[0]);
}

/* After this the library watches the connection, and its last read was a short one. */
static void *write_later(void *argument)
{
	return fail(write((int)(intptr_t)argument, "first", 5) == 5 ? 0 : __LINE__);
}

static void *read_short(int ends[2])
{
	char buffer[64];
	usched_fiber_t writer;
	size_t got;

	MUST(usched_spawn(NULL, &writer, write_later, (void *)(intptr_t)ends[1], NULL) == 0);
	MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0);
	MUST(got == 5 && !memcmp(buffer, "first", 5));
	MUST(usched_join(writer, NULL, USCHED_FOREVER) == 0);
	return NULL;
}

static void *first_read(int ends[2])
{
	MUST(connect_pair(ends) == 0);
	return read_short(ends);
}

static void *answer(void *argument)
{
	int *ends = argument;
	char buffer[64];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		MUST(write(ends[1], "question", 8) == 8);
		usched_sleep_until(usched_after(100000));
		MUST(read(ends[1], buffer, sizeof(buffer)) == 6);
	}
	return NULL;
}

static void *talk(void *argument)
{
	int ends[2];
	char buffer[64];
	usched_fiber_t peer;
	void *failed = first_read(ends);
	size_t got;

	(void)argument;
	if (failed)
		return failed;
	MUST(usched_spawn(NULL, &peer, answer, ends, NULL) == 0);
	atomic_store(&reads, 0);
	atomic_store(&vain_reads, 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0);
		MUST(got == 8);
		MUST(usched_write(ends[0], "answer", 6, NULL, USCHED_FOREVER) == 0);
	}
	MUST(usched_join(peer, &failed, USCHED_FOREVER) == 0);
	MUST(failed == NULL);
	return finish(ends) ? fail(__LINE__) : NULL;
}

static void a_request_takes_one_read(void)
{
	run(talk);
	CU_ASSERT_EQUAL(atomic_load(&reads), ROUNDS);
	CU_ASSERT_EQUAL(atomic_load(&vain_reads), 0);
}

static void *write_and_end(void *argument)
{
	int descriptor = (int)(intptr_t)argument;

	/* One worker: both are there before the epoll is looked at. */
	MUST(write(descriptor, "last", 4) == 4);
	MUST(shutdown(descriptor, SHUT_WR) == 0);
	return NULL;
}

static void *read_to_the_end(void *argument)
{
	int ends[2];
	char buffer[64];
	usched_fiber_t writer;
	void *failed = first_read(ends);
	size_t got;

	(void)argument;
	if (failed)
		return failed;
	MUST(usched_spawn(NULL, &writer, write_and_end, (void *)(intptr_t)ends[1], NULL) == 0);
	MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0 && got == 4);
	MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0 && got == 0);
	MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0 && got == 0);
	MUST(usched_join(writer, &failed, USCHED_FOREVER) == 0 && !failed);
	return finish(ends) ? fail(__LINE__) : NULL;
}

static void the_end_behind_a_short_read_is_seen(void)
{
	run(read_to_the_end);
}

static void *write_urgent(void *argument)
{
	int descriptor = (int)(intptr_t)argument;

	MUST(write(descriptor, "before", 6) == 6);
	MUST(send(descriptor, "!", 1, MSG_OOB) == 1);
	MUST(write(descriptor, "behind", 6) == 6);
	return NULL;
}

static void *read_over_urgent(void *argument)
{
	int ends[2];
	char buffer[64];
	usched_fiber_t writer;
	void *failed = first_read(ends);
	size_t got;

	(void)argument;
	if (failed)
		return failed;
	MUST(usched_spawn(NULL, &writer, write_urgent, (void *)(intptr_t)ends[1], NULL) == 0);
	MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0);
	MUST(got == 6 && !memcmp(buffer, "before", 6));
	MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0);
	MUST(got == 6 && !memcmp(buffer, "behind", 6));
	MUST(usched_join(writer, &failed, USCHED_FOREVER) == 0 && !failed);
	return finish(ends) ? fail(__LINE__) : NULL;
}

static void a_read_that_stops_at_urgent_data_is_followed_by_a_try(void)
{
	run(read_over_urgent);
}

static void *read_at_once(void *argument)
{
	int ends[2];
	char buffer[64];
	void *failed = first_read(ends);
	size_t got;

	(void)argument;
	if (failed)
		return failed;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t deadline_ns = i % 2 ? USCHED_NOW : usched_after(0);

		MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, deadline_ns) ==
		     (i % 2 ? -EAGAIN : -ETIMEDOUT));
		/* Nobody has looked at the epoll since. */
		MUST(write(ends[1], "now", 3) == 3);
		MUST(usched_read(ends[0], buffer, sizeof(buffer), &got, deadline_ns) == 0);
		MUST(got == 3);
	}
	return finish(ends) ? fail(__LINE__) : NULL;
}

static void what_is_there_is_read_whatever_the_deadline(void)
{
	run(read_at_once);
}

/* The number of a drained connection is given to another connection, and to a pipe. */
static void *reuse(void *argument)
{
	char buffer[64];
	void *failed;
	int ends[2], taken;
	size_t got;

	(void)argument;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		MUST(connect_pair(ends) == 0);
		/* One that nobody takes meanwhile, as the library's threads may. */
		taken = fcntl(ends[0], F_DUPFD_CLOEXEC, NUMBER);
		MUST(taken == NUMBER && usched_close(ends[0]) == 0);
		ends[0] = taken;
		failed = read_short(ends);
		if (failed)
			return failed;
		MUST(finish(ends) == 0);

		MUST(i % 2 ? connect_pair(ends) == 0 : pipe(ends) == 0);
		MUST(dup2(ends[0], NUMBER) == NUMBER);
		MUST(write(ends[1], "new", 3) == 3);
		MUST(usched_read(NUMBER, buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0);
		MUST(got == 3 && usched_close(NUMBER) == 0);
		MUST(finish(ends) == 0);
	}
	return NULL;
}

static void a_new_descriptor_of_that_number_is_tried(void)
{
	run(reuse);
}

static void *read_datagrams(void *argument)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t bytes = sizeof(address);
	int receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char buffer[64];
	size_t got;

	(void)argument;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(receiver, (struct sockaddr *)&address, sizeof(address)) == 0);
	MUST(getsockname(receiver, (struct sockaddr *)&address, &bytes) == 0);
	MUST(usched_read(receiver, buffer, sizeof(buffer), &got, usched_after(1000000)) == -ETIMEDOUT);
	/* One event for three of them, each shorter than the buffer. */
	for (unsigned int i = 0; i < 3; i++)
		MUST(sendto(sender, "datagram", 8, 0, (struct sockaddr *)&address,
			    sizeof(address)) == 8);
	for (unsigned int i = 0; i < 3; i++)
		MUST(usched_read(receiver, buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0 &&
		     got == 8);
	MUST(usched_close(receiver) == 0);
	return close(sender) ? fail(__LINE__) : NULL;
}

static void datagrams_are_short_and_more_may_follow(void)
{
	run(read_datagrams);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "a_request_takes_one_read", a_request_takes_one_read },
		{ "the_end_behind_a_short_read_is_seen", the_end_behind_a_short_read_is_seen },
		{ "a_read_that_stops_at_urgent_data_is_followed_by_a_try",
		  a_read_that_stops_at_urgent_data_is_followed_by_a_try },
		{ "what_is_there_is_read_whatever_the_deadline",
		  what_is_there_is_read_whatever_the_deadline },
		{ "a_new_descriptor_of_that_number_is_tried",
		  a_new_descriptor_of_that_number_is_tried },
		{ "datagrams_are_short_and_more_may_follow",
		  datagrams_are_short_and_more_may_follow },
	};

	return usched_test_main("short", tests, sizeof(tests) / sizeof(tests[0]));
}
