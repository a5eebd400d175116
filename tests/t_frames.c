/* SPDX-License-Identifier: MIT */
/*
 * How a fiber's stack begins and ends: its first frame, the start of the next fiber on a stack that is
 * used up, leaving it; and that an unwinder finds its way there, from every instruction.
 */
#include <execinfo.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

#include "arch/context.h"
#include "arch/cpu.h"
#include "arch/sanitize.h"
#include "harness.h"
#include "parties.h"
#include "step_registers.h"

/* ---- first frame, start and leave ------------------------------------------------------------- */

struct entered {
	struct step_entry seen;		/* first: step_entry() writes it */
	struct party main, fiber;
};

static void entered_then(struct step_entry *seen)
{
	struct entered *entered = (struct entered *)seen;

	arrive(&entered->fiber);
	leave(&entered->main);
}

/* The ABI: 16-byte alignment before the call; no frame pointer chain beyond the first frame. */
static void entry_is_aligned(void)
{
#if STEP_REGISTERS > 0
	for (unsigned int shift = 0; shift < 64; shift += 8) {
		struct entered entered = { .seen = { .then = entered_then } };
		char *top;

		native(&entered.main);
		make(&entered.fiber, step_entry, &entered);
		top = entered.fiber.stack + STACK_BYTES - shift;
		usched_arch_context_init(&entered.fiber.context, entered.fiber.stack, top,
					 step_entry, &entered);
		go(&entered.main, &entered.fiber);
		CU_ASSERT_EQUAL(entered.seen.stack_pointer % 16, 0);
		CU_ASSERT(entered.seen.stack_pointer <= (uintptr_t)top);
#if !USCHED_ARCH_GENERIC
		CU_ASSERT((uintptr_t)top - entered.seen.stack_pointer < 256);
		CU_ASSERT_EQUAL(entered.seen.frame_pointer, 0);
#endif
		unmake(&entered.fiber);
	}
#else
	USCHED_SKIP("cpu: no register helper for this CPU");
#endif
}

struct runs {
	struct party main, fiber;
	struct usched_sanitize next;	/* of the fiber that takes the stack over */
	struct usched_sanitize old;
	unsigned int count;
	unsigned int limit;
	uintptr_t address[64];
};

static const struct usched_context *runs_entry(void *argument);

/* Fills some stack, so that a new user of it finds something to trip over. */
static __attribute__((noinline)) void runs_dirty(struct runs *runs)
{
	volatile char block[2048];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(runs->count + i);
	runs->address[runs->count] = (uintptr_t)block;
}

static const struct usched_context *runs_entry(void *argument)
{
	struct runs *runs = argument;
	struct usched_sanitize old = runs->fiber.sanitize;

	if (runs->count > 0) {
		usched_sanitize_switch_finish(&runs->next);
		old = runs->fiber.sanitize;
		usched_sanitize_destroy(&old);
		runs->fiber.sanitize = runs->next;
	} else {
		arrive(&runs->fiber);
	}
	runs_dirty(runs);
	if (++runs->count == runs->limit)
		leave(&runs->main);
	usched_sanitize_init(&runs->next, runs->fiber.stack, runs->fiber.stack + STACK_BYTES);
	usched_sanitize_leave_begin(&runs->next);
	usched_arch_start(runs->fiber.stack, runs->fiber.stack + STACK_BYTES, runs_entry, runs);
}

/* One stack serves 64 fibers one after the other, each from its very top. */
static void start_reuses_the_running_stack(void)
{
	struct runs runs = { .limit = 64 };

	native(&runs.main);
	make(&runs.fiber, runs_entry, &runs);
	go(&runs.main, &runs.fiber);
	CU_ASSERT_EQUAL(runs.count, 64);
#if !USCHED_ASAN
	for (unsigned int i = 2; i < runs.limit; i++)
		CU_ASSERT_EQUAL(runs.address[i], runs.address[1]);
#endif
	unmake(&runs.fiber);
}

static struct pair other;

static const struct usched_context *other_second(void *argument)
{
	struct party *self = argument;

	arrive(self);
	other.count += 10;
	leave(&other.main);
}

static struct party other_target;

static const struct usched_context *other_first(void *argument)
{
	(void)argument;
	arrive(&other.fiber);
	other.count += 1;
	usched_sanitize_leave_begin(&other_target.sanitize);
	usched_arch_start(other_target.stack, other_target.stack + STACK_BYTES, other_second,
			  &other_target);
}

/* A finished fiber may also start the next one on another, unused stack. */
static void start_takes_another_stack(void)
{
	memset(&other, 0, sizeof(other));
	native(&other.main);
	make(&other.fiber, other_first, NULL);
	make(&other_target, other_second, NULL);
	go(&other.main, &other.fiber);
	CU_ASSERT_EQUAL(other.count, 11);
	unmake(&other.fiber);
	unmake(&other_target);
}

static const struct usched_context *ending_entry(void *argument)
{
	struct pair *pair = argument;

	arrive(&pair->fiber);
	pair->count++;
	if (pair->count % 2)
		go(&pair->fiber, &pair->main);
	return &pair->main.context;
}

/* An entry function leaves by returning whom to continue, right away or after other switches. */
static void an_entry_may_return_whom_to_continue(void)
{
	struct pair pair = { .count = 0 };

	if (USCHED_ASAN || USCHED_TSAN)
		USCHED_SKIP("sanitizer: it counts the return for the next stack");
	native(&pair.main);
	for (unsigned int i = 1; i <= 64; i++) {
		make(&pair.fiber, ending_entry, &pair);
		go(&pair.main, &pair.fiber);
		CU_ASSERT_EQUAL(pair.count, i);
		if (i % 2)
			go(&pair.main, &pair.fiber);
		unmake(&pair.fiber);
	}
}

static const struct usched_context *returning_entry(void *argument)
{
	arrive(&((struct pair *)argument)->fiber);
	return NULL;
}

/* An entry function that returns nobody stops the process there, and never runs on into nothing. */
static void an_entry_that_returns_nobody_is_fatal(void)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		static struct pair pair;
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGILL, SIG_DFL);
		signal(SIGTRAP, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(2);
		native(&pair.main);
		make(&pair.fiber, returning_entry, &pair);
		go(&pair.main, &pair.fiber);
		_exit(1);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_FATAL(WIFSIGNALED(status));
	CU_ASSERT(WTERMSIG(status) == SIGILL || WTERMSIG(status) == SIGTRAP ||
		  WTERMSIG(status) == SIGABRT);
}

/* ---- back-traces ------------------------------------------------------------------------------ */

struct trace {
	struct party main, fiber;
	void *frame[64];
	int frames;
	unsigned int unwound;
	uintptr_t last;
	_Unwind_Reason_Code end;
};

static _Unwind_Reason_Code trace_frame(struct _Unwind_Context *context, void *argument)
{
	struct trace *trace = argument;

	/* Some unwinders show the end itself as a frame with address 0. */
	if (_Unwind_GetIP(context) != 0)
		trace->last = _Unwind_GetIP(context);
	return ++trace->unwound < 64 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static __attribute__((noinline)) void trace_deep(struct trace *trace)
{
	trace->frames = backtrace(trace->frame, 64);
	trace->end = _Unwind_Backtrace(trace_frame, trace);
}

static const struct usched_context *trace_entry(void *argument)
{
	struct trace *trace = argument;

	arrive(&trace->fiber);
	trace_deep(trace);
	leave(&trace->main);
}

static const struct usched_context *trace_started(void *argument)
{
	struct trace *trace = argument;

	arrive(&trace->fiber);
	usched_sanitize_leave_begin(&trace->fiber.sanitize);
	usched_arch_start(trace->fiber.stack, trace->fiber.stack + STACK_BYTES, trace_entry, trace);
}

static void check_trace(usched_arch_entry *entry)
{
	struct trace trace = { 0 };
	bool inside = false;

	native(&trace.main);
	make(&trace.fiber, entry, &trace);
	go(&trace.main, &trace.fiber);
	CU_ASSERT(trace.frames >= 2 && trace.frames < 64);
	CU_ASSERT_EQUAL(trace.end, _URC_END_OF_STACK);
	CU_ASSERT(trace.unwound >= 2 && trace.unwound < 64);
	/* Some frame is in trace_entry: it is a small function. */
	for (int i = 0; i < trace.frames; i++)
		inside |= (uintptr_t)trace.frame[i] - (uintptr_t)trace_entry < 512;
	CU_ASSERT(inside);
#if !USCHED_ARCH_GENERIC
	CU_ASSERT(usched_arch_in_switch(trace.last));
#endif
	unmake(&trace.fiber);
}

/* An unwinder walks from inside a fiber to its first frame and says that this is the end. */
static void back_traces_end_cleanly(void)
{
	check_trace(trace_entry);
	check_trace(trace_started);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "entry_is_aligned", entry_is_aligned },
		{ "start_reuses_the_running_stack", start_reuses_the_running_stack },
		{ "start_takes_another_stack", start_takes_another_stack },
		{ "an_entry_may_return_whom_to_continue", an_entry_may_return_whom_to_continue },
		{ "an_entry_that_returns_nobody_is_fatal", an_entry_that_returns_nobody_is_fatal },
		{ "back_traces_end_cleanly", back_traces_end_cleanly },
		{ "unwinding_is_right_at_every_instruction", step_unwinds_at_every_instruction },
	};

	return usched_test_main("frames", tests, sizeof(tests) / sizeof(tests[0]));
}
