/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_ENVIRONMENTS_H
#define USCHED_TESTS_ENVIRONMENTS_H

/*
 * What tests of floating-point environments share: the modes of the CPU as one word, a runtime whose
 * environment is nobody else's, and what fibers with and without an environment of their own must find.
 *
 * The runtime is created with rounding toward zero, so that neither a new thread's environment nor the
 * kernel's for signal handlers is taken for the runtime's. Fibers count what is wrong; stop() asserts.
 *
 * For one source file of a program.
 */
#include <fenv.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <usched/usched.h>

#include "harness.h"
#include "runtime/runtime.h"

#define SOON usched_after(UINT64_C(60000000000))

enum { RUNTIMES_ROUNDING = FE_TOWARDZERO };

/* ---- what an environment is, in one word ---- */

#if defined(__x86_64__)

static inline uint64_t modes_now(void)
{
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
	return (uint64_t)x87 << 32 | (mxcsr & 0xffc0);
}

/* Rounding of both units, flush to zero, denormals are zero, precision of the x87. */
static inline void set_modes(unsigned int which)
{
	uint32_t mxcsr = 0x1f80 | (which % 4) << 13 | (which / 4 % 2) << 15 | (which / 8 % 2) << 6;
	uint16_t x87 = (uint16_t)(0x037f & ~((which / 2 % 2) << 8)) | (uint16_t)((which % 4) << 10);

	__asm__ volatile("fnclex\n\tfldcw %0\n\tldmxcsr %1" : : "m"(x87), "m"(mxcsr));
}

#elif defined(__aarch64__)

static inline uint64_t modes_now(void)
{
	uint64_t fpcr;

	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	return fpcr;
}

/* Rounding, flush to zero, default NaN. */
static inline void set_modes(unsigned int which)
{
	__asm__ volatile("msr fpcr, %0\n\tmsr fpsr, xzr" : : "r"((uint64_t)(which % 16) << 22));
}

#else

static inline uint64_t modes_now(void)
{
	return (uint64_t)fegetround();
}

static inline void set_modes(unsigned int which)
{
	static const int rounding[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };

	feclearexcept(FE_ALL_EXCEPT);
	fesetround(rounding[which % 4]);
}

#endif

/* ---- runtimes and fibers ---- */

static struct usched_runtime *runtime;
static uint64_t runtimes_modes;			/* what every plain fiber must find */
static _Atomic unsigned int leaks, losses;	/* an environment that was another's; an own one gone */

static inline void start(unsigned int workers, uint64_t quantum_ns)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	atomic_store(&leaks, 0);
	atomic_store(&losses, 0);
	options.workers = workers;
	options.quantum_ns = quantum_ns;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	setenv("USCHED_QUANTUM_FLOOR_NS", "100000", 1);
	fesetround(RUNTIMES_ROUNDING);
	runtimes_modes = modes_now();
	runtime = NULL;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	fesetround(FE_TONEAREST);
	unsetenv("USCHED_QUANTUM_FLOOR_NS");
}

static inline void stop(void)
{
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	CU_ASSERT_EQUAL(atomic_load(&leaks), 0);
	CU_ASSERT_EQUAL(atomic_load(&losses), 0);
}

static inline usched_fiber_t spawn(unsigned int flags, enum usched_preempt mode, void *(*function)(void *),
			    void *argument)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	usched_fiber_t id = 0;

	options.flags = flags;
	options.preempt = mode;
	if (usched_spawn(runtime, &id, function, argument, &options))
		abort();
	return id;
}

static inline usched_fiber_t spawn_plain(void *(*function)(void *), void *argument)
{
	return spawn(0, USCHED_PREEMPT_HANDOFF, function, argument);
}

static inline usched_fiber_t spawn_declared(void *(*function)(void *), void *argument)
{
	return spawn(USCHED_FIBER_FENV, USCHED_PREEMPT_HANDOFF, function, argument);
}

static inline void join(usched_fiber_t id)
{
	if (usched_join(id, NULL, SOON))
		abort();
}

/* A plain fiber: the runtime's modes, and not the flag that only declared fibers raise. Not inlined:
   libc may read the flags through the address of something thread-local. */
__attribute__((noinline, unused)) static void check_plain(void)
{
	if (modes_now() != runtimes_modes || fetestexcept(FE_OVERFLOW))
		atomic_fetch_add(&leaks, 1);
}

/* A declared one that begins: the runtime's modes, and no flag at all. */
__attribute__((noinline, unused)) static void check_fresh(void)
{
	if (modes_now() != runtimes_modes || fetestexcept(FE_ALL_EXCEPT))
		atomic_fetch_add(&leaks, 1);
}

/* Modes of its own, and a flag in each unit that has flags. */
__attribute__((noinline, unused)) static uint64_t make_own(unsigned int which)
{
	set_modes(which);
	feraiseexcept(FE_OVERFLOW | FE_DIVBYZERO);
	return modes_now();
}

__attribute__((noinline, unused)) static void check_own(uint64_t own)
{
	if (modes_now() != own ||
	    fetestexcept(FE_OVERFLOW | FE_DIVBYZERO | FE_INVALID) != (FE_OVERFLOW | FE_DIVBYZERO))
		atomic_fetch_add(&losses, 1);
}

#endif /* USCHED_TESTS_ENVIRONMENTS_H */
