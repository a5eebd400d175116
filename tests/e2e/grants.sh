#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Two runtimes want every CPU. The daemon gives each its share, no CPU twice, and what it says is
# proved by the kernel: the thread that has a worker may run on that worker's CPU and on no other, as
# /proc/PID/task/TID/status tells. When one runtime ends the other gets the rest. The tick and the
# guards are those of the machine, or what USCHED_TICK and USCHED_GUARD say.
# shellcheck disable=SC2317 # functions are called through check
# shellcheck source=tests/e2e/common.bash
. "$(dirname "$0")/common.bash"
needs_real_kernel

cpus=$(nproc)
[ "$cpus" -ge 2 ] || skip_all few-cpus "two runtimes need two CPUs"

# "CPU TID" of each worker that has a CPU, as the runtime published it last.
workers()	# PID
{
	schedctl workers "$1" --json > "$scratch/workers" || return 1
	published=$(value published_ns < "$scratch/workers")
	tr -d ' \n' < "$scratch/workers" | sed 's/.*"workers":\[//; s/},{/}\n{/g' | grep -v '"dormant"' |
		sed -n 's/.*"cpu":\([0-9]*\),.*"carrier_tid":\([0-9]*\),.*/\1 \2/p' > "$scratch/carriers"
}

published_after()	# PID TIME
{
	[ "$(schedctl workers "$1" --json | value published_ns)" -gt "$2" ]
}

# One look at the carriers of a runtime; adds the CPUs that it proves to scratch/proved.PID. A worker
# may change carriers at any time, so a carrier is believed only when it had its worker before the
# look at /proc, and has it in a publication that came after it.
look()	# PID
{
	local cpu tid list
	workers "$1" || return 1
	while read -r cpu tid; do
		list=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$1/task/$tid/status" 2> /dev/null)
		echo "$cpu $tid $list"
	done < "$scratch/carriers" > "$scratch/seen"
	wait_until 5 published_after "$1" "$published" || return 1
	workers "$1" || return 1
	while read -r cpu tid list; do
		grep -qx "$cpu $tid" "$scratch/carriers" || continue
		if [ "$list" != "$cpu" ]; then
			echo "thread $tid of $1 has the worker of CPU $cpu and is allowed on '$list'"
			return 1
		fi
		echo "$cpu" >> "$scratch/proved.$1"
	done < "$scratch/seen"
	sort -nu -o "$scratch/proved.$1" "$scratch/proved.$1"
}

# The grant of the daemon, one CPU per line.
grant()	# PID
{
	schedctl show "$1" --json | sed 's/.*"cpus": *"\([^"]*\)".*/\1/' | tr -d '\n ' | tr ',' '\n' |
		awk -F- 'NF { for (i = $1; i <= (NF > 1 ? $2 : $1); i++) print i }' | sort -n
}

# Its grant, proved CPU by CPU. Preempted fibers keep their carriers, so a worker has another one every
# few milliseconds, and it takes a few looks to catch each.
proved_as_granted()	# PID
{
	local looks=100
	grant "$1" > "$scratch/grant.$1"
	: > "$scratch/proved.$1"
	while [ "$looks" -gt 0 ] && ! cmp -s "$scratch/grant.$1" "$scratch/proved.$1"; do
		look "$1" || return 1
		looks=$((looks - 1))
	done
	cmp -s "$scratch/grant.$1" "$scratch/proved.$1" && return
	echo "granted $(tr '\n' ' ' < "$scratch/grant.$1"), proved $(tr '\n' ' ' < "$scratch/proved.$1")"
	return 1
}

# All at one time: each grant is proved, no CPU is in both, none is idle, and the shares are equal
# up to one CPU.
divided()
{
	local one two
	proved_as_granted "$first" && proved_as_granted "$second" || return 1
	one=$(wc -l < "$scratch/proved.$first")
	two=$(wc -l < "$scratch/proved.$second")
	echo "the first has $one CPUs, the second $two, of $cpus"
	[ -z "$(sort "$scratch/proved.$first" "$scratch/proved.$second" | uniq -d)" ] &&
		[ $((one + two)) -eq "$cpus" ] && [ $((one - two)) -le 1 ] && [ $((two - one)) -le 1 ]
}

has_all()	# PID
{
	proved_as_granted "$1" && [ "$(wc -l < "$scratch/proved.$1")" -eq "$cpus" ]
}

# Has a process ended that nobody stopped? Says which, and what was on any stderr last.
one_is_lost()
{
	local pid
	for pid in "${children[@]}"; do
		if gone "$pid"; then
			echo "process $pid has ended; stderr: $(tail -qn 3 "$scratch"/*.err | tr '\n' ' ')"
			return
		fi
	done
	return 1
}

# As check, for what becomes true within a generous limit; says what was still missing.
becomes()	# NAME COMMAND...
{
	local name=$1 tries=20 lost
	shift
	while ! "$@" > "$scratch/why" 2>&1; do
		if lost=$(one_is_lost); then
			bad "$name" "$lost"
			exit 1
		fi
		tries=$((tries - 1))
		if [ "$tries" -eq 0 ]; then
			bad "$name" "$(tr '\n' ' ' < "$scratch/why")"
			return
		fi
		sleep 0.05
	done
	ok "$name"
}

start_hog()	# NAME: sets pid
{
	start "$scratch/$1" "$build/tests/e2e/hog" $((2 * cpus))
	wait_until 30 grep -q running "$scratch/$1.out" ||
		{ bad "$1_runs" "not all fibers began: $(tail -n 3 "$scratch/$1.err")"; exit 1; }
}

start_daemon
start_hog first
first=$pid
check_forced first "$first"
if quota_binds "$first"; then
	skip_all container "a cgroup quota gives a runtime fewer than all $cpus CPUs"
fi
becomes one_runtime_has_all_cpus has_all "$first"
start_hog second
second=$pid
check_forced second "$second"
becomes two_runtimes_share_without_overlap divided
start_hog third
third=$pid
check the_third_ends stop_gently "$third" "$scratch/third"
becomes the_shares_return divided
check the_first_ends stop_gently "$first" "$scratch/first"
becomes the_second_gets_the_rest has_all "$second"
check the_second_ends stop_gently "$second" "$scratch/second"
check the_daemon_ends stop_gently "$daemon_pid" "$scratch/uschedd"
finish
