/* SPDX-License-Identifier: MIT */
/*
 * Steps of a tick and of what it leads to: lib/preempt/decide.c, lib/worker/handoff.c.
 */
#include "protocol.h"

/* The points of user code at which a tick runs the handler; elsewhere it leaves a note. */
static bool is_outside(const struct model_thread *self)
{
	switch ((enum protocol_step)self->at) {
	case AT_USER:
	case AT_BLOCKED:
	case AT_ENTER:
	case AT_LEAVE_LOOK:
		return true;
	default:
		return false;
	}
}

/* usched_preempt_tick() outside the runtime, up to the entry */
void protocol_be_ticked(struct model *model)
{
	struct model_thread *self = model_self(model);

	protocol_run(model);
	self->variables[INTERRUPTED] = self->at;
	self->variables[IN_HANDLER] = 1;
	protocol_enter(model, AT_SHARE);						/* 3 */
}

bool protocol_tick(struct model *model, unsigned int carrier)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	bool kicked = notes->kicked >> carrier & 1;

	if ((!kicked && notes->ticks == 0) || self->variables[IN_HANDLER] || self->half)
		return false;
	if (model->state.now[protocol_word(IN_RUNTIME, carrier)]) {			/* 2 */
		bool sleeps = self->at == AT_WAIT || self->at == AT_SLEEP ||
			      self->at == AT_SLEEP_POLL;

		/* A note is deleted when a sleeper gets a worker or a fiber. */
		if (!kicked && (sleeps || self->variables[PENDING]))
			return false;
		if (!sleeps)
			self->variables[PENDING] = (uint8_t)(protocol_current(model) + 2);
	} else if (is_outside(self)) {
		protocol_be_ticked(model);
	} else {
		return false;
	}
	if (kicked)
		notes->kicked &= (uint8_t)~(1u << carrier);
	else
		notes->ticks--;
	return true;
}

/* usched_share_next(): when is the monitor's guess, so at any tick. */
static void share(struct model *model)
{
	unsigned int number = 0;

	protocol_use(model);
	if (protocol_has_thieves() && model->state.now[protocol_word(NEXT, protocol_worker(model))] &&
	    model_choose(model, 2))
		number = protocol_swap_next(model, protocol_worker(model), 0);
	if (number)
		protocol_push_ring(model, number - 1);
	model_self(model)->at = AT_HANDLER;
}

/* decide(); that it may also do nothing is a tick that did not come. */
static void handler(struct model *model)
{
	protocol_use(model);
	protocol_call(model, model_load(model, protocol_word(REVOKED, protocol_worker(model)),
					MODEL_RELAXED) ? AT_SURRENDER : AT_HAND_OFF,
		      AT_HANDLER_END);
}

static void handler_end(struct model *model)
{
	struct model_thread *self = model_self(model);

	model_store(model, protocol_word(IN_RUNTIME, model->self), 0,
		    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE,
				   WITHOUT_P2_LEAVE_HANDLER));			/* [P2] */
	self->at = self->variables[INTERRUPTED];
	self->variables[INTERRUPTED] = self->variables[IN_HANDLER] = 0;
}

/* usched_hand_off() */
static void hand_off(struct model *model)
{
	unsigned int spare;

	protocol_use(model);
	if (!protocol_pop_spare(model, &spare))
		return;
	model_self(model)->variables[SPARE] = (uint8_t)spare;
	model_self(model)->at = AT_HAND_OFF_PICKED;
	protocol_call(model, AT_PICK, AT_HAND_OFF_PICKED);
}

static void hand_off_picked(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int next = self->variables[PICKED], spare = self->variables[SPARE];
	unsigned int bound = next ? model_owned_load(model, protocol_word(BOUND, next - 1)) : 0;

	self->variables[TARGET] = (uint8_t)bound;
	if (next && !bound && spare) {
		model_owned_store(model, protocol_word(HANDED, spare - 1), next);
		self->variables[TARGET] = (uint8_t)spare;
		self->variables[SPARE] = 0;
		self->at = AT_HAND_OFF_QUEUE;
	} else if (next && !bound) {
		self->at = AT_HAND_OFF_NEXT;		/* starved */
	} else if (spare) {
		self->at = AT_HAND_OFF_SPARE;
	} else if (next) {
		self->at = AT_HAND_OFF_QUEUE;
	} else {
		protocol_return(model);
	}
}

static void hand_off_spare(struct model *model)
{
	struct model_thread *self = model_self(model);

	if (!protocol_push_spare(model, self->variables[SPARE] - 1u))
		return;
	self->variables[SPARE] = 0;
	if (self->variables[TARGET])
		self->at = AT_HAND_OFF_QUEUE;
	else
		protocol_return(model);
}

/* usched_unpick(): @fiber is in `next` now; another one goes to the ring. */
static void put_next(struct model *model, unsigned int fiber, enum protocol_step then)
{
	struct model_thread *self = model_self(model);
	unsigned int old;

	protocol_queue(model, fiber);
	old = protocol_swap_next(model, protocol_worker(model), fiber + 1);
	self->variables[LEFT] = (uint8_t)old;
	self->at = (uint8_t)(old ? AT_HAND_OFF_NEXT_RING : then);
	if (!old && then == AT_HAND_OFF)
		protocol_return(model);
}

static void next_ring(struct model *model)
{
	struct model_thread *self = model_self(model);

	protocol_push_ring(model, self->variables[LEFT] - 1u);
	self->variables[LEFT] = 0;
	if (self->variables[TARGET])
		self->at = AT_HAND_OFF_GIVE;
	else
		protocol_return(model);
}

static void hand_off_queue(struct model *model)
{
	unsigned int fiber = protocol_current(model);

	protocol_use(model);
	protocol_run(model);
	if (!protocol_without(model, WITHOUT_F3_BOUND))
		model_owned_store(model, protocol_word(BOUND, fiber), model->self + 1);	/* F3 */
	if (protocol_setup->front) {
		put_next(model, fiber, AT_HAND_OFF_GIVE);
	} else {
		protocol_push_ring(model, fiber);
		model_self(model)->at = AT_HAND_OFF_GIVE;
	}
	if (protocol_without(model, WITHOUT_F3_BOUND))
		model_owned_store(model, protocol_word(BOUND, fiber), model->self + 1);
}

static void hand_off_give(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = protocol_worker(model);

	protocol_use(model);
	model_store(model, protocol_word(CARRIER_WORKER, model->self), 0, MODEL_RELAXED);
	model_store(model, protocol_word(MODE, worker), MOVING, MODEL_RELAXED);
	protocol_give(model, self->variables[TARGET] - 1u, worker, self->variables[PICKED]);
	if (protocol_without(model, WITHOUT_K4_GIVE))
		model_touch(model, protocol_word(INSIDE, worker));
	self->variables[TARGET] = self->variables[PICKED] = 0;
	self->at = AT_WAIT_WITH_FIBER;
}

/* usched_surrender() */
static void surrender(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = protocol_worker(model), number = 0;

	protocol_use(model);
	if (self->variables[INDEX] == 0) {
		number = protocol_swap_next(model, worker, 0);
	} else if (!protocol_pop(model, protocol_word(self->variables[INDEX] == 1 ? RING : MAILBOX,
						      worker),
				 &number, MODEL_ACQ_REL, false)) {
		return;
	}
	if (number) {
		if (self->variables[INDEX])
			protocol_unqueue(model, number - 1);
		self->variables[PICKED] = (uint8_t)number;
		self->at = AT_SURRENDER_PUSH;
	} else if (++self->variables[INDEX] == 2 + protocol_has_mailboxes()) {
		self->variables[INDEX] = (uint8_t)worker;
		self->at = AT_SURRENDER_FIBER;
	}
}

static void surrender_fiber(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int fiber = protocol_current(model);

	if (fiber < PROTOCOL_FIBERS) {
		if (!self->half)
			model_owned_store(model, protocol_word(BOUND, fiber), model->self + 1);
		if (!protocol_push_inbox(model, INBOX, 0, fiber))
			return;
	}
	self->at = fiber < PROTOCOL_FIBERS ? AT_SURRENDER_DORMANT : AT_SURRENDER_SPARE;
	model_store(model, protocol_word(CARRIER_WORKER, model->self), 0, MODEL_RELAXED);
	model_store(model, protocol_word(OWNER, self->variables[INDEX]), 0, MODEL_RELAXED);
}

static void surrender_dormant(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int worker = self->variables[INDEX];

	if (notes->holder[worker] != HELD_BY + model->self)
		model_fail(model, "K1: worker %u is surrendered by who does not hold it", worker);
	notes->holder[worker] = WITH_NOBODY;
	model_touch(model, protocol_word(INSIDE, worker));
	model_store(model, protocol_word(MODE, worker), DORMANT,
		    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE, WITHOUT_DORMANT_RELEASE));
	self->variables[INDEX] = 0;
	protocol_call(model, AT_NOTIFY, AT_SURRENDERED);
}

bool protocol_tick_step(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch ((enum protocol_step)self->at) {
	case AT_SHARE:			share(model); break;
	case AT_HANDLER:		handler(model); break;
	case AT_HANDLER_END:		handler_end(model); break;
	case AT_HAND_OFF:		hand_off(model); break;
	case AT_HAND_OFF_PICKED:	hand_off_picked(model); break;
	case AT_HAND_OFF_SPARE:		hand_off_spare(model); break;
	case AT_HAND_OFF_NEXT:
		put_next(model, self->variables[PICKED] - 1u, AT_HAND_OFF);
		self->variables[PICKED] = 0;
		break;
	case AT_HAND_OFF_NEXT_RING:	next_ring(model); break;
	case AT_HAND_OFF_QUEUE:		hand_off_queue(model); break;
	case AT_HAND_OFF_GIVE:		hand_off_give(model); break;
	case AT_SURRENDER:		surrender(model); break;
	case AT_SURRENDER_PUSH:
		if (protocol_push_inbox(model, INBOX, 0, self->variables[PICKED] - 1u)) {
			self->variables[PICKED] = 0;
			self->at = AT_SURRENDER;
		}
		break;
	case AT_SURRENDER_FIBER:	surrender_fiber(model); break;
	case AT_SURRENDER_SPARE:
		if (protocol_push_spare(model, model->self))
			self->at = AT_SURRENDER_DORMANT;
		break;
	case AT_SURRENDER_DORMANT:	surrender_dormant(model); break;
	case AT_SURRENDERED:
		if (protocol_current(model) < PROTOCOL_FIBERS)
			self->at = AT_WAIT_WITH_FIBER;
		else
			protocol_return(model);
		break;
	default:			model_fail(model, "not a step of a tick"); break;
	}
	return true;
}
