/* SPDX-License-Identifier: MIT */
/*
 * Our side of the basic workloads: one measurement a call, "value" on stdout.
 *
 *	usched_basic WORKLOAD COUNT QUANTUM_NS
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <usched/usched.h>

enum { BATCH = 1000, MANY = 1000 };

static uint64_t count;
static double result;		/* ns per operation, or ms */

static void *nothing(void *argument)
{
	return argument;
}

static void *yielder(void *argument)
{
	uint64_t turns = *(uint64_t *)argument;

	for (uint64_t i = 0; i < turns; i++)
		usched_yield();
	return NULL;
}

static void yield_among(uint64_t fibers)
{
	usched_fiber_t *ids = calloc(fibers, sizeof(*ids));
	uint64_t turns = count / fibers, began;

	if (!ids)
		exit(1);
	began = usched_now();
	for (uint64_t i = 0; i < fibers; i++)
		usched_spawn(NULL, &ids[i], yielder, &turns, NULL);
	for (uint64_t i = 0; i < fibers; i++)
		usched_join(ids[i], NULL, USCHED_FOREVER);
	result = (double)(usched_now() - began) / (double)(turns * fibers);
	free(ids);
}

static void spawn_in_turn(void)
{
	uint64_t began = usched_now();

	for (uint64_t i = 0; i < count; i++) {
		usched_fiber_t id;

		usched_spawn(NULL, &id, nothing, NULL, NULL);
		usched_join(id, NULL, USCHED_FOREVER);
	}
	result = (double)(usched_now() - began) / (double)count;
}

static void spawn_in_batches(void)
{
	static usched_fiber_t ids[BATCH];
	uint64_t began = usched_now();

	for (uint64_t done = 0; done < count; done += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++)
			usched_spawn(NULL, &ids[i], nothing, NULL, NULL);
		for (unsigned int i = 0; i < BATCH; i++)
			usched_join(ids[i], NULL, USCHED_FOREVER);
	}
	result = (double)(usched_now() - began) / (double)count;
}

static struct usched_channel *there, *back;

static void *echo(void *argument)
{
	uint64_t value;

	while (usched_channel_receive(there, &value, USCHED_FOREVER) == 0)
		usched_channel_send(back, &value, USCHED_FOREVER);
	return argument;
}

static void ping_pong(void)
{
	usched_fiber_t id;
	uint64_t began;

	usched_channel_create(&there, sizeof(uint64_t), 0);
	usched_channel_create(&back, sizeof(uint64_t), 0);
	usched_spawn(NULL, &id, echo, NULL, NULL);
	began = usched_now();
	for (uint64_t i = 0; i < count; i++) {
		uint64_t value = i;

		usched_channel_send(there, &value, USCHED_FOREVER);
		usched_channel_receive(back, &value, USCHED_FOREVER);
		if (value != i)
			abort();
	}
	result = (double)(usched_now() - began) / (double)count;
	usched_channel_close(there);
	usched_join(id, NULL, USCHED_FOREVER);
	usched_channel_free(there);
	usched_channel_free(back);
}

static void *run(void *argument)
{
	const char *workload = argument;

	if (!strcmp(workload, "yield-2"))
		yield_among(2);
	else if (!strcmp(workload, "yield-1000"))
		yield_among(1000);
	else if (!strcmp(workload, "spawn-join"))
		spawn_in_turn();
	else if (!strcmp(workload, "spawn-join-batch"))
		spawn_in_batches();
	else if (!strcmp(workload, "ping-pong"))
		ping_pong();
	else
		result = -1;
	return NULL;
}

/* From create to the last of many fibers having run, in milliseconds. */
static int start(struct usched_runtime_options *options)
{
	static usched_fiber_t ids[MANY];
	struct usched_runtime *runtime;
	uint64_t began = usched_now();

	options->workers = 0;
	if (usched_runtime_create(&runtime, options))
		return 1;
	for (unsigned int i = 0; i < MANY; i++)
		usched_spawn(runtime, &ids[i], nothing, NULL, NULL);
	for (unsigned int i = 0; i < MANY; i++)
		usched_join(ids[i], NULL, USCHED_FOREVER);
	printf("%.3f\n", (double)(usched_now() - began) / 1e6);
	return usched_runtime_destroy(runtime, USCHED_FOREVER) ? 1 : 0;
}

int main(int argc, char *argv[])
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime;
	usched_fiber_t id;

	if (argc != 4) {
		fprintf(stderr, "usage: %s WORKLOAD COUNT QUANTUM_NS\n", argv[0]);
		return 2;
	}
	count = strtoull(argv[2], NULL, 10);
	options.workers = 1;
	options.quantum_ns = strtoull(argv[3], NULL, 10);
	options.flags = USCHED_RUNTIME_EMBEDDED;
	if (!strcmp(argv[1], "start"))
		return start(&options);
	if (usched_runtime_create(&runtime, &options))
		return 1;
	/* The first turn warms stacks and caches. */
	for (unsigned int turn = 0; turn < 2; turn++) {
		usched_spawn(runtime, &id, run, argv[1], NULL);
		usched_join(id, NULL, USCHED_FOREVER);
	}
	usched_runtime_destroy(runtime, USCHED_FOREVER);
	if (result < 0) {
		fprintf(stderr, "%s: no such workload\n", argv[1]);
		return 2;
	}
	printf("%.3f\n", result);
	return 0;
}
