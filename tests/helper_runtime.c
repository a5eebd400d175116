/* SPDX-License-Identifier: MIT */
/*
 * A small real program for tests of the tool: a runtime with two fibers that compute, one that sleeps
 * and one that waits in a channel, all on one worker. With an argument, so many runtimes, of which
 * only the first has fibers. It prints "ready PID" and ends with its standard input.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <usched/usched.h>

enum { RUNTIMES_MAX = 8 };

static _Atomic int ending;

static void *spin(void *argument)
{
	volatile unsigned long *sum = argument;

	while (!atomic_load_explicit(&ending, memory_order_relaxed))
		++*sum;
	return NULL;
}

static void *doze(void *argument)
{
	(void)argument;
	/* Rarely, as each wake may bring a tick of its own. */
	while (!atomic_load_explicit(&ending, memory_order_relaxed))
		usched_sleep_until(usched_after(200000000));
	return NULL;
}

static void *receive(void *argument)
{
	int value;

	while (!usched_channel_receive(argument, &value, USCHED_FOREVER))
		;
	return NULL;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "helper_runtime: %s: %s\n", what, strerror(-error));
	return 1;
}

int main(int argc, char **argv)
{
	static unsigned long sums[2];
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_fiber_options fiber = USCHED_FIBER_OPTIONS_INIT;
	struct usched_runtime *runtimes[RUNTIMES_MAX];
	struct usched_channel *channel;
	int count = argc > 1 ? atoi(argv[1]) : 1, error, i;
	char byte;

	if (count < 1 || count > RUNTIMES_MAX) {
		fputs("usage: helper_runtime [1 to 8]\n", stderr);
		return 2;
	}
	options.name = "helper";
	options.workers = 1;
	for (i = 0; i < count; i++) {
		error = usched_runtime_create(&runtimes[i], &options);
		if (error)
			return fail("cannot start", error);
	}
	error = usched_channel_create(&channel, sizeof(int), 1);
	fiber.name = "spin-0";
	if (!error)
		error = usched_spawn(runtimes[0], NULL, spin, &sums[0], &fiber);
	fiber.name = "spin-1";
	if (!error)
		error = usched_spawn(runtimes[0], NULL, spin, &sums[1], &fiber);
	fiber.name = "doze";
	if (!error)
		error = usched_spawn(runtimes[0], NULL, doze, NULL, &fiber);
	fiber.name = "receive";
	if (!error)
		error = usched_spawn(runtimes[0], NULL, receive, channel, &fiber);
	if (error)
		return fail("cannot spawn", error);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR)
		errno = 0;
	atomic_store_explicit(&ending, 1, memory_order_relaxed);
	usched_channel_close(channel);
	for (i = 0; i < count; i++) {
		error = usched_runtime_destroy(runtimes[i], usched_after(UINT64_C(60000000000)));
		if (error)
			return fail("cannot stop", error);
	}
	usched_channel_free(channel);
	return 0;
}
