/* SPDX-License-Identifier: MIT */
#ifndef USCHED_DAEMON_DAEMON_H
#define USCHED_DAEMON_DAEMON_H

/*
 * uschedd: one thread, one epoll loop, fixed tables.
 *
 *	main.c		options, sockets, the lock, the loop
 *	clients.c	runtimes: HELLO, WELCOME, death, one pass of the policy, grants
 *	observers.c	STATUS, LIST, OPEN and SET
 *	policy.c	who gets which CPUs; pure
 *
 * Nothing a client does can make the daemon wait: sockets do not block, a peer that does not read
 * is dropped, its report is read with one pread(2) into a copy and clamped, and a CPU that it does
 * not give back in time is given to the next one all the same, and counted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy.h"
#include "shm/message.h"
#include "shm/segment.h"

enum {
	RUNTIMES_MAX = USCHED_POLICY_RUNTIMES_MAX,
	RUNTIMES_PER_USER = 128,
	OBSERVERS_MAX = 64,
	OBSERVERS_PER_USER = 32,
	DIRECTORY_BYTES = USCHED_DIRECTORY_MAX + 1,
};

/* Exit codes; schedctl(1) has the same. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_PERMISSION = 4, EXIT_RANGE = 6 };

/* The upper half of an epoll event's data; the lower one is an index. */
enum source {
	SOURCE_TIMER, SOURCE_SIGNAL, SOURCE_CLIENTS, SOURCE_CONTROL,
	SOURCE_CLIENT, SOURCE_PIDFD, SOURCE_OBSERVER,
};

struct client {
	int socket;			/* -1: free				*/
	int pidfd;			/* -1: none; hang-up must do		*/
	bool attached;			/* HELLO was answered			*/
	pid_t pid;
	uid_t uid;
	uint32_t number;		/* of the runtime in its process, from 1 */
	uint64_t deadline_ns;		/* for HELLO				*/
	uint64_t since_ns;
	char name[USCHED_SEGMENT_NAME_BYTES];
	uint32_t workers;
	uint32_t most;
	uint64_t cpus[USCHED_CPU_WORDS];	/* as it said: the slots	*/
	uint64_t allowed[USCHED_CPU_WORDS];	/* what the kernel and we let it use */
	struct usched_segment grant, report;
	uint64_t granted[USCHED_CPU_WORDS];	/* in G now			*/
	uint64_t leaving[USCHED_CPU_WORDS];	/* taken from G, not yet given back */
	uint64_t leave_generation;
	uint64_t leave_deadline_ns;
	uint64_t tunables[USCHED_TUNABLES];	/* in G now			*/
	uint64_t quantum_floor_ns;
	uint32_t demand;
	uint32_t carriers_refused;	/* for observers			*/
	uint32_t low_passes;
	uint64_t late;			/* CPUs not given back in time		*/
	uint64_t window_ns;		/* since when messages are counted	*/
	uint32_t messages;		/* in this window			*/
};

struct observer {
	int socket;			/* -1: free */
	pid_t pid;
	uid_t uid;
	uint64_t deadline_ns;
};

struct listener {
	const char *name;		/* in the directory			*/
	int socket;
	dev_t device;			/* of the file that we made; nothing else is removed */
	ino_t inode;			/* 0: none yet				*/
};

struct daemon {
	int epoll, timer, signals, lock, reserve;
	struct listener clients_listener, control_listener;
	char directory[DIRECTORY_BYTES];
	bool verbose;
	bool stop;
	bool journal;			/* stderr goes to the journal: say how grave */
	bool wanted_pass;
	bool tick;			/* the pass is the timer's, not a message's */
	uint64_t passed_ns;		/* when the last one was		*/
	uint64_t period_ns;
	uint64_t started_ns, epoch, passes, refused;
	uint64_t cpus[USCHED_CPU_WORDS];	/* to share out */
	uint16_t nodes[USCHED_CPUS_MAX];
	uint32_t client_count;
	struct client clients[RUNTIMES_MAX];
	struct observer observers[OBSERVERS_MAX];
};

/* main.c */
void say(const struct daemon *daemon, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int watch(struct daemon *daemon, int descriptor, enum source source, uint32_t index);
/* Accept one peer and learn who it is; -1: nobody there. Never fails for want of descriptors. */
int accept_peer(struct daemon *daemon, int listener, pid_t *pid, uid_t *uid);

/* clients.c */
void clients_accept(struct daemon *daemon, uint64_t now_ns);
void client_event(struct daemon *daemon, struct client *client, uint64_t now_ns);
void client_drop(struct daemon *daemon, struct client *client, const char *why);
/* One pass: read reports, decide, change grants, ring doorbells. */
void clients_pass(struct daemon *daemon, uint64_t now_ns);
/* A runtime by its number in its process; 0: the first. NULL: none. */
struct client *client_find(struct daemon *daemon, pid_t pid, uint32_t number);
/* "4711", or "4711/2" for a process's second runtime; valid until the next call. */
const char *client_name(const struct client *client);
void client_doorbell(struct daemon *daemon, struct client *client);

/* observers.c */
void observers_accept(struct daemon *daemon, uint64_t now_ns);
void observer_event(struct daemon *daemon, struct observer *observer, uint64_t now_ns);
void observer_drop(struct observer *observer);

#endif /* USCHED_DAEMON_DAEMON_H */
