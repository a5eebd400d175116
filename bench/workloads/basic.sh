# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What fibers do all day, on one worker: each operation's time.

basic() { # SYSTEM WORKLOAD COUNT
	local -a quantum=()
	case $1 in
	usched) quantum=(2000000) ;;
	usched-off) quantum=(0) ;;
	esac
	printf '%s\ttime\tns\t' "$1"
	pinned "$(program "$1" basic)" "$2" "$3" "${quantum[@]}"
}

start() { # SYSTEM WORKLOAD: on all CPUs
	printf '%s\ttime\tms\t' "$1"
	limited "$(program "$1" basic)" start 1 2000000
}

for entry in yield-2:2000000 yield-1000:2000000 spawn-join:400000 spawn-join-batch:400000 \
	ping-pong:400000; do
	workload "${entry%%:*}" basic "usched usched-off boost go" "" \
		basic "$(at_least $((${entry##*:} / part)) 1000)"
done
workload start basic "usched" "" start
