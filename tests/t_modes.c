/* SPDX-License-Identifier: MIT */
/*
 * The decision table, row by row, as a program causes them: modes, vetoes, sections, checkpoints,
 * budgets, quanta of fibers and priorities, wake-up preemption, stopped ticks.
 *
 * The workers' own counters say which row was taken. One worker, so that order decides.
 */
#include <dirent.h>
#include <errno.h>
#include <fenv.h>
#include <ftw.h>
#include <link.h>
#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <usched/usched.h>

#include "harness.h"
#include "preempt/code.h"
#include "runtime/runtime.h"

#define SOON usched_after(UINT64_C(60000000000))

static struct usched_runtime *runtime;

/* A tick of 200 us, unless the case says otherwise. */
static void start(uint64_t quantum_ns, uint64_t wakeup_ns, uint32_t budget)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;

	runtime = NULL;
	options.workers = 1;
	options.quantum_ns = quantum_ns;
	options.wakeup_ns = wakeup_ns;
	options.budget = budget;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	setenv("USCHED_QUANTUM_FLOOR_NS", "100000", 1);
	CU_ASSERT_EQUAL_FATAL(usched_runtime_create(&runtime, &options), 0);
	unsetenv("USCHED_QUANTUM_FLOOR_NS");
}

static void stop(void)
{
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
}

static struct usched_worker *worker(void)
{
	return &runtime->scheduler.workers[0];
}

static uint64_t get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t decided(enum usched_preempt mode, enum usched_decision decision)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		sum += get(&runtime->scheduler.workers[i].counters.decisions[mode][decision]);
	return sum;
}

static uint64_t vetoed(enum usched_veto veto)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		sum += get(&runtime->scheduler.workers[i].counters.vetoes[veto]);
	return sum;
}

static usched_fiber_t spawn(enum usched_preempt mode, void *(*function)(void *), void *argument)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	usched_fiber_t id = 0;

	options.preempt = mode;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &id, function, argument, &options), 0);
	return id;
}

static void *join(usched_fiber_t id)
{
	void *result = NULL;

	CU_ASSERT_EQUAL(usched_join(id, &result, SOON), 0);
	return result;
}

/* Cases run until the counter that they are about has moved so far, at the pace of the machine. */
typedef uint64_t counter_read(void);

static counter_read *awaited;
static uint64_t awaited_count;
static _Atomic bool enough;

/* A fiber that watches, and so is there for the others to be preempted for. */
static void *watches(void *argument)
{
	uint64_t end_ns = usched_after(UINT64_C(30000000000));

	while (awaited() < awaited_count && usched_now() < end_ns)
		usched_sleep_until(usched_after(100000));
	atomic_store(&enough, true);
	return argument;
}

static void run_until(counter_read *read, uint64_t count)
{
	awaited = read;
	awaited_count = count;
	atomic_store(&enough, false);
}

/* One more, by the only writer. */
static inline void turn(_Atomic uint64_t *turns)
{
	atomic_store_explicit(turns, atomic_load_explicit(turns, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

USCHED_MIGRATABLE static void *spins_migratable(void *argument)
{
	_Atomic uint64_t *turns = argument;

	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		turn(turns);
	return NULL;
}

static void *spins(void *argument)
{
	_Atomic uint64_t *turns = argument;

	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		turn(turns);
	return NULL;
}


static uint64_t yielded(void)
{
	return decided(USCHED_PREEMPT_YIELD, USCHED_DECISION_YIELDED);
}

static void declared_code_is_switched_in_place(void)
{
	static _Atomic uint64_t turns[3];
	usched_fiber_t loops[3];

	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	/* Though makecontext(3) has libc's code call each fiber: the search ends at its first frame. */
	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	run_until(yielded, 300);
	for (unsigned int i = 0; i < 3; i++)
		loops[i] = spawn(USCHED_PREEMPT_YIELD, spins_migratable, &turns[i]);
	join(spawn(USCHED_PREEMPT_HANDOFF, watches, NULL));
	for (unsigned int i = 0; i < 3; i++) {
		join(loops[i]);
		CU_ASSERT(turns[i] > 0);
	}
	CU_ASSERT(yielded() >= 300);
	/* Cheaper is the point: hardly any of them needed a carrier. */
	CU_ASSERT(decided(USCHED_PREEMPT_YIELD, USCHED_DECISION_DIRECT) +
		  decided(USCHED_PREEMPT_YIELD, USCHED_DECISION_SPARE) < yielded());
	stop();
}

/* ---- rounding ---- */

static _Atomic unsigned int other_rounding;

static void *rounds_upward(void *argument)
{
	int before = fegetround(), after;

	fesetround(FE_UPWARD);
	spins_migratable(argument);
	after = fegetround();
	fesetround(before);
	return after == FE_UPWARD ? NULL : argument;
}

static void *rounds_as_main_does(void *argument)
{
	while (!atomic_load(&enough)) {
		if (fegetround() != FE_TOWARDZERO)
			atomic_fetch_add(&other_rounding, 1);
		usched_yield();
	}
	return argument;
}

/*
 * Who goes on where a fiber was switched in place finds the program's rounding, and neither that
 * fiber's nor what the kernel gives to a handler; and the fiber finds its own.
 */
static void rounding_stays_with_the_fiber(void)
{
	static _Atomic uint64_t turns[2];
	usched_fiber_t ids[4];

	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	if (USCHED_ARCH_GENERIC)
		USCHED_SKIP("generic: every stack begins in libc, so nothing is switched in place");
	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	atomic_store(&other_rounding, 0);
	fesetround(FE_TOWARDZERO);
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	run_until(yielded, 100);
	for (unsigned int i = 0; i < 2; i++) {
		ids[i] = spawn(USCHED_PREEMPT_YIELD, rounds_upward, &turns[i]);
		ids[2 + i] = spawn(USCHED_PREEMPT_HANDOFF, rounds_as_main_does, NULL);
	}
	join(spawn(USCHED_PREEMPT_HANDOFF, watches, NULL));
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_PTR_NULL(join(ids[i]));
	CU_ASSERT(yielded() >= 100);
	CU_ASSERT_EQUAL(atomic_load(&other_rounding), 0);
	stop();
	fesetround(FE_TONEAREST);
}

static uint64_t spent_by_ticks(void)
{
	uint64_t sum = 0;

	for (unsigned int mode = 0; mode < USCHED_PREEMPT_MODES; mode++)
		for (unsigned int decision = 0; decision < USCHED_DECISION_COUNT; decision++)
			sum += decided(mode, decision);
	return sum;
}

static void every_tick_has_one_outcome(void)
{
	static _Atomic uint64_t turns[3];
	usched_fiber_t ids[3];
	uint64_t ticks = 0;

	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	run_until(spent_by_ticks, 500);
	ids[0] = spawn(USCHED_PREEMPT_YIELD, spins_migratable, &turns[0]);
	ids[1] = spawn(USCHED_PREEMPT_HANDOFF, spins, &turns[1]);
	ids[2] = spawn(USCHED_PREEMPT_HANDOFF, spins, &turns[2]);
	join(spawn(USCHED_PREEMPT_HANDOFF, watches, NULL));
	for (unsigned int i = 0; i < 3; i++)
		join(ids[i]);
	/* The last tick has ended with its carrier: all of them are asleep or gone. */
	usched_threads_stop(runtime);
	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		ticks += get(&runtime->scheduler.workers[i].counters.ticks) +
			 get(&runtime->scheduler.workers[i].counters.notes);
	CU_ASSERT_EQUAL(spent_by_ticks(), ticks);
	CU_ASSERT(ticks >= 500);
	runtime->creator_runs = runtime->monitor_runs = false;
	stop();
}

/* ---- vetoes ---- */

static uint64_t code_vetoes(void) { return vetoed(USCHED_VETO_CODE); }
static uint64_t stack_vetoes(void) { return vetoed(USCHED_VETO_STACK); }
static uint64_t mask_vetoes(void) { return vetoed(USCHED_VETO_MASK); }
static uint64_t frame_vetoes(void) { return vetoed(USCHED_VETO_FRAME); }
static uint64_t caller_vetoes(void) { return vetoed(USCHED_VETO_CALLER); }

/* Two fibers run what is to be vetoed beside each other until it was, often. */
static void vetoed_often(void *(*function)(void *), counter_read *read)
{
	static _Atomic uint64_t turns[2];
	usched_fiber_t ids[2];

	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	run_until(read, 20);
	for (unsigned int i = 0; i < 2; i++)
		ids[i] = spawn(USCHED_PREEMPT_YIELD, function, &turns[i]);
	join(spawn(USCHED_PREEMPT_HANDOFF, watches, NULL));
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_PTR_NULL(join(ids[i]));
	CU_ASSERT(read() >= 20);
	/* A veto does not mean that the fiber goes on: it is handed over. */
	CU_ASSERT(decided(USCHED_PREEMPT_YIELD, USCHED_DECISION_DIRECT) +
		  decided(USCHED_PREEMPT_YIELD, USCHED_DECISION_SPARE) > 0);
}

static void other_code_is_handed_over(void)
{
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	vetoed_often(spins, code_vetoes);
	CU_ASSERT_EQUAL(yielded(), 0);
	stop();
}

struct elsewhere {
	ucontext_t here, there;
	void *argument;
};

static struct elsewhere elsewheres[2];

static void runs_elsewhere(unsigned int which)
{
	spins_migratable(elsewheres[which].argument);
}

/* On a stack of the program's own. */
static void *spins_elsewhere(void *argument)
{
	static _Atomic unsigned int number;
	unsigned int which = atomic_fetch_add(&number, 1) % 2;
	struct elsewhere *own = &elsewheres[which];
	void *stack = malloc(65536);

	own->argument = argument;
	getcontext(&own->there);
	own->there.uc_stack.ss_sp = stack;
	own->there.uc_stack.ss_size = 65536;
	own->there.uc_link = &own->here;
	makecontext(&own->there, (void (*)(void))runs_elsewhere, 1, which);
	swapcontext(&own->here, &own->there);
	free(stack);
	return NULL;
}

static void another_stack_is_handed_over(void)
{
	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
#ifdef USCHED_SANITIZE_ADDRESS
	USCHED_SKIP("asan: does not know this stack");
#endif
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	vetoed_often(spins_elsewhere, stack_vetoes);
	stop();
}

static _Thread_local void *spin_in_handler;

USCHED_MIGRATABLE static void handler_that_spins(int signal)
{
	(void)signal;
	spins_migratable(spin_in_handler);
}

static void *spins_in_a_handler(void *argument)
{
	spin_in_handler = argument;
	raise(SIGUSR1);
	return NULL;
}

static void somebodys_handler_is_handed_over(void)
{
	struct sigaction action = { .sa_handler = handler_that_spins }, old;

	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	sigaction(SIGUSR1, &action, &old);
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	vetoed_often(spins_in_a_handler, mask_vetoes);
	stop();
	sigaction(SIGUSR1, &old, NULL);
}

static void a_larger_frame_is_handed_over(void)
{
	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	/* As if frames had been smaller at the start. */
	atomic_store(&runtime->scheduler.frame_bytes, 64);
	vetoed_often(spins_migratable, frame_vetoes);
	CU_ASSERT_EQUAL(yielded(), 0);
	stop();
}

/* Libraries that call back. Each callback is declared code, and would be switched by itself. */
static _Thread_local void *callback_argument;

USCHED_MIGRATABLE static int compares(const void *first, const void *second)
{
	spins_migratable(callback_argument);
	return *(const int *)first - *(const int *)second;
}

static void *sorts(void *argument)
{
	int values[] = { 3, 1, 2 };

	callback_argument = argument;
	qsort(values, 3, sizeof(values[0]), compares);
	return values[0] == 1 && values[2] == 3 ? NULL : argument;
}

/* Not the header's inline copy. */
static void *(*volatile library_bsearch)(const void *, const void *, size_t, size_t,
					 int (*)(const void *, const void *)) = bsearch;

static void *searches(void *argument)
{
	const int values[] = { 1, 2, 3 }, key = 3;
	const int *found;

	callback_argument = argument;
	found = library_bsearch(&key, values, 3, sizeof(values[0]), compares);
	return found == &values[2] ? NULL : argument;
}

static pthread_once_t once_controls[2];
static _Atomic unsigned int once_number;

USCHED_MIGRATABLE static void happens_once(void)
{
	spins_migratable(callback_argument);
}

static void *does_once(void *argument)
{
	callback_argument = argument;
	return pthread_once(&once_controls[atomic_fetch_add(&once_number, 1) % 2], happens_once) ? argument :
	       NULL;
}

USCHED_MIGRATABLE static int sees_object(struct dl_phdr_info *info, size_t bytes, void *argument)
{
	(void)info;
	(void)bytes;
	spins_migratable(argument);
	return 1;
}

static void *walks_objects(void *argument)
{
	return dl_iterate_phdr(sees_object, argument) == 1 ? NULL : argument;
}

USCHED_MIGRATABLE static int compares_with(const void *first, const void *second, void *argument)
{
	spins_migratable(argument);
	return *(const int *)first - *(const int *)second;
}

static void *sorts_with(void *argument)
{
	int values[] = { 3, 1, 2 };

	qsort_r(values, 3, sizeof(values[0]), compares_with, argument);
	return values[0] == 1 && values[2] == 3 ? NULL : argument;
}

static void *searches_in_turn(void *argument)
{
	const int values[] = { 1, 2, 3 }, key = 2;
	size_t count = 3;

	callback_argument = argument;
	return lfind(&key, values, &count, sizeof(values[0]), compares) == &values[1] ? NULL : argument;
}

static void *searches_a_tree(void *argument)
{
	static const int values[] = { 2, 1, 3 };
	void *root = NULL;

	callback_argument = argument;
	for (unsigned int i = 0; i < 3; i++) {
		if (!tsearch(&values[i], &root, compares))
			return argument;
	}
	for (unsigned int i = 0; i < 3; i++)
		tdelete(&values[i], &root, compares);
	return root;
}

USCHED_MIGRATABLE static int passes_none(const struct dirent *entry)
{
	(void)entry;
	spins_migratable(callback_argument);
	return 0;
}

static void *scans_a_folder(void *argument)
{
	struct dirent **entries = NULL;
	int count;

	callback_argument = argument;
	count = scandir("/proc/self", &entries, passes_none, NULL);
	free(entries);
	return count == 0 ? NULL : argument;
}

USCHED_MIGRATABLE static int visits(const char *path, const struct stat *info, int type,
				    struct FTW *place)
{
	(void)path;
	(void)info;
	(void)type;
	(void)place;
	spins_migratable(callback_argument);
	return 1;
}

static void *walks_a_folder(void *argument)
{
	callback_argument = argument;
	return nftw("/proc/self", visits, 2, FTW_PHYS) == 1 ? NULL : argument;
}

static void callbacks_are_handed_over(void)
{
	static void *(*const functions[])(void *) = {
		sorts, searches, does_once, walks_objects, sorts_with, searches_in_turn,
		searches_a_tree, scans_a_folder, walks_a_folder,
	};
	static const pthread_once_t again = PTHREAD_ONCE_INIT;

	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	for (unsigned int i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		once_controls[0] = once_controls[1] = again;
		start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
		vetoed_often(functions[i], caller_vetoes);
		CU_ASSERT_EQUAL(yielded(), 0);
		stop();
	}
}

static void declared_ranges_are_checked(void)
{
	static const char bytes[USCHED_VETO_COUNT * 100];
	unsigned int added = 0;

	CU_ASSERT_EQUAL(usched_code_add(bytes + 1, bytes), -EINVAL);
	CU_ASSERT_EQUAL(usched_code_add(bytes, bytes), -EINVAL);
	CU_ASSERT_EQUAL(usched_code_remove(bytes, bytes + 1), -ENOENT);
	while (added < 100 && usched_code_add(bytes + added, bytes + added + 1) == 0)
		added++;
	CU_ASSERT(added >= 60 && added <= 64);
	CU_ASSERT_EQUAL(usched_code_add(bytes + added, bytes + added + 1), -ENOSPC);
	CU_ASSERT_EQUAL(usched_code_add(bytes, bytes + 1), 0);	/* known */
	while (added-- > 0)
		CU_ASSERT_EQUAL(usched_code_remove(bytes + added, bytes + added + 1), 0);
	CU_ASSERT_EQUAL(usched_code_remove(bytes, bytes + 1), -ENOENT);
}

/* ---- two deadlocks that do not happen ---- */

static pthread_mutex_t plain_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned int turns_with_mutex;
static int pipe_ends[2];

/* Declared code with a pthread mutex held, against the advice; the kind that has no owner. */
USCHED_MIGRATABLE static void *computes_with_mutex(void *argument)
{
	volatile unsigned int work = 0;

	for (unsigned int i = 0; i < 50; i++) {
		pthread_mutex_lock(&plain_mutex);
		for (unsigned int j = 0; j < 300000; j++)
			work++;
		atomic_fetch_add(&turns_with_mutex, 1);
		pthread_mutex_unlock(&plain_mutex);
	}
	return argument;
}

static void a_yield_fiber_holds_a_pthread_mutex_that_its_sibling_wants(void)
{
	usched_fiber_t ids[4];

	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	atomic_store(&turns_with_mutex, 0);
	for (unsigned int i = 0; i < 4; i++)
		ids[i] = spawn(USCHED_PREEMPT_YIELD, computes_with_mutex, NULL);
	for (unsigned int i = 0; i < 4; i++)
		join(ids[i]);
	CU_ASSERT_EQUAL(atomic_load(&turns_with_mutex), 200);
	stop();
}

static void *reads_byte(void *argument)
{
	char byte = 0;

	return read(pipe_ends[0], &byte, 1) == 1 && byte == 'x' ? NULL : argument;
}

USCHED_MIGRATABLE static void *computes_then_writes(void *argument)
{
	volatile unsigned int work = 0;

	for (unsigned int j = 0; j < 3000000; j++)
		work++;
	return write(pipe_ends[1], "x", 1) == 1 ? NULL : argument;
}

static void a_sibling_blocks_in_read_on_what_a_preempted_fiber_must_write(void)
{
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	for (unsigned int i = 0; i < 10; i++) {
		usched_fiber_t writer = spawn(USCHED_PREEMPT_YIELD, computes_then_writes, &writer);
		usched_fiber_t reader = spawn(USCHED_PREEMPT_YIELD, reads_byte, &reader);

		CU_ASSERT_PTR_NULL(join(reader));
		CU_ASSERT_PTR_NULL(join(writer));
	}
	stop();
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* ---- damage that does happen, to who breaks the promise of declared code ---- */

enum { MUTEXES = 1000, ROUNDS = 100 };

static pthread_mutex_t owned_mutexes[MUTEXES];
static _Atomic int done_with;			/* index + 1 */
static _Atomic long locked_by;			/* the thread that its mutex takes for its owner */
static _Atomic unsigned int entered, not_unlocked;

/* Begins in the thread that the holder was switched away from, which "owns" the mutex. Stopped in mid-run
   it keeps that thread, so that the holder goes on in another. */
static void *enters_an_owned_mutex(void *argument)
{
	int i = (int)(intptr_t)argument;

	if (syscall(SYS_gettid) == atomic_load(&locked_by) &&
	    pthread_mutex_trylock(&owned_mutexes[i]) == 0) {
		/* Two fibers are inside. */
		atomic_fetch_add(&entered, 1);
		pthread_mutex_unlock(&owned_mutexes[i]);
	}
	while (atomic_load(&done_with) <= i)
		;
	return NULL;
}

/* Holds a mutex that knows its owner across a switch in place, until it goes on in another thread. One
   that a tick finds in libc is handed over, and does not: then it tries the next one. */
USCHED_MIGRATABLE static void *holds_an_owned_mutex(void *argument)
{
	for (int i = 0; i < MUTEXES && !(atomic_load(&entered) > 0 && atomic_load(&not_unlocked) > 0); i++) {
		usched_fiber_t other = 0;

		pthread_mutex_lock(&owned_mutexes[i]);
		atomic_store(&locked_by, syscall(SYS_gettid));
		if (usched_spawn(NULL, &other, enters_an_owned_mutex, (void *)(intptr_t)i, NULL))
			return &owned_mutexes;
		for (int round = 0; round < ROUNDS && syscall(SYS_gettid) == atomic_load(&locked_by);
		     round++) {
			for (unsigned int j = 0; j < 100000; j++)
				__asm__ volatile("");
		}
		if (pthread_mutex_unlock(&owned_mutexes[i]) == EPERM)
			atomic_fetch_add(&not_unlocked, 1);
		atomic_store(&done_with, i + 1);
		if (usched_join(other, NULL, USCHED_FOREVER))
			return &owned_mutexes;
	}
	return argument;
}

static void an_owned_mutex_held_across_a_switch_is_damaged(void)
{
	pthread_mutexattr_t attributes;

	if (USCHED_SIGNALS_ARE_DELAYED)
		USCHED_SKIP("tsan: a handler does not run where the signal arrives");
	if (USCHED_ARCH_GENERIC)
		USCHED_SKIP("generic: every stack begins in libc, so nothing is switched in place");
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	for (unsigned int i = 0; i < MUTEXES; i++)
		pthread_mutex_init(&owned_mutexes[i], &attributes);
	pthread_mutexattr_destroy(&attributes);
	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	CU_ASSERT_PTR_NULL(join(spawn(USCHED_PREEMPT_YIELD, holds_an_owned_mutex, NULL)));
	/* Its holder cannot unlock it, and who has the holder's old thread walks in. */
	CU_ASSERT(atomic_load(&not_unlocked) > 0);
	CU_ASSERT(atomic_load(&entered) > 0);
	stop();
}

/* ---- sections and checkpoints ---- */

static uint64_t section_ticks(void)
{
	return decided(USCHED_PREEMPT_HANDOFF, USCHED_DECISION_SECTION);
}

static _Atomic unsigned int sibling_turns;

static void *takes_turns(void *argument)
{
	while (!atomic_load(&enough)) {
		atomic_fetch_add(&sibling_turns, 1);
		usched_yield();
	}
	return argument;
}

/* Nobody else may run between the outermost begin and end, whatever the ticks say. */
static void *computes_in_sections(void *argument)
{
	uintptr_t wrong = 0;

	while (section_ticks() < 20) {
		uint64_t seen, dispatches;
		unsigned int before;

		wrong += usched_preempt_disable() != 0;
		wrong += usched_preempt_disable() != 0;
		before = atomic_load(&sibling_turns);
		seen = section_ticks();
		while (section_ticks() < seen + 3)
			;
		wrong += usched_preempt_enable() != 0;
		wrong += atomic_load(&sibling_turns) != before;
		dispatches = atomic_load(&worker()->counters.dispatches);
		/* A tick came: the sibling has its turn. It may have been stopped right before
		   its yield, so it is the dispatches that tell: its own, and ours. */
		wrong += usched_preempt_enable() != 0;
		wrong += atomic_load(&worker()->counters.dispatches) < dispatches + 2;
	}
	wrong += usched_preempt_enable() != -EPERM;
	atomic_store(&enough, true);
	(void)argument;
	return (void *)wrong;
}

static void sections_nest_and_delay_ticks(void)
{
	usched_fiber_t sibling, other;

	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	atomic_store(&enough, false);
	sibling = spawn(USCHED_PREEMPT_HANDOFF, takes_turns, NULL);
	other = spawn(USCHED_PREEMPT_HANDOFF, computes_in_sections, NULL);
	CU_ASSERT_PTR_NULL(join(other));
	join(sibling);
	stop();
	/* Outside a fiber they mean nothing. */
	CU_ASSERT_EQUAL(usched_preempt_disable(), 0);
	CU_ASSERT_EQUAL(usched_preempt_enable(), 0);
	CU_ASSERT_EQUAL(usched_checkpoint(), 0);
}

/* A NEVER fiber lets others run at its checkpoints, and there only, and only when it is time. */
static void *computes_with_checkpoints(void *argument)
{
	uintptr_t wrong = 0;
	unsigned int let_run = 0;

	for (unsigned int i = 0; i < 100000000 && let_run < 10; i++) {
		unsigned int before = atomic_load(&sibling_turns);
		volatile unsigned int work = 0;

		for (unsigned int j = 0; j < 1000; j++)
			work++;
		wrong += atomic_load(&sibling_turns) != before;
		wrong += usched_checkpoint() != 0;
		let_run += atomic_load(&sibling_turns) != before;
	}
	atomic_store(&enough, true);
	(void)argument;
	return (void *)(wrong + (let_run < 10));
}

static void a_checkpoint_lets_others_run_when_the_slice_is_over(void)
{
	usched_fiber_t sibling, other;

	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	atomic_store(&enough, false);
	sibling = spawn(USCHED_PREEMPT_HANDOFF, takes_turns, NULL);
	other = spawn(USCHED_PREEMPT_NEVER, computes_with_checkpoints, NULL);
	CU_ASSERT_PTR_NULL(join(other));
	join(sibling);
	stop();
}

/* ---- budgets ---- */

static struct usched_channel *channel;
static _Atomic uint64_t first_turns;
static _Atomic uint64_t sent;

static void *sends_without_waiting(void *argument)
{
	uint64_t count = (uintptr_t)argument;

	for (uint64_t i = 0; i < count; i++) {
		if (usched_channel_send(channel, &i, USCHED_FOREVER))
			return &sent;
		atomic_fetch_add(&sent, 1);
	}
	return NULL;
}

static uint64_t seen_by_sibling[8];

static void *looks(void *argument)
{
	(void)argument;
	for (unsigned int i = 0; i < 8; i++) {
		seen_by_sibling[i] = atomic_load(&sent);
		usched_yield();
	}
	return NULL;
}

static void a_sender_that_never_waits_lets_others_run_after_its_budget(void)
{
	static const uint32_t budgets[] = { 1, 7, 16, 100, 1000 };

	for (unsigned int i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
		uint32_t budget = budgets[i];
		usched_fiber_t sender, sibling;

		start(USCHED_QUANTUM_OFF, USCHED_WAKEUP_OFF, budget);
		CU_ASSERT_EQUAL(usched_channel_create(&channel, sizeof(uint64_t), 100000), 0);
		atomic_store(&sent, 0);
		/* Both are there before either runs: the first holds the worker until then. */
		atomic_store(&enough, false);
		{
			usched_fiber_t first = spawn(USCHED_PREEMPT_NEVER, spins, &first_turns);

			while (get(&worker()->counters.dispatches) == 0)
				;
			sender = spawn(USCHED_PREEMPT_HANDOFF, sends_without_waiting,
				       (void *)(uintptr_t)(10 * budget));
			sibling = spawn(USCHED_PREEMPT_HANDOFF, looks, NULL);
			atomic_store(&sent, 0);
			atomic_store(&enough, true);
			join(first);
		}
		CU_ASSERT_PTR_NULL(join(sender));
		join(sibling);
		/* The last send of each slice yields before it returns to be counted. */
		for (unsigned int turn = 0; turn < 8; turn++)
			CU_ASSERT_EQUAL(seen_by_sibling[turn] + 1, (turn + 1) * (uint64_t)budget);
		CU_ASSERT(get(&worker()->counters.budget_yields) >= 8);
		while (usched_channel_receive(channel, &(uint64_t){ 0 }, USCHED_NOW) == 0)
			;
		CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
		stop();
	}
}

static void without_a_budget_nobody_is_interrupted(void)
{
	usched_fiber_t sender, sibling, first;

	start(USCHED_QUANTUM_OFF, USCHED_WAKEUP_OFF, USCHED_BUDGET_OFF);
	CU_ASSERT_EQUAL(usched_channel_create(&channel, sizeof(uint64_t), 100000), 0);
	atomic_store(&enough, false);
	first = spawn(USCHED_PREEMPT_NEVER, spins, &first_turns);
	while (get(&worker()->counters.dispatches) == 0)
		;
	sender = spawn(USCHED_PREEMPT_HANDOFF, sends_without_waiting, (void *)(uintptr_t)50000);
	sibling = spawn(USCHED_PREEMPT_HANDOFF, looks, NULL);
	atomic_store(&sent, 0);
	atomic_store(&enough, true);
	join(first);
	CU_ASSERT_PTR_NULL(join(sender));
	join(sibling);
	CU_ASSERT_EQUAL(seen_by_sibling[0], 50000);
	while (usched_channel_receive(channel, &(uint64_t){ 0 }, USCHED_NOW) == 0)
		;
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	stop();
}

/* ---- quanta and priorities ---- */

static uint64_t off_ticks(void)
{
	return decided(USCHED_PREEMPT_HANDOFF, USCHED_DECISION_OFF);
}

static uint64_t preemptions_of(enum usched_preempt mode)
{
	return decided(mode, USCHED_DECISION_DIRECT) + decided(mode, USCHED_DECISION_SPARE);
}

static void *spins_until_off_tick(void *argument)
{
	_Atomic uint64_t *turns = argument;

	/* Alone it needs no tick, and there may be none left from the other one: then that goes
	   first, again. */
	while (off_ticks() == 0) {
		for (unsigned int i = 0; i < 100000 && off_ticks() == 0; i++)
			turn(turns);
		usched_yield();
	}
	return NULL;
}

static void *yields_until_off_tick(void *argument)
{
	while (off_ticks() == 0)
		usched_yield();
	return argument;
}

static void a_fiber_has_a_quantum_of_its_own(void)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	static _Atomic uint64_t turns[2];
	usched_fiber_t loops[2], other;

	/* One without a quantum beside one with: the other's tick finds it, and goes on. */
	start(200000, USCHED_WAKEUP_OFF, USCHED_BUDGET_DEFAULT);
	other = spawn(USCHED_PREEMPT_HANDOFF, yields_until_off_tick, NULL);
	options.quantum_ns = USCHED_QUANTUM_OFF;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &loops[0], spins_until_off_tick, &turns[0], &options),
			0);
	join(loops[0]);
	join(other);
	stop();

	/* None has one but this one. */
	start(USCHED_QUANTUM_OFF, USCHED_WAKEUP_OFF, USCHED_BUDGET_DEFAULT);
	atomic_store(&enough, false);
	options.quantum_ns = 200000;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &loops[0], spins, &turns[0], &options), 0);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &loops[1], spins, &turns[1], &options), 0);
	while (preemptions_of(USCHED_PREEMPT_HANDOFF) < 20)
		usched_sleep_until(usched_after(1000000));
	CU_ASSERT_EQUAL(usched_set_quantum(loops[0], USCHED_QUANTUM_DEFAULT), 0);
	CU_ASSERT_EQUAL(usched_set_quantum(loops[0], 5), -ERANGE);
	CU_ASSERT_EQUAL(usched_set_quantum(loops[0], 300000), 0);
	atomic_store(&enough, true);
	join(loops[0]);
	join(loops[1]);
	CU_ASSERT_EQUAL(usched_set_quantum(loops[0], 300000), -ESRCH);
	options.quantum_ns = 7;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &other, spins, NULL, &options), -EINVAL);
	stop();
}

static void *counts_down(void *argument)
{
	unsigned int *left = argument;

	while (--*left > 0)
		usched_yield();
	return NULL;
}

static void a_high_fiber_that_never_waits_starves_nobody(void)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	unsigned int left[2] = { 5, 5 };
	static _Atomic uint64_t turns;
	usched_fiber_t high, others[2];

	start(1000000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	atomic_store(&enough, false);
	options.priority = USCHED_PRIORITY_HIGH;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &high, spins, &turns, &options), 0);
	options.priority = USCHED_PRIORITY_NORMAL;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &others[0], counts_down, &left[0], &options), 0);
	options.priority = USCHED_PRIORITY_LOW;
	CU_ASSERT_EQUAL(usched_spawn(runtime, &others[1], counts_down, &left[1], &options), 0);
	join(others[0]);
	join(others[1]);
	atomic_store(&enough, true);
	join(high);
	stop();
}

/* ---- wake-up preemption, and rest ---- */

static uint64_t urgent(void)
{
	return get(&worker()->counters.urgent) + get(&worker()->taken_urgent);
}

static void *sleeps_often(void *argument)
{
	for (unsigned int i = 0; i < 100; i++)
		usched_sleep_until(usched_after(200000));
	atomic_store(&enough, true);
	return argument;
}

static void a_sleeper_does_not_wait_for_the_quantum_of_a_hog(void)
{
	static _Atomic uint64_t turns;
	usched_fiber_t hog, sleeper;

	/* With quanta alone this would take 100 times 1 s, more than the case may take. */
	start(USCHED_QUANTUM_MAX_NS, 50000, USCHED_BUDGET_DEFAULT);
	atomic_store(&enough, false);
	hog = spawn(USCHED_PREEMPT_HANDOFF, spins, &turns);
	sleeper = spawn(USCHED_PREEMPT_HANDOFF, sleeps_often, NULL);
	join(sleeper);
	join(hog);
	CU_ASSERT(urgent() > 50);
	stop();
}

static void *echoes(void *argument)
{
	char byte;
	size_t got;

	for (unsigned int i = 0; i < 50; i++) {
		if (usched_read(pipe_ends[0], &byte, 1, &got, USCHED_FOREVER) || got != 1)
			return &pipe_ends;
		if (usched_channel_send(channel, &byte, USCHED_FOREVER))
			return &pipe_ends;
	}
	(void)argument;
	return NULL;
}

static void input_does_not_wait_for_the_quantum_of_a_hog(void)
{
	static _Atomic uint64_t turns;
	usched_fiber_t hog, reader;

	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	CU_ASSERT_EQUAL(usched_channel_create(&channel, 1, 1), 0);
	start(USCHED_QUANTUM_MAX_NS, 50000, USCHED_BUDGET_DEFAULT);
	atomic_store(&enough, false);
	reader = spawn(USCHED_PREEMPT_HANDOFF, echoes, NULL);
	hog = spawn(USCHED_PREEMPT_HANDOFF, spins, &turns);
	/* This thread is outside: its messages come in by the inbox, or by a descriptor. */
	for (unsigned int i = 0; i < 50; i++) {
		char byte = (char)i, back = (char)~i;

		/* Only once the hog runs again. */
		for (uint64_t from = get(&turns); get(&turns) == from; )
			usched_sleep_until(usched_after(100000));
		CU_ASSERT_EQUAL(write(pipe_ends[1], &byte, 1), 1);
		CU_ASSERT_EQUAL(usched_channel_receive(channel, &back, SOON), 0);
		CU_ASSERT_EQUAL(back, byte);
	}
	CU_ASSERT_PTR_NULL(join(reader));
	CU_ASSERT(urgent() > 25);
	atomic_store(&enough, true);
	join(hog);
	stop();
	CU_ASSERT_EQUAL(usched_channel_free(channel), 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static void wake_up_preemption_can_be_off(void)
{
	static _Atomic uint64_t turns;
	usched_fiber_t hog, sleeper;

	start(1000000, USCHED_WAKEUP_OFF, USCHED_BUDGET_DEFAULT);
	atomic_store(&enough, false);
	hog = spawn(USCHED_PREEMPT_HANDOFF, spins, &turns);
	sleeper = spawn(USCHED_PREEMPT_HANDOFF, sleeps_often, NULL);
	join(sleeper);
	join(hog);
	CU_ASSERT_EQUAL(urgent(), 0);
	stop();
}

static uint64_t rests(void)
{
	return get(&worker()->counters.tick_stops);
}

static void *spins_until_rest(void *argument)
{
	_Atomic uint64_t *turns = argument;
	uint64_t before = rests();

	while (rests() == before)
		turn(turns);
	return NULL;
}

static void who_is_alone_takes_no_ticks(void)
{
	static _Atomic uint64_t turns[2];
	usched_fiber_t loops[2];

	start(200000, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	for (unsigned int i = 0; i < 10; i++) {
		uint64_t ticks, preempted;

		atomic_store(&enough, false);
		join(spawn(USCHED_PREEMPT_HANDOFF, spins_until_rest, &turns[0]));
		ticks = rests();
		loops[0] = spawn(USCHED_PREEMPT_HANDOFF, spins, &turns[0]);
		while (rests() == ticks)
			usched_sleep_until(usched_after(100000));
		/* Asleep it stays, however long it runs: what passes is a count of its turns. */
		ticks = get(&worker()->counters.ticks);
		for (uint64_t from = get(&turns[0]); get(&turns[0]) < from + 10000000; )
			usched_sleep_until(usched_after(1000000));
		CU_ASSERT_EQUAL(get(&worker()->counters.ticks), ticks);
		/* Another one, from outside: ticks are back, and both get on. */
		preempted = preemptions_of(USCHED_PREEMPT_HANDOFF);
		loops[1] = spawn(USCHED_PREEMPT_HANDOFF, spins, &turns[1]);
		while (preemptions_of(USCHED_PREEMPT_HANDOFF) < preempted + 5)
			usched_sleep_until(usched_after(1000000));
		atomic_store(&enough, true);
		join(loops[0]);
		join(loops[1]);
	}
	stop();
}

static bool quantum_comes_to(uint64_t least_ns, uint64_t most_ns)
{
	uint64_t end_ns = usched_after(UINT64_C(20000000000)), quantum_ns;

	do {
		usched_sleep_until(usched_after(1000000));
		quantum_ns = atomic_load(&worker()->quanta_ns[USCHED_PRIORITY_NORMAL]);
	} while ((quantum_ns < least_ns || quantum_ns > most_ns) && usched_now() < end_ns);
	return quantum_ns >= least_ns && quantum_ns <= most_ns;
}

/* Ten milliseconds among four is 2.5 each; among one alone all ten; never below the least. */
static void an_automatic_quantum_follows_the_queue(void)
{
	static _Atomic uint64_t turns;
	usched_fiber_t ids[4];

	start(USCHED_QUANTUM_AUTO, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	atomic_store(&enough, false);
	CU_ASSERT(quantum_comes_to(10000000, 10000000));
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[i], spins, &turns, NULL), 0);
	CU_ASSERT(quantum_comes_to(2000000, 4000000));
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "auto_min", 5000000), 0);
	CU_ASSERT(quantum_comes_to(5000000, 5000000));
	atomic_store(&enough, true);
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(usched_join(ids[i], NULL, SOON), 0);
	/* It lengthens as the monitor sees the queue empty: somebody has to run meanwhile. */
	atomic_store(&enough, false);
	CU_ASSERT_EQUAL(usched_spawn(runtime, &ids[0], spins, &turns, NULL), 0);
	CU_ASSERT(quantum_comes_to(10000000, 10000000));
	CU_ASSERT(atomic_load(&worker()->automatic_changes) >= 2);
	atomic_store(&enough, true);
	CU_ASSERT_EQUAL(usched_join(ids[0], NULL, SOON), 0);
	stop();
}

static void quanta_are_tuned_at_every_level(void)
{
	char node[32];

	start(USCHED_QUANTUM_DEFAULT, USCHED_WAKEUP_DEFAULT, USCHED_BUDGET_DEFAULT);
	snprintf(node, sizeof(node), "quantum.node%u", worker()->node);
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "quantum", 20000000), 0);
	CU_ASSERT(quantum_comes_to(20000000, 20000000));
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, node, 30000000), 0);
	CU_ASSERT(quantum_comes_to(30000000, 30000000));
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "quantum.normal", 40000000), 0);
	CU_ASSERT(quantum_comes_to(40000000, 40000000));
	CU_ASSERT_EQUAL(atomic_load(&worker()->quanta_ns[USCHED_PRIORITY_HIGH]), 30000000);
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "quantum.normal", USCHED_QUANTUM_DEFAULT), 0);
	CU_ASSERT(quantum_comes_to(30000000, 30000000));
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "budget", 5), 0);
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "quantum.high", USCHED_QUANTUM_OFF), 0);
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, node, USCHED_QUANTUM_DEFAULT), 0);
	CU_ASSERT(quantum_comes_to(20000000, 20000000));
	CU_ASSERT_EQUAL(atomic_load(&worker()->quanta_ns[USCHED_PRIORITY_HIGH]), USCHED_QUANTUM_OFF);
	CU_ASSERT_EQUAL(atomic_load(&runtime->scheduler.budget), 5);
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "quantun", 1000000), -EINVAL);
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "quantum.fiber1", 1000000), -EINVAL);
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "quantum.node16", 1000000), -EINVAL);
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "quantum", USCHED_QUANTUM_DEFAULT), -ERANGE);
	CU_ASSERT_EQUAL(usched_runtime_tune(runtime, "wakeup", 1), -ERANGE);
	stop();
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "declared_code_is_switched_in_place", declared_code_is_switched_in_place },
		{ "rounding_stays_with_the_fiber", rounding_stays_with_the_fiber },
		{ "every_tick_has_one_outcome", every_tick_has_one_outcome },
		{ "other_code_is_handed_over", other_code_is_handed_over },
		{ "another_stack_is_handed_over", another_stack_is_handed_over },
		{ "somebodys_handler_is_handed_over", somebodys_handler_is_handed_over },
		{ "a_larger_frame_is_handed_over", a_larger_frame_is_handed_over },
		{ "callbacks_are_handed_over", callbacks_are_handed_over },
		{ "declared_ranges_are_checked", declared_ranges_are_checked },
		{ "a_yield_fiber_holds_a_pthread_mutex_that_its_sibling_wants",
		  a_yield_fiber_holds_a_pthread_mutex_that_its_sibling_wants },
		{ "a_sibling_blocks_in_read_on_what_a_preempted_fiber_must_write",
		  a_sibling_blocks_in_read_on_what_a_preempted_fiber_must_write },
		{ "an_owned_mutex_held_across_a_switch_is_damaged",
		  an_owned_mutex_held_across_a_switch_is_damaged },
		{ "sections_nest_and_delay_ticks", sections_nest_and_delay_ticks },
		{ "a_checkpoint_lets_others_run_when_the_slice_is_over",
		  a_checkpoint_lets_others_run_when_the_slice_is_over },
		{ "a_sender_that_never_waits_lets_others_run_after_its_budget",
		  a_sender_that_never_waits_lets_others_run_after_its_budget },
		{ "without_a_budget_nobody_is_interrupted",
		  without_a_budget_nobody_is_interrupted },
		{ "a_fiber_has_a_quantum_of_its_own", a_fiber_has_a_quantum_of_its_own },
		{ "a_high_fiber_that_never_waits_starves_nobody",
		  a_high_fiber_that_never_waits_starves_nobody },
		{ "a_sleeper_does_not_wait_for_the_quantum_of_a_hog",
		  a_sleeper_does_not_wait_for_the_quantum_of_a_hog },
		{ "input_does_not_wait_for_the_quantum_of_a_hog",
		  input_does_not_wait_for_the_quantum_of_a_hog },
		{ "wake_up_preemption_can_be_off", wake_up_preemption_can_be_off },
		{ "who_is_alone_takes_no_ticks", who_is_alone_takes_no_ticks },
		{ "an_automatic_quantum_follows_the_queue", an_automatic_quantum_follows_the_queue },
		{ "quanta_are_tuned_at_every_level", quanta_are_tuned_at_every_level },
	};

	return usched_test_main("modes", tests, sizeof(tests) / sizeof(tests[0]));
}
