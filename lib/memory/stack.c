/* SPDX-License-Identifier: MIT */
/*
 * Stack slabs; see the header.
 *
 * Guards are made in small batches as capacity grows, not with the slab (a slab of 64 MiB holds
 * 4,096 small stacks, and a guard costs 0.6 us and page tables) and not when a slot is taken (that
 * must not fail).
 */
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "memory/stack.h"
#include "memory/topology.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum {
	KIB = 1024,
	MIB = 1024 * KIB,
	SLAB_FIRST_BYTES = 64 * MIB,
	SLAB_DOUBLINGS = 4,		/* 64 MiB << 4 = 1 GiB			*/
	TRIM_BATCH = 8,			/* madvise calls under the lock: 20 us	*/
	SIGNAL_FRAME_MIN_BYTES = 2048,	/* what old kernels do not tell		*/
};

/* Guards made at one time: address space of 1 MiB to 32 MiB. */
static const uint32_t guard_batch[USCHED_STACK_CLASSES] = {
	[USCHED_STACK_DEFAULT] = 64, [USCHED_STACK_SMALL] = 64, [USCHED_STACK_LARGE] = 4,
};

static const char refusal_limit[] =
	"the limit on stacks of this class is reached; let fibers end first, or raise fibers_max";
static const char refusal_address[] =
	"the kernel gives no more address space; raise the limit (ulimit -v, vm.overcommit_memory) "
	"or use a smaller stack class";
static const char refusal_guards[] =
	"no more guard pages fit into vm.max_map_count; raise it, use fewer fibers, "
	"or a kernel from 6.13 on";
static const char refusal_tables[] =
	"the kernel has no memory for the page tables of guards; let fibers end first, "
	"or give the process more memory";

static uint32_t log2_of(uint64_t value)
{
	return 63 - (uint32_t)__builtin_clzll(value);
}

static size_t power_of_two(size_t bytes)
{
	return (bytes & (bytes - 1)) == 0 ? bytes : (size_t)2 << log2_of(bytes);
}

/* Two signal frames (the tick's, and a foreign handler's within it) and 4 KiB of work must fit. */
static size_t small_slot_bytes(size_t page)
{
	size_t frame = getauxval(AT_MINSIGSTKSZ);
	size_t least = 16 * KIB;

	if (frame < SIGNAL_FRAME_MIN_BYTES)
		frame = SIGNAL_FRAME_MIN_BYTES;
	/* A sanitizer's frames and its handlers take several times as much. */
	if (USCHED_ASAN || USCHED_TSAN)
		least = 64 * KIB;
	if (2 * frame + 4 * KIB + page > least)
		least = 2 * frame + 4 * KIB + page;
	return power_of_two(least);
}

/*
 * Slabs in units of the first one: slab k has 2^k units for k up to SLAB_DOUBLINGS, and as many as
 * the last of these from then on. Slabs begin at unit 0, 1, 3, 7, 15, 31, 47, 63...
 */
static uint32_t slab_of_unit(uint32_t unit)
{
	const uint32_t growing = (2u << SLAB_DOUBLINGS) - 1;

	if (unit < growing)
		return log2_of(unit + 1);
	return SLAB_DOUBLINGS + 1 + ((unit - growing) >> SLAB_DOUBLINGS);
}

static uint32_t first_unit(uint32_t slab)
{
	if (slab <= SLAB_DOUBLINGS)
		return (1u << slab) - 1;
	return (2u << SLAB_DOUBLINGS) - 1 + ((slab - SLAB_DOUBLINGS - 1) << SLAB_DOUBLINGS);
}

static uint32_t units_of(uint32_t slab)
{
	return 1u << (slab < SLAB_DOUBLINGS ? slab : SLAB_DOUBLINGS);
}

static uint32_t slab_first_slot(const struct usched_stacks_class *c, uint32_t slab)
{
	return first_unit(slab) << c->first_shift;
}

static size_t slab_bytes(const struct usched_stacks_class *c, uint32_t slab)
{
	return ((size_t)units_of(slab) << c->first_shift) * c->slot_bytes;
}

/* Lowest byte of a slot: its guard. The slot is below capacity. */
static unsigned char *slot_base(const struct usched_stacks_class *c, uint32_t slot)
{
	uint32_t slab = slab_of_unit(slot >> c->first_shift);
	/* Relaxed: whoever got the slot's number came after [A]. */
	uintptr_t base = atomic_load_explicit(&c->slabs[slab], memory_order_relaxed);

	return (unsigned char *)base + (size_t)(slot - slab_first_slot(c, slab)) * c->slot_bytes;
}

/* Zero pages that cost nothing until they are touched. */
static void *map(size_t bytes, int flags)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void class_destroy(struct usched_stacks_class *c)
{
	uint32_t count = atomic_load_explicit(&c->slab_count, memory_order_acquire);	/* [A] */

	for (uint32_t i = 0; i < count; i++)
		munmap((void *)atomic_load_explicit(&c->slabs[i], memory_order_relaxed),
		       slab_bytes(c, i));
	usched_guard_return(c->charged);
	if (c->slabs != NULL)
		munmap((void *)c->slabs, c->slabs_max * sizeof(*c->slabs));
	if (c->free_slots != NULL)
		munmap(c->free_slots, (size_t)c->maximum * sizeof(uint32_t));
	c->slabs = NULL;
	c->free_slots = NULL;
}

static int class_init(struct usched_stacks_class *c, size_t slot_bytes, size_t page,
		      uint32_t stacks_max, uint32_t slack)
{
	c->slot_bytes = slot_bytes;
	c->guard_bytes = page;
	c->maximum = stacks_max + slack;
	c->slack = slack;
	c->first_shift = log2_of(SLAB_FIRST_BYTES / slot_bytes);
	c->slabs_max = slab_of_unit((c->maximum - 1) >> c->first_shift) + 1;
	atomic_init(&c->capacity, 0);
	atomic_init(&c->slab_count, 0);
	atomic_init(&c->reserved, 0);
	usched_spinlock_init(&c->growth_lock, USCHED_RANK_STACK);
	c->mapped = 0;
	c->charged = 0;
	usched_spinlock_init(&c->lock, USCHED_RANK_STACK);
	c->free_count = 0;
	c->next_fresh = 0;
	c->trimmed = 0;

	c->slabs = map(c->slabs_max * sizeof(*c->slabs), 0);
	c->free_slots = map((size_t)c->maximum * sizeof(uint32_t), 0);
	return c->slabs != NULL && c->free_slots != NULL ? 0 : -ENOMEM;
}

int usched_stacks_init(struct usched_stacks *stacks, const struct usched_stacks_options *options)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t slot_bytes[USCHED_STACK_CLASSES] = {
		[USCHED_STACK_SMALL] = small_slot_bytes(page),
		[USCHED_STACK_DEFAULT] = 256 * KIB,
		[USCHED_STACK_LARGE] = 8 * MIB,
	};
	int r;

	usched_assert(options->guard != USCHED_GUARD_AUTO);
	stacks->guard = options->guard;
	stacks->node = options->node;
	atomic_init(&stacks->refusal, NULL);

	for (unsigned int i = 0; i < USCHED_STACK_CLASSES; i++) {
		usched_assert(options->stacks_max > 0 && options->stacks_max < UINT32_C(1) << 31);
		usched_assert(options->slack[i] < UINT32_C(1) << 30);
		r = class_init(&stacks->classes[i], slot_bytes[i], page, options->stacks_max,
			       options->slack[i]);
		if (r < 0) {
			for (unsigned int j = 0; j <= i; j++)
				class_destroy(&stacks->classes[j]);
			return r;
		}
	}
	return 0;
}

void usched_stacks_destroy(struct usched_stacks *stacks)
{
	for (unsigned int i = 0; i < USCHED_STACK_CLASSES; i++)
		class_destroy(&stacks->classes[i]);
}

static int refuse(struct usched_stacks *stacks, int error, const char *why)
{
	/* Relaxed: a constant text; which of two refusals is the last one does not matter. */
	atomic_store_explicit(&stacks->refusal, why, memory_order_relaxed);
	return error;
}

const char *usched_stacks_refusal(const struct usched_stacks *stacks)
{
	return atomic_load_explicit(&stacks->refusal, memory_order_relaxed);	/* as above */
}

/* One more slab. Needs growth_lock. */
static int add_slab_locked(struct usched_stacks *stacks, struct usched_stacks_class *c)
{
	/* Relaxed: written under growth_lock only. */
	uint32_t slab = atomic_load_explicit(&c->slab_count, memory_order_relaxed);
	size_t bytes = slab_bytes(c, slab);
	void *base;

	usched_assert(slab < c->slabs_max);
	base = map(bytes, MAP_STACK);
	if (base == NULL)
		return refuse(stacks, -ENOMEM, refusal_address);

	/* One 2 MiB page would hold 128 small stacks of which one is in use. A kernel without huge
	   pages refuses the advice, which is as good. */
	madvise(base, bytes, MADV_NOHUGEPAGE);
	usched_topology_prefer_node(stacks->node, base, bytes);

	atomic_store_explicit(&c->slabs[slab], (uintptr_t)base, memory_order_relaxed);
	atomic_store_explicit(&c->slab_count, slab + 1, memory_order_release);	/* [A] */
	c->mapped += units_of(slab) << c->first_shift;
	return 0;
}

/* Makes capacity reach @needed. */
static int grow(struct usched_stacks *stacks, enum usched_stack class, uint32_t needed)
{
	struct usched_stacks_class *c = &stacks->classes[class];
	uint32_t capacity;
	int r = 0;

	usched_spinlock_lock(&c->growth_lock);
	/* Relaxed: written under growth_lock only. */
	capacity = atomic_load_explicit(&c->capacity, memory_order_relaxed);
	while (capacity < needed) {
		uint32_t batch = guard_batch[class];

		if (capacity == c->mapped) {
			r = add_slab_locked(stacks, c);
			if (r < 0)
				break;
		}
		if (batch < needed - capacity)
			batch = needed - capacity;
		/* Slots of one batch are neighbours, hence of one slab. */
		if (batch > c->mapped - capacity)
			batch = c->mapped - capacity;
		r = usched_guard_install(stacks->guard, slot_base(c, capacity), c->guard_bytes,
					 c->slot_bytes, batch, &c->charged);
		if (r < 0) {
			r = refuse(stacks, r, usched_guard_left() == 0 ? refusal_guards
								       : refusal_tables);
			break;
		}
		capacity += (uint32_t)r;
		r = 0;
		atomic_store_explicit(&c->capacity, capacity, memory_order_release);	/* [A] */
	}
	usched_spinlock_unlock(&c->growth_lock);
	return r;
}

int usched_stacks_reserve(struct usched_stacks *stacks, enum usched_stack class, uint32_t count)
{
	struct usched_stacks_class *c = &stacks->classes[class];
	/* Relaxed: the compare-exchange proves it. */
	uint32_t reserved = atomic_load_explicit(&c->reserved, memory_order_relaxed);

	for (;;) {
		uint32_t needed;
		int r;

		if (count > c->maximum - c->slack - reserved)
			return refuse(stacks, -EAGAIN, refusal_limit);
		needed = reserved + count + c->slack;
		if (needed > atomic_load_explicit(&c->capacity, memory_order_acquire)) { /* [A] */
			r = grow(stacks, class, needed);
			if (r < 0)
				return r;
		}
		if (atomic_compare_exchange_weak_explicit(&c->reserved, &reserved,
							  reserved + count,
							  memory_order_acquire,	/* [B] */
							  memory_order_relaxed))
			return 0;
	}
}

void usched_stacks_unreserve(struct usched_stacks *stacks, enum usched_stack class, uint32_t count)
{
	uint32_t before = atomic_fetch_sub_explicit(&stacks->classes[class].reserved, count,
						    memory_order_release);	/* [B] */

	usched_assert(before >= count);
}

unsigned int usched_stacks_take(struct usched_stacks *stacks, enum usched_stack class,
				uint32_t *slots, unsigned int count)
{
	struct usched_stacks_class *c = &stacks->classes[class];
	unsigned int taken = 0;

	usched_spinlock_lock(&c->lock);
	while (taken < count && c->free_count > 0)
		slots[taken++] = c->free_slots[--c->free_count];
	if (c->trimmed > c->free_count)
		c->trimmed = c->free_count;
	if (taken < count) {
		usched_assert(count - taken <= atomic_load_explicit(&c->capacity,
								    memory_order_acquire) /* [A] */
						       - c->next_fresh);	/* I1 */
		while (taken < count)
			slots[taken++] = c->next_fresh++;
	}
	usched_spinlock_unlock(&c->lock);
	return taken;
}

void usched_stacks_give(struct usched_stacks *stacks, enum usched_stack class,
			const uint32_t *slots, unsigned int count)
{
	struct usched_stacks_class *c = &stacks->classes[class];

	usched_spinlock_lock(&c->lock);
	usched_assert(count <= c->next_fresh - c->free_count);
	for (unsigned int i = 0; i < count; i++) {
		usched_assert(slots[i] < c->next_fresh);
		c->free_slots[c->free_count++] = slots[i];
	}
	usched_spinlock_unlock(&c->lock);
}

void usched_stacks_bounds(const struct usched_stacks *stacks, enum usched_stack class,
			  uint32_t slot, void **low, void **top)
{
	const struct usched_stacks_class *c = &stacks->classes[class];
	unsigned char *base = slot_base(c, slot);

	*low = base + c->guard_bytes;
	*top = base + c->slot_bytes;
}

bool usched_stacks_find(const struct usched_stacks *stacks, uintptr_t address,
			enum usched_stack *class, uint32_t *slot, bool *in_guard)
{
	for (unsigned int i = 0; i < USCHED_STACK_CLASSES; i++) {
		const struct usched_stacks_class *c = &stacks->classes[i];
		uint32_t count = atomic_load_explicit(&c->slab_count,
						      memory_order_acquire);	/* [A] */

		for (uint32_t slab = 0; slab < count; slab++) {
			/* Relaxed: [A] came before. */
			uintptr_t base = atomic_load_explicit(&c->slabs[slab],
							      memory_order_relaxed);
			uintptr_t offset = address - base;

			if (offset >= slab_bytes(c, slab))
				continue;
			*class = (enum usched_stack)i;
			*slot = slab_first_slot(c, slab) + (uint32_t)(offset / c->slot_bytes);
			*in_guard = offset % c->slot_bytes < c->guard_bytes;
			return true;
		}
	}
	return false;
}

uint32_t usched_stacks_trim(struct usched_stacks *stacks, enum usched_stack class, uint32_t keep)
{
	struct usched_stacks_class *c = &stacks->classes[class];
	uint32_t trimmed = 0;
	bool more = true;

	while (more) {
		usched_spinlock_lock(&c->lock);
		for (unsigned int i = 0; i < TRIM_BATCH; i++) {
			void *low, *top;

			more = (uint64_t)c->trimmed + keep < c->free_count;
			if (!more)
				break;
			/* Held in the free array and under the lock: nobody takes it meanwhile. */
			usched_stacks_bounds(stacks, class, c->free_slots[c->trimmed], &low, &top);
			madvise(low, (size_t)((char *)top - (char *)low), MADV_DONTNEED);
			c->trimmed++;
			trimmed++;
		}
		usched_spinlock_unlock(&c->lock);
	}
	return trimmed;
}

void usched_stacks_usage(struct usched_stacks *stacks, enum usched_stack class,
			 struct usched_stacks_usage *usage)
{
	struct usched_stacks_class *c = &stacks->classes[class];
	uint32_t slabs = atomic_load_explicit(&c->slab_count, memory_order_acquire);	/* [A] */

	/* Relaxed: figures of about the same moment. */
	usage->reserved = atomic_load_explicit(&c->reserved, memory_order_relaxed);
	usage->capacity = atomic_load_explicit(&c->capacity, memory_order_relaxed);
	usage->address_bytes = 0;
	for (uint32_t i = 0; i < slabs; i++)
		usage->address_bytes += slab_bytes(c, i);
	usched_spinlock_lock(&c->lock);
	usage->free = c->free_count;
	usched_spinlock_unlock(&c->lock);
}
