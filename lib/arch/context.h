/* SPDX-License-Identifier: MIT */
#ifndef USCHED_ARCH_CONTEXT_H
#define USCHED_ARCH_CONTEXT_H

/*
 * A saved machine context is one word: the stack pointer.
 *
 * What the ABI calls callee-saved is stored on the stack being left, so C never needs to know where
 * a register was put. Each CPU's frame is drawn once, at the top of arch/<cpu>/switch.S; the only C
 * that knows it is arch/<cpu>/context.c, which builds the first one.
 *
 *	fiber A runs                             fiber B runs
 *	  usched_arch_switch(&a, &b)
 *	    store registers below A's sp
 *	    a.sp = sp
 *	    sp = b.sp  ------------------------->  reload registers
 *	                                           jump to where B had called
 *
 * Not part of a context:
 *	caller-saved registers	the compiler spilled them: the switch is a call
 *	the signal mask		it belongs to the carrier
 *	the thread pointer	fibers use the thread-local storage of whoever carries them
 *	the FP environment	the thread's, too; see arch/float_environment.h
 *
 * Invariants
 *	I1  Between the store to save->sp and the reload of the stack pointer the caller still stands
 *	    on its stack. So nobody may load @save before the code that @load continues has run: a
 *	    fiber is published from the other side, never from its own stack.
 *	I2  All contexts have the same frame, and any routine may load any of them.
 *	I3  At every instruction an unwinder finds the caller of the switch, or the clean end of a
 *	    stack; the first frame of a fiber is the outermost one.
 *
 * Errors are not reported here: a context that is loaded twice, or whose stack is gone, is
 * undefined behaviour.
 */

#include <stdbool.h>
#include <stdint.h>

struct usched_context {
	void *sp;	/* meaningless while the fiber runs */
};

/**
 * usched_arch_switch() - leave one stack, continue on another
 * @save:	filled with the context being left
 * @load:	the context to continue; another object than @save
 *
 * Returns when somebody loads @save, maybe on another kernel thread. Every address of a
 * thread-local object that the caller knew may then be wrong, errno's too.
 *
 * Leaves MXCSR, the x87 control word and FPCR alone: they cost as much again as the rest of the
 * switch, or more (2.4-3.3 ns against 6.1 ns between two contexts on an AMD EPYC; Intel cores that
 * reload MXCSR soon after storing it stall for longer). A fiber that has its own keeps them itself
 * (leave_fiber() in worker/dispatch.c). The generic variant's ucontext calls may switch them all the
 * same; who loads a context does not rely on either.
 *
 * Ownership:	both structs stay with the caller.
 * Ordering:	none; whatever hands the context over (a queue, a futex word) provides it.
 * Locks:	none may be held, but one that the other side releases for us.
 * May switch:	yes
 * Callable from: fiber, carrier's native stack. In a signal handler only if the handler runs on
 *		the stack it interrupted.
 */
void usched_arch_switch(struct usched_context *save, const struct usched_context *load);

/**
 * usched_arch_entry - what runs on a new stack
 *
 * What it returns is continued, and its own stack is left, as usched_arch_leave() does; NULL is a
 * trap. Returning is the better way to leave: the CPU has paired the return with the call, so that
 * the returns of who goes on are predicted. Sanitizers want the call.
 */
typedef const struct usched_context *usched_arch_entry(void *argument);

/**
 * usched_arch_context_init() - build the first frame of a new fiber
 * @context:	to be filled; loading it calls @entry
 * @stack_low:	lowest usable byte of the stack
 * @stack_top:	one past its highest usable byte; rounded down to 16
 * @entry:	runs on the new stack
 * @argument:	given to @entry
 *
 * Takes up to 192 bytes at the top of the stack; the generic variant some KiB, depending on the
 * CPU. The frame of @entry is the outermost but one: back-traces end after it.
 *
 * Callable from: any thread.
 */
void usched_arch_context_init(struct usched_context *context, void *stack_low, void *stack_top,
			      usched_arch_entry *entry, void *argument);

/**
 * usched_arch_start() - abandon what the current stack holds, and run a function at its top
 * @stack_low:	lowest usable byte of the stack to run on: the current stack, or an unused one
 * @stack_top:	one past its highest usable byte; rounded down to 16
 * @entry:	as for usched_arch_context_init()
 * @argument:	given to @entry; it must not point into the abandoned frames
 *
 * Serves a finished fiber whose warm stack takes the next new one.
 *
 * Callable from: fiber.
 */
_Noreturn void usched_arch_start(void *stack_low, void *stack_top, usched_arch_entry *entry,
				 void *argument);

/**
 * usched_arch_leave() - continue a context and save nothing
 * @load:	the context to continue
 *
 * The stack that is left may be used again, or unmapped, as soon as the other side runs.
 *
 * Callable from: fiber.
 */
_Noreturn void usched_arch_leave(const struct usched_context *load);

/**
 * usched_arch_check() - can this process be switched at all?
 *
 * Return:	0
 * Errors:	-ENOTSUP  the kernel keeps a shadow stack for the calling thread; a switched stack
 *		would fault at the next return. Run with the feature off
 *		(GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK on x86-64).
 * Callable from: any thread, before the first switch.
 */
int usched_arch_check(void);

/**
 * usched_arch_in_switch() - is this an address inside the routines above?
 * @pc:	program counter, as from usched_arch_pc()
 *
 * There, stack pointer and current fiber may disagree. The generic variant always says false: most
 * of its switch is in libc.
 *
 * Callable from: signal handler.
 */
bool usched_arch_in_switch(uintptr_t pc);

#endif /* USCHED_ARCH_CONTEXT_H */
