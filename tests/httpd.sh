#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Both servers against requests that are malformed, too large, unusual, or ask for what they may not
# have: each is answered with the right status, and the server serves the next one. The client is
# the shell itself, so that every byte sent is visible here.
# shellcheck disable=SC2317 # functions are called through check
# shellcheck source=tests/e2e/common.bash
. "$(dirname "$0")/e2e/common.bash"

root=$scratch/root
mkdir -p "$root/folder"
seq 1 20000 > "$root/numbers.txt"
cp "$root/numbers.txt" "$root/a b+c%.txt"
echo outside > "$scratch/outside.txt"
ln -s ../outside.txt "$root/way-out"
ln -s / "$root/slash"
ln -s numbers.txt "$root/alias"
mkfifo "$root/fifo"
crlf=$'\r\n'
host="Host: localhost$crlf"
close="${host}Connection: close$crlf$crlf"

repeat()	# COUNT TEXT
{
	local text
	printf -v text '%*s' "$1" ''
	printf '%s' "${text// /$2}"
}

# Sends its argument, byte for byte, and prints all that comes back until the server closes.
ask()
{
	local connection
	exec {connection}<> "/dev/tcp/127.0.0.1/$port" || return 1
	{ printf '%s' "$1" >&"$connection"; } 2> /dev/null
	timeout 15 cat <&"$connection"
	exec {connection}>&-
}

statuses()	# the status codes in a stream of responses
{
	sed -n 's,^HTTP/1\.1 \([0-9][0-9][0-9]\) .*,\1,p' | tr '\n' ' '
}

# answers NAME 'STATUS STATUS ...' REQUESTS: exactly these responses, then the connection is closed.
answers()
{
	local got
	got=$(ask "$3" 2>/dev/null | tr -d '\0' | statuses)
	if [ "$got" = "$2 " ]; then
		ok "$program.$1"
	else
		bad "$program.$1" "expected '$2 ', got '$got'"
	fi
}

says()	# NAME WANTED-TEXT REQUESTS
{
	local got
	got=$(ask "$3" 2>/dev/null | tr -d '\0\r')
	case $got in
	*"$2"*) ok "$program.$1" ;;
	*) bad "$program.$1" "'$2' is not in: ${got:0:200}" ;;
	esac
}

get()	# TARGET: a whole request, the last of its connection
{
	printf '%s' "GET $1 HTTP/1.1$crlf$close"
	printf x	# command substitution would drop the last newline
}

answers_to()	# NAME STATUS TARGET
{
	local request
	request=$(get "$3")
	answers "$1" "$2" "${request%x}"
}

unpacks()	# TARGET FILE: the body, unpacked, is the file
{
	local request
	request=$(get "$1")
	ask "${request%x}" > "$scratch/response"
	# The head ends with the first empty line; what follows is the body.
	sed '1,/^\r$/d' "$scratch/response" > "$scratch/body.gz"
	local wanted got
	wanted=$(sed -n 's/^Content-Length: \([0-9]*\)\r$/\1/p' "$scratch/response" | head -n 1)
	got=$(stat -c %s "$scratch/body.gz")
	if [ "$wanted" != "$got" ]; then
		echo "Content-Length says $wanted, the body has $got bytes"
		return 1
	fi
	gzip -dc < "$scratch/body.gz" | cmp - "$2"
}

# A client that sends its body only when it was told to.
expecting_client()
{
	local connection line rest
	exec {connection}<> "/dev/tcp/127.0.0.1/$port" || return 1
	printf '%s' "GET / HTTP/1.1${crlf}Expect: 100-continue${crlf}Content-Length: 5$crlf$close" \
		>&"$connection"
	IFS= read -r -t 15 line <&"$connection"
	printf 'hello' >&"$connection"
	rest=$(timeout 15 cat <&"$connection" | statuses)
	exec {connection}>&-
	echo "first '$line', then '$rest'"
	[ "$line" = $'HTTP/1.1 100 Continue\r' ] && [ "$rest" = '200 ' ]
}

# A client that sends half a request and then nothing: 408 after ten seconds, not for ever.
slow_client()
{
	local connection
	exec {connection}<> "/dev/tcp/127.0.0.1/$port" || return 1
	printf '%s' "GET / HTTP/1.1${crlf}Ho" >&"$connection"
	timeout 30 cat <&"$connection" | tr -d '\0' | statuses
	exec {connection}>&-
}

try_requests()
{
	local one="GET / HTTP/1.1$crlf$host$crlf" last="GET / HTTP/1.1$crlf$close" n headers

	# What it serves.
	says greeting 'this answer took no work' "$last"
	answers pipelining '200 200 404 200' "$one${one}GET /x HTTP/1.1$crlf$host$crlf$last"
	answers empty_lines_are_ignored '200' "$crlf$crlf$last"
	answers absolute_target '200' "GET http://localhost/ HTTP/1.1$crlf$close"
	says http_1_0_closes 'Connection: close' "GET / HTTP/1.0$crlf$crlf"
	answers http_1_0_keeps_when_asked '200 200' \
		"GET / HTTP/1.0${crlf}Connection: Keep-Alive$crlf${crlf}GET / HTTP/1.0$crlf$crlf"
	says head_has_length 'Content-Length: ' "HEAD / HTTP/1.1$crlf$close"
	n=$(ask "HEAD / HTTP/1.1$crlf$close" | sed '1,/^\r$/d' | wc -c)
	check "$program.head_has_no_body" [ "$n" -eq 0 ]
	answers bodies_are_discarded '200 200' \
		"GET / HTTP/1.1$crlf${host}Content-Length: 5$crlf${crlf}hello$last"
	answers large_bodies_are_discarded '200 200' \
		"GET / HTTP/1.1$crlf${host}Content-Length: 300000$crlf$crlf$(repeat 300000 x)$last"
	check "$program.continue_precedes_the_body" expecting_client
	check "$program.gzip_level_9" unpacks '/gzip?level=9&file=numbers.txt' "$root/numbers.txt"
	check "$program.gzip_level_1" unpacks '/gzip?level=1&file=numbers.txt' "$root/numbers.txt"
	check "$program.gzip_of_an_encoded_name" unpacks '/gzip?file=a%20b%2bc%25.txt' "$root/a b+c%.txt"
	check "$program.gzip_of_an_inner_link" unpacks '/gzip?file=alias' "$root/numbers.txt"
	check "$program.gzip_by_an_inner_detour" unpacks '/gzip?file=folder/../numbers.txt' \
		"$root/numbers.txt"

	# What it does not have, and what it must not give away.
	answers_to missing_page 404 /nothing
	answers_to missing_file 404 '/gzip?file=nothing.txt'
	answers_to missing_below_a_file 404 '/gzip?file=numbers.txt/x'
	answers_to parent 403 '/gzip?file=../outside.txt'
	answers_to encoded_parent 403 '/gzip?file=%2e%2e%2foutside.txt'
	answers_to deep_parent 403 '/gzip?file=folder/../../outside.txt'
	answers_to absolute_file 403 '/gzip?file=/etc/passwd'
	answers_to link_that_leads_out 403 '/gzip?file=way-out'
	answers_to folder_link_that_leads_out 403 '/gzip?file=slash/etc/passwd'
	answers_to folder 403 '/gzip?file=folder'
	answers_to fifo 403 '/gzip?file=fifo'
	answers_to name_with_a_zero 400 '/gzip?file=numbers.txt%00'
	answers_to half_an_escape 400 '/gzip?file=a%2'
	answers_to no_file 400 '/gzip'
	answers_to empty_file 400 '/gzip?file='
	answers_to level_0 400 '/gzip?file=numbers.txt&level=0'
	answers_to level_10 400 '/gzip?file=numbers.txt&level=10'
	answers_to level_twice 400 '/gzip?level=1&file=numbers.txt&level=2'
	answers_to unknown_key 400 '/gzip?file=numbers.txt&speed=9'

	# Methods and versions.
	answers post 405 "POST / HTTP/1.1$crlf${host}Content-Length: 3${crlf}Connection: close$crlf${crlf}abc"
	answers post_keeps_the_connection '405 200' \
		"POST / HTTP/1.1$crlf${host}Content-Length: 3$crlf${crlf}abc$last"
	says allowed_methods_are_named 'Allow: GET, HEAD' "DELETE / HTTP/1.1$crlf$close"
	answers options_star 405 "OPTIONS * HTTP/1.1$crlf$close"
	answers unknown_method 501 "BREW / HTTP/1.1$crlf$close"
	answers lower_case_method 501 "get / HTTP/1.1$crlf$close"
	answers version_2 505 "GET / HTTP/2.0$crlf$close"
	answers version_0_9 400 "GET /$crlf"
	answers version_nonsense 400 "GET / HTTP/one$crlf$close"

	# Malformed.
	answers no_request 400 "hello$crlf$crlf"
	answers many_empty_lines 400 "$crlf$crlf$crlf$crlf$crlf$last"
	answers binary 400 $'\x01\x02\x80\xff\r\n\r\n'
	answers bare_newline 400 "GET / HTTP/1.1"$'\n'"$close"
	answers two_spaces 400 "GET  / HTTP/1.1$crlf$close"
	answers space_in_target 400 "GET /a b HTTP/1.1$crlf$close"
	answers relative_target 400 "GET index.html HTTP/1.1$crlf$close"
	answers badly_encoded_path 400 "GET /%zz HTTP/1.1$crlf$close"
	answers no_host 400 "GET / HTTP/1.1$crlf$crlf"
	answers two_hosts 400 "GET / HTTP/1.1$crlf$host$close"
	answers header_without_colon 400 "GET / HTTP/1.1${crlf}Nonsense$crlf$close"
	answers space_before_colon 400 "GET / HTTP/1.1${crlf}Name : x$crlf$close"
	answers folded_header 400 "GET / HTTP/1.1${crlf}Name: x$crlf more$crlf$close"
	answers control_in_header 400 "GET / HTTP/1.1${crlf}Name: a"$'\x07'"b$crlf$close"
	answers length_not_a_number 400 "GET / HTTP/1.1${crlf}Content-Length: 5x$crlf$close"
	answers length_negative 400 "GET / HTTP/1.1${crlf}Content-Length: -1$crlf$close"
	answers length_twice 400 \
		"GET / HTTP/1.1${crlf}Content-Length: 1${crlf}Content-Length: 2$crlf$close"
	answers length_and_chunked 400 \
		"GET / HTTP/1.1${crlf}Content-Length: 5${crlf}Transfer-Encoding: chunked$crlf$close"
	answers chunked 501 "GET / HTTP/1.1${crlf}Transfer-Encoding: chunked$crlf${close}0$crlf$crlf"
	answers unknown_expectation 417 "GET / HTTP/1.1${crlf}Expect: a-miracle$crlf$close"
	answers nothing_follows_a_malformed_one '400' "GET / HTTP/1.1$crlf$crlf$last"

	# Oversized.
	answers longest_line 404 "GET /$(repeat $((8192 - 14)) a) HTTP/1.1$crlf$close"
	answers line_one_too_long 414 "GET /$(repeat $((8192 - 13)) a) HTTP/1.1$crlf$close"
	answers endless_line 414 "GET /$(repeat 100000 a)"
	answers long_header 431 "GET / HTTP/1.1${crlf}Name: $(repeat 9000 a)$crlf$close"
	headers=$(repeat 62 "A: b$crlf")
	answers most_headers 200 "GET / HTTP/1.1$crlf${headers%$'\r'}$crlf$close"
	headers=$(repeat 63 "A: b$crlf")
	answers too_many_headers 431 "GET / HTTP/1.1$crlf${headers%$'\r'}$crlf$close"
	headers=$(repeat 6 "A: $(repeat 6000 b)$crlf")
	answers too_large_headers 431 "GET / HTTP/1.1$crlf${headers%$'\r'}$crlf$close"
	answers body_too_large 413 \
		"GET / HTTP/1.1${crlf}Content-Length: 1048577$crlf$close$(repeat 3000 x)"
	answers length_overflows 413 \
		"GET / HTTP/1.1${crlf}Content-Length: 18446744073709551617$crlf$close"
	answers_to long_file_name 404 "/gzip?file=$(repeat 300 a)"
	answers_to very_long_file_name 400 "/gzip?file=$(repeat 2000 a)"
	answers_to long_path 404 "/$(repeat 3000 a)"

	# Clients that go away at any point harm nobody.
	for n in 1 2 3 4 5; do
		exec {gone_client}<> "/dev/tcp/127.0.0.1/$port"
		printf 'GET /gzip?file=numbers.txt HTTP/1.1\r\nHost: x\r\n%s' "$( ((n % 2)) && echo $'\r')" \
			>&"$gone_client"
		exec {gone_client}>&-
	done
	says still_serves 'this answer took no work' "$last"
}

command_line()	# EXIT-CODE PROGRAM ARGUMENTS...
{
	local wanted=$1 program=$build/examples/httpd/$2 status name=$2
	shift 2
	# shellcheck disable=SC2086 # a command with arguments
	${USCHED_EMULATOR:-} "$program" "$@" > "$scratch/text" 2>&1 < /dev/null
	status=$?
	[ "$status" -eq "$wanted" ] && [ "$(wc -l < "$scratch/text")" -ge 2 ] && grep -q "^$name: .*: " "$scratch/text" && return
	echo "exit $status: $(cat "$scratch/text")"
	return 1
}

running=()
for program in httpd httpd-threads; do
	check "$program.refuses_a_port" command_line 2 "$program" --root / --port http
	check "$program.refuses_a_large_port" command_line 6 "$program" --root / --port 70000
	check "$program.refuses_an_endless_port" command_line 6 "$program" --root / \
		--port 99999999999999999999
	check "$program.refuses_an_address" command_line 2 "$program" --root / --address localhost
	check "$program.refuses_no_root" command_line 2 "$program"
	check "$program.refuses_an_argument" command_line 2 "$program" --root / extra
	if [ "$program" = httpd ]; then
		check "$program.refuses_no_workers" command_line 6 "$program" --root / --workers 0
		check "$program.refuses_many_workers" command_line 6 "$program" --root / --workers 1025
		check "$program.refuses_some_workers" command_line 2 "$program" --root / --workers some
	else
		check "$program.refuses_workers" command_line 2 "$program" --root / --workers 1
	fi
	start_httpd "$program" "$root"
	server=$pid
	slow_client > "$scratch/slow.$program" 2>&1 &
	slow=$!
	children+=("$slow")
	running+=("$program $slow $server $server_log")
	try_requests
done
for result in "${running[@]}"; do
	read -r program slow server log <<< "$result"
	wait "$slow"
	forget "$slow"
	check "$program.slow_request" grep -qx '408 ' "$scratch/slow.$program"
	check "$program.ends_at_sigterm" stop_gently "$server" "$log"
done
finish
