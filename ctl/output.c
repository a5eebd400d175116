/* SPDX-License-Identifier: MIT */
/*
 * Tables, JSON and errors.
 */

#include "ctl/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --------------------------------------------------------------- messages */

static void no_memory(void)
{
	fputs("schedctl: cannot go on: failed\n  there is no memory left\n"
	      "  hint: free memory, or raise the limit of this process (ulimit -v)\n", stderr);
	exit(CTL_FAILED);
}

static const char *kind_of(enum ctl_exit code)
{
	switch (code) {
	case CTL_USAGE:
		return "usage";
	case CTL_NO_TARGET:
		return "no such target";
	case CTL_PERMISSION:
		return "permission denied";
	case CTL_NO_DAEMON:
		return "daemon unreachable";
	case CTL_RANGE:
		return "out of range";
	case CTL_DONE:
	case CTL_FAILED:
		break;
	}
	return "failed";
}

const char *ctl_text(char *to, const char *from)
{
	usched_client_text(to, CTL_TEXT_BYTES, from, CTL_TEXT_BYTES);
	return to;
}

int ctl_error(struct ctl *ctl, enum ctl_exit code, const char *kind, const char *what,
	      const char *why, const char *hint)
{
	char text[CTL_TEXT_BYTES];

	if (!kind)
		kind = kind_of(code);
	fprintf(stderr, "schedctl: %s: %s\n", ctl_text(text, what), kind);
	fprintf(stderr, "  %s\n", ctl_text(text, why));
	fprintf(stderr, "  hint: %s\n", ctl_text(text, hint));
	if (ctl->json) {
		json_t *object = ctl_json(), *error = json_object();

		ctl_json_number(error, "exit_code", code);
		ctl_json_text(error, "kind", kind);
		ctl_json_text(error, "what", what);
		ctl_json_text(error, "why", why);
		ctl_json_text(error, "hint", hint);
		ctl_json_put(object, "error", error);
		ctl_json_print(object);
	}
	return code;
}

int ctl_usage(struct ctl *ctl, const char *what, const char *why, const char *hint)
{
	return ctl_error(ctl, CTL_USAGE, NULL, what, why, hint);
}

int ctl_client_error(struct ctl *ctl)
{
	const struct usched_client_failure *failure = usched_client_failure(ctl->client);
	enum ctl_exit code = CTL_FAILED;
	const char *kind = NULL;

	switch (failure->error) {
	case -ESRCH:
		code = CTL_NO_TARGET;
		break;
	case -EACCES:
		code = CTL_PERMISSION;
		break;
	case -ENOTCONN:
		code = CTL_NO_DAEMON;
		break;
	case -ERANGE:
		code = CTL_RANGE;
		break;
	case -EINVAL:
		code = CTL_USAGE;
		break;
	case -ETIMEDOUT:
		kind = "timed out";
		break;
	case -EBADMSG:
		kind = "bad answer";
		break;
	default:
		break;
	}
	return ctl_error(ctl, code, kind, failure->what, failure->why, failure->hint);
}

void ctl_note(const struct ctl *ctl, const char *format, ...)
{
	char raw[CTL_TEXT_BYTES], text[CTL_TEXT_BYTES];
	va_list arguments;

	if (ctl->json)
		return;
	va_start(arguments, format);
	vsnprintf(raw, sizeof(raw), format, arguments);
	va_end(arguments);
	/* After the data, also when both go to one terminal or file. */
	fflush(stdout);
	fprintf(stderr, "%s\n", ctl_text(text, raw));
}

int ctl_finish(struct ctl *ctl, int code)
{
	char why[128];

	if (!fflush(stdout) && !ferror(stdout))
		return code;
	snprintf(why, sizeof(why), "writing to the standard output failed: %s", strerror(errno));
	ctl->json = 0;		/* there is nowhere to put the object */
	return ctl_error(ctl, CTL_FAILED, NULL, "cannot print the result", why,
			 "look at the disk or the program that reads it");
}

/* ------------------------------------------------------------------ words */

/* value / unit with up to three decimals, none of them a trailing zero. */
static void decimal(struct ctl_word *word, uint64_t ns, uint64_t unit, const char *name)
{
	uint64_t whole = ns / unit;
	unsigned int rest = (unsigned int)((ns % unit) / (unit / 1000));
	char digits[8];
	size_t length = 3;

	snprintf(digits, sizeof(digits), "%03u", rest % 1000);
	while (length && digits[length - 1] == '0')
		length--;
	digits[length] = '\0';
	snprintf(word->text, sizeof(word->text), "%llu%s%s%s", (unsigned long long)whole,
		 length ? "." : "", digits, name);
}

struct ctl_word ctl_duration(uint64_t ns)
{
	struct ctl_word word;

	if (ns < 1000)
		snprintf(word.text, sizeof(word.text), "%lluns", (unsigned long long)ns);
	else if (ns < 1000000)
		decimal(&word, ns, 1000, "us");
	else if (ns < 1000000000)
		decimal(&word, ns, 1000000, "ms");
	else
		decimal(&word, ns, 1000000000, "s");
	return word;
}

struct ctl_word ctl_quantum(uint64_t ns)
{
	struct ctl_word word;

	if (ns && ns != USCHED_QUANTUM_AUTO && ns != USCHED_QUANTUM_DEFAULT)
		return ctl_duration(ns);
	strcpy(word.text, !ns ? "off" : ns == USCHED_QUANTUM_AUTO ? "auto" : "default");
	return word;
}

struct ctl_word ctl_setting(const struct usched_client_tunable *tunable, uint64_t value)
{
	struct ctl_word word;

	if (!value || !(tunable->may & USCHED_CLIENT_MAY_COUNT))
		return ctl_quantum(value);
	snprintf(word.text, sizeof(word.text), "%llu", (unsigned long long)value);
	return word;
}

struct ctl_word ctl_age(uint64_t since_ns, uint64_t now_ns)
{
	struct ctl_word word;
	uint64_t ns = now_ns > since_ns ? now_ns - since_ns : 0;
	unsigned long long seconds = ns / 1000000000;

	if (!since_ns) {
		strcpy(word.text, "-");
		return word;
	}
	if (seconds < 10)
		/* Three digits are enough for an age. */
		return ctl_duration(ns < 1000 ? ns : ns < 1000000 ? ns / 100 * 100 :
				    ns < 1000000000 ? ns / 100000 * 100000 :
				    ns / 100000000 * 100000000);
	if (seconds < 60)
		snprintf(word.text, sizeof(word.text), "%llus", seconds);
	else if (seconds < 3600)
		snprintf(word.text, sizeof(word.text), "%llum%02llus", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(word.text, sizeof(word.text), "%lluh%02llum", seconds / 3600,
			 seconds / 60 % 60);
	else
		snprintf(word.text, sizeof(word.text), "%llud%02lluh", seconds / 86400,
			 seconds / 3600 % 24);
	return word;
}

struct ctl_word ctl_rate(uint64_t count, uint64_t elapsed_ns)
{
	struct ctl_word word;
	double rate = (double)count * 1e9 / (double)elapsed_ns;

	snprintf(word.text, sizeof(word.text), rate < 99.95 && rate > 0 ? "%.1f" : "%.0f", rate);
	return word;
}

struct ctl_word ctl_bytes(uint64_t bytes)
{
	struct ctl_word word;

	if (bytes && bytes % (1 << 20) == 0)
		snprintf(word.text, sizeof(word.text), "%lluM", (unsigned long long)bytes >> 20);
	else if (bytes && bytes % 1024 == 0)
		snprintf(word.text, sizeof(word.text), "%lluK", (unsigned long long)bytes >> 10);
	else
		snprintf(word.text, sizeof(word.text), "%llu", (unsigned long long)bytes);
	return word;
}

struct ctl_word ctl_runtime(uint32_t pid, uint32_t number)
{
	struct ctl_word word;

	snprintf(word.text, sizeof(word.text), number > 1 ? "%u/%u" : "%u", pid, number);
	return word;
}

const char *ctl_attachment(enum usched_client_attachment attachment)
{
	switch (attachment) {
	case USCHED_CLIENT_EMBEDDED:
		return "embedded";
	case USCHED_CLIENT_ATTACHING:
		return "attaching";
	case USCHED_CLIENT_ATTACHED:
		return "daemon";
	case USCHED_CLIENT_EXPIRED:
		return "expired";
	case USCHED_CLIENT_UNKNOWN:
		break;
	}
	return NULL;
}

const char *ctl_tick(enum usched_tick tick)
{
	switch (tick) {
	case USCHED_TICK_PERF:
		return "perf";
	case USCHED_TICK_TIMER:
		return "timer";
	case USCHED_TICK_TIMERFD:
		return "timerfd";
	case USCHED_TICK_AUTO:
		break;
	}
	return NULL;
}

const char *ctl_worker_state(enum usched_client_worker_state state)
{
	switch (state) {
	case USCHED_CLIENT_WORKER_DORMANT:
		return "dormant";
	case USCHED_CLIENT_WORKER_IDLE:
		return "idle";
	case USCHED_CLIENT_WORKER_RUNNING:
		return "running";
	case USCHED_CLIENT_WORKER_SCHEDULING:
		return "scheduling";
	case USCHED_CLIENT_WORKER_UNKNOWN:
		break;
	}
	return NULL;
}

/* ----------------------------------------------------------------- tables */

struct ctl_table {
	const struct ctl_column *columns;
	size_t count;
	size_t cells;
	size_t room;
	char **cell;
};

struct ctl_table *ctl_table_open(const struct ctl_column *columns, size_t count)
{
	struct ctl_table *table = calloc(1, sizeof(*table));

	if (!table)
		no_memory();
	table->columns = columns;
	table->count = count;
	return table;
}

void ctl_table_cell(struct ctl_table *table, const char *format, ...)
{
	va_list arguments;
	char *text;

	if (table->cells == table->room) {
		size_t room = table->room ? table->room * 2 : 64;
		char **more = reallocarray(table->cell, room, sizeof(*more));

		if (!more)
			no_memory();
		table->cell = more;
		table->room = room;
	}
	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		no_memory();
	va_end(arguments);
	table->cell[table->cells++] = text;
}

/* Columns on the screen: bytes that begin a character. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

/* Bytes of the first `width` characters. */
static int cut(const char *text, int width)
{
	const char *at = text;

	while (*at && (width > 0 || (*at & 0xc0) == 0x80)) {
		width -= (*at & 0xc0) != 0x80;
		if (width < 0)
			break;
		at++;
	}
	return (int)(at - text);
}

static int terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 0;
	return size.ws_col;
}

static void put_row(const struct ctl_table *table, const int *width, int left, char *const *cells)
{
	size_t i;

	for (i = 0; i < table->count; i++) {
		const char *text = cells[i][0] ? cells[i] : "-";
		int blanks = width[i] - width_of(text);

		if (table->columns[i].right)
			printf("%*s%s", blanks, "", text);
		else if (i + 1 < table->count)
			printf("%s%*s", text, blanks, "");
		else
			printf("%.*s", left > 0 ? cut(text, left) : (int)strlen(text), text);
		if (i + 1 < table->count)
			fputs("  ", stdout);
	}
	putchar('\n');
}

void ctl_table_close(struct ctl_table *table)
{
	int *width = calloc(table->count, sizeof(*width));
	char **titles = calloc(table->count, sizeof(*titles));
	int left = terminal_width();
	size_t i;

	if (!width || !titles)
		no_memory();
	for (i = 0; i < table->count; i++) {
		titles[i] = (char *)table->columns[i].title;
		width[i] = width_of(titles[i]);
	}
	for (i = 0; i < table->cells; i++) {
		int cell = width_of(table->cell[i]);

		if (cell > width[i % table->count])
			width[i % table->count] = cell;
	}
	for (i = 0; left > 0 && i + 1 < table->count; i++)
		left = left > width[i] + 2 + 8 ? left - width[i] - 2 : 0;
	put_row(table, width, left, titles);
	for (i = 0; i + table->count <= table->cells; i += table->count)
		put_row(table, width, left, table->cell + i);
	for (i = 0; i < table->cells; i++)
		free(table->cell[i]);
	free(table->cell);
	free(table);
	free(titles);
	free(width);
}

/* ------------------------------------------------------------------- JSON */

json_t *ctl_json(void)
{
	json_t *object = json_object();

	ctl_json_number(object, "schema", 1);
	return object;
}

void ctl_json_put(json_t *object, const char *key, json_t *value)
{
	if (!value || json_object_set_new(object, key, value))
		no_memory();
}

void ctl_json_append(json_t *array, json_t *value)
{
	if (!value || json_array_append_new(array, value))
		no_memory();
}

void ctl_json_number(json_t *object, const char *key, uint64_t value)
{
	ctl_json_put(object, key, value <= INT64_MAX ? json_integer((json_int_t)value) : json_null());
}

void ctl_json_text(json_t *object, const char *key, const char *value)
{
	char text[CTL_TEXT_BYTES];

	ctl_json_put(object, key, value ? json_string(ctl_text(text, value)) : json_null());
}

void ctl_json_flag(json_t *object, const char *key, int value)
{
	ctl_json_put(object, key, json_boolean(value));
}

void ctl_json_null(json_t *object, const char *key)
{
	ctl_json_put(object, key, json_null());
}

void ctl_json_id(json_t *object, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	ctl_json_text(object, key, value ? text : NULL);
}

void ctl_json_print(json_t *object)
{
	if (!object || json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER)) {
		if (!ferror(stdout))
			no_memory();
	}
	putchar('\n');
	json_decref(object);
}
