/* SPDX-License-Identifier: MIT */
/*
 * The heap of a worker's timers; see timers.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "fiber/fiber.h"
#include "worker/timers.h"

enum { FIRST_CAPACITY = 256, SWEEP_SLACK = 1024 };

static size_t bytes_of(uint32_t capacity)
{
	return (size_t)capacity * sizeof(struct usched_timer_entry);
}

int usched_timers_init(struct usched_timers *timers)
{
	void *memory = mmap(NULL, bytes_of(FIRST_CAPACITY), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	usched_spinlock_init(&timers->lock, USCHED_RANK_TIMER);
	timers->count = 0;
	timers->capacity = FIRST_CAPACITY;
	timers->sweep_at = SWEEP_SLACK;
	timers->entries = memory;
	atomic_init(&timers->first_ns, UINT64_MAX);
	return 0;
}

void usched_timers_destroy(struct usched_timers *timers)
{
	if (timers->entries)
		munmap(timers->entries, bytes_of(timers->capacity));
	timers->entries = NULL;
}

static bool alive(const struct usched_timer_entry *entry)
{
	/* Relaxed: a change of alarm by others only kills an entry, and a dead one that is kept
	   is dropped when it fires. */
	return atomic_load_explicit(&entry->fiber->alarm, memory_order_relaxed) ==
	       entry->deadline_ns;
}

static void sift_down(struct usched_timer_entry *heap, uint32_t count, uint32_t at)
{
	struct usched_timer_entry moved = heap[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && heap[child + 1].deadline_ns < heap[child].deadline_ns)
			child++;
		if (heap[child].deadline_ns >= moved.deadline_ns)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

static void publish_first(struct usched_timers *timers)
{
	atomic_store_explicit(&timers->length, timers->count, memory_order_relaxed);
	atomic_store_explicit(&timers->first_ns,
			      timers->count ? timers->entries[0].deadline_ns : UINT64_MAX,
			      memory_order_relaxed);
}

static void push_locked(struct usched_timers *timers, uint64_t deadline_ns,
			struct usched_fiber *fiber)
{
	struct usched_timer_entry *heap = timers->entries;
	uint32_t at = timers->count++;

	usched_assert(at < timers->capacity);
	while (at > 0) {
		uint32_t parent = (at - 1) / 2;

		if (heap[parent].deadline_ns <= deadline_ns)
			break;
		heap[at] = heap[parent];
		at = parent;
	}
	heap[at].deadline_ns = deadline_ns;
	heap[at].fiber = fiber;
}

static void pop_locked(struct usched_timers *timers)
{
	struct usched_timer_entry *heap = timers->entries;

	heap[0] = heap[--timers->count];
	if (timers->count > 1)
		sift_down(heap, timers->count, 0);
}

static void sweep_locked(struct usched_timers *timers)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < timers->count; i++) {
		if (alive(&timers->entries[i]))
			timers->entries[kept++] = timers->entries[i];
	}
	timers->count = kept;
	for (uint32_t i = kept / 2; i-- > 0; )
		sift_down(timers->entries, kept, i);
	timers->sweep_at = 2 * kept + SWEEP_SLACK;
}

int usched_timers_reserve(struct usched_timers *timers)
{
	int result = 0;

	usched_spinlock_lock(&timers->lock);
	if (timers->count >= timers->sweep_at) {
		sweep_locked(timers);
		publish_first(timers);
	}
	if (timers->count == timers->capacity) {
		void *memory = mremap(timers->entries, bytes_of(timers->capacity),
				      bytes_of(timers->capacity * 2), MREMAP_MAYMOVE);

		if (memory == MAP_FAILED) {
			result = -ENOMEM;
		} else {
			timers->entries = memory;
			timers->capacity *= 2;
		}
	}
	usched_spinlock_unlock(&timers->lock);
	return result;
}

/* Make the alarm of a waiting fiber at least as early as its deadline. True: push an entry. */
static bool claim_alarm(struct usched_fiber *fiber, uint64_t deadline_ns)
{
	uint64_t alarm = atomic_load_explicit(&fiber->alarm, memory_order_seq_cst); /* [T1] */

	while (alarm == 0 || alarm > deadline_ns) {
		if (atomic_compare_exchange_weak_explicit(&fiber->alarm, &alarm, deadline_ns,
							  memory_order_seq_cst,
							  memory_order_seq_cst)) /* [T1] */
			return true;
	}
	return false;
}

void usched_timers_arm(struct usched_timers *timers, struct usched_fiber *fiber,
		       uint64_t deadline_ns)
{
	atomic_thread_fence(memory_order_seq_cst);	/* [T1]: the commit comes first */
	if (!claim_alarm(fiber, deadline_ns))
		return;
	usched_spinlock_lock(&timers->lock);
	push_locked(timers, deadline_ns, fiber);
	publish_first(timers);
	usched_spinlock_unlock(&timers->lock);
}

/*
 * An entry of @fiber was popped. Return true when its wait ended here; else *again is when an entry
 * is needed next, or 0. A wait that begins later than our look at the word finds alarm = 0 and arms
 * itself.
 */
static bool fire(struct usched_fiber *fiber, uint64_t entry_ns, uint64_t now_ns, uint64_t *again)
{
	uint64_t deadline_ns;
	uint32_t word;

	*again = 0;
	if (!atomic_compare_exchange_strong_explicit(&fiber->alarm, &entry_ns, 0,
						     memory_order_seq_cst,
						     memory_order_seq_cst))	/* [T1] */
		return false;			/* dead: another entry took over */
	word = atomic_load_explicit(&fiber->waiter.word, memory_order_seq_cst);	/* [T1] */
	deadline_ns = atomic_load_explicit(&fiber->waiter.deadline_ns, memory_order_relaxed);
	if ((word & USCHED_WAIT_STATE_MASK) != USCHED_WAIT_WAITING || deadline_ns == USCHED_FOREVER)
		return false;
	if (deadline_ns > now_ns) {
		*again = claim_alarm(fiber, deadline_ns) ? deadline_ns : 0;
		return false;
	}
	return usched_waiter_claim_word(&fiber->waiter, word, USCHED_WAIT_TIMED_OUT);
}

struct usched_fiber *usched_timers_expire(struct usched_timers *timers, uint64_t now_ns)
{
	struct usched_fiber *expired = NULL;

	/* Relaxed peek: the owner sees its own writes; a sibling may be late by one poll. */
	if (atomic_load_explicit(&timers->first_ns, memory_order_relaxed) > now_ns)
		return NULL;
	usched_spinlock_lock(&timers->lock);
	while (!expired && timers->count > 0 && timers->entries[0].deadline_ns <= now_ns) {
		struct usched_timer_entry first = timers->entries[0];
		uint64_t again = 0;

		pop_locked(timers);
		if (fire(first.fiber, first.deadline_ns, now_ns, &again))
			expired = first.fiber;
		else if (again)
			push_locked(timers, again, first.fiber);	/* the popped one's room */
	}
	publish_first(timers);
	usched_spinlock_unlock(&timers->lock);
	return expired;
}
