#!/bin/sh
# SPDX-License-Identifier: MIT
#
# schedctl on the command line: what it prints, how it refuses, and that a refusal changes nothing.
# The other side is tests/helper_fake, which answers right or wrong in one chosen way; with a real
# runtime, tests/ctl-live.sh does the same in small.
set -u
# shellcheck source=tests/shell-harness.sh
. "$(dirname "$0")/shell-harness.sh"
# shellcheck source=tests/ctl-harness.sh
. "$(dirname "$0")/ctl-harness.sh"

# judge CODE GOT TEXT ARGUMENTS...: what schedctl left in out and err, and its exit code.
judge()
{
	code=$1
	got=$2
	text=$3
	shift 3
	if [ "$got" != "$code" ]; then
		wrong "schedctl $*: exit code $got, not $code: $(cat "$scratch/out" "$scratch/err")"
	fi
	if ! cat "$scratch/out" "$scratch/err" | grep -qF -e "$text"; then
		wrong "schedctl $*: no \"$text\" in: $(cat "$scratch/out" "$scratch/err")"
	fi
}

# expect CODE TEXT ARGUMENTS...: exit code, and a text in what it printed (out or err).
expect()
{
	wanted=$1
	text=$2
	shift 2
	schedctl "$@" > "$scratch/out" 2> "$scratch/err"
	judge "$wanted" $? "$text" "$@"
}

# expect_list TEXT ARGUMENTS...: as expect 0; a runtime of somebody else on this machine, which cannot
# be read and makes the list a part of it, is no fault of ours: then the exit code is 1.
expect_list()
{
	text=$1
	shift
	schedctl list "$@" > "$scratch/out" 2> "$scratch/err"
	got=$?
	code=0
	if cat "$scratch/out" "$scratch/err" | grep -qE -e 'could not be read|"unreadable":[1-9]'; then
		code=1
	fi
	judge "$code" "$got" "$text" list "$@"
}

# refuse CODE TEXT ARGUMENTS...: as expect; nothing on stdout, and on stderr what, why and what to do;
# the same with --json, where stdout has them as one object.
refuse()
{
	expect "$@"
	if [ -s "$scratch/out" ]; then
		wrong "schedctl $*: a refusal printed data: $(cat "$scratch/out")"
	fi
	if ! head -n 1 "$scratch/err" | grep -q '^schedctl: cannot .*: .' ||
		[ "$(wc -l < "$scratch/err")" != 3 ] || ! sed -n 2p "$scratch/err" | grep -q '^  [^ ]' ||
		! sed -n 3p "$scratch/err" | grep -q '^  hint: [^ ]'; then
		wrong "schedctl $*: not in three lines: $(cat "$scratch/err")"
	fi
	code=$1
	shift 2
	schedctl --json "$@" > "$scratch/out" 2> "$scratch/err"
	got=$?
	if [ "$got" != "$code" ] || [ "$(wc -l < "$scratch/out")" != 1 ] ||
		! grep -q "^{\"schema\":1,\"error\":{\"exit_code\":$code,.*}}\$" "$scratch/out" ||
		grep -qE '"(what|why|hint)":(null|"")' "$scratch/out"; then
		wrong "schedctl --json $*: exit code $got: $(cat "$scratch/out")"
	fi
}

# start KIND FAULT...: a fake peer.
start()
{
	start_peer become tests/helper_fake "$@"
}

# stop CHANGES: end it; so many changes must have been made.
stop()
{
	end_peer
	if ! grep -qx "sets $1" "$scratch/peer"; then
		wrong "it should have been changed $1 times: $(cat "$scratch/peer")"
	fi
}

is_json()	# FILE
{
	if [ "$(wc -l < "$1")" != 1 ] || ! grep -q '^{"schema":1,.*}$' "$1"; then
		wrong "not one object with a schema: $(cat "$1")"
	elif command -v python3 > /dev/null && ! python3 -m json.tool < "$1" > /dev/null 2>&1; then
		wrong "not JSON: $(cat "$1")"
	fi
}

# ---- the command line --------------------------------------------------------------------------

refuse 2 'no verb was given'
refuse 2 'did you mean workers?' wokers 1
refuse 2 'did you mean list?' lst
refuse 2 'schedctl --help lists the verbs' frobnicate
refuse 2 'did you mean --json?' list --jsno
refuse 2 'there is no such option' list -x
refuse 2 'its value is missing' list --socket
refuse 2 'takes no value' list --json=yes
refuse 2 'takes no value' list --json=1
refuse 2 'the name of the directory is empty' list --socket=
long=$(printf '/%090d' 0)
refuse 2 'longer than 90 bytes' list "--socket=$long"
USCHED_SOCKET=$long refuse 2 'longer than 90 bytes' list
refuse 2 'this verb does not take it' list --count=3
refuse 2 'this verb does not take it' show 1 --dry-run
refuse 2 'it takes PID' show
refuse 2 'usage: schedctl set PID KEY=VALUE...' set 1
refuse 2 'too many arguments' show 1 2
refuse 2 'it takes no argument' list 1
refuse 2 'a target is a process id' show httpd
refuse 2 'a target is a process id' show 12x
refuse 2 'a target is a process id' show 12/
refuse 3 'no process has such an id' show 0
refuse 3 'counted from 1' show 1/0
refuse 3 'counted from 1' show 1/99999999999999999999
refuse 2 'whole number' stat 1 --count=some
refuse 2 'whole number' stat 1 --count=
refuse 2 'whole number' stat 1 --count=-1
for count in 0 1000000001 99999999999999999999; do
	refuse 6 'from 1 to 1000000000' stat 1 --count=$count
done
refuse 2 'it has no unit' stat 1 --interval=1
for interval in 1us 0s 3601s 99999999999999999999s; do
	refuse 6 'from 10ms to 3600s' stat 1 --interval=$interval
done
refuse 2 'the shells are' completion tcsh
refuse 2 'there is no such option' list -hx
refuse 2 'cannot read the option "-x"' list -hx
refuse 2 'its value is missing' stat 1 -hn
refuse 2 'whole number' stat 1 -hnx
refuse 2 'there is no such verb' help frobnicate
refuse 2 'too many arguments' help list show
verdict wrong_command_lines_are_refused

# Whatever the arguments hold: one line a text, no control character, valid JSON.
nasty=$(printf 'a\033[31m\001b\rc\302\233d\377e')
for place in "show $nasty" "set 1 $nasty=1ms" "set 1 quantum=$nasty" "set 1 $nasty" "$nasty" "list --$nasty" \
	"stat 1 --count=$nasty" "stat 1 --interval=$nasty" "completion $nasty" "list --json=$nasty" \
	"status --socket=/$nasty" "show $nasty/2"; do
	# shellcheck disable=SC2086 # the arguments of a command
	schedctl $place > "$scratch/out" 2> "$scratch/err"
	# shellcheck disable=SC2086
	schedctl --json $place > "$scratch/json" 2>> "$scratch/err"
	if [ "$(cat "$scratch/out" "$scratch/err" "$scratch/json" | tr -d '\n' |
		LC_ALL=C tr -d '\040-\176' | wc -c)" != 0 ]; then
		wrong "control characters of the arguments came out: $(cat "$scratch/err" "$scratch/json" |
			cat -v)"
	fi
	if grep -q '"what":null' "$scratch/json"; then
		wrong "the object lacks what failed: $(cat "$scratch/json")"
	fi
	is_json "$scratch/json"
done
verdict arguments_are_shown_printable

expect 0 'Usage: schedctl' --help
expect 0 'Usage: schedctl' help
expect 0 'Usage: schedctl set PID' help set
expect 0 'Usage: schedctl help' help help
expect 0 '"verbs":[{"name":"list"' --json --help
is_json "$scratch/out"
expect 0 '"name":"interval","letter":"i","value":"TIME"' help -j
is_json "$scratch/out"
expect 0 '"verbs":[{"name":"set","arguments":"PID KEY=VALUE..."' --json help set
is_json "$scratch/out"
if grep -q '"name":"interval"' "$scratch/out" || ! grep -q '"name":"dry-run"' "$scratch/out"; then
	wrong "the options of set are others: $(cat "$scratch/out")"
fi
expect 0 '{"schema":1,' -jV
is_json "$scratch/out"
expect 0 '{"schema":1,' -Vj
expect 0 'Usage: schedctl set PID' set --help
expect 0 'Usage: schedctl set PID' --help set
expect 0 'schedctl 0' --version
expect 0 'schedctl 0' version
expect 0 '"uschedd":null' --json version
is_json "$scratch/out"
expect_list '"runtimes":[' -j
is_json "$scratch/out"
for shell in bash zsh fish; do
	expect 0 'completion' completion "$shell"
done
if command -v bash > /dev/null; then
	schedctl completion bash > "$scratch/completion"
	bash -n "$scratch/completion" 2>> "$complaints"
fi
verdict help_version_and_completion

# Every verb and option of the help is in the manual, and every verb has a section there.
schedctl --help > "$scratch/help"
sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$scratch/help" > "$scratch/verbs"
grep -o -e '--[a-z][a-z-]*' "$scratch/help" | sort -u > "$scratch/options"
if [ "$(wc -l < "$scratch/verbs")" -lt 9 ] || [ "$(wc -l < "$scratch/options")" -lt 7 ]; then
	wrong "the help has too few verbs or options: $(cat "$scratch/help")"
fi
while read -r verb; do
	if ! grep -Eq "^\.Ss $verb( |\$)" "$top/man/schedctl.1"; then
		wrong "schedctl.1 has no section on $verb"
	fi
	if ! grep -Eq "^\.Dl \\$ .*schedctl $verb" "$top/man/schedctl.1"; then
		wrong "schedctl.1 has no example of $verb"
	fi
done < "$scratch/verbs"
while read -r option; do
	if ! grep -qF -e "Fl -${option#--}" "$top/man/schedctl.1"; then
		wrong "schedctl.1 does not tell of $option"
	fi
done < "$scratch/options"
verdict the_manual_tells_of_every_verb_and_option

# shellcheck disable=SC2013
if grep -n '# *include *[<"]' "$top"/ctl/*.[ch] | grep -E '[<"]usched/' |
	grep -v '<usched/client.h>' > "$scratch/found"; then
	wrong "ctl/ includes more of the library than <usched/client.h>: $(cat "$scratch/found")"
fi
verdict the_tool_needs_the_client_header_only

if [ -w /dev/full ]; then
	schedctl version > /dev/full 2> "$scratch/err"
	got=$?
	if [ "$got" != 1 ] || ! grep -q 'No space left' "$scratch/err"; then
		wrong "a full device gave exit code $got: $(cat "$scratch/err")"
	fi
fi
verdict a_failed_flush_is_a_failure

# doctor may find that nothing works (1) on a very closed machine, but says it in the same form.
schedctl doctor > "$scratch/out" 2> "$scratch/err"
got=$?
if [ "$got" -gt 1 ] || ! grep -q '^MECHANISM  *VERDICT  *FOUND$' "$scratch/out"; then
	wrong "doctor: exit code $got: $(cat "$scratch/out" "$scratch/err")"
fi
for mechanism in tick-perf tick-timer tick-timerfd membarrier rseq stack-guard epoll-pwait2 \
	cgroup-quota affinity threads daemon; do
	if ! grep -Eq "^$mechanism +(ok|limited|missing) " "$scratch/out"; then
		wrong "doctor does not tell of $mechanism"
	fi
done
schedctl doctor --json > "$scratch/out" 2> "$scratch/err"
is_json "$scratch/out"
verdict doctor_tries_each_mechanism

# refusal WHAT REASON HINT: doctor, for people and as JSON, says it of the fake peer.
refusal()
{
	start "$1" none
	schedctl doctor > "$scratch/out" 2> "$scratch/err"
	if ! grep -q "^$pid (fake) was refused 7 carriers, and has 4 of at most 64: $2; .*$3" \
		"$scratch/out"; then
		wrong "doctor does not tell of carriers ($1): $(cat "$scratch/out" "$scratch/err")"
	fi
	schedctl doctor --json > "$scratch/out" 2> "$scratch/err"
	is_json "$scratch/out"
	if ! grep -q "\"pid\":$pid,[^}]*\"carriers_refused\":7,[^}]*\"why\":\"$2\",[^}]*$3" \
		"$scratch/out"; then
		wrong "doctor --json does not tell of carriers ($1): $(cat "$scratch/out")"
	fi
	stop 0
}

refusal refused 'Resource temporarily unavailable' 'pids.max'
refusal full 'carriers_max is reached' 'USCHED_CARRIERS_MAX'
start runtime none
schedctl doctor > "$scratch/out" 2> "$scratch/err"
if grep -q "^$pid .*refused" "$scratch/out"; then
	wrong "doctor tells of carriers that were not refused: $(cat "$scratch/out")"
fi
stop 0
verdict doctor_tells_who_lacks_carriers

# ---- a runtime ---------------------------------------------------------------------------------

start runtime none
for verb in show workers fibers stat; do
	expect 0 '' "$verb" "$pid"
	expect 0 '"schema":1' "$verb" "$pid" --json
	is_json "$scratch/out"
done
expect 0 'quantum=2ms' show "$pid"
expect 0 'tick=perf' show "$pid"
expect 0 'cpus=0-1' show "$pid"
expect 0 '"quantum_ns":2000000' show "$pid" --json
expect_list 'embedded'
expect_list "\"pid\":$pid,\"runtime\":1" --json
expect 0 'read fd 11' fibers "$pid"
if grep -q "$(printf '\033')" "$scratch/out"; then
	wrong "a name's control characters reached the terminal"
fi
expect 0 '0x4ffffffff' fibers "$pid"
expect 0 'all' stat "$pid"
expect 0 'TICK/s' stat "$pid" --interval=50ms --count=2
if [ "$(wc -l < "$scratch/out")" != 3 ]; then
	wrong "two intervals are a title and two lines: $(cat "$scratch/out")"
fi
schedctl stat "$pid" -i 50ms -jn2 > "$scratch/out" 2> "$scratch/err"
if [ "$(grep -c '^{"schema":1,.*"elapsed_ns":.*}$' "$scratch/out")" != 2 ]; then
	wrong "two intervals are two objects: $(cat "$scratch/out")"
fi
verdict a_runtime_is_shown

refuse 2 'it has no unit' set "$pid" quantum=5
refuse 2 'units ns, us, ms, s' set "$pid" quantum=5
refuse 2 'its unit is not known' set "$pid" quantum=5min
refuse 2 'not a number' set "$pid" quantum=fast
refuse 2 'not a number' set "$pid" quantum=
refuse 2 'not a number' set "$pid" quantum=-1ms
refuse 2 'no digit after the point' set "$pid" quantum=1.ms
refuse 2 'as KEY=VALUE' set "$pid" quantum
refuse 2 'the tunables are: quantum' set "$pid" quantm=1ms
refuse 2 'the tunables are: quantum' set "$pid" =1ms
for quantum in 2s 99us 0us 99999999999999999999s; do
	refuse 6 'give off, auto, or from 100us to 1s' set "$pid" "quantum=$quantum"
	refuse 6 'is out of range' set "$pid" "quantum=$quantum"
done
refuse 3 'no runtime number 2' set "$pid/2" quantum=1ms
expect 3 "cannot open process $pid/2" set "$pid/2" quantum=1ms
expect 0 '2ms -> 1ms -> 1ms' set "$pid" quantum=1ms --dry-run
expect 0 'nothing was changed' set "$pid" quantum=1ms --dry-run
expect 0 'quantum=2ms' show "$pid"
stop 0
verdict a_wrong_set_changes_nothing

start runtime none
expect 0 '2ms -> 500us -> 500us' set "$pid" quantum=500us
expect 0 'every carrier acknowledged after' set "$pid" quantum=1.5ms
expect 0 'quantum=1.5ms' show "$pid"
expect 0 '1.5ms -> 100us -> 120us' set "$pid" quantum=100us
expect 0 'limited by' set "$pid" quantum=100us
expect 0 '"effective_ns":0' --json set "$pid" quantum=off
is_json "$scratch/out"
expect 0 'quantum=off' show "$pid"
stop 5
verdict a_set_is_acknowledged

start slow none
refuse 1 'not every carrier has acknowledged' set "$pid" quantum=1ms
stop 2
verdict a_set_without_acknowledgement_fails

# ---- bad targets -------------------------------------------------------------------------------

sleep 0 &
gone=$!
wait "$gone"
refuse 3 'there is no process' show "$gone"
refuse 3 'there is no process' set "$gone" quantum=1ms
refuse 3 'no usched runtime' show "$$"
refuse 3 'no usched runtime' set "$$" quantum=1ms
refuse 3 'no process has such an id' show 99999999999
verdict a_target_that_is_none_is_told

for fault in silent hangup short magic serial length no-descriptors pipe file workers retired; do
	start runtime "$fault"
	case $fault in
	silent) refuse 1 'timed out' show "$pid" ;;
	*) refuse 1 'bad answer' show "$pid" ;;
	esac
	stop 0
done
start runtime refuse
refuse 4 'permission denied' set "$pid" quantum=1ms
refuse 4 'permission denied' show "$pid"
expect 1 'could not be read' list
if ! grep -qE "^ *$pid .* -  *-  *-  *-  *-\$" "$scratch/out"; then
	wrong "the table of what could be read lacks process $pid: $(cat "$scratch/out")"
fi
expect 1 "\"pid\":$pid,\"runtime\":1" list --json
is_json "$scratch/out"
if grep -q '"unreadable":0' "$scratch/out"; then
	wrong "none is unreadable: $(cat "$scratch/out")"
fi
stop 0
verdict a_wrong_runtime_is_told

# ---- the daemon --------------------------------------------------------------------------------

refuse 5 'there is no daemon' status
refuse 5 'there is no daemon' list --socket="$scratch/none"
expect_list 'no daemon at'
start attached none
refuse 5 'there is no daemon' set "$pid" quantum=1ms
stop 0
mkdir "$scratch/dir"
: > "$scratch/dir/control.sock"
refuse 5 'daemon unreachable' status --socket "$scratch/dir"
rm "$scratch/dir/control.sock"
for fault in silent hangup short long magic major serial type length; do
	start daemon "$fault" "$scratch/dir"
	refuse 5 'daemon unreachable' status --socket "$scratch/dir"
	USCHED_SOCKET=$scratch/dir refuse 5 'daemon unreachable' list
	stop 0
	rm "$scratch/dir/control.sock"
done
verdict a_daemon_that_is_none_is_told

start daemon none "$scratch/dir" "$$"
expect 0 'version=0.1.0' --socket "$scratch/dir" status
expect 0 '"epoch":42' status --json --socket="$scratch/dir"
is_json "$scratch/out"
expect_list 'listed' --socket="$scratch/dir"
expect_list '"daemon":true' --socket="$scratch/dir" --json
expect 0 'uschedd 0.1.0' version --socket="$scratch/dir"
stop 0
rm -f "$scratch/dir/control.sock"
verdict the_daemon_is_shown

exit "$failed"
