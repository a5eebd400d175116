/* SPDX-License-Identifier: MIT */
/*
 * Checks of a pair of segments, and copies out of it.
 */

#include "client/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	GRANT_ATTEMPTS = 64,		/* to meet a moment between two writes	*/
	HEADER_BYTES_MAX = 65536,
	STRIDE_BYTES_MAX = 4096,
};

static int failed(const char **reason, int error, const char *text)
{
	*reason = text;
	return error;
}

/* All of it or nothing: a segment never changes its size. */
static int read_all(int descriptor, void *to, size_t bytes, uint64_t offset, const char **reason)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = pread(descriptor, (char *)to + done, bytes - done,
				    (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return failed(reason, -EIO, "a segment cannot be read");
		done += (size_t)got;
	}
	return 0;
}

static int check(int descriptor, uint64_t magic, size_t body_bytes, size_t worker_bytes,
		 struct usched_segment_header *header, const char **reason)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat status;
	uint64_t end;
	int seals, result;

	seals = fcntl(descriptor, F_GET_SEALS);
	if (seals < 0 || (seals & needed) != needed)
		return failed(reason, -EBADMSG, "a segment is not a sealed memfd");
	if (fstat(descriptor, &status) || status.st_size < (off_t)body_bytes)
		return failed(reason, -EBADMSG, "a segment is too short");
	result = read_all(descriptor, header, sizeof(*header), 0, reason);
	if (result)
		return result;
	if (header->magic != magic)
		return failed(reason, -EBADMSG, "a segment has the wrong magic");
	if (header->major != USCHED_LAYOUT_MAJOR)
		return failed(reason, -EBADMSG, "a segment has a layout of another version");
	if (!header->workers || header->workers > USCHED_CPUS_MAX ||
	    header->header_bytes < body_bytes || header->header_bytes > HEADER_BYTES_MAX ||
	    header->worker_stride_bytes < worker_bytes ||
	    header->worker_stride_bytes > STRIDE_BYTES_MAX || header->header_bytes % 8 ||
	    header->worker_stride_bytes % 8)
		return failed(reason, -EBADMSG, "a segment's header has sizes that cannot be");
	end = header->header_bytes + (uint64_t)header->workers * header->worker_stride_bytes;
	if (end > header->total_bytes || header->total_bytes > (uint64_t)status.st_size)
		return failed(reason, -EBADMSG, "a segment is shorter than its header says");
	return 0;
}

int usched_segments_open(struct usched_segments *segments, int grant, int report,
			 const char **reason)
{
	struct usched_segment_header g, c;
	int result;

	result = check(grant, USCHED_GRANT_MAGIC, sizeof(struct usched_grant),
		       sizeof(struct usched_grant_worker), &g, reason);
	if (!result)
		result = check(report, USCHED_REPORT_MAGIC, sizeof(struct usched_report),
			       sizeof(struct usched_report_worker), &c, reason);
	if (result)
		return result;
	if (memcmp(g.session, c.session, sizeof(g.session)) || g.workers != c.workers)
		return failed(reason, -EBADMSG, "its two segments do not belong together");
	segments->grant = grant;
	segments->report = report;
	segments->workers = c.workers;
	segments->report_header_bytes = c.header_bytes;
	segments->report_stride_bytes = c.worker_stride_bytes;
	memcpy(segments->session, c.session, sizeof(segments->session));
	return 0;
}

void usched_segments_close(struct usched_segments *segments)
{
	if (segments->grant >= 0)
		close(segments->grant);
	if (segments->report >= 0)
		close(segments->report);
	segments->grant = -1;
	segments->report = -1;
}

int usched_segments_read_grant(const struct usched_segments *segments, struct usched_grant *grant,
			       int *known, const char **reason)
{
	unsigned int attempt;

	for (attempt = 0; attempt < GRANT_ATTEMPTS; attempt++) {
		uint64_t before;
		uint64_t after;
		int result;

		/* Three system calls, so in this order: the kernel's copy loops are not
		   reordered against each other. */
		result = read_all(segments->grant, &before, sizeof(before),
				  offsetof(struct usched_grant, sequence), reason);
		if (!result)
			result = read_all(segments->grant, grant, sizeof(*grant), 0, reason);
		if (!result)
			result = read_all(segments->grant, &after, sizeof(after),
					  offsetof(struct usched_grant, sequence), reason);
		if (result)
			return result;
		if (grant->header.magic != USCHED_GRANT_MAGIC)
			return failed(reason, -EBADMSG, "a segment was overwritten");
		if (before == after && !(before & 1)) {
			*known = 1;
			return 0;
		}
	}
	*known = 0;
	return 0;
}

int usched_segments_read_report(const struct usched_segments *segments,
				struct usched_report *report,
				struct usched_report_worker *workers, const char **reason)
{
	size_t bytes = segments->report_header_bytes +
		       (size_t)segments->workers * segments->report_stride_bytes;
	uint8_t *copy = malloc(bytes);
	uint32_t i;
	int result;

	if (!copy)
		return failed(reason, -ENOMEM, "there is no memory left");
	result = read_all(segments->report, copy, bytes, 0, reason);
	if (result)
		goto out;
	memcpy(report, copy, sizeof(*report));
	for (i = 0; i < segments->workers; i++)
		memcpy(&workers[i], copy + segments->report_header_bytes +
		       (size_t)i * segments->report_stride_bytes, sizeof(workers[i]));
	if (report->header.magic != USCHED_REPORT_MAGIC)
		result = failed(reason, -EBADMSG, "a segment was overwritten");
out:
	free(copy);
	return result;
}
