/* SPDX-License-Identifier: MIT */
/*
 * The policy, tried on everything that fits on four CPUs: three runtimes, each set of allowed CPUs,
 * each demand, from nothing and from what was decided before. What must hold is computed here a
 * second time, by brute force over all ways to give CPUs out.
 */
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "harness.h"
#include "policy.h"

enum { CPUS = 4, ALL = (1 << CPUS) - 1 };

static uint16_t nodes[USCHED_CPUS_MAX];
static struct usched_policy_runtime runtimes[USCHED_POLICY_RUNTIMES_MAX];

static void prepare(uint32_t number, uint64_t allowed, uint64_t current, uint32_t demand)
{
	memset(&runtimes[number], 0, sizeof(runtimes[number]));
	runtimes[number].allowed[0] = allowed;
	runtimes[number].current[0] = current;
	runtimes[number].demand = demand;
	runtimes[number].most = USCHED_CPUS_MAX;
}

static uint64_t target(uint32_t number)
{
	return runtimes[number].target[0];
}

static uint32_t bits(uint64_t set)
{
	return (uint32_t)__builtin_popcountll(set);
}

/* Could all have a CPU of their own? */
static int all_fit(uint32_t count, uint32_t number, uint64_t used)
{
	if (number == count)
		return 1;
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		uint64_t bit = UINT64_C(1) << cpu;

		if ((runtimes[number].allowed[0] & bit) && !(used & bit) &&
		    all_fit(count, number + 1, used | bit))
			return 1;
	}
	return 0;
}

/* Could each have at least so many CPUs, all different? */
static int counts_fit(const uint32_t *counts, uint32_t number, uint64_t used)
{
	if (number == 3)
		return 1;
	for (uint64_t set = 0; set <= ALL; set++) {
		if ((set & ~runtimes[number].allowed[0]) == 0 && !(set & used) &&
		    bits(set) == counts[number] && counts_fit(counts, number + 1, used | set))
			return 1;
	}
	return 0;
}

static uint32_t wish(uint32_t number)
{
	uint32_t most = bits(runtimes[number].allowed[0]);
	uint32_t want = runtimes[number].demand ? runtimes[number].demand : 1;

	return want < most ? want : most;
}

/* What is wrong with a decision for three; NULL: nothing. */
static const char *judge(void)
{
	uint64_t once = 0, twice = 0;
	uint32_t counts[3];

	for (uint32_t i = 0; i < 3; i++) {
		counts[i] = bits(target(i));
		if (counts[i] == 0)
			return "somebody has nothing";
		if (counts[i] != runtimes[i].count)
			return "the count is not that of the set";
		if (target(i) & ~runtimes[i].allowed[0])
			return "somebody is where it must not be";
		if (counts[i] > wish(i))
			return "somebody has more than it wants";
		twice |= once & target(i);
		once |= target(i);
	}
	if (!all_fit(3, 0, 0))
		return twice ? NULL : "nobody shares though not all fit";
	if (twice)
		return "a CPU went to two though all fit";
	/* Nobody could have one more without taking it from one who has no more than that. */
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t more[3];

		if (counts[i] >= wish(i))
			continue;
		for (uint32_t j = 0; j < 3; j++)
			more[j] = j == i ? counts[i] + 1 :
				  counts[j] > counts[i] + 1 ? counts[i] + 1 : counts[j];
		if (counts_fit(more, 0, 0))
			return "somebody goes short while another has plenty, or a CPU is idle";
	}
	return NULL;
}

static void every_case_of_four_cpus_and_three_runtimes(void)
{
	const char *wrong = NULL;
	unsigned long cases = 0;

	memset(nodes, 0, sizeof(nodes));
	for (uint64_t a = 1; a <= ALL && !wrong; a++)
	for (uint64_t b = 1; b <= ALL && !wrong; b++)
	for (uint64_t c = 1; c <= ALL && !wrong; c++)
	for (uint32_t demand = 0; demand < 125 && !wrong; demand++) {
		uint64_t first[3];

		prepare(0, a, 0, demand % 5);
		prepare(1, b, 0, demand / 5 % 5);
		prepare(2, c, 0, demand / 25);
		usched_policy_decide(runtimes, 3, nodes);
		cases++;
		wrong = judge();
		/* A4: once more, from there. */
		for (uint32_t i = 0; i < 3; i++) {
			first[i] = target(i);
			runtimes[i].current[0] = first[i];
		}
		usched_policy_decide(runtimes, 3, nodes);
		for (uint32_t i = 0; i < 3 && !wrong; i++) {
			if (target(i) != first[i])
				wrong = "the same again gives something else";
		}
		if (wrong)
			printf("allowed %lx %lx %lx demand %u %u %u: %lx %lx %lx then %lx %lx %lx: %s\n",
			       (unsigned long)a, (unsigned long)b, (unsigned long)c, demand % 5,
			       demand / 5 % 5, demand / 25, (unsigned long)first[0],
			       (unsigned long)first[1], (unsigned long)first[2],
			       (unsigned long)target(0), (unsigned long)target(1),
			       (unsigned long)target(2), wrong);
	}
	CU_ASSERT_PTR_NULL(wrong);
	CU_ASSERT_EQUAL(cases, 15ul * 15 * 15 * 125);
}

/* From any former state the result is as good, and then stays. */
static void every_former_state_leads_to_a_right_one(void)
{
	struct usched_random random;
	const char *wrong = NULL;

	memset(nodes, 0, sizeof(nodes));
	usched_random_seed(&random, 1);
	for (uint32_t round = 0; round < 100000 && !wrong; round++) {
		uint64_t first[3];
		uint32_t pass;

		for (uint32_t i = 0; i < 3; i++) {
			uint64_t allowed = 1 + usched_random_below(&random, ALL);
			uint64_t current = usched_random_next(&random) & allowed;

			prepare(i, allowed, current, (uint32_t)usched_random_below(&random, CPUS + 1));
			runtimes[i].low_passes = USCHED_POLICY_SHRINK_PASSES;
		}
		for (pass = 0; pass < 8; pass++) {
			int same = 1;

			usched_policy_decide(runtimes, 3, nodes);
			for (uint32_t i = 0; i < 3; i++) {
				same &= pass > 0 && target(i) == first[i];
				first[i] = target(i);
				runtimes[i].current[0] = first[i];
			}
			if (!wrong)
				wrong = judge();
			if (same)
				break;
		}
		/* One pass to decide, one to settle, one to see that it has. */
		if (!wrong && pass > 2)
			wrong = "it does not come to rest";
		if (wrong)
			printf("round %u: %s\n", round, wrong);
	}
	CU_ASSERT_PTR_NULL(wrong);
}

static void more_runtimes_than_cpus_share_evenly(void)
{
	uint32_t load[CPUS] = { 0 };

	memset(nodes, 0, sizeof(nodes));
	for (uint32_t i = 0; i < 10; i++)
		prepare(i, ALL, 0, CPUS);
	usched_policy_decide(runtimes, 10, nodes);
	for (uint32_t i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(bits(target(i)), 1);
		for (uint32_t cpu = 0; cpu < CPUS; cpu++)
			load[cpu] += (uint32_t)(target(i) >> cpu & 1);
	}
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		CU_ASSERT_TRUE(load[cpu] == 2 || load[cpu] == 3);
}

static void nobody_gets_more_than_its_most(void)
{
	memset(nodes, 0, sizeof(nodes));
	prepare(0, ALL, 0, CPUS);
	prepare(1, ALL, 0, CPUS);
	runtimes[0].most = 1;
	usched_policy_decide(runtimes, 2, nodes);
	CU_ASSERT_EQUAL(runtimes[0].count, 1);
	CU_ASSERT_EQUAL(runtimes[1].count, 3);
}

static void growth_is_at_once_and_shrinking_takes_two_passes(void)
{
	memset(nodes, 0, sizeof(nodes));
	prepare(0, ALL, 0, 4);
	usched_policy_decide(runtimes, 1, nodes);
	CU_ASSERT_EQUAL(target(0), ALL);
	runtimes[0].current[0] = target(0);
	runtimes[0].demand = 1;
	usched_policy_decide(runtimes, 1, nodes);
	CU_ASSERT_EQUAL(target(0), ALL);
	/* A flicker: wanted again, so it counts from the start. */
	runtimes[0].demand = 4;
	usched_policy_decide(runtimes, 1, nodes);
	CU_ASSERT_EQUAL(runtimes[0].low_passes, 0);
	runtimes[0].demand = 1;
	usched_policy_decide(runtimes, 1, nodes);
	CU_ASSERT_EQUAL(target(0), ALL);
	usched_policy_decide(runtimes, 1, nodes);
	CU_ASSERT_EQUAL(bits(target(0)), 1);
}

/* A newcomer that was put on a CPU of another keeps it: one revocation, not two moves. */
static void a_newcomer_stays_where_it_was_put(void)
{
	memset(nodes, 0, sizeof(nodes));
	prepare(0, ALL, ALL, 4);
	prepare(1, ALL, 1, 1);
	usched_policy_decide(runtimes, 2, nodes);
	CU_ASSERT_EQUAL(target(1), 1);
	CU_ASSERT_EQUAL(target(0), ALL & ~1);
}

static void runtimes_keep_to_their_nodes(void)
{
	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++)
		nodes[cpu] = (uint16_t)(cpu % 2);	/* as some machines count */
	prepare(0, 0xff, 0, 4);
	prepare(1, 0xff, 0, 4);
	usched_policy_decide(runtimes, 2, nodes);
	CU_ASSERT_EQUAL(bits(target(0)), 4);
	CU_ASSERT_EQUAL(bits(target(1)), 4);
	CU_ASSERT_TRUE(target(0) == 0x55 || target(0) == 0xaa);
	CU_ASSERT_EQUAL(target(1), 0xff & ~target(0));
	/* When it shrinks it gives up the node where it has less. */
	prepare(0, 0xff, 0x2b, 3);		/* 0, 1, 3, 5: three on node 1 */
	runtimes[0].low_passes = USCHED_POLICY_SHRINK_PASSES;
	usched_policy_decide(runtimes, 1, nodes);
	CU_ASSERT_EQUAL(target(0), 0x2a);
}

/* Full tables: the bounds hold, and it ends. */
static void the_largest_tables_are_served(void)
{
	uint32_t given = 0;

	memset(nodes, 0, sizeof(nodes));
	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++)
		nodes[cpu] = (uint16_t)(cpu / 128);
	for (uint32_t i = 0; i < USCHED_POLICY_RUNTIMES_MAX; i++) {
		prepare(i, 0, 0, USCHED_CPUS_MAX);
		memset(runtimes[i].allowed, 0xff, sizeof(runtimes[i].allowed));
	}
	usched_policy_decide(runtimes, USCHED_POLICY_RUNTIMES_MAX, nodes);
	for (uint32_t i = 0; i < USCHED_POLICY_RUNTIMES_MAX; i++) {
		CU_ASSERT_EQUAL(runtimes[i].count,
				USCHED_CPUS_MAX / USCHED_POLICY_RUNTIMES_MAX);
		given += runtimes[i].count;
	}
	CU_ASSERT_EQUAL(given, USCHED_CPUS_MAX);
	usched_policy_decide(runtimes, 0, nodes);
}

static const struct usched_test tests[] = {
	{ "every_case_of_four_cpus_and_three_runtimes", every_case_of_four_cpus_and_three_runtimes },
	{ "every_former_state_leads_to_a_right_one", every_former_state_leads_to_a_right_one },
	{ "more_runtimes_than_cpus_share_evenly", more_runtimes_than_cpus_share_evenly },
	{ "nobody_gets_more_than_its_most", nobody_gets_more_than_its_most },
	{ "growth_is_at_once_and_shrinking_takes_two_passes",
	  growth_is_at_once_and_shrinking_takes_two_passes },
	{ "a_newcomer_stays_where_it_was_put", a_newcomer_stays_where_it_was_put },
	{ "runtimes_keep_to_their_nodes", runtimes_keep_to_their_nodes },
	{ "the_largest_tables_are_served", the_largest_tables_are_served },
};

int main(void)
{
	return usched_test_main("policy", tests, sizeof(tests) / sizeof(tests[0]));
}
