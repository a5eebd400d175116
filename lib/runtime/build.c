/* SPDX-License-Identifier: MIT */
/*
 * Pools and workers, from the topology: one worker per allowed CPU, one pool per NUMA node.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/child.h"
#include "io/descriptor.h"
#include "runtime/runtime.h"
#include "worker/inbox.h"
#include "worker/poll.h"

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int build_worker(struct usched_runtime *runtime, struct usched_worker *worker, uint32_t number)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	const struct usched_topology_cpu *cpu = &runtime->topology.cpus[number];
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = USCHED_POLL_WAKE };
	int error;

	worker->scheduler = scheduler;
	worker->number = number;
	worker->cpu = cpu->cpu;
	worker->node = cpu->node;
	for (uint32_t i = 0; i < scheduler->pool_count; i++) {
		if (scheduler->pools[i].node == cpu->node)
			worker->pool = &scheduler->pools[i];
	}
	worker->pool->workers[worker->pool->worker_count++] = worker;
	usched_inbox_init(&worker->mailbox);
	worker->events = calloc(2 * USCHED_POLL_EVENTS, sizeof(*worker->events));
	worker->victims = calloc(scheduler->worker_count, sizeof(struct usched_worker *));
	worker->poll_descriptor = usched_owned_add(epoll_create1(EPOLL_CLOEXEC));
	worker->wake_descriptor = usched_owned_add(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (!worker->events || !worker->victims)
		return -ENOMEM;
	if (worker->poll_descriptor < 0 || worker->wake_descriptor < 0 ||
	    epoll_ctl(worker->poll_descriptor, EPOLL_CTL_ADD, worker->wake_descriptor, &event))
		return -errno;
	error = usched_timers_init(&worker->timers);
	if (error)
		return error;
	atomic_init(&worker->mode, USCHED_WORKER_MODE_DORMANT);
	return 0;
}

/* How far another worker is: same L3, same node, then by the nodes' distance. */
static uint32_t distance(const struct usched_topology *topology, uint32_t from, uint32_t to)
{
	if (topology->cpus[from].l3 == topology->cpus[to].l3 &&
	    topology->cpus[from].node == topology->cpus[to].node)
		return 0;
	if (topology->cpus[from].node == topology->cpus[to].node)
		return 1;
	return 2 + usched_topology_distance(topology, topology->cpus[from].node,
					    topology->cpus[to].node);
}

static void build_victims(struct usched_runtime *runtime, struct usched_worker *worker)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	uint32_t count = 0;

	for (uint32_t step = 1; step < scheduler->worker_count; step++) {
		/* Each begins with the one after itself, so that thieves spread out. */
		uint32_t other = (worker->number + step) % scheduler->worker_count;
		uint32_t far = distance(&runtime->topology, worker->number, other);
		uint32_t at = count++;

		while (at > 0 && distance(&runtime->topology, worker->number,
					  worker->victims[at - 1]->number) > far) {
			worker->victims[at] = worker->victims[at - 1];
			at--;
		}
		worker->victims[at] = &scheduler->workers[other];
	}
}

static int build_pools(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	const struct usched_topology *topology = &runtime->topology;
	int guard = usched_guard_probe(runtime->settings.guard);

	if (guard < 0)
		return guard;
	runtime->settings.guard = (enum usched_guard)guard;
	scheduler->pools = map(topology->cpu_count * sizeof(struct usched_pool));
	if (!scheduler->pools)
		return -ENOMEM;
	for (uint32_t i = 0; i < topology->cpu_count; i++) {
		struct usched_pool *pool = scheduler->pools;
		struct usched_stacks_options options = {
			.guard = runtime->settings.guard,
			.node = -1,
		};
		int error;

		while (pool < scheduler->pools + scheduler->pool_count &&
		       pool->node != topology->cpus[i].node)
			pool++;
		if (pool < scheduler->pools + scheduler->pool_count)
			continue;
		pool->scheduler = scheduler;
		pool->node = topology->cpus[i].node;
		usched_inbox_init(&pool->inbox);
		pool->workers = calloc(topology->cpu_count, sizeof(struct usched_worker *));
		if (!pool->workers)
			return -ENOMEM;
		if (topology->node_count > 1)
			options.node = (int)pool->node;
		options.stacks_max = runtime->settings.fibers_max + 256 * topology->cpu_count;
		for (unsigned int class = 0; class < USCHED_STACK_CLASSES; class++)
			options.slack[class] = topology->cpu_count *
				(class == USCHED_STACK_LARGE ? USCHED_WORKER_CACHE_LARGE :
				 USCHED_WORKER_CACHE);
		error = usched_stacks_init(&pool->stacks, &options);
		if (error)
			return error;
		scheduler->pool_count++;
	}
	return 0;
}

int usched_build(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;
	int error;

	scheduler->worker_count = runtime->topology.cpu_count;
	scheduler->carriers_max = runtime->settings.carriers_max;
	scheduler->workers = map(scheduler->worker_count * sizeof(struct usched_worker));
	scheduler->carriers = map(USCHED_CARRIER_PLACES(scheduler) * sizeof(struct usched_carrier));
	if (!scheduler->workers || !scheduler->carriers)
		return -ENOMEM;
	for (uint32_t i = 0; i < scheduler->worker_count; i++) {
		scheduler->workers[i].poll_descriptor = -1;
		scheduler->workers[i].wake_descriptor = -1;
	}
	error = usched_table_init(&scheduler->fibers, sizeof(struct usched_fiber),
				  runtime->settings.fibers_max);
	if (!error)
		error = usched_descriptors_init(scheduler);
	if (!error)
		error = build_pools(runtime);
	for (uint32_t i = 0; !error && i < scheduler->worker_count; i++)
		error = build_worker(runtime, &scheduler->workers[i], i);
	for (uint32_t i = 0; !error && i < scheduler->worker_count; i++)
		build_victims(runtime, &scheduler->workers[i]);
	return error;
}

void usched_unbuild(struct usched_runtime *runtime)
{
	struct usched_scheduler *scheduler = &runtime->scheduler;

	for (uint32_t i = 0; scheduler->workers && i < scheduler->worker_count; i++) {
		struct usched_worker *worker = &scheduler->workers[i];

		free(worker->events);
		free(worker->victims);
		usched_timers_destroy(&worker->timers);
		usched_owned_close(worker->poll_descriptor);
		usched_owned_close(worker->wake_descriptor);
	}
	for (uint32_t i = 0; i < scheduler->pool_count; i++) {
		usched_stacks_destroy(&scheduler->pools[i].stacks);
		free(scheduler->pools[i].workers);
	}
	usched_descriptors_destroy(scheduler);
	if (scheduler->fibers.base)
		usched_table_destroy(&scheduler->fibers);
	if (scheduler->pools)
		munmap(scheduler->pools, scheduler->worker_count * sizeof(struct usched_pool));
	if (scheduler->workers)
		munmap(scheduler->workers, scheduler->worker_count * sizeof(struct usched_worker));
	if (scheduler->carriers)
		munmap(scheduler->carriers,
		       USCHED_CARRIER_PLACES(scheduler) * sizeof(struct usched_carrier));
}
