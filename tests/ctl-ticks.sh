#!/bin/sh
# SPDX-License-Identifier: MIT
#
# schedctl show says which tick a real runtime has and why it has no better one, in words and as JSON,
# for each way in which a tick is refused; schedctl doctor says the same of where it runs.
set -u

build=${USCHED_BUILDDIR:-.}
if [ -n "${USCHED_EMULATOR:-}" ]; then
	echo "skip all: emulator: its system calls are not filtered"
	exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
failed=0
USCHED_SOCKET=$scratch/none
export USCHED_SOCKET
export LC_ALL=C.UTF-8
: > "$scratch/wrong"

"$build/tests/helper_deny" membarrier=EPERM -- true
if [ $? = 77 ]; then
	echo "skip all: container: system calls cannot be filtered here"
	exit 77
fi

verdict()	# NAME
{
	if [ -s "$scratch/wrong" ]; then
		echo "FAIL $1: $(head -n 1 "$scratch/wrong")"
		sed '1d; s/^/     /' "$scratch/wrong"
		failed=1
	else
		echo "ok $1"
	fi
	: > "$scratch/wrong"
}

expect()	# TEXT FILE
{
	if ! grep -qF -e "$1" "$2"; then
		echo "no \"$1\" in: $(cat "$2")" >> "$scratch/wrong"
	fi
}

# start ENVIRONMENT DENIALS...: a runtime, its pid in $pid; stop ends it.
start()
{
	setting=$1
	shift
	rm -f "$scratch/in"
	mkfifo "$scratch/in"
	env "$setting" "$build/tests/helper_deny" "$@" -- "$build/tests/helper_runtime" \
		< "$scratch/in" > "$scratch/ready" 2> "$scratch/said" &
	job=$!
	exec 3> "$scratch/in"
	tries=0
	while [ $tries -lt 200 ] && ! grep -qs '^ready' "$scratch/ready"; do
		sleep 0.1
		tries=$((tries + 1))
	done
	pid=$(sed -n 's/^ready //p' "$scratch/ready")
	"$build/schedctl" show "${pid:-0}" > "$scratch/text" 2>&1
	"$build/schedctl" --json show "${pid:-0}" > "$scratch/json" 2>&1
}

stop()
{
	exec 3>&-
	if ! wait "$job"; then
		echo "helper_runtime failed: $(cat "$scratch/said")" >> "$scratch/wrong"
	fi
}

start USCHED_TICK=auto perf_event_open=EPERM
expect 'tick=timer' "$scratch/text"
expect 'perf: denied (kernel.perf_event_paranoid' "$scratch/text"
expect '"tick":"timer"' "$scratch/json"
expect '"tick_perf_refused":"denied"' "$scratch/json"
expect '"tick_timer_refused":null' "$scratch/json"
expect '"signal_shared":false' "$scratch/json"
expect '"ticks_lost":false' "$scratch/json"
stop
verdict a_timer_because_perf_is_denied

start USCHED_TICK=auto perf_event_open=ENOSYS timer_create=EAGAIN membarrier=EPERM
expect 'tick=timerfd' "$scratch/text"
expect 'perf: the kernel has no perf events' "$scratch/text"
expect 'timer: none was left (RLIMIT_SIGPENDING)' "$scratch/text"
expect 'membarrier=no' "$scratch/text"
expect '"tick_perf_refused":"missing"' "$scratch/json"
expect '"tick_timer_refused":"at its limit"' "$scratch/json"
stop
verdict a_timerfd_because_nothing_else_is_left

start USCHED_TICK=timerfd membarrier=EPERM
expect 'tick=timerfd' "$scratch/text"
expect 'perf: the program or USCHED_TICK asked for another one' "$scratch/text"
expect '"tick_perf_refused":"not asked for"' "$scratch/json"
stop
verdict a_timerfd_because_it_was_asked_for

"$build/tests/helper_deny" perf_event_open=EPERM timer_create=EAGAIN -- "$build/schedctl" doctor \
	> "$scratch/text" 2>&1
expect 'A runtime started here preempts by: timerfd' "$scratch/text"
expect 'not by perf: perf_event_open: Operation not permitted' "$scratch/text"
expect 'not by timer: timer_create: Resource temporarily unavailable' "$scratch/text"
verdict doctor_says_why_not
exit "$failed"
