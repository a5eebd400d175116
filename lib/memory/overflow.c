/* SPDX-License-Identifier: MIT */
/*
 * Stack overflows; see the header.
 */
#include <errno.h>
#include <execinfo.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/cpu.h"
#include "base/disposition.h"
#include "base/format.h"
#include "base/spinlock.h"
#include "memory/overflow.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum {
	KIB = 1024,
	HANDLER_BYTES = 64 * KIB,	/* what unwinding and a foreign handler may use	*/
	FRAMES_MAX = 48,
	STUCK_SECONDS = 5,		/* after which the backtrace is given up	*/
	FRAME_ROOM_BYTES = 512,		/* beside the signal frame: red zone, alignment	*/
};

struct hook {
	_Atomic(usched_overflow_find *) find;	/* NULL: free			*/
	void *context;				/* written before find		*/
	_Atomic uint32_t readers;		/* handlers that use it now	*/
	bool taken;				/* guarded by hooks_lock	*/
};

static struct hook hooks[USCHED_OVERFLOW_HOOKS_MAX];
static struct usched_spinlock hooks_lock = USCHED_SPINLOCK_INIT(USCHED_RANK_RUNTIME);
static unsigned int hooks_taken;		/* guarded by hooks_lock	*/

static const int signals[] = { SIGSEGV, SIGBUS };
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

/* What was there before ours; written before ours is installed, constant while it is. */
static struct sigaction before[SIGNALS];

static atomic_flag reporting = ATOMIC_FLAG_INIT;

static size_t signal_frame_bytes(void)
{
	size_t bytes = getauxval(AT_MINSIGSTKSZ);

	return bytes > 0 ? bytes : MINSIGSTKSZ;
}

/* Asks the runtimes; the answer is a copy, so the hook is free again. */
static bool find_stack(uintptr_t address, struct usched_overflow_found *found)
{
	bool is_found = false;

	for (unsigned int i = 0; i < USCHED_OVERFLOW_HOOKS_MAX && !is_found; i++) {
		struct hook *hook = &hooks[i];
		usched_overflow_find *find;

		atomic_fetch_add_explicit(&hook->readers, 1, memory_order_seq_cst);	/* [B] */
		find = atomic_load_explicit(&hook->find, memory_order_seq_cst);	    /* [A] [B] */
		if (find != NULL)
			is_found = find(hook->context, address, found);
		/* Release: stop's wait ends after the hook was used. */
		atomic_fetch_sub_explicit(&hook->readers, 1, memory_order_release);
	}
	return is_found;
}

/*
 * Is this fault a full stack? Either the address is a guard's, or the kernel could not push a signal
 * frame: then it says SI_KERNEL without an address, and the stack pointer stands just above a guard.
 */
static bool is_overflow(const siginfo_t *info, const ucontext_t *frame,
			struct usched_overflow_found *found)
{
	uintptr_t sp;

	if (info->si_code <= 0)
		return false;		/* sent by kill(2) or its like */
	if (find_stack((uintptr_t)info->si_addr, found))
		return found->in_guard;
	if (info->si_code != SI_KERNEL)
		return false;
	sp = usched_arch_sp(frame);
	return find_stack(sp, found) &&
	       (found->in_guard || sp - found->low < signal_frame_bytes() + FRAME_ROOM_BYTES);
}

/* Unwinding waits for a lock that a stopped fiber holds: better no backtrace than no end. */
static void on_stuck(int signal)
{
	static const char text[] = "usched: the backtrace is not available\n";
	ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)signal;
	(void)ignored;
	abort();
}

static void limit_backtrace_time(void)
{
	struct sigaction action;
	sigset_t alone;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_stuck;
	sigaction(SIGALRM, &action, NULL);
	alarm(STUCK_SECONDS);
	sigemptyset(&alone);
	sigaddset(&alone, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alone, NULL);
}

_Noreturn static void report(const struct usched_overflow_found *found, uintptr_t address)
{
	static const char *const advice[] = {
		[USCHED_STACK_SMALL] = "USCHED_STACK_DEFAULT gives it more",
		[USCHED_STACK_DEFAULT] = "USCHED_STACK_LARGE gives it more",
		[USCHED_STACK_LARGE] = "there is no larger class: recurse less, or use the heap",
	};
	char buffer[512];
	void *frames[FRAMES_MAX];
	struct usched_format text;
	int count;

	/* The first one speaks for all: the others wait for the end. */
	while (atomic_flag_test_and_set_explicit(&reporting, memory_order_relaxed))
		pause();

	usched_format_init(&text, buffer, sizeof(buffer));
	if (found->fiber != 0) {
		usched_format_string(&text, "usched: fiber ");
		if (found->name[0] != '\0') {
			usched_format_string(&text, "'");
			usched_format_string(&text, found->name);
			usched_format_string(&text, "' ");
		}
		usched_format_string(&text, "(id ");
		usched_format_decimal(&text, found->fiber);
		usched_format_string(&text, ") overflowed its ");
	} else {
		usched_format_string(&text, "usched: something overflowed an unused ");
	}
	usched_format_decimal(&text, found->stack_bytes / KIB);
	usched_format_string(&text, " KiB stack (fault at ");
	usched_format_hex(&text, address);
	usched_format_string(&text, "); ");
	usched_format_string(&text, advice[found->class]);
	usched_format_string(&text, ". Its innermost frames:\n");
	usched_format_write(&text, STDERR_FILENO);

	limit_backtrace_time();
	count = backtrace(frames, FRAMES_MAX);
	backtrace_symbols_fd(frames, count, STDERR_FILENO);
	abort();
}

/* Leave a signal that is no overflow to who had it before. */
static void pass_on(int signal, siginfo_t *info, void *context, const struct sigaction *action)
{
	struct sigaction standard;

	if (usched_disposition_is_function(action)) {
		usched_disposition_call(signal, info, context, action);
		return;
	}
	if (action->sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	/* A fault happens again on return, and ends the process where it stood. One that was sent
	   is sent once more; it arrives when this handler's mask is gone. */
	memset(&standard, 0, sizeof(standard));
	standard.sa_handler = SIG_DFL;
	sigaction(signal, &standard, NULL);
	if (info->si_code <= 0)
		syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	struct usched_overflow_found found;
	int saved_errno = errno;

	if (is_overflow(info, context, &found))
		report(&found, info->si_code == SI_KERNEL ? usched_arch_sp(context)
							  : (uintptr_t)info->si_addr);
	for (unsigned int i = 0; i < SIGNALS; i++) {
		if (signals[i] == signal) {
			struct sigaction action = before[i];

			pass_on(signal, info, context, &action);
		}
	}
	errno = saved_errno;
}

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_fault;
}

static void remove_handlers(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct sigaction now;

		if (sigaction(signals[i], NULL, &now) == 0 && is_ours(&now))
			sigaction(signals[i], &before[i], NULL);
	}
}

static int install_handlers(void)
{
	struct sigaction action, now;
	void *frame;

	/* Loads the unwinder, which calls malloc. */
	backtrace(&frame, 1);

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_fault;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	/* No tick may stop a fiber in the middle of this, on an alternate stack. */
	sigfillset(&action.sa_mask);
	for (unsigned int i = 0; i < SIGNALS; i++) {
		/* Read first: the handler may run before a second argument would be filled in. */
		if (sigaction(signals[i], NULL, &now) < 0)
			return -errno;
		/* Somebody may have kept our handler alive on top of a former start. */
		if (is_ours(&now))
			continue;
		before[i] = now;
		if (sigaction(signals[i], &action, NULL) < 0) {
			int error = -errno;

			remove_handlers(i);
			return error;
		}
	}
	return 0;
}

int usched_overflow_start(usched_overflow_find *find, void *context)
{
	int r = -EMFILE;

	usched_spinlock_lock(&hooks_lock);
	if (hooks_taken == 0) {
		int error = install_handlers();

		if (error < 0) {
			r = error;
			goto out;
		}
	}
	for (unsigned int i = 0; i < USCHED_OVERFLOW_HOOKS_MAX; i++) {
		if (hooks[i].taken)
			continue;
		hooks[i].taken = true;
		hooks_taken++;
		hooks[i].context = context;
		atomic_store_explicit(&hooks[i].find, find, memory_order_release);	/* [A] */
		r = (int)i;
		break;
	}
out:
	usched_spinlock_unlock(&hooks_lock);
	return r;
}

void usched_overflow_stop(int hook)
{
	struct hook *h = &hooks[hook];

	usched_assert(hook >= 0 && hook < USCHED_OVERFLOW_HOOKS_MAX);
	atomic_store_explicit(&h->find, NULL, memory_order_seq_cst);		/* [B] */
	while (atomic_load_explicit(&h->readers, memory_order_seq_cst) != 0)	/* [B] */
		sched_yield();

	usched_spinlock_lock(&hooks_lock);
	usched_assert(h->taken);
	h->taken = false;
	if (--hooks_taken == 0)
		remove_handlers(SIGNALS);
	usched_spinlock_unlock(&hooks_lock);
}

void usched_overflow_forget(void)
{
	usched_spinlock_init(&hooks_lock, USCHED_RANK_RUNTIME);
	for (unsigned int i = 0; i < USCHED_OVERFLOW_HOOKS_MAX; i++) {
		hooks[i].taken = false;
		atomic_store_explicit(&hooks[i].find, NULL, memory_order_relaxed);
		atomic_store_explicit(&hooks[i].readers, 0, memory_order_relaxed);
	}
	if (hooks_taken > 0)
		remove_handlers(SIGNALS);
	hooks_taken = 0;
}

int usched_overflow_thread_start(struct usched_overflow_thread *thread)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = signal_frame_bytes() + HANDLER_BYTES;
	stack_t stack;
	void *memory;
	int error;

	/* A sanitizer's report runs here, too. */
	if (USCHED_ASAN || USCHED_TSAN)
		bytes += 256 * KIB;
	bytes = (bytes + page - 1) / page * page;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;

	memset(&stack, 0, sizeof(stack));
	stack.ss_sp = memory;
	stack.ss_size = bytes;
	if (sigaltstack(&stack, &thread->before) < 0) {
		error = -errno;
		munmap(memory, bytes);
		return error;
	}
	thread->memory = memory;
	thread->bytes = bytes;
	return 0;
}

void usched_overflow_thread_stop(struct usched_overflow_thread *thread)
{
	stack_t now;

	if (thread->memory == NULL)
		return;
	/* Somebody else's on top of ours stays. */
	if (sigaltstack(NULL, &now) == 0 && now.ss_sp == thread->memory) {
		/* The kernel wants no other flag beside this one, and no size check. */
		if (thread->before.ss_flags & SS_DISABLE)
			thread->before.ss_flags = SS_DISABLE;
		else
			thread->before.ss_flags = 0;
		sigaltstack(&thread->before, NULL);
	}
	munmap(thread->memory, thread->bytes);
	memset(thread, 0, sizeof(*thread));
}
