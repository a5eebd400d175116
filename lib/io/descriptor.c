/* SPDX-License-Identifier: MIT */
/*
 * Readiness; see descriptor.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/spinlock.h"
#include "io/descriptor.h"
#include "sync/wait.h"
#include "worker/ahead.h"

enum { WORD_EMPTY, WORD_READY, WORD_CLOSED, DESCRIPTORS_LIMIT = 1 << 20 };

/* Every scheduler with a table of descriptors, by its number, under the lock. */
static struct usched_spinlock tables_lock = USCHED_SPINLOCK_INIT(USCHED_RANK_RUNTIME);
static struct usched_scheduler *tables[USCHED_RUNTIMES_MAX + 1];
static _Atomic uint32_t table_count;	/* relaxed: who has used a descriptor there knows of it */

int usched_descriptors_init(struct usched_scheduler *scheduler)
{
	struct rlimit limit;
	void *memory;

	scheduler->descriptors_max = DESCRIPTORS_LIMIT;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < DESCRIPTORS_LIMIT)
		scheduler->descriptors_max = (uint32_t)limit.rlim_max;
	memory = mmap(NULL, scheduler->descriptors_max * sizeof(struct usched_descriptor),
		      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	scheduler->descriptors = memory;
	usched_spinlock_lock(&tables_lock);
	tables[scheduler->number] = scheduler;
	atomic_fetch_add_explicit(&table_count, 1, memory_order_relaxed);
	usched_spinlock_unlock(&tables_lock);
	return 0;
}

void usched_descriptors_destroy(struct usched_scheduler *scheduler)
{
	if (!scheduler->descriptors)
		return;
	usched_spinlock_lock(&tables_lock);
	tables[scheduler->number] = NULL;
	atomic_fetch_sub_explicit(&table_count, 1, memory_order_relaxed);
	usched_spinlock_unlock(&tables_lock);
	munmap(scheduler->descriptors,
	       scheduler->descriptors_max * sizeof(struct usched_descriptor));
	scheduler->descriptors = NULL;
}

void usched_descriptors_forget(void)
{
	usched_spinlock_init(&tables_lock, USCHED_RANK_RUNTIME);
	for (uint32_t number = 1; number <= USCHED_RUNTIMES_MAX; number++)
		tables[number] = NULL;
	atomic_store_explicit(&table_count, 0, memory_order_relaxed);
}

/* End the wait that a word stands for. */
static void claim(struct usched_carrier *carrier, struct usched_scheduler *scheduler, uint64_t word,
		  enum usched_wait_state reason)
{
	struct usched_fiber *fiber = usched_table_record(&scheduler->fibers, (uint32_t)(word >> 32));

	if (fiber && usched_waiter_claim_word(&fiber->waiter, (uint32_t)word, reason))
		usched_ready(carrier, fiber, USCHED_PLACE_WOKEN);
}

static void fire(struct usched_carrier *carrier, struct usched_scheduler *scheduler,
		 _Atomic uint64_t *waiting)
{
	uint64_t word = atomic_load_explicit(waiting, memory_order_acquire);

	for (;;) {
		uint64_t new = word == WORD_EMPTY ? WORD_READY : WORD_EMPTY;

		if (word == WORD_READY || word == WORD_CLOSED)
			return;
		if (atomic_compare_exchange_weak_explicit(waiting, &word, new, memory_order_acq_rel,
							  memory_order_acquire))	/* [D1] */
			break;
	}
	if (word != WORD_EMPTY)
		claim(carrier, scheduler, word, USCHED_WAIT_VALUE);
}

void usched_descriptor_event(struct usched_carrier *carrier, uint64_t data, uint32_t events)
{
	struct usched_scheduler *scheduler = carrier->scheduler;
	struct usched_descriptor *state;

	if (data >= scheduler->descriptors_max)
		return;
	state = &scheduler->descriptors[data];
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
		atomic_fetch_or_explicit(&state->events, USCHED_DESCRIPTOR_ENDING,
					 memory_order_relaxed);	/* before the sum's release */
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) {
		atomic_fetch_add_explicit(&state->events, USCHED_DESCRIPTOR_EVENT,
					  memory_order_release);			/* [D2] */
		fire(carrier, scheduler, &state->waiting[USCHED_READABLE]);
	}
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		fire(carrier, scheduler, &state->waiting[USCHED_WRITABLE]);
}

void usched_descriptor_soon(const struct usched_scheduler *scheduler, uint64_t data)
{
	const struct usched_fiber *fiber;
	uint64_t word;

	if (data >= scheduler->descriptors_max)
		return;
	/* Relaxed: a hint. */
	word = atomic_load_explicit(&scheduler->descriptors[data].waiting[USCHED_READABLE],
				    memory_order_relaxed);
	fiber = usched_table_record(&scheduler->fibers, (uint32_t)(word >> 32));
	if (fiber)
		usched_fetch_descriptor(fiber);
}

void usched_descriptor_note(struct usched_scheduler *scheduler, int descriptor)
{
	struct usched_descriptor *state;

	if ((uint32_t)descriptor >= scheduler->descriptors_max)
		return;			/* the first use says -EBADF */
	state = &scheduler->descriptors[descriptor];
	atomic_store_explicit(&state->waiting[0], WORD_EMPTY, memory_order_relaxed);
	atomic_store_explicit(&state->waiting[1], WORD_EMPTY, memory_order_relaxed);
	/* As if something had come since a short read of the file that had this number before. */
	atomic_fetch_and_explicit(&state->events, ~(uint32_t)USCHED_DESCRIPTOR_ENDING,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&state->events, USCHED_DESCRIPTOR_EVENT, memory_order_relaxed);
	atomic_store_explicit(&state->is_tcp, false, memory_order_relaxed);
	/* Release -> open's acquire: the words are reset. */
	atomic_store_explicit(&state->state, USCHED_DESCRIPTOR_READY, memory_order_release);
}

struct usched_descriptor *usched_descriptor_open(struct usched_scheduler *scheduler,
						 int descriptor, int *error)
{
	struct usched_descriptor *state;
	int flags;

	*error = -EBADF;
	if (descriptor < 0 || (uint32_t)descriptor >= scheduler->descriptors_max)
		return NULL;
	state = &scheduler->descriptors[descriptor];
	if (atomic_load_explicit(&state->state, memory_order_acquire) != USCHED_DESCRIPTOR_UNKNOWN)
		return state;
	flags = fcntl(descriptor, F_GETFL);
	if (flags < 0 || (!(flags & O_NONBLOCK) &&
			  fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0)) {
		*error = -errno;
		return NULL;
	}
	usched_descriptor_note(scheduler, descriptor);
	return state;
}

/* On another stack than the fiber's: from here on an event may wake it. */
static void publish(struct usched_fiber *fiber, uint32_t word, void *argument)
{
	_Atomic uint64_t *waiting = argument;
	struct usched_carrier *carrier = usched_carrier_self_get();
	uint64_t mine = (uint64_t)fiber->index << 32 | word;
	uint64_t seen = WORD_EMPTY;
	enum usched_wait_state reason = USCHED_WAIT_REFUSED;

	if (atomic_compare_exchange_strong_explicit(waiting, &seen, mine, memory_order_acq_rel,
						    memory_order_acquire))		/* [D1] */
		return;
	if (seen == WORD_READY) {
		atomic_compare_exchange_strong_explicit(waiting, &seen, WORD_EMPTY,
							memory_order_acq_rel,
							memory_order_acquire);
		reason = USCHED_WAIT_VALUE;
	} else if (seen == WORD_CLOSED) {
		reason = USCHED_WAIT_CANCELED;
	}
	if (usched_waiter_claim_word(&fiber->waiter, word, reason))
		usched_ready(carrier, fiber, USCHED_PLACE_WOKEN);
}

static int watch(struct usched_carrier *carrier, int descriptor, struct usched_descriptor *state)
{
	struct usched_worker *worker = usched_owned(carrier);
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u64 = (uint64_t)descriptor,
	};
	socklen_t bytes = sizeof(int);
	int protocol;

	if (epoll_ctl(worker->poll_descriptor, EPOLL_CTL_ADD, descriptor, &event) && errno != EEXIST)
		return -errno;
	if (getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL, &protocol, &bytes) == 0)
		atomic_store_explicit(&state->is_tcp, protocol == IPPROTO_TCP,
				      memory_order_relaxed);
	atomic_fetch_add_explicit(&worker->descriptors_watched, 1, memory_order_relaxed);
	atomic_store_explicit(&state->state, USCHED_DESCRIPTOR_WATCHED, memory_order_relaxed);
	return 0;
}

int usched_descriptor_wait(struct usched_scheduler *scheduler, int descriptor,
			   enum usched_direction direction, enum usched_wait_kind kind,
			   uint32_t generation, uint64_t deadline_ns)
{
	struct usched_descriptor *state = &scheduler->descriptors[descriptor];
	struct usched_carrier *carrier = usched_carrier_self_get();
	_Atomic uint64_t *waiting = &state->waiting[direction];
	struct usched_waiter *waiter;
	enum usched_wait_state reason;
	uint64_t mine;
	int error;

	usched_enter_carrier(carrier);
	waiter = &usched_current(carrier)->waiter;
	error = usched_wait_check(carrier, deadline_ns);
	if (error)
		goto out;
	if (atomic_load_explicit(&state->state, memory_order_relaxed) == USCHED_DESCRIPTOR_READY) {
		error = watch(carrier, descriptor, state);
		if (error)
			goto out;
	}
	/* A close, and perhaps a new descriptor of this number, since the caller's try. */
	if (atomic_load_explicit(&state->generation, memory_order_acquire) != generation) {
		error = -ECANCELED;
		goto out;
	}
	usched_waiter_begin(waiter, kind, (uint32_t)descriptor, NULL, deadline_ns);
	mine = (uint64_t)usched_current(carrier)->index << 32 |
		((usched_waiter_word(waiter) & ~(uint32_t)USCHED_WAIT_STATE_MASK) |
		 USCHED_WAIT_WAITING);
	carrier = usched_park(carrier, NULL, publish, waiting);
	reason = usched_waiter_reason(waiter);
	if (reason == USCHED_WAIT_TIMED_OUT)
		/* Take our word back, unless an event or a close did. */
		atomic_compare_exchange_strong_explicit(waiting, &mine, WORD_EMPTY,
							memory_order_acq_rel, memory_order_acquire);
	error = usched_wait_error(reason, -ECANCELED);
out:
	usched_leave(carrier);
	return error;
}

static void close_in(struct usched_carrier *carrier, struct usched_scheduler *scheduler,
		     int descriptor)
{
	struct usched_descriptor *state;

	if (descriptor < 0 || (uint32_t)descriptor >= scheduler->descriptors_max)
		return;
	state = &scheduler->descriptors[descriptor];
	/* Acquire <- note's release. Nobody waits in what was never used here. */
	if (atomic_load_explicit(&state->state, memory_order_acquire) == USCHED_DESCRIPTOR_UNKNOWN)
		return;
	/* Release -> wait's acquire: whoever tried before must not wait. */
	atomic_fetch_add_explicit(&state->generation, 1, memory_order_release);
	for (unsigned int direction = 0; direction < 2; direction++) {
		uint64_t word = atomic_exchange_explicit(&state->waiting[direction], WORD_CLOSED,
							 memory_order_acq_rel);	/* [D1] */

		if (word > WORD_CLOSED)
			claim(carrier, scheduler, word, USCHED_WAIT_CANCELED);
	}
	atomic_store_explicit(&state->state, USCHED_DESCRIPTOR_UNKNOWN, memory_order_release);
}

void usched_descriptor_close(struct usched_carrier *carrier, int descriptor)
{
	struct usched_scheduler *own = carrier ? carrier->scheduler : NULL;
	uint32_t others = atomic_load_explicit(&table_count, memory_order_relaxed);

	if (own) {
		close_in(carrier, own, descriptor);
		others--;
	}
	if (others == 0)
		return;
	usched_spinlock_lock(&tables_lock);
	for (uint32_t number = 1; number <= USCHED_RUNTIMES_MAX; number++) {
		if (tables[number] && tables[number] != own)
			close_in(carrier, tables[number], descriptor);
	}
	usched_spinlock_unlock(&tables_lock);
}
