/* SPDX-License-Identifier: MIT */
/*
 * aarch64: the first frame of a fiber. The picture is in switch.S; the assertions keep the two honest.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include "arch/context.h"

struct frame {
	uint64_t x29, x30;
	uint64_t x19, x20;
	uint64_t x21_to_x28[8];
	uint64_t d8_to_d15[8];
};

_Static_assert(offsetof(struct frame, x29) == 0, "switch.S: x29");
_Static_assert(offsetof(struct frame, x30) == 8, "switch.S: x30");
_Static_assert(offsetof(struct frame, x19) == 16, "switch.S: x19");
_Static_assert(offsetof(struct frame, x20) == 24, "switch.S: x20");
_Static_assert(offsetof(struct frame, d8_to_d15) == 96, "switch.S: d8");
_Static_assert(sizeof(struct frame) == 160, "switch.S: FRAME");
_Static_assert(sizeof(struct frame) % 16 == 0, "the first frame starts aligned to 16");

/* Of Linux 6.13; the header of the C library is older. */
#ifndef PR_GET_SHADOW_STACK_STATUS
#define PR_GET_SHADOW_STACK_STATUS 74
#endif
#ifndef PR_SHADOW_STACK_ENABLE
#define PR_SHADOW_STACK_ENABLE 1UL
#endif

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
	frame->x19 = (uintptr_t)entry;
	frame->x20 = (uintptr_t)argument;
	frame->x30 = (uintptr_t)usched_arch_first_frame;
	context->sp = frame;
}

int usched_arch_check(void)
{
	unsigned long mode = 0;

	/* Kernels without guarded control stacks answer EINVAL. */
	if (prctl(PR_GET_SHADOW_STACK_STATUS, &mode, 0, 0, 0) != 0)
		return 0;
	return (mode & PR_SHADOW_STACK_ENABLE) == 0 ? 0 : -ENOTSUP;
}

bool usched_arch_in_switch(uintptr_t pc)
{
	return pc >= (uintptr_t)usched_arch_text_begin && pc < (uintptr_t)usched_arch_text_end;
}
