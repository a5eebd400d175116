/* SPDX-License-Identifier: MIT */
/*
 * Whose stack is it? For the report of an overflow; called in a signal handler, only reads.
 */
#include <string.h>

#include "memory/overflow.h"
#include "runtime/runtime.h"

/* The fiber that runs on a slot; NULL: none that can be seen. */
static struct usched_fiber *fiber_on(struct usched_scheduler *scheduler, struct usched_pool *pool,
				     enum usched_stack class, uint32_t slot)
{
	uint32_t limit = usched_table_limit(&scheduler->fibers);

	for (uint32_t index = 1; index < limit; index++) {
		struct usched_fiber *fiber = usched_table_record(&scheduler->fibers, index);
		uint8_t state = atomic_load_explicit(&fiber->state, memory_order_relaxed);

		if (atomic_load_explicit(&fiber->id, memory_order_relaxed) != 0 &&
		    state != USCHED_FIBER_NEW && state != USCHED_FIBER_DONE &&
		    fiber->pool == pool && fiber->stack_class == class && fiber->stack_slot == slot)
			return fiber;
	}
	return NULL;
}

bool usched_whose_stack(void *context, uintptr_t address, struct usched_overflow_found *found)
{
	struct usched_scheduler *scheduler = &((struct usched_runtime *)context)->scheduler;

	for (uint32_t i = 0; i < scheduler->pool_count; i++) {
		struct usched_pool *pool = &scheduler->pools[i];
		struct usched_fiber *fiber;
		void *low, *top;
		uint32_t slot;

		if (!usched_stacks_find(&pool->stacks, address, &found->class, &slot,
					&found->in_guard))
			continue;
		usched_stacks_bounds(&pool->stacks, found->class, slot, &low, &top);
		found->stack_bytes = usched_stacks_slot_bytes(&pool->stacks, found->class);
		found->low = (uintptr_t)low;
		fiber = fiber_on(scheduler, pool, found->class, slot);
		found->fiber = fiber ? atomic_load_explicit(&fiber->id, memory_order_relaxed) : 0;
		found->name[0] = '\0';
		if (fiber)
			memcpy(found->name, fiber->name, sizeof(found->name));
		return true;
	}
	return false;
}
