/* SPDX-License-Identifier: MIT */
/*
 * What the monitor makes of a look at a carrier. Its passes are counted: one comes when the test lets it.
 *
 *	fiber "blocker" on the only worker	main thread, and the monitor
 *	read(2) of an empty pipe
 *						passes until the worker is taken
 *						no more passes; a byte
 *	has its worker back, and computes
 *	read(2) again
 *						the kernel says that it is blocked
 *						one pass: the worker is taken
 *
 * A second fiber gives way all the time: it is why the worker is taken.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <usched/usched.h>

#include "forced.h"
#include "harness.h"
#include "worker/step.h"

#if USCHED_DEBUG

enum { TURNS = 5, COMPUTE_NS = 5000000 };

static struct usched_runtime *runtime;
static int pipe_ends[2];
static _Atomic uint32_t computed;
static _Atomic bool is_over;
static _Atomic(struct usched_carrier *) blocker;	/* the fiber's, in this turn */
static _Atomic uint64_t began_ns;

static void *blocks_and_computes(void *argument)
{
	char byte;

	for (uint32_t i = 0; i < TURNS; i++) {
		struct usched_carrier *carrier = usched_carrier_self_get();
		uint64_t until_ns;

		atomic_store(&blocker, carrier);
		if (read(pipe_ends[0], &byte, 1) != 1)
			return argument;
		if (usched_self() == 0)		/* here it notices that the worker was taken */
			return argument;
		atomic_store(&began_ns, usched_clock_now_ns());
		until_ns = usched_carrier_clock_ns(carrier) + COMPUTE_NS;
		while (usched_carrier_clock_ns(carrier) < until_ns)
			;
		atomic_store(&computed, i + 1);
		if (read(pipe_ends[0], &byte, 1) != 1)
			return argument;
	}
	return NULL;
}

static void *gives_way(void *argument)
{
	while (!atomic_load(&is_over))
		usched_yield();
	(void)argument;
	return NULL;
}

/* False: the kernel does not tell. */
static bool kernel_says(pid_t thread, char text[16])
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)thread);
	memset(text, 0, 16);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(text, 16, file))
		text[0] = '\0';
	fclose(file);
	return text[0] != '\0';
}

static bool is_in_a_call(void)
{
	char text[16];

	return kernel_says(atomic_load(&blocker)->tid, text) && strncmp(text, "running", 7) != 0;
}

static bool has_lost(void)
{
	struct usched_carrier *carrier = atomic_load(&blocker);

	return carrier && atomic_load(&carrier->revoke) == USCHED_REVOKE_TAKEN;
}

static void who_blocks_is_found_by_the_next_pass(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	usched_fiber_t fibers[2];
	void *result = &fibers;
	char text[16];

	if (!kernel_says((pid_t)syscall(SYS_gettid), text))
		USCHED_SKIP("container: /proc/self/task/*/syscall cannot be read");
	options.workers = 1;
	options.quantum_ns = USCHED_QUANTUM_OFF;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	atomic_store(&holds_expired, 0);
	usched_step_hook = forced_step;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &fibers[0], blocks_and_computes, fibers, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &fibers[1], gives_way, NULL, NULL), 0);
	for (uint32_t i = 0; i < TURNS; i++) {
		uint64_t still_until_ns;

		HOLD_UNTIL(has_lost());
		stop_monitor(runtime);
		CU_ASSERT_EQUAL(write(pipe_ends[1], "x", 1), 1);
		HOLD_UNTIL(atomic_load(&computed) == i + 1 && is_in_a_call());
		/* It stands still for as long as it ran: no look can take that for running. */
		still_until_ns = 2 * usched_clock_now_ns() - atomic_load(&began_ns);
		while (usched_clock_now_ns() < still_until_ns)
			pause_shortly();
		CU_ASSERT_FALSE(has_lost());
		let_monitor_pass(runtime);
		CU_ASSERT(has_lost());
		CU_ASSERT_EQUAL_FATAL(atomic_load(&holds_expired), 0);
		let_monitor_go();
		atomic_store(&blocker, NULL);
		CU_ASSERT_EQUAL(write(pipe_ends[1], "x", 1), 1);
	}
	CU_ASSERT_EQUAL(usched_join(fibers[0], &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	atomic_store(&is_over, true);
	CU_ASSERT_EQUAL(usched_join(fibers[1], NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

#else

static void needs_steps(void)
{
	USCHED_SKIP("no-steps: configure with --enable-debug");
}

#define who_blocks_is_found_by_the_next_pass needs_steps

#endif

int main(void)
{
	static const struct usched_test tests[] = {
		{ "who_blocks_is_found_by_the_next_pass", who_blocks_is_found_by_the_next_pass },
	};

	return usched_test_main("looks", tests, sizeof(tests) / sizeof(tests[0]));
}
