/* SPDX-License-Identifier: MIT */
#ifndef USCHED_MEMORY_OVERFLOW_H
#define USCHED_MEMORY_OVERFLOW_H

/*
 * A fiber that runs into the guard below its stack is named before the process ends.
 *
 *	fault -> SIGSEGV or SIGBUS -> handler, on the carrier's alternate stack
 *		address in a guard of a runtime:  one line that names the fiber, its backtrace, abort
 *		else:				  the handler that was there before ours
 *
 * The signal's disposition belongs to the process, so the list of runtimes to ask is process-wide:
 * a fixed array that the handler walks without a lock. The handler is installed by the first
 * runtime and removed by the last one, if nobody has put another one on top.
 *
 * Limits
 *	A frame larger than the guard (64 KiB of alloca, say) can step over it into the neighbour's
 *	stack, unless its code was compiled with -fstack-clash-protection.
 *	A fault inside a system call gives EFAULT to its caller and no signal.
 *	A handler that was there before and expects to run on the faulting thread's own stack
 *	runs on the alternate one in carriers.
 *
 * Memory order
 *	[A] start: release store of find -> handler: acquire load of find
 *	    The handler sees the context that belongs to it.
 *	[B] stop: store of find, then load of readers | handler: add to readers, then load of find
 *	    All four seq_cst: either the handler finds no hook, or stop sees the reader and waits.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "usched/usched.h"

enum { USCHED_OVERFLOW_HOOKS_MAX = 64 };	/* runtimes of a process, and one for tests */

/* What a runtime knows of the stack that an address lies in. */
struct usched_overflow_found {
	char name[USCHED_NAME_MAX];	/* of the fiber; empty: it has none	*/
	uint64_t fiber;			/* its handle; 0: nobody runs there	*/
	enum usched_stack class;
	size_t stack_bytes;		/* of the class				*/
	uintptr_t low;			/* lowest usable byte			*/
	bool in_guard;			/* the address is the guard's		*/
};

/**
 * usched_overflow_find - a hook: does this address lie in one of the runtime's stacks?
 *
 * Return:	true: all fields of @found were set.
 * Callable from: signal handler, in any thread, while anything is half done: it may only read.
 */
typedef bool usched_overflow_find(void *context, uintptr_t address,
				  struct usched_overflow_found *found);

/* A thread's alternate stack; all zero when there is none. */
struct usched_overflow_thread {
	void *memory;
	size_t bytes;
	stack_t before;
};

/**
 * usched_overflow_start() - ask this runtime, too, from now on
 * @find:	stays callable with @context until usched_overflow_stop() has returned
 *
 * The first backtrace loads a library; that is done here.
 *
 * Return:	a number for usched_overflow_stop(), 0 or more
 * Errors:	-EMFILE  USCHED_OVERFLOW_HOOKS_MAX runtimes are known already
 *		those of sigaction(2), negative
 * Ordering:	[A] as releaser.
 * Callable from: any thread that is not a fiber.
 */
int usched_overflow_start(usched_overflow_find *find, void *context);

/**
 * usched_overflow_stop() - forget a runtime
 * @hook:	from usched_overflow_start()
 *
 * Ordering:	[B].
 * Callable from: any thread that is not a fiber; not from a signal handler.
 */
void usched_overflow_stop(int hook);

/** usched_overflow_forget() - in a child of fork: no runtime is asked; what was there is put back */
void usched_overflow_forget(void);

/**
 * usched_overflow_thread_start() - give the calling thread an alternate stack
 *
 * Without one the kernel cannot run the handler of a thread whose stack is full.
 *
 * Return:	0
 * Errors:	-ENOMEM; those of sigaltstack(2), negative
 * Ownership:	usched_overflow_thread_stop() in the same thread gives it back.
 * Callable from: the thread, on its native stack.
 */
int usched_overflow_thread_start(struct usched_overflow_thread *thread);

/**
 * usched_overflow_thread_stop() - put the thread's former alternate stack back
 *
 * Callable from: the thread, on its native stack.
 */
void usched_overflow_thread_stop(struct usched_overflow_thread *thread);

#endif /* USCHED_MEMORY_OVERFLOW_H */
