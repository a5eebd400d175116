/* SPDX-License-Identifier: MIT */
/*
 * The paths that a service takes all the time call no kernel: yield, spawn, join and channels, once
 * warm. And a runtime runs fibers right after it was created.
 *
 * Each case is a child process of its own. Its fiber warms up, then puts a filter on its own carrier
 * that turns every system call but the process's end into a signal, whose handler ends the child with
 * the number of that call; so the loop ends well only if it made none. Preemption is off: a tick is
 * the kernel's doing. And another fiber is always ready: a monitor that had nothing to watch may be
 * called back when a fiber that was alone gets company, which is no matter of each round.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"

enum { ROUNDS = 100000, BATCH = 1000, FIBERS = 1000 };
#define LIMIT_NS UINT64_C(60000000000)

enum outcome { OUTCOME_NONE, OUTCOME_NO_FILTER, OUTCOME_CALL, OUTCOME_QUIET, OUTCOME_WRONG };

/* Of the child, for its parent. */
static struct report {
	enum outcome outcome;
	int call;			/* number of the last one		*/
	unsigned long calls, rounds;
} *report;

static unsigned long calls_allowed;	/* in the child */

_Noreturn static void finish(enum outcome outcome)
{
	report->outcome = outcome;
	_exit(0);
}

static void on_call(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	report->call = info->si_syscall;
	if (++report->calls > calls_allowed)
		finish(OUTCOME_CALL);
}

static int forbid_calls(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 3, 0),
		/* A signal that the kernel sends is not the library's call. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
#if USCHED_ARCH_GENERIC
		/* swapcontext(3) saves the signal mask: that is why it is slower. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 1, 0),
#else
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(program) / sizeof(program[0]), program };
	struct sigaction action = { .sa_sigaction = on_call, .sa_flags = SA_SIGINFO };

	if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

struct work {
	void (*begin)(void);	/* may be NULL */
	unsigned long (*round)(unsigned long count);	/* Return: how many were right */
	unsigned long warm, count;
	unsigned long calls_allowed;
};

static void *run(void *argument)
{
	const struct work *work = argument;

	if (work->begin)
		work->begin();
	if (work->round(work->warm) != work->warm)
		finish(OUTCOME_WRONG);
	calls_allowed = work->calls_allowed;
	if (forbid_calls())
		finish(OUTCOME_NO_FILTER);
	report->rounds = work->round(work->count);
	finish(report->rounds == work->count ? OUTCOME_QUIET : OUTCOME_WRONG);
}

/* The work in a child; true: the report is filled. */
static bool try(struct work *work)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime;
	int status = 0;
	pid_t child;

	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(report, MAP_FAILED);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		options.workers = 1;
		options.quantum_ns = USCHED_QUANTUM_OFF;
		options.flags = USCHED_RUNTIME_EMBEDDED;
		if (usched_runtime_create(&runtime, &options) ||
		    usched_spawn(runtime, NULL, run, work, NULL))
			_exit(1);
		/* Not in usched_runtime_destroy(): who waits there is woken at each fiber's end. */
		for (;;)
			pause();
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	if (report->outcome == OUTCOME_CALL)
		printf("info: after the filter came system call %d\n", report->call);
	return status == 0;
}

static void release(void)
{
	munmap(report, sizeof(*report));
}

/* ---- the paths --------------------------------------------------------------------------------- */

static void *yield_for_ever(void *argument)
{
	for (;;)
		usched_yield();
	return argument;
}

static void add_yielder(void)
{
	if (usched_spawn(NULL, NULL, yield_for_ever, NULL, NULL))
		finish(OUTCOME_WRONG);
}

static unsigned long yield(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		usched_yield();
	return count;
}

static void *echo(void *argument)
{
	return argument;
}

static unsigned long spawn_and_join(unsigned long count)
{
	unsigned long right = 0;

	for (unsigned long i = 0; i < count; i++) {
		usched_fiber_t fiber;
		void *result = NULL;

		if (usched_spawn(NULL, &fiber, echo, &right, NULL) == 0 &&
		    usched_join(fiber, &result, USCHED_FOREVER) == 0)
			right += result == &right;
	}
	return right;
}

static unsigned long spawn_and_join_batches(unsigned long count)
{
	static usched_fiber_t fibers[BATCH];
	unsigned long right = 0;

	for (unsigned long done = 0; done < count; done += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++) {
			if (usched_spawn(NULL, &fibers[i], echo, NULL, NULL))
				return right;
		}
		for (unsigned int i = 0; i < BATCH; i++)
			right += usched_join(fibers[i], NULL, USCHED_FOREVER) == 0;
	}
	return right;
}

static struct usched_channel *there, *back;

static void *reply(void *argument)
{
	unsigned long value;

	while (usched_channel_receive(there, &value, USCHED_FOREVER) == 0)
		usched_channel_send(back, &value, USCHED_FOREVER);
	return argument;
}

static void open_channels(size_t capacity)
{
	add_yielder();
	if (usched_channel_create(&there, sizeof(unsigned long), capacity) ||
	    usched_channel_create(&back, sizeof(unsigned long), capacity) ||
	    usched_spawn(NULL, NULL, reply, NULL, NULL))
		finish(OUTCOME_WRONG);
}

static void open_unbuffered(void)
{
	open_channels(0);
}

static void open_buffered(void)
{
	open_channels(16);
}

static unsigned long there_and_back(unsigned long count)
{
	unsigned long right = 0;

	for (unsigned long i = 0; i < count; i++) {
		unsigned long value = 0;

		if (usched_channel_send(there, &i, USCHED_FOREVER) == 0 &&
		    usched_channel_receive(back, &value, USCHED_FOREVER) == 0)
			right += value == i;
	}
	return right;
}

static unsigned long sleep_a_little(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		usched_sleep_until(usched_after(1000000));
	return count;
}

/* ---- the cases --------------------------------------------------------------------------------- */

static const char *missing(void)
{
	if (getenv("USCHED_EMULATOR"))
		return "emulator: has no seccomp filters";
#if USCHED_TSAN || USCHED_ASAN
	return "sanitizer: its runtime calls the kernel, to map memory or to find a stack";
#else
	return NULL;
#endif
}

#define EXPECT_QUIET(...)								\
	do {										\
		struct work work = { __VA_ARGS__ };					\
		enum outcome outcome;							\
											\
		if (missing())								\
			USCHED_SKIP(missing());						\
		if (!try(&work))							\
			return;								\
		outcome = report->outcome;						\
		release();								\
		if (outcome == OUTCOME_NO_FILTER)					\
			USCHED_SKIP("container: seccomp filters are refused here");	\
		CU_ASSERT_EQUAL(outcome, OUTCOME_QUIET);				\
	} while (0)

/* Without this the cases below prove nothing. */
static void a_sleep_is_caught(void)
{
	struct work work = { NULL, sleep_a_little, 1, 1, 0 };
	enum outcome outcome;

	if (missing())
		USCHED_SKIP(missing());
	if (!try(&work))
		return;
	outcome = report->outcome;
	CU_ASSERT_NOT_EQUAL(report->call, SYS_exit_group);
	release();
	if (outcome == OUTCOME_NO_FILTER)
		USCHED_SKIP("container: seccomp filters are refused here");
	CU_ASSERT_EQUAL(outcome, OUTCOME_CALL);
}

static void a_yield_alone_calls_no_kernel(void)
{
	EXPECT_QUIET(NULL, yield, BATCH, ROUNDS, 0);
}

static void a_yield_to_another_calls_no_kernel(void)
{
	EXPECT_QUIET(add_yielder, yield, BATCH, ROUNDS, 0);
}

static void spawn_and_join_call_no_kernel(void)
{
	EXPECT_QUIET(add_yielder, spawn_and_join, BATCH, ROUNDS, 0);
}

static void a_thousand_at_a_time_call_no_kernel(void)
{
	EXPECT_QUIET(add_yielder, spawn_and_join_batches, 2 * BATCH, ROUNDS, 0);
}

static void a_lone_fiber_spawns_with_few_calls(void)
{
	EXPECT_QUIET(NULL, spawn_and_join, BATCH, ROUNDS, ROUNDS / 100);
}

static void an_unbuffered_channel_calls_no_kernel(void)
{
	EXPECT_QUIET(open_unbuffered, there_and_back, BATCH, ROUNDS, 0);
}

static void a_buffered_channel_calls_no_kernel(void)
{
	EXPECT_QUIET(open_buffered, there_and_back, BATCH, ROUNDS, 0);
}

static void *mark(void *argument)
{
	atomic_fetch_add((atomic_uint *)argument, 1);
	return argument;
}

static void a_thousand_fibers_run_after_create(void)
{
	static atomic_uint runs[FIBERS];
	static usched_fiber_t fibers[FIBERS];
	struct usched_runtime *runtime;
	unsigned int right = 0;

	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, NULL), 0);
	for (unsigned int i = 0; i < FIBERS; i++)
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &fibers[i], mark, &runs[i], NULL), 0);
	for (unsigned int i = 0; i < FIBERS; i++) {
		void *result = NULL;

		CU_ASSERT_EQUAL_FATAL(usched_join(fibers[i], &result, usched_after(LIMIT_NS)), 0);
		right += result == &runs[i] && atomic_load(&runs[i]) == 1;
	}
	CU_ASSERT_EQUAL(right, FIBERS);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, usched_after(LIMIT_NS)), 0);
}

static const struct usched_test tests[] = {
	{ "a_thousand_fibers_run_after_create", a_thousand_fibers_run_after_create },
	{ "a_sleep_is_caught", a_sleep_is_caught },
	{ "a_yield_alone_calls_no_kernel", a_yield_alone_calls_no_kernel },
	{ "a_yield_to_another_calls_no_kernel", a_yield_to_another_calls_no_kernel },
	{ "spawn_and_join_call_no_kernel", spawn_and_join_call_no_kernel },
	{ "a_thousand_at_a_time_call_no_kernel", a_thousand_at_a_time_call_no_kernel },
	{ "a_lone_fiber_spawns_with_few_calls", a_lone_fiber_spawns_with_few_calls },
	{ "an_unbuffered_channel_calls_no_kernel", an_unbuffered_channel_calls_no_kernel },
	{ "a_buffered_channel_calls_no_kernel", a_buffered_channel_calls_no_kernel },
};

int main(void)
{
	return usched_test_main("kernel", tests, sizeof(tests) / sizeof(tests[0]));
}
