/* SPDX-License-Identifier: MIT */
/*
 * The policy; see policy.h.
 */
#include <string.h>

#include "policy.h"

enum { NOBODY = -1, NONE = USCHED_CPUS_MAX };

/* Who has taken a CPU in this decision, and who had it before. */
struct board {
	int16_t taken_by[USCHED_CPUS_MAX];
	int16_t held_by[USCHED_CPUS_MAX];
};

static uint32_t wanted(struct usched_policy_runtime *runtime)
{
	uint32_t has = usched_cpu_count(runtime->current);
	uint32_t want = runtime->demand > 0 ? runtime->demand : 1;
	uint32_t most = usched_cpu_count(runtime->allowed);

	if (want < has) {
		/* Not at the first quiet pass: demand flickers. */
		if (++runtime->low_passes < USCHED_POLICY_SHRINK_PASSES)
			want = has;
	} else {
		runtime->low_passes = 0;
	}
	if (runtime->most < most)
		most = runtime->most;
	if (most == 0)
		most = 1;
	return want < most ? want : most;
}

static int is_on_node(const struct usched_policy_runtime *runtime, uint32_t cpu,
		      const uint16_t *nodes)
{
	for (uint32_t other = 0; other < USCHED_CPUS_MAX; other++) {
		if (usched_cpu_in(runtime->target, other) && nodes[other] == nodes[cpu])
			return 1;
	}
	return runtime->count == 0;
}

static void take(struct usched_policy_runtime *runtimes, uint32_t who, uint32_t cpu,
		 struct board *board)
{
	usched_cpu_add(runtimes[who].target, cpu);
	runtimes[who].count++;
	board->taken_by[cpu] = (int16_t)who;
}

/* The best free CPU for a runtime; NONE: no free one fits. */
static uint32_t best_free(const struct usched_policy_runtime *runtimes, uint32_t who,
			  const struct board *board, const uint16_t *nodes)
{
	uint32_t best = NONE, best_score = UINT32_MAX;

	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
		uint32_t score;

		if (!usched_cpu_in(runtimes[who].allowed, cpu) || board->taken_by[cpu] != NOBODY)
			continue;
		if (usched_cpu_in(runtimes[who].current, cpu))
			score = 0;
		else
			score = board->held_by[cpu] == NOBODY ? 2 : 4;
		if (!is_on_node(&runtimes[who], cpu, nodes))
			score++;
		if (score < best_score) {
			best_score = score;
			best = cpu;
		}
	}
	return best;
}

/* All that fit are taken: can one of their takers move to a free CPU? */
static uint32_t make_room(struct usched_policy_runtime *runtimes, uint32_t who,
			  struct board *board, const uint16_t *nodes)
{
	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
		int taker = board->taken_by[cpu];
		uint32_t other;

		if (!usched_cpu_in(runtimes[who].allowed, cpu) || taker == NOBODY ||
		    taker == (int)who)
			continue;
		other = best_free(runtimes, (uint32_t)taker, board, nodes);
		if (other == NONE)
			continue;
		usched_cpu_remove(runtimes[taker].target, cpu);
		runtimes[taker].count--;
		take(runtimes, (uint32_t)taker, other, board);
		return cpu;
	}
	return NONE;
}

/* A runtime that would have none shares the CPU with the fewest on it. */
static uint32_t least_loaded(const struct usched_policy_runtime *runtimes, uint32_t count,
			     uint32_t who)
{
	uint32_t best = NONE, best_load = UINT32_MAX;

	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
		uint32_t load = 0;

		if (!usched_cpu_in(runtimes[who].allowed, cpu))
			continue;
		for (uint32_t i = 0; i < count; i++)
			load += (uint32_t)usched_cpu_in(runtimes[i].target, cpu);
		load *= 2;
		load += !usched_cpu_in(runtimes[who].current, cpu);
		if (load < best_load) {
			best_load = load;
			best = cpu;
		}
	}
	return best;
}

void usched_policy_decide(struct usched_policy_runtime *runtimes, uint32_t count,
			  const uint16_t nodes[USCHED_CPUS_MAX])
{
	uint32_t want[USCHED_POLICY_RUNTIMES_MAX];
	struct board board;
	uint32_t gave = 1;

	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
		board.taken_by[cpu] = NOBODY;
		board.held_by[cpu] = NOBODY;
	}
	for (uint32_t i = 0; i < count; i++) {
		want[i] = wanted(&runtimes[i]);
		memset(runtimes[i].target, 0, sizeof(runtimes[i].target));
		runtimes[i].count = 0;
		for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
			if (usched_cpu_in(runtimes[i].current, cpu))
				board.held_by[cpu] = (int16_t)i;
		}
	}
	for (uint32_t round = 1; gave > 0 && round <= USCHED_CPUS_MAX; round++) {
		gave = 0;
		for (uint32_t i = 0; i < count; i++) {
			uint32_t cpu;

			if (want[i] < round || runtimes[i].count != round - 1)
				continue;
			cpu = best_free(runtimes, i, &board, nodes);
			if (cpu == NONE)
				cpu = make_room(runtimes, i, &board, nodes);
			if (cpu != NONE) {
				take(runtimes, i, cpu, &board);
				gave++;
			} else if (round == 1) {
				cpu = least_loaded(runtimes, count, i);
				if (cpu != NONE) {
					usched_cpu_add(runtimes[i].target, cpu);
					runtimes[i].count++;
				}
			}
		}
	}
}
