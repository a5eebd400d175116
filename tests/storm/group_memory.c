/* SPDX-License-Identifier: MIT */
/*
 * malloc: blocks of a known content, kept over many operations, some of them freed by another fiber
 * than the one that made them. stdio: a file for each fiber, and one that all append to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "groups.h"

enum {
	BLOCKS = 48,
	SMALL_BYTES = 2000,
	LARGE_BYTES = 200000,		/* above the limit from which malloc maps */
	SHARED = 64,
	TURNS = 16,
};

struct block {
	size_t bytes;
	unsigned char fill;
	unsigned char content[];
};

/* Blocks that wait for anybody. */
static _Atomic(struct block *) shared[SHARED];

static size_t some_size(struct storm_fiber *fiber)
{
	return 1 + storm_random(fiber, storm_random(fiber, 64) ? SMALL_BYTES : LARGE_BYTES);
}

static void check_block(struct storm_fiber *fiber, const struct block *block, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (block->content[i] != block->fill) {
			STORM_CHECK(fiber, false, "expected byte %zu of %zu at %p to be %02x, got %02x",
				    i, bytes, (const void *)block, block->fill, block->content[i]);
			return;
		}
	}
}

static struct block *new_block(struct storm_fiber *fiber)
{
	size_t bytes = some_size(fiber);
	struct block *block = malloc(sizeof(*block) + bytes);

	STORM_CHECK(fiber, block, "expected malloc to give %zu bytes, got NULL", bytes);
	if (!block)
		return NULL;
	block->bytes = bytes;
	block->fill = (unsigned char)storm_random(fiber, 256);
	memset(block->content, block->fill, bytes);
	return block;
}

static void change_size(struct storm_fiber *fiber, struct block **at)
{
	size_t before = (*at)->bytes, after = some_size(fiber);
	struct block *block = realloc(*at, sizeof(*block) + after);

	STORM_CHECK(fiber, block, "expected realloc to give %zu bytes, got NULL", after);
	if (!block)
		return;
	*at = block;
	check_block(fiber, block, before < after ? before : after);
	block->bytes = after;
	memset(block->content, block->fill, after);
}

static void use_malloc(struct storm_fiber *fiber)
{
	struct block **blocks = fiber->own;

	if (!blocks)
		blocks = fiber->own = calloc(BLOCKS, sizeof(*blocks));
	STORM_CHECK(fiber, blocks, "expected calloc to give memory, got NULL");
	for (unsigned int i = 0; blocks && i < TURNS; i++) {
		struct block **at = &blocks[storm_random(fiber, BLOCKS)];

		if (!*at) {
			*at = new_block(fiber);
			continue;
		}
		check_block(fiber, *at, (*at)->bytes);
		switch (storm_random(fiber, 3)) {
		case 0:
			change_size(fiber, at);
			break;
		case 1:
			free(*at);
			*at = NULL;
			break;
		default:
			*at = atomic_exchange(&shared[storm_random(fiber, SHARED)], *at);
		}
	}
}

static void leave_malloc(struct storm_fiber *fiber)
{
	struct block **blocks = fiber->own;

	for (unsigned int i = 0; blocks && i < BLOCKS; i++) {
		if (blocks[i])
			check_block(fiber, blocks[i], blocks[i]->bytes);
		free(blocks[i]);
	}
	free(blocks);
}

static void end_malloc(void)
{
	for (unsigned int i = 0; i < SHARED; i++) {
		struct block *block = atomic_exchange(&shared[i], NULL);

		if (block)
			check_block(NULL, block, block->bytes);
		free(block);
	}
}

const struct storm_group storm_malloc = {
	.name = "malloc", .fibers = 24, .enough = 24, .operation = use_malloc, .leave = leave_malloc,
	.end = end_malloc,
};

/* ---- stdio ---- */

static FILE *journal;			/* of all fibers: its lock is held for a line */
static _Atomic uint64_t journal_lines;

static const char *begin_stdio(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/journal", storm_folder());
	journal = fopen(path, "w+e");
	atomic_store(&journal_lines, 0);
	return journal ? NULL : "a temporary file cannot be made";
}

static void use_stdio(struct storm_fiber *fiber)
{
	unsigned long long first = storm_next(&fiber->random), second = first ^ 0x5555555555555555;
	unsigned int lines = 1 + (unsigned int)storm_random(fiber, 20);
	FILE *file = fiber->own;

	if (!file) {
		file = fiber->own = tmpfile();
		STORM_CHECK(fiber, file, "expected tmpfile to give a file: errno %d", errno);
	}
	if (!file)
		return;
	rewind(file);
	for (unsigned int i = 0; i < lines; i++)
		fprintf(file, "%u %llx %s %.17g\n", i, first + i, "between", (double)i / 7);
	rewind(file);
	for (unsigned int i = 0; i < lines; i++) {
		unsigned long long got = 0;
		unsigned int line = 0;
		char word[16] = "";
		double value = 0;
		int fields = fscanf(file, "%u %llx %15s %lf", &line, &got, word, &value);

		STORM_CHECK(fiber, fields == 4 && line == i && got == first + i &&
				   !strcmp(word, "between") && value == (double)i / 7,
			    "expected line %u with %llx, got %d fields: %u %llx %s %g", i, first + i,
			    fields, line, got, word, value);
	}
	fprintf(journal, "%llx %llx\n", first, second);
	atomic_fetch_add(&journal_lines, 1);
}

static void leave_stdio(struct storm_fiber *fiber)
{
	if (fiber->own)
		STORM_CHECK(fiber, fclose(fiber->own) == 0, "expected fclose to give 0");
}

/* No line is lost, and none is torn. */
static void end_stdio(void)
{
	unsigned long long first, second;
	uint64_t lines = 0;

	rewind(journal);
	while (fscanf(journal, "%llx %llx", &first, &second) == 2) {
		STORM_CHECK(NULL, second == (first ^ 0x5555555555555555),
			    "line %llu of the journal: expected a pair, got %llx %llx",
			    (unsigned long long)lines, first, second);
		lines++;
	}
	STORM_CHECK(NULL, lines == journal_lines, "expected %llu lines in the journal, got %llu",
		    (unsigned long long)journal_lines, (unsigned long long)lines);
	fclose(journal);
}

const struct storm_group storm_stdio = {
	.name = "stdio", .fibers = 24, .enough = 24, .begin = begin_stdio, .operation = use_stdio,
	.leave = leave_stdio, .end = end_stdio,
};
