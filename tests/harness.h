/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_HARNESS_H
#define USCHED_TESTS_HARNESS_H

/*
 * The driver of every CUnit program.
 *
 *	static void ring_wraps(void)
 *	{
 *		CU_ASSERT_EQUAL_FATAL(push_and_pop(), 0);
 *	}
 *
 *	static const struct usched_test tests[] = {
 *		{ "ring_wraps", ring_wraps },
 *	};
 *
 *	int main(void)
 *	{
 *		return usched_test_main("ring", tests, sizeof(tests) / sizeof(tests[0]));
 *	}
 *
 * One line per case goes to stdout as soon as the case is over, then CUnit's own Run Summary:
 *
 *	ok ring_wraps
 *	FAIL ring_steals: tests/t_ring.c:41: CU_ASSERT_EQUAL(n,2)
 *	skip ring_node: one-node: needs two NUMA nodes
 *
 * tests/summary counts these lines. A program that dies, or leaves by exit(), before its Run
 * Summary has failed, whatever its lines said.
 *
 * Invariants
 *	I1  CUnit is called from the main thread only, and never from a fiber: a fatal assertion
 *	    is a longjmp to the main thread's stack. A fiber records, main asserts.
 *	I2  every registered case was run, or the program fails.
 *
 * Environment: USCHED_TEST=name runs that case alone.
 */

#include <stddef.h>

#include <CUnit/CUnit.h>

struct usched_test {
	const char *name;	/* says what must be true; letters, digits and _ */
	void (*run)(void);
};

/**
 * usched_test_main() - run the cases of one module, in order
 * @module:	name of the program, for CUnit's suite
 * @tests:	the cases
 * @count:	how many
 *
 * Return:	the exit code for main: 0 passed, 1 failed, 77 every case was skipped.
 * Callable from: the main thread, once.
 */
int usched_test_main(const char *module, const struct usched_test *tests, size_t count);

/**
 * usched_test_skip() - mark the running case as skipped; see USCHED_SKIP
 * @why:	"label: reason", label as in tests/skips.txt
 *
 * Callable from: the main thread, inside a case.
 */
void usched_test_skip(const char *why);

/* Leaves the running case: what it needs is missing here. */
#define USCHED_SKIP(why)			\
	do {					\
		usched_test_skip(why);		\
		return;				\
	} while (0)

#endif /* USCHED_TESTS_HARNESS_H */
