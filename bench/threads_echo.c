/* SPDX-License-Identifier: MIT */
/*
 * An echo server with a kernel thread for each connection; see usched_echo.c.
 *
 *	threads_echo LOOPS
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

enum { BUFFER_BYTES = 1024, STACK_BYTES = 65536 };

static void *loop(void *argument)
{
	for (volatile unsigned long turns = 0;; turns++)
		;
	return argument;
}

static bool write_all(int connection, const char *from, size_t count)
{
	while (count) {
		ssize_t written = write(connection, from, count);

		if (written <= 0)
			return false;
		from += written;
		count -= (size_t)written;
	}
	return true;
}

static void *serve(void *argument)
{
	int connection = (int)(intptr_t)argument;
	char buffer[BUFFER_BYTES];
	ssize_t got;

	while ((got = read(connection, buffer, sizeof(buffer))) > 0 &&
	       write_all(connection, buffer, (size_t)got))
		;
	close(connection);
	return NULL;
}

int main(int argc, char *argv[])
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), connection, on = 1;
	socklen_t bytes = sizeof(address);
	pthread_attr_t attributes;
	pthread_t thread;

	if (argc != 2) {
		fprintf(stderr, "usage: %s LOOPS\n", argv[0]);
		return 2;
	}
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, SOMAXCONN) || getsockname(listener, (struct sockaddr *)&address, &bytes))
		fail("no socket to listen on");
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (unsigned long i = strtoul(argv[1], NULL, 10); i > 0; i--) {
		if (pthread_create(&thread, &attributes, loop, NULL))
			fail("no thread");
	}
	printf("%u\n", ntohs(address.sin_port));
	fflush(stdout);
	while ((connection = accept(listener, NULL, NULL)) >= 0) {
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (pthread_create(&thread, &attributes, serve, (void *)(intptr_t)connection))
			fail("no thread");
	}
	fail("accept failed");
	return 1;
}
