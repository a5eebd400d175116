/* SPDX-License-Identifier: MIT */
/*
 * Declared code and its vetoes; see code.h.
 */
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>

#include "base/child.h"
#include "preempt/code.h"

enum {
	DECLARED_MAX = 64,
	LIBC_MAX = 8,
	SEGMENTS_MAX = 512,
	SCAN_BYTES_MAX = 65536,
	FRAME_SLACK_BYTES = 128,	/* alignment of the frame in the stack */
};

struct range {
	_Atomic uintptr_t low, high;	/* high 0: unused */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* guards all changes */
static struct range declared[DECLARED_MAX];
static struct range libc[LIBC_MAX];

/* Executable segments of files without declared code, ascending. */
static struct {
	_Atomic uint32_t sequence;	/* odd: being changed */
	_Atomic uint32_t count;		/* SEGMENTS_MAX + 1: there are more */
	struct range at[SEGMENTS_MAX];
} foreign;

static uintptr_t low_of(const struct range *range)
{
	return atomic_load_explicit(&range->low, memory_order_relaxed);
}

static bool holds(const struct range *range, uintptr_t address)
{
	/* Acquire [C1]: the low end that belongs to it. */
	uintptr_t high = atomic_load_explicit(&range->high, memory_order_acquire);

	return address < high && address >= low_of(range);
}

static void set(struct range *range, uintptr_t low, uintptr_t high)
{
	atomic_store_explicit(&range->high, 0, memory_order_release);
	atomic_store_explicit(&range->low, low, memory_order_relaxed);
	atomic_store_explicit(&range->high, high, memory_order_release);	/* [C1] */
}

static bool is_declared(uintptr_t address)
{
	for (unsigned int i = 0; i < DECLARED_MAX; i++) {
		if (holds(&declared[i], address))
			return true;
	}
	return false;
}

bool usched_code_is_libc(uintptr_t pc)
{
	for (unsigned int i = 0; i < LIBC_MAX; i++) {
		if (holds(&libc[i], pc))
			return true;
	}
	return false;
}

/* One executable segment of a file; false: it is none. */
static bool segment(const struct dl_phdr_info *info, unsigned int number, uintptr_t *low,
		    uintptr_t *high)
{
	const ElfW(Phdr) *header = &info->dlpi_phdr[number];

	*low = info->dlpi_addr + header->p_vaddr;
	*high = *low + header->p_memsz;
	return header->p_type == PT_LOAD && (header->p_flags & PF_X);
}

static int note_libc(struct dl_phdr_info *info, size_t bytes, void *argument)
{
	const char *name = strrchr(info->dlpi_name, '/');
	unsigned int *count = argument;
	uintptr_t low, high;

	(void)bytes;
	name = name ? name + 1 : info->dlpi_name;
	if (strncmp(name, "libc.so", 7) && strncmp(name, "ld-linux", 8) &&
	    strncmp(name, "ld-musl", 7))
		return 0;
	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		if (segment(info, i, &low, &high) && *count < LIBC_MAX)
			set(&libc[(*count)++], low, high);
	}
	return 0;
}

static void find_libc(void)
{
	unsigned int count = 0;

	dl_iterate_phdr(note_libc, &count);
}

void usched_code_find_libc(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_libc);
}

static bool is_trusted(const struct dl_phdr_info *info)
{
	uintptr_t low, high;

	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		if (!segment(info, i, &low, &high))
			continue;
		/* Our own: every fiber begins in it. */
		if ((uintptr_t)find_libc >= low && (uintptr_t)find_libc < high)
			return true;
		for (unsigned int range = 0; range < DECLARED_MAX; range++) {
			if (atomic_load_explicit(&declared[range].high, memory_order_relaxed) != 0 &&
			    low_of(&declared[range]) >= low && low_of(&declared[range]) < high)
				return true;
		}
	}
	return false;
}

static int note_foreign(struct dl_phdr_info *info, size_t bytes, void *argument)
{
	uint32_t *count = argument;
	uintptr_t low, high;

	(void)bytes;
	if (is_trusted(info))
		return 0;
	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		uint32_t at = *count;

		if (!segment(info, i, &low, &high))
			continue;
		*count = at + 1;
		if (at >= SEGMENTS_MAX) {
			*count = SEGMENTS_MAX + 1;
			return 1;
		}
		while (at > 0 && low_of(&foreign.at[at - 1]) > low) {
			set(&foreign.at[at], low_of(&foreign.at[at - 1]),
			    atomic_load_explicit(&foreign.at[at - 1].high, memory_order_relaxed));
			at--;
		}
		set(&foreign.at[at], low, high);
	}
	return 0;
}

/* Under the lock. */
static void note_segments(void)
{
	uint32_t sequence = atomic_load_explicit(&foreign.sequence, memory_order_relaxed);
	uint32_t count = 0;

	atomic_store_explicit(&foreign.sequence, sequence + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);				/* [C2] */
	dl_iterate_phdr(note_foreign, &count);
	atomic_store_explicit(&foreign.count, count, memory_order_relaxed);
	atomic_store_explicit(&foreign.sequence, sequence + 2, memory_order_release); /* [C2] */
}

int usched_code_add(const void *start, const void *end)
{
	struct range *free = NULL;
	int error = 0;

	if (usched_in_child())
		return -EPERM;
	if ((uintptr_t)start >= (uintptr_t)end)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < DECLARED_MAX; i++) {
		uintptr_t high = atomic_load_explicit(&declared[i].high, memory_order_relaxed);

		if (high == (uintptr_t)end && low_of(&declared[i]) == (uintptr_t)start)
			goto known;
		if (high == 0 && !free)
			free = &declared[i];
	}
	if (free)
		set(free, (uintptr_t)start, (uintptr_t)end);
	else
		error = -ENOSPC;
known:
	note_segments();
	pthread_mutex_unlock(&lock);
	return error;
}

int usched_code_remove(const void *start, const void *end)
{
	int error = -ENOENT;

	if (usched_in_child())
		return -EPERM;
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < DECLARED_MAX; i++) {
		if (low_of(&declared[i]) != (uintptr_t)start ||
		    atomic_load_explicit(&declared[i].high, memory_order_relaxed) != (uintptr_t)end)
			continue;
		set(&declared[i], 0, 0);
		note_segments();
		error = 0;
	}
	pthread_mutex_unlock(&lock);
	return error;
}

void usched_code_forget(void)
{
	static const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;
	uint32_t sequence = atomic_load_explicit(&foreign.sequence, memory_order_relaxed);

	lock = unlocked;
	if (!(sequence & 1))
		return;
	/* Another thread was taking note: all code calls back until it is noted anew. */
	atomic_store_explicit(&foreign.count, SEGMENTS_MAX + 1, memory_order_relaxed);
	atomic_store_explicit(&foreign.sequence, sequence + 1, memory_order_release);
}

static bool is_foreign(uint32_t count, uintptr_t address)
{
	uint32_t low = 0, high = count;

	/* The last segment that begins at or before the address. */
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (low_of(&foreign.at[middle]) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && holds(&foreign.at[low - 1], address);
}

/* Reads a stack that may hold anything: also what a sanitizer forbids to touch. */
__attribute__((no_sanitize("address", "thread")))
static bool is_called_back(const struct usched_fiber *fiber, const ucontext_t *frame)
{
	uint32_t sequence = atomic_load_explicit(&foreign.sequence, memory_order_acquire); /* [C2] */
	uint32_t count = atomic_load_explicit(&foreign.count, memory_order_relaxed);
	uintptr_t sp = usched_arch_sp(frame) & ~(uintptr_t)(sizeof(uintptr_t) - 1);
	/* Above that are the library and, with ucontext, libc, to which nothing of it returns. */
	const uintptr_t *top = fiber->stack_entry;
	bool found;

	if ((sequence & 1) || count > SEGMENTS_MAX || (uintptr_t)top - sp > SCAN_BYTES_MAX)
		return true;
	found = is_foreign(count, usched_arch_return_address(usched_arch_link(frame)));
	for (const uintptr_t *word = (const uintptr_t *)sp; !found && word < top; word++)
		found = is_foreign(count, usched_arch_return_address(*word));
	atomic_thread_fence(memory_order_acquire);				/* [C2] */
	return found || atomic_load_explicit(&foreign.sequence, memory_order_relaxed) != sequence;
}

bool usched_code_allows(const struct usched_carrier *carrier, const struct usched_fiber *fiber,
			const ucontext_t *frame, enum usched_veto *veto)
{
	const struct usched_scheduler *scheduler = carrier->scheduler;
	uint64_t frame_bytes = atomic_load_explicit(&scheduler->frame_bytes, memory_order_relaxed);
	uintptr_t sp = usched_arch_sp(frame);

	if (!is_declared(usched_arch_pc(frame)) || USCHED_SIGNALS_ARE_DELAYED)
		*veto = USCHED_VETO_CODE;
	else if (sp < (uintptr_t)fiber->stack_low || sp >= (uintptr_t)fiber->stack_top)
		*veto = USCHED_VETO_STACK;
	/* The kernel's part of the mask, which is all that a handler's frame has for sure. */
	else if (memcmp(&frame->uc_sigmask, &scheduler->carrier_mask, sizeof(uint64_t)))
		*veto = USCHED_VETO_MASK;
	else if (frame_bytes && sp - (uintptr_t)frame > frame_bytes + FRAME_SLACK_BYTES)
		*veto = USCHED_VETO_FRAME;
	else if (is_called_back(fiber, frame))
		*veto = USCHED_VETO_CALLER;
	else
		return true;
	return false;
}
