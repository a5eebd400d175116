# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154 # set here for the tests, or set by the other file
#
# schedctl and the process that it looks at; sourced after tests/shell-harness.sh. No daemon of this
# machine is asked: the sockets are in a folder of the test's own.

USCHED_SOCKET=$scratch/none
export USCHED_SOCKET
export LC_ALL=C.UTF-8

# become PROGRAM ARGUMENTS...: this shell turns into a program of the build, so that its process id is
# the program's.
become()
{
	program=$1
	shift
	if [ -n "${USCHED_EMULATOR:-}" ]; then
		# What libtool made a script of is beside it; a static program is itself.
		file=$(dirname "$build/$program")/.libs/$(basename "$program")
		[ -e "$file" ] || file=$build/$program
		# shellcheck disable=SC2086 # a command with arguments
		exec $USCHED_EMULATOR -E LD_LIBRARY_PATH="$build/.libs" "$file" "$@"
	fi
	exec "$build/$program" "$@"
}

schedctl()
{
	(become schedctl "$@")
}

# wait_until COMMAND...: for what happens at once, a generous limit; false when it did not happen.
wait_until()
{
	tries=0
	while ! "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || return 1
		sleep 0.1
	done
}

peer_is_ready()
{
	grep -qs '^ready' "$scratch/peer"
}

# start_peer COMMAND...: a helper, which says "ready PID" and lives until its input ends. Its process id
# goes to pid, what it prints to the files peer and said; 0, and something is wrong, if it does not start.
start_peer()
{
	rm -f "$scratch/in" "$scratch/peer"
	mkfifo "$scratch/in"
	"$@" < "$scratch/in" > "$scratch/peer" 2> "$scratch/said" &
	peer_job=$!
	exec 3> "$scratch/in"
	if wait_until peer_is_ready; then
		pid=$(sed -n 's/^ready //p' "$scratch/peer")
	else
		wrong "$* did not start: $(cat "$scratch/said")"
		pid=0
	fi
}

end_peer()
{
	exec 3>&-
	if ! wait "$peer_job"; then
		wrong "the helper failed: $(cat "$scratch/said")"
	fi
}
