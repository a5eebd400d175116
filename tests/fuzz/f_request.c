/* SPDX-License-Identifier: MIT */
/*
 * Requests of an enemy, parsed as the example server parses them.
 *
 * Input: the size of a first portion (2 bytes), then the bytes. They are fed whole, and again in two
 * portions and one by one: where a request is cut must never decide what it means, or what one
 * program takes for the body another takes for the next request. The buffer is exactly as long as
 * the bytes, so that ASan sees one more.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/httpd/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(int result, const struct request *request, int other_result,
		 const struct request *other)
{
	if (result != other_result)
		abort();
	if (result != REQUEST_COMPLETE)
		return;
	if (request->method != other->method || request->keep_alive != other->keep_alive ||
	    request->head_bytes != other->head_bytes || request->body_bytes != other->body_bytes ||
	    request->target_offset != other->target_offset ||
	    request->target_bytes != other->target_bytes)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request whole, parts;
	size_t first, fed;
	char *buffer;
	int result, other = REQUEST_INCOMPLETE;

	if (size < 2)
		return 0;
	first = (size_t)(data[0] | data[1] << 8);
	data += 2;
	size -= 2;
	if (size > REQUEST_HEAD_BYTES_MAX)
		size = REQUEST_HEAD_BYTES_MAX;
	if (first > size)
		first = size;
	buffer = malloc(size + !size);
	if (buffer == NULL)
		abort();
	memcpy(buffer, data, size);

	request_begin(&whole);
	result = request_feed(&whole, buffer, size);
	if (result >= 400 && (result > 599 || whole.problem == NULL))
		abort();
	if (result == REQUEST_COMPLETE &&
	    (whole.head_bytes > size || whole.target_offset > whole.head_bytes ||
	     whole.target_bytes > whole.head_bytes - whole.target_offset ||
	     whole.body_bytes > REQUEST_BODY_BYTES_MAX))
		abort();

	request_begin(&parts);
	other = request_feed(&parts, buffer, first);
	if (other == REQUEST_INCOMPLETE)
		other = request_feed(&parts, buffer, size);
	same(result, &whole, other, &parts);

	if (size <= 512) {
		request_begin(&parts);
		other = REQUEST_INCOMPLETE;
		for (fed = 1; fed <= size && other == REQUEST_INCOMPLETE; fed++)
			other = request_feed(&parts, buffer, fed);
		same(result, &whole, other, &parts);
	}
	free(buffer);
	return 0;
}
