/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdio.h>
#include <usched/usched.h>

static atomic_int done;

static void *spin(void *argument)
{
	while (!done)		/* never yields, never blocks */
		;
	return argument;
}

static void *greet(void *text)
{
	puts(text);
	done = 1;
	return NULL;
}

int main(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime;

	options.workers = 1;	/* one CPU for both fibers */
	if (usched_runtime_create(&runtime, &options) != 0 ||
	    usched_spawn(runtime, NULL, spin, NULL, NULL) != 0 ||
	    usched_spawn(runtime, NULL, greet, "hello from beside an endless loop", NULL) != 0)
		return 1;
	return usched_runtime_destroy(runtime, USCHED_FOREVER) != 0;
}
