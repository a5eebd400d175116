/* SPDX-License-Identifier: MIT */
/*
 * The command line: options in any place, then the verb, then its arguments.
 *
 * getopt_long() is not used because its messages say what is wrong but not what to do, and
 * because it cannot know which verb takes which option.
 */

#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/output.h"

const struct ctl_option ctl_options[] = {
	{ "json", 'j', NULL, 0, "print one JSON object (with --interval, one per line)" },
	{ "socket", 0, "DIR", 0, "directory of the daemon; default: USCHED_SOCKET, or /run/usched" },
	{ "help", 'h', NULL, 0, "print help, on a verb if one is named" },
	{ "version", 'V', NULL, 0, "print versions, as the verb version does" },
	{ "interval", 'i', "TIME", CTL_TAKES_INTERVAL, "print rates each TIME (1s, 200ms)" },
	{ "count", 'n', "N", CTL_TAKES_COUNT, "end after N intervals" },
	{ "dry-run", 0, NULL, CTL_TAKES_DRY_RUN, "only say what would happen" },
	{ NULL, 0, NULL, 0, NULL },
};

/* ---- the nearest word -------------------------------------------------- */

enum { WORD_MAX = 32 };

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[3][WORD_MAX + 1];
	size_t m = strlen(a), n = strlen(b), i, j;

	if (m > WORD_MAX || n > WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= n; j++)
		row[0][j] = (unsigned int)j;
	for (i = 1; i <= m; i++) {
		unsigned int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		now[0] = (unsigned int)i;
		for (j = 1; j <= n; j++) {
			unsigned int best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[m % 3][n];
}

static void consider(const char *word, const char *candidate, const char **best, unsigned int *least)
{
	unsigned int far = distance(word, candidate);

	if (far < *least && far <= 1 + strlen(word) / 3) {
		*least = far;
		*best = candidate;
	}
}

/* ---- values ------------------------------------------------------------ */

const char *ctl_duration_parse(const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "ns", 1 }, { "us", 1000 }, { "\xc2\xb5s", 1000 }, { "\xce\xbcs", 1000 },
		{ "ms", 1000000 }, { "s", 1000000000 },
	};
	uint64_t whole = 0, part = 0, scale = 1, unit = 0;
	const char *at = text;
	size_t i;

	if (*at < '0' || *at > '9')
		return "it is not a number with a unit";
	for (; *at >= '0' && *at <= '9'; at++) {
		if (whole > UINT64_MAX / 100)
			return "the number is too large";
		whole = whole * 10 + (uint64_t)(*at - '0');
	}
	if (*at == '.') {
		at++;
		if (*at < '0' || *at > '9')
			return "there is no digit after the point";
		for (; *at >= '0' && *at <= '9'; at++) {
			if (scale >= 1000000000)
				return "it has more than nine digits after the point";
			part = part * 10 + (uint64_t)(*at - '0');
			scale *= 10;
		}
	}
	if (!*at)
		return "it has no unit";
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(at, units[i].name))
			unit = units[i].ns;
	if (!unit)
		return "its unit is not known";
	if (whole > (uint64_t)INT64_MAX / unit - 1)
		return "the number is too large";
	*ns = whole * unit + part * unit / scale;
	return NULL;
}

/* A whole number from 1 to most. */
static int count_parse(const char *text, uint64_t most, uint64_t *value)
{
	uint64_t sum = 0;

	if (!*text)
		return 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || sum > most / 10)
			return 0;
		sum = sum * 10 + (uint64_t)(*text - '0');
	}
	*value = sum;
	return sum > 0 && sum <= most;
}

int ctl_target(struct ctl *ctl, const char *text, struct usched_client_runtime **runtime)
{
	char what[128];
	const char *slash = strchr(text, '/');
	char pid_text[24];
	uint64_t pid, number = 1;
	size_t length = slash ? (size_t)(slash - text) : strlen(text);

	snprintf(pid_text, sizeof(pid_text), "%.*s", (int)(length < 23 ? length : 23), text);
	if (!count_parse(pid_text, INT64_MAX, &pid) ||
	    (slash && !count_parse(slash + 1, UINT32_MAX, &number))) {
		snprintf(what, sizeof(what), "cannot use \"%.64s\" as a target", text);
		return ctl_usage(ctl, what, "a target is a process id, or PID/N for the runtime "
				 "number N of a process that has several",
				 "schedctl list shows the process ids");
	}
	if (pid > INT32_MAX) {
		snprintf(what, sizeof(what), "cannot open process %.64s", text);
		return ctl_error(ctl, CTL_NO_TARGET, NULL, what, "no process has such a large id",
				 "schedctl list shows the runtimes that live");
	}
	if (usched_client_runtime_open(ctl->client, runtime, (uint32_t)pid, (uint32_t)number))
		return ctl_client_error(ctl);
	return 0;
}

/* ---- options ----------------------------------------------------------- */

static int unknown_option(struct ctl *ctl, const char *text, size_t length)
{
	const struct ctl_option *option;
	const char *best = NULL;
	unsigned int least = WORD_MAX;
	char what[128], hint[96], name[WORD_MAX + 1];

	snprintf(what, sizeof(what), "cannot read the option \"%.*s\"", (int)(length < 64 ? length : 64),
		 text);
	snprintf(name, sizeof(name), "%.*s", (int)(length > 2 ? length - 2 : 0), text + (length > 2 ? 2 : 0));
	for (option = ctl_options; name[0] && option->name; option++)
		consider(name, option->name, &best, &least);
	if (best)
		snprintf(hint, sizeof(hint), "did you mean --%s?", best);
	else
		snprintf(hint, sizeof(hint), "schedctl --help lists the options");
	return ctl_usage(ctl, what, "there is no such option", hint);
}

static int set_option(struct ctl *ctl, const struct ctl_option *option, const char *value)
{
	char what[128];
	const char *wrong;

	switch (option->name[0]) {
	case 'j':
		ctl->json = 1;
		break;
	case 's':
		if (!value[0])
			return ctl_usage(ctl, "cannot use the value of --socket",
					 "the name of the directory is empty",
					 "give the directory in which uschedd made control.sock");
		if (strlen(value) > 90)
			return ctl_usage(ctl, "cannot use the value of --socket",
					 "it is longer than 90 bytes, too long for a socket's directory",
					 "give a shorter path, or a symbolic link");
		ctl->directory = value;
		break;
	case 'h':
		ctl->help = 1;
		break;
	case 'v':
		ctl->version = 1;
		break;
	case 'i':
		wrong = ctl_duration_parse(value, &ctl->interval_ns);
		snprintf(what, sizeof(what), "cannot use --interval=%.32s", value);
		if (wrong)
			return ctl_usage(ctl, what, wrong,
					 "give a number with one of the units ns, us, ms, s: 200ms, 1s");
		if (ctl->interval_ns < 10000000 || ctl->interval_ns > UINT64_C(3600000000000))
			return ctl_error(ctl, CTL_RANGE, NULL, what, "it must be from 10ms to 3600s", NULL);
		break;
	case 'c':
		if (!count_parse(value, 1000000000, &ctl->count)) {
			snprintf(what, sizeof(what), "cannot use --count=%.32s", value);
			return ctl_usage(ctl, what, "it must be a whole number from 1 to 1000000000",
					 NULL);
		}
		break;
	case 'd':
		ctl->dry_run = 1;
		break;
	}
	return 0;
}

static int wrong_verb(struct ctl *ctl, const char *text)
{
	const struct ctl_verb *verb;
	const char *best = NULL;
	unsigned int least = WORD_MAX;
	char what[128], hint[96];

	for (verb = ctl_verbs; verb->name; verb++)
		consider(text, verb->name, &best, &least);
	snprintf(what, sizeof(what), "cannot do \"%.64s\"", text);
	if (best)
		snprintf(hint, sizeof(hint), "did you mean %s?", best);
	else
		snprintf(hint, sizeof(hint), "schedctl --help lists the verbs");
	return ctl_usage(ctl, what, "there is no such verb", hint);
}

static int check_verb(struct ctl *ctl, unsigned int used, int count)
{
	const struct ctl_verb *verb = ctl->verb;
	const struct ctl_option *option;
	char what[128], why[128], hint[128];

	for (option = ctl_options; option->name; option++) {
		if (!(option->taken_by & used) || (option->taken_by & verb->takes))
			continue;
		snprintf(what, sizeof(what), "cannot use --%s with %s", option->name, verb->name);
		snprintf(hint, sizeof(hint), "schedctl %s --help shows what it takes", verb->name);
		return ctl_usage(ctl, what, "this verb does not take it", hint);
	}
	if (ctl->help || ctl->version)
		return 0;
	snprintf(hint, sizeof(hint), "usage: schedctl %s%s%s", verb->name,
		 verb->arguments[0] ? " " : "", verb->arguments);
	snprintf(what, sizeof(what), "cannot do %s", verb->name);
	if (count < verb->arguments_min) {
		snprintf(why, sizeof(why), "an argument is missing: it takes %s", verb->arguments);
		return ctl_usage(ctl, what, why, hint);
	}
	if (count > verb->arguments_max) {
		snprintf(why, sizeof(why), verb->arguments_max ? "there are too many arguments" :
			 "it takes no argument");
		return ctl_usage(ctl, what, why, hint);
	}
	return 0;
}

/* The option that an argument names; *value is what follows in the same argument. */
static const struct ctl_option *find(const char *text, size_t *length, const char **value)
{
	const struct ctl_option *option;

	*value = NULL;
	*length = strcspn(text, "=");
	if (text[1] != '-') {
		for (option = ctl_options; option->name; option++)
			if (option->letter && option->letter == text[1]) {
				if (text[2])
					*value = text + 2;
				*length = 2;
				return option;
			}
		return NULL;
	}
	if (text[*length] == '=')
		*value = text + *length + 1;
	for (option = ctl_options; option->name; option++)
		if (strlen(option->name) == *length - 2 && !strncmp(option->name, text + 2, *length - 2))
			return option;
	return NULL;
}

int ctl_parse(struct ctl *ctl, int argc, char **argv, int *count, char ***arguments)
{
	unsigned int used = 0;
	int kept = 0, i, result, plain = 0;

	/* First, so that an error in what follows is printed as wished. */
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j"))
			ctl->json = 1;
	for (i = 1; i < argc; i++) {
		const struct ctl_option *option;
		const char *value;
		char what[96];
		size_t length;

		if (plain || argv[i][0] != '-' || !argv[i][1]) {
			argv[kept++] = argv[i];
			continue;
		}
		if (!strcmp(argv[i], "--")) {
			plain = 1;
			continue;
		}
		option = find(argv[i], &length, &value);
		if (!option)
			return unknown_option(ctl, argv[i], length);
		if (!option->value && value) {
			snprintf(what, sizeof(what), "cannot read \"%.64s\"", argv[i]);
			return ctl_usage(ctl, what, "this option takes no value", NULL);
		}
		if (option->value && !value) {
			if (i + 1 >= argc) {
				snprintf(what, sizeof(what), "cannot use --%s", option->name);
				return ctl_usage(ctl, what, "its value is missing",
						 "schedctl --help shows what it takes");
			}
			value = argv[++i];
		}
		result = set_option(ctl, option, value);
		if (result)
			return result;
		used |= option->taken_by;
	}
	*arguments = argv + 1;
	*count = kept ? kept - 1 : 0;
	if (!kept) {
		if (ctl->help || ctl->version)
			return 0;
		return ctl_usage(ctl, "cannot do anything", "no verb was given",
				 "schedctl --help lists the verbs");
	}
	for (ctl->verb = ctl_verbs; ctl->verb->name; ctl->verb++)
		if (!strcmp(ctl->verb->name, argv[0]))
			return check_verb(ctl, used, *count);
	ctl->verb = NULL;
	if (!strcmp(argv[0], "help") && kept == 1) {
		ctl->help = 1;
		return 0;
	}
	return wrong_verb(ctl, argv[0]);
}
