/* SPDX-License-Identifier: MIT */
/*
 * One function per grammar rule; each returns 0 or the status to refuse with.
 */
#include <string.h>
#include <strings.h>

#include "request.h"

static int refuse(struct request *request, int status, const char *problem)
{
	request->problem = problem;
	return status;
}

/* RFC 9110, "token": names of methods and headers. */
static bool is_token(const char *text, size_t bytes)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	if (bytes == 0)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		char c = text[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			     (c >= 'A' && c <= 'Z');

		if (!alnum && (c == '\0' || strchr(marks, c) == NULL))
			return false;
	}
	return true;
}

static bool is_word(const char *text, size_t bytes, const char *word)
{
	return bytes == strlen(word) && strncasecmp(text, word, bytes) == 0;
}

/* Is @word a member of a comma-separated list? */
static bool has_member(const char *list, size_t bytes, const char *word)
{
	size_t start = 0;

	for (size_t i = 0; i <= bytes; i++) {
		size_t end = i;

		if (i < bytes && list[i] != ',')
			continue;
		while (start < end && (list[start] == ' ' || list[start] == '\t'))
			start++;
		while (end > start && (list[end - 1] == ' ' || list[end - 1] == '\t'))
			end--;
		if (is_word(list + start, end - start, word))
			return true;
		start = i + 1;
	}
	return false;
}

static enum request_method method_of(const char *text, size_t bytes)
{
	static const char *const others[] = {
		"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
	};

	/* Methods, unlike header names, are case-sensitive. */
	if (bytes == 3 && memcmp(text, "GET", 3) == 0)
		return REQUEST_GET;
	if (bytes == 4 && memcmp(text, "HEAD", 4) == 0)
		return REQUEST_HEAD;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (bytes == strlen(others[i]) && memcmp(text, others[i], bytes) == 0)
			return REQUEST_NOT_ALLOWED;
	return REQUEST_UNKNOWN;
}

/* Finds path and query in "/path?query" or "http://host/path?query". */
static int parse_target(struct request *request, const char *buffer, size_t offset, size_t bytes)
{
	static const char scheme[] = "http://";
	const char *text = buffer + offset;

	for (size_t i = 0; i < bytes; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '#')
			return refuse(request, 400,
				      "the target has a character that must be percent-encoded");
	if (bytes > strlen(scheme) && strncasecmp(text, scheme, strlen(scheme)) == 0) {
		size_t host = strlen(scheme);

		while (host < bytes && text[host] != '/' && text[host] != '?')
			host++;
		offset += host;
		bytes -= host;
	} else if (bytes == 0 || text[0] != '/') {
		/* "*" and "host:port" belong to methods that are refused later. */
		if (request->method == REQUEST_GET || request->method == REQUEST_HEAD)
			return refuse(request, 400, "the target is neither a path nor an http URL");
	}
	request->target_offset = offset;
	request->target_bytes = bytes;
	return 0;
}

static int parse_version(struct request *request, const char *text, size_t bytes)
{
	if (bytes != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.' || text[5] < '0' ||
	    text[5] > '9' || text[7] < '0' || text[7] > '9')
		return refuse(request, 400, "the request line does not end in HTTP/1.1");
	if (text[5] != '1')
		return refuse(request, 505, "this server speaks HTTP/1.1 and HTTP/1.0");
	request->minor = (unsigned int)(text[7] - '0');
	return 0;
}

static int parse_line(struct request *request, const char *buffer, size_t offset, size_t bytes)
{
	const char *line = buffer + offset;
	const char *first = memchr(line, ' ', bytes);
	const char *second;
	size_t method_bytes, target_bytes;
	int status;

	if (first == NULL)
		return refuse(request, 400, "the request line is not 'METHOD TARGET HTTP/1.1'");
	method_bytes = (size_t)(first - line);
	second = memchr(first + 1, ' ', bytes - method_bytes - 1);
	if (second == NULL || !is_token(line, method_bytes))
		return refuse(request, 400, "the request line is not 'METHOD TARGET HTTP/1.1'");
	target_bytes = (size_t)(second - first) - 1;

	request->method = method_of(line, method_bytes);
	status = parse_version(request, second + 1, bytes - method_bytes - target_bytes - 2);
	if (status == 0)
		status = parse_target(request, buffer, offset + method_bytes + 1, target_bytes);
	return status;
}

static int parse_length(struct request *request, const char *text, size_t bytes)
{
	uint64_t value = 0;

	if (request->have_length)
		return refuse(request, 400, "more than one Content-Length");
	if (bytes == 0)
		return refuse(request, 400, "Content-Length is not a number");
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9')
			return refuse(request, 400, "Content-Length is not a number");
		/* Stops growing past the limit, so it cannot overflow. */
		if (value <= REQUEST_BODY_BYTES_MAX)
			value = value * 10 + (uint64_t)(text[i] - '0');
	}
	if (value > REQUEST_BODY_BYTES_MAX)
		return refuse(request, 413, "the body is larger than 1 MiB");
	request->have_length = true;
	request->body_bytes = value;
	return 0;
}

static int parse_header(struct request *request, const char *line, size_t bytes)
{
	const char *colon = memchr(line, ':', bytes);
	const char *value;
	size_t name_bytes, value_bytes;

	if (++request->headers > REQUEST_HEADERS_MAX)
		return refuse(request, 431, "more than 64 headers");
	if (colon == NULL || !is_token(line, (size_t)(colon - line)))
		return refuse(request, 400, "a header is not 'Name: value'");
	name_bytes = (size_t)(colon - line);
	value = colon + 1;
	value_bytes = bytes - name_bytes - 1;
	while (value_bytes > 0 && (value[0] == ' ' || value[0] == '\t')) {
		value++;
		value_bytes--;
	}
	while (value_bytes > 0 && (value[value_bytes - 1] == ' ' || value[value_bytes - 1] == '\t'))
		value_bytes--;
	for (size_t i = 0; i < value_bytes; i++)
		if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 127)
			return refuse(request, 400, "a header's value has a control character");

	if (is_word(line, name_bytes, "Host")) {
		request->hosts++;
	} else if (is_word(line, name_bytes, "Content-Length")) {
		return parse_length(request, value, value_bytes);
	} else if (is_word(line, name_bytes, "Transfer-Encoding")) {
		request->have_coding = true;
	} else if (is_word(line, name_bytes, "Connection")) {
		request->wants_close |= has_member(value, value_bytes, "close");
		request->wants_keep_alive |= has_member(value, value_bytes, "keep-alive");
	} else if (is_word(line, name_bytes, "Expect")) {
		if (!is_word(value, value_bytes, "100-continue"))
			return refuse(request, 417, "the only expectation served is 100-continue");
		request->expects_continue = request->minor >= 1;
	}
	return 0;
}

/* All lines are here: what only the whole can tell. */
static int finish(struct request *request)
{
	if (request->hosts > 1 || (request->hosts == 0 && request->minor >= 1))
		return refuse(request, 400, "an HTTP/1.1 request has exactly one Host header");
	if (request->have_coding && request->have_length)
		return refuse(request, 400, "Transfer-Encoding beside Content-Length");
	if (request->have_coding)
		return refuse(request, 501, "a body with a Transfer-Encoding is not served; "
					    "send it with a Content-Length");
	request->keep_alive = !request->wants_close &&
			      (request->minor >= 1 || request->wants_keep_alive);
	return REQUEST_COMPLETE;
}

/* A line that is too long, finished or not. */
static int check_limits(struct request *request, size_t line_bytes)
{
	if (line_bytes > REQUEST_LINE_BYTES_MAX)
		return request->have_line ?
			       refuse(request, 431, "a header is longer than 8 KiB") :
			       refuse(request, 414, "the request line is longer than 8 KiB");
	if (request->have_line && request->line_offset + line_bytes - request->headers_offset >
					  REQUEST_HEADERS_BYTES_MAX)
		return refuse(request, 431, "the headers are longer than 32 KiB");
	return 0;
}

/* A whole line without its CR LF. */
static int take_line(struct request *request, const char *buffer, size_t bytes)
{
	size_t offset = request->line_offset;
	int status = check_limits(request, bytes);

	if (status != 0)
		return status;
	if (!request->have_line) {
		if (bytes == 0)
			return ++request->empty_lines <= REQUEST_EMPTY_LINES_MAX ?
				       0 :
				       refuse(request, 400, "empty lines instead of a request");
		request->have_line = true;
		request->headers_offset = offset + bytes + 2;
		return parse_line(request, buffer, offset, bytes);
	}
	return bytes == 0 ? finish(request) : parse_header(request, buffer + offset, bytes);
}

void request_begin(struct request *request)
{
	memset(request, 0, sizeof(*request));
}

int request_feed(struct request *request, const char *buffer, size_t bytes)
{
	const char *newline;

	while ((newline = memchr(buffer + request->scanned, '\n', bytes - request->scanned))) {
		size_t end = (size_t)(newline - buffer);
		int status;

		if (end == request->line_offset || buffer[end - 1] != '\r')
			return refuse(request, 400, "a line does not end in CR LF");
		status = take_line(request, buffer, end - 1 - request->line_offset);
		request->line_offset = end + 1;
		request->scanned = end + 1;
		request->head_bytes = end + 1;
		if (status != 0)
			return status;
	}
	request->scanned = bytes;
	/* A CR that waits for its LF does not count. */
	if (bytes > request->line_offset && buffer[bytes - 1] == '\r')
		bytes--;
	return check_limits(request, bytes - request->line_offset);
}
