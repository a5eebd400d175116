/* SPDX-License-Identifier: MIT */
/*
 * A small real program for tests of the tool: two fibers that compute, one that sleeps and one
 * that waits in a channel. It prints "ready PID" and ends with its standard input.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <usched/usched.h>

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
	while (!atomic_load_explicit(&ending, memory_order_relaxed))
		usched_sleep_until(usched_after(10000000));
	return NULL;
}

static void *receive(void *argument)
{
	int value;

	while (!usched_channel_receive(argument, &value, USCHED_FOREVER))
		;
	return NULL;
}

int main(void)
{
	static unsigned long sums[2];
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_fiber_options fiber = USCHED_FIBER_OPTIONS_INIT;
	struct usched_channel *channel;
	struct usched_runtime *runtime;
	char byte;
	int error;

	options.name = "helper";
	options.workers = 1;
	error = usched_runtime_create(&runtime, &options);
	if (error) {
		fprintf(stderr, "helper_runtime: cannot start: %s\n", strerror(-error));
		return 1;
	}
	error = usched_channel_create(&channel, sizeof(int), 1);
	fiber.name = "spin-0";
	if (!error)
		error = usched_spawn(runtime, NULL, spin, &sums[0], &fiber);
	fiber.name = "spin-1";
	if (!error)
		error = usched_spawn(runtime, NULL, spin, &sums[1], &fiber);
	fiber.name = "doze";
	if (!error)
		error = usched_spawn(runtime, NULL, doze, NULL, &fiber);
	fiber.name = "receive";
	if (!error)
		error = usched_spawn(runtime, NULL, receive, channel, &fiber);
	if (error) {
		fprintf(stderr, "helper_runtime: cannot spawn: %s\n", strerror(-error));
		return 1;
	}
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR)
		errno = 0;
	atomic_store_explicit(&ending, 1, memory_order_relaxed);
	usched_channel_close(channel);
	error = usched_runtime_destroy(runtime, usched_after(5000000000u));
	if (error) {
		fprintf(stderr, "helper_runtime: cannot stop: %s\n", strerror(-error));
		return 1;
	}
	usched_channel_free(channel);
	return 0;
}
