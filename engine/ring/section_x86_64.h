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

#include "ring/copy_x86_64.h"
#include "ring/ring.h"

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
	WR_POINT_ABORTED \
	"movl $1, %%eax\n\t" \
	"jmp 99f\n\t" \
	".popsection\n\t"

/* The ring and the alarm. In: eax = cpu. Out: [ring] [head] [alarm]; eax is the exit from here. */
#define WR_SECTION_CHECKS(abort) \
	WR_POINT(42) \
	WR_SOUND(2, "cmpl %%fs:4(%[rseq]), %%eax\n\t" \
		"jne " abort "f\n\t") \
	WR_POINT(43) \
	"movq (%[table], %%rax, 8), %[ring]\n\t" \
	WR_POINT(44) \
	"movl $2, %%eax\n\t" \
	"testq %[ring], %[ring]\n\t" \
	"jz 99f\n\t" \
	WR_SOUND(3, "movq 128(%[ring]), %[head]\n\t") \
	WR_MUTANT(3, "movq %%rdi, %[head]\n\t") \
	WR_POINT(45) \
	"movq (%[ring]), %[alarm]\n\t" \
	WR_POINT(46) \
	"movl $3, %%eax\n\t" \
	"movq %[head], %%r8\n\t" \
	"shrq $32, %%r8\n\t" \
	"incl %%r8d\n\t" \
	"subl %k[alarm], %%r8d\n\t" \
	WR_SOUND(6, "jns 99f\n\t") \
	WR_POINT(47)

/* The new head: {count + 1, end}. */
#define WR_SECTION_NEW_HEAD \
	"movq %[head], %%r8\n\t" \
	"shrq $32, %%r8\n\t" \
	"incl %%r8d\n\t" \
	"shlq $32, %%r8\n\t" \
	"orq %[end], %%r8\n\t"

/* The commit: one store. */
#define WR_SECTION_COMMIT \
	WR_SECTION_NEW_HEAD \
	"xorl %%eax, %%eax\n\t" \
	WR_MUTANT(8, "2:\n\t") \
	WR_POINT(62) \
	WR_SOUND(4, "movq %%r8, 128(%[ring])\n\t") \
	WR_SOUND(8, "2:\n\t") \
	WR_POINT(63)

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
		WR_MUTANT(3, "movq (%[ring], %%rax, 8), %%r11\n\t"
			"testq %%r11, %%r11\n\t"
			"jz 63f\n\t"
			"movq 128(%%r11), %%r11\n"
			"63:\n\t")
		WR_POINT(1)
		"leaq 77b(%%rip), %%r8\n\t"
		WR_SOUND(1, "movq %%r8, %%fs:8(%[head])\n\t")
		WR_MUTANT(9, "movl $9, %%fs:20(%[head])\n\t")
		"1:\n\t"
		WR_POINT(2)
		WR_SOUND(2, "cmpl %%fs:4(%[head]), %%eax\n\t"
			WR_POINT(3)
			"jne 4f\n\t")
		WR_POINT(4)
		"movq (%[ring], %%rax, 8), %[ring]\n\t"
		WR_POINT(5)
		"movl $2, %%eax\n\t"
		"testq %[ring], %[ring]\n\t"
		"jz 99f\n\t"
		WR_POINT(6)
		WR_SOUND(3, "movq 128(%[ring]), %[head]\n\t")
		WR_MUTANT(3, "movq %%r11, %[head]\n\t")
		WR_POINT(7)
		"movq (%[ring]), %%rdi\n\t"
		WR_POINT(8)
		"movl $3, %%eax\n\t"
		"movq %[head], %%r8\n\t"
		"shrq $32, %%r8\n\t"
		"incl %%r8d\n\t" /* count + 1, until the copy */
		"movl %%r8d, %%r11d\n\t"
		"subl %%edi, %%r11d\n\t"
		WR_POINT(9)
		WR_SOUND(6, "jns 99f\n\t")
		WR_POINT(10)
		"movl $4, %%eax\n\t"
		"leal 15(%%rcx), %%r11d\n\t"
		"andl $-8, %%r11d\n\t"
		"addl %k[head], %%r11d\n\t" /* the end */
		"movl 8(%[ring]), %%edi\n\t"
		WR_POINT(11)
		"subl %%r11d, %%edi\n\t"
		WR_SOUND(5, "js 99f\n\t")
		WR_POINT(12)
		"shlq $32, %%r8\n\t"
		"orq %%r8, %%r11\n\t" /* the new head */
		"movl $5, %%eax\n\t"
		"movq (%[order]), %%r8\n\t"
		WR_POINT(13)
		"shrq $16, %%r8\n\t"
		"cmpq 32(%[ring]), %%r8\n\t"
		WR_SOUND(7, "jne 99f\n\t")
		WR_POINT(14)
		"movq 24(%[ring]), %%rdi\n\t"
		"andq %[head], %%rdi\n\t"
		"addq 16(%[ring]), %%rdi\n\t"
		WR_POINT(15)
		WR_MUTANT(4, "movq %%r11, 128(%[ring])\n\t")
		"movq %%rcx, (%%rdi)\n\t"
		WR_POINT(16)
		"addq $8, %%rdi\n\t"
		"movl %%ecx, %%ecx\n\t"
		WR_SECTION_COPY
		"xorl %%eax, %%eax\n\t"
		WR_MUTANT(8, "2:\n\t")
		WR_POINT(39)
		WR_SOUND(4, "movq %%r11, 128(%[ring])\n\t")
		WR_SOUND(8, "2:\n\t")
		WR_POINT(40)
		WR_RSEQ_ABORT("4")
		"99:\n\t"
		: [ring] "+r"(r9), [head] "+r"(r10), "=&D"(alarm), "=&a"(exit), "+S"(data),
		  "+c"(header) /* an abort leaves rcx where rep movsb was */
		: [order] "d"(order), [wide] "m"(wr_section_wide)
		: "r8", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		  "memory", "cc" WR_POINT_CLOBBERS);
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
		WR_MUTANT(3, "movq (%[table], %%rax, 8), %%rdi\n\t"
			"testq %%rdi, %%rdi\n\t"
			"jz 63f\n\t"
			"movq 128(%%rdi), %%rdi\n"
			"63:\n\t")
		WR_POINT(41)
		"leaq 77b(%%rip), %[ring]\n\t"
		WR_SOUND(1, "movq %[ring], %%fs:8(%[rseq])\n\t")
		WR_MUTANT(9, "movl $9, %%fs:20(%[rseq])\n\t")
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
		WR_POINT(48)
		"movl $4, %%eax\n\t"
		"movl %k[head], %k[end]\n\t"
		"addl 8(%[put]), %k[end]\n\t"
		"movl 8(%[ring]), %%r8d\n\t"
		WR_POINT(49)
		"subl %k[end], %%r8d\n\t"
		WR_SOUND(5, "js 99f\n\t")
		WR_POINT(50)
		"movl $5, %%eax\n\t"
		"movq (%[order]), %%r8\n\t"
		WR_POINT(51)
		"movq 16(%[put]), %%rdi\n\t"
		"testq %%rdi, %%rdi\n\t"
		"jz 12f\n\t"
		"cmpq %[ring], %%rdi\n\t"
		WR_SOUND(10, "jne 99f\n\t")
		"cmpq 24(%[put]), %%r8\n\t"
		WR_SOUND(11, "jne 99f\n\t")
		"jmp 13f\n\t"
		"12:\n\t"
		"shrq $16, %%r8\n\t"
		"cmpq 32(%[ring]), %%r8\n\t"
		WR_SOUND(7, "jne 99f\n\t")
		"13:\n\t"
		WR_POINT(52)
		"movq 24(%[ring]), %%rdi\n\t"
		"andq %[head], %%rdi\n\t"
		"addq 16(%[ring]), %%rdi\n\t"
		WR_POINT(53)
		WR_MUTANT(4, WR_SECTION_NEW_HEAD
			"movq %%r8, 128(%[ring])\n\t")
		"movq (%[put]), %%r8\n\t"
		"movq %%r8, (%%rdi)\n\t"
		WR_POINT(54)
		"addq $8, %%rdi\n\t"
		/* gather: rdx walks the pieces, r8 counts them */
		"movq 40(%[put]), %%rdx\n\t"
		"movq 48(%[put]), %%r8\n\t"
		"14:\n\t"
		"testq %%r8, %%r8\n\t"
		"jz 15f\n\t"
		WR_POINT(55)
		"movq (%%rdx), %%rsi\n\t"
		"movq 8(%%rdx), %%rcx\n\t"
		WR_POINT(56)
		"rep movsb\n\t"
		WR_POINT(57)
		"addq $16, %%rdx\n\t"
		"decq %%r8\n\t"
		"jmp 14b\n\t"
		"15:\n\t"
		WR_POINT(58)
		"cmpq $0, 56(%[put])\n\t"
		"je 16f\n\t"
		"movl 136(%[ring]), %%edx\n\t"
		WR_POINT(59)
		"movl %%edx, %%r8d\n\t"
		"andl $63, %%r8d\n\t"
		"movq %[head], 144(%[ring], %%r8, 8)\n\t"
		WR_POINT(60)
		"incl %%edx\n\t"
		"movl %%edx, 136(%[ring])\n\t"
		WR_POINT(61)
		"16:\n\t"
		WR_SECTION_COMMIT
		WR_RSEQ_ABORT("4")
		"99:\n\t"
		: [ring] "=&r"(ring), [head] "=&r"(head), [alarm] "=&r"(alarm), [end] "=&r"(end),
		  "=&a"(exit)
		: [table] "r"(table), [rseq] "r"(rseq), [order] "r"(order), [put] "r"(put)
		: "rcx", "rdx", "rdi", "rsi", "r8", "memory",
		  "cc" WR_POINT_CLOBBERS);
	ret->ring = ring;
	ret->head = head;
	ret->alarm = alarm;
	return exit;
}

#endif
