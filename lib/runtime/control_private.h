/* SPDX-License-Identifier: MIT */
#ifndef USCHED_RUNTIME_CONTROL_PRIVATE_H
#define USCHED_RUNTIME_CONTROL_PRIVATE_H

/*
 * What the three files of the control plane share: control.c the pair and the passes,
 * control_observe.c the observers, control_attach.c the daemon.
 */

#include <stdbool.h>

#include <usched/usched.h>

#include "base/random.h"
#include "runtime/control.h"
#include "shm/message.h"
#include "shm/segment.h"

enum {
	USCHED_OBSERVERS_MAX = 8,
	USCHED_STRANGERS_MAX = 2,	/* of them, of users who may not ask anything */
	USCHED_FIBER_RECORDS_MAX = 65536,
};

struct usched_observer {
	int socket;			/* -1: free				*/
	bool allowed;			/* same user, or root			*/
	uint64_t deadline_ns;		/* it has to ask by then		*/
};

struct usched_pair {
	struct usched_segment grant, report;
};

struct usched_control {
	struct usched_control_host host;
	struct usched_control_options options;
	char name[USCHED_SEGMENT_NAME_BYTES];
	char directory[USCHED_DIRECTORY_MAX + 1];	/* empty: never attach	*/
	struct usched_random random;
	int epoll;
	struct usched_pair pair;	/* in use				*/
	struct usched_pair old;		/* retired at the last move, still mapped */
	uint64_t cpus[USCHED_CPU_WORDS]; /* granted				*/
	uint64_t tunables[USCHED_TUNABLES];	/* as tuned			*/
	uint64_t published_ns;
	bool was_active;
	enum usched_attachment state;
	uint64_t moves;

	int listener;			/* -1: could not be bound		*/
	unsigned int number;		/* of its name, from 1; 0: no listener	*/
	bool deaf;			/* the listener is not watched: no room	*/
	uint64_t listen_ns;		/* deaf for want of descriptors until then */
	struct usched_observer observers[USCHED_OBSERVERS_MAX];

	int daemon;			/* socket; -1: none			*/
	int watch;			/* inotify; -1: none			*/
	uint64_t retry_ns;		/* next attempt; UINT64_MAX: when the directory changes */
	uint64_t pause_ns;		/* between attempts, growing		*/
	uint64_t answer_ns;		/* WELCOME has to come by then		*/
	uint64_t seen_heartbeat;
	uint64_t lease_ns;		/* of the last pass that counts		*/
	uint32_t lease_passes;		/* since the heartbeat changed		*/
	uint32_t demand_sent;		/* what the daemon was told last	*/
};

/* Whether the pair in use is our own; else its G is mapped read-only. */
static inline bool usched_control_is_arbiter(const struct usched_control *control)
{
	return control->state == USCHED_ATTACHMENT_EMBEDDED ||
	       control->state == USCHED_ATTACHMENT_ATTACHING;
}

/* The data of epoll events. */
enum { USCHED_EVENT_LISTENER = 100, USCHED_EVENT_DAEMON, USCHED_EVENT_WATCH };

/* control.c */
int usched_control_watch(struct usched_control *control, int descriptor, uint32_t data);
/* Write the fixed part of a report. */
void usched_control_fill(struct usched_control *control, struct usched_report *report);
void usched_control_publish(struct usched_control *control, uint64_t now_ns, int active);
/* Take the grant of the pair in use to the runtime. */
void usched_control_apply(struct usched_control *control);
/* A pair of our own: all CPUs that we may use. 0 or -errno. */
int usched_control_embed(struct usched_control *control);
/* Change a tunable as our own arbiter. Return its generation. */
uint64_t usched_control_tune(struct usched_control *control, unsigned int tunable, uint64_t value);
/* The pair in use becomes the old one, the new one is in use. */
void usched_control_move(struct usched_control *control, const struct usched_pair *pair,
			 enum usched_attachment state, uint64_t now_ns);

/* control_observe.c */
void usched_control_listen(struct usched_control *control);
void usched_control_accept(struct usched_control *control, uint64_t now_ns);
void usched_control_serve(struct usched_control *control, struct usched_observer *observer,
			  uint64_t now_ns);
void usched_control_drop(struct usched_observer *observer);
/* Listen again when there is room. Return when it wants to be called again. */
uint64_t usched_control_listen_pass(struct usched_control *control, uint64_t now_ns);

/* control_attach.c */
void usched_control_attach_init(struct usched_control *control);
/* What HELLO said has changed before WELCOME came: say it anew. */
void usched_control_attach_anew(struct usched_control *control);
/* Attempts, answers, lease. Return when it wants to be called again. */
uint64_t usched_control_attach_pass(struct usched_control *control, uint64_t now_ns, int active);
void usched_control_daemon_event(struct usched_control *control, uint64_t now_ns);
void usched_control_watch_event(struct usched_control *control, uint64_t now_ns);

#endif /* USCHED_RUNTIME_CONTROL_PRIVATE_H */
