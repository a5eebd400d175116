/* SPDX-License-Identifier: MIT */
/*
 * Kernel threads beside ours: one sleeps 1 ms again and again beside LOOPS that never do.
 *
 *	threads_preempt sleep LOOPS MS
 */
#include <pthread.h>
#include <string.h>

#include "endless.h"
#include "measure.h"

enum { LOOPS_MAX = 64 };

static void *sleeper(void *argument)
{
	struct samples *late = argument;

	for (;;) {
		uint64_t due = clock_ns(CLOCK_MONOTONIC) + 1000000;
		struct timespec until = { (time_t)(due / 1000000000), (long)(due % 1000000000) };

		if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
			fail("a sleep failed");
		if (is_stopped())
			return NULL;
		samples_add(late, clock_ns(CLOCK_MONOTONIC) - due);
	}
}

int main(int argc, char *argv[])
{
	pthread_t threads[LOOPS_MAX + 1];
	struct samples late;
	unsigned long loops, ms;

	if (argc != 4 || strcmp(argv[1], "sleep") || strtoul(argv[2], NULL, 10) > LOOPS_MAX) {
		fprintf(stderr, "usage: %s sleep LOOPS MS\n", argv[0]);
		return 2;
	}
	loops = strtoul(argv[2], NULL, 10);
	ms = strtoul(argv[3], NULL, 10);
	samples_init(&late, ms);
	for (unsigned long i = 0; i <= loops; i++) {
		if (pthread_create(&threads[i], NULL, i < loops ? loop : sleeper, &late))
			fail("no thread");
	}
	sleep_ms(ms);
	stop_all();
	for (unsigned long i = 0; i <= loops; i++)
		pthread_join(threads[i], NULL);
	print_lateness(&late);
	return 0;
}
