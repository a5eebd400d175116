#!/bin/sh
# SPDX-License-Identifier: MIT
#
# schedctl show says which tick a real runtime has and why it has no better one, in words and as JSON,
# for each way in which a tick is refused; schedctl doctor says the same of where it runs.
set -u
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"
# shellcheck source=tests/ctl-harness.sh
. "$(dirname "$0")/ctl-harness.sh"

if [ -n "${USCHED_EMULATOR:-}" ]; then
	echo "skip all: emulator: its system calls are not filtered"
	exit 77
fi
"$build/tests/helper_deny" membarrier=EPERM -- true
if [ $? = 77 ]; then
	echo "skip all: container: system calls cannot be filtered here"
	exit 77
fi

expect()	# TEXT FILE
{
	if ! grep -qF -e "$1" "$2"; then
		wrong "no \"$1\" in: $(cat "$2")"
	fi
}

# start ENVIRONMENT DENIALS...: a runtime, and what schedctl shows of it.
start()
{
	setting=$1
	shift
	start_peer env "$setting" "$build/tests/helper_deny" "$@" -- "$build/tests/helper_runtime"
	schedctl show "$pid" > "$scratch/text" 2>&1
	schedctl --json show "$pid" > "$scratch/json" 2>&1
}

start USCHED_TICK=auto perf_event_open=EPERM
expect 'tick=timer' "$scratch/text"
expect 'perf: denied (kernel.perf_event_paranoid' "$scratch/text"
expect '"tick":"timer"' "$scratch/json"
expect '"tick_perf_refused":"denied"' "$scratch/json"
expect '"tick_timer_refused":null' "$scratch/json"
expect '"signal_shared":false' "$scratch/json"
expect '"ticks_lost":false' "$scratch/json"
end_peer
verdict a_timer_because_perf_is_denied

start USCHED_TICK=auto perf_event_open=ENOSYS timer_create=EAGAIN membarrier=EPERM
expect 'tick=timerfd' "$scratch/text"
expect 'perf: the kernel has no perf events' "$scratch/text"
expect 'timer: none was left (RLIMIT_SIGPENDING)' "$scratch/text"
expect 'membarrier=no' "$scratch/text"
expect '"tick_perf_refused":"missing"' "$scratch/json"
expect '"tick_timer_refused":"at its limit"' "$scratch/json"
end_peer
verdict a_timerfd_because_nothing_else_is_left

start USCHED_TICK=timerfd membarrier=EPERM
expect 'tick=timerfd' "$scratch/text"
expect 'perf: the program or USCHED_TICK asked for another one' "$scratch/text"
expect '"tick_perf_refused":"not asked for"' "$scratch/json"
end_peer
verdict a_timerfd_because_it_was_asked_for

"$build/tests/helper_deny" perf_event_open=EPERM timer_create=EAGAIN -- "$build/schedctl" doctor \
	> "$scratch/text" 2>&1
expect 'A runtime started here preempts by: timerfd' "$scratch/text"
expect 'not by perf: perf_event_open: Operation not permitted' "$scratch/text"
expect 'not by timer: timer_create: Resource temporarily unavailable' "$scratch/text"
verdict doctor_says_why_not
exit "$failed"
