/* SPDX-License-Identifier: MIT */
/*
 * The driver must not let a broken program pass. Each case runs a small program of its own in a
 * child process, through the same driver, and looks at its exit code and at what it printed.
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

/* Runs the cases in a child that execs this program again, so that CUnit starts fresh there. */
static void run_child(const char *which, struct outcome *out)
{
	size_t used = 0;
	ssize_t got;
	int pipe_fd[2];
	pid_t pid;

	memset(out, 0, sizeof(*out));
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_fd), 0);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		close(pipe_fd[0]);
		close(pipe_fd[1]);
		setenv("USCHED_HARNESS_CHILD", which, 1);
		unsetenv("USCHED_TEST");
		execl("/proc/self/exe", "t_harness", (char *)NULL);
		_exit(126);
	}
	close(pipe_fd[1]);
	while (used < sizeof(out->text) - 1 &&
	       (got = read(pipe_fd[0], out->text + used, sizeof(out->text) - 1 - used)) > 0)
		used += (size_t)got;
	close(pipe_fd[0]);
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &out->status, 0), pid);
}

static void passing_program_exits_0(void)
{
	struct outcome out;

	run_child("passes", &out);
	CU_ASSERT(WIFEXITED(out.status) && WEXITSTATUS(out.status) == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.text, "ok one\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.text, "Run Summary"));
}

static void failed_assertion_exits_1_and_names_its_line(void)
{
	struct outcome out;

	run_child("fails", &out);
	CU_ASSERT(WIFEXITED(out.status) && WEXITSTATUS(out.status) == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.text, "FAIL one: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.text, "t_harness.c:"));
}

static void fatal_assertion_leaves_the_case(void)
{
	struct outcome out;

	run_child("fatal", &out);
	CU_ASSERT(WIFEXITED(out.status) && WEXITSTATUS(out.status) == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.text, "FAIL one: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.text, "ok two\n"));
}

static void skipped_program_exits_77_with_its_reason(void)
{
	struct outcome out;

	run_child("skips", &out);
	CU_ASSERT(WIFEXITED(out.status) && WEXITSTATUS(out.status) == 77);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.text, "skip one: never: "));
}

static void early_exit_0_is_a_failure(void)
{
	struct outcome out;

	run_child("leaves", &out);
	CU_ASSERT(WIFEXITED(out.status) && WEXITSTATUS(out.status) == 1);
	CU_ASSERT_PTR_NULL(strstr(out.text, "Run Summary"));
}

static void crash_prints_no_summary(void)
{
	struct outcome out;

	run_child("crashes", &out);
	CU_ASSERT(!WIFEXITED(out.status) || WEXITSTATUS(out.status) != 0);
	CU_ASSERT_PTR_NULL(strstr(out.text, "Run Summary"));
}

static int child_main(const char *which)
{
	const struct {
		const char *which;
		struct usched_test tests[2];
		size_t count;
	} programs[] = {
		{ "passes", { { "one", child_passes } }, 1 },
		{ "fails", { { "one", child_fails }, { "two", child_passes } }, 2 },
		{ "fatal", { { "one", child_fails_fatally }, { "two", child_passes } }, 2 },
		{ "skips", { { "one", child_skips } }, 1 },
		{ "leaves", { { "one", child_passes }, { "two", child_leaves } }, 2 },
		{ "crashes", { { "one", child_passes }, { "two", child_crashes } }, 2 },
	};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (strcmp(programs[i].which, which) == 0)
			return usched_test_main("child", programs[i].tests, programs[i].count);
	return 125;
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
	const char *which = getenv("USCHED_HARNESS_CHILD");

	if (which != NULL)
		return child_main(which);
	return usched_test_main("harness", tests, sizeof(tests) / sizeof(tests[0]));
}
