/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_CHILD_H
#define USCHED_BASE_CHILD_H

/*
 * What a child of fork(2) must know, and must not keep.
 *
 * It has a copy of the memory of its parent's runtimes, with locks in any state, and none of their
 * threads: so it is outside, and calls are refused before they look at any of it. Only plain threads
 * look at the flag (in the child there are no others), so fibers do not pay for it.
 *
 * The library's file descriptors would be the child's, too: a connection that its parent has closed
 * would stay open, and so would one whose parent has died. So those that live longer than a call are
 * noted here, and the child closes them. They are noted process-wide, one bit each, and not looked
 * for in the runtimes, one of which may just have been half made or half gone.
 *
 *	owner's thread				fork
 *	  add: open, then note			between: the child keeps a copy, and knows nothing
 *	  close: forget, then close		between: the same
 *
 * So the child never closes what is the program's. What it may keep in those moments does no harm: a
 * connection is shut down before it is closed (shm/message.h), which no copy survives.
 */

#include <stdatomic.h>
#include <stdbool.h>

/* Relaxed: written while the process has one thread, which makes all later ones. */
extern _Atomic bool usched_child_flag;

/** usched_in_child() - is this a child that has not forgotten its parent's runtimes? Anywhere. */
static inline bool usched_in_child(void)
{
	return __builtin_expect(atomic_load_explicit(&usched_child_flag, memory_order_relaxed), 0);
}

/** usched_owned_add() - note a descriptor of the library's. Return: @descriptor, also if negative. */
int usched_owned_add(int descriptor);

/** usched_owned_close() - close one that was noted; negative: nothing happens */
void usched_owned_close(int descriptor);

/** usched_child_begin() - the process is such a child. Its only thread, in the handler of fork. */
void usched_child_begin(void);

/** usched_child_end() - it has forgotten all */
void usched_child_end(void);

#endif /* USCHED_BASE_CHILD_H */
