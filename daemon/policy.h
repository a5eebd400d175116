/* SPDX-License-Identifier: MIT */
#ifndef USCHED_DAEMON_POLICY_H
#define USCHED_DAEMON_POLICY_H

/*
 * Who should have which CPUs: pure code, without clock, system call or state of its own, so that a
 * test can try every case.
 *
 * Water-filling in rounds: in round k everybody who has k - 1 CPUs and wants more gets one, until
 * nobody wants or nothing fits. So shares are equal, capped by demand; what one does not want the
 * others get. Decided for all at once: decisions by one runtime at a time chase each other.
 *
 *	want	between 1 and `most`; at least the demand. It grows at once and shrinks when the
 *		demand has been lower for USCHED_POLICY_SHRINK_PASSES passes.
 *	which	a CPU that it has, then one that nobody has, on a node that it is on (its first:
 *		on the node with the most); when only CPUs taken in this decision are left, their
 *		takers move if a chain of moves ends at a free one
 *
 * Invariants
 *	A1  each runtime gets at least one CPU, within its allowed ones;
 *	A2  a CPU goes to two runtimes only if one of them would otherwise have none;
 *	A3  nobody gets more than it wants;
 *	A4  the same input with `current` = the result gives the same result.
 */

#include <stdint.h>

#include "shm/layout.h"

enum { USCHED_POLICY_RUNTIMES_MAX = 256, USCHED_POLICY_SHRINK_PASSES = 2 };

struct usched_policy_runtime {
	uint64_t allowed[USCHED_CPU_WORDS];	/* in; not empty			*/
	uint64_t current[USCHED_CPU_WORDS];	/* in: what it has			*/
	uint32_t demand;			/* in: workers that would have work	*/
	uint32_t most;				/* in: never more CPUs			*/
	uint32_t low_passes;			/* in, out: demand below what it has	*/
	uint64_t target[USCHED_CPU_WORDS];	/* out					*/
	uint32_t count;				/* out: CPUs in target			*/
};

/**
 * usched_policy_decide() - fill all targets
 * @nodes:	NUMA node of each CPU
 * @count:	at most USCHED_POLICY_RUNTIMES_MAX
 */
void usched_policy_decide(struct usched_policy_runtime *runtimes, uint32_t count,
			  const uint16_t nodes[USCHED_CPUS_MAX]);

static inline int usched_cpu_in(const uint64_t *set, uint32_t cpu)
{
	return (int)(set[cpu / 64] >> (cpu % 64) & 1);
}

static inline void usched_cpu_add(uint64_t *set, uint32_t cpu)
{
	set[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

static inline void usched_cpu_remove(uint64_t *set, uint32_t cpu)
{
	set[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
}

static inline uint32_t usched_cpu_count(const uint64_t *set)
{
	uint32_t count = 0;

	for (unsigned int i = 0; i < USCHED_CPU_WORDS; i++)
		count += (uint32_t)__builtin_popcountll(set[i]);
	return count;
}

#endif /* USCHED_DAEMON_POLICY_H */
