/* SPDX-License-Identifier: MIT */
/*
 * Durations as text; see the header.
 */
#include <errno.h>
#include <stdbool.h>

#include "base/duration.h"
#include "base/format.h"

/* Smallest first: parsing compares names, formatting looks from the end. */
static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
};

enum { UNITS = sizeof(units) / sizeof(units[0]) };

static bool same(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

int usched_duration_parse(const char *text, uint64_t *ns, const char **why)
{
	const char *ignored;
	uint64_t value = 0;
	const char *p = text;

	if (why == NULL)
		why = &ignored;
	if (same(text, "off")) {
		*ns = 0;
		return 0;
	}
	if (*p < '0' || *p > '9') {
		*why = "it does not begin with a digit";
		return -EINVAL;
	}
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			goto too_long;
	}
	if (*p == '\0') {
		*why = "it has no unit (ns, us, ms or s)";
		return -EINVAL;
	}
	for (unsigned int i = 0; i < UNITS; i++) {
		if (!same(p, units[i].name))
			continue;
		if (__builtin_mul_overflow(value, units[i].ns, &value) || value == UINT64_MAX)
			goto too_long;
		*ns = value;
		return 0;
	}
	*why = "its unit is none of ns, us, ms and s";
	return -EINVAL;

too_long:
	*why = "it is longer than 584 years";
	return -ERANGE;
}

char *usched_duration_format(uint64_t ns, char *buffer, size_t size)
{
	struct usched_format text;
	unsigned int i = UNITS - 1;

	usched_format_init(&text, buffer, size);
	if (ns == 0) {
		usched_format_string(&text, "off");
		return buffer;
	}
	while (ns % units[i].ns != 0)
		i--;
	usched_format_decimal(&text, ns / units[i].ns);
	usched_format_string(&text, units[i].name);
	return buffer;
}

char *usched_duration_refusal(char *buffer, size_t size, const char *what, uint64_t ns,
			      uint64_t min_ns, uint64_t max_ns)
{
	char number[USCHED_DURATION_TEXT_BYTES];
	struct usched_format text;

	usched_format_init(&text, buffer, size);
	usched_format_string(&text, "a ");
	usched_format_string(&text, what);
	usched_format_string(&text, " of ");
	usched_format_string(&text, usched_duration_format(ns, number, sizeof(number)));
	usched_format_string(&text, " is out of range; give off, or from ");
	usched_format_string(&text, usched_duration_format(min_ns, number, sizeof(number)));
	usched_format_string(&text, " to ");
	usched_format_string(&text, usched_duration_format(max_ns, number, sizeof(number)));
	return buffer;
}
