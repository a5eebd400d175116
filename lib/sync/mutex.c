/* SPDX-License-Identifier: MIT */
/*
 * Mutex.
 *
 * A released mutex is free for whoever comes first, since handing it to a sleeper makes everybody
 * wait for that sleeper to wake: ten times slower under contention. So that nobody waits for ever,
 * a waiter that was woken and found it taken again goes to the front and is handed it directly.
 */
#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "sync/wait.h"

/* What usched_mutex's opaque words hold; all zero is a free mutex. */
struct mutex {
	struct usched_spinlock lock;	/* guards the rest */
	uint32_t pad;
	uint64_t owner;			/* a fiber's handle, or a thread's number; 0: free */
	struct usched_list waiters;	/* next == NULL: not yet used */
};

_Static_assert(sizeof(struct mutex) <= sizeof(struct usched_mutex), "the public size is fixed");
_Static_assert(_Alignof(struct mutex) <= _Alignof(struct usched_mutex), "and its alignment");

/* waiter->data of one to whom the mutex is to be handed. */
static char wants_handover;

static uint64_t identity(struct usched_carrier *carrier)
{
	/* Fibers' handles have a runtime number from 1 in their top bits: no thread's has. */
	if (!carrier)
		return (uint64_t)syscall(SYS_gettid);
	return atomic_load_explicit(&usched_current(carrier)->id, memory_order_relaxed);
}

int usched_mutex_init(struct usched_mutex *mutex)
{
	if (usched_in_child())
		return -EPERM;
	*mutex = (struct usched_mutex)USCHED_MUTEX_INIT;
	return 0;
}

int usched_mutex_lock(struct usched_mutex *public, uint64_t deadline_ns)
{
	struct mutex *mutex = (struct mutex *)public;
	struct usched_carrier *carrier = usched_enter();
	struct usched_waiter own, *waiter = usched_waiter_of(carrier, &own);
	uint64_t self = identity(carrier);
	void *handover = NULL;
	int error = 0;

	if (usched_is_refused(carrier))
		return -EPERM;
	usched_spinlock_lock(&mutex->lock);
	while (mutex->owner != 0) {
		enum usched_wait_state reason;

		error = mutex->owner == self ? -EDEADLK : usched_wait_check(carrier, deadline_ns);
		if (error)
			break;
		if (!mutex->waiters.next)
			usched_list_init(&mutex->waiters);
		usched_waiter_begin(waiter, USCHED_WAIT_ON_MUTEX, carrier ? 0 : (uint32_t)self,
				    handover, deadline_ns);
		if (handover)
			usched_list_push_front(&mutex->waiters, &waiter->node);
		else
			usched_list_push_back(&mutex->waiters, &waiter->node);
		reason = usched_wait(&carrier, waiter, &mutex->lock);
		usched_spinlock_lock(&mutex->lock);
		if (reason != USCHED_WAIT_VALUE) {
			usched_list_remove(&waiter->node);
			error = usched_wait_error(reason, -ECANCELED);
			break;
		}
		if (mutex->owner == self)
			break;			/* it was handed over */
		handover = &wants_handover;
	}
	if (!error)
		mutex->owner = self;
	usched_spinlock_unlock(&mutex->lock);
	usched_leave(usched_charge(carrier));
	return error;
}

int usched_mutex_unlock(struct usched_mutex *public)
{
	struct mutex *mutex = (struct mutex *)public;
	struct usched_carrier *carrier = usched_enter();
	struct usched_claimed claimed = { NULL, NULL };
	int error = 0;

	if (usched_is_refused(carrier))
		return -EPERM;
	usched_spinlock_lock(&mutex->lock);
	if (mutex->owner != identity(carrier)) {
		error = -EPERM;
		goto out;
	}
	mutex->owner = 0;
	while (mutex->waiters.next && !usched_list_empty(&mutex->waiters)) {
		struct usched_waiter *waiter =
			usched_container_of(mutex->waiters.next, struct usched_waiter, node);
		bool handover = waiter->data == &wants_handover;
		uint64_t next = waiter->fiber ?
			atomic_load_explicit(&waiter->fiber->id, memory_order_relaxed) :
			(uint64_t)atomic_load_explicit(&waiter->object, memory_order_relaxed);

		if (!usched_claim(waiter, USCHED_WAIT_VALUE, &claimed)) {
			/* It has timed out and comes to unlink itself; look behind it. */
			usched_list_remove(&waiter->node);
			usched_list_init(&waiter->node);
			continue;
		}
		usched_list_remove(&waiter->node);
		if (handover)
			mutex->owner = next;
		break;
	}
out:
	usched_spinlock_unlock(&mutex->lock);
	usched_resume(carrier, &claimed);
	usched_charge_here(carrier);
	usched_leave_here(carrier);
	return error;
}
