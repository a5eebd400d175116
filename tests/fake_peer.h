/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_FAKE_PEER_H
#define USCHED_TESTS_FAKE_PEER_H

/*
 * A runtime's or a daemon's socket with a mind of its own, for tests of observers: it
 * answers right, or wrong in exactly one way. One thread serves one listener and one
 * request a connection; segments are real sealed memfds.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "shm/layout.h"
#include "shm/tunable.h"
#include "shm/wire.h"

enum fake_fault {
	FAKE_NONE,
	FAKE_SILENT,		/* takes the request and says nothing		*/
	FAKE_HANGUP,
	FAKE_SHORT,		/* 8 bytes					*/
	FAKE_LONG,		/* 2000 bytes					*/
	FAKE_MAGIC,
	FAKE_MAJOR,
	FAKE_SERIAL,
	FAKE_TYPE,		/* an answer to another request			*/
	FAKE_LENGTH,		/* total_bytes is not the datagram's		*/
	FAKE_NO_DESCRIPTORS,
	FAKE_ONE_DESCRIPTOR,
	FAKE_MORE_DESCRIPTORS,
	FAKE_PIPE,		/* descriptors of a pipe			*/
	FAKE_FILE,		/* of a file that is not sealed			*/
	FAKE_SESSION,		/* two segments of different pairs		*/
	FAKE_STRIDE,		/* header with a stride of 8			*/
	FAKE_WORKERS,		/* header with more workers than fit		*/
	FAKE_LAYOUT,		/* header with another major			*/
	FAKE_REFUSE,		/* ERROR, EACCES				*/
	FAKE_RECORDS,		/* more fibers than the memfd holds		*/
	FAKE_RECORD_BYTES,	/* records of 8 bytes				*/
	FAKE_NO_END,		/* LIST without its end				*/
	FAKE_RETIRED,		/* always hands out a retired pair		*/
	FAKE_FAULTS,
};

struct fake_pair {
	int grant_fd, report_fd;
	struct usched_grant *grant;
	struct usched_report *report;
};

enum { FAKE_WORKERS_COUNT = 2, FAKE_FIBERS_COUNT = 5, FAKE_PAIRS = 4 };

struct fake_peer {
	int listener;
	int stop;			/* eventfd				*/
	pthread_t thread;
	_Atomic int fault;		/* enum fake_fault			*/
	_Atomic int pair;		/* index of the one handed out		*/
	_Atomic int acknowledges;	/* 1: a SET is acknowledged at once	*/
	_Atomic int requests;		/* that came, of any type		*/
	_Atomic int sets;		/* that changed something		*/
	_Atomic unsigned int asked;	/* number of the runtime in the last OPEN or SET */
	struct fake_pair pairs[FAKE_PAIRS];
	uint32_t listed_pid;		/* as a daemon: the one entry of LIST; 0: none */
	uint32_t listed_number;
};

/** fake_pair_create() - a filled, sealed pair; @session tells pairs apart. Return: 0 or -1 */
int fake_pair_create(struct fake_pair *pair, uint64_t session, uint32_t workers);

/** fake_pair_worker() - a worker's slot in the shared report. */
struct usched_report_worker *fake_pair_worker(const struct fake_pair *pair, unsigned int index);

/** fake_peer_start() - listen at @address and serve. Return: 0 or -1, errno is set */
int fake_peer_start(struct fake_peer *peer, const struct sockaddr_un *address, socklen_t bytes);

/** fake_peer_stop() - end the thread and close all. */
void fake_peer_stop(struct fake_peer *peer);

/** fake_runtime_address() - "usched/UID/PID[/N]", abstract. Return: its length */
socklen_t fake_runtime_address(struct sockaddr_un *address, unsigned int uid, unsigned int pid,
			       unsigned int number);

/** fake_daemon_address() - DIR/control.sock. Return: its length */
socklen_t fake_daemon_address(struct sockaddr_un *address, const char *directory);

/** fake_fault_by_name() - "silent", "magic", ...; -1: unknown. */
int fake_fault_by_name(const char *name);

#endif /* USCHED_TESTS_FAKE_PEER_H */
