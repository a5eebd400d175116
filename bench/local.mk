# SPDX-License-Identifier: MIT
#
# Benchmarks: ours link libusched.la, threads and the echo client need nothing; peers (Boost.Fiber,
# Go, Tokio) are built by bench/run when their packages are there. Programs go to noinst_PROGRAMS,
# scripts to EXTRA_DIST.

usched_benches = bench/usched_basic bench/usched_loss bench/usched_preempt bench/usched_echo \
	bench/usched_set
bench_programs = $(usched_benches) bench/threads_preempt bench/threads_echo bench/echo_client
noinst_PROGRAMS += $(bench_programs)
noinst_HEADERS += bench/measure.h bench/endless.h

bench_usched_basic_SOURCES = bench/usched_basic.c
bench_usched_basic_LDFLAGS = $(AM_LDFLAGS) -no-install
bench_usched_basic_LDADD = libusched.la
bench_usched_loss_SOURCES = bench/usched_loss.c
bench_usched_loss_LDFLAGS = $(AM_LDFLAGS) -no-install
bench_usched_loss_LDADD = libusched.la
bench_usched_preempt_SOURCES = bench/usched_preempt.c
bench_usched_preempt_LDFLAGS = $(AM_LDFLAGS) -no-install
bench_usched_preempt_LDADD = libusched.la
bench_usched_echo_SOURCES = bench/usched_echo.c
bench_usched_echo_LDFLAGS = $(AM_LDFLAGS) -no-install
bench_usched_echo_LDADD = libusched.la
bench_usched_set_SOURCES = bench/usched_set.c
bench_usched_set_LDFLAGS = $(AM_LDFLAGS) -no-install
bench_usched_set_LDADD = libusched.la
bench_threads_preempt_SOURCES = bench/threads_preempt.c
bench_threads_echo_SOURCES = bench/threads_echo.c
bench_echo_client_SOURCES = bench/echo_client.c

EXTRA_DIST += bench/run bench/peers.sh bench/README.md \
	bench/workloads/basic.sh bench/workloads/preempt.sh bench/workloads/echo.sh \
	bench/workloads/set.sh \
	bench/boost_basic.cpp bench/boost_preempt.cpp \
	bench/go_basic.go bench/go_preempt.go bench/go_echo.go \
	bench/tokio_preempt.rs bench/tokio_echo.rs

.PHONY: bench
bench: $(bench_programs)
	$(srcdir)/bench/run --build $(abs_top_builddir)
