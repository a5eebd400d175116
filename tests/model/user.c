/* SPDX-License-Identifier: MIT */
/*
 * Steps of a fiber, by its script, and of leaving one for another: lib/worker/dispatch.c.
 */
#include "protocol.h"

static bool user(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int fiber = protocol_current(model);

	char letter = protocol_setup->fibers[fiber][notes->position[fiber]];

	if (letter == 'w' && model->state.now[protocol_word(WAITER, 0)] == NOT_WAITING)
		return false;
	protocol_run(model);
	if (letter)
		notes->position[fiber]++;
	switch (letter) {
	case 'c':
		self->variables[LEAVES_HERE] = 1;
		protocol_enter(model, AT_CALL);
		break;
	case 'y':
		protocol_enter(model, AT_YIELD);
		break;
	case 'p':
		protocol_enter(model, AT_PARK);
		break;
	case 'k':
		protocol_enter(model, AT_PIN_PARK);
		break;
	case 'w':
		protocol_enter(model, AT_WAKE_FIBER);
		break;
	case 'b':
		self->at = AT_BLOCKED;
		break;
	case 's':
		notes->signalled = 1;
		break;
	case 't':
		protocol_be_ticked(model);
		break;
	case '.':
		break;
	default:
		protocol_enter(model, AT_EXIT);
		break;
	}
	return true;
}

static bool blocked(struct model *model)
{
	if (!protocol_notes(model)->signalled)
		return false;
	model_self(model)->at = AT_USER;
	return true;
}

/* next_after(): a revoked worker's fiber leaves for the loop, which gives the CPU back. */
static void next_after(struct model *model, enum protocol_step picked)
{
	struct model_thread *self = model_self(model);

	protocol_use(model);
	self->variables[PICKED] = 0;
	if (model_load(model, protocol_word(REVOKED, protocol_worker(model)), MODEL_RELAXED))
		self->at = (uint8_t)picked;
	else
		protocol_call(model, AT_PICK, picked);
}

/* leave_fiber(), and the end of usched_fiber_main() */
static void leave_fiber(struct model *model, unsigned int after)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int fiber = protocol_current(model), next = self->variables[PICKED];

	protocol_run(model);
	notes->place[fiber] = (uint8_t)(IN_HAND_OF + model->self);
	self->variables[LEFT] = (uint8_t)(fiber + 1);
	self->variables[AFTER] = (uint8_t)after;
	self->variables[PICKED] = 0;
	self->at = AT_COMPLETE;
	if (next && !model_owned_load(model, protocol_word(BOUND, next - 1))) {
		protocol_make_current(model, next - 1);
		return;
	}
	if (next)
		model_owned_store(model, protocol_word(HANDED, model->self), next);
	model_store(model, protocol_word(CURRENT, model->self), 0, MODEL_RELAXED);
}

static void yield_picked(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int fiber = protocol_current(model);

	if (!self->variables[PICKED] &&
	    !model_load(model, protocol_word(REVOKED, protocol_worker(model)), MODEL_RELAXED))
		self->at = protocol_notes(model)->goes_on[fiber];
	else
		leave_fiber(model, AFTER_READY);
}

/* complete() */
static void complete(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int left = self->variables[LEFT] - 1u, current = protocol_current(model);

	protocol_use(model);
	switch (self->variables[AFTER]) {
	case AFTER_READY:
		protocol_push_ring(model, left);
		break;
	case AFTER_PARK:
		notes->place[left] = PARKED;
		model_store(model, protocol_word(WAITER, left), WAITING,
			    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE,
					   WITHOUT_W1_RELEASE));		/* [W1] */
		break;
	default:
		notes->place[left] = DONE;
		break;
	}
	self->variables[LEFT] = self->variables[AFTER] = 0;
	self->at = current < PROTOCOL_FIBERS ? notes->goes_on[current] : AT_LOOP;
}

/* A waker: it has learnt under the object's lock that fiber 0 waits. */
static void wake_fiber(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	unsigned int seen = WAITING;

	protocol_use(model);
	switch (model_compare_exchange(model, protocol_word(WAITER, 0), &seen, WOKEN,
				       protocol_order(model, MODEL_ACQ_REL, WITHOUT_W1_ACQUIRE,
						      PROTOCOL_WHOLE),
				       MODEL_RELAXED,
				       protocol_without(model, WITHOUT_W1_CLAIM))) {	/* [W1] */
	case MODEL_WON:
		if (notes->place[0] != PARKED)
			model_fail(model, "F1: fiber 0 is woken, and is not parked");
		notes->place[0] = (uint8_t)(IN_HAND_OF + model->self);
		model_self(model)->at = AT_WAKE_NEXT;
		break;
	case MODEL_LOST:
		model_self(model)->at = AT_LEAVE;
		break;
	case MODEL_HALF:
		break;
	}
}

/* usched_ready(): the woken fiber runs next; another one that was to is queued. */
static void wake_next(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int old;

	protocol_use(model);
	protocol_queue(model, 0);
	old = protocol_swap_next(model, protocol_worker(model), 1);
	self->variables[PICKED] = (uint8_t)old;
	self->at = old ? AT_WAKE_RING : AT_LEAVE;
}

/*
 * A pinned fiber parks: not in the code today. Its carrier has a spare in reserve, publishes the
 * fiber, which may be woken and given a worker before the carrier has given its own away.
 */
static bool pin_park(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int spare;

	/* Without a reserve it could not pin itself. */
	if (!self->half && !model->state.now[protocol_word(SPARES, 0)])
		return false;
	if (protocol_pop_spare(model, &spare)) {
		self->variables[TARGET] = (uint8_t)spare;
		self->at = AT_PIN_PUBLISH;
	}
	return true;
}

static void pin_publish(struct model *model)
{
	unsigned int fiber = protocol_current(model);

	protocol_run(model);
	model_owned_store(model, protocol_word(BOUND, fiber), model->self + 1);
	protocol_notes(model)->place[fiber] = PARKED;
	model_store(model, protocol_word(WAITER, fiber), WAITING, MODEL_RELEASE);
	model_self(model)->at = AT_PIN_GIVE;
}

static void pin_give(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = protocol_worker(model);

	protocol_use(model);
	model_store(model, protocol_word(CARRIER_WORKER, model->self), 0, MODEL_RELAXED);
	model_store(model, protocol_word(MODE, worker), MOVING, MODEL_RELAXED);
	protocol_give(model, self->variables[TARGET] - 1u, worker, 0);
	self->variables[TARGET] = 0;
	protocol_call(model, AT_WAIT_WITH_FIBER, AT_LEAVE);
}

bool protocol_user_step(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch ((enum protocol_step)self->at) {
	case AT_USER:		return user(model);
	case AT_BLOCKED:	return blocked(model);
	case AT_CALL:
		protocol_use(model);
		self->at = AT_LEAVE;
		break;
	case AT_YIELD:		next_after(model, AT_YIELD_PICKED); break;
	case AT_YIELD_PICKED:	yield_picked(model); break;
	case AT_PARK:		next_after(model, AT_PARK_PICKED); break;
	case AT_PARK_PICKED:	leave_fiber(model, AFTER_PARK); break;
	case AT_EXIT:		next_after(model, AT_EXIT_PICKED); break;
	case AT_EXIT_PICKED:	leave_fiber(model, AFTER_EXIT); break;
	case AT_COMPLETE:	complete(model); break;
	case AT_WAKE_FIBER:	wake_fiber(model); break;
	case AT_WAKE_NEXT:	wake_next(model); break;
	case AT_WAKE_RING:
		protocol_push_ring(model, self->variables[PICKED] - 1u);
		self->variables[PICKED] = 0;
		self->at = AT_LEAVE;
		break;
	case AT_PIN_PARK:	return pin_park(model);
	case AT_PIN_PUBLISH:	pin_publish(model); break;
	case AT_PIN_GIVE:	pin_give(model); break;
	default:		model_fail(model, "not a step of a fiber"); break;
	}
	return true;
}
