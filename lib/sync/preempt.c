/* SPDX-License-Identifier: MIT */
/*
 * What a fiber says about its own preemption: sections, checkpoints, and quanta.
 */
#include <errno.h>

#include "sync/wait.h"

int usched_preempt_disable(void)
{
	struct usched_carrier *carrier = usched_carrier_self_get();
	struct usched_fiber *fiber;

	if (!carrier)
		return usched_in_child() ? -EPERM : 0;
	/* A tick between the read and the write hands the carrier's worker over, and the fiber
	   with its own words goes on here afterwards. */
	fiber = usched_current(carrier);
	if (atomic_load_explicit(&fiber->sections, memory_order_relaxed) == UINT32_MAX)
		return -EOVERFLOW;
	atomic_store_explicit(&fiber->sections,
			      atomic_load_explicit(&fiber->sections, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	/* What follows in the program stays behind this, for a tick on the same thread. */
	atomic_signal_fence(memory_order_seq_cst);
	return 0;
}

int usched_preempt_enable(void)
{
	struct usched_carrier *carrier = usched_carrier_self_get();
	struct usched_fiber *fiber;
	uint32_t sections;

	if (!carrier)
		return usched_in_child() ? -EPERM : 0;
	fiber = usched_current(carrier);
	sections = atomic_load_explicit(&fiber->sections, memory_order_relaxed);
	if (sections == 0)
		return -EPERM;
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&fiber->sections, sections - 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (sections > 1 || !fiber->section_note)
		return 0;
	fiber->section_note = false;
	usched_enter_carrier(carrier);
	usched_yield_from(carrier);
	usched_leave(usched_carrier_self_get());
	return 0;
}

int usched_checkpoint(void)
{
	struct usched_carrier *carrier = usched_carrier_self_get();

	if (!carrier)
		return usched_in_child() ? -EPERM : 0;
	usched_enter_carrier(carrier);
	if (!usched_in_section(usched_current(carrier)) && usched_slice_is_over(carrier)) {
		usched_yield_from(carrier);
		carrier = usched_carrier_self_get();
	}
	usched_leave(carrier);
	return 0;
}

int usched_set_quantum(usched_fiber_t id, uint64_t quantum_ns)
{
	struct usched_scheduler *scheduler;
	struct usched_carrier *carrier;
	struct usched_fiber *fiber;

	if (!usched_quantum_is_valid(quantum_ns, USCHED_QUANTUM_MIN_NS))
		return -ERANGE;
	carrier = usched_enter();
	if (usched_is_refused(carrier))
		return -EPERM;
	fiber = usched_find_locked(id, &scheduler);
	if (fiber) {
		/* Relaxed: the next dispatch, tick or pass of the monitor takes it up. */
		atomic_store_explicit(&fiber->quantum_ns,
				      usched_quantum_clamp(scheduler, quantum_ns),
				      memory_order_relaxed);
		usched_spinlock_unlock(&fiber->lock);
	}
	usched_leave_here(carrier);
	return fiber ? 0 : -ESRCH;
}
