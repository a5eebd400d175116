# SPDX-License-Identifier: MIT
#
# Benchmarks: ours link libusched.la; peers (Boost.Fiber, Go) are built by bench/run when their
# packages are there. Programs go to noinst_PROGRAMS, scripts to EXTRA_DIST.

noinst_PROGRAMS += bench/usched_basic
bench_usched_basic_SOURCES = bench/usched_basic.c
bench_usched_basic_LDFLAGS = $(AM_LDFLAGS) -no-install
bench_usched_basic_LDADD = libusched.la
EXTRA_DIST += bench/run bench/peers.sh bench/README.md bench/workloads/basic.sh \
	bench/boost_basic.cpp bench/go_basic.go

.PHONY: bench
bench: bench/usched_basic
	$(srcdir)/bench/run --build $(abs_top_builddir)
