/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/copy_x86_64.h - the copy inside a section, x86-64: no call, no stack, only registers that a
 * function need not save.
 *
 * It knows bytes. It does not know records or rings. thread: producer
 */
#ifndef WR_RING_COPY_X86_64_H
#define WR_RING_COPY_X86_64_H

#include "ring/torture.h"

/* 1: the processor moves 32 bytes at a time. Set once, by wr_rseq_detect(). */
extern int wr_section_wide __attribute__((visibility("hidden")));

/* Copies size bytes from rsi to rdi; r8 and xmm0-7 are clobbered, rcx = size is kept. */
#define WR_SECTION_COPY \
	"cmpq $16, %%rcx\n\t" \
	"jb 31f\n\t" \
	"cmpq $32, %%rcx\n\t" \
	"ja 33f\n\t" \
	"movups (%%rsi), %%xmm0\n\t" \
	"movups -16(%%rsi, %%rcx), %%xmm1\n\t" \
	WR_POINT(17) \
	"movups %%xmm0, (%%rdi)\n\t" \
	WR_POINT(18) \
	"movups %%xmm1, -16(%%rdi, %%rcx)\n\t" \
	"jmp 39f\n\t" \
	"31:\n\t" /* below 16 */ \
	"testb $8, %%cl\n\t" \
	"jz 32f\n\t" \
	"movq (%%rsi), %%r8\n\t" \
	"movq %%r8, (%%rdi)\n\t" \
	WR_POINT(19) \
	"movq -8(%%rsi, %%rcx), %%r8\n\t" \
	"movq %%r8, -8(%%rdi, %%rcx)\n\t" \
	"jmp 39f\n\t" \
	"32:\n\t" \
	"testb $4, %%cl\n\t" \
	"jz 34f\n\t" \
	"movl (%%rsi), %%r8d\n\t" \
	"movl %%r8d, (%%rdi)\n\t" \
	WR_POINT(20) \
	"movl -4(%%rsi, %%rcx), %%r8d\n\t" \
	"movl %%r8d, -4(%%rdi, %%rcx)\n\t" \
	"jmp 39f\n\t" \
	"34:\n\t" /* 0..3 */ \
	"testb %%cl, %%cl\n\t" \
	"jz 39f\n\t" \
	"movzbl (%%rsi), %%r8d\n\t" \
	"movb %%r8b, (%%rdi)\n\t" \
	WR_POINT(21) \
	"testb $2, %%cl\n\t" \
	"jz 39f\n\t" \
	"movzwl -2(%%rsi, %%rcx), %%r8d\n\t" \
	"movw %%r8w, -2(%%rdi, %%rcx)\n\t" \
	"jmp 39f\n\t" \
	"33:\n\t" /* above 32 */ \
	"cmpl $0, %[wide]\n\t" \
	"je 35f\n\t" \
	"cmpq $64, %%rcx\n\t" /* by 32 bytes, from both ends */ \
	"ja 40f\n\t" \
	"vmovdqu (%%rsi), %%ymm0\n\t" \
	"vmovdqu -32(%%rsi, %%rcx), %%ymm1\n\t" \
	WR_POINT(22) \
	"vmovdqu %%ymm0, (%%rdi)\n\t" \
	WR_POINT(23) \
	"vmovdqu %%ymm1, -32(%%rdi, %%rcx)\n\t" \
	"vzeroupper\n\t" \
	"jmp 39f\n\t" \
	"40:\n\t" \
	"cmpq $1024, %%rcx\n\t" \
	"ja 36f\n\t" \
	"cmpq $128, %%rcx\n\t" \
	"ja 37f\n\t" \
	"vmovdqu (%%rsi), %%ymm0\n\t" \
	"vmovdqu 32(%%rsi), %%ymm1\n\t" \
	"vmovdqu -64(%%rsi, %%rcx), %%ymm2\n\t" \
	"vmovdqu -32(%%rsi, %%rcx), %%ymm3\n\t" \
	WR_POINT(24) \
	"vmovdqu %%ymm0, (%%rdi)\n\t" \
	"vmovdqu %%ymm1, 32(%%rdi)\n\t" \
	WR_POINT(25) \
	"vmovdqu %%ymm2, -64(%%rdi, %%rcx)\n\t" \
	"vmovdqu %%ymm3, -32(%%rdi, %%rcx)\n\t" \
	"vzeroupper\n\t" \
	"jmp 39f\n\t" \
	"37:\n\t" /* the last 128 bytes are kept, then blocks of 128 from the front */ \
	"vmovdqu -128(%%rsi, %%rcx), %%ymm4\n\t" \
	"vmovdqu -96(%%rsi, %%rcx), %%ymm5\n\t" \
	"vmovdqu -64(%%rsi, %%rcx), %%ymm6\n\t" \
	"vmovdqu -32(%%rsi, %%rcx), %%ymm7\n\t" \
	"leaq -128(%%rdi, %%rcx), %%r8\n\t" \
	WR_POINT(26) \
	"38:\n\t" \
	"vmovdqu (%%rsi), %%ymm0\n\t" \
	"vmovdqu 32(%%rsi), %%ymm1\n\t" \
	"vmovdqu 64(%%rsi), %%ymm2\n\t" \
	"vmovdqu 96(%%rsi), %%ymm3\n\t" \
	WR_POINT(27) \
	"vmovdqu %%ymm0, (%%rdi)\n\t" \
	"vmovdqu %%ymm1, 32(%%rdi)\n\t" \
	WR_POINT(28) \
	"vmovdqu %%ymm2, 64(%%rdi)\n\t" \
	"vmovdqu %%ymm3, 96(%%rdi)\n\t" \
	"addq $128, %%rsi\n\t" \
	"addq $128, %%rdi\n\t" \
	WR_POINT(29) \
	"cmpq %%r8, %%rdi\n\t" \
	"jb 38b\n\t" \
	"vmovdqu %%ymm4, (%%r8)\n\t" \
	"vmovdqu %%ymm5, 32(%%r8)\n\t" \
	WR_POINT(30) \
	"vmovdqu %%ymm6, 64(%%r8)\n\t" \
	"vmovdqu %%ymm7, 96(%%r8)\n\t" \
	"vzeroupper\n\t" \
	"jmp 39f\n\t" \
	"35:\n\t" /* by 16 bytes: from both ends, or blocks of 64, the last one overlapping */ \
	"cmpq $1024, %%rcx\n\t" \
	"ja 36f\n\t" \
	"cmpq $64, %%rcx\n\t" \
	"ja 41f\n\t" \
	"movups (%%rsi), %%xmm0\n\t" \
	"movups 16(%%rsi), %%xmm1\n\t" \
	"movups -32(%%rsi, %%rcx), %%xmm2\n\t" \
	"movups -16(%%rsi, %%rcx), %%xmm3\n\t" \
	WR_POINT(31) \
	"movups %%xmm0, (%%rdi)\n\t" \
	"movups %%xmm1, 16(%%rdi)\n\t" \
	WR_POINT(32) \
	"movups %%xmm2, -32(%%rdi, %%rcx)\n\t" \
	"movups %%xmm3, -16(%%rdi, %%rcx)\n\t" \
	"jmp 39f\n\t" \
	"41:\n\t" \
	"leaq -64(%%rcx), %%r8\n\t" \
	"42:\n\t" \
	"movups (%%rsi), %%xmm0\n\t" \
	"movups 16(%%rsi), %%xmm1\n\t" \
	"movups 32(%%rsi), %%xmm2\n\t" \
	"movups 48(%%rsi), %%xmm3\n\t" \
	WR_POINT(33) \
	"movups %%xmm0, (%%rdi)\n\t" \
	"movups %%xmm1, 16(%%rdi)\n\t" \
	"movups %%xmm2, 32(%%rdi)\n\t" \
	"movups %%xmm3, 48(%%rdi)\n\t" \
	"addq $64, %%rsi\n\t" \
	"addq $64, %%rdi\n\t" \
	"subq $64, %%r8\n\t" \
	WR_POINT(34) \
	"ja 42b\n\t" \
	"movups (%%rsi, %%r8), %%xmm0\n\t" \
	"movups 16(%%rsi, %%r8), %%xmm1\n\t" \
	"movups 32(%%rsi, %%r8), %%xmm2\n\t" \
	"movups 48(%%rsi, %%r8), %%xmm3\n\t" \
	"movups %%xmm0, (%%rdi, %%r8)\n\t" \
	"movups %%xmm1, 16(%%rdi, %%r8)\n\t" \
	WR_POINT(35) \
	"movups %%xmm2, 32(%%rdi, %%r8)\n\t" \
	"movups %%xmm3, 48(%%rdi, %%r8)\n\t" \
	"jmp 39f\n\t" \
	"36:\n\t" \
	"movq %%rcx, %%r8\n\t" \
	WR_POINT(36) \
	"rep movsb\n\t" \
	WR_POINT(37) \
	"movq %%r8, %%rcx\n\t" \
	"39:\n\t" \
	WR_POINT(38)

#endif
