/* SPDX-License-Identifier: MIT */
/*
 * The machine of protocol.h: how it begins, whose steps are taken, when it is over.
 */
#include <stdio.h>
#include <string.h>

#include "protocol.h"

const struct protocol_setup *protocol_setup;

static struct model_machine machine;

static const struct {
	bool (*take)(struct model *model);
	const char *text;
} steps[] = {
#define X(name, text) [AT_##name] = { protocol_carrier_step, text },
	PROTOCOL_CARRIER_STEPS(X)
#undef X
#define X(name, text) [AT_##name] = { protocol_pick_step, text },
	PROTOCOL_PICK_STEPS(X)
#undef X
#define X(name, text) [AT_##name] = { protocol_idle_step, text },
	PROTOCOL_IDLE_STEPS(X)
#undef X
#define X(name, text) [AT_##name] = { protocol_user_step, text },
	PROTOCOL_USER_STEPS(X)
#undef X
#define X(name, text) [AT_##name] = { protocol_tick_step, text },
	PROTOCOL_TICK_STEPS(X)
#undef X
#define X(name, text) [AT_##name] = { protocol_monitor_step, text },
	PROTOCOL_MONITOR_STEPS(X)
#undef X
#define X(name, text) [AT_##name] = { protocol_outside_step, text },
	PROTOCOL_OUTSIDE_STEPS(X)
#undef X
};

static bool was_taken[sizeof(steps) / sizeof(steps[0])];

void protocol_call(struct model *model, enum protocol_step at, enum protocol_step back)
{
	struct model_thread *self = model_self(model);

	if (self->depth == MODEL_BACK) {
		model_fail(model, "calls of steps are too deep");
		return;
	}
	self->back[self->depth++] = (uint8_t)back;
	self->at = (uint8_t)at;
}

void protocol_return(struct model *model)
{
	struct model_thread *self = model_self(model);

	self->at = self->back[--self->depth];
	self->back[self->depth] = 0;
}

/* Whether the monitor has anything to do. */
static bool has_monitor(void)
{
	for (unsigned int i = 0; i < protocol_fibers(); i++) {
		if (strchr(protocol_setup->fibers[i], 'b'))
			return true;
	}
	return protocol_setup->takes || protocol_setup->revokes;
}

static void begin(struct model *model)
{
	const struct protocol_setup *setup = protocol_setup;
	struct protocol_notes *notes = protocol_notes(model);
	struct model_state *state = &model->state;

	for (unsigned int i = 0; i < setup->workers; i++) {
		notes->holder[i] = (uint8_t)(HELD_BY + i);
		notes->granted |= (uint8_t)(1u << i);
		state->now[protocol_word(MODE, i)] = OWNED;
		state->now[protocol_word(OWNER, i)] = (uint16_t)(i + 1);
		state->now[protocol_word(CARRIER_WORKER, i)] = (uint16_t)(i + 1);
	}
	for (unsigned int i = 0; i < setup->carriers; i++) {
		struct model_thread *carrier = &state->threads[i];
		uint16_t *spares = &state->now[protocol_word(SPARES, 0)];

		state->now[protocol_word(IN_RUNTIME, i)] = 1;
		carrier->at = AT_LOOP;
		if (i >= setup->workers) {
			carrier->at = AT_WAIT;
			carrier->back[carrier->depth++] = AT_LOOP;
			*spares = (uint16_t)(*spares << 4 | (i + 1));
		}
	}
	for (unsigned int i = 0; i < protocol_fibers(); i++) {
		char where = setup->where[i];
		enum protocol_kind kind = where == 'i' ? INBOX : RING;
		unsigned int worker = where == '1';
		uint16_t *queue = &state->now[protocol_word(kind, worker)];
		unsigned int shift = 0;

		notes->goes_on[i] = AT_LEAVE;
		if (where == 'o' || where == 'm') {
			notes->place[i] = (uint8_t)(IN_HAND_OF + setup->carriers + 1);
			continue;
		}
		notes->place[i] = QUEUED;
		while (*queue >> shift)
			shift += 4;
		*queue = (uint16_t)(*queue | (i + 1) << shift);
	}
	state->threads[setup->carriers].at = AT_REST;
	if (!has_monitor())
		state->ended |= UINT64_C(1) << setup->carriers;
	if (machine.threads > setup->carriers + 1)
		state->threads[setup->carriers + 1].at = AT_OUTSIDE;
	notes->ticks = (uint8_t)setup->ticks;
	notes->takes = (uint8_t)setup->takes;
	notes->revokes = (uint8_t)setup->revokes;
}

/*
 * Whether the next step is one that nobody else can tell from the step before it: it uses only what
 * its thread owns, or words that nobody else looks at in this setup. It is taken at once.
 */
static bool is_local(struct model *model)
{
	const struct protocol_setup *setup = protocol_setup;
	const struct model_thread *self = model_self(model);

	if (self->half)
		return false;
	switch ((enum protocol_step)self->at) {
	case AT_RESUME:
	case AT_LOOP:
	case AT_WAIT_WITH_FIBER:
	case AT_LOOP_WAIT:
	case AT_FIND_PICKED:
	case AT_FIND_STOLEN:
	case AT_CALL:
	case AT_HAND_OFF_PICKED:
	case AT_SURRENDERED:
	case AT_TAKE_NEXT:
		return true;
	case AT_FIND:
	case AT_YIELD:
	case AT_PARK:
	case AT_EXIT:
		return setup->revokes == 0;
	case AT_COMPLETE:
		return self->variables[AFTER] == AFTER_EXIT ||
		       (self->variables[AFTER] == AFTER_READY && !protocol_has_thieves() &&
			!setup->stands_in);
	case AT_PICK:
	case AT_SHARE:
	case AT_WAKE_NEXT:
	case AT_HAND_OFF_NEXT:
		/* The monitor may look at `next`, and thieves at the ring. */
		return !setup->stands_in && !(self->at == AT_SHARE && protocol_has_thieves());
	case AT_PICK_RING:
	case AT_PICK_AGAIN:
	case AT_PICK_INBOX_MOVE:
	case AT_PICK_MAILBOX_MOVE:
	case AT_WAKE_RING:
	case AT_HAND_OFF_NEXT_RING:
	case AT_HAND_OFF_QUEUE:
	case AT_SURRENDER:
		return !protocol_has_thieves() && !setup->stands_in;
	case AT_PICK_MAILBOX:
	case AT_STEAL_MAILBOX:
		return !protocol_has_mailboxes();
	case AT_NOTIFY:
		return !setup->sleeps;
	case AT_LEAVE_LOOK:
		/* Without a note a tick here does what it does in user code. */
		return self->variables[PENDING] == 0 &&
		       !protocol_without(model, WITHOUT_P8_SIGNAL_FENCE);
	case AT_ENTER_LOOK:
		return !has_monitor();
	case AT_DISPATCH:
	case AT_LEAVE:
		return !has_monitor() && setup->ticks == 0;
	default:
		return false;
	}
}

static bool step(struct model *model, unsigned int actor)
{
	bool moved = false;

	if (actor >= machine.threads) {
		model->self = actor - machine.threads;
		return protocol_tick(model, actor - machine.threads);
	}
	do {
		unsigned int at = model_self(model)->at;

		if (!steps[at].take(model))
			break;
		was_taken[at] = moved = true;
	} while (!model->failed && is_local(model));
	return moved;
}

bool protocol_was_taken(enum protocol_step at)
{
	return was_taken[at];
}

/* All fibers are done, and all carriers sleep, without a worker or in its poll. */
static bool is_over(struct model *model)
{
	const struct protocol_notes *notes = protocol_notes(model);
	const struct model_state *state = &model->state;

	for (unsigned int i = 0; i < protocol_fibers(); i++) {
		if (notes->place[i] != DONE)
			return false;
	}
	for (unsigned int i = 0; i < protocol_setup->carriers; i++) {
		unsigned int at = state->threads[i].at;

		if (state->now[protocol_word(GO, i)] ||
		    (at != AT_WAIT && at != AT_SLEEP && at != AT_SLEEP_POLL))
			return false;
	}
	for (unsigned int i = 0; i < protocol_setup->workers; i++) {
		bool granted = notes->granted >> i & 1;

		if (granted ? notes->holder[i] >= ORDERED_TO : notes->holder[i] != WITH_NOBODY)
			return false;
	}
	if (machine.threads > protocol_setup->carriers + 1 &&
	    state->threads[protocol_setup->carriers + 1].at != AT_OVER)
		return false;
	return state->threads[protocol_setup->carriers].at == AT_REST;
}

static void tell_actor(struct model *model, unsigned int actor, char *text, size_t bytes)
{
	unsigned int carriers = protocol_setup->carriers;

	if (actor >= machine.threads)
		snprintf(text, bytes, "carrier %u  a tick comes", actor - machine.threads);
	else if (actor < carriers)
		snprintf(text, bytes, "carrier %u  %s", actor,
			 steps[model->state.threads[actor].at].text);
	else
		snprintf(text, bytes, "%-9s  %s", actor == carriers ? "monitor" : "outside",
			 steps[model->state.threads[actor].at].text);
}

const struct model_machine *protocol_machine(const struct protocol_setup *setup)
{
	bool outside = strpbrk(setup->where, "om") != NULL;

	protocol_setup = setup;
	machine = (struct model_machine){
		.name = setup->name,
		.threads = setup->carriers + 1 + outside,
		.actors = setup->carriers + 1 + outside + setup->carriers,
		.notes = sizeof(struct protocol_notes),
		.begin = begin,
		.step = step,
		.is_over = is_over,
		.tell_actor = tell_actor,
		.tell_word = protocol_tell_word,
		.tell_value = protocol_tell_value,
	};
	protocol_set_words(&machine);
	return &machine;
}
