/* SPDX-License-Identifier: MIT */
#ifndef USCHED_ARCH_FLOAT_ENVIRONMENT_H
#define USCHED_ARCH_FLOAT_ENVIRONMENT_H

/*
 * The floating-point environment, as <fenv.h> means it: rounding, what traps, flush to zero and the
 * like, and the flags that exceptions have raised.
 *
 *	x86-64	MXCSR and the x87 environment
 *	aarch64	FPCR and FPSR
 *	others	fenv_t
 *
 * A switch leaves it as it is (arch/context.h), so it belongs to the thread. Who wants one of its
 * own swaps it before the switch and after.
 *
 * In no arch/<cpu>/, since a CPU has its registers whichever switch was chosen.
 */

#include <stdint.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <fenv.h>
#endif

struct usched_float_environment {
#if defined(__x86_64__)
	uint32_t mxcsr;
	uint16_t x87_control;
	uint16_t x87_status;
#elif defined(__aarch64__)
	uint64_t fpcr;
	uint64_t fpsr;
#else
	fenv_t standard;
#endif
};

#if defined(__x86_64__)

#define USCHED_MXCSR_FLAGS	0x3fU
#define USCHED_X87_FLAGS	0x80ffU		/* with the two that sum them up */

/* Control and flags of the x87. Only fldenv raises flags, in some 80 ns; they are rare, since only
   long double is computed there. fnstenv waits for no exception, and masks all. */
static inline void usched_float_environment_load_flags(const struct usched_float_environment *load)
{
	struct {
		uint16_t control, unused_control, status, unused_status;
		uint32_t tags, last[4];
	} x87;

	__asm__ volatile("fnstenv %0" : "=m"(x87));
	x87.control = load->x87_control;
	x87.status = (uint16_t)((x87.status & ~USCHED_X87_FLAGS) |
				(load->x87_status & USCHED_X87_FLAGS));
	__asm__ volatile("fldenv %0" : : "m"(x87));
}

#endif

/**
 * usched_float_environment_capture() - the caller's environment, but with no flag raised
 * @environment: filled
 *
 * Callable from: anywhere, signal handler.
 */
static inline void usched_float_environment_capture(struct usched_float_environment *environment)
{
#if defined(__x86_64__)
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1"
			 : "=m"(environment->mxcsr), "=m"(environment->x87_control));
	environment->mxcsr &= ~USCHED_MXCSR_FLAGS;
	environment->x87_status = 0;
#elif defined(__aarch64__)
	__asm__ volatile("mrs %0, fpcr" : "=r"(environment->fpcr));
	environment->fpsr = 0;
#else
	fenv_t before;

	fegetenv(&before);
	feclearexcept(FE_ALL_EXCEPT);
	fegetenv(&environment->standard);
	fesetenv(&before);
#endif
}

/**
 * usched_float_environment_swap() - keep the present environment, and go on in another one
 * @keep:	filled
 * @load:	another object than @keep; filled before by one of these two
 *
 * One step, since an exception of the x87 traps at the next x87 instruction, and that must be none of
 * ours: fldcw may follow only where no flag is raised. So the code that raised it is trapped, once it
 * has its environment again.
 *
 * Callable from: anywhere, signal handler.
 */
static inline void usched_float_environment_swap(struct usched_float_environment *keep,
						 const struct usched_float_environment *load)
{
#if defined(__x86_64__)
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1\n\tfnstsw %2"
			 : "=m"(keep->mxcsr), "=m"(keep->x87_control), "=m"(keep->x87_status));
	if (__builtin_expect(((keep->x87_status | load->x87_status) & USCHED_X87_FLAGS) != 0, 0))
		usched_float_environment_load_flags(load);
	else
		__asm__ volatile("fldcw %0" : : "m"(load->x87_control));
	__asm__ volatile("ldmxcsr %0" : : "m"(load->mxcsr));
#elif defined(__aarch64__)
	__asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr"
			 : "=r"(keep->fpcr), "=r"(keep->fpsr));
	__asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1"
			 : : "r"(load->fpcr), "r"(load->fpsr));
#else
	fegetenv(&keep->standard);
	fesetenv(&load->standard);
#endif
}

#endif /* USCHED_ARCH_FLOAT_ENVIRONMENT_H */
