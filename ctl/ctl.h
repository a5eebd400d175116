/* SPDX-License-Identifier: MIT */
#ifndef CTL_CTL_H
#define CTL_CTL_H

/*
 * schedctl: one table of verbs drives dispatch, help and completion.
 *
 *	main -> options (any order) -> verb -> run() -> output -> exit code
 *
 * Data goes to stdout, everything else to stderr. With --json stdout gets exactly one
 * object, also on failure ({"schema":1,"error":{...}}); with --interval, one per line.
 */

#include <stddef.h>
#include <stdint.h>

#include <usched/client.h>

enum ctl_exit {
	CTL_DONE = 0,
	CTL_FAILED = 1,		/* or partial				*/
	CTL_USAGE = 2,
	CTL_NO_TARGET = 3,
	CTL_PERMISSION = 4,
	CTL_NO_DAEMON = 5,
	CTL_RANGE = 6,
};

/* Options that not every verb takes. */
enum {
	CTL_TAKES_INTERVAL = 0x1,
	CTL_TAKES_COUNT = 0x2,
	CTL_TAKES_DRY_RUN = 0x4,
};

struct ctl {
	int json;
	int help;
	int version;
	const char *directory;		/* --socket; NULL: not given		*/
	int dry_run;
	uint64_t interval_ns;		/* 0: not given				*/
	uint64_t count;			/* 0: not given				*/
	const struct ctl_verb *verb;	/* NULL: none named			*/
	struct usched_client *client;
};

struct ctl_verb {
	const char *name;
	const char *arguments;		/* for help: "PID"			*/
	const char *summary;		/* one line				*/
	const char *details;		/* for schedctl VERB --help		*/
	unsigned int takes;		/* CTL_TAKES_*				*/
	int arguments_min;
	int arguments_max;
	int (*run)(struct ctl *ctl, int count, char **arguments); /* NULL: it is help */
};

struct ctl_option {
	const char *name;		/* without the two dashes		*/
	char letter;			/* 0: none				*/
	const char *value;		/* NULL: takes none			*/
	unsigned int taken_by;		/* 0: every verb; else CTL_TAKES_*	*/
	const char *summary;
};

extern const struct ctl_verb ctl_verbs[];	/* ends with a NULL name */
extern const struct ctl_option ctl_options[];	/* ends with a NULL name */

/* ------------------------------------------------- verbs, one file each */

int ctl_verb_list(struct ctl *ctl, int count, char **arguments);
int ctl_verb_status(struct ctl *ctl, int count, char **arguments);
int ctl_verb_show(struct ctl *ctl, int count, char **arguments);
int ctl_verb_workers(struct ctl *ctl, int count, char **arguments);
int ctl_verb_fibers(struct ctl *ctl, int count, char **arguments);
int ctl_verb_stat(struct ctl *ctl, int count, char **arguments);
enum { CTL_SETTINGS_MAX = 16 };	/* of one command line */

int ctl_verb_set(struct ctl *ctl, int count, char **arguments);
int ctl_verb_doctor(struct ctl *ctl, int count, char **arguments);
int ctl_verb_version(struct ctl *ctl, int count, char **arguments);
int ctl_verb_completion(struct ctl *ctl, int count, char **arguments);

/* --------------------------------------------------------------- options.c */

/**
 * ctl_parse() - sort a command line into options, verb and arguments
 * @arguments:	set to the verb's arguments, in place
 *
 * Return:	0, or an exit code: the error was printed
 */
int ctl_parse(struct ctl *ctl, int argc, char **argv, int *count, char ***arguments);

/**
 * ctl_duration_parse() - "500us", "1.5ms", "1s": a number with a unit
 * @ns:		set to it; one too large for the type is the largest of it
 *
 * Return:	NULL, or why the text is no duration
 */
const char *ctl_duration_parse(const char *text, uint64_t *ns);

/** ctl_number_parse() - a whole number; one too large is the largest of its type. 0: it is none */
int ctl_number_parse(const char *text, uint64_t *value);

/**
 * ctl_target() - open the runtime that PID or PID/N names
 * @verb:	for messages: what was to be done
 *
 * Return:	0, or an exit code: the error was printed
 */
int ctl_target(struct ctl *ctl, const char *text, struct usched_client_runtime **runtime);

/* ------------------------------------------------------------------ help.c */

/** ctl_help() - of the verb that was named, or of the tool; as an object with --json */
void ctl_help(const struct ctl *ctl);

#endif /* CTL_CTL_H */
