/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_EVENTS_H
#define USCHED_TESTS_EVENTS_H

/*
 * What tests of events share: one event, fibers that wait for it in turn, and takers of every kind that
 * count what they took, to be compared with what was posted.
 *
 * For one source file of a program.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <usched/usched.h>

#include "harness.h"
#include "runtime/runtime.h"
#include "sync/event.h"

#define SOON usched_after(UINT64_C(60000000000))

static inline struct usched_runtime *start(unsigned int workers, uint64_t quantum_ns)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime = NULL;

	options.workers = workers;
	options.quantum_ns = quantum_ns;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	return usched_runtime_create(&runtime, &options) ? NULL : runtime;
}

static inline void stop(struct usched_runtime *runtime)
{
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

/* Gives up at some time: then the assertions that follow say what is missing. */
static inline bool await(_Atomic uint64_t *word, uint64_t value)
{
	uint64_t end_ns = usched_after(UINT64_C(20000000000));

	while (atomic_load(word) != value && usched_now() < end_ns)
		usched_sleep_until(usched_after(50000));
	return atomic_load(word) == value;
}

static struct usched_event event;

static _Atomic uint64_t turn, taken, posted, enough, all_taken;

static inline void *waits_in_turn(void *argument)
{
	int error = usched_event_wait(&event, SOON);

	if (error)
		return &event;
	return (void *)(uintptr_t)(atomic_fetch_add(&turn, 1) != (uintptr_t)argument);
}

static inline bool is_waiting(unsigned int count)
{
	struct usched_event_state *state = (struct usched_event_state *)&event;
	unsigned int found = 0;

	usched_spinlock_lock(&state->lock);
	for (struct usched_list *at = state->waiters.next; at != &state->waiters; at = at->next)
		found++;
	usched_spinlock_unlock(&state->lock);
	return found == count;
}

static inline void await_waiters(unsigned int count)
{
	uint64_t end_ns = usched_after(UINT64_C(20000000000));

	while (!is_waiting(count) && usched_now() < end_ns)
		usched_sleep_until(usched_after(50000));
	CU_ASSERT(is_waiting(count));
}

/* Takers of every kind, some of them impatient, until `all_taken`. */
static inline void *takes(void *argument)
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

enum { FIBERS = 8, THREADS = 2 };

struct takers {
	usched_fiber_t fibers[FIBERS];
	pthread_t threads[THREADS];
};

static inline void begin_takers(struct usched_runtime *runtime, struct takers *takers)
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
static inline void end_takers(struct takers *takers)
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

#endif /* USCHED_TESTS_EVENTS_H */
