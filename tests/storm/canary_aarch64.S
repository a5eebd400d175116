/* SPDX-License-Identifier: MIT */
/*
 * The canary of aarch64: known values in x0-x29, v0-v31 and FPCR while the loop turns; x30 counts.
 * The loop is declared migratable.
 */

#if defined(__aarch64__)

#define TURNS		240
#define CONTROL		248
#define VECTORS		256

	.section usched_migratable, "ax", %progbits

/*
 * void storm_hold(const struct canary *in, struct canary *out)
 *                                        x0                 x1
 *
 *	[sp]  x29 x30, x19-x28, d8-d15, out, FPCR before
 */
	.globl	storm_hold
	.type	storm_hold, %function
	.p2align 4
storm_hold:
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
	stp	d10, d11, [sp, 112]
	stp	d12, d13, [sp, 128]
	stp	d14, d15, [sp, 144]
	mrs	x2, fpcr
	stp	x1, x2, [sp, 160]
	ldr	x2, [x0, CONTROL]
	msr	fpcr, x2
	ldp	q0, q1, [x0, VECTORS + 0]
	ldp	q2, q3, [x0, VECTORS + 32]
	ldp	q4, q5, [x0, VECTORS + 64]
	ldp	q6, q7, [x0, VECTORS + 96]
	ldp	q8, q9, [x0, VECTORS + 128]
	ldp	q10, q11, [x0, VECTORS + 160]
	ldp	q12, q13, [x0, VECTORS + 192]
	ldp	q14, q15, [x0, VECTORS + 224]
	ldp	q16, q17, [x0, VECTORS + 256]
	ldp	q18, q19, [x0, VECTORS + 288]
	ldp	q20, q21, [x0, VECTORS + 320]
	ldp	q22, q23, [x0, VECTORS + 352]
	ldp	q24, q25, [x0, VECTORS + 384]
	ldp	q26, q27, [x0, VECTORS + 416]
	ldp	q28, q29, [x0, VECTORS + 448]
	ldp	q30, q31, [x0, VECTORS + 480]
	ldr	x30, [x0, TURNS]
	ldp	x2, x3, [x0, 16]
	ldp	x4, x5, [x0, 32]
	ldp	x6, x7, [x0, 48]
	ldp	x8, x9, [x0, 64]
	ldp	x10, x11, [x0, 80]
	ldp	x12, x13, [x0, 96]
	ldp	x14, x15, [x0, 112]
	ldp	x16, x17, [x0, 128]
	ldp	x18, x19, [x0, 144]
	ldp	x20, x21, [x0, 160]
	ldp	x22, x23, [x0, 176]
	ldp	x24, x25, [x0, 192]
	ldp	x26, x27, [x0, 208]
	ldp	x28, x29, [x0, 224]
	ldp	x0, x1, [x0, 0]
1:	sub	x30, x30, 1
	cbnz	x30, 1b
	ldr	x30, [sp, 160]
	stp	x0, x1, [x30, 0]
	mov	x0, x30
	stp	x2, x3, [x0, 16]
	stp	x4, x5, [x0, 32]
	stp	x6, x7, [x0, 48]
	stp	x8, x9, [x0, 64]
	stp	x10, x11, [x0, 80]
	stp	x12, x13, [x0, 96]
	stp	x14, x15, [x0, 112]
	stp	x16, x17, [x0, 128]
	stp	x18, x19, [x0, 144]
	stp	x20, x21, [x0, 160]
	stp	x22, x23, [x0, 176]
	stp	x24, x25, [x0, 192]
	stp	x26, x27, [x0, 208]
	stp	x28, x29, [x0, 224]
	stp	q0, q1, [x0, VECTORS + 0]
	stp	q2, q3, [x0, VECTORS + 32]
	stp	q4, q5, [x0, VECTORS + 64]
	stp	q6, q7, [x0, VECTORS + 96]
	stp	q8, q9, [x0, VECTORS + 128]
	stp	q10, q11, [x0, VECTORS + 160]
	stp	q12, q13, [x0, VECTORS + 192]
	stp	q14, q15, [x0, VECTORS + 224]
	stp	q16, q17, [x0, VECTORS + 256]
	stp	q18, q19, [x0, VECTORS + 288]
	stp	q20, q21, [x0, VECTORS + 320]
	stp	q22, q23, [x0, VECTORS + 352]
	stp	q24, q25, [x0, VECTORS + 384]
	stp	q26, q27, [x0, VECTORS + 416]
	stp	q28, q29, [x0, VECTORS + 448]
	stp	q30, q31, [x0, VECTORS + 480]
	mrs	x2, fpcr
	str	x2, [x0, CONTROL]
	ldr	x2, [sp, 168]
	msr	fpcr, x2
	ldp	d8, d9, [sp, 96]
	ldp	d10, d11, [sp, 112]
	ldp	d12, d13, [sp, 128]
	ldp	d14, d15, [sp, 144]
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
	ldp	x29, x30, [sp], 176
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	storm_hold, . - storm_hold

	/* As the library's switch has it: BTI. */
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000
	.long	4, 1, 0

#endif

	.section .note.GNU-stack, "", %progbits
