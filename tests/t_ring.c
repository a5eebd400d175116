/* SPDX-License-Identifier: MIT */
/*
 * A worker's ring and the inboxes: nothing is lost, nothing comes twice, and each taker sees what
 * it gets in the order in which it was put in. The indices start right before they wrap.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "harness.h"
#include "worker/inbox.h"
#include "worker/ring.h"

enum { ITEMS = 200000, THIEVES = 3, ADDERS = 4, ADDED = 5000 };

#define TOO_LONG_NS UINT64_C(60000000000)

static struct usched_ring ring;

static void reset_ring(uint32_t at)
{
	atomic_store(&ring.head, at);
	atomic_store(&ring.tail, at);
}

/* Fibers are only passed on here: numbers do. */
static struct usched_fiber *numbered(uintptr_t number)
{
	return (struct usched_fiber *)(number * 64);
}

static uintptr_t number_of(struct usched_fiber *fiber)
{
	return (uintptr_t)fiber / 64;
}

static void a_ring_keeps_order_over_the_wrap(void)
{
	reset_ring(UINT32_MAX - 100);
	for (unsigned int turn = 0; turn < 3; turn++) {
		CU_ASSERT_PTR_NULL(usched_ring_pop(&ring));
		CU_ASSERT_EQUAL(usched_ring_length(&ring), 0);
		for (uintptr_t i = 1; i <= USCHED_RING_CAPACITY; i++)
			CU_ASSERT_FATAL(usched_ring_push(&ring, numbered(i)));
		CU_ASSERT_FALSE(usched_ring_push(&ring, numbered(9999)));
		CU_ASSERT_EQUAL(usched_ring_length(&ring), USCHED_RING_CAPACITY);
		CU_ASSERT_EQUAL(number_of(usched_ring_pop(&ring)), 1);
		CU_ASSERT(usched_ring_push(&ring, numbered(USCHED_RING_CAPACITY + 1)));
		for (uintptr_t i = 2; i <= USCHED_RING_CAPACITY + 1; i++)
			CU_ASSERT_EQUAL_FATAL(number_of(usched_ring_pop(&ring)), i);
	}
}

static _Atomic unsigned char seen[ITEMS + 1];
static _Atomic uint32_t taken, wrong;
static _Atomic bool give_up;

static void note(uintptr_t number, uintptr_t *last)
{
	if (number <= *last || number > ITEMS || atomic_fetch_add(&seen[number], 1))
		atomic_fetch_add(&wrong, 1);
	*last = number;
	atomic_fetch_add(&taken, 1);
}

static void *steals(void *argument)
{
	uintptr_t last = 0;

	while (atomic_load(&taken) < ITEMS && !atomic_load(&give_up)) {
		struct usched_fiber *fiber = usched_ring_pop(&ring);

		if (fiber)
			note(number_of(fiber), &last);
		else
			sched_yield();
	}
	return argument;
}

static void thieves_and_owner_share_a_ring(void)
{
	pthread_t thieves[THIEVES];
	uint64_t end_ns = usched_clock_now_ns() + TOO_LONG_NS;
	uintptr_t last = 0, next = 1;

	memset(seen, 0, sizeof(seen));
	atomic_store(&taken, 0);
	atomic_store(&wrong, 0);
	atomic_store(&give_up, false);
	reset_ring(UINT32_MAX - ITEMS / 2);
	for (unsigned int i = 0; i < THIEVES; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thieves[i], NULL, steals, NULL), 0);
	while (atomic_load(&taken) < ITEMS && usched_clock_now_ns() < end_ns) {
		struct usched_fiber *fiber;

		/* Full, now and then, and drained in part by the owner itself. */
		while (next <= ITEMS && usched_ring_push(&ring, numbered(next)))
			next++;
		for (unsigned int i = 0; i < 100 && (fiber = usched_ring_pop(&ring)); i++)
			note(number_of(fiber), &last);
		if (next > ITEMS)
			sched_yield();
	}
	atomic_store(&give_up, true);
	for (unsigned int i = 0; i < THIEVES; i++)
		pthread_join(thieves[i], NULL);
	CU_ASSERT_EQUAL(atomic_load(&taken), ITEMS);
	CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
	CU_ASSERT_EQUAL(usched_ring_length(&ring), 0);
}

static struct usched_inbox inbox;
static struct usched_fiber *added;	/* ADDERS * ADDED */

static void *adds(void *argument)
{
	struct usched_fiber *mine = &added[(uintptr_t)argument * ADDED];

	for (uint32_t i = 0; i < ADDED; i++) {
		usched_inbox_push(&inbox, &mine[i]);
		if (i % 512 == 0)
			sched_yield();
	}
	return NULL;
}

static void *takes(void *argument)
{
	uint32_t last[ADDERS] = { 0 };

	while (atomic_load(&taken) < ADDERS * ADDED && !atomic_load(&give_up)) {
		struct usched_fiber *fiber = usched_inbox_pop(&inbox);
		size_t at;
		uint32_t turn;

		if (!fiber) {
			sched_yield();
			continue;
		}
		at = (size_t)(fiber - added);
		turn = (uint32_t)(at % ADDED) + 1;
		if (turn <= last[at / ADDED] || atomic_fetch_add(&seen[at], 1))
			atomic_fetch_add(&wrong, 1);
		last[at / ADDED] = turn;
		atomic_fetch_add(&taken, 1);
	}
	return argument;
}

static void an_inbox_loses_nothing(void)
{
	pthread_t adders[ADDERS], takers[2];
	uint64_t end_ns = usched_clock_now_ns() + TOO_LONG_NS;

	added = aligned_alloc(_Alignof(struct usched_fiber),
			      sizeof(*added) * ADDERS * ADDED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(added);
	memset(seen, 0, sizeof(seen));
	atomic_store(&taken, 0);
	atomic_store(&wrong, 0);
	atomic_store(&give_up, false);
	usched_inbox_init(&inbox);
	CU_ASSERT(usched_inbox_empty(&inbox));
	CU_ASSERT_PTR_NULL(usched_inbox_pop(&inbox));
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&takers[i], NULL, takes, NULL), 0);
	for (uintptr_t i = 0; i < ADDERS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&adders[i], NULL, adds, (void *)i), 0);
	while (atomic_load(&taken) < ADDERS * ADDED && usched_clock_now_ns() < end_ns)
		sched_yield();
	atomic_store(&give_up, true);
	for (unsigned int i = 0; i < ADDERS; i++)
		pthread_join(adders[i], NULL);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(takers[i], NULL);
	CU_ASSERT_EQUAL(atomic_load(&taken), ADDERS * ADDED);
	CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
	CU_ASSERT(usched_inbox_empty(&inbox));
	free(added);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "a_ring_keeps_order_over_the_wrap", a_ring_keeps_order_over_the_wrap },
		{ "thieves_and_owner_share_a_ring", thieves_and_owner_share_a_ring },
		{ "an_inbox_loses_nothing", an_inbox_loses_nothing },
	};

	return usched_test_main("ring", tests, sizeof(tests) / sizeof(tests[0]));
}
