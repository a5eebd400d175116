/* SPDX-License-Identifier: MIT */
/*
 * Segments; see segment.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/format.h"
#include "shm/segment.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

enum { LOAD_TRIES = 100, SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

uint32_t usched_segment_bytes(enum usched_segment_kind kind, uint32_t workers)
{
	if (kind == USCHED_SEGMENT_GRANT)
		return (uint32_t)(sizeof(struct usched_grant) +
				  workers * sizeof(struct usched_grant_worker));
	return (uint32_t)(sizeof(struct usched_report) +
			  workers * sizeof(struct usched_report_worker));
}

static void fill_header(struct usched_segment_header *header, enum usched_segment_kind kind,
			uint32_t workers, const uint64_t session[2])
{
	bool grant = kind == USCHED_SEGMENT_GRANT;

	header->magic = grant ? USCHED_GRANT_MAGIC : USCHED_REPORT_MAGIC;
	header->major = USCHED_LAYOUT_MAJOR;
	header->minor = USCHED_LAYOUT_MINOR;
	header->header_bytes = grant ? sizeof(struct usched_grant) : sizeof(struct usched_report);
	header->total_bytes = usched_segment_bytes(kind, workers);
	header->worker_stride_bytes = grant ? sizeof(struct usched_grant_worker) :
				      sizeof(struct usched_report_worker);
	header->workers = workers;
	header->session[0] = session[0];
	header->session[1] = session[1];
}

static int map(struct usched_segment *segment, bool writable)
{
	void *memory = mmap(NULL, segment->bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ,
			    MAP_SHARED, segment->descriptor, 0);

	if (memory == MAP_FAILED)
		return -errno;
	segment->memory = memory;
	madvise(memory, segment->bytes, MADV_DONTFORK);
	return 0;
}

int usched_segment_create(struct usched_segment *segment, enum usched_segment_kind kind,
			  uint32_t workers, const uint64_t session[2])
{
	const char *name = kind == USCHED_SEGMENT_GRANT ? "usched-grant" : "usched-report";
	struct usched_segment new = USCHED_SEGMENT_NONE;
	int error = 0;

	new.bytes = usched_segment_bytes(kind, workers);
	new.workers = workers;
	new.descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (new.descriptor < 0 && errno == EINVAL)	/* a kernel before 6.3 */
		new.descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (usched_owned_add(new.descriptor) < 0)
		return -errno;
	if (ftruncate(new.descriptor, (off_t)new.bytes) || fchmod(new.descriptor, 0600))
		error = -errno;
	if (!error)
		error = map(&new, true);
	if (error) {
		usched_segment_close(&new);
		return error;
	}
	fill_header(new.memory, kind, workers, session);
	/* Tried first and alone: a kernel before 5.1 refuses unknown seals as a whole. */
	if (kind == USCHED_SEGMENT_GRANT)
		(void)fcntl(new.descriptor, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
	if (fcntl(new.descriptor, F_ADD_SEALS, SEALS)) {
		error = -errno;
		usched_segment_close(&new);
		return error;
	}
	*segment = new;
	return 0;
}

int usched_segment_accept(struct usched_segment *segment, enum usched_segment_kind kind,
			  uint32_t workers, const uint64_t session[2], int descriptor,
			  bool writable)
{
	struct usched_segment new = USCHED_SEGMENT_NONE;
	struct usched_segment_header expected, header;
	struct stat status;
	int seals = fcntl(descriptor, F_GET_SEALS);
	int error;

	new.descriptor = usched_owned_add(descriptor);
	new.workers = workers;
	new.bytes = usched_segment_bytes(kind, workers);
	memset(&expected, 0, sizeof(expected));
	fill_header(&expected, kind, workers, session);
	/* The size first: a mapping beyond the end would kill us. */
	error = -EBADMSG;
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(descriptor, &status) ||
	    status.st_size != (off_t)new.bytes ||
	    pread(descriptor, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
		goto err_close;
	/* A later minor has appended fields, and says so in its sizes: not ours to map. */
	header.minor = expected.minor;
	if (memcmp(&header, &expected, sizeof(header)))
		goto err_close;
	error = map(&new, writable);
	if (error)
		goto err_close;
	*segment = new;
	return 0;

err_close:
	usched_segment_close(&new);
	return error;
}

void usched_segment_close(struct usched_segment *segment)
{
	if (segment->memory)
		munmap(segment->memory, segment->bytes);
	usched_owned_close(segment->descriptor);
	segment->memory = NULL;
	segment->descriptor = -1;
}

int usched_segment_reopen(const struct usched_segment *segment)
{
	struct usched_format format;
	char path[64];
	int descriptor;

	usched_format_init(&format, path, sizeof(path));
	usched_format_string(&format, "/proc/self/fd/");
	usched_format_decimal(&format, (uint64_t)segment->descriptor);
	descriptor = open(path, O_RDONLY | O_CLOEXEC);
	return descriptor < 0 ? -errno : descriptor;
}

#define PUT(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

void usched_grant_store(struct usched_grant *grant, const uint64_t cpus[USCHED_CPU_WORDS],
			const uint64_t *tunables)
{
	uint64_t sequence = GET(grant->sequence);

	/* [L1] odd, release fence, fields, release even | acquire even, fields, acquire fence, same */
	PUT(grant->sequence, sequence + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (cpus) {
		for (unsigned int i = 0; i < USCHED_CPU_WORDS; i++)
			PUT(grant->cpus[i], cpus[i]);
		PUT(grant->grant_generation, GET(grant->grant_generation) + 1);
	}
	if (tunables) {
		for (unsigned int i = 0; i < USCHED_TUNABLES; i++)
			PUT(grant->tunables.values[i], tunables[i]);
		PUT(grant->tunables.generation, GET(grant->tunables.generation) + 1);
	}
	__atomic_store_n(&grant->sequence, sequence + 2, __ATOMIC_RELEASE);	/* [L1] */
}

int usched_grant_load(const struct usched_grant *grant, struct usched_grant_copy *copy)
{
	for (unsigned int try = 0; try < LOAD_TRIES; try++) {
		uint64_t sequence = __atomic_load_n(&grant->sequence, __ATOMIC_ACQUIRE); /* [L1] */

		if (sequence & 1)
			continue;
		copy->grant_generation = GET(grant->grant_generation);
		copy->tunables_generation = GET(grant->tunables.generation);
		for (unsigned int i = 0; i < USCHED_TUNABLES; i++)
			copy->tunables[i] = GET(grant->tunables.values[i]);
		for (unsigned int i = 0; i < USCHED_CPU_WORDS; i++)
			copy->cpus[i] = GET(grant->cpus[i]);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);			/* [L1] */
		if (GET(grant->sequence) == sequence)
			return 0;
	}
	return -EAGAIN;
}
