/* SPDX-License-Identifier: MIT */
/*
 * One run: a runtime with two workers, the fibers of one group and of the acts, and their end.
 *
 * The driver's code is declared migratable, so in mode YIELD a fiber is switched in place between
 * its operations and in what the driver computes itself; inside the libraries it is handed over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "runtime/runtime.h"
#include "storm.h"

enum {
	WORKERS = 2,
	FIBERS_MAX = 256,
	CARRIERS_TIGHT = 8,	/* spares run out */
	SPARES = 8,		/* beyond one for each fiber, where they do not */
	AWAKE_IN_LULL = 1,	/* so that one worker has nobody else, and the other is idle */
};

struct storm_run storm_run;
struct storm_settings storm_settings = {
	.seed = 1, .quantum_min_ns = 20000, .fibers_max = FIBERS_MAX - STORM_ACTS,
};

static struct storm_fiber fibers[FIBERS_MAX];

#define STEP_FACTOR UINT64_C(6364136223846793005)
#define STEP_ADDEND UINT64_C(1442695040888963407)

/* @turns steps of x -> ax + c at once. */
USCHED_MIGRATABLE static uint64_t jump(uint64_t x, uint64_t turns)
{
	uint64_t factor = STEP_FACTOR, addend = STEP_ADDEND;

	for (; turns; turns >>= 1) {
		if (turns & 1)
			x = x * factor + addend;
		addend += addend * factor;
		factor *= factor;
	}
	return x;
}

USCHED_MIGRATABLE static uint64_t step_by_step(uint64_t x, uint64_t turns)
{
	while (turns-- > 0) {
		x = x * STEP_FACTOR + STEP_ADDEND;
		__asm__ volatile("" : "+r"(x));		/* or the loop would be computed away */
	}
	return x;
}

USCHED_MIGRATABLE void storm_compute(struct storm_fiber *fiber, uint64_t turns)
{
	uint64_t start = fiber->random;
	uint64_t slow = step_by_step(start, turns), fast = jump(start, turns);

	STORM_CHECK(fiber, slow == fast, "expected %llu steps from %llx to end at %llx, got %llx",
		    (unsigned long long)turns, (unsigned long long)start,
		    (unsigned long long)fast, (unsigned long long)slow);
}

/* Between two operations. */
USCHED_MIGRATABLE static void pause_between(struct storm_fiber *fiber)
{
	uint64_t lull_end_ns = atomic_load_explicit(&storm_run.lull_end_ns, memory_order_relaxed);

	if (lull_end_ns && (fiber->group == &storm_acts || fiber->number >= AWAKE_IN_LULL)) {
		usched_sleep_until(lull_end_ns);
		return;
	}
	switch (storm_random(fiber, 8)) {
	case 0:
	case 1:
		usched_yield();
		break;
	case 2:
		usched_checkpoint();
		break;
	case 3:
		usched_sleep_until(usched_after(50000));
		break;
	case 4:
		storm_compute(fiber, 1000 + storm_random(fiber, 20000));
		break;
	default:
		break;
	}
}

USCHED_MIGRATABLE static void *drive(void *argument)
{
	struct storm_fiber *fiber = argument;

	while (!atomic_load_explicit(&storm_run.stop, memory_order_relaxed)) {
		fiber->group->operation(fiber);
		atomic_store_explicit(&fiber->operations,
				      atomic_load_explicit(&fiber->operations,
							   memory_order_relaxed) + 1,
				      memory_order_relaxed);
		if (fiber->group != &storm_acts)
			storm_moved();
		pause_between(fiber);
	}
	if (fiber->group->leave)
		fiber->group->leave(fiber);
	return NULL;
}

static void begin_runtime(unsigned int carriers, uint64_t *random)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	char floor[24];
	int error;

	snprintf(floor, sizeof(floor), "%llu", (unsigned long long)storm_settings.quantum_min_ns);
	setenv("USCHED_QUANTUM_FLOOR_NS", floor, 1);
	options.name = "storm";
	options.workers = WORKERS;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	options.tick = storm_settings.ticks;
	options.carriers_max = carriers;
	options.quantum_ns = storm_settings.quantum_min_ns +
			     (storm_next(random) >> 11) % (storm_settings.quantum_min_ns * 3 / 2);
	options.wakeup_ns = USCHED_WAKEUP_MIN_NS;
	options.budget = 10;
	error = usched_runtime_create(&storm_run.runtime, &options);
	unsetenv("USCHED_QUANTUM_FLOOR_NS");
	if (!error)
		error = usched_mutex_init(&storm_run.mutex);
	if (!error)
		error = usched_channel_create(&storm_run.channel, 2 * sizeof(uint64_t), 4);
	if (error) {
		fprintf(stderr, "storm: the runtime cannot be made: %s\n", strerror(-error));
		exit(1);
	}
}

static usched_fiber_t spawn(const struct storm_group *group, unsigned int number,
			    struct storm_fiber *fiber, uint64_t *random)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	char name[USCHED_NAME_MAX];
	usched_fiber_t id = 0;
	int error;

	memset(fiber, 0, sizeof(*fiber));
	fiber->group = group;
	fiber->number = number;
	fiber->random = storm_next(random) | 1;
	snprintf(name, sizeof(name), "%s %u", group->name, number);
	options.name = name;
	options.preempt = storm_run.mode;
	if (group->own_environments && number % 2)
		options.flags = USCHED_FIBER_FENV;
#if defined(USCHED_SANITIZE_ADDRESS) || defined(USCHED_SANITIZE_THREAD)
	options.stack = USCHED_STACK_LARGE;
#endif
	error = usched_spawn(storm_run.runtime, &id, drive, fiber, &options);
	if (error) {
		fprintf(stderr, "storm: fiber %s cannot be made: %s\n", name, strerror(-error));
		exit(1);
	}
	return id;
}

/* How far the group's fibers are together. One may have done nothing: libraries have locks that are
   not fair, and with few carriers those that have one go on before others begin. */
static uint64_t done(unsigned int count)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < count; i++)
		sum += atomic_load_explicit(&fibers[i].operations, memory_order_relaxed);
	return sum;
}

static void end_runtime(void)
{
	int error;

	usched_channel_close(storm_run.channel);
	usched_channel_free(storm_run.channel);
	error = usched_runtime_destroy(storm_run.runtime, USCHED_FOREVER);
	STORM_CHECK(NULL, error == 0, "expected usched_runtime_destroy to give 0, got %d", error);
	storm_run.runtime = NULL;
	storm_moved();
}

uint64_t storm_run_once(const struct storm_group *group, enum usched_preempt mode, double seconds,
			bool is_tight, const char **why)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	uint64_t random = storm_settings.seed * UINT64_C(0x9e3779b97f4a7c15) + 1, end_ns;
	usched_fiber_t ids[FIBERS_MAX];
	unsigned int group_fibers = group->fibers < storm_settings.fibers_max ? group->fibers :
				    storm_settings.fibers_max;
	unsigned int carriers = is_tight ? CARRIERS_TIGHT : group_fibers + STORM_ACTS + SPARES;
	unsigned int count = 0;

	*why = group->missing ? group->missing : group->begin ? group->begin() : NULL;
	if (*why)
		return 0;
	storm_settings.seed++;
	storm_run.group = group;
	storm_run.mode = mode;
	atomic_store(&storm_run.stop, false);
	begin_runtime(carriers, &random);
	/* In a drought they have all carriers but those that run. */
	storm_run.blockers = is_tight ? CARRIERS_TIGHT - WORKERS : 0;
	for (; count < group_fibers; count++)
		ids[count] = spawn(group, count, &fibers[count], &random);
	for (unsigned int i = 0; i < STORM_ACTS; i++, count++)
		ids[count] = spawn(&storm_acts, i, &fibers[count], &random);
	storm_weather_start(storm_next(&random));
	end_ns = usched_clock_now_ns() + (uint64_t)(seconds * 1e9);
	while (usched_clock_now_ns() < end_ns || done(group_fibers) < group->enough)
		nanosleep(&pause, NULL);
	atomic_store(&storm_run.stop, true);
	for (unsigned int i = 0; i < count; i++) {
		int error = usched_join(ids[i], NULL, USCHED_FOREVER);

		STORM_CHECK(NULL, error == 0, "expected usched_join to give 0, got %d", error);
	}
	storm_weather_stop();
	storm_rows_take();
	end_runtime();
	if (group->end)
		group->end();
	return done(group_fibers);
}
