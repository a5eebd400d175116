#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Proves that the manual is whole: each public function has a page that a reader finds by its name,
# each name on a page is a function, each page has the sections that we promise and is installed,
# and mandoc finds nothing to warn of. Runs from anywhere, without arguments.
#
# A page of several functions has the name of one; the others are files of one line, `.so man3/...`,
# so that man(1) finds them without an index.
set -eu
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"
cd "$top"
export LC_ALL=C

# The names that a page's NAME section lists.
names_of()
{
	awk '/^\.Sh / { inside = ($2 == "NAME") }
	     inside && /^\.Nm / { sub(/^\.Nm /, ""); sub(/ ,$/, ""); print }' "$1"
}

# The functions that the public headers declare: in column 0, and the name before the parenthesis.
functions=$(awk '
	/^(USCHED_API )?[a-z][a-z0-9_ *]*usched_[a-z0-9_]+\(/ && !/^(typedef|static)/ {
		sub(/\(.*/, "")
		sub(/.*[ *]/, "")
		print
	}' include/usched/*.h | sort -u)
if [ -z "$functions" ]; then
	wrong "no function found in include/usched"
fi

pages=
for page in man/*.[1-8]; do
	if ! grep -q '^\.so ' "$page"; then
		pages="$pages $page"
	fi
done

for function in $functions; do
	page=man/$function.3
	if [ ! -f "$page" ]; then
		wrong "$function has no page; write $page, or link it by a line '.so man3/PAGE.3'"
		continue
	fi
	target=$(sed -n '1s,^\.so man3/,,p' "$page")
	if [ -n "$target" ]; then
		page=man/$target
		if [ ! -f "$page" ]; then
			wrong "man/$function.3 leads to $page, which does not exist"
			continue
		fi
	fi
	if ! names_of "$page" | grep -qx "$function"; then
		wrong "$page does not list $function in its section NAME"
	fi
	if ! grep -Eq "^\.F[no] \"?$function( |\$)" "$page"; then
		wrong "$page has no synopsis of $function"
	fi
done
verdict functions_have_pages

for page in $pages; do
	case $page in *.3) ;; *) continue ;; esac
	for name in $(names_of "$page"); do
		if ! echo "$functions" | grep -qx "$name"; then
			wrong "$page tells of $name, which no public header declares"
		fi
		if [ ! -f "man/$name.3" ]; then
			wrong "$page lists $name, and man/$name.3 does not exist"
		fi
	done
	for section in NAME LIBRARY SYNOPSIS DESCRIPTION 'RETURN VALUES' EXAMPLES ERRORS 'SEE ALSO'; do
		if ! grep -qx "\.Sh $section" "$page"; then
			wrong "$page lacks the section $section"
		fi
	done
done
verdict pages_tell_of_functions

for page in $pages; do
	for other in $(sed -n 's/^\.Xr \([^ ]*\) \([1-8]\).*/\1.\2/p' "$page" | sort -u); do
		case $other in
		usched[._]*|uschedd.*|schedctl.*)
			if [ ! -f "man/$other" ]; then
				wrong "$page points to $other, which does not exist"
			fi
			;;
		esac
	done
done
verdict references_exist

for page in man/*.[1-8]; do
	if ! grep -q 'SPDX-License-Identifier: MIT' "$page"; then
		wrong "$page has no licence line"
	fi
	if ! grep -q "$page" ./*/local.mk; then
		wrong "$page is in no local.mk, so it would not be installed"
	fi
done
verdict pages_are_installed

if ! command -v mandoc > /dev/null; then
	echo "skip mandoc: no-tool: mandoc is not installed"
	exit "$failed"
fi
for page in $pages; do
	mandoc -T lint -W warning "$page" >> "$complaints" 2>&1 || true
done
verdict mandoc
exit "$failed"
