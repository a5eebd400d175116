/* SPDX-License-Identifier: MIT */
/*
 * System calls that wait, under ticks: a sleep of the program's own is not interrupted by perf ticks, and
 * our own calls by nothing, ticks of any kind and signals of the program's included.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"
#include "under_ticks.h"

static struct usched_channel *channel;
static struct usched_mutex mutex = USCHED_MUTEX_INIT;

/* Of user code, in fibers: 10,000 sleeps of 100 us, and some that are longer. */
enum { WAKERS = 4, SLEEPERS = 100 + WAKERS, NAPS = 100 };

static void *naps(void *argument)
{
	const struct timespec nap = { .tv_nsec = 100000 };

	for (unsigned int i = 0; i < NAPS; i++) {
		if (nanosleep(&nap, NULL)) {
			if (errno != EINTR)
				return argument;
			atomic_fetch_add(&interrupted, 1);
		}
	}
	return NULL;
}

/* Makes the monitor hurry: timers come due, and fibers wake others, beside whatever else runs. */
static void *comes_and_goes(void *argument)
{
	uint64_t value = 0;

	while (!atomic_load(&enough)) {
		if (usched_sleep_until(usched_after(150000)))
			return argument;
		(void)usched_channel_send(channel, &value, USCHED_NOW);
	}
	return NULL;
}

static void *receives(void *argument)
{
	uint64_t value;

	while (usched_channel_receive(channel, &value, USCHED_FOREVER) == 0)
		;
	return argument ? NULL : &channel;
}

/* Wakes a fiber, which then waits for the waker, who sleeps in the kernel. */
static void *wakes_and_naps(void *argument)
{
	const struct timespec nap = { .tv_nsec = 2500000 };
	uint64_t value = 0;

	for (unsigned int i = 0; i < 40; i++) {
		if (usched_channel_send(channel, &value, USCHED_FOREVER))
			return argument;
		if (nanosleep(&nap, NULL)) {
			if (errno != EINTR)
				return argument;
			atomic_fetch_add(&interrupted, 1);
		}
	}
	return NULL;
}

static uint64_t sum_of(size_t offset)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		sum += atomic_load((_Atomic uint64_t *)((char *)&runtime->scheduler.workers[i] + offset));
	return sum;
}

/* A tick of 50 us, which only tests may have; a machine may be slower than that, and has fewer then. */
static struct usched_runtime *create_fast(enum usched_tick tick)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *made = NULL;

	options.workers = 2;
	options.tick = tick;
	options.quantum_ns = 50000;
	options.wakeup_ns = 20000;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	setenv("USCHED_QUANTUM_FLOOR_NS", "50000", 1);
	if (usched_runtime_create(&made, &options))
		made = NULL;
	unsetenv("USCHED_QUANTUM_FLOOR_NS");
	return made;
}

static void sleep_beside(unsigned int hog_count)
{
	usched_fiber_t ids[SLEEPERS], others[8 + HOGS];
	unsigned int count = 0;
	void *result;

	runtime = create_fast(USCHED_TICK_PERF);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL(usched_channel_create(&channel, 8, 0), 0);
	atomic_store(&enough, false);
	atomic_store(&interrupted, 0);
	for (unsigned int i = 0; i < hog_count; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &others[count++], hog, NULL, NULL), 0);
	for (unsigned int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(usched_spawn(runtime, &others[count++], comes_and_goes, NULL, NULL), 0);
		CU_ASSERT_EQUAL(usched_spawn(runtime, &others[count++], receives, &others, NULL), 0);
	}
	for (unsigned int i = 0; i < SLEEPERS; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], i < WAKERS ? wakes_and_naps : naps, &ids,
					     NULL), 0);
	for (unsigned int i = 0; i < SLEEPERS; i++) {
		result = &result;
		CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	atomic_store(&enough, true);
	CU_ASSERT_EQUAL(usched_channel_close(channel), 0);
	for (unsigned int i = 0; i < count; i++) {
		result = &result;
		CU_ASSERT_EQUAL(usched_join(others[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	CU_ASSERT_EQUAL(atomic_load(&interrupted), 0);
	/* It was not for want of trying. */
	CU_ASSERT(sum_of(offsetof(struct usched_worker, counters.ticks)) > 0);
	CU_ASSERT(sum_of(offsetof(struct usched_worker, taken)) > 0);
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static void no_sleep_is_interrupted_by_perf_ticks(void)
{
	if (!perf_works())
		USCHED_SKIP("no-perf: the other ticks interrupt sleeps");
	sleep_beside(0);
	sleep_beside(HOGS);
}

/* Our own calls that wait, one after another; a thread may run it as well as a fiber. */
static struct usched_event posted;
static int listener;
static struct sockaddr_in listener_address;

static void *answers(void *argument)
{
	char byte;
	size_t got;
	int connection;

	for (unsigned int i = 0; i < 40; i++) {
		if (usched_accept(listener, &connection, NULL, NULL, SOON) ||
		    usched_read(connection, &byte, 1, &got, SOON) || got != 1 ||
		    usched_write(connection, &byte, 1, NULL, SOON) || usched_close(connection))
			return &listener;
	}
	return argument;
}

static void *waits_in_every_way(void *argument)
{
	const struct sockaddr *address = (const struct sockaddr *)&listener_address;
	uint64_t value = 7, back;
	usched_fiber_t id;
	char byte = 'x';
	size_t got;
	void *result;
	int connection;

	for (unsigned int i = 0; i < 10; i++) {
		if (usched_sleep_until(usched_after(300000)))
			return argument;
		if (usched_spawn(runtime, &id, doubles, argument, NULL) ||
		    usched_join(id, &result, SOON) || result != (void *)(2 * (uintptr_t)argument))
			return argument;
		if (usched_connect(&connection, address, sizeof(listener_address), SOON) ||
		    usched_write(connection, &byte, 1, NULL, SOON) ||
		    usched_read(connection, &byte, 1, &got, SOON) || got != 1 || byte != 'x' ||
		    usched_close(connection))
			return argument;
		/* Whoever sends meets whoever receives: each does both, and holds the mutex asleep. */
		if (usched_channel_send(channel, &value, SOON) ||
		    usched_channel_receive(channel, &back, SOON) || back != value)
			return argument;
		if (usched_mutex_lock(&mutex, SOON) || usched_sleep_until(usched_after(100000)) ||
		    usched_post(&posted) || usched_mutex_unlock(&mutex))
			return argument;
		if (usched_event_wait(&posted, SOON))
			return argument;
	}
	return NULL;
}

/* A plain thread gets no ticks: the program's own signals, to a handler that restarts nothing. */
static _Atomic bool thread_is_done;

static void *waits_as_a_thread(void *argument)
{
	void *result = waits_in_every_way(argument);

	atomic_store(&thread_is_done, true);
	return result;
}

static void bother_a_thread(void)
{
	struct sigaction action = { .sa_handler = counts_signals }, old;
	pthread_t thread;
	void *result = &thread;

	atomic_store(&program_signals, 0);
	atomic_store(&thread_is_done, false);
	CU_ASSERT_EQUAL(sigaction(SIGUSR1, &action, &old), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, waits_as_a_thread, (void *)(uintptr_t)9), 0);
	while (!atomic_load(&thread_is_done)) {
		pthread_kill(thread, SIGUSR1);
		usleep(50);
	}
	CU_ASSERT_EQUAL(pthread_join(thread, &result), 0);
	CU_ASSERT_PTR_NULL(result);
	CU_ASSERT(atomic_load(&program_signals) > 0);
	CU_ASSERT_EQUAL(sigaction(SIGUSR1, &old, NULL), 0);
	atomic_store(&program_signals, 0);
}

static void our_own_calls_are_not_interrupted(void)
{
	static const enum usched_tick all[] = {
		USCHED_TICK_PERF, USCHED_TICK_TIMER, USCHED_TICK_TIMERFD
	};
	socklen_t bytes = sizeof(listener_address);

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		usched_fiber_t server;
		void *result = &server;

		if (!can_tick(all[i]))
			continue;
		runtime = create_fast(all[i]);
		CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
		atomic_store(&enough, false);
		for (unsigned int j = 0; j < HOGS; j++)
			CU_ASSERT_EQUAL(usched_spawn(runtime, &hogs[j], hog, NULL, NULL), 0);
		CU_ASSERT_EQUAL(usched_channel_create(&channel, 8, 4), 0);
		CU_ASSERT_EQUAL(usched_mutex_init(&mutex), 0);
		CU_ASSERT_EQUAL(usched_event_init(&posted, runtime), 0);
		memset(&listener_address, 0, sizeof(listener_address));
		listener_address.sin_family = AF_INET;
		listener_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		CU_ASSERT_EQUAL_FATAL(usched_listen(&listener, (struct sockaddr *)&listener_address,
						    bytes, 16), 0);
		CU_ASSERT_EQUAL(getsockname(listener, (struct sockaddr *)&listener_address, &bytes), 0);
		CU_ASSERT_EQUAL(usched_spawn(runtime, &server, answers, NULL, NULL), 0);
		run_fibers(waits_in_every_way, 3);
		bother_a_thread();
		CU_ASSERT_EQUAL(usched_join(server, &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
		CU_ASSERT(sum_of(offsetof(struct usched_worker, counters.ticks)) > 0);
		CU_ASSERT_EQUAL(usched_close(listener), 0);
		CU_ASSERT_EQUAL(usched_event_destroy(&posted), 0);
		CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
		stop();
	}
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "no_sleep_is_interrupted_by_perf_ticks", no_sleep_is_interrupted_by_perf_ticks },
		{ "our_own_calls_are_not_interrupted", our_own_calls_are_not_interrupted },
	};

	return usched_test_main("interrupted", tests, sizeof(tests) / sizeof(tests[0]));
}
