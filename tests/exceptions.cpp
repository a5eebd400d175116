/* SPDX-License-Identifier: MIT */
/*
 * Exceptions in fibers: tests/exceptions.sh compiles and runs it.
 *
 *	exceptions handoff|yield
 *
 * Each fiber throws through 50 frames, each of which catches, computes long enough to be stopped by a
 * tick, lets others run, throws and catches something else meanwhile, and throws the first one again.
 * So several fibers of a thread are inside catch blocks at a time, and which exception is thrown again
 * depends on what the C++ runtime keeps for the thread. Exit code 0: each fiber saw its own only.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>

#include <usched/usched.h>

namespace {

enum { FIBERS = 12, ROUNDS = 6, FRAMES = 50, TURNS = 20000 };

struct Thrown {
	long fiber;
	int round;
};

/* Counted by the fiber itself, in what is its own. */
struct Fiber {
	long number;
	int round;
	int frames, cleanups, wrong;
};

USCHED_MIGRATABLE void compute()
{
	for (volatile int i = 0; i < TURNS; i = i + 1)
		;
}

/* Its destructor runs while the exception is on its way through the frame. */
struct Cleanup {
	Fiber &fiber;

	explicit Cleanup(Fiber &own) : fiber(own) {}
	Cleanup(const Cleanup &) = delete;
	Cleanup &operator=(const Cleanup &) = delete;
	USCHED_MIGRATABLE ~Cleanup()
	{
		fiber.wrong += std::uncaught_exceptions() != 1;
		compute();
		if (fiber.cleanups % 5 == 0)
			usched_yield();
		fiber.wrong += std::uncaught_exceptions() != 1;
		fiber.cleanups++;
	}
};

USCHED_MIGRATABLE void something_else(Fiber &fiber)
{
	try {
		if (fiber.frames % 3 == 0)
			usched_yield();
		throw std::runtime_error("meanwhile");
	} catch (const std::exception &other) {
		fiber.wrong += std::strcmp(other.what(), "meanwhile") != 0;
		usched_yield();
	}
}

USCHED_MIGRATABLE void descend(Fiber &fiber, int left)
{
	if (left == 0)
		throw Thrown{ fiber.number, fiber.round };
	try {
		Cleanup cleanup(fiber);

		descend(fiber, left - 1);
	} catch (const Thrown &thrown) {
		fiber.wrong += thrown.fiber != fiber.number || thrown.round != fiber.round;
		fiber.wrong += std::uncaught_exceptions() != 0;
		fiber.frames++;
		compute();
		usched_yield();
		something_else(fiber);
		fiber.wrong += thrown.fiber != fiber.number || thrown.round != fiber.round;
		throw;
	}
	fiber.wrong++;		/* nobody comes here */
}

USCHED_MIGRATABLE void *throws(void *argument)
{
	Fiber &fiber = *static_cast<Fiber *>(argument);

	for (fiber.round = 0; fiber.round < ROUNDS; fiber.round++) {
		try {
			descend(fiber, FRAMES);
			fiber.wrong++;
		} catch (const Thrown &thrown) {
			fiber.wrong += thrown.fiber != fiber.number || thrown.round != fiber.round;
		} catch (...) {
			fiber.wrong++;
		}
		fiber.wrong += std::uncaught_exceptions() != 0 || std::current_exception() != nullptr;
	}
	return nullptr;
}

}

int main(int argc, char **argv)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_fiber_options mode = USCHED_FIBER_OPTIONS_INIT;
	struct usched_runtime *runtime;
	static Fiber fibers[FIBERS];
	usched_fiber_t ids[FIBERS];
	int bad = 0;

	if (argc > 1 && !std::strcmp(argv[1], "yield"))
		mode.preempt = USCHED_PREEMPT_YIELD;
	options.workers = 2;
	options.flags = USCHED_RUNTIME_EMBEDDED;
	options.quantum_ns = 100000;
	setenv("USCHED_QUANTUM_FLOOR_NS", "50000", 1);
	if (USCHED_CODE_ADD() || usched_runtime_create(&runtime, &options))
		return 2;
	for (int i = 0; i < FIBERS; i++) {
		fibers[i].number = i;
		if (usched_spawn(runtime, &ids[i], throws, &fibers[i], &mode))
			return 2;
	}
	for (int i = 0; i < FIBERS; i++) {
		if (usched_join(ids[i], nullptr, USCHED_FOREVER))
			return 2;
		if (fibers[i].wrong || fibers[i].frames != ROUNDS * FRAMES ||
		    fibers[i].cleanups != ROUNDS * FRAMES) {
			std::printf("fiber %d: %d frames, %d cleanups, %d of them with another's exception\n",
				    i, fibers[i].frames, fibers[i].cleanups, fibers[i].wrong);
			bad = 1;
		}
	}
	if (usched_runtime_destroy(runtime, USCHED_FOREVER) ||
	    usched_code_remove(__start_usched_migratable, __stop_usched_migratable))
		return 2;
	return bad;
}
