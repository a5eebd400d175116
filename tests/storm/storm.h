/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_STORM_H
#define USCHED_TESTS_STORM_H

/*
 * The storm: libraries that know nothing of fibers, run by many fibers on two workers, while ticks
 * come from everywhere, workers are taken and CPUs are revoked.
 *
 *	storm.c		options, the order of runs, the result
 *	drive.c		one run: a runtime, the fibers of one group and of the acts, their end
 *	weather.c	the thread that raises ticks, revokes CPUs and decides the phases; the hook
 *			that dawdles at the points of the protocol
 *	acts.c		fibers beside the group's, which cause the rarer rows of the decision table
 *	rows.c		which rows apply to which mode, and how often each was taken
 *	watch.c		the guard: nothing moves for a minute, so it says where all stand and ends
 *	canary.[cS]	a group: every register has a known value
 *	group_*.c	the other groups: one library or a few each
 *
 * A group's operation does something with its library and checks the result. It runs to its end in
 * bounded time, however slowly; the driver counts it. Nothing here is decided by time: a run lasts
 * as long as it was given, and longer until its fibers have done enough together; and there are
 * more runs until each row was taken often enough.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <usched/usched.h>

#ifdef __cplusplus
extern "C" {
#endif

struct usched_runtime;
struct storm_group;

struct storm_fiber {
	const struct storm_group *group;
	unsigned int number;		/* within its group				*/
	uint64_t random;
	void *own;			/* the group's; NULL at first			*/
	_Atomic uint64_t operations;	/* by the fiber; relaxed: a count		*/
};

struct storm_group {
	const char *name;
	unsigned int fibers;
	unsigned int enough;		/* operations of all together, before a run ends */
	bool own_environments;		/* USCHED_FIBER_FENV for those with an odd number */
	const char *missing;		/* why this build has none; NULL: it has	*/
	/* In a plain thread, before a run: NULL, or why the group cannot run here. */
	const char *(*begin)(void);
	/* One checked operation, in a fiber, between two looks at whether to stop. */
	void (*operation)(struct storm_fiber *fiber);
	/* In the fiber, at its end: free its own. NULL: nothing to do. */
	void (*leave)(struct storm_fiber *fiber);
	/* In a plain thread, after all fibers: last checks. NULL: none. */
	void (*end)(void);
};

extern const struct storm_group *const storm_groups[];	/* ends with NULL */

/* The run that is on. Written by main between runs. */
struct storm_run {
	const struct storm_group *group;
	enum usched_preempt mode;
	struct usched_runtime *runtime;
	struct usched_mutex mutex;	/* of the acts */
	struct usched_channel *channel;
	unsigned int blockers;		/* acts that block together in a drought	*/
	_Atomic bool stop;		/* relaxed: each fiber ends after its operation	*/
	_Atomic bool drought;		/* relaxed: by the weather, for the acts	*/
	_Atomic uint64_t lull_end_ns;	/* relaxed: all but few sleep until then	*/
};

extern struct storm_run storm_run;

/* Moves whenever anything was achieved; the guard looks at it. Relaxed. */
extern _Atomic uint64_t storm_progress;
extern _Atomic uint64_t storm_errors;

static inline void storm_moved(void)
{
	atomic_fetch_add_explicit(&storm_progress, 1, memory_order_relaxed);
}

/** storm_mode_name() - "handoff", "never", "yield" */
const char *storm_mode_name(enum usched_preempt mode);

/**
 * storm_fail() - say which group, which fiber, what was expected; the storm will have failed
 * @fiber:	NULL: no fiber's
 */
void storm_fail(const struct storm_fiber *fiber, const char *file, int line, const char *format,
		...)
	__attribute__((format(printf, 4, 5)));

/* What must be true after an operation. The text says what was expected, and what came. */
#define STORM_CHECK(fiber, condition, ...)					\
	do {									\
		if (!(condition))						\
			storm_fail((fiber), __FILE__, __LINE__, __VA_ARGS__);	\
	} while (0)

/* xorshift64*: no thread-local state, so that a fiber may be moved in it. */
static inline uint64_t storm_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

/** storm_random() - a number from 0 to @below - 1 */
static inline uint64_t storm_random(struct storm_fiber *fiber, uint64_t below)
{
	return (storm_next(&fiber->random) >> 11) % below;
}

/** storm_folder() - a folder for temporary files, removed at the end; no slash at its end */
const char *storm_folder(void);

/* drive.c */

/** storm_compute() - declared code: @turns steps of a generator, checked against its closed form */
void storm_compute(struct storm_fiber *fiber, uint64_t turns);

/**
 * storm_run_once() - one group in one mode
 * @seconds:	how long; longer until its fibers have done their part
 * @is_tight:	so few carriers that spares run out, or more than fibers
 *
 * Return:	operations; 0 when the group cannot run here, and *why says so
 */
uint64_t storm_run_once(const struct storm_group *group, enum usched_preempt mode, double seconds,
			bool is_tight, const char **why);

/* How runs are made; set by the options. */
struct storm_settings {
	enum usched_tick ticks;
	uint64_t seed;
	unsigned int fibers_max;	/* of a group					*/
	uint64_t quantum_min_ns;	/* the quantum of a run is this to two and a half times this */
};

extern struct storm_settings storm_settings;

/* acts.c */

#define STORM_ACTS 8		/* fibers */

extern const struct storm_group storm_acts;

/* weather.c */

/** storm_weather_init() - once, before the first runtime: the steps of the protocol dawdle */
void storm_weather_init(void);

/** storm_weather_start() - over storm_run.runtime, until storm_weather_stop() */
void storm_weather_start(uint64_t seed);
void storm_weather_stop(void);

/* Ticks that were raised, and CPUs that were revoked, in all runs. */
extern _Atomic uint64_t storm_raised, storm_revoked;

/* rows.c */

/** storm_rows_take() - note what the workers counted in this run. Its fibers have ended. */
void storm_rows_take(void);

/** storm_rows_behind() - row 11 was taken: it shares its counter with row 9. The step hook. */
void storm_rows_behind(enum usched_preempt mode);

/**
 * storm_rows_short() - a row that applies to @mode and was taken less than @least times
 * @taken:	set to how often it was
 *
 * Return:	its name; NULL: all were taken often enough
 */
const char *storm_rows_short(enum usched_preempt mode, uint64_t least, uint64_t *taken);

/** storm_rows_print() - what each run took, each mode's sum, and why a row cannot apply */
void storm_rows_print(void);

/* watch.c */

/** storm_watch_start() - from here on something must move each minute */
void storm_watch_start(void);

/* Options that the watch names, so that the run can be repeated. */
extern char storm_command[256];

#ifdef __cplusplus
}
#endif

#endif /* USCHED_TESTS_STORM_H */
