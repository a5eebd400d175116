/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_MEMBARRIER_H
#define USCHED_BASE_MEMBARRIER_H

/*
 * A full fence in all running threads of the process, so that the side that is often gone through
 * needs none: it pays with a compiler fence, and the rare side with a system call. Linux 4.14.
 */

#include <linux/membarrier.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/** usched_membarrier_register() - the process will use it. False: the kernel does not have it. */
static inline bool usched_membarrier_register(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/** usched_membarrier() - after register succeeded, in this process: cannot fail. Any thread. */
static inline void usched_membarrier(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

#endif /* USCHED_BASE_MEMBARRIER_H */
