/* SPDX-License-Identifier: MIT */
/*
 * Guards; see the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "memory/guard.h"

/* Debian 12's headers are older than the call. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
	MAPPINGS_MAX_DEFAULT = 65530,	/* vm.max_map_count of a kernel that hides it	*/
	MAPPINGS_PER_GUARD = 2,		/* the guard, and the stack that it cuts off	*/
};

/* How many mprotect guards may still be made. Relaxed everywhere: a counter that orders nothing. */
static _Atomic uint32_t budget = UINT32_MAX;

/* Bytes of a small file; 0 when it cannot be read. */
static size_t read_file(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, buffer, size);
	close(fd);
	return n > 0 ? (size_t)n : 0;
}

static uint64_t mappings_max(void)
{
	char text[32];
	size_t n = read_file("/proc/sys/vm/max_map_count", text, sizeof(text));
	uint64_t value = 0;

	for (size_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	return value > 0 ? value : MAPPINGS_MAX_DEFAULT;
}

/* One line a mapping. */
static uint64_t mappings_now(void)
{
	char text[4096];
	uint64_t lines = 0;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return MAPPINGS_MAX_DEFAULT / 8;
	while ((n = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	}
	close(fd);
	return lines;
}

/* Two threads may do this at once and find nearly the same; the first result counts. */
static uint32_t budget_now(void)
{
	uint32_t left = atomic_load_explicit(&budget, memory_order_relaxed);
	uint64_t most, used, guards;

	if (left != UINT32_MAX)
		return left;
	most = mappings_max();
	used = mappings_now();
	guards = most > used ? (most - used) / 2 / MAPPINGS_PER_GUARD : 0;
	if (guards > UINT32_MAX / 2)
		guards = UINT32_MAX / 2;
	atomic_compare_exchange_strong_explicit(&budget, &left, (uint32_t)guards,
						memory_order_relaxed, memory_order_relaxed);
	return atomic_load_explicit(&budget, memory_order_relaxed);
}

uint32_t usched_guard_left(void)
{
	return atomic_load_explicit(&budget, memory_order_relaxed);
}

void usched_guard_set_budget(uint32_t guards)
{
	atomic_store_explicit(&budget, guards, memory_order_relaxed);
}

void usched_guard_return(uint32_t charged)
{
	if (charged > 0)
		atomic_fetch_add_explicit(&budget, charged, memory_order_relaxed);
}

/* Takes up to @count guards from the budget; returns how many. */
static unsigned int budget_take(unsigned int count)
{
	uint32_t left = budget_now();
	uint32_t taken;

	do {
		taken = left < count ? left : count;
	} while (!atomic_compare_exchange_weak_explicit(&budget, &left, left - taken,
							memory_order_relaxed,
							memory_order_relaxed));
	return taken;
}

/*
 * Does the kernel refuse to read this byte? Reading it ourselves would need a signal handler;
 * write(2) on a pipe answers EFAULT.
 */
static bool is_unreadable(const void *address)
{
	bool unreadable = false;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	/* Not through libc's function: a sanitizer would look at the byte first. */
	if (syscall(SYS_write, fds[1], address, 1) < 0)
		unreadable = errno == EFAULT;
	close(fds[0]);
	close(fds[1]);
	return unreadable;
}

int usched_guard_probe(enum usched_guard wanted)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	bool works = false;
	void *memory;

	if (wanted == USCHED_GUARD_MPROTECT)
		return USCHED_GUARD_MPROTECT;

	memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED) {
		works = madvise(memory, page, MADV_GUARD_INSTALL) == 0 && is_unreadable(memory);
		munmap(memory, page);
	}
	if (works)
		return USCHED_GUARD_MADVISE;
	return wanted == USCHED_GUARD_MADVISE ? -ENOTSUP : USCHED_GUARD_MPROTECT;
}

int usched_guard_install(enum usched_guard guard, void *first, size_t guard_bytes,
			 size_t stride_bytes, unsigned int count, uint32_t *charged)
{
	unsigned char *at = first;
	unsigned int made = 0;
	unsigned int paid;

	usched_assert(guard != USCHED_GUARD_AUTO && count > 0 && count <= INT32_MAX);

	if (guard == USCHED_GUARD_MADVISE) {
		while (made < count && madvise(at, guard_bytes, MADV_GUARD_INSTALL) == 0) {
			at += stride_bytes;
			made++;
		}
		if (made == count || (made > 0 && errno != EINVAL))
			return (int)made;
		if (errno != EINVAL)
			return -ENOMEM;
		/* EINVAL: the memory is locked. */
	}

	paid = budget_take(count - made);
	while (paid > 0 && mprotect(at, guard_bytes, PROT_NONE) == 0) {
		at += stride_bytes;
		made++;
		paid--;
		*charged += 1;
	}
	usched_guard_return(paid);
	return made > 0 ? (int)made : -ENOMEM;
}
