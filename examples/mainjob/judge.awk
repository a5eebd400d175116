# SPDX-License-Identifier: MIT
#
# What the table shows, in one sentence computed from it, and each figure beside its target:
#	awk -v shared=yes|no -v targets=FILE -f judge.awk off.row 2ms.row 500us.row threads.row
# The rows are lines of summarize.awk. FILE gets "name value limit met", separated by tabs, where met
# is true, false, or null when servers and loads share their CPUs: then no target applies.

function verdict(met, target) {
	return (shared == "yes") ? "" : " (target " target ": " (met ? "met" : "MISSED") ")"
}
function record(name, value, limit, met) {
	printf("%s\t%.4f\t%s\t%s\n", name, value, limit,
		(shared == "yes") ? "null" : (met ? "true" : "false")) > targets
}

BEGIN { FS = "\t" }
{
	row = FILENAME
	sub(/.*\//, "", row)
	sub(/\.row$/, "", row)
	p50[row] = $2 / 1000
	p99[row] = $3 / 1000
	heavy[row] = $7
}
END {
	if (p99["2ms"] <= 0 || heavy["off"] <= 0) {
		print "judge.awk: a row is missing" > "/dev/stderr"
		exit 1
	}
	ratio = p99["off"] / p99["2ms"]
	kept = heavy["2ms"] / heavy["off"]
	record("p99_off_over_2ms", ratio, "10", ratio >= 10)
	record("p50_500us_ms", p50["500us"], "2", p50["500us"] < 2)
	record("heavy_2ms_over_off", kept, "0.95", kept >= 0.95)

	printf("Beside jobs that compute without end, preempting every 2 ms gives / a p99 of %.1f ms instead " \
		"of %.1f ms, %s%s; every 500 us, a p50 of %.2f ms%s; at 2 ms the jobs keep %.1f %% of their " \
		"throughput%s; and a kernel thread for each connection gives a p99 of %.1f ms and %.1f %%%s.\n",
		p99["2ms"], p99["off"],
		(ratio >= 1) ? sprintf("%.1f times lower", ratio) : "which is no lower",
		verdict(ratio >= 10, "10 times"), p50["500us"], verdict(p50["500us"] < 2, "below 2 ms"),
		100 * kept, verdict(kept >= 0.95, "95 %"), p99["threads"],
		100 * heavy["threads"] / heavy["off"],
		(shared == "yes") ? "; servers and loads shared their CPUs, so no target applies" : "")
}
