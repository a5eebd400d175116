/* SPDX-License-Identifier: MIT */
/*
 * The trials of schedctl doctor.
 */

#include "ctl/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define HAVE_RSEQ 1
#else
#define HAVE_RSEQ 0
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static void found(struct ctl_probe *probe, enum ctl_verdict verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void found(struct ctl_probe *probe, enum ctl_verdict verdict, const char *format, ...)
{
	va_list arguments;

	probe->verdict = verdict;
	va_start(arguments, format);
	vsnprintf(probe->detail, sizeof(probe->detail), format, arguments);
	va_end(arguments);
}

static void advise(struct ctl_probe *probe, const char *text)
{
	snprintf(probe->hint, sizeof(probe->hint), "%s", text);
}

/* The first line of a file, without its end; 0: it cannot be read. */
static int first_line(const char *path, char *text, size_t bytes)
{
	FILE *file = fopen(path, "re");
	int got = file && fgets(text, (int)bytes, file);

	if (file)
		fclose(file);
	if (got)
		text[strcspn(text, "\n")] = '\0';
	return got != 0;
}

static void probe_perf(struct ctl_probe *probe)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.sample_period = 1000000,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	char paranoid[32];
	int event, error;

	if (!first_line("/proc/sys/kernel/perf_event_paranoid", paranoid, sizeof(paranoid)))
		strcpy(paranoid, "unreadable");
	event = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	error = errno;
	if (event >= 0) {
		close(event);
		found(probe, CTL_WORKS, "a task-clock event opens (perf_event_paranoid=%s)", paranoid);
		return;
	}
	found(probe, CTL_MISSING, "perf_event_open: %s (perf_event_paranoid=%s)", strerror(error),
	      paranoid);
	if (error == EACCES || error == EPERM)
		advise(probe, atoi(paranoid) > 2 ?
		       "sysctl kernel.perf_event_paranoid=2; in a container allow perf_event_open too" :
		       "let the container's seccomp profile allow perf_event_open");
	else
		advise(probe, "the kernel has no perf events, or the container hides them");
}

static void probe_timer(struct ctl_probe *probe)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG };
	timer_t timer;

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer)) {
		found(probe, CTL_MISSING, "timer_create: %s", strerror(errno));
		advise(probe, "raise RLIMIT_SIGPENDING (ulimit -i): each timer takes one");
		return;
	}
	timer_delete(timer);
	found(probe, CTL_WORKS, "a timer that signals one thread");
}

static void probe_timerfd(struct ctl_probe *probe)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (timer < 0) {
		found(probe, CTL_MISSING, "timerfd_create: %s", strerror(errno));
		advise(probe, "let the container's seccomp profile allow timerfd_create");
		return;
	}
	close(timer);
	found(probe, CTL_WORKS, "the last resort for the tick");
}

static void probe_membarrier(struct ctl_probe *probe)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (commands >= 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
		found(probe, CTL_WORKS, "private expedited: hand-offs need no fence of their own");
		return;
	}
	found(probe, CTL_MISSING, "%s", commands < 0 ? strerror(errno) : "no private expedited command");
	advise(probe, "let the container's seccomp profile allow membarrier");
}

static void probe_rseq(struct ctl_probe *probe)
{
#if HAVE_RSEQ
	if (__rseq_size) {
		found(probe, CTL_WORKS, "registered by the C library");
		return;
	}
	found(probe, CTL_MISSING, "the C library did not register it");
	advise(probe, "unset GLIBC_TUNABLES=glibc.pthread.rseq=0, or allow rseq in the seccomp profile");
#else
	found(probe, CTL_MISSING, "this C library does not know it");
#endif
}

static void probe_guard(struct ctl_probe *probe)
{
	long page = sysconf(_SC_PAGESIZE);
	void *memory = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char limit[32];

	if (memory == MAP_FAILED) {
		found(probe, CTL_MISSING, "mmap: %s", strerror(errno));
		return;
	}
	if (!madvise(memory, (size_t)page, MADV_GUARD_INSTALL)) {
		found(probe, CTL_WORKS, "guard pages cost no mapping");
	} else {
		if (!first_line("/proc/sys/vm/max_map_count", limit, sizeof(limit)))
			strcpy(limit, "65530");
		found(probe, CTL_LIMITED, "mprotect instead: about %ld stacks (vm.max_map_count=%s)",
		      atol(limit) / 2, limit);
		advise(probe, "Linux 6.13 has it; until then raise vm.max_map_count for more fibers");
	}
	munmap(memory, (size_t)page * 2);
}

static void probe_epoll(struct ctl_probe *probe)
{
	struct timespec none = { 0, 0 };
	struct epoll_event event;
	int poll = epoll_create1(EPOLL_CLOEXEC);
	long result;

	if (poll < 0) {
		found(probe, CTL_MISSING, "epoll_create1: %s", strerror(errno));
		return;
	}
	result = syscall(SYS_epoll_pwait2, poll, &event, 1, &none, NULL, (size_t)8);
	if (!result) {
		found(probe, CTL_WORKS, "sleeps end to the nanosecond");
	} else {
		found(probe, CTL_LIMITED, "epoll_pwait2: %s; a timerfd is used instead", strerror(errno));
		advise(probe, "Linux 5.11 has it; in a container allow it in the seccomp profile");
	}
	close(poll);
}

/* Quota of all ancestors of our cgroup that can be seen, the smallest. */
static void probe_quota(struct ctl_probe *probe)
{
	char line[512], path[700], text[64], *at = NULL;
	double least = 0;
	FILE *file = fopen("/proc/self/cgroup", "re");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "0::/", 4)) {
			line[strcspn(line, "\n")] = '\0';
			at = line + 3;
			break;
		}
	if (file)
		fclose(file);
	if (!at) {
		found(probe, CTL_WORKS, "no cgroup v2 here, so no quota that could be read");
		return;
	}
	for (;;) {
		unsigned long long quota, period;

		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", at);
		if (first_line(path, text, sizeof(text)) &&
		    sscanf(text, "%llu %llu", &quota, &period) == 2 && period) {
			double cpus = (double)quota / (double)period;

			if (least == 0 || cpus < least)
				least = cpus;
		}
		if (!strrchr(at, '/') || !at[0])
			break;
		*strrchr(at, '/') = '\0';
	}
	if (least == 0) {
		found(probe, CTL_WORKS, "none");
		return;
	}
	found(probe, CTL_LIMITED, "%.2f CPUs: a runtime uses at most so many workers, rounded up",
	      least);
	advise(probe, "raise cpu.max of the cgroup (systemd: CPUQuota=) for more");
}

static void probe_affinity(struct ctl_probe *probe)
{
	cpu_set_t *set = CPU_ALLOC(1024);
	size_t bytes = CPU_ALLOC_SIZE(1024);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	int allowed;

	if (!set || sched_getaffinity(0, bytes, set)) {
		found(probe, CTL_MISSING, "sched_getaffinity: %s", strerror(errno));
	} else {
		allowed = CPU_COUNT_S(bytes, set);
		found(probe, allowed < online ? CTL_LIMITED : CTL_WORKS, "%d of %ld CPUs", allowed,
		      online);
		if (allowed < online)
			advise(probe, "taskset -c or the cpuset of the cgroup decides this");
	}
	CPU_FREE(set);
}

static void probe_threads(struct ctl_probe *probe)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	unsigned long long most = 4096, value;
	char line[512], path[700], text[64];
	const char *by = "the built-in limit";
	FILE *file;

	getrlimit(RLIMIT_NPROC, &limit);
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < most) {
		most = limit.rlim_cur;
		by = "RLIMIT_NPROC";
	}
	file = fopen("/proc/self/cgroup", "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/pids.max", line + 3);
		if (first_line(path, text, sizeof(text)) && sscanf(text, "%llu", &value) == 1 &&
		    value < most) {
			most = value;
			by = "pids.max";
		}
	}
	if (file)
		fclose(file);
	found(probe, most < 256 ? CTL_LIMITED : CTL_WORKS, "at most %llu kernel threads (%s)", most, by);
	if (most < 256)
		advise(probe, "so few fibers can be stopped in mid-run; raise ulimit -u or TasksMax=");
}

const struct ctl_probe_entry ctl_probes[] = {
	{ "tick-perf", probe_perf },
	{ "tick-timer", probe_timer },
	{ "tick-timerfd", probe_timerfd },
	{ "membarrier", probe_membarrier },
	{ "rseq", probe_rseq },
	{ "stack-guard", probe_guard },
	{ "epoll-pwait2", probe_epoll },
	{ "cgroup-quota", probe_quota },
	{ "affinity", probe_affinity },
	{ "threads", probe_threads },
	{ NULL, NULL },
};
