/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_LONE_CONTROL_H
#define USCHED_TESTS_LONE_CONTROL_H

/*
 * The control plane of a runtime, with a host that has no fibers, and observers that are the test. Time is
 * what the test says.
 *
 * For one source file of a program.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake_host.h"
#include "harness.h"
#include "runtime/control_private.h"

enum { TRIES = 500 };

static struct fake_host host;
static struct usched_control *control;
static uint64_t skew_ns;	/* how far the test has put the clock on */
static int active;

static inline uint64_t pass(void)
{
	return usched_control_pass(control, usched_clock_now_ns() + skew_ns, active);
}

static inline void start(const char *socket_directory)
{
	static struct usched_control_options options;
	struct usched_control_host callbacks = fake_host_of(&host);

	memset(&options, 0, sizeof(options));
	memset(&host, 0, sizeof(host));
	options.name = "test";
	options.socket_directory = socket_directory;
	options.cpus[0] = 0x17;			/* CPUs 0, 1, 2, 4 */
	options.workers = 4;
	options.workers_max = 3;
	usched_tunables_start(options.tunables);
	options.tunables[USCHED_TUNABLE_QUANTUM] = 10000000;
	options.fixed.quantum_floor_ns = 200000;
	host.fibers = 3;
	host.demand = 2;
	skew_ns = 0;
	active = 1;
	CU_ASSERT_EQUAL_FATAL(usched_control_create(&control, &options, &callbacks), 0);
}

static inline void finish(void)
{
	usched_control_destroy(control);
	control = NULL;
}

static inline int observe(void)
{
	struct sockaddr_un address;
	socklen_t bytes;
	int end = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CU_ASSERT_TRUE_FATAL(end >= 0);
	usched_address_embedded(&address, &bytes, getuid(), getpid(), 1);
	CU_ASSERT_EQUAL_FATAL(connect(end, (struct sockaddr *)&address, bytes), 0);
	return end;
}

static inline int await(int end, union usched_message_any *reply, int *descriptors, unsigned int *count)
{
	int error = -EAGAIN;

	for (int i = 0; error == -EAGAIN && i < TRIES; i++) {
		struct pollfd poller = { usched_control_descriptor(control), POLLIN, 0 };

		poll(&poller, 1, 10);
		pass();
		error = usched_message_receive(end, reply, descriptors, count);
	}
	return error;
}

static inline int ask(union usched_message_any *message, int *descriptors, unsigned int *count)
{
	int end = observe(), error = usched_message_send(end, message, NULL, 0);

	if (!error)
		error = await(end, message, descriptors, count);
	close(end);
	return error;
}

static inline void set(union usched_message_any *message, const char *key, uint64_t value, int dry_run)
{
	usched_message_init(message, USCHED_MESSAGE_SET, 5);
	memcpy(message->set.key, key, strlen(key));
	message->set.value = value;
	message->set.dry_run = (uint32_t)dry_run;
	CU_ASSERT_EQUAL_FATAL(ask(message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(message->header.serial, 5);
}

#endif /* USCHED_TESTS_LONE_CONTROL_H */
