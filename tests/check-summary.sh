#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/summary must count every case once and let nothing broken pass. Each case here hands it logs
# made by hand and compares its last line and its exit code.
set -eu

top=${USCHED_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT INT TERM
cd "$scratch"
failed=0

log()	# PROGRAM RESULT: text of the log on stdin
{
	cat > "$1.log"
	printf ':test-result: %s\n' "$2" > "$1.trs"
}

expect()	# CASE CI STATUS LAST-LINE LOG...
{
	name=$1 ci=$2 status=$3 last=$4
	shift 4
	got=0
	output=$(CI=$ci USCHED_SANITIZER=none sh "$top/tests/summary" skips.txt "$@") || got=$?
	if [ "$got" -eq "$status" ] && [ "$(printf '%s\n' "$output" | tail -n 1)" = "$last" ]; then
		echo "ok $name"
	else
		echo "FAIL $name: expected '$last' and exit $status, got exit $got and: $output"
		failed=1
	fi
}

# Labels that depend on the user who runs the suite are left out here.
cat > skips.txt <<'TABLE'
# program case label
t_skips	two	no-perf
TABLE

log t_good PASS <<'LOG'
ok one
ok two
Run Summary:    Type  Total
LOG
log t_bad FAIL <<'LOG'
ok one
FAIL two: t_bad.c:3: x
Run Summary:    Type  Total
LOG
log t_crash FAIL <<'LOG'
ok one
LOG
log t_quiet PASS <<'LOG'
ok one
LOG
log t_skips PASS <<'LOG'
ok one
skip two: no-perf: denied
Run Summary:    Type  Total
LOG
log t_other PASS <<'LOG'
ok one
skip two: no-perf: denied
Run Summary:    Type  Total
LOG
log shell PASS <<'LOG'
chatter
LOG
log shell-skips SKIP <<'LOG'
SKIP: no-tool: wrk is not installed
LOG
log shell-fails FAIL <<'LOG'
chatter
LOG

expect cases_are_counted no 0 '3 passed, 0 failed, 0 skipped' t_good.log shell.log
expect a_failed_case_fails no 1 '1 passed, 1 failed, 0 skipped' t_bad.log
expect a_crash_counts_as_failed no 1 '1 passed, 1 failed, 0 skipped' t_crash.log
expect a_missing_run_summary_fails no 1 '1 passed, 1 failed, 0 skipped' t_quiet.log
expect a_missing_log_fails no 1 '0 passed, 1 failed, 0 skipped' t_absent.log
expect no_log_at_all_fails no 1 '0 passed, 1 failed, 0 skipped'
expect a_silent_shell_failure_fails no 1 '0 passed, 1 failed, 0 skipped' shell-fails.log
expect a_skip_is_counted no 0 '1 passed, 0 failed, 1 skipped' t_other.log
expect a_listed_skip_passes_in_ci true 0 '1 passed, 0 failed, 1 skipped' t_skips.log
expect an_unlisted_skip_fails_in_ci true 1 '1 passed, 1 failed, 0 skipped' t_other.log
expect an_unlisted_shell_skip_fails_in_ci true 1 '0 passed, 1 failed, 0 skipped' shell-skips.log
exit $failed
