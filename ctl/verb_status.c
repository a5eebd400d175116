/* SPDX-License-Identifier: MIT */
/* schedctl status: what the daemon says of itself. */

#include "ctl/ctl.h"

#include <stdio.h>
#include <time.h>

#include "ctl/output.h"

int ctl_verb_status(struct ctl *ctl, int count, char **arguments)
{
	struct usched_client_daemon status = { .size = sizeof(status) };
	char text[CTL_TEXT_BYTES];
	struct timespec now;
	uint64_t now_ns;

	(void)count;
	(void)arguments;
	if (usched_client_daemon_status(ctl->client, &status))
		return ctl_client_error(ctl);
	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (ctl->json) {
		json_t *object = ctl_json();

		ctl_json_number(object, "pid", status.pid);
		ctl_json_number(object, "uid", status.uid);
		ctl_json_text(object, "version", status.version);
		ctl_json_text(object, "socket_directory", usched_client_directory(ctl->client));
		ctl_json_number(object, "start_time_ns", status.start_time_ns);
		ctl_json_number(object, "epoch", status.epoch);
		ctl_json_number(object, "runtimes", status.runtimes);
		ctl_json_number(object, "cpus", status.cpus);
		ctl_json_number(object, "policy_passes", status.passes);
		ctl_json_number(object, "policy_period_ns", status.policy_period_ns);
		ctl_json_number(object, "refused", status.refused);
		ctl_json_print(object);
		return CTL_DONE;
	}
	printf("daemon=%u\n", status.pid);
	printf("uid=%u\n", status.uid);
	printf("version=%s\n", status.version);
	printf("sockets=%s\n", ctl_text(text, usched_client_directory(ctl->client)));
	printf("age=%s\n", ctl_age(status.start_time_ns, now_ns).text);
	printf("epoch=%llu\n", (unsigned long long)status.epoch);
	printf("runtimes=%u\n", status.runtimes);
	printf("cpus=%u\n", status.cpus);
	printf("policy_passes=%llu\n", (unsigned long long)status.passes);
	printf("policy_period=%s\n", ctl_duration(status.policy_period_ns).text);
	printf("refused=%llu\n", (unsigned long long)status.refused);
	return CTL_DONE;
}
