/* SPDX-License-Identifier: MIT */
/*
 * The explorer of model.h: breadth first, so the first violation has a shortest trace.
 *
 * Only the states that wait for their turn are kept whole. Of the others there is a hash, and how
 * each was reached: its predecessor, whose step it was, and which of the ways that step could go. A
 * trace is made by going that way again. The edges are kept for the question whether each state
 * leads to an end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model.h"

struct reached {
	uint32_t from;
	uint8_t actor;
	uint8_t way;
};

struct explorer {
	const struct model_machine *machine;
	unsigned int weakened;
	bool narrow;
	size_t packed_bytes;

	struct slot {
		uint64_t key;		/* 0: free				*/
		uint32_t number;
	} *table;			/* open addressing			*/
	size_t slots;			/* a power of two, at least twice the states */

	struct reached *reached;	/* by number of the state		*/
	uint64_t *first_edge;
	uint8_t *leads_on;		/* to a state where it is over		*/
	uint32_t count, room;

	uint32_t *edges;
	uint64_t edge_count, edge_room;

	uint8_t *queue;			/* a ring of packed states		*/
	size_t queue_room, queue_first, queue_count;
};

static void *grow(void *memory, size_t bytes)
{
	void *more = realloc(memory, bytes);

	if (!more) {
		fprintf(stderr, "the explorer needs more memory: %zu bytes\n", bytes);
		abort();
	}
	return more;
}

/* Copy what is in use of a state, in one direction or the other. */
static size_t pack(const struct model_machine *machine, struct model_state *state, uint8_t *packed,
		   bool unpack)
{
	const struct {
		void *from;
		size_t bytes;
	} parts[] = {
		{ &state->fences, sizeof(state->fences) },
		{ &state->ended, sizeof(state->ended) },
		{ state->knows, machine->threads * sizeof(state->knows[0]) },
		{ state->heard, machine->acquire_fences * machine->threads * sizeof(state->heard[0]) },
		{ state->carries, machine->carrying * sizeof(state->carries[0]) },
		{ state->carried, machine->remembering * sizeof(state->carried[0]) },
		{ state->now, machine->words * sizeof(state->now[0]) },
		{ state->before, machine->words * sizeof(state->before[0]) },
		{ state->threads, machine->threads * sizeof(state->threads[0]) },
		{ state->notes, machine->notes },
	};
	size_t bytes = 0;

	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (packed && unpack)
			memcpy(parts[i].from, packed + bytes, parts[i].bytes);
		else if (packed)
			memcpy(packed + bytes, parts[i].from, parts[i].bytes);
		bytes += parts[i].bytes;
	}
	/* Whole groups of words for the hash. */
	while (bytes % (4 * sizeof(uint64_t))) {
		if (packed && !unpack)
			packed[bytes] = 0;
		bytes++;
	}
	return bytes;
}

/* Four sums at a time, since each of them waits for its multiplications. */
static uint64_t hash(const uint8_t *packed, size_t bytes)
{
	uint64_t sums[4] = {
		UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xc2b2ae3d27d4eb4f),
		UINT64_C(0x165667b19e3779f9), UINT64_C(0x27d4eb2f165667c5),
	};
	uint64_t result = bytes, part;

	for (size_t at = 0; at < bytes; at += 4 * sizeof(part)) {
		for (unsigned int i = 0; i < 4; i++) {
			memcpy(&part, packed + at + i * sizeof(part), sizeof(part));
			sums[i] = (sums[i] ^ part) * UINT64_C(0xff51afd7ed558ccd);
			sums[i] ^= sums[i] >> 32;
		}
	}
	for (unsigned int i = 0; i < 4; i++) {
		result = (result ^ sums[i]) * UINT64_C(0xc4ceb9fe1a85ec53);
		result ^= result >> 29;
	}
	return result ? result : 1;
}

static struct slot *slot_of(const struct explorer *explorer, uint64_t key)
{
	size_t at = key & (explorer->slots - 1);

	while (explorer->table[at].key && explorer->table[at].key != key)
		at = (at + 1) & (explorer->slots - 1);
	return &explorer->table[at];
}

static void make_room(struct explorer *explorer)
{
	size_t old_slots = explorer->slots;
	struct slot *old = explorer->table;
	size_t old_bytes = old_slots * sizeof(*old), bytes;
	uint32_t room = explorer->room ? explorer->room * 2 : 1 << 14;

	explorer->room = room;
	explorer->reached = grow(explorer->reached, room * sizeof(*explorer->reached));
	explorer->first_edge = grow(explorer->first_edge, (room + 1) * sizeof(*explorer->first_edge));
	explorer->leads_on = grow(explorer->leads_on, room);
	explorer->slots = (size_t)room * 2;
	bytes = explorer->slots * sizeof(*explorer->table);
	explorer->table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	if (explorer->table == MAP_FAILED)
		abort();
#ifdef MADV_HUGEPAGE
	/* Each look is at another page: large ones made the whole program a third faster. */
	madvise(explorer->table, bytes, MADV_HUGEPAGE);
#endif
	for (size_t i = 0; i < old_slots; i++) {
		if (old[i].key)
			*slot_of(explorer, old[i].key) = old[i];
	}
	if (old)
		munmap(old, old_bytes);
}

static uint8_t *queue_place(struct explorer *explorer, size_t at)
{
	return explorer->queue +
	       (explorer->queue_first + at) % explorer->queue_room * explorer->packed_bytes;
}

static void queue_push(struct explorer *explorer, const uint8_t *packed)
{
	if (explorer->queue_count == explorer->queue_room) {
		size_t room = explorer->queue_room ? explorer->queue_room * 2 : 1024;
		size_t bytes = explorer->packed_bytes;

		explorer->queue = grow(explorer->queue, room * bytes);
		/* The part that had wrapped goes behind the other. */
		memcpy(explorer->queue + explorer->queue_room * bytes, explorer->queue,
		       explorer->queue_first * bytes);
		explorer->queue_room = room;
	}
	memcpy(queue_place(explorer, explorer->queue_count++), packed, explorer->packed_bytes);
}

/* The number of a state, which is queued if it is new. */
static uint32_t number_of(struct explorer *explorer, struct model_state *state,
			  struct reached reached)
{
	uint8_t packed[sizeof(struct model_state) + 4 * sizeof(uint64_t)];
	struct slot *slot;
	uint64_t key;

	pack(explorer->machine, state, packed, false);
	key = hash(packed, explorer->packed_bytes);
	if (explorer->count == explorer->room)
		make_room(explorer);
	slot = slot_of(explorer, key);
	if (slot->key)
		return slot->number;
	slot->key = key;
	slot->number = explorer->count;
	explorer->reached[explorer->count] = reached;
	queue_push(explorer, packed);
	return explorer->count++;
}

static void add_edge(struct explorer *explorer, uint32_t to)
{
	if (explorer->edge_count == explorer->edge_room) {
		explorer->edge_room = explorer->edge_room ? explorer->edge_room * 2 : 1 << 16;
		explorer->edges = grow(explorer->edges,
				       explorer->edge_room * sizeof(*explorer->edges));
	}
	explorer->edges[explorer->edge_count++] = to;
}

static bool take_step(struct model *model, unsigned int actor)
{
	bool moved;

	model->self = actor < model->machine->threads ? actor : 0;
	model->choice = 0;
	model->failed = false;
	model->told[0] = '\0';
	moved = model->machine->step(model, actor);
	if (moved && !model->failed)
		model_tidy(model);
	return moved;
}

/* The next way in which the same step can go. */
static bool next_way(struct model *model)
{
	while (model->choice_count > 0) {
		unsigned int last = model->choice_count - 1;

		if (++model->choices[last].chosen < model->choices[last].count)
			return true;
		model->choice_count--;
	}
	return false;
}

static void begin(struct model *model, const struct explorer *explorer)
{
	const struct model_machine *machine = explorer->machine;

	memset(model, 0, sizeof(*model));
	model->machine = machine;
	model->weakened = explorer->weakened;
	model->narrow = explorer->narrow;
	machine->begin(model);
	for (unsigned int i = 0; i < machine->threads; i++)
		model->state.knows[i] = UINT64_MAX;
	model_tidy(model);
}

static void tell_step(struct model *model, struct reached step)
{
	char who[MODEL_TEXT / 2];
	struct model_state before = model->state;

	model->telling = true;
	for (unsigned int way = 0; ; way++) {
		model->machine->tell_actor(model, step.actor, who, sizeof(who));
		if (take_step(model, step.actor) && way == step.way)
			break;
		model->state = before;
		if (!next_way(model))
			break;
	}
	model->choice_count = 0;
	model->telling = false;
	printf("     %-44s %s\n", who, model->told);
}

/* How @number was reached, then @last, if that is a step. */
static unsigned int tell_way_to(const struct explorer *explorer, uint32_t number,
				const struct reached *last, bool tell)
{
	uint32_t at, depth = 0;
	uint32_t *path;
	struct model model;

	for (at = number; at != 0; at = explorer->reached[at].from)
		depth++;
	if (!tell)
		return depth + (last != NULL);
	path = grow(NULL, (depth + 1) * sizeof(*path));
	at = number;
	for (uint32_t i = depth; i-- > 0; at = explorer->reached[at].from)
		path[i] = at;
	begin(&model, explorer);
	for (uint32_t i = 0; i < depth; i++)
		tell_step(&model, explorer->reached[path[i]]);
	if (last) {
		tell_step(&model, *last);
	} else {
		for (unsigned int i = 0; i < explorer->machine->threads; i++) {
			char who[MODEL_TEXT / 2];

			explorer->machine->tell_actor(&model, i, who, sizeof(who));
			printf("     stays: %s\n", who);
		}
	}
	free(path);
	return depth + (last != NULL);
}

/* All states from which there is a way to where it is over; false: *number is one without. */
static bool all_lead_on(struct explorer *explorer, uint32_t *number)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (uint32_t i = explorer->count; i-- > 0; ) {
			for (uint64_t edge = explorer->first_edge[i];
			     !explorer->leads_on[i] && edge < explorer->first_edge[i + 1]; edge++) {
				if (explorer->leads_on[explorer->edges[edge]]) {
					explorer->leads_on[i] = 1;
					changed = true;
				}
			}
		}
	}
	for (uint32_t i = 0; i < explorer->count; i++) {
		if (!explorer->leads_on[i]) {
			*number = i;
			return false;
		}
	}
	return true;
}

/* All steps out of a state. True: there was a violation, by *bad. */
static bool expand(struct explorer *explorer, struct model *model, uint32_t number,
		   struct reached *bad)
{
	const struct model_machine *machine = explorer->machine;
	struct model_state state = model->state;

	for (unsigned int actor = 0; actor < machine->actors; actor++) {
		unsigned int way = 0;

		model->choice_count = 0;
		do {
			struct reached reached = { number, (uint8_t)actor, (uint8_t)way++ };

			if (!take_step(model, actor))
				continue;	/* and nothing has changed */
			if (model->failed) {
				*bad = reached;
				return true;
			}
			add_edge(explorer, number_of(explorer, &model->state, reached));
			model->state = state;
		} while (next_way(model));
	}
	return false;
}

struct model_result model_explore(const struct model_machine *machine, unsigned int weakened,
				  bool narrow, bool tell)
{
	struct model_result result = { .verdict = MODEL_HOLDS };
	struct explorer explorer = { .machine = machine, .weakened = weakened, .narrow = narrow };
	struct reached bad = { 0, 0, 0 };
	struct model model;
	uint32_t number;

	begin(&model, &explorer);
	explorer.packed_bytes = pack(machine, &model.state, NULL, false);
	number_of(&explorer, &model.state, bad);
	for (number = 0; explorer.queue_count > 0; number++) {
		uint64_t edges = explorer.edge_count;

		if (explorer.count >= MODEL_STATES_MAX) {
			result.verdict = MODEL_TOO_LARGE;
			snprintf(result.failure, sizeof(result.failure),
				 "more than %d states", MODEL_STATES_MAX);
			goto out;
		}
		pack(machine, &model.state, queue_place(&explorer, 0), true);
		explorer.queue_first = (explorer.queue_first + 1) % explorer.queue_room;
		explorer.queue_count--;
		explorer.first_edge[number] = edges;
		explorer.leads_on[number] = machine->is_over(&model);
		if (expand(&explorer, &model, number, &bad)) {
			result.verdict = MODEL_VIOLATED;
			memcpy(result.failure, model.failure, sizeof(result.failure));
			result.depth = tell_way_to(&explorer, number, &bad, tell);
			goto out;
		}
		if (explorer.edge_count == edges && !explorer.leads_on[number]) {
			result.verdict = MODEL_STUCK;
			snprintf(result.failure, sizeof(result.failure),
				 "nobody can take a step, and it is not over");
			result.depth = tell_way_to(&explorer, number, NULL, tell);
			goto out;
		}
	}
	explorer.first_edge[number] = explorer.edge_count;
	if (!all_lead_on(&explorer, &number)) {
		result.verdict = MODEL_LIVELOCK;
		snprintf(result.failure, sizeof(result.failure),
			 "from here no way leads to where it is over");
		result.depth = tell_way_to(&explorer, number, NULL, tell);
	}
out:
	result.states = explorer.count;
	result.transitions = explorer.edge_count;
	munmap(explorer.table, explorer.slots * sizeof(*explorer.table));
	free(explorer.reached);
	free(explorer.first_edge);
	free(explorer.leads_on);
	free(explorer.edges);
	free(explorer.queue);
	return result;
}
