/* SPDX-License-Identifier: MIT */
/*
 * The runtime as a client of the daemon: finding it, HELLO, WELCOME, doorbells, and going on alone
 * when it is gone.
 */
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/child.h"
#include "runtime/control_private.h"

#define FIRST_PAUSE_NS UINT64_C(100000000)
#define LAST_PAUSE_NS  UINT64_C(10000000000)
#define ANSWER_NS      UINT64_C(1000000000)
#define LEASE_PASS_NS  UINT64_C(10000000)	/* passes that follow sooner count as one */

/*
 * So many passes of ours, while we are active, may see the same heartbeat. Passes, not time: who was
 * stopped together with the daemon finds the clock far ahead when both go on.
 */
enum { LEASE_PASSES = 500 };

/*
 * Watch the directory, or until it exists its parent: a daemon that starts makes both.
 * Return: 2 the directory is watched, 1 its parent, 0 neither
 */
static int watch_directory(struct usched_control *control)
{
	char parent[sizeof(control->directory)];
	char *slash;

	if (control->watch < 0)
		return 0;
	if (inotify_add_watch(control->watch, control->directory, IN_CREATE | IN_MOVED_TO) >= 0)
		return 2;
	strcpy(parent, control->directory);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	return inotify_add_watch(control->watch, parent, IN_CREATE | IN_MOVED_TO) >= 0;
}

void usched_control_attach_init(struct usched_control *control)
{
	control->retry_ns = UINT64_MAX;
	if (!control->directory[0])
		return;
	control->retry_ns = 0;
	control->pause_ns = FIRST_PAUSE_NS;
	control->watch = usched_owned_add(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	if (control->watch >= 0 &&
	    usched_control_watch(control, control->watch, USCHED_EVENT_WATCH)) {
		usched_owned_close(control->watch);
		control->watch = -1;
	}
	watch_directory(control);
}

static void hang_up(struct usched_control *control)
{
	usched_message_hang_up(control->daemon);
	control->daemon = -1;
}

/* Try again later, and later each time; spread, so that a hundred runtimes do not come at once. */
static void retry_later(struct usched_control *control, uint64_t now_ns)
{
	hang_up(control);
	control->retry_ns = now_ns + control->pause_ns +
			    usched_random_below(&control->random, control->pause_ns / 2);
	if (control->pause_ns < LAST_PAUSE_NS)
		control->pause_ns *= 2;
	if (control->state == USCHED_ATTACHMENT_ATTACHING)
		control->state = USCHED_ATTACHMENT_EMBEDDED;
}

static int say_hello(struct usched_control *control)
{
	union usched_message_any hello;

	usched_message_init(&hello, USCHED_MESSAGE_HELLO, 1);
	memcpy(hello.hello.name, control->name, sizeof(hello.hello.name));
	hello.hello.workers = control->options.workers;
	hello.hello.workers_max = control->options.workers_max;
	memcpy(hello.hello.tunables, control->tunables, sizeof(control->tunables));
	hello.hello.number = control->number;
	memcpy(hello.hello.cpus, control->options.cpus, sizeof(hello.hello.cpus));
	return usched_message_send(control->daemon, &hello, NULL, 0);
}

static void attach(struct usched_control *control, uint64_t now_ns)
{
	static const char stranger[] =
		"usched: the daemon's socket belongs to another user, who is not root; it is not used\n";
	struct sockaddr_un address;
	struct ucred peer;
	socklen_t bytes, peer_bytes = sizeof(peer);

	control->retry_ns = UINT64_MAX;
	if (usched_address_path(&address, &bytes, control->directory, "client.sock"))
		return;			/* no socket can have this name: for ever embedded */
	control->daemon = usched_owned_add(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK |
						  SOCK_CLOEXEC, 0));
	if (control->daemon < 0 || connect(control->daemon, (struct sockaddr *)&address, bytes)) {
		bool absent = control->daemon >= 0 && errno == ENOENT;

		retry_later(control, now_ns);
		/* The watch tells when it appears. Without one we look again now and then. */
		if (absent && watch_directory(control))
			control->retry_ns = UINT64_MAX;
		return;
	}
	if (getsockopt(control->daemon, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) ||
	    (peer.uid != 0 && peer.uid != getuid())) {
		(void)!write(STDERR_FILENO, stranger, sizeof(stranger) - 1);
		hang_up(control);
		return;
	}
	if (say_hello(control) ||
	    usched_control_watch(control, control->daemon, USCHED_EVENT_DAEMON)) {
		retry_later(control, now_ns);
		return;
	}
	control->state = USCHED_ATTACHMENT_ATTACHING;
	control->answer_ns = now_ns + ANSWER_NS;
}

static void welcome(struct usched_control *control, const struct usched_message_welcome *message,
		    int descriptors[2], uint64_t now_ns)
{
	struct usched_pair pair = { USCHED_SEGMENT_NONE, USCHED_SEGMENT_NONE };

	if (usched_segment_accept(&pair.grant, USCHED_SEGMENT_GRANT, control->options.workers,
				  message->session, descriptors[0], false)) {
		close(descriptors[1]);
		retry_later(control, now_ns);
		return;
	}
	if (usched_segment_accept(&pair.report, USCHED_SEGMENT_REPORT, control->options.workers,
				  message->session, descriptors[1], true)) {
		usched_segment_close(&pair.grant);
		retry_later(control, now_ns);
		return;
	}
	usched_control_fill(control, usched_segment_report(&pair.report));
	control->pause_ns = FIRST_PAUSE_NS;
	control->seen_heartbeat = 0;
	control->lease_passes = 0;
	control->lease_ns = now_ns;
	control->demand_sent = UINT32_MAX;
	usched_control_move(control, &pair, USCHED_ATTACHMENT_DAEMON, now_ns);
}

/* The daemon is gone: arbitrate alone, with the tunables it left, and look for it again. */
static void expire(struct usched_control *control, uint64_t now_ns)
{
	bool attached = control->state == USCHED_ATTACHMENT_DAEMON;

	hang_up(control);
	if (attached) {
		control->state = USCHED_ATTACHMENT_EXPIRED;
		/* The daemon cannot mark its G any more: observers of this pair see it here. */
		usched_control_publish(control, now_ns, 1);
		/* Without memory for a new pair the old grant stays in force until there is. */
		usched_control_embed(control);
	}
	watch_directory(control);
	retry_later(control, now_ns);
}

void usched_control_attach_anew(struct usched_control *control)
{
	hang_up(control);
	control->state = USCHED_ATTACHMENT_EMBEDDED;
	control->retry_ns = 0;		/* the next pass */
}

void usched_control_daemon_event(struct usched_control *control, uint64_t now_ns)
{
	/* Bounded: a daemon that sends without end is served a batch a pass. */
	for (unsigned int i = 0; i < 16 && control->daemon >= 0; i++) {
		union usched_message_any message;
		int descriptors[USCHED_MESSAGE_DESCRIPTORS];
		unsigned int count = 0;
		int error = usched_message_receive(control->daemon, &message, descriptors, &count);

		if (error == -EAGAIN)
			return;
		if (error) {
			expire(control, now_ns);
			return;
		}
		if (message.header.type == USCHED_MESSAGE_WELCOME && count == 2 &&
		    control->state == USCHED_ATTACHMENT_ATTACHING) {
			welcome(control, &message.welcome, descriptors, now_ns);
			continue;
		}
		while (count > 0)
			close(descriptors[--count]);
		if (message.header.type == USCHED_MESSAGE_DOORBELL &&
		    control->state == USCHED_ATTACHMENT_DAEMON) {
			usched_control_apply(control);
			usched_control_publish(control, now_ns, 1);
		} else if (message.header.type == USCHED_MESSAGE_ERROR) {
			expire(control, now_ns);
		}
	}
}

void usched_control_watch_event(struct usched_control *control, uint64_t now_ns)
{
	char buffer[4096];

	/* What happened is not read from it, only that something did. */
	while (read(control->watch, buffer, sizeof(buffer)) > 0)
		;
	/* What happens in a parent is of no interest until our directory is there. */
	if (watch_directory(control) != 2)
		return;
	if (control->daemon < 0) {
		control->pause_ns = FIRST_PAUSE_NS;
		control->retry_ns = now_ns;
	}
}

uint64_t usched_control_attach_pass(struct usched_control *control, uint64_t now_ns, int active)
{
	struct usched_report *report = usched_segment_report(&control->pair.report);
	uint64_t heartbeat;

	if (!control->directory[0])
		return UINT64_MAX;
	if (control->state == USCHED_ATTACHMENT_EXPIRED && usched_control_embed(control))
		return now_ns + FIRST_PAUSE_NS;
	if (control->daemon < 0) {
		if (now_ns >= control->retry_ns)
			attach(control, now_ns);
		return control->daemon < 0 ? control->retry_ns : control->answer_ns;
	}
	if (control->state == USCHED_ATTACHMENT_ATTACHING) {
		if (now_ns < control->answer_ns)
			return control->answer_ns;
		retry_later(control, now_ns);
		return control->retry_ns;
	}
	/* The lease. An idle runtime sleeps and counts nothing. */
	heartbeat = __atomic_load_n(&usched_segment_grant(&control->pair.grant)->heartbeat,
				    __ATOMIC_RELAXED);
	if (heartbeat != control->seen_heartbeat || !active) {
		control->seen_heartbeat = heartbeat;
		control->lease_passes = 0;
		control->lease_ns = now_ns;
	} else if (now_ns - control->lease_ns >= LEASE_PASS_NS) {
		control->lease_ns = now_ns;
		if (++control->lease_passes >= LEASE_PASSES) {
			expire(control, now_ns);
			return control->retry_ns;
		}
	}
	if (report->demand_cpus != control->demand_sent) {
		union usched_message_any demand;

		/* A full socket: the daemon's next tick reads C anyway. */
		usched_message_init(&demand, USCHED_MESSAGE_DEMAND, 0);
		usched_message_send(control->daemon, &demand, NULL, 0);
		control->demand_sent = report->demand_cpus;
	}
	return UINT64_MAX;
}
