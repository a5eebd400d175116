#!/bin/sh
# SPDX-License-Identifier: MIT
#
# schedctl beside a real runtime (tests/helper_runtime): what it shows is so, a quantum that it sets
# is counted by the workers, and other users are kept out.
set -u

build=${USCHED_BUILDDIR:-.}
if [ ! -x "$build/tests/helper_runtime" ]; then
	echo "SKIP: no-runtime: tests/helper_runtime was not built"
	exit 77
fi
scratch=$(mktemp -d)
chmod 755 "$scratch"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
failed=0
USCHED_SOCKET=$scratch/none
export USCHED_SOCKET
export LC_ALL=C.UTF-8
: > "$scratch/wrong"

run()	# PROGRAM ARGUMENTS...
{
	program=$1
	shift
	if [ -n "${USCHED_EMULATOR:-}" ]; then
		# shellcheck disable=SC2086 # a command with arguments
		$USCHED_EMULATOR -E LD_LIBRARY_PATH="$build/.libs" \
			"$(dirname "$build/$program")/.libs/$(basename "$program")" "$@"
	else
		"$build/$program" "$@"
	fi
}

verdict()	# NAME
{
	if [ -s "$scratch/wrong" ]; then
		echo "FAIL $1: $(head -n 1 "$scratch/wrong")"
		sed '1d; s/^/     /' "$scratch/wrong"
		failed=1
	else
		echo "ok $1"
	fi
	: > "$scratch/wrong"
}

expect()	# CODE TEXT ARGUMENTS...
{
	code=$1
	text=$2
	shift 2
	run schedctl "$@" > "$scratch/out" 2> "$scratch/err"
	got=$?
	if [ "$got" != "$code" ] || ! cat "$scratch/out" "$scratch/err" | grep -qE -e "$text"; then
		echo "schedctl $*: exit code $got, wanted $code and $text: $(cat "$scratch/out" \
			"$scratch/err")" >> "$scratch/wrong"
	fi
}

mkfifo "$scratch/in"
run tests/helper_runtime < "$scratch/in" > "$scratch/ready" &
job=$!
exec 3> "$scratch/in"
tries=0
while [ $tries -lt 200 ]; do
	if grep -qs '^ready' "$scratch/ready"; then
		break
	fi
	sleep 0.1
	tries=$((tries + 1))
done
pid=$(sed -n 's/^ready //p' "$scratch/ready")
if [ -z "$pid" ]; then
	echo "FAIL start: helper_runtime did not start"
	exit 1
fi

expect 0 "^ *$pid .* helper\$" list
expect 0 '^name=helper ' show "$pid"
expect 0 '^attachment=embedded ' show "$pid"
expect 0 '^fibers=4 ' show "$pid"
expect 0 ' running ' workers "$pid"
for name in spin-0 spin-1 doze receive; do
	expect 0 " $name\$" fibers "$pid"
done
expect 0 ' channel .* receive$' fibers "$pid"
verdict a_real_runtime_is_shown

# Ticks of one second; the wish is that they follow the quantum, not that they hit a number.
ticks()
{
	run schedctl --json stat "$pid" --interval=1s --count=1 |
		sed 's/.*"change":{[^}]*"ticks":\([0-9]*\).*/\1/'
}
expect 0 '2ms -> 20ms -> 20ms' set "$pid" quantum=20ms
slow=$(ticks)
expect 0 '20ms -> 1ms -> 1ms' set "$pid" quantum=1ms
fast=$(ticks)
expect 0 '1ms -> off -> off' set "$pid" quantum=off
none=$(ticks)
echo "ticks in one second: 20ms $slow, 1ms $fast, off $none"
if [ "$fast" -lt $((slow * 4)) ] || [ "$none" -gt "$slow" ]; then
	echo "ticks do not follow the quantum: 20ms $slow, 1ms $fast, off $none" >> "$scratch/wrong"
fi
expect 2 'it has no unit' set "$pid" quantum=5
expect 6 '100 ?us to 1 ?s' set "$pid" quantum=1us
expect 0 '^quantum=off ' show "$pid"
verdict a_quantum_is_counted_by_the_workers

if [ "$(id -u)" = 0 ] && [ -z "${USCHED_EMULATOR:-}" ] && command -v setpriv > /dev/null &&
	setpriv --reuid=65534 --regid=65534 --clear-groups "$build/schedctl" version \
		> /dev/null 2>&1; then
	setpriv --reuid=65534 --regid=65534 --clear-groups "$build/schedctl" set "$pid" quantum=1ms \
		> "$scratch/out" 2> "$scratch/err"
	got=$?
	if [ "$got" != 4 ] || ! grep -q 'permission denied' "$scratch/err"; then
		echo "another user: exit code $got: $(cat "$scratch/err")" >> "$scratch/wrong"
	fi
	expect 0 '^quantum=off ' show "$pid"
	verdict another_user_is_kept_out
else
	echo "skip another_user_is_kept_out: non-root: needs root to become another user"
fi

exec 3>&-
if ! wait "$job"; then
	echo "helper_runtime failed" >> "$scratch/wrong"
fi
expect 3 'no such target' show "$pid"
verdict a_runtime_that_ended_is_gone
exit "$failed"
