/* SPDX-License-Identifier: MIT */
/*
 * Join, detach, yield and self: what is done with a fiber's handle.
 */
#include <errno.h>
#include <sched.h>
#include <stddef.h>

#include "sync/wait.h"
#include "worker/registry.h"

struct usched_fiber *usched_find_locked(uint64_t id, struct usched_scheduler **scheduler)
{
	struct usched_fiber *fiber;

	*scheduler = usched_registry_find(usched_id_runtime(id));
	if (!*scheduler)
		return NULL;
	fiber = usched_table_record(&(*scheduler)->fibers, usched_id_index(id));
	/* Acquire <- spawn's release: the descriptor's lock and fields. */
	if (!fiber || atomic_load_explicit(&fiber->id, memory_order_acquire) != id)
		return NULL;
	usched_spinlock_lock(&fiber->lock);
	if (atomic_load_explicit(&fiber->id, memory_order_relaxed) == id)	/* under lock */
		return fiber;
	usched_spinlock_unlock(&fiber->lock);
	return NULL;
}

static bool is_done(const struct usched_fiber *fiber)
{
	return atomic_load_explicit(&fiber->state, memory_order_relaxed) == USCHED_FIBER_DONE;
}

/* The handle is used up: nobody finds the fiber from here on. Under its lock. */
static void forget(struct usched_fiber *fiber)
{
	atomic_store_explicit(&fiber->id, 0, memory_order_relaxed);
}

int usched_join(usched_fiber_t id, void **result, uint64_t deadline_ns)
{
	struct usched_scheduler *scheduler;
	struct usched_carrier *carrier = usched_enter();
	struct usched_waiter own, *waiter;
	enum usched_wait_state reason;
	struct usched_fiber *fiber;
	int error = 0;

	if (usched_is_refused(carrier))
		return -EPERM;
	waiter = usched_waiter_of(carrier, &own);
	fiber = usched_find_locked(id, &scheduler);
	if (!fiber) {
		usched_leave(carrier);
		return -ESRCH;
	}
	if (carrier && fiber == usched_current(carrier))
		error = -EDEADLK;
	else if (usched_fiber_join_state(fiber) == USCHED_JOIN_DETACHED)
		error = -ESRCH;
	else if (usched_fiber_join_state(fiber) == USCHED_JOIN_WAITED)
		error = -EBUSY;
	else if (!is_done(fiber))
		error = usched_wait_check(carrier, deadline_ns);
	if (!error && !is_done(fiber)) {
		usched_waiter_begin(waiter, USCHED_WAIT_ON_JOIN, 0, NULL, deadline_ns);
		usched_fiber_set_join_state(fiber, USCHED_JOIN_WAITED);
		fiber->joiner = waiter;
		reason = usched_wait(&carrier, waiter, &fiber->lock);
		if (reason == USCHED_WAIT_VALUE) {
			/* The handle is used up already; who claimed us may still hold the lock. */
			usched_spinlock_pass(&fiber->lock);
			goto over;
		}
		usched_spinlock_lock(&fiber->lock);
		usched_fiber_set_join_state(fiber, USCHED_JOIN_OPEN);
		error = usched_wait_error(reason, -ECANCELED);
	}
	if (!error)
		forget(fiber);
	usched_spinlock_unlock(&fiber->lock);
over:
	if (!error && result)
		*result = fiber->result;
	if (!error)
		usched_fiber_free(scheduler, carrier, fiber);
	usched_leave(usched_charge(carrier));
	return error;
}

int usched_detach(usched_fiber_t id)
{
	struct usched_scheduler *scheduler;
	struct usched_carrier *carrier = usched_enter();
	struct usched_fiber *fiber;
	bool free_now = false;
	int error = 0;

	if (usched_is_refused(carrier))
		return -EPERM;
	fiber = usched_find_locked(id, &scheduler);
	if (!fiber) {
		error = -ESRCH;
		goto out;
	}
	if (usched_fiber_join_state(fiber) == USCHED_JOIN_WAITED) {
		error = -EBUSY;
	} else if (usched_fiber_join_state(fiber) == USCHED_JOIN_DETACHED) {
		error = -ESRCH;
	} else {
		usched_fiber_set_join_state(fiber, USCHED_JOIN_DETACHED);
		free_now = is_done(fiber);
		if (free_now)
			forget(fiber);
	}
	usched_spinlock_unlock(&fiber->lock);
	if (free_now)
		usched_fiber_free(scheduler, carrier, fiber);
	usched_charge_here(carrier);
out:
	usched_leave_here(carrier);
	return error;
}

usched_fiber_t usched_self(void)
{
	struct usched_carrier *carrier = usched_carrier_self_get();

	/* A fiber that was moved between the two reads would read another's: enter first. */
	if (!carrier)
		return 0;
	usched_enter_carrier(carrier);
	{
		usched_fiber_t self = atomic_load_explicit(&usched_current(carrier)->id,
							   memory_order_relaxed);

		usched_leave_here(carrier);
		return self;
	}
}

int usched_yield(void)
{
	struct usched_carrier *carrier = usched_enter();
	int error = 0;

	if (usched_is_refused(carrier))
		return -EPERM;
	if (!carrier)
		return sched_yield() ? -errno : 0;
	if (!usched_on_own_stack(carrier))
		error = -EPERM;
	else if (usched_yield_from(carrier))
		carrier = usched_carrier_self_get();
	usched_leave(carrier);
	return error;
}
