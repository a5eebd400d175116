#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds tests/exceptions.cpp against the build tree and runs it with each mode of preemption: what the
# C++ runtime keeps of exceptions in flight goes with the fiber.
set -eu
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"
# shellcheck source=tests/against-build.sh
. "$(dirname "$0")/against-build.sh"

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

# shellcheck disable=SC2086 # a compiler with options
build_program exceptions "$scratch/exceptions" "$top/tests/exceptions.cpp" $cxx -std=c++17 -g -O2 ||
	exit 1
for mode in handoff yield; do
	name=exceptions_stay_with_their_fiber_$mode
	if run_program "$name" "$scratch/exceptions" "$mode"; then
		echo "ok $name"
	fi
done
exit "$failed"
