/* SPDX-License-Identifier: MIT */
/*
 * Signal handlers that post to events: no post is lost, wherever they interrupted a fiber, a thread, or
 * the library itself with the event's lock held. And what the other calls do in a handler on an
 * alternate stack.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <usched/usched.h>

#include "events.h"
#include "harness.h"
#include "preempt/tick.h"
#include "runtime/runtime.h"
#include "sync/event.h"
#include "worker/step.h"

static _Atomic int handler_error;
static _Atomic bool handlers_rest;
static _Atomic uint64_t handlers_begun, handlers_ended;

static void posts_from_handler(int signal)
{
	(void)signal;
	atomic_fetch_add(&handlers_begun, 1);
	/* A signal may wait for long in a carrier that sleeps with all of them blocked. */
	if (!atomic_load(&handlers_rest)) {
		int error = usched_post(&event);

		if (error)
			atomic_store(&handler_error, error);
		else
			atomic_fetch_add(&posted, 1);
	}
	atomic_fetch_add(&handlers_ended, 1);
}

/* From here on nothing more is posted by handlers; fibers may have been stopped in one. */
static void let_handlers_rest(void)
{
	uint64_t end_ns = usched_after(UINT64_C(20000000000)), ended;

	atomic_store(&handlers_rest, true);
	do {
		usched_sleep_until(usched_after(100000));
		ended = atomic_load(&handlers_ended);
	} while (ended != atomic_load(&handlers_begun) && usched_now() < end_ns);
}

static void handle(int signal, void (*function)(int), int flags)
{
	struct sigaction action = { .sa_handler = function };

	action.sa_flags = flags;
	CU_ASSERT_EQUAL_FATAL(sigaction(signal, &action, NULL), 0);
	atomic_store(&handler_error, 0);
	atomic_store(&handlers_rest, false);
	atomic_store(&posted, 0);
}

/* The interrupted code holds the event's lock: the handler must not wait, and nothing is lost. */
static void a_handler_may_meet_a_held_lock(void)
{
	struct usched_runtime *runtime = start(1, USCHED_QUANTUM_DEFAULT);
	struct usched_event_state *state = (struct usched_event_state *)&event;
	usched_fiber_t ids[3];

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
	handle(SIGUSR1, posts_from_handler, 0);
	for (unsigned int times = 0; times < 100; times++) {
		atomic_store(&turn, 0);
		for (unsigned int i = 0; i < 3; i++)
			CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], waits_in_turn,
						     (void *)(uintptr_t)i, NULL), 0);
		await_waiters(3);
		usched_spinlock_lock(&state->lock);
		for (unsigned int i = 0; i < 3; i++)
			raise(SIGUSR1);
		usched_spinlock_unlock(&state->lock);
		/* They are on their way to those who wait: not for one who comes now. */
		CU_ASSERT_EQUAL(usched_event_wait(&event, USCHED_NOW), -EAGAIN);
		for (unsigned int i = 0; i < 3; i++)
			CU_ASSERT_EQUAL(usched_join(ids[i], NULL, SOON), 0);
		CU_ASSERT_EQUAL(usched_event_wait(&event, USCHED_NOW), -EAGAIN);
	}
	CU_ASSERT_EQUAL(atomic_load(&posted), 300);
	CU_ASSERT_EQUAL(atomic_load(&handler_error), 0);
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
	stop(runtime);
}

static struct usched_channel *channels[2];
static struct usched_mutex mutex;

static void *bounces(void *argument)
{
	unsigned int side = (unsigned int)(uintptr_t)argument;
	uint64_t value = 0;

	while (!atomic_load(&enough)) {
		if (usched_channel_send(channels[side], &value, SOON) ||
		    usched_channel_receive(channels[1 - side], &value, SOON))
			break;
	}
	usched_channel_close(channels[side]);
	return NULL;
}

static void *hands_back(void *argument)
{
	return argument;
}

/* Everything that takes a lock, sleeps, switches, allocates, or is preempted. */
static void *bustles(void *argument)
{
	while (!atomic_load(&enough)) {
		usched_fiber_t id;
		void *memory = malloc(100);
		volatile unsigned int work = 0;

		if (!usched_mutex_lock(&mutex, usched_after(100000))) {
			usched_yield();
			usched_mutex_unlock(&mutex);
		}
		free(memory);
		usched_sleep_until(usched_after(5000));
		if (!usched_spawn(NULL, &id, hands_back, NULL, NULL))
			usched_join(id, NULL, SOON);
		while (work < 20000)
			work++;
		usched_post(&event);
		atomic_fetch_add(&posted, 1);
	}
	return argument;
}

/*
 * Signals for every carrier, whatever it does, and for the process; then the same again. With SA_NODEFER
 * handlers interrupt each other, and on a busy machine signals come faster than handlers end: no more
 * begin than fit on one stack.
 */
static void storm(struct usched_runtime *runtime, uint64_t until)
{
	enum { UNDER_WAY_MAX = 24 };
	uint64_t end_ns = usched_after(UINT64_C(30000000000));

	while (atomic_load(&posted) < until && usched_now() < end_ns) {
		uint64_t ended = atomic_load(&handlers_ended);
		uint32_t count = atomic_load(&handlers_begun) - ended > UNDER_WAY_MAX ? 0 :
				 atomic_load(&runtime->scheduler.carrier_places);

		for (uint32_t i = 0; i < count; i++) {
			struct usched_carrier *carrier = &runtime->scheduler.carriers[i];

			if (atomic_load(&carrier->ready))
				syscall(SYS_tgkill, getpid(), carrier->tid, SIGUSR1);
		}
		if (count > 0)
			kill(getpid(), SIGUSR1);
		usched_sleep_until(usched_after(20000));
	}
}

static void handlers_post_wherever_they_interrupt(void)
{
	static const int flags[] = { 0, SA_ONSTACK, SA_RESTART | SA_NODEFER };

	for (unsigned int i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct usched_runtime *runtime;
		usched_fiber_t busy[4], sides[2];
		struct takers takers;

		handle(SIGUSR1, posts_from_handler, flags[i]);
		runtime = start(2, USCHED_QUANTUM_MIN_NS);
		CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
		CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
		usched_mutex_init(&mutex);
		for (unsigned int j = 0; j < 2; j++)
			CU_ASSERT_EQUAL(usched_channel_create(&channels[j], 8, 1), 0);
		begin_takers(runtime, &takers);
		for (unsigned int j = 0; j < 2; j++)
			CU_ASSERT_EQUAL(usched_spawn(runtime, &sides[j], bounces,
						     (void *)(uintptr_t)j, NULL), 0);
		for (unsigned int j = 0; j < 4; j++)
			CU_ASSERT_EQUAL(usched_spawn(runtime, &busy[j], bustles, NULL, NULL), 0);
		storm(runtime, USCHED_TSAN || getenv("USCHED_EMULATOR") ? 2000 : 20000);
		/* The takers go on until all is taken; the others end. */
		let_handlers_rest();
		CU_ASSERT_EQUAL(atomic_load(&handler_error), 0);
		CU_ASSERT(atomic_load(&posted) >= 1000);
		atomic_store(&enough, 1);
		for (unsigned int j = 0; j < 4; j++)
			CU_ASSERT_EQUAL(usched_join(busy[j], NULL, SOON), 0);
		for (unsigned int j = 0; j < 2; j++)
			CU_ASSERT_EQUAL(usched_join(sides[j], NULL, SOON), 0);
		end_takers(&takers);
		for (unsigned int j = 0; j < 2; j++)
			CU_ASSERT_EQUAL(usched_channel_free(channels[j]), 0);
		stop(runtime);
	}
}

/* A thread that posts and waits is interrupted by handlers that post to the same event. */
static void *posts_and_takes(void *argument)
{
	while (!atomic_load(&enough)) {
		if (usched_post(&event))
			return &event;
		atomic_fetch_add(&posted, 1);
		if (usched_event_wait(&event, SOON))
			return &event;
		atomic_fetch_add(&taken, 1);
	}
	return argument;
}

static void handlers_post_beside_posts(void)
{
	struct usched_runtime *runtime = start(1, USCHED_QUANTUM_DEFAULT);
	pthread_t threads[2];
	void *result;

	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
	handle(SIGUSR1, posts_from_handler, 0);
	atomic_store(&taken, 0);
	atomic_store(&enough, 0);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, posts_and_takes, NULL), 0);
	for (unsigned int i = 0; i < (USCHED_TSAN ? 1000 : 4000); i++) {
		pthread_kill(threads[i % 2], SIGUSR1);
		usched_sleep_until(usched_after(10000));
	}
	let_handlers_rest();
	atomic_store(&enough, 1);
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(threads[i], &result);
		CU_ASSERT_PTR_NULL(result);
	}
	CU_ASSERT_EQUAL(atomic_load(&handler_error), 0);
	while (usched_event_wait(&event, USCHED_NOW) == 0)
		atomic_fetch_add(&taken, 1);
	CU_ASSERT_EQUAL(atomic_load(&taken), atomic_load(&posted));
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
	stop(runtime);
}

/* ------------------------------------------------- on an alternate stack */

static _Atomic int errors[8];
static usched_fiber_t other;

static void calls_that_wait(int signal)
{
	uint64_t value = 0;

	(void)signal;
	atomic_store(&errors[0], usched_channel_receive(channels[0], &value, SOON));
	atomic_store(&errors[1], usched_channel_receive(channels[0], &value, USCHED_NOW));
	atomic_store(&errors[2], usched_sleep_until(usched_after(1000000)));
	atomic_store(&errors[3], usched_yield());
	atomic_store(&errors[4], usched_event_wait(&event, USCHED_FOREVER));
	atomic_store(&errors[5], usched_mutex_lock(&mutex, SOON));
	atomic_store(&errors[6], usched_join(other, NULL, SOON));
	atomic_store(&errors[7], usched_post(&event));
}

static void *raises(void *argument)
{
	return raise(SIGUSR1) ? argument : NULL;
}

static void *holds_the_mutex(void *argument)
{
	uint64_t value;

	usched_mutex_lock(&mutex, USCHED_FOREVER);
	atomic_fetch_add(&turn, 1);
	usched_channel_receive(channels[1], &value, SOON);
	usched_mutex_unlock(&mutex);
	return argument;
}

static void nobody_waits_on_an_alternate_stack(void)
{
	static const int expected[] = { -EPERM, -EAGAIN, -EPERM, -EPERM, -EPERM, -EPERM, -EPERM, 0 };
	struct usched_runtime *runtime;
	void *result = &event;
	uint64_t value = 0;
	usched_fiber_t id;

	handle(SIGUSR1, calls_that_wait, SA_ONSTACK);
	runtime = start(1, USCHED_QUANTUM_DEFAULT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
	usched_mutex_init(&mutex);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(usched_channel_create(&channels[i], 8, 1), 0);
	atomic_store(&turn, 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &other, holds_the_mutex, NULL, NULL), 0);
	CU_ASSERT(await(&turn, 1));
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &id, raises, &id, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	for (unsigned int i = 0; i < 8; i++) {
		if (atomic_load(&errors[i]) != expected[i])
			printf("info: call %u gave %d\n", i, atomic_load(&errors[i]));
		CU_ASSERT_EQUAL(atomic_load(&errors[i]), expected[i]);
	}
	CU_ASSERT_EQUAL(usched_event_wait(&event, SOON), 0);
	CU_ASSERT_EQUAL(usched_channel_send(channels[1], &value, SOON), 0);
	CU_ASSERT_EQUAL(usched_join(other, NULL, SOON), 0);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(usched_channel_free(channels[i]), 0);
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
	stop(runtime);
}

/*
 * A tick leaves a note inside a call that does not wait; on leaving, the fiber must not leave the
 * alternate stack, since the next fiber of the carrier may get a signal there.
 */
static _Atomic bool spoiled;

static void is_preempted_in_a_call(int signal)
{
	struct usched_carrier *carrier = usched_carrier_self_get();
	unsigned char canary[2048];
	uint64_t value = 0;

	(void)signal;
	memset(canary, 0x5a, sizeof(canary));
	__asm__ volatile("" : : "r"(canary) : "memory");
	/* As the tick's handler would. */
	atomic_store(&carrier->pending, true);
	if (usched_channel_send(channels[0], &value, SOON) ||
	    usched_channel_receive(channels[0], &value, SOON))
		atomic_store(&spoiled, true);
	__asm__ volatile("" : : "r"(canary) : "memory");
	for (unsigned int i = 0; i < sizeof(canary); i++) {
		if (canary[i] != 0x5a)
			atomic_store(&spoiled, true);
	}
	atomic_fetch_add(&turn, 1);
}

static void *raises_often(void *argument)
{
	for (unsigned int i = 0; i < 200; i++) {
		if (raise(SIGUSR1))
			return &event;
	}
	return argument;
}

static void a_tick_does_not_leave_an_alternate_stack(void)
{
	struct usched_runtime *runtime;
	usched_fiber_t ids[3];

	handle(SIGUSR1, is_preempted_in_a_call, SA_ONSTACK);
	runtime = start(1, USCHED_QUANTUM_MAX_NS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL(usched_channel_create(&channels[0], 8, 64), 0);
	atomic_store(&spoiled, false);
	atomic_store(&turn, 0);
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &ids[i], raises_often, NULL, NULL), 0);
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(usched_join(ids[i], NULL, SOON), 0);
	CU_ASSERT_EQUAL(atomic_load(&turn), 600);
	CU_ASSERT_FALSE(atomic_load(&spoiled));
	CU_ASSERT_EQUAL(usched_channel_free(channels[0]), 0);
	stop(runtime);
}

/* ------------------------------------------------------- a tick in a post */

#if USCHED_DEBUG

static _Atomic bool armed, noted, moved;

static void dawdles_in_the_post(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;
	uint64_t before = atomic_load(&turn);

	if (strcmp(point, "posting") || !carrier || !atomic_exchange(&armed, false))
		return;
	/* User code, so a tick would stop it; of the kinds that there are, the monitor's do not come
	   while a carrier is inside the library. */
	usched_tick_send(carrier);
	for (uint64_t end_ns = usched_after(UINT64_C(5000000000));
	     !atomic_load(&carrier->pending) && usched_now() < end_ns;)
		;
	atomic_store(&noted, atomic_load(&carrier->pending));
	atomic_store(&moved, atomic_load(&turn) != before);
}

static void *steps(void *argument)
{
	while (!atomic_load(&enough)) {
		atomic_fetch_add(&turn, 1);
		usched_yield();
	}
	return argument;
}

static void *posts_once(void *argument)
{
	atomic_store(&armed, true);
	return usched_post(&event) ? argument : NULL;
}

static void a_tick_does_not_stop_a_post(void)
{
	struct usched_runtime *runtime;
	usched_fiber_t stepper, poster;
	void *result = &event;

	/* For good: a hook may always be about to be called. */
	usched_step_hook = dawdles_in_the_post;
	runtime = start(1, USCHED_QUANTUM_MIN_NS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(usched_event_init(&event, runtime), 0);
	atomic_store(&enough, 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &stepper, steps, NULL, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &poster, posts_once, &event, NULL), 0);
	CU_ASSERT_EQUAL(usched_join(poster, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	CU_ASSERT(atomic_load(&noted));
	CU_ASSERT_FALSE(atomic_load(&moved));
	atomic_store(&enough, 1);
	CU_ASSERT_EQUAL(usched_join(stepper, NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_event_wait(&event, USCHED_NOW), 0);
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
	stop(runtime);
}

#else

static void a_tick_does_not_stop_a_post(void)
{
	USCHED_SKIP("no-steps: configure with --enable-debug");
}

#endif

int main(void)
{
	static const struct usched_test tests[] = {
		{ "a_handler_may_meet_a_held_lock", a_handler_may_meet_a_held_lock },
		{ "handlers_post_wherever_they_interrupt", handlers_post_wherever_they_interrupt },
		{ "handlers_post_beside_posts", handlers_post_beside_posts },
		{ "nobody_waits_on_an_alternate_stack", nobody_waits_on_an_alternate_stack },
		{ "a_tick_does_not_leave_an_alternate_stack",
		  a_tick_does_not_leave_an_alternate_stack },
		{ "a_tick_does_not_stop_a_post", a_tick_does_not_stop_a_post },
	};

	return usched_test_main("handler", tests, sizeof(tests) / sizeof(tests[0]));
}
