/* SPDX-License-Identifier: MIT */
/*
 * One client for all echo servers: it starts the server, keeps one request of 64 bytes under way on
 * each connection, compares what comes back, and ends the server.
 *
 *	echo_client CONNECTIONS MS SERVER [ARGUMENT...]
 *
 * The server says its port in the first line of its stdout. It gets half of the CPUs, at most two, and
 * the client the others; where there is only one, they share it.
 *
 *	requests	answered in the measured time, per second
 *	p99		of the time to an answer. A request that is still open at the end counts with its
 *			age if that is above the p99 of the answered ones
 *	cpu		user and system time of the server for each request
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

enum {
	MESSAGE_BYTES = 64,
	EVENTS = 256,
	SERVER_CPUS = 2,	/* or half of them, if that is less			*/
	LIMIT_S = 20,		/* beside what is measured: to start, connect, end	*/
	REQUESTS_MAX = 1000000,	/* a second; more are answered, and not in the p99	*/
};

struct connection {
	int descriptor;
	uint32_t serial;
	uint64_t sent_ns;
	size_t got;
	char message[MESSAGE_BYTES];
	char answer[MESSAGE_BYTES];
};

static pid_t server;
static clockid_t server_clock;

static void leave(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
}

static void on_alarm(int signal)
{
	static const char text[] = "echo_client: out of time\n";

	(void)signal;
	if (write(2, text, sizeof(text) - 1) < 0)
		_exit(1);
	kill(server, SIGKILL);
	_exit(1);
}

static void part_cpus(cpu_set_t *mine, cpu_set_t *its)
{
	int cpus = 0, servers;

	if (sched_getaffinity(0, sizeof(*mine), mine))
		fail("no CPU mask");
	*its = *mine;
	servers = CPU_COUNT(mine) / 2;
	if (servers == 0)
		return;
	if (servers > SERVER_CPUS)
		servers = SERVER_CPUS;
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, its))
			continue;
		CPU_CLR(cpu, cpus < servers ? mine : its);
		cpus++;
	}
}

/* Returns the server's port. */
static uint16_t start_server(char *argv[])
{
	cpu_set_t mine, its;
	char text[16] = "";
	pid_t client = getpid();
	int ends[2];
	long port;

	part_cpus(&mine, &its);
	if (pipe2(ends, O_CLOEXEC))
		fail("no pipe");
	server = fork();
	if (server < 0)
		fail("no process");
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != client)
			_exit(1);
		sched_setaffinity(0, sizeof(its), &its);
		dup2(ends[1], STDOUT_FILENO);
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	close(ends[1]);
	atexit(leave);
	sched_setaffinity(0, sizeof(mine), &mine);
	for (size_t got = 0; got < sizeof(text) - 1 && !strchr(text, '\n');) {
		ssize_t more = read(ends[0], text + got, sizeof(text) - 1 - got);

		if (more <= 0)
			fail("the server did not start");
		got += (size_t)more;
	}
	port = strtol(text, NULL, 10);
	if (port < 1 || port > 65535)
		fail("the server said no port");
	if (clock_getcpuclockid(server, &server_clock))
		fail("the server has no clock");
	return (uint16_t)port;
}

static void send_next(struct connection *connection, uint32_t number)
{
	uint32_t words[MESSAGE_BYTES / sizeof(uint32_t)];

	connection->serial++;
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = (number * 2654435761u) ^ (connection->serial + i);
	memcpy(connection->message, words, sizeof(words));
	connection->got = 0;
	connection->sent_ns = clock_ns(CLOCK_MONOTONIC);
	/* 64 bytes into an empty socket: all or an error. */
	if (write(connection->descriptor, connection->message, MESSAGE_BYTES) != MESSAGE_BYTES)
		fail("a request cannot be sent");
}

/* Returns true when the answer is complete. */
static bool receive(struct connection *connection)
{
	ssize_t got = read(connection->descriptor, connection->answer + connection->got,
			   MESSAGE_BYTES - connection->got);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0)
		fail("the server closed a connection");
	connection->got += (size_t)got;
	if (connection->got < MESSAGE_BYTES)
		return false;
	if (memcmp(connection->answer, connection->message, MESSAGE_BYTES))
		fail("another message came back");
	return true;
}

static void connect_all(struct connection *all, uint32_t count, uint16_t port, int poll)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (uint32_t i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };
		int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (descriptor < 0 ||
		    connect(descriptor, (struct sockaddr *)&address, sizeof(address)) ||
		    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
		    fcntl(descriptor, F_SETFL, O_NONBLOCK) ||
		    epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event))
			fail("a connection failed");
		all[i].descriptor = descriptor;
	}
}

int main(int argc, char *argv[])
{
	static struct epoll_event events[EVENTS];
	uint64_t ms, begin_ns, end_ns, now_ns, answered = 0, cpu_ns = 0;
	uint32_t count;
	struct connection *all;
	struct samples times;
	struct rlimit files;
	double p99;
	int poll;

	if (argc < 4) {
		fprintf(stderr, "usage: %s CONNECTIONS MS SERVER [ARGUMENT...]\n", argv[0]);
		return 2;
	}
	count = (uint32_t)strtoul(argv[1], NULL, 10);
	ms = strtoull(argv[2], NULL, 10);
	if (count < 1 || count > 10000 || ms < 1 || ms > 60000)
		fail("1 to 10000 connections, 1 to 60000 ms");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;	/* the server inherits it */
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, on_alarm);
	alarm(LIMIT_S + (unsigned int)(ms / 1000) * 2);
	all = calloc(count, sizeof(*all));
	poll = epoll_create1(EPOLL_CLOEXEC);
	if (!all || poll < 0)
		fail("no memory, or no epoll");
	samples_init(&times, REQUESTS_MAX / 1000 * ms + count);
	connect_all(all, count, start_server(argv + 3), poll);

	for (uint32_t i = 0; i < count; i++)
		send_next(&all[i], i);
	begin_ns = clock_ns(CLOCK_MONOTONIC) + ms / 4 * 1000000;	/* it warms up before */
	end_ns = begin_ns + ms * 1000000;
	while ((now_ns = clock_ns(CLOCK_MONOTONIC)) < end_ns) {
		/* At least 1 ms, rounded up: the loop ends on time, or that much later. */
		int ready = epoll_wait(poll, events, EVENTS, (int)((end_ns - now_ns) / 1000000) + 1);

		if (ready < 0 && errno != EINTR)
			fail("epoll_wait failed");
		if (cpu_ns == 0 && clock_ns(CLOCK_MONOTONIC) >= begin_ns)
			cpu_ns = clock_ns(server_clock);
		for (int i = 0; i < ready; i++) {
			struct connection *connection = &all[events[i].data.u32];

			if (!receive(connection))
				continue;
			now_ns = clock_ns(CLOCK_MONOTONIC);
			if (now_ns >= begin_ns && now_ns < end_ns) {
				samples_add(&times, now_ns - connection->sent_ns);
				answered++;
			}
			send_next(connection, events[i].data.u32);
		}
	}
	cpu_ns = clock_ns(server_clock) - cpu_ns;
	p99 = samples_us(&times, 99);
	if (answered) {
		for (uint32_t i = 0; i < count; i++) {
			uint64_t age_ns = end_ns > all[i].sent_ns ? end_ns - all[i].sent_ns : 0;

			if ((double)age_ns / 1000 > p99)
				samples_add(&times, age_ns);
		}
		p99 = samples_us(&times, 99);
	}
	printf("requests\t1/s\t%.1f\n", (double)answered * 1000 / (double)ms);
	printf("p99\tus\t%.3f\n", p99);
	printf("cpu\tus\t%.3f\n",
	       answered ? (double)cpu_ns / 1000 / (double)answered : STARVED);
	return 0;
}
