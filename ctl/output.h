/* SPDX-License-Identifier: MIT */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H

/*
 * What schedctl prints: tables for people, JSON for programs, errors for both.
 *
 *	PID  CPUS  QUANTUM  NAME	upper-case titles, two spaces between columns,
 *	  7     2    500us  httpd	numbers to the right, "-" for what is not known
 *
 * JSON keys are snake_case, times are integers whose key ends in _ns, what is not known is
 * null. A number that JSON's signed 64 bits cannot hold is not known either.
 */

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "ctl/ctl.h"

/* --------------------------------------------------------------- messages */

enum { CTL_TEXT_BYTES = 512 };

/** ctl_text() - any text as one printable line; @to has CTL_TEXT_BYTES. Return: @to */
const char *ctl_text(char *to, const char *from);

/**
 * ctl_error() - say what failed, in three lines and, with --json, as an object
 * @code:	exit code
 * @kind:	two or three words that sort it: "no such target"; NULL: those of @code
 * @what:	what could not be done
 * @why:	the reason, one line
 * @hint:	what to do, one line
 *
 * The texts may quote arguments as they came: they are made printable here.
 *
 * Return:	@code
 */
int ctl_error(struct ctl *ctl, enum ctl_exit code, const char *kind, const char *what,
	      const char *why, const char *hint);

/** ctl_usage() - ctl_error() for a wrong command line; @why and @hint are formats of one text. */
int ctl_usage(struct ctl *ctl, const char *what, const char *why, const char *hint);

/** ctl_client_error() - ctl_error() for the session's last failure. */
int ctl_client_error(struct ctl *ctl);

/** ctl_note() - a line on stderr that is no error, unless --json. */
void ctl_note(const struct ctl *ctl, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** ctl_finish() - flush stdout; what was not written is a failure. Return: exit code */
int ctl_finish(struct ctl *ctl, int code);

/* ------------------------------------------------------------------ words */

enum { CTL_WORD_BYTES = 48 };

struct ctl_word {
	char text[CTL_WORD_BYTES];
};

struct ctl_word ctl_duration(uint64_t ns);	/* 500us, 1.25ms, 2s		*/
struct ctl_word ctl_quantum(uint64_t ns);	/* the same, and off		*/
/* of a tunable, as `set` reads it */
struct ctl_word ctl_setting(const struct usched_client_tunable *tunable, uint64_t value);
struct ctl_word ctl_age(uint64_t since_ns, uint64_t now_ns); /* 350ms, 2h05m; - for 0 */
struct ctl_word ctl_rate(uint64_t count, uint64_t elapsed_ns); /* 1234, 12.5	*/
struct ctl_word ctl_bytes(uint64_t bytes);	/* 256K, 8M			*/
struct ctl_word ctl_runtime(uint32_t pid, uint32_t number); /* 4711, 4711/2	*/
const char *ctl_attachment(enum usched_client_attachment attachment);
const char *ctl_tick(enum usched_tick tick);
const char *ctl_worker_state(enum usched_client_worker_state state);

/* ----------------------------------------------------------------- tables */

struct ctl_column {
	const char *title;
	int right;		/* 1: a number */
};

struct ctl_table;

/** ctl_table_open() - Return: the table; ends the program when there is no memory. */
struct ctl_table *ctl_table_open(const struct ctl_column *columns, size_t count);

/** ctl_table_cell() - the next cell, row by row; "" shows as "-". */
void ctl_table_cell(struct ctl_table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** ctl_table_close() - print it and free it. On a terminal the last column is cut to fit. */
void ctl_table_close(struct ctl_table *table);

/* ------------------------------------------------------------------- JSON */

/** ctl_json() - a new object that begins with the schema. */
json_t *ctl_json(void);

void ctl_json_number(json_t *object, const char *key, uint64_t value);
void ctl_json_text(json_t *object, const char *key, const char *value); /* made printable; NULL: null */
void ctl_json_flag(json_t *object, const char *key, int value);
void ctl_json_null(json_t *object, const char *key);
void ctl_json_id(json_t *object, const char *key, uint64_t value); /* "0x1a"; 0: null */
void ctl_json_put(json_t *object, const char *key, json_t *value); /* takes value over */
void ctl_json_append(json_t *array, json_t *value);		   /* takes value over */

/** ctl_json_print() - one line on stdout; frees it. */
void ctl_json_print(json_t *object);

#endif /* CTL_OUTPUT_H */
