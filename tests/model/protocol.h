/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_MODEL_PROTOCOL_H
#define USCHED_TESTS_MODEL_PROTOCOL_H

/*
 * The protocol of carriers, workers and the monitor as a machine of model.h. Each step stands for a
 * line or a few of lib/worker or lib/preempt, which its comment names, with the letter of the order
 * there. The steps are in
 *
 *	carrier.c	enter, leave, regain, wait, the loop	lib/worker/carrier.[ch], dispatch.c
 *	user.c		calls, parks, yields, ends		lib/worker/dispatch.c
 *	pick.c		queues and spares, pick, steal		lib/worker/dispatch.c, find.c
 *	idle.c		sleep and wake				lib/worker/find.c
 *	tick.c		handler, hand-off, surrender		lib/preempt/decide.c,
 *								lib/worker/handoff.c
 *	monitor.c	take, stand in, revoke, reconcile	lib/preempt/monitor.c,
 *								lib/runtime/host.c
 *	outside.c	a plain thread spawns			lib/runtime/spawn.c
 *
 * A queue is one word here: pushes and pops are single read-modify-writes with the order that the
 * queue promises. That the real ones keep the promise is explored apart: ring.c, spares.c, inbox.c.
 *
 * Notes are what no thread reads: who owns a worker, where a fiber is. Each change of owner is
 * checked against them, and each use of a worker or of a fiber's stack is a touch, so two owners, or
 * two in a row that nothing orders, are found wherever they come from.
 */

#include <string.h>

#include "model.h"
#include "steps.h"
#include "weak.h"

enum { PROTOCOL_CARRIERS = 4, PROTOCOL_WORKERS = 2, PROTOCOL_FIBERS = 4 };

/*
 * What is explored. A fiber's script has one letter for each thing it does before it ends:
 *
 *	c  a call that does not switch: enter, leave		y  yields
 *	p  parks, until somebody wakes it			w  wakes fiber 0, once it has parked
 *	b  blocks in the kernel, until an s			s  lets all b go on, without the library
 *	k  parks pinned: its carrier waits with it		.  computes
 *	t  is interrupted by a tick, beside those that come at any moment
 */
struct protocol_setup {
	const char *name;
	unsigned int carriers, workers;
	const char *fibers[PROTOCOL_FIBERS];
	const char *where;		/* each fiber at first: ring of worker 0 or 1, i inbox,
					   o with the outside thread, m the same, for worker 1	*/
	unsigned int ticks;		/* at any moment, on any carrier			*/
	unsigned int takes;		/* of carriers that do not block			*/
	unsigned int revokes;		/* of the last worker's CPU, granted again at some time	*/
	bool for_good;			/* it is not granted again				*/
	bool batched;			/* one barrier for all requests of a pass		*/
	bool no_membarrier;		/* enter has a fence of its own				*/
	bool sleeps;			/* idle bits and polls, instead of looking all the time	*/
	bool front;			/* a stopped fiber goes to the front: libc's text	*/
	bool stands_in;			/* without a spare the monitor gives a worker to the
					   carrier of a stopped fiber				*/
};

/* The shared words, by kind; those before CARRIER_WORKER are stored to with release somewhere. */
enum protocol_kind {
	IN_RUNTIME, REVOKE, GO,				/* of a carrier			*/
	MODE, RING, MAILBOX,				/* of a worker			*/
	WAITER,						/* of a fiber			*/
	INBOX, SPARES, IDLE,
	CARRIER_WORKER, CURRENT, ORDER, HANDED,		/* of a carrier			*/
	OWNER, REVOKED, NEXT, INSIDE,			/* of a worker			*/
	BOUND, STACK,					/* of a fiber			*/
	IDLE_COUNT,
	PROTOCOL_KINDS,
};

/* Values. Carriers, workers and fibers are stored as their number + 1; 0 is none. */
enum { NONE, REQUESTED, TAKEN };			/* REVOKE			*/
enum { DORMANT, MOVING, OWNED, SLEEPING };		/* MODE				*/
enum { NOT_WAITING, WAITING, WOKEN };			/* WAITER			*/

/* Notes: who has the worker, and where the fiber is; a carrier or thread is added to some. */
enum { HELD_BY = 0, ORDERED_TO = 16, WITH_MONITOR = 32, WITH_NOBODY = 33 };
enum { IN_HAND_OF = 0, RUNNING_ON = 16, QUEUED = 32, PARKED = 33, DONE = 34 };

struct protocol_notes {
	uint8_t holder[PROTOCOL_WORKERS];
	uint8_t place[PROTOCOL_FIBERS];
	uint8_t position[PROTOCOL_FIBERS];	/* in its script			*/
	uint8_t goes_on[PROTOCOL_FIBERS];	/* step after a switch back to it	*/
	uint8_t ticks, takes, revokes;		/* left					*/
	uint8_t kicked;				/* set of carriers: a tick was sent	*/
	uint8_t event;				/* set of workers: eventfd is readable	*/
	uint8_t granted;			/* set of workers			*/
	uint8_t signalled;			/* an s has been			*/
};

_Static_assert(sizeof(struct protocol_notes) <= MODEL_NOTES, "the notes have room");

/* A thread's own variables. */
enum protocol_variable {
	/* of a carrier */
	PICKED,			/* fiber + 1 that pick, or steal, has found	*/
	SPARE,			/* carrier + 1					*/
	AFTER,			/* what the switch leaves to do			*/
	LEFT,			/* the fiber + 1 it is for			*/
	PENDING,		/* 0, or 1 + the fiber + 1 that it was for	*/
	INTERRUPTED,		/* step at which the tick came			*/
	IN_HANDLER,
	LEAVES_HERE,		/* by usched_leave_here()			*/
	INDEX,			/* of a loop in steps, or a worker		*/
	FOUND_ANY,
	TARGET,			/* carrier + 1 that gets the worker		*/
	IDLERS,			/* set of workers that may be woken		*/
	NOTE_SEEN,		/* an early look at PENDING, or revoke		*/
	/* of the monitor */
	PASS = 0,		/* worker it looks at				*/
	CHECKING,		/* the pass has made its requests		*/
	REQUESTS,
	REQUEST,		/* of them, the one it sees to			*/
	ASKED,			/* carrier + 1, worker, spare + 1, for each	*/
	HEIR = IDLERS + 1,	/* carrier + 1 of a stopped fiber		*/
	STOPPED,		/* that fiber + 1, if it was in a queue		*/
	LOOKS,			/* left at the queue it looks through		*/
	MOVED,			/* something was taken out of a ring, 1, or an inbox, 2 */
};

enum { AFTER_NOTHING, AFTER_READY, AFTER_PARK, AFTER_EXIT };

/* What is explored just now; there is one explorer at a time. */
extern const struct protocol_setup *protocol_setup;

/** protocol_machine() - the machine of a setup; in use until the next call */
const struct model_machine *protocol_machine(const struct protocol_setup *setup);

/** protocol_was_taken() - whether any exploration so far has taken this step */
bool protocol_was_taken(enum protocol_step step);

/* words.c */

unsigned int protocol_word(enum protocol_kind kind, unsigned int index);

/** protocol_set_words() - number the words of a setup, and what its machine says of them */
void protocol_set_words(struct model_machine *machine);

void protocol_tell_word(unsigned int word, char *text, size_t bytes);
void protocol_tell_value(unsigned int word, unsigned int value, char *text, size_t bytes);

static inline struct protocol_notes *protocol_notes(struct model *model)
{
	return (struct protocol_notes *)model->state.notes;
}

/* The carrier's own words, read by itself: the last value. */
static inline unsigned int protocol_current(const struct model *model)
{
	return model->state.now[protocol_word(CURRENT, model->self)] - 1u;
}

static inline unsigned int protocol_worker(const struct model *model)
{
	return model->state.now[protocol_word(CARRIER_WORKER, model->self)] - 1u;
}

/* What a setup has no use for takes no steps of its own. */
static inline bool protocol_has_thieves(void)
{
	return protocol_setup->workers > 1;
}

static inline bool protocol_has_mailboxes(void)
{
	return strchr(protocol_setup->where, 'm') != NULL;
}

static inline unsigned int protocol_fibers(void)
{
	unsigned int count = 0;

	while (count < PROTOCOL_FIBERS && protocol_setup->fibers[count])
		count++;
	return count;
}

/* checks.c */

/** protocol_use() - the owner uses what is inside its worker */
void protocol_use(struct model *model);

/** protocol_run() - the carrier runs on the stack of its fiber */
void protocol_run(struct model *model);

/** protocol_give() - usched_carrier_give() by who holds the worker; @handed: fiber + 1, or 0 */
void protocol_give(struct model *model, unsigned int to, unsigned int worker, unsigned int handed);

/** protocol_make_current() - make_current() of dispatch.c */
void protocol_make_current(struct model *model, unsigned int fiber);

/* A fiber changes its place; the notes have to allow it. */
void protocol_queue(struct model *model, unsigned int fiber);
void protocol_unqueue(struct model *model, unsigned int fiber);

/* protocol.c */

/* A call of steps: they go on at `back`. */
void protocol_call(struct model *model, enum protocol_step at, enum protocol_step back);
void protocol_return(struct model *model);

/* pick.c: `next`, which only the owner writes */
unsigned int protocol_swap_next(struct model *model, unsigned int worker, unsigned int number);

/* pick.c: queues in one word. They return false when an operation is half done. */
bool protocol_pop(struct model *model, unsigned int word, unsigned int *number,
		  enum model_order order, bool split);
bool protocol_push_ring(struct model *model, unsigned int fiber);
bool protocol_push_inbox(struct model *model, enum protocol_kind kind, unsigned int worker,
			 unsigned int fiber);
void protocol_put_into_inbox(struct model *model, unsigned int fiber, enum model_order order);
bool protocol_pop_inbox(struct model *model, enum protocol_kind kind, unsigned int worker,
			unsigned int *fiber);
bool protocol_push_spare(struct model *model, unsigned int carrier);
bool protocol_pop_spare(struct model *model, unsigned int *carrier);

/* idle.c */

/** protocol_claim() - claim_idle() without its count. *had: the bit was set, count and wake */
bool protocol_claim(struct model *model, unsigned int worker, bool *had);

/** protocol_count() - add to idle_count; 15 takes one away */
bool protocol_count(struct model *model, unsigned int more);

/** protocol_enter() - the first step of usched_enter_carrier(), which goes on at @back */
void protocol_enter(struct model *model, enum protocol_step back);

/* Steps by file; they return as `step` of a machine does. */
bool protocol_carrier_step(struct model *model);
bool protocol_pick_step(struct model *model);
bool protocol_idle_step(struct model *model);
bool protocol_user_step(struct model *model);
bool protocol_tick_step(struct model *model);
bool protocol_monitor_step(struct model *model);
bool protocol_outside_step(struct model *model);

/** protocol_be_ticked() - the first step of a tick, in user code */
void protocol_be_ticked(struct model *model);

/** protocol_tick() - a tick comes to a carrier */
bool protocol_tick(struct model *model, unsigned int carrier);

#endif /* USCHED_TESTS_MODEL_PROTOCOL_H */
