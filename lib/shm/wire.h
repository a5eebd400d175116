/* SPDX-License-Identifier: MIT */
#ifndef USCHED_SHM_WIRE_H
#define USCHED_SHM_WIRE_H

/*
 * Messages between runtimes, the daemon and observers: SOCK_SEQPACKET, one datagram is
 * one message, fixed sizes. Three kinds of socket speak it:
 *
 *	client	 DIR/client.sock	runtime -> daemon	HELLO, then doorbells
 *	control	 DIR/control.sock	observer -> daemon	STATUS, LIST, OPEN, SET
 *	embedded abstract "usched/UID/PID"  observer -> runtime  OPEN, FIBERS, SET
 *
 * A process may have several runtimes: the first listens on "usched/UID/PID", the next
 * on "usched/UID/PID/2" and so on. The same number goes to the daemon with HELLO, so that
 * PID/2 is one runtime whoever is asked.
 *
 * Identity is what the kernel says (SO_PEERCRED), never what a message claims; a number
 * only tells the runtimes of one process apart. Each
 * request is answered by exactly one reply of its kind or by ERROR, LIST by entries and
 * an END. Lengths and counts are checked against the sizes below before use; reserved
 * fields are zero.
 */

#include <stdint.h>

#include "shm/layout.h"

#define USCHED_WIRE_MAGIC UINT32_C(0x44435355)		/* "USCD" */

enum {
	USCHED_WIRE_MAJOR = 1,
	USCHED_WIRE_MINOR = 0,
	USCHED_WIRE_TEXT_BYTES = 256,
	USCHED_KEY_BYTES = 40,
	USCHED_WIRE_RUNTIMES_MAX = 63,	/* of one process: numbers are 1 to this */
};

enum usched_message_type {
	USCHED_MESSAGE_HELLO = 1,	/* runtime -> daemon			*/
	USCHED_MESSAGE_WELCOME,		/* reply, with two descriptors: G read-only, C */
	USCHED_MESSAGE_DOORBELL,	/* daemon -> runtime: look at G; no reply	*/
	USCHED_MESSAGE_DEMAND,		/* runtime -> daemon: look at C; no reply	*/

	USCHED_MESSAGE_STATUS = 32,	/* observer -> daemon			*/
	USCHED_MESSAGE_STATUS_REPLY,
	USCHED_MESSAGE_LIST,		/* observer -> daemon			*/
	USCHED_MESSAGE_LIST_ENTRY,
	USCHED_MESSAGE_LIST_END,
	USCHED_MESSAGE_OPEN,		/* observer: the segments of a runtime	*/
	USCHED_MESSAGE_OPEN_REPLY,	/* with two descriptors, G and C, both read-only */
	USCHED_MESSAGE_SET,		/* observer: change a tunable		*/
	USCHED_MESSAGE_SET_REPLY,
	USCHED_MESSAGE_FIBERS,		/* observer -> runtime			*/
	USCHED_MESSAGE_FIBERS_REPLY,	/* with one descriptor: a memfd of usched_fiber_record */

	USCHED_MESSAGE_ERROR = 255,
};

struct usched_message {			/* header of each */
	uint32_t magic;
	uint16_t major;
	uint16_t minor;
	uint16_t type;
	uint16_t total_bytes;
	uint32_t serial;		/* the reply repeats the request's	*/
};

struct usched_message_hello {
	struct usched_message header;
	char name[USCHED_SEGMENT_NAME_BYTES];
	uint32_t workers;		/* slots wanted: one per allowed CPU	*/
	uint32_t workers_max;		/* never grant more CPUs; at least 1	*/
	uint64_t tunables[USCHED_TUNABLE_ROOM];	/* as they are now		*/
	uint64_t cpus[USCHED_CPU_WORDS]; /* allowed: slot i is the i-th bit set	*/
	uint32_t number;		/* of the runtime in its process; 0: it has no socket
					   of its own, the daemon picks a free number	*/
	uint32_t pad;
};

struct usched_message_welcome {
	struct usched_message header;
	uint64_t session[2];
	uint64_t epoch;
};

struct usched_message_target {		/* OPEN, FIBERS; LIST and STATUS with pid 0 */
	struct usched_message header;
	uint32_t pid;			/* embedded: 0 or the runtime's own	*/
	uint32_t number;		/* of the runtime in its process; 0: the first. Embedded:
					   not looked at, the socket is the runtime	*/
};

struct usched_message_status_reply {
	struct usched_message header;
	uint32_t pid;
	uint32_t uid;
	uint64_t start_time_ns;
	uint64_t epoch;
	uint64_t passes;		/* of the policy			*/
	uint32_t runtimes;
	uint32_t cpus;			/* that it shares out			*/
	uint64_t refused;		/* connections or messages		*/
	uint64_t policy_period_ns;
	char version[16];
};

struct usched_message_list_entry {
	struct usched_message header;
	uint32_t pid;
	uint32_t uid;
	char name[USCHED_SEGMENT_NAME_BYTES];
	uint32_t granted_cpus;
	uint32_t demand_cpus;
	uint64_t quantum_ns;
	uint64_t since_ns;		/* CLOCK_MONOTONIC of its HELLO		*/
	uint64_t cpus[USCHED_CPU_WORDS];
	uint32_t number;		/* of the runtime in its process, from 1 */
	uint32_t carriers_refused;	/* as in its report, or UINT32_MAX	*/
};

struct usched_message_set {
	struct usched_message header;
	uint32_t pid;
	uint16_t dry_run;		/* 1: only say what would happen	*/
	uint16_t number;		/* as in usched_message_target		*/
	char key[USCHED_KEY_BYTES];	/* as in tunable.h			*/
	uint64_t value;			/* ns for times				*/
};

struct usched_message_set_reply {
	struct usched_message header;
	uint64_t old_value;
	uint64_t new_value;		/* as asked				*/
	uint64_t effective_value;	/* after clamping			*/
	uint64_t generation;		/* wait for report.tunables_acked >= this */
	char clamped_by[USCHED_SEGMENT_NAME_BYTES * 2]; /* why it differs; empty: it does not */
};

struct usched_message_fibers_reply {
	struct usched_message header;
	uint32_t count;			/* records in the memfd			*/
	uint32_t record_bytes;
	uint64_t left_out;		/* fibers beyond the limit of one reply	*/
	uint64_t taken_ns;		/* CLOCK_MONOTONIC			*/
};

enum usched_fiber_record_state {
	USCHED_FIBER_RECORD_NEW, USCHED_FIBER_RECORD_READY, USCHED_FIBER_RECORD_RUNNING,
	USCHED_FIBER_RECORD_PARKED, USCHED_FIBER_RECORD_READY_BOUND, USCHED_FIBER_RECORD_STRANDED,
	USCHED_FIBER_RECORD_DONE,
};

struct usched_fiber_record {
	uint64_t id;
	char name[USCHED_SEGMENT_NAME_BYTES];
	uint32_t state;			/* enum usched_fiber_record_state	*/
	uint32_t worker_cpu;		/* last or current; UINT32_MAX: none yet */
	uint32_t wait_kind;		/* 0 none, 1 sleep, 2 join, 3 channel, 4 mutex, 5 read, 6 write, 7 accept, 8 connect, 9 event */
	uint32_t wait_object;		/* descriptor for 5 to 8; else 0	*/
	uint32_t mode;			/* enum usched_preempt			*/
	uint32_t priority;
	uint64_t since_ns;		/* in this state since; 0: not recorded	*/
	uint64_t preemptions;
	uint64_t stack_bytes;		/* size of its class			*/
	uint64_t function;		/* address of its function		*/
};

struct usched_message_error {
	struct usched_message header;
	int32_t error;			/* positive errno value			*/
	uint32_t pad;
	char text[USCHED_WIRE_TEXT_BYTES]; /* what, why, what to do; one line	*/
};

union usched_message_any {
	struct usched_message header;
	struct usched_message_hello hello;
	struct usched_message_welcome welcome;
	struct usched_message_target target;
	struct usched_message_status_reply status;
	struct usched_message_list_entry list_entry;
	struct usched_message_set set;
	struct usched_message_set_reply set_reply;
	struct usched_message_fibers_reply fibers_reply;
	struct usched_message_error error;
};

_Static_assert(sizeof(struct usched_message) == 16, "wire format");
_Static_assert(sizeof(struct usched_message_hello) == 16 + 24 + 8 + 256 + 128 + 8, "wire format");
_Static_assert(sizeof(struct usched_message_set_reply) == 16 + 32 + 48, "wire format");
_Static_assert(sizeof(struct usched_fiber_record) == 88, "wire format");

#endif /* USCHED_SHM_WIRE_H */
