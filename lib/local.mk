# SPDX-License-Identifier: MIT
#
# libcore.la has every source of the library with its hidden symbols in reach: the tests and the
# daemon link it. libusched.la is the same objects behind the version script.
#
# Append sources and headers, one layer a block, lowest layer first:
#	libcore_la_SOURCES += lib/base/clock.c lib/base/clock.h
# Headers that programs include (include/usched) go to public_headers.

noinst_LTLIBRARIES += libcore.la
lib_LTLIBRARIES += libusched.la
public_headers = include/usched/usched.h include/usched/client.h

libcore_la_SOURCES =
libcore_la_LIBADD = $(URCU_LIBS) $(NUMA_LIBS) -lpthread

# L0 base
libcore_la_SOURCES += lib/base/assert.c lib/base/assert.h lib/base/format.c lib/base/format.h
libcore_la_SOURCES += lib/base/spinlock.c lib/base/spinlock.h lib/base/random.c lib/base/random.h
libcore_la_SOURCES += lib/base/duration.c lib/base/duration.h
libcore_la_SOURCES += lib/base/environment.c lib/base/environment.h
libcore_la_SOURCES += lib/base/futex.h lib/base/clock.h lib/base/list.h

# L1 arch: every CPU's files are listed here, so that each is in the tarball; one block is built.
libcore_la_SOURCES += lib/arch/context.h lib/arch/cpu.h lib/arch/sanitize.h
if ARCH_X86_64
libcore_la_SOURCES += lib/arch/x86_64/context.c lib/arch/x86_64/switch.S
endif
if ARCH_AARCH64
libcore_la_SOURCES += lib/arch/aarch64/context.c lib/arch/aarch64/switch.S
endif
if ARCH_GENERIC
libcore_la_SOURCES += lib/arch/generic/context.c
endif

# L2 memory
libcore_la_SOURCES += lib/memory/pseudo.c lib/memory/pseudo.h lib/memory/quota.c lib/memory/quota.h
libcore_la_SOURCES += lib/memory/topology.c lib/memory/topology.h
libcore_la_SOURCES += lib/memory/cycles.c lib/memory/cycles.h lib/memory/table.c lib/memory/table.h
libcore_la_SOURCES += lib/memory/guard.c lib/memory/guard.h lib/memory/stack.c lib/memory/stack.h

# L3 fiber

# L4 worker

# L5 preempt

# L6 sync

# L7 time, io

# L9 shm

# L9 client
libcore_la_SOURCES += lib/shm/layout.h lib/shm/wire.h
libcore_la_SOURCES += lib/client/session.c lib/client/session.h lib/client/exchange.c lib/client/exchange.h
libcore_la_SOURCES += lib/client/segments.c lib/client/segments.h lib/client/runtime.c lib/client/runtime.h
libcore_la_SOURCES += lib/client/find.c lib/client/list.c lib/client/snapshot.c lib/client/fibers.c
libcore_la_SOURCES += lib/client/set.c

# L10 runtime

libusched_la_SOURCES =
libusched_la_LIBADD = libcore.la
libusched_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-Wl,--version-script=$(top_srcdir)/lib/libusched.map
EXTRA_libusched_la_DEPENDENCIES = $(top_srcdir)/lib/libusched.map
EXTRA_DIST += lib/libusched.map
