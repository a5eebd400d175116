/* SPDX-License-Identifier: MIT */
/*
 * The tick's signal handler, and the decision table.
 *
 *	 what the tick finds				what it does		counted as
 *	 1 not a carrier, or not our signal		the previous handler	-
 *	 2 the carrier is inside the library		leave a note		tick_deferred
 *	   and has no worker				stop the timer		-
 *	 3 the worker was taken				wait (in enter)		-
 *	 4 the worker's CPU was revoked			queue all, wait		-
 *	 5 the slice has just begun			go on			tick_young
 *	 6 the fiber's mode is NEVER			go on			tick_never
 *	 7 nothing else to run				go on			tick_alone
 *	 8 the next fiber has a carrier			hand over to it		handoffs_direct
 *	 9 there is a spare carrier			hand over to it		handoffs_spare
 *	10 else						go on, want a carrier	starved
 *
 * The handler runs on the fiber's stack, with its own signal masked. It touches the words of its
 * own carrier, after enter also its worker, the spares and the inboxes. It allocates nothing, takes
 * no lock but the timers' (nobody is stopped while holding it), and waits for nothing but its turn.
 *
 * Slices. The tick is free-running: no system call is made at a switch. A tick that finds another
 * dispatch count than the last one starts the slice; the next one ends it. So a slice after a
 * cooperative switch lasts one to two quanta; one after a hand-off, which restarts the count, one.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/spinlock.h"
#include "preempt/tick.h"
#include "worker/dispatch.h"

static _Atomic int installed_signal;	/* release after previous -> acquire */
static struct sigaction previous;
static struct usched_spinlock install_lock = USCHED_SPINLOCK_INIT(USCHED_RANK_RUNTIME);

int usched_tick_signal(void)
{
	return atomic_load_explicit(&installed_signal, memory_order_acquire);
}

static bool holds_libc_text(const struct usched_scheduler *scheduler, uintptr_t pc)
{
	for (unsigned int i = 0; i < sizeof(scheduler->libc_text) / sizeof(scheduler->libc_text[0]);
	     i++) {
		if (pc >= scheduler->libc_text[i].low && pc < scheduler->libc_text[i].high)
			return true;
	}
	return false;
}

/* Rows 4 to 10; inside the library, on the fiber's stack. */
static void decide(struct usched_carrier *carrier, uintptr_t pc)
{
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_scheduler *scheduler = carrier->scheduler;
	uint64_t dispatches = atomic_load_explicit(&worker->counters.dispatches,
						   memory_order_relaxed);

	if (atomic_load_explicit(&worker->revoked, memory_order_relaxed)) {		/* 4 */
		usched_surrender(carrier);
		return;
	}
	/* A tick that was on its way when preemption was switched off. */
	if (atomic_load_explicit(&scheduler->quantum_ns, memory_order_relaxed) == 0) {
		usched_count(&worker->counters.tick_young);
		return;
	}
	if (dispatches != carrier->tick_dispatches) {					/* 5 */
		carrier->tick_dispatches = dispatches;
		carrier->slice_start_cycles = usched_cycles();
		usched_count(&worker->counters.tick_young);
		return;
	}
	if (usched_cycles() - carrier->slice_start_cycles <
	    atomic_load_explicit(&scheduler->quantum_cycles, memory_order_relaxed) / 2) {
		usched_count(&worker->counters.tick_young);
		return;
	}
	if (usched_current(carrier)->mode == USCHED_PREEMPT_NEVER) {			/* 6 */
		usched_count(&worker->counters.tick_never);
		return;
	}
	atomic_store_explicit(&worker->poll_due, false, memory_order_relaxed);
	usched_poll(carrier, 0);
	/* 8 to 10 are counted where they happen. */
	if (usched_hand_off(carrier, holds_libc_text(scheduler, pc)) == 0)		/* 7 */
		usched_count(&worker->counters.tick_alone);
}

void usched_preempt_tick(struct usched_carrier *carrier, uintptr_t pc)
{
	struct usched_worker *worker;

	if (atomic_load_explicit(&carrier->in_runtime, memory_order_relaxed)) {		/* 2 */
		worker = usched_owned(carrier);
		atomic_store_explicit(&carrier->pending, true, memory_order_relaxed);
		if (worker) {
			atomic_store_explicit(&worker->poll_due, true, memory_order_relaxed);
			usched_count(&worker->counters.ticks);
			usched_count(&worker->counters.tick_deferred);
		} else {
			/* It waits, or is about to: the monitor has set the timer after it had
			   stopped it. It starts it again when it has a worker. */
			usched_tick_stop(carrier);
		}
		return;
	}
	usched_enter_carrier(carrier);							/* 3 */
	worker = usched_owned(carrier);
	usched_count(&worker->counters.ticks);
	atomic_store_explicit(&worker->poll_due, true, memory_order_relaxed);
	if (atomic_load_explicit(&carrier->tick_fast, memory_order_relaxed))
		usched_tick_start(carrier);
	decide(carrier, pc);
	atomic_store_explicit(&carrier->in_runtime, 0, memory_order_release);	/* [P2] */
}

void usched_preempt_pending(struct usched_carrier *carrier)
{
	atomic_store_explicit(&carrier->pending, false, memory_order_relaxed);
	usched_enter_carrier(carrier);
	if (usched_current(carrier)->mode != USCHED_PREEMPT_NEVER) {
		bool off = atomic_load_explicit(&carrier->scheduler->quantum_ns,
						memory_order_relaxed) == 0;
		struct usched_worker *worker = usched_owned(carrier);

		if (atomic_load_explicit(&worker->revoked, memory_order_relaxed))
			usched_surrender(carrier);
		else if (!off)
			usched_hand_off(carrier, false);
	}
	atomic_store_explicit(&carrier->in_runtime, 0, memory_order_release);	/* [P2] */
}

static bool is_ours(struct usched_carrier *carrier, const siginfo_t *info)
{
	switch (carrier->tick_kind) {
	case USCHED_TICK_PERF:
		if (info->si_code > 0 && info->si_fd == carrier->tick_descriptor)
			return true;
		break;
	case USCHED_TICK_TIMER:
		if (info->si_code == SI_TIMER && info->si_value.sival_ptr == carrier)
			return true;
		break;
	default:
		break;
	}
	/* The monitor announces its own; relaxed: the kernel orders a signal after its sending. */
	return info->si_code == SI_TKILL && info->si_pid == getpid() &&
	       atomic_exchange_explicit(&carrier->signal_sent, false, memory_order_relaxed);
}

static void handler(int signal, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	struct usched_carrier *carrier = usched_carrier_self_get();

	if (carrier && is_ours(carrier, info))
		usched_preempt_tick(carrier, usched_arch_pc(context));
	else if (previous.sa_flags & SA_SIGINFO)					/* 1 */
		previous.sa_sigaction(signal, info, context);
	else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
		previous.sa_handler(signal);
	errno = saved_errno;
}

int usched_tick_install(int signal)
{
	struct sigaction action;
	int result = 0;

	usched_spinlock_lock(&install_lock);
	if (atomic_load_explicit(&installed_signal, memory_order_relaxed) != 0) {
		if (atomic_load_explicit(&installed_signal, memory_order_relaxed) != signal)
			result = -EBUSY;
		goto out;
	}
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handler;
	/* Not on the alternate stack: the handler may sleep with the fiber's frames. */
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigemptyset(&action.sa_mask);
	if (sigaction(signal, &action, &previous)) {
		result = -EINVAL;
		goto out;
	}
	atomic_store_explicit(&installed_signal, signal, memory_order_release);	/* -> the getter */
out:
	usched_spinlock_unlock(&install_lock);
	return result;
}
