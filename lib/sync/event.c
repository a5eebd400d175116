/* SPDX-License-Identifier: MIT */
/*
 * Events; see event.h.
 */
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "base/errno.h"
#include "sync/event.h"
#include "sync/wait.h"
#include "worker/registry.h"

enum { DESTROY_NAP_NS = 20000 };

_Static_assert(sizeof(struct usched_event_state) <= sizeof(struct usched_event),
	       "the public size is fixed");
_Static_assert(_Alignof(struct usched_event_state) <= _Alignof(struct usched_event),
	       "and its alignment");

static struct usched_event_state *state_of(struct usched_event *public)
{
	return (struct usched_event_state *)public;
}

/* An event must end before its runtime; one that did not is at least found out. */
static bool is_alive(const struct usched_event_state *event)
{
	return event->scheduler && usched_registry_find(event->number) == event->scheduler;
}

int usched_event_init(struct usched_event *public, struct usched_runtime *runtime)
{
	struct usched_event_state *event = state_of(public);
	/* Fixed for a fiber: a carrier of another moment answers the same. */
	struct usched_carrier *carrier = usched_carrier_self_get();
	/* The scheduler is the runtime's first member. */
	struct usched_scheduler *scheduler = (struct usched_scheduler *)runtime;

	if (usched_is_refused(carrier))
		return -EPERM;
	if (!scheduler && carrier)
		scheduler = carrier->scheduler;
	if (!scheduler)
		return -EINVAL;
	atomic_init(&event->word, 0);
	usched_spinlock_init(&event->lock, USCHED_RANK_SYNC);
	event->number = scheduler->number;
	event->scheduler = scheduler;
	event->next = NULL;
	usched_list_init(&event->waiters);
	return 0;
}

/* One post, if there is one. Under the lock. */
static bool take(struct usched_event_state *event)
{
	uint64_t word = atomic_load_explicit(&event->word, memory_order_relaxed);

	do {
		if ((uint32_t)word == 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&event->word, &word, word - 1,
							memory_order_acquire,	/* [E1] */
							memory_order_relaxed));
	return true;
}

/* A post for the first waiter that has not timed out. Under the lock; the caller resumes it after. */
static bool deliver(struct usched_event_state *event, struct usched_claimed *claimed)
{
	while (!usched_list_empty(&event->waiters) && take(event)) {
		struct usched_waiter *waiter =
			usched_container_of(event->waiters.next, struct usched_waiter, node);

		usched_list_remove(&waiter->node);
		if (usched_claim(waiter, USCHED_WAIT_VALUE, claimed))
			return true;
		usched_list_init(&waiter->node);	/* it unlinks itself, too */
		/* Back for the next one. Release: as if its poster had come now. [E1] */
		atomic_fetch_add_explicit(&event->word, 1, memory_order_release);
	}
	return false;
}

int usched_event_wait(struct usched_event *public, uint64_t deadline_ns)
{
	struct usched_event_state *event = state_of(public);
	struct usched_carrier *carrier = usched_enter();
	struct usched_waiter own, *waiter = usched_waiter_of(carrier, &own);
	enum usched_wait_state reason;
	int error = 0;

	if (usched_is_refused(carrier))
		return -EPERM;
	usched_spinlock_lock(&event->lock);
	/* Posts that are on their way to others are theirs. */
	if (!usched_list_empty(&event->waiters) || !take(event)) {
		error = usched_wait_check(carrier, deadline_ns);
		if (error)
			goto out;
		usched_waiter_begin(waiter, USCHED_WAIT_ON_EVENT, 0, NULL, deadline_ns);
		usched_list_push_back(&event->waiters, &waiter->node);
		reason = usched_wait(&carrier, waiter, &event->lock);
		if (reason == USCHED_WAIT_VALUE) {
			usched_leave(carrier);
			return 0;
		}
		usched_spinlock_lock(&event->lock);
		usched_list_remove(&waiter->node);
		/* One may have come in time, and not have been given to us yet. */
		error = take(event) ? 0 : usched_wait_error(reason, -ECANCELED);
	}
out:
	usched_spinlock_unlock(&event->lock);
	usched_leave(carrier);
	return error;
}

int usched_event_destroy(struct usched_event *public)
{
	struct usched_event_state *event = state_of(public);
	struct usched_carrier *carrier = usched_enter();
	bool busy;

	if (usched_is_refused(carrier))
		return -EPERM;
	usched_spinlock_lock(&event->lock);
	busy = !usched_list_empty(&event->waiters);
	usched_spinlock_unlock(&event->lock);
	usched_leave_here(carrier);
	if (busy)
		return -EBUSY;
	/* Who posts, and the monitor, are inside for a moment after they woke us. [E4] */
	while (atomic_load_explicit(&event->word, memory_order_acquire) >= USCHED_EVENT_POSTER &&
	       is_alive(event)) {
		struct timespec nap = { .tv_nsec = DESTROY_NAP_NS };

		nanosleep(&nap, NULL);
	}
	event->scheduler = NULL;
	return 0;
}

static void leave_to_monitor(struct usched_event_state *event)
{
	struct usched_scheduler *scheduler = event->scheduler;
	struct usched_event_state *first;

	if (atomic_fetch_or_explicit(&event->word, USCHED_EVENT_QUEUED, memory_order_acq_rel) &
	    USCHED_EVENT_QUEUED)
		return;			/* [E2] it is there, and will be looked at */
	first = atomic_load_explicit(&scheduler->posted, memory_order_relaxed);
	do
		event->next = first;
	while (!atomic_compare_exchange_weak_explicit(&scheduler->posted, &first, event,
						      memory_order_release,	/* [E3] */
						      memory_order_relaxed));
	scheduler->hooks.wake_monitor(scheduler);
}

static int post(struct usched_event_state *event)
{
	struct usched_claimed claimed = { NULL, NULL };
	uint64_t word = atomic_load_explicit(&event->word, memory_order_relaxed);

	do {
		if ((uint32_t)word >= USCHED_EVENT_POSTS_MAX)
			return -EOVERFLOW;
	} while (!atomic_compare_exchange_weak_explicit(&event->word, &word,
							word + 1 + USCHED_EVENT_POSTER,
							memory_order_release,	/* [E1] */
							memory_order_relaxed));
	if (usched_spinlock_trylock(&event->lock)) {
		USCHED_STEP("posting", usched_carrier_self_get());
		deliver(event, &claimed);
		usched_spinlock_unlock(&event->lock);
		usched_resume(NULL, &claimed);
	} else {
		leave_to_monitor(event);
	}
	atomic_fetch_sub_explicit(&event->word, USCHED_EVENT_POSTER, memory_order_release); /* [E4] */
	return 0;
}

int usched_post(struct usched_event *public)
{
	struct usched_event_state *event = state_of(public);
	struct usched_carrier *carrier = usched_carrier_self_get();
	int saved_errno = usched_errno_get(), error;
	bool was_inside;

	if (usched_is_refused(carrier))
		return -EPERM;
	if (!is_alive(event))
		return -ESHUTDOWN;
	was_inside = usched_begin_visit(carrier);
	error = post(event);
	usched_end_visit(carrier, was_inside);
	usched_errno_set(saved_errno);
	return error;
}

void usched_events_deliver(struct usched_scheduler *scheduler)
{
	struct usched_event_state *event, *next;

	/* Relaxed: who pushes after this look wakes the monitor again. */
	if (!atomic_load_explicit(&scheduler->posted, memory_order_relaxed))
		return;
	event = atomic_exchange_explicit(&scheduler->posted, NULL, memory_order_acquire); /* [E3] */
	for (; event; event = next) {
		bool more;

		next = event->next;
		/* From here on it may be queued anew; our hold keeps it. [E2] */
		atomic_fetch_add_explicit(&event->word, USCHED_EVENT_POSTER - USCHED_EVENT_QUEUED,
					  memory_order_acq_rel);
		do {
			struct usched_claimed claimed = { NULL, NULL };

			usched_spinlock_lock(&event->lock);
			more = deliver(event, &claimed);
			usched_spinlock_unlock(&event->lock);
			usched_resume(NULL, &claimed);
		} while (more);
		atomic_fetch_sub_explicit(&event->word, USCHED_EVENT_POSTER,
					  memory_order_release);	/* [E4] */
	}
}
