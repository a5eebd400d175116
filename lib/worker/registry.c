/* SPDX-License-Identifier: MIT */
/*
 * The runtimes of the process; see registry.h. Numbers are given round-robin, so that a stale handle
 * of a runtime that is gone meets no fiber of the next one for as long as possible.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "fiber/fiber.h"
#include "worker/registry.h"

static _Atomic(struct usched_scheduler *) runtimes[USCHED_RUNTIMES_MAX + 1];
static _Atomic uint32_t last_number;	/* relaxed: only spreads the numbers */

int usched_registry_add(struct usched_scheduler *scheduler, uint32_t *number)
{
	uint32_t start = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed);

	for (uint32_t i = 0; i < USCHED_RUNTIMES_MAX; i++) {
		uint32_t candidate = (start + i) % USCHED_RUNTIMES_MAX + 1;
		struct usched_scheduler *none = NULL;

		if (atomic_compare_exchange_strong_explicit(&runtimes[candidate], &none, scheduler,
							    memory_order_release, /* -> find */
							    memory_order_relaxed)) {
			*number = candidate;
			return 0;
		}
	}
	return -EMFILE;
}

void usched_registry_remove(uint32_t number)
{
	atomic_store_explicit(&runtimes[number], NULL, memory_order_release);
}

void usched_registry_forget(void)
{
	for (uint32_t number = 1; number <= USCHED_RUNTIMES_MAX; number++)
		usched_registry_remove(number);
}

struct usched_scheduler *usched_registry_find(unsigned int number)
{
	if (number == 0 || number > USCHED_RUNTIMES_MAX)
		return NULL;
	return atomic_load_explicit(&runtimes[number], memory_order_acquire);	/* <- add */
}
