/* SPDX-License-Identifier: MIT */
/*
 * Calling handlers that were there before ours; see disposition.h.
 */
#include <pthread.h>
#include <ucontext.h>

#include "base/disposition.h"

bool usched_disposition_is_function(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) ||
	       (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

void usched_disposition_call(int signal, siginfo_t *info, void *context,
			     const struct sigaction *action)
{
	const ucontext_t *frame = context;
	sigset_t mask, ours;

	/* The interrupted mask and what the former handler wants blocked. */
	sigorset(&mask, &frame->uc_sigmask, &action->sa_mask);
	if (!(action->sa_flags & SA_NODEFER))
		sigaddset(&mask, signal);
	pthread_sigmask(SIG_SETMASK, &mask, &ours);
	if (action->sa_flags & SA_SIGINFO)
		action->sa_sigaction(signal, info, context);
	else
		action->sa_handler(signal);
	pthread_sigmask(SIG_SETMASK, &ours, NULL);
}
