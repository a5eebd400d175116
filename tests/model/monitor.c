/* SPDX-License-Identifier: MIT */
/*
 * Steps of the monitor: take of lib/preempt/monitor.c, grants of lib/runtime/host.c. Why it takes is
 * left open (K2): it may at any time, as often as the setup says, and always one that is blocked.
 */
#include "protocol.h"

/* The variables of the request it sees to. */
static uint8_t *asked(struct model *model)
{
	struct model_thread *self = model_self(model);

	return &self->variables[ASKED + 3 * self->variables[REQUEST]];
}

/* The owner goes on only when somebody else has run. */
static bool is_blocked(struct model *model, unsigned int worker)
{
	unsigned int owner = model->state.now[protocol_word(OWNER, worker)];

	return owner && model->state.threads[owner - 1].at == AT_BLOCKED &&
	       !protocol_notes(model)->signalled;
}

static void begin_pass(struct model *model, unsigned int worker, bool needed)
{
	if (!needed)
		protocol_notes(model)->takes--;
	model_self(model)->variables[PASS] = (uint8_t)worker;
	model_self(model)->at = AT_LOOK;
}

/* Whatever it may begin now. */
static bool rest(struct model *model)
{
	const struct protocol_setup *setup = protocol_setup;
	struct protocol_notes *notes = protocol_notes(model);
	struct {
		enum { PASS_OVER, REVOKES, GRANTS, RECONCILES } what;
		unsigned int worker;
		bool needed;
	} ways[4 * PROTOCOL_WORKERS], *way;
	unsigned int count = 0;

	for (unsigned int i = 0; i < setup->workers; i++) {
		bool granted = notes->granted >> i & 1;
		bool needed = is_blocked(model, i);

		if (setup->batched && setup->workers > 1)
			needed |= is_blocked(model, 1 - i);
		if ((needed || notes->takes) && !(setup->batched && i > 0)) {
			ways[count].needed = needed;
			ways[count].worker = i;
			ways[count++].what = PASS_OVER;
		}
		if (granted && notes->revokes && i + 1 == setup->workers) {
			ways[count].worker = i;
			ways[count++].what = REVOKES;
		}
		if (!granted && !setup->for_good) {
			ways[count].worker = i;
			ways[count++].what = GRANTS;
		}
		if (granted && model->state.now[protocol_word(MODE, i)] == DORMANT) {
			ways[count].worker = i;
			ways[count++].what = RECONCILES;
		}
	}
	if (!count)
		return false;
	way = &ways[model_choose(model, count)];
	switch (way->what) {
	case PASS_OVER:
		begin_pass(model, way->worker, way->needed);
		break;
	case REVOKES:		/* apply() */
		notes->revokes--;
		notes->granted &= (uint8_t)~(1u << way->worker);
		model_store(model, protocol_word(REVOKED, way->worker), 1, MODEL_RELAXED);
		model_self(model)->variables[PASS] = (uint8_t)way->worker;
		model_self(model)->at = AT_REVOKE_KICK;
		break;
	case GRANTS:
		notes->granted |= (uint8_t)(1u << way->worker);
		model_store(model, protocol_word(REVOKED, way->worker), 0, MODEL_RELAXED);
		break;
	case RECONCILES:
		model_self(model)->variables[PASS] = (uint8_t)way->worker;
		model_self(model)->at = AT_RECONCILE;
		break;
	}
	return true;
}

/* usched_monitor_kick() */
static void kick(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int worker = self->variables[PASS];
	unsigned int owner = model_load(model, protocol_word(OWNER, worker), MODEL_RELAXED);

	if (owner)
		notes->kicked |= (uint8_t)(1u << (owner - 1));
	if (protocol_setup->sleeps)
		notes->event |= (uint8_t)(1u << worker);
	self->variables[PASS] = 0;
	self->at = AT_REST;
}

/* usched_monitor_pass(), look_at(): both words are hints. */
static void look(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = self->variables[PASS], owner = 0;

	if (model_load(model, protocol_word(MODE, worker), MODEL_ACQUIRE) == OWNED)
		owner = model_load(model, protocol_word(OWNER, worker), MODEL_RELAXED);
	self->variables[REQUEST] = self->variables[REQUESTS];
	asked(model)[0] = (uint8_t)owner;
	asked(model)[1] = (uint8_t)worker;
	self->at = owner ? AT_TAKE_SPARE : AT_TAKE_NEXT;
}

static bool may_stand_in(const struct model *model)
{
	return protocol_setup->stands_in && !protocol_without(model, WITHOUT_STAND_IN);
}

static void take_spare(struct model *model)
{
	unsigned int spare;

	if (!protocol_pop_spare(model, &spare))
		return;
	asked(model)[2] = (uint8_t)spare;
	model_self(model)->at = spare || may_stand_in(model) ? AT_TAKE_REQUEST : AT_TAKE_NEXT;
}

static void take_request(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int seen = NONE;

	switch (model_compare_exchange(model, protocol_word(REVOKE, asked(model)[0] - 1u), &seen,
				       REQUESTED,
				       protocol_order(model, MODEL_ACQ_REL,
						      WITHOUT_P4_REQUEST_ACQUIRE,
						      WITHOUT_P4_REQUEST_RELEASE),
				       MODEL_RELAXED, true)) {	/* a load and a store [P4] */
	case MODEL_WON:
		self->variables[REQUESTS]++;
		self->at = protocol_setup->batched ? AT_TAKE_NEXT : AT_TAKE_BARRIER;
		if (!asked(model)[2] && protocol_without(model, WITHOUT_STAND_IN_OUTSIDE))
			self->at = AT_STAND_IN_NEXT;
		break;
	case MODEL_LOST:
		self->at = AT_TAKE_RETURN;
		break;
	case MODEL_HALF:
		break;
	}
}

/* One barrier for all requests; it comes to each carrier in its own time. */
static void take_barrier(struct model *model)
{
	struct model_thread *self = model_self(model);

	self->variables[CHECKING] = 1;
	if (protocol_setup->no_membarrier) {
		if (!protocol_without(model, WITHOUT_P1_TAKE_FENCE))
			model_fence(model);					/* [P1] */
		self->variables[REQUEST] = self->variables[REQUESTS] - 1u;
	} else if (!protocol_without(model, WITHOUT_P1_MEMBARRIER)) {
		model_barrier(model, asked(model)[0] - 1u);			/* [P1] */
	}
	if (++self->variables[REQUEST] == self->variables[REQUESTS]) {
		self->variables[REQUEST] = 0;
		self->at = AT_TAKE_CHECK;
	}
}

static void take_check(struct model *model)
{
	model_self(model)->at =
		model_load(model, protocol_word(IN_RUNTIME, asked(model)[0] - 1u),
			   protocol_order(model, MODEL_ACQUIRE, WITHOUT_P2_ACQUIRE,
					  PROTOCOL_WHOLE)) ?			/* [P2] */
		AT_TAKE_UNDO : AT_TAKE_CHECK_WORKER;
}

static void take_check_worker(struct model *model)
{
	unsigned int carrier = asked(model)[0] - 1u;
	bool same = model_load(model, protocol_word(CARRIER_WORKER, carrier), MODEL_RELAXED) ==
		    asked(model)[1] + 1u || protocol_without(model, WITHOUT_K1_WORKER);

	same &= model_load(model, protocol_word(CURRENT, carrier), MODEL_RELAXED) != 0;
	if (same && !asked(model)[2] && !model_self(model)->variables[HEIR])
		model_self(model)->at = AT_STAND_IN_NEXT;
	else
		model_self(model)->at = same ? AT_TAKE_TAKEN : AT_TAKE_UNDO;
}

/* stand_in(): a fiber in `next` stays there until the worker is ours. */
static void stand_in_next(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = asked(model)[1];
	unsigned int next = protocol_without(model, WITHOUT_STAND_IN_NEXT) ? 0 :
			    model_load(model, protocol_word(NEXT, worker), MODEL_RELAXED);

	/* Whose it is, as things are: nobody binds it anew before it has left `next`. */
	self->variables[HEIR] = next ? (uint8_t)model->state.now[protocol_word(BOUND, next - 1)] : 0;
	self->at = AT_TAKE_TAKEN;
	if (protocol_without(model, WITHOUT_STAND_IN_OUTSIDE)) {
		self->at = self->variables[HEIR] ? AT_TAKE_BARRIER : AT_TAKE_UNDO;
	} else if (!self->variables[HEIR]) {
		self->variables[LOOKS] = (uint8_t)protocol_fibers();
		self->at = AT_STAND_IN_RING;
	}
}

/* usched_take_bound(); a mailbox is as the inbox. */
static void stand_in_queue(struct model *model, enum protocol_kind kind)
{
	struct model_thread *self = model_self(model);
	unsigned int number = 0, worker = kind == RING ? asked(model)[1] : 0;
	bool relaxed = protocol_without(model, kind == RING ? WITHOUT_STAND_IN_POP_ACQUIRE :
					       WITHOUT_STAND_IN_INBOX_ACQUIRE);

	if (self->variables[LOOKS])
		(void)protocol_pop(model, protocol_word(kind, worker), &number,
				   relaxed ? MODEL_RELAXED : MODEL_ACQUIRE, false);
	if (!number) {
		self->variables[LOOKS] = (uint8_t)protocol_fibers();
		self->at = kind == RING ? AT_STAND_IN_INBOX : AT_TAKE_UNDO;
		return;
	}
	protocol_unqueue(model, number - 1);
	self->variables[LOOKS]--;
	self->variables[MOVED] = kind == RING ? 1 : 2;
	self->variables[STOPPED] = (uint8_t)number;
	self->variables[HEIR] = (uint8_t)model_owned_load(model, protocol_word(BOUND, number - 1));
	self->at = self->variables[HEIR] ? AT_TAKE_TAKEN : AT_STAND_IN_PASS_ON;
}

/* @weak: the release is left out */
static void push_stopped(struct model *model, enum protocol_weak weak)
{
	struct model_thread *self = model_self(model);

	protocol_put_into_inbox(model, self->variables[STOPPED] - 1u,
				protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE, weak));
	self->variables[STOPPED] = 0;
}

static void take_return(struct model *model)
{
	struct model_thread *self = model_self(model);

	if (asked(model)[2] && !protocol_push_spare(model, asked(model)[2] - 1u))
		return;
	if (self->variables[STOPPED] && !protocol_without(model, WITHOUT_STAND_IN_BACK))
		push_stopped(model, WITHOUT_STAND_IN_BACK_RELEASE);
	self->at = AT_TAKE_NEXT;
	if (self->variables[MOVED] && !protocol_without(model, WITHOUT_STAND_IN_NOTIFY))
		protocol_call(model, AT_NOTIFY, AT_TAKE_NEXT);
}

static void take_undo(struct model *model)
{
	unsigned int seen = REQUESTED;

	if (model_compare_exchange(model, protocol_word(REVOKE, asked(model)[0] - 1u), &seen, NONE,
				   protocol_order(model, MODEL_ACQ_REL, WITHOUT_P4_UNDO_ACQUIRE,
						  WITHOUT_P4_UNDO_RELEASE), MODEL_RELAXED,
				   true) != MODEL_HALF)		/* a load and a store [P4] */
		model_self(model)->at = AT_TAKE_RETURN;
}

static void take_taken(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int carrier = asked(model)[0] - 1u, worker = asked(model)[1], seen = REQUESTED;

	switch (model_compare_exchange(model, protocol_word(REVOKE, carrier), &seen, TAKEN,
				       protocol_order(model, MODEL_ACQ_REL,
						      WITHOUT_P4_TAKE_ACQUIRE,
						      WITHOUT_P4_TAKE_RELEASE),
				       MODEL_RELAXED,
				       protocol_without(model, WITHOUT_P4_TAKE))) {	/* [P4] */
	case MODEL_WON:
		if (notes->holder[worker] != HELD_BY + carrier)
			model_fail(model, "K1: worker %u is taken from carrier %u, which has it not",
				   worker, carrier);
		notes->holder[worker] = WITH_MONITOR;
		notes->kicked |= (uint8_t)(1u << carrier);	/* usched_tick_hurry() */
		self->at = AT_TAKE_GIVE;
		break;
	case MODEL_LOST:
		self->at = AT_TAKE_RETURN;
		break;
	case MODEL_HALF:
		break;
	}
}

static void take_give(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = asked(model)[1];

	unsigned int heir = self->variables[HEIR], stopped = self->variables[STOPPED];

	model_store(model, protocol_word(MODE, worker), MOVING, MODEL_RELAXED);
	/* The worker is ours until it is given: so is its `next`. */
	if (heir && !stopped && protocol_without(model, WITHOUT_STAND_IN_CLEAR))
		stopped = model->state.now[protocol_word(NEXT, worker)];
	else if (heir && !stopped)
		stopped = protocol_swap_next(model, worker, 0);
	protocol_give(model, (heir ? heir : asked(model)[2]) - 1u, worker, stopped);
	self->at = AT_TAKE_NEXT;
}

static void end_pass(struct model *model)
{
	struct model_thread *self = model_self(model);

	memset(self->variables, 0, sizeof(self->variables));
	self->at = AT_REST;
}

static void take_next(struct model *model)
{
	struct model_thread *self = model_self(model);

	if (self->variables[CHECKING]) {
		if (++self->variables[REQUEST] < self->variables[REQUESTS]) {
			self->at = AT_TAKE_CHECK;
			return;
		}
	} else if (protocol_setup->batched && self->variables[PASS] + 1u < protocol_setup->workers) {
		self->variables[PASS]++;
		self->at = AT_LOOK;
		return;
	} else if (self->variables[REQUESTS]) {
		self->variables[REQUEST] = 0;
		self->at = AT_TAKE_BARRIER;
		return;
	}
	end_pass(model);
}

/* usched_reconcile(), for a worker that is granted and DORMANT */
static void reconcile(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = self->variables[PASS], spare = 0;

	if (!self->half &&
	    model_load(model, protocol_word(MODE, worker),
		       protocol_order(model, MODEL_ACQUIRE, WITHOUT_DORMANT_ACQUIRE,
				      PROTOCOL_WHOLE)) != DORMANT) {
		end_pass(model);
		return;
	}
	if (!protocol_pop_spare(model, &spare))
		return;
	asked(model)[1] = (uint8_t)worker;
	asked(model)[2] = (uint8_t)spare;
	self->at = AT_RECONCILE_GIVE;
	if (!spare)
		end_pass(model);	/* a later pass finds one */
}

static void reconcile_give(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	unsigned int worker = asked(model)[1];

	if (notes->holder[worker] != WITH_NOBODY || !(notes->granted >> worker & 1))
		model_fail(model, "worker %u is given away by reconcile, and is in use", worker);
	notes->holder[worker] = WITH_MONITOR;
	take_give(model);
	end_pass(model);
}

bool protocol_monitor_step(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch ((enum protocol_step)self->at) {
	case AT_REST:			return rest(model);
	case AT_REVOKE_KICK:		kick(model); break;
	case AT_LOOK:			look(model); break;
	case AT_TAKE_SPARE:		take_spare(model); break;
	case AT_TAKE_REQUEST:		take_request(model); break;
	case AT_TAKE_BARRIER:		take_barrier(model); break;
	case AT_TAKE_CHECK:		take_check(model); break;
	case AT_TAKE_CHECK_WORKER:	take_check_worker(model); break;
	case AT_TAKE_UNDO:		take_undo(model); break;
	case AT_TAKE_TAKEN:		take_taken(model); break;
	case AT_TAKE_GIVE:		take_give(model); break;
	case AT_STAND_IN_NEXT:		stand_in_next(model); break;
	case AT_STAND_IN_RING:		stand_in_queue(model, RING); break;
	case AT_STAND_IN_INBOX:		stand_in_queue(model, INBOX); break;
	case AT_STAND_IN_PASS_ON:
		if (!protocol_without(model, WITHOUT_STAND_IN_PASS_ON))
			push_stopped(model, WITHOUT_STAND_IN_PASS_ON_RELEASE);
		self->variables[STOPPED] = 0;
		self->at = self->variables[MOVED] == 1 ? AT_STAND_IN_RING : AT_STAND_IN_INBOX;
		break;
	case AT_TAKE_RETURN:		take_return(model); break;
	case AT_TAKE_NEXT:		take_next(model); break;
	case AT_RECONCILE:		reconcile(model); break;
	case AT_RECONCILE_GIVE:		reconcile_give(model); break;
	default:			model_fail(model, "not a step of the monitor"); break;
	}
	return true;
}
