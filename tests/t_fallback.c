/* SPDX-License-Identifier: MIT */
/*
 * What a runtime does without: each tick but the best refused in the ways in which kernels and
 * containers refuse it, membarrier too. Whatever is left, endless loops and a blocked fiber hold
 * nobody up, and observers learn what is in use and why nothing better is. Each case is a child,
 * since a filter stays for ever.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <usched/client.h>
#include <usched/usched.h>

#include "deny.h"
#include "harness.h"
#include "in_child.h"
#include "runtime/runtime.h"

#define SOON usched_after(UINT64_C(60000000000))

enum { LOOPS = 2, TURNS = 50, NO_FILTER = 77 };

struct expectation {
	const char *tick;		/* USCHED_TICK; NULL: unset	*/
	const char *membarrier;		/* USCHED_MEMBARRIER		*/
	struct denial denials[4];
	enum usched_tick kind;		/* AUTO: any			*/
	enum usched_client_refusal perf, timer;
	bool no_membarrier;
};

static _Atomic bool enough;

static void *spin(void *argument)
{
	volatile uint64_t *turns = argument;

	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		(*turns)++;
	return NULL;
}

static void *comes_and_goes(void *argument)
{
	for (unsigned int i = 0; i < TURNS; i++)
		usched_sleep_until(usched_after(100000));
	return argument;
}

static int pipe_ends[2];

static void *blocks(void *argument)
{
	char byte = 0;

	while (read(pipe_ends[0], &byte, 1) != 1) {
		if (errno != EINTR)
			return argument;
	}
	return NULL;
}

/* Loops, one that sleeps and one that blocks in the kernel, all on one worker. */
static int all_make_progress(struct usched_runtime *runtime)
{
	static uint64_t turns[LOOPS];
	usched_fiber_t loops[LOOPS], sleeper, blocked;
	void *result = &runtime;

	EXPECT(pipe(pipe_ends) == 0);
	EXPECT(usched_spawn(runtime, &blocked, blocks, &blocked, NULL) == 0);
	for (unsigned int i = 0; i < LOOPS; i++)
		EXPECT(usched_spawn(runtime, &loops[i], spin, &turns[i], NULL) == 0);
	EXPECT(usched_spawn(runtime, &sleeper, comes_and_goes, NULL, NULL) == 0);
	EXPECT(usched_join(sleeper, NULL, SOON) == 0);
	EXPECT(write(pipe_ends[1], "x", 1) == 1);
	EXPECT(usched_join(blocked, &result, SOON) == 0);
	EXPECT(result == NULL);
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < LOOPS; i++) {
		EXPECT(usched_join(loops[i], NULL, SOON) == 0);
		EXPECT(turns[i] > 0);
	}
	return 0;
}

/* Preemptions, and not only workers that the monitor took away. */
static int preemption_is_counted(struct usched_runtime *runtime)
{
	uint64_t ticks = 0, handoffs = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++) {
		struct usched_worker_counters *counters = &runtime->scheduler.workers[i].counters;

		ticks += atomic_load(&counters->ticks);
		handoffs += usched_decided(counters, USCHED_DECISION_DIRECT) +
			    usched_decided(counters, USCHED_DECISION_SPARE);
	}
	EXPECT(ticks > 0);
	EXPECT(handoffs > 0);
	return 0;
}

static int observers_know(const struct expectation *expected)
{
	struct usched_client_info info = { .size = sizeof(info) };
	struct usched_client_snapshot *snapshot;
	struct usched_client_runtime *observed;
	struct usched_client *client;

	EXPECT(usched_client_open(&client, NULL) == 0);
	EXPECT(usched_client_runtime_open(client, &observed, (uint32_t)getpid(), 1) == 0);
	EXPECT(usched_client_snapshot_open(observed, &snapshot) == 0);
	usched_client_snapshot_info(snapshot, &info);
	if (expected->kind != USCHED_TICK_AUTO) {
		EXPECT(info.tick == expected->kind);
		EXPECT(info.perf_refused == expected->perf);
		EXPECT(info.timer_refused == expected->timer);
	}
	EXPECT(!(info.flags & USCHED_CLIENT_NO_MEMBARRIER) == !expected->no_membarrier);
	usched_client_snapshot_close(snapshot);
	usched_client_runtime_close(observed);
	usched_client_close(client);
	return 0;
}

static int run(const struct expectation *expected)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime;
	unsigned int count = 0;

	while (count < 4 && expected->denials[count].error)
		count++;
	if (count && deny(expected->denials, count))
		return NO_FILTER;
	if (expected->tick)
		setenv("USCHED_TICK", expected->tick, 1);
	if (expected->membarrier)
		setenv("USCHED_MEMBARRIER", expected->membarrier, 1);
	options.workers = 1;
	options.quantum_ns = 1000000;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	EXPECT(usched_runtime_create(&runtime, &options) == 0);
	EXPECT(all_make_progress(runtime) == 0);
	EXPECT(preemption_is_counted(runtime) == 0);
	EXPECT(observers_know(expected) == 0);
	EXPECT(usched_runtime_destroy(runtime, SOON) == 0);
	return 0;
}

/* 0; NO_FILTER: the case is to be skipped. */
static int all_of(const struct expectation *expected, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		int result = exit_code(IN_CHILD(run(&expected[i])));

		if (result == NO_FILTER)
			return NO_FILTER;
		if (result)
			printf("info: number %u ended with %d\n", i, result);
		CU_ASSERT_EQUAL(result, 0);
	}
	return 0;
}

#define ALL_OF(list) all_of(list, sizeof(list) / sizeof((list)[0]))
#define NO_FILTER_WHY "container: system calls cannot be filtered here"

static void a_tick_is_forced_by_the_environment(void)
{
	static const struct expectation list[] = {
		{ .tick = "timer", .kind = USCHED_TICK_TIMER, .perf = USCHED_CLIENT_REFUSAL_CHOICE },
		{ .tick = "timerfd", .kind = USCHED_TICK_TIMERFD,
		  .perf = USCHED_CLIENT_REFUSAL_CHOICE, .timer = USCHED_CLIENT_REFUSAL_CHOICE },
	};

	ALL_OF(list);
}

static void perf_is_forced_by_the_environment(void)
{
	static const struct expectation perf = { .tick = "perf", .kind = USCHED_TICK_PERF };
	struct usched_tick_probe probe;

	if (usched_tick_choose(USCHED_TICK_PERF, SIGURG, &probe))
		USCHED_SKIP("no-perf: perf_event_open is denied");
	CU_ASSERT_EQUAL(exit_code(IN_CHILD(run(&perf))), 0);
}

static void without_perf_a_timer_ticks(void)
{
	static const struct expectation list[] = {
		{ .denials = { { SYS_perf_event_open, EPERM } }, .kind = USCHED_TICK_TIMER,
		  .perf = USCHED_CLIENT_REFUSAL_DENIED },
		{ .denials = { { SYS_perf_event_open, EACCES } }, .kind = USCHED_TICK_TIMER,
		  .perf = USCHED_CLIENT_REFUSAL_DENIED },
		{ .denials = { { SYS_perf_event_open, ENOSYS } }, .kind = USCHED_TICK_TIMER,
		  .perf = USCHED_CLIENT_REFUSAL_MISSING },
		{ .denials = { { SYS_perf_event_open, EMFILE } }, .kind = USCHED_TICK_TIMER,
		  .perf = USCHED_CLIENT_REFUSAL_LIMIT },
	};

	if (ALL_OF(list) == NO_FILTER)
		USCHED_SKIP(NO_FILTER_WHY);
}

static void without_perf_and_timers_a_timerfd_ticks(void)
{
	static const struct expectation list[] = {
		{ .denials = { { SYS_perf_event_open, EPERM }, { SYS_timer_create, EAGAIN } },
		  .kind = USCHED_TICK_TIMERFD, .perf = USCHED_CLIENT_REFUSAL_DENIED,
		  .timer = USCHED_CLIENT_REFUSAL_LIMIT },
		{ .denials = { { SYS_perf_event_open, ENOSYS }, { SYS_timer_create, EPERM } },
		  .kind = USCHED_TICK_TIMERFD, .perf = USCHED_CLIENT_REFUSAL_MISSING,
		  .timer = USCHED_CLIENT_REFUSAL_DENIED },
		{ .tick = "timer", .denials = { { SYS_perf_event_open, EPERM } },
		  .kind = USCHED_TICK_TIMER, .perf = USCHED_CLIENT_REFUSAL_CHOICE },
	};

	if (ALL_OF(list) == NO_FILTER)
		USCHED_SKIP(NO_FILTER_WHY);
}

static void it_works_without_membarrier(void)
{
	static const struct expectation list[] = {
		{ .membarrier = "off", .no_membarrier = true },
		{ .denials = { { SYS_membarrier, EPERM } }, .no_membarrier = true },
		{ .denials = { { SYS_membarrier, ENOSYS } }, .no_membarrier = true },
		{ .denials = { { SYS_membarrier, EPERM }, { SYS_perf_event_open, EPERM },
			       { SYS_timer_create, EAGAIN } },
		  .no_membarrier = true, .kind = USCHED_TICK_TIMERFD,
		  .perf = USCHED_CLIENT_REFUSAL_DENIED, .timer = USCHED_CLIENT_REFUSAL_LIMIT },
	};

	if (ALL_OF(list) == NO_FILTER)
		USCHED_SKIP(NO_FILTER_WHY);
}

static _Atomic unsigned int polls_refused, polls_in_haste;
static _Thread_local bool must_sleep;

/* The monitor's calls come here: after a refusal it sleeps before it asks again. */
int ppoll(struct pollfd *polled, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec left = timeout ? *timeout : (struct timespec){ 0 };
	long ready = syscall(SYS_ppoll, polled, count, timeout ? &left : NULL, mask, _NSIG / 8);

	if (ready < 0 && errno == EINVAL) {
		atomic_fetch_add(&polls_refused, 1);
		if (must_sleep)
			atomic_fetch_add(&polls_in_haste, 1);
		must_sleep = true;
	}
	return (int)ready;
}

int nanosleep(const struct timespec *pause, struct timespec *left)
{
	must_sleep = false;
	return (int)syscall(SYS_nanosleep, pause, left);
}

static int works_with_fewer_descriptors_than_it_has(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	static uint64_t turns[LOOPS];
	usched_fiber_t loops[LOOPS], sleeper;
	struct usched_runtime *runtime;
	struct rlimit files;

	options.workers = 1;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	EXPECT(usched_runtime_create(&runtime, &options) == 0);
	EXPECT(getrlimit(RLIMIT_NOFILE, &files) == 0);
	files.rlim_cur = 1;
	EXPECT(setrlimit(RLIMIT_NOFILE, &files) == 0);
	for (unsigned int i = 0; i < LOOPS; i++)
		EXPECT(usched_spawn(runtime, &loops[i], spin, &turns[i], NULL) == 0);
	EXPECT(usched_spawn(runtime, &sleeper, comes_and_goes, NULL, NULL) == 0);
	EXPECT(usched_join(sleeper, NULL, SOON) == 0);
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < LOOPS; i++)
		EXPECT(usched_join(loops[i], NULL, SOON) == 0);
	EXPECT(usched_runtime_destroy(runtime, SOON) == 0);
	EXPECT(atomic_load(&polls_refused) > 0);
	EXPECT(atomic_load(&polls_in_haste) == 0);
	return 0;
}

/* A program that locks itself in forbids itself new descriptors; poll(2) takes no more than are allowed. */
static void it_works_where_poll_is_refused(void)
{
	CU_ASSERT_EQUAL(exit_code(IN_CHILD(works_with_fewer_descriptors_than_it_has())), 0);
}

/* What insists is told why not, and nothing is left behind. */
static int is_refused(const struct expectation *expected)
{
	struct usched_runtime *runtime = NULL;
	char text[1024] = "";
	FILE *file = tmpfile();
	unsigned int count = 0;
	int next, error;

	while (count < 4 && expected->denials[count].error)
		count++;
	if (deny(expected->denials, count))
		return NO_FILTER;
	EXPECT(file);
	if (expected->tick)
		setenv("USCHED_TICK", expected->tick, 1);
	dup2(fileno(file), STDERR_FILENO);
	next = dup(0);
	close(next);
	error = usched_runtime_create(&runtime, NULL);
	if (error == 0 || runtime || dup(0) != next)
		return 2;
	rewind(file);
	(void)!fread(text, 1, sizeof(text) - 1, file);
	if (expected->tick && (error != -EINVAL || !strstr(text, "denied") ||
			       !strstr(text, "USCHED_TICK")))
		return 3;
	return 0;
}

static void what_insists_is_told_why_not(void)
{
	static const struct expectation list[] = {
		{ .tick = "perf", .denials = { { SYS_perf_event_open, EPERM } } },
		{ .tick = "timer", .denials = { { SYS_timer_create, EPERM } } },
		{ .denials = { { SYS_perf_event_open, EPERM }, { SYS_timer_create, EPERM },
			       { SYS_timerfd_create, EPERM } } },
	};

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int result = exit_code(IN_CHILD(is_refused(&list[i])));

		if (result == NO_FILTER)
			USCHED_SKIP(NO_FILTER_WHY);
		CU_ASSERT_EQUAL(result, 0);
	}
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "a_tick_is_forced_by_the_environment", a_tick_is_forced_by_the_environment },
		{ "perf_is_forced_by_the_environment", perf_is_forced_by_the_environment },
		{ "without_perf_a_timer_ticks", without_perf_a_timer_ticks },
		{ "without_perf_and_timers_a_timerfd_ticks", without_perf_and_timers_a_timerfd_ticks },
		{ "it_works_without_membarrier", it_works_without_membarrier },
		{ "it_works_where_poll_is_refused", it_works_where_poll_is_refused },
		{ "what_insists_is_told_why_not", what_insists_is_told_why_not },
	};

	return usched_test_main("fallback", tests, sizeof(tests) / sizeof(tests[0]));
}
