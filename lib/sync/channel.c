/* SPDX-License-Identifier: MIT */
/*
 * Channels: a bounded queue of values, or with capacity 0 a meeting of sender and receiver.
 *
 * Senders wait only while the buffer is full, receivers only while it is empty, so at most one of
 * the two lists has somebody in it. A value goes straight to a waiting receiver; a receiver that
 * makes room takes in the first waiting sender's value, so values keep their order.
 *
 * The claim comes before the copy: a waiter that timed out in the same instant is not written to,
 * and a value is handed over exactly once. Copies of others' values are made under the lock, so
 * that a plain thread, which passes through the lock once more, finds them complete.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sync/biased.h"
#include "sync/wait.h"

enum { ITEM_BYTES_MAX = 65536 };
#define BUFFER_BYTES_MAX ((size_t)1 << 30)

struct usched_channel {
	struct usched_biased_lock lock;	/* guards the rest */
	bool closed;
	size_t item_bytes;		/* fixed */
	size_t capacity;		/* fixed */
	size_t first;			/* index of the oldest value */
	size_t count;
	struct usched_list senders;
	struct usched_list receivers;
	unsigned char buffer[];
};

int usched_channel_create(struct usched_channel **channel, size_t item_bytes, size_t capacity)
{
	struct usched_channel *new;
	size_t bytes = 0;

	if (usched_in_child())
		return -EPERM;
	if (item_bytes > ITEM_BYTES_MAX)
		return -EINVAL;
	if (__builtin_mul_overflow(item_bytes, capacity, &bytes) || bytes > BUFFER_BYTES_MAX)
		return -EOVERFLOW;
	new = malloc(sizeof(*new) + bytes);
	if (!new)
		return -ENOMEM;
	usched_biased_init(&new->lock, USCHED_RANK_CHANNEL);
	new->closed = false;
	new->item_bytes = item_bytes;
	new->capacity = capacity;
	new->first = 0;
	new->count = 0;
	usched_list_init(&new->senders);
	usched_list_init(&new->receivers);
	*channel = new;
	return 0;
}

int usched_channel_free(struct usched_channel *channel)
{
	struct usched_carrier *carrier;
	struct usched_spinlock *held;
	bool busy;

	if (!channel)
		return 0;
	carrier = usched_enter();
	if (usched_is_refused(carrier))
		return -EPERM;
	held = usched_biased_lock(&channel->lock, carrier);
	busy = !usched_list_empty(&channel->senders) || !usched_list_empty(&channel->receivers);
	usched_spinlock_unlock(held);
	usched_leave_here(carrier);
	if (busy)
		return -EBUSY;
	free(channel);
	return 0;
}

/* Copies of a word, the common case, without a call. */
static inline void copy(void *to, const void *from, size_t bytes)
{
	if (bytes == sizeof(uint64_t))
		memcpy(to, from, sizeof(uint64_t));
	else if (bytes)
		memcpy(to, from, bytes);
}

static unsigned char *slot(struct usched_channel *channel, size_t at)
{
	size_t index = channel->first + at;

	if (index >= channel->capacity)
		index -= channel->capacity;
	return channel->buffer + index * channel->item_bytes;
}

/* The first of a list who has not timed out, claimed. The waiter stays valid under the lock. */
static inline struct usched_waiter *claim_first(struct usched_list *list, enum usched_wait_state reason,
					 struct usched_claimed *claimed)
{
	while (!usched_list_empty(list)) {
		struct usched_waiter *waiter =
			usched_container_of(list->next, struct usched_waiter, node);

		usched_list_remove(&waiter->node);
		if (usched_claim(waiter, reason, claimed))
			return waiter;
		usched_list_init(&waiter->node);	/* it unlinks itself, too */
	}
	return NULL;
}

/* Wait in a list, with the lock held: the rest of a call. It is jumped to, so that it returns to the user's
   code itself. */
USCHED_ARCH_RETURNS_ELSEWHERE __attribute__((noinline))
static int wait_in(struct usched_channel *channel, struct usched_spinlock *held,
		   struct usched_carrier *carrier, struct usched_list *list, void *data,
		   uint64_t deadline_ns)
{
	struct usched_waiter own, *waiter = usched_waiter_of(carrier, &own);
	enum usched_wait_state reason;
	int error = usched_wait_check(carrier, deadline_ns);

	if (error) {
		usched_spinlock_unlock(held);
		usched_leave(carrier);
		return error;
	}
	usched_waiter_begin(waiter, USCHED_WAIT_ON_CHANNEL, 0, data, deadline_ns);
	usched_list_push_back(list, &waiter->node);
	reason = usched_wait(&carrier, waiter, held);
	if (reason == USCHED_WAIT_TIMED_OUT || reason == USCHED_WAIT_CANCELED) {
		held = usched_biased_lock(&channel->lock, carrier);
		usched_list_remove(&waiter->node);
		usched_spinlock_unlock(held);
	}
	usched_leave(carrier);
	return usched_wait_error(reason, -EPIPE);
}

int usched_channel_send(struct usched_channel *channel, const void *item, uint64_t deadline_ns)
{
	struct usched_carrier *carrier = usched_enter();
	struct usched_claimed claimed = { NULL, NULL };
	struct usched_spinlock *held;
	struct usched_waiter *receiver;
	int error = 0;

	if (usched_is_refused(carrier))
		return -EPERM;
	held = usched_biased_lock(&channel->lock, carrier);
	if (channel->closed) {
		error = -EPIPE;
	} else if ((receiver = claim_first(&channel->receivers, USCHED_WAIT_VALUE, &claimed))) {
		copy(receiver->data, item, channel->item_bytes);
	} else if (channel->count < channel->capacity) {
		copy(slot(channel, channel->count++), item, channel->item_bytes);
	} else {
		/* The receiver only reads through it. */
		return wait_in(channel, held, carrier, &channel->senders,
			       (void *)(uintptr_t)item, deadline_ns);
	}
	usched_spinlock_unlock(held);
	usched_resume(carrier, &claimed);
	usched_leave(usched_charge(carrier));
	return error;
}

int usched_channel_receive(struct usched_channel *channel, void *item, uint64_t deadline_ns)
{
	struct usched_carrier *carrier = usched_enter();
	struct usched_claimed claimed = { NULL, NULL };
	struct usched_spinlock *held;
	struct usched_waiter *sender;
	int error = 0;

	if (usched_is_refused(carrier))
		return -EPERM;
	held = usched_biased_lock(&channel->lock, carrier);
	if (channel->count > 0) {
		copy(item, slot(channel, 0), channel->item_bytes);
		channel->first = channel->first + 1 == channel->capacity ? 0 : channel->first + 1;
		channel->count--;
		sender = claim_first(&channel->senders, USCHED_WAIT_VALUE, &claimed);
		if (sender)
			copy(slot(channel, channel->count++), sender->data, channel->item_bytes);
	} else if ((sender = claim_first(&channel->senders, USCHED_WAIT_VALUE, &claimed))) {
		copy(item, sender->data, channel->item_bytes);
	} else if (channel->closed) {
		error = -EPIPE;
	} else {
		return wait_in(channel, held, carrier, &channel->receivers, item, deadline_ns);
	}
	usched_spinlock_unlock(held);
	usched_resume(carrier, &claimed);
	usched_leave(usched_charge(carrier));
	return error;
}

int usched_channel_close(struct usched_channel *channel)
{
	struct usched_carrier *carrier = usched_enter();
	struct usched_spinlock *held;
	int error = 0;

	if (usched_is_refused(carrier))
		return -EPERM;
	held = usched_biased_lock(&channel->lock, carrier);
	if (channel->closed)
		error = -EALREADY;
	channel->closed = true;
	for (;;) {
		struct usched_claimed claimed = { NULL, NULL };

		if (!claim_first(&channel->receivers, USCHED_WAIT_CLOSED, &claimed) &&
		    !claim_first(&channel->senders, USCHED_WAIT_CLOSED, &claimed))
			break;
		/* The closed channel gets no new waiters: each turn has fewer. */
		usched_spinlock_unlock(held);
		usched_resume(carrier, &claimed);
		held = usched_biased_lock(&channel->lock, carrier);
	}
	usched_spinlock_unlock(held);
	usched_leave_here(carrier);
	return error;
}
