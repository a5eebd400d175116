/* SPDX-License-Identifier: MIT */
/*
 * The threads of a runtime: carriers, the creator, the monitor.
 *
 * A carrier that ends joins the one that has ended before it, and leaves that one's place in
 * carriers[] to the creator. So nobody but such a thread ever waits for a thread's end, which may
 * last: the program's destructors of thread-local variables run there. The last one is joined when
 * the runtime ends.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/futex.h"
#include "preempt/monitor.h"
#include "preempt/wakeup.h"
#include "runtime/runtime.h"
#include "sync/event.h"
#include "worker/dispatch.h"

#define PASS_NS UINT64_C(1000000)	/* while a worker has others waiting */
#define REST_PASS_NS UINT64_C(10000000)	/* while each runs alone, and soon after the last one */
#define BLIND_NS UINT64_C(10000000)	/* the longest sleep that nothing can end */
#define PAUSE_MIN_NS UINT64_C(1000000)	/* after a carrier was refused; twice that the next time */
#define PAUSE_MAX_NS UINT64_C(100000000)

enum {
	SPARES_AT_START = 2,
#if defined(USCHED_SANITIZE_ADDRESS) || defined(USCHED_SANITIZE_THREAD)
	STACK_BYTES = 1 << 20,
#else
	STACK_BYTES = 1 << 18,		/* the loop needs little; the C library's start more */
#endif
	IDLE_PASSES = 10,		/* then the monitor sleeps */
	MONITOR_SLICE_NS = 100000,	/* the shortest that the kernel takes	*/
	SLOW_PASSES = 10,		/* without anybody waiting; then passes are rare */
};

/* Of the C++ runtime, where the program has one. */
extern struct usched_exceptions *__cxa_get_globals(void) __attribute__((weak));

static _Thread_local struct usched_cycles_rate *calibration_rate;

static uint64_t cycles_to_ns(uint64_t cycles)
{
	return usched_cycles_to_ns(calibration_rate, cycles);
}

/* By the end of a thread: see the one before off. */
static void follow(struct usched_runtime *runtime, struct usched_carrier *carrier)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	/* Release -> the next one's acquire: the thread's number. */
	struct usched_carrier *before = atomic_exchange_explicit(&runtime->ended_last, carrier,
								 memory_order_acq_rel);
	struct usched_carrier *first;

	/* Release -> usched_threads_stop(): that this is the last one, or not. */
	atomic_fetch_add_explicit(&scheduler->carriers_ended, 1, memory_order_release);
	if (!before)
		return;
	pthread_join(before->thread, NULL);
	first = atomic_load_explicit(&runtime->vacated, memory_order_relaxed);
	do
		before->vacant_next = first;
	while (!atomic_compare_exchange_weak_explicit(&runtime->vacated, &first, before,
						      memory_order_release,	/* -> find_place */
						      memory_order_relaxed));
}

static void *carrier_thread(void *argument)
{
	struct usched_carrier *carrier = argument;
	struct usched_runtime *runtime = usched_runtime_of(carrier->scheduler);
	struct usched_overflow_thread overflow = { 0 };
	sigset_t all;
	char name[16];

	carrier->thread = pthread_self();
	carrier->tid = (pid_t)syscall(SYS_gettid);
	pthread_getcpuclockid(pthread_self(), &carrier->clock);
	snprintf(name, sizeof(name), "us/c%u", carrier->index);
	pthread_setname_np(pthread_self(), name);
	/* Sleepers wake when their time comes, not up to 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
	atomic_store_explicit(&carrier->cpu, UINT32_MAX, memory_order_relaxed);
	/* Without memory for it an overflow kills without a word. */
	(void)usched_overflow_thread_start(&overflow);
	/* The place may have been another's. */
	atomic_store_explicit(&carrier->signal_sent, false, memory_order_relaxed);
	usched_tick_open(carrier, runtime->tick.kind);
	if (__cxa_get_globals)
		carrier->exceptions = __cxa_get_globals();
	if (carrier->index == 0 && runtime->settings.quantum_floor_ns == UINT64_MAX) {
		sigset_t tick, old;

		calibration_rate = &runtime->scheduler.rate;
		sigemptyset(&tick);
		sigaddset(&tick, usched_tick_signal());
		/* Inside the runtime a tick only leaves a note: what is measured is its price. */
		atomic_store_explicit(&carrier->in_runtime, 1, memory_order_relaxed);
		usched_carrier_self_set(carrier);
		pthread_sigmask(SIG_UNBLOCK, &tick, &old);
		runtime->tick_cost_ns = usched_tick_cost_ns(carrier, cycles_to_ns);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	usched_carrier_reset(carrier);
	atomic_store_explicit(&carrier->ready, true, memory_order_release);	/* [V1] */
	usched_carrier_main(carrier);
	/* A last tick must not find a plain thread: it would be taken for the program's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	usched_carrier_self_set(NULL);
	usched_tick_close(carrier);
	usched_overflow_thread_stop(&overflow);
	follow(runtime, carrier);
	return NULL;
}

/* All signals blocked, so that the new thread begins so. */
static int start_thread(pthread_t *thread, void *(*function)(void *), void *argument)
{
	pthread_attr_t attributes;
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	error = pthread_create(thread, &attributes, function, argument);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -error;
}

/* The reason first, so that who sees the count sees a reason; both are for observers. */
static int refused(struct usched_runtime *runtime, int error)
{
	atomic_store_explicit(&runtime->carriers_error, (uint32_t)-error, memory_order_relaxed);
	atomic_fetch_add_explicit(&runtime->carriers_refused, 1, memory_order_release);
	return error ? error : -EAGAIN;
}

/* A place without a thread; NULL: those that end just now still have theirs. */
static struct usched_carrier *find_place(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	uint32_t places = atomic_load_explicit(&scheduler->carrier_places, memory_order_relaxed);
	struct usched_carrier *carrier = runtime->vacant;

	if (!carrier)
		carrier = atomic_exchange_explicit(&runtime->vacated, NULL,
						   memory_order_acquire);	/* <- follow */
	if (carrier) {
		runtime->vacant = carrier->vacant_next;
		return carrier;
	}
	if (places == USCHED_CARRIER_PLACES(scheduler))
		return NULL;
	carrier = &scheduler->carriers[places];
	carrier->scheduler = scheduler;
	carrier->index = places;
	/* Release -> the monitor's acquire: the fields above. */
	atomic_store_explicit(&scheduler->carrier_places, places + 1, memory_order_release);
	return carrier;
}

/* 0; -EAGAIN at the limit of the runtime, or what the system said. Refusals are counted. */
static int start_carrier(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	struct usched_carrier *carrier;
	pthread_t thread;
	int error;

	if (usched_carriers_alive(scheduler) >= scheduler->carriers_max)
		return refused(runtime, 0);
	carrier = find_place(runtime);
	if (!carrier)
		return -EAGAIN;
	/* Before it begins, since it wakes the monitor, which tells observers and may sleep then.
	   Relaxed: for the limit, which only the caller sees to, and for observers. */
	atomic_fetch_add_explicit(&scheduler->carriers_made, 1, memory_order_relaxed);
	error = start_thread(&thread, carrier_thread, carrier);
	if (error) {
		atomic_fetch_sub_explicit(&scheduler->carriers_made, 1, memory_order_relaxed);
		usched_monitor_wake(scheduler);		/* it may have told of it */
		carrier->vacant_next = runtime->vacant;
		runtime->vacant = carrier;
		return refused(runtime, error);
	}
	return 0;
}

static void *creator_thread(void *argument)
{
	struct usched_runtime *runtime = argument;
	uint64_t pause_ns = PAUSE_MIN_NS;
	uint32_t seen = 0;

	pthread_setname_np(pthread_self(), "us/new");
	while (!atomic_load_explicit(&runtime->helpers_stop, memory_order_acquire)) {
		uint32_t word = atomic_load_explicit(&runtime->creator_word, memory_order_acquire);
		uint32_t more;
		int error = 0;

		if (word == seen) {
			usched_futex_wait(&runtime->creator_word, word, UINT64_MAX, true);
			continue;
		}
		seen = word;
		if (atomic_load_explicit(&runtime->scheduler.spare_count, memory_order_relaxed) > 0)
			continue;
		more = usched_carriers_alive(&runtime->scheduler) / 4 + 1;
		while (more-- > 0 && !error)
			error = start_carrier(runtime);
		if (!error) {
			pause_ns = PAUSE_MIN_NS;
			continue;
		}
		/* Whoever needs one asks again, and all of them get one answer after the pause. */
		usched_futex_wait(&runtime->helpers_stop, 0, usched_clock_now_ns() + pause_ns, true);
		pause_ns = 2 * pause_ns < PAUSE_MAX_NS ? 2 * pause_ns : PAUSE_MAX_NS;
	}
	return NULL;
}

void usched_need_carrier(struct usched_scheduler *scheduler)
{
	struct usched_runtime *runtime = usched_runtime_of(scheduler);

	/* Release -> the creator's acquire; the count itself means nothing. */
	atomic_fetch_add_explicit(&runtime->creator_word, 1, memory_order_release);
	usched_futex_wake(&runtime->creator_word, 1, true);
}

void usched_monitor_wake(struct usched_scheduler *scheduler)
{
	uint64_t one = 1;

	(void)!write(usched_runtime_of(scheduler)->monitor_wake, &one, sizeof(one));
}

/* What the monitor sleeps on; behind these the epolls of the workers that are armed. */
enum polled { POLLED_WAKE, POLLED_CONTROL, POLLED_TICK, POLLED_WORKERS };

static bool polled_init(struct usched_runtime *runtime)
{
	uint32_t count = POLLED_WORKERS + runtime->scheduler.worker_count;

	runtime->polled = calloc(count, sizeof(*runtime->polled));
	for (uint32_t i = 0; runtime->polled && i < count; i++)
		runtime->polled[i].events = POLLIN;
	return runtime->polled;
}

/*
 * poll(2) is refused: the program has lowered RLIMIT_NOFILE below what we have open, as one does that locks
 * itself in, or memory is short. Our own descriptors may be readable, then; workers serve themselves.
 */
static void sleep_blindly(struct usched_runtime *runtime, uint64_t timeout_ns)
{
	const struct timespec pause = { .tv_nsec = (long)(timeout_ns < BLIND_NS ? timeout_ns : BLIND_NS) };

	for (uint32_t i = 0; i < POLLED_WORKERS + runtime->scheduler.worker_count; i++)
		runtime->polled[i].revents = i < POLLED_WORKERS ? POLLIN : 0;
	nanosleep(&pause, NULL);
}

/*
 * Return: whether any is readable. Not in an epoll of the monitor's own: each event of a descriptor that a
 * worker serves would pass through both, in the system call of whoever sends it, also while the monitor
 * does not ask. A poll(2) leaves nothing behind.
 */
static bool sleep_in_poll(struct usched_runtime *runtime, uint64_t timeout_ns)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / 1000000000),
		.tv_nsec = (long)(timeout_ns % 1000000000),
	};
	int count;

	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];

		/* A negative one is passed over. */
		runtime->polled[POLLED_WORKERS + i].fd = worker->watch.armed ? worker->poll_descriptor : -1;
	}
	count = ppoll(runtime->polled, POLLED_WORKERS + scheduler->worker_count,
		      timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
	if (count < 0)
		sleep_blindly(runtime, timeout_ns);
	return count != 0;
}

/* How long the monitor may sleep, and what it tells the workers of that. */
static uint64_t time_to_sleep(struct usched_runtime *runtime, bool slow, uint64_t passed_ns,
			      uint64_t due_ns, uint64_t now_ns)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	bool wakes = atomic_load_explicit(&scheduler->wakeup_ns, memory_order_relaxed) != 0;
	uint64_t pass_ns = passed_ns + (slow ? REST_PASS_NS : PASS_NS);

	if (!atomic_load_explicit(&scheduler->monitor_asleep, memory_order_relaxed) &&
	    pass_ns < due_ns)
		due_ns = pass_ns;
	/* Relaxed: a worker that sees the old value may wake us once more, or its timer waits for
	   the pass. */
	atomic_store_explicit(&scheduler->monitor_slow, slow, memory_order_relaxed);
	atomic_store_explicit(&scheduler->watch_ns, wakes ? due_ns : 0, memory_order_relaxed);
	if (due_ns == UINT64_MAX)
		return UINT64_MAX;
	return due_ns > now_ns ? due_ns - now_ns : 0;
}

/* It runs for microseconds at a time and should not wait for the slice of a loop on its CPU: Linux lets a
   thread with a short slice in at once, from 6.12 on. Before, this is ignored. */
static void ask_for_short_slices(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime_ns, deadline_ns, period_ns;
	} attributes;

	if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) ||
	    (attributes.policy != SCHED_OTHER && attributes.policy != SCHED_BATCH))
		return;
	attributes.runtime_ns = MONITOR_SLICE_NS;
	(void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

static void *monitor_thread(void *argument)
{
	struct usched_runtime *runtime = argument;
	struct usched_scheduler *scheduler = &runtime->scheduler;
	struct pollfd *polled = runtime->polled;
	enum usched_monitor_seen seen = USCHED_MONITOR_SLEEP;
	uint64_t passed_ns = 0, control_ns = 0, spares_ns = UINT64_MAX;
	unsigned int idle_passes = 0, slow_passes = 0;

	pthread_setname_np(pthread_self(), "us/mon");
	prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
	ask_for_short_slices();
	/* Acquire <- usched_monitor_start: the control plane is made. */
	while (!atomic_load_explicit(&runtime->monitor_begins, memory_order_acquire))
		usched_futex_wait(&runtime->monitor_begins, 0, UINT64_MAX, true);
	if (atomic_load_explicit(&runtime->helpers_stop, memory_order_acquire))
		return NULL;		/* the runtime could not be made */
	polled[POLLED_WAKE].fd = runtime->monitor_wake;
	polled[POLLED_CONTROL].fd = usched_control_descriptor(runtime->control);
	polled[POLLED_TICK].fd = runtime->tick_timerfd;
	usched_wakeup_init(scheduler);
	while (!atomic_load_explicit(&runtime->helpers_stop, memory_order_acquire)) {
		uint64_t now_ns = usched_clock_now_ns(), due_ns, value;
		bool readable;

		usched_tune_requests(runtime);
		usched_events_deliver(scheduler);
		/* A carrier that stands still for less than this is not worth a look. */
		if (now_ns - passed_ns >= PASS_NS || seen == USCHED_MONITOR_SLEEP) {
			seen = usched_monitor_pass(scheduler, now_ns);
			passed_ns = now_ns;
			idle_passes = seen == USCHED_MONITOR_SLEEP ? idle_passes + 1 : 0;
			slow_passes = seen != USCHED_MONITOR_WORK ? slow_passes + 1 : 0;
			if (idle_passes > IDLE_PASSES) {
				atomic_store_explicit(&scheduler->monitor_asleep, true,
						      memory_order_relaxed);
				atomic_thread_fence(memory_order_seq_cst);	/* [S2] of find.c */
				seen = usched_monitor_pass(scheduler, now_ns);
				if (seen != USCHED_MONITOR_SLEEP)
					atomic_store_explicit(&scheduler->monitor_asleep, false,
							      memory_order_relaxed);
			}
			usched_reconcile(runtime);
			usched_adapt(runtime, now_ns);
			spares_ns = usched_spares_trim(runtime, now_ns);
			control_ns = usched_control_pass(runtime->control, now_ns,
							 seen != USCHED_MONITOR_SLEEP ||
							 usched_spares_are_ending(runtime));
		}
		due_ns = usched_wakeup_pass(scheduler, now_ns);
		if (control_ns < due_ns)
			due_ns = control_ns;
		if (spares_ns < due_ns)
			due_ns = spares_ns;
		readable = sleep_in_poll(runtime, time_to_sleep(runtime, slow_passes > SLOW_PASSES,
								passed_ns, due_ns, now_ns));
		atomic_store_explicit(&scheduler->monitor_asleep, false, memory_order_relaxed);
		if (!readable)
			continue;
		now_ns = usched_clock_now_ns();
		for (uint32_t i = 0; i < scheduler->worker_count; i++) {
			if (polled[POLLED_WORKERS + i].revents)
				usched_wakeup_ready(&scheduler->workers[i], now_ns);
		}
		if (polled[POLLED_WAKE].revents &&
		    read(runtime->monitor_wake, &value, sizeof(value)) > 0) {
			idle_passes = 0;
			slow_passes = 0;
			if (seen == USCHED_MONITOR_SLEEP)
				passed_ns = 0;	/* it has changed: another pass at once */
		}
		if (polled[POLLED_TICK].revents &&
		    read(runtime->tick_timerfd, &value, sizeof(value)) > 0)
			usched_monitor_tick_all(scheduler);
		if (polled[POLLED_CONTROL].revents)
			passed_ns = 0;
	}
	usched_events_deliver(scheduler);
	return NULL;
}

int usched_threads_start(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	uint32_t workers = scheduler->worker_count;
	uint32_t wanted, count = 0;
	int error;

	if (!polled_init(runtime))
		return -ENOMEM;
	/* The helpers first: a runtime can do with fewer spares, but not without them. */
	error = start_thread(&runtime->creator_thread, creator_thread, runtime);
	runtime->creator_runs = !error;
	if (error)
		return error;
	error = start_thread(&runtime->monitor_thread, monitor_thread, runtime);
	runtime->monitor_runs = !error;
	if (error)
		return error;
	if (runtime->settings.workers && runtime->settings.workers < workers)
		workers = runtime->settings.workers;
	wanted = workers + SPARES_AT_START;
	if (wanted > scheduler->carriers_max)
		wanted = scheduler->carriers_max;
	while (count < wanted && !error) {
		error = start_carrier(runtime);
		count += !error;
	}
	if (error && count < workers)
		return error;
	/* They are found as spares once they are ready. */
	while (atomic_load_explicit(&scheduler->spare_count, memory_order_acquire) < count) {
		struct timespec pause = { .tv_nsec = 50000 };

		nanosleep(&pause, NULL);
	}
	return 0;
}

void usched_monitor_start(struct usched_runtime *runtime)
{
	atomic_store_explicit(&runtime->monitor_begins, 1, memory_order_release);	/* -> monitor */
	usched_futex_wake(&runtime->monitor_begins, 1, true);
}

void usched_threads_stop(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	struct usched_carrier *last;
	uint64_t made;

	atomic_store_explicit(&runtime->helpers_stop, 1, memory_order_release);
	if (runtime->creator_runs) {
		usched_futex_wake(&runtime->helpers_stop, 1, true);	/* in a pause, */
		usched_need_carrier(scheduler);				/* or idle */
		pthread_join(runtime->creator_thread, NULL);
	}
	if (runtime->monitor_runs) {
		usched_monitor_start(runtime);		/* if it has not begun */
		usched_monitor_wake(scheduler);
		pthread_join(runtime->monitor_thread, NULL);
	}
	made = atomic_load_explicit(&scheduler->carriers_made, memory_order_relaxed); /* joined */
	atomic_store_explicit(&scheduler->stop, true, memory_order_release);	/* -> the loop */
	/* Each turn ends those that wait as spares, and wakes those that sleep in a poll. */
	while (atomic_load_explicit(&scheduler->carriers_ended, memory_order_acquire) < made) {
		struct timespec pause = { .tv_nsec = 50000 };
		struct usched_carrier *spare;

		while ((spare = usched_spare_pop(&scheduler->workers[0])))
			usched_carrier_give(spare, NULL);
		for (uint32_t i = 0; i < scheduler->worker_count; i++)
			usched_wake_worker(&scheduler->workers[i]);
		nanosleep(&pause, NULL);
	}
	/* It has joined the one before it, and so on. */
	last = atomic_exchange_explicit(&runtime->ended_last, NULL, memory_order_acquire);
	if (last)
		pthread_join(last->thread, NULL);
}
