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
libcore_la_SOURCES += lib/base/child.c lib/base/child.h
libcore_la_SOURCES += lib/base/disposition.c lib/base/disposition.h
libcore_la_SOURCES += lib/base/duration.c lib/base/duration.h
libcore_la_SOURCES += lib/base/environment.c lib/base/environment.h
libcore_la_SOURCES += lib/base/errno.c lib/base/errno.h
libcore_la_SOURCES += lib/base/printable.c lib/base/printable.h
libcore_la_SOURCES += lib/base/futex.h lib/base/clock.h lib/base/list.h lib/base/membarrier.h

# L1 arch: every CPU's files are listed here, so that each is in the tarball; one block is built.
libcore_la_SOURCES += lib/arch/context.h lib/arch/cpu.h lib/arch/float_environment.h
libcore_la_SOURCES += lib/arch/sanitize.h
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
libcore_la_SOURCES += lib/memory/overflow.c lib/memory/overflow.h

# L3 fiber
libcore_la_SOURCES += lib/fiber/fiber.h lib/fiber/waiter.h

# L4 worker
libcore_la_SOURCES += lib/worker/ahead.h lib/worker/birth.c lib/worker/carrier.c lib/worker/carrier.h
libcore_la_SOURCES += lib/worker/dispatch.c lib/worker/dispatch.h lib/worker/find.c
libcore_la_SOURCES += lib/worker/decision.h lib/worker/handoff.c lib/worker/inbox.h lib/worker/poll.h
libcore_la_SOURCES += lib/worker/registry.c lib/worker/registry.h lib/worker/ring.h
libcore_la_SOURCES += lib/worker/scheduler.h lib/worker/step.h lib/worker/timers.c
libcore_la_SOURCES += lib/worker/timers.h

# L5 preempt
libcore_la_SOURCES += lib/preempt/code.c lib/preempt/code.h lib/preempt/decide.c
libcore_la_SOURCES += lib/preempt/wakeup.c lib/preempt/wakeup.h
libcore_la_SOURCES += lib/preempt/monitor.c lib/preempt/monitor.h
libcore_la_SOURCES += lib/preempt/signal.c lib/preempt/tick.c lib/preempt/tick.h

# L6 sync
libcore_la_SOURCES += lib/sync/biased.c lib/sync/biased.h lib/sync/channel.c lib/sync/event.c
libcore_la_SOURCES += lib/sync/event.h lib/sync/join.c
libcore_la_SOURCES += lib/sync/mutex.c lib/sync/preempt.c lib/sync/sleep.c
libcore_la_SOURCES += lib/sync/wait.c lib/sync/wait.h

# L7 io
libcore_la_SOURCES += lib/io/descriptor.c lib/io/descriptor.h lib/io/socket.c

# L9 shm
libcore_la_SOURCES += lib/shm/layout.h lib/shm/wire.h lib/shm/segment.h lib/shm/segment.c
libcore_la_SOURCES += lib/shm/message.h lib/shm/message.c
libcore_la_SOURCES += lib/shm/tunable.h lib/shm/tunable.c

# L9 client
libcore_la_SOURCES += lib/client/session.c lib/client/session.h lib/client/exchange.c lib/client/exchange.h
libcore_la_SOURCES += lib/client/segments.c lib/client/segments.h lib/client/runtime.c lib/client/runtime.h
libcore_la_SOURCES += lib/client/find.c lib/client/list.c lib/client/snapshot.c lib/client/fibers.c
libcore_la_SOURCES += lib/client/set.c

# L10 runtime
libcore_la_SOURCES += lib/runtime/overflowed.c
libcore_la_SOURCES += lib/runtime/build.c lib/runtime/control.c lib/runtime/control.h
libcore_la_SOURCES += lib/runtime/control_attach.c lib/runtime/control_observe.c
libcore_la_SOURCES += lib/runtime/control_private.h lib/runtime/host.c lib/runtime/options.c
libcore_la_SOURCES += lib/runtime/fork.c
libcore_la_SOURCES += lib/runtime/options.h lib/runtime/runtime.c lib/runtime/runtime.h
libcore_la_SOURCES += lib/runtime/spares.c lib/runtime/spawn.c lib/runtime/threads.c lib/runtime/tunables.c

libusched_la_SOURCES =
libusched_la_LIBADD = libcore.la
libusched_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-Wl,--version-script=$(top_srcdir)/lib/libusched.map
EXTRA_libusched_la_DEPENDENCIES = $(top_srcdir)/lib/libusched.map
EXTRA_DIST += lib/libusched.map
