/* SPDX-License-Identifier: MIT */
/*
 * The inbox of lib/worker/inbox.h, with the steps of liburcu's queue below it. Two threads add a
 * fiber each, the first of them two; two consumers take what they can get.
 *
 * An adder writes its fiber, and before that something that no pointer leads to: what a program does
 * before it spawns. The consumer looks at both.
 */
#include "part.h"
#include "queues.h"

/* LINKS + 0 is the head's; a link holds the number of the next fiber, the tail that of the last. */
enum {
	TAIL, FLAG, LINKS, FIBER = LINKS + 4, BEFORE = FIBER + 3, WORDS = BEFORE + 3,
};
enum { ADDERS = 2, CONSUMERS = 2, THREADS = ADDERS + CONSUMERS, FIBERS = 3 };

enum step {
	START, ADD_EXCHANGE, ADD_LINK, LOOK_LINK, LOOK_TAIL, TAKE_FLAG, TAKE_NODE, TAKE_TAIL, TAKE_NEXT,
	TAKE_LAST, TAKE_AGAIN, TAKE_HEAD, TAKE_CLEAR, USE, OVER,
};
enum { NODE, NEXT, OLD, TURN };		/* variables; fibers are numbered from 1 */

static const unsigned int turns[THREADS] = { 2, 1, 2, 1 };

static void end_turn(struct model *model)
{
	struct model_thread *self = model_self(model);

	self->variables[NODE] = self->variables[NEXT] = self->variables[OLD] = 0;
	self->at = START;
	if (++self->variables[TURN] == turns[model->self])
		part_end(model, OVER);
}

/* cds_wfcq_enqueue(): its exchange is a full barrier, which the store after it passes on. */
static void add(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int fiber = model->self == 0 ? 1u + self->variables[TURN] : 3u, old;

	switch ((enum step)self->at) {
	case START:
		model_touch(model, BEFORE + fiber - 1);
		model_touch(model, FIBER + fiber - 1);
		model_store(model, LINKS + fiber, 0, MODEL_RELAXED);
		self->at = ADD_EXCHANGE;
		break;
	case ADD_EXCHANGE:
		if (model_change(model, TAIL, &old, part_replace, fiber, MODEL_ACQ_REL,
				 part_without(model, INBOX_WITHOUT_EXCHANGE)) == MODEL_HALF)
			break;
		self->variables[OLD] = (uint8_t)old;
		self->at = ADD_LINK;
		break;
	default:
		model_store(model, LINKS + self->variables[OLD], fiber, MODEL_RELEASE);
		end_turn(model);
		break;
	}
}

/* A pointer to a fiber was loaded: what is in the fiber is read after it, and nothing else. */
static unsigned int load_link(struct model *model, unsigned int link)
{
	unsigned int fiber = model_load(model, LINKS + link, MODEL_RELAXED);

	if (fiber)
		model_depend(model, LINKS + link,
			     UINT64_C(1) << (FIBER + fiber - 1) | UINT64_C(1) << (LINKS + fiber));
	return fiber;
}

/* cds_wfcq_empty(): both steps, then @otherwise */
static void look(struct model *model, enum step tail, enum step otherwise)
{
	struct model_thread *self = model_self(model);

	if (self->at != tail) {
		self->variables[NODE] = (uint8_t)load_link(model, 0);
		self->at = self->variables[NODE] ? otherwise : tail;
	} else if (model_load(model, TAIL, MODEL_RELAXED) == 0) {
		if (tail == TAKE_TAIL)
			self->at = TAKE_CLEAR;
		else
			end_turn(model);
	} else {
		self->at = otherwise;
	}
}

/* __cds_wfcq_dequeue_nonblocking(); NODE is 0 where it gives nothing. */
static void dequeue(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int node = self->variables[NODE], seen = node;

	switch ((enum step)self->at) {
	case TAKE_NODE:
	case TAKE_TAIL:
		look(model, TAKE_TAIL, TAKE_NEXT);
		break;
	case TAKE_NEXT:
		if (!node) {
			/* An adder has the tail, and has not stored the link yet. */
			self->variables[NODE] = (uint8_t)load_link(model, 0);
			self->at = self->variables[NODE] ? TAKE_NEXT : TAKE_CLEAR;
			break;
		}
		self->variables[NEXT] = (uint8_t)load_link(model, node);
		self->at = TAKE_HEAD;
		if (self->variables[NEXT])
			break;
		model_store(model, LINKS + 0, 0, MODEL_RELAXED);
		self->at = TAKE_LAST;
		break;
	case TAKE_LAST:
		if (!self->half)
			model_fence(model);		/* liburcu's CAS is a full barrier */
		switch (model_compare_exchange(model, TAIL, &seen, 0, MODEL_ACQ_REL, MODEL_ACQUIRE,
					       part_without(model, INBOX_WITHOUT_LAST))) {
		case MODEL_WON:
			self->at = TAKE_CLEAR;
			break;
		case MODEL_LOST:
			self->at = TAKE_AGAIN;
			break;
		case MODEL_HALF:
			break;
		}
		break;
	case TAKE_AGAIN:
		self->variables[NEXT] = (uint8_t)load_link(model, node);
		self->at = TAKE_HEAD;
		if (self->variables[NEXT])
			break;
		model_store(model, LINKS + 0, node, MODEL_RELAXED);
		self->variables[NODE] = 0;
		self->at = TAKE_CLEAR;
		break;
	default:
		model_store(model, LINKS + 0, self->variables[NEXT], MODEL_RELAXED);
		self->at = TAKE_CLEAR;
		break;
	}
}

/* usched_inbox_pop() */
static void consume(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int node = self->variables[NODE], seen;

	switch ((enum step)self->at) {
	case START:
	case LOOK_TAIL:
		look(model, LOOK_TAIL, TAKE_FLAG);
		break;
	case TAKE_FLAG:
		if (model_change(model, FLAG, &seen, part_replace, 1,
				 part_acquire(model, INBOX_WITHOUT_FLAG_ACQUIRE),
				 part_without(model, INBOX_WITHOUT_FLAG)) == MODEL_HALF)
			break;
		self->at = TAKE_NODE;
		if (seen)
			end_turn(model);	/* somebody else takes */
		break;
	case TAKE_CLEAR:
		if (!part_without(model, INBOX_WITHOUT_POP_FENCE))
			model_acquire_fence(model);
		model_store(model, FLAG, 0,
			    part_release(model, INBOX_WITHOUT_FLAG_RELEASE));
		self->at = USE;
		if (!node)
			end_turn(model);
		break;
	case USE:
		if (model->state.notes[node - 1]++)
			model_fail(model, "fiber %u was taken twice", node);
		model_touch(model, FIBER + node - 1);
		model_touch(model, BEFORE + node - 1);
		end_turn(model);
		break;
	default:
		dequeue(model);
		break;
	}
}

static bool step(struct model *model, unsigned int actor)
{
	if (model->state.threads[actor].at == OVER)
		return false;
	if (actor < ADDERS)
		add(model);
	else
		consume(model);
	return true;
}

/* What was not taken is still linked. */
static bool is_over(struct model *model)
{
	const struct model_state *state = &model->state;
	unsigned int last = 0, taken = 0, linked = 0;

	if (!part_all_are_over(model, OVER))
		return false;
	for (unsigned int i = 0; i < FIBERS; i++)
		taken += state->notes[i];
	for (unsigned int at = state->now[LINKS]; at && linked <= FIBERS;
	     at = state->now[LINKS + at]) {
		last = at;
		linked++;
	}
	return state->now[FLAG] == 0 && taken + linked == FIBERS && state->now[TAIL] == last;
}

static void tell_actor(struct model *model, unsigned int actor, char *text, size_t bytes)
{
	static const char *const names[] = {
		"begins", "exchange of the tail", "link", "empty: link", "empty: tail",
		"consumer flag", "empty: link, under the flag", "empty: tail, under the flag",
		"next", "last: CAS of the tail", "next, again", "move the head", "clear the flag",
		"uses it", "over",
	};

	snprintf(text, bytes, "%s %u  %s", actor < ADDERS ? "adder" : "consumer", actor,
		 names[model->state.threads[actor].at]);
}

static void tell_word(unsigned int word, char *text, size_t bytes)
{
	if (word >= BEFORE)
		snprintf(text, bytes, "what was before fiber %u", word - BEFORE + 1);
	else if (word >= FIBER)
		snprintf(text, bytes, "fiber %u", word - FIBER + 1);
	else if (word >= LINKS)
		snprintf(text, bytes, "link %u", word - LINKS);
	else
		snprintf(text, bytes, "%s", word == TAIL ? "tail" : "flag");
}

PART_MACHINE(inbox, .actors = THREADS, .carrying = FIBER, .remembering = FIBER, .notes = FIBERS,
	     .acquire_fences = true, .begin = part_begin, .tell_value = part_tell_number,
	     .step = step, .is_over = is_over);
