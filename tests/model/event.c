/* SPDX-License-Identifier: MIT */
/*
 * Events, lib/sync/event.c: posts from a thread and from handlers that interrupt a waiter or the poster
 * itself at any point, also with the event's lock held; two waiters; a timer that ends a wait, or the
 * waiting thread itself; the monitor, which gives away what was left to it; another event in its list;
 * destroy.
 *
 * No post is lost or taken twice, nobody waits while there is one, who gets a post has what was written
 * before it, the links and the list are used by one at a time, and nobody touches the event when it is
 * gone. A switch is left out: a fiber's waiter is committed by its own thread, and the fiber goes on
 * when it was put into an inbox, which is one release store here. Runtimes that end are left out, too.
 *
 * One file, since every step of every party works on the same words.
 */
#include <ctype.h>
#include <string.h>

#include "event.h"
#include "part.h"

enum { FIRST, SECOND, POSTER, MONITOR, TIMER, OTHER, THREADS };
enum { WAITERS = 2, POSTS = 3 };		/* the first by the poster, then the handler's */
enum { AT_WAITER = THREADS, AT_POSTER, ACTORS };	/* where a handler comes */

enum {
	WAITER, WORD = WAITER + WAITERS, LOCK, POSTED, EVENTFD, INBOX, DONE = INBOX + WAITERS,
	LINKS = DONE + WAITERS, NEXT, OTHER_NEXT, NODE, CONTEXT = NODE + WAITERS,
	DATA = CONTEXT + WAITERS, LIFE = DATA + POSTS, WORDS = LIFE + THREADS,
};

/* WORD; the list: A is the event, B the other one; WAITER: a state and the number of the wait. */
enum { ONE = 1, POSTS_MASK = 7, HOLD = 8, QUEUED = 64 };
enum { EVENT = 1, ANOTHER = 2 };
enum { PREPARED = 1, WAITING, VALUE, TIMED_OUT, NUMBER = 8 };

enum step {
	POST, POST_COUNT, POST_LOOK, POST_LOCK, POST_QUEUED, PUSH_FIRST, PUSH_NEXT, PUSH, POST_WAKE,
	POST_END,
	DELIVER, DELIVER_LOAD, DELIVER_TAKE, DELIVER_REMOVE, DELIVER_LOOK, DELIVER_CLAIM,
	DELIVER_UNLINK, DELIVER_BACK, DELIVER_UNLOCK, DELIVER_RESUME,
	SLEEP, LIST_LOOK, LIST_TAKE, LIST_NEXT, HELD, MONITOR_LOCK, LET_GO,
	WAIT, WAIT_LOOK, WAIT_TAKE, WAIT_BEGIN, WAIT_COMMIT, WAIT_PARK, WAITS, WAIT_PASS, WAIT_PASSED,
	WAIT_REASON, AGAIN, AGAIN_UNLINK, AGAIN_LOAD, AGAIN_TAKE, WAIT_UNLOCK, WAIT_OVER,
	USER,
	DESTROY, DESTROY_LOOK, DESTROY_UNLOCK, DESTROY_WAIT, GONE,
	TIMER_LOOK, TIMER_CLAIM, TIMER_RESUME,
	OTHER_FIRST, OTHER_LINK, OTHER_PUSH, OTHER_WAKE,
	OVER,
};

/* Variables. Those of a post are there twice: a handler may post inside a post. */
enum { SEEN, CLAIMED, TOLD, POST_NUMBER, OF_A_POST };
enum { ROUND = 2 * OF_A_POST, RESULT, WAIT_SEEN, LIST, TURN };

struct notes {
	uint8_t posted;			/* set: which posts were counted		*/
	uint8_t told[WAITERS];		/* set: what was posted when it got one		*/
	uint8_t made, got;		/* posts; those that a waiter has		*/
	uint8_t handlers[2];		/* left						*/
	uint8_t other_seen, gone;
};

static const struct event_setup *setup;
static struct model_machine machine;

static struct notes *notes_of(struct model *model)
{
	return (struct notes *)model->state.notes;
}

static unsigned int waiters(void)
{
	return (unsigned int)strlen(setup->waiters);
}

static bool is_thread(unsigned int waiter)
{
	return tolower(setup->waiters[waiter]) == 't';
}

static bool has_deadline(unsigned int waiter)
{
	return isupper(setup->waiters[waiter]);
}

/* The variables of the post that runs here. */
static uint8_t *of_post(struct model *model, unsigned int variable)
{
	struct model_thread *self = model_self(model);

	return &self->variables[self->depth * OF_A_POST + variable];
}

static void begin(struct model *model)
{
	struct model_state *state = &model->state;
	struct notes *notes = notes_of(model);

	state->threads[FIRST].at = state->threads[SECOND].at = WAIT;
	state->threads[POSTER].at = POST;
	state->threads[MONITOR].at = LIST_LOOK;
	state->threads[TIMER].at = TIMER_LOOK;
	state->threads[OTHER].at = OTHER_FIRST;
	notes->handlers[0] = (uint8_t)setup->handled;
	notes->handlers[1] = (uint8_t)setup->nested;
	for (unsigned int i = 0; i < THREADS; i++) {
		bool used = i == SECOND ? waiters() > 1 : i == POSTER ? setup->posts > 0 :
			    i == TIMER ? has_deadline(0) && !is_thread(0) :
			    i == OTHER ? setup->other : true;

		if (used)
			continue;
		state->threads[i].at = OVER;
		state->ended |= UINT64_C(1) << i;
	}
}

static void use(struct model *model)
{
	if (notes_of(model)->gone)
		model_fail(model, "the event is used, and is gone");
	if (setup->destroyed)
		model_touch(model, LIFE + model->self);
}

/* Of the others, all who come to it hold the lock before. */
static void touch_context(struct model *model, unsigned int waiter)
{
	if (has_deadline(waiter))
		model_touch(model, CONTEXT + waiter);
}

static unsigned int add(unsigned int value, unsigned int more)
{
	return (value + more) & 127;
}

static unsigned int set_queued(unsigned int value, unsigned int unused)
{
	(void)unused;
	return value | QUEUED;
}

/* A read-modify-write of the word; @by may be negative. False: half done. */
static bool change_word(struct model *model, int by, enum model_order how, bool split)
{
	unsigned int seen;

	return model_change(model, WORD, &seen, add, (unsigned int)by, how, split) != MODEL_HALF;
}

/* usched_spinlock_lock(), which looks until it is free. False: not yet. */
static bool lock(struct model *model)
{
	unsigned int seen = 0;

	if (!model_self(model)->half && model->state.now[LOCK])
		return false;
	return model_compare_exchange(model, LOCK, &seen, 1,
				      part_acquire(model, EVENT_WITHOUT_LOCK_ACQUIRE),
				      MODEL_RELAXED, false) == MODEL_WON;
}

static void unlock(struct model *model)
{
	model_store(model, LOCK, 0, part_release(model, EVENT_WITHOUT_LOCK_RELEASE));
}

/* take(): a load, then the CAS. *seen is what was loaded; true: the step is done, *taken or not. */
static bool take(struct model *model, uint8_t *seen, bool *taken)
{
	unsigned int value = *seen;

	*taken = false;
	if (!model_self(model)->half && !(value & POSTS_MASK))
		return true;
	switch (model_compare_exchange(model, WORD, &value, value - ONE,
				       part_acquire(model, EVENT_WITHOUT_E1_TAKE), MODEL_RELAXED,
				       part_without(model, EVENT_WITHOUT_COUNT_TAKE))) {	/* [E1] */
	case MODEL_WON:
		*taken = true;
		return true;
	case MODEL_LOST:
		*seen = (uint8_t)value;
		return false;
	case MODEL_HALF:
		break;
	}
	return false;
}

/* ---- a post ------------------------------------------------------------------------------------- */

static void end_post(struct model *model)
{
	struct model_thread *self = model_self(model);

	memset(of_post(model, 0), 0, OF_A_POST);
	if (self->depth) {
		self->at = self->back[--self->depth];	/* the handler returns */
		self->back[self->depth] = 0;
		return;
	}
	self->at = ++self->variables[TURN] == setup->posts ? USER : POST;
}

/* usched_post(), but for the delivery */
static bool post(struct model *model)
{
	struct model_thread *self = model_self(model);
	struct notes *notes = notes_of(model);
	unsigned int seen;

	switch ((enum step)self->at) {
	case POST:
		if (!self->depth)
			*of_post(model, POST_NUMBER) = self->variables[TURN] ? 2 : 0;
		use(model);
		model_touch(model, DATA + *of_post(model, POST_NUMBER));
		self->at = POST_COUNT;
		break;
	case POST_COUNT:
		if (!change_word(model, ONE + HOLD, part_release(model, EVENT_WITHOUT_E1_POST),
				 part_without(model, EVENT_WITHOUT_COUNT_POST)))	/* [E1] */
			break;
		notes->posted |= (uint8_t)(1u << *of_post(model, POST_NUMBER));
		notes->made++;
		self->at = POST_LOOK;
		break;
	case POST_LOOK:
		self->at = model_load(model, LOCK, MODEL_RELAXED) ? POST_QUEUED : POST_LOCK;
		if (part_without(model, EVENT_WITHOUT_TRYLOCK))
			self->at = model->state.now[LOCK] ? POST_LOOK : POST_LOCK;
		break;
	case POST_LOCK:
		seen = 0;
		switch (model_compare_exchange(model, LOCK, &seen, 1,
					       part_acquire(model, EVENT_WITHOUT_LOCK_ACQUIRE),
					       MODEL_RELAXED,
					       part_without(model, EVENT_WITHOUT_LOCK))) {
		case MODEL_WON:
			self->at = DELIVER;
			break;
		case MODEL_LOST:
			self->at = POST_QUEUED;
			break;
		case MODEL_HALF:
			break;
		}
		break;
	case POST_QUEUED:
		if (model_change(model, WORD, &seen, set_queued, 0,
				 part_order(model, part_order(model, MODEL_ACQ_REL, MODEL_ACQUIRE,
							      EVENT_WITHOUT_E2_QUEUED_ACQUIRE),
					    MODEL_RELEASE, EVENT_WITHOUT_E2_QUEUED_RELEASE),
				 part_without(model, EVENT_WITHOUT_E2_QUEUED)) == MODEL_HALF)
			break;								/* [E2] */
		self->at = seen & QUEUED ? POST_END : PUSH_FIRST;
		break;
	case PUSH_FIRST:
		*of_post(model, SEEN) = (uint8_t)model_load(model, POSTED, MODEL_RELAXED);
		self->at = PUSH_NEXT;
		break;
	case PUSH_NEXT:
		model_owned_store(model, NEXT, *of_post(model, SEEN));
		self->at = PUSH;
		break;
	case PUSH:
		seen = *of_post(model, SEEN);
		switch (model_compare_exchange(model, POSTED, &seen, EVENT,
					       part_release(model, EVENT_WITHOUT_E3_PUSH_RELEASE),
					       MODEL_RELAXED,
					       part_without(model, EVENT_WITHOUT_E3_PUSH))) {
		case MODEL_WON:								/* [E3] */
			self->at = POST_WAKE;
			break;
		case MODEL_LOST:
			*of_post(model, SEEN) = (uint8_t)seen;
			self->at = PUSH_NEXT;
			break;
		case MODEL_HALF:
			break;
		}
		break;
	case POST_WAKE:
		if (!part_without(model, EVENT_WITHOUT_WAKE))
			model_change(model, EVENTFD, &seen, part_replace, 1, MODEL_ACQ_REL, false);
		self->at = POST_END;
		break;
	default:
		if (!self->half)
			use(model);
		if (change_word(model, -HOLD, part_release(model, EVENT_WITHOUT_E4_RELEASE),
				part_without(model, EVENT_WITHOUT_COUNT_END)))		/* [E4] */
			end_post(model);
		break;
	}
	return true;
}

/* ---- deliver(), by who holds the lock: a poster, or the monitor ---------------------------------- */

/* usched_claim(): without a deadline by a store, since only who holds the lock ends the wait. */
static void claim(struct model *model, unsigned int waiter)
{
	struct model_thread *self = model_self(model);
	unsigned int seen = *of_post(model, SEEN), value = seen - WAITING + VALUE;
	enum model_order whole = part_order(model, part_order(model, MODEL_ACQ_REL, MODEL_RELEASE,
							      EVENT_WITHOUT_W2_CLAIM),
					    MODEL_RELEASE, EVENT_WITHOUT_W2_PASS);

	if (!has_deadline(waiter)) {
		model_store(model, WAITER + waiter, value, whole & MODEL_RELEASE);	/* [W2] */
	} else {
		switch (model_compare_exchange(model, WAITER + waiter, &seen, value,
					       part_order(model, whole, MODEL_ACQUIRE,
							  EVENT_WITHOUT_W1_CLAIM),
					       MODEL_RELAXED,
					       part_without(model, EVENT_WITHOUT_CLAIM))) {
		case MODEL_HALF:
			return;
		case MODEL_LOST:
			self->at = DELIVER_UNLINK;
			return;
		case MODEL_WON:								/* [W1] [W2] */
			break;
		}
	}
	*of_post(model, CLAIMED) = (uint8_t)(waiter + 1);
	notes_of(model)->told[waiter] = *of_post(model, TOLD);
	self->at = DELIVER_UNLOCK;
}

static bool deliver(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int waiter = (unsigned int)*of_post(model, CLAIMED) - 1;
	unsigned int links;
	bool taken;

	switch ((enum step)self->at) {
	case DELIVER:
		use(model);
		links = model_owned_load(model, LINKS);
		self->at = links ? DELIVER_LOAD : DELIVER_UNLOCK;
		break;
	case DELIVER_LOAD:
		*of_post(model, SEEN) = (uint8_t)model_load(model, WORD, MODEL_RELAXED);
		self->at = DELIVER_TAKE;
		break;
	case DELIVER_TAKE:
		if (!take(model, of_post(model, SEEN), &taken))
			break;
		*of_post(model, TOLD) = notes_of(model)->posted;
		self->at = taken ? DELIVER_REMOVE : DELIVER_UNLOCK;
		break;
	case DELIVER_REMOVE:
		links = model_owned_load(model, LINKS);
		model_owned_store(model, LINKS, links >> 4);
		model_touch(model, NODE + (links & 15) - 1);
		*of_post(model, CLAIMED) = links & 15;
		self->at = DELIVER_LOOK;
		break;
	case DELIVER_LOOK:
		*of_post(model, SEEN) = (uint8_t)model_load(
			model, WAITER + waiter, part_acquire(model, EVENT_WITHOUT_W1_CLAIM));
		*of_post(model, CLAIMED) = (uint8_t)(waiter + 1);
		self->at = *of_post(model, SEEN) % NUMBER == WAITING ? DELIVER_CLAIM : DELIVER_UNLINK;
		break;
	case DELIVER_CLAIM:
		claim(model, waiter);
		break;
	case DELIVER_UNLINK:		/* it has timed out, and unlinks itself, too */
		model_touch(model, NODE + waiter);
		*of_post(model, CLAIMED) = 0;
		self->at = part_without(model, EVENT_WITHOUT_BACK) ? DELIVER : DELIVER_BACK;
		break;
	case DELIVER_BACK:
		if (change_word(model, ONE, part_release(model, EVENT_WITHOUT_E1_BACK),
				part_without(model, EVENT_WITHOUT_COUNT_BACK)))		/* [E1] */
			self->at = DELIVER;
		break;
	case DELIVER_UNLOCK:
		use(model);
		unlock(model);
		self->at = DELIVER_RESUME;
		if (*of_post(model, CLAIMED))
			break;
		self->at = model->self == MONITOR ? LET_GO : POST_END;
		break;
	default:			/* usched_resume() */
		if (!is_thread(waiter)) {
			touch_context(model, waiter);
			model_store(model, INBOX + waiter, 1, MODEL_RELEASE);
		}
		*of_post(model, CLAIMED) = 0;
		self->at = model->self == MONITOR ? MONITOR_LOCK : POST_END;
		break;
	}
	return true;
}

/* ---- usched_events_deliver() --------------------------------------------------------------------- */

static bool monitor(struct model *model)
{
	struct model_thread *self = model_self(model);
	enum model_order clear = part_order(model, part_order(model, MODEL_ACQ_REL, MODEL_ACQUIRE,
							      EVENT_WITHOUT_E2_CLEAR_ACQUIRE),
					    MODEL_RELEASE, EVENT_WITHOUT_E2_CLEAR_RELEASE);
	bool holds = !part_without(model, EVENT_WITHOUT_E4_HOLD);
	bool late = part_without(model, EVENT_WITHOUT_E2_FIRST);
	unsigned int seen, event = self->variables[LIST];

	switch ((enum step)self->at) {
	case SLEEP:
		if (!model->state.now[EVENTFD])
			return false;
		model_change(model, EVENTFD, &seen, part_replace, 0, MODEL_ACQ_REL, false);
		self->at = LIST_LOOK;
		break;
	case LIST_LOOK:
		self->at = model_load(model, POSTED, MODEL_RELAXED) ? LIST_TAKE : SLEEP;
		break;
	case LIST_TAKE:
		if (model_change(model, POSTED, &seen, part_replace, 0,
				 part_acquire(model, EVENT_WITHOUT_E3_TAKE_ACQUIRE),
				 part_without(model, EVENT_WITHOUT_E3_TAKE)) == MODEL_HALF)
			break;								/* [E3] */
		self->variables[LIST] = (uint8_t)seen;
		self->at = LIST_NEXT;
		break;
	case LIST_NEXT:
		self->at = SLEEP;
		if (event == EVENT) {
			self->variables[LIST] = (uint8_t)model_owned_load(model, NEXT);
			self->at = HELD;
		} else if (event == ANOTHER) {
			self->variables[LIST] = (uint8_t)model_owned_load(model, OTHER_NEXT);
			notes_of(model)->other_seen++;
			self->at = LIST_NEXT;
		}
		break;
	case HELD:
		if (!self->half)
			use(model);
		/* From here on it may be queued anew; the hold keeps it. */
		if (change_word(model, (holds ? HOLD : 0) - (late ? 0 : QUEUED), clear,
				part_without(model, EVENT_WITHOUT_E2_CLEAR)))		/* [E2] */
			self->at = MONITOR_LOCK;
		break;
	case MONITOR_LOCK:
		if (!lock(model))
			return false;
		self->at = DELIVER;
		break;
	default:
		use(model);
		if (change_word(model, -(holds ? HOLD : 0) - (late ? QUEUED : 0),
				part_release(model, EVENT_WITHOUT_E4_RELEASE), false))	/* [E4] */
			self->at = LIST_NEXT;
		break;
	}
	return true;
}

/* ---- usched_event_wait(), usched_event_destroy() ------------------------------------------------- */

static void end_wait(struct model *model)
{
	struct model_thread *self = model_self(model);
	struct notes *notes = notes_of(model);
	unsigned int waiter = model->self;
	bool got = self->variables[RESULT] == VALUE;

	/* The waiter is used for another wait, or its stack is gone. */
	model_touch(model, NODE + waiter);
	for (unsigned int i = 0; got && i < POSTS; i++) {
		if ((notes->told[waiter] & ~model->state.knows[waiter] >> DATA) >> i & 1)
			model_fail(model, "waiter %u has a post, and not what was written before it",
				   waiter);
	}
	notes->got += got;
	notes->told[waiter] = 0;
	self->variables[RESULT] = self->variables[WAIT_SEEN] = 0;
	self->at = WAIT;
	if (++self->variables[ROUND] < setup->waits)
		return;
	model_store(model, DONE + waiter, 1, MODEL_RELEASE);
	if (waiter == FIRST && setup->destroyed)
		self->at = DESTROY;
	else
		self->at = USER;
}

static void took(struct model *model)
{
	model_self(model)->variables[RESULT] = VALUE;
	notes_of(model)->told[model->self] = notes_of(model)->posted;
}

/* Until it is claimed; a thread with a deadline may claim itself. */
static bool waits(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int waiter = model->self, word = WAITER + waiter, seen;
	unsigned int mine = self->variables[ROUND] * NUMBER + WAITING;

	if (!is_thread(waiter)) {
		if (!model->state.now[INBOX + waiter])
			return false;
		model_await(model, INBOX + waiter, MODEL_ACQUIRE);
		model_store(model, INBOX + waiter, 0, MODEL_RELAXED);
		touch_context(model, waiter);
		self->at = WAIT_REASON;
		return true;
	}
	seen = mine;
	if (model->state.now[word] == mine) {
		if (!has_deadline(waiter))
			return false;
		model_compare_exchange(model, word, &seen, mine - WAITING + TIMED_OUT, MODEL_ACQ_REL,
				       MODEL_ACQUIRE, false);
	} else {
		model_await(model, word, part_acquire(model, EVENT_WITHOUT_W2_WAITER));	/* [W2] */
	}
	self->at = part_without(model, EVENT_WITHOUT_PASS) ||
		   part_without(model, EVENT_WITHOUT_W2_PASS) ? WAIT_REASON : WAIT_PASS;
	return true;
}

static bool wait(struct model *model)
{
	struct model_thread *self = model_self(model);
	uint8_t *seen = &self->variables[WAIT_SEEN];
	unsigned int waiter = model->self, links;
	bool taken;

	switch ((enum step)self->at) {
	case WAIT:
		if (!lock(model))
			return false;
		use(model);
		self->at = WAIT_LOOK;
		break;
	case WAIT_LOOK:
		self->at = WAIT_BEGIN;
		if (model_owned_load(model, LINKS))
			break;			/* posts on their way to others are theirs */
		*seen = (uint8_t)model_load(model, WORD, MODEL_RELAXED);
		self->at = WAIT_TAKE;
		break;
	case WAIT_TAKE:
	case AGAIN_TAKE:
		if (!take(model, seen, &taken))
			break;
		if (taken)
			took(model);
		self->at = taken || self->at == AGAIN_TAKE ? WAIT_UNLOCK : WAIT_BEGIN;
		break;
	case WAIT_BEGIN:
		links = model_owned_load(model, LINKS);
		model_touch(model, NODE + waiter);
		model_owned_store(model, LINKS, links ? links | (waiter + 1) << 4 : waiter + 1);
		model_store(model, WAITER + waiter, self->variables[ROUND] * NUMBER + PREPARED,
			    MODEL_RELAXED);
		self->at = WAIT_COMMIT;
		break;
	case WAIT_COMMIT:
		touch_context(model, waiter);
		model_store(model, WAITER + waiter, self->variables[ROUND] * NUMBER + WAITING,
			    part_release(model, EVENT_WITHOUT_W1_COMMIT));		/* [W1] */
		self->at = WAIT_PARK;
		break;
	case WAIT_PARK:
		unlock(model);
		self->at = WAITS;
		break;
	case WAITS:
		return waits(model);
	case WAIT_PASS:
		if (!lock(model))
			return false;
		self->at = WAIT_PASSED;
		break;
	case WAIT_PASSED:
		unlock(model);
		self->at = WAIT_REASON;
		break;
	case WAIT_REASON:
		self->variables[RESULT] = (uint8_t)(model_load(model, WAITER + waiter, part_acquire(
			model, EVENT_WITHOUT_W2_WAITER)) % NUMBER);			/* [W2] */
		self->at = self->variables[RESULT] == VALUE ? WAIT_OVER : AGAIN;
		break;
	case AGAIN:
		if (!lock(model))
			return false;
		self->at = AGAIN_UNLINK;
		break;
	case AGAIN_UNLINK:
		links = model_owned_load(model, LINKS);
		model_touch(model, NODE + waiter);
		if ((links & 15) == waiter + 1)
			links >>= 4;
		else if (links >> 4 == waiter + 1)
			links &= 15;
		model_owned_store(model, LINKS, links);
		self->at = AGAIN_LOAD;
		break;
	case AGAIN_LOAD:
		*seen = (uint8_t)model_load(model, WORD, MODEL_RELAXED);
		self->at = AGAIN_TAKE;
		break;
	case WAIT_UNLOCK:
		use(model);
		unlock(model);
		self->at = WAIT_OVER;
		break;
	default:
		end_wait(model);
		break;
	}
	return true;
}

/* All posts have begun, and the other waiter is done: else the program must not destroy it. */
static bool may_destroy(struct model *model)
{
	unsigned int all = setup->posts + setup->handled + setup->nested;

	return notes_of(model)->made == all && (waiters() < 2 || model->state.now[DONE + SECOND]);
}

static bool destroy(struct model *model)
{
	struct model_thread *self = model_self(model);

	switch ((enum step)self->at) {
	case DESTROY:
		if (!may_destroy(model) || !lock(model))
			return false;
		if (waiters() > 1)
			model_await(model, DONE + SECOND, MODEL_ACQUIRE);
		self->at = DESTROY_LOOK;
		break;
	case DESTROY_LOOK:
		if (model_owned_load(model, LINKS))
			model_fail(model, "the event is destroyed, and somebody waits");
		self->at = DESTROY_UNLOCK;
		break;
	case DESTROY_UNLOCK:
		unlock(model);
		self->at = part_without(model, EVENT_WITHOUT_E4_WAIT) ? GONE : DESTROY_WAIT;
		break;
	case DESTROY_WAIT:
		if (model_load(model, WORD, part_acquire(model, EVENT_WITHOUT_E4_ACQUIRE)) < HOLD)
			self->at = GONE;						/* [E4] */
		break;
	default:
		for (unsigned int i = 0; i < THREADS; i++)
			model_touch(model, LIFE + i);
		notes_of(model)->gone = 1;
		part_end(model, OVER);
		break;
	}
	return true;
}

/* A worker's timer, which ends a wait of the first waiter: lib/worker/timers.c. Once, or never. */
static bool timer(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int seen = self->variables[SEEN];

	switch ((enum step)self->at) {
	case TIMER_LOOK:
		if (model->state.now[WAITER + FIRST] % NUMBER != WAITING)
			return false;
		self->variables[SEEN] = (uint8_t)model_await(model, WAITER + FIRST, MODEL_RELAXED);
		self->at = TIMER_CLAIM;
		break;
	case TIMER_CLAIM:
		switch (model_compare_exchange(
			model, WAITER + FIRST, &seen, seen - WAITING + TIMED_OUT,
			part_order(model, MODEL_ACQ_REL, MODEL_ACQUIRE, EVENT_WITHOUT_W1_TIMER),
			MODEL_RELAXED, part_without(model, EVENT_WITHOUT_CLAIM_TIMER))) {
		case MODEL_WON:								/* [W1] */
			self->at = TIMER_RESUME;
			break;
		case MODEL_LOST:
			part_end(model, OVER);
			break;
		case MODEL_HALF:
			break;
		}
		break;
	default:
		touch_context(model, FIRST);
		model_store(model, INBOX + FIRST, 1, MODEL_RELEASE);
		part_end(model, OVER);
		break;
	}
	return true;
}

/* leave_to_monitor() for another event of the runtime */
static bool other(struct model *model)
{
	struct model_thread *self = model_self(model);
	unsigned int seen = self->variables[SEEN];

	switch ((enum step)self->at) {
	case OTHER_FIRST:
		self->variables[SEEN] = (uint8_t)model_load(model, POSTED, MODEL_RELAXED);
		self->at = OTHER_LINK;
		break;
	case OTHER_LINK:
		model_owned_store(model, OTHER_NEXT, seen);
		self->at = OTHER_PUSH;
		break;
	case OTHER_PUSH:
		switch (model_compare_exchange(model, POSTED, &seen, ANOTHER, MODEL_RELEASE,
					       MODEL_RELAXED,
					       part_without(model, EVENT_WITHOUT_E3_PUSH))) {
		case MODEL_WON:
			self->at = OTHER_WAKE;
			break;
		case MODEL_LOST:
			self->variables[SEEN] = (uint8_t)seen;
			self->at = OTHER_LINK;
			break;
		case MODEL_HALF:
			break;
		}
		break;
	default:
		model_change(model, EVENTFD, &seen, part_replace, 1, MODEL_ACQ_REL, false);
		part_end(model, OVER);
		break;
	}
	return true;
}

/* A handler comes to a thread, wherever that is, and posts. */
static bool interrupt(struct model *model, unsigned int thread, uint8_t *left)
{
	struct model_thread *self = &model->state.threads[thread];

	if (!*left || self->half || self->depth || self->at == OVER || self->at >= DESTROY)
		return false;
	--*left;
	self->back[self->depth++] = self->at;
	self->at = POST;
	model->self = thread;
	*of_post(model, POST_NUMBER) = 1;
	return true;
}

/* User code after the last wait or post, where handlers come still. */
static bool rest(struct model *model, unsigned int thread)
{
	const struct notes *notes = notes_of(model);

	if (notes->handlers[thread == POSTER] && thread != SECOND)
		return false;
	part_end(model, OVER);
	return true;
}

/* The next step uses only what is its thread's, or the lock's while it holds that: taken at once. */
static bool is_local(const struct model_thread *self)
{
	switch ((enum step)self->at) {
	case POST:
	case PUSH_NEXT:
	case DELIVER:
	case DELIVER_REMOVE:
	case DELIVER_UNLINK:
	case LIST_NEXT:
	case WAIT_BEGIN:
	case AGAIN_UNLINK:
		return !self->half;
	default:
		return false;
	}
}

static bool take_step(struct model *model)
{
	unsigned int actor = model->self, at = model_self(model)->at;

	if (at == OVER)
		return false;
	if (at <= POST_END)
		return post(model);
	if (at <= DELIVER_RESUME)
		return deliver(model);
	if (at <= LET_GO)
		return monitor(model);
	if (at <= WAIT_OVER)
		return wait(model);
	if (at == USER)
		return rest(model, actor);
	if (at <= GONE)
		return destroy(model);
	return at <= TIMER_RESUME ? timer(model) : other(model);
}

static bool step(struct model *model, unsigned int actor)
{
	struct notes *notes = notes_of(model);
	bool moved = actor == AT_WAITER ? interrupt(model, FIRST, &notes->handlers[0]) :
		     actor == AT_POSTER ? interrupt(model, POSTER, &notes->handlers[1]) :
		     take_step(model);

	while (moved && !model->failed && is_local(model_self(model)))
		(void)take_step(model);
	return moved;
}

/* Each post was taken or is there, nobody waits for one that is, and the monitor has nothing to do. */
static bool is_over(struct model *model)
{
	const struct model_state *state = &model->state;
	const struct notes *notes = notes_of(model);
	unsigned int left = state->now[WORD];

	for (unsigned int i = 0; i < WAITERS; i++) {
		if (state->threads[i].at != OVER && (state->threads[i].at != WAITS || left))
			return false;
	}
	return state->threads[POSTER].at == OVER && state->threads[MONITOR].at == SLEEP &&
	       (state->threads[TIMER].at == OVER || state->threads[TIMER].at == TIMER_LOOK) &&
	       state->threads[OTHER].at == OVER && !state->now[EVENTFD] && !state->now[POSTED] &&
	       !state->now[LOCK] && left <= POSTS_MASK && notes->made == notes->got + left &&
	       notes->other_seen == setup->other;
}

static void tell_actor(struct model *model, unsigned int actor, char *text, size_t bytes)
{
	static const char *const names[] = {
		"post: begins", "post: one more", "post: is the lock held?", "post: CAS of the lock",
		"post: queued", "push: first of the list", "push: next", "push: CAS",
		"wakes the monitor", "post: over", "deliver: does anybody wait?", "deliver: posts?",
		"deliver: takes one", "deliver: unlinks", "deliver: does it wait still?",
		"deliver: claims", "deliver: it has timed out", "deliver: gives it back",
		"deliver: unlock", "deliver: resumes it", "sleeps", "looks at the list",
		"takes the list", "next of the list", "holds it, no longer queued", "lock",
		"lets it go", "wait: lock", "wait: look", "wait: takes one", "wait: begins",
		"wait: commits", "wait: unlock", "waits", "wait: lock after it", "wait: unlock after it",
		"wait: why is it over?", "timed out: lock", "timed out: unlinks", "timed out: posts?",
		"timed out: takes one", "wait: unlock at the end", "wait: over", "user code",
		"destroy: lock",
		"destroy: does anybody wait?", "destroy: unlock", "destroy: who is inside?",
		"the event is gone", "does it wait?", "claims it", "resumes it", "first of the list",
		"next", "CAS of the list", "wakes the monitor", "over",
	};
	static const char *const who[] = {
		"waiter 0", "waiter 1", "poster", "monitor", "timer", "other", "waiter 0", "poster",
	};

	if (actor >= THREADS)
		snprintf(text, bytes, "%s  a handler comes", who[actor]);
	else
		snprintf(text, bytes, "%s%s  %s", who[actor],
			 model->state.threads[actor].depth ? "'s handler" : "",
			 names[model->state.threads[actor].at]);
}

static void tell_word(unsigned int word, char *text, size_t bytes)
{
	static const struct {
		unsigned int first;
		const char *name;
	} names[] = {
		{ LIFE, "the event, by thread" }, { DATA, "what was before a post, by waiter" },
		{ CONTEXT, "the context of waiter" }, { NODE, "the links of waiter" },
		{ OTHER_NEXT, "next of the other event" }, { NEXT, "next" }, { LINKS, "waiters" },
		{ DONE, "done" }, { INBOX, "the inbox of waiter" }, { WAITER, "word of waiter" },
		{ EVENTFD, "eventfd" }, { POSTED, "the list" }, { LOCK, "lock" }, { WORD, "word" },
	};
	unsigned int i = 0;

	while (names[i].first > word)
		i++;
	snprintf(text, bytes, "%s %u", names[i].name, word - names[i].first);
}

static uint64_t set_of(unsigned int first, unsigned int count)
{
	return ((UINT64_C(1) << count) - 1) << first;
}

/* Where an old value matters. What is only changed at once, or awaited, has none. */
static void set_reads(void)
{
	uint64_t all = ~(set_of(LOCK, 2) | set_of(EVENTFD, LINKS - EVENTFD));
	uint64_t poster = set_of(LOCK, 2);

	machine.reads[FIRST] = all | (setup->handled ? poster : 0);
	machine.reads[SECOND] = all & ~set_of(WAITER + FIRST, 1);
	machine.reads[POSTER] = all | poster;
	machine.reads[MONITOR] = all | set_of(POSTED, 1);
	machine.reads[TIMER] = set_of(WAITER + FIRST, 1) | set_of(CONTEXT + FIRST, 1);
	machine.reads[OTHER] = set_of(POSTED, 1) | set_of(OTHER_NEXT, 1);
}

/* What each word's release stores are there to pass on. */
static void set_passes(void)
{
	uint64_t data = set_of(DATA, POSTS), life = set_of(LIFE, THREADS);
	uint64_t links = set_of(LINKS, 1) | set_of(NODE, WAITERS) | set_of(WAITER, WAITERS);

	machine.passes[WORD] = data | life | set_of(NEXT, 1);
	machine.passes[LOCK] = links | data | life | set_of(WORD, 1);
	machine.passes[POSTED] = set_of(NEXT, 2);
	machine.passes[EVENTFD] = set_of(POSTED, 1);
	for (unsigned int i = 0; i < WAITERS; i++) {
		machine.passes[WAITER + i] = data | links | set_of(CONTEXT + i, 1);
		machine.passes[INBOX + i] = data | links | set_of(CONTEXT + i, 1) |
					    set_of(INBOX + i, 1);
		machine.passes[DONE + i] = UINT64_MAX;
	}
}

static PART_MACHINE(any, .actors = ACTORS, .carrying = LINKS, .remembering = LOCK,
		    .notes = sizeof(struct notes), .begin = begin, .tell_value = part_tell_number,
		    .step = step, .is_over = is_over);

const struct model_machine *event_machine(const struct event_setup *wanted)
{
	setup = wanted;
	machine = any_machine;
	machine.name = wanted->name;
	set_reads();
	set_passes();
	return &machine;
}
