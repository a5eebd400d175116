#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds tests/exceptions.cpp against the build tree and runs it with each mode of preemption: what the
# C++ runtime keeps of exceptions in flight goes with the fiber.
set -eu

src=${USCHED_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${USCHED_BUILDDIR:-$(pwd)}
if [ ! -f "$build/libusched.la" ]; then
	echo "FAIL exceptions: $build/libusched.la is not there; run make, then this in the build folder" >&2
	exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

variable()
{
	sed -n "s/^$1 = //p" "$build/Makefile" | tail -n 1
}

# The C++ compiler that goes with the C compiler of the build.
cc=$(variable CC)
case $cc in
*clang*) cxx=$(echo "$cc" | sed 's/clang/clang++/') ;;
*) cxx=$(echo "$cc" | sed 's/gcc/g++/') ;;
esac
if [ "${cxx#*++}" = "$cxx" ] || ! command -v "${cxx%% *}" > /dev/null; then
	echo "skip all: no-tool: no C++ compiler goes with $cc"
	exit 77
fi

# shellcheck disable=SC2046 # lists of words
if ! "$build/libtool" --silent --tag=CC --mode=link $cxx $(variable CPPFLAGS) -g -O2 \
	$(variable SAN_CFLAGS) -std=c++17 -Wall -Wextra -Werror -I"$src/include" \
	-o "$work/exceptions" "$src/tests/exceptions.cpp" $(variable LDFLAGS) \
	"$build/libusched.la" > "$work/log" 2>&1; then
	echo "FAIL exceptions: does not build"
	cat "$work/log"
	exit 1
fi

bad=0
for mode in handoff yield; do
	status=0
	sh "$src/tests/launch" "$work/exceptions" "$mode" > "$work/log" 2>&1 < /dev/null || status=$?
	if [ "$status" = 0 ]; then
		echo "ok exceptions_stay_with_their_fiber_$mode"
	else
		echo "FAIL exceptions_stay_with_their_fiber_$mode: exit code $status"
		cat "$work/log"
		bad=1
	fi
done
exit "$bad"
