/* SPDX-License-Identifier: MIT */
/*
 * Programs that fibers run, and process-wide changes under them: vfork, posix_spawn, system, popen, exec,
 * setuid, all under ticks of 200 us.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <usched/usched.h>

#include "children.h"
#include "harness.h"
#include "under_ticks.h"

enum { FORKS = 25 };

extern char **environ;

/* ---- children without fork's handlers, and programs ---- */

/* The parent's thread is in the kernel all the while: long enough for its worker to be taken. */
__attribute__((noinline)) static pid_t vfork_and_exit(int code, bool naps)
{
	static const struct timespec nap = { .tv_nsec = 3000000 };
	pid_t child = vfork();

	if (child == 0) {
		if (naps)
			syscall(SYS_nanosleep, &nap, NULL);
		_exit(code);
	}
	return child;
}

static void *vforks(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;

	for (unsigned int i = 0; i < FORKS; i++) {
		int code = (int)(1 + (number * FORKS + i) % 100);

		if (!exits_with(vfork_and_exit(code, i % 5 == 0), code))
			return argument;
		if (usched_self() == 0 || usched_yield())
			return argument;
	}
	return NULL;
}

static void *spawns(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;

	for (unsigned int i = 0; i < FORKS; i++) {
		int code = (int)(1 + (number * FORKS + i) % 100);
		char command[32];
		char *line[] = { (char *)"sh", (char *)"-c", command, NULL };
		pid_t child;

		snprintf(command, sizeof(command), "exit %d", code);
		if (posix_spawn(&child, "/bin/sh", NULL, NULL, line, environ) ||
		    !exits_with(child, code))
			return argument;
	}
	return NULL;
}

static void *runs_commands(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;

	for (unsigned int i = 0; i < 5; i++) {
		char command[64], line[64], expected[64];
		FILE *output;
		int status;

		snprintf(command, sizeof(command), "exit %u", 1 + number);
		status = system(command);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != (int)(1 + number))
			return argument;
		snprintf(command, sizeof(command), "echo hello from %u.%u", number, i);
		snprintf(expected, sizeof(expected), "hello from %u.%u\n", number, i);
		output = popen(command, "r");
		if (!output || !fgets(line, sizeof(line), output) || strcmp(line, expected) ||
		    pclose(output) != 0)
			return argument;
	}
	return NULL;
}

static void fibers_vfork_under_ticks(void)
{
	SKIP_WITHOUT_FORK();
	under_each_tick(vforks);
}

static void fibers_spawn_programs_under_ticks(void)
{
	SKIP_WITHOUT_FORK();
	under_each_tick(spawns);
}

static void fibers_run_commands_under_ticks(void)
{
	SKIP_WITHOUT_FORK();
	under_each_tick(runs_commands);
}

/* In a child that has no runtime yet: what changes or ends the whole process. */
static int in_own_process(int (*run)(enum usched_tick), enum usched_tick tick)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		alarm(60);		/* a bound for a process that hangs */
		_exit(run(tick));
	}
	return status_of(child);
}

static void *becomes_a_program(void *argument)
{
	char *line[] = { (char *)"sh", (char *)"-c", (char *)"exit 77", NULL };

	usched_sleep_until(usched_after(1000000));
	execv("/bin/sh", line);
	return argument;
}

static void *sleeps_in_the_kernel(void *argument)
{
	int *ends = argument;
	char byte;

	return read(ends[0], &byte, 1) == 1 ? NULL : argument;
}

static int executes(enum usched_tick tick)
{
	usched_fiber_t id;
	int ends[2];

	runtime = create(tick, 2);
	CHILD_EXPECT(runtime && pipe2(ends, O_CLOEXEC) == 0, 1);
	for (unsigned int i = 0; i < 4; i++)
		CHILD_EXPECT(usched_spawn(runtime, NULL, hog, NULL, NULL) == 0, 2);
	CHILD_EXPECT(usched_spawn(runtime, NULL, sleeps_in_the_kernel, ends, NULL) == 0, 3);
	CHILD_EXPECT(usched_spawn(runtime, &id, becomes_a_program, NULL, NULL) == 0, 4);
	usched_join(id, NULL, SOON);
	return 5;
}

static void a_fiber_may_become_a_program(void)
{
	SKIP_WITHOUT_FORK();
	for (unsigned int i = 0; i < 10; i++) {
		int status = in_own_process(executes, can_tick(kinds[i % 2]) ? kinds[i % 2] :
							     USCHED_TICK_AUTO);

		CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 77);
	}
}

/* ---- changes that libc brings to each thread by a signal of its own ---- */

/* A number from each thread's status: how many have another one than @expected in their masked bits. */
static unsigned int threads_without(const char *key, int base, uint64_t mask, uint64_t expected)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int count = 0;

	while (tasks && (entry = readdir(tasks))) {
		char path[300], line[256];
		FILE *status;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		status = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		while (status && fgets(line, sizeof(line), status)) {
			if (!strncmp(line, key, strlen(key)))
				count += (strtoull(line + strlen(key), NULL, base) & mask) != expected;
		}
		if (status)
			fclose(status);
	}
	if (tasks)
		closedir(tasks);
	return tasks ? count : UINT32_MAX;
}

static void signals_of_libc_are_never_blocked(void)
{
	const uint64_t internal = UINT64_C(3) << 31;	/* SIGCANCEL 32, SIGSETXID 33 */
	uint64_t end_ns = usched_after(UINT64_C(30000000000));
	unsigned int blocked;

	if (getenv("USCHED_EMULATOR"))
		USCHED_SKIP("emulator: has signals of its own");
	if (USCHED_TSAN)
		USCHED_SKIP("tsan: has a thread of its own that blocks all");
	start(USCHED_TICK_AUTO);
	run_fibers(vforks, 2);
	/* A thread that is just being made has all blocked for a moment, by libc. */
	do
		blocked = threads_without("SigBlk:", 16, internal, 0);
	while (blocked && usched_now() < end_ns);
	CU_ASSERT_EQUAL(blocked, 0);
	stop();
}

enum { NOBODY = 65534 };

static _Atomic unsigned int without_signals;

static void *computes_without_signals(void *argument)
{
	sigset_t all, old;

	/* As careless as can be; libc keeps its own two out of it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	atomic_fetch_add(&without_signals, 1);
	hog(argument);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return NULL;
}

static void *changes_user(void *argument)
{
	usched_sleep_until(usched_after(3000000));
	if (setgid(NOBODY) || setuid(NOBODY))
		return argument;
	return NULL;
}

static int changes_users(enum usched_tick tick)
{
	usched_fiber_t ids[8], changer;
	void *result;
	int ends[2];

	runtime = create(tick, 2);
	CHILD_EXPECT(runtime && pipe2(ends, O_CLOEXEC) == 0, 1);
	atomic_store(&enough, false);
	/* Some stopped in mid-run, one that takes no signal, some in the kernel; and spares asleep. */
	for (unsigned int i = 0; i < 4; i++)
		CHILD_EXPECT(usched_spawn(runtime, &ids[i], hog, NULL, NULL) == 0, 2);
	CHILD_EXPECT(usched_spawn(runtime, &ids[4], computes_without_signals, NULL, NULL) == 0, 3);
	for (unsigned int i = 5; i < 8; i++)
		CHILD_EXPECT(usched_spawn(runtime, &ids[i], sleeps_in_the_kernel, ends, NULL) == 0, 4);
	while (atomic_load(&without_signals) == 0)
		CHILD_EXPECT(usched_sleep_until(usched_after(100000)) == 0, 5);
	result = &ends;
	CHILD_EXPECT(usched_spawn(runtime, &changer, changes_user, &ends, NULL) == 0, 6);
	CHILD_EXPECT(usched_join(changer, &result, SOON) == 0, 7);
	CHILD_EXPECT(!result, 8);
	CHILD_EXPECT(getuid() == NOBODY && geteuid() == NOBODY && getgid() == NOBODY, 9);
	CHILD_EXPECT(threads_without("Uid:", 10, UINT64_MAX, NOBODY) == 0, 10);
	CHILD_EXPECT(threads_without("Gid:", 10, UINT64_MAX, NOBODY) == 0, 11);
	/* And all go on, with new carriers where they are needed. */
	for (unsigned int i = 0; i < 8; i++)
		CHILD_EXPECT(usched_spawn(runtime, NULL, doubles, NULL, NULL) == 0, 12);
	CHILD_EXPECT(write(ends[1], "xyz", 3) == 3, 13);
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < 8; i++)
		CHILD_EXPECT(usched_join(ids[i], &result, SOON) == 0 && !result, 14);
	CHILD_EXPECT(usched_runtime_destroy(runtime, SOON) == 0, 15);
	return 0;
}

static void a_fiber_may_change_the_user(void)
{
	SKIP_WITHOUT_FORK();
	if (getuid() != 0)
		USCHED_SKIP("non-root: only root may become somebody else");
	if (getenv("USCHED_EMULATOR"))
		USCHED_SKIP("emulator: changes the user of one thread only");
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (can_tick(kinds[i]))
			CU_ASSERT_EQUAL(in_own_process(changes_users, kinds[i]), 0);
	}
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "fibers_vfork_under_ticks", fibers_vfork_under_ticks },
		{ "fibers_spawn_programs_under_ticks", fibers_spawn_programs_under_ticks },
		{ "fibers_run_commands_under_ticks", fibers_run_commands_under_ticks },
		{ "a_fiber_may_become_a_program", a_fiber_may_become_a_program },
		{ "signals_of_libc_are_never_blocked", signals_of_libc_are_never_blocked },
		{ "a_fiber_may_change_the_user", a_fiber_may_change_the_user },
	};

	return usched_test_main("process", tests, sizeof(tests) / sizeof(tests[0]));
}
