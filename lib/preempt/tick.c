/* SPDX-License-Identifier: MIT */
/*
 * Tick sources; see tick.h. What a tick does is in decide.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "preempt/tick.h"
#include "worker/dispatch.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum {
	FAST_NS = 50000,		/* for a carrier that lost its worker	*/
	SOONEST_NS = 10000,		/* the shortest that the kernel has for perf's clock */
};

static int perf_open(int signal)
{
	struct perf_event_attr attr;
	struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = (pid_t)syscall(SYS_gettid) };
	int descriptor;

	memset(&attr, 0, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = PERF_TYPE_SOFTWARE;
	attr.config = PERF_COUNT_SW_TASK_CLOCK;
	attr.sample_period = 1000000000;	/* set before it is enabled */
	attr.disabled = 1;
	attr.exclude_kernel = 1;
	attr.exclude_hv = 1;
	do
		descriptor = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1,
					  (unsigned long)PERF_FLAG_FD_CLOEXEC);
	while (descriptor < 0 && errno == EINTR);
	if (descriptor < 0)
		return -errno;
	if (fcntl(descriptor, F_SETOWN_EX, &owner) < 0 || fcntl(descriptor, F_SETSIG, signal) < 0 ||
	    fcntl(descriptor, F_SETFL, O_ASYNC) < 0) {
		int error = -errno;

		close(descriptor);
		return error;
	}
	return usched_owned_add(descriptor);
}

static int timer_open(struct usched_carrier *carrier, int signal, timer_t *timer)
{
	struct sigevent event;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = signal;
	event.sigev_value.sival_ptr = carrier;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	return timer_create(CLOCK_MONOTONIC, &event, timer) ? -errno : 0;
}

static enum usched_tick_refusal refusal(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		return USCHED_TICK_DENIED;
	case -ENOSYS:
	case -ENOENT:
	case -ENODEV:
	case -EOPNOTSUPP:
		return USCHED_TICK_MISSING;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -EAGAIN:
		return USCHED_TICK_LIMITED;
	default:
		return USCHED_TICK_FAILED;
	}
}

int usched_tick_choose(enum usched_tick wanted, int signal, struct usched_tick_probe *probe)
{
	static const char *const perf[] = {
		[USCHED_TICK_DENIED] = "perf_event_open is denied (kernel.perf_event_paranoid above 2, or a container's filter)",
		[USCHED_TICK_MISSING] = "perf_event_open does not exist here",
		[USCHED_TICK_LIMITED] = "no file descriptor or memory is left for a perf event",
		[USCHED_TICK_FAILED] = "perf_event_open failed",
	};
	static const char *const posix[] = {
		[USCHED_TICK_DENIED] = "timer_create is denied (a container's filter)",
		[USCHED_TICK_MISSING] = "timer_create does not exist here",
		[USCHED_TICK_LIMITED] = "timer_create failed (RLIMIT_SIGPENDING is used up)",
		[USCHED_TICK_FAILED] = "timer_create failed",
	};
	timer_t timer;
	int result;

	probe->perf = USCHED_TICK_NOT_WANTED;
	probe->timer = USCHED_TICK_NOT_WANTED;
	probe->why = NULL;
	if (wanted == USCHED_TICK_AUTO || wanted == USCHED_TICK_PERF) {
		result = perf_open(signal);
		if (result >= 0) {
			usched_owned_close(result);
			probe->kind = USCHED_TICK_PERF;
			probe->perf = USCHED_TICK_NOT_REFUSED;
			probe->timer = USCHED_TICK_NOT_REFUSED;
			return 0;
		}
		probe->perf = refusal(result);
		probe->why = perf[probe->perf];
		if (wanted == USCHED_TICK_PERF)
			return -ENOTSUP;
	}
	if (wanted == USCHED_TICK_AUTO || wanted == USCHED_TICK_TIMER) {
		result = timer_open(NULL, signal, &timer);
		if (result == 0) {
			timer_delete(timer);
			probe->kind = USCHED_TICK_TIMER;
			probe->timer = USCHED_TICK_NOT_REFUSED;
			return 0;
		}
		probe->timer = refusal(result);
		probe->why = posix[probe->timer];
		if (wanted == USCHED_TICK_TIMER)
			return -ENOTSUP;
	}
	probe->kind = USCHED_TICK_TIMERFD;
	return 0;
}

void usched_tick_open(struct usched_carrier *carrier, enum usched_tick kind)
{
	int signal = usched_tick_signal();

	carrier->tick_descriptor = -1;
	if (kind == USCHED_TICK_PERF) {
		carrier->tick_descriptor = perf_open(signal);
		if (carrier->tick_descriptor < 0)
			kind = USCHED_TICK_TIMER;
	}
	if (kind == USCHED_TICK_TIMER && timer_open(carrier, signal, &carrier->tick_timer) != 0)
		kind = USCHED_TICK_TIMERFD;
	carrier->tick_kind = (int)kind;
}

void usched_tick_close(struct usched_carrier *carrier)
{
	if (carrier->tick_kind == USCHED_TICK_PERF)
		usched_owned_close(carrier->tick_descriptor);
	else if (carrier->tick_kind == USCHED_TICK_TIMER)
		timer_delete(carrier->tick_timer);
}

static void timer_set(struct usched_carrier *carrier, uint64_t period_ns)
{
	struct itimerspec setting;

	setting.it_interval.tv_sec = (time_t)(period_ns / 1000000000);
	setting.it_interval.tv_nsec = (long)(period_ns % 1000000000);
	setting.it_value = setting.it_interval;
	timer_settime(carrier->tick_timer, 0, &setting, NULL);
}

static void set_period(struct usched_carrier *carrier, uint64_t period_ns)
{
	if (carrier->tick_kind == USCHED_TICK_PERF) {
		if (period_ns == 0) {
			ioctl(carrier->tick_descriptor, PERF_EVENT_IOC_DISABLE, 0);
			return;
		}
		ioctl(carrier->tick_descriptor, PERF_EVENT_IOC_PERIOD, &period_ns);
		ioctl(carrier->tick_descriptor, PERF_EVENT_IOC_ENABLE, 0);
	} else if (carrier->tick_kind == USCHED_TICK_TIMER) {
		timer_set(carrier, period_ns);
	}
}

/* What the carrier's tick should be now; 0: it runs nothing, or nothing with a quantum. */
static uint64_t wanted_ns(struct usched_carrier *carrier)
{
	/* Another thread may look: both are hints then, and it looks again after it has set. A
	   descriptor's memory is always there to be read. */
	struct usched_worker *worker = usched_owned(carrier);
	struct usched_fiber *fiber = usched_current(carrier);

	if (!worker || !fiber || atomic_load_explicit(&worker->tick_off, memory_order_relaxed))
		return 0;
	return usched_quantum_of(worker, fiber);
}

void usched_tick_set(struct usched_carrier *carrier, uint64_t period_ns)
{
	/* Each turn follows a change that another thread made meanwhile: a new quantum, or a
	   dispatch. The next pass of the monitor sees to what a hundred turns do not settle. */
	for (unsigned int turns = 0; turns < 100; turns++) {
		uint64_t now_ns;

		atomic_store_explicit(&carrier->tick_ns, period_ns, memory_order_relaxed);
		atomic_store_explicit(&carrier->tick_fast, false, memory_order_relaxed);
		set_period(carrier, period_ns);					/* [Q2] */
		USCHED_STEP("period", carrier);
		atomic_thread_fence(memory_order_seq_cst);			/* [Q1] */
		now_ns = wanted_ns(carrier);
		if (now_ns == 0)						/* [Q2] */
			now_ns = atomic_load_explicit(&carrier->tick_ns, memory_order_relaxed);
		if (now_ns == period_ns)
			break;
		period_ns = now_ns;
	}
}

/* The worker has its tick again, or never lost it. False: somebody else was faster. */
static bool end_rest(struct usched_worker *worker)
{
	if (!atomic_load_explicit(&worker->tick_off, memory_order_relaxed) ||
	    !atomic_exchange_explicit(&worker->tick_off, false, memory_order_seq_cst))
		return false;
	atomic_fetch_sub_explicit(&worker->scheduler->ticks_off, 1, memory_order_relaxed);
	return true;
}

void usched_tick_begin(struct usched_carrier *carrier, uint64_t period_ns)
{
	end_rest(usched_owned(carrier));
	usched_tick_set(carrier, period_ns);
}

void usched_tick_renew(struct usched_carrier *carrier)
{
	uint64_t period_ns = wanted_ns(carrier);

	/* Who runs nothing just now is put right by its next dispatch, or its first tick. */
	if (period_ns == atomic_load_explicit(&carrier->tick_ns, memory_order_relaxed) ||
	    !usched_owned(carrier) || !usched_current(carrier))
		return;
	usched_tick_set(carrier, period_ns);
}

void usched_tick_stop(struct usched_carrier *carrier)
{
	/* A perf event counts running time: asleep it is silent by itself. */
	if (carrier->tick_kind == USCHED_TICK_TIMER)
		usched_tick_set(carrier, 0);
}

/* Anything that a tick may find later without anybody telling. */
static bool may_get_work(struct usched_worker *worker)
{
	return usched_has_ready(worker) ||
	       atomic_load_explicit(&worker->timers.first_ns, memory_order_relaxed) != UINT64_MAX ||
	       atomic_load_explicit(&worker->descriptors_watched, memory_order_relaxed) != 0 ||
	       atomic_load_explicit(&worker->adopts, memory_order_relaxed);
}

bool usched_tick_rest(struct usched_carrier *carrier)
{
	struct usched_worker *worker = usched_owned(carrier);

	if (may_get_work(worker))
		return false;
	USCHED_STEP("rest", carrier);
	if (!atomic_exchange_explicit(&worker->tick_off, true, memory_order_relaxed))
		atomic_fetch_add_explicit(&worker->scheduler->ticks_off, 1, memory_order_relaxed);
	USCHED_STEP("resting", carrier);
	/* Whoever wants it back meanwhile is seen here, too [Q2]. Its fence: [S3] of find.c */
	usched_tick_set(carrier, 0);
	if (may_get_work(worker)) {
		usched_tick_wanted(worker);
		return false;
	}
	USCHED_STEP("rested", carrier);
	usched_count(&worker->counters.tick_stops);
	return true;
}

void usched_tick_wanted(struct usched_worker *worker)
{
	/* Acquire <- usched_carrier_wait's release: its tick is open. */
	struct usched_carrier *owner = atomic_load_explicit(&worker->owner, memory_order_acquire);

	/* One of those who see it sets the tick. */
	if (!end_rest(worker) || !owner || !usched_carrier_hold(owner))
		return;
	if (usched_owned(owner) == worker) {
		uint64_t period_ns = wanted_ns(owner);

		if (period_ns)
			usched_tick_set(owner, period_ns);
	}
	usched_carrier_let_go(owner);
}

void usched_tick_calm(struct usched_carrier *carrier)
{
	if (atomic_load_explicit(&carrier->tick_fast, memory_order_relaxed))
		usched_tick_set(carrier,
				atomic_load_explicit(&carrier->tick_ns, memory_order_relaxed));
}

static void shorten(struct usched_carrier *carrier, uint64_t period_ns)
{
	/* Thousands of signals a second would go to a handler that has no use for them. */
	if (usched_tick_is_replaced()) {
		usched_tick_calm(carrier);
		return;
	}
	/* The flag twice: the carrier may have put its period right between the two calls, and
	   does so again at its next tick. [Q2] */
	atomic_store_explicit(&carrier->tick_fast, true, memory_order_relaxed);
	set_period(carrier, period_ns);
	atomic_store_explicit(&carrier->tick_fast, true, memory_order_relaxed);
}

void usched_tick_hurry(struct usched_carrier *carrier)
{
	shorten(carrier, FAST_NS);
}

bool usched_tick_in(struct usched_carrier *carrier, uint64_t delay_ns)
{
	if (carrier->tick_kind != USCHED_TICK_PERF)
		return false;
	shorten(carrier, delay_ns > SOONEST_NS ? delay_ns : SOONEST_NS);
	return true;
}

void usched_tick_send(struct usched_carrier *carrier)
{
	/* Not by a signal from here: the carrier may just have gone into the kernel. */
	if (carrier->tick_kind == USCHED_TICK_PERF)
		shorten(carrier, SOONEST_NS);
	else
		usched_tick_raise(carrier);
}

uint64_t usched_tick_cost_ns(struct usched_carrier *carrier, uint64_t (*cycles_to_ns)(uint64_t))
{
	enum { PERIOD_NS = 100000, LONG_ENOUGH_NS = 1500000, GAP_NS = 700, GAPS = 32 };
	uint64_t gaps[GAPS];
	unsigned int count = 0;
	uint64_t end_ns = usched_clock_now_ns() + LONG_ENOUGH_NS;
	uint64_t last;

	if (carrier->tick_kind == USCHED_TICK_TIMERFD)
		return 0;
	set_period(carrier, PERIOD_NS);
	last = usched_cycles();
	while (count < GAPS) {
		uint64_t now = usched_cycles();
		uint64_t gap_ns = cycles_to_ns(now - last);

		/* An uninterrupted turn of this loop takes tens of nanoseconds. */
		if (gap_ns > GAP_NS) {
			unsigned int at = count++;

			while (at > 0 && gaps[at - 1] > gap_ns) {
				gaps[at] = gaps[at - 1];
				at--;
			}
			gaps[at] = gap_ns;
			if (usched_clock_now_ns() > end_ns)
				break;
			now = usched_cycles();
		}
		last = now;
		if (count == 0 && usched_clock_now_ns() > end_ns)
			break;
	}
	set_period(carrier, 0);
	return count ? gaps[count / 2] : 0;
}
