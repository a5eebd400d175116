/* SPDX-License-Identifier: MIT */
/*
 * schedctl: the table of verbs, and the way from a command line to an exit code.
 */

#include "ctl/ctl.h"

#include <errno.h>
#include <locale.h>

#include "ctl/output.h"

const struct ctl_verb ctl_verbs[] = {
	{ "list", "", "every runtime of this machine",
	  "Merges what the daemon knows with the runtimes that listen on a socket of their own.",
	  0, 0, 0, ctl_verb_list },
	{ "status", "", "how the daemon does",
	  "Needs the daemon.",
	  0, 0, 0, ctl_verb_status },
	{ "show", "PID", "one runtime in words: tick, quantum, attachment, limits",
	  "Lines of key=value, each with what the value means.",
	  0, 1, 1, ctl_verb_show },
	{ "workers", "PID", "its workers: state, queue, what runs, counters",
	  "One line per CPU that the runtime may use.",
	  0, 1, 1, ctl_verb_workers },
	{ "fibers", "PID", "its fibers: state and what each waits for",
	  "The runtime makes the list itself, at one moment.",
	  0, 1, 1, ctl_verb_fibers },
	{ "stat", "PID", "its counters, or with --interval their rates",
	  "Without --interval: totals of each worker since the start. With it: one line per\n"
	  "interval, in events per second over all workers.",
	  CTL_TAKES_INTERVAL | CTL_TAKES_COUNT, 1, 1, ctl_verb_stat },
	{ "set", "PID KEY=VALUE...", "change tunables while the program runs",
	  "Prints the old, the new and the effective value, and waits until every carrier has\n"
	  "it. Times are numbers with a unit: 500us, 2ms.\n"
	  "  quantum=TIME|off|auto     how long a fiber runs while others wait\n"
	  "  quantum.normal=, .high=, .low=   of fibers of a priority; also `default`\n"
	  "  quantum.nodeN=            of the workers of a NUMA node; also `default`\n"
	  "  quantum.fiberID=          of one fiber, ID as `fibers` prints it; also `default`\n"
	  "  auto_min=TIME auto_max=TIME   the bounds of an automatic quantum\n"
	  "  wakeup=TIME|off           so long runs a fiber before one that wakes stops it\n"
	  "  budget=NUMBER|off         library calls without a wait before a fiber yields",
	  CTL_TAKES_DRY_RUN, 2, 1 + CTL_SETTINGS_MAX, ctl_verb_set },
	{ "doctor", "", "which mechanisms this kernel and container give",
	  "Tries each one, with the rights and limits that it has itself, and says what to do to get\n"
	  "the rest. Then it names the runtimes that were refused kernel threads, and why.",
	  0, 0, 0, ctl_verb_doctor },
	{ "version", "", "versions of this program and of the daemon",
	  "A missing daemon is no error here.",
	  0, 0, 0, ctl_verb_version },
	{ "completion", "SHELL", "a completion script for bash, zsh or fish",
	  "For bash: schedctl completion bash > /usr/share/bash-completion/completions/schedctl",
	  0, 1, 1, ctl_verb_completion },
	{ "help", "[VERB]", "this help, or that of a verb",
	  "The same as --help, and VERB --help.",
	  0, 0, 1, NULL },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL },
};

int main(int argc, char **argv)
{
	struct usched_client_options options = USCHED_CLIENT_OPTIONS_INIT;
	struct ctl ctl = { 0 };
	char **arguments;
	int count, code;

	setlocale(LC_CTYPE, "");
	code = ctl_parse(&ctl, argc, argv, &count, &arguments);
	if (code)
		return ctl_finish(&ctl, code);
	if (ctl.help) {
		ctl_help(&ctl);
		return ctl_finish(&ctl, CTL_DONE);
	}
	options.socket_directory = ctl.directory;
	code = usched_client_open(&ctl.client, &options);
	if (code) {
		if (code == -EINVAL)
			code = ctl_usage(&ctl, "cannot use the value of USCHED_SOCKET",
					 "it is longer than 90 bytes, too long for a socket's directory",
					 "give a shorter path, or a symbolic link");
		else
			code = ctl_error(&ctl, CTL_FAILED, NULL, "cannot start",
					 "there is no memory left",
					 "free memory, or raise the limit of this process (ulimit -v)");
		return ctl_finish(&ctl, code);
	}
	if (ctl.version)
		code = ctl_verb_version(&ctl, 0, arguments);
	else
		code = ctl.verb->run(&ctl, count, arguments);
	usched_client_close(ctl.client);
	return ctl_finish(&ctl, code);
}
