/* SPDX-License-Identifier: MIT */
#ifndef USCHED_ARCH_CPU_H
#define USCHED_ARCH_CPU_H

/*
 * Small things that differ from CPU to CPU. This is the one header that asks which CPU it is
 * compiled for; the switch itself is chosen by configure (arch/context.h).
 */

#include <stdint.h>
#include <time.h>
#include <ucontext.h>

/* What one core takes from another at a time. Separates fields with different writers. */
#define USCHED_CACHELINE 64

/*
 * For memory that other processes map: pairs of lines travel together on x86 (the adjacent-line
 * prefetcher), and some aarch64 cores have lines of 128 bytes. A layout that two builds share must
 * not depend on which of them is right.
 */
#define USCHED_SHARED_CACHELINE 128

/*
 * USCHED_ARCH_RETURNS_ELSEWHERE - of a function that parks and then returns to the user's code
 *
 * A CPU expects a return to lead behind the last call, which another fiber made; so the first return to
 * code of the user's is mispredicted each time, 20 cycles of the 150 for half a ping-pong. By an indirect
 * jump it expects what followed the same steps before, which is right for fibers that take turns. The calls
 * that it has noted and that never return are those of the other fibers: it takes them wrong either way.
 * Not for a function that mostly returns without having parked. The compiler jumps to
 * __x86_return_thunk, which is in switch.S.
 */
#if defined(__x86_64__) && !USCHED_ARCH_GENERIC && defined(__has_attribute)
#if __has_attribute(function_return)
#define USCHED_ARCH_RETURNS_ELSEWHERE __attribute__((function_return("thunk-extern")))
#endif
#endif
#ifndef USCHED_ARCH_RETURNS_ELSEWHERE
#define USCHED_ARCH_RETURNS_ELSEWHERE
#endif

/**
 * usched_cpu_relax() - tell the core that this is a spin loop
 *
 * Callable from: anywhere.
 */
static inline void usched_cpu_relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause" : : : "memory");
#elif defined(__aarch64__)
	/* `yield` does nothing on most cores; isb waits for the pipeline. */
	__asm__ volatile("isb" : : : "memory");
#elif defined(__riscv)
	__asm__ volatile(".4byte 0x0100000f" : : : "memory");	/* pause, a hint */
#else
	__asm__ volatile("" : : : "memory");
#endif
}

/**
 * usched_cycles() - a counter that grows at a constant rate
 *
 * The rate is the caller's to find out: it differs from the core's clock. Not ordered with the
 * instructions around it; a few nanoseconds early or late. All cores of a machine agree, or nearly.
 *
 * Return:	ticks since some moment; on an unknown CPU, nanoseconds.
 * Callable from: anywhere, signal handler.
 */
static inline uint64_t usched_cycles(void)
{
#if defined(__x86_64__)
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
#endif
}

/**
 * usched_arch_pc() - the instruction that a signal interrupted
 * @frame:	third argument of an SA_SIGINFO handler
 *
 * Return:	its address; 0 on a CPU that this file does not know.
 * Callable from: signal handler.
 */
static inline uintptr_t usched_arch_pc(const ucontext_t *frame)
{
#if defined(__x86_64__)
	return (uintptr_t)frame->uc_mcontext.gregs[16];		/* REG_RIP */
#elif defined(__aarch64__)
	return (uintptr_t)frame->uc_mcontext.pc;
#elif defined(__riscv)
	return (uintptr_t)frame->uc_mcontext.__gregs[0];	/* REG_PC */
#else
	(void)frame;
	return 0;
#endif
}

/**
 * usched_arch_sp() - the stack pointer that a signal interrupted
 * @frame:	third argument of an SA_SIGINFO handler
 *
 * Return:	its value; 0 on a CPU that this file does not know.
 * Callable from: signal handler.
 */
static inline uintptr_t usched_arch_sp(const ucontext_t *frame)
{
#if defined(__x86_64__)
	return (uintptr_t)frame->uc_mcontext.gregs[15];		/* REG_RSP */
#elif defined(__aarch64__)
	return (uintptr_t)frame->uc_mcontext.sp;
#elif defined(__riscv)
	return (uintptr_t)frame->uc_mcontext.__gregs[2];	/* REG_SP */
#else
	(void)frame;
	return 0;
#endif
}

/**
 * usched_arch_link() - where a leaf function that a signal interrupted returns to
 * @frame:	third argument of an SA_SIGINFO handler
 *
 * Return:	the link register; 0 on a CPU that keeps return addresses in the stack.
 * Callable from: signal handler.
 */
static inline uintptr_t usched_arch_link(const ucontext_t *frame)
{
#if defined(__aarch64__)
	return (uintptr_t)frame->uc_mcontext.regs[30];
#elif defined(__riscv)
	return (uintptr_t)frame->uc_mcontext.__gregs[1];	/* REG_RA */
#else
	(void)frame;
	return 0;
#endif
}

/**
 * usched_arch_return_address() - the address in a word that may be a return address
 *
 * On aarch64 a return address may carry a signature above its 48 bits.
 *
 * Callable from: anywhere.
 */
static inline uintptr_t usched_arch_return_address(uintptr_t word)
{
#if defined(__aarch64__)
	return word & (((uintptr_t)1 << 48) - 1);
#else
	return word;
#endif
}

/*
 * Thread slots: one pointer per kernel thread that stays right across a switch.
 *
 *	USCHED_DECLARE_THREAD_SLOT(usched_carrier_self, struct usched_carrier *);	in the header
 *	USCHED_DEFINE_THREAD_SLOT(usched_carrier_self, struct usched_carrier *);	in one .c
 *
 *	struct usched_carrier *c = usched_carrier_self_get();
 *	usched_carrier_self_set(c);
 *
 * Compilers keep the address of a thread-local variable in a register across a call, since in C a
 * function never changes threads. So C never sees the address: a volatile asm finds and reads the
 * slot, and its memory clobber keeps it on its side of every call. The distance from the thread
 * pointer is the same in all threads, and on x86-64 the read through %fs is one instruction: a
 * fiber that is moved to another thread between the two still reads the slot of the right one. On
 * aarch64 it is not: nobody may move a fiber that stands inside an accessor.
 *
 * The model is initial-exec: 8 bytes of the static TLS block, which the loader reserves for
 * libraries loaded late, too. The value in a new thread is NULL.
 *
 * `used`: the compiler sees no reference in C, and must keep the variable and its name, also when
 * it optimises at link time. The anchor, an operand that no instruction uses, is the reference that
 * makes a linker take the defining file out of an archive of such objects; it costs nothing.
 *
 * Callable from: anywhere, signal handler.
 */
#define USCHED_THREAD_SLOT_ATTRIBUTES __attribute__((visibility("hidden"), used))

#if defined(__x86_64__)

#define USCHED_DECLARE_THREAD_SLOT(name, type)						\
	extern _Thread_local __attribute__((visibility("hidden"))) type name##_slot;	\
	extern __attribute__((visibility("hidden"))) const char name##_slot_anchor;	\
	static inline type name##_get(void)						\
	{										\
		type value;								\
											\
		__asm__ volatile("movq " #name "_slot@gottpoff(%%rip), %0\n\t"		\
				 "movq %%fs:(%0), %0"					\
				 : "=r"(value) : "m"(name##_slot_anchor) : "memory");	\
		return value;								\
	}										\
	static inline void name##_set(type value)					\
	{										\
		uintptr_t offset;							\
											\
		__asm__ volatile("movq " #name "_slot@gottpoff(%%rip), %0\n\t"		\
				 "movq %1, %%fs:(%0)"					\
				 : "=&r"(offset)						\
				 : "r"(value), "m"(name##_slot_anchor) : "memory");	\
	}										\
	_Static_assert(sizeof(type) == 8, "a thread slot holds a pointer")

#define USCHED_DEFINE_THREAD_SLOT(name, type)						\
	USCHED_THREAD_SLOT_ATTRIBUTES const char name##_slot_anchor = 0;		\
	USCHED_THREAD_SLOT_ATTRIBUTES __attribute__((tls_model("initial-exec")))	\
	_Thread_local type name##_slot

#elif defined(__aarch64__)

#define USCHED_DECLARE_THREAD_SLOT(name, type)						\
	extern _Thread_local __attribute__((visibility("hidden"))) type name##_slot;	\
	extern __attribute__((visibility("hidden"))) const char name##_slot_anchor;	\
	static inline type name##_get(void)						\
	{										\
		type value;								\
		uintptr_t offset;							\
											\
		__asm__ volatile("adrp %1, :gottprel:" #name "_slot\n\t"		\
				 "ldr %1, [%1, #:gottprel_lo12:" #name "_slot]\n\t"	\
				 "mrs %0, tpidr_el0\n\t"				\
				 "ldr %0, [%0, %1]"					\
				 : "=&r"(value), "=&r"(offset)				\
				 : "S"(&name##_slot_anchor) : "memory");		\
		return value;								\
	}										\
	static inline void name##_set(type value)					\
	{										\
		uintptr_t thread, offset;						\
											\
		__asm__ volatile("adrp %1, :gottprel:" #name "_slot\n\t"		\
				 "ldr %1, [%1, #:gottprel_lo12:" #name "_slot]\n\t"	\
				 "mrs %0, tpidr_el0\n\t"				\
				 "str %2, [%0, %1]"					\
				 : "=&r"(thread), "=&r"(offset)				\
				 : "r"(value), "S"(&name##_slot_anchor) : "memory");	\
	}										\
	_Static_assert(sizeof(type) == 8, "a thread slot holds a pointer")

#define USCHED_DEFINE_THREAD_SLOT(name, type)						\
	USCHED_THREAD_SLOT_ATTRIBUTES const char name##_slot_anchor = 0;		\
	USCHED_THREAD_SLOT_ATTRIBUTES __attribute__((tls_model("initial-exec")))	\
	_Thread_local type name##_slot

#else

/* Out of line, one access a call; the empty asm keeps calls from being merged. */
#define USCHED_DECLARE_THREAD_SLOT(name, type)						\
	type name##_get(void);								\
	void name##_set(type value)

#define USCHED_DEFINE_THREAD_SLOT(name, type)						\
	static __attribute__((tls_model("initial-exec"))) _Thread_local type name##_slot; \
	__attribute__((noinline, visibility("hidden"))) type name##_get(void)		\
	{										\
		__asm__ volatile("" : : : "memory");					\
		return name##_slot;							\
	}										\
	__attribute__((noinline, visibility("hidden"))) void name##_set(type value)	\
	{										\
		name##_slot = value;							\
		__asm__ volatile("" : : : "memory");					\
	}										\
	_Static_assert(sizeof(type) == sizeof(void *), "a thread slot holds a pointer")

#endif

#endif /* USCHED_ARCH_CPU_H */
