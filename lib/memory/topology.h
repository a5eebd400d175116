/* SPDX-License-Identifier: MIT */
#ifndef USCHED_MEMORY_TOPOLOGY_H
#define USCHED_MEMORY_TOPOLOGY_H

/*
 * The CPUs that this process may use, and how near they are to each other and to memory.
 *
 *	node 0 (id 0)				node 1 (id 4: ids may have gaps)
 *	[ cache group 0 ][ cache group 1 ]	[ cache group 2 ]
 *	 cpu 0  1  2  3    4  5  6  7		 cpu 16 17 18 19
 *
 * Nodes and cache groups have an index of their own, from 0 on without gaps; only those with a
 * usable CPU are listed. What the machine does not tell (a masked /sys, an emulator, a container)
 * is filled in plainly: one node, and one cache group a node.
 *
 * The only user of libnuma: it says whether memory policies work here and sets them. The rest is
 * read from /sys directly, so that tests can show machines that we do not have.
 *
 * Nothing here calls malloc or stdio; the structure is 30 KiB, and belongs in static or mapped
 * memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/quota.h"

enum {
	USCHED_TOPOLOGY_CPUS_MAX = 1024,	/* CPUs with higher numbers are not used	*/
	USCHED_TOPOLOGY_CPU_WORDS = USCHED_TOPOLOGY_CPUS_MAX / 64,
	USCHED_TOPOLOGY_NODES_MAX = 64,
	USCHED_TOPOLOGY_DISTANCE_LOCAL = 10,	/* as the firmware's table counts	*/
	USCHED_TOPOLOGY_DISTANCE_REMOTE = 20,
};

struct usched_topology_cpu {
	uint16_t cpu;		/* the kernel's number			*/
	uint16_t node;		/* the kernel's number; 0 when it tells none */
	uint16_t node_index;	/* into nodes				*/
	uint16_t l3;		/* CPUs of one group share the L3 cache	*/
};

struct usched_topology_node {
	int id;			/* the kernel's number; 0 when it tells none */
	uint32_t cpu_count;
};

struct usched_topology {
	uint32_t cpu_count;		/* at least 1			*/
	uint32_t node_count;		/* at least 1			*/
	uint32_t l3_count;		/* at least 1			*/
	struct usched_topology_cpu cpus[USCHED_TOPOLOGY_CPUS_MAX];	/* by ascending number */
	struct usched_topology_node nodes[USCHED_TOPOLOGY_NODES_MAX];	/* by ascending id */
	uint8_t distance[USCHED_TOPOLOGY_NODES_MAX][USCHED_TOPOLOGY_NODES_MAX];	/* by index */
	struct usched_quota quota;
};

/**
 * usched_topology_read() - look at the machine
 *
 * The CPUs are those of the calling thread's affinity mask.
 *
 * Return:	0
 * Errors:	-ENODEV  no usable CPU has a number below USCHED_TOPOLOGY_CPUS_MAX
 *		those of sched_getaffinity(2), negative
 * Callable from: any thread. Changes errno.
 */
int usched_topology_read(struct usched_topology *topology);

/**
 * usched_topology_read_from() - for tests: look at a made-up machine
 * @root:	directory that stands for "/"
 * @allowed:	bit n: CPU n may be used
 *
 * Return, Errors: as usched_topology_read()
 */
int usched_topology_read_from(struct usched_topology *topology, const char *root,
			      const uint64_t allowed[USCHED_TOPOLOGY_CPU_WORDS]);

/**
 * usched_topology_cpu_limit() - how many workers may run at one time, now
 *
 * The quota of the control groups is read anew at each call.
 *
 * Return:	1 to topology->cpu_count.
 * Callable from: any thread, the monitor included. Changes errno.
 */
uint32_t usched_topology_cpu_limit(const struct usched_topology *topology);

/**
 * usched_topology_node_index() - the index of the node with an id
 *
 * Return:	the index
 * Errors:	-ENODEV  no usable CPU belongs to such a node
 * Callable from: anywhere.
 */
int usched_topology_node_index(const struct usched_topology *topology, int id);

/**
 * usched_topology_distance() - how far the memory of one node is from another
 * @from, @to:	ids; one that is not listed is as far as any other node
 *
 * Return:	10 for the node itself, more for others, at most 255.
 * Callable from: anywhere.
 */
uint32_t usched_topology_distance(const struct usched_topology *topology, int from, int to);

/**
 * usched_topology_cpu_index() - where in topology->cpus a CPU is
 *
 * Return:	the index
 * Errors:	-ENODEV  it may not be used
 * Callable from: anywhere.
 */
int usched_topology_cpu_index(const struct usched_topology *topology, unsigned int cpu);

/**
 * usched_topology_prefer_node() - take the pages of a mapping from a node
 * @id:		of the node; -1: nothing happens
 *
 * A preference: when the node is full the pages come from elsewhere. Does nothing on a kernel
 * without memory policies; where a page comes from changes speed, never results.
 *
 * Callable from: any thread. Changes errno.
 */
void usched_topology_prefer_node(int id, void *address, size_t bytes);

#endif /* USCHED_MEMORY_TOPOLOGY_H */
