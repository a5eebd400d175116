/* SPDX-License-Identifier: MIT */
/*
 * Help and completion, both made from the tables of verbs and options.
 */

#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#include "ctl/output.h"

static void put_options(unsigned int takes, int common)
{
	const struct ctl_option *option;
	char left[40];

	for (option = ctl_options; option->name; option++) {
		if (option->taken_by ? !(option->taken_by & takes) : !common)
			continue;
		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", option->letter ? '-' : ' ',
			 option->letter ? option->letter : ' ', option->letter ? "," : " ",
			 option->name, option->value ? "=" : "", option->value ? option->value : "");
		printf("  %-22s  %s\n", left, option->summary);
	}
}

static void help_of_tool(void)
{
	const struct ctl_verb *verb;
	char left[40];

	puts("Usage: schedctl [OPTION]... VERB [ARGUMENT]...\n"
	     "Watches and tunes running usched programs.\n\nVerbs:");
	for (verb = ctl_verbs; verb->name; verb++) {
		snprintf(left, sizeof(left), "%s %s", verb->name, verb->arguments);
		printf("  %-22s  %s\n", left, verb->summary);
	}
	puts("\nOptions, anywhere on the line:");
	put_options(~0u, 1);
	puts("\nPID may be PID/N for the runtime number N of a process that has several.\n"
	     "Exit codes: 0 done, 1 failed or partial, 2 usage, 3 no such target, 4 permission,\n"
	     "5 daemon unreachable, 6 value out of range. See schedctl(1).");
}

static void help_of_verb(const struct ctl_verb *verb)
{
	printf("Usage: schedctl %s%s%s [OPTION]...\n%c%s.\n\n%s\n\nOptions:\n", verb->name,
	       verb->arguments[0] ? " " : "", verb->arguments, verb->summary[0] - 'a' + 'A',
	       verb->summary + 1, verb->details);
	put_options(verb->takes, 1);
}

static json_t *verb_to_json(const struct ctl_verb *verb)
{
	json_t *object = json_object();

	ctl_json_text(object, "name", verb->name);
	ctl_json_text(object, "arguments", verb->arguments[0] ? verb->arguments : NULL);
	ctl_json_text(object, "summary", verb->summary);
	ctl_json_put(object, "details", json_string(verb->details));	/* has several lines */
	return object;
}

static json_t *options_to_json(unsigned int takes)
{
	const struct ctl_option *option;
	json_t *array = json_array();

	for (option = ctl_options; option->name; option++) {
		char letter[2] = { option->letter, '\0' };
		json_t *object;

		if (option->taken_by && !(option->taken_by & takes))
			continue;
		object = json_object();
		ctl_json_text(object, "name", option->name);
		ctl_json_text(object, "letter", letter[0] ? letter : NULL);
		ctl_json_text(object, "value", option->value);
		ctl_json_text(object, "summary", option->summary);
		ctl_json_append(array, object);
	}
	return array;
}

static void help_as_json(const struct ctl_verb *named)
{
	json_t *object = ctl_json(), *array = json_array();
	const struct ctl_verb *verb;

	for (verb = ctl_verbs; verb->name; verb++)
		if (!named || verb == named)
			ctl_json_append(array, verb_to_json(verb));
	ctl_json_put(object, "verbs", array);
	ctl_json_put(object, "options", options_to_json(named ? named->takes : ~0u));
	ctl_json_print(object);
}

void ctl_help(const struct ctl *ctl)
{
	if (ctl->json)
		help_as_json(ctl->verb);
	else if (ctl->verb)
		help_of_verb(ctl->verb);
	else
		help_of_tool();
}

static void put_words(const char *separator)
{
	const struct ctl_verb *verb;
	const struct ctl_option *option;

	for (verb = ctl_verbs; verb->name; verb++)
		printf("%s%s", verb == ctl_verbs ? "" : separator, verb->name);
	for (option = ctl_options; option->name; option++)
		printf("%s--%s", separator, option->name);
}

/* Verbs whose argument begins with a pid, as a pattern of the shell. */
static void put_pid_verbs(const char *separator)
{
	const struct ctl_verb *verb;
	const char *before = "";

	for (verb = ctl_verbs; verb->name; verb++)
		if (!strncmp(verb->arguments, "PID", 3)) {
			printf("%s%s", before, verb->name);
			before = separator;
		}
}

static void bash(void)
{
	puts("# bash completion for schedctl, made by: schedctl completion bash\n"
	     "_schedctl()\n{\n"
	     "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
	     "\tcase $before in");
	fputs("\t", stdout);
	put_pid_verbs("|");
	puts(")\n"
	     "\t\tCOMPREPLY=($(compgen -W \"$(schedctl list 2>/dev/null | awk 'NR > 1 { print $1 }')\""
	     " -- \"$word\"))\n"
	     "\t\treturn ;;\n"
	     "\t--socket)\n\t\tCOMPREPLY=($(compgen -d -- \"$word\"))\n\t\treturn ;;\n"
	     "\tcompletion)\n\t\tCOMPREPLY=($(compgen -W 'bash zsh fish' -- \"$word\"))\n"
	     "\t\treturn ;;\n\tesac");
	fputs("\tCOMPREPLY=($(compgen -W '", stdout);
	put_words(" ");
	puts("' -- \"$word\"))\n}\ncomplete -F _schedctl schedctl");
}

static void zsh(void)
{
	const struct ctl_verb *verb;
	const struct ctl_option *option;

	puts("#compdef schedctl\n"
	     "# zsh completion for schedctl, made by: schedctl completion zsh\n"
	     "local -a verbs options pids\nverbs=(");
	for (verb = ctl_verbs; verb->name; verb++)
		printf("\t'%s:%s'\n", verb->name, verb->summary);
	puts(")\noptions=(");
	for (option = ctl_options; option->name; option++)
		printf("\t'--%s:%s'\n", option->name, option->summary);
	fputs(")\ncase $words[CURRENT-1] in\n", stdout);
	put_pid_verbs("|");
	puts(")\n"
	     "\tpids=(${(f)\"$(schedctl list 2>/dev/null | awk 'NR > 1 { print $1 }')\"})\n"
	     "\tcompadd -a pids ;;\n"
	     "completion)\n\tcompadd bash zsh fish ;;\n"
	     "*)\n\t_describe verb verbs\n\t_describe option options ;;\nesac");
}

static void fish(void)
{
	const struct ctl_verb *verb;
	const struct ctl_option *option;

	puts("# fish completion for schedctl, made by: schedctl completion fish\n"
	     "complete -c schedctl -f");
	for (verb = ctl_verbs; verb->name; verb++)
		printf("complete -c schedctl -n __fish_use_subcommand -a %s -d '%s'\n", verb->name,
		       verb->summary);
	fputs("complete -c schedctl -n '__fish_seen_subcommand_from ", stdout);
	put_pid_verbs(" ");
	puts("' -a '(schedctl list 2>/dev/null | awk \"NR > 1 { print \\$1 }\")'\n"
	     "complete -c schedctl -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'");
	for (option = ctl_options; option->name; option++) {
		printf("complete -c schedctl -l %s", option->name);
		if (option->letter)
			printf(" -s %c", option->letter);
		if (option->value)
			fputs(strcmp(option->name, "socket") ? " -x" : " -r -F", stdout);
		printf(" -d '%s'\n", option->summary);
	}
}

int ctl_verb_completion(struct ctl *ctl, int count, char **arguments)
{
	char what[96];

	(void)count;
	if (ctl->json)
		return ctl_usage(ctl, "cannot use --json with completion", "it prints a script", "leave out --json");
	if (!strcmp(arguments[0], "bash"))
		bash();
	else if (!strcmp(arguments[0], "zsh"))
		zsh();
	else if (!strcmp(arguments[0], "fish"))
		fish();
	else {
		snprintf(what, sizeof(what), "cannot complete for \"%.32s\"", arguments[0]);
		return ctl_usage(ctl, what, "this shell is not known", "the shells are: bash zsh fish");
	}
	return CTL_DONE;
}
