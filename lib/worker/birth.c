/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and stacks of fibers, through small caches of each worker.
 *
 *	spawn		takes a descriptor and one reservation of a stack: may fail
 *	dispatch	takes a stack slot: cannot fail, since it is reserved
 *	end		gives all three back, to the worker where it ends
 *
 * A cache is its owner's alone and needs no locked instruction. The slots that caches may hold are
 * the slack of usched_stacks_init(); a fiber of another pool bypasses them.
 *
 * The descriptor of a fiber that ends and is freed at once, since somebody waited for it or it was
 * detached, keeps its stack and reservation in the cache of descriptors, for the next spawn. Who stays
 * there until it is joined keeps none.
 */
#include <errno.h>
#include <stddef.h>

#include "base/assert.h"
#include "worker/dispatch.h"

enum { RESERVE_BATCH = 32, CREDITS_MAX = 128, TAKE_BATCH = 32 };

/* Slots lie at powers of two, so the tops of all stacks would share a few sets of the caches.
   They begin a little lower, each at one of 16 places within the first KiB. */
enum { COLOURS = 16, COLOUR_BYTES = 64 };

/* Large stacks are few: keep little of them. */
static uint32_t cache_limit(enum usched_stack class)
{
	return class == USCHED_STACK_LARGE ? USCHED_WORKER_CACHE_LARGE : USCHED_WORKER_CACHE;
}

static int reserve(struct usched_worker *worker, struct usched_pool *pool, enum usched_stack class)
{
	uint32_t batch = class == USCHED_STACK_LARGE ? 1 : RESERVE_BATCH;

	if (!worker || worker->pool != pool)
		return usched_stacks_reserve(&pool->stacks, class, 1);
	if (worker->stack_credits[class] == 0) {
		int error = usched_stacks_reserve(&pool->stacks, class, batch);

		if (error && batch > 1) {
			batch = 1;
			error = usched_stacks_reserve(&pool->stacks, class, 1);
		}
		if (error)
			return error;
		worker->stack_credits[class] = batch;
	}
	worker->stack_credits[class]--;
	return 0;
}

static void unreserve(struct usched_worker *worker, struct usched_pool *pool,
		      enum usched_stack class)
{
	if (!worker || worker->pool != pool) {
		usched_stacks_unreserve(&pool->stacks, class, 1);
		return;
	}
	if (++worker->stack_credits[class] > CREDITS_MAX) {
		worker->stack_credits[class] -= CREDITS_MAX / 2;
		usched_stacks_unreserve(&pool->stacks, class, CREDITS_MAX / 2);
	}
}

__attribute__((noinline))
static int fill_descriptors(struct usched_scheduler *scheduler, struct usched_worker *worker)
{
	int taken = usched_table_take(&scheduler->fibers, worker->descriptors.items, TAKE_BATCH);

	if (taken < 0)
		return taken;
	worker->descriptors.count = (uint32_t)taken;
	return 0;
}

static int take_index(struct usched_scheduler *scheduler, struct usched_worker *worker,
		      uint32_t *index)
{
	int error;

	if (!worker) {
		int taken = usched_table_take(&scheduler->fibers, index, 1);

		return taken < 0 ? taken : 0;
	}
	if (worker->descriptors.count == 0) {
		error = fill_descriptors(scheduler, worker);
		if (error)
			return error;
	}
	*index = worker->descriptors.items[--worker->descriptors.count];
	return 0;
}

/* A slot of its pool, by its own worker or another's. */
static void give_slot(struct usched_worker *worker, struct usched_fiber *fiber)
{
	enum usched_stack class = fiber->stack_class;
	struct usched_worker_cache *cache;

	if (!worker || fiber->pool != worker->pool) {
		usched_stacks_give(&fiber->pool->stacks, class, &fiber->stack_slot, 1);
		return;
	}
	cache = &worker->stacks[class];
	if (cache->count == cache_limit(class)) {
		cache->count -= cache_limit(class) / 2;
		usched_stacks_give(&fiber->pool->stacks, class, &cache->items[cache->count],
				   cache_limit(class) / 2);
	}
	cache->items[cache->count++] = fiber->stack_slot;
}

__attribute__((noinline))
static void drop_stack(struct usched_worker *worker, struct usched_fiber *fiber)
{
	give_slot(worker, fiber);
	unreserve(worker, fiber->pool, fiber->stack_class);
	fiber->has_stack = false;
}

/* Half of a full cache goes back to the table. */
__attribute__((noinline))
static void spill_descriptors(struct usched_scheduler *scheduler, struct usched_worker *worker)
{
	struct usched_worker_cache *cache = &worker->descriptors;
	uint32_t *items = &cache->items[USCHED_WORKER_CACHE / 2];

	for (uint32_t i = 0; i < USCHED_WORKER_CACHE / 2; i++) {
		struct usched_fiber *fiber = usched_table_record(&scheduler->fibers, items[i]);

		if (fiber->has_stack)
			drop_stack(worker, fiber);
	}
	usched_table_give(&scheduler->fibers, items, USCHED_WORKER_CACHE / 2);
	cache->count = USCHED_WORKER_CACHE / 2;
}

static void give_index(struct usched_scheduler *scheduler, struct usched_worker *worker,
		       uint32_t index)
{
	if (!worker) {
		usched_table_give(&scheduler->fibers, &index, 1);
		return;
	}
	if (worker->descriptors.count == USCHED_WORKER_CACHE)
		spill_descriptors(scheduler, worker);
	worker->descriptors.items[worker->descriptors.count++] = index;
}

/* The caller's worker, if it is one of this scheduler. */
static struct usched_worker *own_worker(struct usched_scheduler *scheduler,
					struct usched_carrier *carrier)
{
	return carrier && carrier->scheduler == scheduler ? usched_owned(carrier) : NULL;
}

int usched_fiber_allocate(struct usched_scheduler *scheduler, struct usched_carrier *carrier,
			  struct usched_pool *pool, enum usched_stack class,
			  struct usched_fiber **fiber)
{
	struct usched_worker *worker = own_worker(scheduler, carrier);
	struct usched_fiber *new;
	uint32_t index;
	int error = take_index(scheduler, worker, &index);

	if (error)
		return error;
	new = usched_table_record(&scheduler->fibers, index);
	usched_assert(new != NULL);
	if (new->has_stack && (new->pool != pool || new->stack_class != class))
		drop_stack(worker, new);
	if (!new->has_stack) {
		error = reserve(worker, pool, class);
		if (error) {
			give_index(scheduler, worker, index);
			return error;
		}
	}
	if (new->generation == 0) {		/* a record that was never used is all zero */
		usched_spinlock_init(&new->lock, USCHED_RANK_FIBER);
		new->waiter.fiber = new;
		new->index = index;
	}
	if (++new->generation == 0)
		new->generation = 1;
	new->pool = pool;
	new->stack_class = (uint8_t)class;
	*fiber = new;
	return 0;
}

void usched_fiber_free(struct usched_scheduler *scheduler, struct usched_carrier *carrier,
		       struct usched_fiber *fiber)
{
	struct usched_worker *worker = own_worker(scheduler, carrier);

	if (fiber->has_stack && (!worker || worker->pool != fiber->pool))
		drop_stack(worker, fiber);
	give_index(scheduler, worker, fiber->index);
}

void usched_stack_attach(struct usched_worker *worker, struct usched_fiber *fiber)
{
	enum usched_stack class = fiber->stack_class;
	struct usched_stacks *stacks = &fiber->pool->stacks;

	if (fiber->pool != worker->pool) {
		usched_stacks_take(stacks, class, &fiber->stack_slot, 1);
	} else {
		struct usched_worker_cache *cache = &worker->stacks[class];

		if (cache->count == 0) {
			cache->count = cache_limit(class) / 2;
			usched_stacks_take(stacks, class, cache->items, cache->count);
		}
		fiber->stack_slot = cache->items[--cache->count];
	}
	fiber->has_stack = true;
	usched_stacks_bounds(stacks, class, fiber->stack_slot, &fiber->stack_low,
			     &fiber->stack_top);
	fiber->stack_top = (char *)fiber->stack_top - fiber->stack_slot % COLOURS * COLOUR_BYTES;
}

void usched_stack_retire(struct usched_worker *worker, struct usched_fiber *fiber, bool freed_at_once)
{
	if (!fiber->has_stack)
		unreserve(worker, fiber->pool, fiber->stack_class);	/* the slot was passed on */
	else if (!freed_at_once || fiber->pool != worker->pool ||
		 fiber->stack_class == USCHED_STACK_LARGE)
		drop_stack(worker, fiber);
}
