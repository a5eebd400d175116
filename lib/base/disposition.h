/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_DISPOSITION_H
#define USCHED_BASE_DISPOSITION_H

/*
 * Signal handlers that were there before ours. A signal's disposition belongs to the process, so a
 * library that needs a signal stands in front of what the program has installed, and passes on
 * what is not its own.
 *
 * What a former action asked for, and what becomes of it when it is called from our handler:
 *
 *	SA_SIGINFO	kept: all three arguments, or the number alone
 *	sa_mask		kept: blocked while the handler runs, beside what was blocked before
 *	SA_NODEFER	kept: else the signal itself is blocked meanwhile
 *	SA_ONSTACK	ours decides: the stack was chosen by the kernel before
 *	SA_RESTART	ours decides: so does the fate of an interrupted system call
 *	SA_RESETHAND	the caller's business
 */

#include <signal.h>
#include <stdbool.h>

/** usched_disposition_is_function() - a handler, and neither SIG_DFL nor SIG_IGN? */
bool usched_disposition_is_function(const struct sigaction *action);

/**
 * usched_disposition_call() - call a former handler as the kernel would have
 * @info, @context: the second and third argument of ours
 * @action:	a function; copied, if it can change while the function runs
 *
 * Callable from: the handler of @signal
 */
void usched_disposition_call(int signal, siginfo_t *info, void *context,
			     const struct sigaction *action);

#endif /* USCHED_BASE_DISPOSITION_H */
