/* SPDX-License-Identifier: MIT */
/*
 * Two stacks must be switched so that nothing which the ABI promises to a caller is lost, whatever
 * thread goes on and whatever signals come. The cases below go through arch/context.h, arch/cpu.h and
 * arch/sanitize.h as the core does.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch/context.h"
#include "arch/cpu.h"
#include "arch/float_environment.h"
#include "arch/sanitize.h"
#include "harness.h"
#include "parties.h"
#include "step_registers.h"

enum {
	RING = 16,
	MILLION = 1000000,
	STORM_SIGNALS = 1000,
	/* The ucontext switch makes system calls, and emulators and sanitizers are slow. */
	ROUNDS = USCHED_ARCH_GENERIC || USCHED_ASAN || USCHED_TSAN ? MILLION / 20 : MILLION,
};

/* As a fiber with a floating-point environment of its own is left. */
static struct usched_float_environment shared;

static void go_fp(struct party *from, struct party *to)
{
	struct usched_float_environment own, others;

	usched_float_environment_swap(&own, &shared);
	go(from, to);
	usched_float_environment_swap(&others, &own);
}

static void this_process_can_be_switched(void)
{
	CU_ASSERT_EQUAL(usched_arch_check(), 0);
}

/* ---- two contexts ----------------------------------------------------------------------------- */

static const struct usched_context *count_entry(void *argument)
{
	struct pair *pair = argument;

	arrive(&pair->fiber);
	pair->seen_argument = argument;
	for (;;) {
		pair->count++;
		go(&pair->fiber, &pair->main);
	}
	return NULL;
}

/* A million round trips arrive where they should, with the argument given at the start. */
static void a_million_round_trips(void)
{
	struct pair pair = { 0 };

	native(&pair.main);
	make(&pair.fiber, count_entry, &pair);
	for (unsigned long i = 0; i < ROUNDS; i++) {
		go(&pair.main, &pair.fiber);
		if (pair.count != i + 1)
			break;
	}
	CU_ASSERT_EQUAL(pair.count, ROUNDS);
	CU_ASSERT_PTR_EQUAL(pair.seen_argument, &pair);
	unmake(&pair.fiber);
}

/* ---- a ring ----------------------------------------------------------------------------------- */

struct ring {
	struct party main;
	struct party fiber[RING];
	unsigned long order_errors;
	unsigned long steps;
	unsigned int next;
};

struct ring_seat {
	struct ring *ring;
	unsigned int index;
};

static const struct usched_context *ring_entry(void *argument)
{
	struct ring_seat seat = *(struct ring_seat *)argument;
	struct ring *ring = seat.ring;
	struct party *self = &ring->fiber[seat.index];

	arrive(self);
	for (;;) {
		if (ring->next != seat.index)
			ring->order_errors++;
		ring->steps++;
		ring->next = (seat.index + 1) % RING;
		go(self, seat.index + 1 < RING ? &ring->fiber[seat.index + 1] : &ring->main);
	}
	return NULL;
}

/* Sixteen fibers pass the turn on directly, and each knows who it is. */
static void a_ring_of_sixteen(void)
{
	static struct ring ring;
	struct ring_seat seat[RING];

	memset(&ring, 0, sizeof(ring));
	native(&ring.main);
	for (unsigned int i = 0; i < RING; i++) {
		seat[i].ring = &ring;
		seat[i].index = i;
		make(&ring.fiber[i], ring_entry, &seat[i]);
	}
	for (unsigned long i = 0; i < ROUNDS / RING; i++)
		go(&ring.main, &ring.fiber[0]);
	CU_ASSERT_EQUAL(ring.order_errors, 0);
	CU_ASSERT_EQUAL(ring.steps, (unsigned long)(ROUNDS / RING) * RING);
	for (unsigned int i = 0; i < RING; i++)
		unmake(&ring.fiber[i]);
}

/* ---- callee-saved registers ------------------------------------------------------------------- */

#if STEP_REGISTERS > 0

struct keeper {
	struct party main, fiber;
	step_switch_function *function;
	unsigned long errors;
	uint64_t seed;
};

static void fill(struct step_registers *registers, uint64_t seed)
{
	for (unsigned int i = 0; i < STEP_REGISTERS; i++)
		registers->value[i] = (seed + i + 1) * 0x9e3779b97f4a7c15U;
}

/* Returns how many registers changed across the switch. */
static unsigned long switch_and_compare(struct keeper *keeper, struct party *from, struct party *to,
					uint64_t seed)
{
	struct step_registers before, after;
	unsigned long changed = 0;

	fill(&before, seed);
	after = before;
	usched_sanitize_switch_begin(&from->sanitize, &to->sanitize);
	step_switch(&from->context, &to->context, &after, keeper->function);
	usched_sanitize_switch_finish(&from->sanitize);
	for (unsigned int i = 0; i < STEP_REGISTERS; i++)
		changed += after.value[i] != before.value[i];
	return changed;
}

static const struct usched_context *keeper_entry(void *argument)
{
	struct keeper *keeper = argument;

	arrive(&keeper->fiber);
	for (uint64_t seed = 1000000;; seed++)
		keeper->errors += switch_and_compare(keeper, &keeper->fiber, &keeper->main, seed);
	return NULL;
}

static void keep_registers(step_switch_function *function)
{
	struct keeper keeper = { .function = function };

	native(&keeper.main);
	make(&keeper.fiber, keeper_entry, &keeper);
	for (uint64_t seed = 0; seed < 1000; seed++)
		keeper.errors += switch_and_compare(&keeper, &keeper.main, &keeper.fiber, seed);
	CU_ASSERT_EQUAL(keeper.errors, 0);
	unmake(&keeper.fiber);
}

#endif

/* Each callee-saved register has its own value on both sides, and keeps it. */
static void registers_are_kept(void)
{
#if STEP_REGISTERS > 0
	keep_registers(usched_arch_switch);
#else
	USCHED_SKIP("cpu: no register helper for this CPU");
#endif
}

/* ---- FP control ------------------------------------------------------------------------------- */

struct fp_words {
	uint64_t control;
	uint64_t x87;
};

#if defined(__x86_64__)
static void fp_read(struct fp_words *words)
{
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(x87));
	words->control = mxcsr & 0xffc0;
	words->x87 = x87;
}

static void fp_round_up(void)
{
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(x87));
	mxcsr |= 0x4000;
	x87 |= 0x0800;
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87));
}
#elif defined(__aarch64__)
static void fp_read(struct fp_words *words)
{
	__asm__ volatile("mrs %0, fpcr" : "=r"(words->control));
	words->x87 = 0;
}

static void fp_round_up(void)
{
	uint64_t fpcr;

	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	__asm__ volatile("msr fpcr, %0" : : "r"(fpcr | 1UL << 22));
}
#else
static void fp_read(struct fp_words *words)
{
	memset(words, 0, sizeof(*words));
}

static void fp_round_up(void)
{
}
#endif

struct fp_case {
	struct party main, declared, plain;
	struct fp_words declared_before, declared_after, plain_saw;
	struct usched_float_environment gone;
};

static bool fp_equal(const struct fp_words *a, const struct fp_words *b)
{
	return a->control == b->control && a->x87 == b->x87;
}

static const struct usched_context *fp_declared_entry(void *argument)
{
	struct fp_case *fp = argument;

	arrive(&fp->declared);
	fp_round_up();
	fp_read(&fp->declared_before);
	go_fp(&fp->declared, &fp->main);
	fp_read(&fp->declared_after);
	go_fp(&fp->declared, &fp->plain);
	usched_float_environment_swap(&fp->gone, &shared);
	leave(&fp->main);
}

static const struct usched_context *fp_plain_entry(void *argument)
{
	struct fp_case *fp = argument;

	arrive(&fp->plain);
	fp_read(&fp->plain_saw);
	go(&fp->plain, &fp->declared);
	abort();
}

/* A declared fiber keeps its rounding mode, and nobody else gets it. */
static void fp_control_is_kept_apart(void)
{
	struct fp_case fp = { 0 };
	struct fp_words before, between, after;

	usched_float_environment_capture(&shared);
	native(&fp.main);
	make(&fp.declared, fp_declared_entry, &fp);
	make(&fp.plain, fp_plain_entry, &fp);
	fp_read(&before);
	go(&fp.main, &fp.declared);
	fp_read(&between);
	go(&fp.main, &fp.declared);
	fp_read(&after);
#if defined(__x86_64__) || defined(__aarch64__)
	CU_ASSERT_FALSE(fp_equal(&before, &fp.declared_before));
#endif
	CU_ASSERT(fp_equal(&before, &between));
	CU_ASSERT(fp_equal(&before, &fp.plain_saw));
	CU_ASSERT(fp_equal(&before, &after));
	CU_ASSERT(fp_equal(&fp.declared_before, &fp.declared_after));
	unmake(&fp.declared);
	unmake(&fp.plain);
}

static const struct usched_context *fp_sharing_entry(void *argument)
{
	struct fp_case *fp = argument;

	arrive(&fp->plain);
	fp_round_up();
	fp_read(&fp->plain_saw);
	go(&fp->plain, &fp->main);
	abort();
}

/* The plain switch does not touch FP control, which is what makes it fast. */
static void fp_control_is_shared_by_plain_contexts(void)
{
	struct fp_case fp = { 0 };
	struct fp_words after;

	if (USCHED_ARCH_GENERIC)
		USCHED_SKIP("generic: ucontext always switches FP state");
	usched_float_environment_capture(&shared);
	native(&fp.main);
	make(&fp.plain, fp_sharing_entry, &fp);
	go(&fp.main, &fp.plain);
	fp_read(&after);
	usched_float_environment_swap(&fp.gone, &shared);
	CU_ASSERT(fp_equal(&after, &fp.plain_saw));
	unmake(&fp.plain);
}

/* ---- the thread slot -------------------------------------------------------------------------- */

USCHED_DECLARE_THREAD_SLOT(test_slot, struct party *);
USCHED_DEFINE_THREAD_SLOT(test_slot, struct party *);

struct mover {
	struct party *home;		/* whom the fiber leaves to */
	struct party fiber;
	struct party *before[16], *after[16];
	unsigned int count;
};

/* Inlining, merging and keeping across go() are what the accessor must forbid. */
static const struct usched_context *mover_entry(void *argument)
{
	struct mover *mover = argument;

	arrive(&mover->fiber);
	for (;;) {
		mover->before[mover->count] = test_slot_get();
		go(&mover->fiber, test_slot_get());
		mover->after[mover->count] = test_slot_get();
		mover->count++;
		go(&mover->fiber, test_slot_get());
	}
	return NULL;
}

static void *mover_thread(void *argument)
{
	struct mover *mover = argument;
	struct party self;

	native(&self);
	if (test_slot_get() != NULL)
		abort();
	test_slot_set(&self);
	go(&self, &mover->fiber);
	/* Compared here: `self` is gone when main looks. */
	return (void *)(uintptr_t)(mover->after[mover->count - 1] == &self);
}

/* A fiber that goes on on another thread reads the other thread's slot. */
static void the_thread_slot_follows_the_thread(void)
{
	struct mover mover = { 0 };
	struct party main_party;

	native(&main_party);
	test_slot_set(&main_party);
	make(&mover.fiber, mover_entry, &mover);
	for (unsigned int i = 0; i < 16; i++) {
		pthread_t thread;
		void *same = NULL;

		go(&main_party, &mover.fiber);
		CU_ASSERT_PTR_EQUAL(mover.before[i], &main_party);
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, mover_thread, &mover), 0);
		CU_ASSERT_EQUAL_FATAL(pthread_join(thread, &same), 0);
		CU_ASSERT_EQUAL(mover.count, i + 1);
		CU_ASSERT_PTR_NOT_NULL(same);
		CU_ASSERT_PTR_EQUAL(test_slot_get(), &main_party);
	}
	unmake(&mover.fiber);
}

/* ---- signals ---------------------------------------------------------------------------------- */

static struct storm {
	struct pair pair;
	pthread_t target;
	_Atomic unsigned long handled;
	_Atomic bool stop;
	_Atomic unsigned long strange;
} storm;

static void storm_handler(int number, siginfo_t *info, void *frame)
{
	volatile char scratch[1024];
	uintptr_t sp = usched_arch_sp(frame);
	uintptr_t here = (uintptr_t)scratch;

	(void)number;
	(void)info;
	for (size_t i = 0; i < sizeof(scratch); i++)
		scratch[i] = (char)i;
	/*
	 * The handler stands below what it interrupted, on the same stack. Not so with sanitizers:
	 * their frames may be elsewhere, and ThreadSanitizer delivers signals later.
	 */
	if (!USCHED_ASAN && !USCHED_TSAN && sp != 0 && (here > sp || sp - here > STACK_BYTES))
		atomic_fetch_add_explicit(&storm.strange, 1, memory_order_relaxed);
	if (usched_arch_pc(frame) == 0 && sp != 0)
		atomic_fetch_add_explicit(&storm.strange, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&storm.handled, 1, memory_order_relaxed);
}

static void *storm_sender(void *argument)
{
	unsigned long sent = 0;

	(void)argument;
	/* One at a time: wait until the last one was handled. Relaxed: only a count. */
	while (!atomic_load_explicit(&storm.stop, memory_order_relaxed)) {
		if (atomic_load_explicit(&storm.handled, memory_order_relaxed) >= sent) {
			pthread_kill(storm.target, SIGUSR1);
			sent++;
		}
		sched_yield();
	}
	return NULL;
}

/* Signals that land anywhere in a busy switch, on whichever stack, harm neither side. */
static void a_signal_storm_harms_nothing(void)
{
	struct sigaction action = { .sa_sigaction = storm_handler, .sa_flags = SA_SIGINFO };
	struct sigaction before;
	pthread_t sender;
	unsigned long trips = 0;

	memset(&storm, 0, sizeof(storm));
	storm.target = pthread_self();
	sigemptyset(&action.sa_mask);
	CU_ASSERT_EQUAL_FATAL(sigaction(SIGUSR1, &action, &before), 0);
	native(&storm.pair.main);
	make(&storm.pair.fiber, count_entry, &storm.pair);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&sender, NULL, storm_sender, NULL), 0);
	while (atomic_load_explicit(&storm.handled, memory_order_relaxed) < STORM_SIGNALS &&
	       trips < 1000UL * MILLION) {
		go(&storm.pair.main, &storm.pair.fiber);
		/* With one CPU the sender runs when we let it. */
		if (++trips % 4096 == 0)
			sched_yield();
	}
	atomic_store_explicit(&storm.stop, true, memory_order_relaxed);
	pthread_join(sender, NULL);
	sigaction(SIGUSR1, &before, NULL);
	CU_ASSERT(atomic_load(&storm.handled) >= STORM_SIGNALS);
	CU_ASSERT_EQUAL(atomic_load(&storm.strange), 0);
	CU_ASSERT_EQUAL(storm.pair.count, trips);
	unmake(&storm.pair.fiber);
}

/* ---- for information -------------------------------------------------------------------------- */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

struct bench {
	struct usched_context main, fiber;
	step_switch_function *function;
};

static const struct usched_context *bench_entry(void *argument)
{
	struct bench *bench = argument;

	for (;;)
		bench->function(&bench->fiber, &bench->main);
	return NULL;
}

static double bench_one(step_switch_function *function)
{
	struct bench bench = { .function = function };
	char *stack = aligned_alloc(64, STACK_BYTES);
	double best = 0;

	if (stack == NULL)
		abort();
	usched_arch_context_init(&bench.fiber, stack, stack + STACK_BYTES, bench_entry, &bench);
	for (unsigned int run = 0; run < 5; run++) {
		double ns = now_ns();

		for (unsigned int i = 0; i < ROUNDS / 5; i++)
			function(&bench.main, &bench.fiber);
		ns = (now_ns() - ns) / (ROUNDS / 5 * 2);
		if (run == 0 || ns < best)
			best = ns;
	}
	free(stack);
	return best;
}

static void switch_fp(struct usched_context *save, const struct usched_context *load)
{
	struct usched_float_environment own, others;

	usched_float_environment_swap(&own, &shared);
	usched_arch_switch(save, load);
	usched_float_environment_swap(&others, &own);
}

/* No assertion: figures decide nothing here. */
static void what_a_switch_costs(void)
{
	if (USCHED_ASAN || USCHED_TSAN)
		USCHED_SKIP("sanitizer: the raw switch is not announced here");
	usched_float_environment_capture(&shared);
	printf("info: plain switch %.2f ns, with an FP environment %.2f ns (two contexts, best of 5)\n",
	       bench_one(usched_arch_switch), bench_one(switch_fp));
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "this_process_can_be_switched", this_process_can_be_switched },
		{ "a_million_round_trips", a_million_round_trips },
		{ "a_ring_of_sixteen", a_ring_of_sixteen },
		{ "registers_are_kept", registers_are_kept },
		{ "fp_control_is_kept_apart", fp_control_is_kept_apart },
		{ "fp_control_is_shared_by_plain_contexts",
		  fp_control_is_shared_by_plain_contexts },
		{ "the_thread_slot_follows_the_thread", the_thread_slot_follows_the_thread },
		{ "a_signal_storm_harms_nothing", a_signal_storm_harms_nothing },
		{ "what_a_switch_costs", what_a_switch_costs },
	};

	return usched_test_main("arch", tests, sizeof(tests) / sizeof(tests[0]));
}
