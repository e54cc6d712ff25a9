/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rseq.c - see rseq.h: finds the thread's rseq area as the C library registered it, and asks the
 * kernel for membarrier, once. It does not know rings or sections. thread: any
 */
#include "ring/rseq.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring/section.h"
#include "ring/thread.h"

/* glibc 2.35 and later; absent elsewhere. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

long wr_rseq_offset;
#if defined(__x86_64__)
int wr_section_wide;
#endif

static _Atomic int detected = WR_RSEQ_UNKNOWN;
static _Atomic int forced = WR_RSEQ_UNKNOWN;

static uint8_t *thread_area(void)
{
	uint8_t *pointer;

#if defined(__x86_64__)
	__asm__("movq %%fs:0, %0" : "=r"(pointer));
#elif defined(__aarch64__)
	__asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#else
	pointer = NULL;
#endif
	return pointer ? pointer + wr_rseq_offset : NULL;
}

int wr_rseq_thread_cpu(void)
{
	uint8_t *area = thread_area();

	return area ? (int)*(volatile uint32_t *)(void *)(area + 4) : -1;
}

static int membarrier(int command)
{
	int saved = errno;
	int r = (int)syscall(SYS_membarrier, command, 0, 0);

	r = r < 0 ? -errno : r;
	errno = saved;
	return r;
}

static enum wr_rseq_state detect(void)
{
	int commands;

#if !defined(__x86_64__) && !defined(__aarch64__)
	return WR_RSEQ_NO_ARCH;
#endif
	if (!&__rseq_offset || !&__rseq_size)
		return WR_RSEQ_NO_LIBC;
	wr_rseq_offset = (long)__rseq_offset;
#if defined(__x86_64__)
	__builtin_cpu_init();
	wr_section_wide = __builtin_cpu_supports("avx2") ? 1 : 0;
#endif
	if (!__rseq_size || wr_rseq_thread_cpu() < 0)
		return WR_RSEQ_UNREGISTERED;
	commands = membarrier(MEMBARRIER_CMD_QUERY);
	if (commands < 0 || !(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) ||
	    membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) < 0)
		return WR_RSEQ_NO_MEMBARRIER;
	return WR_RSEQ_YES;
}

enum wr_rseq_state wr_rseq_detect(void)
{
	/* ORDER none: relaxed. Finding out twice at once finds the same. */
	int force = atomic_load_explicit(&forced, memory_order_relaxed);
	int state = atomic_load_explicit(&detected, memory_order_relaxed);

	if (force != WR_RSEQ_UNKNOWN)
		return (enum wr_rseq_state)force;
	if (state == WR_RSEQ_UNKNOWN) {
		state = (int)detect();
		/* ORDER none: relaxed. As above. */
		atomic_store_explicit(&detected, state, memory_order_relaxed);
	}
	return (enum wr_rseq_state)state;
}

void wr_rseq_force(enum wr_rseq_state state)
{
	/* ORDER none: relaxed. Tests call it before they open an engine. */
	atomic_store_explicit(&forced, (int)state, memory_order_relaxed);
}

const char *wr_rseq_why(enum wr_rseq_state state)
{
	switch (state) {
	case WR_RSEQ_YES:
		return "";
	case WR_RSEQ_NO_ARCH:
		return "no restartable section is written for this processor";
	case WR_RSEQ_NO_LIBC:
		return "the C library does not register threads (glibc 2.35 and later do)";
	case WR_RSEQ_UNREGISTERED:
		return "threads are not registered (glibc.pthread.rseq=0, old kernel, valgrind)";
	case WR_RSEQ_NO_MEMBARRIER:
		return "the kernel offers no rseq membarrier (Linux 5.10 and later do)";
	case WR_RSEQ_FORCED_OFF:
		return "switched off by a test";
	case WR_RSEQ_UNKNOWN:
		break;
	}
	return "not looked at yet";
}
