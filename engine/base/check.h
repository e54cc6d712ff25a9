/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/check.h - assertions. They are about weir's own invariants, never about a caller's argument.
 *
 * WR_ASSERT stays on in release builds (once per batch and colder); WR_ASSERT_HOT is for per-record
 * paths, on in builds with -Dhot_asserts=true. Neither follows the host's NDEBUG.
 */
#ifndef WR_BASE_CHECK_H
#define WR_BASE_CHECK_H

#define WR_LIKELY(x) __builtin_expect(!!(x), 1)
#define WR_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Writes the place to standard error and aborts. */
_Noreturn void wr_check_failed(const char *what, const char *file, int line);

#define WR_ASSERT(x) \
	do { \
		if (WR_UNLIKELY(!(x))) \
			wr_check_failed(#x, __FILE__, __LINE__); \
	} while (0)

#ifdef WR_HOT_ASSERTS
#define WR_ASSERT_HOT(x) WR_ASSERT(x)
#else
#define WR_ASSERT_HOT(x) ((void)0)
#endif

#define WR_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
