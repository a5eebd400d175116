/* SPDX-License-Identifier: MIT */
/*
 * Processes made by fibers, and process-wide changes under them: fork, vfork, posix_spawn, system,
 * popen, exec, setuid, all under ticks of 200 us. What a child of fork may do, and what becomes of its
 * parent when it ends.
 *
 * A child tells by its exit code; it uses nothing of the harness.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <usched/usched.h>

#include "base/child.h"
#include "harness.h"
#include "preempt/tick.h"
#include "runtime/runtime.h"

#define SOON usched_after(UINT64_C(60000000000))

/* A sanitizer's locks, of memory and of threads, are in a child as another thread held them. */
#define CHILD_HAS_LIBC (!USCHED_ASAN && !USCHED_TSAN)

/* Of a case that forks while other threads run. */
#define SKIP_WITHOUT_FORK()									\
	do {											\
		if (USCHED_TSAN)								\
			USCHED_SKIP("tsan: a child may wait for a lock of the sanitizer's");	\
		if (getenv("USCHED_EMULATOR"))							\
			USCHED_SKIP("emulator: a child may wait for a lock of the emulator's");	\
	} while (0)

enum { FORKERS = 8, FORKS = 25, HOGS = 2 };

extern char **environ;

static struct usched_runtime *runtime;
static usched_fiber_t hogs[HOGS];
static _Atomic bool enough;
static _Atomic unsigned int interrupted;	/* calls that ended with EINTR */

static const enum usched_tick kinds[] = { USCHED_TICK_PERF, USCHED_TICK_TIMER };

static struct usched_runtime *create(enum usched_tick tick, unsigned int workers)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *made = NULL;

	options.workers = workers;
	options.tick = tick;
	options.quantum_ns = 200000;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	setenv("USCHED_QUANTUM_FLOOR_NS", "100000", 1);
	if (usched_runtime_create(&made, &options))
		made = NULL;
	unsetenv("USCHED_QUANTUM_FLOOR_NS");
	return made;
}

static bool perf_works(void)
{
	struct usched_tick_probe probe;

	return usched_tick_choose(USCHED_TICK_PERF, SIGURG, &probe) == 0;
}

/* False: this kind cannot be had here. */
static bool can_tick(enum usched_tick tick)
{
	return tick != USCHED_TICK_PERF || perf_works();
}

static void *hog(void *argument)
{
	volatile uint64_t turns = 0;

	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		turns++;
	return argument;
}

/* A runtime with endless loops beside whatever the case does. */
static void start(enum usched_tick tick)
{
	runtime = create(tick, 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	atomic_store(&enough, false);
	atomic_store(&interrupted, 0);
	for (unsigned int i = 0; i < HOGS; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &hogs[i], hog, NULL, NULL), 0);
}

static void stop(void)
{
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < HOGS; i++)
		CU_ASSERT_EQUAL(usched_join(hogs[i], NULL, SOON), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

/* Several fibers, each of which returns NULL if all went well. */
static void run_fibers(void *(*function)(void *), unsigned int count)
{
	usched_fiber_t ids[FORKERS];
	void *result = NULL;

	for (unsigned int i = 0; i < count; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], function, (void *)(uintptr_t)(i + 1),
					     NULL), 0);
	for (unsigned int i = 0; i < count; i++) {
		result = &result;
		CU_ASSERT_EQUAL(usched_join(ids[i], &result, SOON), 0);
		CU_ASSERT_PTR_NULL(result);
	}
}

/* waitpid(2) is restarted after a signal; what it is here for is to count where it is not. */
static int status_of(pid_t child)
{
	int status = -1;

	while (waitpid(child, &status, 0) != child) {
		if (errno != EINTR)
			return -1;
		atomic_fetch_add(&interrupted, 1);
	}
	return status;
}

static bool exits_with(pid_t child, int code)
{
	int status = child > 0 ? status_of(child) : -1;

	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* In a child: a bounded end, whatever goes wrong. */
#define CHILD_EXPECT(condition, code)		\
	do {					\
		if (!(condition))		\
			_exit(code);		\
	} while (0)

/* ---- fork ---- */

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

static void under_each_tick(void *(*function)(void *))
{
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!can_tick(kinds[i]))
			continue;
		start(kinds[i]);
		run_fibers(function, FORKERS);
		CU_ASSERT_EQUAL(atomic_load(&interrupted), 0);
		stop();
	}
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
	run_fibers(forks_refused, FORKERS);
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
static _Atomic unsigned int program_signals;

static void counts_signals(int signal)
{
	(void)signal;
	atomic_fetch_add(&program_signals, 1);
}

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

static void *doubles(void *argument)
{
	usched_sleep_until(usched_after(100000));
	return (void *)(2 * (uintptr_t)argument);
}

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

/* ---- children without fork's handlers, and programs ---- */

/* The parent's thread is in the kernel all the while: long enough for its worker to be taken. */
__attribute__((noinline)) static pid_t vfork_and_exit(int code, bool naps)
{
	static const struct timespec nap = { .tv_nsec = 3000000 };
	pid_t child = vfork();

	if (child == 0) {
		if (naps)
			syscall(SYS_nanosleep, &nap, NULL);
		_exit(code);
	}
	return child;
}

static void *vforks(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;

	for (unsigned int i = 0; i < FORKS; i++) {
		int code = (int)(1 + (number * FORKS + i) % 100);

		if (!exits_with(vfork_and_exit(code, i % 5 == 0), code))
			return argument;
		if (usched_self() == 0 || usched_yield())
			return argument;
	}
	return NULL;
}

static void *spawns(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;

	for (unsigned int i = 0; i < FORKS; i++) {
		int code = (int)(1 + (number * FORKS + i) % 100);
		char command[32];
		char *line[] = { (char *)"sh", (char *)"-c", command, NULL };
		pid_t child;

		snprintf(command, sizeof(command), "exit %d", code);
		if (posix_spawn(&child, "/bin/sh", NULL, NULL, line, environ) ||
		    !exits_with(child, code))
			return argument;
	}
	return NULL;
}

static void *runs_commands(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;

	for (unsigned int i = 0; i < 5; i++) {
		char command[64], line[64], expected[64];
		FILE *output;
		int status;

		snprintf(command, sizeof(command), "exit %u", 1 + number);
		status = system(command);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != (int)(1 + number))
			return argument;
		snprintf(command, sizeof(command), "echo hello from %u.%u", number, i);
		snprintf(expected, sizeof(expected), "hello from %u.%u\n", number, i);
		output = popen(command, "r");
		if (!output || !fgets(line, sizeof(line), output) || strcmp(line, expected) ||
		    pclose(output) != 0)
			return argument;
	}
	return NULL;
}

static void fibers_vfork_under_ticks(void)
{
	SKIP_WITHOUT_FORK();
	under_each_tick(vforks);
}

static void fibers_spawn_programs_under_ticks(void)
{
	SKIP_WITHOUT_FORK();
	under_each_tick(spawns);
}

static void fibers_run_commands_under_ticks(void)
{
	SKIP_WITHOUT_FORK();
	under_each_tick(runs_commands);
}

/* In a child that has no runtime yet: what changes or ends the whole process. */
static int in_own_process(int (*run)(enum usched_tick), enum usched_tick tick)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		alarm(60);		/* a bound for a process that hangs */
		_exit(run(tick));
	}
	return status_of(child);
}

static void *becomes_a_program(void *argument)
{
	char *line[] = { (char *)"sh", (char *)"-c", (char *)"exit 77", NULL };

	usched_sleep_until(usched_after(1000000));
	execv("/bin/sh", line);
	return argument;
}

static void *sleeps_in_the_kernel(void *argument)
{
	int *ends = argument;
	char byte;

	return read(ends[0], &byte, 1) == 1 ? NULL : argument;
}

static int executes(enum usched_tick tick)
{
	usched_fiber_t id;
	int ends[2];

	runtime = create(tick, 2);
	CHILD_EXPECT(runtime && pipe2(ends, O_CLOEXEC) == 0, 1);
	for (unsigned int i = 0; i < 4; i++)
		CHILD_EXPECT(usched_spawn(runtime, NULL, hog, NULL, NULL) == 0, 2);
	CHILD_EXPECT(usched_spawn(runtime, NULL, sleeps_in_the_kernel, ends, NULL) == 0, 3);
	CHILD_EXPECT(usched_spawn(runtime, &id, becomes_a_program, NULL, NULL) == 0, 4);
	usched_join(id, NULL, SOON);
	return 5;
}

static void a_fiber_may_become_a_program(void)
{
	SKIP_WITHOUT_FORK();
	for (unsigned int i = 0; i < 10; i++) {
		int status = in_own_process(executes, can_tick(kinds[i % 2]) ? kinds[i % 2] :
							     USCHED_TICK_AUTO);

		CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 77);
	}
}

/* ---- changes that libc brings to each thread by a signal of its own ---- */

/* A number from each thread's status: how many have another one than @expected in their masked bits. */
static unsigned int threads_without(const char *key, int base, uint64_t mask, uint64_t expected)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int count = 0;

	while (tasks && (entry = readdir(tasks))) {
		char path[300], line[256];
		FILE *status;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		status = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		while (status && fgets(line, sizeof(line), status)) {
			if (!strncmp(line, key, strlen(key)))
				count += (strtoull(line + strlen(key), NULL, base) & mask) != expected;
		}
		if (status)
			fclose(status);
	}
	if (tasks)
		closedir(tasks);
	return tasks ? count : UINT32_MAX;
}

static void signals_of_libc_are_never_blocked(void)
{
	const uint64_t internal = UINT64_C(3) << 31;	/* SIGCANCEL 32, SIGSETXID 33 */
	uint64_t end_ns = usched_after(UINT64_C(30000000000));
	unsigned int blocked;

	if (getenv("USCHED_EMULATOR"))
		USCHED_SKIP("emulator: has signals of its own");
	if (USCHED_TSAN)
		USCHED_SKIP("tsan: has a thread of its own that blocks all");
	start(USCHED_TICK_AUTO);
	run_fibers(vforks, 2);
	/* A thread that is just being made has all blocked for a moment, by libc. */
	do
		blocked = threads_without("SigBlk:", 16, internal, 0);
	while (blocked && usched_now() < end_ns);
	CU_ASSERT_EQUAL(blocked, 0);
	stop();
}

enum { NOBODY = 65534 };

static _Atomic unsigned int without_signals;

static void *computes_without_signals(void *argument)
{
	sigset_t all, old;

	/* As careless as can be; libc keeps its own two out of it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	atomic_fetch_add(&without_signals, 1);
	hog(argument);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return NULL;
}

static void *changes_user(void *argument)
{
	usched_sleep_until(usched_after(3000000));
	if (setgid(NOBODY) || setuid(NOBODY))
		return argument;
	return NULL;
}

static int changes_users(enum usched_tick tick)
{
	usched_fiber_t ids[8], changer;
	void *result;
	int ends[2];

	runtime = create(tick, 2);
	CHILD_EXPECT(runtime && pipe2(ends, O_CLOEXEC) == 0, 1);
	atomic_store(&enough, false);
	/* Some stopped in mid-run, one that takes no signal, some in the kernel; and spares asleep. */
	for (unsigned int i = 0; i < 4; i++)
		CHILD_EXPECT(usched_spawn(runtime, &ids[i], hog, NULL, NULL) == 0, 2);
	CHILD_EXPECT(usched_spawn(runtime, &ids[4], computes_without_signals, NULL, NULL) == 0, 3);
	for (unsigned int i = 5; i < 8; i++)
		CHILD_EXPECT(usched_spawn(runtime, &ids[i], sleeps_in_the_kernel, ends, NULL) == 0, 4);
	while (atomic_load(&without_signals) == 0)
		CHILD_EXPECT(usched_sleep_until(usched_after(100000)) == 0, 5);
	result = &ends;
	CHILD_EXPECT(usched_spawn(runtime, &changer, changes_user, &ends, NULL) == 0, 6);
	CHILD_EXPECT(usched_join(changer, &result, SOON) == 0, 7);
	CHILD_EXPECT(!result, 8);
	CHILD_EXPECT(getuid() == NOBODY && geteuid() == NOBODY && getgid() == NOBODY, 9);
	CHILD_EXPECT(threads_without("Uid:", 10, UINT64_MAX, NOBODY) == 0, 10);
	CHILD_EXPECT(threads_without("Gid:", 10, UINT64_MAX, NOBODY) == 0, 11);
	/* And all go on, with new carriers where they are needed. */
	for (unsigned int i = 0; i < 8; i++)
		CHILD_EXPECT(usched_spawn(runtime, NULL, doubles, NULL, NULL) == 0, 12);
	CHILD_EXPECT(write(ends[1], "xyz", 3) == 3, 13);
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < 8; i++)
		CHILD_EXPECT(usched_join(ids[i], &result, SOON) == 0 && !result, 14);
	CHILD_EXPECT(usched_runtime_destroy(runtime, SOON) == 0, 15);
	return 0;
}

static void a_fiber_may_change_the_user(void)
{
	SKIP_WITHOUT_FORK();
	if (getuid() != 0)
		USCHED_SKIP("non-root: only root may become somebody else");
	if (getenv("USCHED_EMULATOR"))
		USCHED_SKIP("emulator: changes the user of one thread only");
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (can_tick(kinds[i]))
			CU_ASSERT_EQUAL(in_own_process(changes_users, kinds[i]), 0);
	}
}

/* ---- system calls that are interrupted, or not ---- */

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
		{ "fibers_vfork_under_ticks", fibers_vfork_under_ticks },
		{ "fibers_spawn_programs_under_ticks", fibers_spawn_programs_under_ticks },
		{ "fibers_run_commands_under_ticks", fibers_run_commands_under_ticks },
		{ "a_fiber_may_become_a_program", a_fiber_may_become_a_program },
		{ "signals_of_libc_are_never_blocked", signals_of_libc_are_never_blocked },
		{ "a_fiber_may_change_the_user", a_fiber_may_change_the_user },
		{ "no_sleep_is_interrupted_by_perf_ticks", no_sleep_is_interrupted_by_perf_ticks },
		{ "our_own_calls_are_not_interrupted", our_own_calls_are_not_interrupted },
	};

	return usched_test_main("process", tests, sizeof(tests) / sizeof(tests[0]));
}
