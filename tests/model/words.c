/* SPDX-License-Identifier: MIT */
/*
 * The words of protocol.h: their numbers, who may see old values of them, what each release store
 * is for, and their names.
 */
#include <stdio.h>

#include "protocol.h"

static unsigned int bases[PROTOCOL_KINDS + 1];

static const struct {
	const char *name;
	char of;			/* c carrier, w worker, f fiber, or one for all */
	char holds;			/* the same, or n: a plain number, q: a queue	*/
} kinds[PROTOCOL_KINDS] = {
	[IN_RUNTIME] = { "in_runtime", 'c', 'n' },
	[REVOKE] = { "revoke", 'c', 'r' },
	[GO] = { "go", 'c', 'n' },
	[MODE] = { "mode", 'w', 'm' },
	[RING] = { "ring", 'w', 'q' },
	[MAILBOX] = { "mailbox", 'w', 'q' },
	[WAITER] = { "waiter", 'f', 'n' },
	[INBOX] = { "inbox", '1', 'q' },
	[SPARES] = { "spares", '1', 'q' },
	[IDLE] = { "idle", '1', 'n' },
	[CARRIER_WORKER] = { "carrier->worker", 'c', 'w' },
	[CURRENT] = { "current", 'c', 'f' },
	[ORDER] = { "order", 'c', 'w' },
	[HANDED] = { "handed", 'c', 'f' },
	[OWNER] = { "owner", 'w', 'c' },
	[REVOKED] = { "revoked", 'w', 'n' },
	[NEXT] = { "next", 'w', 'f' },
	[INSIDE] = { "the inside of worker", 'w', 'n' },
	[BOUND] = { "bound", 'f', 'c' },
	[STACK] = { "the stack of fiber", 'f', 'n' },
	[IDLE_COUNT] = { "idle_count", '1', 'n' },
};

static unsigned int count_of(char kind)
{
	return kind == 'c' ? protocol_setup->carriers : kind == 'w' ? protocol_setup->workers :
	       kind == 'f' ? protocol_fibers() : 1;
}

unsigned int protocol_word(enum protocol_kind kind, unsigned int index)
{
	return bases[kind] + index;
}

static uint64_t set_of(enum protocol_kind kind)
{
	uint64_t set = 0;

	for (unsigned int i = 0; i < count_of(kinds[kind].of); i++)
		set |= UINT64_C(1) << protocol_word(kind, i);
	return set;
}

static uint64_t single(enum protocol_kind kind, unsigned int index)
{
	return UINT64_C(1) << protocol_word(kind, index);
}

/* Where an old value matters. Queues are looked into and changed at once. */
static void set_readers(struct model_machine *machine)
{
	const struct protocol_setup *setup = protocol_setup;
	uint64_t owned = set_of(ORDER) | set_of(HANDED) | set_of(INSIDE) | set_of(BOUND) |
			 set_of(STACK);

	for (unsigned int i = 0; i < machine->threads; i++) {
		uint64_t *reads = &machine->reads[i];

		*reads = owned;
		if (i < setup->carriers || (i == setup->carriers && setup->stands_in))
			*reads |= set_of(NEXT);
		if (i < setup->carriers)
			*reads |= single(REVOKE, i) | single(GO, i) | set_of(REVOKED);
		if (i == setup->carriers)
			*reads |= set_of(IN_RUNTIME) | set_of(REVOKE) | set_of(CARRIER_WORKER) |
				  set_of(CURRENT) | set_of(OWNER);
		if (i != setup->carriers)
			*reads |= set_of(WAITER);
		if (i != setup->carriers && protocol_has_mailboxes())
			*reads |= set_of(MODE);
		if (i != setup->carriers && setup->sleeps)
			*reads |= set_of(IDLE) | set_of(IDLE_COUNT);
		if (i < setup->carriers && setup->sleeps)
			*reads |= set_of(INBOX) | set_of(MAILBOX);
	}
}

/* What each word's release stores are there to pass on. In truth they pass on all that their thread
   knows; that the protocol does not need it is part of what is shown. */
static void set_passes(struct model_machine *machine)
{
	uint64_t *passes = machine->passes;
	uint64_t fiber = set_of(STACK) | set_of(BOUND) | set_of(WAITER);
	uint64_t sleeper = set_of(ORDER) | set_of(HANDED) | set_of(GO);

	for (unsigned int i = 0; i < protocol_setup->carriers; i++) {
		passes[protocol_word(IN_RUNTIME, i)] = set_of(INSIDE) | single(CURRENT, i) |
						       single(CARRIER_WORKER, i) | set_of(NEXT) |
						       fiber;	/* in `next` */
		if (protocol_setup->stands_in)
			passes[protocol_word(IN_RUNTIME, i)] |= sleeper;
		passes[protocol_word(REVOKE, i)] = single(CARRIER_WORKER, i) |
						   single(IN_RUNTIME, i);
		passes[protocol_word(GO, i)] = set_of(INSIDE) | set_of(NEXT) | fiber | sleeper;
	}
	for (unsigned int i = 0; i < protocol_setup->workers; i++) {
		passes[protocol_word(MODE, i)] = single(INSIDE, i) | single(NEXT, i) |
						 single(MAILBOX, i);
		passes[protocol_word(RING, i)] = fiber | sleeper;
		passes[protocol_word(MAILBOX, i)] = fiber | sleeper;
	}
	for (unsigned int i = 0; i < protocol_fibers(); i++)
		passes[protocol_word(WAITER, i)] = fiber | sleeper;
	passes[protocol_word(INBOX, 0)] = fiber | sleeper;
	passes[protocol_word(SPARES, 0)] = sleeper;
	machine->fenced = set_of(IN_RUNTIME) | set_of(REVOKE) | set_of(IDLE) | set_of(IDLE_COUNT) |
			 set_of(INBOX) | set_of(MAILBOX) | set_of(MODE);
	machine->barred = set_of(IN_RUNTIME) | set_of(REVOKE);
}

void protocol_set_words(struct model_machine *machine)
{
	bases[0] = 0;
	for (unsigned int i = 0; i < PROTOCOL_KINDS; i++)
		bases[i + 1] = bases[i] + count_of(kinds[i].of);
	machine->words = bases[PROTOCOL_KINDS];
	machine->carrying = bases[CARRIER_WORKER];
	machine->remembering = bases[GO];
	set_readers(machine);
	set_passes(machine);
}

void protocol_tell_word(unsigned int word, char *text, size_t bytes)
{
	unsigned int kind = 0;

	while (kind + 1 < PROTOCOL_KINDS && bases[kind + 1] <= word)
		kind++;
	if (kinds[kind].of == '1')
		snprintf(text, bytes, "%s", kinds[kind].name);
	else
		snprintf(text, bytes, "%s.%u", kinds[kind].name, word - bases[kind]);
}

void protocol_tell_value(unsigned int word, unsigned int value, char *text, size_t bytes)
{
	static const char *const revokes[] = { "NONE", "REQUESTED", "TAKEN" };
	static const char *const modes[] = { "DORMANT", "MOVING", "OWNED", "IDLE" };
	unsigned int kind = 0, used = 0;

	while (kind + 1 < PROTOCOL_KINDS && bases[kind + 1] <= word)
		kind++;
	switch (kinds[kind].holds) {
	case 'r':
		snprintf(text, bytes, "%s", revokes[value]);
		return;
	case 'm':
		snprintf(text, bytes, "%s", modes[value]);
		return;
	case 'n':
		snprintf(text, bytes, "%u", value);
		return;
	case 'q':
		text[used++] = '[';
		for (; value && used + 3 < bytes; value >>= 4)
			used += (unsigned int)snprintf(text + used, bytes - used, " %u",
						       (value & 15) - 1);
		snprintf(text + used, bytes - used, " ]");
		return;
	default:
		if (value)
			snprintf(text, bytes, "%u", value - 1);
		else
			snprintf(text, bytes, "none");
	}
}
