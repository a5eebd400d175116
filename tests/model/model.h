/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_MODEL_MODEL_H
#define USCHED_TESTS_MODEL_MODEL_H

/*
 * An explorer: every interleaving of a few threads that take steps on shared words, under a memory
 * weaker than that of any CPU we run on.
 *
 *	machine		what is explored: how it begins, one step of an actor, when it is over
 *	actor		a thread, or something that interrupts one
 *	step		at most one access that others can see; then the next actor's turn
 *	choice		where a step may go on in more than one way, all ways are gone
 *
 * Memory. A word has its last value and the one before. Each thread knows of some words the last
 * store. Of a word that it does not know, a load gives either value: the store is still on its way
 * to this thread, or the load was done early; different threads may disagree. So stores pass loads,
 * stores and each other, as from a store buffer that drains in any order, and loads pass loads, in
 * all the ways in which C11 allows it, but for the three below.
 *
 *	release store	carries what its thread knows
 *	acquire load	of the last value: its thread learns what that store carried
 *	read-modify-write  takes the last value; what the store before carried is carried on
 *	fence		seq_cst: learns what earlier fences knew, and passes on what it knows
 *	barrier		membarrier: the caller and another thread learn what each other knows
 *	touch		a plain access: the thread must know the last one, else it is a race
 *
 * A word that is protected by another one is owned: it has a value, and each access is a touch.
 *
 * Not modelled: values older than the last but one; stores that come between two earlier ones; a
 * store that is seen before a load that precedes it in its own thread. What a thread may do wrong by
 * the last is found as a race: touches ask for an order, whatever the values were.
 *
 * A state is known again by 64 bits of hash. At the largest number of states that is allowed, the
 * odds that any two are taken for one are one in a million.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MODEL_THREADS = 7,
	MODEL_WORDS = 64,		/* bits of a set of words			*/
	MODEL_BACK = 5,			/* depth of calls				*/
	MODEL_VARIABLES = 16,
	MODEL_NOTES = 40,
	MODEL_CHOICES = 16,		/* within one step				*/
	MODEL_STATES_MAX = 6000000,	/* of one machine; reaching it is a failure	*/
	MODEL_TEXT = 256,
};

enum model_order {
	MODEL_RELAXED = 0,
	MODEL_ACQUIRE = 1,
	MODEL_RELEASE = 2,
	MODEL_ACQ_REL = MODEL_ACQUIRE | MODEL_RELEASE,
};

/* Of a read-modify-write. One that a test has split into a load and a store is half done between. */
enum model_done { MODEL_LOST, MODEL_WON, MODEL_HALF };

struct model_thread {
	uint16_t seen;			/* by the half that is done			*/
	uint8_t half;
	uint8_t at;			/* next step					*/
	uint8_t depth;
	uint8_t back[MODEL_BACK];
	uint8_t variables[MODEL_VARIABLES];
};

struct model_state {
	uint64_t knows[MODEL_THREADS];	/* sets of words: the last store was seen	*/
	uint64_t heard[MODEL_THREADS];	/* what an acquire fence would add to it	*/
	uint64_t fences;		/* what the fences so far knew			*/
	uint64_t ended;			/* threads that read nothing any more		*/
	uint64_t carries[MODEL_WORDS];	/* by the last store				*/
	uint64_t carried[MODEL_WORDS];	/* by the one before				*/
	uint16_t now[MODEL_WORDS];
	uint16_t before[MODEL_WORDS];
	struct model_thread threads[MODEL_THREADS];
	uint8_t notes[MODEL_NOTES];	/* what no thread reads: who owns what, budgets	*/
};

struct model;

struct model_machine {
	const char *name;
	unsigned int threads;
	unsigned int actors;		/* the threads come first			*/
	unsigned int words;
	unsigned int carrying;		/* the first so many are stored to with release	*/
	unsigned int remembering;	/* of them, of which old values are acquired, too */
	uint64_t reads[MODEL_THREADS];	/* sets: where a thread may still see an old value */
	uint64_t passes[MODEL_WORDS];	/* sets: what a release store to the word is for */
	uint64_t fenced;		/* what fences are for				*/
	uint64_t barred;		/* what barriers are for			*/
	unsigned int notes;		/* bytes in use					*/
	bool acquire_fences;		/* `heard` is kept				*/
	void (*begin)(struct model *model);
	/* False: the actor can do nothing now. */
	bool (*step)(struct model *model, unsigned int actor);
	/* Nothing is left to be done: it is right that nobody can take a step. */
	bool (*is_over)(struct model *model);
	/* For traces: who, and what the next step of that one is; a word's name; its value. */
	void (*tell_actor)(struct model *model, unsigned int actor, char *text, size_t bytes);
	void (*tell_word)(unsigned int word, char *text, size_t bytes);
	void (*tell_value)(unsigned int word, unsigned int value, char *text, size_t bytes);
};

struct model {
	struct model_state state;
	const struct model_machine *machine;
	unsigned int self;		/* thread that takes the step			*/
	unsigned int weakened;		/* which order, fence or atomicity is left out; 0: none */
	bool narrow;			/* release stores pass on only what they are for	*/
	bool failed;
	char failure[MODEL_TEXT];

	struct {
		uint8_t count, chosen;
	} choices[MODEL_CHOICES];
	unsigned int choice, choice_count;

	bool telling;			/* a trace is written				*/
	char told[2 * MODEL_TEXT];
};

/* memory.c */

/** model_load() - of the last value, or of the one before by a thread that does not know better */
unsigned int model_load(struct model *model, unsigned int word, enum model_order order);

/** model_await() - the last value, by a thread that looks until it sees it */
unsigned int model_await(struct model *model, unsigned int word, enum model_order order);

void model_store(struct model *model, unsigned int word, unsigned int value,
		 enum model_order order);

/**
 * model_compare_exchange() - if the word has the value *seen
 * @lost:	order of the load when it has not
 * @split:	not atomic: the first call loads, the second, in a step of its own, stores
 *
 * Return:	LOST: *seen is the value; WON; HALF: end the step, and do the same again in the next
 */
enum model_done model_compare_exchange(struct model *model, unsigned int word, unsigned int *seen,
				       unsigned int value, enum model_order order,
				       enum model_order lost, bool split);

/** model_change() - any other read-modify-write: *seen becomes change(*seen, argument). Never LOST. */
enum model_done model_change(struct model *model, unsigned int word, unsigned int *seen,
			     unsigned int (*change)(unsigned int value, unsigned int argument),
			     unsigned int argument, enum model_order order, bool split);

void model_fence(struct model *model);
void model_acquire_fence(struct model *model);

/** model_barrier() - by the caller, on another thread */
void model_barrier(struct model *model, unsigned int thread);

/** model_depend() - a load of @word gave a pointer: words behind it are read after it */
void model_depend(struct model *model, unsigned int word, uint64_t behind);

/** model_publish() - an old value of a word would make no difference from here on */
void model_publish(struct model *model, unsigned int word);

void model_touch(struct model *model, unsigned int word);
unsigned int model_owned_load(struct model *model, unsigned int word);
void model_owned_store(struct model *model, unsigned int word, unsigned int value);

/** model_end_thread() - it reads nothing any more, so what it knows tells no states apart */
void model_end_thread(struct model *model);

/** model_tidy() - bring a state into the form in which it is compared. After each step. */
void model_tidy(struct model *model);

static inline struct model_thread *model_self(struct model *model)
{
	return &model->state.threads[model->self];
}

/** model_choose() - one of @count ways; in the end each of them is gone */
unsigned int model_choose(struct model *model, unsigned int count);

/** model_fail() - what must not be; the first text counts */
void model_fail(struct model *model, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* explore.c */

enum model_verdict {
	MODEL_HOLDS,
	MODEL_VIOLATED,		/* a step failed				*/
	MODEL_STUCK,		/* nobody can take a step, and it is not over	*/
	MODEL_LIVELOCK,		/* no path leads on to where it is over		*/
	MODEL_TOO_LARGE,
};

struct model_result {
	enum model_verdict verdict;
	unsigned int states;
	unsigned int depth;		/* steps to the violation		*/
	uint64_t transitions;
	char failure[MODEL_TEXT];
};

/**
 * model_explore() - all states of a machine, breadth first, and whether each leads to an end
 * @weakened:	what the machine is to leave out; 0: nothing
 * @narrow:	a release store passes on only what it is there for. Stricter, and far fewer states: to
 *		show that the machine holds. A violation proves something only without it.
 * @tell:	write the shortest way to a violation to stdout
 */
struct model_result model_explore(const struct model_machine *machine, unsigned int weakened,
				  bool narrow, bool tell);

#endif /* USCHED_TESTS_MODEL_MODEL_H */
