/* SPDX-License-Identifier: MIT */
/*
 * The rows of the decision table (lib/preempt/decide.c), by mode: which can apply, and how often
 * each was taken.
 *
 * The workers count by outcome. Two rows have the outcome DIRECT: 9, and 11, where no spare was left
 * and somebody behind the next fiber has a carrier. The second passes a step (worker/step.h), which
 * is counted here; only builds with --enable-debug have it.
 */
#include <stdio.h>

#include "runtime/runtime.h"
#include "storm.h"

enum {
	RUNS_MAX = 4096,
	BEHIND = USCHED_DECISION_COUNT,		/* row 11 */
	ROWS,
};

static const struct {
	const char *name;
	const char *row;			/* of the table */
} rows[ROWS] = {
	[USCHED_DECISION_DEFERRED] = { "deferred", "note" },
	[USCHED_DECISION_LOST] = { "lost", "turn" },
	[USCHED_DECISION_REVOKED] = { "revoked", "1" },
	[USCHED_DECISION_OFF] = { "off", "2" },
	[USCHED_DECISION_YOUNG] = { "young", "3" },
	[USCHED_DECISION_SECTION] = { "section", "4" },
	[USCHED_DECISION_NEVER] = { "never", "5" },
	[USCHED_DECISION_ALONE] = { "alone", "6" },
	[USCHED_DECISION_YIELDED] = { "yielded", "7" },
	[USCHED_DECISION_GRACE] = { "grace", "8" },
	[USCHED_DECISION_DIRECT] = { "direct", "9" },
	[USCHED_DECISION_SPARE] = { "spare", "10" },
	[BEHIND] = { "behind", "11" },
	[USCHED_DECISION_STARVED] = { "starved", "12" },
};

/* In the order of the table. */
static const unsigned int order[ROWS] = {
	USCHED_DECISION_DEFERRED, USCHED_DECISION_LOST, USCHED_DECISION_REVOKED,
	USCHED_DECISION_OFF, USCHED_DECISION_YOUNG, USCHED_DECISION_SECTION,
	USCHED_DECISION_NEVER, USCHED_DECISION_ALONE, USCHED_DECISION_YIELDED,
	USCHED_DECISION_GRACE, USCHED_DECISION_DIRECT, USCHED_DECISION_SPARE, BEHIND,
	USCHED_DECISION_STARVED,
};

struct taken {
	const struct storm_group *group;
	enum usched_preempt mode;
	uint64_t rows[ROWS];
};

static struct taken runs[RUNS_MAX];		/* by main */
static unsigned int run_count;
static uint64_t sums[USCHED_PREEMPT_MODES][ROWS];
static uint64_t tick_count;
static bool kinds[USCHED_TICK_TIMERFD + 1];	/* that some run had */
static _Atomic uint64_t behind[USCHED_PREEMPT_MODES];

/* The one place that says which row cannot come in which mode here, and why. NULL: it can. */
static const char *why_not(enum usched_preempt mode, unsigned int row)
{
	if (row == USCHED_DECISION_NEVER)
		return mode == USCHED_PREEMPT_NEVER ? NULL : "row 5 is for fibers of mode never";
	if (mode == USCHED_PREEMPT_NEVER &&
	    (row == USCHED_DECISION_ALONE || row == USCHED_DECISION_YIELDED ||
	     row == USCHED_DECISION_GRACE || row == USCHED_DECISION_DIRECT ||
	     row == USCHED_DECISION_SPARE || row == BEHIND || row == USCHED_DECISION_STARVED))
		return "row 5 comes before, and lets a fiber of mode never go on";
	if (row == USCHED_DECISION_YIELDED && mode != USCHED_PREEMPT_YIELD)
		return "row 7 is for fibers of mode yield";
	if (row == USCHED_DECISION_YIELDED && USCHED_SIGNALS_ARE_DELAYED)
		return "ThreadSanitizer delays signals, so the frame tells nothing of the code";
	if (row == USCHED_DECISION_YIELDED && USCHED_ARCH_GENERIC)
		return "with the ucontext switch every stack begins in libc, which is a veto";
	if (row == USCHED_DECISION_GRACE && !kinds[USCHED_TICK_PERF] && !kinds[USCHED_TICK_TIMER])
		return "the monitor's ticks cannot be asked for sooner";
	if (row == USCHED_DECISION_GRACE && USCHED_SIGNALS_ARE_DELAYED)
		return "ThreadSanitizer delays signals until libc is left";
	if (row == BEHIND && !USCHED_DEBUG)
		return "row 11 is told from row 9 with --enable-debug only";
	return NULL;
}

void storm_rows_behind(enum usched_preempt mode)
{
	atomic_fetch_add_explicit(&behind[mode], 1, memory_order_relaxed);
}

void storm_rows_take(void)
{
	struct usched_scheduler *scheduler = &storm_run.runtime->scheduler;
	enum usched_preempt mode = storm_run.mode;
	struct taken *taken = NULL;

	kinds[storm_run.runtime->tick.kind] = true;
	for (unsigned int i = 0; i < run_count && !taken; i++) {
		if (runs[i].group == storm_run.group && runs[i].mode == mode)
			taken = &runs[i];
	}
	if (!taken && run_count < RUNS_MAX)
		taken = &runs[run_count++];
	taken->group = storm_run.group;
	taken->mode = mode;
	for (unsigned int row = 0; row < ROWS; row++) {
		uint64_t count = 0;

		if (row == BEHIND)
			count = atomic_exchange_explicit(&behind[mode], 0, memory_order_relaxed);
		for (uint32_t i = 0; row != BEHIND && i < scheduler->worker_count; i++)
			count += atomic_load_explicit(
				&scheduler->workers[i].counters.decisions[mode][row],
				memory_order_relaxed);
		taken->rows[row] += count;
		sums[mode][row] += count;
	}
	for (uint32_t i = 0; i < scheduler->worker_count; i++)
		tick_count += atomic_load_explicit(&scheduler->workers[i].counters.ticks,
						   memory_order_relaxed);
}

/* Row 9 alone: its counter has row 11 in it. */
static uint64_t taken_of(const uint64_t *counts, unsigned int row)
{
	if (row != USCHED_DECISION_DIRECT)
		return counts[row];
	return counts[row] > counts[BEHIND] ? counts[row] - counts[BEHIND] : 0;
}

const char *storm_rows_short(enum usched_preempt mode, uint64_t least, uint64_t *taken)
{
	for (unsigned int i = 0; i < ROWS; i++) {
		*taken = taken_of(sums[mode], order[i]);
		if (!why_not(mode, order[i]) && *taken < least)
			return rows[order[i]].name;
	}
	return NULL;
}

static void print_line(const char *name, enum usched_preempt mode, const uint64_t *counts)
{
	printf("%-10s %-8s", name, storm_mode_name(mode));
	for (unsigned int i = 0; i < ROWS; i++) {
		if (why_not(mode, order[i]))
			printf(" %8s", "-");
		else
			printf(" %8llu", (unsigned long long)taken_of(counts, order[i]));
	}
	printf("\n");
}

void storm_rows_print(void)
{
	const char *said[16];
	unsigned int said_count = 0;

	printf("\nticks and notes by outcome; the row of the decision table below it\n%-10s %-8s",
	       "group", "mode");
	for (unsigned int i = 0; i < ROWS; i++)
		printf(" %8s", rows[order[i]].name);
	printf("\n%-10s %-8s", "", "");
	for (unsigned int i = 0; i < ROWS; i++)
		printf(" %8s", rows[order[i]].row);
	printf("\n");
	for (unsigned int i = 0; i < run_count; i++)
		print_line(runs[i].group->name, runs[i].mode, runs[i].rows);
	for (unsigned int mode = 0; mode < USCHED_PREEMPT_MODES; mode++) {
		bool ran = false;

		for (unsigned int i = 0; i < run_count; i++)
			ran |= runs[i].mode == mode;
		if (!ran)
			continue;
		print_line("all", mode, sums[mode]);
		for (unsigned int i = 0; i < ROWS; i++) {
			const char *why = why_not(mode, order[i]);
			bool known = !why;

			for (unsigned int j = 0; j < said_count; j++)
				known |= said[j] == why;
			if (!known && said_count < sizeof(said) / sizeof(said[0]))
				said[said_count++] = why;
		}
	}
	for (unsigned int i = 0; i < said_count; i++)
		printf("- %s\n", said[i]);
	printf("%llu ticks\n", (unsigned long long)tick_count);
}
