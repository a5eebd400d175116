# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034 # what is set here is for the tests
#
# The driver of the shell tests; sourced, not run. A case says what is wrong, or nothing, and ends in
# one line that tests/summary counts, "ok NAME" or "FAIL NAME: why":
#
#	[ "$got" = 0 ] || wrong "exit code $got, not 0"
#	verdict the_name_says_what_must_be_true
#	...
#	exit "$failed"
#
# top is the source tree and build the build tree: of `make check`, else the one that the test is run
# in, else the one of quickstart. What is in the folder scratch, and the processes whose ids are in
# children, go when the test ends, however it ends.

top=${USCHED_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${USCHED_BUILDDIR:-$(pwd)}
[ -n "${USCHED_BUILDDIR:-}" ] || [ -x "$build/libtool" ] || build=$top/build
scratch=$(mktemp -d) || exit 1
children=
failed=0
complaints=$scratch/complaints
: > "$complaints"

leave()
{
	for child in $children; do
		kill "$child" 2> /dev/null || true
		wait "$child" 2> /dev/null || true
	done
	rm -rf "$scratch"
}
trap leave EXIT
trap 'exit 1' INT TERM

wrong()	# TEXT...
{
	echo "$*" >> "$complaints"
}

# verdict NAME [FILE]: a case fails that has lines in FILE, or in what wrong() collected.
verdict()
{
	if [ -s "${2:-$complaints}" ]; then
		echo "FAIL $1: $(head -n 1 "${2:-$complaints}")"
		sed '1d; s/^/     /' "${2:-$complaints}"
		failed=1
	else
		echo "ok $1"
	fi
	: > "${2:-$complaints}"
}
