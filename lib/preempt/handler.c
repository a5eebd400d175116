/* SPDX-License-Identifier: MIT */
/*
 * The tick's signal handler; what it decides is in decide.c.
 *
 * The handler runs on the fiber's stack, with its own signal masked. It touches the words of its
 * own carrier, after enter also its worker, the spares and the inboxes. It allocates nothing, takes
 * no lock but the timers' (nobody is stopped while holding it), and waits for nothing but its turn.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/spinlock.h"
#include "preempt/tick.h"

static _Atomic int installed_signal;	/* release after previous -> acquire */
static struct sigaction previous;
static struct usched_spinlock install_lock = USCHED_SPINLOCK_INIT(USCHED_RANK_RUNTIME);

int usched_tick_signal(void)
{
	return atomic_load_explicit(&installed_signal, memory_order_acquire);
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
	int saved_errno = usched_errno_get();
	struct usched_carrier *carrier = usched_carrier_self_get();

	if (carrier && is_ours(carrier, info))
		usched_preempt_tick(carrier, context);	/* may return in another thread */
	else if (previous.sa_flags & SA_SIGINFO)
		previous.sa_sigaction(signal, info, context);
	else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
		previous.sa_handler(signal);
	usched_errno_set(saved_errno);
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
