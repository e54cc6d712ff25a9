/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/section_aarch64.h - the restartable sections of a push, aarch64.
 *
 * NOT YET RUN ON HARDWARE. Under an emulator, which registers no restartable sequences, its paths
 * run over an rseq area that the tests make up; no kernel has ever aborted one of its sections.
 *
 * The counterpart of section_x86_64.h, step by step: the same table, words and exits. A section
 * knows the calling thread's rseq area, one table of rings and one ring. Everything that is read is
 * read inside; of the rseq area only rseq_cs is written.
 *
 * What is different: the rseq area is found by tpidr_el0; the commit is a store-release, and a side
 * entry stands between a load-acquire and a store-release of side_next, since plain stores may
 * become visible in any order; the abort code stands right behind the commit, in reach of a
 * conditional branch. What a section loads needs no acquire: the ring hangs on the table's pointer
 * by address, and the stores into it hang on the tests of limit by control.
 *
 * The points are numbered as over there; both sections share the first ten, and 38 to 40.
 *
 * Registers: x8 the rseq area, w10 the cpu, x11 the place in the ring; the others as needed.
 * thread: producer
 */
#ifndef WR_RING_SECTION_AARCH64_H
#define WR_RING_SECTION_AARCH64_H

#include <stdint.h>

#include "ring/ring.h"
#include "ring/torture.h"

/* struct rseq of the kernel's interface: cpu_id_start 0, cpu_id 4, rseq_cs 8. */
#define WR_RSEQ_ENTER \
	".pushsection __rseq_cs, \"aw\"\n\t" \
	".balign 32\n\t" \
	"77:\n\t" \
	".long 0, 0\n\t" \
	".quad 1f, 2f - 1f, 4f\n\t" \
	".popsection\n\t" \
	"mrs x8, tpidr_el0\n\t" \
	"add x8, x8, %[rseq]\n\t" \
	"ldr w10, [x8]\n\t" \
	WR_POINT(1) \
	"adrp x9, 77b\n\t" \
	"add x9, x9, :lo12:77b\n\t" \
	"str x9, [x8, #8]\n" \
	"1:\n\t" \
	WR_POINT(2)

/* The ring and the alarm. Out: [ring] [head] [alarm]; [exit] is the exit from then on. */
#define WR_SECTION_CHECKS \
	"ldr w9, [x8, #4]\n\t" \
	"cmp w9, w10\n\t" \
	"b.ne 4f\n\t" \
	WR_POINT(4) \
	"ldr %[ring], [%[table], x10, lsl #3]\n\t" \
	WR_POINT(5) \
	"mov %w[exit], #2\n\t" \
	"cbz %[ring], 99f\n\t" \
	WR_POINT(6) \
	"ldr %[head], [%[ring], #128]\n\t" \
	WR_POINT(7) \
	"ldr %[alarm], [%[ring]]\n\t" \
	WR_POINT(8) \
	"mov %w[exit], #3\n\t" \
	"lsr x9, %[head], #32\n\t" \
	"add w9, w9, #1\n\t" \
	"sub w9, w9, %w[alarm]\n\t" \
	"tbz w9, #31, 99f\n\t" \
	WR_POINT(10)

/* x11 = where the record goes. */
#define WR_SECTION_PLACE \
	"ldp x11, x12, [%[ring], #16]\n\t" \
	"and x12, x12, %[head]\n\t" \
	"add x11, x11, x12\n\t"

/*
 * The commit: {count + 1, end}, one store. Behind it, outside the section, the signature that the C
 * library registered and the place to which the kernel sends an interrupted thread.
 */
#define WR_SECTION_COMMIT \
	"lsr x9, %[head], #32\n\t" \
	"add w9, w9, #1\n\t" \
	"orr x9, %[end], x9, lsl #32\n\t" \
	"add x11, %[ring], #128\n\t" \
	"mov %w[exit], #0\n\t" \
	WR_POINT(39) \
	"stlr x9, [x11]\n" \
	"2:\n\t" \
	WR_POINT(40) \
	"b 99f\n\t" \
	".inst 0xd428bc00\n" \
	"4:\n\t" \
	WR_POINT_ABORTED \
	"mov %w[exit], #1\n" \
	"99:\n\t"

/* Copies size bytes from [data] to x11; both move, size is kept. */
#define WR_SECTION_COPY \
	"add x12, %[data], %[size]\n\t" \
	"add x13, x11, %[size]\n\t" \
	"cmp %[size], #16\n\t" \
	"b.lo 31f\n\t" \
	"cmp %[size], #64\n\t" \
	"b.hi 33f\n\t" \
	"ldr q0, [%[data]]\n\t" \
	"ldur q3, [x12, #-16]\n\t" \
	WR_POINT(17) \
	"cmp %[size], #32\n\t" \
	"b.ls 30f\n\t" \
	"ldr q1, [%[data], #16]\n\t" \
	"ldur q2, [x12, #-32]\n\t" \
	"str q1, [x11, #16]\n\t" \
	"stur q2, [x13, #-32]\n\t" \
	WR_POINT(32) \
	"30:\n\t" \
	"str q0, [x11]\n\t" \
	WR_POINT(18) \
	"stur q3, [x13, #-16]\n\t" \
	"b 39f\n\t" \
	"31:\n\t" /* below 16 */ \
	"tbz %[size], #3, 32f\n\t" \
	"ldr x9, [%[data]]\n\t" \
	"ldur x14, [x12, #-8]\n\t" \
	"str x9, [x11]\n\t" \
	WR_POINT(19) \
	"stur x14, [x13, #-8]\n\t" \
	"b 39f\n\t" \
	"32:\n\t" \
	"tbz %[size], #2, 34f\n\t" \
	"ldr w9, [%[data]]\n\t" \
	"ldur w14, [x12, #-4]\n\t" \
	"str w9, [x11]\n\t" \
	WR_POINT(20) \
	"stur w14, [x13, #-4]\n\t" \
	"b 39f\n\t" \
	"34:\n\t" /* 0..3 */ \
	"cbz %[size], 39f\n\t" \
	"ldrb w9, [%[data]]\n\t" \
	"strb w9, [x11]\n\t" \
	WR_POINT(21) \
	"tbz %[size], #1, 39f\n\t" \
	"ldurh w9, [x12, #-2]\n\t" \
	"sturh w9, [x13, #-2]\n\t" \
	"b 39f\n\t" \
	"33:\n\t" /* above 64: blocks of 64, the last one overlapping */ \
	"sub x9, %[size], #64\n\t" \
	"35:\n\t" \
	"ldp q0, q1, [%[data]]\n\t" \
	"ldp q2, q3, [%[data], #32]\n\t" \
	"stp q0, q1, [x11]\n\t" \
	WR_POINT(33) \
	"stp q2, q3, [x11, #32]\n\t" \
	"add %[data], %[data], #64\n\t" \
	"add x11, x11, #64\n\t" \
	WR_POINT(34) \
	"subs x9, x9, #64\n\t" \
	"b.hi 35b\n\t" \
	"ldp q0, q1, [x12, #-64]\n\t" \
	"ldp q2, q3, [x12, #-32]\n\t" \
	"stp q0, q1, [x13, #-64]\n\t" \
	WR_POINT(35) \
	"stp q2, q3, [x13, #-32]\n\t" \
	"39:\n\t" \
	WR_POINT(38)

/* One plain record: header and payload. @rseq: offset of the rseq area from the thread pointer. */
static inline int wr_section_push(struct wr_ring *_Atomic const *table, long rseq,
                                  const _Atomic uint64_t *order, uint64_t header, const void *data,
                                  struct wr_seen *ret)
{
	struct wr_ring *ring;
	uint64_t head, alarm, end, size = (uint32_t)header;
	int exit;

	/*
	 * ORDER ring.publish: release, the stlr. Acquired by wr_cut_head() in flush/walk.c.
	 * Gives:     whoever reads a head sees all records below it whole.
	 * Otherwise: the flusher hands the sink bytes that were never written.
	 */
	__asm__ __volatile__(
		WR_RSEQ_ENTER
		WR_SECTION_CHECKS
		"mov %w[exit], #4\n\t"
		"add %w[end], %w[size], #15\n\t"
		"and %w[end], %w[end], #0xfffffff8\n\t"
		"add %w[end], %w[end], %w[head]\n\t"
		"ldr w9, [%[ring], #8]\n\t"
		WR_POINT(11)
		"sub w9, w9, %w[end]\n\t"
		"tbnz w9, #31, 99f\n\t"
		WR_POINT(12)
		"mov %w[exit], #5\n\t"
		"ldr x9, [%[order]]\n\t"
		WR_POINT(13)
		"lsr x9, x9, #16\n\t"
		"ldr x11, [%[ring], #32]\n\t"
		"cmp x9, x11\n\t"
		"b.ne 99f\n\t"
		WR_POINT(14)
		WR_SECTION_PLACE
		WR_POINT(15)
		"str %[header], [x11], #8\n\t"
		WR_POINT(16)
		WR_SECTION_COPY
		WR_SECTION_COMMIT
		: [ring] "=&r"(ring), [head] "=&r"(head), [alarm] "=&r"(alarm), [end] "=&r"(end),
		  [exit] "=&r"(exit), [data] "+&r"(data)
		: [table] "r"(table), [rseq] "r"(rseq), [order] "r"(order), [header] "r"(header),
		  [size] "r"(size)
		: "x8", "x9", "x10", "x11", "x12", "x13", "x14", "v0", "v1", "v2", "v3", "memory",
		  "cc" WR_POINT_CLOBBERS);
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
		WR_RSEQ_ENTER
		WR_SECTION_CHECKS
		/* the alarm's epoch: WR_ANY_EPOCH or equal */
		"ldr x9, [%[put], #32]\n\t"
		"cmn x9, #1\n\t"
		"b.eq 11f\n\t"
		"lsr x11, %[alarm], #37\n\t"
		"cmp x11, x9\n\t"
		"b.ne 99f\n\t"
		"11:\n\t"
		WR_POINT(48)
		"mov %w[exit], #4\n\t"
		"ldr w9, [%[put], #8]\n\t"
		"add %w[end], %w[head], w9\n\t"
		"ldr w9, [%[ring], #8]\n\t"
		WR_POINT(49)
		"sub w9, w9, %w[end]\n\t"
		"tbnz w9, #31, 99f\n\t"
		WR_POINT(50)
		"mov %w[exit], #5\n\t"
		"ldr x9, [%[order]]\n\t"
		WR_POINT(51)
		"ldp x11, x12, [%[put], #16]\n\t"
		"cbz x11, 12f\n\t"
		"cmp x11, %[ring]\n\t"
		"b.ne 99f\n\t"
		"cmp x12, x9\n\t"
		"b.ne 99f\n\t"
		"b 13f\n\t"
		"12:\n\t"
		"lsr x9, x9, #16\n\t"
		"ldr x11, [%[ring], #32]\n\t"
		"cmp x9, x11\n\t"
		"b.ne 99f\n\t"
		"13:\n\t"
		WR_POINT(52)
		WR_SECTION_PLACE
		WR_POINT(53)
		"ldr x9, [%[put]]\n\t"
		"str x9, [x11], #8\n\t"
		WR_POINT(54)
		/* gather: x12 walks the pieces, x13 counts them */
		"ldp x12, x13, [%[put], #40]\n\t"
		"14:\n\t"
		"cbz x13, 15f\n\t"
		WR_POINT(55)
		"ldp x14, x15, [x12], #16\n\t"
		WR_POINT(56)
		"sub x13, x13, #1\n\t"
		"17:\n\t"
		"subs x9, x15, #16\n\t"
		"b.lo 18f\n\t"
		"ldr q0, [x14], #16\n\t"
		"str q0, [x11], #16\n\t"
		"mov x15, x9\n\t"
		"b 17b\n\t"
		"18:\n\t"
		"cbz x15, 14b\n\t"
		"ldrb w9, [x14], #1\n\t"
		"strb w9, [x11], #1\n\t"
		WR_POINT(57)
		"sub x15, x15, #1\n\t"
		"b 18b\n\t"
		"15:\n\t"
		WR_POINT(58)
		"ldr x9, [%[put], #56]\n\t"
		"cbz x9, 16f\n\t"
		"add x11, %[ring], #136\n\t"
		"ldar w12, [x11]\n\t"
		WR_POINT(59)
		"and w13, w12, #63\n\t"
		"add x14, %[ring], #144\n\t"
		"str %[head], [x14, x13, lsl #3]\n\t"
		WR_POINT(60)
		"add w12, w12, #1\n\t"
		"stlr w12, [x11]\n\t"
		WR_POINT(61)
		"16:\n\t"
		WR_SECTION_COMMIT
		: [ring] "=&r"(ring), [head] "=&r"(head), [alarm] "=&r"(alarm), [end] "=&r"(end),
		  [exit] "=&r"(exit)
		: [table] "r"(table), [rseq] "r"(rseq), [order] "r"(order), [put] "r"(put)
		: "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "v0", "memory",
		  "cc" WR_POINT_CLOBBERS);
	ret->ring = ring;
	ret->head = head;
	ret->alarm = alarm;
	return exit;
}

#endif
