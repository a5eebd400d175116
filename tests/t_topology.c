/* SPDX-License-Identifier: MIT */
/*
 * Machines that we do not have, as directories: several nodes, ids with gaps, no /sys at all, quotas
 * in both versions of control groups. And the machine that we do have.
 */
#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/cpu.h"
#include "harness.h"
#include "memory/cycles.h"
#include "memory/pseudo.h"
#include "memory/topology.h"

static char root[64];
static struct usched_topology topology;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void begin_machine(void)
{
	strcpy(root, "/tmp/usched-topology-XXXXXX");
	if (mkdtemp(root) == NULL)
		CU_FAIL_FATAL("no directory for a made-up machine");
}

static void end_machine(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes ROOT + PATH, with the directories on the way. */
static void file(const char *path, const char *text)
{
	char full[512];
	FILE *stream;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; *p != '\0'; p++) {
		if (*p == '/') {
			*p = '\0';
			mkdir(full, 0700);
			*p = '/';
		}
	}
	stream = fopen(full, "we");
	if (stream == NULL)
		CU_FAIL_FATAL("a file of a made-up machine cannot be written");
	fputs(text, stream);
	fclose(stream);
}

static void node(int id, const char *cpus, const char *distances)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", id);
	file(path, cpus);
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/distance", id);
	file(path, distances);
}

static void l3(int first, int last, int index, const char *cpus)
{
	char path[128];

	for (int cpu = first; cpu <= last; cpu++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/cache/index%d/level",
			 cpu, index);
		file(path, "3\n");
		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, index);
		file(path, cpus);
	}
}

static int look(unsigned int first, unsigned int last)
{
	uint64_t allowed[USCHED_TOPOLOGY_CPU_WORDS] = { 0 };

	for (unsigned int cpu = first; cpu <= last; cpu++)
		allowed[cpu / 64] |= UINT64_C(1) << cpu % 64;
	return usched_topology_read_from(&topology, root, allowed);
}

static void lists_are_read(void)
{
	const char *at = "0-3,8,10-11\n";
	uint64_t first, last;

	CU_ASSERT_EQUAL(usched_pseudo_list(&at, &first, &last), 1);
	CU_ASSERT(first == 0 && last == 3);
	CU_ASSERT_EQUAL(usched_pseudo_list(&at, &first, &last), 1);
	CU_ASSERT(first == 8 && last == 8);
	CU_ASSERT_EQUAL(usched_pseudo_list(&at, &first, &last), 1);
	CU_ASSERT(first == 10 && last == 11);
	CU_ASSERT_EQUAL(usched_pseudo_list(&at, &first, &last), 0);
	at = "\n";
	CU_ASSERT_EQUAL(usched_pseudo_list(&at, &first, &last), 0);
	at = "3-1";
	CU_ASSERT_EQUAL(usched_pseudo_list(&at, &first, &last), 0);
	at = "99999999999999999999";
	CU_ASSERT_EQUAL(usched_pseudo_list(&at, &first, &last), 0);
}

/* Two nodes, two L3 caches in the first. */
static void a_two_node_machine(void)
{
	begin_machine();
	file("/sys/devices/system/node/online", "0-1\n");
	node(0, "0-3\n", "10 21\n");
	node(1, "4-7\n", "21 10\n");
	l3(0, 1, 3, "0-1\n");
	l3(2, 3, 3, "2-3\n");
	l3(4, 7, 2, "4-7\n");		/* one level-1 cache only: the L3 is index2 */

	CU_ASSERT_EQUAL_FATAL(look(0, 7), 0);
	CU_ASSERT_EQUAL(topology.cpu_count, 8);
	CU_ASSERT_EQUAL(topology.node_count, 2);
	CU_ASSERT_EQUAL(topology.l3_count, 3);
	CU_ASSERT_EQUAL(topology.nodes[1].cpu_count, 4);
	CU_ASSERT_EQUAL(topology.cpus[1].l3, topology.cpus[0].l3);
	CU_ASSERT_NOT_EQUAL(topology.cpus[2].l3, topology.cpus[1].l3);
	CU_ASSERT_EQUAL(topology.cpus[7].l3, topology.cpus[4].l3);
	CU_ASSERT_EQUAL(topology.cpus[4].node, 1);
	CU_ASSERT_EQUAL(usched_topology_distance(&topology, 0, 0), 10);
	CU_ASSERT_EQUAL(usched_topology_distance(&topology, 0, 1), 21);
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 8);

	/* An affinity mask within: the rest is not there. */
	CU_ASSERT_EQUAL_FATAL(look(3, 4), 0);
	CU_ASSERT_EQUAL(topology.cpu_count, 2);
	CU_ASSERT_EQUAL(topology.node_count, 2);
	CU_ASSERT_EQUAL(topology.l3_count, 2);
	CU_ASSERT_EQUAL(usched_topology_cpu_index(&topology, 4), 1);
	CU_ASSERT_EQUAL(usched_topology_cpu_index(&topology, 5), -ENODEV);
	CU_ASSERT_EQUAL_FATAL(look(5, 6), 0);
	CU_ASSERT_EQUAL(topology.node_count, 1);
	CU_ASSERT_EQUAL(topology.nodes[0].id, 1);
	CU_ASSERT_EQUAL(usched_topology_node_index(&topology, 1), 0);
	CU_ASSERT_EQUAL(usched_topology_node_index(&topology, 0), -ENODEV);
	end_machine();
}

/* Ids 0, 2, 5; node 2 has memory only; distances have a column for each node that is online. */
static void node_ids_have_gaps(void)
{
	begin_machine();
	file("/sys/devices/system/node/online", "0,2,5\n");
	node(0, "0-1\n", "10 14 32\n");
	node(2, "\n", "14 10 40\n");
	node(5, "2-3,8\n", "32 40 10\n");

	CU_ASSERT_EQUAL_FATAL(look(0, 9), 0);
	CU_ASSERT_EQUAL(topology.cpu_count, 10);
	CU_ASSERT_EQUAL(topology.node_count, 2);
	CU_ASSERT_EQUAL(topology.nodes[0].id, 0);
	CU_ASSERT_EQUAL(topology.nodes[1].id, 5);
	CU_ASSERT_EQUAL(usched_topology_distance(&topology, 0, 5), 32);
	CU_ASSERT_EQUAL(usched_topology_distance(&topology, 5, 0), 32);
	CU_ASSERT_EQUAL(usched_topology_distance(&topology, 0, 2), 20);
	CU_ASSERT_EQUAL(topology.cpus[8].node, 5);
	CU_ASSERT_EQUAL(topology.cpus[8].node_index, 1);
	/* CPUs that no node claims live with the first. */
	CU_ASSERT_EQUAL(topology.cpus[9].node, 0);
	CU_ASSERT_EQUAL(topology.nodes[0].cpu_count, 2 + 5);
	/* No cache is known: one group a node. */
	CU_ASSERT_EQUAL(topology.l3_count, 2);
	CU_ASSERT_EQUAL(topology.cpus[0].l3, topology.cpus[9].l3);
	CU_ASSERT_NOT_EQUAL(topology.cpus[0].l3, topology.cpus[2].l3);
	end_machine();
}

static void a_masked_sys_is_one_node(void)
{
	begin_machine();
	CU_ASSERT_EQUAL_FATAL(look(60, 70), 0);
	CU_ASSERT_EQUAL(topology.cpu_count, 11);
	CU_ASSERT_EQUAL(topology.node_count, 1);
	CU_ASSERT_EQUAL(topology.nodes[0].cpu_count, 11);
	CU_ASSERT_EQUAL(topology.l3_count, 1);
	CU_ASSERT_EQUAL(usched_topology_distance(&topology, 0, 0), 10);
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 11);
	CU_ASSERT_EQUAL(usched_topology_cpu_index(&topology, 70), 10);
	end_machine();
}

static void nonsense_in_sys_is_survived(void)
{
	uint64_t none[USCHED_TOPOLOGY_CPU_WORDS] = { 0 };

	begin_machine();
	file("/sys/devices/system/node/online", "0-4294967295,x\n");
	node(0, "0-18446744073709551615\n", "- -\n");
	node(1, "0-3\n", "999 0\n");
	l3(0, 3, 3, "77-12,hello\n");
	CU_ASSERT_EQUAL_FATAL(look(0, 3), 0);
	CU_ASSERT_EQUAL(topology.cpu_count, 4);
	CU_ASSERT(topology.node_count >= 1 && topology.l3_count >= 1);
	for (unsigned int i = 0; i < 4; i++) {
		CU_ASSERT(topology.cpus[i].node_index < topology.node_count);
		CU_ASSERT(topology.cpus[i].l3 < topology.l3_count);
	}
	CU_ASSERT_EQUAL(usched_topology_read_from(&topology, root, none), -ENODEV);
	end_machine();
}

/* The quota of an ancestor counts, rounded up, and is read anew. */
static void version_two_quotas_count(void)
{
	begin_machine();
	file("/proc/self/mountinfo",
	     "22 1 0:20 / /proc rw - proc proc rw\n"
	     "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 master:1 - cgroup2 cgroup2 rw\n");
	file("/proc/self/cgroup", "0::/web.slice/http.service/worker\n");
	file("/sys/fs/cgroup/web.slice/cpu.max", "250000 100000\n");
	file("/sys/fs/cgroup/web.slice/http.service/cpu.max", "max 100000\n");
	file("/sys/fs/cgroup/web.slice/http.service/worker/cpu.max", "400000 100000\n");
	CU_ASSERT_EQUAL_FATAL(look(0, 7), 0);
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 3);

	file("/sys/fs/cgroup/web.slice/cpu.max", "200000 100000\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 2);
	file("/sys/fs/cgroup/web.slice/http.service/worker/cpu.max", "1000 100000\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 1);
	file("/sys/fs/cgroup/web.slice/http.service/worker/cpu.max", "max 100000\n");
	file("/sys/fs/cgroup/web.slice/cpu.max", "max 100000\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 8);
	file("/sys/fs/cgroup/web.slice/cpu.max", "9900000 100000\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 8);
	file("/sys/fs/cgroup/web.slice/cpu.max", "200000 0\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 8);
	/* The process is moved. */
	file("/sys/fs/cgroup/other/cpu.max", "100000 50000\n");
	file("/proc/self/cgroup", "0::/other\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 2);
	/* Limits of the container itself stand at the mount point. */
	file("/sys/fs/cgroup/cpu.max", "100000 100000\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 1);
	file("/proc/self/cgroup", "0::/\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 1);
	file("/proc/self/cgroup", "0::/../beside\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 1);
	end_machine();
}

/* Both versions mounted; the container sees a part of the version 1 tree only. */
static void version_one_quotas_count(void)
{
	begin_machine();
	file("/proc/self/mountinfo",
	     "30 23 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
	     "33 30 0:30 /docker/abc /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
	     "34 30 0:31 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
	     "41 30 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	file("/proc/self/cgroup",
	     "9:cpuset:/docker/abc\n5:cpu,cpuacct:/docker/abc/job\n0::/docker/abc\n");
	file("/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "1\n");	/* not the cpu controller */
	file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "350000\n");
	file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	file("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
	file("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
	CU_ASSERT_EQUAL_FATAL(look(0, 7), 0);
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 4);
	file("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "200000\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 2);
	file("/sys/fs/cgroup/unified/docker/cpu.max", "100000 100000\n");
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 1);
	end_machine();
}

/* A mountinfo as long as a container host's, with a line that is longer than any buffer. */
static void long_mount_tables_are_read(void)
{
	enum { LINES = 500 };
	static char text[LINES * 64 + 4096];
	size_t length = 0;

	begin_machine();
	for (unsigned int i = 0; i < LINES; i++)
		length += (size_t)sprintf(text + length, "%u 1 0:%u / /mnt/%u rw - ext4 /dev/x rw\n",
					  i, i, i);
	length += (size_t)sprintf(text + length, "900 1 0:90 / /long rw - overlay o lowerdir=");
	memset(text + length, 'x', 3000);
	length += 3000;
	sprintf(text + length, "\n31 23 0:28 / /cg rw - cgroup2 cgroup2 rw\n");
	file("/proc/self/mountinfo", text);
	file("/proc/self/cgroup", "0::/a\n");
	file("/cg/a/cpu.max", "300000 100000\n");
	CU_ASSERT_EQUAL_FATAL(look(0, 7), 0);
	CU_ASSERT_EQUAL(usched_topology_cpu_limit(&topology), 3);
	end_machine();
}

static void this_machine_is_read(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t cpus_of_nodes = 0;
	cpu_set_t set;
	void *memory;

	CU_ASSERT_EQUAL_FATAL(usched_topology_read(&topology), 0);
	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(set), &set), 0);
	CU_ASSERT_EQUAL(topology.cpu_count, (uint32_t)CPU_COUNT(&set));
	for (uint32_t i = 0; i < topology.cpu_count; i++) {
		CU_ASSERT_TRUE(CPU_ISSET(topology.cpus[i].cpu, &set));
		CU_ASSERT(topology.cpus[i].l3 < topology.l3_count);
		CU_ASSERT_EQUAL(topology.nodes[topology.cpus[i].node_index].id,
				topology.cpus[i].node);
	}
	for (uint32_t i = 0; i < topology.node_count; i++)
		cpus_of_nodes += topology.nodes[i].cpu_count;
	CU_ASSERT_EQUAL(cpus_of_nodes, topology.cpu_count);
	CU_ASSERT(usched_topology_cpu_limit(&topology) >= 1);
	CU_ASSERT(usched_topology_cpu_limit(&topology) <= topology.cpu_count);
	printf("%u CPUs, %u nodes, %u L3 groups, %u by quota\n", topology.cpu_count,
	       topology.node_count, topology.l3_count, usched_topology_cpu_limit(&topology));

	/* A wish that cannot be granted is no error either. */
	memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(memory, MAP_FAILED);
	usched_topology_prefer_node(-1, memory, page);
	usched_topology_prefer_node(1023, memory, page);
	usched_topology_prefer_node(topology.nodes[0].id, memory, page);
	*(volatile char *)memory = 1;
	munmap(memory, page);
}

/* Both ways to find the rate agree within 2 %, on a machine that may be busy. */
static void the_cycle_rate_is_found(void)
{
	struct usched_cycles_rate found, measured;
	enum usched_cycles_source source = usched_cycles_find_rate(&found);
	uint64_t start = usched_cycles();
	uint64_t start_ns = usched_clock_now_ns();
	uint64_t by_cycles, by_clock;

	usched_cycles_measure_rate(&measured);
	printf("rate from %s: %llu.%03llu GHz\n",
	       source == USCHED_CYCLES_FROM_PERF ? "perf" : "measurement",
	       (unsigned long long)usched_cycles_from_ns(&found, 1000) / 1000,
	       (unsigned long long)usched_cycles_from_ns(&found, 1000) % 1000);
	CU_ASSERT_DOUBLE_EQUAL((double)found.ns_per_cycle_q32, (double)measured.ns_per_cycle_q32,
			       (double)measured.ns_per_cycle_q32 / 50);
	while (usched_clock_now_ns() - start_ns < 5000000)
		continue;
	by_cycles = usched_cycles_to_ns(&found, usched_cycles() - start);
	by_clock = usched_clock_now_ns() - start_ns;
	/* Bounds of arithmetic, not of speed: only the two reads at each end differ. */
	CU_ASSERT(by_cycles > by_clock / 2 && by_cycles < by_clock * 2);
}

static const struct usched_test tests[] = {
	{ "lists_are_read", lists_are_read },
	{ "a_two_node_machine", a_two_node_machine },
	{ "node_ids_have_gaps", node_ids_have_gaps },
	{ "a_masked_sys_is_one_node", a_masked_sys_is_one_node },
	{ "nonsense_in_sys_is_survived", nonsense_in_sys_is_survived },
	{ "version_two_quotas_count", version_two_quotas_count },
	{ "version_one_quotas_count", version_one_quotas_count },
	{ "long_mount_tables_are_read", long_mount_tables_are_read },
	{ "this_machine_is_read", this_machine_is_read },
	{ "the_cycle_rate_is_found", the_cycle_rate_is_found },
};

int main(void)
{
	return usched_test_main("topology", tests, sizeof(tests) / sizeof(tests[0]));
}
