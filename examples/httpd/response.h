/* SPDX-License-Identifier: MIT */
#ifndef HTTPD_RESPONSE_H
#define HTTPD_RESPONSE_H

/*
 * One answer: a status, a content type and a body with a known length. The body is either short
 * text kept inside, or memory that the response frees.
 */

#include <stdbool.h>
#include <stddef.h>

enum {
	RESPONSE_TEXT_BYTES = 256,	/* of a body kept inside			*/
	RESPONSE_HEAD_BYTES = 512,	/* of the status line and all headers		*/
};

struct response {
	int status;
	const char *type;	/* Content-Type						*/
	const char *allow;	/* Allow, or NULL					*/
	const void *body;
	size_t body_bytes;
	void *owned;		/* freed by response_release(), or NULL			*/
	char text[RESPONSE_TEXT_BYTES];
};

/**
 * response_text() - a short plain text
 * @status:	for 400 and above the status and its name precede @text
 */
void response_text(struct response *response, int status, const char *text);

/**
 * response_own() - 200 with @body, which came from malloc(3) and now belongs to @response
 * @type:	a string that outlives @response
 */
void response_own(struct response *response, const char *type, void *body, size_t bytes);

/**
 * response_head() - the bytes that precede the body
 * @head:	room for RESPONSE_HEAD_BYTES
 *
 * Return:	how many bytes
 */
size_t response_head(const struct response *response, char *head, bool keep_alive);

/** response_release() - free the body */
void response_release(struct response *response);

#endif /* HTTPD_RESPONSE_H */
