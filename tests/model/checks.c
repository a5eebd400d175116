/* SPDX-License-Identifier: MIT */
/*
 * What must be true in each step of protocol.h: the invariants K1 to K4 of lib/worker/carrier.h and
 * F1 to F3 of lib/fiber/fiber.h, by the notes. And what a test leaves out.
 */
#include "protocol.h"

/*
 * All needless ones are orders, nearly all about revoke. What the monitor learns about a carrier it learns from
 * in_runtime [P2], and a carrier learns about its next worker from go [P3]; of revoke only the value
 * counts. The idle bits are ordered by the fences around them.
 */
bool protocol_is_needless(enum protocol_weak weak)
{
	static const bool is_missed[] = {
		[PROTOCOL_WHOLE] = true,
#define X(name, setup, missed, text) [WITHOUT_##name] = missed,
		PROTOCOL_WEAK(X)
#undef X
	};

	return !is_missed[weak];
}

bool protocol_without(const struct model *model, enum protocol_weak weak)
{
	if (model->weakened == WITHOUT_NEEDLESS)
		return protocol_is_needless(weak);
	return weak != PROTOCOL_WHOLE && model->weakened == (unsigned int)weak;
}

void protocol_use(struct model *model)
{
	unsigned int worker = protocol_worker(model);

	if (worker >= protocol_setup->workers) {
		model_fail(model, "K1: carrier %u uses a worker, and has none", model->self);
		return;
	}
	if (protocol_notes(model)->holder[worker] != HELD_BY + model->self)
		model_fail(model, "K1: carrier %u uses worker %u, which belongs to somebody else",
			   model->self, worker);
	model_touch(model, protocol_word(INSIDE, worker));
}

void protocol_run(struct model *model)
{
	unsigned int fiber = protocol_current(model);

	if (fiber >= protocol_fibers() ||
	    protocol_notes(model)->place[fiber] != RUNNING_ON + model->self) {
		model_fail(model, "F1: carrier %u runs a fiber that is somewhere else", model->self);
		return;
	}
	model_touch(model, protocol_word(STACK, fiber));
}

void protocol_give(struct model *model, unsigned int to, unsigned int worker, unsigned int handed)
{
	struct protocol_notes *notes = protocol_notes(model);
	unsigned int holder = model->self < protocol_setup->carriers ? HELD_BY + model->self :
			      WITH_MONITOR;

	if (notes->holder[worker] != holder) {
		model_fail(model, "K1: worker %u is given by who does not hold it", worker);
		return;
	}
	if (model->state.now[protocol_word(GO, to)])
		model_fail(model, "carrier %u is given a second worker before it took the first", to);
	for (unsigned int i = 0; i < protocol_setup->workers; i++) {
		if (notes->holder[i] == ORDERED_TO + to)
			model_fail(model, "carrier %u is given workers %u and %u", to, i, worker);
	}
	notes->holder[worker] = (uint8_t)(ORDERED_TO + to);
	if (handed)
		notes->place[handed - 1] = (uint8_t)(IN_HAND_OF + to);
	model_owned_store(model, protocol_word(ORDER, to), worker + 1);
	model_store(model, protocol_word(GO, to), 1,
		    protocol_order(model, MODEL_RELEASE, PROTOCOL_WHOLE,
				   WITHOUT_P3_RELEASE));			/* [P3] */
}

void protocol_make_current(struct model *model, unsigned int fiber)
{
	struct protocol_notes *notes = protocol_notes(model);
	unsigned int self = model->self;

	for (unsigned int i = 0; i < protocol_fibers(); i++) {
		if (i != fiber && (notes->place[i] == RUNNING_ON + self ||
				   model->state.now[protocol_word(BOUND, i)] == self + 1u))
			model_fail(model, "K3: carrier %u runs fiber %u, and fiber %u is bound to it",
				   self, fiber, i);
	}
	if (notes->place[fiber] != IN_HAND_OF + self)
		model_fail(model, "F1: fiber %u is dispatched by carrier %u, which does not have it",
			   fiber, self);
	notes->place[fiber] = (uint8_t)(RUNNING_ON + self);
	model_store(model, protocol_word(CURRENT, self), fiber + 1, MODEL_RELAXED);
	if (!protocol_without(model, WITHOUT_P8_DISPATCH))
		model_self(model)->variables[PENDING] = 0;
}

void protocol_queue(struct model *model, unsigned int fiber)
{
	struct protocol_notes *notes = protocol_notes(model);
	unsigned int place = notes->place[fiber];

	if (place != IN_HAND_OF + model->self && place != RUNNING_ON + model->self)
		model_fail(model, "F1: fiber %u is queued by who does not have it", fiber);
	notes->place[fiber] = QUEUED;
}

void protocol_unqueue(struct model *model, unsigned int fiber)
{
	struct protocol_notes *notes = protocol_notes(model);

	if (notes->place[fiber] != QUEUED)
		model_fail(model, "F1: fiber %u comes out of a queue, and is in none", fiber);
	notes->place[fiber] = (uint8_t)(IN_HAND_OF + model->self);
}
