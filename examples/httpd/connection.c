/* SPDX-License-Identifier: MIT */
/*
 * The buffer lies on the stack of the fiber or thread: 41 KiB of address space, of which a short
 * request touches one or two pages.
 *
 *	[ head of this request | its body, as far as it came along | next request ... ]
 *	0                      head_bytes                            used
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "connection.h"
#include "handler.h"
#include "request.h"
#include "response.h"
#include "serve.h"

#define SECOND UINT64_C(1000000000)

struct connection {
	struct site *site;
	int descriptor;
	size_t used;
	struct request request;
	char buffer[REQUEST_HEAD_BYTES_MAX];
};

int connection_admit(struct site *site, int descriptor)
{
	/* Relaxed: only a place to start looking. */
	unsigned int start = atomic_fetch_add_explicit(&site->hint, 1, memory_order_relaxed);

	for (unsigned int i = 0; i < CONNECTIONS_MAX; i++) {
		unsigned int slot = (start + i) % CONNECTIONS_MAX;
		int free_slot = 0;

		/* Relaxed: the descriptor is all that is handed over, and creating the fiber or
		   thread orders the rest. */
		if (atomic_compare_exchange_strong_explicit(&site->slots[slot], &free_slot,
							    descriptor + 1, memory_order_relaxed,
							    memory_order_relaxed))
			return (int)slot;
	}
	return -1;
}

void connection_forget(struct site *site, int slot)
{
	/* Relaxed: the number alone is handed over, to whoever takes the slot next. */
	atomic_store_explicit(&site->slots[slot], 0, memory_order_relaxed);
}

void connection_refuse(int descriptor)
{
	char head[RESPONSE_HEAD_BYTES];
	struct response response;
	size_t bytes;

	response_text(&response, 503, "too many connections; try again later");
	bytes = response_head(&response, head, false);
	/* Whoever does not take it at once does without: the accepting side never waits. */
	if (send(descriptor, head, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)bytes)
		send(descriptor, response.body, response.body_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	serve_close(descriptor);
}

void connection_stop_all(struct site *site)
{
	/* The accepting side has ended, so no slot is filled any more. A connection that closes
	   right now may have its number reused for a file; shutdown(2) refuses that one. */
	atomic_store_explicit(&site->stopping, true, memory_order_relaxed);
	for (unsigned int i = 0; i < CONNECTIONS_MAX; i++) {
		int descriptor = atomic_load_explicit(&site->slots[i], memory_order_relaxed) - 1;

		if (descriptor >= 0)
			shutdown(descriptor, SHUT_RD);
	}
}

static int send_response(struct connection *connection, const struct response *response,
			 bool with_body, bool keep_alive)
{
	uint64_t deadline = serve_after(CONNECTION_REQUEST_SECONDS * SECOND);
	char head[RESPONSE_HEAD_BYTES + RESPONSE_TEXT_BYTES];
	size_t bytes = response_head(response, head, keep_alive);
	int r;

	/* A short answer goes out in one write, and so in one packet. */
	if (with_body && response->body_bytes <= RESPONSE_TEXT_BYTES) {
		memcpy(head + bytes, response->body, response->body_bytes);
		return serve_write(connection->descriptor, head, bytes + response->body_bytes,
				   deadline);
	}
	r = serve_write(connection->descriptor, head, bytes, deadline);
	if (r == 0 && with_body)
		r = serve_write(connection->descriptor, response->body, response->body_bytes,
				deadline);
	return r;
}

/* Closing with unread bytes would reset the connection, and the client could lose the answer. */
static void linger(struct connection *connection)
{
	uint64_t deadline = serve_after(CONNECTION_LINGER_SECONDS * SECOND);
	size_t got = 0, total = 0;

	if (shutdown(connection->descriptor, SHUT_WR) != 0)
		return;
	do {
		if (serve_read(connection->descriptor, connection->buffer,
			       sizeof(connection->buffer), &got, deadline) != 0)
			return;
		total += got;
	} while (got > 0 && total < 2 * REQUEST_BODY_BYTES_MAX);
}

/* Returns REQUEST_COMPLETE, a status to refuse with, or -errno: close without a word. */
static int read_head(struct connection *connection)
{
	bool idle = connection->used == 0;
	uint64_t deadline = serve_after(
		(idle ? CONNECTION_IDLE_SECONDS : CONNECTION_REQUEST_SECONDS) * SECOND);

	request_begin(&connection->request);
	for (;;) {
		size_t got;
		int progress = request_feed(&connection->request, connection->buffer,
					    connection->used);
		int r;

		if (progress != REQUEST_INCOMPLETE)
			return progress;
		r = serve_read(connection->descriptor, connection->buffer + connection->used,
			       sizeof(connection->buffer) - connection->used, &got, deadline);
		if (r == -ETIMEDOUT && !idle) {
			connection->request.problem = "the request did not arrive within 10 seconds";
			return 408;
		}
		if (r != 0)
			return r;
		if (got == 0)
			return -EPIPE;
		if (idle)
			deadline = serve_after(CONNECTION_REQUEST_SECONDS * SECOND);
		idle = false;
		connection->used += got;
	}
}

/* Drops the head and @body_bytes that follow it; what is left starts the next request. */
static int discard(struct connection *connection, uint64_t body_bytes)
{
	uint64_t deadline = serve_after(CONNECTION_REQUEST_SECONDS * SECOND);
	size_t head = connection->request.head_bytes;
	size_t rest = connection->used - head;

	if (rest >= body_bytes) {
		rest -= (size_t)body_bytes;
		memmove(connection->buffer, connection->buffer + head + body_bytes, rest);
		connection->used = rest;
		return 0;
	}
	body_bytes -= rest;
	connection->used = 0;
	while (body_bytes > 0) {
		size_t room = sizeof(connection->buffer), got;
		int r = serve_read(connection->descriptor, connection->buffer,
				   body_bytes < room ? (size_t)body_bytes : room, &got, deadline);

		if (r != 0)
			return r;
		if (got == 0)
			return -EPIPE;
		body_bytes -= got;
	}
	return 0;
}

/* The answer to a request that cannot be understood, or that we do not read to its end. */
static void refuse(struct connection *connection, int status)
{
	struct response response;

	response_text(&response, status, connection->request.problem);
	if (send_response(connection, &response, true, false) == 0)
		linger(connection);
}

/* One request and its answer; true when another one may follow. */
static bool serve_one(struct connection *connection)
{
	static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct request *request = &connection->request;
	struct response response;
	bool keep_alive;
	int r = read_head(connection);

	if (r >= 400)
		refuse(connection, r);
	if (r != REQUEST_COMPLETE)
		return false;

	keep_alive = request->keep_alive &&
		     !atomic_load_explicit(&connection->site->stopping, memory_order_relaxed);
	handler_respond(&response, connection->site->root, request->method,
			connection->buffer + request->target_offset, request->target_bytes);
	if (request->expects_continue && request->body_bytes > 0 &&
	    connection->used == request->head_bytes)
		r = serve_write(connection->descriptor, proceed, sizeof(proceed) - 1,
				serve_after(CONNECTION_REQUEST_SECONDS * SECOND));
	else
		r = 0;
	if (r == 0)
		r = discard(connection, request->body_bytes);
	if (r == 0)
		r = send_response(connection, &response, request->method != REQUEST_HEAD,
				  keep_alive);
	response_release(&response);
	if (r == 0 && !keep_alive)
		linger(connection);
	return r == 0 && keep_alive;
}

void connection_serve(struct site *site, int slot)
{
	struct connection connection;

	/* The buffer stays as it is: clearing it would touch every page. */
	connection.site = site;
	connection.descriptor = atomic_load_explicit(&site->slots[slot], memory_order_relaxed) - 1;
	connection.used = 0;
	while (serve_one(&connection))
		;
	connection_forget(site, slot);	/* I1 */
	serve_close(connection.descriptor);
}
