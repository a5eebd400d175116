# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
#
# What the tests with real processes share; sourced, not run. A case ends in one line, "ok NAME" or
# "FAIL NAME: why", which tests/summary counts.
#
# Every process that a test starts is entered in `children` and ended by its pid when the test ends,
# however it ends; sockets and files are below `scratch`, which goes with them.
set -u
export LC_ALL=C

top=${USCHED_SRCDIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
build=${USCHED_BUILDDIR:-$top/build}
failures=0
children=()
scratch=$(mktemp -d "${TMPDIR:-/tmp}/usched-e2e.XXXXXX") || exit 1
export USCHED_SOCKET=$scratch

end_children()
{
	local pid
	for pid in "${children[@]}"; do
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	children=()
}

leave()
{
	local status=$?
	trap - EXIT
	end_children
	rm -rf "$scratch"
	exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ok()	# NAME
{
	echo "ok $1"
}

bad()	# NAME WHY...
{
	local name=$1
	shift
	echo "FAIL $name: $*"
	failures=$((failures + 1))
}

# check NAME COMMAND...: the case holds when the command succeeds; what it prints is the reason.
check()
{
	local name=$1 why
	shift
	if "$@" > "$scratch/why" 2>&1; then
		ok "$name"
	else
		why=$(tr -d '\0' < "$scratch/why" | tr '\n' ' ')
		bad "$name" "${why:-"'$*' is false"}"
	fi
}

skip_all()	# LABEL WHY
{
	echo "SKIP: $1: $2"
	exit 77
}

finish()
{
	[ "$failures" -eq 0 ]
	exit
}

# wait_until SECONDS COMMAND...: a generous limit for what happens at once; never a measurement.
wait_until()
{
	local tries=$(($1 * 50))
	shift
	while ! "$@" > /dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.02
	done
}

gone()	# PID
{
	[ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}

forget()	# PID: it has ended and was waited for
{
	local pid rest=()
	for pid in "${children[@]}"; do
		[ "$pid" = "$1" ] || rest+=("$pid")
	done
	children=("${rest[@]}")
}

# A program of the build, under the emulator when it is for another CPU. Sets `pid`.
start()	# LOG PROGRAM ARGUMENTS...
{
	local log=$1
	shift
	# shellcheck disable=SC2086 # a command with arguments
	${USCHED_EMULATOR:-} "$@" > "$log.out" 2> "$log.err" &
	pid=$!
	children+=("$pid")
}

# Starts one of the two servers on a free port. Sets `pid`, `port` and `server_log`.
start_httpd()	# PROGRAM ROOT ARGUMENTS...
{
	local program=$1 root=$2
	shift 2
	server_log=$(mktemp "$scratch/$program.XXXXXX")
	start "$server_log" "$build/examples/httpd/$program" --root "$root" "$@"
	if ! wait_until 20 grep -q '^listening on ' "$server_log.out"; then
		bad "${program}_starts" "no 'listening on' line; stderr: $(tail -n 3 "$server_log.err")"
		exit 1
	fi
	port=$(sed -n 's/^listening on .*:\([0-9]*\), pid .*/\1/p' "$server_log.out")
}

# SIGTERM must end a process of ours with exit code 0.
stop_gently()	# PID LOG
{
	local status
	kill -TERM "$1" || return 1
	if ! wait_until 20 gone "$1"; then
		echo "still there 20 s after SIGTERM"
		return 1
	fi
	wait "$1"
	status=$?
	forget "$1"
	[ "$status" -eq 0 ] || echo "exit code $status after SIGTERM: $(tail -n 3 "$2.err")"
	return "$status"
}

# ---- the daemon and the tool ------------------------------------------------------------------

schedctl()
{
	"$build/schedctl" "$@"
}

# value KEY: of the first such member of the JSON on stdin, without its quotes.
value()
{
	tr -d ' \n' | sed -n 's/"'"$1"'":/\n/; s/^[^\n]*\n"\{0,1\}\([^",}]*\).*/\1/p'
}

needs()	# PROGRAM...: skips the whole test without them
{
	local program
	for program in "$@"; do
		command -v "$program" > /dev/null || skip_all no-tool "$program is not installed"
	done
}

# What qemu's user mode cannot show: whose process it is, where it runs, and how it dies.
needs_real_kernel()
{
	[ -z "${USCHED_EMULATOR:-}" ] || skip_all qemu "needs real processes, credentials and affinity"
}

start_daemon()	# sets daemon_pid
{
	start "$scratch/uschedd" "$build/uschedd" --socket-directory "$USCHED_SOCKET"
	daemon_pid=$pid
	if ! wait_until 20 schedctl status; then
		bad daemon_starts "no answer after 20 s; stderr: $(tail -n 3 "$scratch/uschedd.err")"
		exit 1
	fi
}

kill_hard()	# PID
{
	kill -KILL "$1"
	wait "$1" 2> /dev/null
	forget "$1"
}

attachment()	# PID
{
	schedctl show "$1" --json | value attachment
}

attached()	# PID
{
	[ "$(attachment "$1")" = daemon ]
}

detached()	# PID
{
	[ "$(attachment "$1")" != daemon ]
}

# shown PID KEY WANTED: what schedctl shows of a runtime.
shown()
{
	local got
	got=$(schedctl show "$1" --json | value "$2")
	echo "$2 is '$got', not '$3'"
	[ "$got" = "$3" ]
}

# The tick and the guards that the environment forces, if it does, are in force.
check_forced()	# CASE PID
{
	if [ -n "${USCHED_TICK:-}" ]; then
		check "$1_has_the_forced_tick" shown "$2" tick "$USCHED_TICK"
	fi
	if [ -n "${USCHED_GUARD:-}" ]; then
		check "$1_has_the_forced_guards" shown "$2" stack_guard "$USCHED_GUARD"
	fi
}

# A cgroup's CPU quota lets a runtime have fewer workers than there are CPUs to be counted.
quota_binds()	# PID
{
	[ "$(schedctl show "$1" --json | value cgroup_quota)" = true ]
}

listed()	# PID
{
	schedctl list --json | tr -d ' \n' | grep -q "\"pid\":$1[,}]"
}

# All passes of the daemon's policy that began after this call include what happened before it: the
# first may have been under way, the second was not.
two_passes()
{
	local first
	first=$(schedctl status --json | value policy_passes)
	wait_until 20 passes_reached $((first + 2))
}

passes_reached()	# NUMBER
{
	[ "$(schedctl status --json | value policy_passes)" -ge "$1" ]
}

# ---- loads ------------------------------------------------------------------------------------

# A document root with one file, and the length of its compressed form at level 6 by this server.
make_root()
{
	root=$scratch/root
	mkdir -p "$root"
	seq 1 100000 | head -c 500000 > "$root/corpus.txt"
}

learn_answer()	# PORT: sets answer_bytes
{
	curl -sS --fail --max-time 30 -o "$scratch/answer.gz" \
		"http://127.0.0.1:$1/gzip?file=corpus.txt" &&
		gzip -dc "$scratch/answer.gz" | cmp - "$root/corpus.txt" &&
		answer_bytes=$(stat -c %s "$scratch/answer.gz")
}

# Both loads of the main job, on this port, until stop_loads.
start_loads()	# PORT CONNECTIONS-HEAVY
{
	wrk -t1 -c"$2" -d60 --timeout 30 -s "$top/examples/mainjob/heavy.lua" \
		"http://127.0.0.1:$1/gzip?file=corpus.txt" -- "$answer_bytes" \
		> "$scratch/heavy.out" 2>&1 &
	heavy_pid=$!
	wrk -t1 -c32 -d60 --timeout 30 -s "$top/examples/mainjob/light.lua" "http://127.0.0.1:$1/" -- \
		300 0 'usched httpd: this answer took no work' > "$scratch/light.out" 2>&1 &
	light_pid=$!
	children+=("$heavy_pid" "$light_pid")
}

end_load()	# PID
{
	kill -INT "$1"
	if ! wait_until 20 gone "$1"; then
		echo "wrk did not end"
		return 1
	fi
	wait "$1"
	forget "$1"
}

# verdict FILE: every answer was there, whole and right, and there were some.
verdict()
{
	local requests checked wrong errors
	read -r requests checked wrong errors _ < <(sed -n 's/^count //p' "$scratch/$1.out") ||
		{ echo "no result: $(tail -n 2 "$scratch/$1.out")"; return 1; }
	echo "$requests answers: $checked checked, $wrong wrong, $errors failed"
	[ "$requests" -gt 0 ] && [ "$checked" -ge "$requests" ] && [ "$wrong" -eq 0 ] &&
		[ "$errors" -eq 0 ]
}

stop_loads()	# CASE: two cases, CASE.light and CASE.heavy
{
	check "$1.light_load_ends" end_load "$light_pid"
	check "$1.heavy_load_ends" end_load "$heavy_pid"
	check "$1.light_answers" verdict light
	check "$1.heavy_answers" verdict heavy
}
