/* SPDX-License-Identifier: MIT */
/*
 * The frame descriptions of the switch must be true at every instruction, since a sampling
 * profiler, a debugger or the dump of a stuck program may stop at any of them.
 *
 * The CPU's trap flag raises SIGTRAP after each instruction. The handler runs on the stack it
 * interrupted, which the switch must bear anyway, and there unwinds with libgcc's unwinder, which
 * reads nothing but the frame descriptions:
 *
 *	handler, signal frame, [switch], step_switch(), C, ..., first frame or main
 *
 * Checked at each instruction between usched_arch_text_begin and _end:
 *	- the walk ends by itself, within a limit;
 *	- the interrupted instruction is in it;
 *	- when it passes step_switch(), the callee-saved registers found there are the values that
 *	  this very stack had put in;
 *	- nothing was found below the stack pointer: those 128 bytes are overwritten before;
 *	- inside the switch, what called it is step_switch(), or nothing but the first frame of a
 *	  fiber that was not entered yet.
 *
 * Not seen here: that the end of a stack is marked in more than one way (an undefined return
 * address, zero words above it, and no description before the first frame at all). Each alone ends
 * the walk, so that one is missing does not show.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include "arch/context.h"
#include "arch/cpu.h"
#include "arch/sanitize.h"
#include "harness.h"
#include "step_registers.h"

#if defined(__x86_64__) && !USCHED_ARCH_GENERIC && !USCHED_ASAN && !USCHED_TSAN

extern const char usched_arch_text_begin[];
extern const char usched_arch_text_end[];
void usched_arch_first_frame(void);

enum {
	STACK_BYTES = 64 * 1024,
	FIBERS = 2,
	FRAMES_MAX = 64,
	TRAP_FLAG = 0x100,
	TEXT_MAX = 1024,
	RED_ZONE = 128,
	FLAGS = 17,			/* REG_EFL */
};

/* DWARF numbers, in the order of struct step_registers: rbx rbp r12 r13 r14 r15. */
static const int dwarf_number[STEP_REGISTERS] = { 3, 6, 12, 13, 14, 15 };

static struct {
	char *stack[FIBERS];
	unsigned int stack_id[FIBERS];
	struct usched_context main, fiber[FIBERS];
	bool returns;			/* fiber 1, whom to continue; else it leaves */
	unsigned long instructions;	/* looked at */
	unsigned long through_helper;	/* of these: registers compared */
	unsigned long wrong_end, wrong_start, wrong_registers, wrong_caller;
	bool seen[TEXT_MAX];
} step;

struct walk {
	uintptr_t pc;
	unsigned int frames;
	bool found_pc;
	unsigned int after_pc;		/* frames above the interrupted one */
	bool through_helper;
	bool wrong_registers;
	uintptr_t caller;		/* of the interrupted instruction's function */
};

/* Every stack has its own values: main is 0, fiber i is i + 1. */
static uint64_t canary(unsigned int owner, unsigned int i)
{
	return 0x1111111111111111U * (owner + 1) + i;
}

static unsigned int owner_of(uintptr_t address)
{
	for (unsigned int i = 0; i < FIBERS; i++) {
		if (address - (uintptr_t)step.stack[i] < STACK_BYTES)
			return i + 1;
	}
	return 0;
}

static _Unwind_Reason_Code look(struct _Unwind_Context *context, void *argument)
{
	struct walk *walk = argument;
	uintptr_t pc = _Unwind_GetIP(context);

	if (++walk->frames > FRAMES_MAX)
		return _URC_NORMAL_STOP;
	if (walk->found_pc && ++walk->after_pc == 1)
		walk->caller = pc;
	if (pc == walk->pc)
		walk->found_pc = true;
	if (walk->found_pc && pc == (uintptr_t)step_return) {
		unsigned int owner = owner_of(_Unwind_GetCFA(context));

		walk->through_helper = true;
		for (unsigned int i = 0; i < STEP_REGISTERS; i++) {
			if (_Unwind_GetGR(context, dwarf_number[i]) != canary(owner, i))
				walk->wrong_registers = true;
		}
	}
	return _URC_NO_REASON;
}

static void trap(int number, siginfo_t *info, void *frame)
{
	uintptr_t pc = usched_arch_pc(frame);
	uintptr_t offset = pc - (uintptr_t)usched_arch_text_begin;
	struct walk walk = { .pc = pc };
	bool known;

	(void)number;
	(void)info;
	if (!usched_arch_in_switch(pc))
		return;
	step.instructions++;
	/* The kernel leaves the red zone alone and the switch keeps nothing there. */
	memset((char *)usched_arch_sp(frame) - RED_ZONE, 0xa5, RED_ZONE);
	if (offset < TEXT_MAX)
		step.seen[offset] = true;
	if (_Unwind_Backtrace(look, &walk) != _URC_END_OF_STACK)
		step.wrong_end++;
	if (!walk.found_pc)
		step.wrong_start++;
	if (walk.wrong_registers)
		step.wrong_registers++;
	if (walk.through_helper)
		step.through_helper++;
	/* The routines that return: the first frame is above them only before it was entered. */
	known = pc >= (uintptr_t)usched_arch_leave ||
		walk.caller == (uintptr_t)step_return ||
		walk.caller == (uintptr_t)usched_arch_first_frame;
	if (!known)
		step.wrong_caller++;
}

/* Stepping begins and ends by the flags of a signal frame. */
static void set_trap_flag(int number, siginfo_t *info, void *frame)
{
	ucontext_t *machine = frame;

	(void)info;
	if (number == SIGUSR1)
		machine->uc_mcontext.gregs[FLAGS] |= TRAP_FLAG;
	else
		machine->uc_mcontext.gregs[FLAGS] &= ~(greg_t)TRAP_FLAG;
}

static void switch_with_canaries(unsigned int owner, struct usched_context *save,
				 const struct usched_context *load)
{
	struct step_registers registers;

	for (unsigned int i = 0; i < STEP_REGISTERS; i++)
		registers.value[i] = canary(owner, i);
	step_switch(save, load, &registers, usched_arch_switch);
}

static const struct usched_context *last_entry(void *argument)
{
	(void)argument;
	switch_with_canaries(2, &step.fiber[1], &step.fiber[0]);
	if (step.returns)
		return &step.main;
	usched_arch_leave(&step.main);
}

static const struct usched_context *second_entry(void *argument)
{
	(void)argument;
	switch_with_canaries(2, &step.fiber[1], &step.fiber[0]);
	usched_arch_start(step.stack[1], step.stack[1] + STACK_BYTES, last_entry, NULL);
}

static const struct usched_context *first_entry(void *argument)
{
	(void)argument;
	for (;;) {
		switch_with_canaries(1, &step.fiber[0], &step.main);
		switch_with_canaries(1, &step.fiber[0], &step.fiber[1]);
	}
	return NULL;
}

static void run(void)
{
	usched_arch_context_init(&step.fiber[0], step.stack[0], step.stack[0] + STACK_BYTES,
				 first_entry, NULL);
	usched_arch_context_init(&step.fiber[1], step.stack[1], step.stack[1] + STACK_BYTES,
				 second_entry, NULL);
	/* In the fourth round fiber 1 leaves for good; a sixth would continue it. */
	for (unsigned int i = 0; i < 5; i++)
		switch_with_canaries(0, &step.main, &step.fiber[0]);
}

static unsigned int distinct(const void *from, const void *to)
{
	unsigned int count = 0;

	for (const char *at = from; at < (const char *)to; at++)
		count += step.seen[at - usched_arch_text_begin];
	return count;
}

void step_unwinds_at_every_instruction(void)
{
	struct sigaction action = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO };
	struct sigaction begin = { .sa_sigaction = set_trap_flag, .sa_flags = SA_SIGINFO };
	struct sigaction old_trap, old_first, old_second;

	memset(&step, 0, sizeof(step));
	CU_ASSERT_FATAL(usched_arch_text_end - usched_arch_text_begin <= TEXT_MAX);
	for (unsigned int i = 0; i < FIBERS; i++) {
		step.stack[i] = aligned_alloc(64, STACK_BYTES);
		if (step.stack[i] == NULL)
			abort();
		step.stack_id[i] = usched_sanitize_stack_register(step.stack[i],
								  step.stack[i] + STACK_BYTES);
	}
	sigemptyset(&action.sa_mask);
	sigemptyset(&begin.sa_mask);
	sigaction(SIGTRAP, &action, &old_trap);
	sigaction(SIGUSR1, &begin, &old_first);
	sigaction(SIGUSR2, &begin, &old_second);

	raise(SIGUSR1);
	step.returns = false;
	run();
	step.returns = true;
	run();
	raise(SIGUSR2);

	sigaction(SIGTRAP, &old_trap, NULL);
	sigaction(SIGUSR1, &old_first, NULL);
	sigaction(SIGUSR2, &old_second, NULL);
	for (unsigned int i = 0; i < FIBERS; i++) {
		usched_sanitize_stack_unregister(step.stack_id[i]);
		free(step.stack[i]);
	}
	if (step.instructions == 0)
		USCHED_SKIP("emulator: the trap flag raises no SIGTRAP here");

	printf("info: %lu instructions looked at, registers compared at %lu, %u addresses\n",
	       step.instructions, step.through_helper,
	       distinct(usched_arch_text_begin, usched_arch_text_end));
	CU_ASSERT_EQUAL(step.wrong_end, 0);
	CU_ASSERT_EQUAL(step.wrong_start, 0);
	CU_ASSERT_EQUAL(step.wrong_registers, 0);
	CU_ASSERT_EQUAL(step.wrong_caller, 0);
	CU_ASSERT(step.through_helper > step.instructions / 2);
	/* Each routine was stepped through, none at its first instruction only. */
	CU_ASSERT(distinct((const void *)usched_arch_switch,
			   (const void *)usched_arch_leave) >= 19);
	CU_ASSERT(distinct((const void *)usched_arch_leave,
			   (const void *)usched_arch_start) >= 10);
	CU_ASSERT(distinct((const void *)usched_arch_start,
			   (const void *)usched_arch_first_frame) >= 8);
	CU_ASSERT(distinct((const void *)usched_arch_first_frame,
			   (const void *)usched_arch_text_end) >= 15);
}

#else

void step_unwinds_at_every_instruction(void)
{
	USCHED_SKIP("trap: single steps need the x86-64 switch without sanitizers");
}

#endif
