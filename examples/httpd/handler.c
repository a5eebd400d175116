/* SPDX-License-Identifier: MIT */
/*
 * Routes, and the query of /gzip. Names are percent-decoded before they are judged, so that "%2e%2e"
 * is "..": beneath_open() sees what the file system would see.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "beneath.h"
#include "gzip.h"
#include "handler.h"

enum { NAME_BYTES_MAX = 1024 };

struct query {
	char file[NAME_BYTES_MAX];
	int level;
	bool have_file;
	bool have_level;
};

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes into a string of at most @room - 1 bytes; false when it is malformed or too long. */
static bool decode(char *out, size_t room, const char *text, size_t bytes)
{
	size_t length = 0;

	for (size_t i = 0; i < bytes; i++) {
		char c = text[i];

		if (c == '%') {
			int high = i + 2 < bytes ? hex_of(text[i + 1]) : -1;
			int low = i + 2 < bytes ? hex_of(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == '\0' || length + 1 >= room)
			return false;
		out[length++] = c;
	}
	out[length] = '\0';
	return true;
}

/* Takes one "key=value"; NULL, or what is wrong with it. */
static const char *take_pair(struct query *query, const char *pair, size_t bytes)
{
	static const char unknown[] = "the query is not file=NAME&level=1..9";
	const char *equals = memchr(pair, '=', bytes);
	char value[NAME_BYTES_MAX];
	size_t key_bytes;

	if (equals == NULL)
		return unknown;
	key_bytes = (size_t)(equals - pair);
	if (!decode(value, sizeof(value), equals + 1, bytes - key_bytes - 1))
		return "a value is longer than 1023 bytes or badly percent-encoded";
	if (key_bytes == 4 && memcmp(pair, "file", 4) == 0 && !query->have_file) {
		memcpy(query->file, value, sizeof(value));
		query->have_file = true;
		return NULL;
	}
	if (key_bytes == 5 && memcmp(pair, "level", 5) == 0 && !query->have_level) {
		if (value[0] < '1' || value[0] > '9' || value[1] != '\0')
			return "level is not a number from 1 to 9";
		query->level = value[0] - '0';
		query->have_level = true;
		return NULL;
	}
	return unknown;
}

static const char *parse_query(struct query *query, const char *text, size_t bytes)
{
	size_t start = 0;

	query->level = 6;
	query->have_file = false;
	query->have_level = false;
	for (size_t i = 0; i <= bytes; i++) {
		const char *problem;

		if (i < bytes && text[i] != '&')
			continue;
		problem = take_pair(query, text + start, i - start);
		if (problem != NULL)
			return problem;
		start = i + 1;
	}
	return query->have_file && query->file[0] != '\0' ? NULL :
							    "name a file: /gzip?file=NAME&level=9";
}

static void refuse_file(struct response *response, int error)
{
	switch (error) {
	case -EXDEV:
	case -ELOOP:
		response_text(response, 403, "this file is outside the document root");
		break;
	case -EACCES:
	case -EPERM:
		response_text(response, 403, "the server may not read this file");
		break;
	case -EISDIR:
	case -ENXIO:
		response_text(response, 403, "this is not a regular file");
		break;
	case -EFBIG:
		response_text(response, 403, "this file is larger than 64 MiB");
		break;
	case -ENOENT:
	case -ENOTDIR:
	case -ENAMETOOLONG:
		response_text(response, 404, "the document root has no such file");
		break;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		response_text(response, 503, "the server is out of memory or descriptors; try again");
		break;
	default:
		response_text(response, 500, "the file could not be read");
	}
}

static void respond_gzip(struct response *response, int root, const char *text, size_t bytes)
{
	struct query query;
	const char *problem = parse_query(&query, text, bytes);
	size_t output_bytes = 0;
	void *output = NULL;
	int file = -1;
	int r;

	if (problem != NULL) {
		response_text(response, 400, problem);
		return;
	}
	r = beneath_open(root, query.file, &file);
	if (r == 0) {
		r = gzip_file(file, query.level, &output, &output_bytes);
		close(file);
	}
	if (r == 0)
		response_own(response, "application/gzip", output, output_bytes);
	else
		refuse_file(response, r);
}

void handler_respond(struct response *response, int root, enum request_method method,
		     const char *target, size_t target_bytes)
{
	const char *question = memchr(target, '?', target_bytes);
	size_t path_bytes = question != NULL ? (size_t)(question - target) : target_bytes;
	char path[64];

	if (method == REQUEST_UNKNOWN) {
		response_text(response, 501, "this is no method of HTTP; use GET or HEAD");
		return;
	}
	if (method == REQUEST_NOT_ALLOWED) {
		response_text(response, 405, "use GET or HEAD");
		response->allow = "GET, HEAD";
		return;
	}
	if (!decode(path, sizeof(path), target, path_bytes)) {
		/* Too long for any path here, or malformed. */
		if (path_bytes >= sizeof(path))
			response_text(response, 404, "there are / and /gzip?file=NAME&level=9");
		else
			response_text(response, 400, "the path is badly percent-encoded");
		return;
	}
	if (strcmp(path, "/") == 0 || path[0] == '\0')
		response_text(response, 200, HANDLER_GREETING);
	else if (strcmp(path, "/gzip") == 0)
		respond_gzip(response, root, question != NULL ? question + 1 : target + path_bytes,
			     question != NULL ? target_bytes - path_bytes - 1 : 0);
	else
		response_text(response, 404, "there are / and /gzip?file=NAME&level=9");
}
