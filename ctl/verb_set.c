/* SPDX-License-Identifier: MIT */
/*
 * schedctl set: change a tunable, and watch it take hold.
 *
 *	old -> new -> effective     who limited it, and how long the carriers took
 *
 * Everything that can be wrong on the command line is found before the runtime is asked.
 */

#include "ctl/ctl.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/output.h"

/* Carriers have it within max(one old quantum, 10 ms); a stopped machine takes longer. */
#define PATIENCE_NS UINT64_C(5000000000)

struct wish {
	struct usched_client_tunable tunable;
	uint64_t value;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The words that a tunable may be set to, as a list for people. */
static const char *words_of(const struct usched_client_tunable *tunable)
{
	switch (tunable->may & (USCHED_CLIENT_MAY_OFF | USCHED_CLIENT_MAY_AUTO |
				USCHED_CLIENT_MAY_DEFAULT)) {
	case USCHED_CLIENT_MAY_OFF:
		return "off, or ";
	case USCHED_CLIENT_MAY_OFF | USCHED_CLIENT_MAY_AUTO:
		return "off, auto, or ";
	case USCHED_CLIENT_MAY_OFF | USCHED_CLIENT_MAY_DEFAULT:
		return "off, default, or ";
	case USCHED_CLIENT_MAY_OFF | USCHED_CLIENT_MAY_AUTO | USCHED_CLIENT_MAY_DEFAULT:
		return "off, auto, default, or ";
	default:
		return "";
	}
}

static bool parse_word(const struct usched_client_tunable *tunable, const char *text,
		       uint64_t *value)
{
	if (tunable->may & USCHED_CLIENT_MAY_OFF && !strcmp(text, "off"))
		*value = 0;
	else if (tunable->may & USCHED_CLIENT_MAY_AUTO && !strcmp(text, "auto"))
		*value = USCHED_QUANTUM_AUTO;
	else if (tunable->may & USCHED_CLIENT_MAY_DEFAULT && !strcmp(text, "default"))
		*value = USCHED_QUANTUM_DEFAULT;
	else
		return false;
	return true;
}

static int parse(struct ctl *ctl, const char *text, struct wish *wish)
{
	struct usched_client_tunable *tunable = &wish->tunable;
	const char *equals = strchr(text, '=');
	bool counts;
	char key[USCHED_CLIENT_KEY_MAX], what[128], why[96], hint[192];
	const char *wrong;

	snprintf(what, sizeof(what), "cannot read \"%.64s\"", text);
	if (!equals)
		return ctl_usage(ctl, what, "a tunable is set as KEY=VALUE", "for example quantum=500us");
	snprintf(key, sizeof(key), "%.*s", (int)(equals - text < 39 ? equals - text : 39), text);
	tunable->size = sizeof(*tunable);
	if (equals - text > 39 || usched_client_tunable_find(key, tunable))
		return ctl_usage(ctl, what, "there is no tunable of this name",
				 "the tunables are: quantum, quantum.normal, quantum.high, quantum.low, "
				 "quantum.nodeN, quantum.fiberID, auto_min, auto_max, wakeup, budget");
	if (parse_word(tunable, equals + 1, &wish->value))
		return 0;
	counts = tunable->may & USCHED_CLIENT_MAY_COUNT;
	if (counts)
		wrong = ctl_number_parse(equals + 1, &wish->value) ? NULL : "it is no whole number";
	else
		wrong = ctl_duration_parse(equals + 1, &wish->value);
	if (wrong) {
		snprintf(hint, sizeof(hint), "give %s%s: %s=%s", words_of(tunable), counts ?
			 "a whole number" : "a number with one of the units ns, us, ms, s", key,
			 counts ? "200" : "500us");
		return ctl_usage(ctl, what, wrong, hint);
	}
	/* A lower floor is the runtime's to know; for what no runtime takes none is asked. */
	if (!wish->value || wish->value > tunable->most) {
		snprintf(what, sizeof(what), "cannot set %.64s", text);
		snprintf(why, sizeof(why), "a %s of %.32s is out of range",
			 !strncmp(key, "quantum", 7) ? "quantum" : key, equals + 1);
		snprintf(hint, sizeof(hint), "give %sfrom %s to %s", words_of(tunable),
			 ctl_setting(tunable, tunable->least).text, ctl_setting(tunable, tunable->most).text);
		return ctl_error(ctl, CTL_RANGE, NULL, what, why, hint);
	}
	return 0;
}

/* Of a time, its nanoseconds; null for what is none. */
static void put_ns(json_t *object, const char *name, const struct usched_client_tunable *tunable,
		   uint64_t value)
{
	if (tunable->may & USCHED_CLIENT_MAY_COUNT || value == USCHED_QUANTUM_AUTO ||
	    value == USCHED_QUANTUM_DEFAULT)
		ctl_json_null(object, name);
	else
		ctl_json_number(object, name, value);
}

static void put_json(const struct usched_client_info *info, const struct wish *wish,
		     const struct usched_client_setting *setting, int dry_run, uint64_t took_ns)
{
	const struct usched_client_tunable *tunable = &wish->tunable;
	json_t *object = ctl_json();

	ctl_json_number(object, "pid", info->pid);
	ctl_json_number(object, "runtime", info->number);
	ctl_json_text(object, "name", info->name);
	ctl_json_text(object, "key", tunable->key);
	ctl_json_text(object, "old", ctl_setting(tunable, setting->old_value).text);
	ctl_json_text(object, "new", ctl_setting(tunable, setting->new_value).text);
	ctl_json_text(object, "effective", ctl_setting(tunable, setting->effective_value).text);
	put_ns(object, "old_ns", tunable, setting->old_value);
	put_ns(object, "new_ns", tunable, setting->new_value);
	put_ns(object, "effective_ns", tunable, setting->effective_value);
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

static int set_one(struct ctl *ctl, struct usched_client_runtime *runtime, const struct wish *wish,
		   int dry_run)
{
	const struct usched_client_tunable *tunable = &wish->tunable;
	struct usched_client_setting setting = { .size = sizeof(setting) };
	struct usched_client_info info;
	uint64_t begin = now_ns(), end = 0, took_ns;

	if (usched_client_set(runtime, tunable->key, wish->value,
			      dry_run ? USCHED_CLIENT_DRY_RUN : 0, &setting) ||
	    (!dry_run &&
	     usched_client_wait(runtime, setting.generation, begin + PATIENCE_NS, &end)) ||
	    refresh(runtime, &info))
		return ctl_client_error(ctl);
	/* Whoever was asked told its own limits; what the runtime made of it is the truth. */
	if (!dry_run && info.tunables_acked == setting.generation &&
	    !strcmp(tunable->key, "quantum") && wish->value != USCHED_QUANTUM_AUTO &&
	    info.quantum_ns != setting.effective_value) {
		setting.effective_value = info.quantum_ns;
		snprintf(setting.clamped_by, sizeof(setting.clamped_by), "the runtime");
	}
	took_ns = end > begin ? end - begin : 0;
	if (ctl->json) {
		put_json(&info, wish, &setting, dry_run, took_ns);
		return 0;
	}
	printf("%s of %s (%s): %s -> %s -> %s\n", tunable->key,
	       ctl_runtime(info.pid, info.number).text, info.name,
	       ctl_setting(tunable, setting.old_value).text, ctl_setting(tunable, setting.new_value).text,
	       ctl_setting(tunable, setting.effective_value).text);
	if (setting.clamped_by[0])
		printf("limited by %s\n", setting.clamped_by);
	if (dry_run)
		puts("dry run: nothing was changed");
	else
		printf("in force: every carrier acknowledged after %s\n",
		       ctl_duration(took_ns).text);
	return 0;
}

/* Nothing is set if the runtime would refuse one of them. */
static int try_all(struct ctl *ctl, struct usched_client_runtime *runtime, const struct wish *wishes,
		   int count)
{
	for (int i = 0; i < count; i++) {
		if (usched_client_set(runtime, wishes[i].tunable.key, wishes[i].value,
				      USCHED_CLIENT_DRY_RUN, NULL))
			return ctl_client_error(ctl);
	}
	return 0;
}

int ctl_verb_set(struct ctl *ctl, int count, char **arguments)
{
	static struct wish wishes[CTL_SETTINGS_MAX];
	struct usched_client_runtime *runtime;
	int code = 0;

	for (int i = 1; !code && i < count; i++)
		code = parse(ctl, arguments[i], &wishes[i - 1]);
	if (!code)
		code = ctl_target(ctl, arguments[0], &runtime);
	if (code)
		return code;
	if (count > 2)
		code = try_all(ctl, runtime, wishes, count - 1);
	for (int i = 1; !code && i < count; i++)
		code = set_one(ctl, runtime, &wishes[i - 1], ctl->dry_run);
	usched_client_runtime_close(runtime);
	return code;
}
