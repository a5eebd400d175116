/* SPDX-License-Identifier: MIT */
/*
 * httpd-threads: one kernel thread per connection and blocking sockets; a wait with a deadline is
 * poll(2) before the call. What httpd is compared with.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "serve.h"

#define SECOND UINT64_C(1000000000)

const char serve_description[] = "one thread per connection, for comparison";
const bool serve_has_workers = false;

enum { BACKLOG = 1024, STOP_SECONDS = 15, STACK_BYTES = 256 * 1024 };

struct acceptor {
	struct site *site;
	int listener;
};

struct job {
	struct site *site;
	int slot;
};

/* How many connections have a thread; the last to end tells the main thread. */
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t threads_none;
static unsigned int threads;

static uint64_t now_ns(void)
{
	struct timespec now = { 0, 0 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / SECOND), (long)(ns % SECOND) };
}

uint64_t serve_after(uint64_t delay_ns)
{
	return now_ns() + delay_ns;
}

static int wait_for(int descriptor, short events, uint64_t deadline_ns)
{
	struct pollfd wanted = { .fd = descriptor, .events = events };

	for (;;) {
		uint64_t now = now_ns();
		struct timespec left = timespec_of(now < deadline_ns ? deadline_ns - now : 0);
		int ready = ppoll(&wanted, 1, &left, NULL);

		if (ready > 0)
			return 0;
		if (ready == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int serve_read(int descriptor, void *buffer, size_t count, size_t *got, uint64_t deadline_ns)
{
	for (;;) {
		ssize_t bytes;
		int r = wait_for(descriptor, POLLIN, deadline_ns);

		if (r != 0)
			return r;
		bytes = read(descriptor, buffer, count);
		if (bytes >= 0) {
			*got = (size_t)bytes;
			return 0;
		}
		if (errno != EINTR)
			return -errno;
	}
}

int serve_write(int descriptor, const void *buffer, size_t count, uint64_t deadline_ns)
{
	const char *next = buffer;

	while (count > 0) {
		ssize_t bytes;
		int r = wait_for(descriptor, POLLOUT, deadline_ns);

		if (r != 0)
			return r;
		/* A blocking send of more than fits would outlast the deadline. */
		bytes = send(descriptor, next, count, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (bytes < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (bytes > 0) {
			next += bytes;
			count -= (size_t)bytes;
		}
	}
	return 0;
}

int serve_close(int descriptor)
{
	return close(descriptor) == 0 ? 0 : -errno;
}

static void count_threads(int change)
{
	pthread_mutex_lock(&threads_lock);
	threads += (unsigned int)change;
	if (threads == 0)
		pthread_cond_signal(&threads_none);
	pthread_mutex_unlock(&threads_lock);
}

static void *run_connection(void *argument)
{
	struct job job = *(struct job *)argument;

	free(argument);
	connection_serve(job.site, job.slot);
	count_threads(-1);
	return NULL;
}

/* Takes over @descriptor, also on failure. */
static void start_connection(struct site *site, const pthread_attr_t *attributes, int descriptor)
{
	struct job *job = malloc(sizeof(*job));
	int one = 1, slot = connection_admit(site, descriptor);
	pthread_t thread;

	if (job == NULL || slot < 0)
		goto err;
	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	job->site = site;
	job->slot = slot;
	count_threads(1);
	if (pthread_create(&thread, attributes, run_connection, job) == 0)
		return;
	count_threads(-1);
err:
	if (slot >= 0)
		connection_forget(site, slot);
	free(job);
	connection_refuse(descriptor);
}

static void *run_acceptor(void *argument)
{
	struct acceptor *acceptor = argument;
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (;;) {
		int connection = accept4(acceptor->listener, NULL, NULL, SOCK_CLOEXEC);

		if (connection >= 0) {
			start_connection(acceptor->site, &attributes, connection);
			continue;
		}
		if (errno == EINVAL || errno == EBADF)	/* shut down */
			break;
		if (errno != EINTR && errno != ECONNABORTED) {
			/* Out of descriptors or memory: connections will end and give some back. */
			struct timespec pause = timespec_of(SECOND / 100);

			nanosleep(&pause, NULL);
		}
	}
	pthread_attr_destroy(&attributes);
	return NULL;
}

static int listen_on(const struct serve_options *options, int *listener)
{
	int one = 1, r;
	int descriptor = socket(options->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (descriptor < 0)
		return -errno;
	setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(descriptor, (const struct sockaddr *)&options->address, options->address_bytes) ||
	    listen(descriptor, BACKLOG)) {
		r = -errno;
		close(descriptor);
		return r;
	}
	*listener = descriptor;
	return 0;
}

static int complain(const char *what, int error, const char *remedy)
{
	fprintf(stderr, "httpd-threads: %s: %s; %s\n", what, strerror(-error), remedy);
	return 1;
}

static int stop(struct acceptor *acceptor, pthread_t thread)
{
	struct timespec deadline = timespec_of(serve_after(STOP_SECONDS * SECOND));
	int r = 0;

	shutdown(acceptor->listener, SHUT_RD);	/* wakes accept(2) */
	pthread_join(thread, NULL);
	close(acceptor->listener);
	connection_stop_all(acceptor->site);
	pthread_mutex_lock(&threads_lock);
	while (threads > 0 && r == 0)
		r = pthread_cond_timedwait(&threads_none, &threads_lock, &deadline);
	pthread_mutex_unlock(&threads_lock);
	if (r != 0)
		return complain("requests are still running 15 s after the signal", -r,
				"they were cut off");
	return 0;
}

int serve_run(struct site *site, const struct serve_options *options)
{
	struct acceptor acceptor = { site, -1 };
	pthread_condattr_t attributes;
	pthread_t thread;
	sigset_t signals;
	int r, received;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&threads_none, &attributes);
	pthread_condattr_destroy(&attributes);

	r = listen_on(options, &acceptor.listener);
	if (r != 0)
		return complain("cannot listen", r, "choose another --port or --address");
	r = -pthread_create(&thread, NULL, run_acceptor, &acceptor);
	if (r != 0) {
		close(acceptor.listener);
		return complain("the accepting thread did not start", r, "is there memory left?");
	}
	r = serve_ready(acceptor.listener);
	if (r == 0) {
		sigemptyset(&signals);
		sigaddset(&signals, SIGTERM);
		sigaddset(&signals, SIGINT);
		while (sigwait(&signals, &received) != 0)
			;
	}
	return stop(&acceptor, thread) != 0 || r != 0;
}
