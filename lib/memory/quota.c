/* SPDX-License-Identifier: MIT */
/*
 * CPU quotas of control groups; see the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "memory/pseudo.h"
#include "memory/quota.h"

enum { LEVELS_MAX = 64 };	/* of nested groups; paths end long before */

/* Appends up to @count bytes and a final zero; false when they do not fit. */
static bool copy(char *to, size_t size, const char *from, size_t count)
{
	if (count >= size)
		return false;
	memcpy(to, from, count);
	to[count] = '\0';
	return true;
}

/* Is @word one of the comma-separated words of @list, which ends at @end? */
static bool has_word(const char *list, const char *end, const char *word)
{
	size_t length = strlen(word);

	while (list < end) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		const char *stop = comma != NULL ? comma : end;

		if ((size_t)(stop - list) == length && memcmp(list, word, length) == 0)
			return true;
		list = stop + 1;
	}
	return false;
}

/* The next word of a line; its length, 0 at the end. */
static size_t next_word(const char **at, const char **word)
{
	while (**at == ' ')
		(*at)++;
	*word = *at;
	while (**at != '\0' && **at != ' ')
		(*at)++;
	return (size_t)(*at - *word);
}

/*
 * 32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
 *            root point           options     optional   type   source super options
 * A blank in a path is written \040; such mount points are not found.
 */
static void look_at_mount(struct usched_quota *quota, const char *line)
{
	const char *at = line;
	const char *root, *point, *word, *type;
	size_t root_length, point_length, type_length, length;
	struct usched_quota_mount *mount;

	for (unsigned int i = 0; i < 3; i++)
		next_word(&at, &word);
	root_length = next_word(&at, &root);
	point_length = next_word(&at, &point);
	do {
		length = next_word(&at, &word);
		if (length == 0)
			return;
	} while (length != 1 || *word != '-');
	type_length = next_word(&at, &type);
	next_word(&at, &word);
	length = next_word(&at, &word);

	if (type_length == 7 && memcmp(type, "cgroup2", 7) == 0)
		mount = &quota->version2;
	else if (type_length == 6 && memcmp(type, "cgroup", 6) == 0 &&
		 has_word(word, word + length, "cpu"))
		mount = &quota->version1;
	else
		return;
	if (mount->point[0] != '\0')
		return;
	if (!copy(mount->root, sizeof(mount->root), root, root_length) ||
	    !copy(mount->point, sizeof(mount->point), point, point_length))
		mount->point[0] = '\0';
}

void usched_quota_find(struct usched_quota *quota, const char *test_root)
{
	char path[USCHED_PSEUDO_PATH_BYTES];
	char block[1024], line[1024];
	struct usched_format text;
	size_t length = 0;
	bool fits = true;
	ssize_t n;
	int fd;

	memset(quota, 0, sizeof(*quota));
	if (!copy(quota->test_root, sizeof(quota->test_root), test_root, strlen(test_root)))
		return;
	usched_format_init(&text, path, sizeof(path));
	usched_format_string(&text, test_root);
	usched_format_string(&text, "/proc/self/mountinfo");

	/* Hundreds of lines on a container host: read in pieces, one line kept. */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((n = read(fd, block, sizeof(block))) > 0 || (n < 0 && errno == EINTR)) {
		for (ssize_t i = 0; i < n; i++) {
			if (block[i] == '\n') {
				line[length] = '\0';
				if (fits)
					look_at_mount(quota, line);
				length = 0;
				fits = true;
			} else if (length < sizeof(line) - 1) {
				line[length++] = block[i];
			} else {
				fits = false;
			}
		}
	}
	close(fd);
}

/*
 * The path of the process in one hierarchy, from the lines "4:memory:/a/b" and "0::/a/b" of
 * /proc/self/cgroup.
 */
static bool find_path(const char *groups, bool version2, char *path, size_t size)
{
	const char *line = groups;

	while (*line != '\0') {
		const char *end = strchrnul(line, '\n');
		const char *names = memchr(line, ':', (size_t)(end - line));
		const char *colon = NULL;

		if (names != NULL) {
			names++;
			colon = memchr(names, ':', (size_t)(end - names));
		}
		if (colon != NULL &&
		    (version2 ? colon == names : has_word(names, colon, "cpu")))
			return copy(path, size, colon + 1, (size_t)(end - colon - 1));
		line = *end == '\n' ? end + 1 : end;
	}
	return false;
}

/* ceil(quota / period), at least 1. */
static uint32_t cpus_of(uint64_t quota_us, uint64_t period_us)
{
	uint64_t cpus;

	if (period_us == 0)
		return USCHED_QUOTA_NONE;
	cpus = quota_us / period_us + (quota_us % period_us != 0);
	if (cpus == 0)
		cpus = 1;
	return cpus < USCHED_QUOTA_NONE ? (uint32_t)cpus : USCHED_QUOTA_NONE;
}

static int read_in(const char *directory, const char *name, char *buffer, size_t size)
{
	char path[3 * USCHED_PSEUDO_PATH_BYTES];
	struct usched_format text;

	usched_format_init(&text, path, sizeof(path));
	usched_format_string(&text, directory);
	usched_format_string(&text, name);
	return text.cut ? -ENAMETOOLONG : usched_pseudo_read(path, buffer, size);
}

/* What one group allows; a group that says nothing, or nonsense, limits nothing. */
static uint32_t group_cpus(const char *directory, bool version2)
{
	uint64_t quota_us, period_us;
	const char *at;
	char text[64];

	if (version2) {
		/* "max 100000" or "250000 100000" */
		if (read_in(directory, "/cpu.max", text, sizeof(text)) < 0)
			return USCHED_QUOTA_NONE;
		at = text;
		if (usched_pseudo_number(&at, &quota_us) < 0 || *at++ != ' ')
			return USCHED_QUOTA_NONE;
	} else {
		/* -1: no limit */
		if (read_in(directory, "/cpu.cfs_quota_us", text, sizeof(text)) < 0)
			return USCHED_QUOTA_NONE;
		at = text;
		if (usched_pseudo_number(&at, &quota_us) < 0 ||
		    read_in(directory, "/cpu.cfs_period_us", text, sizeof(text)) < 0)
			return USCHED_QUOTA_NONE;
		at = text;
	}
	if (usched_pseudo_number(&at, &period_us) < 0)
		return USCHED_QUOTA_NONE;
	return cpus_of(quota_us, period_us);
}

/* The smallest quota from the group of the process up to the mount point. */
static uint32_t hierarchy_cpus(const struct usched_quota *quota,
			       const struct usched_quota_mount *mount, const char *path,
			       bool version2)
{
	char directory[3 * USCHED_PSEUDO_PATH_BYTES];
	size_t root_length = strlen(mount->root);
	struct usched_format text;
	uint32_t least = USCHED_QUOTA_NONE;
	size_t stop;

	usched_format_init(&text, directory, sizeof(directory));
	usched_format_string(&text, quota->test_root);
	usched_format_string(&text, mount->point);
	stop = text.length;

	/* The mount shows a part of the tree: leave out what is above it. A process outside that
	   part ("/../x" in another namespace) has only the mount point itself to look at. */
	if (root_length == 1)
		root_length = 0;	/* "/" */
	if (strncmp(path, mount->root, root_length) == 0 &&
	    (path[root_length] == '/' || path[root_length] == '\0') &&
	    strstr(path, "/..") == NULL && strcmp(path, "/") != 0)
		usched_format_string(&text, path + root_length);
	if (text.cut)
		return USCHED_QUOTA_NONE;

	for (unsigned int level = 0; level < LEVELS_MAX; level++) {
		uint32_t cpus = group_cpus(directory, version2);
		size_t length = strlen(directory);

		if (cpus < least)
			least = cpus;
		if (length <= stop)
			break;
		while (length > stop && directory[length - 1] != '/')
			length--;
		directory[length > stop ? length - 1 : stop] = '\0';
	}
	return least;
}

uint32_t usched_quota_cpus(const struct usched_quota *quota)
{
	char groups[USCHED_PSEUDO_BYTES];
	char path[USCHED_PSEUDO_PATH_BYTES];
	uint32_t least = USCHED_QUOTA_NONE;

	if (read_in(quota->test_root, "/proc/self/cgroup", groups, sizeof(groups)) < 0)
		return USCHED_QUOTA_NONE;
	for (unsigned int version = 1; version <= 2; version++) {
		const struct usched_quota_mount *mount =
			version == 2 ? &quota->version2 : &quota->version1;
		uint32_t cpus;

		if (mount->point[0] == '\0' ||
		    !find_path(groups, version == 2, path, sizeof(path)))
			continue;
		cpus = hierarchy_cpus(quota, mount, path, version == 2);
		if (cpus < least)
			least = cpus;
	}
	return least;
}
