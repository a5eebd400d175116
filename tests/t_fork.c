/* SPDX-License-Identifier: MIT */
/*
 * Fibers that fork, under ticks of 200 us: what a child may do and what is refused to it, what it has of
 * the library, that it may begin anew, and what becomes of its parent when it ends.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <usched/usched.h>

#include "children.h"
#include "harness.h"
#include "under_ticks.h"

enum { FORKS = 25 };

/* What POSIX allows and what glibc adds to it: memory, stdio, threads, sleeping. */
static void *adds_one(void *argument)
{
	++*(int *)argument;
	return argument;
}

static int plain_code_of_libc(void)
{
	struct timespec nap = { .tv_nsec = 100000 };
	volatile uint64_t turns = 0;
	int ends[2], value = 41;
	char text[32], byte = 0;
	void *memory[64];
	pthread_t thread;

	for (unsigned int i = 0; i < 64 && CHILD_HAS_LIBC; i++) {
		memory[i] = malloc(100 << (i % 8));
		CHILD_EXPECT(memory[i], 101);
	}
	for (unsigned int i = 0; i < 64 && CHILD_HAS_LIBC; i++)
		free(memory[i]);
	CHILD_EXPECT(snprintf(text, sizeof(text), "%d", 4711) == 4 && !strcmp(text, "4711"), 102);
	CHILD_EXPECT(pipe(ends) == 0 && write(ends[1], "x", 1) == 1, 103);
	CHILD_EXPECT(read(ends[0], &byte, 1) == 1 && byte == 'x', 104);
	CHILD_EXPECT(nanosleep(&nap, NULL) == 0, 105);
	while (turns < 300000)
		turns++;
	if (CHILD_HAS_LIBC) {
		CHILD_EXPECT(pthread_create(&thread, NULL, adds_one, &value) == 0, 106);
		CHILD_EXPECT(pthread_join(thread, NULL) == 0 && value == 42, 107);
	}
	return 0;
}

static void *forks(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;

	for (unsigned int i = 0; i < FORKS; i++) {
		int code = (int)(1 + (number * FORKS + i) % 100);
		pid_t child = fork();

		if (child == 0) {
			plain_code_of_libc();
			_exit(code);
		}
		if (!exits_with(child, code))
			return argument;
		if (usched_yield())
			return argument;
	}
	return NULL;
}

static void fibers_fork_under_ticks(void)
{
	SKIP_WITHOUT_FORK();
	under_each_tick(forks);
}

/* Everything that a child may not do yet, with what it has from its parent. */
static struct usched_channel *channel;
static struct usched_mutex mutex = USCHED_MUTEX_INIT;
static struct usched_event event;
static usched_fiber_t parked;

static int refused_calls(usched_fiber_t own)
{
	struct sockaddr_storage address = { .ss_family = AF_UNIX };
	struct sockaddr *any = (struct sockaddr *)&address;
	struct usched_runtime *other = NULL;
	struct usched_channel *new = NULL;
	usched_fiber_t id;
	char byte = 0;
	size_t bytes;
	int descriptor = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHILD_EXPECT(usched_self() == 0 && !usched_runtime_current(), 1);
	CHILD_EXPECT(usched_now() > 0 && usched_after(1) > 1 && usched_version(), 2);
	CHILD_EXPECT(usched_runtime_create(&other, NULL) == -EPERM && !other, 3);
	CHILD_EXPECT(usched_runtime_destroy(runtime, USCHED_NOW) == -EPERM, 4);
	CHILD_EXPECT(usched_runtime_set_quantum(runtime, 1000000) == -EPERM, 5);
	CHILD_EXPECT(usched_runtime_tune(runtime, "budget", 5) == -EPERM, 6);
	CHILD_EXPECT(usched_spawn(runtime, &id, hog, NULL, NULL) == -EPERM, 7);
	CHILD_EXPECT(usched_spawn(NULL, &id, hog, NULL, NULL) == -EPERM, 8);
	CHILD_EXPECT(usched_join(parked, NULL, USCHED_NOW) == -EPERM, 9);
	CHILD_EXPECT(usched_join(own, NULL, USCHED_FOREVER) == -EPERM, 10);
	CHILD_EXPECT(usched_detach(parked) == -EPERM, 11);
	CHILD_EXPECT(usched_yield() == -EPERM && usched_checkpoint() == -EPERM, 12);
	CHILD_EXPECT(usched_preempt_disable() == -EPERM && usched_preempt_enable() == -EPERM, 13);
	CHILD_EXPECT(usched_set_quantum(parked, 1000000) == -EPERM, 14);
	CHILD_EXPECT(usched_code_add(&byte, &byte + 1) == -EPERM, 15);
	CHILD_EXPECT(usched_code_remove(&byte, &byte + 1) == -EPERM, 16);
	CHILD_EXPECT(usched_sleep_until(USCHED_NOW) == -EPERM, 17);
	CHILD_EXPECT(usched_channel_create(&new, 1, 1) == -EPERM, 18);
	CHILD_EXPECT(usched_channel_free(channel) == -EPERM, 19);
	CHILD_EXPECT(usched_channel_send(channel, &byte, USCHED_NOW) == -EPERM, 20);
	CHILD_EXPECT(usched_channel_receive(channel, &byte, USCHED_FOREVER) == -EPERM, 21);
	CHILD_EXPECT(usched_channel_close(channel) == -EPERM, 22);
	CHILD_EXPECT(usched_mutex_init(&mutex) == -EPERM, 23);
	CHILD_EXPECT(usched_mutex_lock(&mutex, USCHED_FOREVER) == -EPERM, 24);
	CHILD_EXPECT(usched_mutex_unlock(&mutex) == -EPERM, 25);
	CHILD_EXPECT(usched_event_init(&event, runtime) == -EPERM, 26);
	CHILD_EXPECT(usched_event_destroy(&event) == -EPERM, 27);
	CHILD_EXPECT(usched_event_wait(&event, USCHED_FOREVER) == -EPERM, 28);
	CHILD_EXPECT(usched_post(&event) == -EPERM, 29);
	CHILD_EXPECT(usched_listen(&descriptor, any, sizeof(any->sa_family), 1) == -EPERM, 30);
	CHILD_EXPECT(usched_accept(descriptor, &descriptor, NULL, NULL, USCHED_FOREVER) == -EPERM, 31);
	CHILD_EXPECT(usched_connect(&descriptor, any, sizeof(any->sa_family), SOON) == -EPERM, 32);
	CHILD_EXPECT(usched_read(descriptor, &byte, 1, &bytes, SOON) == -EPERM, 33);
	CHILD_EXPECT(usched_write(descriptor, &byte, 1, &bytes, SOON) == -EPERM, 34);
	CHILD_EXPECT(usched_close(descriptor) == -EPERM, 35);
	CHILD_EXPECT(fcntl(descriptor, F_GETFD) >= 0, 36);
	return 0;
}

static void *parks(void *argument)
{
	char byte;

	return usched_channel_receive(channel, &byte, USCHED_FOREVER) == -EPIPE ? NULL : argument;
}

static void *forks_refused(void *argument)
{
	usched_fiber_t own = usched_self();
	pid_t child;

	/* In a section and with a mutex: the child has neither any more. */
	if (usched_mutex_lock(&mutex, USCHED_FOREVER) || usched_preempt_disable())
		return argument;
	child = fork();
	if (child == 0)
		_exit(refused_calls(own));
	if (usched_preempt_enable() || usched_mutex_unlock(&mutex))
		return argument;
	return exits_with(child, 0) ? NULL : argument;
}

static void prepare_objects(void)
{
	CU_ASSERT_EQUAL(usched_channel_create(&channel, 1, 0), 0);
	CU_ASSERT_EQUAL(usched_mutex_init(&mutex), 0);
	CU_ASSERT_EQUAL(usched_event_init(&event, runtime), 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &parked, parks, &parked, NULL), 0);
}

static void end_objects(void)
{
	void *result = &result;

	CU_ASSERT_EQUAL(usched_channel_close(channel), 0);
	CU_ASSERT_EQUAL(usched_join(parked, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	CU_ASSERT_EQUAL(usched_event_destroy(&event), 0);
}

static void a_child_is_refused_every_call(void)
{
	pid_t child;

	SKIP_WITHOUT_FORK();
	start(USCHED_TICK_AUTO);
	prepare_objects();
	run_fibers(forks_refused, FIBERS);
	/* From a plain thread it is the same. */
	child = fork();
	if (child == 0)
		_exit(refused_calls(1));
	CU_ASSERT(exits_with(child, 0));
	CU_ASSERT_EQUAL(usched_runtime_reset(), -EBUSY);
	end_objects();
	stop();
}

/* Spin locks of ours that somebody holds at the moment of the fork, and code that is stopped in libc. */
static void *holds_our_locks(void *argument)
{
	char byte = 0;

	while (!atomic_load_explicit(&enough, memory_order_relaxed)) {
		usched_fiber_t id;
		void *memory = malloc(100);

		if (usched_spawn(NULL, &id, adds_one, &(int){ 0 }, NULL) || usched_join(id, NULL, SOON))
			return argument;
		if (usched_channel_send(channel, &byte, USCHED_NOW) == -EPIPE)
			break;
		free(memory);
	}
	return NULL;
}

static void others_may_hold_locks_at_a_fork(void)
{
	usched_fiber_t others[4];
	void *result = NULL;

	SKIP_WITHOUT_FORK();
	start(USCHED_TICK_AUTO);
	CU_ASSERT_EQUAL(usched_channel_create(&channel, 1, 1), 0);
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &others[i], holds_our_locks, &others[i], NULL), 0);
	run_fibers(forks, 4);
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(usched_join(others[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	stop();
}

/* A child that returns from its fiber's function ends as a thread's last one does. */
static void *returns_in_a_child(void *argument)
{
	pid_t child = fork();

	if (child == 0)
		return argument;
	return exits_with(child, 0) ? NULL : argument;
}

static void a_child_may_return_from_its_fiber(void)
{
	SKIP_WITHOUT_FORK();
	if (USCHED_ASAN)
		USCHED_SKIP("asan: looks for leaks in a child that leaves by exit");
	start(USCHED_TICK_AUTO);
	fflush(stdout);
	run_fibers(returns_in_a_child, 1);
	stop();
}

/* No descriptor of the library is left in a child, and what is not the library's is. */
static unsigned int open_descriptors(int numbers[256])
{
	unsigned int count = 0;

	for (int i = 0; i < 256; i++) {
		if (fcntl(i, F_GETFD) >= 0)
			numbers[count++] = i;
	}
	return count;
}

/* What the monitor reads for a moment is no descriptor that anybody keeps. */
static bool is_of_a_moment(int descriptor)
{
	char link[64], target[8] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
	return readlink(link, target, sizeof(target)) < 6 || !memcmp(target, "/proc/", 6);
}

static void *forks_and_counts(void *argument)
{
	const int *before = argument;
	int now[256];
	unsigned int count = open_descriptors(now), ours = 0;
	pid_t child;

	for (unsigned int i = 0; i < count; i++) {
		bool known = false;

		for (const int *old = before; *old >= 0; old++)
			known |= *old == now[i];
		if (!known && !is_of_a_moment(now[i]))
			now[ours++] = now[i];
	}
	child = fork();
	if (child == 0) {
		CHILD_EXPECT(ours >= 8, 3);	/* epolls, eventfds, segments, ticks */
		for (unsigned int i = 0; i < ours; i++)
			CHILD_EXPECT(fcntl(now[i], F_GETFD) < 0 || is_of_a_moment(now[i]), 1);
		for (const int *old = before; *old >= 0; old++)
			CHILD_EXPECT(fcntl(*old, F_GETFD) >= 0, 2);
		_exit(0);
	}
	return exits_with(child, 0) ? NULL : argument;
}

static void a_child_has_no_descriptor_of_the_library(void)
{
	static int before[257];
	usched_fiber_t id;
	void *result = &id;

	SKIP_WITHOUT_FORK();
	before[open_descriptors(before)] = -1;
	start(USCHED_TICK_AUTO);
	for (unsigned int i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL(usched_spawn(runtime, &id, forks_and_counts, before, NULL), 0);
		CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
	stop();
	/* And the parent has closed its own. */
	{
		int after[256];
		unsigned int count = open_descriptors(after);

		CU_ASSERT_EQUAL(before[count], -1);
	}
}

/* The tick's handler is still there, and passes on: to the program's, or to the default. */
static void *forks_and_raises(void *argument)
{
	pid_t child = fork();

	if (child == 0) {
		volatile uint64_t turns = 0;

		while (turns < 3000000)		/* dozens of quanta */
			turns++;
		CHILD_EXPECT(atomic_load(&program_signals) == 0, 1);
		raise(SIGURG);
		CHILD_EXPECT(atomic_load(&program_signals) == 1, 2);
		CHILD_EXPECT(usched_runtime_reset() == 0, 3);
		raise(SIGURG);
		_exit(atomic_load(&program_signals) == 2 ? 0 : 4);
	}
	return exits_with(child, 0) ? NULL : argument;
}

static void no_tick_comes_in_a_child(void)
{
	struct sigaction action = { .sa_handler = counts_signals }, old;

	SKIP_WITHOUT_FORK();
	CU_ASSERT_EQUAL(sigaction(SIGURG, &action, &old), 0);
	start(USCHED_TICK_AUTO);
	run_fibers(forks_and_raises, 4);
	stop();
	CU_ASSERT_EQUAL(atomic_load(&program_signals), 0);
	CU_ASSERT_EQUAL(sigaction(SIGURG, &old, NULL), 0);
}

/* ---- a runtime in the child ---- */

static int uses_a_new_runtime(void)
{
	struct usched_runtime *own;

	CHILD_EXPECT(usched_runtime_reset() == 0, 1);
	CHILD_EXPECT(usched_runtime_reset() == 0, 2);	/* nothing left to forget */
	for (unsigned int i = 0; i < 2; i++) {
		usched_fiber_t ids[8], loop;
		void *result;

		own = create(USCHED_TICK_AUTO, 2);
		CHILD_EXPECT(own, 3);
		CHILD_EXPECT(usched_runtime_reset() == -EBUSY, 4);
		atomic_store(&enough, false);
		CHILD_EXPECT(usched_spawn(own, &loop, hog, NULL, NULL) == 0, 5);
		for (uintptr_t j = 0; j < 8; j++)
			CHILD_EXPECT(usched_spawn(own, &ids[j], doubles, (void *)j, NULL) == 0, 6);
		for (uintptr_t j = 0; j < 8; j++)
			CHILD_EXPECT(usched_join(ids[j], &result, SOON) == 0 &&
				     result == (void *)(2 * j), 7);
		atomic_store(&enough, true);
		CHILD_EXPECT(usched_join(loop, NULL, SOON) == 0, 8);
		CHILD_EXPECT(usched_runtime_destroy(own, SOON) == 0, 9);
	}
	CHILD_EXPECT(usched_runtime_reset() == 0, 10);
	return 0;
}

/* Its own child, and that one's: each begins anew. */
static int uses_and_forks(void)
{
	struct usched_runtime *own;
	pid_t child;

	CHILD_EXPECT(uses_a_new_runtime() == 0, 20);
	own = create(USCHED_TICK_AUTO, 1);
	CHILD_EXPECT(own, 21);
	child = fork();
	if (child == 0)
		_exit(uses_a_new_runtime());
	CHILD_EXPECT(exits_with(child, 0), 22);
	CHILD_EXPECT(usched_runtime_destroy(own, SOON) == 0, 23);
	/* Without a runtime a child needs no reset. */
	child = fork();
	if (child == 0) {
		own = create(USCHED_TICK_AUTO, 1);
		_exit(own && usched_runtime_destroy(own, SOON) == 0 ? 0 : 1);
	}
	CHILD_EXPECT(exits_with(child, 0), 24);
	return 0;
}

static void *forks_a_user(void *argument)
{
	pid_t child = fork();

	if (child == 0)
		_exit(uses_and_forks());
	return exits_with(child, 0) ? NULL : argument;
}

static void a_child_may_begin_anew(void)
{
	pid_t child;

	SKIP_WITHOUT_FORK();
	if (!CHILD_HAS_LIBC)
		USCHED_SKIP("sanitizer: a child cannot make threads");
	start(USCHED_TICK_AUTO);
	prepare_objects();
	run_fibers(forks_a_user, 3);
	child = fork();
	if (child == 0)
		_exit(uses_and_forks());
	CU_ASSERT(exits_with(child, 0));
	end_objects();
	stop();
}

/* Killed in whatever it does, while its parent goes on and is what it was. */
static void *forks_a_victim(void *argument)
{
	for (unsigned int i = 0; i < 5; i++) {
		pid_t child = fork();

		if (child == 0) {
			if (i % 2 && CHILD_HAS_LIBC) {
				usched_runtime_reset();
				create(USCHED_TICK_AUTO, 1);
			}
			for (;;)
				pause();
		}
		if (usched_sleep_until(usched_after(300000)) || kill(child, SIGKILL))
			return argument;
		if (!WIFSIGNALED(status_of(child)))
			return argument;
	}
	return NULL;
}

static void a_child_that_dies_does_not_hurt_its_parent(void)
{
	SKIP_WITHOUT_FORK();
	start(USCHED_TICK_AUTO);
	prepare_objects();
	run_fibers(forks_a_victim, 4);
	end_objects();
	stop();
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "fibers_fork_under_ticks", fibers_fork_under_ticks },
		{ "a_child_is_refused_every_call", a_child_is_refused_every_call },
		{ "others_may_hold_locks_at_a_fork", others_may_hold_locks_at_a_fork },
		{ "a_child_may_return_from_its_fiber", a_child_may_return_from_its_fiber },
		{ "a_child_has_no_descriptor_of_the_library",
		  a_child_has_no_descriptor_of_the_library },
		{ "no_tick_comes_in_a_child", no_tick_comes_in_a_child },
		{ "a_child_may_begin_anew", a_child_may_begin_anew },
		{ "a_child_that_dies_does_not_hurt_its_parent",
		  a_child_that_dies_does_not_hurt_its_parent },
	};

	return usched_test_main("fork", tests, sizeof(tests) / sizeof(tests[0]));
}
