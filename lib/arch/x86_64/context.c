/* SPDX-License-Identifier: MIT */
/*
 * x86-64: the first frame of a fiber. The picture is in switch.S; the assertions keep the two honest.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "arch/context.h"

struct frame {
	uint64_t r15, r14, r13, r12, rbx, rbp;
	uint64_t rip;
	uint64_t end[2];	/* zero: ends walks along frame pointers */
};

_Static_assert(offsetof(struct frame, r15) == 0, "switch.S: R15");
_Static_assert(offsetof(struct frame, r13) == 16, "switch.S: R13");
_Static_assert(offsetof(struct frame, r12) == 24, "switch.S: R12");
_Static_assert(offsetof(struct frame, rbp) == 40, "switch.S: RBP");
_Static_assert(offsetof(struct frame, rip) == 48, "switch.S: RIP");
_Static_assert(offsetof(struct frame, end) == 56, "switch.S: FRAME");
_Static_assert(sizeof(struct frame) - offsetof(struct frame, end) == 16,
	       "the first frame starts aligned to 16");

/* In switch.S. */
extern __attribute__((visibility("hidden"))) const char usched_arch_text_begin[];
extern __attribute__((visibility("hidden"))) const char usched_arch_text_end[];
__attribute__((visibility("hidden"))) void usched_arch_first_frame(void);

void usched_arch_context_init(struct usched_context *context, void *stack_low, void *stack_top,
			      usched_arch_entry *entry, void *argument)
{
	uintptr_t top = (uintptr_t)stack_top & ~(uintptr_t)15;
	struct frame *frame = (struct frame *)(top - sizeof(*frame));

	(void)stack_low;
	memset(frame, 0, sizeof(*frame));
	frame->r12 = (uintptr_t)entry;
	frame->r13 = (uintptr_t)argument;
	frame->rip = (uintptr_t)usched_arch_first_frame;
	context->sp = frame;
}

int usched_arch_check(void)
{
	uint64_t shadow_stack = 0;

	/* rdsspq: leaves the register alone where there is no shadow stack. */
	__asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8" : "+a"(shadow_stack));
	return shadow_stack == 0 ? 0 : -ENOTSUP;
}

bool usched_arch_in_switch(uintptr_t pc)
{
	return pc >= (uintptr_t)usched_arch_text_begin && pc < (uintptr_t)usched_arch_text_end;
}
