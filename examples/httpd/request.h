/* SPDX-License-Identifier: MIT */
#ifndef HTTPD_REQUEST_H
#define HTTPD_REQUEST_H

/*
 * The head of one HTTP/1.x request, parsed while it arrives.
 *
 *	GET /gzip?level=9&file=a.txt HTTP/1.1 CRLF	request line, at most 8 KiB
 *	Host: localhost CRLF				headers: at most 64, a line at
 *	Connection: keep-alive CRLF			most 8 KiB, all together 32 KiB
 *	CRLF
 *	<body, or the next request>
 *
 * The caller owns one buffer, appends what it reads, and calls request_feed() with all of it;
 * each byte is looked at once. Nothing is allocated and nothing is copied: the target stays
 * in the buffer.
 *
 * The parser is strict where leniency lets two programs disagree about where a request ends:
 * lines end in CR LF, no blanks around names, no folded lines, one Content-Length at most, and
 * none beside a Transfer-Encoding.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	REQUEST_LINE_BYTES_MAX = 8 * 1024,	/* without CR LF			*/
	REQUEST_HEADERS_BYTES_MAX = 32 * 1024,	/* all header lines, CR LF included	*/
	REQUEST_HEADERS_MAX = 64,
	REQUEST_EMPTY_LINES_MAX = 4,		/* before the request line: ignored	*/
	REQUEST_BODY_BYTES_MAX = 1024 * 1024,
	/* What the buffer must hold, so that a limit is met before it is full. */
	REQUEST_HEAD_BYTES_MAX = 2 * REQUEST_EMPTY_LINES_MAX + REQUEST_LINE_BYTES_MAX + 2 +
				 REQUEST_HEADERS_BYTES_MAX + 2,
};

enum request_method {
	REQUEST_GET,
	REQUEST_HEAD,
	REQUEST_NOT_ALLOWED,	/* a method of HTTP that no resource here has	*/
	REQUEST_UNKNOWN,	/* a well-formed word that is no method		*/
};

enum request_progress {
	REQUEST_INCOMPLETE = 0,
	REQUEST_COMPLETE = 1,
	/* from 400 on: the status to answer with, after which the connection must end */
};

struct request {
	/* Valid once request_feed() has returned REQUEST_COMPLETE. */
	enum request_method method;
	bool keep_alive;
	bool expects_continue;		/* the client waits for "100 Continue"		*/
	size_t head_bytes;		/* offset of the body				*/
	size_t target_offset;		/* path and query, without scheme and host	*/
	size_t target_bytes;
	uint64_t body_bytes;

	/* Valid after a status: what is wrong, for the client. */
	const char *problem;

	/* Progress. */
	size_t line_offset;		/* where the unfinished line starts		*/
	size_t scanned;			/* no end of line before this			*/
	size_t headers_offset;
	unsigned int empty_lines;
	unsigned int headers;
	unsigned int minor;		/* of HTTP/1.minor				*/
	unsigned int hosts;
	bool have_line;
	bool have_length;
	bool have_coding;
	bool wants_close;
	bool wants_keep_alive;
};

/** request_begin() - forget everything, for the next request of a connection */
void request_begin(struct request *request);

/**
 * request_feed() - go on parsing
 * @buffer:	all bytes of this request so far; the same as last time, with more at its end
 * @bytes:	how many
 *
 * Return:	REQUEST_INCOMPLETE, REQUEST_COMPLETE, or a status from 400 to 599.
 */
int request_feed(struct request *request, const char *buffer, size_t bytes);

#endif /* HTTPD_REQUEST_H */
