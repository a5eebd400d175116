// SPDX-License-Identifier: MIT
// Boost.Fiber's side of the basic workloads: its round-robin scheduler on one thread, pooled stacks,
// its own unbuffered channel.
//
//	boost_basic WORKLOAD COUNT
#include <boost/fiber/all.hpp>
#include <boost/fiber/pooled_fixedsize_stack.hpp>

#include <chrono>
#include <cstdio>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace fibers = boost::fibers;

static double now_ns()
{
	return (double)std::chrono::duration_cast<std::chrono::nanoseconds>(
		std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Large enough for what Boost does on it; the pool keeps stacks warm.
static fibers::pooled_fixedsize_stack stacks(64 * 1024);

template <typename Function> static fibers::fiber start(Function function)
{
	return fibers::fiber(std::allocator_arg, stacks, function);
}

static double yield_among(uint64_t number, uint64_t count)
{
	uint64_t turns = count / number;
	std::vector<fibers::fiber> all;
	double began = now_ns();

	for (uint64_t i = 0; i < number; i++)
		all.push_back(start([turns] {
			for (uint64_t j = 0; j < turns; j++)
				boost::this_fiber::yield();
		}));
	for (auto &fiber : all)
		fiber.join();
	return (now_ns() - began) / (double)(turns * number);
}

static double spawn_in_turn(uint64_t count)
{
	double began = now_ns();

	for (uint64_t i = 0; i < count; i++)
		start([] {}).join();
	return (now_ns() - began) / (double)count;
}

static double spawn_in_batches(uint64_t count)
{
	const unsigned int batch = 1000;
	std::vector<fibers::fiber> all(batch);
	double began = now_ns();

	for (uint64_t done = 0; done < count; done += batch) {
		for (unsigned int i = 0; i < batch; i++)
			all[i] = start([] {});
		for (unsigned int i = 0; i < batch; i++)
			all[i].join();
	}
	return (now_ns() - began) / (double)count;
}

static double ping_pong(uint64_t count)
{
	fibers::unbuffered_channel<uint64_t> there, back;
	auto echo = start([&] {
		uint64_t value;

		while (there.pop(value) == fibers::channel_op_status::success)
			back.push(value);
	});
	double began = now_ns();

	for (uint64_t i = 0; i < count; i++) {
		uint64_t value;

		there.push(i);
		back.pop(value);
		if (value != i)
			std::abort();
	}
	began = (now_ns() - began) / (double)count;
	there.close();
	echo.join();
	return began;
}

static double run(const std::string &workload, uint64_t count)
{
	if (workload == "yield-2")
		return yield_among(2, count);
	if (workload == "yield-1000")
		return yield_among(1000, count);
	if (workload == "spawn-join")
		return spawn_in_turn(count);
	if (workload == "spawn-join-batch")
		return spawn_in_batches(count);
	if (workload == "ping-pong")
		return ping_pong(count);
	std::exit(2);
}

int main(int argc, char *argv[])
{
	if (argc != 3)
		return 2;
	uint64_t count = std::strtoull(argv[2], nullptr, 10);

	run(argv[1], count);		// the first turn warms stacks and caches
	std::printf("%.3f\n", run(argv[1], count));
	return 0;
}
