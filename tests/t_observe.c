/* SPDX-License-Identifier: MIT */
/*
 * A real runtime as an observer sees it. The observer is the main thread of the same process, and
 * asks as any other process would; how long something takes decides nothing here.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
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

static atomic_bool stop_spinning;
static atomic_uint begun;

static void *spin(void *argument)
{
	/* Relaxed: counters and a flag to be seen at some time. */
	atomic_fetch_add_explicit(&begun, 1, memory_order_relaxed);
	while (!atomic_load_explicit(&stop_spinning, memory_order_relaxed))
		;
	return argument;
}

/* On each worker one that never ends, and one that waits for its turn. Return: how many workers */
static uint32_t occupy(enum usched_preempt preempt)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	struct usched_client_snapshot *snapshot;
	struct usched_client_info info;
	uint64_t limit_ns = usched_after(LIMIT_NS);
	uint32_t workers = 0;

	atomic_store(&stop_spinning, false);
	atomic_store(&begun, 0);
	options.preempt = preempt;
	for (unsigned int turn = 0; turn < 2; turn++) {
		snapshot = look(&info);
		workers = 0;
		for (uint32_t i = 0; i < info.workers; i++) {
			struct usched_client_worker worker = worker_of(snapshot, i);

			if (worker.state == USCHED_CLIENT_WORKER_DORMANT)
				continue;
			workers++;
			options.cpu = (int)worker.cpu;
			CU_ASSERT_EQUAL(usched_spawn(runtime, NULL, spin, NULL, &options), 0);
		}
		usched_client_snapshot_close(snapshot);
		while (atomic_load(&begun) < workers && usched_now() < limit_ns)
			pause_a_little();
	}
	CU_ASSERT_EQUAL(atomic_load(&begun), workers);	/* nothing is preempted yet */
	return workers;
}

static void set_quantum(uint64_t quantum_ns)
{
	struct usched_client_setting setting = { .size = sizeof(setting) };

	CU_ASSERT_EQUAL_FATAL(usched_client_set(seen, "quantum", quantum_ns, 0, &setting), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_wait(seen, setting.generation, usched_after(LIMIT_NS),
						 NULL), 0);
}

/* Until ticks have come since the snapshot to every worker on which somebody waits for his turn; a
   fiber that is alone needs none. */
static bool ticks_come(const struct usched_client_snapshot *since)
{
	uint64_t limit_ns = usched_after(LIMIT_NS);
	bool late, any, all;

	do {
		struct usched_client_info info;
		struct usched_client_snapshot *now;

		pause_a_little();
		now = look(&info);
		late = usched_now() >= limit_ns;
		any = false;
		all = true;
		for (uint32_t i = 0; i < info.workers; i++) {
			struct usched_client_worker worker = worker_of(now, i);
			uint64_t ticks = worker.ticks - worker_of(since, i).ticks;

			any |= ticks > 0;
			all &= ticks > 0 || worker.runnable == 0;
			if (late)
				printf("info: CPU %u: state %d, %u ready, %llu ticks\n", worker.cpu,
				       (int)worker.state, worker.runnable, (unsigned long long)ticks);
		}
		usched_client_snapshot_close(now);
	} while (!(any && all) && !late);
	return any && all;
}

/* Two looks a while apart between which no tick came; one may be on its way when it is set. */
static bool ticks_end(void)
{
	uint64_t limit_ns = usched_after(LIMIT_NS);
	bool ended = false;

	while (!ended && usched_now() < limit_ns) {
		struct usched_client_snapshot *before, *after;
		struct usched_client_info info;

		before = look(&info);
		nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
		after = look(&info);
		ended = true;
		for (uint32_t i = 0; i < info.workers; i++)
			ended &= worker_of(after, i).ticks == worker_of(before, i).ticks;
		usched_client_snapshot_close(before);
		usched_client_snapshot_close(after);
	}
	return ended;
}

/* Every carrier takes a new quantum over while its fiber computes without end and calls nothing,
   whether it may be preempted or not. */
static void set_while_all_compute(enum usched_preempt preempt)
{
	struct usched_client_snapshot *before;
	struct usched_client_info info;
	uint32_t workers;

	begin(USCHED_QUANTUM_OFF);
	usched_client_snapshot_close(look_at_rest(&info));
	workers = occupy(preempt);
	CU_ASSERT(ticks_end());
	for (unsigned int turn = 0; turn < 3; turn++) {
		before = look(&info);
		set_quantum(1000000);
		CU_ASSERT(ticks_come(before));
		usched_client_snapshot_close(before);
		if (preempt == USCHED_PREEMPT_HANDOFF) {
			/* What waits on each worker gets its turn, since what runs is stopped. */
			uint64_t limit_ns = usched_after(LIMIT_NS);

			while (atomic_load(&begun) < 2 * workers && usched_now() < limit_ns)
				pause_a_little();
			CU_ASSERT_EQUAL(atomic_load(&begun), 2 * workers);
		} else {
			CU_ASSERT_EQUAL(atomic_load(&begun), workers);
		}
		set_quantum(USCHED_QUANTUM_OFF);
		CU_ASSERT(ticks_end());
	}
	atomic_store(&stop_spinning, true);
	end();
}

static void a_set_needs_no_help_of_fibers(void)
{
	set_while_all_compute(USCHED_PREEMPT_HANDOFF);
}

static void a_set_needs_no_help_of_fibers_that_are_never_stopped(void)
{
	set_while_all_compute(USCHED_PREEMPT_NEVER);
}

static const struct usched_test tests[] = {
	{ "a_sleep_in_progress_is_idle_time", a_sleep_in_progress_is_idle_time },
	{ "idle_time_never_exceeds_time", idle_time_never_exceeds_time },
	{ "a_set_needs_no_help_of_fibers", a_set_needs_no_help_of_fibers },
	{ "a_set_needs_no_help_of_fibers_that_are_never_stopped",
	  a_set_needs_no_help_of_fibers_that_are_never_stopped },
};

int main(void)
{
	return usched_test_main("observe", tests, sizeof(tests) / sizeof(tests[0]));
}
