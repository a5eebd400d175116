/* SPDX-License-Identifier: MIT */
/* The table of counters; see counters.h. */

#include "ctl/counters.h"

#include <string.h>

#define COUNTER(field) { #field, offsetof(struct usched_client_worker, field) }

const struct ctl_counter ctl_counters[] = {
	COUNTER(dispatches), COUNTER(ticks), COUNTER(tick_deferred), COUNTER(tick_young),
	COUNTER(tick_never), COUNTER(tick_alone), COUNTER(handoffs_direct), COUNTER(handoffs_spare),
	COUNTER(starved), COUNTER(taken), COUNTER(yields), COUNTER(parks), COUNTER(wakes),
	COUNTER(steals), COUNTER(spawned), COUNTER(polls), COUNTER(io_events),
	COUNTER(timers_fired), COUNTER(idle_ns), COUNTER(tick_lost), COUNTER(tick_revoked),
	COUNTER(tick_off), COUNTER(tick_section), COUNTER(tick_grace), COUNTER(tick_yielded),
	COUNTER(tick_notes), COUNTER(tick_urgent), COUNTER(tick_stops), COUNTER(vetoes),
	COUNTER(budget_yields), COUNTER(quantum_changes), COUNTER(taken_urgent), { NULL, 0 },
};

uint64_t ctl_counter(const struct usched_client_worker *worker, const struct ctl_counter *counter)
{
	uint64_t value;

	memcpy(&value, (const char *)worker + counter->offset, sizeof(value));
	return value;
}

void ctl_counters_add(struct usched_client_worker *sum, const struct usched_client_worker *worker)
{
	const struct ctl_counter *counter;

	for (counter = ctl_counters; counter->name; counter++) {
		uint64_t value = ctl_counter(sum, counter) + ctl_counter(worker, counter);

		memcpy((char *)sum + counter->offset, &value, sizeof(value));
	}
}

void ctl_counters_json(json_t *object, const struct usched_client_worker *worker)
{
	const struct ctl_counter *counter;

	for (counter = ctl_counters; counter->name; counter++)
		ctl_json_number(object, counter->name, ctl_counter(worker, counter));
}
