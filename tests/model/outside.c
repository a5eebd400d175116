/* SPDX-License-Identifier: MIT */
/*
 * Steps of a plain thread that spawns: lib/runtime/spawn.c. Fibers marked `m` are for worker 1, and
 * go to its mailbox if it is not dormant.
 */
#include "protocol.h"

static void outside(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int fiber = 0;

	while (fiber < PROTOCOL_FIBERS && protocol_setup->fibers[fiber] &&
	       notes->place[fiber] != IN_HAND_OF + model->self)
		fiber++;
	if (fiber == PROTOCOL_FIBERS || !protocol_setup->fibers[fiber]) {
		self->at = AT_OVER;
		model_end_thread(model);
		return;
	}
	self->variables[PICKED] = (uint8_t)(fiber + 1);
	self->at = protocol_setup->where[fiber] == 'm' &&
		   model_load(model, protocol_word(MODE, 1), MODEL_RELAXED) != DORMANT ?
		   AT_OUTSIDE_MAILBOX : AT_OUTSIDE_PUSH;
}

bool protocol_outside_step(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int fiber = self->variables[PICKED] - 1u;
	bool had;

	switch ((enum protocol_step)self->at) {
	case AT_OUTSIDE:
		outside(model);
		return true;
	case AT_OUTSIDE_PUSH:
		if (!protocol_push_inbox(model, INBOX, 0, fiber))
			return true;
		protocol_call(model, AT_NOTIFY, AT_OUTSIDE);
		break;
	case AT_OUTSIDE_MAILBOX:
		if (protocol_push_inbox(model, MAILBOX, 1, fiber))
			self->at = AT_OUTSIDE_CLAIM;
		return true;
	case AT_OUTSIDE_CLAIM:		/* usched_notify_worker() */
		if (!self->half && !protocol_without(model, WITHOUT_P7_WORKER_FENCE))
			model_fence(model);					/* [P7] [S1] */
		if (protocol_claim(model, 1, &had))
			self->at = had ? AT_OUTSIDE_WAKE : AT_OUTSIDE_AGAIN;
		return true;
	case AT_OUTSIDE_WAKE:
		if (!protocol_count(model, 15))
			return true;
		notes->event |= 1u << 1;
		self->at = AT_OUTSIDE_AGAIN;
		return true;
	case AT_OUTSIDE_AGAIN:
		self->at = AT_OUTSIDE;
		if (!protocol_without(model, WITHOUT_DORMANT_MAILBOX) &&
		    model_load(model, protocol_word(MODE, 1), MODEL_RELAXED) == DORMANT)
			protocol_call(model, AT_NOTIFY, AT_OUTSIDE);	/* usched_wake_any() */
		break;
	default:
		return false;
	}
	self->variables[PICKED] = 0;
	return true;
}
