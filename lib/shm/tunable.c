/* SPDX-License-Identifier: MIT */
/*
 * The table of tunables; see tunable.h. No stdio: the monitor asks, too.
 */
#include <errno.h>
#include <string.h>

#include "base/duration.h"
#include "base/format.h"
#include "shm/tunable.h"

#define MS UINT64_C(1000000)

enum {
	QUANTUM = USCHED_TUNABLE_OFF | USCHED_TUNABLE_AUTO | USCHED_TUNABLE_FLOORED,
	PART = QUANTUM | USCHED_TUNABLE_DEFAULT,
	NODES = USCHED_TUNABLES - USCHED_TUNABLE_QUANTUM_NODE,
};

static const char node_prefix[] = "quantum.node", fiber_prefix[] = "quantum.fiber";

static const struct usched_tunable_rule rules[] = {
	[USCHED_TUNABLE_QUANTUM] = {
		"quantum", "quantum", USCHED_QUANTUM_MIN_NS, USCHED_QUANTUM_MAX_NS, 2 * MS, QUANTUM },
	[USCHED_TUNABLE_QUANTUM_PRIORITY + USCHED_PRIORITY_NORMAL] = {
		"quantum.normal", "quantum", USCHED_QUANTUM_MIN_NS, USCHED_QUANTUM_MAX_NS,
		USCHED_QUANTUM_DEFAULT, PART },
	[USCHED_TUNABLE_QUANTUM_PRIORITY + USCHED_PRIORITY_HIGH] = {
		"quantum.high", "quantum", USCHED_QUANTUM_MIN_NS, USCHED_QUANTUM_MAX_NS,
		USCHED_QUANTUM_DEFAULT, PART },
	[USCHED_TUNABLE_QUANTUM_PRIORITY + USCHED_PRIORITY_LOW] = {
		"quantum.low", "quantum", USCHED_QUANTUM_MIN_NS, USCHED_QUANTUM_MAX_NS,
		USCHED_QUANTUM_DEFAULT, PART },
	[USCHED_TUNABLE_AUTO_MIN] = {
		"auto_min", "least automatic quantum", USCHED_QUANTUM_MIN_NS, USCHED_QUANTUM_MAX_NS,
		MS / 2, USCHED_TUNABLE_FLOORED },
	[USCHED_TUNABLE_AUTO_MAX] = {
		"auto_max", "longest automatic quantum", USCHED_QUANTUM_MIN_NS,
		USCHED_QUANTUM_MAX_NS, 10 * MS, USCHED_TUNABLE_FLOORED },
	[USCHED_TUNABLE_WAKEUP] = {
		"wakeup", "minimum slice", USCHED_WAKEUP_MIN_NS, USCHED_QUANTUM_MAX_NS, MS / 10,
		USCHED_TUNABLE_OFF },
	[USCHED_TUNABLE_BUDGET] = {
		"budget", "budget", 1, USCHED_BUDGET_MAX, 100,
		USCHED_TUNABLE_OFF | USCHED_TUNABLE_COUNT },
	[USCHED_TUNABLE_QUANTUM_NODE] = {
		"quantum.nodeN", "quantum", USCHED_QUANTUM_MIN_NS, USCHED_QUANTUM_MAX_NS,
		USCHED_QUANTUM_DEFAULT, PART },
	[USCHED_TUNABLE_QUANTUM_NODE + 1] = {
		"quantum.fiberID", "quantum", USCHED_QUANTUM_MIN_NS, USCHED_QUANTUM_MAX_NS,
		USCHED_QUANTUM_DEFAULT,
		USCHED_TUNABLE_OFF | USCHED_TUNABLE_DEFAULT | USCHED_TUNABLE_FLOORED },
};

const struct usched_tunable_rule *usched_tunable_rule(unsigned int tunable)
{
	if (tunable == USCHED_TUNABLE_FIBER)
		return &rules[USCHED_TUNABLE_QUANTUM_NODE + 1];
	return &rules[tunable < USCHED_TUNABLE_QUANTUM_NODE ? tunable : USCHED_TUNABLE_QUANTUM_NODE];
}

static unsigned int digit(char letter)
{
	if (letter >= '0' && letter <= '9')
		return (unsigned int)(letter - '0');
	if (letter >= 'a' && letter <= 'f')
		return (unsigned int)(letter - 'a') + 10;
	return UINT32_MAX;
}

/* A whole number that fills the rest of the key: decimal, or as 0x... */
static bool read_number(const char *text, size_t bytes, uint64_t *number)
{
	unsigned int base = 10;
	size_t at = 0, first;

	if (bytes > 2 && text[0] == '0' && text[1] == 'x') {
		base = 16;
		at = 2;
	}
	first = at;
	for (*number = 0; at < bytes && digit(text[at]) < base; at++) {
		if (__builtin_mul_overflow(*number, base, number) ||
		    __builtin_add_overflow(*number, digit(text[at]), number))
			return false;
	}
	return at > first && (at == bytes || text[at] == '\0');
}

int usched_tunable_find(const char *key, size_t bytes, uint64_t *fiber)
{
	uint64_t number;

	for (unsigned int i = 0; i < USCHED_TUNABLE_QUANTUM_NODE; i++) {
		if (strncmp(key, rules[i].key, bytes) == 0)
			return (int)i;
	}
	if (bytes > sizeof(node_prefix) && strncmp(key, node_prefix, sizeof(node_prefix) - 1) == 0 &&
	    read_number(key + sizeof(node_prefix) - 1, bytes - sizeof(node_prefix) + 1, &number) &&
	    number < NODES)
		return (int)(USCHED_TUNABLE_QUANTUM_NODE + number);
	if (bytes > sizeof(fiber_prefix) &&
	    strncmp(key, fiber_prefix, sizeof(fiber_prefix) - 1) == 0 &&
	    read_number(key + sizeof(fiber_prefix) - 1, bytes - sizeof(fiber_prefix) + 1, fiber))
		return USCHED_TUNABLE_FIBER;
	return -EINVAL;
}

static uint64_t least_of(const struct usched_tunable_rule *rule, uint64_t floor_ns)
{
	return rule->may & USCHED_TUNABLE_FLOORED && floor_ns && floor_ns < rule->least ?
	       floor_ns : rule->least;
}

static bool is_word(const struct usched_tunable_rule *rule, uint64_t value)
{
	return (value == 0 && rule->may & USCHED_TUNABLE_OFF) ||
	       (value == USCHED_QUANTUM_AUTO && rule->may & USCHED_TUNABLE_AUTO) ||
	       (value == USCHED_QUANTUM_DEFAULT && rule->may & USCHED_TUNABLE_DEFAULT);
}

bool usched_tunable_check(unsigned int tunable, uint64_t value, uint64_t floor_ns, char *why,
			  size_t bytes)
{
	const struct usched_tunable_rule *rule = usched_tunable_rule(tunable);
	uint64_t least = least_of(rule, floor_ns);
	char number[USCHED_TUNABLE_TEXT_BYTES];
	struct usched_format text;

	if (is_word(rule, value) || (value >= least && value <= rule->most))
		return true;
	usched_format_init(&text, why, bytes);
	usched_format_string(&text, "a ");
	usched_format_string(&text, rule->what);
	usched_format_string(&text, " of ");
	usched_format_string(&text, usched_tunable_format(tunable, value, number, sizeof(number)));
	usched_format_string(&text, " is out of range; give ");
	if (rule->may & USCHED_TUNABLE_OFF)
		usched_format_string(&text, "off, ");
	if (rule->may & USCHED_TUNABLE_AUTO)
		usched_format_string(&text, "auto, ");
	if (rule->may & USCHED_TUNABLE_DEFAULT)
		usched_format_string(&text, "default, ");
	if (rule->may & USCHED_TUNABLE_OFF)
		usched_format_string(&text, "or ");
	usched_format_string(&text, "from ");
	usched_format_string(&text, usched_tunable_format(tunable, least, number, sizeof(number)));
	usched_format_string(&text, " to ");
	usched_format_string(&text, usched_tunable_format(tunable, rule->most, number,
							  sizeof(number)));
	return false;
}

uint64_t usched_tunable_effective(unsigned int tunable, uint64_t value, uint64_t floor_ns)
{
	const struct usched_tunable_rule *rule = usched_tunable_rule(tunable);

	return !is_word(rule, value) && rule->may & USCHED_TUNABLE_FLOORED && value < floor_ns ?
	       floor_ns : value;
}

void usched_tunable_answer(unsigned int tunable, uint64_t old, uint64_t value, uint64_t floor_ns,
			   struct usched_message_set_reply *reply)
{
	reply->old_value = usched_tunable_effective(tunable, old, floor_ns);
	reply->new_value = value;
	reply->effective_value = usched_tunable_effective(tunable, value, floor_ns);
	if (reply->effective_value != value)
		strncpy(reply->clamped_by, "10 times the cost of a tick here",
			sizeof(reply->clamped_by) - 1);
}

char *usched_tunable_format(unsigned int tunable, uint64_t value, char *buffer, size_t bytes)
{
	struct usched_format text;

	usched_format_init(&text, buffer, bytes);
	if (value == USCHED_QUANTUM_AUTO)
		usched_format_string(&text, "auto");
	else if (value == USCHED_QUANTUM_DEFAULT)
		usched_format_string(&text, "default");
	else if (value && usched_tunable_rule(tunable)->may & USCHED_TUNABLE_COUNT)
		usched_format_decimal(&text, value);
	else
		return usched_duration_format(value, buffer, bytes);
	return buffer;
}

void usched_tunables_start(uint64_t values[USCHED_TUNABLES])
{
	for (unsigned int i = 0; i < USCHED_TUNABLES; i++)
		values[i] = usched_tunable_rule(i)->start;
}

void usched_tunables_clamp(uint64_t values[USCHED_TUNABLES])
{
	for (unsigned int i = 0; i < USCHED_TUNABLES; i++) {
		const struct usched_tunable_rule *rule = usched_tunable_rule(i);

		/* A low quantum is raised to the runtime's floor where it is used. */
		if (!is_word(rule, values[i]) && values[i] > rule->most)
			values[i] = rule->most;
		if (values[i] == 0 && !is_word(rule, 0))
			values[i] = rule->least;
	}
}
