/* SPDX-License-Identifier: MIT */
#ifndef USCHED_SHM_TUNABLE_H
#define USCHED_SHM_TUNABLE_H

/*
 * What may be changed while a runtime runs: names, ranges and words, the same for the runtime, the
 * daemon and the tool.
 *
 *	quantum			how long a fiber runs while others wait; `auto` adapts it
 *	quantum.normal		of fibers of that priority; `default`: as wide as the next line's
 *	quantum.high, .low
 *	quantum.nodeN		of fibers on workers of that NUMA node, up to node 15
 *	quantum.fiberID		of one fiber; no word of the segment, the runtime itself sets it
 *	auto_min, auto_max	between these `auto` chooses
 *	wakeup			so long runs a fiber before one that becomes ready stops it
 *	budget			library calls without a wait before a fiber yields
 *
 * The numbers are words of struct usched_tunables: a wire format.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <usched/usched.h>

#include "shm/wire.h"

enum usched_tunable {
	USCHED_TUNABLE_QUANTUM,
	USCHED_TUNABLE_QUANTUM_PRIORITY,	/* first of three, by enum usched_priority */
	USCHED_TUNABLE_AUTO_MIN = USCHED_TUNABLE_QUANTUM_PRIORITY + 3,
	USCHED_TUNABLE_AUTO_MAX,
	USCHED_TUNABLE_WAKEUP,
	USCHED_TUNABLE_BUDGET,
	USCHED_TUNABLE_QUANTUM_NODE,		/* first of sixteen			*/
	USCHED_TUNABLES = USCHED_TUNABLE_QUANTUM_NODE + 16,
	USCHED_TUNABLE_FIBER = USCHED_TUNABLES,	/* a fiber's: not in the segment	*/
};

_Static_assert((int)USCHED_TUNABLES <= (int)USCHED_TUNABLE_ROOM, "wire format");

enum {
	USCHED_TUNABLE_TEXT_BYTES = 24,		/* of a value as text			*/
};

/* What a value may be, beside a number from least to most. */
enum {
	USCHED_TUNABLE_OFF = 1,			/* 0					*/
	USCHED_TUNABLE_AUTO = 2,		/* USCHED_QUANTUM_AUTO			*/
	USCHED_TUNABLE_DEFAULT = 4,		/* USCHED_QUANTUM_DEFAULT: the next wider one's */
	USCHED_TUNABLE_COUNT = 8,		/* the number is no time		*/
	USCHED_TUNABLE_FLOORED = 16,		/* raised to the runtime's floor	*/
};

struct usched_tunable_rule {
	const char *key, *what;			/* as in "a budget of 7"		*/
	uint64_t least, most, start;
	unsigned int may;			/* USCHED_TUNABLE_*			*/
};

/** usched_tunable_rule() - of a number below USCHED_TUNABLES, or USCHED_TUNABLE_FIBER */
const struct usched_tunable_rule *usched_tunable_rule(unsigned int tunable);

/**
 * usched_tunable_find() - the number of a key
 * @key:	at most @bytes are looked at; it need not end in a zero then
 * @fiber:	set for USCHED_TUNABLE_FIBER
 *
 * Return:	-EINVAL there is none
 */
int usched_tunable_find(const char *key, size_t bytes, uint64_t *fiber);

/**
 * usched_tunable_check() - may it have this value?
 * @floor_ns:	of the runtime: where that is lower than the least, it is the least; 0: not known
 * @why:	set to what is wrong and what to give, when the answer is no; one line
 */
bool usched_tunable_check(unsigned int tunable, uint64_t value, uint64_t floor_ns, char *why,
			  size_t bytes);

/** usched_tunable_effective() - what a runtime with that floor makes of it */
uint64_t usched_tunable_effective(unsigned int tunable, uint64_t value, uint64_t floor_ns);

/** usched_tunable_answer() - what SET replies, but for the generation, which stays */
void usched_tunable_answer(unsigned int tunable, uint64_t old, uint64_t value, uint64_t floor_ns,
			   struct usched_message_set_reply *reply);

/** usched_tunable_format() - a value as the tool prints and reads it: 2ms, off, auto, default, 100 */
char *usched_tunable_format(unsigned int tunable, uint64_t value, char *buffer, size_t bytes);

/** usched_tunables_start() - what holds where nobody set anything */
void usched_tunables_start(uint64_t values[USCHED_TUNABLES]);

/** usched_tunables_clamp() - make values that somebody else wrote fit to be used */
void usched_tunables_clamp(uint64_t values[USCHED_TUNABLES]);

#define USCHED_TUNABLE_KEYS \
	"quantum, quantum.normal, quantum.high, quantum.low, quantum.nodeN, quantum.fiberID, " \
	"auto_min, auto_max, wakeup, budget"

#endif /* USCHED_SHM_TUNABLE_H */
