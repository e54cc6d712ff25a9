/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/section.h - chooses the sections of this processor. Without any, a push finds no ring and
 * goes to the fallback. WR_HAS_SECTION says which.
 */
#ifndef WR_RING_SECTION_H
#define WR_RING_SECTION_H

#include "ring/ring.h"
#include "ring/torture.h"

#if defined(__x86_64__)
#define WR_HAS_SECTION 1
#include "ring/section_x86_64.h"
#elif defined(__aarch64__)
#define WR_HAS_SECTION 1
#include "ring/section_aarch64.h"
#else
#define WR_HAS_SECTION 0
#endif

/*
 * ThreadSanitizer does not see the assembly. The commit gives everything before the push to whoever
 * reads the head: said here and in wr_cut_head(), keyed by the table, since the ring is not known
 * before the section runs.
 */
#if defined(__SANITIZE_THREAD__)
#define WR_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WR_TSAN 1
#endif
#endif
#ifdef WR_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define WR_TSAN_COMMIT(table) __tsan_release((void *)(uintptr_t)(table))
#define WR_TSAN_READ(table) __tsan_acquire((void *)(uintptr_t)(table))
#else
#define WR_TSAN_COMMIT(table) ((void)0)
#define WR_TSAN_READ(table) ((void)0)
#endif

#endif
