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
	const uint64_t most = INT64_MAX;
	uint64_t whole = 0, part = 0, scale = 1, unit = 0;
	const char *at = text;
	size_t i;

	if (*at < '0' || *at > '9')
		return "it is not a number with a unit";
	for (; *at >= '0' && *at <= '9'; at++)
		whole = whole < most / 10 ? whole * 10 + (uint64_t)(*at - '0') : most;
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
	*ns = whole < most / unit ? whole * unit + part * unit / scale : most;
	return NULL;
}

int ctl_number_parse(const char *text, uint64_t *value)
{
	uint64_t sum = 0;

	if (!*text)
		return 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		sum = sum < UINT64_MAX / 10 ? sum * 10 + (uint64_t)(*text - '0') : UINT64_MAX;
	}
	*value = sum;
	return 1;
}

int ctl_target(struct ctl *ctl, const char *text, struct usched_client_runtime **runtime)
{
	char what[128];
	const char *slash = strchr(text, '/');
	char pid_text[24];
	uint64_t pid, number = 1;
	size_t length = slash ? (size_t)(slash - text) : strlen(text);

	snprintf(pid_text, sizeof(pid_text), "%.*s", (int)(length < 23 ? length : 23), text);
	if (!ctl_number_parse(pid_text, &pid) || (slash && !ctl_number_parse(slash + 1, &number))) {
		snprintf(what, sizeof(what), "cannot use \"%.64s\" as a target", text);
		return ctl_usage(ctl, what, "a target is a process id, or PID/N for the runtime "
				 "number N of a process that has several",
				 "schedctl list shows the process ids");
	}
	if (!pid || pid > INT32_MAX || !number || number > UINT32_MAX) {
		snprintf(what, sizeof(what), "cannot open process %.64s", text);
		return ctl_error(ctl, CTL_NO_TARGET, NULL, what, !pid || pid > INT32_MAX ?
				 "no process has such an id" :
				 "the runtimes of a process are counted from 1",
				 "schedctl list shows the runtimes that live");
	}
	if (usched_client_runtime_open(ctl->client, runtime, (uint32_t)pid, (uint32_t)number))
		return ctl_client_error(ctl);
	return 0;
}

/* ---- options ----------------------------------------------------------- */

static int unknown_option(struct ctl *ctl, const char *text)
{
	const struct ctl_option *option;
	const char *best = NULL;
	unsigned int least = WORD_MAX;
	char what[128], hint[96], name[WORD_MAX + 1] = "";

	snprintf(what, sizeof(what), "cannot read the option \"%.64s\"", text);
	if (text[1] == '-')
		snprintf(name, sizeof(name), "%s", text + 2);
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
			return ctl_error(ctl, CTL_RANGE, NULL, what, "this interval is out of range",
					 "give from 10ms to 3600s");
		break;
	case 'c':
		snprintf(what, sizeof(what), "cannot use --count=%.32s", value);
		if (!ctl_number_parse(value, &ctl->count))
			return ctl_usage(ctl, what, "it is not a whole number",
					 "give from 1 to 1000000000");
		if (!ctl->count || ctl->count > 1000000000)
			return ctl_error(ctl, CTL_RANGE, NULL, what, "this count is out of range",
					 "give from 1 to 1000000000");
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

static const struct ctl_verb *find_verb(const char *name)
{
	const struct ctl_verb *verb;

	for (verb = ctl_verbs; verb->name; verb++)
		if (!strcmp(verb->name, name))
			return verb;
	return NULL;
}

/* ---- the way through the line ------------------------------------------ */

enum found {
	FOUND_END,
	FOUND_ARGUMENT,		/* walk.text			*/
	FOUND_OPTION,		/* walk.option, walk.value	*/
	FOUND_UNKNOWN,		/* walk.text			*/
	FOUND_SURPLUS,		/* walk.option takes no value	*/
	FOUND_MISSING,		/* walk.option lacks its value	*/
};

struct walk {
	int argc, at;
	char **argv;
	int plain;		/* "--" was passed: the rest are arguments	*/
	const char *letters;	/* what is left of "-jn5"			*/
	const char *text;	/* as it was given				*/
	const char *value;
	const struct ctl_option *option;
	char letter[3];		/* room for text: one letter of several		*/
};

static enum found take_value(struct walk *walk, const char *attached)
{
	walk->value = attached;
	if (!walk->option->value)
		return attached ? FOUND_SURPLUS : FOUND_OPTION;
	if (!attached && walk->at + 1 < walk->argc)
		walk->value = walk->argv[++walk->at];
	return walk->value ? FOUND_OPTION : FOUND_MISSING;
}

static enum found long_option(struct walk *walk)
{
	const char *equals = strchr(walk->text, '=');
	size_t length = equals ? (size_t)(equals - walk->text) - 2 : strlen(walk->text) - 2;

	for (walk->option = ctl_options; walk->option->name; walk->option++)
		if (strlen(walk->option->name) == length &&
		    !strncmp(walk->option->name, walk->text + 2, length))
			return take_value(walk, equals ? equals + 1 : NULL);
	return FOUND_UNKNOWN;
}

/* "-jn5" is -j and -n 5. */
static enum found short_option(struct walk *walk)
{
	char letter = *walk->letters++;
	const char *rest = walk->letters;

	walk->letter[0] = '-';
	walk->letter[1] = letter;
	walk->letter[2] = '\0';
	walk->text = walk->letter;
	for (walk->option = ctl_options; walk->option->name; walk->option++) {
		if (!letter || walk->option->letter != letter)
			continue;
		if (!walk->option->value)
			return take_value(walk, NULL);
		walk->letters = "";
		return take_value(walk, *rest ? rest : NULL);
	}
	return FOUND_UNKNOWN;
}

static enum found next(struct walk *walk)
{
	if (walk->letters && *walk->letters)
		return short_option(walk);
	if (++walk->at >= walk->argc)
		return FOUND_END;
	walk->text = walk->argv[walk->at];
	if (!walk->plain && !strcmp(walk->text, "--")) {
		walk->plain = 1;
		return next(walk);
	}
	if (walk->plain || walk->text[0] != '-' || !walk->text[1])
		return FOUND_ARGUMENT;
	if (walk->text[1] == '-')
		return long_option(walk);
	walk->letters = walk->text + 1;
	return short_option(walk);
}

/* First, so that an error in what comes before it is printed as wished, too. */
static int wants_json(int argc, char **argv)
{
	struct walk walk = { .argc = argc, .argv = argv };
	enum found found;
	int json = 0;

	while ((found = next(&walk)) != FOUND_END)
		json |= found == FOUND_OPTION && walk.option->name[0] == 'j';
	return json;
}

/* `help VERB` is `VERB --help`. */
static int turn_to_help(struct ctl *ctl, int count, char **arguments)
{
	ctl->help = 1;
	ctl->verb = count ? find_verb(arguments[0]) : NULL;
	return count && !ctl->verb ? wrong_verb(ctl, arguments[0]) : 0;
}

int ctl_parse(struct ctl *ctl, int argc, char **argv, int *count, char ***arguments)
{
	struct walk walk = { .argc = argc, .argv = argv };
	unsigned int used = 0;
	enum found found;
	char what[96];
	int kept = 0, result;

	ctl->json = wants_json(argc, argv);
	while ((found = next(&walk)) != FOUND_END) {
		switch (found) {
		case FOUND_ARGUMENT:
			argv[kept++] = argv[walk.at];	/* behind us: never one still to come */
			continue;
		case FOUND_UNKNOWN:
			return unknown_option(ctl, walk.text);
		case FOUND_SURPLUS:
			snprintf(what, sizeof(what), "cannot read \"%.64s\"", walk.text);
			return ctl_usage(ctl, what, "this option takes no value",
					 "leave out what follows the name");
		case FOUND_MISSING:
			snprintf(what, sizeof(what), "cannot use --%s", walk.option->name);
			return ctl_usage(ctl, what, "its value is missing",
					 "schedctl --help shows what it takes");
		case FOUND_OPTION:
		case FOUND_END:
			break;
		}
		result = set_option(ctl, walk.option, walk.value);
		if (result)
			return result;
		used |= walk.option->taken_by;
	}
	*arguments = argv + 1;
	*count = kept ? kept - 1 : 0;
	if (!kept) {
		if (ctl->help || ctl->version)
			return 0;
		return ctl_usage(ctl, "cannot do anything", "no verb was given",
				 "schedctl --help lists the verbs");
	}
	ctl->verb = find_verb(argv[0]);
	if (!ctl->verb)
		return wrong_verb(ctl, argv[0]);
	result = check_verb(ctl, used, *count);
	if (!result && !ctl->help && !ctl->verb->run)
		return turn_to_help(ctl, *count, *arguments);
	return result;
}
