# SPDX-License-Identifier: MIT
#
# Benchmarks: ours link libusched.la; peers (Boost.Fiber, Go) are built by bench/run when their
# packages are there. Programs go to noinst_PROGRAMS, scripts to EXTRA_DIST.
