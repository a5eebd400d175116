/* SPDX-License-Identifier: MIT */
/*
 * The guard. When nothing has moved for a minute something hangs: this says where every worker,
 * carrier and fiber stands, and ends the process; with STORM_HOLD in the environment it stays, for a
 * debugger. SIGUSR1 asks for the same at any time. A fiber may hold any lock of libc, so nothing here
 * allocates or uses stdio.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/format.h"
#include "runtime/runtime.h"
#include "storm.h"
#include "worker/inbox.h"

enum { SILENT_SECONDS = 60 };

#define GET(word) atomic_load_explicit(&(word), memory_order_relaxed)

char storm_command[256];

static char line[1024];
static struct usched_format text;

static void begin(void)
{
	usched_format_init(&text, line, sizeof(line));
}

static void word(const char *name)
{
	usched_format_string(&text, name);
}

static void number(const char *name, uint64_t value)
{
	usched_format_string(&text, name);
	usched_format_decimal(&text, value);
}

static void end(void)
{
	usched_format_string(&text, "\n");
	usched_format_write(&text, STDERR_FILENO);
}

/* The first line of a file of the kernel about a thread. */
static void tell(pid_t tid, const char *name)
{
	char path[64], content[400];
	struct usched_format format;
	ssize_t got;
	int descriptor;

	usched_format_init(&format, path, sizeof(path));
	usched_format_string(&format, "/proc/self/task/");
	usched_format_decimal(&format, (uint64_t)tid);
	usched_format_string(&format, name);
	descriptor = open(path, O_RDONLY | O_CLOEXEC);
	got = descriptor < 0 ? -1 : read(descriptor, content, sizeof(content) - 1);
	if (descriptor >= 0)
		close(descriptor);
	if (got <= 0)
		return;
	content[got] = '\0';
	for (char *at = content; *at; at++) {
		if (*at == '\n')
			*at = at[1] ? ';' : '\0';
	}
	word(" ");
	word(content);
}

static void tell_worker(struct usched_worker *worker)
{
	static const char *const modes[] = { "dormant", "moving", "owned", "idle" };
	struct usched_carrier *owner = GET(worker->owner);

	begin();
	number("worker ", worker->number);
	word(" ");
	word(modes[GET(worker->mode) & 3]);
	if (owner)
		number(" owner c", owner->index);
	number(" dispatches ", GET(worker->counters.dispatches));
	number(" ticks ", GET(worker->counters.ticks));
	number(" taken ", GET(worker->taken));
	word(" rings");
	for (unsigned int kind = 0; kind < USCHED_RING_COUNT; kind++)
		number(" ", usched_ring_length(&worker->rings[kind]));
	number(" next ", GET(worker->next) != NULL);
	number(" revoked ", GET(worker->revoked));
	number(" tick_off ", GET(worker->tick_off));
	number(" timers ", GET(worker->timers.length));
	end();
}

static void tell_carrier(struct usched_carrier *carrier)
{
	static const char *const revokes[] = { "none", "requested", "taken" };
	struct usched_worker *worker = GET(carrier->worker);
	struct usched_fiber *fiber = GET(carrier->current);

	begin();
	number("c", carrier->index);
	number(" tid ", (uint64_t)carrier->tid);
	if (worker)
		number(" worker ", worker->number);
	if (fiber) {
		number(" fiber ", fiber->index);
		word(" ");
		word(fiber->name);
	}
	number(" in_runtime ", GET(carrier->in_runtime));
	word(" revoke ");
	word(revokes[GET(carrier->revoke) % 3]);
	number(" go ", GET(carrier->go));
	number(" pending ", GET(carrier->pending));
	number(" tick_ns ", GET(carrier->tick_ns));
	end();
	begin();
	word("   ");
	tell(carrier->tid, "/syscall");
	tell(carrier->tid, "/wchan");
	end();
}

static void tell_fiber(struct usched_fiber *fiber)
{
	static const char *const states[] = {
		[USCHED_FIBER_NEW] = "new", [USCHED_FIBER_READY] = "ready",
		[USCHED_FIBER_RUNNING] = "running", [USCHED_FIBER_PARKED] = "parked",
		[USCHED_FIBER_READY_BOUND] = "stopped", [USCHED_FIBER_STRANDED] = "stranded",
		[USCHED_FIBER_DONE] = "done",
	};
	struct usched_carrier *bound = usched_fiber_bound(fiber);
	unsigned int state = GET(fiber->state);

	begin();
	number("fiber ", fiber->index);
	word(" ");
	word(fiber->name);
	word(" ");
	word(state < sizeof(states) / sizeof(states[0]) && states[state] ? states[state] : "?");
	if (bound)
		number(" with c", bound->index);
	number(" sections ", GET(fiber->sections));
	number(" preemptions ", GET(fiber->preemptions));
	if (state == USCHED_FIBER_PARKED)
		number(" waits for kind ", fiber->waiter.kind);
	end();
}

static void tell_all(struct usched_scheduler *scheduler)
{
	uint32_t carriers = atomic_load_explicit(&scheduler->carrier_places, memory_order_acquire);
	uint32_t limit = usched_table_limit(&scheduler->fibers);

	begin();
	number("carriers ", carriers);
	number(" of ", scheduler->carriers_max);
	number(" spares ", GET(scheduler->spare_count));
	for (uint32_t i = 0; i < scheduler->pool_count; i++)
		number(" inbox empty ", usched_inbox_empty(&scheduler->pools[i].inbox));
	end();
	for (uint32_t i = 0; i < scheduler->worker_count; i++)
		tell_worker(&scheduler->workers[i]);
	for (uint32_t i = 0; i < carriers; i++) {
		if (atomic_load_explicit(&scheduler->carriers[i].ready, memory_order_acquire))
			tell_carrier(&scheduler->carriers[i]);
	}
	for (uint32_t index = 1; index < limit; index++) {
		struct usched_fiber *fiber = usched_table_record(&scheduler->fibers, index);

		if (GET(fiber->id))
			tell_fiber(fiber);
	}
}

static _Atomic bool is_asked;

static void ask(int signal)
{
	(void)signal;
	atomic_store(&is_asked, true);
}

static void *watch(void *argument)
{
	const struct timespec second = { .tv_sec = 1 };
	uint64_t seen = GET(storm_progress);
	unsigned int silent = 0;

	while (silent < SILENT_SECONDS) {
		uint64_t now;

		nanosleep(&second, NULL);
		now = GET(storm_progress);
		silent = now == seen ? silent + 1 : 0;
		seen = now;
		/* The runtime may end under it: a risk that only who asks takes. */
		if (atomic_exchange(&is_asked, false) && storm_run.runtime)
			tell_all(&storm_run.runtime->scheduler);
	}
	begin();
	number("storm: nothing has moved for ", SILENT_SECONDS);
	word(" s in group ");
	word(storm_run.group ? storm_run.group->name : "none");
	word(", mode ");
	word(storm_mode_name(storm_run.mode));
	word("; to repeat: ");
	word(storm_command);
	end();
	if (storm_run.runtime)
		tell_all(&storm_run.runtime->scheduler);
	if (getenv("STORM_HOLD"))
		for (;;)
			pause();		/* for a debugger */
	_exit(1);
	return argument;
}

void storm_watch_start(void)
{
	struct sigaction action = { .sa_handler = ask, .sa_flags = SA_RESTART };
	pthread_t thread;

	sigaction(SIGUSR1, &action, NULL);
	if (pthread_create(&thread, NULL, watch, NULL)) {
		fprintf(stderr, "storm: the guard's thread cannot be made\n");
		exit(1);
	}
	pthread_detach(thread);
}
