/* SPDX-License-Identifier: MIT */
/*
 * x86-64, System V ABI: rbx, rbp, r12-r15 survive a call. A saved context points to
 *
 *	sp +  0  r15
 *	      8  r14
 *	     16  r13		first frame: argument
 *	     24  r12		first frame: entry
 *	     32  rbx
 *	     40  rbp		first frame: 0
 *	     48  return address	first frame: usched_arch_first_frame
 *	     56  (the caller's frame)
 *
 * context.c asserts this picture.
 *
 * usched_arch_switch leaves the frame with `ret`: it has one caller that matters, so the return
 * address of the other side is the one that the CPU's return predictor has on top, and the returns
 * after it are predicted as well. A jump is faster where two contexts have different callers (2.5
 * ns against 8.3 in a bare ping-pong) but leaves the predictor one entry off: a yield of two fibers
 * took 36 ns with it and takes 17 with `ret` (AMD EPYC with AVX-512). The other routines jump.
 *
 * The jump is marked notrack, because what it returns to is the instruction after a call, which has
 * no endbr64. notrack is part of what the IBT mark means; compilers use it for switch tables.
 *
 * CFI: the registers are declared saved once all are stored (until then they hold their values as
 * well), and restored one by one. Around the change of rsp both sides have the same frame, so one
 * description is true of both.
 *
 * Shadow stacks are not supported, and the property note below does not claim them: the return
 * addresses of a fiber would have to be on a shadow stack of its own, switched with RSTORSSP. The
 * linker and the loader drop the property from the whole program when one object lacks it, so the
 * kernel does not turn it on; usched_arch_check() refuses a process that was forced.
 */

#define R15	0
#define R14	8
#define R13	16
#define R12	24
#define RBX	32
#define RBP	40
#define RIP	48
#define FRAME	56	/* with the return address */

	.macro function name
	.globl	\name
	.hidden	\name
	.type	\name, @function
\name:
	.endm

	/* Stores the registers; rsp must be below the return address by RIP. */
	.macro store_registers
	movq	%rbp, RBP(%rsp)
	movq	%rbx, RBX(%rsp)
	movq	%r12, R12(%rsp)
	movq	%r13, R13(%rsp)
	movq	%r14, R14(%rsp)
	movq	%r15, R15(%rsp)
	.endm

	.macro registers_are_stored
	.cfi_rel_offset %rbp, RBP
	.cfi_rel_offset %rbx, RBX
	.cfi_rel_offset %r12, R12
	.cfi_rel_offset %r13, R13
	.cfi_rel_offset %r14, R14
	.cfi_rel_offset %r15, R15
	.endm

	/* rsp points to a frame. */
	.macro reload_registers
	movq	R15(%rsp), %r15
	.cfi_restore %r15
	movq	R14(%rsp), %r14
	.cfi_restore %r14
	movq	R13(%rsp), %r13
	.cfi_restore %r13
	movq	R12(%rsp), %r12
	.cfi_restore %r12
	movq	RBX(%rsp), %rbx
	.cfi_restore %rbx
	movq	RBP(%rsp), %rbp
	.cfi_restore %rbp
	.endm

	/* rsp points to a frame, rcx holds its return address. */
	.macro reload_and_jump
	reload_registers
	leaq	FRAME(%rsp), %rsp
	.cfi_def_cfa_offset 0
	.cfi_register %rip, %rcx
	notrack jmp *%rcx
	.endm

	.text
	.p2align 6
	.globl	usched_arch_text_begin
	.hidden	usched_arch_text_begin
usched_arch_text_begin:

/* void usched_arch_switch(struct usched_context *save, const struct usched_context *load) */
/*                                                rdi                               rsi   */
function usched_arch_switch
	.cfi_startproc
	endbr64
	movq	(%rsi), %rdx		/* load->sp				*/
	leaq	-RIP(%rsp), %rsp
	.cfi_adjust_cfa_offset RIP
	store_registers
	registers_are_stored
	movq	%rsp, (%rdi)		/* save->sp				*/
	movq	%rdx, %rsp		/* from here on: the other stack	*/
	reload_registers
	leaq	RIP(%rsp), %rsp
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size	usched_arch_switch, . - usched_arch_switch

/* _Noreturn void usched_arch_leave(const struct usched_context *load) */
/*                                                               rdi   */
	.p2align 4
function usched_arch_leave
	.cfi_startproc
	endbr64
	movq	(%rdi), %rdx
	movq	RIP(%rdx), %rcx
	movq	%rdx, %rsp		/* from here on: the other stack	*/
	.cfi_def_cfa_offset FRAME
	registers_are_stored
	reload_and_jump
	.cfi_endproc
	.size	usched_arch_leave, . - usched_arch_leave

/* _Noreturn void usched_arch_start(void *stack_low, void *stack_top,		*/
/*                                        rdi              rsi			*/
/*                                  usched_arch_entry *entry, void *argument) */
/*                                                     rdx          rcx       */
	.p2align 4
function usched_arch_start
	.cfi_startproc
	endbr64
	andq	$-16, %rsi
	movq	%rdx, %r12
	movq	%rcx, %r13
	.cfi_undefined %rip		/* what the stack held is given up	*/
	.cfi_undefined %rbp
	.cfi_undefined %r12
	.cfi_undefined %r13
	leaq	-16(%rsi), %rsp
	xorl	%ebp, %ebp
	movq	%rbp, (%rsp)		/* ends walks along frame pointers	*/
	movq	%rbp, 8(%rsp)
	jmp	usched_arch_first_frame
	.cfi_endproc
	.size	usched_arch_start, . - usched_arch_start

/*
 * The outermost frame of every fiber: r12 is entry, r13 its argument. The nop belongs to the frame
 * description only: unwinders look a return address up at the byte before it, and until the first
 * switch has jumped here this is one.
 */
	.p2align 4
	.cfi_startproc
	.cfi_undefined %rip
	.cfi_undefined %rbp
	nop
function usched_arch_first_frame
	endbr64
	movq	%r13, %rdi
	call	*%r12			/* rax: whom to continue		*/
	testq	%rax, %rax
	jz	usched_arch_nobody
	movq	(%rax), %rdx
	movq	RIP(%rdx), %rcx
	movq	%rdx, %rsp		/* from here on: the other stack	*/
	.cfi_def_cfa_offset FRAME
	.cfi_rel_offset %rip, RIP
	registers_are_stored
	reload_and_jump
	.cfi_endproc
	.size	usched_arch_first_frame, . - usched_arch_first_frame

/* The entry function of a fiber returned NULL: a bug, never silent. */
function usched_arch_nobody
	.cfi_startproc
	.cfi_undefined %rip
	.cfi_undefined %rbp
	ud2
	.cfi_endproc
	.size	usched_arch_nobody, . - usched_arch_nobody

	.globl	usched_arch_text_end
	.hidden	usched_arch_text_end
usched_arch_text_end:

/* How functions marked USCHED_ARCH_RETURNS_ELSEWHERE return; the name is the compiler's. rcx is free. */
	.p2align 4
function __x86_return_thunk
	.cfi_startproc
	popq	%rcx
	.cfi_def_cfa_offset 0
	.cfi_register %rip, %rcx
	notrack jmp *%rcx
	.cfi_endproc
	.size	__x86_return_thunk, . - __x86_return_thunk

	.section .note.GNU-stack, "", @progbits

	/* The property note: indirect branch tracking (bit 0), and not shadow stack (bit 1). */
	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4			/* size of the name			*/
	.long	16			/* size of the description		*/
	.long	5			/* NT_GNU_PROPERTY_TYPE_0		*/
	.asciz	"GNU"
	.long	0xc0000002		/* GNU_PROPERTY_X86_FEATURE_1_AND	*/
	.long	4			/* size of the value			*/
	.long	1			/* IBT					*/
	.long	0			/* padding to 8				*/
