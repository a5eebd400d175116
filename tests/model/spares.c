/* SPDX-License-Identifier: MIT */
/*
 * The spares of lib/worker/carrier.c: one warm place (the real ones are two) and the stack. Three
 * threads pop a carrier each, use it, and push it back, some twice; the stack begins with two.
 */
#include "part.h"
#include "queues.h"

enum { STACK, WARM, LINK, CARRIER = LINK + 3, WORDS = CARRIER + 3 };
enum { THREADS = 3, CARRIERS = 3 };

enum step {
	START, POP_WARM, POP_TOP, POP_LINK, POP_CAS, USE, PUSH_WARM, PUSH_TOP, PUSH_LINK, PUSH_CAS,
	OVER,
};
enum { OLD, NEXT, HAVE, TURN };		/* variables; OLD has the tag above, as the word has */
enum { TAG = 8 };			/* of the word: 5 bits for the tag, 3 for a carrier + 1 */

static const unsigned int turns[THREADS] = { 2, 2, 1 };

static void begin(struct model *model)
{
	/* Carrier 2 is warm, 0 lies on 1. */
	model->state.now[WARM] = 3;
	model->state.now[STACK] = 1;
	model->state.now[LINK + 0] = 2;
}

static void end_turn(struct model *model)
{
	struct model_thread *self = model_self(model);

	self->variables[OLD] = self->variables[NEXT] = self->variables[HAVE] = 0;
	self->at = START;
	if (++self->variables[TURN] == turns[model->self])
		part_end(model, OVER);
}

static void popped(struct model *model, unsigned int carrier)
{
	struct model_thread *self = model_self(model);

	if (model->state.notes[carrier - 1]++)
		model_fail(model, "carrier %u was popped twice", carrier - 1);
	self->variables[HAVE] = (uint8_t)carrier;
	self->at = USE;
}

static unsigned int next_tag(const struct model *model, unsigned int old)
{
	return part_without(model, SPARES_WITHOUT_TAG) ? 0 : (old / TAG + 1) % 32 * TAG;
}

/* pop_warm(), stack_pop() */
static void pop(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int seen = self->variables[OLD], top = seen % TAG;

	switch ((enum step)self->at) {
	case POP_WARM:
		if (!self->half && model_load(model, WARM, MODEL_RELAXED) == 0) {
			self->at = POP_TOP;
			break;
		}
		if (model_change(model, WARM, &seen, part_replace, 0,
				 part_acquire(model, SPARES_WITHOUT_WARM_POP_ACQUIRE),
				 part_without(model, SPARES_WITHOUT_WARM_POP)) == MODEL_HALF)
			break;
		self->at = POP_TOP;
		if (seen)
			popped(model, seen);
		break;
	case POP_TOP:
		self->variables[OLD] = (uint8_t)model_load(
			model, STACK, part_acquire(model, SPARES_WITHOUT_POP_ACQUIRE));
		self->at = POP_LINK;
		if (self->variables[OLD] % TAG == 0)
			end_turn(model);
		break;
	case POP_LINK:
		/* Also of a carrier that somebody else has popped by now; the tag tells. */
		self->variables[NEXT] = (uint8_t)model_load(model, LINK + top - 1, MODEL_RELAXED);
		self->at = POP_CAS;
		break;
	default:
		switch (model_compare_exchange(
			model, STACK, &seen, next_tag(model, seen) | self->variables[NEXT],
			part_acquire(model, SPARES_WITHOUT_POP_WON),
			part_acquire(model, SPARES_WITHOUT_POP_LOST),
			part_without(model, SPARES_WITHOUT_POP))) {
		case MODEL_WON:
			popped(model, top);
			break;
		case MODEL_LOST:
			self->variables[OLD] = (uint8_t)seen;
			self->at = POP_LINK;
			if (seen % TAG == 0)
				end_turn(model);
			break;
		case MODEL_HALF:
			break;
		}
		break;
	}
}

/* usched_spare_push(), stack_push() */
static void push(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int seen = 0, have = self->variables[HAVE];

	switch ((enum step)self->at) {
	case PUSH_WARM:
		if (!self->half)
			model->state.notes[have - 1]--;
		switch (model_compare_exchange(
			model, WARM, &seen, have,
			part_release(model, SPARES_WITHOUT_WARM_PUSH_RELEASE),
			MODEL_RELAXED, part_without(model, SPARES_WITHOUT_WARM_PUSH))) {
		case MODEL_WON:
			end_turn(model);
			break;
		case MODEL_LOST:
			self->at = PUSH_TOP;
			break;
		case MODEL_HALF:
			break;
		}
		break;
	case PUSH_TOP:
		self->variables[OLD] = (uint8_t)model_load(model, STACK, MODEL_RELAXED);
		self->at = PUSH_LINK;
		break;
	case PUSH_LINK:
		model_store(model, LINK + have - 1, self->variables[OLD] % TAG, MODEL_RELAXED);
		self->at = PUSH_CAS;
		break;
	default:
		seen = self->variables[OLD];
		switch (model_compare_exchange(
			model, STACK, &seen, next_tag(model, seen) | have,
			part_release(model, SPARES_WITHOUT_PUSH_RELEASE), MODEL_RELAXED,
			part_without(model, SPARES_WITHOUT_PUSH))) {
		case MODEL_WON:
			end_turn(model);
			break;
		case MODEL_LOST:
			self->variables[OLD] = (uint8_t)seen;
			self->at = PUSH_LINK;
			break;
		case MODEL_HALF:
			break;
		}
		break;
	}
}

static bool step(struct model *model, unsigned int actor)
{
	struct model_thread *self = &model->state.threads[actor];

	switch ((enum step)self->at) {
	case START:
		self->at = POP_WARM;
		break;
	case POP_WARM:
	case POP_TOP:
	case POP_LINK:
	case POP_CAS:
		pop(model);
		break;
	case USE:
		model_touch(model, CARRIER + self->variables[HAVE] - 1u);
		self->at = PUSH_WARM;
		break;
	case OVER:
		return false;
	default:
		push(model);
		break;
	}
	return true;
}

/* Each carrier is in one place. */
static bool is_over(struct model *model)
{
	const struct model_state *state = &model->state;
	unsigned int found = state->now[WARM] ? 1 : 0, set = 1u << state->now[WARM];

	if (!part_all_are_over(model, OVER))
		return false;
	for (unsigned int at = state->now[STACK] % TAG; at && found <= CARRIERS;
	     at = state->now[LINK + at - 1]) {
		set |= 1u << at;
		found++;
	}
	return found == CARRIERS && (set | 1) == (1u << (CARRIERS + 1)) - 1;
}

static void tell_actor(struct model *model, unsigned int actor, char *text, size_t bytes)
{
	static const char *const names[] = {
		"starts", "pop: warm place", "pop: top", "pop: link", "pop: CAS", "uses it",
		"push: warm place", "push: top", "push: link", "push: CAS", "over",
	};

	snprintf(text, bytes, "thread %u  %s", actor, names[model->state.threads[actor].at]);
}

static void tell_word(unsigned int word, char *text, size_t bytes)
{
	if (word >= CARRIER)
		snprintf(text, bytes, "carrier %u", word - CARRIER);
	else if (word >= LINK)
		snprintf(text, bytes, "spare_next.%u", word - LINK);
	else
		snprintf(text, bytes, "%s", word == STACK ? "stack" : "warm place");
}

static void tell_value(unsigned int word, unsigned int value, char *text, size_t bytes)
{
	if (word == STACK)
		snprintf(text, bytes, "tag %u carrier %d", value / TAG, (int)(value % TAG) - 1);
	else
		snprintf(text, bytes, "%d", (int)value - 1);
}

PART_MACHINE(spares, .actors = THREADS, .carrying = LINK, .remembering = LINK, .notes = CARRIERS,
	     .begin = begin, .tell_value = tell_value,
	     .step = step, .is_over = is_over);
