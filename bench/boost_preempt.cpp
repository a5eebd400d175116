// SPDX-License-Identifier: MIT
// Boost.Fiber: a fiber that sleeps 1 ms again and again beside LOOPS that never yield, round-robin
// scheduler on one thread. Another thread ends the loops, or they would never end.
//
//	boost_preempt sleep LOOPS MS
#include <boost/fiber/all.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace fibers = boost::fibers;
using steady = std::chrono::steady_clock;

static std::atomic<bool> stop;

int main(int argc, char *argv[])
{
	if (argc != 4 || std::string(argv[1]) != "sleep")
		return 2;
	unsigned long loops = std::strtoul(argv[2], nullptr, 10), ms = std::strtoul(argv[3], nullptr, 10);
	std::vector<double> late;
	std::vector<fibers::fiber> all;
	std::thread end([ms] {
		std::this_thread::sleep_for(std::chrono::milliseconds(ms));
		stop.store(true, std::memory_order_relaxed);
	});

	late.reserve(ms);
	for (unsigned long i = 0; i < loops; i++)
		all.emplace_back([] {
			while (!stop.load(std::memory_order_relaxed))
				;
		});
	all.emplace_back([&late] {
		for (;;) {
			auto due = steady::now() + std::chrono::milliseconds(1);

			boost::this_fiber::sleep_until(due);
			if (stop.load(std::memory_order_relaxed))
				return;
			late.push_back(std::chrono::duration<double, std::micro>(steady::now() - due).count());
		}
	});
	for (auto &fiber : all)
		fiber.join();
	end.join();
	std::sort(late.begin(), late.end());
	for (size_t percent : { 50, 99 })	// -1: not one wake-up before the end of the run
		std::printf("p%zu\tus\t%.3f\n", percent,
			    late.empty() ? -1.0 : late[(late.size() * percent + 99) / 100 - 1]);
	return 0;
}
