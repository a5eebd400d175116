/* SPDX-License-Identifier: MIT */
/*
 * httpd: one fiber per connection. The main thread is no fiber; it starts the runtime, waits for a
 * signal, and ends it.
 *
 *	main thread	create -> listen -> spawn accept -> ready ... signal -> shutdown -> join -> destroy
 *	accept fiber	accept -> admit -> spawn connection, until its listener is shut down
 *	connections	connection_serve()
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <usched/usched.h>

#include "connection.h"
#include "serve.h"

#define SECOND UINT64_C(1000000000)

const char serve_description[] = "one fiber per connection, preempted by usched";
const bool serve_has_workers = true;

enum { BACKLOG = 1024, STOP_SECONDS = 15 };

struct acceptor {
	struct site *site;
	int listener;
};

struct job {
	struct site *site;
	int slot;
};

uint64_t serve_after(uint64_t delay_ns)
{
	return usched_after(delay_ns);
}

int serve_read(int descriptor, void *buffer, size_t count, size_t *got, uint64_t deadline_ns)
{
	return usched_read(descriptor, buffer, count, got, deadline_ns);
}

int serve_write(int descriptor, const void *buffer, size_t count, uint64_t deadline_ns)
{
	return usched_write(descriptor, buffer, count, NULL, deadline_ns);
}

int serve_close(int descriptor)
{
	return usched_close(descriptor);
}

static void *run_connection(void *argument)
{
	struct job job = *(struct job *)argument;

	free(argument);
	connection_serve(job.site, job.slot);
	return NULL;
}

/* Takes over @descriptor, also on failure. */
static void start_connection(struct site *site, int descriptor)
{
	struct usched_fiber_options options = USCHED_FIBER_OPTIONS_INIT;
	struct job *job = malloc(sizeof(*job));
	int one = 1, slot = connection_admit(site, descriptor);

	if (job == NULL || slot < 0)
		goto err;
	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	job->site = site;
	job->slot = slot;
	options.name = "connection";
	if (usched_spawn(NULL, NULL, run_connection, job, &options) == 0)
		return;
err:
	if (slot >= 0)
		connection_forget(site, slot);
	free(job);
	connection_refuse(descriptor);
}

static void *run_acceptor(void *argument)
{
	struct acceptor *acceptor = argument;

	for (;;) {
		int connection;
		int r = usched_accept(acceptor->listener, &connection, NULL, NULL, USCHED_FOREVER);

		if (r == 0) {
			start_connection(acceptor->site, connection);
			continue;
		}
		if (r == -EINVAL || r == -EBADF)	/* shut down */
			return NULL;
		/* Out of descriptors or memory: connections will end and give some back. */
		usched_sleep_until(usched_after(SECOND / 100));
	}
}

static int complain(const char *what, int error, const char *remedy)
{
	fprintf(stderr, "httpd: %s: %s; %s\n", what, strerror(-error), remedy);
	return 1;
}

static int stop(struct usched_runtime *runtime, struct acceptor *acceptor, usched_fiber_t fiber)
{
	int r;

	/* The accepting fiber gets -EINVAL; it closes nothing that we could still mean. */
	shutdown(acceptor->listener, SHUT_RD);
	usched_join(fiber, NULL, USCHED_FOREVER);
	usched_close(acceptor->listener);
	connection_stop_all(acceptor->site);
	r = usched_runtime_destroy(runtime, usched_after(STOP_SECONDS * SECOND));
	if (r != 0)
		return complain("requests are still running 15 s after the signal", r,
				"they were cut off");
	return 0;
}

int serve_run(struct site *site, const struct serve_options *options)
{
	struct usched_runtime_options runtime_options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_fiber_options fiber_options = USCHED_FIBER_OPTIONS_INIT;
	struct acceptor acceptor = { site, -1 };
	struct usched_runtime *runtime = NULL;
	usched_fiber_t fiber;
	sigset_t signals;
	int r, received;

	runtime_options.name = "httpd";
	runtime_options.workers = options->workers;
	r = usched_runtime_create(&runtime, &runtime_options);
	if (r != 0)
		return complain("the runtime did not start", r,
				"look at the message above, or run 'schedctl doctor'");
	r = usched_listen(&acceptor.listener, (const struct sockaddr *)&options->address,
			  options->address_bytes, BACKLOG);
	if (r != 0) {
		usched_runtime_destroy(runtime, USCHED_FOREVER);
		return complain("cannot listen", r, "choose another --port or --address");
	}
	fiber_options.name = "accept";
	r = usched_spawn(runtime, &fiber, run_acceptor, &acceptor, &fiber_options);
	if (r != 0) {
		usched_close(acceptor.listener);
		usched_runtime_destroy(runtime, USCHED_FOREVER);
		return complain("the accepting fiber did not start", r, "is there memory left?");
	}
	r = serve_ready(acceptor.listener);
	if (r == 0) {
		sigemptyset(&signals);
		sigaddset(&signals, SIGTERM);
		sigaddset(&signals, SIGINT);
		while (sigwait(&signals, &received) != 0)
			;
	}
	return stop(runtime, &acceptor, fiber) != 0 || r != 0;
}
