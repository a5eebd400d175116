/* SPDX-License-Identifier: MIT */
/*
 * The program's own symbols; see step_symbols.h.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step_symbols.h"

/* Of the table in a mapped file that stays mapped: the names lie in it. */
static int read_table(struct step_symbols *symbols, const char *file, const ElfW(Shdr) *table,
		      const ElfW(Shdr) *sections)
{
	const ElfW(Sym) *from = (const ElfW(Sym) *)(file + table->sh_offset);
	const char *names = file + sections[table->sh_link].sh_offset;
	size_t count = table->sh_size / sizeof(*from);

	symbols->at = calloc(count, sizeof(*symbols->at));
	if (!symbols->at)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (ELF64_ST_TYPE(from[i].st_info) != STT_FUNC || from[i].st_size == 0)
			continue;
		symbols->at[symbols->count++] = (struct step_symbol){
			.name = names + from[i].st_name,
			.low = from[i].st_value,
			.high = from[i].st_value + from[i].st_size,
		};
	}
	return 0;
}

/* From addresses in the file to those in memory. */
static int move_by_known(struct step_symbols *symbols, uintptr_t known)
{
	uintptr_t low, high, by;

	if (!step_symbol_find(symbols, "stepped_enter", &low, &high))
		return -ENOENT;
	by = known - low;
	symbols->low = UINTPTR_MAX;
	for (size_t i = 0; i < symbols->count; i++) {
		struct step_symbol *symbol = &symbols->at[i];

		symbol->low += by;
		symbol->high += by;
		if (symbol->low < symbols->low)
			symbols->low = symbol->low;
		if (symbol->high > symbols->high)
			symbols->high = symbol->high;
	}
	return 0;
}

int step_symbols_read(struct step_symbols *symbols, uintptr_t known)
{
	int descriptor = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const ElfW(Ehdr) *header;
	const ElfW(Shdr) *sections;
	struct stat status;
	const char *file;

	if (descriptor < 0 || fstat(descriptor, &status))
		return -errno;
	file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
	close(descriptor);
	if (file == MAP_FAILED)
		return -errno;
	header = (const ElfW(Ehdr) *)file;
	sections = (const ElfW(Shdr) *)(file + header->e_shoff);
	for (unsigned int i = 0; i < header->e_shnum; i++) {
		int error;

		if (sections[i].sh_type != SHT_SYMTAB)
			continue;
		error = read_table(symbols, file, &sections[i], sections);
		return error ? error : move_by_known(symbols, known);
	}
	return -ENOENT;
}

static bool is_part_of(const char *symbol, const char *name)
{
	size_t bytes = strlen(name);

	return !strncmp(symbol, name, bytes) && (symbol[bytes] == '\0' || symbol[bytes] == '.');
}

bool step_symbol_holds(const struct step_symbols *symbols, const char *name, uintptr_t address)
{
	for (size_t i = 0; i < symbols->count; i++) {
		const struct step_symbol *symbol = &symbols->at[i];

		if (address >= symbol->low && address < symbol->high && is_part_of(symbol->name, name))
			return true;
	}
	return false;
}

bool step_symbol_find(const struct step_symbols *symbols, const char *name, uintptr_t *low,
		      uintptr_t *high)
{
	for (size_t i = 0; i < symbols->count; i++) {
		if (strcmp(symbols->at[i].name, name))
			continue;
		*low = symbols->at[i].low;
		*high = symbols->at[i].high;
		return true;
	}
	return false;
}

const char *step_symbol_name(const struct step_symbols *symbols, uintptr_t address)
{
	static char text[128];

	snprintf(text, sizeof(text), "%#lx", (unsigned long)address);
	for (size_t i = 0; i < symbols->count; i++) {
		const struct step_symbol *symbol = &symbols->at[i];

		if (address >= symbol->low && address < symbol->high)
			snprintf(text, sizeof(text), "%s+%lu", symbol->name,
				 (unsigned long)(address - symbol->low));
	}
	return text;
}
