/* SPDX-License-Identifier: MIT */
/* schedctl version: what is installed, and what runs. */

#include "ctl/ctl.h"

#include <stdio.h>

#include "ctl/output.h"

int ctl_verb_version(struct ctl *ctl, int count, char **arguments)
{
	struct usched_client_daemon status = { .size = sizeof(status) };
	int daemon;

	(void)count;
	(void)arguments;
	daemon = !usched_client_daemon_status(ctl->client, &status);
	if (ctl->json) {
		json_t *object = ctl_json();

		ctl_json_text(object, "schedctl", PACKAGE_VERSION);
		ctl_json_text(object, "uschedd", daemon ? status.version : NULL);
		ctl_json_print(object);
	} else {
		printf("schedctl %s\n", PACKAGE_VERSION);
		printf("uschedd %s\n", daemon ? status.version : "-");
	}
	return CTL_DONE;
}
