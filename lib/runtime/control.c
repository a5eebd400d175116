/* SPDX-License-Identifier: MIT */
/*
 * The control plane's pair of segments and its passes; see control.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "runtime/control_private.h"

enum { PUBLISH_NS = 5000000 };

#define PUT(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

int usched_control_watch(struct usched_control *control, int descriptor, uint32_t data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = data };

	return epoll_ctl(control->epoll, EPOLL_CTL_ADD, descriptor, &event) ? -errno : 0;
}

void usched_control_fill(struct usched_control *control, struct usched_report *report)
{
	const struct usched_report *fixed = &control->options.fixed;

	report->pid = (uint32_t)getpid();
	report->uid = (uint32_t)getuid();
	report->start_time_ns = fixed->start_time_ns;
	memcpy(report->name, control->name, sizeof(report->name));
	report->tick_source = fixed->tick_source;
	report->guard_kind = fixed->guard_kind;
	report->tick_cost_ns = fixed->tick_cost_ns;
	report->quantum_floor_ns = fixed->quantum_floor_ns;
	report->carriers_max = fixed->carriers_max;
	report->signal = fixed->signal;
	report->flags = fixed->flags;
	report->perf_refused = fixed->perf_refused;
	report->timer_refused = fixed->timer_refused;
}

static struct usched_report_worker *slots(const struct usched_pair *pair)
{
	return (struct usched_report_worker *)((char *)pair->report.memory +
					       sizeof(struct usched_report));
}

/* Whether some worker was at work when it was published. */
static bool seems_awake(const struct usched_control *control)
{
	const struct usched_report_worker *slot = slots(&control->pair);
	bool awake = false;

	for (uint32_t i = 0; i < control->options.workers; i++)
		awake |= slot[i].state == USCHED_WORKER_RUNNING ||
			 slot[i].state == USCHED_WORKER_SCHEDULING;
	return awake;
}

void usched_control_publish(struct usched_control *control, uint64_t now_ns, int active)
{
	struct usched_report *report = usched_segment_report(&control->pair.report);

	PUT(report->heartbeat, report->heartbeat + 1);
	PUT(report->published_ns, now_ns);
	PUT(report->attachment, (uint32_t)control->state);
	PUT(report->session_changes, control->moves);
	control->host.publish(control->host.context, report, slots(&control->pair),
			      control->options.workers);
	control->published_ns = now_ns;
	/* Readers take what an idle runtime said last for true until it says more: a worker that was
	   awake for a moment just now must not stay so for them. */
	control->was_active = active || seems_awake(control);
	if (usched_control_is_arbiter(control)) {
		struct usched_grant *grant = usched_segment_grant(&control->pair.grant);

		PUT(grant->heartbeat, grant->heartbeat + 1);
	}
}

void usched_control_apply(struct usched_control *control)
{
	struct usched_grant_copy copy;
	uint64_t any = 0;

	if (usched_grant_load(usched_segment_grant(&control->pair.grant), &copy))
		return;			/* being written: another doorbell follows */
	for (unsigned int i = 0; i < USCHED_CPU_WORDS; i++) {
		copy.cpus[i] &= control->options.cpus[i];
		any |= copy.cpus[i];
	}
	/* Nothing at all is no grant: a runtime always keeps a CPU. */
	if (any)
		memcpy(control->cpus, copy.cpus, sizeof(control->cpus));
	usched_tunables_clamp(copy.tunables);
	memcpy(control->tunables, copy.tunables, sizeof(control->tunables));
	control->host.apply(control->host.context, control->cpus, copy.grant_generation,
			    control->tunables, copy.tunables_generation);
}

static int create_pair(struct usched_control *control, struct usched_pair *pair)
{
	static const struct usched_pair none = { USCHED_SEGMENT_NONE, USCHED_SEGMENT_NONE };
	uint64_t session[2] = { usched_random_entropy(), usched_random_entropy() };
	int error;

	*pair = none;
	error = usched_segment_create(&pair->grant, USCHED_SEGMENT_GRANT, control->options.workers,
				      session);
	if (!error)
		error = usched_segment_create(&pair->report, USCHED_SEGMENT_REPORT,
					      control->options.workers, session);
	if (error) {
		usched_segment_close(&pair->grant);
		return error;
	}
	usched_control_fill(control, usched_segment_report(&pair->report));
	return 0;
}

/* Our own grant: the lowest allowed CPUs, as many as we may run on. */
static void grant_all(struct usched_control *control, struct usched_pair *pair)
{
	uint64_t cpus[USCHED_CPU_WORDS] = { 0 };
	uint32_t left = control->options.workers_max, slot = 0;

	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
		if (!(control->options.cpus[cpu / 64] >> (cpu % 64) & 1))
			continue;
		usched_segment_grant_worker(&pair->grant, slot)->cpu = cpu;
		slot++;
		if (left == 0)
			continue;
		cpus[cpu / 64] |= UINT64_C(1) << (cpu % 64);
		left--;
	}
	usched_grant_store(usched_segment_grant(&pair->grant), cpus, control->tunables);
}

void usched_control_move(struct usched_control *control, const struct usched_pair *pair,
			 enum usched_attachment state, uint64_t now_ns)
{
	usched_segment_close(&control->old.grant);
	usched_segment_close(&control->old.report);
	control->old = control->pair;
	control->pair = *pair;
	control->state = state;
	if (control->old.report.memory)
		control->moves++;
	usched_control_apply(control);
	usched_control_publish(control, now_ns, 1);
	/* Only now, so that an observer that sees it finds the new one ready. The daemon's G is
	   not ours to write: its death is what retires that pair. */
	if (control->old.grant.memory && state == USCHED_ATTACHMENT_DAEMON)
		__atomic_store_n(&usched_segment_grant(&control->old.grant)->retired, 1,
				 __ATOMIC_RELEASE);	/* -> observers' acquire */
}

int usched_control_embed(struct usched_control *control)
{
	struct usched_pair pair;
	int error = create_pair(control, &pair);

	if (error)
		return error;
	grant_all(control, &pair);
	usched_control_move(control, &pair, USCHED_ATTACHMENT_EMBEDDED, usched_clock_now_ns());
	return 0;
}

uint64_t usched_control_tune(struct usched_control *control, unsigned int tunable, uint64_t value)
{
	struct usched_grant *grant = usched_segment_grant(&control->pair.grant);

	control->tunables[tunable] = value;
	usched_grant_store(grant, NULL, control->tunables);
	usched_control_apply(control);
	if (control->state == USCHED_ATTACHMENT_ATTACHING)
		usched_control_attach_anew(control);
	usched_control_publish(control, usched_clock_now_ns(), 1);
	return grant->tunables.generation;
}

int usched_control_create(struct usched_control **result,
			  const struct usched_control_options *options,
			  const struct usched_control_host *host)
{
	static const struct usched_pair none = { USCHED_SEGMENT_NONE, USCHED_SEGMENT_NONE };
	struct usched_control *control;
	int error;

	if (options->socket_directory && strlen(options->socket_directory) > USCHED_DIRECTORY_MAX)
		return -EINVAL;
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (control == MAP_FAILED)
		return -ENOMEM;
	control->host = *host;
	control->options = *options;
	control->options.fixed.start_time_ns = usched_clock_now_ns();
	strncpy(control->name, options->name, sizeof(control->name) - 1);
	if (options->socket_directory)
		strcpy(control->directory, options->socket_directory);
	usched_random_seed(&control->random, usched_random_entropy());
	memcpy(control->tunables, options->tunables, sizeof(control->tunables));
	control->pair = none;
	control->old = none;
	control->listener = -1;
	control->daemon = -1;
	control->watch = -1;
	for (unsigned int i = 0; i < USCHED_OBSERVERS_MAX; i++)
		control->observers[i].socket = -1;
	control->epoll = usched_owned_add(epoll_create1(EPOLL_CLOEXEC));
	error = control->epoll < 0 ? -errno : usched_control_embed(control);
	if (error) {
		usched_control_destroy(control);
		return error;
	}
	usched_control_listen(control);
	usched_control_attach_init(control);
	*result = control;
	return 0;
}

int usched_control_descriptor(const struct usched_control *control)
{
	return control->epoll;
}

uint64_t usched_control_pass(struct usched_control *control, uint64_t now_ns, int active)
{
	struct epoll_event events[USCHED_OBSERVERS_MAX + 3];
	int count = epoll_wait(control->epoll, events, USCHED_OBSERVERS_MAX + 3, 0);
	uint64_t due_ns, again_ns;

	/* Before observers are answered, so that what they read is of now. */
	if (count > 0 || active != control->was_active ||
	    (active && now_ns - control->published_ns >= PUBLISH_NS))
		usched_control_publish(control, now_ns, active);
	for (int i = 0; i < count; i++) {
		uint32_t data = events[i].data.u32;

		if (data == USCHED_EVENT_LISTENER)
			usched_control_accept(control, now_ns);
		else if (data == USCHED_EVENT_DAEMON)
			usched_control_daemon_event(control, now_ns);
		else if (data == USCHED_EVENT_WATCH)
			usched_control_watch_event(control, now_ns);
		else if (control->observers[data].socket >= 0)
			usched_control_serve(control, &control->observers[data], now_ns);
	}
	due_ns = usched_control_attach_pass(control, now_ns, active);
	for (unsigned int i = 0; i < USCHED_OBSERVERS_MAX; i++) {
		struct usched_observer *observer = &control->observers[i];

		if (observer->socket < 0)
			continue;
		if (now_ns >= observer->deadline_ns)
			usched_control_drop(observer);
		else if (observer->deadline_ns < due_ns)
			due_ns = observer->deadline_ns;
	}
	again_ns = usched_control_listen_pass(control, now_ns);
	if (!active && control->was_active)
		again_ns = now_ns;		/* to publish what is true at rest */
	return again_ns < due_ns ? again_ns : due_ns;
}

int usched_control_set(struct usched_control *control, unsigned int tunable, uint64_t value)
{
	if (!usched_control_is_arbiter(control))
		return -EPERM;
	usched_control_tune(control, tunable, value);
	return 0;
}

void usched_control_destroy(struct usched_control *control)
{
	if (!control)
		return;
	for (unsigned int i = 0; i < USCHED_OBSERVERS_MAX; i++)
		usched_control_drop(&control->observers[i]);
	usched_message_hang_up(control->listener);
	usched_message_hang_up(control->daemon);
	usched_owned_close(control->watch);
	usched_segment_close(&control->old.grant);
	usched_segment_close(&control->old.report);
	usched_segment_close(&control->pair.grant);
	usched_segment_close(&control->pair.report);
	usched_owned_close(control->epoll);
	munmap(control, sizeof(*control));
}
