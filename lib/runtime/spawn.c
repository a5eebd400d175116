/* SPDX-License-Identifier: MIT */
/*
 * Birth of fibers.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "runtime/runtime.h"
#include "worker/dispatch.h"
#include "worker/inbox.h"

/* Where it starts: a worker of its own wish, else a pool. */
static int choose_place(struct usched_scheduler *scheduler, const struct usched_fiber_options *options,
			struct usched_worker *own, struct usched_worker **worker,
			struct usched_pool **pool)
{
	*worker = NULL;
	*pool = NULL;
	if (options->cpu != USCHED_ANYWHERE) {
		for (uint32_t i = 0; i < scheduler->worker_count; i++) {
			if ((int)scheduler->workers[i].cpu == options->cpu)
				*worker = &scheduler->workers[i];
		}
		if (!*worker)
			return -ENODEV;
		*pool = (*worker)->pool;
	} else if (options->node != USCHED_ANYWHERE) {
		for (uint32_t i = 0; i < scheduler->pool_count; i++) {
			if ((int)scheduler->pools[i].node == options->node)
				*pool = &scheduler->pools[i];
		}
		if (!*pool)
			return -ENODEV;
	} else {
		/* Relaxed: the number only spreads fibers from outside over the pools. */
		*pool = own ? own->pool :
			&scheduler->pools[atomic_load_explicit(&scheduler->spawned_outside,
							       memory_order_relaxed) %
					  scheduler->pool_count];
	}
	return 0;
}

static const struct usched_fiber_options defaults = USCHED_FIBER_OPTIONS_INIT;

/* The options to go by: the defaults, the given ones, or a copy of a shorter structure. */
static int read_options(const struct usched_fiber_options **options,
			const struct usched_fiber_options *given, struct usched_fiber_options *copy)
{
	if (!given) {
		*options = &defaults;
		return 0;
	}
	if (given->size < offsetof(struct usched_fiber_options, stack))
		return -EINVAL;
	if (given->size < sizeof(*copy)) {
		*copy = defaults;
		memcpy(copy, given, given->size);
		given = copy;
	}
	if ((unsigned int)given->stack > USCHED_STACK_LARGE ||
	    (unsigned int)given->preempt > USCHED_PREEMPT_YIELD ||
	    (unsigned int)given->priority > USCHED_PRIORITY_LOW ||
	    given->node < USCHED_ANYWHERE || given->cpu < USCHED_ANYWHERE ||
	    (given->flags & ~USCHED_FIBER_FENV) != 0 ||
	    !usched_quantum_is_valid(given->quantum_ns, USCHED_QUANTUM_MIN_NS))
		return -EINVAL;
	*options = given;
	return 0;
}

static void queue(struct usched_scheduler *scheduler, struct usched_worker *own,
		  struct usched_worker *worker, struct usched_pool *pool,
		  struct usched_fiber *fiber)
{
	if (own && (worker == own || (!worker && own->pool == pool))) {
		usched_count(&own->counters.spawned);
		usched_queue(own, fiber, USCHED_RING_FRESH);
		usched_notify(own);
		return;
	}
	if (own)
		usched_count(&own->counters.spawned);
	else
		/* Release -> usched_alive(): counted before it can end. */
		atomic_fetch_add_explicit(&scheduler->spawned_outside, 1, memory_order_release);
	/* A worker without a CPU just now cannot start it: its pool can. */
	if (worker && atomic_load_explicit(&worker->mode, memory_order_relaxed) !=
		      USCHED_WORKER_MODE_DORMANT) {
		USCHED_STEP("mailbox", NULL);
		usched_inbox_push(&worker->mailbox, fiber);
		usched_notify_worker(worker);
		/* [S4] of find.c: nobody may look there any more. The fence was in notify. */
		if (atomic_load_explicit(&worker->mode, memory_order_relaxed) ==
		    USCHED_WORKER_MODE_DORMANT)
			usched_wake_any(scheduler, pool);
	} else {
		usched_ready_outside(fiber);
	}
}

int usched_spawn(struct usched_runtime *runtime, usched_fiber_t *id,
		 void *(*function)(void *argument), void *argument,
		 const struct usched_fiber_options *given)
{
	const struct usched_fiber_options *options;
	struct usched_fiber_options copy;
	struct usched_carrier *carrier;
	struct usched_scheduler *scheduler;
	struct usched_worker *own, *worker;
	struct usched_pool *pool;
	struct usched_fiber *fiber;
	uint64_t new_id;
	int error;

	if (!function || read_options(&options, given, &copy))
		return -EINVAL;
	carrier = usched_enter();
	if (usched_is_refused(carrier))
		return -EPERM;
	scheduler = runtime ? &runtime->scheduler : carrier ? carrier->scheduler : NULL;
	if (!scheduler) {
		error = -EINVAL;
		goto out;
	}
	own = carrier && carrier->scheduler == scheduler ? usched_owned(carrier) : NULL;
	error = -ESHUTDOWN;
	if (!own && atomic_load_explicit(&scheduler->stopping, memory_order_relaxed))
		goto out;
	error = choose_place(scheduler, options, own, &worker, &pool);
	if (error)
		goto out;
	error = usched_fiber_allocate(scheduler, carrier, pool, options->stack, &fiber);
	if (error)
		goto out;
	fiber->function = function;
	fiber->argument = argument;
	atomic_store_explicit(&fiber->mode, (uint8_t)options->preempt, memory_order_relaxed);
	atomic_store_explicit(&fiber->priority, (uint8_t)options->priority,
			      memory_order_relaxed);
	atomic_store_explicit(&fiber->sections, 0, memory_order_relaxed);
	fiber->section_note = false;
	fiber->exceptions = (struct usched_exceptions){ NULL, 0 };
	fiber->has_float_environment = (options->flags & USCHED_FIBER_FENV) != 0;
	atomic_store_explicit(&fiber->quantum_ns,
			      usched_quantum_clamp(scheduler, options->quantum_ns),
			      memory_order_relaxed);
	usched_fiber_set_join_state(fiber, id ? USCHED_JOIN_OPEN : USCHED_JOIN_DETACHED);
	atomic_store_explicit(&fiber->preemptions, 0, memory_order_relaxed);
	fiber->name[0] = '\0';
	if (options->name) {
		strncpy(fiber->name, options->name, USCHED_NAME_MAX - 1);
		fiber->name[USCHED_NAME_MAX - 1] = '\0';
	}
	usched_fiber_set_state(fiber, USCHED_FIBER_NEW);
	new_id = usched_id_make(scheduler->number, fiber->index, fiber->generation);
	/* Before the fiber can run, and so end: release -> the acquire of who looks it up. */
	atomic_store_explicit(&fiber->id, new_id, memory_order_release);
	if (id)
		*id = new_id;
	queue(scheduler, own, worker, pool, fiber);
	usched_charge_here(carrier);
out:
	usched_leave_here(carrier);
	return error;
}
