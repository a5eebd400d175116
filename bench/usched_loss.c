/* SPDX-License-Identifier: MIT */
/*
 * What preemption costs work that only computes: three loops on one CPU, in each mode in turn, slice
 * after slice.
 *
 *	usched_loss modes			the modes that this library has
 *	usched_loss QUANTUM_NS SLICES MS MODE...
 *
 *	off		three fibers of one worker, no preemption
 *	handoff		the same, preempted at each quantum: USCHED_PREEMPT_HANDOFF
 *	yield		the same, USCHED_PREEMPT_YIELD
 *	plain		the loops one after another in a plain thread
 *	empty-handler	the same thread with a tick of the same kind and period, whose handler does
 *			nothing: what any preemption by signals costs at least
 *
 * Fibers are compared with off, the handler with plain; slices of one turn with each other, since
 * the CPU's frequency drifts. Lines "mode metric unit value".
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <usched/usched.h>

#include "measure.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { LOOPS = 3, SLICES_MAX = 1000, CHUNK_STEPS = 20000 };

enum kind { FIBERS, THREAD };

struct mode {
	const char *name;
	enum kind kind;
	bool ticks;
	enum usched_preempt preempt;
	uint64_t done[LOOPS];	/* steps of each loop, in all slices	*/
	uint64_t cpu_ns;	/* in all slices			*/
	unsigned int slices;
	unsigned int moved;	/* slices whose fibers did not end each on a thread of its own */
};

static struct mode modes[] = {
	{ "off", FIBERS, false, USCHED_PREEMPT_HANDOFF, { 0 }, 0, 0, 0 },
	{ "handoff", FIBERS, true, USCHED_PREEMPT_HANDOFF, { 0 }, 0, 0, 0 },
#ifdef USCHED_HAS_PREEMPT_YIELD
	{ "yield", FIBERS, true, USCHED_PREEMPT_YIELD, { 0 }, 0, 0, 0 },
#endif
	{ "plain", THREAD, false, USCHED_PREEMPT_HANDOFF, { 0 }, 0, 0, 0 },
	{ "empty-handler", THREAD, true, USCHED_PREEMPT_HANDOFF, { 0 }, 0, 0, 0 },
};

enum { MODE_COUNT = sizeof(modes) / sizeof(modes[0]) };

static uint64_t quantum_ns;
static uint64_t slice_ns;
static struct usched_runtime *runtime;

/* One of the three: steps until a time, looked at once a chunk (about 20 us). */
struct work {
	uint64_t until_ns;
	uint64_t steps;
	uint64_t ended_ns;
	uint64_t state;
	long thread;		/* on which it ended			*/
};

static struct work works[LOOPS];

USCHED_MIGRATABLE static void *compute(void *argument)
{
	struct work *work = argument;
	uint64_t state = work->state, steps = 0, now;

	do {
		for (unsigned int i = 0; i < CHUNK_STEPS; i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
		}
		steps += CHUNK_STEPS;
		now = usched_now();
	} while (now < work->until_ns);
	work->state = state;
	work->steps = steps;
	work->ended_ns = now;
	work->thread = syscall(SYS_gettid);
	return NULL;
}

/* ---------------------------------------------------- a tick of one's own */

static volatile sig_atomic_t ticks;

static void on_tick(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
	ticks++;		/* to prove that it came; nothing else */
}

static int perf_open(void)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = (pid_t)syscall(SYS_gettid) };
	struct perf_event_attr attr;
	int descriptor;

	memset(&attr, 0, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = PERF_TYPE_SOFTWARE;
	attr.config = PERF_COUNT_SW_TASK_CLOCK;
	attr.sample_period = quantum_ns;
	attr.disabled = 1;
	attr.exclude_kernel = 1;
	attr.exclude_hv = 1;
	descriptor = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1,
				  (unsigned long)PERF_FLAG_FD_CLOEXEC);
	if (descriptor < 0)
		return -1;
	if (fcntl(descriptor, F_SETOWN_EX, &owner) < 0 || fcntl(descriptor, F_SETSIG, SIGUSR1) < 0 ||
	    fcntl(descriptor, F_SETFL, O_ASYNC) < 0 ||
	    ioctl(descriptor, PERF_EVENT_IOC_ENABLE, 0) < 0)
		fail("a perf event that cannot be used");
	return descriptor;
}

static timer_t timer_open(void)
{
	struct itimerspec period;
	struct sigevent event;
	timer_t timer;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = SIGUSR1;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	period.it_interval.tv_sec = (time_t)(quantum_ns / 1000000000);
	period.it_interval.tv_nsec = (long)(quantum_ns % 1000000000);
	period.it_value = period.it_interval;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &period, NULL))
		fail("no timer");
	return timer;
}

/* The kind that the library takes: perf, unless it is denied or USCHED_TICK says otherwise. */
static void *with_ticks(void *argument)
{
	const char *wanted = getenv("USCHED_TICK");
	int descriptor = wanted && !strncmp(wanted, "timer", 5) ? -1 : perf_open();
	timer_t timer = 0;

	(void)argument;
	if (descriptor < 0)
		timer = timer_open();
	for (unsigned int i = 0; i < LOOPS; i++)
		compute(&works[i]);
	if (descriptor >= 0)
		close(descriptor);
	else
		timer_delete(timer);
	return NULL;
}

static void *without_ticks(void *argument)
{
	(void)argument;
	for (unsigned int i = 0; i < LOOPS; i++)
		compute(&works[i]);
	return NULL;
}

/* ----------------------------------------------------------------- slices */

static void run_thread(bool ticking)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, ticking ? with_ticks : without_ticks, NULL))
		fail("no thread");
	pthread_join(thread, NULL);
}

static void run_fibers(enum usched_preempt preempt)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	usched_fiber_t ids[LOOPS];

	options.preempt = preempt;
	for (unsigned int i = 0; i < LOOPS; i++) {
		if (usched_spawn(runtime, &ids[i], compute, &works[i], &options))
			fail("no fiber");
	}
	for (unsigned int i = 0; i < LOOPS; i++)
		usched_join(ids[i], NULL, USCHED_FOREVER);
}

struct slice {
	double speed;		/* steps per ns of the wall clock	*/
	double thrift;		/* steps per ns of CPU time		*/
};

static struct slice run_slice(struct mode *mode)
{
	uint64_t began, cpu, ended = 0, steps = 0;
	struct slice slice;

	if (mode->kind == FIBERS &&
	    usched_runtime_set_quantum(runtime, mode->ticks ? quantum_ns : USCHED_QUANTUM_OFF))
		fail("the quantum cannot be set");
	sleep_ms(5);		/* until it holds */
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	began = usched_now();
	for (unsigned int i = 0; i < LOOPS; i++) {
		works[i].state = i + 1;
		works[i].until_ns = began + slice_ns;
		if (mode->kind == THREAD)
			works[i].until_ns = began + slice_ns * (i + 1) / LOOPS;
	}
	if (mode->kind == THREAD)
		run_thread(mode->ticks);
	else
		run_fibers(mode->preempt);
	for (unsigned int i = 0; i < LOOPS; i++) {
		steps += works[i].steps;
		if (works[i].ended_ns > ended)
			ended = works[i].ended_ns;
		mode->done[i] += works[i].steps;
	}
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	mode->cpu_ns += cpu;
	mode->slices++;
	mode->moved += works[0].thread == works[1].thread || works[1].thread == works[2].thread ||
		       works[0].thread == works[2].thread;
	slice.speed = (double)steps / (double)(ended - began);
	slice.thrift = (double)steps / (double)cpu;
	return slice;
}

/*
 * That there was something to measure: loops that took turns, ticks that came. Over all slices, since
 * in one of them a busy machine may leave us a few milliseconds; a tenth and a quarter prove it.
 */
static void check(const struct mode *mode)
{
	if (!mode->ticks)
		return;
	if (mode->kind == THREAD && (uint64_t)ticks < mode->cpu_ns / quantum_ns / 4)
		fail("the ticks of the empty handler did not come");
	/* Else it would be measured as a hand-off: its code is not declared, say. */
	if (mode->kind == FIBERS && mode->preempt != USCHED_PREEMPT_HANDOFF &&
	    mode->moved < mode->slices / 2)
		fail("the fibers were handed off, and not switched");
	for (unsigned int i = 0; i < LOOPS; i++) {
		if (mode->done[i] < (mode->done[0] + mode->done[1] + mode->done[2]) / 10)
			fail("the loops did not take turns");
	}
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int count)
{
	qsort(values, count, sizeof(*values), compare_double);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static struct slice slices[MODE_COUNT][SLICES_MAX];

/* What a mode is compared with: its like without ticks. */
static int base_of(int mode)
{
	int base = 0;

	while (modes[base].kind != modes[mode].kind || modes[base].ticks)
		base++;
	return base;
}

static void print_mode(int mode, unsigned int count)
{
	const struct slice *mine = slices[mode], *base = slices[base_of(mode)];
	static double wall[SLICES_MAX], cpu[SLICES_MAX];
	double best = 0, base_best = 0;

	for (unsigned int i = 0; i < count; i++) {
		wall[i] = 100 * (1 - mine[i].speed / base[i].speed);
		cpu[i] = 100 * (1 - mine[i].thrift / base[i].thrift);
		if (mine[i].speed > best)
			best = mine[i].speed;
		if (base[i].speed > base_best)
			base_best = base[i].speed;
	}
	if (mine == base) {
		printf("%s\tspeed\tsteps/us\t%.3f\n", modes[mode].name, best * 1000);
		return;
	}
	printf("%s\tloss\tpercent\t%.4f\n", modes[mode].name, median(wall, count));
	printf("%s\tloss-best\tpercent\t%.4f\n", modes[mode].name, 100 * (1 - best / base_best));
	printf("%s\tloss-cpu\tpercent\t%.4f\n", modes[mode].name, median(cpu, count));
}

static int find(const char *name)
{
	for (int i = 0; i < MODE_COUNT; i++) {
		if (!strcmp(name, modes[i].name))
			return i;
	}
	fprintf(stderr, "%s: this library has no such mode\n", name);
	exit(2);
}

int main(int argc, char *argv[])
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct sigaction action;
	bool wanted[MODE_COUNT] = { false };
	int order[MODE_COUNT], used = 0;
	unsigned int count;

	if (argc == 2 && !strcmp(argv[1], "modes")) {
		for (int i = 0; i < MODE_COUNT; i++)
			printf("%s\n", modes[i].name);
		return 0;
	}
	if (argc < 5 || strtoul(argv[2], NULL, 10) - 1 >= SLICES_MAX) {
		fprintf(stderr, "usage: %s modes | QUANTUM_NS SLICES MS MODE...\n", argv[0]);
		return 2;
	}
	quantum_ns = strtoull(argv[1], NULL, 10);
	count = (unsigned int)strtoul(argv[2], NULL, 10);
	slice_ns = strtoull(argv[3], NULL, 10) * 1000000;
	for (int i = 4; i < argc; i++) {
		int mode = find(argv[i]);

		wanted[mode] = wanted[base_of(mode)] = true;
	}
	for (int i = 0; i < MODE_COUNT; i++) {
		if (wanted[i])
			order[used++] = i;
	}
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_tick;
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	options.workers = 1;
	options.quantum_ns = quantum_ns;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	if (USCHED_CODE_ADD())
		fail("the code cannot be declared");
	if (usched_runtime_create(&runtime, &options))
		fail("no runtime");
	for (int i = 0; i < used; i++)
		run_slice(&modes[order[i]]);		/* warms up */
	/* Each turn begins with another mode, so that none always follows the same one. */
	for (unsigned int i = 0; i < count; i++) {
		for (int j = 0; j < used; j++) {
			int mode = order[((unsigned int)j + i) % (unsigned int)used];

			slices[mode][i] = run_slice(&modes[mode]);
		}
	}
	usched_runtime_destroy(runtime, USCHED_FOREVER);
	for (int i = 0; i < used; i++) {
		check(&modes[order[i]]);
		print_mode(order[i], count);
	}
	return 0;
}
