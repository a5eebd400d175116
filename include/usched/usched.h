/* SPDX-License-Identifier: MIT */
#ifndef USCHED_USCHED_H
#define USCHED_USCHED_H

/*
 * usched: preemptive fibers for C.
 *
 * A runtime owns workers, one per CPU that it may use. A worker runs fibers:
 * functions with a stack of their own, written as plain blocking code. A fiber
 * that computes without end, blocks in a system call or holds a libc lock does
 * not stall the others of its worker: a tick stops it, and the worker goes on
 * with another kernel thread.
 *
 * Conventions of every function here
 *   Return     0, or a negative errno value. errno itself means nothing, since
 *              a fiber may continue on another thread. Outputs are written on
 *              success only, unless the function says otherwise.
 *   Deadlines  absolute nanoseconds of CLOCK_MONOTONIC, as usched_now() counts
 *              them; USCHED_FOREVER never expires; USCHED_NOW does not wait at
 *              all: the call returns -EAGAIN where it would have had to.
 *   Threads    "any thread" includes ordinary threads that usched knows nothing
 *              of: there a call that must wait blocks the thread.
 *   Switching  a call that "may switch" may return on another kernel thread;
 *              keep no address of a thread-local variable across it.
 *   Handlers   usched_post() may be called from any signal handler, the others from none. One
 *              that would have to wait on an alternate stack gives -EPERM instead.
 *   Fork       in a child of fork(2), if its parent had a runtime, usched_self(), _now(), _after() and
 *              _version() work, usched_runtime_current() is NULL, and each other function gives
 *              -EPERM, until exec or usched_runtime_reset(). A child that was forked by a fiber
 *              goes on as a thread does; when the fiber's function returns, it ends as by exit(0).
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Of every function. Never compiled into its caller, by link-time optimisation of a static library: a tick
 * tells the library's code from the program's by where it is.
 */
#define USCHED_API __attribute__((visibility("default"), noinline))

/* The version of these declarations; usched_version() tells the library's. */
#define USCHED_VERSION_MAJOR 0
#define USCHED_VERSION_MINOR 1
#define USCHED_VERSION_PATCH 0

#define USCHED_FOREVER UINT64_MAX	/* a deadline that never comes		*/
#define USCHED_NOW     UINT64_C(0)	/* a deadline that has passed: no wait	*/

#define USCHED_NAME_MAX 24		/* bytes of a name, the final zero included */

struct usched_runtime;
struct usched_channel;

/* A fiber's handle: never reused, so a stale one gives -ESRCH. 0 is no fiber. */
typedef uint64_t usched_fiber_t;

/* ---------------------------------------------------------------- runtime */

/* What stops a running fiber when its quantum is over. */
enum usched_tick {
	USCHED_TICK_AUTO,	/* the first of those below that works	*/
	USCHED_TICK_PERF,	/* a perf event per carrier		*/
	USCHED_TICK_TIMER,	/* a POSIX timer per carrier		*/
	USCHED_TICK_TIMERFD,	/* one timerfd and directed signals	*/
};

#define USCHED_QUANTUM_OFF     UINT64_C(0)		/* no preemption */
#define USCHED_QUANTUM_MIN_NS  UINT64_C(100000)		/* 100 us	 */
#define USCHED_QUANTUM_MAX_NS  UINT64_C(1000000000)	/* 1 s		 */
#define USCHED_QUANTUM_DEFAULT UINT64_MAX		/* 2 ms, or USCHED_QUANTUM */
#define USCHED_QUANTUM_AUTO    (UINT64_MAX - 1)		/* short while many wait, else long */

#define USCHED_WAKEUP_OFF     UINT64_C(0)		/* it waits for the quantum to end */
#define USCHED_WAKEUP_MIN_NS  UINT64_C(20000)		/* 20 us			   */
#define USCHED_WAKEUP_DEFAULT UINT64_MAX		/* 100 us, or USCHED_WAKEUP	   */

#define USCHED_BUDGET_OFF     UINT32_C(0)		/* no limit			   */
#define USCHED_BUDGET_MAX     UINT32_C(1000000000)
#define USCHED_BUDGET_DEFAULT UINT32_MAX		/* 100, or USCHED_BUDGET	   */

#define USCHED_RUNTIME_EMBEDDED 0x1u	/* never look for the daemon */

struct usched_runtime_options {
	size_t size;		/* sizeof(struct usched_runtime_options)		*/
	const char *name;	/* shown by schedctl; NULL: the program's name		*/
	unsigned int workers;	/* at most so many; 0: all CPUs of the affinity mask and
				   the cgroup's quota					*/
	unsigned int flags;	/* USCHED_RUNTIME_*					*/
	uint64_t quantum_ns;	/* USCHED_QUANTUM_DEFAULT, _OFF, _AUTO, or between MIN and MAX */
	enum usched_tick tick;
	unsigned int carriers_max; /* kernel threads for fibers; 0: from the limits of the
				      process (RLIMIT_NPROC, pids.max), at most 4096	*/
	uint32_t fibers_max;	/* alive at one time; 0: 16,777,216			*/
	const char *socket_directory; /* of the daemon; NULL: USCHED_SOCKET, or /run/usched;
				      at most 90 bytes					*/
	uint64_t wakeup_ns;	/* a fiber that becomes ready stops one that has run so long:
				   USCHED_WAKEUP_DEFAULT, _OFF, or 20 us to 1 s		*/
	uint32_t budget;	/* library calls without a wait before a fiber yields:
				   USCHED_BUDGET_DEFAULT, _OFF, or up to 1,000,000,000	*/
};

#define USCHED_RUNTIME_OPTIONS_INIT \
	{ sizeof(struct usched_runtime_options), NULL, 0, 0, USCHED_QUANTUM_DEFAULT, \
	  USCHED_TICK_AUTO, 0, 0, NULL, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT }

/**
 * usched_runtime_create() - start a runtime
 * @runtime:	set to the new runtime
 * @options:	NULL for the defaults; environment variables (usched(7)) override the
 *		fields that they name
 *
 * A process may have up to 63 runtimes; they share nothing but the CPUs.
 *
 * Return:	0
 * Errors:	-EINVAL  an option or an environment variable is out of range (a
 *			 message on stderr says which, why and what is allowed)
 *		-ENOMEM, -EAGAIN  no memory; fewer threads than workers and two helpers
 *		-ENOTSUP the CPU or kernel lacks what the switch needs
 *		-EMFILE  63 runtimes exist already
 *		-EPERM   a child of fork(2) that has not called usched_runtime_reset()
 * Ownership:	free with usched_runtime_destroy().
 * May switch:	no
 * Callable from: any thread that is not a fiber
 */
USCHED_API int usched_runtime_create(struct usched_runtime **runtime,
				     const struct usched_runtime_options *options);

/**
 * usched_runtime_destroy() - wait for the last fiber, then stop and free
 * @runtime:	may be NULL: nothing happens
 * @deadline_ns: how long to wait for the fibers
 *
 * From the call on usched_spawn() from outside gives -ESHUTDOWN; fibers may still
 * spawn. Once no fiber is left all threads end and the memory is freed.
 *
 * Return:	0
 * Errors:	-ETIMEDOUT, -EAGAIN  fibers are still alive; the runtime goes on
 *			 and the call may be repeated
 *		-EDEADLK called from a fiber of @runtime
 * May switch:	no
 * Callable from: any thread that is not a fiber; once at a time
 */
USCHED_API int usched_runtime_destroy(struct usched_runtime *runtime, uint64_t deadline_ns);

/**
 * usched_runtime_reset() - in a child of fork(2): forget the parent's runtimes
 *
 * While the parent has a runtime its child is outside: see "Fork" at the top. This call ends that, and
 * is a promise: nothing that came from before the fork (runtimes, fibers, channels, events, mutexes
 * that were in use) is used any more. Their memory stays as it is until exec or the end, since a
 * thread that the child does not have may have held a lock of it.
 *
 * Return:	0: a runtime may be created; also when there was nothing to forget
 * Errors:	-EBUSY  the runtimes of this process are its own; nothing happened
 * May switch:	no
 * Callable from: the child, by one thread
 */
USCHED_API int usched_runtime_reset(void);

/**
 * usched_runtime_set_quantum() - change the quantum of all its fibers, now
 * @quantum_ns:	USCHED_QUANTUM_OFF, _AUTO, or between USCHED_QUANTUM_MIN_NS and _MAX_NS
 *
 * Return:	0: the monitor has been told and applies it within its next pass
 * Errors:	-ERANGE  out of range
 *		-EPERM   the daemon owns this runtime's tunables: use schedctl
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_runtime_set_quantum(struct usched_runtime *runtime, uint64_t quantum_ns);

/**
 * usched_runtime_tune() - change a tunable of a runtime, now
 * @key:	as schedctl set has it: "quantum", "quantum.high", "quantum.node0", "wakeup",
 *		"budget", "auto_min", ...; usched(7) lists them
 * @value:	times in nanoseconds; USCHED_QUANTUM_OFF, _AUTO and _DEFAULT where the key admits them
 *
 * A fiber's own quantum is set by usched_set_quantum().
 *
 * Return:	0: the monitor has been told and applies it within its next pass
 * Errors:	-EINVAL  there is no such key
 *		-ERANGE  out of range
 *		-EPERM   the daemon owns this runtime's tunables: use schedctl
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_runtime_tune(struct usched_runtime *runtime, const char *key, uint64_t value);

/**
 * usched_runtime_current() - the runtime of the calling fiber
 *
 * Return:	the runtime; NULL when the caller is not a fiber.
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API struct usched_runtime *usched_runtime_current(void);

/**
 * usched_version() - the version of the library in use, as "0.1.0"
 *
 * Callable from: fiber, any thread
 */
USCHED_API const char *usched_version(void);

/* ----------------------------------------------------------------- fibers */

enum usched_stack {
	USCHED_STACK_DEFAULT,	/* 256 KiB of address space, touched pages cost memory	*/
	USCHED_STACK_SMALL,	/* 16 KiB, or what two signal frames and 4 KiB need	*/
	USCHED_STACK_LARGE,	/* 8 MiB						*/
};

enum usched_preempt {
	USCHED_PREEMPT_HANDOFF,	/* stopped at any instruction, right for any code	*/
	USCHED_PREEMPT_NEVER,	/* runs until it waits, yields, or used up its budget	*/
	USCHED_PREEMPT_YIELD,	/* as HANDOFF, but cheaper in code that was declared with
				   usched_code_add(): there it may go on on another thread */
};
#define USCHED_HAS_PREEMPT_YIELD 1

/* Each 10 ms one fiber of each class that others keep from running gets a turn. */
enum usched_priority {
	USCHED_PRIORITY_NORMAL,
	USCHED_PRIORITY_HIGH,	/* runs before normal ones of its worker		*/
	USCHED_PRIORITY_LOW,	/* runs when no other is ready				*/
};

#define USCHED_ANYWHERE (-1)

/*
 * It has a floating-point environment of its own, as <fenv.h> means it: rounding, traps, flush to
 * zero, raised flags. It begins with that of the thread that created the runtime, no flag raised,
 * keeps what it makes of it wherever it goes on, and no other fiber sees any of that. A fiber without
 * this must leave the environment as it is, since it shares its thread's. About 20 ns for each switch
 * away from it and back.
 */
#define USCHED_FIBER_FENV 0x1u

struct usched_fiber_options {
	size_t size;		/* sizeof(struct usched_fiber_options)			*/
	const char *name;	/* copied, cut at USCHED_NAME_MAX - 1; NULL: none	*/
	enum usched_stack stack;
	enum usched_preempt preempt;
	enum usched_priority priority;
	int node;		/* starts on a worker of this NUMA node			*/
	int cpu;		/* starts on the worker of this CPU; wins over node	*/
	uint64_t quantum_ns;	/* of its own; USCHED_QUANTUM_DEFAULT: its priority's	*/
	unsigned int flags;	/* USCHED_FIBER_*					*/
};

#define USCHED_FIBER_OPTIONS_INIT \
	{ sizeof(struct usched_fiber_options), NULL, USCHED_STACK_DEFAULT, \
	  USCHED_PREEMPT_HANDOFF, USCHED_PRIORITY_NORMAL, USCHED_ANYWHERE, USCHED_ANYWHERE, \
	  USCHED_QUANTUM_DEFAULT, 0 }

/**
 * usched_spawn() - start a fiber
 * @runtime:	where; NULL: the runtime of the calling fiber
 * @fiber:	set to the handle, to be joined or detached exactly once; NULL: the
 *		fiber is detached from the start
 * @function:	runs as the fiber; its return value goes to usched_join()
 * @argument:	passed to @function
 * @options:	NULL for the defaults
 *
 * Node and CPU say where the fiber starts; idle workers may steal it later.
 *
 * Return:	0
 * Errors:	-EINVAL  an option is out of range, or @runtime is NULL outside a fiber
 *		-ENODEV  this CPU or node has no worker in @runtime
 *		-ENOMEM, -EAGAIN  no stack could be reserved; fibers_max reached
 *		-ESHUTDOWN  the runtime is being destroyed (and the caller is outside)
 * Ordering:	what the caller wrote before is seen by the fiber.
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_spawn(struct usched_runtime *runtime, usched_fiber_t *fiber,
			    void *(*function)(void *argument), void *argument,
			    const struct usched_fiber_options *options);

/**
 * usched_join() - wait until a fiber has ended and take its result
 * @fiber:	handle; on success it is used up
 * @result:	set to what the fiber's function returned; may be NULL
 * @deadline_ns: how long to wait
 *
 * Return:	0
 * Errors:	-ESRCH   no such fiber: joined, detached or never there
 *		-EDEADLK the caller itself
 *		-EBUSY   another one is joining it
 *		-ETIMEDOUT, -EAGAIN  still running; the handle stays valid
 * Ordering:	what the fiber wrote is seen by the caller.
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_join(usched_fiber_t fiber, void **result, uint64_t deadline_ns);

/**
 * usched_detach() - nobody will join this fiber
 *
 * Return:	0
 * Errors:	-ESRCH   no such fiber; -EBUSY somebody is joining it
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_detach(usched_fiber_t fiber);

/**
 * usched_self() - the calling fiber
 *
 * Return:	its handle; 0 when the caller is not a fiber.
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API usched_fiber_t usched_self(void);

/**
 * usched_yield() - let the others of this worker run first
 *
 * Return:	0; outside a fiber it is sched_yield(2)
 * Errors:	-EPERM  in a signal handler on an alternate stack
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_yield(void);

/**
 * usched_checkpoint() - a good moment to be preempted
 *
 * Lets the others run, as usched_yield() does, but only when the slice is over: the quantum, the
 * budget of calls, or because a fiber that has just become ready waits. For loops of fibers with
 * USCHED_PREEMPT_NEVER, and where stopping is cheaper than at any other place.
 *
 * Return:	0; outside a fiber nothing happens
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_checkpoint(void);

/**
 * usched_preempt_disable() - begin a section in which ticks do not stop this fiber
 *
 * Sections nest. Such a section delays ticks, and nothing else: it is no lock, other workers go on,
 * and a call that waits, or yields, lets others run all the same. While a fiber holds a lock that
 * many want, a short one keeps it from being stopped there.
 *
 * Return:	0; outside a fiber nothing happens
 * Errors:	-EOVERFLOW  2^32 - 1 sections are open
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_preempt_disable(void);

/**
 * usched_preempt_enable() - end the section that was begun last
 *
 * If a tick came meanwhile, the fiber yields at the end of the outermost one.
 *
 * Return:	0; outside a fiber nothing happens
 * Errors:	-EPERM   no section is open
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_preempt_enable(void);

/**
 * usched_set_quantum() - change the quantum of one fiber
 * @quantum_ns:	USCHED_QUANTUM_OFF, between USCHED_QUANTUM_MIN_NS and _MAX_NS, or
 *		USCHED_QUANTUM_DEFAULT: that of its priority, its pool, or the runtime
 *
 * Taken up at the fiber's next tick, wait or turn. One below the floor (usched(7)) is raised to it.
 *
 * Return:	0
 * Errors:	-ERANGE  out of range; -ESRCH no such fiber
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_set_quantum(usched_fiber_t fiber, uint64_t quantum_ns);

/**
 * USCHED_MIGRATABLE - mark a function for USCHED_CODE_ADD()
 *
 *	USCHED_MIGRATABLE static void *compute(void *argument) { ... }
 */
#define USCHED_MIGRATABLE __attribute__((noinline, section("usched_migratable")))

/**
 * usched_code_add() - declare code that may go on on another thread at any instruction
 * @start:	its first byte
 * @end:	the first byte behind it
 *
 * A fiber with USCHED_PREEMPT_YIELD that is stopped in declared code is switched as cheaply as by
 * usched_yield(), and goes on wherever there is a CPU. Its author promises that this code, from
 * there, holds no pthread mutex and no lock of a FILE, and uses no thread-local variable, errno
 * included. A mutex that knows its owner (recursive, error-checking) is damaged by a switch: its holder
 * cannot unlock it, and others may be inside with it.
 *
 * A function that such code calls need not be declared: stopped there, the fiber keeps its thread. One that
 * the compiler may put in line, such as a static one, is part of its caller: it has to keep the promise, or
 * to be marked noinline. The fiber also keeps its thread when declared code was called back by a library
 * (qsort, pthread_once) in which none was declared, and inside signal handlers. Declared code of a library
 * that is loaded later may be added at any time; adding a range again takes note of newly loaded libraries.
 *
 * Return:	0, also when it was declared before
 * Errors:	-EINVAL  @end is not behind @start; -ENOSPC 64 ranges are declared
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_code_add(const void *start, const void *end);

/**
 * usched_code_remove() - the range, as it was added, is declared no longer
 *
 * Return:	0
 * Errors:	-ENOENT  no such range
 * May switch:	no
 * Callable from: fiber, any thread; before the library that has the code is unloaded
 */
USCHED_API int usched_code_remove(const void *start, const void *end);

/* Declares all functions of the calling program or library that are marked USCHED_MIGRATABLE. */
#define USCHED_CODE_ADD() \
	usched_code_add(__start_usched_migratable, __stop_usched_migratable)
extern const char __start_usched_migratable[] __attribute__((weak, visibility("hidden")));
extern const char __stop_usched_migratable[] __attribute__((weak, visibility("hidden")));

/**
 * usched_sleep_until() - wait for a point in time
 * @deadline_ns: a time that has passed returns at once
 *
 * Return:	0: the time has come
 * Errors:	-EINVAL  USCHED_FOREVER
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_sleep_until(uint64_t deadline_ns);

/**
 * usched_now() - CLOCK_MONOTONIC in nanoseconds
 *
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API uint64_t usched_now(void);

/**
 * usched_after() - the deadline that lies @delay_ns from now
 *
 * Return:	usched_now() + @delay_ns; USCHED_FOREVER when that overflows.
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API uint64_t usched_after(uint64_t delay_ns);

/* --------------------------------------------------------------- channels */

/**
 * usched_channel_create() - a queue of values between fibers and threads
 * @channel:	set to the new channel
 * @item_bytes:	size of a value, 0 to 65,536; values are copied
 * @capacity:	how many values it holds; 0: each send meets a receive
 *
 * Return:	0
 * Errors:	-EINVAL, -ENOMEM; -EOVERFLOW the buffer would exceed 1 GiB
 * Ownership:	free with usched_channel_free().
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_channel_create(struct usched_channel **channel, size_t item_bytes, size_t capacity);

/**
 * usched_channel_free() - give a channel back
 * @channel:	nobody may use it any more; NULL: nothing happens
 *
 * Return:	0
 * Errors:	-EBUSY  somebody waits in it; nothing happened
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_channel_free(struct usched_channel *channel);

/**
 * usched_channel_send() - put a value in, in order
 * @item:	item_bytes are copied from here
 * @deadline_ns: how long to wait for room or for a receiver
 *
 * Return:	0: the value is in the channel, or with a receiver
 * Errors:	-EPIPE   the channel is closed; the value was not sent
 *		-ETIMEDOUT, -EAGAIN  the value was not sent
 * Ordering:	what was written before the send is seen after the receive.
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_channel_send(struct usched_channel *channel, const void *item, uint64_t deadline_ns);

/**
 * usched_channel_receive() - take the oldest value
 * @item:	item_bytes are copied to here
 * @deadline_ns: how long to wait for a value
 *
 * Return:	0
 * Errors:	-EPIPE   the channel is closed and empty
 *		-ETIMEDOUT, -EAGAIN  no value came
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_channel_receive(struct usched_channel *channel, void *item, uint64_t deadline_ns);

/**
 * usched_channel_close() - no more values will be sent
 *
 * Waiting senders and later ones get -EPIPE; receivers first take what is inside.
 *
 * Return:	0
 * Errors:	-EALREADY it was closed before
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_channel_close(struct usched_channel *channel);

/* ------------------------------------------------------------------ mutex */

/* Fair enough: a released mutex may be taken by who comes first; nobody waits forever. */
struct usched_mutex {
	uint64_t opaque[6];
};

#define USCHED_MUTEX_INIT { { 0, 0, 0, 0, 0, 0 } }

/**
 * usched_mutex_init() - make a mutex, as USCHED_MUTEX_INIT does
 *
 * Return:	0
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_mutex_init(struct usched_mutex *mutex);

/**
 * usched_mutex_lock() - own it
 *
 * Return:	0
 * Errors:	-ETIMEDOUT, -EAGAIN  somebody else owns it
 *		-EDEADLK the caller owns it already
 * Ordering:	what the last owner wrote is seen.
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_mutex_lock(struct usched_mutex *mutex, uint64_t deadline_ns);

/**
 * usched_mutex_unlock() - let the next one own it
 *
 * Return:	0
 * Errors:	-EPERM   the caller does not own it
 * May switch:	no
 * Callable from: the fiber or thread that locked it
 */
USCHED_API int usched_mutex_unlock(struct usched_mutex *mutex);

/* ----------------------------------------------------------------- events */

/* Counts posts until somebody takes them; the one way from a signal handler to a fiber. */
struct usched_event {
	uint64_t opaque[8];
};

#define USCHED_EVENT_POSTS_MAX UINT32_C(2147483647)	/* that nobody has taken */

/**
 * usched_event_init() - make an event without posts
 * @runtime:	whose monitor helps to wake; NULL: the runtime of the calling fiber
 *
 * Fibers of any runtime, and threads, may wait for it. It must not be copied or moved.
 *
 * Return:	0
 * Errors:	-EINVAL  @runtime is NULL outside a fiber
 * Ownership:	end it with usched_event_destroy() before @runtime ends.
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_event_init(struct usched_event *event, struct usched_runtime *runtime);

/**
 * usched_event_destroy() - end an event: its memory may be used for something else
 *
 * Posts that nobody took are gone. One that is just being made is waited for.
 *
 * Return:	0
 * Errors:	-EBUSY  somebody waits for it; nothing happened
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_event_destroy(struct usched_event *event);

/**
 * usched_event_wait() - take one post, in order of arrival
 * @deadline_ns: how long to wait for one
 *
 * Return:	0
 * Errors:	-ETIMEDOUT, -EAGAIN  there was none
 *		-EPERM   it would have to wait, in a signal handler on an alternate stack
 * Ordering:	what was written before the post is seen.
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_event_wait(struct usched_event *event, uint64_t deadline_ns);

/**
 * usched_post() - one post more: one waiter goes on, now or later
 *
 * Never waits and takes no lock. No post is lost, also when a handler posts to an event that the
 * code it interrupted is just waiting for. errno stays as it is.
 *
 * Return:	0
 * Errors:	-EOVERFLOW  USCHED_EVENT_POSTS_MAX posts wait to be taken; this one is not counted
 *		-ESHUTDOWN  the event was destroyed, or its runtime has ended
 * May switch:	no
 * Callable from: fiber, any thread, signal handler
 */
USCHED_API int usched_post(struct usched_event *event);

/* ---------------------------------------------------------------- sockets */

/*
 * A descriptor belongs to these calls from its first use on: it is then
 * non-blocking, watched by the runtime, and must be closed with usched_close().
 * One fiber may read while another writes; two readers get -EBUSY.
 */

/**
 * usched_listen() - a listening stream socket
 * @descriptor:	set to it
 * @address:	any stream family; SO_REUSEADDR is set for internet addresses
 * @backlog:	as listen(2)
 *
 * Return:	0
 * Errors:	those of socket(2), bind(2), listen(2), negative
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_listen(int *descriptor, const struct sockaddr *address, socklen_t address_bytes,
			     int backlog);

/**
 * usched_accept() - wait for a connection
 * @connection:	set to its descriptor
 * @address, @address_bytes: as accept(2); both may be NULL
 *
 * Return:	0
 * Errors:	-ETIMEDOUT, -EAGAIN; -ECANCELED closed by another fiber meanwhile;
 *		those of accept4(2), negative, ECONNABORTED excepted: it tries again
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_accept(int descriptor, int *connection, struct sockaddr *address,
			     socklen_t *address_bytes, uint64_t deadline_ns);

/**
 * usched_connect() - a stream connection to @address
 *
 * Return:	0
 * Errors:	-ETIMEDOUT, -EAGAIN; those of socket(2), connect(2), negative.
 *		No descriptor is left behind.
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_connect(int *descriptor, const struct sockaddr *address, socklen_t address_bytes,
			      uint64_t deadline_ns);

/**
 * usched_read() - wait for bytes and take what is there
 * @count:	room in @buffer, bytes
 * @got:	set to the number of bytes, 1 to @count; 0 at the end of the stream
 *
 * Return:	0
 * Errors:	-ETIMEDOUT, -EAGAIN; -EBUSY another fiber reads it; -ECANCELED closed
 *		by another fiber meanwhile; those of read(2), negative
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_read(int descriptor, void *buffer, size_t count, size_t *got, uint64_t deadline_ns);

/**
 * usched_write() - write all of it
 * @count:	bytes in @buffer
 * @written:	set to the number of bytes written, also on errors; may be NULL
 *
 * Return:	0: all @count bytes were written
 * Errors:	-ETIMEDOUT, -EAGAIN; -EBUSY another fiber writes it; -ECANCELED; -EPIPE
 *		(SIGPIPE is not raised for sockets); those of write(2), negative
 * May switch:	yes
 * Callable from: fiber, any thread
 */
USCHED_API int usched_write(int descriptor, const void *buffer, size_t count, size_t *written,
			    uint64_t deadline_ns);

/**
 * usched_close() - close a descriptor; fibers waiting in it get -ECANCELED
 *
 * Return:	0
 * Errors:	those of close(2), negative
 * May switch:	no
 * Callable from: fiber, any thread
 */
USCHED_API int usched_close(int descriptor);

#ifdef __cplusplus
}
#endif

#endif /* USCHED_USCHED_H */
