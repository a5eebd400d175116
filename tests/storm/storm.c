/* SPDX-License-Identifier: MIT */
/*
 * The storm's options, the order of its runs, its result; see storm.h.
 */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storm.h"

enum {
	ERRORS_SAID = 20,
	SILENT_ROUNDS = 3,
};

_Atomic uint64_t storm_progress, storm_errors;

#define ROUND_SECONDS 0.4	/* of a group, after the first round */

static char folder[64];

const char *storm_folder(void)
{
	return folder;
}

const char *storm_mode_name(enum usched_preempt mode)
{
	static const char *const names[] = {
		[USCHED_PREEMPT_HANDOFF] = "handoff", [USCHED_PREEMPT_NEVER] = "never",
		[USCHED_PREEMPT_YIELD] = "yield",
	};

	return names[mode];
}

void storm_fail(const struct storm_fiber *fiber, const char *file, int line, const char *format,
		...)
{
	char text[512];
	int used;
	va_list arguments;

	if (atomic_fetch_add(&storm_errors, 1) >= ERRORS_SAID)
		return;
	used = snprintf(text, sizeof(text), "storm: FAIL group %s, mode %s, fiber %d of %s: ",
			storm_run.group ? storm_run.group->name : "none",
			storm_mode_name(storm_run.mode), fiber ? (int)fiber->number : -1,
			fiber ? fiber->group->name : "none");
	va_start(arguments, format);
	used += vsnprintf(text + used, sizeof(text) - (size_t)used, format, arguments);
	va_end(arguments);
	if (used < (int)sizeof(text))
		used += snprintf(text + used, sizeof(text) - (size_t)used, " (%s:%d)\n", file, line);
	if (used > (int)sizeof(text) - 1)
		used = (int)sizeof(text) - 1;
	(void)!write(STDERR_FILENO, text, (size_t)used);
}

static const char usage[] =
	"Usage: storm [options]\n"
	"\n"
	"Runs libraries in many fibers on two workers, in a storm of ticks, and checks their results.\n"
	"\n"
	"  --seconds N     how long in all, shared out over modes and groups (60)\n"
	"  --mode M        handoff, never or yield alone; may be given more than once\n"
	"  --only GROUP    this group alone; may be given more than once\n"
	"  --least N       how often each row of the decision table must be taken in each mode (1000)\n"
	"  --seed N        of the random numbers (1)\n"
	"  --ticks T       auto, perf, posix or timerfd\n"
	"  --fibers N      of a group at most; without it as many as the group has\n"
	"  --quantum NS    the shortest quantum, in nanoseconds\n"
	"  --list          print the groups\n"
	"  -h, --help      show this help\n"
	"\n"
	"Exit codes: 0 all was right, 1 something was not, 2 usage.\n";

static const struct option options[] = {
	{ "seconds", required_argument, NULL, 's' },
	{ "mode", required_argument, NULL, 'm' },
	{ "only", required_argument, NULL, 'o' },
	{ "least", required_argument, NULL, 'l' },
	{ "seed", required_argument, NULL, 'r' },
	{ "ticks", required_argument, NULL, 't' },
	{ "fibers", required_argument, NULL, 'f' },
	{ "quantum", required_argument, NULL, 'q' },
	{ "list", no_argument, NULL, 'L' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

enum { GROUPS_MAX = 32, MODES = USCHED_PREEMPT_YIELD + 1 };

static double seconds = 60;
static uint64_t least = 1000;
static bool wanted_modes[MODES], some_modes;
static bool wanted_groups[GROUPS_MAX], some_groups;

static int refuse(const char *option, const char *value)
{
	fprintf(stderr, "storm: --%s %s is not known; storm --help lists what is\n", option, value);
	return 2;
}

static int choose(const char *option, const char *value, bool *chosen, bool *some,
		  const char *(*name)(unsigned int))
{
	for (unsigned int i = 0; name(i); i++) {
		if (!strcmp(name(i), value)) {
			chosen[i] = *some = true;
			return 0;
		}
	}
	return refuse(option, value);
}

static const char *group_name(unsigned int i)
{
	return storm_groups[i] ? storm_groups[i]->name : NULL;
}

static const char *mode_name(unsigned int i)
{
	return i < MODES ? storm_mode_name((enum usched_preempt)i) : NULL;
}

static int number(const char *option, const char *value, double least_value, double *result)
{
	char *end;

	*result = strtod(value, &end);
	return *end || end == value || !(*result >= least_value) ? refuse(option, value) : 0;
}

/* 0 go on, -1 done, or an exit code. */
static int read_options(int argc, char **argv)
{
	static const char *const ticks[] = { "auto", "perf", "posix", "timerfd" };
	double value;
	int option, error = 0;

	while (!error && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 's':
			error = number("seconds", optarg, 0, &seconds);
			break;
		case 'm':
			error = choose("mode", optarg, wanted_modes, &some_modes, mode_name);
			break;
		case 'o':
			error = choose("only", optarg, wanted_groups, &some_groups, group_name);
			break;
		case 'l':
			error = number("least", optarg, 0, &value);
			least = (uint64_t)value;
			break;
		case 'r':
			error = number("seed", optarg, 0, &value);
			storm_settings.seed = (uint64_t)value;
			break;
		case 'f':
			error = number("fibers", optarg, 1, &value);
			if (!error && value < storm_settings.fibers_max)
				storm_settings.fibers_max = (unsigned int)value;
			break;
		case 'q':
			error = number("quantum", optarg, 1000, &value);
			storm_settings.quantum_min_ns = (uint64_t)value;
			break;
		case 't':
			error = 2;
			for (unsigned int i = 0; i < 4; i++) {
				if (!strcmp(optarg, ticks[i])) {
					storm_settings.ticks = (enum usched_tick)i;
					error = 0;
				}
			}
			if (error)
				refuse("ticks", optarg);
			break;
		case 'L':
			for (unsigned int i = 0; storm_groups[i]; i++)
				puts(storm_groups[i]->name);
			return -1;
		case 'h':
			fputs(usage, stdout);
			return -1;
		default:
			error = 2;
		}
	}
	if (!error && optind < argc)
		error = refuse("", argv[optind]);
	return error;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static void make_folder(void)
{
	const char *temporary = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/storm.XXXXXX",
		 temporary && strlen(temporary) < 40 ? temporary : "/tmp");
	if (!mkdtemp(folder)) {
		fprintf(stderr, "storm: %s cannot be made: %s\n", folder, strerror(errno));
		exit(1);
	}
}

static bool left_out[GROUPS_MAX];

/* Once with few carriers and once with many. */
static uint64_t run_both(unsigned int group, enum usched_preempt mode, double each)
{
	uint64_t sum = 0, begin_ns = usched_now();
	const char *why;

	if (left_out[group] || (some_groups && !wanted_groups[group]))
		return 0;
	for (unsigned int i = 0; i < 2; i++) {
		sum += storm_run_once(storm_groups[group], mode, each / 2,
				      i == 0, &why);
		if (why) {
			printf("left out: %s: %s\n", storm_groups[group]->name, why);
			left_out[group] = true;
			return 0;
		}
	}
	printf("%-10s %-8s %10llu operations in %.1f s\n", storm_groups[group]->name,
	       storm_mode_name(mode), (unsigned long long)sum,
	       (double)(usched_now() - begin_ns) / 1e9);
	fflush(stdout);
	return sum;
}

/*
 * All groups in one mode; then again as long as a row is short, and a few rounds longer when it does
 * not move. Return: the row that stayed short, or NULL.
 */
static const char *run_mode(enum usched_preempt mode, double each, uint64_t *operations)
{
	const char *row = "", *before = NULL;
	uint64_t taken = 0, taken_before = 0;
	unsigned int silent = 0;

	while (row && silent < SILENT_ROUNDS) {
		for (unsigned int i = 0; storm_groups[i]; i++)
			*operations += run_both(i, mode, each);
		row = storm_rows_short(mode, least, &taken);
		silent = row == before && taken == taken_before ? silent + 1 : 0;
		before = row;
		taken_before = taken;
		if (each < ROUND_SECONDS)
			each = ROUND_SECONDS;
	}
	if (row)
		printf("storm: FAIL mode %s: row \"%s\" was taken %llu times, expected %llu\n",
		       storm_mode_name(mode), row, (unsigned long long)taken,
		       (unsigned long long)least);
	return row;
}

int main(int argc, char **argv)
{
	unsigned int groups = 0, modes = 0, rows_short = 0;
	uint64_t operations = 0;
	double each;
	int error = read_options(argc, argv);

	if (error)
		return error < 0 ? 0 : error;
	for (int i = 0; i < argc; i++)
		snprintf(storm_command + strlen(storm_command),
			 sizeof(storm_command) - strlen(storm_command), "%s ", argv[i]);
	for (unsigned int i = 0; storm_groups[i]; i++)
		groups += !some_groups || wanted_groups[i];
	for (unsigned int mode = 0; mode < MODES; mode++)
		modes += !some_modes || wanted_modes[mode];
	each = seconds / groups / modes;
	make_folder();
	storm_watch_start();
	storm_weather_init();
	error = USCHED_CODE_ADD();
	if (error) {
		fprintf(stderr, "storm: code cannot be declared: %s\n", strerror(-error));
		return 1;
	}
	for (unsigned int mode = 0; mode < MODES; mode++) {
		if (!some_modes || wanted_modes[mode])
			rows_short += run_mode(mode, each, &operations) != NULL;
	}
	storm_rows_print();
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	printf("storm: %s: %u modes, %llu operations, %llu ticks raised, %llu CPUs revoked, "
	       "%u rows short, %llu errors\n",
	       storm_errors || rows_short ? "FAIL" : "ok", modes, (unsigned long long)operations,
	       (unsigned long long)storm_raised, (unsigned long long)storm_revoked, rows_short,
	       (unsigned long long)storm_errors);
	return storm_errors || rows_short;
}
