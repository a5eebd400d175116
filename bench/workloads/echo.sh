# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# A TCP echo server on two workers, alone and beside two endless loops in its process. Boost.Fiber is
# not among them: it has no sockets, and its bridge to Asio is example code that is not installed.

echo_server() { # SYSTEM WORKLOAD CONNECTIONS LOOPS
	# With loops the server's CPU time is theirs, whatever is served.
	local -a keep=(cat)
	[ "$4" -eq 0 ] || keep=(grep -vP '\tcpu\t')
	lines_of "$1" "$ours/echo_client" "$3" $((2000 / time_part)) "$(program "$1" echo)" "$4" |
		"${keep[@]}"
}

placement=''
[ "$(nproc)" -ge 4 ] || placement='1 CPU for the server'
[ "$(nproc)" -ge 2 ] || placement='shared CPU'
for loops in 0 2; do
	for connections in 100 1000; do
		name=echo-$connections
		[ "$loops" -eq 0 ] || name=$name-loops
		workload "$name" echo "usched threads go tokio" "$placement" \
			echo_server "$connections" "$loops"
	done
done
