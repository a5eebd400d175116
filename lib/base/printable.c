/* SPDX-License-Identifier: MIT */
/*
 * Printable text; see the header.
 */
#include <stdint.h>
#include <string.h>

#include "base/printable.h"

/* Bytes of the UTF-8 sequence at text, 0 when it is none or a control character. */
static size_t character(const unsigned char *text, size_t bytes)
{
	uint32_t code;
	size_t length, i;

	if (text[0] < 0x80)
		return text[0] >= 0x20 && text[0] != 0x7f;
	if (text[0] >= 0xc2 && text[0] < 0xe0)
		length = 2;
	else if (text[0] >= 0xe0 && text[0] < 0xf0)
		length = 3;
	else if (text[0] >= 0xf0 && text[0] < 0xf5)
		length = 4;
	else
		return 0;
	if (length > bytes)
		return 0;
	code = text[0] & (0x7fu >> length);
	for (i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3fu);
	}
	if (code < 0xa0)					/* C1 controls */
		return 0;
	if ((length == 3 && code < 0x800) || (length == 4 && code < 0x10000))
		return 0;					/* longer than needed */
	if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	if ((code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	    (code >= 0x2060 && code <= 0x206f) || code == 0xfeff)
		return 0;					/* invisible, or turns the line around */
	return length;
}

void usched_printable(char *to, size_t to_bytes, const char *from, size_t from_bytes)
{
	size_t end = strnlen(from, from_bytes);
	size_t read = 0, written = 0;

	while (read < end) {
		size_t length = character((const unsigned char *)from + read, end - read);

		if (written + (length ? length : 1) >= to_bytes)
			break;
		if (length) {
			memcpy(to + written, from + read, length);
			written += length;
			read += length;
		} else {
			to[written++] = '?';
			read++;
		}
	}
	to[written] = '\0';
}
