/* SPDX-License-Identifier: MIT */
/*
 * Where a fiber may be stopped, as a program causes it: declared code is switched in place, and what is
 * vetoed is handed over.
 *
 * The workers' own counters say which row of the decision table was taken.
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
#include <stdlib.h>
#include <ucontext.h>

#include <usched/usched.h>

#include "decided.h"
#include "harness.h"
#include "preempt/code.h"

static uint64_t vetoed(enum usched_veto veto)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++)
		sum += get(&runtime->scheduler.workers[i].counters.vetoes[veto]);
	return sum;
}

/* Cases run until the counter that they are about has moved so far, at the pace of the machine. */
typedef uint64_t counter_read(void);

static counter_read *awaited;
static uint64_t awaited_count;

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

USCHED_MIGRATABLE static void *spins_migratable(void *argument)
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
	};

	return usched_test_main("modes", tests, sizeof(tests) / sizeof(tests[0]));
}
