/* SPDX-License-Identifier: MIT */
/*
 * The dynamic loader, names of hosts, processes: what libc does under locks of its own, partly in
 * the kernel.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"

extern char **environ;

static const struct {
	const char *file, *symbol;
} objects[] = {
	{ "libnss_compat.so.2", "_nss_compat_setpwent" },
	{ "libresolv.so.2", "ns_get16" },
	{ "libBrokenLocale.so.1", "__ctype_get_mb_cur_max" },
	{ "libm.so.6", "sqrt" },
};

enum { OBJECTS = sizeof(objects) / sizeof(objects[0]) };

static const char *begin_dl(void)
{
	for (unsigned int i = 0; i < OBJECTS; i++) {
		void *object = dlopen(objects[i].file, RTLD_NOW);

		if (!object || !dlsym(object, objects[i].symbol))
			return "a library that comes with libc is not there";
		dlclose(object);
	}
	return NULL;
}

static void use_dl(struct storm_fiber *fiber)
{
	unsigned int which = (unsigned int)storm_random(fiber, OBJECTS);
	void *object = dlopen(objects[which].file, storm_random(fiber, 2) ? RTLD_NOW : RTLD_LAZY);
	void *symbol;
	Dl_info info;

	STORM_CHECK(fiber, object, "expected dlopen to find %s", objects[which].file);
	if (!object)
		return;
	symbol = dlsym(object, objects[which].symbol);
	STORM_CHECK(fiber, symbol, "expected dlsym to find %s in %s", objects[which].symbol,
		    objects[which].file);
	STORM_CHECK(fiber, symbol && dladdr(symbol, &info) &&
			   strstr(info.dli_fname, objects[which].file),
		    "expected dladdr to find %s at %p", objects[which].file, symbol);
	if (symbol && which == 3) {
		double root = ((double (*)(double))symbol)(81);

		STORM_CHECK(fiber, root == 9, "expected the square root 9 of 81, got %g", root);
	}
	STORM_CHECK(fiber, !dlsym(object, "usched_no_such_symbol") && dlerror(),
		    "expected dlsym to find no such symbol, and dlerror to tell");
	STORM_CHECK(fiber, dlclose(object) == 0, "expected dlclose of %s to give 0",
		    objects[which].file);
}

const struct storm_group storm_dl = {
	.name = "dl", .fibers = 12, .enough = 12, .begin = begin_dl, .operation = use_dl,
#if USCHED_TSAN
	.missing = "ThreadSanitizer does not see the loader's lock, and reports what it guards",
#endif
};

/* ---- names ---- */

static int resolve(const char *name, int flags, struct in_addr *address)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = flags };
	struct addrinfo *found = NULL;
	int error = getaddrinfo(name, "7", &hints, &found);

	if (error)
		return error;
	*address = ((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr;
	freeaddrinfo(found);
	return 0;
}

static const char *begin_names(void)
{
	struct in_addr address;

	return resolve("localhost", 0, &address) || ntohl(address.s_addr) != INADDR_LOOPBACK ?
	       "localhost is not 127.0.0.1 here" : NULL;
}

static void use_names(struct storm_fiber *fiber)
{
	bool numeric = storm_random(fiber, 2);
	const char *name = numeric ? "127.0.0.1" : "localhost";
	struct in_addr address = { 0 };
	int error = resolve(name, numeric ? AI_NUMERICHOST : 0, &address);

	STORM_CHECK(fiber, error == 0 && ntohl(address.s_addr) == INADDR_LOOPBACK,
		    "expected %s to be 127.0.0.1, got result %d, address %x", name, error,
		    ntohl(address.s_addr));
}

const struct storm_group storm_names = {
	.name = "names", .fibers = 12, .enough = 12, .begin = begin_names, .operation = use_names,
};

/* ---- processes ---- */

static const char *begin_exec(void)
{
	return access("/bin/true", X_OK) ? "there is no /bin/true" : NULL;
}

static void use_exec(struct storm_fiber *fiber)
{
	char *const arguments[] = { (char *)"true", NULL };
	int status = 0, error;
	pid_t child, ended;

	if (storm_random(fiber, 2)) {
		error = posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ);
		STORM_CHECK(fiber, error == 0, "expected posix_spawn to give 0, got %d", error);
		if (error)
			return;
	} else {
		child = fork();
		if (child == 0) {
			execv("/bin/true", arguments);
			_exit(126);
		}
		STORM_CHECK(fiber, child > 0, "expected fork to make a child: errno %d", errno);
		if (child < 0)
			return;
	}
	do
		ended = waitpid(child, &status, 0);
	while (ended < 0 && errno == EINTR);
	STORM_CHECK(fiber, ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
		    "expected child %d to end with 0, got %d with status %x", (int)child, (int)ended,
		    (unsigned int)status);
}

const struct storm_group storm_exec = {
	.name = "exec", .fibers = 6, .enough = 6, .begin = begin_exec, .operation = use_exec,
#if USCHED_TSAN
	.missing = "a child of ThreadSanitizer's fork now and then waits for ever for its locks",
#endif
};
