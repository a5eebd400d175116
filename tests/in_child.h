/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_IN_CHILD_H
#define USCHED_TESTS_IN_CHILD_H

/*
 * A case in a process of its own, which may set limits, filters and signals for good. The child has no
 * runtime of its parent's, and uses nothing of the harness: it says on stderr what was not true, and ends
 * with 1.
 */

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a function that such a child runs, which returns 0 if all went well. */
#define EXPECT(condition)							\
	do {									\
		if (!(condition)) {						\
			fprintf(stderr, "child: %d: %s\n", __LINE__, #condition); \
			return 1;						\
		}								\
	} while (0)

/* What waitpid(2) says of a child that ends with the value of the call. */
#define IN_CHILD(call)								\
	({									\
		pid_t child_of_test = fork();					\
		int status_of_child = -1;					\
										\
		if (child_of_test == 0)						\
			_exit(call);						\
		while (waitpid(child_of_test, &status_of_child, 0) != child_of_test) \
			;							\
		status_of_child;						\
	})

/* Its exit code; a signal that ended it counts from 128. */
static inline int exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif /* USCHED_TESTS_IN_CHILD_H */
