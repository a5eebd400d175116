/* SPDX-License-Identifier: MIT */
#ifndef USCHED_CLIENT_H
#define USCHED_CLIENT_H

/*
 * usched for observers: find runtimes, read what they do, change their tunables.
 *
 *	usched_client            a session: where the daemon is, and the last failure
 *	  +-- usched_client_list      every runtime of this machine, at one moment
 *	  +-- usched_client_runtime   one runtime, open
 *	        +-- usched_client_snapshot  its state and counters, at one moment
 *	        +-- usched_client_fibers    its fibers, at one moment
 *
 * An observer creates no state in what it observes, and stops nothing: counters are read
 * from shared memory that the runtime writes anyway. A runtime is reached through a socket
 * of its own and through the daemon that it may be attached to; the functions here pick
 * the way. Who may look and who may change is decided by the other side, from what the
 * kernel says about the caller.
 *
 * Conventions of every function here
 *	Return     0, or a negative errno value of the table below. Outputs are written
 *		   on success only. After a failure usched_client_failure() tells in
 *		   words what failed, why, and what to do.
 *	Errors     -ESRCH    no such process, it has ended, or it is no usched process
 *		   -EACCES   it belongs to somebody else
 *		   -ENOTCONN the daemon is needed and cannot be reached, or what listens
 *			     there is not the daemon
 *		   -EINVAL   an argument or a key is not known
 *		   -ERANGE   the value is out of range
 *		   -ETIMEDOUT the runtime did not answer in time
 *		   -EBADMSG  the runtime answers something that cannot be right
 *		   -ESTALE   the runtime changed in a way that makes the result void
 *		   -ENOMEM, -EMFILE, -EIO  as usual
 *	Time       every request to another process ends within the session's timeout.
 *	Sizes      a struct that the caller provides has its size set by the caller; the
 *		   library fills that much. Programs built against older and newer
 *		   headers go on working.
 *	Threads    one thread at a time uses a session and what was opened in it. All may
 *		   block the calling thread: do not call them from a fiber.
 *	Trust      nothing that another process wrote is trusted: sizes are checked, text
 *		   is made printable. Numbers are what the runtime says they are.
 */

#include <stddef.h>
#include <stdint.h>

#include <usched/usched.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct usched_client;
struct usched_client_list;
struct usched_client_runtime;
struct usched_client_snapshot;
struct usched_client_fibers;

#define USCHED_CLIENT_CPU_WORDS 16	/* 64 CPUs each */

/* ---------------------------------------------------------------- session */

struct usched_client_options {
	size_t size;		/* sizeof(struct usched_client_options)			*/
	const char *socket_directory; /* of the daemon; NULL: USCHED_SOCKET, or /run/usched;
				 at most 90 bytes					*/
	uint64_t timeout_ns;	/* for each request; 0: one second			*/
};

#define USCHED_CLIENT_OPTIONS_INIT { sizeof(struct usched_client_options), NULL, 0 }

/* Why the last call failed. The texts are one line each. */
struct usched_client_failure {
	size_t size;
	int error;		/* the negative errno value that was returned; 0: none yet */
	const char *what;	/* "cannot read process 4711"				*/
	const char *why;	/* "it is not a usched process"				*/
	const char *hint;	/* "schedctl list shows the processes that are"		*/
};

/**
 * usched_client_open() - start a session
 * @client:	set to the new session
 * @options:	NULL for the defaults
 *
 * Nothing is connected yet: a missing daemon shows when it is needed.
 *
 * Return:	0
 * Errors:	-EINVAL  the directory's name is too long for a socket; -ENOMEM
 * Ownership:	close with usched_client_close(), after all that was opened in it.
 * May switch:	no
 * Callable from: any thread that is not a fiber
 */
int usched_client_open(struct usched_client **client, const struct usched_client_options *options);

/** usched_client_close() - end a session; NULL is fine. */
void usched_client_close(struct usched_client *client);

/**
 * usched_client_failure() - what the last failed call of this session has to say
 *
 * Return:	never NULL.
 * Ownership:	the session's; valid until its next call.
 * Callable from: the thread that uses the session
 */
const struct usched_client_failure *usched_client_failure(const struct usched_client *client);

/** usched_client_directory() - the daemon's directory in use by this session. */
const char *usched_client_directory(const struct usched_client *client);

/**
 * usched_client_text() - copy text of unknown origin so that it can be shown
 * @to:		room for @to_bytes, the final zero included
 * @from:	ends at a zero byte or after @from_bytes
 *
 * As the texts of this interface are made: one line of valid UTF-8. Control characters,
 * invisible ones and each byte of what is not valid UTF-8 become '?'; what does not fit is
 * cut between two characters.
 *
 * Callable from: any thread
 */
void usched_client_text(char *to, size_t to_bytes, const char *from, size_t from_bytes);

/* ----------------------------------------------------------------- daemon */

struct usched_client_daemon {
	size_t size;
	uint32_t pid;
	uint32_t uid;
	uint64_t start_time_ns;		/* CLOCK_MONOTONIC			*/
	uint64_t epoch;			/* changes with each start		*/
	uint64_t passes;		/* of its policy			*/
	uint64_t policy_period_ns;
	uint64_t refused;		/* connections and messages		*/
	uint32_t runtimes;
	uint32_t cpus;			/* that it shares out			*/
	char version[16];
};

/**
 * usched_client_daemon_status() - ask the daemon how it does
 * @status:	its size field is set by the caller
 *
 * Return:	0
 * Errors:	-ENOTCONN, -EACCES
 * Callable from: any thread that is not a fiber
 */
int usched_client_daemon_status(struct usched_client *client, struct usched_client_daemon *status);

/* ------------------------------------------------------------------- list */

enum usched_client_attachment {
	USCHED_CLIENT_EMBEDDED,		/* arbitrates alone			*/
	USCHED_CLIENT_ATTACHING,	/* has asked the daemon			*/
	USCHED_CLIENT_ATTACHED,		/* the daemon grants its CPUs		*/
	USCHED_CLIENT_EXPIRED,		/* the daemon is gone; leaves its segments */
	USCHED_CLIENT_UNKNOWN,
};

struct usched_client_entry {
	size_t size;
	uint32_t pid;
	uint32_t uid;
	uint32_t number;		/* of the runtime in its process: 1, 2, ...	*/
	uint32_t known;			/* 0: the fields below could not be read	*/
	enum usched_client_attachment attachment;
	char name[USCHED_NAME_MAX];
	uint32_t granted_cpus;
	uint32_t demand_cpus;
	uint64_t quantum_ns;		/* 0: off; or USCHED_QUANTUM_AUTO		*/
	uint64_t since_ns;		/* CLOCK_MONOTONIC of its start, or of its
					   attachment					*/
	uint64_t carriers_refused;	/* wished, but a limit was reached; info says which */
};

/**
 * usched_client_list_open() - find every runtime
 * @list:	set to the list, ordered by pid
 *
 * Merges the daemon's list with the runtimes that listen on a socket of their own. A
 * listener whose name does not agree with what the kernel says of it is left out.
 *
 * Return:	0, also without a daemon: see usched_client_list_daemon()
 * Errors:	-ENOMEM, -EMFILE
 * Ownership:	close with usched_client_list_close().
 * Callable from: any thread that is not a fiber
 */
int usched_client_list_open(struct usched_client *client, struct usched_client_list **list);

/** usched_client_list_close() - free it; NULL is fine. */
void usched_client_list_close(struct usched_client_list *list);

/** usched_client_list_count() - how many runtimes are in it. */
size_t usched_client_list_count(const struct usched_client_list *list);

/**
 * usched_client_list_daemon() - whether the daemon had a part in it
 *
 * Return:	0: yes; -ENOENT: there is none in this directory; -ENOTCONN, -EACCES: something
 *		is there and could not be used (usched_client_failure() says why, until the
 *		session's next call)
 */
int usched_client_list_daemon(const struct usched_client_list *list);

/** usched_client_list_left_out() - listeners that were not what their name says. */
size_t usched_client_list_left_out(const struct usched_client_list *list);

/**
 * usched_client_list_get() - copy one entry
 * @index:	below usched_client_list_count()
 * @entry:	its size field is set by the caller
 *
 * Return:	0; -EINVAL no such index
 */
int usched_client_list_get(const struct usched_client_list *list, size_t index,
			   struct usched_client_entry *entry);

/* ---------------------------------------------------------------- runtime */

/**
 * usched_client_runtime_open() - open one runtime for reading
 * @runtime:	set to it
 * @pid:	its process
 * @number:	which runtime of that process, as usched_client_entry has it; 0 or 1: the first
 *
 * Return:	0
 * Errors:	-ESRCH, -EACCES, -ETIMEDOUT, -EBADMSG, -ENOMEM, -EMFILE
 * Ownership:	close with usched_client_runtime_close().
 * Callable from: any thread that is not a fiber
 */
int usched_client_runtime_open(struct usched_client *client, struct usched_client_runtime **runtime,
			       uint32_t pid, uint32_t number);

/** usched_client_runtime_close() - NULL is fine. */
void usched_client_runtime_close(struct usched_client_runtime *runtime);

/* --------------------------------------------------------------- snapshot */

#define USCHED_CLIENT_NO_MEMBARRIER 0x1u	/* info.flags: the kernel refuses membarrier */
#define USCHED_CLIENT_QUOTA	    0x2u	/* a cgroup quota binds the number of CPUs   */
#define USCHED_CLIENT_SIGNAL_SHARED 0x4u	/* the program has a handler of info.signal  */
#define USCHED_CLIENT_TICKS_LOST    0x8u	/* the program replaced the tick's handler   */

/* Why a better tick was not taken. */
enum usched_client_refusal {
	USCHED_CLIENT_REFUSAL_NONE,	/* it was taken, or a better one was	*/
	USCHED_CLIENT_REFUSAL_CHOICE,	/* the program or USCHED_TICK chose another one */
	USCHED_CLIENT_REFUSAL_DENIED,	/* EPERM, EACCES			*/
	USCHED_CLIENT_REFUSAL_MISSING,	/* the kernel does not have it		*/
	USCHED_CLIENT_REFUSAL_LIMIT,	/* of descriptors, timers or memory	*/
	USCHED_CLIENT_REFUSAL_OTHER,
	USCHED_CLIENT_REFUSAL_UNKNOWN,
};

struct usched_client_info {
	size_t size;
	uint64_t read_ns;		/* CLOCK_MONOTONIC of the reading	*/
	uint64_t published_ns;		/* of the runtime's last publication	*/
	uint64_t heartbeat;		/* grows with each publication		*/

	uint32_t pid;
	uint32_t uid;
	uint32_t number;
	uint32_t workers;		/* slots: see usched_client_snapshot_worker() */
	char name[USCHED_NAME_MAX];
	uint64_t start_time_ns;		/* CLOCK_MONOTONIC			*/

	enum usched_client_attachment attachment;
	uint32_t through_daemon;	/* 1: the daemon gave us the segments	*/
	uint64_t session_changes;	/* moves between segments		*/

	enum usched_tick tick;
	uint32_t signal;		/* of the tick				*/
	uint64_t tick_cost_ns;		/* measured at start			*/
	uint64_t quantum_floor_ns;	/* a shorter quantum is raised to this	*/
	uint64_t quantum_ns;		/* in force; 0: off; automatic: the shortest */
	uint64_t quantum_wanted_ns;	/* the tunable; valid if tunables_generation > 0 */
	uint64_t tunables_generation;	/* of the last change; 0: never set	*/
	uint64_t tunables_acked;	/* generation that every carrier has	*/
	uint32_t guard_kind;		/* of stacks: 1 MADV_GUARD_INSTALL, 2 mprotect */
	uint32_t flags;			/* USCHED_CLIENT_NO_MEMBARRIER, _QUOTA, _SIGNAL_SHARED,
					   _TICKS_LOST				*/

	uint32_t grant_known;		/* 0: the grant was being written all the time, or
					   is not readable; the next four are void	*/
	uint32_t granted_cpus;
	uint64_t grant_generation;
	uint64_t arbiter_epoch;
	uint64_t cpus[USCHED_CLIENT_CPU_WORDS]; /* bit n: CPU n is granted	*/
	uint64_t grant_acked;		/* grant_generation that was carried out */
	uint32_t demand_cpus;		/* how many workers would have work	*/

	uint32_t carriers;		/* kernel threads for fibers		*/
	uint32_t carriers_idle;
	uint32_t carriers_max;
	uint64_t carriers_refused;	/* wished, but the limit was reached	*/

	uint64_t fibers_alive;
	uint64_t fibers_spawned;
	uint64_t fibers_parked;

	enum usched_client_refusal perf_refused;	/* why tick is not USCHED_TICK_PERF */
	enum usched_client_refusal timer_refused;	/* nor USCHED_TICK_TIMER	*/
	uint32_t carriers_error;	/* errno of the last carrier refused; 0: carriers_max */
};

enum usched_client_worker_state {
	USCHED_CLIENT_WORKER_DORMANT,	/* its CPU is not granted		*/
	USCHED_CLIENT_WORKER_IDLE,	/* asleep				*/
	USCHED_CLIENT_WORKER_RUNNING,	/* runs a fiber				*/
	USCHED_CLIENT_WORKER_SCHEDULING, /* between two fibers			*/
	USCHED_CLIENT_WORKER_UNKNOWN,
};

/* A worker. The second half are counters: they only grow while the runtime lives. */
struct usched_client_worker {
	size_t size;
	uint32_t cpu;
	uint32_t node;
	enum usched_client_worker_state state;
	uint32_t carrier_tid;		/* kernel thread that has it; 0: none	*/
	uint32_t runnable;		/* fibers in its queues			*/
	uint32_t timers;
	uint64_t oldest_ready_ns;	/* since when the head waits; 0: empty	*/
	uint64_t run_start_ns;		/* of the slice that runs; 0: none	*/
	uint64_t fiber;			/* that runs; 0: none			*/

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
	uint64_t idle_ns;		/* asleep for want of work, also just now */
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
	uint64_t taken_urgent;		/* of `taken`: somebody had become ready	*/
};

/**
 * usched_client_snapshot_open() - read the state and all counters of a runtime
 * @runtime:	follows by itself when the runtime has moved to other segments
 * @snapshot:	set to the copy
 *
 * The values of one worker may be some nanoseconds apart: the runtime is not stopped.
 *
 * Return:	0
 * Errors:	-ESRCH   the process has ended
 *		-ETIMEDOUT, -EBADMSG, -ENOMEM
 * Ownership:	close with usched_client_snapshot_close().
 * Callable from: any thread that is not a fiber
 */
int usched_client_snapshot_open(struct usched_client_runtime *runtime,
				struct usched_client_snapshot **snapshot);

/** usched_client_snapshot_close() - NULL is fine. */
void usched_client_snapshot_close(struct usched_client_snapshot *snapshot);

/**
 * usched_client_snapshot_info() - copy what concerns the whole runtime
 * @info:	its size field is set by the caller
 *
 * Return:	0; -EINVAL size is less than a size_t
 */
int usched_client_snapshot_info(const struct usched_client_snapshot *snapshot,
				struct usched_client_info *info);

/**
 * usched_client_snapshot_worker() - copy one worker
 * @index:	below info.workers
 * @worker:	its size field is set by the caller
 *
 * Return:	0; -EINVAL no such index
 */
int usched_client_snapshot_worker(const struct usched_client_snapshot *snapshot, size_t index,
				  struct usched_client_worker *worker);

/**
 * usched_client_snapshot_change() - what a worker did between two snapshots
 * @before:	the earlier one
 * @after:	the later one, of the same runtime
 * @index:	below info.workers of both
 * @worker:	its size field is set by the caller; the counters are differences, the other
 *		fields those of @after
 * @elapsed_ns:	set to the time between the two sets of counters, at least 1; may be NULL
 *
 * Return:	0
 * Errors:	-EINVAL  no such index
 *		-ESTALE  a counter went backwards: the two have no common start. Take @after
 *			 as the new beginning.
 */
int usched_client_snapshot_change(const struct usched_client_snapshot *before,
				  const struct usched_client_snapshot *after, size_t index,
				  struct usched_client_worker *worker, uint64_t *elapsed_ns);

/* ----------------------------------------------------------------- fibers */

enum usched_client_fiber_state {
	USCHED_CLIENT_FIBER_NEW,	/* has not run yet			*/
	USCHED_CLIENT_FIBER_READY,	/* in a queue				*/
	USCHED_CLIENT_FIBER_RUNNING,
	USCHED_CLIENT_FIBER_PARKED,	/* waits for something			*/
	USCHED_CLIENT_FIBER_STOPPED,	/* preempted in mid-run, in a queue with its carrier */
	USCHED_CLIENT_FIBER_STRANDED,	/* its carrier was in the kernel when it lost the worker */
	USCHED_CLIENT_FIBER_DONE,	/* has ended, not joined yet		*/
	USCHED_CLIENT_FIBER_UNKNOWN,
};

enum usched_client_wait {
	USCHED_CLIENT_WAIT_NONE,
	USCHED_CLIENT_WAIT_SLEEP,
	USCHED_CLIENT_WAIT_JOIN,
	USCHED_CLIENT_WAIT_CHANNEL,
	USCHED_CLIENT_WAIT_MUTEX,
	USCHED_CLIENT_WAIT_READ,
	USCHED_CLIENT_WAIT_WRITE,
	USCHED_CLIENT_WAIT_ACCEPT,
	USCHED_CLIENT_WAIT_CONNECT,
	USCHED_CLIENT_WAIT_EVENT,
	USCHED_CLIENT_WAIT_UNKNOWN,
};

struct usched_client_fiber {
	size_t size;
	uint64_t id;			/* the handle				*/
	char name[USCHED_NAME_MAX];
	enum usched_client_fiber_state state;
	enum usched_client_wait wait;
	int descriptor;			/* that it waits for; -1: none		*/
	int cpu;			/* last or current; -1: none yet	*/
	enum usched_preempt preempt;
	enum usched_priority priority;
	uint64_t since_ns;		/* in this state since; 0: not recorded	*/
	uint64_t preemptions;
	uint64_t stack_bytes;
	uint64_t function;		/* address of its function		*/
};

/**
 * usched_client_fibers_open() - list the fibers of a runtime
 * @fibers:	set to the list, ordered by id
 *
 * The runtime itself answers, so this needs its own socket, also when it is attached.
 *
 * Return:	0
 * Errors:	-ESRCH, -EACCES, -ETIMEDOUT, -EBADMSG, -ENOMEM, -EMFILE
 * Ownership:	close with usched_client_fibers_close().
 * Callable from: any thread that is not a fiber
 */
int usched_client_fibers_open(struct usched_client_runtime *runtime,
			      struct usched_client_fibers **fibers);

/** usched_client_fibers_close() - NULL is fine. */
void usched_client_fibers_close(struct usched_client_fibers *fibers);

/** usched_client_fibers_count() - how many are in the list. */
size_t usched_client_fibers_count(const struct usched_client_fibers *fibers);

/** usched_client_fibers_left_out() - how many more there were than one answer holds. */
uint64_t usched_client_fibers_left_out(const struct usched_client_fibers *fibers);

/** usched_client_fibers_taken_ns() - when the runtime made it, CLOCK_MONOTONIC. */
uint64_t usched_client_fibers_taken_ns(const struct usched_client_fibers *fibers);

/**
 * usched_client_fibers_get() - copy one fiber
 * @index:	below usched_client_fibers_count()
 * @fiber:	its size field is set by the caller
 *
 * Return:	0; -EINVAL no such index
 */
int usched_client_fibers_get(const struct usched_client_fibers *fibers, size_t index,
			     struct usched_client_fiber *fiber);

/* --------------------------------------------------------------- tunables */

#define USCHED_CLIENT_DRY_RUN 0x1u	/* only say what would happen */

#define USCHED_CLIENT_KEY_MAX 40	/* bytes of a key, the final zero included */

enum {					/* usched_client_tunable.may			*/
	USCHED_CLIENT_MAY_OFF = 1,	/* 0						*/
	USCHED_CLIENT_MAY_AUTO = 2,	/* USCHED_QUANTUM_AUTO				*/
	USCHED_CLIENT_MAY_DEFAULT = 4,	/* USCHED_QUANTUM_DEFAULT: the next wider one's	*/
	USCHED_CLIENT_MAY_COUNT = 8,	/* the number counts; else it is nanoseconds	*/
};

/* What a tunable may be set to. */
struct usched_client_tunable {
	size_t size;
	char key[USCHED_CLIENT_KEY_MAX];
	uint64_t least, most;		/* a runtime's floor may be lower, or raise it	*/
	uint32_t may;			/* USCHED_CLIENT_MAY_*				*/
	uint32_t number;		/* for usched_client_snapshot_tunable()		*/
};

/**
 * usched_client_tunable_find() - the tunable of a key
 * @key:	"quantum", "quantum.normal", "quantum.high", "quantum.low", "quantum.nodeN",
 *		"quantum.fiberID", "auto_min", "auto_max", "wakeup" or "budget"
 * @tunable:	its size field is set by the caller
 *
 * Return:	0; -EINVAL no tunable has this key
 * Callable from: anywhere
 */
int usched_client_tunable_find(const char *key, struct usched_client_tunable *tunable);

/**
 * usched_client_snapshot_tunable() - what a tunable was set to, or holds from the start
 * @number:	of usched_client_tunable_find()
 * @value:	set to it
 *
 * Return:	0; -EINVAL no such number, or a fiber's; -EAGAIN the grant is not known
 * Callable from: any thread that is not a fiber
 */
int usched_client_snapshot_tunable(const struct usched_client_snapshot *snapshot, uint32_t number,
				   uint64_t *value);

struct usched_client_setting {
	size_t size;
	uint64_t old_value;
	uint64_t new_value;		/* as asked				*/
	uint64_t effective_value;	/* after everybody's limits		*/
	uint64_t generation;		/* for usched_client_wait()		*/
	uint32_t through_daemon;	/* 1: the daemon changed it		*/
	char clamped_by[96];		/* why effective differs; empty: it does not */
};

/**
 * usched_client_set() - change a tunable of a runtime
 * @key:	of usched_client_tunable_find()
 * @value:	as that says; of a quantum also from the runtime's floor, if that is lower
 * @flags:	0 or USCHED_CLIENT_DRY_RUN
 * @setting:	its size field is set by the caller; may be NULL
 *
 * The daemon is asked when the runtime is attached to it, else the runtime itself; for a
 * fiber always the runtime. A value out of range is sent to nobody.
 *
 * Return:	0: it is set; each carrier takes it over by itself: usched_client_wait()
 * Errors:	-EINVAL  unknown key or flag; -ERANGE; -ESRCH, also no such fiber; -EACCES; -ENOTCONN; -ETIMEDOUT;
 *		-EBADMSG
 * Callable from: any thread that is not a fiber
 */
int usched_client_set(struct usched_client_runtime *runtime, const char *key, uint64_t value,
		      unsigned int flags, struct usched_client_setting *setting);

/**
 * usched_client_wait() - wait until every carrier has a change
 * @generation:	of usched_client_set()
 * @deadline_ns: CLOCK_MONOTONIC
 * @acked_ns:	set to CLOCK_MONOTONIC when it was seen; may be NULL
 *
 * Return:	0
 * Errors:	-ETIMEDOUT  not all had it at the deadline; they may still get it
 *		-ESTALE  the runtime moved to other segments meanwhile, so the change may
 *			 have to be made again
 *		-ESRCH, -EBADMSG
 * Callable from: any thread that is not a fiber
 */
int usched_client_wait(struct usched_client_runtime *runtime, uint64_t generation,
		       uint64_t deadline_ns, uint64_t *acked_ns);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* USCHED_CLIENT_H */
