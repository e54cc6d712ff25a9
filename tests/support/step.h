/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/step.h - interrupts a function behind any of its instructions.
 *
 * The processor's trap flag stops the thread behind every single instruction; at the chosen one
 * another function is called, as a signal handler would be, or as if another thread had got in
 * between just there. It does not know what is interrupted. x86-64 only.
 */
#ifndef WEIR_TESTS_SUPPORT_STEP_H
#define WEIR_TESTS_SUPPORT_STEP_H

/* ThreadSanitizer holds signals back: a step would be taken somewhere else, or never. */
#if defined(__SANITIZE_THREAD__)
#define WR_NO_STEPS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WR_NO_STEPS 1
#endif
#endif

#if defined(__x86_64__) && !defined(WR_NO_STEPS)
#define WR_CAN_STEP 1

#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

#include "test.h"

#define STEP_TRAP_FLAG 0x100

static volatile uint32_t step_left;
static void (*step_interrupt)(void);

static void step_on_trap(int signal, siginfo_t *info, void *context)
{
	ucontext_t *at = context;

	(void)signal, (void)info;
	if (step_left && --step_left)
		return;
	at->uc_mcontext.gregs[REG_EFL] &= ~STEP_TRAP_FLAG;
	if (step_interrupt)
		step_interrupt();
	step_interrupt = NULL;
}

/* The stack below its pointer is the compiler's own: step over that. */
static inline void step_set_trap(void)
{
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
	                 "leaq 128(%%rsp), %%rsp"
	                 :
	                 :
	                 : "cc", "memory");
}
static inline void step_clear_trap(void)
{
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"
	                 "leaq 128(%%rsp), %%rsp"
	                 :
	                 :
	                 : "cc", "memory");
}

/* Calls @fn, and @interrupt behind its instruction @n, from 1. 0: @fn has fewer. */
static inline int step_into(void (*fn)(void), uint32_t n, void (*interrupt)(void))
{
	struct sigaction action = { .sa_flags = SA_SIGINFO, .sa_sigaction = step_on_trap };

	sigemptyset(&action.sa_mask);
	T_EQ(sigaction(SIGTRAP, &action, NULL), 0);
	step_left = n;
	step_interrupt = interrupt;
	step_set_trap();
	fn();
	step_clear_trap();
	if (!step_interrupt)
		return 1;
	step_interrupt = NULL;
	return 0;
}

static inline void step_nothing(void)
{
}

/* Whether the flag does anything here: valgrind and some emulators pass it over. */
static inline int step_works(void)
{
	return step_into(step_nothing, 1, step_nothing);
}

/*
 * Does all of it for every instruction of @fn: @begin, @fn with @interrupt in it, @check. Of a long
 * function, or one that a sanitizer has made long, ever fewer are taken, lest it take minutes: from
 * the @every-th on every second one, from twice that on every third. Returns how many were.
 */
static inline uint32_t step_through(uint32_t every, void (*begin)(void), void (*fn)(void),
                                    void (*interrupt)(void), void (*check)(void))
{
	uint32_t times = 0;

	if (!step_works())
		T_SKIP("no trap flag here");
	for (uint32_t n = 1;; n += 1 + n / every) {
		int more;

		begin();
		more = step_into(fn, n, interrupt);
		if (!more)
			return times;
		check();
		times++;
	}
}

#endif
#endif
