/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_STORM_GROUPS_H
#define USCHED_TESTS_STORM_GROUPS_H

/* The groups; each is in the file that has its library. */

#include "storm.h"

extern const struct storm_group storm_canary;
extern const struct storm_group storm_malloc, storm_stdio;
extern const struct storm_group storm_qsort, storm_regex, storm_numbers;
extern const struct storm_group storm_dl, storm_names, storm_exec;
extern const struct storm_group storm_exceptions;
extern const struct storm_group storm_sqlite;
extern const struct storm_group storm_zlib, storm_zstd;

#endif /* USCHED_TESTS_STORM_GROUPS_H */
