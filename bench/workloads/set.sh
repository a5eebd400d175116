# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# A tunable of a running program is changed: when is it in force?

taken_over() { # SYSTEM WORKLOAD OLD_QUANTUM_NS
	lines_of "$1" limited "$ours/usched_set" "$3" $((200 / time_part))
}

for entry in 500us:500000 2ms:2000000 10ms:10000000 100ms:100000000; do
	workload "set-${entry%%:*}" set usched "" taken_over "${entry##*:}"
done
