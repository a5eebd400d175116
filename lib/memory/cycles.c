/* SPDX-License-Identifier: MIT */
/*
 * The rate of the cycle counter; see the header.
 */
#include <linux/perf_event.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/cpu.h"
#include "memory/cycles.h"

enum {
	MEASURE_NS = 1000000,
	SAMPLES = 8,
};

/* From one of the two factors, as 32.32 fixed point numbers, the other. */
static bool set_rate(struct usched_cycles_rate *rate, uint64_t ns_per_cycle_q32)
{
	unsigned __int128 one = (unsigned __int128)1 << 64;

	/* Between 4 MHz and 16 GHz; anything else is a mistake. */
	if (ns_per_cycle_q32 < UINT64_C(1) << 28 || ns_per_cycle_q32 > UINT64_C(250) << 32)
		return false;
	rate->ns_per_cycle_q32 = ns_per_cycle_q32;
	rate->cycles_per_ns_q32 = (uint64_t)(one / ns_per_cycle_q32);
	return true;
}

/* ns = cycles * time_mult >> time_shift, says the page. */
static bool read_perf_page(struct usched_cycles_rate *rate)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_DUMMY,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	const volatile struct perf_event_mmap_page *page;
	bool known = false;
	void *mapping;
	int fd;

	fd = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return false;
	mapping = mmap(NULL, page_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (mapping != MAP_FAILED) {
		page = mapping;
		if (page->cap_user_time && page->time_mult != 0 && page->time_shift < 64) {
			unsigned __int128 scaled = (unsigned __int128)page->time_mult << 32;

			known = set_rate(rate, (uint64_t)(scaled >> page->time_shift));
		}
		munmap(mapping, page_bytes);
	}
	close(fd);
	return known;
}

/* The counter at a known moment: of several tries the one with the shortest way around it. */
static void sample(uint64_t *cycles, uint64_t *ns)
{
	uint64_t shortest = UINT64_MAX;

	*cycles = 0;
	*ns = 0;
	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t before = usched_clock_now_ns();
		uint64_t counter = usched_cycles();
		uint64_t after = usched_clock_now_ns();

		if (after - before < shortest) {
			shortest = after - before;
			*cycles = counter;
			*ns = before + (after - before) / 2;
		}
	}
}

void usched_cycles_measure_rate(struct usched_cycles_rate *rate)
{
	uint64_t cycles_start, ns_start, cycles_end, ns_end;

	sample(&cycles_start, &ns_start);
	do {
		sample(&cycles_end, &ns_end);
	} while (ns_end - ns_start < MEASURE_NS);

	if (cycles_end <= cycles_start ||
	    !set_rate(rate, (uint64_t)(((unsigned __int128)(ns_end - ns_start) << 32) /
				       (cycles_end - cycles_start))))
		set_rate(rate, UINT64_C(1) << 32);	/* a counter that stands still: 1 GHz */
}

enum usched_cycles_source usched_cycles_find_rate(struct usched_cycles_rate *rate)
{
	if (read_perf_page(rate))
		return USCHED_CYCLES_FROM_PERF;
	usched_cycles_measure_rate(rate);
	return USCHED_CYCLES_MEASURED;
}
