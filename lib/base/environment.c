/* SPDX-License-Identifier: MIT */
/*
 * The USCHED_* variables; see the header.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/environment.h"
#include "base/format.h"
#include "base/printable.h"

/* The value of a variable, or NULL when it says nothing. */
static const char *value_of(const char *name)
{
	const char *value = secure_getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

/* "NAME=VALUE is refused: WHY; give "; the caller appends what is allowed. */
static void begin_error(struct usched_format *text, char *error, const char *name,
			const char *value, const char *why)
{
	char shown[48];

	/* A long value must not push out what is allowed. */
	usched_printable(shown, sizeof(shown) - 3, value, strlen(value));
	if (strlen(value) > sizeof(shown) - 4)
		memcpy(shown + strlen(shown), "...", 4);

	usched_format_init(text, error, USCHED_ENVIRONMENT_ERROR_BYTES);
	usched_format_string(text, name);
	usched_format_string(text, "=");
	usched_format_string(text, shown);
	usched_format_string(text, " is refused: ");
	usched_format_string(text, why);
	usched_format_string(text, "; give ");
}

int usched_environment_duration(const char *name, bool may_be_off, uint64_t min_ns,
				uint64_t max_ns, uint64_t *value_ns, char *error)
{
	const char *value = value_of(name);
	const char *why = NULL;
	char bound[USCHED_DURATION_TEXT_BYTES];
	struct usched_format text;
	uint64_t ns = 0;

	if (value == NULL)
		return 0;
	if (usched_duration_parse(value, &ns, &why) == 0) {
		if (ns == 0 && may_be_off)
			goto good;
		if (ns == 0)
			why = "it must not be off";
		else if (ns < min_ns)
			why = "it is too short";
		else if (ns > max_ns)
			why = "it is too long";
		else
			goto good;
	}

	begin_error(&text, error, name, value, why);
	if (may_be_off)
		usched_format_string(&text, "off, or ");
	usched_format_string(&text, "from ");
	usched_format_string(&text, usched_duration_format(min_ns, bound, sizeof(bound)));
	usched_format_string(&text, " to ");
	usched_format_string(&text, usched_duration_format(max_ns, bound, sizeof(bound)));
	return -EINVAL;

good:
	*value_ns = ns;
	return 1;
}

int usched_environment_integer(const char *name, uint64_t min, uint64_t max, uint64_t *value,
			       char *error)
{
	const char *string = value_of(name);
	const char *why = NULL;
	struct usched_format text;
	uint64_t number = 0;

	if (string == NULL)
		return 0;
	for (const char *p = string; *p != '\0' && why == NULL; p++) {
		if (*p < '0' || *p > '9')
			why = "it is not a whole number";
		else if (__builtin_mul_overflow(number, 10, &number) ||
			 __builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
			why = "it is too large";
	}
	if (why == NULL && number < min)
		why = "it is too small";
	if (why == NULL && number > max)
		why = "it is too large";
	if (why == NULL) {
		*value = number;
		return 1;
	}

	begin_error(&text, error, name, string, why);
	usched_format_string(&text, "from ");
	usched_format_decimal(&text, min);
	usched_format_string(&text, " to ");
	usched_format_decimal(&text, max);
	return -EINVAL;
}

int usched_environment_choice(const char *name, const char *const *words, unsigned int *index,
			      char *error)
{
	const char *value = value_of(name);
	struct usched_format text;

	if (value == NULL)
		return 0;
	for (unsigned int i = 0; words[i] != NULL; i++) {
		if (strcmp(value, words[i]) == 0) {
			*index = i;
			return 1;
		}
	}

	begin_error(&text, error, name, value, "there is no such choice");
	for (unsigned int i = 0; words[i] != NULL; i++) {
		if (i > 0)
			usched_format_string(&text, words[i + 1] != NULL ? ", " : " or ");
		usched_format_string(&text, words[i]);
	}
	return -EINVAL;
}
