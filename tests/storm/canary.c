/* SPDX-License-Identifier: MIT */
/*
 * The canary: a loop with a known value in every register, and around it what belongs to a thread.
 *
 * In modes handoff and never the loop ends in the thread in which it began. In mode yield it may end
 * in another: then errno has come along, and the signal mask, the alternate stack and the TLS base
 * are those of that thread, as it had them when a canary saw it first.
 *
 * Each turn of the loop has other rounding modes. Every other fiber has declared that it changes
 * them (USCHED_FIBER_FENV): it also goes through the library, from one loop to the next, with modes of
 * its own, and finds them again. The others find those of a new thread.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "canary.h"
#include "groups.h"
#include "runtime/runtime.h"

#if defined(__x86_64__) || defined(__aarch64__)

enum { ERRNO = 4711, CARRIERS = 128, FIBERS = 12 };

/* What a carrier's thread had when it was seen first; by index. */
struct belongings {
	void *alternate_stack;
	uint64_t mask;			/* the kernel's part */
	bool known;
};


static struct belongings belongings[CARRIERS];
static uint64_t own_modes[FIBERS];	/* by the fiber's number */
static const char *registers;		/* that are checked */
static void (*hold)(const struct canary *in, struct canary *out);

static void fill(struct storm_fiber *fiber, struct canary *canary)
{
	unsigned char *bytes = (unsigned char *)canary;

	for (size_t i = 0; i < sizeof(*canary); i++)
		bytes[i] = (unsigned char)(storm_next(&fiber->random) >> 32);
	canary->turns = 1000 + storm_random(fiber, 60000);
}

static void differ(struct storm_fiber *fiber, const char *what, unsigned int number,
		   const void *wanted, const void *got, size_t bytes)
{
	char text[2][132];

	if (!memcmp(wanted, got, bytes))
		return;
	for (unsigned int side = 0; side < 2; side++) {
		const unsigned char *from = side ? got : wanted;

		for (size_t i = 0; i < bytes && i < 64; i++) {
			static const char digits[] = "0123456789abcdef";

			text[side][2 * i] = digits[from[i] >> 4];
			text[side][2 * i + 1] = digits[from[i] & 15];
			text[side][2 * i + 2] = '\0';
		}
	}
	STORM_CHECK(fiber, false, "expected %s %u to be %s, got %s", what, number, text[0], text[1]);
}

#if defined(__x86_64__)

_Static_assert(offsetof(struct canary, turns) == 120, "canary_x86_64.S");
_Static_assert(offsetof(struct canary, mxcsr) == 128, "canary_x86_64.S");
_Static_assert(offsetof(struct canary, x87_control) == 132, "canary_x86_64.S");
_Static_assert(offsetof(struct canary, carry) == 136, "canary_x86_64.S");
_Static_assert(offsetof(struct canary, mmx) == 144, "canary_x86_64.S");
_Static_assert(offsetof(struct canary, masks) == 208, "canary_x86_64.S");
_Static_assert(offsetof(struct canary, vectors) == 320, "canary_x86_64.S");
_Static_assert(offsetof(struct canary, red_zone) == 2368, "canary_x86_64.S");

static unsigned int vectors, vector_bytes, masks;

static void choose(void)
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
		hold = storm_hold_avx512;
		registers = "zmm0-31, k0-7";
		vectors = 32;
		vector_bytes = 64;
		masks = 8;
	} else if (__builtin_cpu_supports("avx")) {
		hold = storm_hold_avx;
		registers = "ymm0-15; this CPU has no AVX-512, so no zmm and no k register";
		vectors = 16;
		vector_bytes = 32;
	} else {
		hold = storm_hold_sse;
		registers = "xmm0-15; this CPU has no AVX, so no ymm, zmm and k register";
		vectors = 16;
		vector_bytes = 16;
	}
}

static void set_control(struct storm_fiber *fiber, struct canary *canary)
{
	/* Any rounding, flush-to-zero, denormals-are-zero and flags; no exception is unmasked. */
	canary->mxcsr = (canary->mxcsr & 0xe07f) | 0x1f80;
	/* Any rounding; single, double or extended precision: 1 is reserved. */
	canary->x87_control = (uint16_t)(0x037f | (storm_random(fiber, 4) << 10));
	canary->x87_control &= (uint16_t)~(storm_random(fiber, 2) << 8);
	canary->carry = 1;
}

static void compare(struct storm_fiber *fiber, const struct canary *in, const struct canary *out)
{
	for (unsigned int i = 0; i < 15; i++)
		differ(fiber, "general register", i, &in->general[i], &out->general[i], 8);
	for (unsigned int i = 0; i < 8; i++)
		differ(fiber, "MMX register", i, &in->mmx[i], &out->mmx[i], 8);
	for (unsigned int i = 0; i < masks; i++)
		differ(fiber, "mask register", i, &in->masks[i], &out->masks[i], 8);
	for (unsigned int i = 0; i < vectors; i++)
		differ(fiber, "vector register", i, in->vectors[i], out->vectors[i], vector_bytes);
	differ(fiber, "MXCSR", 0, &in->mxcsr, &out->mxcsr, sizeof(in->mxcsr));
	differ(fiber, "x87 control word", 0, &in->x87_control, &out->x87_control,
	       sizeof(in->x87_control));
	differ(fiber, "carry flag", 0, &in->carry, &out->carry, sizeof(in->carry));
	for (unsigned int i = 0; i < 128; i += 64)
		differ(fiber, "red zone", i, in->red_zone + i, out->red_zone + i, 64);
}

static void take_modes(const struct canary *canary)
{
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(canary->mxcsr), "m"(canary->x87_control));
}

static uint64_t control_now(void)
{
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
	return (uint64_t)(mxcsr & ~0x3fu) << 16 | x87;
}

#else

_Static_assert(offsetof(struct canary, turns) == 240, "canary_aarch64.S");
_Static_assert(offsetof(struct canary, control) == 248, "canary_aarch64.S");
_Static_assert(offsetof(struct canary, vectors) == 256, "canary_aarch64.S");

static void choose(void)
{
	hold = storm_hold;
	registers = "v0-31; of SVE nothing";
}

static void set_control(struct storm_fiber *fiber, struct canary *canary)
{
	/* Any rounding, flush-to-zero, default NaN. */
	canary->control = storm_random(fiber, 16) << 22;
}

static void compare(struct storm_fiber *fiber, const struct canary *in, const struct canary *out)
{
	for (unsigned int i = 0; i < 30; i++)
		differ(fiber, "general register", i, &in->general[i], &out->general[i], 8);
	for (unsigned int i = 0; i < 32; i++)
		differ(fiber, "vector register", i, in->vectors[i], out->vectors[i], 16);
	differ(fiber, "FPCR", 0, &in->control, &out->control, sizeof(in->control));
}

static void take_modes(const struct canary *canary)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(canary->control));
}

static uint64_t control_now(void)
{
	uint64_t control;

	__asm__ volatile("mrs %0, fpcr" : "=r"(control));
	return control;
}

#endif

static uint64_t control_at_start;

static const char *begin(void)
{
	if (!registers) {
		choose();
		printf("canary: checks the general registers, those of floating-point control, and %s\n",
		       registers);
	}
	control_at_start = control_now();
	for (unsigned int i = 0; i < FIBERS; i++)
		own_modes[i] = control_at_start;
	memset(belongings, 0, sizeof(belongings));
	return NULL;
}

/* Not inlined: each call reads the thread's own, wherever the fiber is by then. */
__attribute__((noinline)) static int errno_now(void)
{
	return errno;
}

__attribute__((noinline)) static void set_errno(int value)
{
	errno = value;
}

/* What must be the thread's own, in code that keeps its thread. */
__attribute__((noinline)) static void check_thread(struct storm_fiber *fiber)
{
	struct usched_carrier *carrier = usched_carrier_self_get();
	stack_t alternate = { 0 };
	struct belongings *own;
	sigset_t blocked;
	uint64_t mask;

	STORM_CHECK(fiber, carrier && carrier->tid == gettid(),
		    "expected the carrier of thread %d, got %d", (int)gettid(),
		    carrier ? (int)carrier->tid : 0);
	if (!carrier || carrier->index >= CARRIERS)
		return;
	STORM_CHECK(fiber, pthread_equal(carrier->thread, pthread_self()),
		    "expected the TLS base of carrier %u", carrier->index);
	sigaltstack(NULL, &alternate);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	memcpy(&mask, &blocked, sizeof(mask));
	own = &belongings[carrier->index];
	if (!own->known) {
		own->alternate_stack = alternate.ss_sp;
		own->mask = mask;
		own->known = true;
	}
	STORM_CHECK(fiber, alternate.ss_sp == own->alternate_stack,
		    "expected the alternate stack %p of carrier %u, got %p", own->alternate_stack,
		    carrier->index, alternate.ss_sp);
	STORM_CHECK(fiber, mask == own->mask, "expected the signal mask %llx of carrier %u, got %llx",
		    (unsigned long long)own->mask, carrier->index, (unsigned long long)mask);
}

static void use_canary(struct storm_fiber *fiber)
{
	struct canary in, out;
	pthread_t before = pthread_self();
	int got;

	if (fiber->number % 2) {
		STORM_CHECK(fiber, control_now() == own_modes[fiber->number],
			    "expected the fiber's own rounding, %llx, got %llx",
			    (unsigned long long)own_modes[fiber->number],
			    (unsigned long long)control_now());
		fill(fiber, &out);
		set_control(fiber, &out);
		take_modes(&out);
		own_modes[fiber->number] = control_now();
	} else {
		STORM_CHECK(fiber, control_now() == control_at_start,
			    "expected the rounding of a new thread, %llx, got %llx",
			    (unsigned long long)control_at_start, (unsigned long long)control_now());
	}
	fill(fiber, &in);
	set_control(fiber, &in);
	memcpy(&out, &in, sizeof(out));
	memset(&out, 0, offsetof(struct canary, turns));
	set_errno(ERRNO);
	hold(&in, &out);
	got = errno_now();
	STORM_CHECK(fiber, got == ERRNO, "expected errno %d, got %d", ERRNO, got);
	compare(fiber, &in, &out);
	STORM_CHECK(fiber, storm_run.mode == USCHED_PREEMPT_YIELD ||
			   pthread_equal(before, pthread_self()),
		    "expected to go on in the same thread in mode %s",
		    storm_mode_name(storm_run.mode));
	check_thread(fiber);
}

const struct storm_group storm_canary = {
	.name = "canary", .fibers = FIBERS, .enough = FIBERS, .own_environments = true,
	.begin = begin, .operation = use_canary,
};

#else

const struct storm_group storm_canary = {
	.name = "canary", .missing = "there is no canary for this CPU",
};

#endif
