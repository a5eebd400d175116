/* SPDX-License-Identifier: MIT */
/*
 * A tick at every instruction of the library's own paths: enter, leave, the switch, parking, the native
 * loop, and a switch in place with its return.
 *
 * The CPU's trap flag raises SIGTRAP after each instruction of the thread that runs an operation, in
 * whatever fiber or loop it is. The handler counts, and before instruction number N it sends the thread
 * a tick, which comes when the handler returns: between these two instructions. Then the stepping ends,
 * and all goes its way. For N = 1, 2, ... until the operation is over before its tick, it is run anew.
 *
 *	each time	the operation has its result, and every fiber ends;
 *			back in user code no note is left over, and ticks are not blocked
 *	in the end	each tick has exactly one outcome in the decision table
 *			each instruction of the functions named below that the operation always runs has
 *			had its tick, and each one at all of the switch
 *
 * The flag belongs to the thread, and handlers begin without it: so the way into a switch in place needs
 * a point of worker/step.h to set it, and its way back is stepped from the fiber that switches there.
 *
 * Long operations are sampled, so that the program takes seconds; USCHED_STEP_ALL=1 leaves nothing out.
 * One file, since the operations differ in what they do and count, and not in how they are stepped.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <usched/usched.h>

#include "forced.h"
#include "harness.h"
#include "step_symbols.h"

#if defined(__x86_64__) && !USCHED_ARCH_GENERIC && !USCHED_ASAN && !USCHED_TSAN

#include <x86intrin.h>

enum {
	TRAP_FLAG = 0x100,
	FLAGS = 17,			/* REG_EFL */
	TRACE_MAX = 1 << 16,		/* instructions of an operation that are looked at */
	STEPS_MAX = 100000,		/* for one operation, if not all are wanted */
	ATTEMPTS_MAX = 300,		/* until an operation comes to an instruction that it always runs */
};

/* ---- the stepper ---- */

static struct {
	_Atomic bool on;
	_Atomic(struct usched_carrier *) carrier;	/* of the thread that is stepped */
	uint32_t count;			/* instructions so far */
	uint32_t at;			/* the tick comes before this one; 0: none */
	uintptr_t at_pc;		/* or before this instruction, the first time; 0: none */
	_Atomic bool fired;
	uintptr_t fired_pc;
	uint64_t counted;		/* ticks that found a worker to be counted by */
	bool traces;
	uintptr_t trace[TRACE_MAX];
} step;

static void begin_steps(void)
{
	step.count = 0;
	atomic_store(&step.fired, false);
	atomic_store(&step.carrier, usched_carrier_self_get());
	atomic_store(&step.on, true);
	__writeeflags(__readeflags() | TRAP_FLAG);
}

static void end_steps(void)
{
	atomic_store(&step.on, false);
	__writeeflags(__readeflags() & ~(uint64_t)TRAP_FLAG);
}

static void trap(int number, siginfo_t *info, void *frame)
{
	ucontext_t *machine = frame;
	struct usched_carrier *carrier = atomic_load(&step.carrier);
	uintptr_t pc = usched_arch_pc(frame);
	int saved_errno = errno;

	(void)number;
	(void)info;
	/* A thread that was left behind by its operation. */
	if (!atomic_load(&step.on) || usched_carrier_self_get() != carrier) {
		machine->uc_mcontext.gregs[FLAGS] &= ~(greg_t)TRAP_FLAG;
		return;
	}
	if (step.traces && step.count < TRACE_MAX)
		step.trace[step.count] = pc;
	step.count++;
	if (step.count == step.at || pc == step.at_pc || step.count >= TRACE_MAX) {
		bool in_time = step.count < TRACE_MAX;

		step.fired_pc = pc;
		atomic_store(&step.fired, in_time);
		machine->uc_mcontext.gregs[FLAGS] &= ~(greg_t)TRAP_FLAG;
		if (in_time) {
			step.counted += atomic_load(&carrier->worker) &&
					atomic_load(&carrier->revoke) == USCHED_REVOKE_NONE;
			forced_tick(carrier);	/* comes when we return: it is blocked here */
		}
	}
	errno = saved_errno;
}

/* ---- coverage ---- */

/* Whatever of these the compiler has kept as functions, in whole or in parts. */
static const char *const named[] = {
	"stepped_enter", "stepped_leave", "usched_regain", "usched_leave_pending", "leave_fiber",
	"complete", "usched_yield", "usched_yield_from", "usched_park", "usched_switch_to",
	"usched_begin_slice", "make_current", "usched_fiber_main", "retire", "usched_carrier_wait",
	"usched_carrier_give", "usched_resume_bound", "usched_hand_off", "usched_carrier_loop",
	"dispatch_bound", "usched_preempt_tick", "usched_preempt_pending", "switch_stack",
	"usched_wait", "usched_ready",
};

static const char *const assembly[] = {
	"usched_arch_switch", "usched_arch_first_frame", "usched_arch_start",
};

static struct step_symbols symbols;
static uint8_t *ticked, *always, *seen;		/* by address: had its tick; run each time; run once */
static uint8_t *lengths;			/* of instructions, as far as they are known */

static bool is_named(uintptr_t pc)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (step_symbol_holds(&symbols, named[i], pc))
			return true;
	}
	for (size_t i = 0; i < sizeof(assembly) / sizeof(assembly[0]); i++) {
		if (step_symbol_holds(&symbols, assembly[i], pc))
			return true;
	}
	return false;
}

static bool is_known(uintptr_t pc)
{
	return pc >= symbols.low && pc < symbols.high;
}

/* ---- operations ---- */

static struct usched_runtime *runtime;
static _Atomic bool partner_is_there, operation_is_over, note_left, ticks_blocked;
static _Atomic unsigned int results;		/* what was right, added up */

/* The operation is over, on the thread where the fiber is now. In user code, so no note may be left. */
static void end_operation(void)
{
	struct usched_carrier *carrier;
	sigset_t blocked;

	end_steps();
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	if (sigismember(&blocked, usched_tick_signal()))
		atomic_store(&ticks_blocked, true);
	carrier = usched_carrier_self_get();
	if (atomic_load(&carrier->pending) || atomic_load(&carrier->in_runtime))
		atomic_store(&note_left, true);
	atomic_store(&operation_is_over, true);
}

static void await_partner(void)
{
	while (!atomic_load(&partner_is_there))
		usched_yield();
}

static void is_right(bool right)
{
	atomic_fetch_add(&results, right);
}

/* As they are inlined into each function of the library. */
__attribute__((noinline)) static struct usched_carrier *stepped_enter(void)
{
	return usched_enter();
}

__attribute__((noinline)) static void stepped_leave(struct usched_carrier *carrier)
{
	usched_leave(carrier);
}

static void *yields_until_over(void *argument)
{
	atomic_store(&partner_is_there, true);
	while (!atomic_load(&operation_is_over))
		usched_yield();
	return argument;
}

/* Somebody whom a tick finds ready, wherever it comes. */
static _Atomic bool bystander_goes;

static void *stands_by(void *argument)
{
	while (!atomic_load(&bystander_goes))
		usched_yield();
	return argument;
}

static void *enters_and_leaves(void *argument)
{
	await_partner();
	begin_steps();
	stepped_leave(stepped_enter());
	end_operation();
	is_right(true);
	return argument;
}

static void *yields(void *argument)
{
	int error;

	await_partner();
	begin_steps();
	error = usched_yield();
	end_operation();
	is_right(error == 0);
	return argument;
}

static struct usched_channel *there, *back;

static void *echoes(void *argument)
{
	uint64_t value = 0;
	int error;

	atomic_store(&partner_is_there, true);
	error = usched_channel_receive(there, &value, SOON);
	value++;
	is_right(!error && usched_channel_send(back, &value, SOON) == 0);
	return argument;
}

static void *sends_and_receives(void *argument)
{
	uint64_t value = 41;
	int error;

	await_partner();
	begin_steps();
	error = usched_channel_send(there, &value, USCHED_FOREVER);
	if (!error)
		error = usched_channel_receive(back, &value, USCHED_FOREVER);
	end_operation();
	is_right(!error && value == 42);
	return argument;
}

static struct usched_mutex mutex = USCHED_MUTEX_INIT;
static _Atomic bool wants_mutex;
static unsigned int guarded;

static void *holds_until_wanted(void *argument)
{
	int error = usched_mutex_lock(&mutex, SOON);

	atomic_store(&partner_is_there, true);
	while (!atomic_load(&wants_mutex))
		usched_yield();
	usched_yield();
	guarded = 1;
	is_right(!error && usched_mutex_unlock(&mutex) == 0);
	return argument;
}

static void *waits_for_mutex(void *argument)
{
	bool right;
	int error;

	guarded = 0;
	await_partner();
	atomic_store(&wants_mutex, true);
	begin_steps();
	error = usched_mutex_lock(&mutex, USCHED_FOREVER);
	right = !error && guarded == 1;
	if (!error)
		error = usched_mutex_unlock(&mutex);
	end_operation();
	is_right(right && !error);
	return argument;
}

/* Longer, as long as the time is over before the fiber has parked. */
static uint64_t sleep_ns = 1000000;
static _Atomic bool has_missed;

static void *sleeps(void *argument)
{
	_Atomic uint64_t *parks = &granted_worker(runtime, 0)->counters.parks;
	uint64_t parked = atomic_load(parks), until_ns = usched_after(sleep_ns);
	int error;

	begin_steps();
	error = usched_sleep_until(until_ns);
	end_operation();
	atomic_store(&has_missed, atomic_load(parks) == parked);
	if (atomic_load(&has_missed) && sleep_ns < UINT64_C(1000000000))
		sleep_ns *= 2;
	is_right(!error && usched_now() >= until_ns);
	return argument;
}

static void *hands_back(void *argument)
{
	return argument;
}

/* Two, so that the second one gets the stack of the first. */
static void *spawns_and_joins(void *argument)
{
	void *result[2] = { NULL, NULL };
	usched_fiber_t ids[2];
	int error = 0;

	begin_steps();
	for (unsigned int i = 0; i < 2; i++)
		error = error ? error : usched_spawn(NULL, &ids[i], hands_back, &ids[i], NULL);
	for (unsigned int i = 0; i < 2; i++)
		error = error ? error : usched_join(ids[i], &result[i], USCHED_FOREVER);
	end_operation();
	is_right(!error && result[0] == &ids[0] && result[1] == &ids[1]);
	return argument;
}

static int pipe_ends[2];
static _Atomic bool about_to_read;

static void *writes_when_read(void *argument)
{
	atomic_store(&partner_is_there, true);
	while (!atomic_load(&about_to_read))
		usched_yield();
	is_right(write(pipe_ends[1], "x", 1) == 1);
	return argument;
}

/* The worker is taken meanwhile, unless the tick comes first; the entry after it finds out. With the kind
   of tick that does not hurry: else a real one would come first. */
static void *blocks_then_enters(void *argument)
{
	char byte = 0;
	bool right;

	await_partner();
	atomic_store(&about_to_read, true);
	begin_steps();
	right = read(pipe_ends[0], &byte, 1) == 1 && byte == 'x';
	stepped_leave(stepped_enter());
	end_operation();
	is_right(right);
	return argument;
}

/* One that is switched in place goes on when its partner yields; in its handler, up to the return. */
static _Atomic bool is_stopped, may_end;
static _Atomic uint64_t turns;

USCHED_MIGRATABLE static void *is_switched(void *argument)
{
	while (!atomic_load_explicit(&may_end, memory_order_relaxed))
		atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed);
	return argument;
}

static void *yields_to_the_stopped(void *argument)
{
	int error;

	atomic_store(&is_stopped, true);
	atomic_store(&may_end, true);
	begin_steps();
	error = usched_yield();
	end_operation();
	is_right(!error);
	return argument;
}

#if USCHED_DEBUG
static _Atomic(struct usched_carrier *) steps_from;

static void *is_entered(void *argument)
{
	/* In this order: once it is seen that the other is stopped, nobody sends more ticks, and the other
	   does not give way by itself. */
	atomic_store(&may_end, true);
	atomic_store(&is_stopped, true);
	end_operation();
	is_right(true);
	return argument;
}

/* Inside the tick's handler, where it enters. */
static void steps_begin_here(const char *point, void *argument)
{
	struct usched_carrier *carrier = argument;

	if (is(point, "enter") && atomic_compare_exchange_strong(&steps_from, &carrier, NULL))
		begin_steps();
}
#endif

struct operation {
	const char *name;
	void *(*stepped)(void *argument);
	void *(*partner)(void *argument);	/* NULL: none */
	unsigned int right;			/* what results come to */
	bool in_place;				/* a switch in place comes first */
	bool from_handler;			/* and the steps begin in its handler */
	unsigned int runs_max;			/* 0: as many as there are steps for */
	enum usched_tick tick;			/* 0: the timer */
	bool alone;				/* nobody stands by */
};

/* Waits for a fiber; if it does not end, says who stands where. */
static int join_or_say(const struct operation *operation, usched_fiber_t id)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	struct usched_worker *worker = granted_worker(runtime, 0);
	int error = usched_join(id, NULL, SOON);

	if (!error)
		return 0;
	printf("info: %s: %d after a tick before instruction %u, at %s; mode %u, %lu ticks, taken %lu\n",
	       operation->name, error, step.at, step_symbol_name(&symbols, step.fired_pc),
	       atomic_load(&worker->mode), (unsigned long)atomic_load(&worker->counters.ticks),
	       (unsigned long)atomic_load(&worker->taken));
	for (uint32_t i = 0; i < atomic_load(&scheduler->carrier_places); i++) {
		struct usched_carrier *carrier = &scheduler->carriers[i];
		struct usched_fiber *fiber = atomic_load(&carrier->current);

		printf("info: carrier %u: worker %d, in runtime %u, pending %d, go %u, fiber %lx in state %u\n",
		       i, atomic_load(&carrier->worker) != NULL, atomic_load(&carrier->in_runtime),
		       atomic_load(&carrier->pending), atomic_load(&carrier->go),
		       fiber ? (unsigned long)atomic_load(&fiber->id) : 0,
		       fiber ? atomic_load(&fiber->state) : 0u);
	}
	return error;
}

static void stop_in_place(const struct operation *operation, usched_fiber_t *partner)
{
	struct usched_fiber_options yield = USCHED_FIBER_OPTIONS_INIT;
	struct usched_worker *worker = granted_worker(runtime, 0);
	uint64_t before = atomic_load(&turns);
	usched_fiber_t stopped;

	yield.preempt = USCHED_PREEMPT_YIELD;
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &stopped, is_switched, NULL, &yield), 0);
	HOLD_UNTIL(atomic_load(&turns) != before);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, partner, operation->stepped, NULL, NULL), 0);
#if USCHED_DEBUG
	if (operation->from_handler)
		atomic_store(&steps_from, atomic_load(&worker->owner));
#endif
	forced_tick(atomic_load(&worker->owner));
	/* Stepped from the handler, it may have to make room for the other once more. */
	HOLD_UNTIL(atomic_load(&is_stopped) ||
		   (atomic_load(&step.fired) && (forced_tick(atomic_load(&worker->owner)), false)));
	CU_ASSERT_EQUAL_FATAL(join_or_say(operation, stopped), 0);
}

static void run_once(const struct operation *operation)
{
	usched_fiber_t stepped, partner, bystander;

	atomic_store(&bystander_goes, operation->alone);
	CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &bystander, stands_by, NULL, NULL), 0);
	atomic_store(&partner_is_there, false);
	atomic_store(&operation_is_over, false);
	atomic_store(&note_left, false);
	atomic_store(&ticks_blocked, false);
	atomic_store(&wants_mutex, false);
	atomic_store(&about_to_read, false);
	atomic_store(&is_stopped, false);
	atomic_store(&may_end, false);
	atomic_store(&results, 0);
	atomic_store(&step.fired, false);
	if (operation->in_place) {
		stop_in_place(operation, &stepped);
	} else {
		CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &stepped, operation->stepped, NULL, NULL),
				      0);
		if (operation->partner)
			CU_ASSERT_EQUAL_FATAL(usched_spawn(runtime, &partner, operation->partner, NULL,
							   NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(join_or_say(operation, stepped), 0);
	if (operation->partner)
		CU_ASSERT_EQUAL_FATAL(join_or_say(operation, partner), 0);
	atomic_store(&bystander_goes, true);
	CU_ASSERT_EQUAL_FATAL(usched_join(bystander, NULL, SOON), 0);
	if (atomic_load(&results) != operation->right || atomic_load(&note_left) ||
	    atomic_load(&ticks_blocked) || atomic_load(&holds_expired))
		printf("info: %s: wrong with a tick before instruction %u, at %s\n", operation->name,
		       step.at, step_symbol_name(&symbols, step.fired_pc));
	CU_ASSERT_EQUAL_FATAL(atomic_load(&results), operation->right);
	CU_ASSERT_FALSE_FATAL(atomic_load(&note_left));
	CU_ASSERT_FALSE_FATAL(atomic_load(&ticks_blocked));
	CU_ASSERT_FATAL(atomic_load(&holds_expired) == 0);
	if (atomic_load(&step.fired) && is_known(step.fired_pc))
		ticked[step.fired_pc - symbols.low] = 1;
}

/* Without a tick. Twice: what is in both is what the operation always runs. Return: instructions. */
static uint32_t learn(const struct operation *operation)
{
	uint32_t count = 0;

	memset(always, 0, symbols.high - symbols.low);
	memset(seen, 0, symbols.high - symbols.low);
	step.at = 0;
	step.at_pc = 0;
	for (unsigned int turn = 0; turn < 2; turn++) {
		step.traces = true;
		do {
			atomic_store(&has_missed, false);
			run_once(operation);
		} while (atomic_load(&has_missed) && sleep_ns < UINT64_C(1000000000));
		step.traces = false;
		count = step.count < TRACE_MAX ? step.count : TRACE_MAX;
		for (uint32_t i = 0; i < count; i++) {
			uintptr_t pc = step.trace[i], next = i + 1 < count ? step.trace[i + 1] : 0;

			if (!is_known(pc))
				continue;
			if (next > pc && next - pc <= 15)
				lengths[pc - symbols.low] = (uint8_t)(next - pc);
			if (turn == 0)
				seen[pc - symbols.low] = 1;
			else if (seen[pc - symbols.low])
				always[pc - symbols.low] = 1;
		}
	}
	return count;
}

/* Of what the operation always runs in the named functions, what has had no tick gets it. */
static void complete_coverage(const struct operation *operation)
{
	unsigned int addresses = 0, missing = 0;

	step.at = 0;
	for (uintptr_t pc = symbols.low; pc < symbols.high; pc++) {
		if (!always[pc - symbols.low] || !is_named(pc))
			continue;
		addresses++;
		step.at_pc = pc;
		for (unsigned int i = 0; !ticked[pc - symbols.low] && i < ATTEMPTS_MAX; i++)
			run_once(operation);
		if (!ticked[pc - symbols.low]) {
			missing++;
			printf("info: %s: no tick came at %s\n", operation->name,
			       step_symbol_name(&symbols, pc));
		}
	}
	step.at_pc = 0;
	printf("info: %s: %u addresses of the named functions, %u without a tick\n", operation->name,
	       addresses, missing);
	CU_ASSERT(addresses > 0);
	CU_ASSERT_EQUAL(missing, 0);
}

static void at_each_instruction(const struct operation *operation)
{
	uint32_t length = learn(operation), stride = 1, runs = 0;

	CU_ASSERT_FATAL(length > 0);
	if (!getenv("USCHED_STEP_ALL")) {
		/* The sum over all runs is about half the square of the length. */
		stride = (uint32_t)((uint64_t)length * length / 2 / STEPS_MAX) + 1;
		while (operation->runs_max && length / stride > operation->runs_max)
			stride++;
	}
	for (step.at = 1; step.at < TRACE_MAX; step.at += stride) {
		run_once(operation);
		if (!atomic_load(&step.fired))
			break;		/* it was over before */
		runs++;
	}
	printf("info: %s: %u instructions, a tick at %u of them\n", operation->name, length, runs);
	CU_ASSERT(runs > 0);
	complete_coverage(operation);
}

static void must_be_ticked_throughout(const char *name)
{
	uintptr_t pc, high;
	unsigned int count = 0;

	CU_ASSERT_FATAL(step_symbol_find(&symbols, name, &pc, &high));
	while (pc < high) {
		uint8_t length = lengths[pc - symbols.low];

		CU_ASSERT(ticked[pc - symbols.low]);
		count++;
		/* What does not go on to the next one, but to another function, must be the last. */
		if (!length || pc + length > high)
			length = (uint8_t)(high - pc <= 15 ? high - pc : 0);
		CU_ASSERT_FATAL(length > 0);
		pc += length;
	}
	CU_ASSERT_EQUAL(pc, high);
	printf("info: %s: a tick at each of its %u instructions\n", name, count);
}

static bool start(enum usched_tick tick)
{
	struct sigaction action = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO };

	if (!symbols.low) {
		CU_ASSERT_EQUAL_FATAL(step_symbols_read(&symbols, (uintptr_t)stepped_enter), 0);
		ticked = calloc(4, symbols.high - symbols.low);
		CU_ASSERT_PTR_NOT_NULL_FATAL(ticked);
		always = ticked + (symbols.high - symbols.low);
		seen = always + (symbols.high - symbols.low);
		lengths = seen + (symbols.high - symbols.low);
		sigfillset(&action.sa_mask);
		sigaction(SIGTRAP, &action, NULL);
	}
	step.counted = 0;
	runtime = forced_start_with(tick, 1, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(runtime);
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_ends), 0);
	CU_ASSERT_EQUAL_FATAL(usched_channel_create(&there, sizeof(uint64_t), 0), 0);
	CU_ASSERT_EQUAL_FATAL(usched_channel_create(&back, sizeof(uint64_t), 0), 0);
	/* An emulator without single steps. */
	run_once(&(struct operation){ "nothing", enters_and_leaves, yields_until_over, 1, false, false,
				      0, 0, false });
	return step.count > 0;
}

static void stop(void)
{
	uint64_t ticks = 0, taken = 0;

	/* The last tick has ended with its carrier. */
	usched_threads_stop(runtime);
	for (uint32_t i = 0; i < runtime->scheduler.worker_count; i++) {
		ticks += atomic_load(&runtime->scheduler.workers[i].counters.ticks);
		taken += atomic_load(&runtime->scheduler.workers[i].taken);
	}
	CU_ASSERT(every_tick_is_counted_once(runtime));
	/* A request may have come after the look. */
	CU_ASSERT(ticks + taken >= step.counted);
	runtime->creator_runs = runtime->monitor_runs = false;	/* joined already */
	CU_ASSERT_EQUAL(usched_runtime_destroy(runtime, SOON), 0);
	CU_ASSERT_EQUAL(usched_channel_free(there), 0);
	CU_ASSERT_EQUAL(usched_channel_free(back), 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static void step_through(const struct operation *operation, const char *const *throughout)
{
	bool steps = start(operation->tick ? operation->tick : USCHED_TICK_TIMER);

	if (steps) {
		at_each_instruction(operation);
		for (; *throughout; throughout++)
			must_be_ticked_throughout(*throughout);
	}
	stop();
	if (!steps)
		USCHED_SKIP("emulator: the trap flag raises no SIGTRAP here");
}

#define NONE ((const char *const[]){ NULL })

static void enter_and_leave(void)
{
	step_through(&(struct operation){ "enter and leave", enters_and_leaves, yields_until_over, 1,
					  false, false, 0, 0, false }, NONE);
}

static void a_yield(void)
{
	step_through(&(struct operation){ "yield", yields, yields_until_over, 1, false, false, 0, 0,
					  false }, (const char *const[]){ "usched_arch_switch", NULL });
}

static void a_send_and_a_receive(void)
{
	step_through(&(struct operation){ "channel", sends_and_receives, echoes, 2, false, false, 0, 0,
					  false }, NONE);
}

static void a_mutex_that_is_waited_for(void)
{
	step_through(&(struct operation){ "mutex", waits_for_mutex, holds_until_wanted, 2, false, false,
					  0, 0, false }, NONE);
}

static void a_sleep(void)
{
	step_through(&(struct operation){ "sleep", sleeps, NULL, 1, false, false, 0, 0, true }, NONE);
}

static void a_spawn_and_a_join(void)
{
	step_through(&(struct operation){ "spawn and join", spawns_and_joins, NULL, 1, false, false, 0, 0,
					  true },
		     (const char *const[]){ "usched_arch_start", NULL });
}

static void a_system_call_that_blocks(void)
{
	step_through(&(struct operation){ "blocking call", blocks_then_enters, writes_when_read, 2, false,
					  false, 300, USCHED_TICK_TIMERFD, true }, NONE);
}

static void the_return_from_a_switch_in_place(void)
{
	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	step_through(&(struct operation){ "return from a switch in place", yields_to_the_stopped, NULL, 1,
					  true, false, 0, 0, true }, NONE);
}

static void a_switch_in_place(void)
{
#if USCHED_DEBUG
	CU_ASSERT_EQUAL(USCHED_CODE_ADD(), 0);
	usched_step_hook = steps_begin_here;
	step_through(&(struct operation){ "switch in place", is_entered, NULL, 1, true, true, 0, 0,
					  true }, NONE);
#else
	USCHED_SKIP("no-steps: configure with --enable-debug");
#endif
}

#else

static void needs_traps(void)
{
	USCHED_SKIP("trap: single steps need the x86-64 switch without sanitizers");
}

#define enter_and_leave needs_traps
#define a_yield needs_traps
#define a_send_and_a_receive needs_traps
#define a_mutex_that_is_waited_for needs_traps
#define a_sleep needs_traps
#define a_spawn_and_a_join needs_traps
#define a_system_call_that_blocks needs_traps
#define the_return_from_a_switch_in_place needs_traps
#define a_switch_in_place needs_traps

#endif

int main(void)
{
	static const struct usched_test tests[] = {
		{ "enter_and_leave", enter_and_leave },
		{ "a_yield", a_yield },
		{ "a_send_and_a_receive", a_send_and_a_receive },
		{ "a_mutex_that_is_waited_for", a_mutex_that_is_waited_for },
		{ "a_sleep", a_sleep },
		{ "a_spawn_and_a_join", a_spawn_and_a_join },
		{ "a_system_call_that_blocks", a_system_call_that_blocks },
		{ "the_return_from_a_switch_in_place", the_return_from_a_switch_in_place },
		{ "a_switch_in_place", a_switch_in_place },
	};

	return usched_test_main("step", tests, sizeof(tests) / sizeof(tests[0]));
}
