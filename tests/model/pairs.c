/* SPDX-License-Identifier: MIT */
/*
 * Two sides, each of which stores a word, fences, and looks at the other's: one of them must see the
 * other. The pairs are not in the machine of protocol.h, where they would multiply its states.
 *
 *	[S2]	a worker becomes busy | the monitor goes to sleep: find.c, threads.c
 *	[Q1]	a carrier arms its timer | the quantum changes: tick.c, host.c
 */
#include "part.h"
#include "queues.h"

enum { LEFT, RIGHT, WORDS };		/* words, and the threads that store to them */
enum { THREADS = 2 };
enum step { STORE, LOOK, ACT, SET, AGAIN, ASLEEP, OVER };
enum { SEEN };				/* variables */
enum { KERNEL };			/* notes: what a system call has left */

static bool end(struct model *model)
{
	part_end(model, OVER);
	return true;
}

/* LEFT: the worker is busy. RIGHT: the monitor is asleep. KERNEL: its descriptor is readable. */
static bool s2_step(struct model *model, unsigned int actor)
{
	struct model_thread *self = model_self(model);

	switch ((enum step)self->at) {
	case STORE:
		model_store(model, actor, 1, MODEL_RELAXED);
		self->at = LOOK;
		break;
	case LOOK:
		part_fence(model, actor == LEFT ? PAIRS_WITHOUT_S2_OWNER : PAIRS_WITHOUT_S2_MONITOR);
		self->variables[SEEN] = (uint8_t)model_load(model, 1 - actor, MODEL_RELAXED);
		if (actor == RIGHT)
			self->at = self->variables[SEEN] ? ACT : ASLEEP;
		else if (self->variables[SEEN])
			self->at = ACT;
		else
			return end(model);
		break;
	case ACT:
		if (actor == LEFT)
			model->state.notes[KERNEL] = 1;
		else
			model_store(model, RIGHT, 0, MODEL_RELAXED);
		return end(model);
	case ASLEEP:
		if (!model->state.notes[KERNEL])
			return false;
		self->at = ACT;
		break;
	default:
		return false;
	}
	return true;
}

static bool s2_is_over(struct model *model)
{
	return model->state.threads[LEFT].at == OVER && model->state.threads[RIGHT].at == OVER;
}

/* LEFT: armed. RIGHT: the quantum. KERNEL: what the timer is set to. */
static bool q1_step(struct model *model, unsigned int actor)
{
	struct model_thread *self = model_self(model);
	uint8_t *timer = &model->state.notes[KERNEL];

	switch ((enum step)self->at) {
	case STORE:
		model_store(model, actor, 1, MODEL_RELAXED);
		self->at = LOOK;
		break;
	case LOOK:
		if (actor == RIGHT)
			part_fence(model, PAIRS_WITHOUT_Q1_APPLY);
		self->variables[SEEN] = (uint8_t)model_load(model, 1 - actor, MODEL_RELAXED);
		if (actor == RIGHT && !self->variables[SEEN])
			return end(model);
		self->at = SET;
		break;
	case SET:
		*timer = (uint8_t)(self->variables[SEEN] + 1);
		if (actor == RIGHT)
			return end(model);
		self->at = AGAIN;
		break;
	case AGAIN:
		part_fence(model, PAIRS_WITHOUT_Q1_AGAIN);
		if (model_load(model, RIGHT, MODEL_RELAXED) == self->variables[SEEN])
			return end(model);
		self->at = LOOK;
		break;
	default:
		return false;
	}
	return true;
}

/* The timer goes by the new quantum. */
static bool q1_is_over(struct model *model)
{
	return s2_is_over(model) && model->state.notes[KERNEL] == 2;
}

static void tell_actor(struct model *model, unsigned int actor, char *text, size_t bytes)
{
	static const char *const names[] = {
		"stores", "fence, look", "acts", "sets the timer", "fence, second look", "asleep",
		"over",
	};

	snprintf(text, bytes, "%s  %s", actor == LEFT ? "owner" : "other",
		 names[model->state.threads[actor].at]);
}

static void tell_word(unsigned int word, char *text, size_t bytes)
{
	snprintf(text, bytes, "the word of the %s", word == LEFT ? "owner" : "other");
}

#define PAIR(pair)								\
	PART_MACHINE(pairs_##pair, .actors = THREADS, .carrying = WORDS, .notes = 1,	\
		     .begin = part_begin, .tell_value = part_tell_number,		\
		     .step = pair##_step, .is_over = pair##_is_over)

PAIR(s2);
PAIR(q1);
