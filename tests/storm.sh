#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The short form of the storm (tests/storm/storm.h): every group in every mode for a moment, and each
# row of the decision table that can apply ten times; then the groups that lean on the allocator with
# jemalloc. `make storm` has the long form.
set -u

storm=${USCHED_BUILDDIR:-.}/tests/storm/storm
sanitizer=${USCHED_SANITIZER:-none}
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT INT TERM

verdict()	# NAME COMMAND...
{
	local name=$1
	shift
	if "$@" > "$log" 2>&1; then
		sed 's/^/# /' "$log"
		echo "ok $name"
	else
		sed 's/^/# /' "$log"
		echo "FAIL $name: $(grep -m 1 '^storm: ' "$log" || echo "exit code $?, see above")"
		failed=1
	fi
}

if [ -n "${USCHED_EMULATOR:-}" ]; then
	# Slower ticks, and no count is asked for; no fork, whose child hangs in qemu's own locks.
	# shellcheck disable=SC2086 # a command with arguments
	verdict storm $USCHED_EMULATOR "$storm" --only canary --only malloc --only stdio --only qsort \
		--only regex --only numbers --seconds 12 --least 0 --quantum 2000000 --fibers 4
	echo "skip jemalloc: emulator: it is not in the sysroot"
	exit "$failed"
fi
declare -a pace=(--seconds 12 --least 10 --fibers 16)
if [ "$sanitizer" != none ]; then
	# A tick costs several times as much.
	pace=(--seconds 15 --least 3 --fibers 8 --quantum 200000)
fi
verdict storm "$storm" "${pace[@]}"
jemalloc=$(ldconfig -p 2>/dev/null | sed -n 's/.*libjemalloc\.so\.2 .*=> //p' | head -n 1)
if [ "$sanitizer" != none ]; then
	echo "skip jemalloc: sanitizer: it brings an allocator of its own"
elif [ -z "$jemalloc" ]; then
	echo "skip jemalloc: no-tool: libjemalloc2 is not installed"
else
	verdict jemalloc env LD_PRELOAD="$jemalloc" "$storm" --only malloc --only stdio --only qsort \
		--only zstd --seconds 4 --least 10 --fibers 16
fi
exit "$failed"
