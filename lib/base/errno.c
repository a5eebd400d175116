/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/errno.h"

/* Out of line, also for an optimiser that sees the whole program: the empty asm cannot be merged. */
__attribute__((noinline)) int usched_errno_get(void)
{
	__asm__ volatile("" : : : "memory");
	return errno;
}

__attribute__((noinline)) void usched_errno_set(int value)
{
	errno = value;
	__asm__ volatile("" : : : "memory");
}
