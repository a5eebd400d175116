/* SPDX-License-Identifier: MIT */
/*
 * Events: no post is lost and none is taken twice, whoever posts and wherever: fibers, threads, and
 * signal handlers that interrupted a fiber, a thread, or the library itself with the event's lock
 * held. And what the other calls do in a handler on an alternate stack.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <usched/client.h>
#include <usched/usched.h>

#include "harness.h"
#include "preempt/tick.h"
#include "runtime/runtime.h"
#include "sync/event.h"
#include "worker/step.h"

#define SOON usched_after(UINT64_C(60000000000))

static struct usched_runtime *start(unsigned int workers, uint64_t quantum_ns)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;

	options.workers = workers;
	options.quantum_ns = quantum_ns;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	return usched_runtime_create(&runtime, &options) ? NULL : runtime;
}

static void stop(struct usched_runtime *runtime)
{
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

/* Gives up at some time: then the assertions that follow say what is missing. */
static bool await(_Atomic uint64_t *word, uint64_t value)
{
	uint64_t end_ns = usched_after(UINT64_C(20000000000));

	while (atomic_load(word) != value && usched_now() < end_ns)
		usched_sleep_until(usched_after(50000));
	return atomic_load(word) == value;
}

static struct usched_event event;

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

static _Atomic uint64_t turn, taken, posted, enough, all_taken;

static void *waits_in_turn(void *argument)
{
	int error = usched_event_wait(&event, SOON);

	if (error)
		return &event;
	return (void *)(uintptr_t)(atomic_fetch_add(&turn, 1) != (uintptr_t)argument);
}

static bool is_waiting(unsigned int count)
{
	struct usched_event_state *state = (struct usched_event_state *)&event;
	unsigned int found = 0;

	usched_spinlock_lock(&state->lock);
	for (struct usched_list *at = state->waiters.next; at != &state->waiters; at = at->next)
		found++;
	usched_spinlock_unlock(&state->lock);
	return found == count;
}

static void await_waiters(unsigned int count)
{
	uint64_t end_ns = usched_after(UINT64_C(20000000000));

	while (!is_waiting(count) && usched_now() < end_ns)
		usched_sleep_until(usched_after(50000));
	CU_ASSERT(is_waiting(count));
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

/* Takers of every kind, some of them impatient, until `all_taken`. */
static void *takes(void *argument)
{
	bool is_patient = argument != NULL;

	for (;;) {
		int error = usched_event_wait(&event, is_patient ? SOON : usched_after(20000));

		if (atomic_load(&all_taken))
			return NULL;
		if (error == 0)
			atomic_fetch_add(&taken, 1);
		else if (is_patient || error != -ETIMEDOUT)
			return &event;
	}
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

enum { FIBERS = 8, THREADS = 2 };

struct takers {
	usched_fiber_t fibers[FIBERS];
	pthread_t threads[THREADS];
};

static void begin_takers(struct usched_runtime *runtime, struct takers *takers)
{
	atomic_store(&taken, 0);
	atomic_store(&posted, 0);
	atomic_store(&enough, 0);
	atomic_store(&all_taken, 0);
	for (unsigned int i = 0; i < FIBERS; i++)
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &takers->fibers[i], takes,
						   i % 2 ? &event : NULL, NULL), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&takers->threads[i], NULL, takes,
						     i % 2 ? &event : NULL), 0);
}

/* All that was posted is taken, nothing more; then the takers end. */
static void end_takers(struct takers *takers)
{
	void *result;

	CU_ASSERT(await(&taken, atomic_load(&posted)));
	CU_ASSERT_EQUAL(atomic_load(&taken), atomic_load(&posted));
	atomic_store(&all_taken, 1);
	for (unsigned int i = 0; i < FIBERS + THREADS; i++)
		CU_ASSERT_EQUAL(usched_post(&event), 0);
	for (unsigned int i = 0; i < FIBERS; i++) {
		result = &event;
		CU_ASSERT_EQUAL(usched_join(takers->fibers[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(takers->threads[i], &result);
		CU_ASSERT_PTR_NULL(result);
	}
	CU_ASSERT_EQUAL(atomic_load(&taken), atomic_load(&posted));
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
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

/* --------------------------------------------------------- signal handlers */

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
		{ "a_handler_may_meet_a_held_lock", a_handler_may_meet_a_held_lock },
		{ "a_post_in_the_last_moment_counts", a_post_in_the_last_moment_counts },
		{ "handlers_post_wherever_they_interrupt", handlers_post_wherever_they_interrupt },
		{ "handlers_post_beside_posts", handlers_post_beside_posts },
		{ "nobody_waits_on_an_alternate_stack", nobody_waits_on_an_alternate_stack },
		{ "a_tick_does_not_leave_an_alternate_stack",
		  a_tick_does_not_leave_an_alternate_stack },
		{ "a_tick_does_not_stop_a_post", a_tick_does_not_stop_a_post },
		{ "observers_see_who_waits", observers_see_who_waits },
	};

	return usched_test_main("event", tests, sizeof(tests) / sizeof(tests[0]));
}
