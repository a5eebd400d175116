/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_FAKE_HOST_H
#define USCHED_TESTS_FAKE_HOST_H

/*
 * A runtime without fibers, for tests of its control plane: it remembers what was applied, and
 * carries out each grant at once.
 */

#include <errno.h>
#include <string.h>

#include "runtime/control.h"

struct fake_host {
	uint32_t applied, published;
	uint64_t cpus[USCHED_CPU_WORDS];
	uint64_t grant_generation, tunables_generation, quantum_ns, tunables[USCHED_TUNABLES];
	uint64_t fiber, fiber_quantum_ns;	/* the one fiber whose quantum may be set */
	uint32_t demand;
	uint32_t fibers;
	int lazy;			/* acknowledges no grant */
	int awake;			/* its workers run something when it publishes */
};

static inline void fake_publish(void *context, struct usched_report *report,
				struct usched_report_worker *workers, uint32_t count)
{
	struct fake_host *host = context;

	host->published++;
	__atomic_store_n(&report->demand_cpus, host->demand, __ATOMIC_RELAXED);
	__atomic_store_n(&report->quantum_ns, host->quantum_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&report->tunables_acked, host->tunables_generation, __ATOMIC_RELAXED);
	if (!host->lazy)
		__atomic_store_n(&report->grant_acked, host->grant_generation, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < count; i++) {
		__atomic_store_n(&workers[i].cpu, i, __ATOMIC_RELAXED);
		__atomic_store_n(&workers[i].state, (uint32_t)(host->awake ? USCHED_WORKER_RUNNING :
							       USCHED_WORKER_IDLE), __ATOMIC_RELAXED);
	}
}

static inline void fake_apply(void *context, const uint64_t cpus[USCHED_CPU_WORDS],
			      uint64_t grant_generation, const uint64_t tunables[USCHED_TUNABLES],
			      uint64_t tunables_generation)
{
	struct fake_host *host = context;

	host->applied++;
	memcpy(host->cpus, cpus, sizeof(host->cpus));
	host->grant_generation = grant_generation;
	host->quantum_ns = tunables[USCHED_TUNABLE_QUANTUM];
	memcpy(host->tunables, tunables, sizeof(host->tunables));
	host->tunables_generation = tunables_generation;
}

static inline uint32_t fake_fibers(void *context, struct usched_fiber_record *records, uint32_t room,
				   uint64_t *left_out)
{
	struct fake_host *host = context;
	uint32_t count = host->fibers < room ? host->fibers : room;

	memset(records, 0, count * sizeof(*records));
	for (uint32_t i = 0; i < count; i++)
		records[i].id = i + 1;
	*left_out = host->fibers - count;
	return count;
}

static inline int fake_fiber_quantum(void *context, uint64_t fiber, const uint64_t *quantum_ns,
				     uint64_t *old_ns)
{
	struct fake_host *host = context;

	if (!fiber || fiber != host->fiber)
		return -ESRCH;
	*old_ns = host->fiber_quantum_ns;
	if (quantum_ns)
		host->fiber_quantum_ns = *quantum_ns;
	return 0;
}

static inline struct usched_control_host fake_host_of(struct fake_host *host)
{
	return (struct usched_control_host){ host, fake_publish, fake_apply,
					     fake_fiber_quantum, fake_fibers };
}

#endif /* USCHED_TESTS_FAKE_HOST_H */
