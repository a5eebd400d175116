/* SPDX-License-Identifier: MIT */
/*
 * A pair of segments written by an enemy, read as an observer reads it.
 *
 * Input: flags, then how many bytes are the grant's, then the bytes of the grant and of the report.
 *
 *	flags & 1	the headers get the right magic, version and counts first, or the fuzzer
 *			would spend its time in front of the first comparison
 *	flags & 2	the segments are overwritten between opening and reading: what was checked
 *			at open must still bound every later access
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/segments.h"
#include "shm/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT_BYTES_MAX = 1 << 16 };

static int make_segment(const uint8_t *bytes, size_t size)
{
	int descriptor = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (descriptor < 0 || write(descriptor, bytes, size) != (ssize_t)size ||
	    fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		abort();
	return descriptor;
}

static void make_plausible(uint8_t *bytes, size_t size, uint64_t magic, size_t body_bytes,
			   size_t stride_bytes)
{
	struct usched_segment_header header;

	if (size < sizeof(header))
		return;
	memcpy(&header, bytes, sizeof(header));
	header.magic = magic;
	header.major = USCHED_LAYOUT_MAJOR;
	memset(header.session, 0, sizeof(header.session));
	if (header.workers > 64)
		header.workers = 1 + header.workers % 64;
	if (header.header_bytes % 5 != 0)
		header.header_bytes = (uint32_t)body_bytes;
	if (header.worker_stride_bytes % 5 != 0)
		header.worker_stride_bytes = (uint32_t)stride_bytes;
	memcpy(bytes, &header, sizeof(header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct usched_segments segments = { .grant = -1, .report = -1 };
	struct usched_report_worker *workers;
	struct usched_report report;
	struct usched_grant grant;
	const char *reason = NULL;
	uint8_t *copy, flags;
	int grant_fd, report_fd, known;
	size_t grant_size;

	if (size < 3 || size > SEGMENT_BYTES_MAX)
		return 0;
	flags = data[0];
	grant_size = (size_t)data[1] * 16;
	data += 2;
	size -= 2;
	if (grant_size > size)
		grant_size = size;

	copy = malloc(size);
	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	if (flags & 1) {
		make_plausible(copy, grant_size, USCHED_GRANT_MAGIC, sizeof(struct usched_grant),
			       sizeof(struct usched_grant_worker));
		make_plausible(copy + grant_size, size - grant_size, USCHED_REPORT_MAGIC,
			       sizeof(struct usched_report), sizeof(struct usched_report_worker));
	}
	grant_fd = make_segment(copy, grant_size);
	report_fd = make_segment(copy + grant_size, size - grant_size);
	free(copy);

	if (usched_segments_open(&segments, grant_fd, report_fd, &reason) != 0) {
		if (reason == NULL)
			abort();
		close(grant_fd);
		close(report_fd);
		return 0;
	}
	if (flags & 2) {
		if (pwrite(grant_fd, data, grant_size, 0) != (ssize_t)grant_size ||
		    pwrite(report_fd, data + grant_size, size - grant_size, 0) < 0)
			abort();
	}
	/* Exactly as much room as the contract asks for, so that ASan sees one byte more. */
	workers = calloc(segments.workers, sizeof(*workers));
	if (workers == NULL)
		abort();
	(void)usched_segments_read_grant(&segments, &grant, &known, &reason);
	(void)usched_segments_read_report(&segments, &report, workers, &reason);
	free(workers);
	usched_segments_close(&segments);
	return 0;
}
