/* SPDX-License-Identifier: MIT */
/*
 * helper_deny NAME=ERROR... -- PROGRAM ARGUMENTS: run a program in which some system calls fail.
 * Exit code 77: filters do not work here.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "deny.h"

static const struct {
	const char *name;
	long number;
} calls[] = {
	{ "perf_event_open", SYS_perf_event_open },
	{ "timer_create", SYS_timer_create },
	{ "timerfd_create", SYS_timerfd_create },
	{ "membarrier", SYS_membarrier },
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "EPERM", EPERM }, { "ENOSYS", ENOSYS }, { "EAGAIN", EAGAIN }, { "EMFILE", EMFILE },
};

static int parse(const char *text, struct denial *denial)
{
	const char *equals = strchr(text, '=');

	denial->number = -1;
	denial->error = 0;
	for (unsigned int i = 0; equals && i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (strlen(calls[i].name) == (size_t)(equals - text) &&
		    !strncmp(text, calls[i].name, (size_t)(equals - text)))
			denial->number = calls[i].number;
	}
	for (unsigned int i = 0; equals && i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (!strcmp(equals + 1, errors[i].name))
			denial->error = errors[i].error;
	}
	return denial->number < 0 || denial->error == 0;
}

int main(int argc, char **argv)
{
	struct denial denials[DENIALS_MAX];
	unsigned int count = 0;
	int at = 1;

	while (at < argc && strcmp(argv[at], "--") && count < DENIALS_MAX) {
		if (parse(argv[at], &denials[count++])) {
			fprintf(stderr, "helper_deny: not understood: %s\n", argv[at]);
			return 2;
		}
		at++;
	}
	if (at + 1 >= argc)
		return 2;
	if (deny(denials, count)) {
		perror("helper_deny: no filters here");
		return 77;
	}
	execvp(argv[at + 1], argv + at + 1);
	perror(argv[at + 1]);
	return 1;
}
