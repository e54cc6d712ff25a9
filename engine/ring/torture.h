/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/torture.h - places inside the sections where a test lets something happen, and steps of the
 * sections that a test leaves out to see whether anybody notices.
 *
 * It knows registers and flags. It does not know what a section is for. Without -Dtorture=true all
 * of this is the empty string: the sections are the same to the byte.
 *
 * A point does nothing unless the thread has named its number in wr_torture.at. Then, once, it runs
 * into a trapping instruction, whose signal makes the kernel abort the section; or it counts down
 * wr_torture.loops, so that what is to interrupt the section has the time to do so. No register,
 * flag or byte of the stack is changed by it.
 */
#ifndef WR_RING_TORTURE_H
#define WR_RING_TORTURE_H

#include <stdint.h>

/* The points know these offsets. thread: the thread itself; others may look. */
struct wr_torture {
	uint32_t at;     /* the point that acts, 0: none. The point itself sets it to 0 */
	uint32_t skip;   /* passages of that point to let go by first */
	uint32_t loops;  /* how long to stay there; 0: trap */
	uint32_t inside; /* the point that the thread stays at; left as it is by an abort */
	uint64_t hits;   /* times that a point acted */
	uint64_t aborts; /* times that a section left by its abort address */
};

extern _Thread_local struct wr_torture wr_torture
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

#ifdef WR_TORTURE

/* With its points a section is one very long string. */
#pragma GCC diagnostic ignored "-Woverlength-strings"

/* A step of the section, which mutant @n lacks; and one that only mutant @n has. */
#ifndef WR_TORTURE_MUTANT
#define WR_TORTURE_MUTANT 0
#endif
#define WR_TORTURE_TEXT_(n) #n
#define WR_TORTURE_TEXT(n) WR_TORTURE_TEXT_(n)
#define WR_SOUND(n, text) \
	".if " WR_TORTURE_TEXT(WR_TORTURE_MUTANT) " != " #n "\n\t" text ".endif\n\t"
#define WR_MUTANT(n, text) \
	".if " WR_TORTURE_TEXT(WR_TORTURE_MUTANT) " == " #n "\n\t" text ".endif\n\t"

#if defined(__x86_64__)
/* rax and rcx wait in xmm registers that no section uses, the flags in rax. */
#define WR_POINT(n) \
	"movq %%rax, %%xmm15\n\t" \
	"lahf\n\t" \
	"seto %%al\n\t" \
	"movq %%rcx, %%xmm14\n\t" \
	"movq wr_torture@gottpoff(%%rip), %%rcx\n\t" \
	"cmpl $" #n ", %%fs:(%%rcx)\n\t" \
	"jne 61f\n\t" \
	"subl $1, %%fs:4(%%rcx)\n\t" \
	"jnc 61f\n\t" \
	"movl $0, %%fs:(%%rcx)\n\t" \
	"movl $0, %%fs:4(%%rcx)\n\t" \
	"incq %%fs:16(%%rcx)\n\t" \
	"movl $" #n ", %%fs:12(%%rcx)\n\t" \
	"cmpl $0, %%fs:8(%%rcx)\n\t" \
	"jne 60f\n\t" \
	"int3\n\t" \
	"jmp 62f\n\t" \
	"60:\n\t" \
	"subl $1, %%fs:8(%%rcx)\n\t" \
	"jnz 60b\n\t" \
	"62:\n\t" \
	"movl $0, %%fs:12(%%rcx)\n\t" \
	"61:\n\t" \
	"movq %%xmm14, %%rcx\n\t" \
	"addb $127, %%al\n\t" \
	"sahf\n\t" \
	"movq %%xmm15, %%rax\n\t"
#define WR_POINT_ABORTED \
	"movq wr_torture@gottpoff(%%rip), %%rax\n\t" \
	"incq %%fs:24(%%rax)\n\t"
#define WR_POINT_CLOBBERS , "xmm14", "xmm15"

#elif defined(__aarch64__)
/* x7 keeps the flags. */
#define WR_POINT_AREA \
	"mrs x16, tpidr_el0\n\t" \
	"adrp x17, :gottprel:wr_torture\n\t" \
	"ldr x17, [x17, :gottprel_lo12:wr_torture]\n\t" \
	"add x16, x16, x17\n\t"
#define WR_POINT(n) \
	"mrs x7, nzcv\n\t" \
	WR_POINT_AREA \
	"ldr w17, [x16]\n\t" \
	"cmp w17, #" #n "\n\t" \
	"b.ne 61f\n\t" \
	"ldr w17, [x16, #4]\n\t" \
	"subs w17, w17, #1\n\t" \
	"str w17, [x16, #4]\n\t" \
	"b.hs 61f\n\t" \
	"str xzr, [x16]\n\t" \
	"ldr x17, [x16, #16]\n\t" \
	"add x17, x17, #1\n\t" \
	"str x17, [x16, #16]\n\t" \
	"mov w17, #" #n "\n\t" \
	"str w17, [x16, #12]\n\t" \
	"ldr w17, [x16, #8]\n\t" \
	"cbnz w17, 60f\n\t" \
	"brk #0\n\t" \
	"b 62f\n\t" \
	"60:\n\t" \
	"subs w17, w17, #1\n\t" \
	"str w17, [x16, #8]\n\t" \
	"b.ne 60b\n\t" \
	"62:\n\t" \
	"str wzr, [x16, #12]\n\t" \
	"61:\n\t" \
	"msr nzcv, x7\n\t"
#define WR_POINT_ABORTED \
	WR_POINT_AREA \
	"ldr x17, [x16, #24]\n\t" \
	"add x17, x17, #1\n\t" \
	"str x17, [x16, #24]\n\t"
#define WR_POINT_CLOBBERS , "x7", "x16", "x17"
#endif

#else

#define WR_POINT(n) ""
#define WR_POINT_ABORTED ""
#define WR_POINT_CLOBBERS
#define WR_SOUND(n, text) text
#define WR_MUTANT(n, text) ""

#endif

#endif
