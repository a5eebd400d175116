/* SPDX-License-Identifier: MIT */
#ifndef USCHED_PREEMPT_CODE_H
#define USCHED_PREEMPT_CODE_H

/*
 * Which code a fiber may be moved from to another thread at any instruction, and which is libc's.
 *
 * A fiber of mode YIELD is switched inside the tick's handler, and may go on in another kernel
 * thread. Its author has declared code that stands this with usched_code_add(). What the author
 * cannot promise for is checked at each tick; one veto, and the fiber is handed over as any other,
 * which is right for all code:
 *
 *	CODE	the interrupted instruction is not in declared code
 *	STACK	the stack pointer is not in the fiber's stack
 *	MASK	signals are blocked: this is inside somebody's handler, or a critical section
 *	FRAME	the kernel's frame has grown: some state of the CPU is in use that was not at start
 *	CALLER	the declared code was called back by a library in which no code was declared: qsort,
 *		pthread_once, dl_iterate_phdr, an unwinder. Such a library may hold a lock that
 *		belongs to the thread, or keep a pointer into the thread's memory.
 *
 * CALLER is found by looking at every word of the stack that is in use by the fiber's function and
 * what it called, not of what began the fiber: a function that will be returned to
 * has its address there, or, for a leaf function, in the link register. An old address that is left
 * over in the stack gives a veto without need; none can be missed. Code that is linked statically
 * into the same file as declared code is taken for the author's.
 *
 * Limits: 64 declared ranges, 512 segments of other code, 64 KiB of stack looked at; beyond them
 * the answer is a veto. A library that is loaded later is known after the next usched_code_add().
 *
 * Memory order
 *	[C1] add: store low, release store of high -> handler: acquire load of high
 *	[C2] the segments are a sequence lock: a reader in the middle of a change answers with a veto
 */

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "worker/scheduler.h"

/** usched_code_find_libc() - once per process, before the first tick. Callable from: any thread. */
void usched_code_find_libc(void);

/** usched_code_forget() - in a child of fork: no other thread changes what is declared, which stays */
void usched_code_forget(void);

/** usched_code_is_libc() - code whose locks many share. Callable from: signal handler. */
bool usched_code_is_libc(uintptr_t pc);

/**
 * usched_code_allows() - may this fiber go on in another thread from here?
 * @frame:	the tick's
 * @veto:	set when the answer is no
 *
 * Callable from: signal handler, inside the runtime
 */
bool usched_code_allows(const struct usched_carrier *carrier, const struct usched_fiber *fiber,
			const ucontext_t *frame, enum usched_veto *veto);

#endif /* USCHED_PREEMPT_CODE_H */
