/* SPDX-License-Identifier: MIT */
/*
 * CUnit reports less than it should, and each of these has let a broken test pass somewhere: a suite
 * whose initialisation fails counts no failure, a case that is never reached counts nothing, and a
 * process that leaves early prints no summary and may still return 0. So the driver registers no
 * suite functions, compares what ran with what was registered, and guards exit().
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>

#include "harness.h"

static bool finished;
static pid_t main_pid;
static const char *skip_reason;	/* of the case that runs now */
static unsigned int skipped;

/* exit() inside a case must not look like success; a forked child may leave as it likes. */
static void on_exit_early(void)
{
	if (finished || getpid() != main_pid)
		return;
	printf("FAIL: the program left before its last case\n");
	fflush(stdout);
	_exit(1);
}

static void on_case_start(const CU_pTest test, const CU_pSuite suite)
{
	(void)test;
	(void)suite;
	skip_reason = NULL;
}

static void on_case_complete(const CU_pTest test, const CU_pSuite suite,
			     const CU_pFailureRecord failure)
{
	const CU_FailureRecord *f;

	(void)suite;
	if (failure == NULL && skip_reason != NULL) {
		skipped++;
		printf("skip %s: %s\n", test->pName, skip_reason);
	} else if (failure == NULL) {
		printf("ok %s\n", test->pName);
	} else {
		printf("FAIL %s: %s:%u: %s\n", test->pName, failure->strFileName,
		       failure->uiLineNumber, failure->strCondition);
		for (f = failure->pNext; f != NULL; f = f->pNext)
			printf("     %s:%u: %s\n", f->strFileName, f->uiLineNumber,
			       f->strCondition);
	}
	fflush(stdout);
}

static void on_suite_init_failure(const CU_pSuite suite)
{
	printf("FAIL %s: the suite could not be initialised\n", suite->pName);
}

void usched_test_skip(const char *why)
{
	skip_reason = why;
}

/* Prints why CUnit could not be set up; the caller returns the failure. */
static int setup_failed(const char *module, const char *what)
{
	printf("FAIL %s: %s: %s\n", module, what, CU_get_error_msg());
	finished = true;
	return EXIT_FAILURE;
}

int usched_test_main(const char *module, const struct usched_test *tests, size_t count)
{
	const char *only = getenv("USCHED_TEST");
	unsigned int registered = 0;
	CU_pSuite suite;
	char *summary;
	bool failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	main_pid = getpid();
	atexit(on_exit_early);

	if (CU_initialize_registry() != CUE_SUCCESS)
		return setup_failed(module, "no registry");
	suite = CU_add_suite(module, NULL, NULL);
	if (suite == NULL)
		return setup_failed(module, "no suite");

	for (size_t i = 0; i < count; i++) {
		if (only != NULL && *only != '\0' && strcmp(only, tests[i].name) != 0)
			continue;
		/* A duplicate name is refused here too. */
		if (CU_add_test(suite, tests[i].name, tests[i].run) == NULL)
			return setup_failed(module, tests[i].name);
		registered++;
	}
	if (registered == 0) {
		printf("FAIL %s: no case is called '%s'\n", module, only != NULL ? only : "");
		finished = true;
		return EXIT_FAILURE;
	}

	CU_set_error_action(CUEA_IGNORE);
	CU_set_test_start_handler(on_case_start);
	CU_set_test_complete_handler(on_case_complete);
	CU_set_suite_init_failure_handler(on_suite_init_failure);

	failed = CU_run_all_tests() != CUE_SUCCESS;
	failed |= CU_get_number_of_tests_failed() != 0;
	failed |= CU_get_number_of_suites_failed() != 0;
	failed |= CU_get_number_of_tests_run() != registered;

	summary = CU_get_run_results_string();
	if (summary == NULL) {
		failed = true;
	} else {
		printf("%s\n", summary);
		free(summary);
	}
	CU_cleanup_registry();
	fflush(stdout);
	finished = true;

	if (failed)
		return EXIT_FAILURE;
	return skipped == registered ? 77 : EXIT_SUCCESS;
}
