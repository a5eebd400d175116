/* SPDX-License-Identifier: MIT */
#ifndef USCHED_MEMORY_GUARD_H
#define USCHED_MEMORY_GUARD_H

/*
 * The page below a stack that nobody may touch.
 *
 * Two ways to make one:
 *
 *	madvise		MADV_GUARD_INSTALL (Linux 6.13): a mark in the page table; one mapping holds
 *			any number of guards
 *	mprotect	works everywhere, but each guard splits its mapping in two more, and a process
 *			has vm.max_map_count of them (65,530), for everything. So there is a budget:
 *			half of what is left when the first runtime starts. The other half is for the
 *			program itself, whose malloc and mmap would fail next.
 *
 * The number of mappings is a limit of the process, so the budget is the only state here and is
 * shared by all runtimes.
 */

#include <stddef.h>
#include <stdint.h>

enum usched_guard {
	USCHED_GUARD_AUTO,	/* madvise if it works, else mprotect	*/
	USCHED_GUARD_MADVISE,
	USCHED_GUARD_MPROTECT,
};

/**
 * usched_guard_probe() - find out how guards are made here
 * @wanted:	what the user asks for (USCHED_GUARD)
 *
 * A kernel before 6.13 refuses the call. An emulator may accept it and do nothing; so a guard is
 * made, and the kernel is asked to read it.
 *
 * Return:	USCHED_GUARD_MADVISE or USCHED_GUARD_MPROTECT
 * Errors:	-ENOTSUP USCHED_GUARD_MADVISE is wanted and does not work here
 * Callable from: any thread. Changes errno.
 */
int usched_guard_probe(enum usched_guard wanted);

/**
 * usched_guard_install() - make guards at equal distances
 * @guard:	what usched_guard_probe() returned
 * @first:	lowest guard, aligned to a page
 * @guard_bytes: of one guard, whole pages
 * @stride_bytes: from one guard to the next
 * @count:	how many
 *
 * Memory that is locked (mlockall) refuses madvise guards on some kernels; those are made with
 * mprotect then, out of the same budget.
 *
 * @charged:	increased by the number of guards taken from the budget; to be given back with
 *		usched_guard_return() once their mapping is gone
 *
 * Return:	how many were made, from the first one on; fewer than @count when something ran out
 * Errors:	-ENOMEM  none: no memory for page tables, too many mappings, or the budget is spent
 *			 (usched_guard_left() is then 0)
 * Callable from: any thread, fiber. Changes errno.
 */
int usched_guard_install(enum usched_guard guard, void *first, size_t guard_bytes,
			 size_t stride_bytes, unsigned int count, uint32_t *charged);

/**
 * usched_guard_return() - guards are gone: the budget has room again
 * @charged:	sum of what usched_guard_install() said for them
 *
 * Callable from: any thread.
 */
void usched_guard_return(uint32_t charged);

/**
 * usched_guard_set_budget() - for tests: how many mprotect guards are left from now on
 *
 * Callable from: any thread.
 */
void usched_guard_set_budget(uint32_t guards);

/**
 * usched_guard_left() - how many mprotect guards the budget still has
 *
 * Return:	a number that may be out of date; UINT32_MAX before the first one was made.
 * Callable from: anywhere, signal handler.
 */
uint32_t usched_guard_left(void);

#endif /* USCHED_MEMORY_GUARD_H */
