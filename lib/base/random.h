/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_RANDOM_H
#define USCHED_BASE_RANDOM_H

/*
 * Random numbers for choices, not for secrets: victims of stealing, jitter, test orders.
 *
 * The generator is xoroshiro128++ (Blackman and Vigna): 16 bytes of state, under a nanosecond a
 * number, and the same seed gives the same sequence everywhere, which replayed runs need. The seed
 * is spread over the state by splitmix64, so that seeds 1 and 2 have nothing in common.
 *
 * No locking: each worker has its own.
 */

#include <stdint.h>

struct usched_random {
	uint64_t state[2];	/* never both zero */
};

/**
 * usched_random_seed() - start the sequence that belongs to a seed
 *
 * Callable from: anywhere.
 */
void usched_random_seed(struct usched_random *random, uint64_t seed);

/**
 * usched_random_entropy() - a seed that nobody has seen before
 *
 * Return:	64 bits of getrandom(2); of the clock and the process id where the kernel has
 *		none yet (early boot) or refuses the call.
 * Callable from: any thread.
 */
uint64_t usched_random_entropy(void);

static inline uint64_t usched_random_rotate(uint64_t value, unsigned int bits)
{
	return (value << bits) | (value >> (64 - bits));
}

/**
 * usched_random_next() - 64 random bits
 *
 * Callable from: the owner of @random.
 */
static inline uint64_t usched_random_next(struct usched_random *random)
{
	uint64_t a = random->state[0];
	uint64_t b = random->state[1];
	uint64_t result = usched_random_rotate(a + b, 17) + a;

	b ^= a;
	random->state[0] = usched_random_rotate(a, 49) ^ b ^ (b << 21);
	random->state[1] = usched_random_rotate(b, 28);
	return result;
}

/**
 * usched_random_below() - a number in [0, limit)
 * @limit:	at least 1
 *
 * The high half of a 128-bit product: no division. The bias is below limit / 2^64, which no choice
 * of a scheduler can notice.
 *
 * Callable from: the owner of @random.
 */
static inline uint64_t usched_random_below(struct usched_random *random, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)usched_random_next(random) * limit) >> 64);
}

#endif /* USCHED_BASE_RANDOM_H */
