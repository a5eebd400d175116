/* SPDX-License-Identifier: MIT */
/*
 * The policy; see policy.h.
 */
#include <string.h>

#include "policy.h"

enum { NOBODY = -1, NONE = USCHED_CPUS_MAX };

/* Which CPUs are taken in this decision and by whom, and how many had each before. */
struct board {
	int16_t taken_by[USCHED_CPUS_MAX];
	uint16_t holders[USCHED_CPUS_MAX];
	uint64_t taken[USCHED_CPU_WORDS];
};

/* The CPUs of one word of a set, lowest first. */
#define FOR_EACH_CPU(cpu, word, bits)							\
	for (uint64_t left_ = (bits);							\
	     left_ && ((cpu) = (word) * 64 + (uint32_t)__builtin_ctzll(left_), 1);	\
	     left_ &= left_ - 1)

static uint32_t wanted(struct usched_policy_runtime *runtime)
{
	uint32_t has = usched_cpu_count(runtime->current);
	uint32_t want = runtime->demand > 0 ? runtime->demand : 1;
	uint32_t most = usched_cpu_count(runtime->allowed);

	if (want < has) {
		/* Not at the first quiet pass: demand flickers. */
		if (runtime->low_passes < USCHED_POLICY_SHRINK_PASSES)
			runtime->low_passes++;
		if (runtime->low_passes < USCHED_POLICY_SHRINK_PASSES)
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

static void take(struct usched_policy_runtime *runtimes, uint32_t who, uint32_t cpu,
		 struct board *board)
{
	usched_cpu_add(runtimes[who].target, cpu);
	runtimes[who].count++;
	board->taken_by[cpu] = (int16_t)who;
	usched_cpu_add(board->taken, cpu);
}

/*
 * What each node is worth to a runtime: where it is, all the same; before its first CPU, the more
 * the more CPUs it had there, then the more are free there.
 */
static void rate_nodes(const struct usched_policy_runtime *runtime, const struct board *board,
		       const uint16_t *nodes, uint32_t worth[USCHED_CPUS_MAX])
{
	uint32_t cpu;

	memset(worth, 0, USCHED_CPUS_MAX * sizeof(*worth));
	for (uint32_t word = 0; word < USCHED_CPU_WORDS; word++) {
		if (runtime->count > 0) {
			FOR_EACH_CPU(cpu, word, runtime->target[word])
				worth[nodes[cpu] % USCHED_CPUS_MAX] = 1;
			continue;
		}
		FOR_EACH_CPU(cpu, word, runtime->allowed[word] & ~board->taken[word]) {
			worth[nodes[cpu] % USCHED_CPUS_MAX] +=
				usched_cpu_in(runtime->current, cpu) ? USCHED_CPUS_MAX :
				board->holders[cpu] == 0;
		}
	}
}

/* The best free CPU for a runtime; NONE: no free one fits. */
static uint32_t best_free(const struct usched_policy_runtime *runtime, const struct board *board,
			  const uint16_t *nodes)
{
	uint32_t worth[USCHED_CPUS_MAX];
	uint32_t best = NONE, best_cost = 0, best_worth = 0, cpu;

	rate_nodes(runtime, board, nodes, worth);
	for (uint32_t word = 0; word < USCHED_CPU_WORDS; word++) {
		FOR_EACH_CPU(cpu, word, runtime->allowed[word] & ~board->taken[word]) {
			uint32_t cost, here = worth[nodes[cpu] % USCHED_CPUS_MAX];

			/* Its own; one that it shares; an idle one; one taken from somebody. */
			if (usched_cpu_in(runtime->current, cpu))
				cost = board->holders[cpu] > 1;
			else
				cost = board->holders[cpu] == 0 ? 2 : 3;
			if (best == NONE || cost < best_cost ||
			    (cost == best_cost && here > best_worth)) {
				best = cpu;
				best_cost = cost;
				best_worth = here;
			}
		}
	}
	return best;
}

/*
 * All that fit are taken: can their takers move? The shortest chain of moves that ends at a free
 * CPU, breadth first; each CPU is looked at once. Return: the CPU that has become free; NONE.
 */
static uint32_t make_room(struct usched_policy_runtime *runtimes, uint32_t who,
			  struct board *board, const uint16_t *nodes)
{
	uint16_t queue[USCHED_CPUS_MAX], wanted_for[USCHED_CPUS_MAX];
	uint64_t seen[USCHED_CPU_WORDS];
	uint32_t first = 0, last = 0, cpu;

	memcpy(seen, runtimes[who].target, sizeof(seen));
	for (uint32_t word = 0; word < USCHED_CPU_WORDS; word++) {
		FOR_EACH_CPU(cpu, word, runtimes[who].allowed[word] & ~seen[word]) {
			wanted_for[cpu] = NONE;
			queue[last++] = (uint16_t)cpu;
		}
		seen[word] |= runtimes[who].allowed[word];
	}
	while (first < last) {
		uint32_t leave = queue[first++], to;
		const struct usched_policy_runtime *taker = &runtimes[board->taken_by[leave]];

		to = best_free(taker, board, nodes);
		if (to == NONE) {
			for (uint32_t word = 0; word < USCHED_CPU_WORDS; word++) {
				FOR_EACH_CPU(cpu, word, taker->allowed[word] & ~seen[word]) {
					wanted_for[cpu] = (uint16_t)leave;
					queue[last++] = (uint16_t)cpu;
				}
				seen[word] |= taker->allowed[word];
			}
			continue;
		}
		/* Back along the chain: each taker moves one on. */
		while (leave != NONE) {
			uint32_t mover = (uint32_t)board->taken_by[leave];

			usched_cpu_remove(runtimes[mover].target, leave);
			runtimes[mover].count--;
			take(runtimes, mover, to, board);
			to = leave;
			leave = wanted_for[leave];
		}
		usched_cpu_remove(board->taken, to);
		board->taken_by[to] = NOBODY;
		return to;
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
	uint32_t gave = 1, cpu;

	memset(&board, 0, sizeof(board));
	for (cpu = 0; cpu < USCHED_CPUS_MAX; cpu++)
		board.taken_by[cpu] = NOBODY;
	for (uint32_t i = 0; i < count; i++) {
		want[i] = wanted(&runtimes[i]);
		memset(runtimes[i].target, 0, sizeof(runtimes[i].target));
		runtimes[i].count = 0;
		for (uint32_t word = 0; word < USCHED_CPU_WORDS; word++) {
			FOR_EACH_CPU(cpu, word, runtimes[i].current[word])
				board.holders[cpu]++;
		}
	}
	for (uint32_t round = 1; gave > 0 && round <= USCHED_CPUS_MAX; round++) {
		gave = 0;
		for (uint32_t i = 0; i < count; i++) {
			if (want[i] < round || runtimes[i].count != round - 1)
				continue;
			cpu = best_free(&runtimes[i], &board, nodes);
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
