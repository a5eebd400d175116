/* SPDX-License-Identifier: MIT */
/*
 * The last words of a process; see the header.
 */
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/format.h"

/* One write, so that lines of threads that fail together do not mix. */
_Noreturn static void end(struct usched_format *text)
{
	if (text->length == text->size - 1)
		text->length--;		/* room for the line end */
	usched_format_string(text, "\n");
	usched_format_write(text, STDERR_FILENO);
	abort();
}

_Noreturn void usched_assert_failed(const char *condition, const char *file, unsigned int line)
{
	char buffer[1024];
	struct usched_format text;

	usched_format_init(&text, buffer, sizeof(buffer));
	usched_format_string(&text, "usched: ");
	usched_format_string(&text, file);
	usched_format_string(&text, ":");
	usched_format_decimal(&text, line);
	usched_format_string(&text, ": this must be true, and is not: ");
	usched_format_string(&text, condition);
	end(&text);
}

_Noreturn void usched_fatal_parts(const char *const *parts)
{
	char buffer[1024];
	struct usched_format text;

	usched_format_init(&text, buffer, sizeof(buffer));
	usched_format_string(&text, "usched: ");
	for (; *parts != NULL; parts++)
		usched_format_string(&text, *parts);
	end(&text);
}
