/* SPDX-License-Identifier: MIT */
#ifndef HTTPD_CONNECTION_H
#define HTTPD_CONNECTION_H

/*
 * One connection, from its first byte to its close: plain blocking code, run by a fiber or by a
 * thread.
 *
 *	   accepted --> IDLE --first byte--> READING --head complete--> RESPONDING
 *	                 ^  \30 s: close        \10 s: 408, close            |
 *	                 +-------- keep-alive: body discarded, answer sent --+
 *	                                                                     | else
 *	                                      LINGER: half-close, drain, close
 *
 * A site is what all connections share: the document root, and a table of open descriptors, by
 * which stopping the server wakes those that wait for a request.
 *
 * Invariants
 *	I1  a descriptor is in the table from before its fiber or thread exists until just before
 *	    it is closed, so stopping misses none;
 *	I2  at most CONNECTIONS_MAX connections; one more is answered with 503 and closed.
 */

#include <stdatomic.h>
#include <stdbool.h>

enum {
	CONNECTIONS_MAX = 8192,
	CONNECTION_IDLE_SECONDS = 30,	/* between two requests				*/
	CONNECTION_REQUEST_SECONDS = 10, /* for the head to arrive, for the body, and for
					   the answer to be taken			*/
	CONNECTION_LINGER_SECONDS = 1,
};

struct site {
	int root;			/* descriptor of the document root		*/
	atomic_bool stopping;
	atomic_uint hint;		/* where a free slot is looked for first	*/
	atomic_int slots[CONNECTIONS_MAX]; /* descriptor + 1; 0: free			*/
};

/**
 * connection_admit() - enter a new connection in the table
 *
 * Return:	its slot; -1: too many, the caller refuses it with connection_refuse()
 */
int connection_admit(struct site *site, int descriptor);

/** connection_forget() - leave the table again, unserved; the descriptor stays open */
void connection_forget(struct site *site, int slot);

/** connection_refuse() - answer 503 without waiting, and close */
void connection_refuse(int descriptor);

/**
 * connection_serve() - serve requests until the connection ends, then close it
 * @slot:	what connection_admit() returned
 *
 * May switch:	yes
 */
void connection_serve(struct site *site, int slot);

/** connection_stop_all() - let no connection begin another request */
void connection_stop_all(struct site *site);

#endif /* HTTPD_CONNECTION_H */
