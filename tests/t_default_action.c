/* SPDX-License-Identifier: MIT */
/*
 * The tick's signal, when the program has no handler for the same number: ticks never meet a default that
 * would end the process, and what is not a tick does; what was ignored stays ignored. Each case is a child.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <usched/usched.h>

#include "harness.h"
#include "in_child.h"
#include "loop_and_sleeper.h"
#include "runtime/runtime.h"

static int runs_a_loop_and_a_sleeper(struct usched_runtime *runtime)
{
	usched_fiber_t loop, sleeper;

	atomic_store(&enough, false);
	EXPECT(usched_spawn(runtime, &loop, spin, NULL, NULL) == 0);
	EXPECT(usched_spawn(runtime, &sleeper, comes_and_goes, NULL, NULL) == 0);
	EXPECT(usched_join(sleeper, NULL, SOON) == 0);
	EXPECT(usched_join(loop, NULL, SOON) == 0);
	return 0;
}

/* Ticks of a number that would end the process, of each kind. */
static int survives_its_ticks(void)
{
	setenv("USCHED_SIGNAL", "SIGUSR1", 1);
	for (enum usched_tick tick = USCHED_TICK_AUTO; tick <= USCHED_TICK_TIMERFD; tick++) {
		struct usched_runtime *runtime;

		if (tick == USCHED_TICK_PERF)
			continue;	/* AUTO's, where it works */
		runtime = start(tick);
		EXPECT(runtime);
		EXPECT(runs_a_loop_and_a_sleeper(runtime) == 0);
		EXPECT(usched_runtime_destroy(runtime, SOON) == 0);
	}
	return 0;
}

static void *hands_back(void *argument)
{
	return argument;
}

/* Ticks every 20 us, also while carriers begin and end; where a tick costs more than that, rarer. */
static int survives_ends(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	bool is_slow = USCHED_ASAN || USCHED_TSAN || getenv("USCHED_EMULATOR");

	setenv("USCHED_SIGNAL", "SIGUSR1", 1);
	setenv("USCHED_QUANTUM_FLOOR_NS", "20000", 1);
	options.quantum_ns = is_slow ? USCHED_QUANTUM_MIN_NS : 20000;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	for (unsigned int i = 0; i < 40; i++) {
		struct usched_runtime *runtime;

		EXPECT(usched_runtime_create(&runtime, &options) == 0);
		for (unsigned int j = 0; j < 20; j++)
			EXPECT(usched_spawn(runtime, NULL, hands_back, NULL, NULL) == 0);
		EXPECT(usched_runtime_destroy(runtime, SOON) == 0);
	}
	return 0;
}

static int is_killed_in_a_thread(void)
{
	setenv("USCHED_SIGNAL", "SIGUSR1", 1);
	EXPECT(start(USCHED_TICK_AUTO));
	kill(getpid(), SIGUSR1);
	sleep(10);
	return 1;
}

static void *kills(void *argument)
{
	raise(SIGUSR1);
	return argument;
}

static int is_killed_in_a_fiber(void)
{
	struct usched_runtime *runtime;

	setenv("USCHED_SIGNAL", "10", 1);
	runtime = start(USCHED_TICK_AUTO);
	EXPECT(runtime);
	usched_spawn(runtime, NULL, kills, NULL, NULL);
	sleep(10);
	return 1;
}

static int ignores_what_it_ignored(void)
{
	struct sigaction action = { .sa_handler = SIG_IGN };
	struct usched_runtime *runtime;

	setenv("USCHED_SIGNAL", "SIGUSR1", 1);
	EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
	runtime = start(USCHED_TICK_AUTO);
	EXPECT(runtime);
	EXPECT(!(runtime->report_flags & USCHED_REPORT_SIGNAL_SHARED));
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	EXPECT(runs_a_loop_and_a_sleeper(runtime) == 0);
	EXPECT(usched_runtime_destroy(runtime, SOON) == 0);
	return 0;
}

/* The kernel has no room for what a queued signal carries: the monitor's ticks must still be known. */
static int ticks_without_information(void)
{
	struct rlimit none = { 0, 0 };
	struct usched_runtime *runtime;

	setenv("USCHED_SIGNAL", "SIGUSR1", 1);
	EXPECT(setrlimit(RLIMIT_SIGPENDING, &none) == 0);
	runtime = start(USCHED_TICK_TIMERFD);
	EXPECT(runtime);
	EXPECT(runs_a_loop_and_a_sleeper(runtime) == 0);
	EXPECT(handoffs(runtime) > 0);
	EXPECT(usched_runtime_destroy(runtime, SOON) == 0);
	return 0;
}

static void ticks_never_meet_the_default(void)
{
	CU_ASSERT_EQUAL(IN_CHILD(survives_its_ticks()), 0);
	if (USCHED_TSAN)
		USCHED_SKIP("tsan: hands over a tick late, to a thread that has blocked it since");
	CU_ASSERT_EQUAL(IN_CHILD(survives_ends()), 0);
}

static void a_default_that_ends_the_process_does(void)
{
	int status = IN_CHILD(is_killed_in_a_thread());

	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
	status = IN_CHILD(is_killed_in_a_fiber());
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

static void what_was_ignored_stays_ignored(void)
{
	CU_ASSERT_EQUAL(IN_CHILD(ignores_what_it_ignored()), 0);
}

static void ticks_are_known_without_their_information(void)
{
	if (getenv("USCHED_EMULATOR"))
		USCHED_SKIP("emulator: has limits of its own");
	CU_ASSERT_EQUAL(IN_CHILD(ticks_without_information()), 0);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "ticks_never_meet_the_default", ticks_never_meet_the_default },
		{ "a_default_that_ends_the_process_does", a_default_that_ends_the_process_does },
		{ "what_was_ignored_stays_ignored", what_was_ignored_stays_ignored },
		{ "ticks_are_known_without_their_information",
		  ticks_are_known_without_their_information },
	};

	return usched_test_main("default_action", tests, sizeof(tests) / sizeof(tests[0]));
}
