/* SPDX-License-Identifier: MIT */
/*
 * The driver must not let a broken program pass. Small programs run in child processes, through the
 * same driver, before this process touches CUnit; each case looks at the exit code of one of them
 * and at what it printed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static void child_passes(void)
{
	CU_ASSERT(1 + 1 == 2);
}

static void child_fails(void)
{
	CU_ASSERT_EQUAL(1, 2);
}

static void child_fails_fatally(void)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(NULL);
	_exit(0);
}

static void child_skips(void)
{
	USCHED_SKIP("never: a skip of the harness's own test");
}

static void child_leaves(void)
{
	exit(0);
}

static void child_crashes(void)
{
	signal(SIGSEGV, SIG_DFL);	/* sanitizers would print a report and exit */
	raise(SIGSEGV);
}

struct outcome {
	int status;
	char text[4096];
};

static const struct {
	struct usched_test tests[2];
	size_t count;
} programs[] = {
#define PASSES 0
	{ { { "one", child_passes } }, 1 },
#define FAILS 1
	{ { { "one", child_fails }, { "two", child_passes } }, 2 },
#define FAILS_FATALLY 2
	{ { { "one", child_fails_fatally }, { "two", child_passes } }, 2 },
#define SKIPS 3
	{ { { "one", child_skips } }, 1 },
#define LEAVES 4
	{ { { "one", child_passes }, { "two", child_leaves } }, 2 },
#define CRASHES 5
	{ { { "one", child_passes }, { "two", child_crashes } }, 2 },
#define PROGRAMS 6
};

_Static_assert(sizeof(programs) / sizeof(programs[0]) == PROGRAMS, "each program has a name");

static struct outcome outcomes[PROGRAMS];

static int run_child(size_t which, struct outcome *out)
{
	size_t used = 0;
	ssize_t got;
	int pipe_fd[2];
	pid_t pid;

	if (pipe(pipe_fd) != 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		close(pipe_fd[0]);
		close(pipe_fd[1]);
		unsetenv("USCHED_TEST");
		exit(usched_test_main("child", programs[which].tests, programs[which].count));
	}
	close(pipe_fd[1]);
	while (used < sizeof(out->text) - 1 &&
	       (got = read(pipe_fd[0], out->text + used, sizeof(out->text) - 1 - used)) > 0)
		used += (size_t)got;
	close(pipe_fd[0]);
	return waitpid(pid, &out->status, 0) == pid ? 0 : -1;
}

static void passing_program_exits_0(void)
{
	const struct outcome *out = &outcomes[PASSES];

	CU_ASSERT(WIFEXITED(out->status) && WEXITSTATUS(out->status) == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out->text, "ok one\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out->text, "Run Summary"));
}

static void failed_assertion_exits_1_and_names_its_line(void)
{
	const struct outcome *out = &outcomes[FAILS];

	CU_ASSERT(WIFEXITED(out->status) && WEXITSTATUS(out->status) == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(out->text, "FAIL one: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(out->text, "t_harness.c:"));
}

static void fatal_assertion_leaves_the_case(void)
{
	const struct outcome *out = &outcomes[FAILS_FATALLY];

	CU_ASSERT(WIFEXITED(out->status) && WEXITSTATUS(out->status) == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(out->text, "FAIL one: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(out->text, "ok two\n"));
}

static void skipped_program_exits_77_with_its_reason(void)
{
	const struct outcome *out = &outcomes[SKIPS];

	CU_ASSERT(WIFEXITED(out->status) && WEXITSTATUS(out->status) == 77);
	CU_ASSERT_PTR_NOT_NULL(strstr(out->text, "skip one: never: "));
}

static void early_exit_0_is_a_failure(void)
{
	const struct outcome *out = &outcomes[LEAVES];

	CU_ASSERT(WIFEXITED(out->status) && WEXITSTATUS(out->status) == 1);
	CU_ASSERT_PTR_NULL(strstr(out->text, "Run Summary"));
}

static void crash_prints_no_summary(void)
{
	const struct outcome *out = &outcomes[CRASHES];

	CU_ASSERT(!WIFEXITED(out->status) || WEXITSTATUS(out->status) != 0);
	CU_ASSERT_PTR_NULL(strstr(out->text, "Run Summary"));
}

static const struct usched_test tests[] = {
	{ "passing_program_exits_0", passing_program_exits_0 },
	{ "failed_assertion_exits_1_and_names_its_line",
	  failed_assertion_exits_1_and_names_its_line },
	{ "fatal_assertion_leaves_the_case", fatal_assertion_leaves_the_case },
	{ "skipped_program_exits_77_with_its_reason", skipped_program_exits_77_with_its_reason },
	{ "early_exit_0_is_a_failure", early_exit_0_is_a_failure },
	{ "crash_prints_no_summary", crash_prints_no_summary },
};

int main(void)
{
	for (size_t i = 0; i < PROGRAMS; i++) {
		if (run_child(i, &outcomes[i]) != 0) {
			perror("t_harness: a child could not be run");
			return EXIT_FAILURE;
		}
	}
	return usched_test_main("harness", tests, sizeof(tests) / sizeof(tests[0]));
}
