/* SPDX-License-Identifier: Apache-2.0 */
/*
 * when.h - points in time as people write them.
 *
 *     2026-03-01   2026-03-01T12:30   2026-03-01 12:30:00.5   ...Z   ...+01:00
 *     @1767225600  @1767225600.25                       seconds since 1970
 *     5m  -5m  90s  2h  1d                              that long ago
 *
 * Without a zone the local one is meant. thread: any; pure but for the clock it is given.
 */
#ifndef WEIR_WHEN_H
#define WEIR_WHEN_H

#include <stdint.h>

/* 0, or -EINVAL. @now_ns: CLOCK_REALTIME. */
int when_parse(const char *text, uint64_t now_ns, uint64_t *ret_ns);

struct when {
	char text[48];
};
/* 2026-03-01T12:30:00.000000000Z */
struct when when_format(uint64_t ns);

#endif
