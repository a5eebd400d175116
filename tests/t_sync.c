/* SPDX-License-Identifier: MIT */
/*
 * Channels and mutex: order, counts and who gets what, among fibers and plain threads.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <usched/usched.h>

#include "harness.h"

#define SOON usched_after(UINT64_C(30000000000))

enum { VALUES = 20000, PARTIES = 4 };

static struct usched_runtime *start(unsigned int workers)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;

	options.workers = workers;
	options.quantum_ns = 200000;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	return runtime;
}

static void stop(struct usched_runtime *runtime)
{
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static struct usched_channel *channel;

static void *sends_in_order(void *argument)
{
	for (uint64_t i = 1; i <= VALUES; i++) {
		if (usched_channel_send(channel, &i, SOON))
			return argument;
	}
	usched_channel_close(channel);
	return NULL;
}

static void order_is_kept(void)
{
	struct usched_runtime *runtime = start(2);

	for (size_t capacity = 0; capacity <= 8; capacity += 4) {
		usched_fiber_t id;
		uint64_t value, expected = 1;
		int error;

		CU_ASSERT_EQUAL(usched_channel_create(&channel, sizeof(value), capacity), 0);
		CU_ASSERT_EQUAL(usched_spawn(runtime, &id, sends_in_order, &channel, NULL), 0);
		/* This thread receives what a fiber sends. */
		while ((error = usched_channel_receive(channel, &value, SOON)) == 0) {
			if (value != expected)
				break;
			expected++;
		}
		CU_ASSERT_EQUAL(error, -EPIPE);
		CU_ASSERT_EQUAL(expected, VALUES + 1);
		CU_ASSERT_EQUAL(usched_join(id, NULL, SOON), 0);
		CU_ASSERT_EQUAL(usched_channel_close(channel), -EALREADY);
		CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	}
	stop(runtime);
}

static _Atomic uint64_t sent_sum, received_sum, received_count;

static void *sends_many(void *argument)
{
	uint64_t first = (uint64_t)(uintptr_t)argument * VALUES;

	for (uint64_t i = first; i < first + VALUES; i++) {
		if (usched_channel_send(channel, &i, SOON) == 0)
			atomic_fetch_add(&sent_sum, i);
	}
	return NULL;
}

static void *receives_many(void *argument)
{
	uint64_t value;

	while (usched_channel_receive(channel, &value, SOON) == 0) {
		atomic_fetch_add(&received_sum, value);
		atomic_fetch_add(&received_count, 1);
	}
	return argument;
}

static void many_to_many_loses_nothing(void)
{
	struct usched_runtime *runtime = start(0);

	for (size_t capacity = 0; capacity <= 16; capacity += 16) {
		usched_fiber_t senders[PARTIES], receivers[PARTIES];
		pthread_t thread_sends, thread_receives;

		atomic_store(&sent_sum, 0);
		atomic_store(&received_sum, 0);
		atomic_store(&received_count, 0);
		CU_ASSERT_EQUAL(usched_channel_create(&channel, sizeof(uint64_t), capacity), 0);
		for (uintptr_t i = 0; i < PARTIES; i++) {
			CU_ASSERT_EQUAL(usched_spawn(runtime, &senders[i], sends_many, (void *)i, NULL), 0);
			CU_ASSERT_EQUAL(usched_spawn(runtime, &receivers[i], receives_many, NULL, NULL), 0);
		}
		pthread_create(&thread_sends, NULL, sends_many, (void *)PARTIES);
		pthread_create(&thread_receives, NULL, receives_many, NULL);
		for (unsigned int i = 0; i < PARTIES; i++) {
			int error = usched_join(senders[i], NULL, SOON);

			CU_ASSERT_EQUAL(error, 0);
			if (error)
				printf("info: join gave %d\n", error);
		}
		pthread_join(thread_sends, NULL);
		CU_ASSERT_EQUAL(usched_channel_close(channel), 0);
		for (unsigned int i = 0; i < PARTIES; i++)
			CU_ASSERT_EQUAL(usched_join(receivers[i], NULL, SOON), 0);
		pthread_join(thread_receives, NULL);
		CU_ASSERT_EQUAL(atomic_load(&received_count), (PARTIES + 1) * (uint64_t)VALUES);
		CU_ASSERT_EQUAL(atomic_load(&received_sum), atomic_load(&sent_sum));
		CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	}
	stop(runtime);
}

/* Receivers whose deadline comes at about the time of the value. */
static void *receives_hastily(void *argument)
{
	uint64_t value;

	for (;;) {
		int error = usched_channel_receive(channel, &value, usched_after(20000));

		if (error == -EPIPE)
			return argument;
		if (error == 0) {
			atomic_fetch_add(&received_sum, value);
			atomic_fetch_add(&received_count, 1);
		}
	}
}

static void *sends_hastily(void *argument)
{
	uint64_t first = (uint64_t)(uintptr_t)argument * 1000;

	for (uint64_t i = first; i < first + 1000; i++) {
		while (usched_channel_send(channel, &i, usched_after(20000)) == -ETIMEDOUT)
			;
		atomic_fetch_add(&sent_sum, i);
	}
	return NULL;
}

static void timeouts_lose_and_double_nothing(void)
{
	struct usched_runtime *runtime = start(0);
	usched_fiber_t senders[PARTIES], receivers[PARTIES];

	atomic_store(&sent_sum, 0);
	atomic_store(&received_sum, 0);
	atomic_store(&received_count, 0);
	CU_ASSERT_EQUAL(usched_channel_create(&channel, sizeof(uint64_t), 0), 0);
	for (uintptr_t i = 0; i < PARTIES; i++) {
		usched_spawn(runtime, &senders[i], sends_hastily, (void *)i, NULL);
		usched_spawn(runtime, &receivers[i], receives_hastily, NULL, NULL);
	}
	for (unsigned int i = 0; i < PARTIES; i++)
		CU_ASSERT_EQUAL(usched_join(senders[i], NULL, SOON), 0);
	usched_channel_close(channel);
	for (unsigned int i = 0; i < PARTIES; i++)
		CU_ASSERT_EQUAL(usched_join(receivers[i], NULL, SOON), 0);
	CU_ASSERT_EQUAL(atomic_load(&received_count), PARTIES * 1000);
	CU_ASSERT_EQUAL(atomic_load(&received_sum), atomic_load(&sent_sum));
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	stop(runtime);
}

static void channels_say_no(void)
{
	uint64_t value = 7;

	CU_ASSERT_EQUAL(usched_channel_create(&channel, 1 << 20, 0), -EINVAL);
	CU_ASSERT_EQUAL(usched_channel_create(&channel, 65536, SIZE_MAX / 2), -EOVERFLOW);
	CU_ASSERT_EQUAL(usched_channel_create(&channel, sizeof(value), 1), 0);
	CU_ASSERT_EQUAL(usched_channel_receive(channel, &value, USCHED_NOW), -EAGAIN);
	CU_ASSERT_EQUAL(usched_channel_receive(channel, &value, usched_after(1000000)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(value, 7);
	CU_ASSERT_EQUAL(usched_channel_send(channel, &value, USCHED_NOW), 0);
	CU_ASSERT_EQUAL(usched_channel_send(channel, &value, USCHED_NOW), -EAGAIN);
	CU_ASSERT_EQUAL(usched_channel_send(channel, &value, usched_after(1000000)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(usched_channel_close(channel), 0);
	CU_ASSERT_EQUAL(usched_channel_send(channel, &value, USCHED_NOW), -EPIPE);
	value = 0;
	CU_ASSERT_EQUAL(usched_channel_receive(channel, &value, USCHED_NOW), 0);
	CU_ASSERT_EQUAL(value, 7);
	CU_ASSERT_EQUAL(usched_channel_receive(channel, &value, USCHED_NOW), -EPIPE);
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	CU_ASSERT_EQUAL(usched_channel_free(NULL), 0);
}

static struct usched_mutex mutex = USCHED_MUTEX_INIT;
static uint64_t guarded;		/* by mutex */

static void *counts(void *argument)
{
	for (unsigned int i = 0; i < VALUES; i++) {
		uint64_t seen;

		if (usched_mutex_lock(&mutex, SOON))
			return argument;
		seen = guarded;
		if (i % 64 == 0)
			usched_yield();		/* held over a switch */
		guarded = seen + 1;
		if (usched_mutex_unlock(&mutex))
			return argument;
	}
	return NULL;
}

static void the_mutex_excludes(void)
{
	struct usched_runtime *runtime = start(0);
	usched_fiber_t ids[PARTIES];
	pthread_t thread;
	void *result;

	guarded = 0;
	for (unsigned int i = 0; i < PARTIES; i++)
		usched_spawn(runtime, &ids[i], counts, &mutex, NULL);
	pthread_create(&thread, NULL, counts, &mutex);
	for (unsigned int i = 0; i < PARTIES; i++) {
		result = &mutex;
		CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	pthread_join(thread, &result);
	CU_ASSERT_PTR_NULL(result);
	CU_ASSERT_EQUAL(guarded, (PARTIES + 1) * (uint64_t)VALUES);
	stop(runtime);
}

static void *locks_for_a_while(void *argument)
{
	return (void *)(intptr_t)usched_mutex_lock(argument, usched_after(2000000));
}

static void the_mutex_says_no(void)
{
	struct usched_runtime *runtime = start(1);
	struct usched_mutex own;
	usched_fiber_t id;
	void *result = NULL;

	CU_ASSERT_EQUAL(usched_mutex_init(&own), 0);
	CU_ASSERT_EQUAL(usched_mutex_unlock(&own), -EPERM);
	CU_ASSERT_EQUAL(usched_mutex_lock(&own, USCHED_NOW), 0);
	CU_ASSERT_EQUAL(usched_mutex_lock(&own, SOON), -EDEADLK);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, locks_for_a_while, &own, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_EQUAL((intptr_t)result, -ETIMEDOUT);
	CU_ASSERT_EQUAL(usched_mutex_unlock(&own), 0);
	CU_ASSERT_EQUAL(usched_mutex_lock(&own, USCHED_NOW), 0);
	CU_ASSERT_EQUAL(usched_mutex_unlock(&own), 0);
	stop(runtime);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "order_is_kept", order_is_kept },
		{ "many_to_many_loses_nothing", many_to_many_loses_nothing },
		{ "timeouts_lose_and_double_nothing", timeouts_lose_and_double_nothing },
		{ "channels_say_no", channels_say_no },
		{ "the_mutex_excludes", the_mutex_excludes },
		{ "the_mutex_says_no", the_mutex_says_no },
	};

	return usched_test_main("sync", tests, sizeof(tests) / sizeof(tests[0]));
}
