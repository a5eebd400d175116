/* SPDX-License-Identifier: MIT */
/*
 * What a runtime is told at its start: a wrong option or variable is refused with a sentence on
 * stderr that names it, and nothing of the refused runtime is left behind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"
#include "own_process.h"
#include "runtime/runtime.h"

#define TEN "0123456789"
#define SOON usched_after(UINT64_C(60000000000))

static char said[4096];

/* Create a runtime; what it says on stderr goes to said[]. */
static int create(struct usched_runtime **runtime, const struct usched_runtime_options *options)
{
	FILE *file = tmpfile();
	int old = dup(STDERR_FILENO), error;
	size_t bytes;

	if (!file || old < 0)
		abort();
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	error = usched_runtime_create(runtime, options);
	fflush(stderr);
	dup2(old, STDERR_FILENO);
	close(old);
	rewind(file);
	bytes = fread(said, 1, sizeof(said) - 1, file);
	said[bytes] = '\0';
	fclose(file);
	return error;
}

static struct usched_runtime_options small(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	options.flags = USCHED_RUNTIME_EMBEDDED;
	options.workers = 1;
	return options;
}

static void wrong_variables_are_refused(void)
{
	static const struct {
		const char *name, *value;
	} wrong[] = {
		{ "USCHED_QUANTUM", "5" }, { "USCHED_QUANTUM", "99us" }, { "USCHED_QUANTUM", "2s" },
		{ "USCHED_QUANTUM", "fast" }, { "USCHED_QUANTUM", "-1ms" },
		{ "USCHED_QUANTUM", "99999999999999999999ms" },
		{ "USCHED_WORKERS", "0" }, { "USCHED_WORKERS", "1025" }, { "USCHED_WORKERS", "two" },
		{ "USCHED_WORKERS", "1 " }, { "USCHED_WORKERS", "-1" },
		{ "USCHED_CARRIERS_MAX", "1" }, { "USCHED_CARRIERS_MAX", "65536" },
		{ "USCHED_TICK", "sundial" }, { "USCHED_TICK", "Perf" },
		{ "USCHED_GUARD", "none" }, { "USCHED_MEMBARRIER", "on" },
		{ "USCHED_EMBEDDED", "2" }, { "USCHED_EMBEDDED", "yes" },
		{ "USCHED_SIGNAL", "SIGNOT" }, { "USCHED_SIGNAL", "0" }, { "USCHED_SIGNAL", "64" },
		{ "USCHED_SIGNAL", "SIGSEGV" }, { "USCHED_SIGNAL", "9" }, { "USCHED_SIGNAL", "CHLD" },
		{ "USCHED_QUANTUM_FLOOR_NS", "10" },
		{ "USCHED_SOCKET", "/" TEN TEN TEN TEN TEN TEN TEN TEN TEN },
	};
	struct usched_runtime_options options = small();
	struct usched_runtime *untouched = (struct usched_runtime *)&options, *runtime = untouched;

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		unsigned int before = descriptors_open();
		int error;

		setenv(wrong[i].name, wrong[i].value, 1);
		error = create(&runtime, &options);
		unsetenv(wrong[i].name);
		if (error != -EINVAL || !strstr(said, wrong[i].name) || said[strlen(said) - 1] != '\n')
			printf("info: %s=%s gave %d, \"%s\"\n", wrong[i].name, wrong[i].value, error,
			       said);
		CU_ASSERT_EQUAL(error, -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(said, wrong[i].name));
		CU_ASSERT_EQUAL(descriptors_open(), before);
	}
	CU_ASSERT_PTR_EQUAL(runtime, untouched);
}

static void wrong_options_are_refused(void)
{
	static const char *const names[] = {
		"quantum", "quantum", "quantum", "tick", "workers", "carriers_max", "fibers_max",
		"flags", "socket_directory", "size",
	};
	struct usched_runtime *runtime = NULL;

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct usched_runtime_options options = small();
		unsigned int before = descriptors_open();

		switch (i) {
		case 0: options.quantum_ns = USCHED_QUANTUM_MIN_NS - 1; break;
		case 1: options.quantum_ns = USCHED_QUANTUM_MAX_NS + 1; break;
		case 2: options.quantum_ns = 1; break;
		case 3: options.tick = (enum usched_tick)9; break;
		case 4: options.workers = 1025; break;
		case 5: options.carriers_max = 65536; break;
		case 6: options.fibers_max = UINT32_MAX; break;
		case 7: options.flags |= 0x80; break;
		case 8: options.socket_directory = "/" TEN TEN TEN TEN TEN TEN TEN TEN TEN; break;
		default: options.size = 0; break;
		}
		CU_ASSERT_EQUAL(create(&runtime, &options), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(said, names[i]));
		CU_ASSERT_EQUAL(descriptors_open(), before);
		CU_ASSERT_PTR_NULL(runtime);
	}
}

/* A structure of a program that was built with fewer fields keeps the defaults for the rest. */
static void a_shorter_structure_is_understood(void)
{
	struct usched_runtime_options options = small();
	struct usched_runtime *runtime;

	options.size = offsetof(struct usched_runtime_options, quantum_ns);
	options.quantum_ns = 1;
	CU_ASSERT_EQUAL_FATAL(create(&runtime, &options), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static void variables_win_over_options(void)
{
	struct usched_runtime_options options = small();
	struct usched_runtime *runtime;

	options.workers = 3;
	options.tick = USCHED_TICK_TIMER;
	options.quantum_ns = USCHED_QUANTUM_OFF;
	options.carriers_max = 100;
	setenv("USCHED_WORKERS", "1", 1);
	setenv("USCHED_TICK", "timerfd", 1);
	setenv("USCHED_QUANTUM", "3ms", 1);
	setenv("USCHED_CARRIERS_MAX", "50", 1);
	setenv("USCHED_MEMBARRIER", "off", 1);
	CU_ASSERT_EQUAL_FATAL(create(&runtime, &options), 0);
	unsetenv("USCHED_WORKERS");
	unsetenv("USCHED_TICK");
	unsetenv("USCHED_QUANTUM");
	unsetenv("USCHED_CARRIERS_MAX");
	unsetenv("USCHED_MEMBARRIER");
	CU_ASSERT_EQUAL(runtime->settings.workers, 1);
	CU_ASSERT_EQUAL(runtime->tick.kind, USCHED_TICK_TIMERFD);
	CU_ASSERT_EQUAL(runtime->settings.quantum_ns, 3000000);
	CU_ASSERT_EQUAL(runtime->scheduler.carriers_max, 50);
	CU_ASSERT_FALSE(runtime->scheduler.membarrier);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	/* The longest directory that there may be. */
	setenv("USCHED_SOCKET", TEN TEN TEN TEN TEN TEN TEN TEN TEN, 1);
	CU_ASSERT_EQUAL_FATAL(create(&runtime, &options), 0);
	unsetenv("USCHED_SOCKET");
	CU_ASSERT_STRING_EQUAL(said, "");
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	/* Empty is unset. */
	setenv("USCHED_QUANTUM", "", 1);
	CU_ASSERT_EQUAL_FATAL(create(&runtime, &options), 0);
	unsetenv("USCHED_QUANTUM");
	CU_ASSERT_EQUAL(runtime->settings.quantum_ns, 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static void *nothing(void *argument)
{
	return argument;
}

static void a_runtime_leaves_nothing_behind(void)
{
	struct usched_runtime_options options = small();
	unsigned int descriptors = 0, threads = 0;
	struct usched_runtime *runtime;
	usched_fiber_t id;

	setenv("USCHED_QUANTUM_FLOOR_NS", "100000", 1);
	for (unsigned int i = 0; i < 20; i++) {
		options.tick = (enum usched_tick)(USCHED_TICK_TIMER + i % 2);
		CU_ASSERT_EQUAL_FATAL(create(&runtime, &options), 0);
		CU_ASSERT_EQUAL(usched_spawn(runtime, &id, nothing, NULL, NULL), 0);
		CU_ASSERT_EQUAL(usched_join(id, NULL, SOON), 0);
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
		if (i == 0) {		/* what the process keeps for all runtimes */
			descriptors = descriptors_open();
			threads = threads_alive("");
		}
	}
	unsetenv("USCHED_QUANTUM_FLOOR_NS");
	CU_ASSERT_EQUAL(descriptors_open(), descriptors);
	CU_ASSERT_EQUAL(threads_alive(""), threads);
}

static void no_more_than_63_runtimes(void)
{
	struct usched_runtime *runtimes[USCHED_RUNTIMES_MAX], *more = NULL;
	struct usched_runtime_options options = small();
	unsigned int count = 0, before;
	struct rlimit limit;

	/* Each needs a dozen descriptors and two for each CPU; the soft limit is often 1,024. */
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	/* Once for what the process keeps; while runtimes live their monitors open and close. */
	CU_ASSERT_EQUAL_FATAL(create(&more, &options), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(more, SOON), 0);
	more = NULL;
	before = descriptors_open();
	options.carriers_max = 2;
	/* The tick that each runtime can have: an emulator has 32 POSIX timers in all. */
	options.tick = USCHED_TICK_TIMERFD;
	options.fibers_max = 1000;
	setenv("USCHED_QUANTUM_FLOOR_NS", "100000", 1);
	while (count < USCHED_RUNTIMES_MAX && create(&runtimes[count], &options) == 0)
		count++;
	CU_ASSERT_EQUAL(count, USCHED_RUNTIMES_MAX);
	CU_ASSERT_EQUAL(create(&more, &options), -EMFILE);
	CU_ASSERT_PTR_NULL(more);
	/* Each of them works; one that ends makes room. */
	for (unsigned int i = 0; i < count; i++) {
		usched_fiber_t id;
		void *result = NULL;

		CU_ASSERT_EQUAL(usched_spawn(runtimes[i], &id, nothing, &options, NULL), 0);
		CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
		CU_ASSERT_PTR_EQUAL(result, &options);
	}
	if (count) {
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtimes[0], SOON), 0);
		CU_ASSERT_EQUAL(create(&runtimes[0], &options), 0);
	}
	unsetenv("USCHED_QUANTUM_FLOOR_NS");
	for (unsigned int i = 0; i < count; i++)
		CU_ASSERT_EQUAL(usched_runtime_destroy(runtimes[i], SOON), 0);
	CU_ASSERT_EQUAL(descriptors_open(), before);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "wrong_variables_are_refused", wrong_variables_are_refused },
		{ "wrong_options_are_refused", wrong_options_are_refused },
		{ "a_shorter_structure_is_understood", a_shorter_structure_is_understood },
		{ "variables_win_over_options", variables_win_over_options },
		{ "a_runtime_leaves_nothing_behind", a_runtime_leaves_nothing_behind },
		{ "no_more_than_63_runtimes", no_more_than_63_runtimes },
	};

	return usched_test_main("settings", tests, sizeof(tests) / sizeof(tests[0]));
}
