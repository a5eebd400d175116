/* SPDX-License-Identifier: MIT */
#ifndef USCHED_SHM_LAYOUT_H
#define USCHED_SHM_LAYOUT_H

/*
 * The two shared segments of a runtime: a wire format.
 *
 *	grant  (G)	written by the arbiter: the daemon, or the runtime itself when
 *			embedded. Says which CPUs may be used, and the tunables.
 *	report (C)	written by the runtime's monitor thread alone. Says what was
 *			done with them, and how much more is wanted.
 *
 *	[ header ][ body ][ worker 0 ][ worker 1 ] ... [ worker n-1 ]
 *
 * Rules
 *	- fixed-width little-endian fields, no pointers, no locks, one writer per segment;
 *	- a version is major.minor: majors differ -> refuse; minors only append;
 *	- every field that changes while shared is read and written as a relaxed atomic of
 *	  its own width, so a reader may see a mixture of two moments; only the multi-word
 *	  records guarded by `sequence` are consistent (odd: being written);
 *	- nobody trusts what the other side wrote: counts, strides and sizes come from the
 *	  reader's own table, values are clamped, `name` may lack its final zero;
 *	- a reader of C outside the runtime uses pread(2) into its own copy.
 */

#include <stdint.h>

enum {
	USCHED_LAYOUT_MAJOR = 1,
	USCHED_LAYOUT_MINOR = 0,
	USCHED_LINE_BYTES = 128,	/* one writer per so many bytes		*/
	USCHED_CPUS_MAX = 1024,
	USCHED_CPU_WORDS = USCHED_CPUS_MAX / 64,
	USCHED_SEGMENT_NAME_BYTES = 24,
	USCHED_TUNABLE_ROOM = 32,	/* words; tunable.h says which is which	*/
};

#define USCHED_GRANT_MAGIC  UINT64_C(0x31544e4152475355)	/* "USGRANT1" */
#define USCHED_REPORT_MAGIC UINT64_C(0x31544f5045525355)	/* "USREPOT1" */

struct usched_segment_header {
	uint64_t magic;
	uint16_t major;
	uint16_t minor;
	uint32_t header_bytes;		/* offset of worker 0			*/
	uint32_t total_bytes;
	uint32_t worker_stride_bytes;
	uint32_t workers;		/* slots that follow			*/
	uint32_t pad;
	uint64_t session[2];		/* the same in both segments of a pair	*/
};

/* Tunables, live. A generation of 0 means: never set, use the runtime's own. */
struct usched_tunables {
	uint64_t generation;		/* grows by one with each change	*/
	uint64_t values[USCHED_TUNABLE_ROOM];	/* by enum usched_tunable; the rest is zero */
};

struct usched_grant {
	struct usched_segment_header header;
	uint8_t pad0[USCHED_LINE_BYTES - sizeof(struct usched_segment_header)];

	uint64_t heartbeat;		/* grows with each pass of the arbiter	*/
	uint64_t epoch;			/* of the arbiter: changes when it restarts */
	uint64_t retired;		/* 1: this pair is no longer in use	*/
	uint64_t weight;
	uint8_t pad1[USCHED_LINE_BYTES - 32];

	uint64_t sequence;		/* odd: tunables and cpus are being written */
	uint64_t grant_generation;	/* grows with each change of cpus	*/
	struct usched_tunables tunables;
	uint64_t cpus[USCHED_CPU_WORDS]; /* bit n: CPU n is granted		*/
	uint8_t pad2[4 * USCHED_LINE_BYTES - 408];
};

struct usched_grant_worker {
	uint64_t grant_generation;	/* at which this worker's CPU was given	*/
	uint64_t park_generation;	/* at which it was taken back; the larger counts */
	uint32_t futex;			/* for waiters outside the monitor	*/
	uint32_t cpu;
	uint8_t pad[USCHED_LINE_BYTES - 24];
};

enum usched_attachment {		/* report.attachment */
	USCHED_ATTACHMENT_EMBEDDED,
	USCHED_ATTACHMENT_ATTACHING,
	USCHED_ATTACHMENT_DAEMON,
	USCHED_ATTACHMENT_EXPIRED,
};

enum {					/* report.flags */
	USCHED_REPORT_NO_MEMBARRIER = 1,
	USCHED_REPORT_QUOTA = 2,	/* a cgroup's quota binds		*/
	USCHED_REPORT_SIGNAL_SHARED = 4, /* the program has a handler of the tick's signal */
	USCHED_REPORT_TICKS_LOST = 8,	/* the program has replaced our handler	*/
};

enum usched_report_refusal {
	USCHED_REPORT_NOT_REFUSED,	/* taken, or a better one was		*/
	USCHED_REPORT_NOT_WANTED,	/* another one was asked for		*/
	USCHED_REPORT_DENIED,
	USCHED_REPORT_MISSING,		/* the kernel does not have it		*/
	USCHED_REPORT_LIMITED,		/* of descriptors, timers, memory	*/
	USCHED_REPORT_FAILED,
};

enum usched_worker_state {		/* report_worker.state */
	USCHED_WORKER_DORMANT,		/* its CPU is not granted		*/
	USCHED_WORKER_IDLE,		/* asleep in its poll			*/
	USCHED_WORKER_RUNNING,		/* runs a fiber				*/
	USCHED_WORKER_SCHEDULING,	/* in the loop				*/
};

struct usched_report {
	struct usched_segment_header header;
	uint8_t pad0[USCHED_LINE_BYTES - sizeof(struct usched_segment_header)];

	/* Fixed at start. */
	uint32_t pid;
	uint32_t uid;
	uint64_t start_time_ns;		/* CLOCK_MONOTONIC			*/
	char name[USCHED_SEGMENT_NAME_BYTES];
	uint32_t tick_source;		/* enum usched_tick			*/
	uint32_t guard_kind;		/* 1 MADV_GUARD_INSTALL, 2 mprotect	*/
	uint64_t tick_cost_ns;		/* measured at start			*/
	uint64_t quantum_floor_ns;	/* a shorter one is raised to this	*/
	uint32_t carriers_max;
	uint32_t signal;
	uint32_t flags;			/* USCHED_REPORT_*; the last one changes	*/
	uint32_t perf_refused;		/* enum usched_report_refusal: why this tick	*/
	uint32_t timer_refused;		/* was not taken				*/
	uint8_t pad1[USCHED_LINE_BYTES - 84];

	/* Live. */
	uint64_t heartbeat;		/* grows with each publication		*/
	uint64_t published_ns;		/* CLOCK_MONOTONIC of the last one	*/
	uint32_t attachment;		/* enum usched_attachment		*/
	uint32_t demand_cpus;		/* how many workers would have work	*/
	uint64_t tunables_acked;	/* generation that every carrier has	*/
	uint64_t quantum_ns;		/* in force; automatic: the shortest	*/
	uint64_t grant_acked;		/* grant_generation that was carried out */
	uint64_t fibers_alive;
	uint64_t fibers_spawned;
	uint64_t fibers_parked;
	uint32_t carriers;		/* kernel threads for fibers		*/
	uint32_t carriers_idle;
	uint64_t carriers_refused;	/* wished, but the limit was reached	*/
	uint64_t session_changes;	/* moves between segments		*/
	uint32_t carriers_error;	/* errno of the last refusal; 0: carriers_max	*/
	uint8_t pad2[USCHED_LINE_BYTES - 100];
};

/* Counters only grow; rates are the reader's business. */
struct usched_report_worker {
	uint32_t cpu;
	uint32_t node;
	uint32_t state;			/* enum usched_worker_state		*/
	uint32_t carrier_tid;		/* kernel thread that has it, 0: none	*/
	uint64_t grant_acked;
	uint32_t runnable;		/* in its queues			*/
	uint32_t timers;
	uint64_t oldest_ready_ns;	/* since when the head waits; 0: empty	*/
	uint64_t run_start_ns;		/* of the slice that runs; 0: none	*/
	uint64_t fiber;			/* handle of the fiber that runs	*/
	uint64_t dispatches;
	uint64_t ticks;			/* signals that arrived			*/
	uint64_t tick_deferred;		/* arrived inside the runtime		*/
	uint64_t tick_young;		/* the slice had just begun		*/
	uint64_t tick_never;		/* the fiber's mode is NEVER		*/
	uint64_t tick_alone;		/* nothing else to run			*/
	uint64_t handoffs_direct;	/* to the next fiber's own carrier	*/
	uint64_t handoffs_spare;	/* to a spare carrier			*/
	uint64_t starved;		/* no spare carrier was there		*/
	uint64_t taken;			/* from a carrier blocked in the kernel	*/
	uint64_t yields;
	uint64_t parks;
	uint64_t wakes;
	uint64_t steals;		/* fibers taken from others		*/
	uint64_t spawned;
	uint64_t polls;
	uint64_t io_events;
	uint64_t timers_fired;
	uint64_t idle_ns;		/* until published_ns, the sleep in progress too */
	uint64_t tick_lost;		/* the worker had been taken meanwhile	*/
	uint64_t tick_revoked;		/* the CPU had been revoked		*/
	uint64_t tick_off;		/* the fiber has no quantum		*/
	uint64_t tick_section;		/* in a section with preemption off	*/
	uint64_t tick_grace;		/* in libc: looked again 50 us later	*/
	uint64_t tick_yielded;		/* switched in place (mode YIELD)		*/
	uint64_t tick_notes;		/* notes of deferred ones, taken up	*/
	uint64_t tick_urgent;		/* somebody had become ready		*/
	uint64_t tick_stops;		/* alone: the tick was stopped		*/
	uint64_t vetoes;			/* of switching in place		*/
	uint64_t budget_yields;		/* a budget of calls was used up		*/
	uint64_t quantum_ns;		/* in force for normal fibers; 0: off	*/
	uint64_t quantum_changes;	/* by itself: the quantum is automatic	*/
	uint64_t taken_urgent;		/* of `taken`: somebody had become ready */
	uint64_t reserved[1];
	uint8_t pad[USCHED_LINE_BYTES * 3 - 328];
};

_Static_assert(sizeof(struct usched_segment_header) == 48, "wire format");
_Static_assert(sizeof(struct usched_grant) == 6 * USCHED_LINE_BYTES, "wire format");
_Static_assert(sizeof(struct usched_grant_worker) == USCHED_LINE_BYTES, "wire format");
_Static_assert(sizeof(struct usched_report) == 3 * USCHED_LINE_BYTES, "wire format");
_Static_assert(sizeof(struct usched_report_worker) == 3 * USCHED_LINE_BYTES, "wire format");

#endif /* USCHED_SHM_LAYOUT_H */
