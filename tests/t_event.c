/* SPDX-License-Identifier: MIT */
/*
 * Events: no post is lost and none is taken twice, whoever posts, fibers and threads; who waits first goes
 * first; and nobody touches the memory of one that was destroyed.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <usched/client.h>
#include <usched/usched.h>

#include "events.h"
#include "harness.h"
#include "runtime/runtime.h"
#include "sync/event.h"

static void posts_are_counted(void)
{
	struct usched_runtime *runtime = start(1, USCHED_QUANTUM_DEFAULT);
	struct usched_event_state *state = (struct usched_event_state *)&event;

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL(usched_event_init(&event, NULL), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
	CU_ASSERT_EQUAL(usched_event_wait(&event, USCHED_NOW), -EAGAIN);
	for (unsigned int i = 0; i < 3; i++) {
		errno = 4711;
		CU_ASSERT_EQUAL(usched_post(&event), 0);
		CU_ASSERT_EQUAL(errno, 4711);
	}
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(usched_event_wait(&event, i ? USCHED_NOW : USCHED_FOREVER), 0);
	CU_ASSERT_EQUAL(usched_event_wait(&event, USCHED_NOW), -EAGAIN);
	CU_ASSERT_EQUAL(usched_event_wait(&event, usched_after(1000000)), -ETIMEDOUT);
	/* At the limit nothing is counted, and nothing spoiled. */
	atomic_store(&state->word, USCHED_EVENT_POSTS_MAX - 1);
	CU_ASSERT_EQUAL(usched_post(&event), 0);
	CU_ASSERT_EQUAL(usched_post(&event), -EOVERFLOW);
	CU_ASSERT_EQUAL(usched_event_wait(&event, USCHED_NOW), 0);
	CU_ASSERT_EQUAL(usched_post(&event), 0);
	CU_ASSERT_EQUAL(atomic_load(&state->word), USCHED_EVENT_POSTS_MAX);
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
	CU_ASSERT_EQUAL(usched_post(&event), -ESHUTDOWN);
	/* One that the program forgot is found out after its runtime. */
	CU_ASSERT_EQUAL(usched_event_init(&event, runtime), 0);
	stop(runtime);
	CU_ASSERT_EQUAL(usched_post(&event), -ESHUTDOWN);
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
}

static void who_waits_first_goes_first(void)
{
	struct usched_runtime *runtime = start(1, USCHED_QUANTUM_DEFAULT);
	usched_fiber_t ids[10];

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
	atomic_store(&turn, 0);
	for (unsigned int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], waits_in_turn,
					     (void *)(uintptr_t)i, NULL), 0);
		await_waiters(i + 1);
	}
	CU_ASSERT_EQUAL(usched_event_destroy(&event), -EBUSY);
	/* A post that is meant for them is not taken by one who comes and does not wait. */
	for (unsigned int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(usched_post(&event), 0);
		CU_ASSERT_EQUAL(usched_event_wait(&event, USCHED_NOW), -EAGAIN);
		CU_ASSERT(await(&turn, i + 1));
	}
	for (unsigned int i = 0; i < 10; i++) {
		void *result = &event;

		CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
	stop(runtime);
}

static void *posts_many(void *argument)
{
	for (unsigned int i = 0; i < 5000; i++) {
		if (usched_post(&event))
			return &event;
		atomic_fetch_add(&posted, 1);
		if (i % 16 == 0)
			usched_yield();
	}
	return argument;
}

static void no_post_is_lost(void)
{
	struct usched_runtime *runtime = start(2, USCHED_QUANTUM_MIN_NS);
	usched_fiber_t posters[4];
	struct takers takers;
	pthread_t threads[2];

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
	begin_takers(runtime, &takers);
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &posters[i], posts_many, NULL, NULL), 0);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, posts_many, NULL), 0);
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(usched_join(posters[i], NULL, SOON), 0);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(atomic_load(&posted), 30000);
	end_takers(&takers);
	stop(runtime);
}

/* Fibers of one runtime wait for an event of another. */
static void runtimes_share_events(void)
{
	struct usched_runtime *one = start(1, USCHED_QUANTUM_DEFAULT);
	struct usched_runtime *two = start(1, USCHED_QUANTUM_DEFAULT);
	usched_fiber_t id;
	void *result = &id;

	CU_ASSERT_PTR_NOT_NULL_FATAL(one);
	CU_ASSERT_PTR_NOT_NULL_FATAL(two);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, one), 0);
	atomic_store(&turn, 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(two, &id, waits_in_turn, NULL, NULL), 0);
	await_waiters(1);
	CU_ASSERT_EQUAL(usched_post(&event), 0);
	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
	stop(one);
	stop(two);
}

/* ------------------------------------------------ the memory after destroy */

enum { ROUNDS = USCHED_TSAN ? 500 : 3000 };

static struct usched_event *_Atomic shared;

static void *posts_each_once(void *argument)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct usched_event *mine;

		while (!(mine = atomic_exchange(&shared, NULL)))
			sched_yield();
		if (usched_post(mine))
			return &event;
	}
	return argument;
}

/* Whoever takes the post may destroy the event at once: nobody touches its memory from then on. */
static void *destroys_each_once(void *argument)
{
	static unsigned char old[ROUNDS][sizeof(struct usched_event)]
		__attribute__((aligned(16)));
	struct usched_event *mine;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		mine = (struct usched_event *)(void *)old[i];
		if (usched_event_init(mine, argument))
			return &event;
		atomic_store(&shared, mine);
		if (i % 2 == 0)
			while (usched_event_wait(mine, USCHED_NOW) == -EAGAIN)
				;
		else if (usched_event_wait(mine, SOON))
			return &event;
		if (usched_event_destroy(mine))
			return &event;
		memset(mine, 0xa5, sizeof(*mine));
	}
	for (unsigned int i = 0; i < ROUNDS; i++) {
		for (unsigned int j = 0; j < sizeof(struct usched_event); j++) {
			if (old[i][j] != 0xa5)
				return &event;
		}
	}
	return NULL;
}

static void nobody_touches_a_destroyed_event(void)
{
	struct usched_runtime *runtime = start(1, USCHED_QUANTUM_DEFAULT);
	void *result = &event;
	pthread_t thread;
	usched_fiber_t id;

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	/* A fiber destroys, then a thread. */
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, posts_each_once, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, destroys_each_once, runtime, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	pthread_join(thread, &result);
	CU_ASSERT_PTR_NULL(result);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, posts_each_once, NULL), 0);
	CU_ASSERT_PTR_NULL(destroys_each_once(runtime));
	pthread_join(thread, &result);
	CU_ASSERT_PTR_NULL(result);
	stop(runtime);
}

static void *waits_shortly(void *argument)
{
	int error = usched_event_wait(&event, usched_after(10000000));

	(void)argument;
	atomic_fetch_add(&turn, 1);
	return (void *)(intptr_t)error;
}

/* The lock, held while somebody waits; NULL, not held: who should wait has come and gone. */
static struct usched_waiter *lock_with_a_waiter(struct usched_event_state *state)
{
	while (!atomic_load(&turn)) {
		usched_spinlock_lock(&state->lock);
		if (!usched_list_empty(&state->waiters))
			return usched_container_of(state->waiters.next, struct usched_waiter, node);
		usched_spinlock_unlock(&state->lock);
		usched_sleep_until(usched_after(100000));
	}
	return NULL;
}

/* Its time is over, but a post comes before it has the lock to say so: it takes the post. */
static void a_post_in_the_last_moment_counts(void)
{
	struct usched_runtime *runtime = start(1, USCHED_QUANTUM_DEFAULT);
	struct usched_event_state *state = (struct usched_event_state *)&event;
	unsigned int rounds = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
	for (unsigned int i = 0; i < 200 && rounds < 10; i++) {
		struct usched_waiter *waiter;
		void *result = &event;
		pthread_t thread;

		atomic_store(&turn, 0);
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, waits_shortly, NULL), 0);
		waiter = lock_with_a_waiter(state);
		if (waiter) {
			while (usched_waiter_reason(waiter) == USCHED_WAIT_WAITING)
				sched_yield();
			CU_ASSERT_EQUAL(usched_waiter_reason(waiter), USCHED_WAIT_TIMED_OUT);
			CU_ASSERT_EQUAL(usched_post(&event), 0);
			usched_spinlock_unlock(&state->lock);
			rounds++;
		}
		pthread_join(thread, &result);
		CU_ASSERT_EQUAL((int)(intptr_t)result, waiter ? 0 : -ETIMEDOUT);
		CU_ASSERT_EQUAL(usched_event_wait(&event, USCHED_NOW), -EAGAIN);
	}
	CU_ASSERT_EQUAL(rounds, 10);
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
	stop(runtime);
}

static void observers_see_who_waits(void)
{
	struct usched_runtime *runtime = start(1, USCHED_QUANTUM_DEFAULT);
	struct usched_client_fiber fiber = { .size = sizeof(fiber) };
	struct usched_client_runtime *observed;
	struct usched_client_fibers *fibers;
	struct usched_client *client;
	usched_fiber_t id;

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
	atomic_store(&turn, 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, waits_in_turn, NULL, NULL), 0);
	await_waiters(1);
	CU_ASSERT_EQUAL_FATAL(usched_client_open(&client, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_runtime_open(client, &observed, (uint32_t)getpid(), 1), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_fibers_open(observed, &fibers), 0);
	CU_ASSERT_EQUAL(usched_client_fibers_count(fibers), 1);
	CU_ASSERT_EQUAL(usched_client_fibers_get(fibers, 0, &fiber), 0);
	CU_ASSERT_EQUAL(fiber.state, USCHED_CLIENT_FIBER_PARKED);
	CU_ASSERT_EQUAL(fiber.wait, USCHED_CLIENT_WAIT_EVENT);
	usched_client_fibers_close(fibers);
	usched_client_runtime_close(observed);
	usched_client_close(client);
	CU_ASSERT_EQUAL(usched_post(&event), 0);
	CU_ASSERT_EQUAL(usched_join(id, NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
	stop(runtime);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "posts_are_counted", posts_are_counted },
		{ "who_waits_first_goes_first", who_waits_first_goes_first },
		{ "no_post_is_lost", no_post_is_lost },
		{ "runtimes_share_events", runtimes_share_events },
		{ "nobody_touches_a_destroyed_event", nobody_touches_a_destroyed_event },
		{ "a_post_in_the_last_moment_counts", a_post_in_the_last_moment_counts },
		{ "observers_see_who_waits", observers_see_who_waits },
	};

	return usched_test_main("event", tests, sizeof(tests) / sizeof(tests[0]));
}
