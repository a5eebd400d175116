/* SPDX-License-Identifier: MIT */
#ifndef USCHED_RUNTIME_CONTROL_H
#define USCHED_RUNTIME_CONTROL_H

/*
 * The control plane of one runtime: its two segments, the observers' socket, and the
 * client of the daemon. It knows nothing of fibers; the runtime gives it a host.
 *
 *	            no daemon                HELLO sent             WELCOME
 *	EMBEDDED ---------------> EMBEDDED  ------------> ATTACHING ---------> DAEMON
 *	   ^                                                  | refused           |
 *	   +--------------------------------------------------+     hang-up, or the lease
 *	   +---------------- EXPIRED <-----------------------------  of N passes is over
 *
 * Embedded, the runtime is its own arbiter: it owns a pair (G, C), grants itself all the
 * CPUs it may use and listens on the abstract socket for observers, who may also set its
 * tunables. Attached, the daemon has made a new pair; the old one is marked retired, and
 * a SET that reaches the runtime's own socket is refused with a pointer to the daemon.
 * The abstract socket goes on serving OPEN (the pair in use) and FIBERS in both cases.
 *
 * Invariants
 *	C1  only the monitor thread calls in, create and destroy excepted;
 *	C2  nothing here blocks, allocates with malloc, uses stdio or takes a lock once
 *	    created: a fiber stopped in mid-run may hold any libc lock. Memory is made at
 *	    create with mmap and has fixed limits (at most 8 observers at one time, the ninth
 *	    waits in the backlog);
 *	C3  a silent, slow or hostile observer or daemon delays nothing: non-blocking
 *	    sockets, a deadline of 1 s for a request, one reply in flight per observer.
 */

#include <stdint.h>

#include "shm/layout.h"
#include "shm/tunable.h"
#include "shm/wire.h"

struct usched_control;

/* What the control plane asks of the runtime. All are called by the monitor thread. */
struct usched_control_host {
	void *context;

	/* Fill the live part of the report and all worker slots (relaxed stores into the
	   shared segment itself; slots are header.worker_stride_bytes apart). The caller
	   has set heartbeat, published_ns, attachment and session_changes. */
	void (*publish)(void *context, struct usched_report *report,
			struct usched_report_worker *workers, uint32_t count);

	/* A new grant or new tunables, already validated: cpus is a non-empty subset of
	   options.cpus, tunables are within their limits (not yet raised to the floor). */
	void (*apply)(void *context, const uint64_t cpus[USCHED_CPU_WORDS],
		      uint64_t grant_generation, const uint64_t tunables[USCHED_TUNABLES],
		      uint64_t tunables_generation);

	/* The quantum of one fiber, already validated, and what it was; without @quantum_ns only
	   ask. 0, or -ESRCH. */
	int (*fiber_quantum)(void *context, uint64_t fiber, const uint64_t *quantum_ns,
			     uint64_t *old_ns);

	/* Up to room records, in no order; returns how many; *left_out counts the rest. */
	uint32_t (*fibers)(void *context, struct usched_fiber_record *records, uint32_t room,
			   uint64_t *left_out);
};

struct usched_control_options {
	const char *name;
	const char *socket_directory;	/* of the daemon; NULL: never attach	*/
	uint64_t cpus[USCHED_CPU_WORDS]; /* allowed: worker i is the i-th bit set */
	uint32_t workers;		/* bits set in cpus			*/
	uint32_t workers_max;		/* run at most so many at a time	*/
	uint64_t tunables[USCHED_TUNABLES]; /* at start				*/
	struct usched_report fixed;	/* tick_source, tick_cost_ns, quantum_floor_ns, carriers_max,
					   signal, flags, guard_kind, perf_refused,
					   timer_refused: copied into each report */
};

/**
 * usched_control_create() - segments, sockets, state EMBEDDED
 *
 * Calls host->apply once with the embedded grant before it returns. A missing daemon is
 * no error. If the abstract name cannot be bound the runtime works unobserved, and says
 * so on stderr.
 *
 * Return:	0
 * Errors:	-EINVAL  the name of socket_directory is longer than USCHED_DIRECTORY_MAX
 *		-ENOMEM, -EMFILE, -errno of memfd_create, mmap, epoll_create1
 * Callable from: the thread that creates the runtime
 */
int usched_control_create(struct usched_control **control,
			  const struct usched_control_options *options,
			  const struct usched_control_host *host);

/**
 * usched_control_descriptor() - an epoll descriptor, readable when a pass has work
 */
int usched_control_descriptor(const struct usched_control *control);

/**
 * usched_control_pass() - serve what is ready, publish, attach or expire when due
 * @now_ns:	CLOCK_MONOTONIC
 * @active:	whether any worker runs; an idle runtime need not publish anew
 *
 * Return:	when the next pass is due though nothing becomes readable; UINT64_MAX: never
 *		(a daemon's socket directory is watched with inotify, not polled; a failed
 *		attach is tried again with growing, jittered pauses)
 * Callable from: the monitor thread. Never blocks (C2, C3).
 */
uint64_t usched_control_pass(struct usched_control *control, uint64_t now_ns, int active);

/**
 * usched_control_set() - the runtime's own API asks for a change
 * @tunable:	below USCHED_TUNABLES
 * @value:	valid
 *
 * Return:	0; -EPERM attached: the daemon's tunables hold
 * Callable from: the monitor thread
 */
int usched_control_set(struct usched_control *control, unsigned int tunable, uint64_t value);

/** usched_control_destroy() - close all; the last pass is over. NULL is fine. */
void usched_control_destroy(struct usched_control *control);

#endif /* USCHED_RUNTIME_CONTROL_H */
