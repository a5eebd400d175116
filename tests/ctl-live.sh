#!/bin/sh
# SPDX-License-Identifier: MIT
#
# schedctl beside real runtimes (tests/helper_runtime): what it shows is so, a quantum that it sets is
# counted by the workers, other users are kept out, and each runtime of a process is a target of its
# own, with the real daemon and without.
set -u
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"
# shellcheck source=tests/ctl-harness.sh
. "$(dirname "$0")/ctl-harness.sh"
chmod 755 "$scratch"	# for another user

expect()	# CODE TEXT ARGUMENTS...
{
	code=$1
	text=$2
	shift 2
	schedctl "$@" > "$scratch/out" 2> "$scratch/err"
	got=$?
	if [ "$got" != "$code" ] || ! cat "$scratch/out" "$scratch/err" | grep -qE -e "$text"; then
		wrong "schedctl $*: exit code $got, wanted $code and $text: $(cat "$scratch/out" \
			"$scratch/err")"
	fi
}

# start ARGUMENTS...: a real runtime.
start()
{
	start_peer become tests/helper_runtime "$@"
	if [ "$pid" = 0 ]; then
		verdict start
		exit 1
	fi
}

start
schedctl list > "$scratch/out" 2> "$scratch/err"	# a stranger's runtime may make it a part
if ! grep -qE "^ *$pid .* helper\$" "$scratch/out"; then
	wrong "not in the list: $(cat "$scratch/out" "$scratch/err")"
fi
expect 0 '^name=helper ' show "$pid"
expect 0 '^attachment=embedded ' show "$pid"
expect 0 '^fibers=4 ' show "$pid"
# In the instant of a look the worker may be between two fibers.
expect 0 ' (running|scheduling) +[0-9]+ ' workers "$pid"
for name in spin-0 spin-1 doze receive; do
	expect 0 " $name\$" fibers "$pid"
done
expect 0 ' channel .* receive$' fibers "$pid"
verdict a_real_runtime_is_shown

# The sum of a counter's changes in one interval.
changes()	# COUNTER...
{
	schedctl --json stat "$pid" --interval=500ms --count=1 > "$scratch/stat"
	sum=0
	for counter in "$@"; do
		sum=$((sum + $(sed 's/.*"change":{[^}]*"'"$counter"'":\([0-9]*\).*/\1/' "$scratch/stat")))
	done
	echo $sum
}

# The ticks follow the quantum: fifty times as many are wished for, and ten are asked. The sums grow
# until that is so, since other load on this machine may come and go; a quantum that has no effect
# gives the same sum for each.
slow=0
fast=0
none=0
tries=0
expect 0 '2ms -> off -> off' set "$pid" quantum=off
while :; do
	# The fibers compute without end, and nothing stops them: they help with nothing.
	expect 0 'off -> 50ms -> 50ms' set "$pid" quantum=50ms
	slow=$((slow + $(changes ticks)))
	expect 0 'acknowledged' set "$pid" quantum=1ms
	fast=$((fast + $(changes ticks)))
	expect 0 '1ms -> off -> off' set "$pid" quantum=off
	none=$((none + $(changes ticks)))
	tries=$((tries + 1))
	if [ "$fast" -gt 0 ] && [ "$fast" -ge $((slow * 10)) ] && [ "$fast" -ge $((none * 10)) ]; then
		break
	fi
	if [ "$tries" -ge 10 ]; then
		wrong "ticks do not follow the quantum: 50ms $slow, 1ms $fast, off $none"
		break
	fi
done
echo "ticks: 50ms $slow, 1ms $fast, off $none"
if [ "$(changes handoffs_direct handoffs_spare)" != 0 ]; then
	wrong "fibers are preempted though the quantum is off"
fi
expect 2 'it has no unit' set "$pid" quantum=5
expect 6 'give off, auto, or from 100us to 1s' set "$pid" quantum=1us
expect 0 '^quantum=off ' show "$pid"
verdict a_quantum_is_counted_by_the_workers

# Every tunable is set and read back, by name; one that is wrong leaves all as it was.
fiber=$(schedctl fibers "$pid" | awk '$NF == "spin-0" { print $1 }')
expect 0 'quantum of .*: off -> auto -> auto' set "$pid" quantum=auto
expect 0 '^quantum=auto .*now .* shares 10ms .* less than 500us' show "$pid"
expect 0 'auto_max of .*: 10ms -> 8ms -> 8ms' set "$pid" auto_max=8ms auto_min=1ms
expect 0 'auto_min of .*: 1ms -> 1ms -> 1ms' set "$pid" auto_min=1ms
expect 0 'quantum.high of .*: default -> 1ms -> 1ms' set "$pid" quantum.high=1ms
expect 0 '^quantum.high=1ms ' show "$pid"
expect 0 'quantum.low of .*: default -> off -> off' set "$pid" quantum.low=off
expect 0 'quantum.node0 of .*: default -> 3ms -> 3ms' set "$pid" quantum.node0=3ms
expect 0 '"quantum.node0":"3ms"' show "$pid" --json
expect 0 'wakeup of .*: 100us -> off -> off' set "$pid" wakeup=off
expect 0 'budget of .*: 100 -> 7 -> 7' set "$pid" budget=7
expect 0 '^budget=7 ' show "$pid"
expect 0 "quantum.fiber$fiber of .*: default -> 5ms -> 5ms" set "$pid" "quantum.fiber$fiber=5ms"
expect 0 ': 5ms -> default -> default' set "$pid" "quantum.fiber$fiber=default"
expect 3 'no fiber of this ID' set "$pid" quantum.fiber0x7fffffff=5ms
expect 2 'there is no tunable of this name' set "$pid" quantum.node16=1ms
expect 2 'there is no tunable of this name' set "$pid" budget=3 colour=red
expect 2 'it is no whole number' set "$pid" budget=3ms
expect 2 'it has no unit' set "$pid" wakeup=5
expect 2 'auto' set "$pid" wakeup=auto
expect 6 'from 1 to 1000000000' set "$pid" budget=0
expect 6 'give off, or from 20us to 1s' set "$pid" budget=9 wakeup=1us
expect 0 '^budget=7 ' show "$pid"
expect 0 'budget of .*: 7 -> 100 -> 100' set "$pid" budget=100 wakeup=100us quantum.node0=default \
	quantum.low=default quantum.high=default auto_min=500us auto_max=10ms quantum=off
expect 0 '^quantum=off ' show "$pid"
verdict every_tunable_is_set_and_shown

case_name=another_user_is_kept_out
as_nobody()
{
	setpriv --reuid=65534 --regid=65534 --clear-groups "$build/schedctl" "$@"
}
if [ "$(id -u)" != 0 ]; then
	echo "skip $case_name: non-root: needs root to become another user"
elif [ -n "${USCHED_EMULATOR:-}" ]; then
	echo "skip $case_name: qemu: setpriv runs no program of another CPU"
elif ! command -v setpriv > /dev/null; then
	echo "skip $case_name: no-tool: setpriv is not installed"
elif ! as_nobody version > /dev/null 2>&1; then
	echo "skip $case_name: container: another user cannot run what is in $build"
else
	as_nobody set "$pid" quantum=1ms > "$scratch/out" 2> "$scratch/err"
	got=$?
	if [ "$got" != 4 ] || ! grep -q 'permission denied' "$scratch/err"; then
		wrong "another user: exit code $got: $(cat "$scratch/err")"
	fi
	expect 0 '^quantum=off ' show "$pid"
	verdict $case_name
fi

end_peer
expect 3 'no such target' show "$pid"
verdict a_runtime_that_ended_is_gone

# Each runtime of a process is one target, for every verb, under the name that `list` has for it.
try_two()	# ARBITER SET-BY
{
	schedctl list > "$scratch/list" 2> "$scratch/err"
	for name in "$pid" "$pid/2"; do
		if ! grep -qE "^ *$name .* $1 " "$scratch/list"; then
			wrong "$name is not in the list: $(cat "$scratch/list")"
		fi
		for verb in show workers fibers stat; do
			expect 0 '' "$verb" "$name"
		done
	done
	expect 0 '^fibers=4 ' show "$pid"
	expect 0 '^fibers=0 ' show "$pid/2"
	expect 0 'quantum of [0-9]+/2 .*: 2ms -> 3ms -> 3ms' set "$pid/2" quantum=3ms
	expect 0 "\"runtime\":1,.*\"new_ns\":5000000,.*\"set_by\":\"$2\"" set "$pid" quantum=5ms --json
	expect 0 '^quantum=5ms ' show "$pid"
	expect 0 '^quantum=5ms ' show "$pid/1"
	expect 0 '^quantum=3ms ' show "$pid/2"
	expect 3 'no runtime number 3' set "$pid/3" quantum=1ms
}

start 2
try_two embedded runtime
end_peer
verdict both_runtimes_of_a_process_are_targets

daemon_answers()
{
	schedctl status > /dev/null 2>&1
}

both_are_attached()
{
	{ schedctl show "$pid" && schedctl show "$pid/2"; } 2>&1 |
		awk '/^attachment=daemon / { n++ } END { exit n != 2 }'
}

become uschedd --socket-directory "$USCHED_SOCKET" > "$scratch/uschedd" 2>&1 &
children="$children $!"
wait_until daemon_answers
start 2
wait_until both_are_attached
try_two daemon daemon
end_peer
verdict the_daemon_knows_them_by_the_same_names
exit "$failed"
