/* SPDX-License-Identifier: MIT */
/*
 * The ring of lib/worker/ring.h with two places. Its owner pushes up to four fibers and pops; two
 * thieves pop. That a popper has read a place before it is written again is a touch by the winner of head,
 * and one by the owner before it writes there.
 */
#include "part.h"
#include "queues.h"

enum { HEAD, TAIL, SLOTS, READ = SLOTS + 2, FIBER = READ + 2, WORDS = FIBER + 4 };
enum { OWNER, THIEVES = 2, THREADS = 1 + THIEVES, PLACES = 2, FIBERS = 4 };

enum step { START, PUSH_HEAD, PUSH_SLOT, PUSH_TAIL, POP_HEAD, POP_TAIL, POP_SLOT, POP_CAS, OVER };
enum { SEEN_HEAD, SEEN_TAIL, FIBER_SEEN, TURN };	/* variables */

/* What each does, in turns: + pushes, - pops. */
static const char *const turns[THREADS] = { "+++-+", "--", "-" };

static void start(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch (turns[model->self][self->variables[TURN]]) {
	case '+':
		self->at = PUSH_HEAD;
		break;
	case '-':
		self->at = POP_HEAD;
		break;
	default:
		part_end(model, OVER);
		break;
	}
}

static void end_turn(struct model *model)
{
	struct model_thread *self = model_self(model);

	self->variables[TURN]++;
	self->variables[SEEN_HEAD] = self->variables[SEEN_TAIL] = self->variables[FIBER_SEEN] = 0;
	start(model);
}

/* usched_ring_push(); the notes say which fibers were popped. */
static void push(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int tail = model->state.now[TAIL];

	switch ((enum step)self->at) {
	case PUSH_HEAD:
		self->variables[SEEN_HEAD] = (uint8_t)model_load(
			model, HEAD, part_acquire(model, RING_WITHOUT_B_ACQUIRE));		/* [B] */
		if (tail - self->variables[SEEN_HEAD] < PLACES)
			self->at = PUSH_SLOT;
		else
			end_turn(model);	/* full */
		break;
	case PUSH_SLOT:
		model_touch(model, READ + tail % PLACES);
		model_touch(model, FIBER + tail);
		model_store(model, SLOTS + tail % PLACES, tail + 1, MODEL_RELAXED);
		self->at = PUSH_TAIL;
		break;
	default:
		model_store(model, TAIL, tail + 1,
			    part_release(model, RING_WITHOUT_A_RELEASE));			/* [A] */
		end_turn(model);
		break;
	}
}

static void won(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int head = self->variables[SEEN_HEAD], fiber = self->variables[FIBER_SEEN];

	if (fiber != head + 1)
		model_fail(model, "place %u gave fiber %u", head, fiber);
	else if (model->state.notes[fiber - 1]++)
		model_fail(model, "fiber %u was popped twice", fiber);
	else
		model_touch(model, FIBER + fiber - 1);
	end_turn(model);
}

/* usched_ring_pop() */
static void pop(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int head = self->variables[SEEN_HEAD], tail, seen = head;

	switch ((enum step)self->at) {
	case POP_HEAD:
		self->variables[SEEN_HEAD] = (uint8_t)model_load(
			model, HEAD, part_acquire(model, RING_WITHOUT_C_ACQUIRE));		/* [C] */
		self->at = POP_TAIL;
		break;
	case POP_TAIL:
		tail = model_load(model, TAIL, part_acquire(model, RING_WITHOUT_A_ACQUIRE));	/* [A] */
		/* An old head may be too far behind, which its CAS will tell. */
		if (tail < head)
			model_fail(model, "R1: a popper sees head %u and tail %u", head, tail);
		if (tail == head)
			end_turn(model);
		else
			self->at = POP_SLOT;
		break;
	case POP_SLOT:
		self->variables[FIBER_SEEN] = (uint8_t)model_load(model, SLOTS + head % PLACES,
								  MODEL_RELAXED);
		self->at = POP_CAS;
		break;
	default:
		/* The read counts if the CAS is won, and it came before. */
		if (self->half || (model->state.now[HEAD] == head &&
				   !part_without(model, RING_WITHOUT_CAS)))
			model_touch(model, READ + head % PLACES);
		switch (model_compare_exchange(
			model, HEAD, &seen, head + 1,
			part_without(model, RING_WITHOUT_CAS_ACQUIRE) ? MODEL_RELEASE :
			part_order(model, MODEL_ACQ_REL, MODEL_RELEASE, RING_WITHOUT_B_RELEASE),
			part_acquire(model, RING_WITHOUT_C_LOST),
			part_without(model, RING_WITHOUT_CAS))) {			/* [B] [C] */
		case MODEL_WON:
			won(model);
			break;
		case MODEL_LOST:
			self->variables[SEEN_HEAD] = (uint8_t)seen;
			self->at = POP_TAIL;
			break;
		case MODEL_HALF:
			break;
		}
		break;
	}
}

static bool step(struct model *model, unsigned int actor)
{
	switch ((enum step)model->state.threads[actor].at) {
	case START:
		start(model);
		break;
	case PUSH_HEAD:
	case PUSH_SLOT:
	case PUSH_TAIL:
		push(model);
		break;
	case POP_HEAD:
	case POP_TAIL:
	case POP_SLOT:
	case POP_CAS:
		pop(model);
		break;
	default:
		return false;
	}
	return true;
}

static bool is_over(struct model *model)
{
	if (!part_all_are_over(model, OVER))
		return false;
	for (unsigned int i = 0; i < FIBERS; i++) {
		if (model->state.notes[i] != (i < model->state.now[HEAD]))
			return false;
	}
	return true;
}

static void tell_actor(struct model *model, unsigned int actor, char *text, size_t bytes)
{
	static const char *const names[] = {
		"starts", "push: head", "push: place", "push: tail", "pop: head", "pop: tail",
		"pop: place", "pop: CAS", "over",
	};

	snprintf(text, bytes, "%s %u  %s", actor == OWNER ? "owner" : "thief", actor,
		 names[model->state.threads[actor].at]);
}

static void tell_word(unsigned int word, char *text, size_t bytes)
{
	static const char *const names[] = {
		"head", "tail", "place 0", "place 1", "the read of place 0", "the read of place 1",
		"fiber 1", "fiber 2", "fiber 3", "fiber 4",
	};

	snprintf(text, bytes, "%s", names[word]);
}

PART_MACHINE(ring, .actors = THREADS, .carrying = SLOTS, .remembering = SLOTS, .notes = FIBERS,
	     .begin = part_begin, .tell_value = part_tell_number,
	     .step = step, .is_over = is_over);
