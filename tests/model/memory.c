/* SPDX-License-Identifier: MIT */
/*
 * The memory of model.h: who knows which store.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

static uint64_t bit(unsigned int word)
{
	return UINT64_C(1) << word;
}

static void tell(struct model *model, unsigned int word, const char *how, unsigned int value)
{
	char name[MODEL_TEXT / 4] = "", what[MODEL_TEXT / 4] = "";
	size_t used;

	if (!model->telling)
		return;
	model->machine->tell_word(word, name, sizeof(name));
	model->machine->tell_value(word, value, what, sizeof(what));
	used = strlen(model->told);
	snprintf(model->told + used, sizeof(model->told) - used, "%s%s %s %s", used ? "; " : "",
		 name, how, what);
}

void model_fail(struct model *model, const char *format, ...)
{
	va_list arguments;

	if (model->failed)
		return;
	model->failed = true;
	va_start(arguments, format);
	vsnprintf(model->failure, sizeof(model->failure), format, arguments);
	va_end(arguments);
}

static unsigned int read_last(struct model *model, unsigned int word, enum model_order order)
{
	struct model_state *state = &model->state;

	state->knows[model->self] |= bit(word);
	if (order & MODEL_ACQUIRE)
		state->knows[model->self] |= state->carries[word];
	else if (model->machine->acquire_fences)
		state->heard[model->self] |= state->carries[word];
	return state->now[word];
}

/* Something has happened to a word, and nobody but the thread itself knows. */
static void forget(struct model *model, unsigned int word)
{
	const struct model_machine *machine = model->machine;
	struct model_state *state = &model->state;

	for (unsigned int i = 0; i < machine->threads; i++) {
		state->heard[i] &= ~bit(word);
		if (!(state->ended >> i & 1))
			state->knows[i] &= ~bit(word);
	}
	for (unsigned int i = 0; i < machine->carrying; i++)
		state->carries[i] &= ~bit(word);
	for (unsigned int i = 0; i < machine->remembering; i++)
		state->carried[i] &= ~bit(word);
	state->fences &= ~bit(word);
	state->knows[model->self] |= bit(word);
}

static void write_last(struct model *model, unsigned int word, unsigned int value)
{
	if (word < model->machine->remembering)
		model->state.carried[word] = model->state.carries[word];
	model->state.before[word] = model->state.now[word];
	model->state.now[word] = (uint16_t)value;
	forget(model, word);
}

static uint64_t narrowed(const struct model *model, uint64_t set)
{
	return model->narrow ? set : UINT64_MAX;
}

static void set_carried(struct model *model, unsigned int word, uint64_t set)
{
	if (word < model->machine->carrying)
		model->state.carries[word] = set & narrowed(model, model->machine->passes[word]);
	else if (set)
		model_fail(model, "the machine has not declared word %u as one that carries", word);
}

unsigned int model_load(struct model *model, unsigned int word, enum model_order order)
{
	struct model_state *state = &model->state;
	unsigned int value;

	if (!(state->knows[model->self] & bit(word)) && model_choose(model, 2)) {
		if (word < model->machine->remembering && (order & MODEL_ACQUIRE))
			state->knows[model->self] |= state->carried[word];
		tell(model, word, "still reads", state->before[word]);
		return state->before[word];
	}
	value = read_last(model, word, order);
	tell(model, word, "reads", value);
	return value;
}

unsigned int model_await(struct model *model, unsigned int word, enum model_order order)
{
	unsigned int value = read_last(model, word, order);

	tell(model, word, "reads", value);
	return value;
}

void model_store(struct model *model, unsigned int word, unsigned int value,
		 enum model_order order)
{
	write_last(model, word, value);
	set_carried(model, word, order & MODEL_RELEASE ? model->state.knows[model->self] : 0);
	tell(model, word, "=", value);
}

static void write_on(struct model *model, unsigned int word, unsigned int value,
		     enum model_order order, uint64_t carried)
{
	write_last(model, word, value);
	/* Carried on from the store that was read: a release sequence. */
	carried &= ~bit(word);
	if (order & MODEL_RELEASE)
		carried |= model->state.knows[model->self];
	set_carried(model, word, carried);
	tell(model, word, "becomes", value);
}

static uint64_t carried_by(const struct model *model, unsigned int word)
{
	return word < model->machine->carrying ? model->state.carries[word] : 0;
}

enum model_done model_compare_exchange(struct model *model, unsigned int word, unsigned int *seen,
				       unsigned int value, enum model_order order,
				       enum model_order lost, bool split)
{
	struct model_thread *self = model_self(model);
	struct model_state *state = &model->state;
	unsigned int expected = *seen;
	uint64_t carried;

	if (self->half) {
		self->half = 0;
		write_on(model, word, value, order, 0);
		return MODEL_WON;
	}
	if (split || state->now[word] != expected) {
		/* Only a load, which may be an early one; it may not find what would have won. */
		if (!(state->knows[model->self] & bit(word)) &&
		    (split || state->before[word] != expected) && model_choose(model, 2)) {
			*seen = state->before[word];
			tell(model, word, "still reads", *seen);
		} else {
			*seen = read_last(model, word,
					  state->now[word] == expected ? order : lost);
			tell(model, word, "reads", *seen);
		}
		if (*seen != expected)
			return MODEL_LOST;
		self->half = 1;
		return MODEL_HALF;
	}
	carried = carried_by(model, word);
	read_last(model, word, order);
	write_on(model, word, value, order, carried);
	return MODEL_WON;
}

enum model_done model_change(struct model *model, unsigned int word, unsigned int *seen,
			     unsigned int (*change)(unsigned int value, unsigned int argument),
			     unsigned int argument, enum model_order order, bool split)
{
	struct model_thread *self = model_self(model);
	uint64_t carried = carried_by(model, word);

	if (self->half) {
		self->half = 0;
		*seen = self->seen;
		self->seen = 0;
		write_on(model, word, change(*seen, argument), order, 0);
		return MODEL_WON;
	}
	if (split) {
		self->seen = (uint16_t)model_load(model, word, order);
		self->half = 1;
		return MODEL_HALF;
	}
	*seen = read_last(model, word, order);
	write_on(model, word, change(*seen, argument), order, carried);
	return MODEL_WON;
}

void model_fence(struct model *model)
{
	struct model_state *state = &model->state;

	state->knows[model->self] |= state->fences | state->heard[model->self];
	state->fences = state->knows[model->self] & narrowed(model, model->machine->fenced);
}

void model_acquire_fence(struct model *model)
{
	model->state.knows[model->self] |= model->state.heard[model->self];
}

void model_barrier(struct model *model, unsigned int thread)
{
	struct model_state *state = &model->state;
	uint64_t both = (state->knows[model->self] | state->knows[thread]) &
			narrowed(model, model->machine->barred);

	state->knows[model->self] |= both;
	state->knows[thread] |= both;
}

void model_depend(struct model *model, unsigned int word, uint64_t behind)
{
	if (model->state.knows[model->self] & bit(word))
		model->state.knows[model->self] |= carried_by(model, word) & behind;
}

void model_publish(struct model *model, unsigned int word)
{
	for (unsigned int i = 0; i < model->machine->threads; i++)
		model->state.knows[i] |= bit(word);
}

void model_touch(struct model *model, unsigned int word)
{
	struct model_state *state = &model->state;
	char name[MODEL_TEXT / 4];

	if (!(state->knows[model->self] & bit(word))) {
		model->machine->tell_word(word, name, sizeof(name));
		model_fail(model, "a race: %s is accessed, and nothing orders this after the last access",
			   name);
	}
	forget(model, word);
}

unsigned int model_owned_load(struct model *model, unsigned int word)
{
	model_touch(model, word);
	return model->state.now[word];
}

void model_owned_store(struct model *model, unsigned int word, unsigned int value)
{
	model_touch(model, word);
	model->state.now[word] = (uint16_t)value;
	model->state.before[word] = (uint16_t)value;
	tell(model, word, "=", value);
}

void model_end_thread(struct model *model)
{
	model->state.ended |= UINT64_C(1) << model->self;
	model->state.knows[model->self] = UINT64_MAX;
}

void model_tidy(struct model *model)
{
	const struct model_machine *machine = model->machine;
	struct model_state *state = &model->state;
	uint64_t all = UINT64_MAX;

	for (unsigned int i = 0; i < machine->threads; i++)
		all &= state->knows[i] | ~machine->reads[i];
	/* What all know who read it, tells nobody anything. */
	for (unsigned int i = 0; i < machine->threads; i++) {
		state->knows[i] |= all;
		state->heard[i] &= ~state->knows[i];
	}
	for (unsigned int i = 0; i < machine->carrying; i++)
		state->carries[i] &= ~all;
	for (unsigned int i = 0; i < machine->remembering; i++)
		state->carried[i] &= ~all;
	state->fences &= ~all;
	for (unsigned int i = 0; i < machine->words; i++) {
		if (!(all & bit(i)))
			continue;
		state->before[i] = state->now[i];
		if (i < machine->remembering)
			state->carried[i] = 0;
	}
}

unsigned int model_choose(struct model *model, unsigned int count)
{
	unsigned int at = model->choice;

	if (count < 2)
		return 0;
	if (at == MODEL_CHOICES) {
		model_fail(model, "one step has more than %d choices", MODEL_CHOICES);
		return 0;
	}
	if (at == model->choice_count) {
		model->choices[at].count = (uint8_t)count;
		model->choices[at].chosen = 0;
		model->choice_count++;
	}
	model->choice++;
	return model->choices[at].chosen;
}
