/* SPDX-License-Identifier: MIT */
/*
 * How many spare carriers are kept.
 *
 * A burst that blocks many fibers in the kernel at once makes a carrier for each. Afterwards they are
 * spares, and cost memory and a place under the limits of the system. What counts is the least number
 * of spares at any pass of a whole second: so many of them nobody has needed. Of these, what exceeds
 * a few for each worker is dismissed, some at a pass, so that the monitor is never long at it. A load
 * that comes and goes within a second keeps its carriers.
 *
 * The monitor need not be awake for that: it gets a time to wake, as long as there is something to be
 * dismissed, and none after.
 */
#include "runtime/runtime.h"
#include "worker/carrier.h"
#include "worker/step.h"

#define PASS_NS UINT64_C(1000000)

enum { KEPT = 4, KEPT_PER_WORKER = 2, PASS_MAX = 16 };

static uint32_t spares(const struct usched_runtime *runtime)
{
	/* Relaxed: a hint, now and then one too few or too many. */
	return atomic_load_explicit(&runtime->scheduler.spare_count, memory_order_relaxed);
}

uint32_t usched_spares_kept(const struct usched_runtime *runtime)
{
	return KEPT + KEPT_PER_WORKER * runtime->scheduler.worker_count;
}

static void look(struct usched_spares *notes, uint32_t count, uint64_t now_ns)
{
	notes->looking = true;
	notes->least = count;
	notes->since_ns = now_ns;
}

bool usched_spares_are_ending(const struct usched_runtime *runtime)
{
	return runtime->spares.ending;
}

uint64_t usched_spares_trim(struct usched_runtime *runtime, uint64_t now_ns)
{
	struct usched_spares *notes = &runtime->spares;
	uint32_t kept = usched_spares_kept(runtime), count = spares(runtime);
	uint64_t look_ns = atomic_load_explicit(&notes->look_ns, memory_order_relaxed);
	uint64_t due_ns;

	/* Relaxed: this pass or the next one sees it. */
	notes->ending = atomic_load_explicit(&runtime->scheduler.carriers_ended, memory_order_relaxed) !=
			notes->dismissed;
	due_ns = notes->ending ? now_ns + PASS_NS : UINT64_MAX;
	if (count <= kept) {
		notes->looking = false;
		notes->surplus = 0;
		return due_ns;
	}
	if (!notes->looking)
		look(notes, count, now_ns);
	if (count < notes->least)
		notes->least = count;
	if (now_ns - notes->since_ns >= look_ns) {
		notes->surplus = notes->least - kept;
		look(notes, count, now_ns);
	}
	if (notes->surplus > count - kept)
		notes->surplus = count - kept;
	for (unsigned int turn = 0; turn < PASS_MAX && notes->surplus > 0; turn++) {
		/* One that somebody holds is let alone until the next look. */
		if (!usched_spare_dismiss(&runtime->scheduler)) {
			notes->surplus = 0;
			break;
		}
		notes->surplus--;
		notes->dismissed++;
		notes->ending = true;	/* also if it ends before we look: the pass is told as one of change */
	}
	USCHED_STEP("trimmed", NULL);
	if (notes->ending)
		return now_ns + PASS_NS;
	return notes->since_ns + look_ns;
}
