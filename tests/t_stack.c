/* SPDX-License-Identifier: MIT */
/*
 * Stack slabs: what was reserved can be taken, nobody shares a slot, every stack has its guard, and
 * what runs out is said.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "harness.h"
#include "memory/guard.h"
#include "memory/stack.h"

enum {
	THREADS = 4,
	BATCH = 16,
	ROUNDS = USCHED_TSAN ? 3000 : 20000,
	MILLION = 1000000,
	BUDGET_PLENTY = 100000,
};

/* The kernel's answer, since a wild read would end the test. */
static bool can_read(const void *address)
{
	bool readable = true;
	int fds[2];

	if (pipe(fds) < 0)
		return false;
	if (syscall(SYS_write, fds[1], address, 1) < 0)
		readable = errno != EFAULT;
	close(fds[0]);
	close(fds[1]);
	return readable;
}

static int make(struct usched_stacks *stacks, enum usched_guard guard, uint32_t stacks_max,
		uint32_t slack)
{
	struct usched_stacks_options options = {
		.guard = guard, .node = -1, .stacks_max = stacks_max,
		.slack = { slack, slack, slack },
	};
	int found = usched_guard_probe(guard);

	if (found < 0)
		return found;
	options.guard = (enum usched_guard)found;
	return usched_stacks_init(stacks, &options);
}

static void a_probe_never_lies(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int found = usched_guard_probe(USCHED_GUARD_AUTO);
	uint32_t charged = 0;
	unsigned char *memory;

	CU_ASSERT_FATAL(found == USCHED_GUARD_MADVISE || found == USCHED_GUARD_MPROTECT);
	printf("guards are made with %s\n", found == USCHED_GUARD_MADVISE ? "madvise" : "mprotect");
	CU_ASSERT_EQUAL(usched_guard_probe(USCHED_GUARD_MPROTECT), USCHED_GUARD_MPROTECT);
	CU_ASSERT_EQUAL(usched_guard_probe(USCHED_GUARD_MADVISE),
			found == USCHED_GUARD_MADVISE ? USCHED_GUARD_MADVISE : -ENOTSUP);

	memory = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(memory, MAP_FAILED);
	CU_ASSERT_EQUAL(usched_guard_install((enum usched_guard)found, memory, page, 2 * page, 4,
					     &charged), 4);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(can_read(memory + i * page), i % 2 == 1);
	CU_ASSERT_EQUAL(charged, found == USCHED_GUARD_MADVISE ? 0 : 4);
	usched_guard_return(charged);
	munmap(memory, 8 * page);
}

static void check_one_class(struct usched_stacks *stacks, enum usched_stack class, size_t least)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	enum usched_stack found;
	uint32_t slot, found_slot;
	unsigned char *low, *top;
	bool in_guard;

	CU_ASSERT_EQUAL_FATAL(usched_stacks_reserve(stacks, class, 1), 0);
	CU_ASSERT_EQUAL_FATAL(usched_stacks_take(stacks, class, &slot, 1), 1);
	usched_stacks_bounds(stacks, class, slot, (void **)&low, (void **)&top);
	CU_ASSERT(usched_stacks_slot_bytes(stacks, class) >= least);
	CU_ASSERT_EQUAL((size_t)(top - low) + page, usched_stacks_slot_bytes(stacks, class));
	CU_ASSERT_EQUAL((uintptr_t)top % page, 0);
	low[0] = 1;
	top[-1] = 1;
	CU_ASSERT_TRUE(can_read(low));
	CU_ASSERT_FALSE(can_read(low - 1));
	CU_ASSERT_FALSE(can_read(low - page));

	CU_ASSERT_TRUE(usched_stacks_find(stacks, (uintptr_t)low, &found, &found_slot, &in_guard));
	CU_ASSERT(found == class && found_slot == slot && !in_guard);
	CU_ASSERT_TRUE(usched_stacks_find(stacks, (uintptr_t)top - 1, &found, &found_slot,
					  &in_guard));
	CU_ASSERT(found == class && found_slot == slot && !in_guard);
	CU_ASSERT_TRUE(usched_stacks_find(stacks, (uintptr_t)low - 1, &found, &found_slot,
					  &in_guard));
	CU_ASSERT(found == class && found_slot == slot && in_guard);
	usched_stacks_give(stacks, class, &slot, 1);
	usched_stacks_unreserve(stacks, class, 1);
}

static void check_classes(enum usched_guard guard)
{
	struct usched_stacks stacks;
	enum usched_stack class;
	uint32_t slot;
	bool in_guard;

	CU_ASSERT_EQUAL_FATAL(make(&stacks, guard, 1000, 2), 0);
	check_one_class(&stacks, USCHED_STACK_SMALL, 16384);
	check_one_class(&stacks, USCHED_STACK_DEFAULT, 262144);
	check_one_class(&stacks, USCHED_STACK_LARGE, 8388608);
	CU_ASSERT_FALSE(usched_stacks_find(&stacks, (uintptr_t)&stacks, &class, &slot, &in_guard));
	CU_ASSERT_FALSE(usched_stacks_find(&stacks, 0, &class, &slot, &in_guard));
	CU_ASSERT_FALSE(usched_stacks_find(&stacks, UINTPTR_MAX, &class, &slot, &in_guard));
	CU_ASSERT_PTR_NULL(usched_stacks_refusal(&stacks));
	usched_stacks_destroy(&stacks);
}

static void each_class_has_its_size_and_guard(void)
{
	check_classes(USCHED_GUARD_AUTO);
}

/* What a kernel before 6.13 gives, and what USCHED_GUARD=mprotect forces. */
static void mprotect_guards_work_and_are_returned(void)
{
	usched_guard_set_budget(BUDGET_PLENTY);
	check_classes(USCHED_GUARD_MPROTECT);
	CU_ASSERT_EQUAL(usched_guard_left(), BUDGET_PLENTY);
}

static void a_spent_budget_refuses_clearly(void)
{
	struct usched_stacks stacks, others;
	uint32_t slots[40];

	usched_guard_set_budget(40);
	CU_ASSERT_EQUAL_FATAL(make(&stacks, USCHED_GUARD_MPROTECT, 1000, 0), 0);
	CU_ASSERT_EQUAL_FATAL(make(&others, USCHED_GUARD_MPROTECT, 1000, 0), 0);
	CU_ASSERT_EQUAL(usched_stacks_reserve(&stacks, USCHED_STACK_SMALL, 40), 0);
	CU_ASSERT_EQUAL(usched_stacks_reserve(&stacks, USCHED_STACK_SMALL, 1), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL_FATAL(usched_stacks_refusal(&stacks));
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_stacks_refusal(&stacks), "vm.max_map_count"));
	/* The budget is the process's. */
	CU_ASSERT_EQUAL(usched_stacks_reserve(&others, USCHED_STACK_LARGE, 1), -ENOMEM);
	/* What was promised is kept. */
	CU_ASSERT_EQUAL(usched_stacks_take(&stacks, USCHED_STACK_SMALL, slots, 40), 40);
	usched_stacks_give(&stacks, USCHED_STACK_SMALL, slots, 40);
	usched_stacks_unreserve(&stacks, USCHED_STACK_SMALL, 1);
	CU_ASSERT_EQUAL(usched_stacks_reserve(&stacks, USCHED_STACK_SMALL, 1), 0);
	usched_stacks_destroy(&stacks);
	CU_ASSERT_EQUAL(usched_guard_left(), 40);
	CU_ASSERT_EQUAL(usched_stacks_reserve(&others, USCHED_STACK_LARGE, 1), 0);
	usched_stacks_destroy(&others);
	usched_guard_set_budget(BUDGET_PLENTY);
}

static void the_limit_on_stacks_holds(void)
{
	enum { SLACK = 100 };		/* more than a batch of guards happens to give */
	struct usched_stacks stacks;
	uint32_t slots[10 + SLACK];

	CU_ASSERT_EQUAL_FATAL(make(&stacks, USCHED_GUARD_AUTO, 10, SLACK), 0);
	CU_ASSERT_EQUAL(usched_stacks_reserve(&stacks, USCHED_STACK_DEFAULT, 11), -EAGAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_stacks_refusal(&stacks), "limit"));
	CU_ASSERT_EQUAL(usched_stacks_reserve(&stacks, USCHED_STACK_DEFAULT, 4), 0);
	CU_ASSERT_EQUAL(usched_stacks_reserve(&stacks, USCHED_STACK_DEFAULT, 6), 0);
	CU_ASSERT_EQUAL(usched_stacks_reserve(&stacks, USCHED_STACK_DEFAULT, 1), -EAGAIN);
	/* The slack comes on top: I1. */
	CU_ASSERT_EQUAL(usched_stacks_take(&stacks, USCHED_STACK_DEFAULT, slots, 10 + SLACK),
			10 + SLACK);
	/* Each class has a limit of its own. */
	CU_ASSERT_EQUAL(usched_stacks_reserve(&stacks, USCHED_STACK_SMALL, 10), 0);
	usched_stacks_unreserve(&stacks, USCHED_STACK_DEFAULT, 10);
	CU_ASSERT_EQUAL(usched_stacks_reserve(&stacks, USCHED_STACK_DEFAULT, 10), 0);
	usched_stacks_destroy(&stacks);
}

static void the_last_slot_is_taken_first(void)
{
	struct usched_stacks stacks;
	struct usched_stacks_usage usage;
	uint32_t slots[3], again[4];

	CU_ASSERT_EQUAL_FATAL(make(&stacks, USCHED_GUARD_AUTO, 10, 0), 0);
	CU_ASSERT_EQUAL_FATAL(usched_stacks_reserve(&stacks, USCHED_STACK_SMALL, 4), 0);
	usched_stacks_take(&stacks, USCHED_STACK_SMALL, slots, 3);
	usched_stacks_give(&stacks, USCHED_STACK_SMALL, slots, 3);
	usched_stacks_usage(&stacks, USCHED_STACK_SMALL, &usage);
	CU_ASSERT_EQUAL(usage.reserved, 4);
	CU_ASSERT_EQUAL(usage.free, 3);
	CU_ASSERT(usage.capacity >= 4);
	CU_ASSERT_EQUAL(usage.address_bytes, 64 << 20);
	usched_stacks_take(&stacks, USCHED_STACK_SMALL, again, 4);
	CU_ASSERT_EQUAL(again[0], slots[2]);
	CU_ASSERT_EQUAL(again[1], slots[1]);
	CU_ASSERT_EQUAL(again[2], slots[0]);
	CU_ASSERT_EQUAL(again[3], 3);
	usched_stacks_destroy(&stacks);
}

/* Slots of all slabs, the growing ones and those of the final size, lie apart and are found. */
static void slots_lie_apart_through_all_slabs(void)
{
	enum { COUNT = 700 };		/* 64 + 128 + 256 + 512 + 1,024 MiB... of 8 MiB each */
	static uint32_t slots[COUNT];
	static uintptr_t lows[COUNT];
	struct usched_stacks stacks;

	usched_guard_set_budget(BUDGET_PLENTY);
	CU_ASSERT_EQUAL_FATAL(make(&stacks, USCHED_GUARD_AUTO, COUNT, 0), 0);
	CU_ASSERT_EQUAL_FATAL(usched_stacks_reserve(&stacks, USCHED_STACK_LARGE, COUNT), 0);
	CU_ASSERT_EQUAL_FATAL(usched_stacks_take(&stacks, USCHED_STACK_LARGE, slots, COUNT), COUNT);
	CU_ASSERT_EQUAL(atomic_load(&stacks.classes[USCHED_STACK_LARGE].slab_count), 9);
	for (unsigned int i = 0; i < COUNT; i++) {
		enum usched_stack class = USCHED_STACK_DEFAULT;
		uint32_t slot = UINT32_MAX;
		unsigned char *low, *top;
		bool in_guard = true;

		usched_stacks_bounds(&stacks, USCHED_STACK_LARGE, slots[i], (void **)&low,
				     (void **)&top);
		lows[i] = (uintptr_t)low;
		top[-1] = (unsigned char)i;
		CU_ASSERT_TRUE(usched_stacks_find(&stacks, (uintptr_t)low, &class, &slot,
						  &in_guard));
		CU_ASSERT(class == USCHED_STACK_LARGE && slot == slots[i] && !in_guard);
		for (unsigned int j = 0; j < i; j++) {
			uintptr_t apart = lows[i] > lows[j] ? lows[i] - lows[j] : lows[j] - lows[i];

			if (apart < 8u << 20)
				CU_FAIL_FATAL("two stacks overlap");
		}
	}
	for (unsigned int i = 0; i < COUNT; i++) {
		unsigned char *low, *top;

		usched_stacks_bounds(&stacks, USCHED_STACK_LARGE, slots[i], (void **)&low,
				     (void **)&top);
		CU_ASSERT_EQUAL(top[-1], (unsigned char)i);
	}
	usched_stacks_destroy(&stacks);
}

/* Trimmed slots hold no pages; the ones to be taken next keep theirs. */
static void trimming_keeps_the_hot_ones(void)
{
	enum { COUNT = 30, KEEP = 10 };
	struct usched_stacks stacks;
	uint32_t slots[COUNT];

	CU_ASSERT_EQUAL_FATAL(make(&stacks, USCHED_GUARD_AUTO, COUNT, 0), 0);
	CU_ASSERT_EQUAL_FATAL(usched_stacks_reserve(&stacks, USCHED_STACK_SMALL, COUNT), 0);
	usched_stacks_take(&stacks, USCHED_STACK_SMALL, slots, COUNT);
	for (unsigned int i = 0; i < COUNT; i++) {
		unsigned char *low, *top;

		usched_stacks_bounds(&stacks, USCHED_STACK_SMALL, slots[i], (void **)&low,
				     (void **)&top);
		top[-1] = 1;
	}
	usched_stacks_give(&stacks, USCHED_STACK_SMALL, slots, COUNT);
	CU_ASSERT_EQUAL(usched_stacks_trim(&stacks, USCHED_STACK_SMALL, UINT32_MAX), 0);
	CU_ASSERT_EQUAL(usched_stacks_trim(&stacks, USCHED_STACK_SMALL, KEEP), COUNT - KEEP);
	CU_ASSERT_EQUAL(usched_stacks_trim(&stacks, USCHED_STACK_SMALL, KEEP), 0);
	for (unsigned int i = 0; i < COUNT; i++) {
		unsigned char *low, *top;

		usched_stacks_bounds(&stacks, USCHED_STACK_SMALL, slots[i], (void **)&low,
				     (void **)&top);
		CU_ASSERT_EQUAL(top[-1], i >= COUNT - KEEP);
		CU_ASSERT_FALSE(can_read(low - 1));	/* the guard stays */
	}
	/* Taken and given once more they may hold pages again. */
	usched_stacks_take(&stacks, USCHED_STACK_SMALL, slots, COUNT);
	usched_stacks_give(&stacks, USCHED_STACK_SMALL, slots, COUNT);
	CU_ASSERT_EQUAL(usched_stacks_trim(&stacks, USCHED_STACK_SMALL, 0), COUNT);
	usched_stacks_destroy(&stacks);
}

struct shared {
	struct usched_stacks stacks;
	_Atomic uint32_t refused;
	_Atomic uint32_t errors;
};

struct party {
	struct shared *shared;
	uint64_t number;
};

static void *spawn_and_end(void *argument)
{
	struct party *party = argument;
	struct usched_stacks *stacks = &party->shared->stacks;
	struct usched_random random;
	uint32_t slots[BATCH];

	usched_random_seed(&random, party->number);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		enum usched_stack class = usched_random_below(&random, 4) == 0 ?
			USCHED_STACK_DEFAULT : USCHED_STACK_SMALL;
		uint32_t count = 1 + (uint32_t)usched_random_below(&random, BATCH);

		if (usched_stacks_reserve(stacks, class, count) < 0) {
			atomic_fetch_add(&party->shared->refused, 1);
			continue;
		}
		usched_stacks_take(stacks, class, slots, count);
		for (uint32_t i = 0; i < count; i++) {
			uint64_t *low, *top;

			usched_stacks_bounds(stacks, class, slots[i], (void **)&low, (void **)&top);
			top[-1] = party->number;	/* plain: the slot is ours */
		}
		for (uint32_t i = 0; i < count; i++) {
			uint64_t *low, *top;

			usched_stacks_bounds(stacks, class, slots[i], (void **)&low, (void **)&top);
			if (top[-1] != party->number)
				atomic_fetch_add(&party->shared->errors, 1);
		}
		usched_stacks_give(stacks, class, slots, count);
		usched_stacks_unreserve(stacks, class, count);
		if (round % 256 == 0)
			usched_stacks_trim(stacks, class, 4);
	}
	return NULL;
}

/* Reservations at the limit, from all sides: some are refused, none that was granted fails. */
static void threads_never_share_a_stack(void)
{
	static struct shared shared;
	struct party parties[THREADS];
	pthread_t threads[THREADS];
	struct usched_stacks_usage usage;

	usched_guard_set_budget(BUDGET_PLENTY);
	CU_ASSERT_EQUAL_FATAL(make(&shared.stacks, USCHED_GUARD_AUTO, THREADS * BATCH / 2, 3), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		parties[i] = (struct party){ &shared, i + 1 };
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, spawn_and_end,
						     &parties[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(atomic_load(&shared.errors), 0);
	usched_stacks_usage(&shared.stacks, USCHED_STACK_SMALL, &usage);
	CU_ASSERT_EQUAL(usage.reserved, 0);
	/* I1: no slot was ever used beyond what could be reserved. */
	CU_ASSERT(usage.free <= THREADS * BATCH / 2 + 3);
	printf("%u of %u reservations refused at the limit\n", atomic_load(&shared.refused),
	       THREADS * ROUNDS);
	usched_stacks_destroy(&shared.stacks);
}

static uint64_t status_kib(const char *key)
{
	char line[256];
	uint64_t value = 0;
	FILE *file = fopen("/proc/self/status", "re");

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key) + 1, NULL, 10);
	}
	fclose(file);
	return value;
}

static uint64_t mappings(void)
{
	uint64_t lines = 0;
	int c;
	FILE *file = fopen("/proc/self/maps", "re");

	if (file == NULL)
		return 0;
	while ((c = getc(file)) != EOF)
		lines += c == '\n';
	fclose(file);
	return lines;
}

/* A million small stacks are a few mappings and 33 bytes of page table each. */
static void a_million_stacks_are_cheap(void)
{
	struct usched_stacks stacks;
	uint64_t start_ns, tables_kib, maps, took_ns;
	static uint32_t slots[1000];
	uint64_t used_kib, used_maps;

	if (USCHED_ASAN || USCHED_TSAN)
		USCHED_SKIP("sanitizer: shadow memory would be measured");
	if (usched_guard_probe(USCHED_GUARD_AUTO) != USCHED_GUARD_MADVISE)
		USCHED_SKIP("guard: the kernel has no MADV_GUARD_INSTALL");

	CU_ASSERT_EQUAL_FATAL(make(&stacks, USCHED_GUARD_MADVISE, 2 * MILLION, 128), 0);
	tables_kib = status_kib("VmPTE:");
	maps = mappings();
	start_ns = usched_clock_now_ns();
	for (unsigned int i = 0; i < MILLION / 1000; i++) {
		CU_ASSERT_EQUAL_FATAL(usched_stacks_reserve(&stacks, USCHED_STACK_SMALL, 1000), 0);
		usched_stacks_take(&stacks, USCHED_STACK_SMALL, slots, 1000);
	}
	took_ns = usched_clock_now_ns() - start_ns;
	used_kib = status_kib("VmPTE:") - tables_kib;
	used_maps = mappings() - maps;
	printf("a million stacks of %zu KiB: %llu ns and %llu B of page tables each, %llu mappings\n",
	       usched_stacks_slot_bytes(&stacks, USCHED_STACK_SMALL) / 1024,
	       (unsigned long long)(took_ns / MILLION),
	       (unsigned long long)(used_kib * 1024 / MILLION), (unsigned long long)used_maps);
	CU_ASSERT_EQUAL(slots[999], MILLION - 1);
	CU_ASSERT(used_maps < 100);
	CU_ASSERT(used_kib * 1024 / MILLION < 256);
	usched_stacks_destroy(&stacks);
}

/* Locked memory takes no madvise guards on some kernels; stacks are guarded all the same. */
static void locked_memory_is_guarded(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t charged = 0;
	unsigned char *memory;

	if (usched_guard_probe(USCHED_GUARD_AUTO) != USCHED_GUARD_MADVISE)
		USCHED_SKIP("guard: the kernel has no MADV_GUARD_INSTALL");
	memory = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(memory, MAP_FAILED);
	if (mlock(memory, 4 * page) < 0) {
		munmap(memory, 4 * page);
		USCHED_SKIP("container: mlock is refused");
	}
	CU_ASSERT_EQUAL(usched_guard_install(USCHED_GUARD_MADVISE, memory, page, 2 * page, 2,
					     &charged), 2);
	CU_ASSERT_FALSE(can_read(memory));
	CU_ASSERT_FALSE(can_read(memory + 2 * page));
	CU_ASSERT_TRUE(can_read(memory + page));
	usched_guard_return(charged);
	munlock(memory, 4 * page);
	munmap(memory, 4 * page);
}

static const struct usched_test tests[] = {
	{ "a_probe_never_lies", a_probe_never_lies },
	{ "each_class_has_its_size_and_guard", each_class_has_its_size_and_guard },
	{ "mprotect_guards_work_and_are_returned", mprotect_guards_work_and_are_returned },
	{ "a_spent_budget_refuses_clearly", a_spent_budget_refuses_clearly },
	{ "the_limit_on_stacks_holds", the_limit_on_stacks_holds },
	{ "the_last_slot_is_taken_first", the_last_slot_is_taken_first },
	{ "slots_lie_apart_through_all_slabs", slots_lie_apart_through_all_slabs },
	{ "trimming_keeps_the_hot_ones", trimming_keeps_the_hot_ones },
	{ "threads_never_share_a_stack", threads_never_share_a_stack },
	{ "a_million_stacks_are_cheap", a_million_stacks_are_cheap },
	{ "locked_memory_is_guarded", locked_memory_is_guarded },
};

int main(void)
{
	return usched_test_main("stack", tests, sizeof(tests) / sizeof(tests[0]));
}
