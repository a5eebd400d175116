/* SPDX-License-Identifier: MIT */
/*
 * Sessions, failures, and text and structs on their way to the caller.
 */

#include "client/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/printable.h"

#define DEFAULT_DIRECTORY "/run/usched"
#define DEFAULT_TIMEOUT_NS UINT64_C(1000000000)

uint64_t usched_client_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int usched_client_open(struct usched_client **client, const struct usched_client_options *options)
{
	struct usched_client_options asked = USCHED_CLIENT_OPTIONS_INIT;
	struct usched_client *made;

	if (options) {
		if (options->size < sizeof(options->size))
			return -EINVAL;
		memcpy(&asked, options, options->size < sizeof(asked) ? options->size : sizeof(asked));
	}
	if (!asked.socket_directory)
		asked.socket_directory = getenv("USCHED_SOCKET");
	if (!asked.socket_directory || !asked.socket_directory[0])
		asked.socket_directory = DEFAULT_DIRECTORY;

	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	if (strlen(asked.socket_directory) > USCHED_DIRECTORY_MAX) {
		free(made);
		return -EINVAL;
	}
	strcpy(made->directory, asked.socket_directory);
	made->timeout_ns = asked.timeout_ns ? asked.timeout_ns : DEFAULT_TIMEOUT_NS;
	made->failure.size = sizeof(made->failure);
	made->failure.what = made->what;
	made->failure.why = made->why;
	made->failure.hint = made->hint;
	*client = made;
	return 0;
}

void usched_client_close(struct usched_client *client)
{
	free(client);
}

const struct usched_client_failure *usched_client_failure(const struct usched_client *client)
{
	return &client->failure;
}

const char *usched_client_directory(const struct usched_client *client)
{
	return client->directory;
}

/* Formats into a scratch buffer first: an argument may be the text that is replaced. */
static void say(char *to, const char *format, va_list arguments)
{
	char text[USCHED_CLIENT_TEXT_BYTES];

	vsnprintf(text, sizeof(text), format, arguments);
	usched_client_text(to, USCHED_CLIENT_TEXT_BYTES, text, sizeof(text));
}

/* What to do when there is nothing better to say. */
static const char *hint_of(int error)
{
	switch (error) {
	case -ENOMEM:
		return "free memory, or raise the limit of this process (ulimit -v)";
	case -EMFILE:
		return "close files, or raise the limit of this process (ulimit -n)";
	case -EBUSY:
		return "try again";
	case -ESRCH:
		return "schedctl list shows the runtimes that live";
	case -EACCES:
		return "try as the user to whom it belongs, or as root";
	case -EINVAL:
		return "its version of usched may differ: use the tools that belong to it";
	default:
		return "try again; if it stays so, look at the messages of the other side";
	}
}

int usched_client_fail(struct usched_client *client, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(client->what, format, arguments);
	va_end(arguments);
	client->why[0] = '\0';
	usched_client_hint(client, "%s", hint_of(error));
	client->failure.error = error;
	return error;
}

void usched_client_why(struct usched_client *client, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(client->why, format, arguments);
	va_end(arguments);
}

void usched_client_hint(struct usched_client *client, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(client->hint, format, arguments);
	va_end(arguments);
}

void usched_client_refusal(struct usched_client *client, const char *who, const char *text)
{
	const char *cut = strstr(text, "; ");

	usched_client_why(client, "%s%.*s", who, (int)(cut ? cut - text : (ptrdiff_t)strlen(text)), text);
	if (cut)
		usched_client_hint(client, "%s", cut + 2);
}

int usched_client_no_memory(struct usched_client *client, const char *what)
{
	usched_client_fail(client, -ENOMEM, "%s", what);
	usched_client_why(client, "there is no memory left");
	return -ENOMEM;
}

void usched_client_text(char *to, size_t to_bytes, const char *from, size_t from_bytes)
{
	if (to_bytes > 0)
		usched_printable(to, to_bytes, from, from_bytes);
}

int usched_client_give(void *to, const void *from, size_t from_bytes)
{
	size_t size;

	memcpy(&size, to, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	if (size > from_bytes)
		memset((char *)to + from_bytes, 0, size - from_bytes);
	memcpy(to, from, size < from_bytes ? size : from_bytes);
	memcpy(to, &size, sizeof(size));
	return 0;
}
