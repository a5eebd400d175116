/* SPDX-License-Identifier: MIT */
/*
 * All groups, in the order of their runs.
 */
#include <stddef.h>

#include "groups.h"

const struct storm_group *const storm_groups[] = {
	&storm_canary, &storm_malloc, &storm_stdio, &storm_dl, &storm_names, &storm_qsort,
	&storm_exceptions, &storm_regex, &storm_numbers, &storm_sqlite, &storm_zlib, &storm_zstd,
	&storm_exec, NULL,
};
