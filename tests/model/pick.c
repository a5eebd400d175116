/* SPDX-License-Identifier: MIT */
/*
 * Steps that take a fiber from where it is queued: pick of lib/worker/dispatch.c, steal of find.c;
 * and the queues themselves, each one word of up to four numbers.
 */
#include "protocol.h"

static unsigned int append(unsigned int queue, unsigned int number)
{
	unsigned int shift = 0;

	while (queue >> shift)
		shift += 4;
	return queue | number << shift;
}

static unsigned int put_on_top(unsigned int queue, unsigned int number)
{
	return queue << 4 | number;
}

static unsigned int take_first(unsigned int queue, unsigned int unused)
{
	(void)unused;
	return queue >> 4;
}

static bool push(struct model *model, unsigned int word, unsigned int number,
		 enum model_order order, bool split)
{
	unsigned int seen;

	return model_change(model, word, &seen, append, number, order, split) != MODEL_HALF;
}

bool protocol_pop(struct model *model, unsigned int word, unsigned int *number,
		  enum model_order order, bool split)
{
	unsigned int seen;

	/* The look before. An old value would be that of an earlier look, which is gone, too. */
	if (!model_self(model)->half && model_await(model, word, MODEL_RELAXED) == 0) {
		*number = 0;
		return true;
	}
	if (model_change(model, word, &seen, take_first, 0, order, split) == MODEL_HALF)
		return false;
	/* What was taken may seem to be there still; that costs another look and nothing else. */
	model_publish(model, word);
	*number = seen & 15;
	return true;
}

/* [A] of ring.h: only the owner pushes. What ring.c explores is one step here. */
bool protocol_push_ring(struct model *model, unsigned int fiber)
{
	protocol_use(model);
	protocol_queue(model, fiber);
	return push(model, protocol_word(RING, protocol_worker(model)), fiber + 1,
		    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE, WITHOUT_P5_RING_RELEASE),
		    false);
}

/* [A] [B] of ring.h */
static bool pop_ring(struct model *model, unsigned int worker)
{
	unsigned int number;

	if (!protocol_pop(model, protocol_word(RING, worker), &number,
			  protocol_order(model, MODEL_ACQ_REL, WITHOUT_P5_RING_ACQUIRE,
					 PROTOCOL_WHOLE),
			  protocol_without(model, WITHOUT_P5_RING)))
		return false;
	if (number)
		protocol_unqueue(model, number - 1);
	model_self(model)->variables[PICKED] = (uint8_t)number;
	return true;
}

/* usched_swap_next(). What the owner before did to it comes with the worker. */
unsigned int protocol_swap_next(struct model *model, unsigned int worker, unsigned int number)
{
	unsigned int old = model_load(model, protocol_word(NEXT, worker), MODEL_RELAXED);

	if (old != number)
		model_store(model, protocol_word(NEXT, worker), number, MODEL_RELAXED);
	if (old)
		protocol_unqueue(model, old - 1);
	return old;
}

static void pop_next(struct model *model, unsigned int worker)
{
	unsigned int number = 0;

	/* It may be passed over while the ring has something: a LOW fiber has its turn, or it was
	   three times in a row. */
	if (!(model->state.now[protocol_word(RING, worker)] && model_choose(model, 2)))
		number = protocol_swap_next(model, worker, 0);
	model_self(model)->variables[PICKED] = (uint8_t)number;
}

bool protocol_push_inbox(struct model *model, enum protocol_kind kind, unsigned int worker,
			 unsigned int fiber)
{
	if (!model_self(model)->half)
		protocol_queue(model, fiber);
	return push(model, protocol_word(kind, worker), fiber + 1,
		    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE, WITHOUT_P5_INBOX_RELEASE),
		    protocol_without(model, WITHOUT_P5_INBOX_PUSH));
}

void protocol_put_into_inbox(struct model *model, unsigned int fiber, enum model_order order)
{
	protocol_queue(model, fiber);
	(void)push(model, protocol_word(INBOX, 0), fiber + 1, order, false);
}

bool protocol_pop_inbox(struct model *model, enum protocol_kind kind, unsigned int worker,
			unsigned int *number)
{
	/* It may give nothing though there is something: another consumer, or an adder half way. */
	if (protocol_setup->sleeps && !model_self(model)->half &&
	    model->state.now[protocol_word(kind, worker)] && model_choose(model, 2)) {
		*number = 0;
		return true;
	}
	if (!protocol_pop(model, protocol_word(kind, worker), number,
			  protocol_order(model, MODEL_ACQUIRE, WITHOUT_P5_INBOX_ACQUIRE,
					 PROTOCOL_WHOLE),
			  protocol_without(model, WITHOUT_P5_INBOX_POP)))
		return false;
	if (*number)
		protocol_unqueue(model, *number - 1);
	return true;
}

bool protocol_push_spare(struct model *model, unsigned int carrier)
{
	unsigned int seen;

	/* The loop has written `handed` for the last time before others may. Of its accesses before
	   that nobody can tell, so only this one is made. */
	if (carrier == model->self && !model_self(model)->half)
		model_touch(model, protocol_word(HANDED, carrier));
	return model_change(model, protocol_word(SPARES, 0), &seen, put_on_top, carrier + 1,
			    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE,
					   WITHOUT_P5_SPARE_RELEASE),
			    protocol_without(model, WITHOUT_P5_SPARE_PUSH)) != MODEL_HALF;
}

bool protocol_pop_spare(struct model *model, unsigned int *number)
{
	return protocol_pop(model, protocol_word(SPARES, 0), number,
			    protocol_order(model, MODEL_ACQUIRE, WITHOUT_P5_SPARE_ACQUIRE,
					   PROTOCOL_WHOLE),
			    protocol_without(model, WITHOUT_P5_SPARE_POP));
}

/* usched_pick(), by steps; what it finds is in PICKED when they return. */
static void pick(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = protocol_worker(model);

	protocol_use(model);
	switch ((enum protocol_step)self->at) {
	case AT_PICK:
		self->variables[FOUND_ANY] = 0;
		pop_next(model, worker);
		self->at = AT_PICK_RING;
		break;
	case AT_PICK_RING:
		if (!pop_ring(model, worker))
			return;
		self->at = protocol_has_mailboxes() ? AT_PICK_MAILBOX : AT_PICK_INBOX;
		break;
	default:
		if (!pop_ring(model, worker))
			return;
		protocol_return(model);
		return;
	}
	if (self->variables[PICKED])
		protocol_return(model);
}

/* take_inbox(): all of it into the ring, then the ring again. */
static void take_inbox(struct model *model, enum protocol_kind kind, unsigned int worker,
		       enum protocol_step move)
{
	struct model_thread *self = model_self(model);
	unsigned int number;

	if (!protocol_pop_inbox(model, kind, worker, &number))
		return;
	self->variables[PICKED] = (uint8_t)number;
	if (number) {
		self->variables[FOUND_ANY] = 1;
		self->at = (uint8_t)move;
	} else if (kind == MAILBOX) {
		self->at = AT_PICK_INBOX;
	} else if (self->variables[FOUND_ANY]) {
		self->at = AT_PICK_AGAIN;
	} else {
		protocol_return(model);
	}
}

static void move(struct model *model, enum protocol_step back)
{
	struct model_thread *self = model_self(model);

	protocol_push_ring(model, self->variables[PICKED] - 1u);
	self->variables[PICKED] = 0;
	self->at = (uint8_t)back;
}

/* steal() of find.c, for two workers and one pool */
static void steal(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int victim = 1 - protocol_worker(model), number = 0;

	protocol_use(model);
	switch ((enum protocol_step)self->at) {
	case AT_STEAL_RING:
		if (!pop_ring(model, victim))
			return;
		self->at = AT_STEAL_MAILBOX;
		break;
	case AT_STEAL_MAILBOX:
		if (protocol_has_mailboxes() &&
		    (self->half || model_load(model, protocol_word(MODE, victim),
					      MODEL_RELAXED) == DORMANT) &&
		    !protocol_pop_inbox(model, MAILBOX, victim, &number))
			return;
		self->variables[PICKED] = (uint8_t)number;
		self->at = AT_STEAL_INBOX;
		break;
	default:
		if (!protocol_pop_inbox(model, INBOX, 0, &number))
			return;
		self->variables[PICKED] = (uint8_t)number;
		self->at = AT_FIND_STOLEN;
		break;
	}
	if (self->variables[PICKED])
		self->at = AT_FIND_STOLEN;
}

bool protocol_pick_step(struct model *model)
{
	switch ((enum protocol_step)model_self(model)->at) {
	case AT_PICK:
	case AT_PICK_RING:
	case AT_PICK_AGAIN:		pick(model); break;
	case AT_PICK_MAILBOX:
		take_inbox(model, MAILBOX, protocol_worker(model), AT_PICK_MAILBOX_MOVE);
		break;
	case AT_PICK_MAILBOX_MOVE:	move(model, AT_PICK_MAILBOX); break;
	case AT_PICK_INBOX:		take_inbox(model, INBOX, 0, AT_PICK_INBOX_MOVE); break;
	case AT_PICK_INBOX_MOVE:	move(model, AT_PICK_INBOX); break;
	default:			steal(model); break;
	}
	return true;
}
