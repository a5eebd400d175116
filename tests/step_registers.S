/* SPDX-License-Identifier: MIT */
/*
 * Helpers of t_arch.c and t_frames.c that C cannot express: a call to a switch with known values in every
 * callee-saved register, and an entry function that sees the stack pointer it was given.
 */

	.text

#if defined(__x86_64__)

/*
 * void step_switch(struct usched_context *save, const struct usched_context *load,
 *                        rdi                                rsi
 *                  struct step_registers *registers, step_switch_function *function)
 *                         rdx                              rcx
 *
 * Loads *registers, calls function(save, load), stores what the registers hold then.
 */
	.globl	step_switch
	.type	step_switch, @function
	.p2align 4
step_switch:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	pushq	%rdx
	.cfi_adjust_cfa_offset 8
	movq	0(%rdx), %rbx
	movq	8(%rdx), %rbp
	movq	16(%rdx), %r12
	movq	24(%rdx), %r13
	movq	32(%rdx), %r14
	movq	40(%rdx), %r15
	call	*%rcx
	.globl	step_return
step_return:
	popq	%rdx
	.cfi_adjust_cfa_offset -8
	movq	%rbx, 0(%rdx)
	movq	%rbp, 8(%rdx)
	movq	%r12, 16(%rdx)
	movq	%r13, 24(%rdx)
	movq	%r14, 32(%rdx)
	movq	%r15, 40(%rdx)
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	ret
	.cfi_endproc
	.size	step_switch, . - step_switch

/* void step_entry(struct step_entry *seen): stores sp and the frame pointer, then goes on in C. */
	.globl	step_entry
	.type	step_entry, @function
	.p2align 4
step_entry:
	.cfi_startproc
	endbr64
	leaq	8(%rsp), %rax		/* as it was before the call */
	movq	%rax, 0(%rdi)
	movq	%rbp, 8(%rdi)
	jmp	*16(%rdi)
	.cfi_endproc
	.size	step_entry, . - step_entry

#elif defined(__aarch64__)

/*
 * void step_switch(struct usched_context *save, const struct usched_context *load,
 *                        x0                                 x1
 *                  struct step_registers *registers, step_switch_function *function)
 *                         x2                               x3
 */
	.globl	step_switch
	.type	step_switch, %function
	.p2align 4
step_switch:
	.cfi_startproc
	bti	c
	stp	x29, x30, [sp, -176]!
	.cfi_def_cfa_offset 176
	.cfi_rel_offset x29, 0
	.cfi_rel_offset x30, 8
	stp	x19, x20, [sp, 16]
	.cfi_rel_offset x19, 16
	.cfi_rel_offset x20, 24
	stp	x21, x22, [sp, 32]
	.cfi_rel_offset x21, 32
	.cfi_rel_offset x22, 40
	stp	x23, x24, [sp, 48]
	.cfi_rel_offset x23, 48
	.cfi_rel_offset x24, 56
	stp	x25, x26, [sp, 64]
	.cfi_rel_offset x25, 64
	.cfi_rel_offset x26, 72
	stp	x27, x28, [sp, 80]
	.cfi_rel_offset x27, 80
	.cfi_rel_offset x28, 88
	stp	d8, d9, [sp, 96]
	.cfi_rel_offset d8, 96
	.cfi_rel_offset d9, 104
	stp	d10, d11, [sp, 112]
	.cfi_rel_offset d10, 112
	.cfi_rel_offset d11, 120
	stp	d12, d13, [sp, 128]
	.cfi_rel_offset d12, 128
	.cfi_rel_offset d13, 136
	stp	d14, d15, [sp, 144]
	.cfi_rel_offset d14, 144
	.cfi_rel_offset d15, 152
	str	x2, [sp, 160]
	ldp	x19, x20, [x2, 0]
	ldp	x21, x22, [x2, 16]
	ldp	x23, x24, [x2, 32]
	ldp	x25, x26, [x2, 48]
	ldp	x27, x28, [x2, 64]
	ldr	x29, [x2, 80]
	ldp	d8, d9, [x2, 88]
	ldp	d10, d11, [x2, 104]
	ldp	d12, d13, [x2, 120]
	ldp	d14, d15, [x2, 136]
	blr	x3
	.globl	step_return
step_return:
	ldr	x2, [sp, 160]
	stp	x19, x20, [x2, 0]
	stp	x21, x22, [x2, 16]
	stp	x23, x24, [x2, 32]
	stp	x25, x26, [x2, 48]
	stp	x27, x28, [x2, 64]
	str	x29, [x2, 80]
	stp	d8, d9, [x2, 88]
	stp	d10, d11, [x2, 104]
	stp	d12, d13, [x2, 120]
	stp	d14, d15, [x2, 136]
	ldp	x19, x20, [sp, 16]
	.cfi_restore x19
	.cfi_restore x20
	ldp	x21, x22, [sp, 32]
	.cfi_restore x21
	.cfi_restore x22
	ldp	x23, x24, [sp, 48]
	.cfi_restore x23
	.cfi_restore x24
	ldp	x25, x26, [sp, 64]
	.cfi_restore x25
	.cfi_restore x26
	ldp	x27, x28, [sp, 80]
	.cfi_restore x27
	.cfi_restore x28
	ldp	d8, d9, [sp, 96]
	.cfi_restore d8
	.cfi_restore d9
	ldp	d10, d11, [sp, 112]
	.cfi_restore d10
	.cfi_restore d11
	ldp	d12, d13, [sp, 128]
	.cfi_restore d12
	.cfi_restore d13
	ldp	d14, d15, [sp, 144]
	.cfi_restore d14
	.cfi_restore d15
	ldp	x29, x30, [sp], 176
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	step_switch, . - step_switch

/* void step_entry(struct step_entry *seen) */
	.globl	step_entry
	.type	step_entry, %function
	.p2align 4
step_entry:
	.cfi_startproc
	bti	c
	mov	x1, sp
	str	x1, [x0, 0]
	str	x29, [x0, 8]
	ldr	x16, [x0, 16]
	br	x16
	.cfi_endproc
	.size	step_entry, . - step_entry

#endif

	.section .note.GNU-stack, "", %progbits

	/* The same property note as the library's switch: IBT, or BTI. */
#if defined(__x86_64__) || defined(__aarch64__)
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
#if defined(__x86_64__)
	.long	0xc0000002
#else
	.long	0xc0000000
#endif
	.long	4, 1, 0
#endif
