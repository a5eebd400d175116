/* SPDX-License-Identifier: MIT */
/*
 * Options and environment; see options.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/environment.h"
#include "fiber/fiber.h"
#include "runtime/options.h"
#include "shm/message.h"

enum { CARRIERS_DEFAULT = 4096, CARRIERS_LIMIT = 65535, FIBERS_DEFAULT = 1 << 24,
       BUDGET_DEFAULT = 100 };

#define QUANTUM_DEFAULT_NS UINT64_C(2000000)
#define WAKEUP_DEFAULT_NS  UINT64_C(100000)

/* pids.max of the own cgroup (v2), or a large number. */
static uint64_t pids_max(void)
{
	char line[512], path[600], text[32];
	uint64_t limit = UINT64_MAX;
	FILE *file = fopen("/proc/self/cgroup", "re");

	if (!file)
		return limit;
	while (fgets(line, sizeof(line), file)) {
		FILE *max;

		if (strncmp(line, "0::", 3))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/pids.max", line + 3);
		max = fopen(path, "re");
		if (!max)
			continue;
		if (fgets(text, sizeof(text), max) && text[0] >= '0' && text[0] <= '9')
			limit = strtoull(text, NULL, 10);
		fclose(max);
	}
	fclose(file);
	return limit;
}

/* Half of what the process may have: the program needs threads, too. */
static unsigned int carriers_default(void)
{
	uint64_t most = CARRIERS_DEFAULT;
	struct rlimit limit;
	uint64_t pids = pids_max();

	if (getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    limit.rlim_cur / 2 < most)
		most = limit.rlim_cur / 2;
	if (pids != UINT64_MAX && pids / 2 < most)
		most = pids / 2;
	return most < 8 ? 8 : (unsigned int)most;
}

static int refuse(const char *what)
{
	fprintf(stderr, "usched: cannot start a runtime: %s\n", what);
	return -EINVAL;
}

static int parse_signal(const char *text, int *signal)
{
	/* Raised by faults and by abort(), by the end of children, or with a meaning that no
	   handler can stand in for: they stop and continue the process, or cannot be caught. */
	static const int unfit[] = {
		SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT, SIGCHLD,
		SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP, SIGKILL,
	};
	char *end;
	long number = strtol(text, &end, 10);

	if (!*text || *end) {
		number = 0;
		if (!strncmp(text, "SIG", 3))
			text += 3;
		for (int i = 1; i < SIGRTMIN; i++) {
			const char *name = sigabbrev_np(i);

			if (name && !strcmp(name, text))
				number = i;
		}
	}
	if (number <= 0 || number >= SIGRTMIN)
		return -EINVAL;
	for (unsigned int i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++) {
		if (unfit[i] == number)
			return -EINVAL;
	}
	*signal = (int)number;
	return 0;
}

static int read_environment(struct usched_settings *settings)
{
	static const char *const ticks[] = { "auto", "perf", "timer", "timerfd", NULL };
	static const char *const guards[] = { "auto", "madvise", "mprotect", NULL };
	static const char *const membarriers[] = { "auto", "off", NULL };
	char error[USCHED_ENVIRONMENT_ERROR_BYTES];
	unsigned int choice;
	uint64_t value;
	const char *text;
	int found;

	text = getenv("USCHED_QUANTUM");
	if (text && strcmp(text, "auto") == 0)
		settings->quantum_ns = USCHED_QUANTUM_AUTO;
	else if (usched_environment_duration("USCHED_QUANTUM", true, USCHED_QUANTUM_MIN_NS,
					     USCHED_QUANTUM_MAX_NS, &settings->quantum_ns,
					     error) < 0)
		return refuse(error);
	found = usched_environment_integer("USCHED_QUANTUM_FLOOR_NS", 1000, USCHED_QUANTUM_MAX_NS,
					   &settings->quantum_floor_ns, error);
	if (found < 0)
		return refuse(error);
	found = usched_environment_duration("USCHED_WAKEUP", true, USCHED_WAKEUP_MIN_NS,
					    USCHED_QUANTUM_MAX_NS, &settings->wakeup_ns, error);
	if (found < 0)
		return refuse(error);
	found = usched_environment_integer("USCHED_BUDGET", 0, USCHED_BUDGET_MAX, &value, error);
	if (found < 0)
		return refuse(error);
	if (found)
		settings->budget = (uint32_t)value;
	found = usched_environment_integer("USCHED_WORKERS", 1, 1024, &value, error);
	if (found < 0)
		return refuse(error);
	if (found)
		settings->workers = (unsigned int)value;
	found = usched_environment_integer("USCHED_CARRIERS_MAX", 2, CARRIERS_LIMIT, &value, error);
	if (found < 0)
		return refuse(error);
	if (found)
		settings->carriers_max = (unsigned int)value;
	found = usched_environment_choice("USCHED_TICK", ticks, &choice, error);
	if (found < 0)
		return refuse(error);
	if (found)
		settings->tick = (enum usched_tick)choice;
	found = usched_environment_choice("USCHED_GUARD", guards, &choice, error);
	if (found < 0)
		return refuse(error);
	if (found)
		settings->guard = (enum usched_guard)choice;
	found = usched_environment_choice("USCHED_MEMBARRIER", membarriers, &choice, error);
	if (found < 0)
		return refuse(error);
	if (found)
		settings->membarrier = choice == 0;
	found = usched_environment_integer("USCHED_EMBEDDED", 0, 1, &value, error);
	if (found < 0)
		return refuse(error);
	if (found)
		settings->embedded = value == 1;
	text = secure_getenv("USCHED_SIGNAL");
	if (text && *text && parse_signal(text, &settings->signal))
		return refuse("USCHED_SIGNAL is no signal that ticks can use; give a name such as SIGURG or SIGUSR1, or its number (none that is real-time, raised by a fault, or stops a process)");
	text = secure_getenv("USCHED_SOCKET");
	if (text && strlen(text) > USCHED_DIRECTORY_MAX)
		return refuse("USCHED_SOCKET is longer than 90 bytes, too long for a socket's directory; give a shorter path, or a symbolic link");
	if (text && *text)
		settings->socket_directory = text;
	return 0;
}

static int check_ranges(const struct usched_settings *settings)
{
	uint64_t least_ns = settings->quantum_floor_ns < USCHED_QUANTUM_MIN_NS ?
			    settings->quantum_floor_ns : USCHED_QUANTUM_MIN_NS;

	if (settings->quantum_ns != USCHED_QUANTUM_OFF &&
	    settings->quantum_ns != USCHED_QUANTUM_AUTO &&
	    (settings->quantum_ns < least_ns || settings->quantum_ns > USCHED_QUANTUM_MAX_NS))
		return refuse("quantum_ns is out of range; give USCHED_QUANTUM_OFF, _AUTO, or from 100us to 1s");
	if (settings->wakeup_ns != USCHED_WAKEUP_OFF &&
	    (settings->wakeup_ns < USCHED_WAKEUP_MIN_NS ||
	     settings->wakeup_ns > USCHED_QUANTUM_MAX_NS))
		return refuse("wakeup_ns is out of range; give USCHED_WAKEUP_OFF, or from 20us to 1s");
	if (settings->budget > USCHED_BUDGET_MAX)
		return refuse("budget is above 1,000,000,000; give USCHED_BUDGET_OFF for no limit");
	if (settings->tick > USCHED_TICK_TIMERFD)
		return refuse("tick is no enum usched_tick");
	if (settings->workers > 1024)
		return refuse("workers is above 1024");
	if (settings->carriers_max > CARRIERS_LIMIT)
		return refuse("carriers_max is above 65,535");
	if (settings->fibers_max > USCHED_FIBERS_MAX)
		return refuse("fibers_max is above 67,108,863");
	if (strlen(settings->socket_directory) > USCHED_DIRECTORY_MAX)
		return refuse("socket_directory is longer than 90 bytes, too long for a socket's directory; give a shorter path, or a symbolic link");
	return 0;
}

int usched_settings_read(struct usched_settings *settings,
			 const struct usched_runtime_options *given)
{
	static const struct usched_runtime_options defaults = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime_options options = defaults;
	int error;

	if (given) {
		/* An older program's structure is shorter: the rest keeps its defaults. */
		if (given->size < offsetof(struct usched_runtime_options, workers))
			return refuse("options->size is not set; use USCHED_RUNTIME_OPTIONS_INIT");
		memcpy(&options, given,
		       given->size < sizeof(options) ? given->size : sizeof(options));
	}
	if (options.flags & ~USCHED_RUNTIME_EMBEDDED)
		return refuse("flags has bits that this version does not know");
	memset(settings, 0, sizeof(*settings));
	snprintf(settings->name, sizeof(settings->name), "%s",
		 options.name ? options.name : program_invocation_short_name);
	settings->workers = options.workers;
	settings->embedded = options.flags & USCHED_RUNTIME_EMBEDDED;
	settings->quantum_ns = options.quantum_ns == USCHED_QUANTUM_DEFAULT ? QUANTUM_DEFAULT_NS :
			       options.quantum_ns;
	settings->quantum_floor_ns = UINT64_MAX;
	settings->wakeup_ns = options.wakeup_ns == USCHED_WAKEUP_DEFAULT ? WAKEUP_DEFAULT_NS :
			      options.wakeup_ns;
	settings->budget = options.budget == USCHED_BUDGET_DEFAULT ? BUDGET_DEFAULT :
			   options.budget;
	settings->tick = options.tick;
	settings->carriers_max = options.carriers_max ? options.carriers_max : carriers_default();
	settings->fibers_max = options.fibers_max ? options.fibers_max : FIBERS_DEFAULT;
	settings->socket_directory = options.socket_directory ? options.socket_directory :
				     "/run/usched";
	settings->guard = USCHED_GUARD_AUTO;
	settings->signal = SIGURG;
	settings->membarrier = true;
	/* First the environment: it may lower what the options are checked against. */
	error = read_environment(settings);
	if (!error)
		error = check_ranges(settings);
	return error;
}
