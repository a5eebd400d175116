#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fails when a file includes a header above its layer, or one that its folder has no business with,
# or when a file is in no line of tests/layers.txt. Runs from anywhere, without arguments.
#
# A quoted include is looked up as the compiler does: beside the file, then in lib/, then in
# include/, then from the top. <usched/...> is looked up in include/.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
table=tests/layers.txt

folders=
for folder in include lib daemon ctl examples bench; do
	if [ -d "$folder" ]; then
		folders="$folders $folder"
	fi
done

# shellcheck disable=SC2086 # a list of words on purpose
files=$(find $folders -name '*.[chS]' | LC_ALL=C sort)
if [ -z "$files" ]; then
	echo "check-layers: no source found under $top" >&2
	exit 1
fi

# shellcheck disable=SC2086
awk -v table="$table" '
function fits(path, prefix)
{
	return index(path, prefix) == 1
}
function longest(path, set,    prefix, best)
{
	best = ""
	for (prefix in set)
		if (fits(path, prefix) && length(prefix) > length(best))
			best = prefix
	return best
}
function complain(text)
{
	printf "%s:%d: %s\n", FILENAME, FNR, text
	bad = 1
}
function resolve(name,    folder)
{
	folder = FILENAME
	sub(/[^\/]*$/, "", folder)
	if ((folder name) in exists)
		return folder name
	if (("lib/" name) in exists)
		return "lib/" name
	if (("include/" name) in exists)
		return "include/" name
	if (name in exists)
		return name
	return ""
}
function permitted(path, list,    n, part, i)
{
	n = split(list, part, " ")
	for (i = 1; i <= n; i++)
		if (fits(path, part[i]))
			return 1
	return 0
}
BEGIN {
	while ((getline line < table) > 0) {
		if (line ~ /^#/ || line ~ /^[ \t]*$/)
			continue
		n = split(line, word, " ")
		rest = ""
		for (i = 3; i <= n; i++)
			rest = rest " " word[i]
		if (word[1] == "layer" && n == 3)
			rank[word[2]] = word[3] + 0
		else if (word[1] == "allow" && n >= 3)
			allow[word[2]] = rest
		else if (word[1] == "only" && n >= 3)
			only[word[2]] = rest
		else {
			printf "%s: not understood: %s\n", table, line
			bad = 1
		}
	}
	for (i = 1; i < ARGC; i++) {
		exists[ARGV[i]] = 1
		if (longest(ARGV[i], rank) == "" && longest(ARGV[i], allow) == "") {
			printf "%s: in no line of %s; add its folder there\n", ARGV[i], table
			bad = 1
		}
	}
}
FNR == 1 {
	mine = longest(FILENAME, rank)
	permit = longest(FILENAME, allow)
}
/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
	system_header = ($0 ~ /include[ \t]*</)
	name = $0
	sub(/^[^<"]*[<"]/, "", name)
	sub(/[>"].*$/, "", name)
	if (system_header && (("<" name ">") in only) && !permitted(FILENAME, only["<" name ">"]))
		complain("<" name "> belongs to" only["<" name ">"])
	if (system_header && !fits(name, "usched/"))
		next
	path = system_header ? (("include/" name) in exists ? "include/" name : "") : resolve(name)
	if (path == "") {
		complain("includes " name ", which is not in the tree")
		next
	}
	if (mine != "") {
		theirs = longest(path, rank)
		if (theirs == "")
			complain("includes " path ", which has no layer")
		else if (rank[theirs] > rank[mine])
			complain("layer " rank[mine] " includes " path ", layer " rank[theirs])
	}
	if (permit != "" && !permitted(path, allow[permit]))
		complain(permit " includes " path "; it may include" allow[permit])
}
END { exit bad }
' $files
