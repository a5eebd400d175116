# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
#
# What the tests with real processes share; sourced, not run. A case ends in one line, "ok NAME" or
# "FAIL NAME: why", which tests/summary counts.
#
# Every process that a test starts is entered in `children` and ended by its pid when the test ends,
# however it ends; sockets and files are below `scratch`, which goes with them.
set -u
export LC_ALL=C

top=${USCHED_SRCDIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
build=${USCHED_BUILDDIR:-$top/build}
failures=0
children=()
scratch=$(mktemp -d "${TMPDIR:-/tmp}/usched-e2e.XXXXXX") || exit 1
export USCHED_SOCKET=$scratch

end_children()
{
	local pid
	for pid in "${children[@]}"; do
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	children=()
}

leave()
{
	local status=$?
	trap - EXIT
	end_children
	rm -rf "$scratch"
	exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ok()	# NAME
{
	echo "ok $1"
}

bad()	# NAME WHY...
{
	local name=$1
	shift
	echo "FAIL $name: $*"
	failures=$((failures + 1))
}

# check NAME COMMAND...: the case holds when the command succeeds; what it prints is the reason.
check()
{
	local name=$1 why
	shift
	if "$@" > "$scratch/why" 2>&1; then
		ok "$name"
	else
		why=$(tr -d '\0' < "$scratch/why" | tr '\n' ' ')
		bad "$name" "${why:-"'$*' is false"}"
	fi
}

skip_all()	# LABEL WHY
{
	echo "SKIP: $1: $2"
	exit 77
}

finish()
{
	[ "$failures" -eq 0 ]
	exit
}

# wait_until SECONDS COMMAND...: a generous limit for what happens at once; never a measurement.
wait_until()
{
	local tries=$(($1 * 50))
	shift
	while ! "$@" > /dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.02
	done
}

gone()	# PID
{
	[ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}

forget()	# PID: it has ended and was waited for
{
	local pid rest=()
	for pid in "${children[@]}"; do
		[ "$pid" = "$1" ] || rest+=("$pid")
	done
	children=("${rest[@]}")
}

# A program of the build, under the emulator when it is for another CPU. Sets `pid`.
start()	# LOG PROGRAM ARGUMENTS...
{
	local log=$1
	shift
	# shellcheck disable=SC2086 # a command with arguments
	${USCHED_EMULATOR:-} "$@" > "$log.out" 2> "$log.err" &
	pid=$!
	children+=("$pid")
}

# Starts one of the two servers on a free port. Sets `pid`, `port` and `server_log`.
start_httpd()	# PROGRAM ROOT ARGUMENTS...
{
	local program=$1 root=$2
	shift 2
	server_log=$(mktemp "$scratch/$program.XXXXXX")
	start "$server_log" "$build/examples/httpd/$program" --root "$root" "$@"
	if ! wait_until 20 grep -q '^listening on ' "$server_log.out"; then
		bad "${program}_starts" "no 'listening on' line; stderr: $(tail -n 3 "$server_log.err")"
		exit 1
	fi
	port=$(sed -n 's/^listening on .*:\([0-9]*\), pid .*/\1/p' "$server_log.out")
}

# SIGTERM must end a process of ours with exit code 0.
stop_gently()	# PID LOG
{
	local status
	kill -TERM "$1" || return 1
	if ! wait_until 20 gone "$1"; then
		echo "still there 20 s after SIGTERM"
		return 1
	fi
	wait "$1"
	status=$?
	forget "$1"
	[ "$status" -eq 0 ] || echo "exit code $status after SIGTERM: $(tail -n 3 "$2.err")"
	return "$status"
}
