/* SPDX-License-Identifier: MIT */
/*
 * No further carrier can be had: because of carriers_max, or because the system refuses threads.
 * Hogs and fibers that block in the kernel go on with the carriers there are, the refusals are
 * counted with their reason, and when the limit is lifted carriers are made again. Each case is a
 * child, which may lower its limits and leave root, whom they do not bind.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <usched/usched.h>

#include "base/clock.h"
#include "comes_true.h"
#include "deny.h"
#include "harness.h"
#include "in_child.h"
#include "runtime/runtime.h"

#define SOON usched_after(UINT64_C(60000000000))

enum {
	HOGS = 4,
	READERS = 12,
	NOBODY = 65534,
	SKIPPED = 77,
	CARRIERS = 3,
	NEEDS = 100,
	SHORT_PAUSES = 7,		/* 1 ms, 2 ms, ... 64 ms; then each is 100 ms */
};

/* False: not within a minute. */
#define COMES_TRUE(condition) COMES_TRUE_WITHIN(UINT64_C(60000000000), condition)

static _Atomic bool enough;
static int pipe_ends[2];

static void *spins(void *argument)
{
	(void)argument;
	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		;
	return NULL;
}

static void *reads(void *argument)
{
	char byte;

	while (read(pipe_ends[0], &byte, 1) != 1) {
		if (errno != EINTR)
			return argument;
	}
	return NULL;
}

static int create(struct usched_runtime **runtime, uint32_t carriers_max)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	options.workers = 1;
	options.quantum_ns = 1000000;
	options.carriers_max = carriers_max;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	return usched_runtime_create(runtime, &options);
}

static int leave_root(void)
{
	if (geteuid() == 0 && setuid(NOBODY))
		return SKIPPED;
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);	/* its own /proc stays readable */
	return 0;
}

/* No thread more than there are; or as many as before. */
static int limit_threads(bool limited)
{
	static struct rlimit before;
	struct rlimit now;

	if (!limited)
		return setrlimit(RLIMIT_NPROC, &before);
	if (getrlimit(RLIMIT_NPROC, &before))
		return -1;
	now = before;
	now.rlim_cur = 1;
	return setrlimit(RLIMIT_NPROC, &now);
}

static char cgroup[128];

static bool put(const char *file, const char *text)
{
	char path[192];
	FILE *stream;
	bool done;

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	stream = fopen(path, "r+e");		/* never makes the file, where no cgroup is */
	if (!stream)
		return false;
	done = fputs(text, stream) >= 0;
	return fclose(stream) == 0 && done;
}

/* A cgroup of the test's own, of version 1 or 2, in which the threads of a process are counted. */
static bool make_cgroup(void)
{
	static const char *const parents[] = {
		"/sys/fs/cgroup/pids",		/* version 1 */
		"/sys/fs/cgroup",		/* version 2 */
		"/sys/fs/cgroup/unified",	/* version 2 beside version 1 */
	};

	for (unsigned int i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
		snprintf(cgroup, sizeof(cgroup), "%s/usched-limits-%d", parents[i], (int)getpid());
		if (mkdir(cgroup, 0755))
			continue;
		if (put("pids.max", "max"))
			return true;
		rmdir(cgroup);
	}
	return false;
}

static int limit_cgroup(bool limited)
{
	return put("pids.max", limited ? "1" : "max") ? 0 : -1;
}

static int (*limit)(bool limited) = limit_threads;

/* All carriers get stuck; @error is why there are no more. */
static int hogs_and_readers_end(struct usched_runtime *runtime, uint32_t error, bool lifted)
{
	usched_fiber_t readers[READERS], hogs[HOGS];
	uint32_t count = usched_carriers_alive(&runtime->scheduler);
	uint64_t begin_ns = usched_clock_now_ns(), refused;

	EXPECT(count == CARRIERS);
	EXPECT(pipe(pipe_ends) == 0);
	for (unsigned int i = 0; i < READERS; i++)
		EXPECT(usched_spawn(runtime, &readers[i], reads, &enough, NULL) == 0);
	for (unsigned int i = 0; i < HOGS; i++)
		EXPECT(usched_spawn(runtime, &hogs[i], spins, NULL, NULL) == 0);
	EXPECT(COMES_TRUE(atomic_load(&runtime->carriers_refused) > 0));
	EXPECT(atomic_load(&runtime->carriers_error) == error);
	/* It is not tried at each need; on a slow machine only less often. */
	EXPECT(COMES_TRUE(atomic_load(&runtime->creator_word) > NEEDS));
	refused = atomic_load(&runtime->carriers_refused);
	EXPECT(refused <= 1 + SHORT_PAUSES + (usched_clock_now_ns() - begin_ns) / 100000000);
	EXPECT(usched_carriers_alive(&runtime->scheduler) == count);
	if (lifted) {
		EXPECT(limit(false) == 0);
		EXPECT(COMES_TRUE(usched_carriers_alive(&runtime->scheduler) > READERS));
	} else {
		/* Hogs that never end may have all carriers for themselves: those that were
		   stopped get their turns, and a reader that has not begun waits for one. */
		atomic_store(&enough, true);
	}
	for (unsigned int i = 0; i < READERS; i++)
		EXPECT(write(pipe_ends[1], "x", 1) == 1);
	for (unsigned int i = 0; i < READERS; i++) {
		void *result = &runtime;

		EXPECT(usched_join(readers[i], &result, SOON) == 0);
		EXPECT(result == NULL);
	}
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < HOGS; i++)
		EXPECT(usched_join(hogs[i], NULL, SOON) == 0);
	EXPECT(usched_runtime_destroy(runtime, SOON) == 0);
	return 0;
}

static int at_the_runtimes_limit(void)
{
	struct usched_runtime *runtime;

	EXPECT(create(&runtime, CARRIERS) == 0);
	return hogs_and_readers_end(runtime, 0, false);
}

static int under_the_systems_limit(bool lifted)
{
	struct usched_runtime *runtime;

	if (leave_root())
		return SKIPPED;
	EXPECT(create(&runtime, 64) == 0);
	EXPECT(limit_threads(true) == 0);
	return hogs_and_readers_end(runtime, EAGAIN, lifted);
}

static int at_the_systems_limit(void)
{
	return under_the_systems_limit(false);
}

static int until_the_limit_is_lifted(void)
{
	return under_the_systems_limit(true);
}

static int until_pids_max_is_raised(void)
{
	struct usched_runtime *runtime;
	char text[16];

	limit = limit_cgroup;
	snprintf(text, sizeof(text), "%d", (int)getpid());
	if (!put("cgroup.procs", text))
		return SKIPPED;
	EXPECT(create(&runtime, 64) == 0);
	EXPECT(limit(true) == 0);
	return hogs_and_readers_end(runtime, EAGAIN, true);
}

/* Nothing is left of an attempt, and the next one succeeds. */
static int without_any_thread(void)
{
	struct usched_runtime *runtime = NULL;
	int next;

	if (leave_root())
		return SKIPPED;
	EXPECT(limit_threads(true) == 0);
	next = dup(0);
	EXPECT(close(next) == 0);
	EXPECT(create(&runtime, 0) == -EAGAIN);
	EXPECT(runtime == NULL);
	EXPECT(dup(0) == next);
	EXPECT(limit_threads(false) == 0);
	EXPECT(create(&runtime, 0) == 0);
	EXPECT(usched_runtime_destroy(runtime, SOON) == 0);
	return 0;
}

static int with_threads_filtered(void)
{
	static const struct denial denials[] = { { SYS_clone3, EAGAIN }, { SYS_clone, EAGAIN } };
	struct usched_runtime *runtime = NULL;

	if (deny(denials, 2))
		return SKIPPED;
	EXPECT(create(&runtime, 0) == -EAGAIN);
	return 0;
}

static void check(int (*function)(void))
{
	int result = exit_code(IN_CHILD(function()));

	if (result == SKIPPED)
		USCHED_SKIP("container: a child can neither leave root nor filter calls");
	CU_ASSERT_EQUAL(result, 0);
}

static void hogs_and_readers_end_at_the_limit_of_the_runtime(void)
{
	check(at_the_runtimes_limit);
}

static void hogs_and_readers_end_at_the_limit_of_the_system(void)
{
	check(at_the_systems_limit);
}

static void a_lifted_limit_is_noticed(void)
{
	check(until_the_limit_is_lifted);
}

static void pids_max_is_noticed_and_its_end(void)
{
	int result;

	if (geteuid() != 0)
		USCHED_SKIP("non-root: cannot make a cgroup");
	if (!make_cgroup())
		USCHED_SKIP("container: no cgroup with pids.max can be made");
	result = exit_code(IN_CHILD(until_pids_max_is_raised()));
	/* The kernel may still count the child that has ended. */
	CU_ASSERT(COMES_TRUE(rmdir(cgroup) == 0 || errno == ENOENT));
	if (result == SKIPPED)
		USCHED_SKIP("container: a process cannot be moved into a cgroup");
	CU_ASSERT_EQUAL(result, 0);
}

static void a_runtime_without_threads_is_refused(void)
{
	check(without_any_thread);
}

static void a_runtime_whose_threads_are_filtered_is_refused(void)
{
	if (getenv("USCHED_EMULATOR"))
		USCHED_SKIP("emulator: has no seccomp filters");
	check(with_threads_filtered);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "hogs_and_readers_end_at_the_limit_of_the_runtime",
		  hogs_and_readers_end_at_the_limit_of_the_runtime },
		{ "hogs_and_readers_end_at_the_limit_of_the_system",
		  hogs_and_readers_end_at_the_limit_of_the_system },
		{ "a_lifted_limit_is_noticed", a_lifted_limit_is_noticed },
		{ "pids_max_is_noticed_and_its_end", pids_max_is_noticed_and_its_end },
		{ "a_runtime_without_threads_is_refused", a_runtime_without_threads_is_refused },
		{ "a_runtime_whose_threads_are_filtered_is_refused",
		  a_runtime_whose_threads_are_filtered_is_refused },
	};

	return usched_test_main("limits", tests, sizeof(tests) / sizeof(tests[0]));
}
