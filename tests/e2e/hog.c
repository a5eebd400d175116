/* SPDX-License-Identifier: MIT */
/*
 * A process that wants every CPU: as many fibers as its argument says compute without end, until
 * SIGTERM. It prints "running" when all of them have run.
 *
 * The fibers never call the library, so only preemption lets the later ones begin on a worker.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <usched/usched.h>

static atomic_uint begun;
static atomic_bool stopping;

static void *compute(void *argument)
{
	atomic_ulong *sum = argument;

	/* Relaxed throughout: counters to be seen by the main thread at some time. */
	atomic_fetch_add_explicit(&begun, 1, memory_order_relaxed);
	while (!atomic_load_explicit(&stopping, memory_order_relaxed))
		atomic_fetch_add_explicit(sum, 1, memory_order_relaxed);
	return NULL;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "hog: %s: %s\n", what, strerror(-error));
	return 1;
}

int main(int argc, char *argv[])
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	unsigned int fibers = argc == 2 ? (unsigned int)atoi(argv[1]) : 0;
	static atomic_ulong sums[256];
	struct usched_runtime *runtime;
	sigset_t signals;
	int r, received;

	if (fibers < 1 || fibers > 256) {
		fprintf(stderr, "Usage: hog FIBERS, 1 to 256\n");
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	options.name = "hog";
	r = usched_runtime_create(&runtime, &options);
	if (r != 0)
		return fail("usched_runtime_create", r);
	for (unsigned int i = 0; i < fibers; i++) {
		r = usched_spawn(runtime, NULL, compute, &sums[i], NULL);
		if (r != 0)
			return fail("usched_spawn", r);
	}
	while (atomic_load_explicit(&begun, memory_order_relaxed) < fibers)
		usched_sleep_until(usched_after(1000000));
	printf("running\n");
	fflush(stdout);
	while (sigwait(&signals, &received) != 0)
		;
	atomic_store_explicit(&stopping, true, memory_order_relaxed);
	r = usched_runtime_destroy(runtime, usched_after(UINT64_C(20000000000)));
	return r == 0 ? 0 : fail("usched_runtime_destroy", r);
}
