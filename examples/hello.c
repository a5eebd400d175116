/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdio.h>
#include <usched/usched.h>

static void *spin(void *done)		/* never yields, never blocks */
{
	while (!atomic_load((atomic_int *)done))
		;
	return NULL;
}

static void *greet(void *done)
{
	puts("hello from beside an endless loop");
	atomic_store((atomic_int *)done, 1);
	return NULL;
}

int main(void)
{
	struct usched_runtime_options options = USCHED_RUNTIME_OPTIONS_INIT;
	struct usched_runtime *runtime;
	atomic_int done = 0;

	options.workers = 1;		/* one CPU for both */
	if (usched_runtime_create(&runtime, &options) != 0)
		return 1;
	if (usched_spawn(runtime, NULL, spin, &done, NULL) != 0 ||
	    usched_spawn(runtime, NULL, greet, &done, NULL) != 0)
		return 1;
	return usched_runtime_destroy(runtime, USCHED_FOREVER) != 0;
}
