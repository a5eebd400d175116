/* SPDX-License-Identifier: MIT */
/*
 * A fiber that overflows its stack is named before the process ends, and a fault that is none of ours
 * goes where it would have gone without us. Each case happens in a child.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/context.h"
#include "arch/sanitize.h"
#include "harness.h"
#include "memory/guard.h"
#include "memory/overflow.h"
#include "memory/stack.h"

enum { FIBER = 4711, TEXT_BYTES = 16384 };

static struct usched_stacks stacks;
static enum usched_stack test_class = USCHED_STACK_DEFAULT;
static enum usched_guard test_guard = USCHED_GUARD_AUTO;

/* As the runtime's hook does: find the slot, then who runs on it. */
static bool find(void *context, uintptr_t address, struct usched_overflow_found *found)
{
	enum usched_stack class;
	uint32_t slot;
	void *low, *top;

	if (!usched_stacks_find(context, address, &class, &slot, &found->in_guard))
		return false;
	usched_stacks_bounds(context, class, slot, &low, &top);
	strcpy(found->name, "recursive");
	found->fiber = FIBER;
	found->class = class;
	found->stack_bytes = usched_stacks_slot_bytes(context, class);
	found->low = (uintptr_t)low;
	return true;
}

static struct usched_context native, fiber;
static struct usched_sanitize native_sanitize, fiber_sanitize;

/* Not optimised into a loop: the result is used after the call. */
__attribute__((noinline)) static unsigned int recurse(unsigned int depth)
{
	volatile unsigned char frame[512];

	frame[0] = (unsigned char)depth;
	frame[511] = 1;
	if (depth == 0)
		return frame[511];
	return recurse(depth - 1) + frame[0];
}

static const struct usched_context *run_out(void *argument)
{
	usched_sanitize_switch_finish(&fiber_sanitize);
	*(volatile unsigned int *)argument = recurse(1u << 30);
	abort();
}

/* The kernel cannot push this signal's frame: no address comes with the fault. */
static const struct usched_context *raise_at_the_end(void *argument)
{
	void *low, *top;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	volatile unsigned char *filler;

	usched_sanitize_switch_finish(&fiber_sanitize);
	usched_stacks_bounds(&stacks, test_class, *(uint32_t *)argument, &low, &top);
	/* Moves the stack pointer down to a little above the guard. */
	filler = __builtin_alloca(here - (uintptr_t)low - 1200);
	filler[0] = 1;
	raise(SIGUSR1);
	abort();
}

static void ignore(int signal)
{
	(void)signal;
}

static void start_hook(void)
{
	struct usched_stacks_options options = {
		.guard = (enum usched_guard)usched_guard_probe(test_guard), .node = -1,
		.stacks_max = 10,
	};

	if (usched_stacks_init(&stacks, &options) < 0 ||
	    usched_overflow_start(find, &stacks) < 0)
		_exit(90);
}

static void enter(usched_arch_entry *entry)
{
	static struct usched_overflow_thread thread;
	static uint32_t slot;
	void *low, *top;

	start_hook();
	if (usched_overflow_thread_start(&thread) < 0 ||
	    usched_stacks_reserve(&stacks, test_class, 1) < 0)
		_exit(91);
	usched_stacks_take(&stacks, test_class, &slot, 1);
	usched_stacks_bounds(&stacks, test_class, slot, &low, &top);
	usched_sanitize_init_native(&native_sanitize);
	usched_sanitize_init(&fiber_sanitize, low, top);
	usched_arch_context_init(&fiber, low, top, entry, &slot);
	usched_sanitize_switch_begin(&native_sanitize, &fiber_sanitize);
	usched_arch_switch(&native, &fiber);
	_exit(92);
}

/* Runs @body in a child; its wait status, and what it wrote to stderr. */
static int status_of(void (*body)(void), char *text)
{
	int fds[2], status = -1;
	size_t length = 0;
	char *emulator;
	ssize_t n;
	pid_t child;

	if (pipe(fds) < 0)
		return -1;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		/* A sanitizer's handlers are no part of the case. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		body();
		_exit(93);
	}
	close(fds[1]);
	while (length < TEXT_BYTES - 1 && (n = read(fds[0], text + length, TEXT_BYTES - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	/* An emulator adds a line of its own about the signal. */
	emulator = strstr(text, "qemu: uncaught");
	if (emulator != NULL)
		*emulator = '\0';
	close(fds[0]);
	waitpid(child, &status, 0);
	return status;
}

static bool died_of(int status, int signal)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == signal)
		return true;
	printf("the child ended with status 0x%x\n", (unsigned int)status);
	return false;
}

static void overflow_child(void)
{
	enter(run_out);
}

/* The name, the size, the advice, and a frame of the function that did it. */
static void expect_report(const char *size, const char *advice)
{
	static char text[TEXT_BYTES];
	unsigned int lines = 0;

	CU_ASSERT_TRUE(died_of(status_of(overflow_child, text), SIGABRT));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "usched: fiber 'recursive' (id 4711) overflowed its "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, size));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, advice));
	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	/* The handler's own frames are three; the rest is the recursion. */
	CU_ASSERT(lines > 10);
	if (lines <= 10)
		printf("%s", text);
}

static void an_overflow_names_the_fiber(void)
{
	test_class = USCHED_STACK_DEFAULT;
	expect_report("256 KiB stack", "USCHED_STACK_LARGE gives it more");
}

static void the_largest_class_gets_other_advice(void)
{
	test_class = USCHED_STACK_LARGE;
	expect_report("8192 KiB stack", "there is no larger class");
}

static void mprotect_guards_are_recognised(void)
{
	test_class = USCHED_STACK_SMALL;
	test_guard = USCHED_GUARD_MPROTECT;
	expect_report("KiB stack", "USCHED_STACK_DEFAULT gives it more");
	test_guard = USCHED_GUARD_AUTO;
}

static void signal_child(void)
{
	struct sigaction action = { .sa_handler = ignore };

	sigaction(SIGUSR1, &action, NULL);
	enter(raise_at_the_end);
}

static void a_signal_without_room_is_an_overflow(void)
{
	static char text[TEXT_BYTES];

	if (USCHED_ASAN || USCHED_TSAN)
		USCHED_SKIP("sanitizer: its frames do not end where the case needs them to");
	if (getenv("USCHED_EMULATOR") != NULL)
		USCHED_SKIP("emulator: it reports such a fault in its own way");
	test_class = USCHED_STACK_DEFAULT;
	CU_ASSERT_TRUE(died_of(status_of(signal_child, text), SIGABRT));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "usched: fiber 'recursive' (id 4711) overflowed its "));
}

/* Not by a null pointer in C: compilers and sanitizers have opinions on those. */
static void fault(void)
{
	volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*page = 1;
}

static void plain_fault_child(void)
{
	start_hook();
	fault();
}

static void another_fault_stays_what_it_is(void)
{
	static char text[TEXT_BYTES];

	CU_ASSERT_TRUE(died_of(status_of(plain_fault_child, text), SIGSEGV));
	CU_ASSERT_STRING_EQUAL(text, "");
}

static void sent_child(void)
{
	start_hook();
	kill(getpid(), SIGSEGV);
	for (;;)
		pause();
}

static void a_sent_signal_stays_what_it_is(void)
{
	static char text[TEXT_BYTES];

	CU_ASSERT_TRUE(died_of(status_of(sent_child, text), SIGSEGV));
	CU_ASSERT_STRING_EQUAL(text, "");
}

static sigjmp_buf back;
static volatile sig_atomic_t handled, seen_code, was_blocked;

static void former_handler(int signal, siginfo_t *info, void *context)
{
	sigset_t mask;

	(void)context;
	handled = signal;
	seen_code = info->si_code;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	was_blocked = sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGUSR1);
	siglongjmp(back, 1);
}

/* A program with a handler of its own (a JIT, a garbage collector) does not notice us. */
static void former_child(void)
{
	struct sigaction action = { .sa_sigaction = former_handler, .sa_flags = SA_SIGINFO };
	struct sigaction now;
	int hook;

	sigaddset(&action.sa_mask, SIGUSR2);
	sigaction(SIGSEGV, &action, NULL);
	hook = usched_overflow_start(find, &stacks);
	for (volatile int i = 0; i < 3; i++) {
		handled = 0;
		if (sigsetjmp(back, 1) == 0)
			fault();
		if (handled != SIGSEGV || seen_code != SEGV_ACCERR || !was_blocked)
			_exit(1);
	}
	usched_overflow_stop(hook);
	sigaction(SIGSEGV, NULL, &now);
	_exit(now.sa_sigaction == former_handler ? 0 : 2);
}

static void a_former_handler_gets_its_faults(void)
{
	static char text[TEXT_BYTES];
	int status = status_of(former_child, text);

	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
	CU_ASSERT_STRING_EQUAL(text, "");
}

/* Sixty-four runtimes are asked; one more is refused; all places can be used again. */
static void the_number_of_runtimes_is_limited(void)
{
	int hooks[USCHED_OVERFLOW_HOOKS_MAX];
	struct sigaction before, after;

	sigaction(SIGSEGV, NULL, &before);
	for (unsigned int round = 0; round < 2; round++) {
		for (int i = 0; i < USCHED_OVERFLOW_HOOKS_MAX; i++) {
			hooks[i] = usched_overflow_start(find, &stacks);
			CU_ASSERT_EQUAL(hooks[i], i);
		}
		CU_ASSERT_EQUAL(usched_overflow_start(find, &stacks), -EMFILE);
		for (int i = 0; i < USCHED_OVERFLOW_HOOKS_MAX; i++)
			usched_overflow_stop(hooks[i]);
	}
	sigaction(SIGSEGV, NULL, &after);
	CU_ASSERT_PTR_EQUAL(after.sa_sigaction, before.sa_sigaction);
}

static void threads_get_their_alternate_stack_back(void)
{
	struct usched_overflow_thread thread;
	stack_t before, during, after;

	sigaltstack(NULL, &before);
	CU_ASSERT_EQUAL_FATAL(usched_overflow_thread_start(&thread), 0);
	sigaltstack(NULL, &during);
	CU_ASSERT_PTR_EQUAL(during.ss_sp, thread.memory);
	CU_ASSERT_EQUAL(during.ss_flags & SS_DISABLE, 0);
	usched_overflow_thread_stop(&thread);
	sigaltstack(NULL, &after);
	CU_ASSERT_EQUAL(after.ss_flags & SS_DISABLE, before.ss_flags & SS_DISABLE);
	if (!(before.ss_flags & SS_DISABLE))
		CU_ASSERT_PTR_EQUAL(after.ss_sp, before.ss_sp);
	usched_overflow_thread_stop(&thread);	/* nothing is left to do */
}

static const struct usched_test tests[] = {
	{ "an_overflow_names_the_fiber", an_overflow_names_the_fiber },
	{ "the_largest_class_gets_other_advice", the_largest_class_gets_other_advice },
	{ "mprotect_guards_are_recognised", mprotect_guards_are_recognised },
	{ "a_signal_without_room_is_an_overflow", a_signal_without_room_is_an_overflow },
	{ "another_fault_stays_what_it_is", another_fault_stays_what_it_is },
	{ "a_sent_signal_stays_what_it_is", a_sent_signal_stays_what_it_is },
	{ "a_former_handler_gets_its_faults", a_former_handler_gets_its_faults },
	{ "the_number_of_runtimes_is_limited", the_number_of_runtimes_is_limited },
	{ "threads_get_their_alternate_stack_back", threads_get_their_alternate_stack_back },
};

int main(void)
{
	return usched_test_main("overflow", tests, sizeof(tests) / sizeof(tests[0]));
}
