/* SPDX-License-Identifier: MIT */
/*
 * The acts: fibers beside the group's, of the same mode, which cause the rows of the decision table
 * that a library alone would cause too seldom.
 *
 *	blocked with the tick's signal blocked	the monitor takes the worker, and the tick that was
 *						held back finds that it is gone
 *	asleep in the kernel			a tick cuts it short, or the monitor takes the worker
 *	without a quantum, in a section		rows 2 and 4
 *	declared code				row 7
 *	mutex, channel, sleep			parks and wakes, and ticks inside the library
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "arch/sanitize.h"
#include "base/clock.h"
#include "preempt/tick.h"
#include "storm.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

static void spin(uint64_t lasts_ns)
{
	uint64_t end_ns = usched_clock_now_ns() + lasts_ns;

	while (usched_clock_now_ns() < end_ns)
		;
}

static void sleep_in_kernel(uint64_t lasts_ns)
{
	struct timespec left = {
		.tv_sec = (time_t)(lasts_ns / (1000 * MS)), .tv_nsec = (long)(lasts_ns % (1000 * MS)),
	};

	/* Bounded: each turn leaves less of it. */
	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* Its carrier is in the kernel, and no tick can tell it anything. */
static void block_without_ticks(struct storm_fiber *fiber, uint64_t lasts_ns)
{
	sigset_t tick, before, after;

	sigemptyset(&tick);
	sigaddset(&tick, usched_tick_signal());
	pthread_sigmask(SIG_BLOCK, &tick, &before);
	sleep_in_kernel(lasts_ns);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	spin(20 * US);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	/* ThreadSanitizer runs handlers in its own time, with all signals blocked around them. */
	STORM_CHECK(fiber, USCHED_SIGNALS_ARE_DELAYED || !sigismember(&after, usched_tick_signal()),
		    "expected the tick's signal to be let through again; it is blocked");
}

static void have_no_quantum(struct storm_fiber *fiber)
{
	usched_fiber_t self = usched_self();
	int error = usched_set_quantum(self, USCHED_QUANTUM_OFF);

	STORM_CHECK(fiber, error == 0, "expected usched_set_quantum to give 0, got %d", error);
	spin(100 * US);
	error = usched_set_quantum(self, USCHED_QUANTUM_DEFAULT);
	STORM_CHECK(fiber, error == 0, "expected usched_set_quantum to give 0, got %d", error);
}

static void be_in_a_section(struct storm_fiber *fiber)
{
	int error = usched_preempt_disable();

	STORM_CHECK(fiber, error == 0, "expected usched_preempt_disable to give 0, got %d", error);
	spin(60 * US);
	error = usched_preempt_enable();
	STORM_CHECK(fiber, error == 0, "expected usched_preempt_enable to give 0, got %d", error);
}

/* Nobody else is inside, whatever stops the one who is. */
static void hold_the_mutex(struct storm_fiber *fiber)
{
	static _Atomic unsigned int inside;
	unsigned int before;
	int error = usched_mutex_lock(&storm_run.mutex, USCHED_FOREVER);

	STORM_CHECK(fiber, error == 0, "expected usched_mutex_lock to give 0, got %d", error);
	before = atomic_fetch_add_explicit(&inside, 1, memory_order_relaxed);
	STORM_CHECK(fiber, before == 0, "expected to be alone with the mutex; %u others are", before);
	spin(20 * US);
	atomic_fetch_sub_explicit(&inside, 1, memory_order_relaxed);
	error = usched_mutex_unlock(&storm_run.mutex);
	STORM_CHECK(fiber, error == 0, "expected usched_mutex_unlock to give 0, got %d", error);
}

/* What goes in comes out: a value and its complement. */
static void use_the_channel(struct storm_fiber *fiber)
{
	uint64_t value[2] = { fiber->random, ~fiber->random };
	int error = usched_channel_send(storm_run.channel, value, usched_after(MS));

	STORM_CHECK(fiber, error == 0 || error == -ETIMEDOUT,
		    "expected usched_channel_send to give 0 or -ETIMEDOUT, got %d", error);
	error = usched_channel_receive(storm_run.channel, value, usched_after(MS));
	STORM_CHECK(fiber, error == 0 || error == -ETIMEDOUT,
		    "expected usched_channel_receive to give 0 or -ETIMEDOUT, got %d", error);
	STORM_CHECK(fiber, value[0] == ~value[1], "expected a value and its complement, got %llx %llx",
		    (unsigned long long)value[0], (unsigned long long)value[1]);
}

static void act(struct storm_fiber *fiber)
{
	int error;

	if (atomic_load_explicit(&storm_run.drought, memory_order_relaxed) &&
	    fiber->number < storm_run.blockers) {
		block_without_ticks(fiber, 12 * MS);
		return;
	}
	switch (storm_random(fiber, 10)) {
	case 0:
	case 1:
	case 2:
		block_without_ticks(fiber, 2 * MS);
		break;
	case 3:
		sleep_in_kernel(MS);
		break;
	case 4:
		have_no_quantum(fiber);
		break;
	case 5:
		be_in_a_section(fiber);
		break;
	case 6:
		hold_the_mutex(fiber);
		break;
	case 7:
		use_the_channel(fiber);
		break;
	case 8:
		storm_compute(fiber, 20000 + storm_random(fiber, 100000));
		break;
	default:
		error = usched_sleep_until(usched_after(100 * US));
		STORM_CHECK(fiber, error == 0, "expected usched_sleep_until to give 0, got %d", error);
	}
}

const struct storm_group storm_acts = {
	.name = "acts", .fibers = STORM_ACTS, .operation = act,
};
