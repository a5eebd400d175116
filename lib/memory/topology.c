/* SPDX-License-Identifier: MIT */
/*
 * CPUs, caches and nodes; see the header.
 */
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <string.h>

#include "base/format.h"
#include "memory/pseudo.h"
#include "memory/topology.h"

enum {
	CACHES_MAX = 8,		/* cache/index0 to index7: a CPU has 3 to 5	*/
	UNKNOWN = UINT16_MAX,
	NODE_IDS_MAX = 1024,	/* what kernels are built for at most		*/
};

/* Reads ROOT + "/sys/devices/system/" + KIND + NUMBER + NAME. */
static int read_sys(const char *root, const char *kind, uint64_t number, const char *name,
		    char *buffer, size_t size)
{
	char path[USCHED_PSEUDO_PATH_BYTES];
	struct usched_format text;

	usched_format_init(&text, path, sizeof(path));
	usched_format_string(&text, root);
	usched_format_string(&text, "/sys/devices/system/");
	usched_format_string(&text, kind);
	usched_format_decimal(&text, number);
	usched_format_string(&text, name);
	return text.cut ? -ENAMETOOLONG : usched_pseudo_read(path, buffer, size);
}

int usched_topology_cpu_index(const struct usched_topology *topology, unsigned int cpu)
{
	uint32_t low = 0;
	uint32_t high = topology->cpu_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (topology->cpus[middle].cpu < cpu)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < topology->cpu_count && topology->cpus[low].cpu == cpu)
		return (int)low;
	return -ENODEV;
}

int usched_topology_node_index(const struct usched_topology *topology, int id)
{
	for (uint32_t i = 0; i < topology->node_count; i++) {
		if (topology->nodes[i].id == id)
			return (int)i;
	}
	return -ENODEV;
}

uint32_t usched_topology_distance(const struct usched_topology *topology, int from, int to)
{
	int i = usched_topology_node_index(topology, from);
	int j = usched_topology_node_index(topology, to);

	if (from == to)
		return USCHED_TOPOLOGY_DISTANCE_LOCAL;
	return i >= 0 && j >= 0 ? topology->distance[i][j] : USCHED_TOPOLOGY_DISTANCE_REMOTE;
}

/* Gives every usable CPU of one node its index; adds the node if there is one. */
static void add_node(struct usched_topology *topology, const char *root, uint64_t id)
{
	char list[USCHED_PSEUDO_BYTES];
	const char *at = list;
	uint64_t first, last;
	uint32_t count = 0;

	if (topology->node_count == USCHED_TOPOLOGY_NODES_MAX ||
	    read_sys(root, "node/node", id, "/cpulist", list, sizeof(list)) < 0)
		return;
	while (usched_pseudo_list(&at, &first, &last) > 0) {
		for (uint64_t cpu = first; cpu <= last && cpu < USCHED_TOPOLOGY_CPUS_MAX; cpu++) {
			int index = usched_topology_cpu_index(topology, (unsigned int)cpu);

			if (index < 0 || topology->cpus[index].node_index != UNKNOWN)
				continue;
			topology->cpus[index].node = (uint16_t)id;
			topology->cpus[index].node_index = (uint16_t)topology->node_count;
			count++;
		}
	}
	if (count == 0)
		return;		/* memory only, or none of its CPUs is ours */
	topology->nodes[topology->node_count].id = (int)id;
	topology->nodes[topology->node_count].cpu_count = count;
	topology->node_count++;
}

/* Column of each node in the distance files: its place among all nodes that are online. */
static void read_distances(struct usched_topology *topology, const char *root, const char *online)
{
	char text[USCHED_PSEUDO_BYTES];

	for (uint32_t i = 0; i < topology->node_count; i++) {
		const char *list = online;
		const char *at = text;
		uint64_t first, last, distance;

		for (uint32_t j = 0; j < topology->node_count; j++)
			topology->distance[i][j] = i == j ? USCHED_TOPOLOGY_DISTANCE_LOCAL
							  : USCHED_TOPOLOGY_DISTANCE_REMOTE;
		if (read_sys(root, "node/node", (uint64_t)topology->nodes[i].id, "/distance",
			     text, sizeof(text)) < 0)
			continue;
		while (usched_pseudo_list(&list, &first, &last) > 0) {
			for (uint64_t id = first; id <= last && id < NODE_IDS_MAX; id++) {
				int j = usched_topology_node_index(topology, (int)id);

				while (*at == ' ')
					at++;
				if (usched_pseudo_number(&at, &distance) < 0)
					break;
				if (j >= 0 && distance > 0)
					topology->distance[i][j] =
						distance < 255 ? (uint8_t)distance : 255;
			}
		}
	}
}

static void read_nodes(struct usched_topology *topology, const char *root)
{
	char online[USCHED_PSEUDO_BYTES];
	char path[USCHED_PSEUDO_PATH_BYTES];
	struct usched_format text;
	const char *at = online;
	uint64_t first, last;

	usched_format_init(&text, path, sizeof(path));
	usched_format_string(&text, root);
	usched_format_string(&text, "/sys/devices/system/node/online");
	usched_pseudo_read(path, online, sizeof(online));	/* empty when it fails */
	while (usched_pseudo_list(&at, &first, &last) > 0) {
		for (uint64_t id = first; id <= last && id < NODE_IDS_MAX; id++)
			add_node(topology, root, id);
	}
	if (topology->node_count == 0) {
		topology->nodes[0].id = 0;
		topology->nodes[0].cpu_count = 0;
		topology->node_count = 1;
	}
	/* CPUs that no node claims live with the first one. */
	for (uint32_t i = 0; i < topology->cpu_count; i++) {
		if (topology->cpus[i].node_index == UNKNOWN) {
			topology->cpus[i].node = (uint16_t)topology->nodes[0].id;
			topology->cpus[i].node_index = 0;
			topology->nodes[0].cpu_count++;
		}
	}
	read_distances(topology, root, online);
}

/* The CPUs that share this one's L3 cache, as a list; false when nobody says. */
static bool read_cache_list(const char *root, uint64_t cpu, char *list, size_t size)
{
	static const char *const level_names[CACHES_MAX] = {
		"/cache/index0/level", "/cache/index1/level", "/cache/index2/level",
		"/cache/index3/level", "/cache/index4/level", "/cache/index5/level",
		"/cache/index6/level", "/cache/index7/level",
	};
	static const char *const list_names[CACHES_MAX] = {
		"/cache/index0/shared_cpu_list", "/cache/index1/shared_cpu_list",
		"/cache/index2/shared_cpu_list", "/cache/index3/shared_cpu_list",
		"/cache/index4/shared_cpu_list", "/cache/index5/shared_cpu_list",
		"/cache/index6/shared_cpu_list", "/cache/index7/shared_cpu_list",
	};
	char level[8];

	/* Nearly always index3, but for CPUs with one cache for code and data at level 1. */
	for (unsigned int i = 0; i < CACHES_MAX; i++) {
		unsigned int index = (i + 3) % CACHES_MAX;

		if (read_sys(root, "cpu/cpu", cpu, level_names[index], level, sizeof(level)) > 0 &&
		    level[0] == '3')
			return read_sys(root, "cpu/cpu", cpu, list_names[index], list, size) > 0;
	}
	return false;
}

/* CPUs without a known L3 cache share one group a node. */
static void read_caches(struct usched_topology *topology, const char *root)
{
	uint16_t group_of_node[USCHED_TOPOLOGY_NODES_MAX];
	char list[USCHED_PSEUDO_BYTES];

	for (uint32_t i = 0; i < USCHED_TOPOLOGY_NODES_MAX; i++)
		group_of_node[i] = UNKNOWN;

	for (uint32_t i = 0; i < topology->cpu_count; i++) {
		struct usched_topology_cpu *cpu = &topology->cpus[i];
		const char *at = list;
		uint64_t first, last;

		if (cpu->l3 != UNKNOWN)
			continue;
		if (!read_cache_list(root, cpu->cpu, list, sizeof(list))) {
			if (group_of_node[cpu->node_index] == UNKNOWN)
				group_of_node[cpu->node_index] = (uint16_t)topology->l3_count++;
			cpu->l3 = group_of_node[cpu->node_index];
			continue;
		}
		cpu->l3 = (uint16_t)topology->l3_count++;
		while (usched_pseudo_list(&at, &first, &last) > 0) {
			for (uint64_t n = first; n <= last && n < USCHED_TOPOLOGY_CPUS_MAX; n++) {
				int index = usched_topology_cpu_index(topology, (unsigned int)n);

				if (index >= 0 && topology->cpus[index].l3 == UNKNOWN)
					topology->cpus[index].l3 = cpu->l3;
			}
		}
	}
}

int usched_topology_read_from(struct usched_topology *topology, const char *root,
			      const uint64_t allowed[USCHED_TOPOLOGY_CPU_WORDS])
{
	memset(topology, 0, sizeof(*topology));
	for (uint32_t cpu = 0; cpu < USCHED_TOPOLOGY_CPUS_MAX; cpu++) {
		if (!(allowed[cpu / 64] >> cpu % 64 & 1))
			continue;
		topology->cpus[topology->cpu_count++] = (struct usched_topology_cpu){
			.cpu = (uint16_t)cpu, .node_index = UNKNOWN, .l3 = UNKNOWN,
		};
	}
	if (topology->cpu_count == 0)
		return -ENODEV;
	read_nodes(topology, root);
	read_caches(topology, root);
	usched_quota_find(&topology->quota, root);
	return 0;
}

int usched_topology_read(struct usched_topology *topology)
{
	/* The kernel refuses a mask that is shorter than its own, and none is longer than this. */
	union {
		cpu_set_t set;
		uint8_t bytes[1024];
	} mask;
	uint64_t allowed[USCHED_TOPOLOGY_CPU_WORDS] = { 0 };

	memset(&mask, 0, sizeof(mask));
	if (sched_getaffinity(0, sizeof(mask), &mask.set) < 0)
		return -errno;
	for (unsigned int cpu = 0; cpu < USCHED_TOPOLOGY_CPUS_MAX; cpu++) {
		if (CPU_ISSET_S(cpu, sizeof(mask), &mask.set))
			allowed[cpu / 64] |= UINT64_C(1) << cpu % 64;
	}
	return usched_topology_read_from(topology, "", allowed);
}

uint32_t usched_topology_cpu_limit(const struct usched_topology *topology)
{
	uint32_t cpus = usched_quota_cpus(&topology->quota);

	return cpus < topology->cpu_count ? cpus : topology->cpu_count;
}

void usched_topology_prefer_node(int id, void *address, size_t bytes)
{
	unsigned long mask[NODE_IDS_MAX / (8 * sizeof(unsigned long))] = { 0 };
	const unsigned int word_bits = 8 * sizeof(unsigned long);

	if (id < 0 || id >= NODE_IDS_MAX || numa_available() < 0)
		return;
	mask[(unsigned int)id / word_bits] = 1ul << (unsigned int)id % word_bits;
	/* The kernel reads one bit less than it is told. */
	mbind(address, bytes, MPOL_PREFERRED, mask, NODE_IDS_MAX + 1, 0);
}
