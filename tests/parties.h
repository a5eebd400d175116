/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_PARTIES_H
#define USCHED_TESTS_PARTIES_H

/*
 * Two stacks and who switches between them, through arch/context.h and arch/sanitize.h as the core does.
 *
 * A party is whoever has a stack: a fiber, or the thread that runs the case (native). Fibers record
 * and main asserts, since a failed assertion is a longjmp to the main stack.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/context.h"
#include "arch/cpu.h"
#include "arch/sanitize.h"

enum { STACK_BYTES = 64 * 1024 };

struct party {
	struct usched_context context;
	struct usched_sanitize sanitize;
	unsigned int stack_id;
	char *stack;
	void *data;
};

static inline void go(struct party *from, struct party *to)
{
	usched_sanitize_switch_begin(&from->sanitize, &to->sanitize);
	usched_arch_switch(&from->context, &to->context);
	usched_sanitize_switch_finish(&from->sanitize);
}

static inline _Noreturn void leave(struct party *to)
{
	usched_sanitize_leave_begin(&to->sanitize);
	usched_arch_leave(&to->context);
}

/* The first statement of every entry function. */
static inline void arrive(struct party *self)
{
	usched_sanitize_switch_finish(&self->sanitize);
}

static inline void native(struct party *self)
{
	memset(self, 0, sizeof(*self));
	usched_sanitize_init_native(&self->sanitize);
}

static inline void make(struct party *party, usched_arch_entry *entry, void *argument)
{
	memset(party, 0, sizeof(*party));
	party->stack = aligned_alloc(64, STACK_BYTES);
	if (party->stack == NULL)
		abort();
	party->stack_id = usched_sanitize_stack_register(party->stack, party->stack + STACK_BYTES);
	usched_sanitize_init(&party->sanitize, party->stack, party->stack + STACK_BYTES);
	usched_arch_context_init(&party->context, party->stack, party->stack + STACK_BYTES, entry,
				 argument);
}

static inline void unmake(struct party *party)
{
	usched_sanitize_destroy(&party->sanitize);
	usched_sanitize_stack_unregister(party->stack_id);
	free(party->stack);
}

struct pair {
	struct party main, fiber;
	void *seen_argument;
	unsigned long count;
	unsigned long limit;
};

#endif /* USCHED_TESTS_PARTIES_H */
