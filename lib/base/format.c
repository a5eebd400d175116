/* SPDX-License-Identifier: MIT */
/*
 * Text without libc; see the header.
 */
#include <errno.h>
#include <unistd.h>

#include "base/format.h"

static void append(struct usched_format *format, const char *bytes, size_t count)
{
	size_t room = format->size - 1 - format->length;

	if (count > room) {
		format->cut = true;
		count = room;
	}
	for (size_t i = 0; i < count; i++)
		format->buffer[format->length + i] = bytes[i];
	format->length += count;
	format->buffer[format->length] = '\0';
}

void usched_format_init(struct usched_format *format, char *buffer, size_t size)
{
	format->buffer = buffer;
	format->size = size;
	format->length = 0;
	format->cut = false;
	buffer[0] = '\0';
}

void usched_format_string(struct usched_format *format, const char *string)
{
	size_t count = 0;

	if (string == NULL)
		return;
	while (string[count] != '\0')
		count++;
	append(format, string, count);
}

/* Digits come out last first, so they are laid from the end of a small buffer. */
static void append_digits(struct usched_format *format, uint64_t value, unsigned int base)
{
	char digits[20];	/* 2^64 has 20 decimal digits */
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	append(format, digits + at, sizeof(digits) - at);
}

void usched_format_decimal(struct usched_format *format, uint64_t value)
{
	append_digits(format, value, 10);
}

void usched_format_signed(struct usched_format *format, int64_t value)
{
	if (value < 0) {
		append(format, "-", 1);
		/* Negated as unsigned: the smallest number has no positive twin. */
		append_digits(format, 0 - (uint64_t)value, 10);
	} else {
		append_digits(format, (uint64_t)value, 10);
	}
}

void usched_format_hex(struct usched_format *format, uint64_t value)
{
	append(format, "0x", 2);
	append_digits(format, value, 16);
}

void usched_format_write(const struct usched_format *format, int descriptor)
{
	size_t done = 0;

	while (done < format->length) {
		ssize_t n = write(descriptor, format->buffer + done, format->length - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			return;
	}
}
