/* SPDX-License-Identifier: MIT */
/*
 * Steps of a carrier between user code and its loop: lib/worker/carrier.h, carrier.c, and the loop
 * of dispatch.c.
 */
#include "protocol.h"

static unsigned int enter_word(unsigned int old, unsigned int new)
{
	(void)old;
	return new;
}

/* usched_enter_carrier() */
static void enter(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int seen;

	if (protocol_without(model, WITHOUT_P1_SIGNAL_FENCE)) {
		/* The compiler has moved the load up. */
		self->variables[NOTE_SEEN] = (uint8_t)model_load(
			model, protocol_word(REVOKE, model->self), MODEL_ACQUIRE);
		self->at = AT_ENTER_LATE;
		return;
	}
	self->at = AT_ENTER_LOOK;
	if (protocol_without(model, WITHOUT_P1_ENTER_EXCHANGE)) {
		/* acq_rel orders its load before what follows, and its store behind what
		   precedes, but not its store before the load of revoke. */
		model_change(model, protocol_word(IN_RUNTIME, model->self), &seen, enter_word, 1,
			     MODEL_ACQ_REL, false);
		return;
	}
	model_store(model, protocol_word(IN_RUNTIME, model->self), 1, MODEL_RELAXED);	/* [P1] */
	if (protocol_setup->no_membarrier && !protocol_without(model, WITHOUT_P1_ENTER_FENCE))
		model_fence(model);							/* [P1] */
}

void protocol_enter(struct model *model, enum protocol_step back)
{
	protocol_call(model, AT_ENTER, back);
	enter(model);
}

static void enter_late(struct model *model)
{
	struct model_thread *self = model_self(model);

	model_store(model, protocol_word(IN_RUNTIME, model->self), 1, MODEL_RELAXED);
	if (self->variables[NOTE_SEEN] == NONE)
		protocol_return(model);
	else
		self->at = AT_REGAIN;
	self->variables[NOTE_SEEN] = 0;
}

static void enter_look(struct model *model)
{
	if (model_load(model, protocol_word(REVOKE, model->self),
		       protocol_order(model, MODEL_ACQUIRE, WITHOUT_P1_LOOK_ACQUIRE,
				      PROTOCOL_WHOLE)) == NONE)			/* [P1] */
		protocol_return(model);
	else
		model_self(model)->at = AT_REGAIN;
}

/* usched_regain(), the first half */
static void regain(struct model *model)
{
	unsigned int seen = REQUESTED;

	switch (model_compare_exchange(model, protocol_word(REVOKE, model->self), &seen, NONE,
				       protocol_order(model, MODEL_ACQ_REL,
						      WITHOUT_P4_REGAIN_ACQUIRE,
						      WITHOUT_P4_REGAIN_RELEASE),
				       protocol_order(model, MODEL_ACQUIRE,
						      WITHOUT_P4_REGAIN_ACQUIRE, PROTOCOL_WHOLE),
				       protocol_without(model, WITHOUT_P4_REGAIN))) {	/* [P4] */
	case MODEL_HALF:
		return;
	case MODEL_LOST:
		if (seen == TAKEN) {
			model_self(model)->at = AT_REGAIN_LOST;
			return;
		}
		break;
	case MODEL_WON:
		break;
	}
	protocol_return(model);		/* still the owner */
}

static void regain_lost(struct model *model)
{
	model_store(model, protocol_word(CARRIER_WORKER, model->self), 0, MODEL_RELAXED);
	model_store(model, protocol_word(REVOKE, model->self), NONE,
		    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE,
				   WITHOUT_P4_LOST_RELEASE));			/* [P4] */
	model_self(model)->at = AT_REGAIN_QUEUE;
}

static void regain_queue(struct model *model)
{
	unsigned int fiber = protocol_current(model);

	model_owned_store(model, protocol_word(BOUND, fiber), model->self + 1);	/* F3 */
	if (protocol_push_inbox(model, INBOX, 0, fiber))
		protocol_call(model, AT_NOTIFY, AT_WAIT_WITH_FIBER);
}

/* usched_carrier_wait() */
static bool carrier_wait(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	unsigned int self = model->self, worker;

	if (!model->state.now[protocol_word(GO, self)])
		return false;
	model_await(model, protocol_word(GO, self),
		    protocol_order(model, MODEL_ACQUIRE, WITHOUT_P3_ACQUIRE,
				   PROTOCOL_WHOLE));				/* [P3] */
	model_store(model, protocol_word(GO, self), 0, MODEL_RELAXED);
	worker = model_owned_load(model, protocol_word(ORDER, self)) - 1;
	if (notes->holder[worker] != ORDERED_TO + self)
		model_fail(model, "K1: carrier %u takes worker %u, which is not ordered to it", self,
			   worker);
	notes->holder[worker] = (uint8_t)(HELD_BY + self);
	model_store(model, protocol_word(CARRIER_WORKER, self), worker + 1, MODEL_RELAXED);
	model_store(model, protocol_word(OWNER, worker), self + 1, MODEL_RELAXED);
	model_store(model, protocol_word(MODE, worker), OWNED, MODEL_RELAXED);
	model_self(model)->variables[PENDING] = 0;
	protocol_use(model);
	protocol_return(model);
	return true;
}

/* usched_resume_bound() */
static void resume(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	unsigned int fiber = protocol_current(model);

	if (model_owned_load(model, protocol_word(BOUND, fiber)) != model->self + 1u)
		model_fail(model, "carrier %u resumes fiber %u, which is not bound to it",
			   model->self, fiber);
	model_owned_store(model, protocol_word(BOUND, fiber), 0);		/* F3 */
	if (notes->place[fiber] != IN_HAND_OF + model->self)
		model_fail(model, "F1: fiber %u is resumed, and is somewhere else", fiber);
	notes->place[fiber] = (uint8_t)(RUNNING_ON + model->self);
	protocol_use(model);
	protocol_return(model);
}

/* usched_leave(), usched_leave_here() */
static void leave(struct model *model)
{
	struct model_thread *self = model_self(model);

	if (protocol_without(model, WITHOUT_P8_SIGNAL_FENCE) && self->at == AT_LEAVE) {
		/* The compiler has moved the load up. */
		self->variables[NOTE_SEEN] = self->variables[PENDING];
		self->at = AT_LEAVE_LATE;
		return;
	}
	model_store(model, protocol_word(IN_RUNTIME, model->self), 0,
		    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE,
				   WITHOUT_P2_LEAVE));				/* [P2] */
	self->at = AT_LEAVE_LOOK;
}

static void leave_look(struct model *model)
{
	struct model_thread *self = model_self(model);
	/* The signal fence keeps this load behind the store: a tick that came before the store has
	   left a note, and one after it runs the handler. */
	unsigned int note = protocol_without(model, WITHOUT_P8_SIGNAL_FENCE) ?
			    self->variables[NOTE_SEEN] : self->variables[PENDING];

	self->variables[NOTE_SEEN] = 0;
	if (!note) {
		if (self->variables[PENDING])
			model_fail(model, "carrier %u leaves, and there is a note", model->self);
		self->variables[LEAVES_HERE] = 0;
		self->at = AT_USER;
		return;
	}
	if (self->variables[PENDING] && self->variables[PENDING] != protocol_current(model) + 2)
		model_fail(model, "a note for another fiber has survived a dispatch");
	self->variables[PENDING] = 0;
	protocol_call(model, AT_ENTER, AT_LEAVE_NOTE);
}

/* usched_preempt_pending() and usched_leave_pending(), entered */
static void leave_note(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int fiber = protocol_current(model);

	protocol_use(model);
	if (!self->variables[LEAVES_HERE]) {
		protocol_notes(model)->goes_on[fiber] = AT_LEAVE_END;
		self->at = AT_YIELD;
	} else if (model_load(model, protocol_word(REVOKED, protocol_worker(model)),
			      MODEL_RELAXED)) {
		protocol_call(model, AT_SURRENDER, AT_LEAVE_END);
	} else {
		protocol_call(model, AT_HAND_OFF, AT_LEAVE_END);
	}
}

static void leave_end(struct model *model)
{
	model_store(model, protocol_word(IN_RUNTIME, model->self), 0,
		    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE,
				   WITHOUT_P2_LEAVE_PENDING));			/* [P2] */
	model_self(model)->variables[LEAVES_HERE] = 0;
	protocol_notes(model)->goes_on[protocol_current(model)] = AT_LEAVE;
	model_self(model)->at = AT_USER;
}

/* usched_carrier_loop() */
static void loop(struct model *model)
{
	struct model_thread *self = model_self(model);

	if (model->state.now[protocol_word(CURRENT, model->self)])
		model_fail(model, "K3: carrier %u is in its loop, and has a fiber", model->self);
	self->variables[LEAVES_HERE] = 0;
	if (model->state.now[protocol_word(HANDED, model->self)]) {
		self->variables[PICKED] = (uint8_t)model_owned_load(
			model, protocol_word(HANDED, model->self));
		model_owned_store(model, protocol_word(HANDED, model->self), 0);
	}
	self->at = self->variables[PICKED] ? AT_DISPATCH : AT_FIND;
}

/* usched_find() */
static void find(struct model *model)
{
	protocol_use(model);
	if (model_load(model, protocol_word(REVOKED, protocol_worker(model)), MODEL_RELAXED))
		protocol_call(model, AT_SURRENDER, AT_LOOP_WAIT);	/* must_stop() */
	else
		protocol_call(model, AT_PICK, AT_FIND_PICKED);
}

static void find_found(struct model *model, enum protocol_step otherwise)
{
	struct model_thread *self = model_self(model);

	self->at = (uint8_t)(self->variables[PICKED] ? AT_DISPATCH : otherwise);
}

/* The second half of the loop, and dispatch_bound() */
static void dispatch(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int fiber = self->variables[PICKED] - 1u;
	unsigned int bound = model_owned_load(model, protocol_word(BOUND, fiber));

	protocol_use(model);
	if (bound) {
		self->variables[SPARE] = (uint8_t)bound;
		self->variables[INDEX] = (uint8_t)protocol_worker(model);
		self->at = AT_DISPATCH_BOUND;
		return;
	}
	self->variables[PICKED] = 0;
	protocol_make_current(model, fiber);
	self->at = protocol_notes(model)->goes_on[fiber];
}

static void dispatch_bound(struct model *model)
{
	struct model_thread *self = model_self(model);

	if (!self->half) {
		model_store(model, protocol_word(CARRIER_WORKER, model->self), 0, MODEL_RELAXED);
		model_store(model, protocol_word(MODE, self->variables[INDEX]), MOVING,
			    MODEL_RELAXED);
	}
	if (protocol_push_spare(model, model->self))
		self->at = AT_DISPATCH_GIVE;
}

static void dispatch_give(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = self->variables[INDEX];

	protocol_give(model, self->variables[SPARE] - 1u, worker, self->variables[PICKED]);
	if (protocol_without(model, WITHOUT_K4_GIVE))
		model_touch(model, protocol_word(INSIDE, worker));
	self->variables[SPARE] = self->variables[INDEX] = self->variables[PICKED] = 0;
	protocol_call(model, AT_WAIT, AT_LOOP);
}

bool protocol_carrier_step(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch ((enum protocol_step)self->at) {
	case AT_ENTER:			enter(model); break;
	case AT_ENTER_LATE:		enter_late(model); break;
	case AT_ENTER_LOOK:		enter_look(model); break;
	case AT_REGAIN:			regain(model); break;
	case AT_REGAIN_LOST:		regain_lost(model); break;
	case AT_REGAIN_QUEUE:		regain_queue(model); break;
	case AT_WAIT_WITH_FIBER:	protocol_call(model, AT_WAIT, AT_RESUME); break;
	case AT_WAIT:			return carrier_wait(model);
	case AT_RESUME:			resume(model); break;
	case AT_LEAVE:
	case AT_LEAVE_LATE:		leave(model); break;
	case AT_LEAVE_LOOK:		leave_look(model); break;
	case AT_LEAVE_NOTE:		leave_note(model); break;
	case AT_LEAVE_END:		leave_end(model); break;
	case AT_LOOP:			loop(model); break;
	case AT_LOOP_WAIT:		protocol_call(model, AT_WAIT, AT_LOOP); break;
	case AT_FIND:			find(model); break;
	case AT_FIND_PICKED:
		find_found(model, protocol_has_thieves() ? AT_STEAL_RING : AT_SLEEP);
		break;
	case AT_FIND_STOLEN:		find_found(model, AT_SLEEP); break;
	case AT_DISPATCH:		dispatch(model); break;
	case AT_DISPATCH_BOUND:		dispatch_bound(model); break;
	case AT_DISPATCH_GIVE:		dispatch_give(model); break;
	default:			model_fail(model, "not a step of a carrier"); break;
	}
	return true;
}
