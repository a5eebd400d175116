/* SPDX-License-Identifier: MIT */
#ifndef USCHED_RUNTIME_OPTIONS_H
#define USCHED_RUNTIME_OPTIONS_H

/*
 * What a runtime is made with: the program's options, over which the environment has the last word,
 * so that an operator can change a program without rebuilding it. usched(7) lists the variables.
 */

#include <stdbool.h>

#include <usched/usched.h>

#include "memory/guard.h"


struct usched_settings {
	char name[USCHED_NAME_MAX];
	unsigned int workers;		/* 0: as many as the CPUs allow		*/
	bool embedded;
	uint64_t quantum_ns;
	uint64_t quantum_floor_ns;	/* UINT64_MAX: measure it		*/
	uint64_t wakeup_ns;
	uint32_t budget;		/* 0: no limit				*/
	enum usched_tick tick;
	unsigned int carriers_max;
	uint32_t fibers_max;
	const char *socket_directory;
	enum usched_guard guard;
	int signal;
	bool membarrier;
};

/**
 * usched_settings_read() - check the options, then the environment
 * @options:	NULL for the defaults
 *
 * Return:	0; -EINVAL: a message on stderr says what, why, and what is allowed
 */
int usched_settings_read(struct usched_settings *settings,
			 const struct usched_runtime_options *options);

#endif /* USCHED_RUNTIME_OPTIONS_H */
