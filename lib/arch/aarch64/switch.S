/* SPDX-License-Identifier: MIT */
/*
 * aarch64, AAPCS64: x19-x28, x29, x30 and the low halves of v8-v15 survive a call. A saved context
 * points to
 *
 *	sp +  0  x29		first frame: 0
 *	      8  x30		where to continue; first frame: usched_arch_first_frame
 *	     16  x19		first frame: entry
 *	     24  x20		first frame: argument
 *	     32  x21  x22
 *	     48  x23  x24
 *	     64  x25  x26
 *	     80  x27  x28
 *	     96  d8   d9
 *	    112  d10  d11
 *	    128  d12  d13
 *	    144  d14  d15
 *	    160  (the caller's frame)
 *
 * context.c asserts this picture. x29 and x30 are lowest, so that they are a frame record.
 *
 * The frame is left with `ret`. A jump would have the better prediction, as on x86-64, but where BTI
 * is on, `br` may only go to a landing instruction, and what follows a call is none.
 *
 * CFI: registers are declared saved once all are stored (until then they hold their values as
 * well), and restored one by one. Around the change of sp both sides have the same frame, so one
 * description is true of both.
 *
 * Nothing to do for SVE: a call to this routine is a call to a base-standard function, which keeps
 * d8-d15 only. The property note claims BTI. It does not claim PAC, since the stored x30 is not
 * signed, nor GCS: a guarded control stack would have to be switched as well, and
 * usched_arch_check() refuses it.
 */

#define FRAME	160

	.macro function name
	.globl	\name
	.hidden	\name
	.type	\name, %function
\name:
	.endm

	.macro store_registers
	stp	x29, x30, [sp]
	stp	x19, x20, [sp, 16]
	stp	x21, x22, [sp, 32]
	stp	x23, x24, [sp, 48]
	stp	x25, x26, [sp, 64]
	stp	x27, x28, [sp, 80]
	stp	d8, d9, [sp, 96]
	stp	d10, d11, [sp, 112]
	stp	d12, d13, [sp, 128]
	stp	d14, d15, [sp, 144]
	.endm

	.macro registers_are_stored
	.cfi_rel_offset x29, 0
	.cfi_rel_offset x30, 8
	.cfi_rel_offset x19, 16
	.cfi_rel_offset x20, 24
	.cfi_rel_offset x21, 32
	.cfi_rel_offset x22, 40
	.cfi_rel_offset x23, 48
	.cfi_rel_offset x24, 56
	.cfi_rel_offset x25, 64
	.cfi_rel_offset x26, 72
	.cfi_rel_offset x27, 80
	.cfi_rel_offset x28, 88
	.cfi_rel_offset d8, 96
	.cfi_rel_offset d9, 104
	.cfi_rel_offset d10, 112
	.cfi_rel_offset d11, 120
	.cfi_rel_offset d12, 128
	.cfi_rel_offset d13, 136
	.cfi_rel_offset d14, 144
	.cfi_rel_offset d15, 152
	.endm

	.macro reload first, second, offset
	ldp	\first, \second, [sp, \offset]
	.cfi_restore \first
	.cfi_restore \second
	.endm

	/* sp points to a frame. */
	.macro reload_and_return
	reload	x29, x30, 0
	reload	x19, x20, 16
	reload	x21, x22, 32
	reload	x23, x24, 48
	reload	x25, x26, 64
	reload	x27, x28, 80
	reload	d8, d9, 96
	reload	d10, d11, 112
	reload	d12, d13, 128
	reload	d14, d15, 144
	add	sp, sp, FRAME
	.cfi_def_cfa_offset 0
	ret
	.endm

	.text
	.p2align 6
	.globl	usched_arch_text_begin
	.hidden	usched_arch_text_begin
usched_arch_text_begin:

/* void usched_arch_switch(struct usched_context *save, const struct usched_context *load) */
/*                                                x0                                x1    */
function usched_arch_switch
	.cfi_startproc
	bti	c
	sub	sp, sp, FRAME
	.cfi_def_cfa_offset FRAME
	store_registers
	registers_are_stored
	ldr	x2, [x1]		/* load->sp				*/
	mov	x3, sp
	str	x3, [x0]		/* save->sp				*/
	mov	sp, x2			/* from here on: the other stack	*/
	reload_and_return
	.cfi_endproc
	.size	usched_arch_switch, . - usched_arch_switch

/* _Noreturn void usched_arch_leave(const struct usched_context *load) */
/*                                                               x0    */
	.p2align 4
function usched_arch_leave
	.cfi_startproc
	bti	c
	ldr	x2, [x0]
	mov	sp, x2			/* from here on: the other stack	*/
	.cfi_def_cfa_offset FRAME
	registers_are_stored
	reload_and_return
	.cfi_endproc
	.size	usched_arch_leave, . - usched_arch_leave

/* _Noreturn void usched_arch_start(void *stack_low, void *stack_top,		*/
/*                                        x0               x1			*/
/*                                  usched_arch_entry *entry, void *argument) */
/*                                                     x2           x3        */
	.p2align 4
function usched_arch_start
	.cfi_startproc
	bti	c
	and	x1, x1, -16
	.cfi_undefined x30		/* what the stack held is given up	*/
	.cfi_undefined x29
	.cfi_undefined x19
	.cfi_undefined x20
	mov	x19, x2
	mov	x20, x3
	mov	x29, xzr
	mov	x30, xzr
	mov	sp, x1
	b	usched_arch_first_frame
	.cfi_endproc
	.size	usched_arch_start, . - usched_arch_start

/*
 * The outermost frame of every fiber: x19 is entry, x20 its argument. The nop belongs to the frame
 * description only: unwinders look a return address up at the byte before it, and until the first
 * switch has returned here this is one.
 */
	.p2align 4
	.cfi_startproc
	.cfi_undefined x30
	.cfi_undefined x29
	nop
function usched_arch_first_frame
	bti	c
	mov	x0, x20
	blr	x19			/* x0: whom to continue			*/
	cbz	x0, 1f
	ldr	x2, [x0]
	mov	sp, x2			/* from here on: the other stack	*/
	.cfi_remember_state
	.cfi_def_cfa_offset FRAME
	registers_are_stored
	reload_and_return
	.cfi_restore_state
1:	brk	1			/* nobody: a bug, never silent		*/
	.cfi_endproc
	.size	usched_arch_first_frame, . - usched_arch_first_frame

	.globl	usched_arch_text_end
	.hidden	usched_arch_text_end
usched_arch_text_end:

	.section .note.GNU-stack, "", %progbits

	/* The property note: branch target identification (bit 0). */
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long	4			/* size of the name			*/
	.long	16			/* size of the description		*/
	.long	5			/* NT_GNU_PROPERTY_TYPE_0		*/
	.asciz	"GNU"
	.long	0xc0000000		/* GNU_PROPERTY_AARCH64_FEATURE_1_AND	*/
	.long	4			/* size of the value			*/
	.long	1			/* BTI					*/
	.long	0			/* padding to 8				*/
