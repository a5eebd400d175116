/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_FAKE_SESSION_H
#define USCHED_TESTS_FAKE_SESSION_H

/*
 * A session of the client beside a fake runtime, which has this process's id.
 *
 * For one source file of a program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/session.h"
#include "fake_peer.h"
#include "harness.h"
#include "own_process.h"
#include "usched/client.h"

#define TIMEOUT_NS UINT64_C(1000000000)

static char directory[64];

static inline struct usched_client *session(void)
{
	struct usched_client_options options = USCHED_CLIENT_OPTIONS_INIT;
	struct usched_client *client = NULL;

	options.socket_directory = directory;
	options.timeout_ns = TIMEOUT_NS;
	CU_ASSERT_EQUAL_FATAL(usched_client_open(&client, &options), 0);
	return client;
}

static inline void start_runtime(struct fake_peer *peer)
{
	struct sockaddr_un address;
	socklen_t bytes = fake_runtime_address(&address, geteuid(), (unsigned int)getpid(), 1);

	CU_ASSERT_EQUAL_FATAL(fake_peer_start(peer, &address, bytes), 0);
}

static inline int open_self(struct usched_client *client, struct usched_client_runtime **runtime)
{
	return usched_client_runtime_open(client, runtime, (uint32_t)getpid(), 0);
}

/* The program: with a folder for the sockets of a daemon that is there, or is not. */
static inline int fake_session_main(const char *module, const struct usched_test *tests, size_t count)
{
	int code;

	snprintf(directory, sizeof(directory), "/tmp/t_%s.XXXXXX", module);
	if (!mkdtemp(directory)) {
		perror("mkdtemp");
		return 1;
	}
	code = usched_test_main(module, tests, count);
	rmdir(directory);
	return code;
}

#endif /* USCHED_TESTS_FAKE_SESSION_H */
