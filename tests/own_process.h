/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_OWN_PROCESS_H
#define USCHED_TESTS_OWN_PROCESS_H

/* What /proc says that this process has: nothing is left behind where both counts are as before. */

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Those that @counts, with @argument handed on, of a directory's entries. */
static inline unsigned int entries_of(const char *path,
				      bool (*counts)(const char *name, const char *argument),
				      const char *argument)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	unsigned int count = 0;

	while (directory && (entry = readdir(directory)))
		count += entry->d_name[0] != '.' && counts(entry->d_name, argument);
	if (directory)
		closedir(directory);
	return count;
}

static inline bool is_any(const char *name, const char *argument)
{
	(void)name;
	(void)argument;
	return true;
}

/* The one that reads the directory is among them, each time. */
static inline unsigned int descriptors_open(void)
{
	return entries_of("/proc/self/fd", is_any, NULL);
}

/*
 * Alive, and its name begins so? pthread_join(3) returns before the kernel takes the thread off its list,
 * but not before the thread has the flag of one that exits (PF_EXITING, in proc(5)'s ninth field).
 */
static inline bool is_thread_alive(const char *id, const char *name)
{
	const unsigned int exiting = 4;
	char path[64], text[512];
	const char *begin, *end;
	unsigned int flags;
	size_t bytes;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", id);
	file = fopen(path, "re");
	if (!file)
		return false;
	bytes = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[bytes] = '\0';
	begin = strchr(text, '(');
	end = strrchr(text, ')');
	return begin && end && !strncmp(begin + 1, name, strlen(name)) &&
	       sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && !(flags & exiting);
}

/* By the beginning of their names; "" is any. */
static inline unsigned int threads_alive(const char *name)
{
	return entries_of("/proc/self/task", is_thread_alive, name);
}

#endif /* USCHED_TESTS_OWN_PROCESS_H */
