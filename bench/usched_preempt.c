/* SPDX-License-Identifier: MIT */
/*
 * Our side of the workloads about fibers that do not give way; bench/README.md says what each is.
 *
 *	usched_preempt sleep LOOPS MS
 *	usched_preempt blocked COUNT
 *	usched_preempt eintr COUNT
 *	usched_preempt idle FIBERS MS
 *
 * Lines "metric unit value" on stdout. Exit 77: the tick that USCHED_TICK wants does not work here.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <usched/client.h>
#include <usched/usched.h>

#include "endless.h"
#include "measure.h"

enum { LOOPS_MAX = 64, FIBERS_MAX = 100000, SHORT_TICK_NS = 50000, NOT_HERE = 77 };

static struct usched_runtime *runtime;

static void create(unsigned int workers, uint64_t quantum_ns)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	int error;

	options.workers = workers;
	options.quantum_ns = quantum_ns;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	error = usched_runtime_create(&runtime, &options);
	if (error == -ENOTSUP)
		exit(NOT_HERE);
	must(error, "no runtime");
}

static usched_fiber_t spawn(void *(*function)(void *), void *argument)
{
	usched_fiber_t id;

	must(usched_spawn(runtime, &id, function, argument, NULL), "no fiber");
	return id;
}

/* ------------------------------------------------------------------ sleep */

static void *sleeper(void *argument)
{
	struct samples *late = argument;

	for (;;) {
		uint64_t due = usched_after(1000000);

		must(usched_sleep_until(due), "a sleep failed");
		if (is_stopped())
			return NULL;
		samples_add(late, usched_now() - due);
	}
}

static void sleep_beside(unsigned int loops, uint64_t ms)
{
	struct samples late;

	samples_init(&late, ms);
	create(1, USCHED_QUANTUM_DEFAULT);
	for (unsigned int i = 0; i < loops; i++)
		usched_detach(spawn(loop, NULL));
	spawn(sleeper, &late);
	sleep_ms(ms);
	stop_all();
	must(usched_runtime_destroy(runtime, usched_after(UINT64_C(10000000000))), "fibers did not end");
	print_lateness(&late);
}

/* ---------------------------------------------------------------- blocked */

struct blocked {
	int ends[2];
	uint64_t count;
	_Atomic uint64_t began_ns;	/* of the read that blocks now; 0: none */
	struct samples gap;
};

/* Runs a moment of another length each time, so that the blocking falls anywhere in a period. */
static void *reader(void *argument)
{
	struct blocked *all = argument;
	uint32_t random = 1;

	for (uint64_t i = 0; i < all->count; i++) {
		uint64_t until;
		char byte;

		random = random * 1664525 + 1013904223;
		until = usched_now() + (random >> 11);		/* up to 2.1 ms */
		while (usched_now() < until)
			;
		atomic_store_explicit(&all->began_ns, usched_now(), memory_order_release);
		if (read(all->ends[0], &byte, 1) != 1 || byte != (char)i)
			fail("another byte came out of the pipe");
	}
	stop_all();
	return NULL;
}

static void *sibling(void *argument)
{
	struct blocked *all = argument;

	for (char next = 0; !is_stopped(); usched_yield()) {
		uint64_t began = atomic_exchange_explicit(&all->began_ns, 0, memory_order_acquire);

		if (!began)
			continue;
		samples_add(&all->gap, usched_now() - began);
		if (write(all->ends[1], &next, 1) != 1)
			fail("the pipe cannot be written");
		next++;
	}
	return NULL;
}

static void block(uint64_t count)
{
	static struct blocked all;

	all.count = count;
	samples_init(&all.gap, count);
	if (pipe(all.ends))
		fail("no pipe");
	create(1, USCHED_QUANTUM_DEFAULT);
	usched_detach(spawn(sibling, &all));
	usched_detach(spawn(reader, &all));
	must(usched_runtime_destroy(runtime, usched_after(UINT64_C(60000000000))), "fibers did not end");
	if (all.gap.count != count)
		fail("a blocking was not seen");
	print_lateness(&all.gap);
}

/* ------------------------------------------------------------------ eintr */

static void *napper(void *argument)
{
	const struct timespec nap = { 0, 100000 };
	uint64_t count = *(uint64_t *)argument, interrupted = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (nanosleep(&nap, NULL)) {
			if (errno != EINTR)
				fail("nanosleep failed");
			interrupted++;
		}
	}
	stop_all();
	*(uint64_t *)argument = interrupted;
	return NULL;
}

/* A quantum below what options allow can be set as an observer does, if the floor for tests is low. */
static void set_short_tick(void)
{
	struct usched_client_setting setting = { .size = sizeof(setting) };
	struct usched_client_runtime *observed;
	struct usched_client *client;

	must(usched_client_open(&client, NULL), "no client session");
	must(usched_client_runtime_open(client, &observed, (uint32_t)getpid(), 1), "not observable");
	must(usched_client_set(observed, "quantum", SHORT_TICK_NS, 0, &setting), "no short quantum");
	if (setting.effective_value != SHORT_TICK_NS)
		fail("a short quantum needs USCHED_QUANTUM_FLOOR_NS");
	must(usched_client_wait(observed, setting.generation, usched_after(UINT64_C(5000000000)), NULL),
	     "the quantum was not taken over");
	usched_client_runtime_close(observed);
	usched_client_close(client);
}

static void interrupt(uint64_t count)
{
	create(1, USCHED_QUANTUM_MIN_NS);
	set_short_tick();
	usched_detach(spawn(loop, NULL));
	usched_detach(spawn(napper, &count));
	must(usched_runtime_destroy(runtime, usched_after(UINT64_C(120000000000))), "fibers did not end");
	printf("eintr\tcalls\t%llu\n", (unsigned long long)count);
}

/* ------------------------------------------------------------------- idle */

static struct usched_channel *quiet;
static atomic_uint started;

static void *parked(void *argument)
{
	uint64_t value;

	atomic_fetch_add_explicit(&started, 1, memory_order_relaxed);
	if (usched_channel_receive(quiet, &value, USCHED_FOREVER) != -EPIPE)
		fail("a value came from nowhere");
	return argument;
}

/* Of all threads but this one, whose waking up would be most of what is measured. */
static double cpu_ms(void)
{
	uint64_t mine = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	return (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - mine) / 1e6;
}

static void idle(unsigned int fibers, uint64_t ms)
{
	double used;

	must(usched_channel_create(&quiet, sizeof(uint64_t), 0), "no channel");
	create(0, USCHED_QUANTUM_DEFAULT);
	for (unsigned int i = 0; i < fibers; i++)
		usched_detach(spawn(parked, NULL));
	while (atomic_load_explicit(&started, memory_order_relaxed) < fibers)
		sleep_ms(1);
	sleep_ms(1000);	/* the last ones reach the channel, workers and monitor go to sleep */
	used = cpu_ms();
	sleep_ms(ms);
	used = cpu_ms() - used;
	/* The two clocks are not read at one time: microseconds below zero are zero. */
	printf("cpu\tpercent\t%.4f\n", used > 0 ? used / (double)ms * 100 : 0);
	usched_channel_close(quiet);
	must(usched_runtime_destroy(runtime, usched_after(UINT64_C(10000000000))), "fibers did not end");
}

int main(int argc, char *argv[])
{
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t ms = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

	if (argc == 4 && !strcmp(argv[1], "sleep") && first <= LOOPS_MAX) {
		sleep_beside((unsigned int)first, ms);
	} else if (argc == 3 && !strcmp(argv[1], "blocked")) {
		block(first);
	} else if (argc == 3 && !strcmp(argv[1], "eintr")) {
		interrupt(first);
	} else if (argc == 4 && !strcmp(argv[1], "idle") && first <= FIBERS_MAX) {
		idle((unsigned int)first, ms);
	} else {
		fprintf(stderr, "usage: %s sleep LOOPS MS | blocked COUNT | eintr COUNT | idle FIBERS MS\n",
			argv[0]);
		return 2;
	}
	return 0;
}
