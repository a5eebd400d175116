/* SPDX-License-Identifier: MIT */
/*
 * A pair of segments written by an enemy, read as an observer reads it.
 *
 * A right pair is made first and then damaged, since random bytes would never get past the first
 * comparison. Input:
 *
 *	workers - 1, shortage of the grant, shortage of the report	one byte each
 *	patches: flags, place (2 bytes), value (4 bytes)
 *
 *	flags & 1	the patch hits the report, else the grant
 *	flags & 2	it is written after the pair was opened: what was checked then must bound
 *			every later access
 *	flags & 4	the place is in the header, where sizes and counts are
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

enum { PREFIX_BYTES = 3, PATCH_BYTES = 7, PATCHES_MAX = 64, WORKERS_MAX = 16 };

struct segment {
	uint8_t bytes[1 << 13];
	size_t size;
	int descriptor;
};

static void make(struct segment *segment, uint64_t magic, size_t body_bytes, size_t stride_bytes,
		 uint32_t workers, size_t shortage)
{
	struct usched_segment_header header = { .magic = magic };

	memset(segment, 0, sizeof(*segment));
	segment->size = body_bytes + workers * stride_bytes;
	header.major = USCHED_LAYOUT_MAJOR;
	header.minor = USCHED_LAYOUT_MINOR;
	header.total_bytes = (uint32_t)segment->size;
	header.header_bytes = (uint32_t)body_bytes;
	header.workers = workers;
	header.worker_stride_bytes = (uint32_t)stride_bytes;
	memcpy(segment->bytes, &header, sizeof(header));
	segment->size -= shortage < segment->size ? shortage : segment->size;
}

static void seal(struct segment *segment)
{
	segment->descriptor = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (segment->descriptor < 0 ||
	    write(segment->descriptor, segment->bytes, segment->size) != (ssize_t)segment->size ||
	    fcntl(segment->descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		abort();
}

/* Applies the patches that are meant for this moment. */
static void damage(struct segment pair[2], const uint8_t *data, size_t size, uint8_t moment)
{
	for (int i = 0; i < PATCHES_MAX && size >= PATCH_BYTES; i++) {
		struct segment *segment = &pair[data[0] & 1];
		size_t range = data[0] & 4 ? sizeof(struct usched_segment_header) : segment->size;

		if ((data[0] & 2) == moment && range >= 4 && range <= segment->size) {
			size_t place = (size_t)(data[1] | data[2] << 8) % (range - 3);

			memcpy(segment->bytes + place, data + 3, 4);
			if (moment != 0 && pwrite(segment->descriptor, data + 3, 4,
						  (off_t)place) != 4)
				abort();
		}
		data += PATCH_BYTES;
		size -= PATCH_BYTES;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct segment pair[2];
	struct usched_segments segments = { .grant = -1, .report = -1 };
	struct usched_report_worker *workers;
	struct usched_report report;
	struct usched_grant grant;
	const char *reason = NULL;
	uint32_t count;
	int known;

	if (size < PREFIX_BYTES)
		return 0;
	count = 1 + data[0] % WORKERS_MAX;
	make(&pair[0], USCHED_GRANT_MAGIC, sizeof(struct usched_grant),
	     sizeof(struct usched_grant_worker), count, data[1]);
	make(&pair[1], USCHED_REPORT_MAGIC, sizeof(struct usched_report),
	     sizeof(struct usched_report_worker), count, data[2]);
	data += PREFIX_BYTES;
	size -= PREFIX_BYTES;
	damage(pair, data, size, 0);
	seal(&pair[0]);
	seal(&pair[1]);

	if (usched_segments_open(&segments, pair[0].descriptor, pair[1].descriptor, &reason) != 0) {
		if (reason == NULL)
			abort();
		close(pair[0].descriptor);
		close(pair[1].descriptor);
		return 0;
	}
	damage(pair, data, size, 2);
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
