/* SPDX-License-Identifier: MIT */
/*
 * qsort with comparators that yield, regular expressions, numbers to text and back.
 */
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "groups.h"

enum { VALUES = 300 };

/* libc's code is below it: that stands a switch by call, and no tick moves it to another thread. */
static int compare_and_yield(const void *first, const void *second)
{
	uint64_t a = *(const uint64_t *)first, b = *(const uint64_t *)second;

	if ((a ^ b) % 61 == 0)
		usched_yield();
	return a < b ? -1 : a > b;
}

static void use_qsort(struct storm_fiber *fiber)
{
	uint64_t values[VALUES], sum = 0, after = 0;
	unsigned int count = 2 + (unsigned int)storm_random(fiber, VALUES - 2);

	for (unsigned int i = 0; i < count; i++)
		sum += values[i] = storm_next(&fiber->random);
	qsort(values, count, sizeof(values[0]), compare_and_yield);
	for (unsigned int i = 0; i < count; i++) {
		after += values[i];
		STORM_CHECK(fiber, i == 0 || values[i - 1] <= values[i],
			    "expected %u values in order, got %llx before %llx", count,
			    (unsigned long long)values[i - 1], (unsigned long long)values[i]);
	}
	STORM_CHECK(fiber, sum == after, "expected the sum %llx of %u values, got %llx",
		    (unsigned long long)sum, count, (unsigned long long)after);
}

const struct storm_group storm_qsort = {
	.name = "qsort", .fibers = 16, .enough = 16, .operation = use_qsort,
};

/* ---- regular expressions ---- */

static void use_regex(struct storm_fiber *fiber)
{
	unsigned int number = (unsigned int)storm_random(fiber, 1000000);
	char text[128], wanted[16];
	regmatch_t match[3];
	regex_t expression;
	int error = regcomp(&expression, "(fiber|worker)s? *= *([0-9]+)[;,]", REG_EXTENDED);

	STORM_CHECK(fiber, error == 0, "expected regcomp to give 0, got %d", error);
	if (error)
		return;
	snprintf(text, sizeof(text), "carriers = x; fiber=; workers  =%u, fibers = 1;", number);
	snprintf(wanted, sizeof(wanted), "%u", number);
	error = regexec(&expression, text, 3, match, 0);
	STORM_CHECK(fiber, error == 0 && !strncmp(text + match[1].rm_so, "worker", 6) &&
			   (size_t)(match[2].rm_eo - match[2].rm_so) == strlen(wanted) &&
			   !strncmp(text + match[2].rm_so, wanted, strlen(wanted)),
		    "expected %s in \"%s\", got result %d from %d to %d", wanted, text, error,
		    (int)match[2].rm_so, (int)match[2].rm_eo);
	snprintf(text, sizeof(text), "fibers = %uk", number);
	error = regexec(&expression, text, 3, match, 0);
	STORM_CHECK(fiber, error == REG_NOMATCH, "expected no match in \"%s\", got %d", text, error);
	regfree(&expression);
}

const struct storm_group storm_regex = {
	.name = "regex", .fibers = 16, .enough = 16, .operation = use_regex,
};

/* ---- numbers ---- */

static void use_numbers(struct storm_fiber *fiber)
{
	for (unsigned int i = 0; i < 20; i++) {
		uint64_t bits = storm_next(&fiber->random), back_bits;
		double value, back;
		char text[400];

		memcpy(&value, &bits, sizeof(value));
		if (!isfinite(value))
			continue;
		snprintf(text, sizeof(text), i % 2 ? "%.17g" : "%a", value);
		back = strtod(text, NULL);
		memcpy(&back_bits, &back, sizeof(back));
		STORM_CHECK(fiber, bits == back_bits, "expected %s to be %llx, got %llx", text,
			    (unsigned long long)bits, (unsigned long long)back_bits);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)bits);
		back_bits = strtoull(text, NULL, 10);
		STORM_CHECK(fiber, bits == back_bits, "expected %s to be %llx, got %llx", text,
			    (unsigned long long)bits, (unsigned long long)back_bits);
	}
}

const struct storm_group storm_numbers = {
	.name = "numbers", .fibers = 16, .enough = 16, .operation = use_numbers,
};
