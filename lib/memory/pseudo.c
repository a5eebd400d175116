/* SPDX-License-Identifier: MIT */
/*
 * Small files of /proc and /sys; see the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "memory/pseudo.h"

int usched_pseudo_read(const char *path, char *buffer, size_t size)
{
	size_t length = 0;
	int error = 0;
	int fd;

	buffer[0] = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	while (length < size - 1) {
		ssize_t n = read(fd, buffer + length, size - 1 - length);

		if (n == 0)
			break;
		if (n > 0) {
			length += (size_t)n;
		} else if (errno != EINTR) {
			error = -errno;
			break;
		}
	}
	close(fd);
	buffer[error < 0 ? 0 : length] = '\0';
	return error < 0 ? error : (int)length;
}

int usched_pseudo_number(const char **at, uint64_t *value)
{
	const char *p = *at;
	uint64_t sum = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (sum > (INT64_MAX - 9) / 10)
			return -EINVAL;
		sum = sum * 10 + (uint64_t)(*p - '0');
	}
	*value = sum;
	*at = p;
	return 0;
}

int usched_pseudo_list(const char **at, uint64_t *first, uint64_t *last)
{
	const char *p = *at;

	if (*p == ',')
		p++;
	if (usched_pseudo_number(&p, first) < 0)
		return 0;
	*last = *first;
	if (*p == '-') {
		p++;
		if (usched_pseudo_number(&p, last) < 0 || *last < *first)
			return 0;
	}
	*at = p;
	return 1;
}
