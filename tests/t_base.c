/* SPDX-License-Identifier: MIT */
/*
 * The ground floor: text without libc, durations, USCHED_* variables, spin locks and their ranks,
 * futex, random numbers, lists, the clock.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/environment.h"
#include "base/format.h"
#include "base/futex.h"
#include "base/list.h"
#include "base/random.h"
#include "base/spinlock.h"
#include "harness.h"

enum { THREADS = 4, ROUNDS = 20000 };

static void numbers_become_text(void)
{
	char buffer[128];
	struct usched_format text;

	usched_format_init(&text, buffer, sizeof(buffer));
	CU_ASSERT_STRING_EQUAL(buffer, "");
	usched_format_decimal(&text, 0);
	usched_format_string(&text, " ");
	usched_format_decimal(&text, UINT64_MAX);
	usched_format_string(&text, " ");
	usched_format_signed(&text, INT64_MIN);
	usched_format_string(&text, NULL);
	usched_format_string(&text, " ");
	usched_format_hex(&text, 0xdead0beef);
	CU_ASSERT_STRING_EQUAL(buffer, "0 18446744073709551615 -9223372036854775808 0xdead0beef");
	CU_ASSERT_FALSE(text.cut);
}

/* I2 of format.h: a canary behind the buffer survives. */
static void long_text_is_cut(void)
{
	char buffer[8];
	struct usched_format text;

	memset(buffer, '#', sizeof(buffer));
	usched_format_init(&text, buffer, 6);
	usched_format_string(&text, "abcd");
	CU_ASSERT_FALSE(text.cut);
	usched_format_decimal(&text, 123);
	CU_ASSERT_STRING_EQUAL(buffer, "abcd1");
	CU_ASSERT_TRUE(text.cut);
	usched_format_string(&text, "x");
	CU_ASSERT_STRING_EQUAL(buffer, "abcd1");
	CU_ASSERT_EQUAL(buffer[6], '#');
}

static void durations_are_read(void)
{
	static const struct {
		const char *text;
		int result;
		uint64_t ns;
	} cases[] = {
		{ "off", 0, 0 },
		{ "0ms", 0, 0 },
		{ "250ns", 0, 250 },
		{ "500us", 0, 500000 },
		{ "2ms", 0, 2000000 },
		{ "1s", 0, 1000000000 },
		{ "18446744073709551614ns", 0, UINT64_MAX - 1 },
		{ "18446744073709551615ns", -ERANGE, 0 },
		{ "18446744073709551616ns", -ERANGE, 0 },
		{ "18446744074s", -ERANGE, 0 },
		{ "99999999999999999999999s", -ERANGE, 0 },
		{ "5", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "ms", -EINVAL, 0 },
		{ "-1ms", -EINVAL, 0 },
		{ "+1ms", -EINVAL, 0 },
		{ " 1ms", -EINVAL, 0 },
		{ "1 ms", -EINVAL, 0 },
		{ "1ms ", -EINVAL, 0 },
		{ "1.5ms", -EINVAL, 0 },
		{ "1m", -EINVAL, 0 },
		{ "1min", -EINVAL, 0 },
		{ "OFF", -EINVAL, 0 },
		{ "0x1ms", -EINVAL, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why = NULL;
		uint64_t ns = 77;
		int r = usched_duration_parse(cases[i].text, &ns, &why);

		if (r != cases[i].result || ns != (r == 0 ? cases[i].ns : 77))
			printf("duration '%s' gave %d, %llu\n", cases[i].text, r,
			       (unsigned long long)ns);
		CU_ASSERT_EQUAL(r, cases[i].result);
		CU_ASSERT_EQUAL(ns, r == 0 ? cases[i].ns : 77);
		CU_ASSERT_EQUAL(why != NULL, r != 0);
	}
	CU_ASSERT_EQUAL(usched_duration_parse("5", &(uint64_t){ 0 }, NULL), -EINVAL);
}

/* What is written is read back as the same value, in the largest unit that keeps it. */
static void durations_are_written(void)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "off" }, { 1, "1ns" }, { 1500, "1500ns" }, { 100000, "100us" },
		{ 500000, "500us" }, { 2000000, "2ms" }, { 1000000000, "1s" },
		{ 60000000000, "60s" }, { UINT64_MAX - 1, "18446744073709551614ns" },
	};
	char buffer[USCHED_DURATION_TEXT_BYTES];
	struct usched_random random;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(usched_duration_format(cases[i].ns, buffer, sizeof(buffer)),
				       cases[i].text);
	usched_random_seed(&random, 1);
	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t ns = usched_random_next(&random) >> usched_random_below(&random, 64);
		uint64_t back = 0;

		usched_duration_format(ns, buffer, sizeof(buffer));
		CU_ASSERT_EQUAL(usched_duration_parse(buffer, &back, NULL), 0);
		CU_ASSERT_EQUAL(back, ns);
	}
}

static int read_duration(const char *value, uint64_t *ns, char *error)
{
	setenv("USCHED_T_BASE", value, 1);
	return usched_environment_duration("USCHED_T_BASE", true, 100000, 1000000000, ns, error);
}

static void duration_variables_are_checked(void)
{
	char error[USCHED_ENVIRONMENT_ERROR_BYTES];
	uint64_t ns = 42;

	unsetenv("USCHED_T_BASE");
	CU_ASSERT_EQUAL(usched_environment_duration("USCHED_T_BASE", true, 1, 2, &ns, error), 0);
	CU_ASSERT_EQUAL(read_duration("", &ns, error), 0);
	CU_ASSERT_EQUAL(ns, 42);
	CU_ASSERT_EQUAL(read_duration("500us", &ns, error), 1);
	CU_ASSERT_EQUAL(ns, 500000);
	CU_ASSERT_EQUAL(read_duration("off", &ns, error), 1);
	CU_ASSERT_EQUAL(ns, 0);

	ns = 42;
	CU_ASSERT_EQUAL(read_duration("5", &ns, error), -EINVAL);
	CU_ASSERT_STRING_EQUAL(error, "USCHED_T_BASE=5 is refused: it has no unit (ns, us, ms or "
			       "s); give off, or from 100us to 1s");
	CU_ASSERT_EQUAL(read_duration("99us", &ns, error), -EINVAL);
	CU_ASSERT_STRING_EQUAL(error, "USCHED_T_BASE=99us is refused: it is too short; give off, "
			       "or from 100us to 1s");
	CU_ASSERT_EQUAL(read_duration("2s", &ns, error), -EINVAL);
	CU_ASSERT_EQUAL(ns, 42);
	CU_ASSERT_EQUAL(usched_environment_duration("USCHED_T_BASE", false, 1, 2, &ns, error),
			-EINVAL);
	setenv("USCHED_T_BASE", "off", 1);
	CU_ASSERT_EQUAL(usched_environment_duration("USCHED_T_BASE", false, 1, 2, &ns, error),
			-EINVAL);
	CU_ASSERT_STRING_EQUAL(error, "USCHED_T_BASE=off is refused: it must not be off; give from "
			       "1ns to 2ns");
}

/* However long the value, the text ends with what is allowed. */
static void long_values_leave_room_for_advice(void)
{
	char error[USCHED_ENVIRONMENT_ERROR_BYTES];
	char value[5000];
	uint64_t number = 42;

	memset(value, '9', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	setenv("USCHED_T_BASE", value, 1);
	CU_ASSERT_EQUAL(usched_environment_integer("USCHED_T_BASE", 1, 1024, &number, error),
			-EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "... is refused: it is too large; give from 1 to 1024"));
	CU_ASSERT_EQUAL(number, 42);
	/* Nor does it act on the terminal, or end in half a character. */
	memcpy(value, "\033[31m\n", 6);
	for (size_t i = 6; i + 2 < sizeof(value); i += 2)
		memcpy(value + i, "\xc3\xa4", 2);
	setenv("USCHED_T_BASE", value, 1);
	CU_ASSERT_EQUAL(usched_environment_integer("USCHED_T_BASE", 1, 1024, &number, error),
			-EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "=?[31m?\xc3\xa4"));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "\xc3\xa4... is refused"));
}

static void other_variables_are_checked(void)
{
	static const char *const words[] = { "auto", "madvise", "mprotect", NULL };
	static const char *const bad[] = { "x", "1x", "-1", "0", "9", " 3", "3.0" };
	char error[USCHED_ENVIRONMENT_ERROR_BYTES];
	uint64_t number = 42;
	unsigned int choice = 42;

	setenv("USCHED_T_BASE", "8", 1);
	CU_ASSERT_EQUAL(usched_environment_integer("USCHED_T_BASE", 1, 8, &number, error), 1);
	CU_ASSERT_EQUAL(number, 8);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("USCHED_T_BASE", bad[i], 1);
		CU_ASSERT_EQUAL(usched_environment_integer("USCHED_T_BASE", 1, 8, &number, error),
				-EINVAL);
	}
	CU_ASSERT_EQUAL(number, 8);

	setenv("USCHED_T_BASE", "mprotect", 1);
	CU_ASSERT_EQUAL(usched_environment_choice("USCHED_T_BASE", words, &choice, error), 1);
	CU_ASSERT_EQUAL(choice, 2);
	setenv("USCHED_T_BASE", "mprot", 1);
	CU_ASSERT_EQUAL(usched_environment_choice("USCHED_T_BASE", words, &choice, error), -EINVAL);
	CU_ASSERT_STRING_EQUAL(error, "USCHED_T_BASE=mprot is refused: there is no such choice; "
			       "give auto, madvise or mprotect");
	unsetenv("USCHED_T_BASE");
	CU_ASSERT_EQUAL(usched_environment_choice("USCHED_T_BASE", words, &choice, error), 0);
	CU_ASSERT_EQUAL(choice, 2);
}

static struct usched_spinlock counter_lock = USCHED_SPINLOCK_INIT(USCHED_RANK_LOG);
static uint64_t counter;	/* guarded by counter_lock */

static void *count_up(void *argument)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (i % 3 == 0) {
			while (!usched_spinlock_trylock(&counter_lock))
				sched_yield();
		} else {
			usched_spinlock_lock(&counter_lock);
		}
		counter++;
		usched_spinlock_unlock(&counter_lock);
	}
	return argument;
}

/* Under ThreadSanitizer this is the proof of pair [A] of spinlock.h. */
static void spinlock_excludes(void)
{
	pthread_t threads[THREADS];

	counter = 0;
	for (unsigned int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, count_up, NULL), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(counter, THREADS * ROUNDS);
	CU_ASSERT_FALSE(usched_spinlock_is_held(&counter_lock));
}

/* A holder off its CPU for long: the waiter naps, and gets the lock in the end. */
static void *hold_for_long(void *argument)
{
	_Atomic int *held = argument;

	usched_spinlock_lock(&counter_lock);
	atomic_store(held, 1);
	usleep(5000);
	counter = 7;
	usched_spinlock_unlock(&counter_lock);
	return NULL;
}

static void spinlock_waits_for_a_sleeping_holder(void)
{
	_Atomic int held = 0;
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, hold_for_long, &held), 0);
	while (!atomic_load(&held))
		sched_yield();
	usched_spinlock_lock(&counter_lock);
	CU_ASSERT_EQUAL(counter, 7);
	usched_spinlock_unlock(&counter_lock);
	pthread_join(thread, NULL);
}

/* Public objects are initialised by zeros, and hold a spin lock. */
static void zeros_are_a_free_lock(void)
{
	struct usched_spinlock zeros;

	memset(&zeros, 0, sizeof(zeros));
	CU_ASSERT_FALSE(usched_spinlock_is_held(&zeros));
	usched_spinlock_lock(&zeros);
	CU_ASSERT_TRUE(usched_spinlock_is_held(&zeros));
	CU_ASSERT_FALSE(usched_spinlock_trylock(&zeros));
	usched_spinlock_unlock(&zeros);
	CU_ASSERT_EQUAL(memcmp(&zeros, &(uint32_t){ 0 }, sizeof(zeros)), 0);
}

/* Runs @body in a child; returns its signal, with what it wrote to stderr. */
static int end_of(void (*body)(void), char *text, size_t size)
{
	int fds[2], status = 0;
	size_t length = 0;
	char *emulator;
	ssize_t n;
	pid_t child;

	if (pipe(fds) < 0)
		return -1;
	child = fork();
	if (child == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		signal(SIGABRT, SIG_DFL);
		body();
		_exit(0);
	}
	close(fds[1]);
	while (length < size - 1 && (n = read(fds[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	/* An emulator adds a line of its own about the signal. */
	emulator = strstr(text, "qemu: uncaught");
	if (emulator != NULL)
		*emulator = '\0';
	close(fds[0]);
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void fail_an_assertion(void)
{
	usched_assert(THREADS == ROUNDS);
}

static void fail_for_people(void)
{
	usched_fatal("fiber '", "web", "' is gone");
}

static void fail_at_length(void)
{
	char text[3000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	usched_fatal(text);
}

static void assertions_end_the_process(void)
{
	char text[2048];

	CU_ASSERT_EQUAL(end_of(fail_an_assertion, text, sizeof(text)), SIGABRT);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "t_base.c:"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "THREADS == ROUNDS\n"));
	CU_ASSERT_EQUAL(end_of(fail_for_people, text, sizeof(text)), SIGABRT);
	CU_ASSERT_STRING_EQUAL(text, "usched: fiber 'web' is gone\n");
	CU_ASSERT_EQUAL(end_of(fail_at_length, text, sizeof(text)), SIGABRT);
	CU_ASSERT_EQUAL(strlen(text), 1023);
	CU_ASSERT_EQUAL(text[1022], '\n');
}

#if USCHED_DEBUG

static struct usched_spinlock outer = USCHED_SPINLOCK_INIT(USCHED_RANK_FIBER);
static struct usched_spinlock twins[2] = {
	USCHED_SPINLOCK_INIT(USCHED_RANK_TIMER), USCHED_SPINLOCK_INIT(USCHED_RANK_TIMER),
};

static void lock_against_the_order(void)
{
	usched_spinlock_lock(&twins[0]);
	usched_spinlock_lock(&outer);
}

static void lock_twice(void)
{
	usched_spinlock_lock(&outer);
	usched_spinlock_lock(&outer);
}

static void lock_twins_downwards(void)
{
	usched_spinlock_lock(&twins[1]);
	usched_spinlock_lock(&twins[0]);
}

static void lock_in_order(void)
{
	usched_spinlock_lock(&outer);
	usched_spinlock_lock(&twins[0]);
	usched_spinlock_lock(&twins[1]);
	usched_spinlock_unlock(&outer);
	usched_spinlock_unlock(&twins[1]);
	usched_spinlock_lock(&twins[1]);
	usched_spinlock_unlock(&twins[0]);
	usched_spinlock_unlock(&twins[1]);
	lock_against_the_order();
}

static void ranks_are_checked(void)
{
	char text[1024];

	CU_ASSERT_EQUAL(end_of(lock_against_the_order, text, sizeof(text)), SIGABRT);
	CU_ASSERT_STRING_EQUAL(text, "usched: locks are taken out of order: FIBER while TIMER is "
			       "held\n");
	CU_ASSERT_EQUAL(end_of(lock_twice, text, sizeof(text)), SIGABRT);
	CU_ASSERT_EQUAL(end_of(lock_twins_downwards, text, sizeof(text)), SIGABRT);
	/* Only its last step is wrong. */
	CU_ASSERT_EQUAL(end_of(lock_in_order, text, sizeof(text)), SIGABRT);
	CU_ASSERT_STRING_EQUAL(text, "usched: locks are taken out of order: FIBER while TIMER is "
			       "held\n");
}

#endif

static void *wake_later(void *argument)
{
	_Atomic uint32_t *word = argument;

	atomic_store_explicit(word, 1, memory_order_release);
	usched_futex_wake(word, USCHED_FUTEX_ALL, true);
	return NULL;
}

static void futex_waits_and_wakes(void)
{
	_Atomic uint32_t word = 0;
	pthread_t thread;
	uint64_t before_ns = usched_clock_now_ns();

	CU_ASSERT_EQUAL(usched_futex_wait(&word, 1, UINT64_MAX, true), -EAGAIN);
	CU_ASSERT_EQUAL(usched_futex_wait(&word, 0, 0, true), -ETIMEDOUT);
	CU_ASSERT_EQUAL(usched_futex_wait(&word, 0, before_ns + 2000000, false), -ETIMEDOUT);
	CU_ASSERT_TRUE(usched_clock_now_ns() >= before_ns + 2000000);
	CU_ASSERT_EQUAL(usched_futex_wake(&word, 1, true), 0);

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wake_later, &word), 0);
	while (atomic_load_explicit(&word, memory_order_acquire) == 0) {
		int r = usched_futex_wait(&word, 0, UINT64_MAX, true);

		CU_ASSERT(r == 0 || r == -EAGAIN || r == -EINTR);
	}
	pthread_join(thread, NULL);
}

static void random_numbers_repeat_by_seed(void)
{
	struct usched_random a, b, c;
	unsigned int same = 0, small[10] = { 0 };

	usched_random_seed(&a, 1);
	usched_random_seed(&b, 1);
	usched_random_seed(&c, 2);
	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t value = usched_random_next(&a);

		CU_ASSERT_EQUAL(value, usched_random_next(&b));
		same += value == usched_random_next(&c);
	}
	CU_ASSERT_EQUAL(same, 0);
	for (unsigned int i = 0; i < 10000; i++) {
		uint64_t value = usched_random_below(&a, 10);

		CU_ASSERT_FATAL(value < 10);
		small[value]++;
	}
	/* A fixed seed: these are facts, not chances. */
	for (unsigned int i = 0; i < 10; i++)
		CU_ASSERT(small[i] > 900 && small[i] < 1100);
	CU_ASSERT_EQUAL(usched_random_below(&a, 1), 0);
	CU_ASSERT_NOT_EQUAL(usched_random_entropy(), usched_random_entropy());
}

struct item {
	int value;
	struct usched_list link;
};

static void lists_keep_their_order(void)
{
	struct item items[4];
	struct usched_list head, *link;
	int expected = 0;

	usched_list_init(&head);
	CU_ASSERT_TRUE(usched_list_empty(&head));
	CU_ASSERT_PTR_NULL(usched_list_pop_front(&head));
	for (int i = 0; i < 4; i++) {
		items[i].value = i;
		usched_list_init(&items[i].link);
	}
	usched_list_push_back(&head, &items[1].link);
	usched_list_push_back(&head, &items[2].link);
	usched_list_push_front(&head, &items[0].link);
	usched_list_push_back(&head, &items[3].link);
	usched_list_for_each(link, &head)
		CU_ASSERT_EQUAL(usched_container_of(link, struct item, link)->value, expected++);
	CU_ASSERT_EQUAL(expected, 4);

	usched_list_remove(&items[2].link);
	usched_list_remove(&items[2].link);	/* I1: harmless */
	CU_ASSERT_PTR_EQUAL(usched_list_pop_front(&head), &items[0].link);
	CU_ASSERT_PTR_EQUAL(usched_list_pop_front(&head), &items[1].link);
	CU_ASSERT_PTR_EQUAL(usched_list_pop_front(&head), &items[3].link);
	CU_ASSERT_TRUE(usched_list_empty(&head));
	CU_ASSERT_TRUE(usched_list_empty(&items[3].link));
}

static void cycles_convert_without_overflow(void)
{
	/* 3 GHz: a third of a nanosecond a cycle. */
	struct usched_cycles_rate rate = {
		.ns_per_cycle_q32 = (UINT64_C(1) << 32) / 3,
		.cycles_per_ns_q32 = UINT64_C(3) << 32,
	};
	uint64_t year_ns = UINT64_C(365) * 86400 * 1000000000;

	CU_ASSERT_EQUAL(usched_cycles_from_ns(&rate, 1000), 3000);
	CU_ASSERT_EQUAL(usched_cycles_from_ns(&rate, year_ns), 3 * year_ns);
	CU_ASSERT(usched_cycles_to_ns(&rate, 3000) >= 999 && usched_cycles_to_ns(&rate, 3000) <= 1000);
	CU_ASSERT(year_ns - usched_cycles_to_ns(&rate, 3 * year_ns) < year_ns / 1000000000);
}

static const struct usched_test tests[] = {
	{ "numbers_become_text", numbers_become_text },
	{ "long_text_is_cut", long_text_is_cut },
	{ "durations_are_read", durations_are_read },
	{ "durations_are_written", durations_are_written },
	{ "duration_variables_are_checked", duration_variables_are_checked },
	{ "long_values_leave_room_for_advice", long_values_leave_room_for_advice },
	{ "other_variables_are_checked", other_variables_are_checked },
	{ "spinlock_excludes", spinlock_excludes },
	{ "spinlock_waits_for_a_sleeping_holder", spinlock_waits_for_a_sleeping_holder },
	{ "zeros_are_a_free_lock", zeros_are_a_free_lock },
	{ "assertions_end_the_process", assertions_end_the_process },
#if USCHED_DEBUG
	{ "ranks_are_checked", ranks_are_checked },
#endif
	{ "futex_waits_and_wakes", futex_waits_and_wakes },
	{ "random_numbers_repeat_by_seed", random_numbers_repeat_by_seed },
	{ "lists_keep_their_order", lists_keep_their_order },
	{ "cycles_convert_without_overflow", cycles_convert_without_overflow },
};

int main(void)
{
	return usched_test_main("base", tests, sizeof(tests) / sizeof(tests[0]));
}
