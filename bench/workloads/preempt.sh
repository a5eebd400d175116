# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Fibers that do not give way: what stopping them costs, and what it gives to others.

# All modes in one process, slice by slice. The runtime would raise a short quantum on a machine with
# slow ticks; the floor for tests keeps it, so that all modes have the same period.
loss() { # SYSTEM WORKLOAD QUANTUM_NS
	local -a modes
	mapfile -t modes < <("$ours/usched_loss" modes)
	USCHED_QUANTUM_FLOOR_NS=1000 pinned "$ours/usched_loss" "$3" $((40 / time_part)) 50 "${modes[@]}" |
		sed -E 's/^(off|handoff|yield)\t/usched-\1\t/'
}

beside_loops() { # SYSTEM WORKLOAD LOOPS
	local -a with=()
	# A library that has no wake-up preemption does not know the variable.
	[ "$1" != usched-no-wakeup ] || with=(env USCHED_WAKEUP=off)
	lines_of "$1" pinned "${with[@]}" "$(program "$1" preempt)" sleep "$3" $((2000 / time_part))
}

blocked() { # SYSTEM WORKLOAD
	lines_of "$1" pinned "$(program "$1" preempt)" blocked $((400 / time_part))
}

# 50 us is below what options allow; the program sets it as schedctl would.
interrupted() { # SYSTEM WORKLOAD
	lines_of "$1" pinned env USCHED_QUANTUM_FLOOR_NS=1000 USCHED_TICK="${1#usched-}" \
		"$ours/usched_preempt" eintr $((10000 / time_part))
}

idle() { # SYSTEM WORKLOAD
	lines_of "$1" limited "$(program "$1" preempt)" idle 10000 $((5000 / time_part))
}

for entry in 2ms:2000000 1ms:1000000 100us:100000; do
	workload "preempt-loss-${entry%%:*}" loss "all" "" loss "${entry##*:}"
done
for loops in 1 4 16; do
	workload "preempt-sleep-$loops" preempt "usched usched-no-wakeup threads go boost tokio" "" \
		beside_loops "$loops"
done
workload preempt-blocked preempt "usched go" "" blocked
workload preempt-eintr preempt "usched-perf usched-timer" "" interrupted
workload preempt-idle preempt "usched go" "" idle
