# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154 # what the other file sets, and reads
#
# Builds programs as a user of the library would, against the build tree; sourced after
# tests/shell-harness.sh.

if [ ! -f "$build/libusched.la" ]; then
	echo "FAIL build: $build/libusched.la is not there; run make, then this in the build folder" >&2
	exit 1
fi

# A variable of the build, so that the programs get what the library was built with.
variable()	# NAME
{
	sed -n "s/^$1 = //p" "$build/Makefile" | tail -n 1
}

# build_program NAME PROGRAM SOURCE COMPILER FLAGS...: with warnings as errors. False, and the case NAME
# has failed, if it does not build.
build_program()
{
	build_case=$1 build_output=$2 build_source=$3
	shift 3
	# shellcheck disable=SC2046 # lists of words
	if "$build/libtool" --silent --tag=CC --mode=link "$@" $(variable CPPFLAGS) $(variable SAN_CFLAGS) \
		-Wall -Wextra -Werror -I"$top/include" -o "$build_output" "$build_source" \
		$(variable LDFLAGS) "$build/libusched.la" > "$scratch/log" 2>&1; then
		return 0
	fi
	echo "FAIL $build_case: does not build"
	cat "$scratch/log"
	failed=1
	return 1
}

# run_program NAME PROGRAM ARGUMENTS...: in bounded time, as the suite's own. False, and the case NAME
# has failed, if its exit code is not 0.
run_program()
{
	run_case=$1
	shift
	run_status=0
	sh "$top/tests/launch" "$@" > "$scratch/log" 2>&1 < /dev/null || run_status=$?
	[ "$run_status" != 0 ] || return 0
	echo "FAIL $run_case: exit code $run_status"
	cat "$scratch/log"
	failed=1
	return 1
}
