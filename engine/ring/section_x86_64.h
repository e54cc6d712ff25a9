/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/section_x86_64.h - the restartable sections of a push, x86-64.
 *
 * A section knows the calling thread's rseq area, one table of rings and one ring. Everything that
 * is read is read inside: what was read before could be stale after a membarrier, and a push would
 * slip past close, past an alarm or into a retired ring. Of the rseq area only rseq_cs is written.
 *
 *     outside   cpu = rseq.cpu_id_start; rseq.rseq_cs = descriptor
 *     section   rseq.cpu_id is cpu?                      else ABORTED
 *               ring = table[cpu]                        0:   NO_RING
 *               count + 1 has reached alarm.trip?             ALARM
 *               end beyond limit.position?                    LIMIT
 *               order word is {this ring}?               else ORDER
 *               copy header and payload
 *               head = {count + 1, end}                  the commit: one 8-byte store
 *
 * The kernel sends a thread that was preempted, migrated or signalled inside to the abort address.
 * thread: producer
 */
#ifndef WR_RING_SECTION_X86_64_H
#define WR_RING_SECTION_X86_64_H

#include <stdint.h>

#include "ring/ring.h"

/* 1: the processor moves 32 bytes at a time. Set once, by wr_rseq_detect(). */
extern int wr_section_wide __attribute__((visibility("hidden")));

/* struct rseq of the kernel's interface: cpu_id_start 0, cpu_id 4, rseq_cs 8. */
#define WR_RSEQ_DESCRIPTOR(start, commit, abort) \
	".pushsection __rseq_cs, \"aw\"\n\t" \
	".balign 32\n\t" \
	"77:\n\t" \
	".long 0, 0\n\t" \
	".quad " start ", " commit " - " start ", " abort "\n\t" \
	".popsection\n\t"
/* The signature that the C library registered stands before the abort address. */
#define WR_RSEQ_ABORT(label) \
	".pushsection .text.unlikely, \"ax\"\n\t" \
	".byte 0x0f, 0xb9, 0x3d\n\t" \
	".long 0x53053053\n" label ":\n\t" \
	"movl $1, %%eax\n\t" \
	"jmp 99f\n\t" \
	".popsection\n\t"

/* The ring and the alarm. In: eax = cpu. Out: [ring] [head] [alarm]; eax is the exit from here. */
#define WR_SECTION_CHECKS(abort) \
	"cmpl %%fs:4(%[rseq]), %%eax\n\t" \
	"jne " abort "f\n\t" \
	"movq (%[table], %%rax, 8), %[ring]\n\t" \
	"movl $2, %%eax\n\t" \
	"testq %[ring], %[ring]\n\t" \
	"jz 99f\n\t" \
	"movq 128(%[ring]), %[head]\n\t" \
	"movq (%[ring]), %[alarm]\n\t" \
	"movl $3, %%eax\n\t" \
	"movq %[head], %%r8\n\t" \
	"shrq $32, %%r8\n\t" \
	"incl %%r8d\n\t" \
	"subl %k[alarm], %%r8d\n\t" \
	"jns 99f\n\t"

/* The commit: {count + 1, end}, one store. */
#define WR_SECTION_COMMIT \
	"movq %[head], %%r8\n\t" \
	"shrq $32, %%r8\n\t" \
	"incl %%r8d\n\t" \
	"shlq $32, %%r8\n\t" \
	"orq %[end], %%r8\n\t" \
	"xorl %%eax, %%eax\n\t" \
	"movq %%r8, 128(%[ring])\n" \
	"2:\n\t"

/* Copies size bytes from rsi to rdi; r8 and xmm0-7 are clobbered, rcx = size is kept. */
#define WR_SECTION_COPY \
	"cmpq $16, %%rcx\n\t" \
	"jb 31f\n\t" \
	"cmpq $32, %%rcx\n\t" \
	"ja 33f\n\t" \
	"movups (%%rsi), %%xmm0\n\t" \
	"movups -16(%%rsi, %%rcx), %%xmm1\n\t" \
	"movups %%xmm0, (%%rdi)\n\t" \
	"movups %%xmm1, -16(%%rdi, %%rcx)\n\t" \
	"jmp 39f\n\t" \
	"31:\n\t" /* below 16 */ \
	"testb $8, %%cl\n\t" \
	"jz 32f\n\t" \
	"movq (%%rsi), %%r8\n\t" \
	"movq %%r8, (%%rdi)\n\t" \
	"movq -8(%%rsi, %%rcx), %%r8\n\t" \
	"movq %%r8, -8(%%rdi, %%rcx)\n\t" \
	"jmp 39f\n\t" \
	"32:\n\t" \
	"testb $4, %%cl\n\t" \
	"jz 34f\n\t" \
	"movl (%%rsi), %%r8d\n\t" \
	"movl %%r8d, (%%rdi)\n\t" \
	"movl -4(%%rsi, %%rcx), %%r8d\n\t" \
	"movl %%r8d, -4(%%rdi, %%rcx)\n\t" \
	"jmp 39f\n\t" \
	"34:\n\t" /* 0..3 */ \
	"testb %%cl, %%cl\n\t" \
	"jz 39f\n\t" \
	"movzbl (%%rsi), %%r8d\n\t" \
	"movb %%r8b, (%%rdi)\n\t" \
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
	"vmovdqu %%ymm0, (%%rdi)\n\t" \
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
	"vmovdqu %%ymm0, (%%rdi)\n\t" \
	"vmovdqu %%ymm1, 32(%%rdi)\n\t" \
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
	"38:\n\t" \
	"vmovdqu (%%rsi), %%ymm0\n\t" \
	"vmovdqu 32(%%rsi), %%ymm1\n\t" \
	"vmovdqu 64(%%rsi), %%ymm2\n\t" \
	"vmovdqu 96(%%rsi), %%ymm3\n\t" \
	"vmovdqu %%ymm0, (%%rdi)\n\t" \
	"vmovdqu %%ymm1, 32(%%rdi)\n\t" \
	"vmovdqu %%ymm2, 64(%%rdi)\n\t" \
	"vmovdqu %%ymm3, 96(%%rdi)\n\t" \
	"addq $128, %%rsi\n\t" \
	"addq $128, %%rdi\n\t" \
	"cmpq %%r8, %%rdi\n\t" \
	"jb 38b\n\t" \
	"vmovdqu %%ymm4, (%%r8)\n\t" \
	"vmovdqu %%ymm5, 32(%%r8)\n\t" \
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
	"movups %%xmm0, (%%rdi)\n\t" \
	"movups %%xmm1, 16(%%rdi)\n\t" \
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
	"movups %%xmm0, (%%rdi)\n\t" \
	"movups %%xmm1, 16(%%rdi)\n\t" \
	"movups %%xmm2, 32(%%rdi)\n\t" \
	"movups %%xmm3, 48(%%rdi)\n\t" \
	"addq $64, %%rsi\n\t" \
	"addq $64, %%rdi\n\t" \
	"subq $64, %%r8\n\t" \
	"ja 42b\n\t" \
	"movups (%%rsi, %%r8), %%xmm0\n\t" \
	"movups 16(%%rsi, %%r8), %%xmm1\n\t" \
	"movups 32(%%rsi, %%r8), %%xmm2\n\t" \
	"movups 48(%%rsi, %%r8), %%xmm3\n\t" \
	"movups %%xmm0, (%%rdi, %%r8)\n\t" \
	"movups %%xmm1, 16(%%rdi, %%r8)\n\t" \
	"movups %%xmm2, 32(%%rdi, %%r8)\n\t" \
	"movups %%xmm3, 48(%%rdi, %%r8)\n\t" \
	"jmp 39f\n\t" \
	"36:\n\t" \
	"movq %%rcx, %%r8\n\t" \
	"rep movsb\n\t" \
	"movq %%r8, %%rcx\n\t" \
	"39:\n\t"

/*
 * One plain record: @header, whose low half is the size, and that many bytes of @data. @rseq is
 * the offset of the rseq area from the thread pointer. ret->alarm is told with WR_EXIT_ALARM only.
 * The section lives in the nine registers that a function need not save: the saving would cost
 * more than the checks.
 *
 * ORDER ring.publish: release. x86-64 stores are not reordered, and the commit is the last one.
 * Acquired by wr_cut_head() in flush/walk.c.
 * Gives:     whoever reads a head sees all records below it whole.
 * Otherwise: the flusher hands the sink bytes that were never written.
 */
static inline __attribute__((always_inline)) int
wr_section_push(struct wr_ring *_Atomic const *table, long rseq, const _Atomic uint64_t *order,
                uint64_t header, const void *data, struct wr_seen *ret)
{
	register const void *r9 __asm__("r9") = (const void *)table; /* then the ring */
	register uint64_t r10 __asm__("r10") = (uint64_t)rseq;       /* then the head */
	struct wr_ring *ring;
	uint64_t head, alarm;
	int exit;

	__asm__ __volatile__(
		WR_RSEQ_DESCRIPTOR("1f", "2f", "4f")
		"movl %%fs:0(%[head]), %%eax\n\t"
		"leaq 77b(%%rip), %%r8\n\t"
		"movq %%r8, %%fs:8(%[head])\n"
		"1:\n\t"
		"cmpl %%fs:4(%[head]), %%eax\n\t"
		"jne 4f\n\t"
		"movq (%[ring], %%rax, 8), %[ring]\n\t"
		"movl $2, %%eax\n\t"
		"testq %[ring], %[ring]\n\t"
		"jz 99f\n\t"
		"movq 128(%[ring]), %[head]\n\t"
		"movq (%[ring]), %%rdi\n\t"
		"movl $3, %%eax\n\t"
		"movq %[head], %%r8\n\t"
		"shrq $32, %%r8\n\t"
		"incl %%r8d\n\t" /* count + 1, until the copy */
		"movl %%r8d, %%r11d\n\t"
		"subl %%edi, %%r11d\n\t"
		"jns 99f\n\t"
		"movl $4, %%eax\n\t"
		"leal 15(%%rcx), %%r11d\n\t"
		"andl $-8, %%r11d\n\t"
		"addl %k[head], %%r11d\n\t" /* the end */
		"movl 8(%[ring]), %%edi\n\t"
		"subl %%r11d, %%edi\n\t"
		"js 99f\n\t"
		"shlq $32, %%r8\n\t"
		"orq %%r8, %%r11\n\t" /* the new head */
		"movl $5, %%eax\n\t"
		"movq (%[order]), %%r8\n\t"
		"shrq $16, %%r8\n\t"
		"cmpq 32(%[ring]), %%r8\n\t"
		"jne 99f\n\t"
		"movq 24(%[ring]), %%rdi\n\t"
		"andq %[head], %%rdi\n\t"
		"addq 16(%[ring]), %%rdi\n\t"
		"movq %%rcx, (%%rdi)\n\t"
		"addq $8, %%rdi\n\t"
		"movl %%ecx, %%ecx\n\t"
		WR_SECTION_COPY
		"xorl %%eax, %%eax\n\t"
		"movq %%r11, 128(%[ring])\n"
		"2:\n\t"
		WR_RSEQ_ABORT("4")
		"99:\n\t"
		: [ring] "+r"(r9), [head] "+r"(r10), "=&D"(alarm), "=&a"(exit), "+S"(data),
		  "+c"(header) /* an abort leaves rcx where rep movsb was */
		: [order] "d"(order), [wide] "m"(wr_section_wide)
		: "r8", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		  "memory", "cc");
	/* Out of their registers at once: sanitizers call functions before each store below. */
	ring = (struct wr_ring *)(uintptr_t)r9;
	head = r10;
	ret->ring = ring;
	ret->head = head;
	ret->alarm = alarm;
	return exit;
}

/*
 * The general form: gathered payload, extension, claim, mark, urgent. @put says what; see ring.h.
 * With put->ring set the section demands that very ring and that very order word (a mark was made
 * for them); with put->side it notes the record in the side table before the commit.
 */
static inline int wr_section_put(struct wr_ring *_Atomic const *table, long rseq,
                                 const _Atomic uint64_t *order, const struct wr_put *put,
                                 struct wr_seen *ret)
{
	struct wr_ring *ring;
	uint64_t head, alarm, end;
	int exit;

	__asm__ __volatile__(
		WR_RSEQ_DESCRIPTOR("1f", "2f", "4f")
		"movl %%fs:0(%[rseq]), %%eax\n\t"
		"leaq 77b(%%rip), %[ring]\n\t"
		"movq %[ring], %%fs:8(%[rseq])\n"
		"1:\n\t"
		WR_SECTION_CHECKS("4")
		/* the alarm's epoch: WR_ANY_EPOCH or equal */
		"movq 32(%[put]), %%r8\n\t"
		"cmpq $-1, %%r8\n\t"
		"je 11f\n\t"
		"movq %[alarm], %%rdi\n\t"
		"shrq $37, %%rdi\n\t"
		"cmpq %%r8, %%rdi\n\t"
		"jne 99f\n\t"
		"11:\n\t"
		"movl $4, %%eax\n\t"
		"movl %k[head], %k[end]\n\t"
		"addl 8(%[put]), %k[end]\n\t"
		"movl 8(%[ring]), %%r8d\n\t"
		"subl %k[end], %%r8d\n\t"
		"js 99f\n\t"
		"movl $5, %%eax\n\t"
		"movq (%[order]), %%r8\n\t"
		"movq 16(%[put]), %%rdi\n\t"
		"testq %%rdi, %%rdi\n\t"
		"jz 12f\n\t"
		"cmpq %[ring], %%rdi\n\t"
		"jne 99f\n\t"
		"cmpq 24(%[put]), %%r8\n\t"
		"jne 99f\n\t"
		"jmp 13f\n\t"
		"12:\n\t"
		"shrq $16, %%r8\n\t"
		"cmpq 32(%[ring]), %%r8\n\t"
		"jne 99f\n\t"
		"13:\n\t"
		"movq 24(%[ring]), %%rdi\n\t"
		"andq %[head], %%rdi\n\t"
		"addq 16(%[ring]), %%rdi\n\t"
		"movq (%[put]), %%r8\n\t"
		"movq %%r8, (%%rdi)\n\t"
		"addq $8, %%rdi\n\t"
		/* gather: rdx walks the pieces, r8 counts them */
		"movq 40(%[put]), %%rdx\n\t"
		"movq 48(%[put]), %%r8\n\t"
		"14:\n\t"
		"testq %%r8, %%r8\n\t"
		"jz 15f\n\t"
		"movq (%%rdx), %%rsi\n\t"
		"movq 8(%%rdx), %%rcx\n\t"
		"rep movsb\n\t"
		"addq $16, %%rdx\n\t"
		"decq %%r8\n\t"
		"jmp 14b\n\t"
		"15:\n\t"
		"cmpq $0, 56(%[put])\n\t"
		"je 16f\n\t"
		"movl 136(%[ring]), %%edx\n\t"
		"movl %%edx, %%r8d\n\t"
		"andl $63, %%r8d\n\t"
		"movq %[head], 144(%[ring], %%r8, 8)\n\t"
		"incl %%edx\n\t"
		"movl %%edx, 136(%[ring])\n\t"
		"16:\n\t"
		WR_SECTION_COMMIT
		WR_RSEQ_ABORT("4")
		"99:\n\t"
		: [ring] "=&r"(ring), [head] "=&r"(head), [alarm] "=&r"(alarm), [end] "=&r"(end),
		  "=&a"(exit)
		: [table] "r"(table), [rseq] "r"(rseq), [order] "r"(order), [put] "r"(put)
		: "rcx", "rdx", "rdi", "rsi", "r8", "memory", "cc");
	ret->ring = ring;
	ret->head = head;
	ret->alarm = alarm;
	return exit;
}

#endif
