/* SPDX-License-Identifier: MIT */
#ifndef USCHED_ARCH_SANITIZE_H
#define USCHED_ARCH_SANITIZE_H

/*
 * What AddressSanitizer, ThreadSanitizer and Valgrind must be told about stacks and switches.
 * Without them everything here compiles to nothing.
 *
 * Each thing that has a stack embeds a struct usched_sanitize: a fiber in its descriptor, a carrier
 * for its native stack. One switch from `from` to `to`:
 *
 *	usched_sanitize_switch_begin(&from->sanitize, &to->sanitize);
 *	usched_arch_switch(&from->context, &to->context);
 *	usched_sanitize_switch_finish(&from->sanitize);		we are back, maybe much later
 *
 * and at the top of a fiber's entry function, since it did not return from a switch:
 *
 *	usched_sanitize_switch_finish(&self->sanitize);
 *
 * Rules
 *	R1  Nothing between begin and the switch: ThreadSanitizer already counts what we do there for
 *	    `to`, and AddressSanitizer has no stack to speak of.
 *	R2  finish is the first thing after arriving, with the structure of who arrived. It must not
 *	    be fetched through the descriptor of who left.
 *	R3  A fiber that leaves for good uses usched_sanitize_leave_begin() and usched_arch_leave(),
 *	    or usched_arch_start(); its structure is destroyed later, from another stack.
 *	R4  A stack that gets a new user, also the running one through usched_arch_start(), is
 *	    announced with usched_sanitize_init() for the new fiber before it is entered.
 *
 * ThreadSanitizer takes every switch for a synchronisation of the two fibers. It is one: both run on
 * the same kernel thread. A missing order between two threads is still found.
 *
 * The functions are always inlined: ThreadSanitizer keeps a call stack per fiber, and a function
 * that is entered on one and left on another would unbalance both.
 */

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define USCHED_SANITIZE_ADDRESS 1
#endif
#if __has_feature(thread_sanitizer)
#define USCHED_SANITIZE_THREAD 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(USCHED_SANITIZE_ADDRESS)
#define USCHED_SANITIZE_ADDRESS 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(USCHED_SANITIZE_THREAD)
#define USCHED_SANITIZE_THREAD 1
#endif

/* ThreadSanitizer runs a signal's handler later, when its own code lets it, and shows it a copy of
   the frame: such a handler cannot leave the stack. */
#ifdef USCHED_SANITIZE_THREAD
#define USCHED_SIGNALS_ARE_DELAYED 1
#else
#define USCHED_SIGNALS_ARE_DELAYED 0
#endif

#ifdef USCHED_SANITIZE_ADDRESS
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef USCHED_SANITIZE_THREAD
#include <sanitizer/tsan_interface.h>
#endif
#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/valgrind.h>
#endif

#define USCHED_SANITIZE_INLINE static inline __attribute__((always_inline))

struct usched_sanitize {
#ifdef USCHED_SANITIZE_ADDRESS
	const void *stack_low;
	size_t stack_bytes;
	void *fake_stack;	/* AddressSanitizer's, while not running */
#endif
#ifdef USCHED_SANITIZE_THREAD
	void *fiber;		/* ThreadSanitizer's */
#endif
};

/**
 * usched_sanitize_init() - announce a fiber that will run on a stack
 * @sanitize:	to be filled
 * @stack_low:	lowest usable byte
 * @stack_top:	one past the highest
 *
 * Forgets what AddressSanitizer knows of frames that an earlier user left there, so it is called
 * before usched_arch_context_init(). For usched_arch_start() on the running stack it is called by
 * the old user, whose own frames are then unchecked.
 *
 * Ownership:	usched_sanitize_destroy() when the fiber is over.
 * Callable from: any thread.
 */
USCHED_SANITIZE_INLINE void usched_sanitize_init(struct usched_sanitize *sanitize, void *stack_low,
						 void *stack_top)
{
	(void)sanitize;
	(void)stack_low;
	(void)stack_top;
#ifdef USCHED_SANITIZE_ADDRESS
	sanitize->stack_low = stack_low;
	sanitize->stack_bytes = (size_t)((char *)stack_top - (char *)stack_low);
	sanitize->fake_stack = NULL;
	__asan_unpoison_memory_region(stack_low, sanitize->stack_bytes);
#endif
#ifdef USCHED_SANITIZE_THREAD
	sanitize->fiber = __tsan_create_fiber(0);
#endif
}

/**
 * usched_sanitize_init_native() - describe the calling kernel thread's own stack
 * @sanitize:	to be filled; not to be destroyed
 *
 * Under AddressSanitizer it may allocate: call it when the thread starts.
 *
 * Callable from: carrier, once, on its native stack.
 */
USCHED_SANITIZE_INLINE void usched_sanitize_init_native(struct usched_sanitize *sanitize)
{
	(void)sanitize;
#ifdef USCHED_SANITIZE_ADDRESS
	{
		pthread_attr_t attributes;
		void *low = NULL;
		size_t bytes = 0;

		if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
			pthread_attr_getstack(&attributes, &low, &bytes);
			pthread_attr_destroy(&attributes);
		}
		sanitize->stack_low = low;
		sanitize->stack_bytes = bytes;
		sanitize->fake_stack = NULL;
	}
#endif
#ifdef USCHED_SANITIZE_THREAD
	sanitize->fiber = __tsan_get_current_fiber();
#endif
}

/**
 * usched_sanitize_destroy() - the fiber is over and no longer stands on its stack
 * @sanitize:	from usched_sanitize_init()
 *
 * Callable from: any thread, on another stack.
 */
USCHED_SANITIZE_INLINE void usched_sanitize_destroy(struct usched_sanitize *sanitize)
{
	(void)sanitize;
#ifdef USCHED_SANITIZE_THREAD
	__tsan_destroy_fiber(sanitize->fiber);
	sanitize->fiber = NULL;
#endif
}

/**
 * usched_sanitize_switch_begin() - the next instruction is usched_arch_switch()
 * @from:	who leaves, and will come back
 * @to:		who continues
 *
 * Callable from: @from's stack.
 */
USCHED_SANITIZE_INLINE void usched_sanitize_switch_begin(struct usched_sanitize *from,
							 const struct usched_sanitize *to)
{
	(void)from;
	(void)to;
#ifdef USCHED_SANITIZE_ADDRESS
	__sanitizer_start_switch_fiber(&from->fake_stack, to->stack_low, to->stack_bytes);
#endif
#ifdef USCHED_SANITIZE_THREAD
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
}

/**
 * usched_sanitize_leave_begin() - the next instruction is usched_arch_leave() or _start()
 * @to:		who continues, or starts on this stack
 *
 * Callable from: the stack of a fiber that is over.
 */
USCHED_SANITIZE_INLINE void usched_sanitize_leave_begin(const struct usched_sanitize *to)
{
	(void)to;
#ifdef USCHED_SANITIZE_ADDRESS
	__sanitizer_start_switch_fiber(NULL, to->stack_low, to->stack_bytes);
#endif
#ifdef USCHED_SANITIZE_THREAD
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
}

/**
 * usched_sanitize_switch_finish() - first thing after arriving on a stack
 * @self:	who arrived
 *
 * Callable from: @self's stack.
 */
USCHED_SANITIZE_INLINE void usched_sanitize_switch_finish(struct usched_sanitize *self)
{
	(void)self;
#ifdef USCHED_SANITIZE_ADDRESS
	__sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
}

/**
 * usched_sanitize_stack_register() - tell Valgrind that a range is a stack
 * @stack_low:	lowest usable byte
 * @stack_top:	one past the highest
 *
 * Per stack, not per fiber: its users come and go. Without Valgrind it costs a few cycles.
 *
 * Return:	an id for usched_sanitize_stack_unregister()
 * Callable from: any thread.
 */
USCHED_SANITIZE_INLINE unsigned int usched_sanitize_stack_register(void *stack_low, void *stack_top)
{
	(void)stack_low;
	(void)stack_top;
#ifdef HAVE_VALGRIND_VALGRIND_H
	return VALGRIND_STACK_REGISTER(stack_low, stack_top);
#else
	return 0;
#endif
}

/**
 * usched_sanitize_stack_unregister() - the range is a stack no longer
 * @id:		from usched_sanitize_stack_register()
 *
 * Callable from: any thread.
 */
USCHED_SANITIZE_INLINE void usched_sanitize_stack_unregister(unsigned int id)
{
	(void)id;
#ifdef HAVE_VALGRIND_VALGRIND_H
	VALGRIND_STACK_DEREGISTER(id);
#endif
}

/**
 * usched_sanitize_release() - what was written so far is handed over with @object
 * usched_sanitize_acquire() - @object was taken over, from a structure that sanitizers cannot see into
 *
 * For queues of a library that was built without ThreadSanitizer.
 */
USCHED_SANITIZE_INLINE void usched_sanitize_release(void *object)
{
	(void)object;
#ifdef USCHED_SANITIZE_THREAD
	__tsan_release(object);
#endif
}

USCHED_SANITIZE_INLINE void usched_sanitize_acquire(void *object)
{
	(void)object;
#ifdef USCHED_SANITIZE_THREAD
	__tsan_acquire(object);
#endif
}

#endif /* USCHED_ARCH_SANITIZE_H */
