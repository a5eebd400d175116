/* SPDX-License-Identifier: MIT */
/*
 * The fake peer as a program, for tests of the tool:
 *
 *	helper_fake runtime FAULT		a runtime on its own socket
 *	helper_fake attached FAULT		the same, attached to a daemon
 *	helper_fake slow FAULT			never acknowledges a change
 *	helper_fake refused FAULT		the system has refused it carriers
 *	helper_fake full FAULT			it has reached its own limit of carriers
 *	helper_fake daemon FAULT DIR [PID]	a daemon that lists the process PID
 *
 * Prints "ready PID", counts up each millisecond, and ends with its standard input; then it
 * prints "sets N": how often something was changed.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fake_peer.h"

int main(int argc, char **argv)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	struct fake_peer peer;
	struct sockaddr_un address;
	struct timespec now;
	socklen_t bytes;
	unsigned int i;
	int fault, is_daemon;

	if (argc < 3 || (fault = fake_fault_by_name(argv[2])) < 0) {
		fputs("usage: helper_fake runtime|attached|slow|refused|full|daemon FAULT [DIR [PID]]\n", stderr);
		return 2;
	}
	is_daemon = !strcmp(argv[1], "daemon");
	if (is_daemon && argc > 3)
		bytes = fake_daemon_address(&address, argv[3]);
	else
		bytes = fake_runtime_address(&address, geteuid(), (unsigned int)getpid(), 1);
	if (fake_peer_start(&peer, &address, bytes)) {
		perror("helper_fake");
		return 1;
	}
	if (is_daemon && argc > 4)
		peer.listed_pid = (uint32_t)atol(argv[4]);
	if (!strcmp(argv[1], "attached"))
		for (i = 0; i < FAKE_PAIRS; i++)
			peer.pairs[i].report->attachment = USCHED_ATTACHMENT_DAEMON;
	if (!strcmp(argv[1], "refused") || !strcmp(argv[1], "full"))
		for (i = 0; i < FAKE_PAIRS; i++) {
			peer.pairs[i].report->carriers_refused = 7;
			peer.pairs[i].report->carriers_error = argv[1][0] == 'r' ? EAGAIN : 0;
		}
	if (!strcmp(argv[1], "slow"))
		atomic_store(&peer.acknowledges, 0);
	atomic_store(&peer.fault, fault);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (poll(&input, 1, 1) == 0) {
		struct usched_report *report = peer.pairs[0].report;

		clock_gettime(CLOCK_MONOTONIC, &now);
		for (i = 0; i < FAKE_WORKERS_COUNT; i++) {
			fake_pair_worker(&peer.pairs[0], i)->dispatches += 10;
			fake_pair_worker(&peer.pairs[0], i)->ticks += 1;
		}
		report->published_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
		report->heartbeat++;
	}
	fake_peer_stop(&peer);
	printf("sets %d\n", atomic_load(&peer.sets));
	return 0;
}
