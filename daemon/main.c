/* SPDX-License-Identifier: MIT */
/*
 * uschedd: options, sockets, the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/printable.h"
#include "base/random.h"
#include "daemon.h"
#include "memory/topology.h"

enum { BACKLOG = 128, EVENTS = 64 };
#define PERIOD_DEFAULT_NS UINT64_C(10000000)
#define PERIOD_MIN_NS     UINT64_C(1000000)
#define PERIOD_MAX_NS     UINT64_C(1000000000)

static const char usage[] =
	"Usage: uschedd [options]\n"
	"\n"
	"Share this machine's CPUs out among the processes that use libusched.\n"
	"\n"
	"  --foreground              stay in the foreground (it always does)\n"
	"  --socket-directory DIR    where the sockets are (USCHED_SOCKET, else /run/usched)\n"
	"  --cpus LIST               share out these only, as 0-3,8 (all that it may use)\n"
	"  --period TIME             between passes of the policy, 1ms to 1s (10ms)\n"
	"  -v, --verbose             say what happens, not only what goes wrong\n"
	"  -V, --version             print the version\n"
	"  -h, --help                print this help\n";

/* What clients can bring about is said so often a second at most, and then counted only: nobody
   outside shall fill a log, or make us wait for its reader. */
enum { SAID_MAX = 50, MESSAGE_BYTES = 384 };

void say(const struct daemon *daemon, int level, const char *format, ...)
{
	static uint64_t window_ns;
	static unsigned int said;
	char raw[MESSAGE_BYTES], text[MESSAGE_BYTES];
	va_list arguments;
	uint64_t now_ns;

	if (level > 5 && !daemon->verbose)
		return;
	now_ns = usched_clock_now_ns();
	if (now_ns - window_ns >= UINT64_C(1000000000)) {
		if (said > SAID_MAX)
			fprintf(stderr, "%s%u more messages in one second were left out\n",
				daemon->journal ? "<5>" : "uschedd: ", said - SAID_MAX);
		window_ns = now_ns;
		said = 0;
	}
	if (++said > SAID_MAX)
		return;
	/* A client's name may be anything, and a log is read in a terminal. */
	va_start(arguments, format);
	vsnprintf(raw, sizeof(raw), format, arguments);
	va_end(arguments);
	usched_printable(text, sizeof(text), raw, sizeof(raw));
	if (daemon->journal)
		fprintf(stderr, "<%d>%s\n", level, text);
	else
		fprintf(stderr, "uschedd: %s\n", text);
}

int watch(struct daemon *daemon, int descriptor, enum source source, uint32_t index)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = (uint64_t)source << 32 | index,
	};

	return epoll_ctl(daemon->epoll, EPOLL_CTL_ADD, descriptor, &event);
}

int accept_peer(struct daemon *daemon, int listener, pid_t *pid, uid_t *uid)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (socket < 0 && (errno == EMFILE || errno == ENFILE)) {
		/* The reserve lets us take the peer off the queue and turn it away; else the
		   listener would be ready for ever. */
		close(daemon->reserve);
		socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (socket >= 0)
			close(socket);
		daemon->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
		daemon->refused++;
		return -1;
	}
	if (socket < 0)
		return -1;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes)) {
		close(socket);
		return -1;
	}
	*pid = peer.pid;
	*uid = peer.uid;
	return socket;
}

static int fail(int code, const char *what, const char *why, const char *hint)
{
	fprintf(stderr, "uschedd: %s: %s\n  hint: %s\n", what, why, hint);
	return code;
}

/* "0-3,8" into a set. Return: 0; -EINVAL it is no such list; -ERANGE there are no such CPUs */
static int parse_cpus(const char *text, uint64_t *set)
{
	bool in_range = true;

	memset(set, 0, USCHED_CPU_WORDS * sizeof(*set));
	while (*text) {
		char *end;
		unsigned long low, high;

		if (*text < '0' || *text > '9')
			return -EINVAL;
		low = high = strtoul(text, &end, 10);
		if (*end == '-') {
			text = end + 1;
			if (*text < '0' || *text > '9')
				return -EINVAL;
			high = strtoul(text, &end, 10);
		}
		if (high < low || (*end && *end != ','))
			return -EINVAL;
		/* A number too large for its type is the largest of it. */
		in_range &= high < USCHED_CPUS_MAX;
		for (unsigned long cpu = low; in_range && cpu <= high; cpu++)
			usched_cpu_add(set, (uint32_t)cpu);
		text = *end == ',' ? end + 1 : end;
	}
	if (!in_range)
		return -ERANGE;
	return usched_cpu_count(set) ? 0 : -EINVAL;
}

/* As fail(), about an option's value, which may be anything. */
static int refuse_value(int code, const char *option, const char *value, const char *why,
			const char *hint)
{
	char shown[64], what[96];

	usched_printable(shown, sizeof(shown), value, strlen(value));
	snprintf(what, sizeof(what), "%s '%s'", option, shown);
	return fail(code, what, why, hint);
}

static int set_cpus(const char *value, uint64_t *only)
{
	int error = parse_cpus(value, only);

	if (error == -ERANGE)
		return refuse_value(EXIT_RANGE, "--cpus", value, "out of range",
				    "CPUs have numbers from 0 to 1023");
	if (error)
		return refuse_value(EXIT_USAGE, "--cpus", value, "this is no list of CPUs",
				    "write numbers and ranges, as 0-3,8");
	return 0;
}

static int set_period(const char *value, uint64_t *period_ns)
{
	static const char range[] = "give a time from 1ms to 1s";
	const char *why = "this is no time";
	int error = usched_duration_parse(value, period_ns, &why);

	if (error == -EINVAL || !strcmp(value, "off"))
		return refuse_value(EXIT_USAGE, "--period", value, why, range);
	if (error || *period_ns < PERIOD_MIN_NS || *period_ns > PERIOD_MAX_NS)
		return refuse_value(EXIT_RANGE, "--period", value, "out of range", range);
	return 0;
}

/* Return: 0; else *code is the exit code, and what there is to say was said. */
static int read_options(struct daemon *daemon, int argc, char *argv[], const char **cpus,
			uint64_t *only, int *code)
{
	enum { OPTION_FOREGROUND = 256, OPTION_DIRECTORY, OPTION_CPUS, OPTION_PERIOD };
	static const struct option options[] = {
		{ "foreground", no_argument, NULL, OPTION_FOREGROUND },
		{ "socket-directory", required_argument, NULL, OPTION_DIRECTORY },
		{ "cpus", required_argument, NULL, OPTION_CPUS },
		{ "period", required_argument, NULL, OPTION_PERIOD },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const char see_help[] = "uschedd --help lists the options";
	const char *directory = getenv("USCHED_SOCKET");
	int option;

	*code = 0;
	while (*code == 0 && (option = getopt_long(argc, argv, "vVh", options, NULL)) != -1) {
		switch (option) {
		case OPTION_FOREGROUND:
			break;
		case OPTION_DIRECTORY:
			if (!*optarg)
				*code = refuse_value(EXIT_USAGE, "--socket-directory", optarg,
						     "the name of the directory is empty",
						     "name the directory in which the sockets are to be");
			directory = optarg;
			break;
		case OPTION_CPUS:
			*cpus = optarg;
			*code = set_cpus(optarg, only);
			break;
		case OPTION_PERIOD:
			*code = set_period(optarg, &daemon->period_ns);
			break;
		case 'v':
			daemon->verbose = true;
			break;
		case 'V':
			printf("uschedd %s\n", PACKAGE_VERSION);
			*code = fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
			return -1;
		case 'h':
			fputs(usage, stdout);
			*code = fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
			return -1;
		default:
			fprintf(stderr, "  hint: %s\n", see_help);
			*code = EXIT_USAGE;
		}
	}
	if (*code == 0 && optind != argc)
		*code = refuse_value(EXIT_USAGE, "argument", argv[optind], "only options are expected",
				     see_help);
	if (*code)
		return -1;
	if (!directory || !*directory)
		directory = "/run/usched";
	if (strlen(directory) > USCHED_DIRECTORY_MAX) {
		*code = refuse_value(EXIT_USAGE, "directory", directory,
				     "the name is longer than 90 bytes, too long for a socket's directory",
				     "give a shorter path, or a symbolic link");
		return -1;
	}
	strcpy(daemon->directory, directory);
	return 0;
}

static void path_in(const struct daemon *daemon, char *path, size_t bytes, const char *name)
{
	snprintf(path, bytes, "%s/%s", daemon->directory, name);
}

/* One daemon a directory: whoever holds the lock may replace stale sockets. */
static int take_lock(struct daemon *daemon)
{
	char path[DIRECTORY_BYTES + 32];

	if (mkdir(daemon->directory, 0755) && errno != EEXIST)
		return fail(errno == EACCES || errno == EPERM ? EXIT_PERMISSION : EXIT_FAILED,
			    daemon->directory, strerror(errno),
			    "run as root, or give a directory of your own with --socket-directory");
	path_in(daemon, path, sizeof(path), "lock");
	daemon->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (daemon->lock < 0)
		return fail(errno == EACCES || errno == EPERM ? EXIT_PERMISSION : EXIT_FAILED, path,
			    strerror(errno),
			    "run as the user who owns the directory, or give another with --socket-directory");
	if (flock(daemon->lock, LOCK_EX | LOCK_NB))
		return fail(EXIT_FAILED, daemon->directory,
			    "another uschedd serves this directory already",
			    "stop it first, or give another directory with --socket-directory");
	return 0;
}

/* Make room for a socket. A daemon that was killed leaves one that nobody listens on; whatever else
   stands there is somebody's. Return: 0, or an exit code */
static int clear_place(const struct sockaddr_un *address, socklen_t bytes)
{
	static const char elsewhere[] =
		"stop it, or give another directory with --socket-directory";
	const char *path = address->sun_path;
	struct stat status;
	int probe, error;

	if (lstat(path, &status)) {
		if (errno == ENOENT)
			return 0;
		return fail(EXIT_FAILED, path, strerror(errno),
			    "give another directory with --socket-directory");
	}
	if (!S_ISSOCK(status.st_mode))
		return fail(EXIT_FAILED, path, "what stands here is no socket, so no daemon made it",
			    "move it away, or give another directory with --socket-directory");
	probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	error = probe < 0 || connect(probe, (const struct sockaddr *)address, bytes) ? errno : 0;
	if (probe >= 0)
		close(probe);
	/* EAGAIN: its queue is full; EPROTOTYPE: it speaks in streams. Both are alive. */
	if (error == 0 || error == EAGAIN || error == EPROTOTYPE)
		return fail(EXIT_FAILED, path, "another program listens on this socket", elsewhere);
	if (error != ECONNREFUSED)
		return fail(EXIT_FAILED, path, strerror(error), elsewhere);
	if (unlink(path) && errno != ENOENT)
		return fail(errno == EACCES || errno == EPERM ? EXIT_PERMISSION : EXIT_FAILED, path,
			    strerror(errno), "run as the user who owns the directory");
	return 0;
}

static int open_socket(struct daemon *daemon, const char *name, struct listener *listener)
{
	struct sockaddr_un address;
	struct stat status;
	socklen_t bytes;
	int code;

	usched_address_path(&address, &bytes, daemon->directory, name);
	code = clear_place(&address, bytes);
	if (code)
		return code;
	listener->name = name;
	listener->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener->socket < 0 || bind(listener->socket, (struct sockaddr *)&address, bytes) ||
	    lstat(address.sun_path, &status))
		return fail(EXIT_FAILED, address.sun_path, strerror(errno),
			    "check the directory's owner and file system");
	listener->device = status.st_dev;
	listener->inode = status.st_ino;
	if (chmod(address.sun_path, 0666) || listen(listener->socket, BACKLOG))
		return fail(EXIT_FAILED, address.sun_path, strerror(errno),
			    "check the directory's owner and file system");
	return 0;
}

/* While our socket is open its inode cannot be another file's. */
static void remove_socket(const struct daemon *daemon, const struct listener *listener)
{
	char path[DIRECTORY_BYTES + 32];
	struct stat status;

	if (!listener->inode)
		return;
	path_in(daemon, path, sizeof(path), listener->name);
	if (lstat(path, &status) == 0 && status.st_dev == listener->device &&
	    status.st_ino == listener->inode)
		unlink(path);
}

static int find_cpus(struct daemon *daemon, const char *list, const uint64_t *only)
{
	static struct usched_topology topology;
	int error = usched_topology_read(&topology);

	if (error)
		return fail(EXIT_FAILED, "cannot learn the CPUs", strerror(-error),
			    "see whether /sys and /proc are mounted");
	for (uint32_t i = 0; i < topology.cpu_count; i++) {
		uint32_t cpu = topology.cpus[i].cpu;

		if (!usched_cpu_count(only) || usched_cpu_in(only, cpu))
			usched_cpu_add(daemon->cpus, cpu);
		daemon->nodes[cpu] = (uint16_t)topology.cpus[i].node;
	}
	if (!usched_cpu_count(daemon->cpus))
		return refuse_value(EXIT_RANGE, "--cpus", list, "the daemon may use none of these CPUs",
				    "give some of Cpus_allowed_list in /proc/self/status");
	return 0;
}

/* The service manager names the stream that is the journal; a child of a service may have the name
   and another stderr. */
static bool is_journal(void)
{
	const char *name = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return name && sscanf(name, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

static int open_loop(struct daemon *daemon)
{
	struct rlimit files;
	sigset_t set;

	/* Four descriptors a runtime are more than the usual soft limit for a full table. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	daemon->epoll = epoll_create1(EPOLL_CLOEXEC);
	daemon->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	daemon->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	daemon->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (daemon->epoll < 0 || daemon->timer < 0 || daemon->signals < 0 ||
	    watch(daemon, daemon->timer, SOURCE_TIMER, 0) ||
	    watch(daemon, daemon->signals, SOURCE_SIGNAL, 0) ||
	    watch(daemon, daemon->clients_listener.socket, SOURCE_CLIENTS, 0) ||
	    watch(daemon, daemon->control_listener.socket, SOURCE_CONTROL, 0))
		return fail(EXIT_FAILED, "cannot make the loop", strerror(errno),
			    "raise the limits of descriptors and memory (ulimit -n)");
	return 0;
}

/* The service manager's protocol: one datagram to a socket that it names. */
static void notify_ready(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = name ? strlen(name) : 0;
	int socket_descriptor;

	if (length < 2 || length >= sizeof(address.sun_path) || (*name != '/' && *name != '@'))
		return;
	memcpy(address.sun_path, name, length);
	if (*name == '@')
		address.sun_path[0] = '\0';
	socket_descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (socket_descriptor < 0)
		return;
	(void)!sendto(socket_descriptor, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(socket_descriptor);
}

/* An event may be older than the client in this slot: one died and another came since epoll_wait. */
static bool process_ended(const struct client *client)
{
	struct pollfd poller = { .fd = client->pidfd, .events = POLLIN };

	return client->pidfd >= 0 && poll(&poller, 1, 0) > 0;
}

static void handle(struct daemon *daemon, const struct epoll_event *event, uint64_t now_ns)
{
	uint32_t index = (uint32_t)event->data.u64;
	uint64_t expirations;

	switch ((enum source)(event->data.u64 >> 32)) {
	case SOURCE_TIMER:
		(void)!read(daemon->timer, &expirations, sizeof(expirations));
		daemon->wanted_pass = true;
		daemon->tick = true;
		for (unsigned int i = 0; i < OBSERVERS_MAX; i++) {
			if (daemon->observers[i].socket >= 0 &&
			    now_ns >= daemon->observers[i].deadline_ns)
				observer_drop(&daemon->observers[i]);
		}
		break;
	case SOURCE_SIGNAL:
		daemon->stop = true;
		break;
	case SOURCE_CLIENTS:
		clients_accept(daemon, now_ns);
		break;
	case SOURCE_CONTROL:
		observers_accept(daemon, now_ns);
		break;
	case SOURCE_CLIENT:
		if (daemon->clients[index].socket >= 0)
			client_event(daemon, &daemon->clients[index], now_ns);
		break;
	case SOURCE_PIDFD:
		if (process_ended(&daemon->clients[index]))
			client_drop(daemon, &daemon->clients[index], "the process ended");
		break;
	case SOURCE_OBSERVER:
		if (daemon->observers[index].socket >= 0)
			observer_event(daemon, &daemon->observers[index], now_ns);
		break;
	}
}

/* The timer runs while there is anybody to serve. */
static void arm_timer(struct daemon *daemon, bool *armed)
{
	struct itimerspec setting = { { 0, 0 }, { 0, 0 } };
	bool wanted = false;

	for (unsigned int i = 0; !wanted && i < RUNTIMES_MAX; i++)
		wanted = daemon->clients[i].socket >= 0;
	for (unsigned int i = 0; !wanted && i < OBSERVERS_MAX; i++)
		wanted = daemon->observers[i].socket >= 0;
	if (wanted == *armed)
		return;
	if (wanted) {
		setting.it_interval.tv_sec = (time_t)(daemon->period_ns / 1000000000);
		setting.it_interval.tv_nsec = (long)(daemon->period_ns % 1000000000);
		setting.it_value = setting.it_interval;
	}
	timerfd_settime(daemon->timer, 0, &setting, NULL);
	*armed = wanted;
}

static void run(struct daemon *daemon)
{
	struct epoll_event events[EVENTS];
	bool armed = false;

	while (!daemon->stop) {
		int count = epoll_wait(daemon->epoll, events, EVENTS, -1);
		uint64_t now_ns = usched_clock_now_ns();

		for (int i = 0; i < count; i++)
			handle(daemon, &events[i], now_ns);
		if (daemon->wanted_pass)
			clients_pass(daemon, now_ns);
		arm_timer(daemon, &armed);
	}
}

int main(int argc, char *argv[])
{
	static struct daemon daemon;
	uint64_t only[USCHED_CPU_WORDS] = { 0 };
	const char *cpus = "";
	int code;

	daemon.period_ns = PERIOD_DEFAULT_NS;
	daemon.journal = is_journal();
	daemon.started_ns = usched_clock_now_ns();
	daemon.epoch = usched_random_entropy();
	for (unsigned int i = 0; i < RUNTIMES_MAX; i++) {
		daemon.clients[i].socket = -1;
		daemon.clients[i].pidfd = -1;
		daemon.clients[i].grant = (struct usched_segment)USCHED_SEGMENT_NONE;
		daemon.clients[i].report = (struct usched_segment)USCHED_SEGMENT_NONE;
	}
	for (unsigned int i = 0; i < OBSERVERS_MAX; i++)
		daemon.observers[i].socket = -1;
	if (read_options(&daemon, argc, argv, &cpus, only, &code))
		return code;
	code = find_cpus(&daemon, cpus, only);
	if (!code)
		code = take_lock(&daemon);
	if (!code)
		code = open_socket(&daemon, "client.sock", &daemon.clients_listener);
	if (!code)
		code = open_socket(&daemon, "control.sock", &daemon.control_listener);
	if (!code)
		code = open_loop(&daemon);
	if (!code) {
		say(&daemon, 6, "serving %u CPUs in %s", usched_cpu_count(daemon.cpus),
		    daemon.directory);
		notify_ready();
		run(&daemon);
	}
	/* Runtimes find the hang-up and go on by themselves. */
	remove_socket(&daemon, &daemon.clients_listener);
	remove_socket(&daemon, &daemon.control_listener);
	return code;
}
