/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_MODEL_PART_H
#define USCHED_TESTS_MODEL_PART_H

/*
 * What the machines of queues.h share: a part has a few threads, all of which may read each word, and
 * each ends in a step of its own. A part's file has its words, its steps, and PART_MACHINE at its end.
 */

#include <stdio.h>

#include "model.h"

/* Whether this is left out now. */
static inline bool part_without(const struct model *model, unsigned int weak)
{
	return model->weakened == weak;
}

/* An order, without @missing if @weak is left out now. */
static inline enum model_order part_order(const struct model *model, unsigned int whole,
					  unsigned int missing, unsigned int weak)
{
	return part_without(model, weak) ? whole & ~missing : whole;
}

static inline enum model_order part_acquire(const struct model *model, unsigned int weak)
{
	return part_order(model, MODEL_ACQUIRE, MODEL_ACQUIRE, weak);
}

static inline enum model_order part_release(const struct model *model, unsigned int weak)
{
	return part_order(model, MODEL_RELEASE, MODEL_RELEASE, weak);
}

static inline void part_fence(struct model *model, unsigned int weak)
{
	if (!part_without(model, weak))
		model_fence(model);
}

/* The thread is done. */
static inline void part_end(struct model *model, unsigned int over)
{
	model_self(model)->at = (uint8_t)over;
	model_end_thread(model);
}

static inline bool part_all_are_over(const struct model *model, unsigned int over)
{
	for (unsigned int i = 0; i < model->machine->threads; i++) {
		if (model->state.threads[i].at != over)
			return false;
	}
	return true;
}

/* Changes for model_change(). */
static inline unsigned int part_replace(unsigned int old, unsigned int new)
{
	(void)old;
	return new;
}

/* All words are zero at first. */
static inline void part_begin(struct model *model)
{
	(void)model;
}

static inline void part_tell_number(unsigned int word, unsigned int value, char *text, size_t bytes)
{
	(void)word;
	snprintf(text, bytes, "%u", value);
}

/* With THREADS, WORDS, tell_actor() and tell_word() of the file; the rest is given. */
#define PART_MACHINE(part, ...)						\
	const struct model_machine part##_machine = {			\
		.name = #part,						\
		.threads = THREADS,					\
		.words = WORDS,						\
		.reads = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, \
			   UINT64_MAX },				\
		.tell_actor = tell_actor,				\
		.tell_word = tell_word,					\
		__VA_ARGS__						\
	}

#endif /* USCHED_TESTS_MODEL_PART_H */
