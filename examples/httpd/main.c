/* SPDX-License-Identifier: MIT */
/*
 * The command line of httpd and httpd-threads.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "connection.h"
#include "serve.h"

enum { EXIT_USAGE = 2, EXIT_RANGE = 6, WORKERS_MAX = 1024, PORT_MAX = 65535 };

static const struct option long_options[] = {
	{ "address", required_argument, NULL, 'a' },
	{ "port",    required_argument, NULL, 'p' },
	{ "root",    required_argument, NULL, 'r' },
	{ "workers", required_argument, NULL, 'w' },
	{ "help",    no_argument,       NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char *program = "httpd";

static void print_help(void)
{
	printf("Usage: %s --root DIR [options]\n"
	       "\n"
	       "An HTTP/1.1 server: %s.\n"
	       "It serves / (a short text) and /gzip?file=NAME&level=1..9 (a file of DIR, compressed).\n"
	       "When it is ready it prints one line: listening on ADDRESS:PORT, pid PID\n"
	       "SIGTERM or SIGINT ends it, after the requests that are in flight.\n"
	       "\n"
	       "  --root DIR         the document root; nothing outside of it is served\n"
	       "  --port N           1 to 65535; 0, the default, takes a free one\n"
	       "  --address ADDRESS  IPv4 or IPv6 address to listen on (default 127.0.0.1)\n",
	       program, serve_description);
	if (serve_has_workers)
		printf("  --workers N        use at most N CPUs, 1 to %d (default: all that are allowed)\n",
		       WORKERS_MAX);
	printf("  --help             show this help\n"
	       "\n"
	       "Exit codes: 0 done, 1 failed, 2 usage, 6 a number out of range.\n");
}

static int usage_error(const char *option, const char *value, const char *problem)
{
	fprintf(stderr, "%s: %s %s: %s\nTry '%s --help'.\n", program, option, value, problem,
		program);
	return EXIT_USAGE;
}

/* 0, or an exit code: a message was written. */
static int parse_number(const char *option, const char *text, unsigned long low,
			unsigned long high, unsigned long *number)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0')
		return usage_error(option, text, "not a whole number");
	if (errno != 0 || value < low || value > high) {
		fprintf(stderr, "%s: %s %s: out of range\nGive a number from %lu to %lu.\n", program,
			option, text, low, high);
		return EXIT_RANGE;
	}
	*number = value;
	return 0;
}

static int set_address(struct serve_options *options, const char *text, unsigned long port)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&options->address;
	struct sockaddr_in *four = (struct sockaddr_in *)&options->address;

	memset(&options->address, 0, sizeof(options->address));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)port);
		options->address_bytes = sizeof(*four);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		options->address_bytes = sizeof(*six);
		return 0;
	}
	return usage_error("--address", text, "not an IPv4 or IPv6 address, such as 127.0.0.1");
}

/* Fills @options and @root; -1: help was shown; an exit code: a message was written. */
static int parse(int argc, char *argv[], struct serve_options *options, const char **root)
{
	const char *address = "127.0.0.1";
	unsigned long port = 0, workers = 0;
	int option, code;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'a':
			address = optarg;
			break;
		case 'p':
			code = parse_number("--port", optarg, 0, PORT_MAX, &port);
			if (code != 0)
				return code;
			break;
		case 'r':
			*root = optarg;
			break;
		case 'w':
			if (!serve_has_workers)
				return usage_error("--workers", optarg,
						   "this program has a thread per connection instead");
			code = parse_number("--workers", optarg, 1, WORKERS_MAX, &workers);
			if (code != 0)
				return code;
			break;
		case 'h':
			print_help();
			return -1;
		default:	/* getopt has said what is wrong */
			fprintf(stderr, "Try '%s --help'.\n", program);
			return EXIT_USAGE;
		}
	}
	if (optind != argc)
		return usage_error("argument", argv[optind], "only options are expected");
	if (*root == NULL)
		return usage_error("--root", "DIR", "is missing; name the folder to serve");
	options->workers = (unsigned int)workers;
	return set_address(options, address, port);
}

int serve_ready(int descriptor)
{
	struct sockaddr_storage address;
	socklen_t bytes = sizeof(address);
	char text[INET6_ADDRSTRLEN] = "";
	int r;

	if (getsockname(descriptor, (struct sockaddr *)&address, &bytes) != 0)
		return -errno;
	if (address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address;

		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
		r = printf("listening on [%s]:%u, pid %d\n", text, ntohs(six->sin6_port), getpid());
	} else {
		const struct sockaddr_in *four = (const struct sockaddr_in *)&address;

		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
		r = printf("listening on %s:%u, pid %d\n", text, ntohs(four->sin_port), getpid());
	}
	if (r < 0 || fflush(stdout) != 0) {
		fprintf(stderr, "%s: cannot write to stdout, so nobody learns the port; ending\n",
			program);
		return -EIO;
	}
	return 0;
}

/* One descriptor per connection, and one per file that is read. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max < 4 * CONNECTIONS_MAX ? limit.rlim_max :
									4 * CONNECTIONS_MAX;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char *argv[])
{
	static struct site site;
	struct serve_options options = { 0 };
	const char *root = NULL, *slash = strrchr(argv[0], '/');
	sigset_t signals;
	int r;

	program = slash != NULL ? slash + 1 : argv[0];
	r = parse(argc, argv, &options, &root);
	if (r != 0)
		return r < 0 ? (fflush(stdout) != 0) : r;
	site.root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (site.root < 0) {
		fprintf(stderr, "%s: --root %s: %s; name a folder that you may read\n", program, root,
			strerror(errno));
		return 1;
	}
	raise_descriptor_limit();
	/* Before any thread exists, so that all inherit it and only sigwait(3) takes them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	r = serve_run(&site, &options);
	close(site.root);
	return r;
}
