/* SPDX-License-Identifier: MIT */
/*
 * zlib and zstd: what was compressed comes back.
 */
#include <stdlib.h>
#include <string.h>

#if HAVE_ZLIB
#include <zlib.h>
#endif
#if HAVE_ZSTD
#include <zstd.h>
#endif

#include "groups.h"

#if HAVE_ZLIB || HAVE_ZSTD

enum { PLAIN_BYTES = 8192, PACKED_BYTES = 16384 };

struct buffers {
	unsigned char plain[PLAIN_BYTES], packed[PACKED_BYTES], back[PLAIN_BYTES];
};

static struct buffers *fill(struct storm_fiber *fiber, size_t *bytes)
{
	struct buffers *buffers = fiber->own;

	if (!buffers)
		buffers = fiber->own = malloc(sizeof(*buffers));
	STORM_CHECK(fiber, buffers, "expected malloc to give memory, got NULL");
	*bytes = 1 + storm_random(fiber, PLAIN_BYTES);
	/* Some of it repeats, some does not. */
	for (size_t i = 0; buffers && i < *bytes; i++)
		buffers->plain[i] = i > 100 && storm_random(fiber, 8) ? buffers->plain[i - 97] :
				    (unsigned char)storm_random(fiber, 256);
	return buffers;
}

static void compare(struct storm_fiber *fiber, const struct buffers *buffers, size_t bytes,
		    size_t got)
{
	STORM_CHECK(fiber, got == bytes && !memcmp(buffers->plain, buffers->back, bytes),
		    "expected %zu bytes to come back, got %zu, or other ones", bytes, got);
}

static void leave(struct storm_fiber *fiber)
{
	free(fiber->own);
}

#endif

#if HAVE_ZLIB

static void use_zlib(struct storm_fiber *fiber)
{
	uLongf packed_bytes = PACKED_BYTES, back_bytes = PLAIN_BYTES;
	size_t bytes;
	struct buffers *buffers = fill(fiber, &bytes);
	int error;

	if (!buffers)
		return;
	error = compress2(buffers->packed, &packed_bytes, buffers->plain, bytes,
			  1 + (int)storm_random(fiber, 9));
	STORM_CHECK(fiber, error == Z_OK, "expected compress2 to give Z_OK, got %d", error);
	error = uncompress(buffers->back, &back_bytes, buffers->packed, packed_bytes);
	STORM_CHECK(fiber, error == Z_OK, "expected uncompress to give Z_OK, got %d", error);
	compare(fiber, buffers, bytes, back_bytes);
}

const struct storm_group storm_zlib = {
	.name = "zlib", .fibers = 16, .enough = 16, .operation = use_zlib, .leave = leave,
};

#else

const struct storm_group storm_zlib = {
	.name = "zlib", .missing = "built without zlib (Debian: zlib1g-dev)",
};

#endif

#if HAVE_ZSTD

static void use_zstd(struct storm_fiber *fiber)
{
	size_t bytes, packed_bytes, back_bytes;
	struct buffers *buffers = fill(fiber, &bytes);

	if (!buffers)
		return;
	packed_bytes = ZSTD_compress(buffers->packed, PACKED_BYTES, buffers->plain, bytes,
				     1 + (int)storm_random(fiber, 5));
	STORM_CHECK(fiber, !ZSTD_isError(packed_bytes), "expected ZSTD_compress to work, got %s",
		    ZSTD_getErrorName(packed_bytes));
	back_bytes = ZSTD_decompress(buffers->back, PLAIN_BYTES, buffers->packed, packed_bytes);
	STORM_CHECK(fiber, !ZSTD_isError(back_bytes), "expected ZSTD_decompress to work, got %s",
		    ZSTD_getErrorName(back_bytes));
	compare(fiber, buffers, bytes, back_bytes);
}

const struct storm_group storm_zstd = {
	.name = "zstd", .fibers = 16, .enough = 16, .operation = use_zstd, .leave = leave,
};

#else

const struct storm_group storm_zstd = {
	.name = "zstd", .missing = "built without zstd (Debian: libzstd-dev)",
};

#endif
