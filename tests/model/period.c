/* SPDX-License-Identifier: MIT */
/*
 * The period of a perf tick: a carrier that calls, dispatches and is ticked at any point; the monitor,
 * which orders a tick for a sleeper, hurries one, or changes the quantum; somebody outside who wants a
 * stopped tick back. The kernel has one period, which is set by an ioctl: since that takes the event's
 * lock, it is a read-modify-write that acquires and releases.
 *
 * From each state some way leads to where the tick has the quantum of the fiber that runs, or is stopped
 * because that fiber is alone, and the sleeper has run. Nobody is preempted for the end of a quantum here
 * but by choice, and a sleeper is served by nothing but the tick that was meant for it, so that it shows
 * when that is lost. Periods are 0 stopped, 1 short, 2 and 3 quanta.
 */
#include "part.h"
#include "period.h"

enum { CARRIER, MONITOR, OUTSIDE, THREADS, TICK = THREADS, ACTORS };
enum {
	KERNEL, TICK_OFF, WORK, TICK_NS, FAST, QUANTUM, DISPATCHES, URGENT, IN_RUNTIME, CURRENT, WORDS,
};
enum { SHORT = 1, OWN = 3 };

enum step {
	USER, CALLED, IN_LOOP, BEGIN, BEGIN_TICK, LEAVE, LEAVE_LOOK, NOTE,
	HANDLER, HANDLER_FAST, URGENT_LOOK, URGENT_CLEAR, SLICE, ROOM, HANDLER_END,
	REST, REST_KERNEL, REST_NS, REST_LOOK, CALM, CALM_SET, CALM_OVER,
	SET, SET_FLAG, SET_KERNEL, SET_NS, SET_FLAG_LATE, SET_LOOK, SET_LOOK_NS,
	SHORTEN, SHORTEN_KERNEL, SHORTEN_AGAIN,
	MONITOR_NEXT, ORDER, ORDER_DISPATCH, ORDER_URGENT, RENEW, RENEW_NS,
	PUSH, PUSH_LOOK, WANTED, WANTED_SET,
	OVER,
};

/* Variables; of setting a period there are two sets, since a tick may come inside. */
enum { PERIOD, SEEN, OF_SETTING };
enum { IN_HANDLER = 2 * OF_SETTING, PENDING, ITEM, FOUND };

struct notes {
	uint8_t calls, dispatches;	/* left				*/
	uint8_t sleeper;		/* it waits			*/
	int8_t ticks_off;		/* scheduler->ticks_off		*/
};

static const struct period_setup *setup;
static struct model_machine machine;

static struct notes *notes_of(struct model *model)
{
	return (struct notes *)model->state.notes;
}

static uint8_t *of_setting(struct model *model, unsigned int variable)
{
	struct model_thread *self = model_self(model);

	return &self->variables[self->variables[IN_HANDLER] * OF_SETTING + variable];
}

static void call(struct model *model, enum step at, enum step back)
{
	struct model_thread *self = model_self(model);

	self->back[self->depth++] = (uint8_t)back;
	self->at = (uint8_t)at;
}

static void go_back(struct model *model)
{
	struct model_thread *self = model_self(model);

	self->at = self->back[--self->depth];
	self->back[self->depth] = 0;
}

static void begin(struct model *model)
{
	struct model_state *state = &model->state;
	struct notes *notes = notes_of(model);

	state->now[KERNEL] = state->now[TICK_NS] = state->now[QUANTUM] = (uint16_t)setup->quantum;
	state->now[CURRENT] = 1;
	state->threads[MONITOR].at = MONITOR_NEXT;
	state->threads[OUTSIDE].at = PUSH;
	if (!setup->outside) {
		state->threads[OUTSIDE].at = OVER;
		state->ended |= 1u << OUTSIDE;
	}
	notes->calls = (uint8_t)setup->calls;
	notes->dispatches = (uint8_t)setup->dispatches;
	notes->sleeper = 1;
}

/* usched_quantum_of() */
static unsigned int quantum_of(struct model *model, unsigned int fiber)
{
	return fiber == 2 ? OWN : model_load(model, QUANTUM, MODEL_RELAXED);
}

/* wanted_ns() */
static unsigned int wanted(struct model *model)
{
	unsigned int fiber = model_load(model, CURRENT, MODEL_RELAXED);

	if (!fiber || (setup->rests && model_load(model, TICK_OFF, MODEL_RELAXED)))
		return 0;
	return quantum_of(model, fiber);
}

/* set_period() */
static void set_kernel(struct model *model, unsigned int period)
{
	unsigned int seen;

	(void)model_change(model, KERNEL, &seen, part_replace, period, MODEL_ACQ_REL, false);
}

static void set(struct model *model, unsigned int period, enum step back)
{
	*of_setting(model, PERIOD) = (uint8_t)period;
	call(model, SET, back);
}

/* usched_tick_set(); the number of its turns is not limited here. */
static bool tick_set(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int period = *of_setting(model, PERIOD), now;
	bool ns_late = part_without(model, PERIOD_WITHOUT_NS_FIRST);
	bool once = part_without(model, PERIOD_WITHOUT_NS_AGAIN);
	bool flag_late = part_without(model, PERIOD_WITHOUT_FAST_FIRST);

	switch ((enum step)self->at) {
	case SET:
		if (!ns_late)
			model_store(model, TICK_NS, period, MODEL_RELAXED);
		self->at = flag_late ? SET_KERNEL : SET_FLAG;
		break;
	case SET_FLAG:
		model_store(model, FAST, 0, MODEL_RELAXED);
		self->at = SET_KERNEL;
		break;
	case SET_KERNEL:
		set_kernel(model, period);
		self->at = ns_late ? SET_NS : flag_late ? SET_FLAG_LATE : SET_LOOK;
		break;
	case SET_NS:
		model_store(model, TICK_NS, period, MODEL_RELAXED);
		self->at = SET_LOOK;
		break;
	case SET_FLAG_LATE:
		model_store(model, FAST, 0, MODEL_RELAXED);
		self->at = SET_LOOK;
		break;
	case SET_LOOK:
		part_fence(model, PERIOD_WITHOUT_S3_CARRIER);				/* [Q1] [S3] */
		now = part_without(model, PERIOD_WITHOUT_WANTED_AGAIN) ? 0 : wanted(model);
		*of_setting(model, SEEN) = (uint8_t)now;
		self->at = SET_LOOK_NS;
		break;
	default:
		now = *of_setting(model, SEEN);
		if (!now)
			now = once ? period : model_load(model, TICK_NS, MODEL_RELAXED);
		*of_setting(model, SEEN) = 0;
		if (now != period) {
			*of_setting(model, PERIOD) = (uint8_t)now;
			self->at = SET;
			break;
		}
		*of_setting(model, PERIOD) = 0;
		go_back(model);
		break;
	}
	return true;
}

/* shorten() */
static bool shorten(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch ((enum step)self->at) {
	case SHORTEN:
		if (!part_without(model, PERIOD_WITHOUT_FLAG_BEFORE))
			model_store(model, FAST, 1, MODEL_RELAXED);
		self->at = SHORTEN_KERNEL;
		break;
	case SHORTEN_KERNEL:
		set_kernel(model, SHORT);
		self->at = SHORTEN_AGAIN;
		break;
	default:
		if (!part_without(model, PERIOD_WITHOUT_FLAG_AFTER))
			model_store(model, FAST, 1, MODEL_RELAXED);
		go_back(model);
		break;
	}
	return true;
}

/* ---- the carrier --------------------------------------------------------------------------------- */

static void dispatch(struct model *model, enum step back)
{
	struct notes *notes = notes_of(model);

	notes->dispatches -= notes->dispatches > 0;
	call(model, IN_LOOP, back);
}

/* usched_begin_slice() */
static void begin_slice(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int quantum, period;

	if (self->at == BEGIN) {
		unsigned int dispatches = (model->state.now[DISPATCHES] + 1u) % 16;

		model_store(model, DISPATCHES, dispatches, MODEL_RELAXED);
		model_store(model, CURRENT, setup->own && dispatches % 2 ? 2 : 1, MODEL_RELAXED);
		self->variables[PENDING] = 0;
		self->at = BEGIN_TICK;
		return;
	}
	quantum = quantum_of(model, model->state.now[CURRENT]);
	period = model_load(model, TICK_NS, MODEL_RELAXED);
	go_back(model);
	/* Too slow a tick, or none. */
	if ((period == 0 || quantum < period) && !part_without(model, PERIOD_WITHOUT_SLOW))
		set(model, quantum, (enum step)self->at);
}

static bool run(struct model *model)
{
	struct model_thread *self = model_self(model);
	struct notes *notes = notes_of(model);

	switch ((enum step)self->at) {
	case USER:
		if (!notes->calls)
			return false;
		notes->calls--;
		model_store(model, IN_RUNTIME, 1, MODEL_RELAXED);
		self->at = CALLED;
		break;
	case CALLED:
		if (notes->dispatches && model_choose(model, 2))
			dispatch(model, LEAVE);
		else
			self->at = LEAVE;
		break;
	case IN_LOOP:			/* between two fibers, or straight to the next one */
		if (model_choose(model, 2))
			model_store(model, CURRENT, 0, MODEL_RELAXED);
		self->at = BEGIN;
		break;
	case BEGIN:
	case BEGIN_TICK:
		begin_slice(model);
		break;
	case LEAVE:
		model_store(model, IN_RUNTIME, 0, MODEL_RELAXED);
		self->at = LEAVE_LOOK;
		break;
	case LEAVE_LOOK:
		self->at = self->variables[PENDING] ? NOTE : USER;
		break;
	default:			/* a note: it yields, and the tick has made poll due */
		self->variables[PENDING] = 0;
		model_store(model, IN_RUNTIME, 1, MODEL_RELAXED);
		notes->sleeper = 0;
		self->at = LEAVE;
		if (notes->dispatches)
			dispatch(model, LEAVE);
		break;
	}
	return true;
}

/* usched_preempt_tick(), is_young() */
static bool handle(struct model *model)
{
	struct model_thread *self = model_self(model);
	struct notes *notes = notes_of(model);
	unsigned int fiber = model->state.now[CURRENT], dispatches = model->state.now[DISPATCHES];
	unsigned int period, quantum, seen;
	bool for_this;

	switch ((enum step)self->at) {
	case HANDLER:
		model_store(model, IN_RUNTIME, 1, MODEL_RELAXED);
		self->at = HANDLER_FAST;
		break;
	case HANDLER_FAST:
		self->at = URGENT_LOOK;
		if (model_load(model, FAST, MODEL_RELAXED))
			set(model, quantum_of(model, fiber), URGENT_LOOK);
		break;
	case URGENT_LOOK:
		self->variables[FOUND] = (uint8_t)model_load(model, URGENT, MODEL_RELAXED);
		self->at = self->variables[FOUND] ? URGENT_CLEAR : SLICE;
		break;
	case URGENT_CLEAR:
		model_store(model, URGENT, 0, MODEL_RELAXED);
		for_this = self->variables[FOUND] == dispatches + 1;
		self->at = for_this || part_without(model, PERIOD_WITHOUT_THIS_DISPATCH) ? ROOM : SLICE;
		if (self->at == ROOM && !for_this)
			model_fail(model, "a fiber is stopped where another one was to be");
		self->variables[FOUND] = 0;
		break;
	case SLICE:
		period = model_load(model, TICK_NS, MODEL_RELAXED);
		quantum = quantum_of(model, fiber);
		self->at = HANDLER_END;
		if (period < quantum && !part_without(model, PERIOD_WITHOUT_GROWN))
			set(model, quantum, HANDLER_END);
		else if (setup->rests && !model_load(model, WORK, MODEL_RELAXED) &&
			 model_choose(model, 2))
			self->at = REST;
		else if (period > quantum || (notes->dispatches && model_choose(model, 2)))
			dispatch(model, HANDLER_END);	/* it is over, the more so if too long */
		break;
	case ROOM:
		notes->sleeper = 0;
		self->at = HANDLER_END;
		if (notes->dispatches)
			dispatch(model, HANDLER_END);
		break;
	case REST:			/* usched_tick_rest() */
		(void)model_change(model, TICK_OFF, &seen, part_replace, 1, MODEL_RELAXED, false);
		notes->ticks_off = (int8_t)(notes->ticks_off + !seen);
		if (part_without(model, PERIOD_WITHOUT_REST_AGAIN))
			self->at = REST_KERNEL;
		else
			set(model, 0, REST_LOOK);
		break;
	case REST_KERNEL:
		set_kernel(model, 0);
		self->at = REST_NS;
		break;
	case REST_NS:
		model_store(model, TICK_NS, 0, MODEL_RELAXED);
		model_fence(model);
		self->at = REST_LOOK;
		break;
	case REST_LOOK:
		self->at = HANDLER_END;
		if (model_load(model, WORK, MODEL_RELAXED))
			call(model, WANTED, HANDLER_END);
		break;
	case CALM:			/* usched_tick_calm(), in a tick that leaves a note */
		self->at = CALM_OVER;
		if (part_without(model, PERIOD_WITHOUT_CALM) ||
		    !model_load(model, FAST, MODEL_RELAXED))
			break;
		*of_setting(model, PERIOD) = (uint8_t)model_load(model, TICK_NS, MODEL_RELAXED);
		if (part_without(model, PERIOD_WITHOUT_CALM_AGAIN)) {
			model_store(model, FAST, 0, MODEL_RELAXED);
			self->at = CALM_SET;
		} else {
			call(model, SET, CALM_OVER);
		}
		break;
	case CALM_SET:
		set_kernel(model, *of_setting(model, PERIOD));
		*of_setting(model, PERIOD) = 0;
		self->at = CALM_OVER;
		break;
	case CALM_OVER:
		self->variables[IN_HANDLER] = 0;
		go_back(model);
		break;
	default:
		model_store(model, IN_RUNTIME, 0, MODEL_RELAXED);
		self->variables[IN_HANDLER] = 0;
		go_back(model);
		break;
	}
	return true;
}

static bool tick(struct model *model)
{
	struct model_thread *self = &model->state.threads[CARRIER];

	model->self = CARRIER;
	if (!model->state.now[KERNEL] || self->variables[IN_HANDLER] || self->half)
		return false;
	call(model, model->state.now[IN_RUNTIME] ? CALM : HANDLER, (enum step)self->at);
	if (model->state.now[IN_RUNTIME])
		self->variables[PENDING] = 1;
	self->variables[IN_HANDLER] = 1;
	return true;
}

/* ---- the monitor, and who is outside --------------------------------------------------------------- */

/* order_tick(), look_at() of wakeup.c; usched_tick_renew() */
static bool monitor(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int now;

	switch ((enum step)self->at) {
	case MONITOR_NEXT:
		switch (setup->monitor[self->variables[ITEM]]) {
		case 'o':
			self->at = ORDER;
			break;
		case 'h':
			self->variables[ITEM]++;
			call(model, SHORTEN, MONITOR_NEXT);
			break;
		case 'q':
			model_store(model, QUANTUM, setup->next, MODEL_RELAXED);
			self->at = RENEW;
			break;
		default:
			part_end(model, OVER);
			break;
		}
		break;
	case ORDER:
		/* It may be seen late that the sleeper has run. */
		if (!notes_of(model)->sleeper) {
			self->variables[ITEM]++;
			self->at = MONITOR_NEXT;
		} else if (!model_load(model, IN_RUNTIME, MODEL_RELAXED)) {
			self->at = ORDER_DISPATCH;
		}
		break;
	case ORDER_DISPATCH:
		self->variables[FOUND] = (uint8_t)(model_load(model, DISPATCHES, MODEL_RELAXED) + 1);
		call(model, SHORTEN, ORDER_URGENT);
		break;
	case ORDER_URGENT:
		model_store(model, URGENT, self->variables[FOUND], MODEL_RELAXED);
		self->variables[FOUND] = 0;
		self->at = ORDER;
		if (part_without(model, PERIOD_WITHOUT_LATE)) {
			self->variables[ITEM]++;
			self->at = MONITOR_NEXT;
		}
		break;
	case RENEW:
		model_fence(model);							/* [Q1] */
		self->variables[FOUND] = (uint8_t)wanted(model);
		self->at = RENEW_NS;
		break;
	default:
		now = self->variables[FOUND];
		self->variables[FOUND] = 0;
		self->variables[ITEM]++;
		self->at = MONITOR_NEXT;
		if (now && now != model_load(model, TICK_NS, MODEL_RELAXED))
			set(model, now, MONITOR_NEXT);
		break;
	}
	return true;
}

static unsigned int end_rest(unsigned int old, unsigned int unused)
{
	(void)old;
	(void)unused;
	return 0;
}

/* A push to an inbox, usched_notify_outside(), usched_tick_wanted() */
static bool outside(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int seen, now;

	switch ((enum step)self->at) {
	case PUSH:
		model_store(model, WORK, 1, MODEL_RELEASE);
		self->at = PUSH_LOOK;
		break;
	case PUSH_LOOK:
		part_fence(model, PERIOD_WITHOUT_S3_OUTSIDE);				/* [S3] */
		self->at = OVER;
		call(model, WANTED, OVER);
		break;
	case WANTED:
		if (!self->half && !model_load(model, TICK_OFF, MODEL_RELAXED)) {
			go_back(model);
			break;
		}
		if (model_change(model, TICK_OFF, &seen, end_rest, 0, MODEL_ACQ_REL,
				 part_without(model, PERIOD_WITHOUT_S3_CLAIM)) == MODEL_HALF)
			break;
		if (!seen) {
			go_back(model);
			break;
		}
		notes_of(model)->ticks_off--;
		self->at = WANTED_SET;
		break;
	default:
		now = wanted(model);
		go_back(model);
		if (now)
			set(model, now, (enum step)self->at);
		break;
	}
	return true;
}

static bool take_step(struct model *model)
{
	unsigned int at = model_self(model)->at;

	if (at == OVER) {
		if (model->self == CARRIER || model->state.ended >> model->self & 1)
			return false;
		model_end_thread(model);
		return true;
	}
	if (at <= NOTE)
		return run(model);
	if (at <= CALM_OVER)
		return handle(model);
	if (at <= SET_LOOK_NS)
		return tick_set(model);
	if (at <= SHORTEN_AGAIN)
		return shorten(model);
	return at <= RENEW_NS ? monitor(model) : outside(model);
}

static bool step(struct model *model, unsigned int actor)
{
	return actor == TICK ? tick(model) : take_step(model);
}

/* The tick is what the fiber that runs should have, and nobody waits for one. */
static bool is_over(struct model *model)
{
	const struct model_state *state = &model->state;
	const struct notes *notes = notes_of(model);
	unsigned int quantum = state->now[CURRENT] == 2 ? OWN : state->now[QUANTUM];
	unsigned int right = state->now[TICK_OFF] ? 0 : quantum;

	return state->threads[CARRIER].at == USER && !notes->calls &&
	       state->threads[MONITOR].at == OVER && state->threads[OUTSIDE].at == OVER &&
	       state->now[KERNEL] == right && state->now[TICK_NS] == right &&
	       !(state->now[TICK_OFF] && state->now[WORK]) &&
	       notes->ticks_off == state->now[TICK_OFF] &&
	       (!notes->sleeper || setup->monitor[0] != 'o');
}

static void tell_actor(struct model *model, unsigned int actor, char *text, size_t bytes)
{
	static const char *const names[] = {
		"user code", "called", "leaves a fiber", "begins a slice", "a slice: is the tick too slow?",
		"leaves", "is there a note?", "a note",
		"tick: enters", "tick: was it hurried?", "tick: is it urgent?", "tick: no longer urgent",
		"tick: is the slice over?", "tick: makes room", "tick: over",
		"tick: rests", "tick: rests, period", "tick: rests, tick_ns", "tick: rests, look again",
		"calm: was it hurried?", "calm: sets the period", "calm: over", "set: tick_ns", "set: flag", "set: period", "set: tick_ns, late",
		"set: flag, late", "set: fence, what is wanted?", "set: tick_ns again",
		"shorten: flag", "shorten: period", "shorten: flag again",
		"next", "order: does it run?", "order: which dispatch?", "order: urgent",
		"renew: fence, what is wanted?", "renew: tick_ns",
		"pushes work", "fence", "wanted: tick_off", "wanted: sets it", "over",
	};
	static const char *const who[] = { "carrier", "monitor", "outside" };

	if (actor == TICK)
		snprintf(text, bytes, "carrier  a tick comes");
	else
		snprintf(text, bytes, "%s  %s", who[actor], names[model->state.threads[actor].at]);
}

static void tell_word(unsigned int word, char *text, size_t bytes)
{
	static const char *const names[] = {
		"the kernel's period", "tick_off", "work", "tick_ns", "fast", "quantum", "dispatches",
		"urgent", "in_runtime", "current",
	};

	snprintf(text, bytes, "%s", names[word]);
}

static PART_MACHINE(any, .actors = ACTORS, .carrying = TICK_NS, .notes = sizeof(struct notes),
		    .begin = begin, .tell_value = part_tell_number, .step = step, .is_over = is_over);

const struct model_machine *period_machine(const struct period_setup *wanted_setup)
{
	uint64_t own = UINT64_C(1) << KERNEL;		/* never read */

	setup = wanted_setup;
	machine = any_machine;
	machine.name = wanted_setup->name;
	for (unsigned int i = 0; i < THREADS; i++)
		machine.reads[i] = ~own;
	return &machine;
}
