/* SPDX-License-Identifier: MIT */
/*
 * SQLite: a hundred fibers, each with a connection of its own, over several databases. Each moves
 * amounts between accounts in transactions, so the sum of a database stays what it was.
 *
 * A transaction that finds its database busy for long is not an error; it is tried again, and no
 * operation before it succeeded. SQLite waits by sleeping in the kernel, as it does in threads. With
 * slices of 20 us the one that has a database's lock is stopped many times before it gives it back,
 * each time behind a hundred others: so there are few operations, and few are enough.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "groups.h"

#if HAVE_SQLITE

#include <sqlite3.h>

enum {
	DATABASES = 25,
	ACCOUNTS = 20,
	BALANCE = 1000,
	BUSY_MS = 50,
};

static unsigned int generation;

static void path_of(char *path, size_t bytes, unsigned int database)
{
	snprintf(path, bytes, "%s/sqlite-%u-%u", storm_folder(), generation, database);
}

/* Each one counts for the guard: a transaction may take its fiber a minute. */
static int run(sqlite3 *connection, const char *statement)
{
	storm_moved();
	return sqlite3_exec(connection, statement, NULL, NULL, NULL);
}

static int take_number(void *result, int columns, char **values, char **names)
{
	(void)names;
	if (columns == 1 && values[0])
		*(long long *)result = atoll(values[0]);
	return 0;
}

static const char *begin(void)
{
	/* Before SQLite is used. With statistics each allocation takes one lock of the process: then all
	   wait for its holder, which waits for its turn among them. */
	if (generation++ == 0 && sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0))
		return "SQLite cannot be configured";
	for (unsigned int i = 0; i < DATABASES; i++) {
		sqlite3 *connection = NULL;
		char path[128], statement[128];
		int error;

		path_of(path, sizeof(path), i);
		error = sqlite3_open(path, &connection);
		/* Half of them with a write-ahead log, which is shared memory beside the file. */
		if (!error)
			error = run(connection, i % 2 ? "PRAGMA journal_mode = WAL" :
						"PRAGMA journal_mode = DELETE");
		/* Nothing here has to outlive the machine. */
		if (!error)
			error = run(connection, "PRAGMA synchronous = OFF");
		if (!error)
			error = run(connection, "CREATE TABLE account (id INTEGER PRIMARY KEY, "
						"amount INTEGER, note TEXT); BEGIN");
		for (unsigned int account = 0; !error && account < ACCOUNTS; account++) {
			snprintf(statement, sizeof(statement),
				 "INSERT INTO account VALUES (%u, %d, 'new')", account, BALANCE);
			error = run(connection, statement);
		}
		if (!error)
			error = run(connection, "COMMIT");
		sqlite3_close(connection);
		if (error)
			return "SQLite cannot make a database in the temporary folder";
	}
	return NULL;
}

static sqlite3 *connection_of(struct storm_fiber *fiber)
{
	char path[128];
	int error;

	if (fiber->own)
		return fiber->own;
	path_of(path, sizeof(path), fiber->number % DATABASES);
	error = sqlite3_open(path, (sqlite3 **)&fiber->own);
	STORM_CHECK(fiber, error == SQLITE_OK, "expected sqlite3_open to give 0, got %d", error);
	if (fiber->own) {
		sqlite3_busy_timeout(fiber->own, BUSY_MS);
		run(fiber->own, "PRAGMA synchronous = OFF");
	}
	return fiber->own;
}

/*
 * The database is used by others. Of a write-ahead log SQLite says so with SQLITE_PROTOCOL, after a
 * number of sleeps that it takes for ten seconds: ticks of POSIX timers cut them short.
 */
static bool is_busy(int error)
{
	return error == SQLITE_BUSY || error == SQLITE_PROTOCOL;
}

/* SQLITE_OK, or it is busy and nothing was changed. */
static int move(struct storm_fiber *fiber, sqlite3 *connection)
{
	unsigned int from = (unsigned int)storm_random(fiber, ACCOUNTS);
	unsigned int to = (unsigned int)storm_random(fiber, ACCOUNTS);
	unsigned int amount = (unsigned int)storm_random(fiber, 100);
	char statement[256];
	int error = run(connection, "BEGIN IMMEDIATE");

	if (error)
		return error;
	snprintf(statement, sizeof(statement),
		 "UPDATE account SET amount = amount - %u, note = 'from %u' WHERE id = %u;"
		 "UPDATE account SET amount = amount + %u, note = 'to %u' WHERE id = %u",
		 amount, fiber->number, from, amount, fiber->number, to);
	error = run(connection, statement);
	if (!error)
		error = run(connection, "COMMIT");
	if (error)
		run(connection, "ROLLBACK");
	return error;
}

static void use_sqlite(struct storm_fiber *fiber)
{
	sqlite3 *connection = connection_of(fiber);
	long long sum = -1;
	int error = SQLITE_BUSY;

	/* Others succeed meanwhile; the run's end is not waited for in vain. */
	while (connection && is_busy(error) && !atomic_load(&storm_run.stop)) {
		error = move(fiber, connection);
		if (is_busy(error))
			usched_yield();
	}
	STORM_CHECK(fiber, error == SQLITE_OK || is_busy(error),
		    "expected a transaction to give 0, got %d: %s", error, sqlite3_errmsg(connection));
	if (error)
		return;
	error = sqlite3_exec(connection, "SELECT sum(amount) FROM account", take_number, &sum, NULL);
	STORM_CHECK(fiber, is_busy(error) || (error == SQLITE_OK && sum == ACCOUNTS * BALANCE),
		    "expected the sum %d, got %lld, result %d: %s", ACCOUNTS * BALANCE, sum, error,
		    sqlite3_errmsg(connection));
}

static void leave(struct storm_fiber *fiber)
{
	int error = sqlite3_close(fiber->own);

	STORM_CHECK(fiber, error == SQLITE_OK, "expected sqlite3_close to give 0, got %d", error);
}

static int take_text(void *result, int columns, char **values, char **names)
{
	(void)names;
	if (columns == 1 && values[0])
		snprintf(result, 100, "%s", values[0]);
	return 0;
}

static void end(void)
{
	for (unsigned int i = 0; i < DATABASES; i++) {
		sqlite3 *connection = NULL;
		char path[128], verdict[100] = "nothing";
		long long sum = -1;
		int error;

		path_of(path, sizeof(path), i);
		error = sqlite3_open(path, &connection);
		if (!error)
			error = sqlite3_exec(connection, "PRAGMA integrity_check", take_text, verdict, NULL);
		if (!error)
			error = sqlite3_exec(connection, "SELECT sum(amount) FROM account",
					     take_number, &sum, NULL);
		STORM_CHECK(NULL, error == SQLITE_OK && !strcmp(verdict, "ok") &&
				  sum == ACCOUNTS * BALANCE,
			    "expected database %u to be ok with the sum %d, got \"%s\", sum %lld, result %d",
			    i, ACCOUNTS * BALANCE, verdict, sum, error);
		sqlite3_close(connection);
	}
}

const struct storm_group storm_sqlite = {
	.name = "sqlite", .fibers = 100, .enough = 10, .begin = begin, .operation = use_sqlite,
	.leave = leave, .end = end,
};

#else

const struct storm_group storm_sqlite = {
	.name = "sqlite", .missing = "built without SQLite (Debian: libsqlite3-dev)",
};

#endif
