/* SPDX-License-Identifier: MIT */
/*
 * The lock that one worker takes by a store: when it gets there and when not, and that whoever ends this
 * waits until that worker has let go. Two interleavings are forced at the points of worker/step.h:
 *
 *	fiber on the biased worker		another fiber, or a plain thread
 *	store own
 *	"biased"
 *						worker = NULL, membarrier, "unbiased"
 *	second look, own is free, shared	waits for own
 *
 *	parks with the lock: "commit"		worker = NULL, waits for own
 *	own is free
 *
 * A fiber uses a lock between one enter and one leave, so that its worker stays what it is. One file,
 * since the jobs that do so serve the lock alone and the one inside a channel.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <usched/usched.h>

#include "forced.h"
#include "harness.h"
#include "sync/biased.h"
#include "sync/wait.h"

enum {
	USES = 1000,			/* in a row, and the lock is biased */
	TURNS = 20,
	CHANCES = 20,
	TRIES = 1000,
#if defined(USCHED_SANITIZE_ADDRESS) || defined(USCHED_SANITIZE_THREAD)
	LOCKS = 500,
	CHANNELS = 20,
#else
	LOCKS = 2000,
	CHANNELS = 100,
#endif
	FEW = 20,
	MANY = 500,
};

static struct usched_runtime *runtime;
static struct usched_worker *first, *second;

static void start(void)
{
#if USCHED_DEBUG
	usched_step_hook = forced_step;
#endif
	runtime = forced_start(2, 0);
	CU_ASSERT_FATAL(runtime != NULL);
#if USCHED_DEBUG
	stop_monitor(runtime);
#endif
	first = granted_worker(runtime, 0);
	second = granted_worker(runtime, 1);
}

static void stop(void)
{
#if USCHED_DEBUG
	atomic_store(&forced_hook, NULL);
	let_monitor_go();
#endif
	CU_ASSERT_EQUAL(atomic_load(&holds_expired), 0);
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

#define NEEDS_MEMBARRIER()						\
	do {								\
		if (!runtime->scheduler.membarrier) {			\
			stop();						\
			USCHED_SKIP("container: membarrier is refused"); \
		}							\
	} while (0)

#define NEEDS_TWO_WORKERS()						\
	do {								\
		NEEDS_MEMBARRIER();					\
		if (!second) {						\
			stop();						\
			USCHED_SKIP("few-cpus: needs two CPUs");	\
		}							\
	} while (0)

/* ---- what fibers do on one worker -------------------------------------------------------------- */

/* The body is called inside the runtime, and leaves it. */
struct job {
	void (*body)(struct job *job, struct usched_carrier *carrier);
	struct usched_worker *where;
	struct usched_biased_lock *lock;
	struct usched_channel *channel;
	unsigned int uses, own;		/* so many in a row, so many of them without `shared` */
	bool in_vain;			/* nobody will send */
	uint64_t value;
	int error;
	usched_fiber_t id;
	_Atomic(enum { COMING, THERE, ELSEWHERE }) place;
};

static void *does_job(void *argument)
{
	struct job *job = argument;
	struct usched_carrier *carrier = usched_enter();

	if (!carrier || usched_owned(carrier) != job->where) {
		atomic_store(&job->place, ELSEWHERE);
		usched_leave(carrier);
		return NULL;
	}
	atomic_store(&job->place, THERE);
	job->body(job, carrier);
	return NULL;
}

static void end_job(struct job *job)
{
	CU_ASSERT_EQUAL_FATAL(usched_join(job->id, NULL, SOON), 0);
}

/* A thief may take it on its way: then it does nothing, and another one is sent. */
static void begin_job(struct job *job)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;

	options.cpu = (int)job->where->cpu;
	options.preempt = USCHED_PREEMPT_NEVER;
	for (unsigned int i = 0; i < TRIES; i++) {
		atomic_store(&job->place, COMING);
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &job->id, does_job, job, &options), 0);
		HOLD_UNTIL(atomic_load(&job->place) != COMING);
		if (atomic_load(&job->place) == THERE)
			return;
		end_job(job);
	}
	CU_FAIL_FATAL("no fiber got to the worker");
}

static void use_in_a_row(struct job *job, struct usched_carrier *carrier)
{
	for (unsigned int i = 0; i < job->uses; i++) {
		struct usched_spinlock *held = usched_biased_lock(job->lock, carrier);

		job->own += held == &job->lock->own;
		usched_spinlock_unlock(held);
	}
}

static void uses(struct job *job, struct usched_carrier *carrier)
{
	use_in_a_row(job, carrier);
	usched_leave(carrier);
}

/* By fibers of a worker; NULL: by this thread. Return: so many of them took `own`. */
static unsigned int used(struct usched_biased_lock *lock, struct usched_worker *where, unsigned int count)
{
	struct job job = { .body = uses, .where = where, .lock = lock, .uses = count };

	if (where) {
		begin_job(&job);
		end_job(&job);
	} else {
		use_in_a_row(&job, usched_enter());
	}
	return job.own;
}

static struct usched_worker *biased_to(struct usched_biased_lock *lock)
{
	return atomic_load(&lock->worker);
}

/* ---- when there is a bias ---------------------------------------------------------------------- */

static void a_thousand_uses_in_a_row_make_a_bias(void)
{
	struct usched_biased_lock lock;

	start();
	NEEDS_MEMBARRIER();
	usched_biased_init(&lock, USCHED_RANK_CHANNEL);
	CU_ASSERT_EQUAL(used(&lock, first, USES / 2), 0);
	CU_ASSERT_EQUAL(used(&lock, first, USES - 1 - USES / 2), 0);
	CU_ASSERT_PTR_NULL(biased_to(&lock));
	/* The last one still has `shared`. */
	CU_ASSERT_EQUAL(used(&lock, first, 1), 0);
	CU_ASSERT_PTR_EQUAL(biased_to(&lock), first);
	CU_ASSERT_EQUAL(used(&lock, first, USES), USES);
	CU_ASSERT_PTR_EQUAL(biased_to(&lock), first);
	stop();
}

static void workers_that_alternate_get_none(void)
{
	struct usched_biased_lock lock;

	start();
	NEEDS_TWO_WORKERS();
	usched_biased_init(&lock, USCHED_RANK_CHANNEL);
	for (unsigned int i = 0; i < TURNS; i++) {
		CU_ASSERT_EQUAL(used(&lock, first, USES - 1), 0);
		CU_ASSERT_EQUAL(used(&lock, second, i % 2 ? USES - 1 : 1), 0);
		CU_ASSERT_PTR_NULL(biased_to(&lock));
	}
	/* There is still hope for who stays alone. */
	CU_ASSERT_EQUAL(used(&lock, first, USES + 1), 1);
	CU_ASSERT_PTR_EQUAL(biased_to(&lock), first);
	stop();
}

static void a_plain_thread_ends_the_hope(void)
{
	start();
	NEEDS_MEMBARRIER();
	for (unsigned int before = 0; before < USES; before += USES - 1) {
		struct usched_biased_lock lock;

		usched_biased_init(&lock, USCHED_RANK_CHANNEL);
		CU_ASSERT_EQUAL(used(&lock, first, before), 0);
		CU_ASSERT_EQUAL(used(&lock, NULL, 1), 0);
		CU_ASSERT_EQUAL(used(&lock, first, 3 * USES), 0);
		CU_ASSERT_PTR_NULL(biased_to(&lock));
	}
	stop();
}

static void a_bias_begins_once(void)
{
	start();
	NEEDS_TWO_WORKERS();
	for (unsigned int i = 0; i < 2; i++) {
		struct usched_worker *other = i ? second : NULL;
		struct usched_biased_lock lock;

		usched_biased_init(&lock, USCHED_RANK_CHANNEL);
		CU_ASSERT_EQUAL(used(&lock, first, USES + 1), 1);
		CU_ASSERT_EQUAL(used(&lock, other, 1), 0);
		CU_ASSERT_PTR_NULL(biased_to(&lock));
		CU_ASSERT_EQUAL(used(&lock, first, 3 * USES), 0);
		CU_ASSERT_EQUAL(used(&lock, second, 3 * USES), 0);
		CU_ASSERT_PTR_NULL(biased_to(&lock));
	}
	stop();
}

static void there_is_none_without_membarrier(void)
{
	struct usched_biased_lock lock;

	CU_ASSERT_EQUAL_FATAL(setenv("USCHED_MEMBARRIER", "off", 1), 0);
	start();
	unsetenv("USCHED_MEMBARRIER");
	CU_ASSERT_FALSE(runtime->scheduler.membarrier);
	usched_biased_init(&lock, USCHED_RANK_CHANNEL);
	CU_ASSERT_EQUAL(used(&lock, first, 3 * USES), 0);
	CU_ASSERT_PTR_NULL(biased_to(&lock));
	stop();
}

/* ---- how it ends ------------------------------------------------------------------------------- */

static struct usched_biased_lock contended;
static unsigned int guarded;			/* by it */
static _Atomic bool worker_is_in, other_is_in;
static _Atomic unsigned int wrong;

static void check(bool is_right)
{
	if (!is_right)
		atomic_fetch_add(&wrong, 1);
}

/* Whoever need not wait has time to get in now. Right code never does, however long this takes. */
static void nobody_gets_in(void)
{
	for (unsigned int i = 0; i < CHANCES; i++) {
		check(!atomic_load(&other_is_in));
		pause_shortly();
	}
}

static void come(struct usched_carrier *carrier)
{
	struct usched_spinlock *held = usched_biased_lock(&contended, carrier);

	atomic_store(&other_is_in, true);
	check(held == &contended.shared);
	check(!usched_spinlock_is_held(&contended.own));
	guarded++;
	usched_spinlock_unlock(held);
}

static void comes(struct job *job, struct usched_carrier *carrier)
{
	(void)job;
	come(carrier);
	usched_leave(carrier);
}

static void *thread_comes(void *argument)
{
	come(usched_enter());
	return argument;
}

/* A plain thread, or a fiber of another worker. */
struct other {
	struct job job;
	pthread_t thread;
};

static void begin_other(struct other *other, struct usched_worker *where)
{
	other->job = (struct job){ .body = comes, .where = where };
	if (where)
		begin_job(&other->job);
	else
		CU_ASSERT_EQUAL_FATAL(pthread_create(&other->thread, NULL, thread_comes, NULL), 0);
}

static void end_other(struct other *other)
{
	if (other->job.where)
		end_job(&other->job);
	else
		CU_ASSERT_EQUAL_FATAL(pthread_join(other->thread, NULL), 0);
}

static void begin_turn(void)
{
	usched_biased_init(&contended, USCHED_RANK_CHANNEL);
	CU_ASSERT_EQUAL(used(&contended, first, USES), 0);
	CU_ASSERT_PTR_EQUAL_FATAL(biased_to(&contended), first);
	guarded = 0;
	atomic_store(&worker_is_in, false);
	atomic_store(&other_is_in, false);
	atomic_store(&wrong, 0);
}

static void end_turn(void)
{
	CU_ASSERT_EQUAL(guarded, 2);
	CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
	CU_ASSERT_PTR_NULL(biased_to(&contended));
	CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
}

/* The body, on the first worker, says that it is there; then another comes, in each second turn a thread. */
static void meet(void (*body)(struct job *, struct usched_carrier *), _Atomic bool *is_there,
		 unsigned int turn)
{
	struct job job = { .body = body, .where = first };
	struct other other;

	begin_job(&job);
	HOLD_UNTIL(atomic_load(is_there));
	begin_other(&other, turn % 2 ? second : NULL);
	end_job(&job);
	end_other(&other);
}

static void is_inside(struct job *job, struct usched_carrier *carrier)
{
	struct usched_spinlock *held = usched_biased_lock(&contended, carrier);

	(void)job;
	check(held == &contended.own);
	atomic_store(&worker_is_in, true);
	HOLD_UNTIL(!biased_to(&contended));
	nobody_gets_in();
	guarded++;
	usched_spinlock_unlock(held);
	usched_leave(carrier);
}

static void who_is_inside_is_waited_for(void)
{
	start();
	NEEDS_MEMBARRIER();
	for (unsigned int i = 0; i < TURNS; i++) {
		begin_turn();
		meet(is_inside, &worker_is_in, i);
		end_turn();
	}
	stop();
}

#if USCHED_DEBUG
static _Atomic bool is_to_stand, stands, has_passed_the_barrier;

static void stands_between_store_and_look(const char *point, void *argument)
{
	if (is(point, "unbiased") && argument == &contended)
		atomic_store(&has_passed_the_barrier, true);
	if (!is(point, "biased") || !atomic_exchange(&is_to_stand, false))
		return;
	atomic_store(&stands, true);
	HOLD_UNTIL(atomic_load(&has_passed_the_barrier));
	nobody_gets_in();
}

static void is_late(struct job *job, struct usched_carrier *carrier)
{
	struct usched_spinlock *held = usched_biased_lock(&contended, carrier);

	(void)job;
	check(held == &contended.shared);
	check(!usched_spinlock_is_held(&contended.own));
	check(atomic_load(&other_is_in));
	guarded++;
	usched_spinlock_unlock(held);
	usched_leave(carrier);
}

static void a_worker_that_is_late_takes_shared(void)
{
	start();
	NEEDS_MEMBARRIER();
	for (unsigned int i = 0; i < TURNS; i++) {
		begin_turn();
		atomic_store(&stands, false);
		atomic_store(&has_passed_the_barrier, false);
		atomic_store(&is_to_stand, true);
		atomic_store(&forced_hook, stands_between_store_and_look);
		meet(is_late, &stands, i);
		atomic_store(&forced_hook, NULL);
		end_turn();
	}
	stop();
}
#else
static void a_worker_that_is_late_takes_shared(void)
{
	USCHED_SKIP("no-steps: needs a build with --enable-debug");
}
#endif

/* ---- channels ---------------------------------------------------------------------------------- */

/* Its first member. */
static struct usched_biased_lock *lock_of(struct usched_channel *channel)
{
	return (struct usched_biased_lock *)channel;
}

/* It enters once more before it has left, so that the worker has the bias until it waits. */
static void makes_a_bias_and_receives(struct job *job, struct usched_carrier *carrier)
{
	job->lock = lock_of(job->channel);
	job->uses = USES;
	use_in_a_row(job, carrier);
	job->error = usched_channel_receive(job->channel, &job->value,
					    job->in_vain ? usched_after(1000000) : SOON);
}

static void sends(struct job *job, struct usched_carrier *carrier)
{
	(void)carrier;
	job->error = usched_channel_send(job->channel, &job->value, SOON);
}

static bool is_parked(usched_fiber_t id)
{
	const struct usched_fiber *fiber = usched_table_record(&runtime->scheduler.fibers,
							       usched_id_index(id));

	return atomic_load(&fiber->state) == USCHED_FIBER_PARKED;
}

static void who_parks_lets_go(void)
{
	start();
	NEEDS_TWO_WORKERS();
	for (uint64_t i = 0; i < TURNS; i++) {
		struct job receiver = { .body = makes_a_bias_and_receives, .where = first };
		struct job sender = { .body = sends, .where = second, .value = i };

		CU_ASSERT_EQUAL_FATAL(usched_channel_create(&receiver.channel, sizeof(i), i % 2), 0);
		sender.channel = receiver.channel;
		begin_job(&receiver);
		HOLD_UNTIL(is_parked(receiver.id) &&
			   !usched_spinlock_is_held(&lock_of(receiver.channel)->own));
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
		CU_ASSERT_PTR_EQUAL(biased_to(lock_of(receiver.channel)), first);
		begin_job(&sender);
		end_job(&sender);
		end_job(&receiver);
		CU_ASSERT_EQUAL(sender.error, 0);
		CU_ASSERT_EQUAL(receiver.error, 0);
		CU_ASSERT_EQUAL(receiver.value, i);
		CU_ASSERT_PTR_NULL(biased_to(lock_of(receiver.channel)));
		CU_ASSERT_EQUAL(usched_channel_free(receiver.channel), 0);
	}
	stop();
}

#if USCHED_DEBUG
static _Atomic unsigned int own_taken;

static void counts_own(const char *point, void *argument)
{
	(void)argument;
	if (is(point, "biased"))
		atomic_fetch_add(&own_taken, 1);
}

/* It takes the lock again, as it did before, and leaves the list. */
static void who_waits_in_vain_is_gone(void)
{
	start();
	NEEDS_MEMBARRIER();
	for (unsigned int i = 0; i < TURNS; i++) {
		struct job job = { .body = makes_a_bias_and_receives, .where = first, .in_vain = true };

		CU_ASSERT_EQUAL_FATAL(usched_channel_create(&job.channel, sizeof(job.value), i % 2), 0);
		atomic_store(&own_taken, 0);
		atomic_store(&forced_hook, counts_own);
		begin_job(&job);
		end_job(&job);
		atomic_store(&forced_hook, NULL);
		CU_ASSERT_EQUAL(job.error, -ETIMEDOUT);
		/* On the other worker it has ended the bias. */
		CU_ASSERT(atomic_load(&own_taken) == 2 || !biased_to(lock_of(job.channel)));
		CU_ASSERT_FALSE_FATAL(usched_spinlock_is_held(&lock_of(job.channel)->own));
		CU_ASSERT_EQUAL(usched_channel_free(job.channel), 0);
	}
	stop();
}

static _Atomic(struct usched_biased_lock *) handed_over;

static void stands_with_the_lock(const char *point, void *argument)
{
	struct usched_biased_lock *lock;

	(void)argument;
	if (!is(point, "commit") || !(lock = atomic_exchange(&handed_over, NULL)))
		return;
	check(usched_spinlock_is_held(&lock->own));
	atomic_store(&stands, true);
	HOLD_UNTIL(!biased_to(lock));
	nobody_gets_in();
}

static void *thread_sends(void *argument)
{
	struct job *job = argument;

	job->error = usched_channel_send(job->channel, &job->value, SOON);
	atomic_store(&other_is_in, true);
	return NULL;
}

static void who_comes_while_the_lock_is_handed_over_waits(void)
{
	start();
	NEEDS_MEMBARRIER();
	for (uint64_t i = 0; i < TURNS; i++) {
		struct job receiver = { .body = makes_a_bias_and_receives, .where = first };
		struct job sender = { .value = i };
		pthread_t thread;

		CU_ASSERT_EQUAL_FATAL(usched_channel_create(&receiver.channel, sizeof(i), i % 2), 0);
		sender.channel = receiver.channel;
		atomic_store(&other_is_in, false);
		atomic_store(&wrong, 0);
		atomic_store(&stands, false);
		atomic_store(&handed_over, lock_of(receiver.channel));
		atomic_store(&forced_hook, stands_with_the_lock);
		begin_job(&receiver);
		HOLD_UNTIL(atomic_load(&stands));
		CU_ASSERT_EQUAL_FATAL(atomic_load(&wrong), 0);
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, thread_sends, &sender), 0);
		CU_ASSERT_EQUAL_FATAL(pthread_join(thread, NULL), 0);
		end_job(&receiver);
		atomic_store(&forced_hook, NULL);
		CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
		CU_ASSERT_EQUAL(sender.error, 0);
		CU_ASSERT_EQUAL(receiver.error, 0);
		CU_ASSERT_EQUAL(receiver.value, i);
		CU_ASSERT_EQUAL(usched_channel_free(receiver.channel), 0);
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	}
	stop();
}
#else
static void who_waits_in_vain_is_gone(void)
{
	USCHED_SKIP("no-steps: needs a build with --enable-debug");
}

static void who_comes_while_the_lock_is_handed_over_waits(void)
{
	USCHED_SKIP("no-steps: needs a build with --enable-debug");
}
#endif

/* ---- storms ------------------------------------------------------------------------------------ */

/*
 * Lock after lock: fibers of the first worker use it until both others have come, which use it a few
 * times each.
 */
static struct usched_biased_lock locks[LOCKS];
static unsigned int counts[LOCKS];		/* under its lock */
static unsigned int turns[LOCKS];		/* of the first worker */
static _Atomic unsigned int open_locks, visits[LOCKS];

static void count(unsigned int i, struct usched_carrier *carrier)
{
	struct usched_spinlock *held = usched_biased_lock(&locks[i], carrier);

	counts[i]++;
	usched_spinlock_unlock(held);
}

/* Inside the runtime all the time, where a worker never waits for another one but for this lock. */
static void uses_each_until_others_come(struct job *job, struct usched_carrier *carrier)
{
	for (unsigned int i = 0; i < LOCKS; i++) {
		for (unsigned int use = 0; use < USES; use++)
			count(i, carrier);
		turns[i] = USES;
		job->own += biased_to(&locks[i]) == job->where;
		atomic_store(&open_locks, i + 1);
		while (atomic_load(&visits[i]) < 2) {
			count(i, carrier);
			turns[i]++;
		}
	}
	usched_leave(carrier);
}

static void visit_each(struct usched_carrier *carrier)
{
	for (unsigned int i = 0; i < LOCKS; i++) {
		while (atomic_load(&open_locks) <= i)
			sched_yield();
		for (unsigned int use = 0; use < FEW; use++)
			count(i, carrier);
		atomic_fetch_add(&visits[i], 1);
	}
}

static void visits_each(struct job *job, struct usched_carrier *carrier)
{
	(void)job;
	visit_each(carrier);
	usched_leave(carrier);
}

static void many_biases_end_while_they_are_used(void)
{
	struct job worker = { .body = uses_each_until_others_come };
	struct job other = { .body = visits_each };

	start();
	NEEDS_TWO_WORKERS();
	worker.where = first;
	other.where = second;
	atomic_store(&open_locks, 0);
	for (unsigned int i = 0; i < LOCKS; i++) {
		usched_biased_init(&locks[i], USCHED_RANK_CHANNEL);
		atomic_store(&visits[i], 0);
		counts[i] = 0;
	}
	begin_job(&worker);
	begin_job(&other);
	visit_each(usched_enter());
	end_job(&worker);
	end_job(&other);
	CU_ASSERT_EQUAL(worker.own, LOCKS);
	for (unsigned int i = 0; i < LOCKS; i++) {
		CU_ASSERT_EQUAL(counts[i], turns[i] + 2 * FEW);
		CU_ASSERT_PTR_NULL(biased_to(&locks[i]));
	}
	stop();
}

/* Channel after channel: three send, two receive, and the first sender has a bias when the others come. */
static struct usched_channel *channel;
static _Atomic bool is_biased;
static _Atomic uint64_t received, sum;

static int send_many(void)
{
	for (uint64_t i = 1; i <= MANY; i++) {
		if (usched_channel_send(channel, &i, SOON))
			return 1;
	}
	return 0;
}

static void *sends_many(void *argument)
{
	return send_many() ? &received : argument;
}

static void *makes_a_bias_and_sends_many(void *argument)
{
	struct job job = { .lock = lock_of(channel), .uses = USES };
	struct usched_carrier *carrier = usched_enter();

	use_in_a_row(&job, carrier);
	atomic_store(&is_biased, biased_to(lock_of(channel)) != NULL);
	usched_leave(carrier);
	return sends_many(argument);
}

/* Each wait in vain takes the lock once more. */
static void *receives_all(void *argument)
{
	uint64_t value;
	int error;

	while ((error = usched_channel_receive(channel, &value, usched_after(20000))) != -EPIPE) {
		if (error == -ETIMEDOUT)
			continue;
		atomic_fetch_add(&received, 1);
		atomic_fetch_add(&sum, value);
	}
	return argument;
}

static void spawn(usched_fiber_t *fiber, void *(*function)(void *argument), const struct usched_worker *where)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;

	options.cpu = (int)where->cpu;
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, fiber, function, NULL, &options), 0);
}

static void join(usched_fiber_t fiber)
{
	void *result = &received;

	CU_ASSERT_EQUAL_FATAL(usched_join(fiber, &result, SOON), 0);
	CU_ASSERT_PTR_NULL(result);
}

static void channels_keep_all_values_when_a_bias_ends(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	options.workers = 2;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	atomic_store(&holds_expired, 0);
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	first = granted_worker(runtime, 0);
	second = granted_worker(runtime, 1);
	NEEDS_TWO_WORKERS();
	for (unsigned int i = 0; i < CHANNELS; i++) {
		struct usched_worker *mine = i % 2 ? second : first, *other = i % 2 ? first : second;
		usched_fiber_t senders[2], receivers[2];
		pthread_t thread;

		atomic_store(&received, 0);
		atomic_store(&sum, 0);
		atomic_store(&is_biased, false);
		CU_ASSERT_EQUAL_FATAL(usched_channel_create(&channel, sizeof(uint64_t), i % 5), 0);
		spawn(&senders[0], makes_a_bias_and_sends_many, mine);
		HOLD_UNTIL(atomic_load(&is_biased));
		CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
		spawn(&receivers[0], receives_all, mine);
		spawn(&receivers[1], receives_all, other);
		spawn(&senders[1], sends_many, other);
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, sends_many, NULL), 0);
		CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
		for (unsigned int j = 0; j < 2; j++)
			join(senders[j]);
		CU_ASSERT_EQUAL(usched_channel_close(channel), 0);
		for (unsigned int j = 0; j < 2; j++)
			join(receivers[j]);
		CU_ASSERT_EQUAL(atomic_load(&received), 3 * MANY);
		CU_ASSERT_EQUAL(atomic_load(&sum), 3 * (uint64_t)MANY * (MANY + 1) / 2);
		CU_ASSERT_PTR_NULL(biased_to(lock_of(channel)));
		CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	}
	stop();
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "a_thousand_uses_in_a_row_make_a_bias", a_thousand_uses_in_a_row_make_a_bias },
		{ "workers_that_alternate_get_none", workers_that_alternate_get_none },
		{ "a_plain_thread_ends_the_hope", a_plain_thread_ends_the_hope },
		{ "a_bias_begins_once", a_bias_begins_once },
		{ "there_is_none_without_membarrier", there_is_none_without_membarrier },
		{ "who_is_inside_is_waited_for", who_is_inside_is_waited_for },
		{ "a_worker_that_is_late_takes_shared", a_worker_that_is_late_takes_shared },
		{ "who_parks_lets_go", who_parks_lets_go },
		{ "who_waits_in_vain_is_gone", who_waits_in_vain_is_gone },
		{ "who_comes_while_the_lock_is_handed_over_waits",
		  who_comes_while_the_lock_is_handed_over_waits },
		{ "many_biases_end_while_they_are_used", many_biases_end_while_they_are_used },
		{ "channels_keep_all_values_when_a_bias_ends",
		  channels_keep_all_values_when_a_bias_ends },
	};

	return usched_test_main("biased", tests, sizeof(tests) / sizeof(tests[0]));
}
