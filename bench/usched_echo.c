/* SPDX-License-Identifier: MIT */
/*
 * An echo server of fibers, one for each connection, on two workers.
 *
 *	usched_echo LOOPS		fibers that compute without end beside them
 *
 * Its port is the first line on stdout; the client ends it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <usched/usched.h>

#include "measure.h"

enum { WORKERS = 2, BUFFER_BYTES = 1024 };

static void *loop(void *argument)
{
	for (volatile unsigned long turns = 0;; turns++)
		;
	return argument;
}

static void *serve(void *argument)
{
	int connection = (int)(intptr_t)argument;
	char buffer[BUFFER_BYTES];
	size_t got;

	while (usched_read(connection, buffer, sizeof(buffer), &got, USCHED_FOREVER) == 0 && got &&
	       usched_write(connection, buffer, got, NULL, USCHED_FOREVER) == 0)
		;
	usched_close(connection);
	return NULL;
}

static void *accept_all(void *argument)
{
	int listener = (int)(intptr_t)argument, connection, on = 1;

	while (usched_accept(listener, &connection, NULL, NULL, USCHED_FOREVER) == 0) {
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (usched_spawn(NULL, NULL, serve, (void *)(intptr_t)connection, NULL))
			fail("no fiber");
	}
	fail("accept failed");
	return NULL;
}

int main(int argc, char *argv[])
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t bytes = sizeof(address);
	struct usched_runtime *runtime;
	int listener;

	if (argc != 2) {
		fprintf(stderr, "usage: %s LOOPS\n", argv[0]);
		return 2;
	}
	options.workers = WORKERS;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (usched_listen(&listener, (struct sockaddr *)&address, sizeof(address), SOMAXCONN) ||
	    getsockname(listener, (struct sockaddr *)&address, &bytes))
		fail("no socket to listen on");
	if (usched_runtime_create(&runtime, &options))
		fail("no runtime");
	for (unsigned long i = strtoul(argv[1], NULL, 10); i > 0; i--) {
		if (usched_spawn(runtime, NULL, loop, NULL, NULL))
			fail("no fiber");
	}
	if (usched_spawn(runtime, NULL, accept_all, (void *)(intptr_t)listener, NULL))
		fail("no fiber");
	printf("%u\n", ntohs(address.sin_port));
	fflush(stdout);
	return usched_runtime_destroy(runtime, USCHED_FOREVER) != 0;
}
