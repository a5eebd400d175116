/* SPDX-License-Identifier: MIT */
/*
 * A real runtime as an observer sees it. The observer is the main thread of the same process, and
 * asks as any other process would; how long something takes decides nothing here.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <usched/client.h>
#include <usched/usched.h>

#include "harness.h"

enum { WORKERS_MAX = 64 };
#define LIMIT_NS UINT64_C(60000000000)		/* for what happens soon, unless it is broken */

static struct usched_runtime *runtime;
static struct usched_client *client;
static struct usched_client_runtime *seen;

static void begin(uint64_t quantum_ns)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	options.name = "observed";
	options.flags = USCHED_RUNTIME_EMBEDDED;
	options.quantum_ns = quantum_ns;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_open(&client, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_runtime_open(client, &seen, (uint32_t)getpid(), 1), 0);
}

static void end(void)
{
	usched_client_runtime_close(seen);
	usched_client_close(client);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, usched_after(LIMIT_NS)), 0);
}

static struct usched_client_snapshot *look(struct usched_client_info *info)
{
	struct usched_client_snapshot *snapshot = NULL;

	CU_ASSERT_EQUAL_FATAL(usched_client_snapshot_open(seen, &snapshot), 0);
	info->size = sizeof(*info);
	CU_ASSERT_EQUAL_FATAL(usched_client_snapshot_info(snapshot, info), 0);
	CU_ASSERT_FATAL(info->workers <= WORKERS_MAX);
	return snapshot;
}

static struct usched_client_worker worker_of(const struct usched_client_snapshot *snapshot,
					     uint32_t index)
{
	struct usched_client_worker worker = { .size = sizeof(worker) };

	CU_ASSERT_EQUAL(usched_client_snapshot_worker(snapshot, index, &worker), 0);
	return worker;
}

static void pause_a_little(void)
{
	nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
}

/* A snapshot in which every worker that has a CPU sleeps. */
static struct usched_client_snapshot *look_at_rest(struct usched_client_info *info)
{
	uint64_t limit_ns = usched_after(LIMIT_NS);

	for (;;) {
		struct usched_client_snapshot *snapshot = look(info);
		uint32_t idle = 0;

		for (uint32_t i = 0; i < info->workers; i++)
			idle += worker_of(snapshot, i).state == USCHED_CLIENT_WORKER_IDLE;
		if (idle > 0 && idle == info->granted_cpus)
			return snapshot;
		usched_client_snapshot_close(snapshot);
		CU_ASSERT_FATAL(usched_now() < limit_ns);
		pause_a_little();
	}
}

/* A runtime that sleeps publishes nothing, and each moment of it still counts as idle. */
static void a_sleep_in_progress_is_idle_time(void)
{
	struct usched_client_info before_info, after_info;
	struct usched_client_snapshot *before, *after;
	unsigned int undisturbed = 0;

	begin(USCHED_QUANTUM_DEFAULT);
	/* Some other process may look at the runtime just then, and so wake its monitor. */
	for (unsigned int tries = 0; !undisturbed && tries < 100; tries++) {
		before = look_at_rest(&before_info);
		/* For longer than a publication counts as fresh. */
		nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
		after = look(&after_info);
		undisturbed = after_info.heartbeat == before_info.heartbeat;
		for (uint32_t i = 0; undisturbed && i < after_info.workers; i++) {
			struct usched_client_worker change = { .size = sizeof(change) };
			uint64_t elapsed_ns = 0;

			CU_ASSERT_EQUAL(usched_client_snapshot_change(before, after, i, &change,
								      &elapsed_ns), 0);
			CU_ASSERT_EQUAL(change.polls, 0);
			CU_ASSERT(elapsed_ns > 1);
			if (change.state == USCHED_CLIENT_WORKER_IDLE)
				CU_ASSERT_EQUAL(change.idle_ns, elapsed_ns);
			if (change.state == USCHED_CLIENT_WORKER_DORMANT)
				CU_ASSERT_EQUAL(change.idle_ns, 0);
		}
		usched_client_snapshot_close(before);
		usched_client_snapshot_close(after);
	}
	CU_ASSERT(undisturbed);
	end();
}

static void *nothing(void *argument)
{
	return argument;
}

/* With sleeps and wakes between the looks: it only grows, and never faster than time. */
static void idle_time_never_exceeds_time(void)
{
	struct usched_client_snapshot *before, *after;
	struct usched_client_info info;
	uint64_t idle_ns = 0;
	usched_fiber_t id;

	begin(USCHED_QUANTUM_DEFAULT);
	before = look(&info);
	for (unsigned int round = 0; round < 60; round++) {
		if (round % 2 && usched_spawn(runtime, &id, nothing, NULL, NULL) == 0)
			CU_ASSERT_EQUAL(usched_join(id, NULL, usched_after(LIMIT_NS)), 0);
		nanosleep(&(struct timespec){ 0, (long)(round % 5) * 7000000 }, NULL);
		after = look(&info);
		for (uint32_t i = 0; i < info.workers; i++) {
			struct usched_client_worker change = { .size = sizeof(change) };
			uint64_t elapsed_ns = 0;

			CU_ASSERT_EQUAL(usched_client_snapshot_change(before, after, i, &change,
								      &elapsed_ns), 0);
			CU_ASSERT(change.idle_ns <= elapsed_ns);
			idle_ns += change.idle_ns;
		}
		usched_client_snapshot_close(before);
		before = after;
	}
	CU_ASSERT(idle_ns > 0);
	usched_client_snapshot_close(before);
	end();
}

static const struct usched_test tests[] = {
	{ "a_sleep_in_progress_is_idle_time", a_sleep_in_progress_is_idle_time },
	{ "idle_time_never_exceeds_time", idle_time_never_exceeds_time },
};

int main(void)
{
	return usched_test_main("observe", tests, sizeof(tests) / sizeof(tests[0]));
}
