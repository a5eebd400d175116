# SPDX-License-Identifier: MIT
#
# One row of the table, from what wrk said:
#	awk -f summarize.awk LIGHT HEAVY
# LIGHT has the output of light.lua (of several windows, one after the other) and lines "ticks N NANOSECONDS"
# HEAVY has the lines "done TIME" of heavy.lua, in order of time.
#
# Output, separated by tabs, times in microseconds; ticks/s is -1 when it is not known:
#	requests/s p50 p99 p99.9 samples late heavy/s heavy-answers ticks/s requests
#
# The heavy rate is the slope of the line that fits (time, number) of the answers best, over all
# windows. Counting the answers of a window instead would depend on where in a job it begins and
# ends: jobs that run side by side also end side by side, eight at a time.

function percentile(p,    want, seen, i) {
	want = p * samples
	for (i = 1; i <= distinct; i++) {
		seen += count[values[i]]
		if (seen >= want)
			return values[i]
	}
	return 0
}

# Insertion sort: few of the values, which come sorted once per window, are out of place.
function sort_values(    i, j, v) {
	for (i = 2; i <= distinct; i++) {
		v = values[i]
		for (j = i - 1; j >= 1 && values[j] > v; j--)
			values[j + 1] = values[j]
		values[j + 1] = v
	}
}

$1 == "count" {
	requests += $2
	if ($6 > late)
		late = $6
}
$1 == "ticks" {
	ticks += $2
	tick_seconds += $3 * 1e-9
}
$1 == "window" {
	windows++
	begin[windows] = $2
	end[windows] = $3
	seconds += $3 - $2
}
$1 == "latency" {
	if (!($2 in count))
		values[++distinct] = $2 + 0
	count[$2] += $3
	samples += $3
}
$1 == "done" {
	for (w = 1; w <= windows; w++)
		if ($2 >= begin[w] && $2 < end[w]) {
			n[w]++
			t = $2 - begin[w]
			sum_t[w] += t
			sum_n[w] += n[w]
			sum_tt[w] += t * t
			sum_tn[w] += t * n[w]
		}
}
END {
	if (seconds <= 0 || samples == 0) {
		print "summarize.awk: no window and no latency in the input" > "/dev/stderr"
		exit 1
	}
	for (w = 1; w <= windows; w++)
		if (n[w] > 1) {
			over += sum_tn[w] - sum_t[w] * sum_n[w] / n[w]
			under += sum_tt[w] - sum_t[w] * sum_t[w] / n[w]
			heavy += n[w]
		}
	sort_values()
	rate = (under > 0) ? over / under : 0
	tick_rate = (tick_seconds > 0) ? ticks / tick_seconds : -1
	printf("%.1f\t%d\t%d\t%d\t%d\t%d\t%.2f\t%d\t%.0f\t%d\n", requests / seconds, percentile(0.50),
		percentile(0.99), percentile(0.999), samples, late, rate, heavy, tick_rate, requests)
}
