/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_DENY_H
#define USCHED_TESTS_DENY_H

/*
 * System calls that fail, as a container's filter makes them fail: for this process and what it
 * starts from here on. There is no way back, so it is for children.
 */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct denial {
	long number;		/* SYS_...			*/
	int error;		/* what it gives, positive	*/
};

enum { DENIALS_MAX = 8 };

/* Return: 0; -errno: the kernel, or another filter, does not let us. */
static inline int deny(const struct denial *denials, unsigned int count)
{
	struct sock_filter code[2 * DENIALS_MAX + 2];
	struct sock_fprog program = { .filter = code };

	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
							   offsetof(struct seccomp_data, nr));
	for (unsigned int i = 0; i < count && i < DENIALS_MAX; i++) {
		code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(unsigned int)denials[i].number, 0, 1);
		code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
			SECCOMP_RET_ERRNO | ((unsigned int)denials[i].error & SECCOMP_RET_DATA));
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return -errno;
	return 0;
}

#endif /* USCHED_TESTS_DENY_H */
