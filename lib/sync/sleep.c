/* SPDX-License-Identifier: MIT */
/*
 * Time: the clock of all deadlines, and sleeping until one.
 */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "sync/wait.h"

uint64_t usched_now(void)
{
	return usched_clock_now_ns();
}

uint64_t usched_after(uint64_t delay_ns)
{
	uint64_t deadline_ns;

	if (__builtin_add_overflow(usched_clock_now_ns(), delay_ns, &deadline_ns))
		return USCHED_FOREVER;
	return deadline_ns;
}

static int sleep_as_thread(uint64_t deadline_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline_ns / 1000000000),
		.tv_nsec = (long)(deadline_ns % 1000000000),
	};
	int error;

	do
		error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	while (error == EINTR);
	return -error;
}

int usched_sleep_until(uint64_t deadline_ns)
{
	struct usched_carrier *carrier;
	struct usched_waiter *waiter;
	int error = 0;

	if (deadline_ns == USCHED_FOREVER)
		return -EINVAL;
	carrier = usched_enter();
	if (usched_is_refused(carrier))
		return -EPERM;
	if (!carrier)
		return sleep_as_thread(deadline_ns);
	if (deadline_ns > usched_clock_now_ns()) {
		waiter = &usched_current(carrier)->waiter;
		error = usched_wait_check(carrier, deadline_ns);
		if (!error) {
			usched_waiter_begin(waiter, USCHED_WAIT_ON_SLEEP, 0, NULL, deadline_ns);
			if (usched_wait(&carrier, waiter, NULL) == USCHED_WAIT_CANCELED)
				error = -ECANCELED;
		}
	}
	usched_leave(carrier);
	return error;
}
