/* SPDX-License-Identifier: MIT */
/*
 * schedctl show: one runtime, each value with its meaning.
 *
 * Lines of key=value; what follows " # " is for people and may change.
 */

#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ctl/output.h"

static void put(const char *key, const char *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void put(const char *key, const char *value, const char *format, ...)
{
	va_list arguments;
	int blanks = 30 - (int)strlen(key) - (int)strlen(value);

	printf("%s=%s%*s# ", key, value, blanks > 1 ? blanks : 1, "");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static const char *number(uint64_t value)
{
	static char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return text;
}

static const char *tick_meaning(enum usched_tick tick)
{
	switch (tick) {
	case USCHED_TICK_PERF:
		return "a perf event per carrier: costs nothing while a carrier sleeps";
	case USCHED_TICK_TIMER:
		return "a POSIX timer per carrier: also interrupts system calls that sleep";
	case USCHED_TICK_TIMERFD:
		return "one timerfd and directed signals: the coarsest";
	case USCHED_TICK_AUTO:
		break;
	}
	return "not known";
}

/* Why a better tick was not taken; NULL: it was, or is not better. */
static const char *refusal_word(enum usched_client_refusal refusal)
{
	switch (refusal) {
	case USCHED_CLIENT_REFUSAL_NONE:
		return NULL;
	case USCHED_CLIENT_REFUSAL_CHOICE:
		return "not asked for";
	case USCHED_CLIENT_REFUSAL_DENIED:
		return "denied";
	case USCHED_CLIENT_REFUSAL_MISSING:
		return "missing";
	case USCHED_CLIENT_REFUSAL_LIMIT:
		return "at its limit";
	case USCHED_CLIENT_REFUSAL_OTHER:
		return "failed";
	case USCHED_CLIENT_REFUSAL_UNKNOWN:
		break;
	}
	return "refused";
}

static const char *perf_reason(enum usched_client_refusal refusal)
{
	switch (refusal) {
	case USCHED_CLIENT_REFUSAL_CHOICE:
		return "perf: the program or USCHED_TICK asked for another one";
	case USCHED_CLIENT_REFUSAL_DENIED:
		return "perf: denied (kernel.perf_event_paranoid above 2, or a container's filter)";
	case USCHED_CLIENT_REFUSAL_MISSING:
		return "perf: the kernel has no perf events, or a filter hides them";
	case USCHED_CLIENT_REFUSAL_LIMIT:
		return "perf: no descriptor or memory was left";
	default:
		return "perf: refused";
	}
}

static const char *timer_reason(enum usched_client_refusal refusal)
{
	switch (refusal) {
	case USCHED_CLIENT_REFUSAL_CHOICE:
		return "timer: the program or USCHED_TICK asked for another one";
	case USCHED_CLIENT_REFUSAL_DENIED:
		return "timer: denied (a container's filter)";
	case USCHED_CLIENT_REFUSAL_MISSING:
		return "timer: the kernel has no POSIX timers, or a filter hides them";
	case USCHED_CLIENT_REFUSAL_LIMIT:
		return "timer: none was left (RLIMIT_SIGPENDING)";
	default:
		return "timer: refused";
	}
}

/* The tick in use, and for each better one why it is not that. */
static void put_tick(const struct usched_client_info *info)
{
	const char *tick = ctl_tick(info->tick), *lost = "";
	const char *perf = "", *timer = "", *first = "", *second = "";

	if (info->perf_refused != USCHED_CLIENT_REFUSAL_NONE) {
		first = "; ";
		perf = perf_reason(info->perf_refused);
	}
	if (info->timer_refused != USCHED_CLIENT_REFUSAL_NONE && info->tick == USCHED_TICK_TIMERFD) {
		second = "; ";
		timer = timer_reason(info->timer_refused);
	}
	put("tick", tick ? tick : "-", "%s%s%s%s%s", tick_meaning(info->tick), first, perf, second,
	    timer);
	if (info->flags & USCHED_CLIENT_TICKS_LOST)
		lost = "; TICKS ARE LOST: the program has replaced their handler";
	else if (info->flags & USCHED_CLIENT_SIGNAL_SHARED)
		lost = "; shared with a handler of the program";
	put("signal", number(info->signal), "that the tick sends%s", lost);
}

static const char *attachment_meaning(const struct usched_client_info *info)
{
	switch (info->attachment) {
	case USCHED_CLIENT_EMBEDDED:
		return "no daemon: it grants itself the CPUs that it may use";
	case USCHED_CLIENT_ATTACHING:
		return "it has asked the daemon and waits for the answer";
	case USCHED_CLIENT_ATTACHED:
		return "the daemon grants its CPUs and owns its tunables";
	case USCHED_CLIENT_EXPIRED:
		return "the daemon is gone: it goes on, and will arbitrate alone";
	case USCHED_CLIENT_UNKNOWN:
		break;
	}
	return "not known";
}

/* "0-3,8": runs of set bits. */
static void cpu_list(const uint64_t words[USCHED_CLIENT_CPU_WORDS], char *text, size_t bytes)
{
	unsigned int cpu = 0, end;
	size_t used = 0;

	text[0] = '\0';
	while (cpu < 64 * USCHED_CLIENT_CPU_WORDS && used + 16 < bytes) {
		if (!(words[cpu / 64] >> cpu % 64 & 1)) {
			cpu++;
			continue;
		}
		end = cpu;
		while (end + 1 < 64 * USCHED_CLIENT_CPU_WORDS &&
		       words[(end + 1) / 64] >> (end + 1) % 64 & 1)
			end++;
		if (end > cpu)
			used += (size_t)sprintf(text + used, "%s%u-%u", used ? "," : "", cpu, end);
		else
			used += (size_t)sprintf(text + used, "%s%u", used ? "," : "", cpu);
		cpu = end + 1;
	}
}

/* The quanta of priorities and nodes that were set, and what concerns all. */
static const char *const part_keys[] = {
	"quantum.normal", "quantum.high", "quantum.low", "quantum.node0", "quantum.node1",
	"quantum.node2", "quantum.node3", "quantum.node4", "quantum.node5", "quantum.node6",
	"quantum.node7", "quantum.node8", "quantum.node9", "quantum.node10", "quantum.node11",
	"quantum.node12", "quantum.node13", "quantum.node14", "quantum.node15",
};

enum { PART_KEYS = sizeof(part_keys) / sizeof(part_keys[0]) };

/* UINT64_MAX, which is "default", also when it is not known. */
static uint64_t tunable(const struct usched_client_snapshot *snapshot, const char *key)
{
	struct usched_client_tunable found = { .size = sizeof(found) };
	uint64_t value = USCHED_QUANTUM_DEFAULT;

	if (!usched_client_tunable_find(key, &found))
		usched_client_snapshot_tunable(snapshot, found.number, &value);
	return value;
}

static void put_parts(const struct usched_client_snapshot *snapshot)
{
	uint64_t wakeup_ns = tunable(snapshot, "wakeup"), budget = tunable(snapshot, "budget");

	for (unsigned int i = 0; i < PART_KEYS; i++) {
		uint64_t value = tunable(snapshot, part_keys[i]);

		if (value != USCHED_QUANTUM_DEFAULT)
			put(part_keys[i], ctl_quantum(value).text, "instead of the quantum above");
	}
	if (wakeup_ns == USCHED_QUANTUM_DEFAULT || budget == USCHED_QUANTUM_DEFAULT)
		return;			/* the grant is being written */
	put("wakeup", ctl_quantum(wakeup_ns).text, wakeup_ns ?
	    "a fiber runs at least so long before one that becomes ready stops it" :
	    "a fiber that becomes ready waits for the quantum to end");
	put("budget", budget ? number(budget) : "off", budget ?
	    "library calls without a wait after which a fiber yields" :
	    "a fiber may call without end as long as no call waits");
}

/* An automatic quantum says what it is made of, and what came of it. */
static void put_automatic(const struct usched_client_snapshot *snapshot,
			  const struct usched_client_info *info)
{
	uint64_t least_ns = UINT64_MAX, most_ns = 0, changes = 0, waiting = 0;

	for (uint32_t i = 0; i < info->workers; i++) {
		struct usched_client_worker worker = { .size = sizeof(worker) };

		usched_client_snapshot_worker(snapshot, i, &worker);
		if (worker.state == USCHED_CLIENT_WORKER_DORMANT)
			continue;
		least_ns = worker.quantum_ns < least_ns ? worker.quantum_ns : least_ns;
		most_ns = worker.quantum_ns > most_ns ? worker.quantum_ns : most_ns;
		changes += worker.quantum_changes;
		waiting += worker.runnable;
	}
	put("quantum", "auto", "now %s to %s: each worker shares %s among its running fiber and those "
	    "that wait (%llu on all), but gives none less than %s; changed %llu times",
	    ctl_quantum(least_ns).text, ctl_quantum(most_ns).text,
	    ctl_quantum(tunable(snapshot, "auto_max")).text, (unsigned long long)waiting,
	    ctl_quantum(tunable(snapshot, "auto_min")).text, (unsigned long long)changes);
}

static void put_quantum(const struct usched_client_snapshot *snapshot,
			const struct usched_client_info *info)
{
	struct ctl_word wanted = ctl_quantum(info->quantum_wanted_ns);
	struct ctl_word now = ctl_quantum(info->quantum_ns);
	bool wished = info->grant_known && info->tunables_generation;

	if (wished && info->quantum_wanted_ns == USCHED_QUANTUM_AUTO)
		put_automatic(snapshot, info);
	else if (!info->quantum_ns)
		put("quantum", now.text, "no preemption: a fiber runs until it waits or yields");
	else if (wished && info->quantum_wanted_ns && info->quantum_wanted_ns < info->quantum_ns)
		put("quantum", now.text, "%s was wished; raised to the floor", wanted.text);
	else
		put("quantum", now.text, "a fiber runs at most so long while others wait");
	put("quantum_floor", ctl_duration(info->quantum_floor_ns).text,
	    "a shorter quantum is raised to this; one tick costs %s",
	    ctl_duration(info->tick_cost_ns).text);
	put_parts(snapshot);
	if (info->grant_known && info->tunables_acked < info->tunables_generation)
		put("tunables", "pending", "change %llu of %llu has reached every carrier",
		    (unsigned long long)info->tunables_acked,
		    (unsigned long long)info->tunables_generation);
	else
		put("tunables", "in-force", "every carrier has the last change (%llu)",
		    (unsigned long long)info->tunables_acked);
}

static void put_carriers_max(const struct usched_client_info *info)
{
	unsigned long long refused = info->carriers_refused;

	if (!refused)
		put("carriers_max", number(info->carriers_max),
		    "so many fibers can be stopped in mid-run; none was refused");
	else if (!info->carriers_error)
		put("carriers_max", number(info->carriers_max),
		    "REACHED: one more was refused %llu times; fibers were not preempted then; "
		    "raise USCHED_CARRIERS_MAX", refused);
	else
		put("carriers_max", number(info->carriers_max),
		    "the SYSTEM refused %llu (%s); fibers were not preempted then; "
		    "raise ulimit -u or TasksMax=", refused, strerror((int)info->carriers_error));
}

static void put_text(const struct usched_client_snapshot *snapshot,
		     const struct usched_client_info *info, const char *cpus)
{
	const char *attachment = ctl_attachment(info->attachment);

	put("pid", number(info->pid), "runtime number %u of this process", info->number);
	put("name", info->name, "uid %u", info->uid);
	put("age", ctl_age(info->start_time_ns, info->read_ns).text, "since the runtime was created");
	put("attachment", attachment ? attachment : "-", "%s; moved %llu time%s",
	    attachment_meaning(info), (unsigned long long)info->session_changes,
	    info->session_changes == 1 ? "" : "s");
	put_tick(info);
	put_quantum(snapshot, info);
	if (info->grant_known)
		put("cpus", cpus, "granted%s", info->grant_acked >= info->grant_generation ?
		    "" : "; not carried out yet");
	else
		put("cpus", "-", "the grant is being written");
	put("demand_cpus", number(info->demand_cpus), "that it could use now, of %u workers%s",
	    info->workers, info->flags & USCHED_CLIENT_QUOTA ? "; a cgroup quota limits it" : "");
	put("carriers", number(info->carriers), "kernel threads for fibers, %u of them spare",
	    info->carriers_idle);
	put_carriers_max(info);
	put("fibers", number(info->fibers_alive), "alive; %llu parked, %llu spawned in all",
	    (unsigned long long)info->fibers_parked, (unsigned long long)info->fibers_spawned);
	put("stack_guard", info->guard_kind == 1 ? "madvise" : info->guard_kind == 2 ? "mprotect" : "-",
	    "%s", info->guard_kind == 2 ? "one mapping more per stack" : "no mapping per stack");
	put("membarrier", info->flags & USCHED_CLIENT_NO_MEMBARRIER ? "no" : "yes",
	    "%s", info->flags & USCHED_CLIENT_NO_MEMBARRIER ?
	    "the kernel refuses it: hand-offs are dearer" : "hand-offs are cheap");
	put("published", ctl_age(info->published_ns, info->read_ns).text,
	    "ago; an idle runtime does not publish anew");
}

/* Each tunable as `set` reads it. */
static void put_json_tunables(json_t *object, const struct usched_client_snapshot *snapshot)
{
	static const char *const keys[] = { "quantum", "auto_min", "auto_max", "wakeup", "budget" };
	json_t *tunables = json_object();
	uint64_t value;

	for (unsigned int i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		value = tunable(snapshot, keys[i]);
		ctl_json_text(tunables, keys[i], value == USCHED_QUANTUM_DEFAULT ? NULL :
			      !value || strcmp(keys[i], "budget") ? ctl_quantum(value).text :
			      number(value));
	}
	for (unsigned int i = 0; i < PART_KEYS; i++) {
		value = tunable(snapshot, part_keys[i]);
		if (value != USCHED_QUANTUM_DEFAULT)
			ctl_json_text(tunables, part_keys[i], ctl_quantum(value).text);
	}
	ctl_json_put(object, "tunables", tunables);
}

static void put_json(const struct usched_client_snapshot *snapshot,
		     const struct usched_client_info *info, const char *cpus)
{
	json_t *object = ctl_json();

	ctl_json_number(object, "pid", info->pid);
	ctl_json_number(object, "runtime", info->number);
	ctl_json_number(object, "uid", info->uid);
	ctl_json_text(object, "name", info->name);
	ctl_json_number(object, "read_ns", info->read_ns);
	ctl_json_number(object, "published_ns", info->published_ns);
	ctl_json_number(object, "start_time_ns", info->start_time_ns);
	ctl_json_text(object, "attachment", ctl_attachment(info->attachment));
	ctl_json_number(object, "session_changes", info->session_changes);
	ctl_json_text(object, "tick", ctl_tick(info->tick));
	ctl_json_text(object, "tick_perf_refused", refusal_word(info->perf_refused));
	ctl_json_text(object, "tick_timer_refused", refusal_word(info->timer_refused));
	ctl_json_number(object, "signal", info->signal);
	ctl_json_flag(object, "signal_shared", (info->flags & USCHED_CLIENT_SIGNAL_SHARED) != 0);
	ctl_json_flag(object, "ticks_lost", (info->flags & USCHED_CLIENT_TICKS_LOST) != 0);
	ctl_json_number(object, "tick_cost_ns", info->tick_cost_ns);
	ctl_json_number(object, "quantum_ns", info->quantum_ns);
	ctl_json_number(object, "quantum_floor_ns", info->quantum_floor_ns);
	ctl_json_number(object, "tunables_acked", info->tunables_acked);
	if (info->grant_known) {
		ctl_json_number(object, "quantum_wanted_ns", info->quantum_wanted_ns);
		ctl_json_number(object, "tunables_generation", info->tunables_generation);
		ctl_json_text(object, "cpus", cpus);
		ctl_json_number(object, "granted_cpus", info->granted_cpus);
		ctl_json_number(object, "grant_generation", info->grant_generation);
	} else {
		ctl_json_null(object, "quantum_wanted_ns");
		ctl_json_null(object, "tunables_generation");
		ctl_json_null(object, "cpus");
		ctl_json_null(object, "granted_cpus");
		ctl_json_null(object, "grant_generation");
	}
	ctl_json_number(object, "grant_acked", info->grant_acked);
	ctl_json_number(object, "demand_cpus", info->demand_cpus);
	ctl_json_number(object, "workers", info->workers);
	ctl_json_number(object, "carriers", info->carriers);
	ctl_json_number(object, "carriers_idle", info->carriers_idle);
	ctl_json_number(object, "carriers_max", info->carriers_max);
	ctl_json_number(object, "carriers_refused", info->carriers_refused);
	ctl_json_number(object, "carriers_error", info->carriers_error);
	ctl_json_number(object, "fibers_alive", info->fibers_alive);
	ctl_json_number(object, "fibers_spawned", info->fibers_spawned);
	ctl_json_number(object, "fibers_parked", info->fibers_parked);
	ctl_json_text(object, "stack_guard", info->guard_kind == 1 ? "madvise" :
		      info->guard_kind == 2 ? "mprotect" : NULL);
	ctl_json_flag(object, "membarrier", !(info->flags & USCHED_CLIENT_NO_MEMBARRIER));
	put_json_tunables(object, snapshot);
	ctl_json_flag(object, "cgroup_quota", (info->flags & USCHED_CLIENT_QUOTA) != 0);
	ctl_json_print(object);
}

int ctl_verb_show(struct ctl *ctl, int count, char **arguments)
{
	struct usched_client_info info = { .size = sizeof(info) };
	struct usched_client_runtime *runtime;
	struct usched_client_snapshot *snapshot;
	char cpus[512];
	int code;

	(void)count;
	code = ctl_target(ctl, arguments[0], &runtime);
	if (code)
		return code;
	if (usched_client_snapshot_open(runtime, &snapshot)) {
		code = ctl_client_error(ctl);
		goto out;
	}
	usched_client_snapshot_info(snapshot, &info);
	cpu_list(info.cpus, cpus, sizeof(cpus));
	if (ctl->json)
		put_json(snapshot, &info, cpus);
	else
		put_text(snapshot, &info, cpus);
	usched_client_snapshot_close(snapshot);
out:
	usched_client_runtime_close(runtime);
	return code;
}
