/* SPDX-License-Identifier: MIT */
#ifndef CTL_PROBE_H
#define CTL_PROBE_H

/*
 * Trials of what a runtime would like to use. Each trial does the real thing, as far as it
 * leaves no trace, since settings and permissions say less than the call itself.
 */

enum ctl_verdict {
	CTL_WORKS,
	CTL_LIMITED,		/* works, with a limit or a worse substitute	*/
	CTL_MISSING,
};

struct ctl_probe {
	enum ctl_verdict verdict;
	char detail[160];	/* what was found		*/
	char hint[160];		/* what to do; empty: nothing	*/
};

struct ctl_probe_entry {
	const char *name;
	void (*run)(struct ctl_probe *probe);
};

extern const struct ctl_probe_entry ctl_probes[];	/* ends with a NULL name */

#endif /* CTL_PROBE_H */
