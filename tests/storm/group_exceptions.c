/* SPDX-License-Identifier: MIT */
/*
 * C++ exceptions; what throws is in exceptions.cpp.
 */
#include "groups.h"

#if HAVE_CXX

#include "exceptions.h"

static void use_exceptions(struct storm_fiber *fiber)
{
	unsigned int seed = (unsigned int)storm_next(&fiber->random);
	unsigned int wanted = seed % 1000 + EXCEPTIONS_FRAMES * 2, got = storm_throw(seed % 1000);

	STORM_CHECK(fiber, got == wanted,
		    "expected %u from a throw through %d frames, each of which throws again, got %u",
		    wanted, EXCEPTIONS_FRAMES, got);
}

const struct storm_group storm_exceptions = {
	.name = "exceptions", .fibers = 16, .enough = 16, .operation = use_exceptions,
};

#else

const struct storm_group storm_exceptions = {
	.name = "exceptions", .missing = "built without a C++ compiler for this CPU (Debian: g++)",
};

#endif
