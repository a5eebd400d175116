/* SPDX-License-Identifier: MIT */
/*
 * The table of records: indexes are unique while they are out, records stay where they are and keep
 * what is in them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "harness.h"
#include "memory/table.h"

enum { THREADS = 4, BATCH = 16, ROUNDS = USCHED_TSAN ? 5000 : 30000 };

struct record {
	_Atomic uint64_t generation;	/* even: free; odd: out */
	_Atomic uint64_t owner;
	uint64_t plain;			/* no atomic: its owner's alone */
	uint64_t filler[5];
};

static void indexes_begin_at_one(void)
{
	struct usched_table table;
	uint32_t indexes[3];
	struct record *record;

	CU_ASSERT_EQUAL_FATAL(usched_table_init(&table, sizeof(struct record), 100), 0);
	CU_ASSERT_EQUAL(usched_table_limit(&table), 1);
	CU_ASSERT_PTR_NULL(usched_table_record(&table, 0));
	CU_ASSERT_PTR_NULL(usched_table_record(&table, 1));
	CU_ASSERT_EQUAL(usched_table_take(&table, indexes, 3), 3);
	CU_ASSERT_EQUAL(indexes[0], 1);
	CU_ASSERT_EQUAL(indexes[2], 3);
	CU_ASSERT_EQUAL(usched_table_limit(&table), 4);
	CU_ASSERT_PTR_NULL(usched_table_record(&table, 0));
	CU_ASSERT_PTR_NULL(usched_table_record(&table, 4));
	CU_ASSERT_PTR_NULL(usched_table_record(&table, UINT32_MAX));

	record = usched_table_record(&table, 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(record);
	CU_ASSERT_EQUAL(memcmp(record, &(struct record){ 0 }, sizeof(*record)), 0);
	usched_table_destroy(&table);
}

/* Last in, first out; a record is not cleared, nor moved, by going round. */
static void records_survive_reuse(void)
{
	struct usched_table table;
	uint32_t indexes[3], again[3];
	struct record *record;

	CU_ASSERT_EQUAL_FATAL(usched_table_init(&table, sizeof(struct record), 100), 0);
	CU_ASSERT_EQUAL_FATAL(usched_table_take(&table, indexes, 3), 3);
	record = usched_table_record(&table, indexes[1]);
	atomic_store(&record->generation, 5);
	usched_table_give(&table, indexes, 3);
	CU_ASSERT_EQUAL(usched_table_take(&table, again, 3), 3);
	CU_ASSERT_EQUAL(again[0], indexes[2]);
	CU_ASSERT_EQUAL(again[1], indexes[1]);
	CU_ASSERT_EQUAL(again[2], indexes[0]);
	CU_ASSERT_PTR_EQUAL(usched_table_record(&table, indexes[1]), record);
	CU_ASSERT_EQUAL(atomic_load(&record->generation), 5);
	CU_ASSERT_EQUAL(usched_table_limit(&table), 4);
	usched_table_destroy(&table);
}

static void a_full_table_says_so(void)
{
	struct usched_table table;
	uint32_t indexes[20];

	CU_ASSERT_EQUAL_FATAL(usched_table_init(&table, 8, 10), 0);
	CU_ASSERT_EQUAL(usched_table_take(&table, indexes, 8), 8);
	CU_ASSERT_EQUAL(usched_table_take(&table, indexes + 8, 8), 2);
	CU_ASSERT_EQUAL(indexes[9], 10);
	CU_ASSERT_EQUAL(usched_table_take(&table, indexes + 10, 1), -EAGAIN);
	usched_table_give(&table, indexes + 3, 1);
	CU_ASSERT_EQUAL(usched_table_take(&table, indexes + 3, 2), 1);
	CU_ASSERT_EQUAL(indexes[3], 4);
	usched_table_destroy(&table);
}

/* The default of fibers_max is 16,777,216: reserving must cost no memory. */
static void the_largest_table_costs_what_is_touched(void)
{
	struct usched_table table;
	uint32_t index, count = 0;

	CU_ASSERT_EQUAL_FATAL(usched_table_init(&table, 384, UINT32_C(1) << 24), 0);
	CU_ASSERT_EQUAL(table.maximum, (UINT32_C(1) << 24) + 1);
	while (count < 10000) {
		CU_ASSERT_EQUAL_FATAL(usched_table_take(&table, &index, 1), 1);
		CU_ASSERT_EQUAL(index, ++count);
		memset(usched_table_record(&table, index), 1, 384);
	}
	usched_table_destroy(&table);
}

/* With little address space (ulimit -v) the table is smaller, and works. */
static void a_small_address_space_gives_a_smaller_table(void)
{
	struct rlimit limit = { .rlim_cur = 2u << 30, .rlim_max = 2u << 30 };
	struct usched_table table;
	uint32_t index;
	int status = -1;
	pid_t child;

	if (USCHED_ASAN || USCHED_TSAN)
		USCHED_SKIP("sanitizer: shadow memory needs the address space");
	child = fork();
	if (child == 0) {
		if (setrlimit(RLIMIT_AS, &limit) < 0)
			_exit(1);
		if (usched_table_init(&table, 384, UINT32_C(1) << 24) < 0)
			_exit(2);
		/* An emulator keeps the limit from us. */
		if (table.maximum > UINT32_C(1) << 24)
			_exit(77);
		if (table.maximum < 4096 || usched_table_take(&table, &index, 1) != 1)
			_exit(3);
		_exit(0);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE_FATAL(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		USCHED_SKIP("emulator: RLIMIT_AS is not applied");
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

struct shared {
	struct usched_table table;
	_Atomic unsigned int stop;
	_Atomic uint64_t errors;
};

struct party {
	struct shared *shared;
	uint64_t number;
};

static void *take_and_give(void *argument)
{
	struct party *party = argument;
	struct shared *shared = party->shared;
	struct usched_random random;
	uint32_t indexes[BATCH];

	usched_random_seed(&random, party->number);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int wanted = 1 + (unsigned int)usched_random_below(&random, BATCH);
		int taken = usched_table_take(&shared->table, indexes, wanted);

		if (taken == -EAGAIN)
			continue;	/* fewer indexes than the threads want, on purpose */
		for (int i = 0; i < taken; i++) {
			struct record *record = usched_table_record(&shared->table, indexes[i]);

			if (atomic_fetch_add(&record->generation, 1) % 2 != 0)
				atomic_fetch_add(&shared->errors, 1);
			atomic_store(&record->owner, party->number);
			record->plain++;
		}
		for (int i = 0; i < taken; i++) {
			struct record *record = usched_table_record(&shared->table, indexes[i]);

			if (atomic_load(&record->owner) != party->number ||
			    atomic_fetch_add(&record->generation, 1) % 2 != 1)
				atomic_fetch_add(&shared->errors, 1);
		}
		usched_table_give(&shared->table, indexes, (unsigned int)taken);
	}
	return NULL;
}

/* An observer walks all records meanwhile: below the limit there is always a record. */
static void *walk(void *argument)
{
	struct shared *shared = argument;
	uint64_t last = 0;

	while (!atomic_load(&shared->stop)) {
		uint32_t limit = usched_table_limit(&shared->table);

		if (limit < last)
			atomic_fetch_add(&shared->errors, 1);
		last = limit;
		for (uint32_t i = 1; i < limit; i++) {
			struct record *record = usched_table_record(&shared->table, i);

			if (record == NULL || atomic_load(&record->owner) > THREADS)
				atomic_fetch_add(&shared->errors, 1);
		}
		usleep(100);
	}
	return NULL;
}

static void threads_never_share_an_index(void)
{
	static struct shared shared;
	struct party parties[THREADS];
	pthread_t threads[THREADS], walker;
	uint64_t uses = 0, generations = 0;

	CU_ASSERT_EQUAL_FATAL(usched_table_init(&shared.table, sizeof(struct record),
						THREADS * BATCH * 3 / 4), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&walker, NULL, walk, &shared), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		parties[i] = (struct party){ &shared, i + 1 };
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, take_and_give,
						     &parties[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&shared.stop, 1);
	pthread_join(walker, NULL);

	for (uint32_t i = 1; i < usched_table_limit(&shared.table); i++) {
		struct record *record = usched_table_record(&shared.table, i);

		uses += record->plain;
		generations += atomic_load(&record->generation);
	}
	CU_ASSERT_EQUAL(atomic_load(&shared.errors), 0);
	CU_ASSERT_EQUAL(generations, 2 * uses);
	CU_ASSERT(uses > 0);
	CU_ASSERT(usched_table_limit(&shared.table) <= THREADS * BATCH * 3 / 4 + 1);
	usched_table_destroy(&shared.table);
}

static const struct usched_test tests[] = {
	{ "indexes_begin_at_one", indexes_begin_at_one },
	{ "records_survive_reuse", records_survive_reuse },
	{ "a_full_table_says_so", a_full_table_says_so },
	{ "the_largest_table_costs_what_is_touched", the_largest_table_costs_what_is_touched },
	{ "a_small_address_space_gives_a_smaller_table",
	  a_small_address_space_gives_a_smaller_table },
	{ "threads_never_share_an_index", threads_never_share_an_index },
};

int main(void)
{
	return usched_test_main("table", tests, sizeof(tests) / sizeof(tests[0]));
}
