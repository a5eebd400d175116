/* SPDX-License-Identifier: MIT */
/*
 * fork(2) in a process that has runtimes.
 *
 *	parent			the child's only thread
 *	  runtime A
 *	  fork -------------->	in_child(): no carrier any more; every call is refused; the
 *	  goes on		library's descriptors are closed
 *				exec, _exit, plain code of libc: nothing of usched is in their way
 *				usched_runtime_reset(): A is forgotten, a new runtime may be made
 *
 * What the kernel does not hand on: threads, POSIX timers, perf events of threads, pending signals. So
 * no tick arrives in the child; the tick's handler, which it has, passes all on to what was there before.
 *
 * What it does hand on stays as it is until exec or the end: the runtimes' memory, the stack under
 * the caller's feet included. Another thread may have held any lock of it, so nothing of it is freed,
 * or looked at.
 */
#include <errno.h>
#include <pthread.h>

#include "base/child.h"
#include "io/descriptor.h"
#include "memory/overflow.h"
#include "preempt/code.h"
#include "preempt/tick.h"
#include "runtime/runtime.h"
#include "worker/registry.h"

/* That exist, begin or end: while there is none a fork copies nothing that matters. Relaxed: it is
   read when the process has one thread. */
static _Atomic uint32_t runtimes;

void usched_fork_matters(void)
{
	atomic_fetch_add_explicit(&runtimes, 1, memory_order_relaxed);
}

void usched_fork_matters_not(void)
{
	atomic_fetch_sub_explicit(&runtimes, 1, memory_order_relaxed);
}

static void in_child(void)
{
	if (atomic_load_explicit(&runtimes, memory_order_relaxed) == 0)
		return;
	usched_carrier_self_set(NULL);
	usched_child_begin();
}

/* As early as can be: such handlers run in order, and the program's may call us. */
__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

int usched_runtime_reset(void)
{
	if (!usched_in_child())
		return atomic_load_explicit(&runtimes, memory_order_relaxed) ? -EBUSY : 0;
	usched_registry_forget();
	usched_descriptors_forget();
	usched_tick_forget();
	usched_code_forget();
	usched_overflow_forget();
	atomic_store_explicit(&runtimes, 0, memory_order_relaxed);
	usched_child_end();
	return 0;
}
