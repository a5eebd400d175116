/* SPDX-License-Identifier: MIT */
#ifndef HTTPD_HANDLER_H
#define HTTPD_HANDLER_H

/*
 * What the server serves:
 *
 *	/				a short fixed text, at once
 *	/gzip?file=NAME&level=1..9	the file NAME of the document root, compressed (level 6
 *					when not given)
 *
 * Both by GET and HEAD. Anything else is refused with a status and a sentence.
 */

#include <stddef.h>

#include "request.h"
#include "response.h"

#define HANDLER_GREETING "usched httpd: this answer took no work"

/**
 * handler_respond() - the answer to one well-formed request
 * @root:	descriptor of the document root
 * @target:	path and query, as the request has them
 *
 * Ownership:	release @response with response_release().
 * May switch:	at any instruction, as all code of a fiber
 */
void handler_respond(struct response *response, int root, enum request_method method,
		     const char *target, size_t target_bytes);

#endif /* HTTPD_HANDLER_H */
