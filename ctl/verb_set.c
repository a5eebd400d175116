/* SPDX-License-Identifier: MIT */
/*
 * schedctl set: change a tunable, and watch it take hold.
 *
 *	old -> new -> effective     who limited it, and how long the carriers took
 *
 * Everything that can be wrong on the command line is found before the runtime is asked.
 */

#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/output.h"

/* Carriers have it within max(one old quantum, 10 ms); a stopped machine takes longer. */
#define PATIENCE_NS UINT64_C(5000000000)

static const char *const keys[] = { "quantum" };

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int parse(struct ctl *ctl, const char *text, char key[32], uint64_t *value)
{
	const char *equals = strchr(text, '=');
	char what[128], why[96], hint[160];
	const char *wrong;
	size_t i;

	snprintf(what, sizeof(what), "cannot read \"%.64s\"", text);
	if (!equals)
		return ctl_usage(ctl, what, "a tunable is set as KEY=VALUE", "for example quantum=500us");
	snprintf(key, 32, "%.*s", (int)(equals - text < 31 ? equals - text : 31), text);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(key, keys[i]))
			break;
	if (i == sizeof(keys) / sizeof(keys[0]))
		return ctl_usage(ctl, what, "there is no tunable of this name",
				 "the tunables are: quantum");
	if (!strcmp(equals + 1, "off")) {
		*value = USCHED_QUANTUM_OFF;
		return 0;
	}
	wrong = ctl_duration_parse(equals + 1, value);
	if (wrong) {
		snprintf(hint, sizeof(hint), "give off, or a number with one of the units ns, us, ms, s: "
			 "%s=500us", key);
		return ctl_usage(ctl, what, wrong, hint);
	}
	/* A lower floor is the runtime's to know; for what no runtime takes none is asked. */
	if (!*value || *value > USCHED_QUANTUM_MAX_NS) {
		snprintf(what, sizeof(what), "cannot set %.64s", text);
		snprintf(why, sizeof(why), "a quantum of %.32s is out of range", equals + 1);
		return ctl_error(ctl, CTL_RANGE, NULL, what, why, "give off, or from 100us to 1s");
	}
	return 0;
}

static void put_json(const struct usched_client_info *info, const char *key,
		     const struct usched_client_setting *setting, int dry_run, uint64_t took_ns)
{
	json_t *object = ctl_json();

	ctl_json_number(object, "pid", info->pid);
	ctl_json_number(object, "runtime", info->number);
	ctl_json_text(object, "name", info->name);
	ctl_json_text(object, "key", key);
	ctl_json_number(object, "old_ns", setting->old_value);
	ctl_json_number(object, "new_ns", setting->new_value);
	ctl_json_number(object, "effective_ns", setting->effective_value);
	ctl_json_text(object, "clamped_by", setting->clamped_by[0] ? setting->clamped_by : NULL);
	ctl_json_text(object, "set_by", setting->through_daemon ? "daemon" : "runtime");
	ctl_json_flag(object, "dry_run", dry_run);
	ctl_json_flag(object, "acknowledged", !dry_run);
	if (dry_run)
		ctl_json_null(object, "acknowledged_after_ns");
	else
		ctl_json_number(object, "acknowledged_after_ns", took_ns);
	ctl_json_print(object);
}

/* What is in force, as the runtime itself says once it has acknowledged. */
static int refresh(struct usched_client_runtime *runtime, struct usched_client_info *info)
{
	struct usched_client_snapshot *snapshot;

	if (usched_client_snapshot_open(runtime, &snapshot))
		return -1;
	info->size = sizeof(*info);
	usched_client_snapshot_info(snapshot, info);
	usched_client_snapshot_close(snapshot);
	return 0;
}

int ctl_verb_set(struct ctl *ctl, int count, char **arguments)
{
	struct usched_client_setting setting = { .size = sizeof(setting) };
	struct usched_client_runtime *runtime;
	struct usched_client_info info;
	uint64_t value, begin, end = 0;
	char key[32];
	int code;

	(void)count;
	code = parse(ctl, arguments[1], key, &value);
	if (code)
		return code;
	code = ctl_target(ctl, arguments[0], &runtime);
	if (code)
		return code;
	begin = now_ns();
	if (usched_client_set(runtime, key, value, ctl->dry_run ? USCHED_CLIENT_DRY_RUN : 0, &setting) ||
	    (!ctl->dry_run &&
	     usched_client_wait(runtime, setting.generation, begin + PATIENCE_NS, &end)) ||
	    refresh(runtime, &info)) {
		code = ctl_client_error(ctl);
		goto out;
	}
	/* Whoever was asked told its own limits; what the runtime made of it is the truth. */
	if (!ctl->dry_run && info.tunables_acked == setting.generation &&
	    info.quantum_ns != setting.effective_value) {
		setting.effective_value = info.quantum_ns;
		snprintf(setting.clamped_by, sizeof(setting.clamped_by), "the runtime");
	}
	if (ctl->json) {
		put_json(&info, key, &setting, ctl->dry_run, end > begin ? end - begin : 0);
		goto out;
	}
	printf("%s of %s (%s): %s -> %s -> %s\n", key, ctl_runtime(info.pid, info.number).text, info.name,
	       ctl_quantum(setting.old_value).text, ctl_quantum(setting.new_value).text,
	       ctl_quantum(setting.effective_value).text);
	if (setting.clamped_by[0])
		printf("limited by %s\n", setting.clamped_by);
	if (ctl->dry_run)
		puts("dry run: nothing was changed");
	else
		printf("in force: every carrier acknowledged after %s\n",
		       ctl_duration(end > begin ? end - begin : 0).text);
out:
	usched_client_runtime_close(runtime);
	return code;
}
