/* SPDX-License-Identifier: MIT */
/*
 * A child of fork: a flag, and descriptors to close; see child.h.
 */
#include <stdint.h>
#include <unistd.h>

#include "base/child.h"

enum { OWNED_MAX = 1 << 20, BITS = 64 };	/* numbers beyond are left to close-on-exec */

_Atomic bool usched_child_flag;

/* Relaxed: the number itself says who may change its bit, and fork copies what it finds. */
static _Atomic uint64_t owned[OWNED_MAX / BITS];
static _Atomic uint32_t owned_words;		/* used so far: those behind are zero */

int usched_owned_add(int descriptor)
{
	uint32_t words = (uint32_t)descriptor / BITS + 1;
	uint32_t seen = atomic_load_explicit(&owned_words, memory_order_relaxed);

	if (descriptor < 0 || descriptor >= OWNED_MAX)
		return descriptor;
	while (seen < words &&
	       !atomic_compare_exchange_weak_explicit(&owned_words, &seen, words,
						      memory_order_relaxed, memory_order_relaxed))
		;
	atomic_fetch_or_explicit(&owned[words - 1], UINT64_C(1) << (descriptor % BITS),
				 memory_order_relaxed);
	return descriptor;
}

void usched_owned_close(int descriptor)
{
	if (descriptor < 0)
		return;
	/* First: once it is closed its number may be somebody else's. The kernel orders the two. */
	if (descriptor < OWNED_MAX)
		atomic_fetch_and_explicit(&owned[descriptor / BITS],
					  ~(UINT64_C(1) << (descriptor % BITS)),
					  memory_order_relaxed);
	close(descriptor);
}

void usched_child_begin(void)
{
	uint32_t words = atomic_load_explicit(&owned_words, memory_order_relaxed);

	atomic_store_explicit(&usched_child_flag, true, memory_order_relaxed);
	for (uint32_t i = 0; i < words; i++) {
		uint64_t bits = atomic_exchange_explicit(&owned[i], 0, memory_order_relaxed);

		for (; bits; bits &= bits - 1)
			close((int)(i * BITS) + __builtin_ctzll(bits));
	}
}

void usched_child_end(void)
{
	atomic_store_explicit(&usched_child_flag, false, memory_order_relaxed);
}
