# SPDX-License-Identifier: MIT
#
# One CUnit program per module: append its name to test_programs in the block of its layer. The
# source tests/t_<module>.c is found by itself; libcore, the harness and CUnit are linked by default
# (LDADD). Programs that a script drives go to check_PROGRAMS with an LDADD of their own.
# Shell tests (tests/*.sh, exit 0, 1 or 77) go to test_scripts.

test_programs =
test_scripts =

LDADD = tests/libharness.la libcore.la $(CUNIT_LIBS)

check_LTLIBRARIES += tests/libharness.la
tests_libharness_la_SOURCES = tests/harness.c tests/harness.h
tests_libharness_la_CFLAGS = $(AM_CFLAGS) $(CUNIT_CFLAGS)

# The harness itself
test_programs += tests/t_harness

# L0 base
test_programs += tests/t_base

# L1 arch
test_programs += tests/t_arch tests/t_frames
tests_t_arch_SOURCES = tests/t_arch.c tests/parties.h tests/step_registers.S tests/step_registers.h
tests_t_frames_SOURCES = tests/t_frames.c tests/parties.h tests/step_arch.c \
	tests/step_registers.S tests/step_registers.h

# L2 memory
test_programs += tests/t_table tests/t_topology tests/t_stack tests/t_overflow

# L3 fiber to L7 io, as a program sees them
test_programs += tests/t_fiber tests/t_sync tests/t_preempt tests/t_io tests/t_short tests/t_polls tests/t_kernel

# L4 worker
test_programs += tests/t_ring tests/t_order tests/t_timers tests/t_birth

# L5 preempt
test_programs += tests/t_modes tests/t_slices
tests_t_modes_SOURCES = tests/t_modes.c tests/decided.h
tests_t_modes_LDADD = $(LDADD) -lm
test_programs += tests/t_float tests/t_fenv
tests_t_float_SOURCES = tests/t_float.c tests/environments.h
tests_t_float_LDADD = $(LDADD) -lm
tests_t_fenv_SOURCES = tests/t_fenv.c tests/environments.h
tests_t_fenv_LDADD = $(LDADD) -lm
tests_t_slices_SOURCES = tests/t_slices.c tests/decided.h
test_programs += tests/t_held
tests_t_held_SOURCES = tests/t_held.c tests/decided.h
test_programs += tests/t_protocol tests/t_looks tests/t_handoff tests/t_revoke tests/t_ticks
tests_t_protocol_SOURCES = tests/t_protocol.c tests/forced.h
tests_t_looks_SOURCES = tests/t_looks.c tests/forced.h
tests_t_handoff_SOURCES = tests/t_handoff.c tests/forced.h
tests_t_revoke_SOURCES = tests/t_revoke.c tests/forced.h
tests_t_ticks_SOURCES = tests/t_ticks.c tests/forced.h
test_programs += tests/t_step
tests_t_step_SOURCES = tests/t_step.c tests/forced.h tests/step_symbols.c tests/step_symbols.h
test_programs += tests/t_signals tests/t_default_action tests/t_spares
tests_t_signals_SOURCES = tests/t_signals.c tests/loop_and_sleeper.h
tests_t_spares_SOURCES = tests/t_spares.c tests/comes_true.h tests/own_process.h
tests_t_default_action_SOURCES = tests/t_default_action.c tests/in_child.h tests/loop_and_sleeper.h
test_programs += tests/t_fork tests/t_process tests/t_interrupted
tests_t_fork_SOURCES = tests/t_fork.c tests/children.h tests/under_ticks.h
tests_t_process_SOURCES = tests/t_process.c tests/children.h tests/under_ticks.h
tests_t_interrupted_SOURCES = tests/t_interrupted.c tests/under_ticks.h
test_programs += tests/t_fallback tests/t_limits
tests_t_fallback_SOURCES = tests/t_fallback.c tests/deny.h tests/in_child.h
tests_t_limits_SOURCES = tests/t_limits.c tests/comes_true.h tests/deny.h tests/in_child.h
test_programs += tests/t_model
tests_t_model_SOURCES = tests/t_model.c tests/model/model.h tests/model/memory.c \
	tests/model/explore.c tests/model/protocol.h tests/model/protocol.c \
	tests/model/carrier.c tests/model/user.c tests/model/pick.c tests/model/tick.c \
	tests/model/idle.c tests/model/monitor.c tests/model/outside.c \
	tests/model/words.c tests/model/checks.c tests/model/steps.h tests/model/weak.h \
	tests/model/queues.h tests/model/part.h tests/model/ring.c \
	tests/model/spares.c tests/model/event.h tests/model/event.c \
	tests/model/period.h tests/model/period.c \
	tests/model/dismiss.c tests/model/inbox.c tests/model/bias.c tests/model/pairs.c

# L6 sync
test_programs += tests/t_biased
tests_t_biased_SOURCES = tests/t_biased.c tests/forced.h
test_programs += tests/t_event tests/t_handler
tests_t_event_SOURCES = tests/t_event.c tests/events.h
tests_t_handler_SOURCES = tests/t_handler.c tests/events.h

# L7 time, io

# L9 shm
test_programs += tests/t_shm

# L10 runtime
test_programs += tests/t_settings tests/t_control tests/t_attach
tests_t_settings_SOURCES = tests/t_settings.c tests/own_process.h
tests_t_control_SOURCES = tests/t_control.c tests/lone_control.h tests/fake_host.h
tests_t_attach_SOURCES = tests/t_attach.c tests/lone_control.h tests/fake_host.h

# daemon
test_programs += tests/t_policy
tests_t_policy_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/daemon
tests_t_policy_LDADD = tests/libharness.la libpolicy.la libcore.la $(CUNIT_LIBS)
test_programs += tests/t_daemon tests/t_arbiter
tests_t_daemon_SOURCES = tests/t_daemon.c tests/real_daemon.h
EXTRA_tests_t_daemon_DEPENDENCIES = uschedd
tests_t_arbiter_SOURCES = tests/t_arbiter.c tests/real_daemon.h tests/fake_host.h
EXTRA_tests_t_arbiter_DEPENDENCIES = uschedd

# ctl
test_programs += tests/t_observe
test_programs += tests/t_client tests/t_list
tests_t_client_SOURCES = tests/t_client.c tests/fake_session.h tests/own_process.h tests/fake_peer.c \
	tests/fake_peer.h
tests_t_list_SOURCES = tests/t_list.c tests/fake_session.h tests/own_process.h tests/fake_peer.c \
	tests/fake_peer.h
check_PROGRAMS += tests/helper_fake
tests_helper_fake_SOURCES = tests/helper_fake.c tests/fake_peer.c tests/fake_peer.h
tests_helper_fake_LDADD = -lpthread
check_PROGRAMS += tests/helper_runtime
tests_helper_runtime_LDADD = libusched.la
EXTRA_tests_helper_runtime_DEPENDENCIES = schedctl uschedd
check_PROGRAMS += tests/helper_deny
tests_helper_deny_SOURCES = tests/helper_deny.c tests/deny.h
tests_helper_deny_LDADD =
test_scripts += tests/ctl.sh tests/ctl-live.sh tests/ctl-ticks.sh
EXTRA_DIST += tests/ctl-harness.sh

# examples, bench
test_scripts += tests/exceptions.sh
EXTRA_DIST += tests/exceptions.cpp tests/against-build.sh
test_scripts += tests/httpd.sh tests/scripts.sh
test_scripts += tests/e2e/kills.sh tests/e2e/grants.sh tests/e2e/forced.sh
test_scripts += tests/e2e/forced-kills.sh tests/e2e/forced-grants.sh
EXTRA_DIST += tests/e2e/common.bash
check_PROGRAMS += tests/e2e/hog
tests_e2e_hog_SOURCES = tests/e2e/hog.c
tests_e2e_hog_LDFLAGS = $(AM_LDFLAGS) -no-install
tests_e2e_hog_LDADD = libusched.la

# Shell tests; those whose cases collect what is wrong share a harness
EXTRA_DIST += tests/shell-harness.sh
test_scripts += tests/check-layers.sh tests/check-headers.sh tests/check-objects.sh \
	tests/check-summary.sh
EXTRA_DIST += tests/layers.txt

# Fuzzers: libFuzzer programs, tests/fuzz/f_<what>.c, built by `make fuzz` after configure
# --enable-fuzz and run by tests/fuzz/run. Each needs a line for its linker flags:
#	tests_fuzz_f_wire_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
#	tests_fuzz_f_wire_LDADD = libcore.la
fuzz_programs = tests/fuzz/f_answer tests/fuzz/f_request tests/fuzz/f_segments
tests_fuzz_f_answer_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_f_answer_LDADD = libcore.la
tests_fuzz_f_segments_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_f_segments_LDADD = libcore.la
tests_fuzz_f_request_SOURCES = tests/fuzz/f_request.c examples/httpd/request.c \
	examples/httpd/request.h
tests_fuzz_f_request_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_f_request_LDADD =
EXTRA_DIST += tests/fuzz/run tests/fuzz/seeds/f_request/get tests/fuzz/seeds/f_request/post
EXTRA_PROGRAMS += $(fuzz_programs)
.PHONY: fuzz
if FUZZ
fuzz: $(fuzz_programs)
else
fuzz:
	@echo "the fuzzers need ./configure --enable-fuzz CC=clang" >&2; exit 1
endif

# The storm: libraries under ticks from everywhere. A short form is in the suite; `make storm` takes
# STORM_SECONDS with each allocator.
check_PROGRAMS += tests/storm/storm
tests_storm_storm_SOURCES = tests/storm/storm.c tests/storm/storm.h tests/storm/drive.c \
	tests/storm/weather.c tests/storm/acts.c tests/storm/rows.c tests/storm/watch.c \
	tests/storm/groups.c tests/storm/groups.h tests/storm/canary.c tests/storm/canary.h \
	tests/storm/canary_x86_64.S tests/storm/canary_aarch64.S \
	tests/storm/group_memory.c tests/storm/group_text.c tests/storm/group_system.c \
	tests/storm/group_compress.c tests/storm/group_sqlite.c tests/storm/group_exceptions.c \
	tests/storm/exceptions.h
tests_storm_storm_CPPFLAGS = $(AM_CPPFLAGS) -DHAVE_ZLIB=1 -DHAVE_ZSTD=@have_zstd@ \
	-DHAVE_SQLITE=@have_sqlite@ -DHAVE_CXX=@have_cxx@
tests_storm_storm_CFLAGS = $(AM_CFLAGS) $(ZLIB_CFLAGS) $(ZSTD_CFLAGS) $(SQLITE_CFLAGS)
tests_storm_storm_LDADD = libcore.la $(ZLIB_LIBS) $(ZSTD_LIBS) $(SQLITE_LIBS) -lm -ldl
if HAVE_CXX
# Not instrumented by a sanitizer: the two compilers' need not fit together.
check_LTLIBRARIES += tests/storm/libexceptions.la
tests_storm_libexceptions_la_SOURCES = tests/storm/exceptions.cpp
tests_storm_storm_LDADD += tests/storm/libexceptions.la -lstdc++
endif
test_scripts += tests/storm.sh
EXTRA_DIST += tests/storm/run tests/storm/avx512 tests/storm/exceptions.cpp
STORM_SECONDS = 300
.PHONY: storm
storm: tests/storm/storm$(EXEEXT)
	$(SHELL) $(top_srcdir)/tests/storm/run --build $(abs_top_builddir) --seconds $(STORM_SECONDS)

# The documents: examples compiled and run, names that exist
test_scripts += tests/check-docs.sh tests/man-examples.sh
EXTRA_DIST += README.md HACKING.md DESIGN.md CHANGELOG.md

TEST_EXTENSIONS = .sh

if HAVE_CUNIT
check_PROGRAMS += $(test_programs)
TESTS += $(test_programs)
endif
TESTS += $(test_scripts)
EXTRA_DIST += $(test_scripts) tests/summary tests/launch tests/skips.txt

# Each program runs under tests/launch: a time limit, and what a sanitizer or an emulator needs.
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/launch
SH_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/launch
AM_TESTS_ENVIRONMENT = \
	USCHED_SRCDIR='$(abs_top_srcdir)'; export USCHED_SRCDIR; \
	USCHED_BUILDDIR='$(abs_top_builddir)'; export USCHED_BUILDDIR; \
	USCHED_SANITIZER='$(usched_sanitizer)'; export USCHED_SANITIZER; \
	USCHED_ARCH='$(usched_arch)'; export USCHED_ARCH; \
	USCHED_HOST_CPU='$(host_cpu)'; export USCHED_HOST_CPU; \
	CC='$(CC)'; export CC; \
	USCHED_CPPFLAGS='$(CPPFLAGS) $(URCU_CFLAGS) $(NUMA_CFLAGS)'; export USCHED_CPPFLAGS;

# One line over all programs, counted per case: "N passed, N failed, N skipped". It comes after
# `make check`, whether that passed or not, and has an exit code of its own.
.PHONY: check-summary
check-summary:
	@USCHED_SANITIZER='$(usched_sanitizer)' $(SHELL) $(top_srcdir)/tests/summary $(top_srcdir)/tests/skips.txt $(TEST_LOGS)

if !HAVE_CUNIT
check-local:
	@echo "CUnit is not installed (Debian: libcunit1-dev), so only the shell tests ran" >&2
endif
