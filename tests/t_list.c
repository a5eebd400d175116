/* SPDX-License-Identifier: MIT */
/*
 * The client and many: fake runtimes and a fake daemon that lists them. Each has its number everywhere,
 * those who lie or are silent hide no other, and what is not the daemon is told.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/session.h"
#include "fake_peer.h"
#include "fake_session.h"
#include "harness.h"
#include "usched/client.h"

static void start_daemon(struct fake_peer *peer)
{
	struct sockaddr_un address;
	socklen_t bytes = fake_daemon_address(&address, directory);

	unlink(address.sun_path);
	CU_ASSERT_EQUAL_FATAL(fake_peer_start(peer, &address, bytes), 0);
}

static void stop_daemon(struct fake_peer *peer)
{
	struct sockaddr_un address;

	fake_peer_stop(peer);
	fake_daemon_address(&address, directory);
	unlink(address.sun_path);
}

static void an_attached_runtime_is_set_through_the_daemon(void)
{
	struct usched_client_setting setting = { .size = sizeof(setting) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct fake_peer peer, daemon;

	start_runtime(&peer);
	peer.pairs[0].report->attachment = USCHED_ATTACHMENT_DAEMON;
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 1000000, 0, &setting), -ENOTCONN);
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->why, directory));
	CU_ASSERT_EQUAL(atomic_load(&peer.sets), 0);

	start_daemon(&daemon);
	daemon.listed_pid = (uint32_t)getpid();
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 1000000, 0, &setting), 0);
	CU_ASSERT_EQUAL(setting.through_daemon, 1);
	CU_ASSERT_EQUAL(atomic_load(&peer.sets), 0);
	CU_ASSERT_EQUAL(atomic_load(&daemon.sets), 1);

	/* It moves while we wait for the acknowledgement: the change may be lost. */
	atomic_store(&peer.pair, 2);
	peer.pairs[0].grant->retired = 1;
	CU_ASSERT_EQUAL(usched_client_wait(runtime, 1000, usched_client_now() + TIMEOUT_NS, NULL), -ESTALE);
	stop_daemon(&daemon);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&peer);
}

/* PID/2 is the same runtime for the daemon, for the list and on its own socket. */
static void a_second_runtime_has_its_number_everywhere(void)
{
	struct usched_client_setting setting = { .size = sizeof(setting) };
	struct usched_client_entry entry = { .size = sizeof(entry) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct usched_client_list *list;
	struct fake_peer peer, second, daemon;
	struct sockaddr_un address;
	socklen_t bytes;
	unsigned int seen = 0;
	size_t i;

	start_runtime(&peer);
	bytes = fake_runtime_address(&address, geteuid(), (unsigned int)getpid(), 2);
	CU_ASSERT_EQUAL_FATAL(fake_peer_start(&second, &address, bytes), 0);
	start_daemon(&daemon);
	daemon.listed_pid = (uint32_t)getpid();
	daemon.listed_number = 2;
	second.pairs[0].report->attachment = USCHED_ATTACHMENT_DAEMON;
	peer.pairs[0].report->carriers_refused = 5;

	/* The one that the daemon lists is taken from there, the other one from its socket. */
	CU_ASSERT_EQUAL_FATAL(usched_client_list_open(client, &list), 0);
	for (i = 0; i < usched_client_list_count(list); i++) {
		usched_client_list_get(list, i, &entry);
		if (entry.pid != (uint32_t)getpid())
			continue;
		CU_ASSERT_EQUAL(entry.number, ++seen);
		CU_ASSERT_STRING_EQUAL(entry.name, seen == 1 ? "fake" : "listed");
		CU_ASSERT_EQUAL(entry.attachment, seen == 1 ? USCHED_CLIENT_EMBEDDED :
				USCHED_CLIENT_ATTACHED);
		CU_ASSERT_EQUAL(entry.carriers_refused, seen == 1 ? 5 : 7);
	}
	CU_ASSERT_EQUAL(seen, 2);
	usched_client_list_close(list);

	CU_ASSERT_EQUAL_FATAL(usched_client_runtime_open(client, &runtime, (uint32_t)getpid(), 2), 0);
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 1000000, 0, &setting), 0);
	CU_ASSERT_EQUAL(setting.through_daemon, 1);
	CU_ASSERT_EQUAL(atomic_load(&daemon.sets), 1);
	CU_ASSERT_EQUAL(atomic_load(&daemon.asked), 2);
	CU_ASSERT_EQUAL(atomic_load(&peer.sets) + atomic_load(&second.sets), 0);
	usched_client_runtime_close(runtime);
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	CU_ASSERT_EQUAL(usched_client_set(runtime, "quantum", 1000000, 0, &setting), 0);
	CU_ASSERT_EQUAL(atomic_load(&peer.sets), 1);
	usched_client_runtime_close(runtime);

	/* Without its socket it is opened through the daemon, under the same number. */
	fake_peer_stop(&second);
	atomic_store(&daemon.asked, 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_runtime_open(client, &runtime, (uint32_t)getpid(), 2), 0);
	CU_ASSERT_EQUAL(atomic_load(&daemon.asked), 2);
	usched_client_runtime_close(runtime);
	stop_daemon(&daemon);

	/* What is missing is told by the name that was used. */
	CU_ASSERT_EQUAL(usched_client_runtime_open(client, &runtime, (uint32_t)getpid(), 2), -ESRCH);
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->what, "/2"));
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->why, "no runtime number 2"));
	fake_peer_stop(&peer);
	bytes = fake_runtime_address(&address, geteuid(), (unsigned int)getpid(), 2);
	CU_ASSERT_EQUAL_FATAL(fake_peer_start(&second, &address, bytes), 0);
	CU_ASSERT_EQUAL(open_self(client, &runtime), -ESRCH);
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->why, "no runtime number 1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(usched_client_failure(client)->hint, "PID/N"));
	fake_peer_stop(&second);
	usched_client_close(client);
}

static void a_liar_is_left_out_of_the_list(void)
{
	struct usched_client_entry entry = { .size = sizeof(entry) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime = NULL;
	struct usched_client_list *list;
	struct fake_peer peer, liar, second;
	struct sockaddr_un address;
	socklen_t bytes;
	unsigned int mine = 0;
	size_t i;

	start_runtime(&peer);
	bytes = fake_runtime_address(&address, geteuid(), 1, 1);
	CU_ASSERT_EQUAL_FATAL(fake_peer_start(&liar, &address, bytes), 0);
	bytes = fake_runtime_address(&address, geteuid(), (unsigned int)getpid(), 2);
	CU_ASSERT_EQUAL_FATAL(fake_peer_start(&second, &address, bytes), 0);
	CU_ASSERT_EQUAL_FATAL(usched_client_list_open(client, &list), 0);
	CU_ASSERT_EQUAL(usched_client_list_daemon(list), -ENOENT);
	CU_ASSERT(usched_client_list_left_out(list) >= 1);
	for (i = 0; i < usched_client_list_count(list); i++) {
		CU_ASSERT_EQUAL(usched_client_list_get(list, i, &entry), 0);
		CU_ASSERT_NOT_EQUAL(entry.pid, 1);
		if (entry.pid != (uint32_t)getpid())
			continue;
		CU_ASSERT_EQUAL(entry.number, ++mine);
		CU_ASSERT_EQUAL(entry.known, 1);
		CU_ASSERT_STRING_EQUAL(entry.name, "fake");
		CU_ASSERT_EQUAL(entry.quantum_ns, 2000000);
		CU_ASSERT_EQUAL(entry.granted_cpus, 2);
	}
	CU_ASSERT_EQUAL(mine, 2);
	CU_ASSERT_EQUAL(usched_client_list_get(list, i, &entry), -EINVAL);
	usched_client_list_close(list);
	CU_ASSERT_EQUAL(usched_client_runtime_open(client, &runtime, 1, 0), -ESRCH);
	CU_ASSERT_EQUAL(atomic_load(&liar.requests), 0);
	CU_ASSERT_EQUAL(usched_client_runtime_open(client, &runtime, (uint32_t)getpid(), 3), -ESRCH);
	CU_ASSERT_EQUAL(usched_client_runtime_open(client, &runtime, (uint32_t)getpid(), 2), 0);
	usched_client_runtime_close(runtime);
	usched_client_close(client);
	fake_peer_stop(&second);
	fake_peer_stop(&liar);
	fake_peer_stop(&peer);
}

/* Each is silent for longer than its share of the time; the one that answers is asked last, or first. */
static void silent_runtimes_hide_no_other(void)
{
	enum { SILENT = 4 };
	struct usched_client_entry entry = { .size = sizeof(entry) };
	struct usched_client *client = session();
	struct usched_client_list *list;
	struct fake_peer peer, silent[SILENT];
	struct sockaddr_un address;
	socklen_t bytes;
	unsigned int known = 0, unknown = 0;

	for (unsigned int i = 0; i < SILENT; i++) {
		bytes = fake_runtime_address(&address, geteuid(), (unsigned int)getpid(), i + 2);
		CU_ASSERT_EQUAL_FATAL(fake_peer_start(&silent[i], &address, bytes), 0);
		atomic_store(&silent[i].fault, FAKE_SILENT);
	}
	start_runtime(&peer);
	CU_ASSERT_EQUAL_FATAL(usched_client_list_open(client, &list), 0);
	for (size_t i = 0; i < usched_client_list_count(list); i++) {
		usched_client_list_get(list, i, &entry);
		if (entry.pid != (uint32_t)getpid())
			continue;
		CU_ASSERT_EQUAL(entry.known, entry.number == 1);
		known += entry.known;
		unknown += !entry.known;
	}
	CU_ASSERT_EQUAL(known, 1);
	CU_ASSERT_EQUAL(unknown, SILENT);
	usched_client_list_close(list);
	usched_client_close(client);
	fake_peer_stop(&peer);
	for (unsigned int i = 0; i < SILENT; i++)
		fake_peer_stop(&silent[i]);
}

static void the_daemon_lists_and_answers(void)
{
	struct usched_client_daemon status = { .size = sizeof(status) };
	struct usched_client_entry entry = { .size = sizeof(entry) };
	struct usched_client *client = session();
	struct usched_client_runtime *runtime;
	struct usched_client_list *list;
	struct fake_peer daemon;
	size_t i, found = 0;

	CU_ASSERT_EQUAL(usched_client_daemon_status(client, &status), -ENOTCONN);
	start_daemon(&daemon);
	daemon.listed_pid = (uint32_t)getpid();
	CU_ASSERT_EQUAL(usched_client_daemon_status(client, &status), 0);
	CU_ASSERT_EQUAL(status.epoch, 42);
	CU_ASSERT_STRING_EQUAL(status.version, "0.1.0");
	CU_ASSERT_EQUAL_FATAL(usched_client_list_open(client, &list), 0);
	CU_ASSERT_EQUAL(usched_client_list_daemon(list), 0);
	for (i = 0; i < usched_client_list_count(list); i++) {
		usched_client_list_get(list, i, &entry);
		if (entry.pid != (uint32_t)getpid())
			continue;
		found++;
		CU_ASSERT_EQUAL(entry.attachment, USCHED_CLIENT_ATTACHED);
		CU_ASSERT_STRING_EQUAL(entry.name, "listed");
	}
	CU_ASSERT_EQUAL(found, 1);
	usched_client_list_close(list);
	/* A runtime whose own socket cannot be seen is opened through the daemon. */
	CU_ASSERT_EQUAL_FATAL(open_self(client, &runtime), 0);
	usched_client_runtime_close(runtime);
	stop_daemon(&daemon);
	usched_client_close(client);
}

static void what_is_not_the_daemon_is_told(void)
{
	static const enum fake_fault row[] = { FAKE_SILENT, FAKE_HANGUP, FAKE_SHORT, FAKE_LONG,
		FAKE_MAGIC, FAKE_MAJOR, FAKE_SERIAL, FAKE_TYPE, FAKE_LENGTH };
	struct usched_client_daemon status = { .size = sizeof(status) };
	struct usched_client *client = session();
	struct usched_client_list *list;
	struct fake_peer daemon;
	unsigned int before;
	size_t i;

	start_daemon(&daemon);
	before = descriptors_open();
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		atomic_store(&daemon.fault, row[i]);
		CU_ASSERT_EQUAL(usched_client_daemon_status(client, &status), -ENOTCONN);
		CU_ASSERT(usched_client_failure(client)->why[0] != '\0');
		CU_ASSERT_EQUAL_FATAL(usched_client_list_open(client, &list), 0);
		CU_ASSERT_EQUAL(usched_client_list_daemon(list), -ENOTCONN);
		CU_ASSERT_EQUAL(usched_client_failure(client)->error, -ENOTCONN);
		usched_client_list_close(list);
	}
	daemon.listed_pid = (uint32_t)getpid();
	atomic_store(&daemon.fault, FAKE_NO_END);
	CU_ASSERT_EQUAL_FATAL(usched_client_list_open(client, &list), 0);
	CU_ASSERT_EQUAL(usched_client_list_daemon(list), -ENOTCONN);
	usched_client_list_close(list);
	atomic_store(&daemon.fault, FAKE_REFUSE);
	CU_ASSERT_EQUAL(usched_client_daemon_status(client, &status), -EACCES);
	for (i = 0; i < 1000 && descriptors_open() > before; i++)
		usleep(1000);
	CU_ASSERT(descriptors_open() <= before);
	stop_daemon(&daemon);
	usched_client_close(client);
}

int main(void)
{
	static const struct usched_test tests[] = {
		{ "an_attached_runtime_is_set_through_the_daemon",
		  an_attached_runtime_is_set_through_the_daemon },
		{ "a_second_runtime_has_its_number_everywhere",
		  a_second_runtime_has_its_number_everywhere },
		{ "a_liar_is_left_out_of_the_list", a_liar_is_left_out_of_the_list },
		{ "silent_runtimes_hide_no_other", silent_runtimes_hide_no_other },
		{ "the_daemon_lists_and_answers", the_daemon_lists_and_answers },
		{ "what_is_not_the_daemon_is_told", what_is_not_the_daemon_is_told },
	};

	return fake_session_main("list", tests, sizeof(tests) / sizeof(tests[0]));
}
