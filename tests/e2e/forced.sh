#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The main load with the POSIX timer tick and mprotect guards forced: what Debian 12's own kernel,
# with perf denied, gives a normal user. And with the timerfd tick. Every answer must be right, at
# each quantum, and the counters must show that fibers were preempted, or not, as the quantum says.
# forced-kills.sh and forced-grants.sh run the other two tests so.
# shellcheck disable=SC2317 # functions are called through check
# shellcheck source=tests/e2e/common.bash
. "$(dirname "$0")/common.bash"
needs wrk curl gzip
needs_real_kernel

# The sum of all workers.
total()	# COUNTER
{
	schedctl stat "$service" --json | tr -d ' \n' | sed 's/.*"total"://' | value "$1"
}

handoffs()
{
	echo $(($(total handoffs_direct) + $(total handoffs_spare)))
}

more_handoffs()	# THAN
{
	[ "$(handoffs)" -gt "$1" ]
}

make_root
start_daemon
for tick in timer timerfd; do
	export USCHED_TICK=$tick USCHED_GUARD=mprotect
	start_httpd httpd "$root"
	unset USCHED_TICK USCHED_GUARD
	service=$pid
	check "$tick.is_attached" wait_until 20 attached "$service"
	check "$tick.is_in_force" shown "$service" tick "$tick"
	check "$tick.guard_is_in_force" shown "$service" stack_guard mprotect
	check "$tick.first_answer" learn_answer "$port"
	start_loads "$port" 8
	for quantum in 2ms 500us 10ms; do
		check "$tick.takes_$quantum" schedctl set "$service" "quantum=$quantum"
		before=$(handoffs)
		check "$tick.preempts_at_$quantum" wait_until 20 more_handoffs "$before"
		sleep 0.5
	done
	check "$tick.takes_off" schedctl set "$service" quantum=off
	before=$(handoffs)
	sleep 0.5
	check "$tick.off_preempts_nothing" [ "$(handoffs)" -eq "$before" ]
	stop_loads "$tick"
	check "$tick.ends" stop_gently "$service" "$server_log"
done
check the_daemon_ends stop_gently "$daemon_pid" "$scratch/uschedd"
finish
