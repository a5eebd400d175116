/* SPDX-License-Identifier: MIT */
/*
 * The lock of lib/sync/biased.h, [B1] and [B2]: fibers of a worker take it by a store, until somebody
 * else comes, who ends the bias and waits until that worker has let go.
 *
 *	bias_moves	the worker has one carrier, then the next; two plain threads come
 *	bias_two	two workers, each of which may get the bias; and a plain thread
 *
 * The first worker has taken the lock before, so that its next use gives it the bias.
 */
#include "part.h"
#include "queues.h"

/* CANDIDATE and USES are plain words under SHARED. DATA is what the lock guards. */
enum { OWN, SHARED, GO, WORKER, CANDIDATE, USES, DATA, WORDS };
enum { THREADS = 4 };

enum step {
	WAIT, LOOK, TAKE, TAKE_LATE, LOOK_AGAIN, RETREAT, USE_OWN, UNLOCK_OWN,
	LOCK_SHARED, EXAMINE, CLEAR, BARRIER, AWAIT, SET, USE_SHARED, UNLOCK_SHARED, SET_LATE,
	GIVE, OVER,
};
enum { TURN, SEEN, REACHED };		/* variables */
enum { INSIDE };			/* notes: who uses what is guarded, from 1; 0: nobody */
enum { USES_BEFORE_BIAS = 2, NEVER = 9 };

/* Plain threads have no worker. One that gives hands its worker to the next thread at its end. */
struct party {
	uint8_t worker, turns;
	bool waits, gives;
};

static const struct party moves[THREADS] = {
	{ .worker = 1, .turns = 3, .gives = true }, { .worker = 1, .turns = 2, .waits = true },
	{ .turns = 2 }, { .turns = 1 },
};
static const struct party two[THREADS] = {
	{ .worker = 1, .turns = 3 }, { .worker = 2, .turns = 4 }, { .turns = 2 }, { .turns = 0 },
};

static const struct party *party(const struct model *model, unsigned int thread)
{
	return &(model->machine == &bias_two_machine ? two : moves)[thread];
}

static void begin(struct model *model)
{
	model->state.now[CANDIDATE] = 1;
	model->state.now[USES] = 1;
	for (unsigned int i = 0; i < THREADS; i++) {
		struct model_thread *thread = &model->state.threads[i];

		thread->at = party(model, i)->waits ? WAIT : LOOK;
		if (party(model, i)->turns == 0) {
			thread->at = OVER;
			model->state.ended |= UINT64_C(1) << i;
		}
	}
}

static void use(struct model *model)
{
	if (model->state.notes[INSIDE])
		model_fail(model, "two are inside: %u and %u", model->state.notes[INSIDE] - 1u,
			   model->self);
	model->state.notes[INSIDE] = (uint8_t)(model->self + 1);
	model_touch(model, DATA);
}

static void end_turn(struct model *model)
{
	struct model_thread *self = model_self(model);

	self->at = LOOK;
	if (++self->variables[TURN] < party(model, model->self)->turns)
		return;
	if (party(model, model->self)->gives)
		self->at = GIVE;
	else
		part_end(model, OVER);
}

/* usched_biased_lock(), and the unlock of own */
static void take_own(struct model *model, unsigned int worker)
{
	struct model_thread *self = model_self(model);

	switch ((enum step)self->at) {
	case LOOK:
		if (!worker)
			self->at = LOCK_SHARED;
		else if (part_without(model, BIAS_WITHOUT_LOOK))
			self->at = TAKE;
		else
			self->at = model_load(model, WORKER, MODEL_RELAXED) == worker ? TAKE : LOCK_SHARED;
		break;
	case TAKE:
		if (part_without(model, BIAS_WITHOUT_B1_SIGNAL_FENCE)) {
			/* The compiler has moved the load up. */
			self->variables[SEEN] = (uint8_t)model_load(model, WORKER, MODEL_RELAXED);
			self->at = TAKE_LATE;
			break;
		}
		model_store(model, OWN, 1, MODEL_RELAXED);				/* [B1] */
		self->at = part_without(model, BIAS_WITHOUT_LOOK_AGAIN) ? USE_OWN : LOOK_AGAIN;
		break;
	case TAKE_LATE:
		model_store(model, OWN, 1, MODEL_RELAXED);
		self->at = self->variables[SEEN] == worker ? USE_OWN : RETREAT;
		self->variables[SEEN] = 0;
		break;
	case LOOK_AGAIN:
		self->at = model_load(model, WORKER, MODEL_RELAXED) == worker ? USE_OWN : RETREAT;
		break;
	case RETREAT:
		model_store(model, OWN, 0, part_release(model, BIAS_WITHOUT_RETREAT_RELEASE));
		self->at = LOCK_SHARED;
		break;
	case USE_OWN:
		use(model);
		self->at = UNLOCK_OWN;
		break;
	default:
		model->state.notes[INSIDE] = 0;
		model_store(model, OWN, 0, part_release(model, BIAS_WITHOUT_B2_RELEASE));	/* [B2] */
		end_turn(model);
		break;
	}
}

/* The rest of usched_biased_lock_shared(), where nobody has the bias. */
static void count_use(struct model *model, unsigned int worker)
{
	struct model_thread *self = model_self(model);
	unsigned int uses = model_owned_load(model, USES);

	self->at = USE_SHARED;
	if (uses == NEVER)
		return;
	if (!worker) {
		uses = NEVER;
	} else if (worker != model_owned_load(model, CANDIDATE)) {
		model_owned_store(model, CANDIDATE, worker);
		uses = 1;
	} else if (++uses == USES_BEFORE_BIAS) {
		if (part_without(model, BIAS_WITHOUT_SET_INSIDE))
			self->variables[SEEN] = 1;
		else
			self->at = SET;
	}
	model_owned_store(model, USES, uses);
}

/* One barrier. It comes to each thread in its own time, and to none that has ended. */
static void end_bias_barrier(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int thread = self->variables[REACHED];

	if (thread != model->self && !(model->state.ended >> thread & 1) &&
	    !part_without(model, BIAS_WITHOUT_B1_MEMBARRIER))
		model_barrier(model, thread);						/* [B1] */
	if (++self->variables[REACHED] < THREADS)
		return;
	self->variables[REACHED] = 0;
	self->at = part_without(model, BIAS_WITHOUT_AWAIT) ? USE_SHARED : AWAIT;
}

/* usched_biased_lock_shared(), and the unlock of shared. False: it is held. */
static bool take_shared(struct model *model, unsigned int worker)
{
	struct model_thread *self = model_self(model);
	unsigned int seen = 0;

	switch ((enum step)self->at) {
	case LOCK_SHARED:
		if (!self->half && model->state.now[SHARED])
			return false;
		if (model_compare_exchange(model, SHARED, &seen, 1,
					   part_acquire(model, BIAS_WITHOUT_SHARED_ACQUIRE), MODEL_RELAXED,
					   part_without(model, BIAS_WITHOUT_SHARED_CAS)) == MODEL_WON)
			self->at = EXAMINE;
		break;
	case EXAMINE:
		if (model_load(model, WORKER, MODEL_RELAXED))
			self->at = CLEAR;
		else
			count_use(model, worker);
		break;
	case CLEAR:
		model_owned_store(model, USES, NEVER);
		if (part_without(model, BIAS_WITHOUT_ONCE)) {
			model_owned_store(model, CANDIDATE, worker);
			model_owned_store(model, USES, 1);
		}
		if (!part_without(model, BIAS_WITHOUT_CLEAR))
			model_store(model, WORKER, 0, MODEL_RELAXED);			/* [B1] */
		if (part_without(model, BIAS_WITHOUT_END_INSIDE))
			model_store(model, SHARED, 0, MODEL_RELEASE);
		self->at = BARRIER;
		break;
	case BARRIER:
		end_bias_barrier(model);
		break;
	case AWAIT:
		if (model_load(model, OWN, part_acquire(model, BIAS_WITHOUT_B2_ACQUIRE)))	/* [B2] */
			break;
		self->at = part_without(model, BIAS_WITHOUT_END_INSIDE) ? LOCK_SHARED : USE_SHARED;
		break;
	case SET:
		model_store(model, WORKER, worker, MODEL_RELAXED);
		self->at = USE_SHARED;
		break;
	case USE_SHARED:
		use(model);
		self->at = UNLOCK_SHARED;
		break;
	case UNLOCK_SHARED:
		model->state.notes[INSIDE] = 0;
		model_store(model, SHARED, 0, part_release(model, BIAS_WITHOUT_SHARED_RELEASE));
		if (self->variables[SEEN])
			self->at = SET_LATE;
		else
			end_turn(model);
		break;
	default:
		/* Nothing of the code: the bias is set when the lock is free again. */
		self->variables[SEEN] = 0;
		model_store(model, WORKER, worker, MODEL_RELAXED);
		end_turn(model);
		break;
	}
	return true;
}

static bool step(struct model *model, unsigned int actor)
{
	struct model_thread *self = model_self(model);
	unsigned int worker = party(model, actor)->worker;

	switch ((enum step)self->at) {
	case WAIT:
		if (!model->state.now[GO])
			return false;
		model_await(model, GO, part_acquire(model, BIAS_WITHOUT_P3_ACQUIRE));	/* [P3] */
		self->at = LOOK;
		return true;
	case GIVE:
		model_store(model, GO, 1, part_release(model, BIAS_WITHOUT_P3_RELEASE));	/* [P3] */
		part_end(model, OVER);
		return true;
	case OVER:
		return false;
	default:
		if (self->at >= LOCK_SHARED)
			return take_shared(model, worker);
		take_own(model, worker);
		return true;
	}
}

/* All have had their turns, and nobody holds either half. */
static bool is_over(struct model *model)
{
	const struct model_state *state = &model->state;

	return part_all_are_over(model, OVER) && !state->now[OWN] && !state->now[SHARED] &&
	       !state->notes[INSIDE];
}

static void tell_actor(struct model *model, unsigned int actor, char *text, size_t bytes)
{
	static const char *const names[] = {
		"waits for the worker", "look at worker", "take own", "take own, the look was early",
		"second look at worker", "lets own go", "inside own", "unlock own", "lock shared",
		"look at worker under shared", "worker = NULL", "membarrier", "await own", "bias set",
		"inside shared", "unlock shared", "bias set, late", "gives the worker away", "over",
	};

	if (party(model, actor)->worker)
		snprintf(text, bytes, "thread %u, worker %u  %s", actor, party(model, actor)->worker,
			 names[model->state.threads[actor].at]);
	else
		snprintf(text, bytes, "thread %u  %s", actor, names[model->state.threads[actor].at]);
}

static void tell_word(unsigned int word, char *text, size_t bytes)
{
	static const char *const names[] = {
		"own", "shared", "go", "worker", "candidate", "uses", "what is guarded",
	};

	snprintf(text, bytes, "%s", names[word]);
}

#define BIAS(setup)								\
	PART_MACHINE(bias_##setup, .actors = THREADS, .carrying = WORKER, .remembering = SHARED, \
		     .notes = 1, .begin = begin, .tell_value = part_tell_number,	\
		     .step = step, .is_over = is_over)

BIAS(moves);
BIAS(two);
