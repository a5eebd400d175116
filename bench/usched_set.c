/* SPDX-License-Identifier: MIT */
/*
 * How long until a new quantum is in force on every carrier, while fibers compute without end and
 * help with nothing; bench/README.md says more.
 *
 *	usched_set OLD_QUANTUM_NS COUNT
 *
 * Lines "metric unit value" on stdout.
 */
#include <unistd.h>

#include <usched/client.h>
#include <usched/usched.h>

#include "endless.h"
#include "measure.h"

enum { LOOPS_EACH = 2, COUNT_MAX = 100000 };

#define BOUND_LEAST_NS UINT64_C(10000000)
#define PATIENCE_NS UINT64_C(10000000000)

/* Return: nanoseconds from the request to the last carrier's acknowledgement. */
static uint64_t set(struct usched_client_runtime *observed, uint64_t quantum_ns)
{
	struct usched_client_setting setting = { .size = sizeof(setting) };
	uint64_t began = usched_now(), acked;

	must(usched_client_set(observed, "quantum", quantum_ns, 0, &setting), "the quantum was refused");
	must(usched_client_wait(observed, setting.generation, usched_after(PATIENCE_NS), &acked),
	     "the quantum was not taken over");
	return acked - began;
}

int main(int argc, char *argv[])
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	uint64_t old_ns = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t bound_ns = old_ns > BOUND_LEAST_NS ? old_ns : BOUND_LEAST_NS, late = 0;
	long workers = sysconf(_SC_NPROCESSORS_ONLN);
	struct usched_client_runtime *observed;
	struct usched_runtime *runtime;
	struct usched_client *client;
	struct samples took;
	uint32_t random = 1;

	if (old_ns < USCHED_QUANTUM_MIN_NS || old_ns > USCHED_QUANTUM_MAX_NS || count == 0 ||
	    count > COUNT_MAX) {
		fprintf(stderr, "usage: %s OLD_QUANTUM_NS COUNT\n", argv[0]);
		return 2;
	}
	samples_init(&took, count);
	options.quantum_ns = old_ns;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	must(usched_runtime_create(&runtime, &options), "no runtime");
	for (long i = 0; i < workers * LOOPS_EACH; i++)
		must(usched_spawn(runtime, NULL, loop, NULL, NULL), "no fiber");
	must(usched_client_open(&client, NULL), "no client session");
	must(usched_client_runtime_open(client, &observed, (uint32_t)getpid(), 1), "not observable");
	for (uint64_t i = 0; i < count; i++) {
		uint64_t ns;

		/* Anywhere within the old quantum. */
		random = random * 1664525 + 1013904223;
		sleep_ms(random % (old_ns / 1000000 + 1));
		ns = set(observed, old_ns == USCHED_QUANTUM_MIN_NS * 2 ? USCHED_QUANTUM_MIN_NS * 4
								     : USCHED_QUANTUM_MIN_NS * 2);
		samples_add(&took, ns);
		late += ns > bound_ns;
		set(observed, old_ns);
	}
	usched_client_runtime_close(observed);
	usched_client_close(client);
	stop_all();
	must(usched_runtime_destroy(runtime, usched_after(PATIENCE_NS)), "fibers did not end");
	printf("p50\tus\t%.3f\n", samples_us(&took, 50));
	printf("p99\tus\t%.3f\n", samples_us(&took, 99));
	printf("worst\tus\t%.3f\n", samples_us(&took, 100));
	printf("late\tpercent\t%.3f\n", (double)late / (double)count * 100);
	return 0;
}
