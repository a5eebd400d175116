/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_STEP_SYMBOLS_H
#define USCHED_TESTS_STEP_SYMBOLS_H

/*
 * The functions of the running program, static ones too, by its own symbol table: which one holds an
 * address, and from where to where one goes. A function that the compiler has split has parts, named
 * after it: "name.part.0", "name.cold".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct step_symbol {
	const char *name;
	uintptr_t low, high;
};

struct step_symbols {
	struct step_symbol *at;
	size_t count;
	uintptr_t low, high;		/* of all functions */
};

/**
 * step_symbols_read() - read /proc/self/exe
 * @known:	the address of a function "stepped_enter", which tells where the program was loaded
 *
 * Return:	0; -errno; -ENOENT: there are no symbols
 */
int step_symbols_read(struct step_symbols *symbols, uintptr_t known);

/* Is the address in a function of that name, or in a part of it? */
bool step_symbol_holds(const struct step_symbols *symbols, const char *name, uintptr_t address);

/* The bounds of a function of exactly that name. */
bool step_symbol_find(const struct step_symbols *symbols, const char *name, uintptr_t *low,
		      uintptr_t *high);

/* "name+offset", in a buffer of its own that the next call overwrites. */
const char *step_symbol_name(const struct step_symbols *symbols, uintptr_t address);

#endif /* USCHED_TESTS_STEP_SYMBOLS_H */
