-- SPDX-License-Identifier: MIT
--
-- The measured load: "/" at one fixed offered rate, whatever the answers take.
--
--	wrk -t1 -cN -dT -s light.lua URL -- RATE PAUSE BODY
--
-- The first request is due PAUSE seconds after the start: all connections are open by then, and the
-- quantum of the server can be changed meanwhile.
--
-- wrk asks delay() how long a connection shall wait before its next request. Here each call takes
-- the next slot of one time table, slot k at start + k / RATE. As long as any connection is free
-- when its slot comes, requests are sent on time, and the latency that wrk measures from there is
-- what a client would see. When all N connections wait for answers, slots pass unused and are made
-- up for later: `late` is the longest such delay. It is not part of the latencies, so it is reported
-- beside them; choose N above RATE times the longest latency, and it stays near zero.
--
-- Output, times in microseconds:
--	window START END			first and last answer, seconds of CLOCK_MONOTONIC
--	count REQUESTS CHECKED WRONG ERRORS LATE
--	latency VALUE COUNT			one line per distinct value

local ffi = require("ffi")
ffi.cdef("struct light_time { long seconds; long ns; }; int clock_gettime(int, struct light_time *);")
local time = ffi.new("struct light_time")

local function now()
	ffi.C.clock_gettime(1, time)
	return tonumber(time.seconds) + tonumber(time.ns) * 1e-9
end

local all_threads = {}

function setup(thread)
	table.insert(all_threads, thread)
end

function init(args)
	rate = tonumber(args[1])
	pause = tonumber(args[2])
	body_wanted = args[3] .. "\n"
	slot = 0
	begun = 0
	first = math.huge
	last = 0
	late = 0
	checked = 0
	wrong = 0
end

function delay()
	local t = now()
	if begun == 0 then
		begun = t + pause
	end
	local wait = begun + slot / rate - t
	slot = slot + 1
	if wait >= 0 then
		return math.ceil(wait * 1000)
	end
	late = math.max(late, -wait)
	return 0
end

function response(status, headers, body)
	checked = checked + 1
	last = now()
	first = math.min(first, last)
	if status ~= 200 or body ~= body_wanted or tonumber(headers["Content-Length"]) ~= #body then
		wrong = wrong + 1
	end
end

function done(summary, latency, requests)
	local checked, wrong, late, first, last = 0, 0, 0, math.huge, 0
	local e = summary.errors
	for _, thread in ipairs(all_threads) do
		checked = checked + thread:get("checked")
		wrong = wrong + thread:get("wrong")
		late = math.max(late, thread:get("late"))
		first = math.min(first, thread:get("first"))
		last = math.max(last, thread:get("last"))
	end
	print(string.format("window %.6f %.6f", first, last))
	print(string.format("count %d %d %d %d %d", summary.requests, checked, wrong,
		e.connect + e.read + e.write + e.status + e.timeout, late * 1e6))
	for i = 1, #latency do
		local value, count = latency(i)
		print(string.format("latency %d %d", value, count))
	end
end
