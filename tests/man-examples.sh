#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Takes every program out of the section EXAMPLES of every page of section 3 and 7, builds it against
# the build tree with warnings as errors, runs it and expects exit code 0. Also the hello program of
# the README is built so. A page of section 3 without a program fails, and so does a function of
# lib/libusched.map that none of the programs calls.
#
# A program is a literal display (.Bd -literal to .Ed) that defines main(). With arguments, only the
# pages named are tried: man-examples.sh man/usched_join.3
set -eu
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"
# shellcheck source=tests/against-build.sh
. "$(dirname "$0")/against-build.sh"

cc=$(variable CC)
flags=$(variable CFLAGS)
sanitizer=$(variable SAN_CFLAGS)

# Each program of a page goes to WORK/PAGE-N.c, as a reader sees it: \e is a backslash, \& is nothing
# and \- is a hyphen.
extract()
{
	awk -v prefix="$scratch/$(basename "$1")" '
	function finish()
	{
		if (text ~ /(^|\n)main\(|[ \t]main\(/) {
			count++
			printf "%s", text > (prefix "-" count ".c")
			close(prefix "-" count ".c")
		}
	}
	/^\.Sh / { inside = ($2 == "EXAMPLES") }
	inside && /^\.Bd -literal/ { display = 1; text = ""; next }
	inside && display && /^\.Ed/ { display = 0; finish(); next }
	inside && display {
		line = $0
		gsub(/\\&/, "", line)
		gsub(/\\-/, "-", line)
		gsub(/\\e/, "\\", line)
		text = text line "\n"
	}' "$1"
}

try()		# NAME SOURCE
{
	tried=$((tried + 1))
	# shellcheck disable=SC2086 # lists of words
	if ! build_program "$1" "$scratch/program" "$2" $cc $flags -std=gnu11; then
		return
	fi
	why=
	case $1,$sanitizer,${USCHED_EMULATOR:+emulator} in
	usched_runtime_reset.*,*-fsanitize=thread*,*)
		why='tsan: it lets no child of fork make threads'
		;;
	usched_runtime_reset.*,*,emulator)
		why="emulator: a child may wait for a lock of the emulator's"
		;;
	esac
	if [ -n "$why" ]; then
		echo "skip $1: $why"
	elif ! run_program "$1" "$scratch/program"; then
		return
	fi
	nm -D -u "$scratch/.libs/program" 2> /dev/null | sed -n 's/.* \(usched_[a-z0-9_]*\).*/\1/p' \
		>> "$scratch/called"
	[ -n "$why" ] || echo "ok $1"
}

tried=0
all=no
: > "$scratch/called"
if [ $# -eq 0 ]; then
	all=yes
	try hello "$top/examples/hello.c"
	set -- "$top"/man/*.[37]
fi
for page in "$@"; do
	if grep -q '^\.so ' "$page"; then
		continue
	fi
	extract "$page"
	name=$(basename "$page")
	found=0
	for program in "$scratch/$name"-*.c; do
		if [ -f "$program" ]; then
			found=1
			try "$(basename "$program" .c)" "$program"
		fi
	done
	if [ "$found" = 0 ] && [ "${name%.3}" != "$name" ]; then
		echo "FAIL $name: its section EXAMPLES has no program"
		failed=1
	fi
done
if [ "$tried" = 0 ]; then
	echo "FAIL examples: no program was found"
	failed=1
fi
# What a reader can call, some program here has called, as the symbols that it needs tell.
if [ "$all" = yes ] && [ "$failed" = 0 ]; then
	if ! command -v nm > /dev/null; then
		echo "skip functions_are_called: no-tool: nm is not installed"
		exit 0
	fi
	sed -n '/global:/,/local:/p' "$top/lib/libusched.map" | grep -o 'usched_[a-z0-9_]*' |
		sort -u > "$scratch/exported"
	missing=$(sort -u "$scratch/called" | comm -13 - "$scratch/exported" | tr '\n' ' ')
	if [ -n "$missing" ]; then
		echo "FAIL functions_are_called: no example calls $missing"
		failed=1
	else
		echo "ok functions_are_called"
	fi
fi
exit "$failed"
