/* SPDX-License-Identifier: MIT */
/*
 * How long a fiber runs, as a program says it: sections, checkpoints, budgets of calls, quanta of fibers,
 * priorities and levels, wake-up preemption, stopped ticks.
 *
 * The workers' own counters say which row of the decision table was taken.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <usched/usched.h>

#include "decided.h"
#include "harness.h"

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

static int pipe_ends[2];

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
		{ "an_automatic_quantum_follows_the_queue",
		  an_automatic_quantum_follows_the_queue },
		{ "quanta_are_tuned_at_every_level", quanta_are_tuned_at_every_level },
	};

	return usched_test_main("slices", tests, sizeof(tests) / sizeof(tests[0]));
}
