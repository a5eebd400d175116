/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

/*
 * What the C programs of this folder share: time, percentiles, and the lines that bench/run reads,
 * "metric unit value" separated by tabs.
 *
 * A percentile of nothing is STARVED: what was measured did not happen once before the end of the run.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STARVED (-1.0)

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline void sleep_ms(uint64_t ms)
{
	struct timespec rest = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	while (nanosleep(&rest, &rest))
		;
}

static inline void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* For calls that return 0 or an error. */
static inline void must(int result, const char *what)
{
	if (result)
		fail(what);
}

struct samples {
	uint64_t *ns;
	size_t count, room;	/* more than room are not kept, and not counted */
};

static inline void samples_init(struct samples *samples, size_t room)
{
	/* Written, so that a first touch does not fall into what is measured. */
	samples->ns = malloc((room + 1) * sizeof(*samples->ns));
	if (!samples->ns)
		fail("no memory for samples");
	for (size_t i = 0; i <= room; i++)
		samples->ns[i] = 1;
	samples->count = 0;
	samples->room = room;
}

static inline void samples_add(struct samples *samples, uint64_t ns)
{
	if (samples->count < samples->room)
		samples->ns[samples->count++] = ns;
}

static inline int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The value that @percent of all do not exceed, in microseconds. */
static inline double samples_us(struct samples *samples, unsigned int percent)
{
	if (samples->count == 0)
		return STARVED;
	qsort(samples->ns, samples->count, sizeof(*samples->ns), compare_ns);
	return (double)samples->ns[(samples->count * percent + 99) / 100 - 1] / 1000;
}

static inline void print_lateness(struct samples *samples)
{
	printf("p50\tus\t%.3f\n", samples_us(samples, 50));
	printf("p99\tus\t%.3f\n", samples_us(samples, 99));
}

#endif /* BENCH_MEASURE_H */
