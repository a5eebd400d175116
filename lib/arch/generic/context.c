/* SPDX-License-Identifier: MIT */
/*
 * Any CPU, by the C library's ucontext calls. Also the switch of ThreadSanitizer builds.
 *
 * A saved context points to a struct record on the stack it belongs to:
 *
 *	of a context that was left	in the frame of its usched_arch_switch()
 *	of a new fiber			at the very top of its stack, above the part it will use
 *
 * ucontext calls switch the signal mask, ours do not: the mask belongs to the carrier. So whoever
 * loads a record first writes the present mask into it. That, and the system call that ucontext
 * itself makes, is why this variant is some hundred times slower than the others.
 */
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

#include "arch/context.h"

struct record {
	ucontext_t machine;
};

/* Between usched_arch_start() and the function it starts; signals are blocked there. */
static _Thread_local sigset_t start_mask;

/* ucontext calls fail only for bad arguments; nobody could go on after that. */
static _Noreturn void die(const char *what)
{
	(void)!write(STDERR_FILENO, what, __builtin_strlen(what));
	abort();
}

static void keep_mask(ucontext_t *machine)
{
	if (pthread_sigmask(SIG_SETMASK, NULL, &machine->uc_sigmask) != 0)
		die("usched: the signal mask cannot be read; this is a bug\n");
}

/* makecontext passes int arguments only, so a pointer travels in two halves. */
static void *join(unsigned int high, unsigned int low)
{
	return (void *)((uintptr_t)((uint64_t)high << 32 | low));
}

static unsigned int high_half(uintptr_t value)
{
	return (unsigned int)((uint64_t)value >> 32);
}

static void first_frame(unsigned int entry_high, unsigned int entry_low,
			unsigned int argument_high, unsigned int argument_low)
{
	usched_arch_entry *entry = (usched_arch_entry *)(uintptr_t)join(entry_high, entry_low);
	const struct usched_context *load = entry(join(argument_high, argument_low));

	if (load)
		usched_arch_leave(load);
	die("usched: the entry function of a fiber returned to nobody; this is a bug\n");
}

static void started_frame(unsigned int entry_high, unsigned int entry_low,
			  unsigned int argument_high, unsigned int argument_low)
{
	sigset_t mask = start_mask;

	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	first_frame(entry_high, entry_low, argument_high, argument_low);
}

typedef void frame_function(unsigned int, unsigned int, unsigned int, unsigned int);

static void build(ucontext_t *machine, void *stack_low, uintptr_t stack_top, frame_function *frame,
		  usched_arch_entry *entry, void *argument)
{
	if (getcontext(machine) != 0)
		die("usched: getcontext() failed; this is a bug\n");
	machine->uc_link = NULL;
	machine->uc_stack.ss_sp = stack_low;
	machine->uc_stack.ss_size = stack_top - (uintptr_t)stack_low;
	makecontext(machine, (void (*)(void))frame, 4,
		    high_half((uintptr_t)entry), (unsigned int)(uintptr_t)entry,
		    high_half((uintptr_t)argument), (unsigned int)(uintptr_t)argument);
}

void usched_arch_switch(struct usched_context *save, const struct usched_context *load)
{
	struct record here;
	struct record *there = load->sp;

	keep_mask(&there->machine);
	save->sp = &here;
	if (swapcontext(&here.machine, &there->machine) != 0)
		die("usched: swapcontext() failed; this is a bug\n");
}

void usched_arch_context_init(struct usched_context *context, void *stack_low, void *stack_top,
			      usched_arch_entry *entry, void *argument)
{
	uintptr_t place = ((uintptr_t)stack_top - sizeof(struct record)) & ~(uintptr_t)63;
	struct record *record = (struct record *)place;

	build(&record->machine, stack_low, place, first_frame, entry, argument);
	context->sp = record;
}

/*
 * The record must not be at the top of the stack: our own callers' frames may still be there. It is
 * in this frame, which setcontext() reads while the stack pointer is already at the top; a signal
 * frame put there then would overwrite it, so signals stay blocked until started_frame().
 */
void usched_arch_start(void *stack_low, void *stack_top, usched_arch_entry *entry, void *argument)
{
	struct record here;

	build(&here.machine, stack_low, (uintptr_t)stack_top & ~(uintptr_t)15, started_frame,
	      entry, argument);
	sigfillset(&here.machine.uc_sigmask);
	pthread_sigmask(SIG_SETMASK, &here.machine.uc_sigmask, &start_mask);
	setcontext(&here.machine);
	die("usched: setcontext() failed; this is a bug\n");
}

void usched_arch_leave(const struct usched_context *load)
{
	struct record *there = load->sp;

	keep_mask(&there->machine);
	setcontext(&there->machine);
	die("usched: setcontext() failed; this is a bug\n");
}

/* Where there are shadow stacks, the C library's ucontext calls know them. */
int usched_arch_check(void)
{
	return 0;
}

bool usched_arch_in_switch(uintptr_t pc)
{
	(void)pc;
	return false;
}
