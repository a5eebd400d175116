#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Proves that the documents are true where a program can tell: the program in README.md is
# examples/hello.c, each file and folder that a document names is there, usched(7) lists exactly the
# environment variables that the code reads, the libraries that are asked for are used, a case that
# skips itself is listed in tests/skips.txt, and each file has its licence line. Runs from anywhere,
# without arguments.
set -eu
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"
cd "$top"
export LC_ALL=C

sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' > "$scratch/hello.c"
if ! diff -u examples/hello.c "$scratch/hello.c" > "$scratch/diff"; then
	wrong "the program in README.md is not examples/hello.c"
	cat "$scratch/diff" >> "$complaints"
fi
verdict readme_program

# A name in backquotes that begins with a folder of ours. Placeholders (<module>, *) are no names.
for document in *.md; do
	tr '\n' ' ' < "$document" | tr '`' '\n' |
		grep -E '^(lib|include|daemon|ctl|examples|bench|man|tests|scripts)/[A-Za-z0-9_./-]*$' |
		sort -u > "$scratch/paths" || true
	# Words that stand in a code block count too: "lib/worker/ring.h  what it is".
	sed -n '/^```/,/^```$/p' "$document" |
		grep -Eo '(^|[ 	])(lib|include|daemon|ctl|examples|bench|man|tests|scripts)/[A-Za-z0-9_./-]+' |
		tr -d ' \t' | sort -u >> "$scratch/paths" || true
	while read -r path; do
		if [ ! -e "$path" ]; then
			wrong "$document names $path, which does not exist"
		fi
	done < "$scratch/paths"
done
verdict paths_exist

# A variable is read by its name in a string: getenv("USCHED_X"), usched_environment_...("USCHED_X").
grep -rhoE 'env[a-z_]*\("USCHED_[A-Z_]+"' lib daemon ctl --include='*.c' --include='*.h' |
	grep -oE 'USCHED_[A-Z_]+' | sort -u > "$scratch/read" || true
sed -n 's/^\.It Ev \(USCHED_[A-Z_]*\).*/\1/p' man/usched.7 | sort -u > "$scratch/told"
comm -23 "$scratch/read" "$scratch/told" |
	sed 's/$/ is read by the code, and man\/usched.7 does not tell of it/' >> "$complaints"
comm -13 "$scratch/read" "$scratch/told" |
	sed 's/$/ is in man\/usched.7, and no code reads it/' >> "$complaints"
verdict environment

# A library that configure asks for and nothing links would be one more thing to install.
for library in $(sed -n 's/^PKG_CHECK_MODULES(\[\([A-Z]*\)\].*/\1/p' configure.ac); do
	if ! cat Makefile.am ./*/local.mk | grep -v '^#' | grep -qF "\$(${library}_LIBS)"; then
		wrong "configure.ac asks for $library, and no program or library links it"
	fi
done
verdict libraries_are_used

# What a case says when it skips itself must be expected, or it fails where nobody has built yet. A
# skip in a helper has its case's name elsewhere, so any case of its program will do.
for program in tests/t_*.c; do
	name=$(basename "$program" .c)
	awk '
		/^static void [a-z_0-9]+\(void\)$/ { sub(/\(void\)/, "", $3); function_name = $3 }
		/^[ \t]+\{ "[a-z_0-9]+",/ { split($0, part, "\""); is_case[part[2]] = 1 }
		$0 !~ /"never:/ && match($0, /USCHED_SKIP\("[a-z-]+:/) {
			label[++count] = substr($0, RSTART + 13, RLENGTH - 14)
			where[count] = function_name
		}
		END {
			for (i = 1; i <= count; i++)
				print (where[i] in is_case ? where[i] : "*"), label[i]
		}' "$program" | sort -u > "$scratch/skips"
	while read -r function label; do
		if ! awk -v program="$name" -v function_name="$function" -v label="$label" '
			$1 ~ /^#/ { next }
			($1 == program || $1 == "*") && $3 == label &&
			($2 == function_name || $2 == "*" || function_name == "*") { found = 1 }
			END { exit !found }' tests/skips.txt; then
			wrong "$name $function skips with \"$label\", which tests/skips.txt does not expect"
		fi
	done < "$scratch/skips"
done
verdict skips_are_expected

# By name, so that what a build leaves in the tree does not count.
find ./*.md configure.ac Makefile.am quickstart bench ctl daemon examples include lib man scripts \
	tests -type f \( -name '*.[chS]' -o -name '*.[1-8]' -o -name '*.sh' -o -name '*.bash' \
	-o -name '*.md' -o -name '*.mk' -o -name '*.txt' -o -name '*.awk' -o -name '*.lua' \
	-o -name '*.go' -o -name '*.cpp' -o -name '*.map' -o -name 'configure.ac' \
	-o -name 'Makefile.am' -o -name quickstart -o -name run -o -name launch -o -name summary \) \
	-exec grep -L 'SPDX-License-Identifier: MIT' {} + | sed 's/$/ has no licence line/' >> "$complaints"
verdict licences
exit "$failed"
