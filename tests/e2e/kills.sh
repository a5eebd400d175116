#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Under full load, the daemon and the tool are killed again and again: no answer of the service may
# be missing, short or wrong, and a daemon that comes back is joined. Then the service itself is
# killed: the daemon forgets it and gives its CPUs to others, and a new one serves. The tick and the
# guards are those of the machine, or what USCHED_TICK and USCHED_GUARD say.
# shellcheck disable=SC2317 # functions are called through check
# shellcheck source=tests/e2e/common.bash
. "$(dirname "$0")/common.bash"
needs wrk curl gzip
needs_real_kernel

in_list()	# PID yes|no
{
	if listed "$1"; then
		[ "$2" = yes ]
	else
		[ "$2" = no ]
	fi
}

serves()
{
	[ "$(curl -sS --max-time 30 "http://127.0.0.1:$port/")" = 'usched httpd: this answer took no work' ]
}

set_works()	# QUANTUM
{
	schedctl set "$service" "quantum=$1" --json | grep -q '"acknowledged": *true'
}

make_root
start_daemon
start_httpd httpd "$root"
service=$pid
check service_is_attached wait_until 20 attached "$service"
check_forced service "$service"
check first_answer learn_answer "$port"
check quantum_is_set set_works 2ms
start_loads "$port" 8

# The tool, while it watches and while it sets.
for ((i = 0; i < 10; i++)); do
	"$build/schedctl" stat "$service" --interval=20ms > /dev/null 2>&1 &
	watcher=$!
	"$build/schedctl" set "$service" quantum=$((i % 2 == 0 ? 500 : 2000))us > /dev/null 2>&1 &
	setter=$!
	children+=("$watcher" "$setter")
	sleep 0.0$((RANDOM % 9 + 1))
	kill_hard "$setter" 2> /dev/null
	kill_hard "$watcher"
done
check the_tool_works_after_its_deaths wait_until 20 set_works 1ms

# The daemon.
for ((i = 1; i <= 5; i++)); do
	kill_hard "$daemon_pid"
	check "the_service_notices_death_$i" wait_until 20 detached "$service"
	check "the_service_is_tuned_alone_$i" wait_until 20 set_works $((i + 1))ms
	start_daemon
	check "the_new_daemon_is_joined_$i" wait_until 20 attached "$service"
	check "the_new_daemon_tunes_$i" wait_until 20 set_works 2ms
done
check the_service_is_the_same_process kill -0 "$service"
stop_loads under_kills

# The service, while another runtime waits for its CPUs.
start "$scratch/hog" "$build/tests/e2e/hog" 64
hog=$pid
check the_other_runs wait_until 30 grep -q running "$scratch/hog.out"
check the_other_is_attached wait_until 20 attached "$hog"
start_loads "$port" 8
check the_service_is_listed wait_until 20 in_list "$service" yes
sleep 0.5
kill_hard "$service"
# A pass of the daemon is all that its CPUs take to be free: the other one wants every CPU, all the
# time, and what it is granted is what the daemon itself wrote.
check the_daemon_goes_on two_passes
check the_dead_service_is_not_listed in_list "$service" no
if ! quota_binds "$hog"; then
	check its_cpus_are_free_after_a_pass shown "$hog" granted_cpus "$(nproc)"
fi
kill_hard "$light_pid"
kill_hard "$heavy_pid"
start_httpd httpd "$root"
service=$pid
check_forced restart "$service"
check a_restart_is_attached wait_until 20 attached "$service"
check a_restart_serves serves
check the_other_ends stop_gently "$hog" "$scratch/hog"
check the_restart_ends stop_gently "$service" "$server_log"
check the_daemon_ends stop_gently "$daemon_pid" "$scratch/uschedd"
finish
