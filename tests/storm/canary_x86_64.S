/* SPDX-License-Identifier: MIT */
/*
 * The canary of x86-64: known values in all registers while the loop turns. The counter is on the
 * stack, so that each general register holds a value of its own. The loop is declared migratable.
 *
 *	 0(%rsp)  out		 8(%rsp)  MXCSR, x87 control word before
 *	16(%rsp)  turns		24(%rsp)  scratch
 *
 * Below the stack pointer the red zone is filled too: a signal must not touch it.
 */

#if defined(__x86_64__)

#define GENERAL		0
#define TURNS		120
#define MXCSR		128
#define X87		132
#define CARRY		136
#define MMX		144
#define MASKS		208
#define VECTORS		320
#define RED_ZONE	2368

	.macro load_vectors instruction, register, last
	.altmacro
	.set	number, 0
	.rept	\last + 1
	load_vector \instruction, \register, %number
	.set	number, number + 1
	.endr
	.noaltmacro
	.endm

	.macro load_vector instruction, register, number
	\instruction VECTORS + 64 * \number(%rdi), %\register\number
	.endm

	.macro store_vectors instruction, register, last
	.altmacro
	.set	number, 0
	.rept	\last + 1
	store_vector \instruction, \register, %number
	.set	number, number + 1
	.endr
	.noaltmacro
	.endm

	.macro store_vector instruction, register, number
	\instruction %\register\number, VECTORS + 64 * \number(%rdi)
	.endm

	.macro push_one register
	pushq	%\register
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \register, 0
	.endm

	.macro pop_one register
	popq	%\register
	.cfi_adjust_cfa_offset -8
	.cfi_restore \register
	.endm

/*
 * void storm_hold_*(const struct canary *in, struct canary *out)
 *                                          rdi                 rsi
 */
	.macro canary name, move, register, last, masks, is_avx
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
	push_one rbp
	push_one rbx
	push_one r12
	push_one r13
	push_one r14
	push_one r15
	subq	$40, %rsp
	.cfi_adjust_cfa_offset 40
	movq	%rsi, 0(%rsp)
	stmxcsr	8(%rsp)
	fnstcw	12(%rsp)
	movq	TURNS(%rdi), %rax
	movq	%rax, 16(%rsp)
	.irp	at, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120
	movq	RED_ZONE + \at(%rdi), %rax
	movq	%rax, \at - 128(%rsp)
	.endr
	ldmxcsr	MXCSR(%rdi)
	fldcw	X87(%rdi)
	.irp	at, 0, 1, 2, 3, 4, 5, 6, 7
	movq	MMX + 8 * \at(%rdi), %mm\at
	.endr
	.if	\masks
	.irp	at, 0, 1, 2, 3, 4, 5, 6, 7
	kmovq	MASKS + 8 * \at(%rdi), %k\at
	.endr
	.endif
	load_vectors \move, \register, \last
	stc				/* no instruction below changes it */
	movq	GENERAL + 0(%rdi), %rax
	movq	GENERAL + 8(%rdi), %rbx
	movq	GENERAL + 16(%rdi), %rcx
	movq	GENERAL + 24(%rdi), %rdx
	movq	GENERAL + 32(%rdi), %rsi
	movq	GENERAL + 48(%rdi), %rbp
	movq	GENERAL + 56(%rdi), %r8
	movq	GENERAL + 64(%rdi), %r9
	movq	GENERAL + 72(%rdi), %r10
	movq	GENERAL + 80(%rdi), %r11
	movq	GENERAL + 88(%rdi), %r12
	movq	GENERAL + 96(%rdi), %r13
	movq	GENERAL + 104(%rdi), %r14
	movq	GENERAL + 112(%rdi), %r15
	movq	GENERAL + 40(%rdi), %rdi
1:	decq	16(%rsp)
	jnz	1b
	movq	%rdi, 24(%rsp)
	movq	0(%rsp), %rdi
	movq	%rax, GENERAL + 0(%rdi)
	movq	%rbx, GENERAL + 8(%rdi)
	movq	%rcx, GENERAL + 16(%rdi)
	movq	%rdx, GENERAL + 24(%rdi)
	movq	%rsi, GENERAL + 32(%rdi)
	movq	%rbp, GENERAL + 48(%rdi)
	movq	%r8, GENERAL + 56(%rdi)
	movq	%r9, GENERAL + 64(%rdi)
	movq	%r10, GENERAL + 72(%rdi)
	movq	%r11, GENERAL + 80(%rdi)
	movq	%r12, GENERAL + 88(%rdi)
	movq	%r13, GENERAL + 96(%rdi)
	movq	%r14, GENERAL + 104(%rdi)
	movq	%r15, GENERAL + 112(%rdi)
	movq	24(%rsp), %rax
	movq	%rax, GENERAL + 40(%rdi)
	setc	CARRY(%rdi)
	.irp	at, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120
	movq	\at - 128(%rsp), %rax
	movq	%rax, RED_ZONE + \at(%rdi)
	.endr
	stmxcsr	MXCSR(%rdi)
	fnstcw	X87(%rdi)
	.irp	at, 0, 1, 2, 3, 4, 5, 6, 7
	movq	%mm\at, MMX + 8 * \at(%rdi)
	.endr
	emms
	.if	\masks
	.irp	at, 0, 1, 2, 3, 4, 5, 6, 7
	kmovq	%k\at, MASKS + 8 * \at(%rdi)
	.endr
	.endif
	store_vectors \move, \register, \last
	.if	\is_avx
	vzeroupper
	.endif
	ldmxcsr	8(%rsp)
	fldcw	12(%rsp)
	addq	$40, %rsp
	.cfi_adjust_cfa_offset -40
	pop_one	r15
	pop_one	r14
	pop_one	r13
	pop_one	r12
	pop_one	rbx
	pop_one	rbp
	ret
	.cfi_endproc
	.size	\name, . - \name
	.endm

	.section usched_migratable, "ax", @progbits

	canary storm_hold_sse, movdqu, xmm, 15, 0, 0
	canary storm_hold_avx, vmovdqu, ymm, 15, 0, 1
	canary storm_hold_avx512, vmovdqu64, zmm, 31, 1, 1

	/* As the library's switch has it: IBT. */
	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002
	.long	4, 1, 0

#endif

	.section .note.GNU-stack, "", %progbits
