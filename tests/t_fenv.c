/* SPDX-License-Identifier: MIT */
/*
 * The floating-point environment as a program meets it: which one fibers begin with, whom traps reach,
 * and how an own one is declared. That it is kept is in t_float.c.
 */
#include <errno.h>
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include <usched/usched.h>

#include "environments.h"
#include "harness.h"

enum { REPEATS = 20 };

/* Where arithmetic on constants must happen when it says, with the modes of that moment. */
static volatile double zero, one = 1, result;
static volatile long double long_zero, long_one = 1, long_result;

/* ---- whose environment is the runtime's ---- */

static void *expects_rounding(void *argument)
{
	int wanted = *(int *)argument;

	for (unsigned int i = 0; i < REPEATS; i++) {
		if (fegetround() != wanted)
			atomic_fetch_add(&leaks, 1);
		usched_yield();
	}
	return NULL;
}

static void *rounds_upward(void *argument)
{
	int wanted = *(int *)argument;

	if (fegetround() != wanted)
		atomic_fetch_add(&leaks, 1);
	fesetround(FE_UPWARD);
	for (unsigned int i = 0; i < REPEATS; i++) {
		usched_yield();
		if (fegetround() != FE_UPWARD)
			atomic_fetch_add(&losses, 1);
	}
	return NULL;
}

/* Two runtimes, whose creators rounded differently at that moment. */
static void each_runtime_has_that_of_its_creator(void)
{
	static int rounding[2] = { RUNTIMES_ROUNDING, FE_DOWNWARD };
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtimes[2];
	usched_fiber_t ids[2][2];

	start(1, USCHED_QUANTUM_OFF);
	runtimes[0] = runtime;
	options.workers = 1;
	options.quantum_ns = USCHED_QUANTUM_OFF;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	fesetround(rounding[1]);
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtimes[1], &options), 0);
	fesetround(FE_TONEAREST);
	for (unsigned int i = 0; i < 2; i++) {
		runtime = runtimes[i];
		ids[i][0] = spawn_declared(rounds_upward, &rounding[i]);
		ids[i][1] = spawn_plain(expects_rounding, &rounding[i]);
	}
	for (unsigned int i = 0; i < 2; i++) {
		join(ids[i][0]);
		join(ids[i][1]);
	}
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtimes[1], SOON), 0);
	runtime = runtimes[0];
	stop();
}

/* ---- traps ---- */

static sigjmp_buf after_trap;
static _Atomic bool may_trap;
static _Atomic unsigned int traps;

static void trap(int number)
{
	(void)number;
	if (!atomic_load(&may_trap)) {
		/* In somebody else's code, or in the library. */
		(void)!write(STDERR_FILENO, "a trap in the wrong place\n", 26);
		_exit(1);
	}
	atomic_fetch_add(&traps, 1);
	siglongjmp(after_trap, 1);
}

static void *traps_divisions(void *argument)
{
	/* An exception of before, which an x87 raises when its next instruction comes. */
	if (argument)
		long_result = long_one / long_zero;
	feenableexcept(FE_DIVBYZERO);
	usched_yield();
	atomic_store(&may_trap, true);
	if (sigsetjmp(after_trap, 1) == 0) {
		if (argument)
			long_result = long_one + long_one;
		else
			result = one / zero;
	}
	atomic_store(&may_trap, false);
	return NULL;
}

/* In both units. No trap here, and none in the other one for what is done here. */
static void *divides_by_zero(void *argument)
{
	result = one / zero;
	long_result = long_one / long_zero;
	usched_yield();
	long_result = long_one / long_zero;
	return argument;
}

static void *does_nothing_wrong(void *argument)
{
	feenableexcept(FE_DIVBYZERO);
	usched_yield();
	long_result = long_one + long_one;
	result = one + one;
	return argument;
}

static void *spawns_who_trap(void *argument)
{
	usched_fiber_t ids[4];

	ids[0] = spawn_declared(traps_divisions, NULL);
	ids[1] = spawn_plain(divides_by_zero, NULL);
	ids[2] = spawn_declared(traps_divisions, argument);
	ids[3] = spawn_declared(does_nothing_wrong, NULL);
	for (unsigned int i = 0; i < 4; i++)
		join(ids[i]);
	return argument;
}

static void traps_are_their_owners(void)
{
	struct sigaction action = { .sa_handler = trap }, before;
	bool has_x87 = sizeof(long double) > sizeof(double);

	if (feenableexcept(FE_DIVBYZERO) == -1)
		USCHED_SKIP("cpu: floating-point exceptions do not trap on this one");
	fedisableexcept(FE_DIVBYZERO);
	feclearexcept(FE_ALL_EXCEPT);
	atomic_store(&traps, 0);
	sigaction(SIGFPE, &action, &before);
	start(1, USCHED_QUANTUM_OFF);
	join(spawn_plain(spawns_who_trap, &has_x87));
	CU_ASSERT_EQUAL(atomic_load(&traps), 2);
	stop();
	sigaction(SIGFPE, &before, NULL);
}

/* ---- the declaration ---- */

static void *does_nothing(void *argument)
{
	return argument;
}

static void unknown_flags_are_refused(void)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	usched_fiber_t id = 7;

	start(1, USCHED_QUANTUM_OFF);
	options.flags = USCHED_FIBER_FENV << 1;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, does_nothing, NULL, &options), -EINVAL);
	CU_ASSERT_EQUAL(id, 7);
	/* A program that knows of no flags. */
	options.size = offsetof(struct usched_fiber_options, flags);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, does_nothing, NULL, &options), 0);
	join(id);
	stop();
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "each_runtime_has_that_of_its_creator", each_runtime_has_that_of_its_creator },
		{ "traps_are_their_owners", traps_are_their_owners },
		{ "unknown_flags_are_refused", unknown_flags_are_refused },
	};

	return usched_test_main("fenv", tests, sizeof(tests) / sizeof(tests[0]));
}
