#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Proves that the manual is whole: each public function has a page that a reader finds by its name,
# each name on a page is a function, each page has the sections that we promise, and mandoc finds
# nothing to warn of. Runs from anywhere, without arguments.
#
# A page of several functions has the name of one; the others are files of one line, `.so man3/...`,
# so that man(1) finds them without an index.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
bad=0

complain()
{
	echo "FAIL man: $1"
	bad=1
}

# The names that a page's NAME section lists.
names_of()
{
	awk '/^\.Sh / { inside = ($2 == "NAME") }
	     inside && /^\.Nm / { sub(/^\.Nm /, ""); sub(/ ,$/, ""); print }' "$1"
}

# The functions that the public headers declare: in column 0, and the name before the parenthesis.
functions=$(awk '
	/^[a-z][a-z0-9_ *]*usched_[a-z0-9_]+\(/ && !/^(typedef|static)/ {
		sub(/\(.*/, "")
		sub(/.*[ *]/, "")
		print
	}' include/usched/*.h | LC_ALL=C sort -u)
if [ -z "$functions" ]; then
	complain "no function found in include/usched"
fi

for function in $functions; do
	page=man/$function.3
	if [ ! -f "$page" ]; then
		complain "$function has no page; write $page, or link it by a line '.so man3/PAGE.3'"
		continue
	fi
	target=$(sed -n '1s,^\.so man3/,,p' "$page")
	if [ -n "$target" ]; then
		page=man/$target
		if [ ! -f "$page" ]; then
			complain "man/$function.3 leads to $page, which does not exist"
			continue
		fi
	fi
	if ! names_of "$page" | grep -qx "$function"; then
		complain "$page does not list $function in its section NAME"
	fi
	if ! grep -Eq "^\.F[no] \"?$function( |\$)" "$page"; then
		complain "$page has no synopsis of $function"
	fi
done

for page in man/*.[1-8]; do
	if ! grep -q 'SPDX-License-Identifier: MIT' "$page"; then
		complain "$page has no licence line"
	fi
	if ! grep -q "$page" ./*/local.mk; then
		complain "$page is in no local.mk, so it would not be installed"
	fi
	if grep -q '^\.so ' "$page"; then
		continue
	fi
	case $page in
	*.3)
		for name in $(names_of "$page"); do
			if ! echo "$functions" | grep -qx "$name"; then
				complain "$page tells of $name, which no public header declares"
			fi
			if [ ! -f "man/$name.3" ]; then
				complain "$page lists $name, and man/$name.3 does not exist"
			fi
		done
		for section in NAME LIBRARY SYNOPSIS DESCRIPTION 'RETURN VALUES' EXAMPLES ERRORS \
			'SEE ALSO'; do
			if ! grep -qx "\.Sh $section" "$page"; then
				complain "$page lacks the section $section"
			fi
		done
		;;
	esac
	# Each page of ours that this one points to exists.
	sed -n 's/^\.Xr \([^ ]*\) \([1-8]\).*/\1.\2/p' "$page" | sort -u | while read -r other; do
		case $other in
		usched[._]*)
			if [ ! -f "man/$other" ]; then
				echo "FAIL man: $page points to $other, which does not exist"
				exit 1
			fi
			;;
		esac
	done || bad=1
done

if ! command -v mandoc > /dev/null; then
	if [ "$bad" = 0 ]; then
		echo "SKIP: no-tool: mandoc is not installed, so the pages were not linted"
		exit 77
	fi
	exit 1
fi
for page in man/*.[1-8]; do
	if grep -q '^\.so ' "$page"; then
		continue
	fi
	if ! mandoc -T lint -W warning "$page"; then
		complain "mandoc warns of $page"
	fi
done
exit "$bad"
