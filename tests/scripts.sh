#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The command lines of the scripts: a wrong one is refused before anything is built, started or
# measured, with what is wrong, a hint, and the exit code of its kind: 2 usage, 6 out of range.
set -u
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"
export LC_ALL=C

# refuse CODE TEXT SCRIPT ARGUMENTS...: nothing on stdout, and two lines or more that have the text.
refuse()
{
	local code=$1 text=$2 script=$3 got
	shift 3
	"$top/$script" "$@" > "$scratch/out" 2> "$scratch/err" < /dev/null
	got=$?
	if [ "$got" != "$code" ] || [ -s "$scratch/out" ] || ! grep -qF -e "$text" "$scratch/err" ||
		[ "$(wc -l < "$scratch/err")" -lt 2 ]; then
		wrong "$script $*: exit code $got, wanted $code and '$text': $(cat "$scratch/out" \
			"$scratch/err")"
	fi
}

refuse 1 "--build '/nonexistent': there is no such directory" bench/run --build /nonexistent
refuse 1 'usched_basic is not there' bench/run --build "$scratch"
refuse 2 "--only 'zz*': no workload has such a name" bench/run --build "$build" --only 'zz*'
refuse 2 'yield-2 yield-1000' bench/run --build "$build" --only ''
refuse 2 'no whole number' bench/run --build "$build" --rounds five
refuse 2 'no whole number' bench/run --build "$build" --rounds -1
refuse 2 'no whole number' bench/run --build "$build" --rounds ''
for rounds in 0 000 1001 99999999999999999999; do
	refuse 6 "--rounds $rounds: out of range" bench/run --build "$build" --rounds "$rounds"
done
refuse 2 'wants a number' bench/run --rounds
refuse 2 "unknown option '--fast'" bench/run --fast
verdict bench

for script in quickstart examples/mainjob/run; do
	refuse 2 "--seconds 'ten': this is no whole number" $script --seconds ten
	refuse 2 'no whole number' $script --seconds 1.5
	for seconds in 0 00 10000 99999999999999999999; do
		refuse 6 "--seconds $seconds: out of range; give a number from 1 to 9999" $script \
			--seconds "$seconds"
	done
	refuse 2 "unknown argument '--fast'" $script --fast
done
refuse 2 "unknown argument '--fast' after test" quickstart test --fast
refuse 2 'its folder does not exist' quickstart --json "$scratch/none/table.json"
refuse 2 '--build is missing' examples/mainjob/run
verdict main_job
exit "$failed"
