/* SPDX-License-Identifier: MIT */
/*
 * The end of a spare, [V1] of lib/worker/carrier.h: the monitor has popped it (spares.c), and dismisses
 * it unless somebody holds it; its thread closes its tick and leaves its place, in which another thread
 * opens another tick. Two visitors come by way of a worker that the carrier once had, at any time, and
 * use the tick of a carrier that they could hold. The monitor tries twice; what is held then goes on.
 */
#include "part.h"
#include "queues.h"

enum { VISITORS = 2 };
enum { MONITOR = VISITORS, THREAD, NEXT_THREAD, THREADS };
/* The tick is a word for each visitor, since visitors may use it at once. */
enum { READY, HOLDS, GO, VACATED, TICK, WORDS = TICK + VISITORS };

enum step {
	START, FENCE, LOOK, USE, LET_GO, NOTHING,	/* a visitor */
	CLEAR, LOOK_AT_HOLDS, PUT_BACK, GIVE,		/* the monitor */
	WAIT, CLOSE, VACATE,				/* the thread */
	COME, OPEN, SET_READY,				/* the next one */
	OVER,
};
enum { TRIES };			/* variables */
enum { IS_OPEN, STAYS };	/* notes */
enum { TRIES_MAX = 2 };

static void begin(struct model *model)
{
	model->state.now[READY] = 1;
	model->state.notes[IS_OPEN] = 1;
	model->state.threads[MONITOR].at = CLEAR;
	model->state.threads[THREAD].at = WAIT;
	model->state.threads[NEXT_THREAD].at = COME;
}

static unsigned int add(unsigned int value, unsigned int argument)
{
	return (value + argument) & 0xff;
}

/* One more, or one less (0xff). Half done: the step is to be taken again. */
static bool change_holds(struct model *model, unsigned int by, enum model_order how)
{
	unsigned int seen = 0;

	return model_change(model, HOLDS, &seen, add, by, how,
			    part_without(model, DISMISS_WITHOUT_COUNT)) != MODEL_HALF;
}

/* usched_carrier_hold(), usched_carrier_let_go() */
static void visit(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch ((enum step)self->at) {
	case START:
		if (change_holds(model, 1, MODEL_RELAXED))
			self->at = FENCE;
		break;
	case FENCE:
		part_fence(model, DISMISS_WITHOUT_HOLD_FENCE);
		self->at = LOOK;
		break;
	case LOOK:
		self->at = model_load(model, READY, part_acquire(model, DISMISS_WITHOUT_READY_ACQUIRE)) ?
			   USE : NOTHING;
		break;
	case USE:
		model_touch(model, TICK + model->self);
		if (!model->state.notes[IS_OPEN])
			model_fail(model, "visitor %u sets a tick that was closed", model->self);
		self->at = LET_GO;
		break;
	case LET_GO:
		if (change_holds(model, 0xff, part_release(model, DISMISS_WITHOUT_LET_GO_RELEASE)))
			part_end(model, OVER);
		break;
	default:
		if (change_holds(model, 0xff, MODEL_RELAXED))
			part_end(model, OVER);
		break;
	}
}

/* usched_spare_dismiss() */
static void dismiss(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch ((enum step)self->at) {
	case CLEAR:
		model_store(model, READY, 0, MODEL_RELAXED);
		self->at = LOOK_AT_HOLDS;
		break;
	case LOOK_AT_HOLDS:
		part_fence(model, DISMISS_WITHOUT_FENCE);
		self->at = model_load(model, HOLDS, part_acquire(model, DISMISS_WITHOUT_HOLDS_ACQUIRE)) ?
			   PUT_BACK : GIVE;
		break;
	case PUT_BACK:
		model_store(model, READY, 1, MODEL_RELEASE);
		self->at = CLEAR;
		if (++self->variables[TRIES] == TRIES_MAX) {
			model->state.notes[STAYS] = 1;
			part_end(model, OVER);
		}
		break;
	default:
		model_store(model, GO, 1, MODEL_RELEASE);	/* [P3] */
		part_end(model, OVER);
		break;
	}
}

static void change_tick(struct model *model, uint8_t is_open)
{
	for (unsigned int visitor = 0; visitor < VISITORS; visitor++)
		model_touch(model, TICK + visitor);
	model->state.notes[IS_OPEN] = is_open;
}

/* The end of carrier_thread() and the beginning of the next one in its place. */
static bool live(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch ((enum step)self->at) {
	case WAIT:
		if (!model->state.now[GO])
			return false;
		model_await(model, GO, MODEL_ACQUIRE);		/* [P3] */
		self->at = CLOSE;
		break;
	case CLOSE:
		change_tick(model, 0);
		self->at = VACATE;
		break;
	case VACATE:
		model_store(model, VACATED, 1, part_release(model, DISMISS_WITHOUT_VACATE_RELEASE));
		part_end(model, OVER);
		break;
	case COME:
		if (!model->state.now[VACATED])
			return false;
		model_await(model, VACATED, part_acquire(model, DISMISS_WITHOUT_VACATE_ACQUIRE));
		self->at = OPEN;
		break;
	case OPEN:
		change_tick(model, 1);
		self->at = SET_READY;
		break;
	default:
		model_store(model, READY, 1, part_release(model, DISMISS_WITHOUT_READY_RELEASE));
		part_end(model, OVER);
		break;
	}
	return true;
}

static bool step(struct model *model, unsigned int actor)
{
	if (model->state.threads[actor].at == OVER)
		return false;
	if (actor == THREAD || actor == NEXT_THREAD)
		return live(model);
	if (actor == MONITOR)
		dismiss(model);
	else
		visit(model);
	return true;
}

/* The carrier is there, the old one or the next, and nobody holds it. */
static bool is_over(struct model *model)
{
	const struct model_state *state = &model->state;

	for (unsigned int i = 0; i < THREADS; i++) {
		bool waits = state->notes[STAYS] && (i == THREAD || i == NEXT_THREAD);

		if (state->threads[i].at != OVER && !waits)
			return false;
	}
	return state->notes[IS_OPEN] && state->now[READY] == 1 && state->now[HOLDS] == 0;
}

static void tell_actor(struct model *model, unsigned int actor, char *text, size_t bytes)
{
	static const char *const names[] = {
		"hold: raise holds", "hold: fence", "hold: look at ready", "uses the tick",
		"let go", "lower holds", "clears ready", "fence, look at holds", "puts it back",
		"orders it to end", "waits", "closes the tick", "leaves the place",
		"takes the place", "opens a tick", "sets ready", "over",
	};
	static const char *const who[] = { "visitor 0", "visitor 1", "monitor", "thread", "next" };

	snprintf(text, bytes, "%s  %s", who[actor], names[model->state.threads[actor].at]);
}

static void tell_word(unsigned int word, char *text, size_t bytes)
{
	static const char *const names[] = { "ready", "holds", "go", "vacated", "tick", "tick" };

	snprintf(text, bytes, "%s", names[word]);
}

PART_MACHINE(dismiss, .actors = THREADS, .carrying = TICK, .remembering = TICK, .notes = 2,
	     .begin = begin, .tell_value = part_tell_number,
	     .step = step, .is_over = is_over);
