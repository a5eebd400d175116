-- SPDX-License-Identifier: MIT
--
-- The heavy load: each connection sends the next request a millisecond after it has its answer. Every
-- answer is checked against the length of one that was unpacked and compared before.
--
-- The millisecond is for the row without preemption. wrk has the end of an answer while the server is
-- still inside its write; a next request that comes at once is there when the fiber looks for it, so
-- the fiber never waits and never gives way, for as long as chance will have it. The pause makes it
-- wait once per request, and that row shows what a cooperative scheduler does at its best.
--
--	wrk -t1 -cN -dT -s heavy.lua URL -- BODY-BYTES
--
-- Output:
--	count REQUESTS CHECKED WRONG ERRORS
--	done TIME			of each answer, in seconds of CLOCK_MONOTONIC

local ffi = require("ffi")
ffi.cdef("struct heavy_time { long seconds; long ns; }; int clock_gettime(int, struct heavy_time *);")
local time = ffi.new("struct heavy_time")

local all_threads = {}

function setup(thread)
	table.insert(all_threads, thread)
end

function init(args)
	bytes_wanted = tonumber(args[1])
	times = {}
	checked = 0
	wrong = 0
end

function delay()
	return 1
end

function response(status, headers, body)
	ffi.C.clock_gettime(1, time)
	checked = checked + 1
	times[checked] = tonumber(time.seconds) + tonumber(time.ns) * 1e-9
	if status ~= 200 or #body ~= bytes_wanted or
	    tonumber(headers["Content-Length"]) ~= bytes_wanted then
		wrong = wrong + 1
	end
end

function done(summary, latency, requests)
	local checked, wrong = 0, 0
	local e = summary.errors
	for _, thread in ipairs(all_threads) do
		checked = checked + thread:get("checked")
		wrong = wrong + thread:get("wrong")
	end
	print(string.format("count %d %d %d %d", summary.requests, checked, wrong,
		e.connect + e.read + e.write + e.status + e.timeout))
	for _, thread in ipairs(all_threads) do
		for _, t in ipairs(thread:get("times")) do
			print(string.format("done %.6f", t))
		end
	end
end
