/* SPDX-License-Identifier: MIT */
/*
 * What a fiber holds when it leaves its thread: a pipe that others read from, an ordinary mutex that
 * others want, and mutexes that know their owner, which is the thread.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <usched/usched.h>

#include "decided.h"
#include "harness.h"

/* ---- two deadlocks that do not happen ---- */

static pthread_mutex_t plain_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned int turns_with_mutex;
static int pipe_ends[2];

/* Declared code with a pthread mutex held, against the advice; the kind that has no owner. */
USCHED_MIGRATABLE static void *computes_with_mutex(void *argument)
{
	volatile unsigned int work = 0;

	for (unsigned int i = 0; i < 50; i++) {
		pthread_mutex_lock(&plain_mutex);
		for (unsigned int j = 0; j < 300000; j++)
			work++;
		atomic_fetch_add(&turns_with_mutex, 1);
		pthread_mutex_unlock(&plain_mutex);
	}
	return argument;
}

static void a_yield_fiber_holds_a_pthread_mutex_that_its_sibling_wants(void)
{
	usched_fiber_t ids[4];

	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	atomic_store(&turns_with_mutex, 0);
	for (unsigned int i = 0; i < 4; i++)
		ids[i] = spawn(USCHED_PREEMPT_YIELD, computes_with_mutex, NULL);
	for (unsigned int i = 0; i < 4; i++)
		join(ids[i]);
	CU_ASSERT_EQUAL(atomic_load(&turns_with_mutex), 200);
	stop();
}

static void *reads_byte(void *argument)
{
	char byte = 0;

	return read(pipe_ends[0], &byte, 1) == 1 && byte == 'x' ? NULL : argument;
}

USCHED_MIGRATABLE static void *computes_then_writes(void *argument)
{
	volatile unsigned int work = 0;

	for (unsigned int j = 0; j < 3000000; j++)
		work++;
	return write(pipe_ends[1], "x", 1) == 1 ? NULL : argument;
}

static void a_sibling_blocks_in_read_on_what_a_preempted_fiber_must_write(void)
{
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	for (unsigned int i = 0; i < 10; i++) {
		usched_fiber_t writer = spawn(USCHED_PREEMPT_YIELD, computes_then_writes, &writer);
		usched_fiber_t reader = spawn(USCHED_PREEMPT_YIELD, reads_byte, &reader);

		CU_ASSERT_PTR_NULL(join(reader));
		CU_ASSERT_PTR_NULL(join(writer));
	}
	stop();
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* ---- damage that does happen, to who holds a mutex that knows its owner ---- */

enum { MUTEXES = 1000, ROUNDS = 100 };

struct owned_kind {
	const char *name;
	int type, robust, protocol;
	int (*enter)(pthread_mutex_t *mutex);	/* what a stranger tries, in the owner's thread	*/
	int strangers;				/* and gets					*/
};

static const struct owned_kind owned_kinds[] = {
	/* It is inside, beside the holder. */
	{ "recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE,
	  pthread_mutex_trylock, 0 },
	/* It is told that it holds what it does not hold. */
	{ "error-checking", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE,
	  pthread_mutex_lock, EDEADLK },
	/* Only the holder is harmed. */
	{ "robust", PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, PTHREAD_PRIO_NONE,
	  pthread_mutex_trylock, EBUSY },
	{ "inheriting", PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT,
	  pthread_mutex_trylock, EBUSY },
};

enum { OWNED_KINDS = sizeof(owned_kinds) / sizeof(owned_kinds[0]) };

static const struct owned_kind *owned_kind;
static pthread_mutex_t owned_mutexes[MUTEXES];
static _Atomic int releases, done_with;		/* index + 1: of the mutex that is to be unlocked; was */
static _Atomic long locked_by;			/* the thread that its mutex takes for its owner */
static _Atomic unsigned int mistaken, not_unlocked;

/* False: there is no such mutex here. */
static bool make_owned_mutexes(const struct owned_kind *kind)
{
	pthread_mutexattr_t attributes;
	int error = 0;

	owned_kind = kind;
	atomic_store(&releases, 0);
	atomic_store(&done_with, 0);
	atomic_store(&locked_by, 0);
	atomic_store(&mistaken, 0);
	atomic_store(&not_unlocked, 0);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, kind->type);
	pthread_mutexattr_setrobust(&attributes, kind->robust);
	pthread_mutexattr_setprotocol(&attributes, kind->protocol);
	for (unsigned int i = 0; i < MUTEXES && !error; i++)
		error = pthread_mutex_init(&owned_mutexes[i], &attributes);
	pthread_mutexattr_destroy(&attributes);
	if (error)
		printf("info: a mutex that is %s cannot be made here: %s\n", kind->name, strerror(error));
	return !error;
}

/* Begins in the thread that the holder was switched away from, which "owns" the mutex. Stopped in mid-run
   it keeps that thread, so that the holder goes on in another. */
static void *enters_an_owned_mutex(void *argument)
{
	int i = (int)(intptr_t)argument;

	if (syscall(SYS_gettid) == atomic_load(&locked_by) && atomic_load(&releases) <= i) {
		int got = owned_kind->enter(&owned_mutexes[i]);

		if (got == owned_kind->strangers && atomic_load(&releases) <= i)
			atomic_fetch_add(&mistaken, 1);
		if (got == 0)
			pthread_mutex_unlock(&owned_mutexes[i]);
	}
	while (atomic_load(&done_with) <= i)
		;
	return NULL;
}

static usched_fiber_t lock_before_a_stranger(int i)
{
	usched_fiber_t other = 0;

	pthread_mutex_lock(&owned_mutexes[i]);
	atomic_store(&locked_by, syscall(SYS_gettid));
	if (usched_spawn(NULL, &other, enters_an_owned_mutex, (void *)(intptr_t)i, NULL))
		abort();
	return other;
}

static void unlock_and_join(int i, usched_fiber_t other)
{
	atomic_store(&releases, i + 1);
	if (pthread_mutex_unlock(&owned_mutexes[i]) == EPERM)
		atomic_fetch_add(&not_unlocked, 1);
	atomic_store(&done_with, i + 1);
	if (usched_join(other, NULL, USCHED_FOREVER))
		abort();
}

static bool all_damage_is_done(void)
{
	return atomic_load(&mistaken) > 0 && atomic_load(&not_unlocked) > 0;
}

/* Holds it across a switch in place, until it goes on in another thread. One that a tick finds in libc is
   handed over, and does not: then it tries the next one. */
USCHED_MIGRATABLE static void *holds_an_owned_mutex(void *argument)
{
	for (int i = 0; i < MUTEXES && !all_damage_is_done(); i++) {
		usched_fiber_t other = lock_before_a_stranger(i);

		for (int round = 0; round < ROUNDS && syscall(SYS_gettid) == atomic_load(&locked_by);
		     round++) {
			for (unsigned int j = 0; j < 100000; j++)
				__asm__ volatile("");
		}
		unlock_and_join(i, other);
	}
	return argument;
}

/* Holds it across a call that may switch: the stranger is next, and is stopped by a tick. */
static void *yields_with_an_owned_mutex(void *argument)
{
	for (int i = 0; i < MUTEXES && !all_damage_is_done(); i++) {
		usched_fiber_t other = lock_before_a_stranger(i);

		usched_yield();
		unlock_and_join(i, other);
	}
	return argument;
}

/* The same by a wait. */
static void *waits_with_an_owned_mutex(void *argument)
{
	for (int i = 0; i < MUTEXES && !all_damage_is_done(); i++) {
		usched_fiber_t other = lock_before_a_stranger(i);

		usched_sleep_until(usched_after(100000));
		unlock_and_join(i, other);
	}
	return argument;
}

/* A robust one that nobody could unlock dies with the thread, though its holder has gone on. */
static bool somebody_is_said_to_have_died(void)
{
	for (unsigned int i = 0; i < MUTEXES; i++) {
		int error = pthread_mutex_trylock(&owned_mutexes[i]);

		if (error == EOWNERDEAD)
			pthread_mutex_consistent(&owned_mutexes[i]);
		if (error == 0 || error == EOWNERDEAD)
			pthread_mutex_unlock(&owned_mutexes[i]);
		if (error == EOWNERDEAD)
			return true;
	}
	return false;
}

static void *locks_and_ends(void *argument)
{
	pthread_mutex_lock(argument);
	return NULL;
}

/* An emulator may do without the list of a thread's robust mutexes. */
static bool kernel_tells_of_the_dead(void)
{
	static pthread_mutex_t mutex;
	pthread_mutexattr_t attributes;
	pthread_t thread;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, locks_and_ends, &mutex), 0);
	pthread_join(thread, NULL);
	return pthread_mutex_trylock(&mutex) == EOWNERDEAD;
}

static void damage_owned_mutexes(enum usched_preempt mode, void *(*holds)(void *))
{
	bool is_told = kernel_tells_of_the_dead();

	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	for (unsigned int i = 0; i < OWNED_KINDS; i++) {
		if (!make_owned_mutexes(&owned_kinds[i]))
			continue;
		start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
		CU_ASSERT_PTR_NULL(join(spawn(mode, holds, NULL)));
		/* Its holder cannot unlock it, and who has the holder's old thread is taken for it. */
		CU_ASSERT(atomic_load(&not_unlocked) > 0);
		CU_ASSERT(atomic_load(&mistaken) > 0);
		stop();
		CU_ASSERT_EQUAL(somebody_is_said_to_have_died(),
				is_told && owned_kinds[i].robust == PTHREAD_MUTEX_ROBUST);
	}
}

static void an_owned_mutex_held_across_a_switch_is_damaged(void)
{
	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	damage_owned_mutexes(USCHED_PREEMPT_YIELD, holds_an_owned_mutex);
}

static void an_owned_mutex_held_across_a_call_is_damaged(void)
{
	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	damage_owned_mutexes(USCHED_PREEMPT_HANDOFF, yields_with_an_owned_mutex);
	damage_owned_mutexes(USCHED_PREEMPT_HANDOFF, waits_with_an_owned_mutex);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "a_yield_fiber_holds_a_pthread_mutex_that_its_sibling_wants",
		  a_yield_fiber_holds_a_pthread_mutex_that_its_sibling_wants },
		{ "a_sibling_blocks_in_read_on_what_a_preempted_fiber_must_write",
		  a_sibling_blocks_in_read_on_what_a_preempted_fiber_must_write },
		{ "an_owned_mutex_held_across_a_switch_is_damaged",
		  an_owned_mutex_held_across_a_switch_is_damaged },
		{ "an_owned_mutex_held_across_a_call_is_damaged",
		  an_owned_mutex_held_across_a_call_is_damaged },
	};

	return usched_test_main("held", tests, sizeof(tests) / sizeof(tests[0]));
}
