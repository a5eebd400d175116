/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_STORM_CANARY_H
#define USCHED_TESTS_STORM_CANARY_H

/*
 * The registers that canary_*.S loads, holds for a number of turns and stores again. Its offsets are
 * asserted in canary.c.
 */

#include <stdint.h>

#if defined(__x86_64__)

struct canary {
	uint64_t general[15];		/* rax rbx rcx rdx rsi rdi rbp r8-r15	*/
	uint64_t turns;
	uint32_t mxcsr;
	uint16_t x87_control;
	uint16_t pad;
	uint64_t carry;			/* as the loop leaves it: 1		*/
	uint64_t mmx[8];
	uint64_t masks[8];		/* k0-k7				*/
	uint64_t pad_end[6];
	uint8_t vectors[32][64];	/* xmm, ymm or zmm, low bytes first	*/
	uint8_t red_zone[128];		/* below the stack pointer		*/
};

/* Each: load @in, loop, store to @out. What it does not know stays as it is in @out. */
void storm_hold_sse(const struct canary *in, struct canary *out);
void storm_hold_avx(const struct canary *in, struct canary *out);
void storm_hold_avx512(const struct canary *in, struct canary *out);

#elif defined(__aarch64__)

struct canary {
	uint64_t general[30];		/* x0-x29	*/
	uint64_t turns;
	uint64_t control;		/* FPCR		*/
	uint8_t vectors[32][16];
};

void storm_hold(const struct canary *in, struct canary *out);

#endif

#endif /* USCHED_TESTS_STORM_CANARY_H */
