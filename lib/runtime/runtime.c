/* SPDX-License-Identifier: MIT */
/*
 * Create and destroy a runtime.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/child.h"
#include "base/futex.h"
#include "io/descriptor.h"
#include "memory/cycles.h"
#include "preempt/code.h"
#include "preempt/monitor.h"
#include "runtime/runtime.h"
#include "worker/dispatch.h"
#include "worker/registry.h"

#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number

enum { TICKS_PER_COST = 10, DESTROY_LOOK_NS = 5000000, DESTROY_LOOK_MAX_NS = 1000000000 };

const char *usched_version(void)
{
	return TEXT(USCHED_VERSION_MAJOR) "." TEXT(USCHED_VERSION_MINOR) "."
	       TEXT(USCHED_VERSION_PATCH);
}

struct usched_runtime *usched_runtime_current(void)
{
	/* Fixed for a fiber: a carrier of another moment answers the same. */
	struct usched_carrier *carrier = usched_carrier_self_get();

	return carrier ? usched_runtime_of(carrier->scheduler) : NULL;
}

static void fiber_ended(struct usched_scheduler *scheduler)
{
	struct usched_runtime *runtime = usched_runtime_of(scheduler);

	atomic_fetch_add_explicit(&runtime->ended_word, 1, memory_order_release);
	usched_futex_wake(&runtime->ended_word, 1, true);
}

/* Once in a process: its author should know, and can do something about it. */
static void tell_of_sharing(int signal)
{
	static _Atomic bool told;
	const char *name = sigabbrev_np(signal);

	if (!atomic_exchange_explicit(&told, true, memory_order_relaxed))
		fprintf(stderr, "usched: signal %d (SIG%s) has a handler of the program's: that goes "
			"on getting the program's signals, and ticks share the number; choose "
			"another one for ticks with USCHED_SIGNAL\n", signal, name ? name : "?");
}

static int choose_tick(struct usched_runtime *runtime)
{
	int error = usched_tick_install(runtime->settings.signal, &runtime->signal_shared);

	if (error) {
		fprintf(stderr, "usched: cannot use signal %d for ticks: %s\n",
			runtime->settings.signal, error == -EBUSY ?
			"another runtime of this process uses another one; give all the same USCHED_SIGNAL" :
			"the kernel refuses a handler for it; choose another with USCHED_SIGNAL");
		return -EINVAL;
	}
	runtime->signal_installed = true;
	if (runtime->signal_shared)
		tell_of_sharing(usched_tick_signal());
	error = usched_tick_choose(runtime->settings.tick, usched_tick_signal(), &runtime->tick);
	if (error) {
		fprintf(stderr, "usched: the tick that was asked for does not work here: %s; "
			"unset USCHED_TICK to use the best that does\n", runtime->tick.why);
		return -EINVAL;
	}
	if (runtime->tick.kind == USCHED_TICK_TIMERFD) {
		runtime->tick_timerfd = usched_owned_add(timerfd_create(CLOCK_MONOTONIC,
									TFD_CLOEXEC | TFD_NONBLOCK));
		if (runtime->tick_timerfd < 0)
			return -errno;
	}
	return 0;
}

static void choose_floor(struct usched_runtime *runtime)
{
	uint64_t floor_ns = TICKS_PER_COST * runtime->tick_cost_ns;

	if (floor_ns < USCHED_QUANTUM_MIN_NS)
		floor_ns = USCHED_QUANTUM_MIN_NS;
	/* A measurement on a machine that was just busy must not forbid what is asked for daily. */
	if (floor_ns > 5 * USCHED_QUANTUM_MIN_NS)
		floor_ns = 5 * USCHED_QUANTUM_MIN_NS;
	if (runtime->settings.quantum_floor_ns != UINT64_MAX)
		floor_ns = runtime->settings.quantum_floor_ns;
	runtime->scheduler.quantum_floor_ns = floor_ns;
}

static void start_tunables(struct usched_runtime *runtime, uint64_t values[USCHED_TUNABLES])
{
	const struct usched_settings *settings = &runtime->settings;

	usched_tunables_start(values);
	values[USCHED_TUNABLE_QUANTUM] = settings->quantum_ns;
	values[USCHED_TUNABLE_WAKEUP] = settings->wakeup_ns;
	values[USCHED_TUNABLE_BUDGET] = settings->budget;
}

static int start_control(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	static struct usched_control_options options;
	struct usched_control_host host = usched_host;
	uint32_t limit = usched_topology_cpu_limit(&runtime->topology);

	memset(&options, 0, sizeof(options));
	host.context = runtime;
	options.name = runtime->settings.name;
	options.socket_directory = runtime->settings.embedded ? NULL :
				   runtime->settings.socket_directory;
	for (uint32_t i = 0; i < scheduler->worker_count; i++)
		options.cpus[scheduler->workers[i].cpu / 64] |=
			UINT64_C(1) << (scheduler->workers[i].cpu % 64);
	options.workers = scheduler->worker_count;
	options.workers_max = runtime->settings.workers ? runtime->settings.workers : limit;
	if (options.workers_max > scheduler->worker_count)
		options.workers_max = scheduler->worker_count;
	start_tunables(runtime, options.tunables);
	options.fixed.tick_source = (uint32_t)runtime->tick.kind;
	options.fixed.tick_cost_ns = runtime->tick_cost_ns;
	options.fixed.quantum_floor_ns = scheduler->quantum_floor_ns;
	options.fixed.carriers_max = scheduler->carriers_max;
	options.fixed.signal = (uint32_t)usched_tick_signal();
	options.fixed.guard_kind = runtime->settings.guard == USCHED_GUARD_MADVISE ? 1 : 2;
	options.fixed.perf_refused = (uint32_t)runtime->tick.perf;
	options.fixed.timer_refused = (uint32_t)runtime->tick.timer;
	options.fixed.flags =
		(scheduler->membarrier ? 0 : USCHED_REPORT_NO_MEMBARRIER) |
		(limit < scheduler->worker_count ? USCHED_REPORT_QUOTA : 0) |
		(runtime->signal_shared ? USCHED_REPORT_SIGNAL_SHARED : 0);
	runtime->report_flags = options.fixed.flags;
	return usched_control_create(&runtime->control, &options, &host);
}

static void free_runtime(struct usched_runtime *runtime)
{
	usched_control_destroy(runtime->control);
	if (runtime->overflow_hook >= 0)
		usched_overflow_stop(runtime->overflow_hook);
	if (runtime->signal_installed)
		usched_tick_uninstall();
	if (runtime->scheduler.number)
		usched_registry_remove(runtime->scheduler.number);
	usched_unbuild(runtime);
	usched_owned_close(runtime->tick_timerfd);
	usched_owned_close(runtime->monitor_wake);
	free(runtime->polled);
	munmap(runtime, sizeof(*runtime));
	usched_fork_matters_not();
}

int usched_runtime_create(struct usched_runtime **result,
			  const struct usched_runtime_options *options)
{
	struct usched_settings settings;
	struct usched_runtime *runtime;
	struct usched_scheduler *scheduler;
	int error;

	if (usched_in_child())
		return -EPERM;
	error = usched_settings_read(&settings, options);
	if (!error)
		error = usched_arch_check();
	if (error)
		return error;
	runtime = mmap(NULL, sizeof(*runtime), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (runtime == MAP_FAILED)
		return -ENOMEM;
	usched_fork_matters();
	scheduler = &runtime->scheduler;
	runtime->settings = settings;
	runtime->tick_timerfd = -1;
	runtime->overflow_hook = -1;
	atomic_init(&runtime->spares.look_ns, USCHED_SPARES_LOOK_NS);
	runtime->started_ns = usched_clock_now_ns();
	runtime->monitor_wake = usched_owned_add(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	for (unsigned int i = 0; i < USCHED_TUNABLES; i++)
		atomic_init(&runtime->requests[i], USCHED_TUNABLE_NOT_ASKED);
	if (runtime->monitor_wake < 0) {
		error = -errno;
		goto err_free;
	}
	scheduler->hooks = (struct usched_hooks){
		.io_event = usched_descriptor_event,
		.io_soon = usched_descriptor_soon,
		.tick_set = usched_tick_begin,
		.tick_in = usched_tick_in,
		.tick_stop = usched_tick_stop,
		.tick_wanted = usched_tick_wanted,
		.tick_pending = usched_preempt_pending,
		.need_carrier = usched_need_carrier,
		.wake_monitor = usched_monitor_wake,
		.fiber_ended = fiber_ended,
	};
	usched_float_environment_capture(&scheduler->float_environment);
	usched_cycles_find_rate(&scheduler->rate);
	error = usched_topology_read(&runtime->topology);
	if (!error)
		error = usched_registry_add(scheduler, &scheduler->number);
	if (!error)
		error = choose_tick(runtime);
	if (!error)
		error = usched_build(runtime);
	if (error)
		goto err_free;
	runtime->overflow_hook = usched_overflow_start(usched_whose_stack, runtime);
	usched_code_find_libc();
	scheduler->membarrier = settings.membarrier;
	usched_monitor_init(scheduler);
	pthread_sigmask(SIG_SETMASK, NULL, &scheduler->carrier_mask);
	sigdelset(&scheduler->carrier_mask, usched_tick_signal());
	error = usched_threads_start(runtime);
	if (error)
		goto err_stop;
	choose_floor(runtime);
	error = start_control(runtime);
	if (error)
		goto err_stop;
	usched_monitor_start(runtime);
	*result = runtime;
	return 0;

err_stop:
	usched_threads_stop(runtime);
err_free:
	free_runtime(runtime);
	return error;
}

int usched_runtime_destroy(struct usched_runtime *runtime, uint64_t deadline_ns)
{
	struct usched_scheduler *scheduler;
	uint64_t pause_ns = DESTROY_LOOK_NS;

	if (usched_in_child())
		return -EPERM;
	if (!runtime)
		return 0;
	if (usched_carrier_self_get())
		return -EDEADLK;
	scheduler = &runtime->scheduler;
	atomic_store_explicit(&scheduler->stopping, true, memory_order_seq_cst);
	for (;;) {
		uint32_t word = atomic_load_explicit(&runtime->ended_word, memory_order_acquire);
		uint64_t now_ns, look_ns;

		if (usched_alive(scheduler, NULL) == 0)
			break;
		now_ns = usched_clock_now_ns();
		if (now_ns >= deadline_ns)
			return deadline_ns == USCHED_NOW ? -EAGAIN : -ETIMEDOUT;
		/* A fiber that ends just as we begin may not see `stopping`: look again, and later again,
		   ever more rarely: who waits for a server waits for days. */
		look_ns = now_ns + pause_ns;
		if (pause_ns < DESTROY_LOOK_MAX_NS)
			pause_ns *= 2;
		usched_futex_wait(&runtime->ended_word, word,
				  look_ns < deadline_ns ? look_ns : deadline_ns, true);
	}
	usched_threads_stop(runtime);
	free_runtime(runtime);
	return 0;
}
