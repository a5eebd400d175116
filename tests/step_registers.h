/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_STEP_REGISTERS_H
#define USCHED_TESTS_STEP_REGISTERS_H

/* What tests/step_registers.S provides; see there. */

#include <stdint.h>

#include "arch/context.h"

#if defined(__x86_64__)
#define STEP_REGISTERS 6	/* rbx rbp r12 r13 r14 r15 */
#elif defined(__aarch64__)
#define STEP_REGISTERS 19	/* x19-x28 x29 d8-d15 */
#else
#define STEP_REGISTERS 0
#endif

struct step_registers {
	uint64_t value[STEP_REGISTERS + 1];
};

struct step_entry {
	uintptr_t stack_pointer;
	uintptr_t frame_pointer;
	void (*then)(struct step_entry *seen);
};

typedef void step_switch_function(struct usched_context *save, const struct usched_context *load);

void step_switch(struct usched_context *save, const struct usched_context *load,
		 struct step_registers *registers, step_switch_function *function);
extern const char step_return[];
const struct usched_context *step_entry(void *seen);

/* step_arch.c: single-steps through the switch; a case of t_frames.c. */
void step_unwinds_at_every_instruction(void);

#endif /* USCHED_TESTS_STEP_REGISTERS_H */
