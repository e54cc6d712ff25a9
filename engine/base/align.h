/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/align.h - cache lines. A pair of lines is the unit that prefetchers move on x86-64 and the
 * line itself on some aarch64 parts: words of different writers are kept a pair apart.
 */
#ifndef WR_BASE_ALIGN_H
#define WR_BASE_ALIGN_H

#define WR_LINE_PAIR 128
#define WR_LINE_ALIGNED _Alignas(WR_LINE_PAIR)

#define WR_ROUND_UP(n, to) (((n) + ((to)-1)) & ~((to)-1))

#endif
