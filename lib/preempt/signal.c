/* SPDX-License-Identifier: MIT */
/*
 * The tick's signal: whose it is, the handler, and what the program has of the same number.
 *
 *	a signal of the tick's number arrives
 *	  carrier, and its own tick		usched_preempt_tick()
 *	  anything else				the action that was there before ours:
 *						a function	called, as the kernel would
 *						SIG_IGN		nothing
 *						SIG_DFL		the signal's default: nothing, or the
 *								end of the process
 *
 * A tick must never be taken for the program's: with SIG_DFL and a signal that ends processes, it
 * would. So each source marks its signals with something that nobody else sends:
 *
 *	perf	POLL_*, and the event's descriptor
 *	timer	SI_TIMER, and the carrier's address
 *	monitor	SI_QUEUE, and the carrier's address
 *
 * The kernel drops all of this from a queued signal when the user's RLIMIT_SIGPENDING is used up (the
 * timers and perf are exempt) and shows "sent by kill() of process 0" instead. A carrier to which
 * the monitor has ever sent takes such a one for its own. So does an outer PID namespace's kill()
 * look; if it meets a carrier it is lost then, which is the smaller evil.
 *
 * Signals directed to a carrier's thread by pthread_kill() or F_SETOWN_EX become one with a tick that
 * waits there, as always with standard signals. Those that are directed to the process do not.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/disposition.h"
#include "base/errno.h"
#include "base/format.h"
#include "base/spinlock.h"
#include "preempt/tick.h"

/* Release after `previous` -> acquire. Zero while no runtime uses a signal. */
static _Atomic int installed_signal;
/* Constant while ours is installed, and read by handlers that are still on their way after. */
static struct sigaction previous;
static _Atomic bool previous_used;	/* SA_RESETHAND: called once; relaxed, by exchange */

static struct usched_spinlock install_lock = USCHED_SPINLOCK_INIT(USCHED_RANK_RUNTIME);
/* Guarded by install_lock. */
static unsigned int users;		/* runtimes */
static int buried_signal;		/* the program's handler was above ours at the last end */

static _Atomic bool is_replaced;	/* relaxed: for observers, and for saying it once */
static _Atomic bool replaced_said;

int usched_tick_signal(void)
{
	return atomic_load_explicit(&installed_signal, memory_order_acquire);
}

static bool is_ours(struct usched_carrier *carrier, const siginfo_t *info)
{
	if (info->si_code >= POLL_IN && info->si_code <= POLL_HUP)
		return carrier->tick_kind == USCHED_TICK_PERF &&
		       info->si_fd == carrier->tick_descriptor;
	if (info->si_code == SI_TIMER)
		return carrier->tick_kind == USCHED_TICK_TIMER &&
		       info->si_value.sival_ptr == carrier;
	if (info->si_code == SI_QUEUE)
		return info->si_pid == getpid() && info->si_value.sival_ptr == carrier;
	/* Relaxed: the kernel orders a signal after its sending. */
	return info->si_code == SI_USER && info->si_pid == 0 &&
	       atomic_load_explicit(&carrier->signal_sent, memory_order_relaxed);
}

void usched_tick_raise(struct usched_carrier *carrier)
{
	int signal = usched_tick_signal();
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = signal;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_value.sival_ptr = carrier;
	atomic_store_explicit(&carrier->signal_sent, true, memory_order_relaxed);
	syscall(SYS_rt_tgsigqueueinfo, getpid(), carrier->tid, signal, &info);
}

static int install_handler(int signal);

/*
 * What the kernel does by default. Signals that stop a process are none that a tick may use
 * (runtime/options.c), so this is nothing, or the end.
 */
static void act_by_default(int signal)
{
	struct sigaction standard;
	sigset_t alone;

	if (signal == SIGURG || signal == SIGWINCH)
		return;
	memset(&standard, 0, sizeof(standard));
	standard.sa_handler = SIG_DFL;
	sigaction(signal, &standard, NULL);
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
	sigemptyset(&alone);
	sigaddset(&alone, signal);
	pthread_sigmask(SIG_UNBLOCK, &alone, NULL);
	/* Still here: the first process of a namespace is not ended by a signal's default. */
	install_handler(signal);
}

static void pass_on(int signal, siginfo_t *info, void *context)
{
	if (!usched_disposition_is_function(&previous)) {
		if (previous.sa_handler == SIG_DFL)
			act_by_default(signal);
	} else if ((previous.sa_flags & SA_RESETHAND) &&
		   atomic_exchange_explicit(&previous_used, true, memory_order_relaxed)) {
		act_by_default(signal);
	} else {
		usched_disposition_call(signal, info, context, &previous);
	}
}

static void handler(int signal, siginfo_t *info, void *context)
{
	int saved_errno = usched_errno_get();
	struct usched_carrier *carrier = usched_carrier_self_get();

	if (carrier && is_ours(carrier, info))
		usched_preempt_tick(carrier, context);	/* may return in another thread */
	else
		pass_on(signal, info, context);
	usched_errno_set(saved_errno);
}

/* @now: what is there; zero for a number that is no signal. */
static bool is_installed(int signal, struct sigaction *now)
{
	memset(now, 0, sizeof(*now));
	return sigaction(signal, NULL, now) == 0 && (now->sa_flags & SA_SIGINFO) &&
	       now->sa_sigaction == handler;
}

static int install_handler(int signal)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handler;
	/* Not on the alternate stack: the handler may sleep with the fiber's frames. */
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigemptyset(&action.sa_mask);
	return sigaction(signal, &action, NULL);
}

/* The first runtime's: in front of what the program has. */
static int stand_before(int signal)
{
	struct sigaction now;

	if (is_installed(signal, &now))
		return 0;
	/* A function that came after ours may call ours, which must not call it back. It stays; the
	   monitor sees whether ticks come through. */
	if (signal == buried_signal && usched_disposition_is_function(&now))
		return 0;
	/* Read before, since the handler may run before a second argument would be filled in. */
	if (sigaction(signal, NULL, &previous))
		return -EINVAL;
	atomic_store_explicit(&previous_used, false, memory_order_relaxed);
	buried_signal = 0;
	return install_handler(signal) ? -EINVAL : 0;
}

int usched_tick_install(int signal, bool *shared)
{
	int result = 0;

	usched_spinlock_lock(&install_lock);
	if (users > 0 && usched_tick_signal() != signal)
		result = -EBUSY;
	else if (users == 0)
		result = stand_before(signal);
	if (!result) {
		users++;
		*shared = buried_signal || usched_disposition_is_function(&previous);
		/* Release -> the getter. */
		atomic_store_explicit(&installed_signal, signal, memory_order_release);
	}
	usched_spinlock_unlock(&install_lock);
	return result;
}

/* The last runtime's. What the program has put above ours stays. */
static void put_back(int signal)
{
	struct sigaction now;

	if (!is_installed(signal, &now)) {
		buried_signal = signal;
		return;
	}
	now = previous;
	if ((now.sa_flags & SA_RESETHAND) &&
	    atomic_load_explicit(&previous_used, memory_order_relaxed)) {
		memset(&now, 0, sizeof(now));
		now.sa_handler = SIG_DFL;
	}
	sigaction(signal, &now, NULL);
}

void usched_tick_uninstall(void)
{
	usched_spinlock_lock(&install_lock);
	if (--users == 0) {
		put_back(usched_tick_signal());
		atomic_store_explicit(&installed_signal, 0, memory_order_release);
	}
	usched_spinlock_unlock(&install_lock);
}

void usched_tick_forget(void)
{
	usched_spinlock_init(&install_lock, USCHED_RANK_RUNTIME);
	buried_signal = 0;
	if (usched_tick_signal())
		put_back(usched_tick_signal());
	users = 0;
	atomic_store_explicit(&installed_signal, 0, memory_order_release);
	atomic_store_explicit(&is_replaced, false, memory_order_relaxed);
}

bool usched_tick_is_replaced(void)
{
	struct sigaction now;

	/* Only the monitor's suspicion costs a call each time. */
	if (!atomic_load_explicit(&is_replaced, memory_order_relaxed))
		return false;
	if (!is_installed(usched_tick_signal(), &now))
		return true;
	atomic_store_explicit(&is_replaced, false, memory_order_relaxed);
	return false;
}

void usched_tick_suspect(void)
{
	char buffer[320];
	struct usched_format text;
	struct sigaction now;
	int signal = usched_tick_signal();

	if (is_installed(signal, &now))
		return;
	atomic_store_explicit(&is_replaced, true, memory_order_relaxed);
	if (atomic_exchange_explicit(&replaced_said, true, memory_order_relaxed))
		return;
	usched_format_init(&text, buffer, sizeof(buffer));
	usched_format_string(&text, "usched: the program has replaced the handler of signal ");
	usched_format_decimal(&text, (uint64_t)signal);
	usched_format_string(&text, ", so ticks are lost, and fibers that compute are stopped late; "
			     "install it before the first runtime, or choose another signal for "
			     "ticks with USCHED_SIGNAL\n");
	usched_format_write(&text, STDERR_FILENO);
}
