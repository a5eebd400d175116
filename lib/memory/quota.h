/* SPDX-License-Identifier: MIT */
#ifndef USCHED_MEMORY_QUOTA_H
#define USCHED_MEMORY_QUOTA_H

/*
 * How many CPUs the control groups pay for.
 *
 * A quota limits CPU time a period: 250 ms in 100 ms is two and a half CPUs. Using more workers
 * than that makes the kernel stop all of them for the rest of the period, so the result is rounded
 * up and is a limit of workers. A quota of any ancestor counts, and versions 1 and 2 may both be
 * mounted; the smallest wins.
 *
 *	mount point		/sys/fs/cgroup
 *	+ path of the process	/service/worker		minus the part that the mount leaves out
 *	= first directory, then its parents up to the mount point
 *
 * Directories above the mount point (of the host, seen from a container) cannot be read.
 *
 * The mount points are found once; the rest is read anew each time, since processes are moved and
 * quotas changed. Nothing here calls malloc or stdio.
 */

#include <stdint.h>

#define USCHED_QUOTA_NONE UINT32_MAX

enum { USCHED_QUOTA_PATH_BYTES = 256 };

/* One hierarchy; point is empty when it is not mounted. */
struct usched_quota_mount {
	char point[USCHED_QUOTA_PATH_BYTES];	/* where			*/
	char root[USCHED_QUOTA_PATH_BYTES];	/* which group is shown there	*/
};

struct usched_quota {
	char test_root[USCHED_QUOTA_PATH_BYTES];	/* empty outside tests	*/
	struct usched_quota_mount version1;		/* the cpu controller	*/
	struct usched_quota_mount version2;
};

/**
 * usched_quota_find() - find the mounted hierarchies
 * @test_root:	put before every path; "" outside tests
 *
 * Without /proc or control groups there is simply no quota.
 *
 * Callable from: any thread. Changes errno.
 */
void usched_quota_find(struct usched_quota *quota, const char *test_root);

/**
 * usched_quota_cpus() - the quota of the calling process, now
 *
 * Return:	whole CPUs, at least 1; USCHED_QUOTA_NONE: no limit.
 * Callable from: any thread. Changes errno; takes 3 to 10 system calls a group level.
 */
uint32_t usched_quota_cpus(const struct usched_quota *quota);

#endif /* USCHED_MEMORY_QUOTA_H */
