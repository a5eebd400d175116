/* SPDX-License-Identifier: MIT */
/*
 * The file may change while it is read: what is compressed is what was read, up to the size that it
 * had at first.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "gzip.h"

static int read_all(int file, unsigned char *buffer, size_t room, size_t *bytes)
{
	size_t total = 0;

	while (total < room) {
		ssize_t got = read(file, buffer + total, room - total);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		total += (size_t)got;
	}
	*bytes = total;
	return 0;
}

static int compress_all(const unsigned char *input, size_t input_bytes, int level, void **output,
			size_t *output_bytes)
{
	enum { GZIP_WRAPPER = 16, MEMORY_LEVEL = 8 };
	z_stream stream = { 0 };
	unsigned char *room;
	size_t room_bytes;
	int r = -ENOMEM;

	if (deflateInit2(&stream, level, Z_DEFLATED, MAX_WBITS + GZIP_WRAPPER, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	room_bytes = deflateBound(&stream, input_bytes);
	room = malloc(room_bytes);
	if (room == NULL)
		goto out;
	stream.next_in = (unsigned char *)input;	/* zlib 1.2 lacks the const */
	stream.avail_in = (uInt)input_bytes;
	stream.next_out = room;
	stream.avail_out = (uInt)room_bytes;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
		free(room);
		r = -EIO;
		goto out;
	}
	*output = room;
	*output_bytes = stream.total_out;
	r = 0;
out:
	deflateEnd(&stream);
	return r;
}

int gzip_file(int file, int level, void **output, size_t *output_bytes)
{
	unsigned char *input = NULL;
	size_t bytes = 0;
	struct stat status;
	int r;

	if (fstat(file, &status) != 0)
		return -errno;
	if (status.st_size > GZIP_FILE_BYTES_MAX)
		return -EFBIG;
	input = malloc((size_t)status.st_size + 1);
	if (input == NULL)
		return -ENOMEM;
	r = read_all(file, input, (size_t)status.st_size, &bytes);
	if (r == 0)
		r = compress_all(input, bytes, level, output, output_bytes);
	free(input);
	return r;
}
