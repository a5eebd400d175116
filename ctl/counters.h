/* SPDX-License-Identifier: MIT */
#ifndef CTL_COUNTERS_H
#define CTL_COUNTERS_H

/*
 * The counters of a worker by name, so that totals, rates and JSON are loops over one table.
 */

#include <stddef.h>
#include <stdint.h>

#include <usched/client.h>

#include "ctl/output.h"

struct ctl_counter {
	const char *name;	/* in JSON			*/
	size_t offset;		/* in usched_client_worker	*/
};

extern const struct ctl_counter ctl_counters[];	/* ends with a NULL name */

/** ctl_counter() - one counter of a worker. */
uint64_t ctl_counter(const struct usched_client_worker *worker, const struct ctl_counter *counter);

/** ctl_counters_add() - add all counters of @worker to @sum. */
void ctl_counters_add(struct usched_client_worker *sum, const struct usched_client_worker *worker);

/** ctl_counters_json() - all counters as fields of @object. */
void ctl_counters_json(json_t *object, const struct usched_client_worker *worker);

#endif /* CTL_COUNTERS_H */
