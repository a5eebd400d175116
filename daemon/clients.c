/* SPDX-License-Identifier: MIT */
/*
 * Runtimes: from HELLO to death, and the pass that changes their grants.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/random.h"
#include "daemon.h"
#include <usched/usched.h>

#define HELLO_NS UINT64_C(1000000000)
#define LEAVE_NS UINT64_C(10000000)	/* at least so long to give a CPU back */
#define WINDOW_NS UINT64_C(10000000)	/* in which a runtime sends MESSAGES_MAX at most */
#define BETWEEN_NS UINT64_C(1000000)	/* passes that messages ask for */

enum { MESSAGES_MAX = 256 };

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77			/* Linux 6.5 */
#endif

static const struct usched_segment no_segment = USCHED_SEGMENT_NONE;

const char *client_name(const struct client *client)
{
	static char name[32];

	snprintf(name, sizeof(name), client->number > 1 ? "%d/%u" : "%d", (int)client->pid,
		 client->number);
	return name;
}

void client_drop(struct daemon *daemon, struct client *client, const char *why)
{
	if (client->socket < 0)
		return;
	if (client->attached) {
		say(daemon, 6, "runtime of process %s (%.24s) is gone: %s", client_name(client),
		    client->name, why);
		daemon->client_count--;
		daemon->wanted_pass = true;	/* its CPUs are free now */
	} else {
		say(daemon, 5, "connection from process %d refused: %s", (int)client->pid, why);
		daemon->refused++;
	}
	close(client->socket);
	if (client->pidfd >= 0)
		close(client->pidfd);
	usched_segment_close(&client->grant);
	usched_segment_close(&client->report);
	memset(client, 0, sizeof(*client));
	client->socket = -1;
	client->pidfd = -1;
	client->grant = no_segment;
	client->report = no_segment;
}

/* A descriptor of the peer's process. Before Linux 6.5 by its number, which a process that has just
   died may have passed on: the hang-up tells of its death all the same. */
static int open_pidfd(int socket, pid_t pid)
{
	int descriptor = -1;
	socklen_t bytes = sizeof(descriptor);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &descriptor, &bytes) == 0)
		return descriptor;
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

void clients_accept(struct daemon *daemon, uint64_t now_ns)
{
	struct client *client = NULL;
	uint32_t same_user = 0;
	pid_t pid;
	uid_t uid;
	int socket = accept_peer(daemon, daemon->clients_listener.socket, &pid, &uid);

	if (socket < 0)
		return;
	for (unsigned int i = 0; i < RUNTIMES_MAX; i++) {
		if (daemon->clients[i].socket < 0)
			client = client ? client : &daemon->clients[i];
		else
			same_user += daemon->clients[i].uid == uid;
	}
	if (!client || same_user >= RUNTIMES_PER_USER) {
		union usched_message_any refusal;

		usched_message_error(&refusal, 0, EAGAIN, client ?
			"your user has 128 runtimes attached already; this one stays embedded" :
			"the daemon serves 256 runtimes already; this one stays embedded");
		usched_message_send(socket, &refusal, NULL, 0);
		close(socket);
		daemon->refused++;
		return;
	}
	client->socket = socket;
	client->pid = pid;
	client->uid = uid;
	client->deadline_ns = now_ns + HELLO_NS;
	client->pidfd = open_pidfd(socket, pid);
	if (watch(daemon, socket, SOURCE_CLIENT, (uint32_t)(client - daemon->clients)) ||
	    (client->pidfd >= 0 &&
	     watch(daemon, client->pidfd, SOURCE_PIDFD, (uint32_t)(client - daemon->clients))))
		client_drop(daemon, client, "no memory to watch it");
}

/* What the kernel lets the process use, of what it asks for and what we share out. */
static bool find_allowed(const struct daemon *daemon, struct client *client)
{
	cpu_set_t set;
	uint64_t any = 0;

	/* The main thread's: carriers have each their own CPU. A process that is gone already, or
	   hidden, is believed within what we share out. */
	if (sched_getaffinity(client->pid, sizeof(set), &set))
		memset(&set, 0xff, sizeof(set));
	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
		if (usched_cpu_in(client->cpus, cpu) && usched_cpu_in(daemon->cpus, cpu) &&
		    CPU_ISSET(cpu, &set))
			usched_cpu_add(client->allowed, cpu);
	}
	for (unsigned int i = 0; i < USCHED_CPU_WORDS; i++)
		any |= client->allowed[i];
	return any != 0;
}

/* Change G; the generations of the workers whose CPU came or went. */
static void store_grant(struct client *client, const uint64_t cpus[USCHED_CPU_WORDS])
{
	struct usched_grant *grant = usched_segment_grant(&client->grant);
	uint32_t slot = 0;

	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
		struct usched_grant_worker *worker;
		int had = usched_cpu_in(client->granted, cpu), has = usched_cpu_in(cpus, cpu);

		if (!usched_cpu_in(client->cpus, cpu))
			continue;
		worker = usched_segment_grant_worker(&client->grant, slot++);
		__atomic_store_n(&worker->cpu, cpu, __ATOMIC_RELAXED);
		if (has && !had)
			__atomic_store_n(&worker->grant_generation, grant->grant_generation + 1,
					 __ATOMIC_RELAXED);
		if (had && !has)
			__atomic_store_n(&worker->park_generation, grant->grant_generation + 1,
					 __ATOMIC_RELAXED);
	}
	memcpy(client->granted, cpus, sizeof(client->granted));
	usched_grant_store(grant, cpus, NULL);
}

void client_doorbell(struct daemon *daemon, struct client *client)
{
	union usched_message_any bell;
	int error;

	usched_message_init(&bell, USCHED_MESSAGE_DOORBELL, 0);
	error = usched_message_send(client->socket, &bell, NULL, 0);
	/* A full socket holds bells enough. */
	if (error && error != -EAGAIN)
		client_drop(daemon, client, "it hung up");
}

static const char *check_hello(const struct usched_message_hello *hello)
{
	uint32_t count = usched_cpu_count(hello->cpus);

	if (count == 0 || count > USCHED_CPUS_MAX || hello->workers != count)
		return "HELLO names no CPUs, or another number of workers than of CPUs";
	if (hello->workers_max == 0)
		return "HELLO wants no worker at all";
	if (hello->number > USCHED_WIRE_RUNTIMES_MAX)
		return "HELLO has a runtime's number above 63";
	return NULL;
}

/* The number that it listens under, or for one that cannot listen the lowest that is free. */
static uint32_t choose_number(struct daemon *daemon, const struct client *client, uint32_t wanted)
{
	uint32_t number = wanted;

	while (number == 0 || (wanted == 0 && client_find(daemon, client->pid, number)))
		number++;
	return number;
}

static void greet(struct daemon *daemon, struct client *client,
		  const struct usched_message_hello *hello, uint64_t now_ns)
{
	union usched_message_any reply;
	uint64_t session[2] = { usched_random_entropy(), usched_random_entropy() };
	const char *wrong = client->attached ? "a second HELLO" : check_hello(hello);
	uint64_t first[USCHED_CPU_WORDS] = { 0 };
	uint32_t least = UINT32_MAX, chosen = 0;
	int descriptors[2] = { -1, -1 };
	int error = 0;

	if (!wrong) {
		memcpy(client->cpus, hello->cpus, sizeof(client->cpus));
		if (!find_allowed(daemon, client))
			wrong = "the daemon shares out none of the CPUs that this process may use";
	}
	if (wrong) {
		usched_message_error(&reply, hello->header.serial, EINVAL, wrong);
		usched_message_send(client->socket, &reply, NULL, 0);
		client_drop(daemon, client, wrong);
		return;
	}
	memcpy(client->name, hello->name, sizeof(client->name));
	client->name[sizeof(client->name) - 1] = '\0';
	client->workers = hello->workers;
	client->most = hello->workers_max;
	client->number = choose_number(daemon, client, hello->number);
	memcpy(client->tunables, hello->tunables, sizeof(client->tunables));
	usched_tunables_clamp(client->tunables);
	client->since_ns = now_ns;
	client->demand = 1;
	error = usched_segment_create(&client->grant, USCHED_SEGMENT_GRANT, client->workers, session);
	if (!error)
		error = usched_segment_create(&client->report, USCHED_SEGMENT_REPORT,
					      client->workers, session);
	if (error) {
		client_drop(daemon, client, "no memory for its segments");
		return;
	}
	/* One CPU at once, the one with the fewest runtimes; the pass that follows does the rest. */
	for (uint32_t cpu = 0; cpu < USCHED_CPUS_MAX; cpu++) {
		uint32_t load = 0;

		if (!usched_cpu_in(client->allowed, cpu))
			continue;
		for (unsigned int i = 0; i < RUNTIMES_MAX; i++)
			load += (uint32_t)usched_cpu_in(daemon->clients[i].granted, cpu);
		if (load < least) {
			least = load;
			chosen = cpu;
		}
	}
	usched_cpu_add(first, chosen);
	store_grant(client, first);
	usched_grant_store(usched_segment_grant(&client->grant), NULL, client->tunables);
	usched_segment_grant(&client->grant)->epoch = daemon->epoch;

	usched_message_init(&reply, USCHED_MESSAGE_WELCOME, hello->header.serial);
	memcpy(reply.welcome.session, session, sizeof(session));
	reply.welcome.epoch = daemon->epoch;
	descriptors[0] = usched_segment_reopen(&client->grant);
	descriptors[1] = client->report.descriptor;
	if (descriptors[0] >= 0)
		error = usched_message_send(client->socket, &reply, descriptors, 2);
	if (descriptors[0] >= 0)
		close(descriptors[0]);
	if (descriptors[0] < 0 || error) {
		client_drop(daemon, client, "its segments could not be sent");
		return;
	}
	client->attached = true;
	daemon->client_count++;
	daemon->wanted_pass = true;
	say(daemon, 6, "runtime of process %s (%s, uid %u) attached, %u CPUs allowed",
	    client_name(client), client->name, (unsigned int)client->uid,
	    usched_cpu_count(client->allowed));
}

void client_event(struct daemon *daemon, struct client *client, uint64_t now_ns)
{
	/* Bounded: one that talks without end is served a batch a turn. */
	for (unsigned int i = 0; i < 8 && client->socket >= 0; i++) {
		union usched_message_any message;
		int error = usched_message_receive(client->socket, &message, NULL, NULL);

		if (error == -EAGAIN)
			return;
		if (error) {
			client_drop(daemon, client, error == -EPROTO || error == -EPROTONOSUPPORT ?
				    "it sent what is no message of this version, or descriptors" :
				    "it hung up");
			return;
		}
		if (now_ns - client->window_ns >= WINDOW_NS) {
			client->window_ns = now_ns;
			client->messages = 0;
		}
		if (++client->messages > MESSAGES_MAX) {
			client_drop(daemon, client, "it talks too much");
			return;
		}
		if (message.header.type == USCHED_MESSAGE_HELLO)
			greet(daemon, client, &message.hello, now_ns);
		else if (message.header.type == USCHED_MESSAGE_DEMAND && client->attached)
			/* Sooner than the timer's pass, which comes anyway. */
			daemon->wanted_pass |= now_ns - daemon->passed_ns >= BETWEEN_NS;
		else
			client_drop(daemon, client, "it sent a message that is not a runtime's");
	}
}

struct client *client_find(struct daemon *daemon, pid_t pid, uint32_t number)
{
	struct client *found = NULL;

	for (unsigned int i = 0; i < RUNTIMES_MAX; i++) {
		struct client *client = &daemon->clients[i];

		/* Of two with one number the later: it took the name of one whose hang-up we have
		   not seen yet. */
		if (client->socket >= 0 && client->attached && client->pid == pid &&
		    client->number == (number ? number : 1) &&
		    (!found || client->since_ns >= found->since_ns))
			found = client;
	}
	return found;
}

/* Our copy of what it says, clamped: lies move only its own share. */
static void read_report(struct client *client)
{
	struct usched_report copy;

	if (pread(client->report.descriptor, &copy, sizeof(copy), 0) != (ssize_t)sizeof(copy))
		return;
	client->demand = copy.demand_cpus < client->workers ? copy.demand_cpus : client->workers;
	client->carriers_refused = copy.carriers_refused < UINT32_MAX ? (uint32_t)copy.carriers_refused :
				   UINT32_MAX;
	client->quantum_floor_ns = copy.quantum_floor_ns < USCHED_QUANTUM_MAX_NS ?
				   copy.quantum_floor_ns : 0;
	if (client->leave_generation && copy.grant_acked >= client->leave_generation) {
		memset(client->leaving, 0, sizeof(client->leaving));
		client->leave_generation = 0;
	}
}

static bool any_cpu(const uint64_t *set)
{
	return usched_cpu_count(set) != 0;
}

/* That a fiber may run before the runtime can give a CPU back, as far as the tunables say. */
static uint64_t longest_quantum_ns(const struct client *client)
{
	uint64_t longest_ns = 0;

	for (unsigned int i = 0; i < USCHED_TUNABLES; i++) {
		uint64_t value = client->tunables[i];

		if (!(usched_tunable_rule(i)->may & USCHED_TUNABLE_AUTO))
			continue;		/* no quantum */
		if (value == USCHED_QUANTUM_AUTO)
			value = client->tunables[USCHED_TUNABLE_AUTO_MAX];
		if (value != USCHED_QUANTUM_DEFAULT && value > longest_ns)
			longest_ns = value;
	}
	return longest_ns;
}

/* Bring one runtime's grant nearer to its target. */
static void regrant(struct daemon *daemon, struct client *client, const uint64_t *target,
		    const uint64_t *shared, uint64_t now_ns)
{
	uint64_t next[USCHED_CPU_WORDS];
	uint64_t patience_ns;
	bool lost = false;

	memcpy(next, target, sizeof(next));
	/* One revocation at a time, or a later one would move the deadline of the earlier. */
	for (unsigned int word = 0; client->leave_generation && word < USCHED_CPU_WORDS; word++)
		next[word] |= client->granted[word];
	for (unsigned int i = 0; i < RUNTIMES_MAX; i++) {
		struct client *other = &daemon->clients[i];

		if (other == client || other->socket < 0 || !other->attached)
			continue;
		/* A CPU that another one still has comes later, unless it is to be shared. */
		for (unsigned int word = 0; word < USCHED_CPU_WORDS; word++)
			next[word] &= ~((other->granted[word] | other->leaving[word]) &
					~shared[word] & ~client->granted[word]);
	}
	if (!any_cpu(next))
		return;			/* it keeps what it has until there is something */
	if (!memcmp(next, client->granted, sizeof(next)))
		return;
	for (unsigned int word = 0; word < USCHED_CPU_WORDS; word++) {
		uint64_t gone = client->granted[word] & ~next[word];

		client->leaving[word] = (client->leaving[word] | gone) & ~next[word];
		lost |= gone != 0;
	}
	store_grant(client, next);
	if (lost) {
		patience_ns = 2 * longest_quantum_ns(client);
		if (patience_ns < LEAVE_NS)
			patience_ns = LEAVE_NS;
		client->leave_generation = usched_segment_grant(&client->grant)->grant_generation;
		client->leave_deadline_ns = now_ns + patience_ns;
	}
	client_doorbell(daemon, client);
}

void clients_pass(struct daemon *daemon, uint64_t now_ns)
{
	static struct usched_policy_runtime runtimes[RUNTIMES_MAX];
	static struct client *who[RUNTIMES_MAX];
	uint64_t shared[USCHED_CPU_WORDS] = { 0 }, seen[USCHED_CPU_WORDS] = { 0 };
	uint32_t count = 0;
	bool tick = daemon->tick;

	daemon->passes++;
	daemon->passed_ns = now_ns;
	daemon->wanted_pass = false;
	daemon->tick = false;
	for (unsigned int i = 0; i < RUNTIMES_MAX; i++) {
		struct client *client = &daemon->clients[i];
		struct usched_grant *grant;

		if (client->socket < 0)
			continue;
		if (!client->attached) {
			if (now_ns >= client->deadline_ns)
				client_drop(daemon, client, "it said nothing for a second");
			continue;
		}
		grant = usched_segment_grant(&client->grant);
		__atomic_store_n(&grant->heartbeat, grant->heartbeat + 1, __ATOMIC_RELAXED);
		read_report(client);
		if (client->leave_generation && now_ns >= client->leave_deadline_ns) {
			client->late += usched_cpu_count(client->leaving);
			memset(client->leaving, 0, sizeof(client->leaving));
			client->leave_generation = 0;
			say(daemon, 5, "process %s did not give its CPUs back in time",
			    client_name(client));
		}
		memcpy(runtimes[count].allowed, client->allowed, sizeof(client->allowed));
		memcpy(runtimes[count].current, client->granted, sizeof(client->granted));
		runtimes[count].demand = client->demand;
		/* Only the timer's passes count towards shrinking: messages come at any pace. */
		if (!tick && client->demand < usched_cpu_count(client->granted))
			runtimes[count].demand = usched_cpu_count(client->granted);
		runtimes[count].most = client->most;
		runtimes[count].low_passes = client->low_passes;
		who[count++] = client;
	}
	usched_policy_decide(runtimes, count, daemon->nodes);
	for (uint32_t i = 0; i < count; i++) {
		if (tick)
			who[i]->low_passes = runtimes[i].low_passes;
		for (unsigned int word = 0; word < USCHED_CPU_WORDS; word++) {
			shared[word] |= seen[word] & runtimes[i].target[word];
			seen[word] |= runtimes[i].target[word];
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		if (who[i]->socket >= 0)
			regrant(daemon, who[i], runtimes[i].target, shared, now_ns);
	}
}
