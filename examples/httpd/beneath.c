/* SPDX-License-Identifier: MIT */
/*
 * O_NONBLOCK: opening a FIFO must not wait for a writer. It changes nothing for regular files.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "beneath.h"

enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static int open_by_kernel(int root, const char *name)
{
	struct open_how how = {
		.flags = OPEN_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long descriptor = syscall(SYS_openat2, root, name, &how, sizeof(how));

	return descriptor < 0 ? -errno : (int)descriptor;
}

/* Is the path of @file below that of @root? Both are what the kernel calls them now. */
static bool is_beneath(int root, int file)
{
	char link[2][32], path[2][PATH_MAX];
	ssize_t bytes[2];

	snprintf(link[0], sizeof(link[0]), "/proc/self/fd/%d", root);
	snprintf(link[1], sizeof(link[1]), "/proc/self/fd/%d", file);
	for (int i = 0; i < 2; i++) {
		bytes[i] = readlink(link[i], path[i], sizeof(path[i]));
		if (bytes[i] < 0 || (size_t)bytes[i] == sizeof(path[i]))
			return false;
	}
	if (bytes[0] == 1)	/* the root is "/" */
		return true;
	return bytes[1] > bytes[0] && memcmp(path[0], path[1], (size_t)bytes[0]) == 0 &&
	       path[1][bytes[0]] == '/';
}

/*
 * For kernels before 5.6, emulators, and filters that refuse the call: find the file without opening
 * it, ask where it is, and open what was found. Nothing is looked up twice, so nothing can be
 * exchanged in between; but a client can tell a missing file outside from an existing one.
 */
static int open_by_asking(int root, const char *name)
{
	char link[32];
	int found, file;

	if (name[0] == '/')
		return -EXDEV;
	found = openat(root, name, O_PATH | O_CLOEXEC);
	if (found < 0)
		return -errno;
	if (is_beneath(root, found)) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", found);
		file = open(link, OPEN_FLAGS);
		if (file < 0)
			file = -errno;
	} else {
		file = -EXDEV;
	}
	close(found);
	return file;
}

int beneath_open(int root, const char *name, int *descriptor)
{
	struct stat status;
	int file = open_by_kernel(root, name);

	if (file == -ENOSYS || file == -EPERM || file == -EINVAL)
		file = open_by_asking(root, name);
	if (file < 0)
		return file;
	if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
		close(file);
		return -EISDIR;
	}
	*descriptor = file;
	return 0;
}
