/* SPDX-License-Identifier: MIT */
/*
 * Steps of sleep and wake: lib/worker/find.c, whose [S1] is P7 here. A setup without sleep looks
 * all the time instead.
 */
#include "protocol.h"

static unsigned int set_bit(unsigned int set, unsigned int bit)
{
	return set | 1u << bit;
}

static unsigned int clear_bit(unsigned int set, unsigned int bit)
{
	return set & ~(1u << bit);
}

static unsigned int add(unsigned int value, unsigned int more)
{
	return (value + more) & 15;
}

bool protocol_count(struct model *model, unsigned int more)
{
	unsigned int seen;

	if (model_change(model, protocol_word(IDLE_COUNT, 0), &seen, add, more, MODEL_RELAXED,
			 protocol_without(model, WITHOUT_P7_COUNT)) == MODEL_HALF)
		return false;
	if (more != 1 && seen == 0)
		model_fail(model, "idle_count falls below zero");
	if (more != 1)
		model_publish(model, protocol_word(IDLE_COUNT, 0));	/* one more look */
	return true;
}

bool protocol_claim(struct model *model, unsigned int worker, bool *had)
{
	unsigned int seen;

	if (model_change(model, protocol_word(IDLE, 0), &seen, clear_bit, worker,
			 protocol_order(model, MODEL_ACQ_REL, WITHOUT_P7_CLAIM_ORDER,
					WITHOUT_P7_CLAIM_ORDER),
			 protocol_without(model, WITHOUT_P7_CLAIM)) == MODEL_HALF)
		return false;
	model_publish(model, protocol_word(IDLE, 0));		/* a claim in vain */
	*had = seen >> worker & 1;
	return true;
}

/* Something that this worker could run, as things are. */
static bool has_work(struct model *model, unsigned int worker)
{
	const uint16_t *now = model->state.now;

	for (unsigned int i = 0; i < protocol_setup->workers; i++) {
		if (now[protocol_word(RING, i)] || (i == worker && now[protocol_word(NEXT, i)]))
			return true;
	}
	return now[protocol_word(INBOX, 0)] || now[protocol_word(MAILBOX, worker)] ||
	       now[protocol_word(REVOKED, worker)];
}

/* work_in_sight(), must_stop() */
static bool work_in_sight(struct model *model, unsigned int worker)
{
	bool found = model_load(model, protocol_word(MAILBOX, worker), MODEL_RELAXED) != 0;

	found |= model_load(model, protocol_word(INBOX, 0), MODEL_RELAXED) != 0;
	for (unsigned int i = 0; i < protocol_setup->workers; i++) {
		/* No fence orders pushes to a ring: another's may be overlooked. It runs it itself. */
		found |= model->state.now[protocol_word(RING, i)] &&
			 (i == worker || !model_choose(model, 2));
		if (i != worker && protocol_has_mailboxes() &&
		    !protocol_without(model, WITHOUT_DORMANT_SIGHT))
			found |= model_load(model, protocol_word(MODE, i),
					    MODEL_RELAXED) == DORMANT &&
				 model_load(model, protocol_word(MAILBOX, i), MODEL_RELAXED);
	}
	return found | (model_load(model, protocol_word(REVOKED, worker), MODEL_RELAXED) != 0);
}

/* sleep_until_work() */
static bool sleep_step(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int worker = protocol_worker(model), seen;
	bool had;

	switch ((enum protocol_step)self->at) {
	case AT_SLEEP:
		if (!protocol_setup->sleeps) {
			if (!has_work(model, worker))
				return false;
			self->at = AT_FIND;
			break;
		}
		if (!self->half)
			model_store(model, protocol_word(MODE, worker), SLEEPING, MODEL_RELAXED);
		if (protocol_count(model, 1))
			self->at = AT_SLEEP_BIT;
		break;
	case AT_SLEEP_BIT:
		if (model_change(model, protocol_word(IDLE, 0), &seen, set_bit, worker,
				 protocol_order(model, MODEL_ACQ_REL, WITHOUT_P7_SET_ORDER,
						WITHOUT_P7_SET_ORDER),
				 protocol_without(model, WITHOUT_P7_SET)) != MODEL_HALF)
			self->at = AT_SLEEP_LOOK;
		break;
	case AT_SLEEP_LOOK:
		if (!protocol_without(model, WITHOUT_P7_SLEEP_FENCE))
			model_fence(model);					/* [P7] [S1] */
		self->at = work_in_sight(model, worker) ? AT_SLEEP_CLAIM : AT_SLEEP_POLL;
		break;
	case AT_SLEEP_POLL:
		/* The eventfd: what the kernel does is no matter of our memory. */
		if (!(notes->event >> worker & 1))
			return false;
		notes->event &= (uint8_t)~(1u << worker);
		/* What was stored before the write to an eventfd is seen after the read from it. */
		model_await(model, protocol_word(REVOKED, worker), MODEL_RELAXED);
		self->at = AT_SLEEP_CLAIM;
		break;
	case AT_SLEEP_CLAIM:
		if (!protocol_claim(model, worker, &had))
			break;
		self->at = AT_SLEEP_COUNT;
		if (had)
			break;
		model_store(model, protocol_word(MODE, worker), OWNED, MODEL_RELAXED);
		self->at = AT_FIND;
		break;
	default:
		if (!protocol_count(model, 15))
			break;
		model_store(model, protocol_word(MODE, worker), OWNED, MODEL_RELAXED);
		self->at = AT_FIND;
		break;
	}
	return true;
}

/* usched_notify_outside(), usched_wake_any() */
static void notify_step(struct model *model)
{
	struct protocol_notes *notes = protocol_notes(model);
	struct model_thread *self = model_self(model);
	unsigned int worker = 0;
	bool had;

	while (self->variables[IDLERS] && !(self->variables[IDLERS] >> worker & 1))
		worker++;
	switch ((enum protocol_step)self->at) {
	case AT_NOTIFY:
		if (protocol_setup->sleeps && !protocol_without(model, WITHOUT_P7_WAKE_FENCE))
			model_fence(model);					/* [P7] [S1] */
		if (protocol_setup->sleeps &&
		    model_load(model, protocol_word(IDLE_COUNT, 0), MODEL_RELAXED))
			self->variables[IDLERS] = (uint8_t)model_load(
				model, protocol_word(IDLE, 0), MODEL_RELAXED);
		self->at = AT_NOTIFY_CLAIM;
		break;
	case AT_NOTIFY_CLAIM:
		if (!protocol_claim(model, worker, &had))
			return;
		if (had) {
			self->at = AT_NOTIFY_WAKE;
			return;
		}
		self->variables[IDLERS] &= (uint8_t)~(1u << worker);
		break;
	default:
		if (!protocol_count(model, 15))
			return;
		notes->event |= (uint8_t)(1u << worker);
		self->variables[IDLERS] = 0;
		break;
	}
	if (!self->variables[IDLERS])
		protocol_return(model);
}

bool protocol_idle_step(struct model *model)
{
	switch ((enum protocol_step)model_self(model)->at) {
	case AT_NOTIFY:
	case AT_NOTIFY_CLAIM:
	case AT_NOTIFY_WAKE:
		notify_step(model);
		return true;
	default:
		return sleep_step(model);
	}
}
