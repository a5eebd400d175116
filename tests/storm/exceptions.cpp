/* SPDX-License-Identifier: MIT */
/*
 * A throw through many frames, with handlers that throw again and destructors on the way. Some let
 * others run while the exception is in flight: what the C++ runtime keeps of it goes with the fiber.
 */
#include <usched/usched.h>

#include "exceptions.h"

namespace {

struct thrown {
	unsigned int value;
};

struct counted {
	unsigned int &count;
	unsigned int depth;

	~counted()
	{
		count++;
		if (depth % 16 == 3)
			usched_yield();
	}
};

__attribute__((noinline)) void descend(unsigned int depth, unsigned int value, unsigned int &count)
{
	counted here = { count, depth };

	if (depth == 0)
		throw thrown{ value };
	try {
		descend(depth - 1, value, count);
	} catch (thrown &caught) {
		caught.value++;
		if (depth % 16 == 7)
			usched_yield();
		/* Another one inside of the handler leaves this one as it is. */
		if (depth % 16 == 9) {
			try {
				throw depth;
			} catch (unsigned int inner) {
				if (inner != depth)
					caught.value += 1000000;
			}
		}
		throw;
	}
}

} // namespace

unsigned int storm_throw(unsigned int value)
{
	unsigned int count = 0;

	try {
		descend(EXCEPTIONS_FRAMES - 1, value, count);
	} catch (const thrown &caught) {
		/* Each frame but the innermost added one, and each had a destructor. */
		return caught.value + 1 + count;
	}
	return 0;
}
