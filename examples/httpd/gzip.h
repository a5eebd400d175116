/* SPDX-License-Identifier: MIT */
#ifndef HTTPD_GZIP_H
#define HTTPD_GZIP_H

/*
 * Reads a file and compresses it, in one go, in memory. This is the heavy work of the example, and
 * it is on purpose ordinary code: read(2), malloc(3) and zlib, which know nothing of fibers and
 * never offer to let another one run.
 */

#include <stddef.h>

enum { GZIP_FILE_BYTES_MAX = 64 * 1024 * 1024 };

/**
 * gzip_file() - the content of @file, as a gzip stream
 * @file:	regular file, read from its current position
 * @level:	1 to 9
 * @output:	set to memory for free(3)
 *
 * Return:	0
 * Errors:	-EFBIG  larger than GZIP_FILE_BYTES_MAX; -ENOMEM; those of read(2), negative
 */
int gzip_file(int file, int level, void **output, size_t *output_bytes);

#endif /* HTTPD_GZIP_H */
