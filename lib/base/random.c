/* SPDX-License-Identifier: MIT */
/*
 * Seeds; see the header.
 */
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z;

	*state += UINT64_C(0x9e3779b97f4a7c15);
	z = *state;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void usched_random_seed(struct usched_random *random, uint64_t seed)
{
	/* Two numbers of one splitmix sequence differ, so not both are zero. */
	random->state[0] = splitmix(&seed);
	random->state[1] = splitmix(&seed);
}

uint64_t usched_random_entropy(void)
{
	uint64_t seed;

	/* Never blocks: a service that starts at boot must not wait for its victims' numbers. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed)) {
		seed = usched_clock_now_ns() ^ (uint64_t)getpid() << 40;
		seed = splitmix(&seed);
	}
	return seed;
}
