/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/units.h - numbers as people write them: 64KiB, 200ms, 4k.
 *
 * It knows digits and units. It does not know what a number is for, nor its range.
 * thread: any; pure
 *
 * A number is digits, perhaps with a point and more digits when a unit follows and the value comes
 * out whole (1.5s, 0.5KiB). The unit follows at once. No sign, no space, nothing after it.
 *
 *     count     none, k, M, G, T (powers of 1000), Ki, Mi, Gi, Ti (powers of 1024); K is k
 *     bytes     the same, each with or without B; B alone
 *     duration  ns, us, ms, s, m, h, d; the unit is mandatory, save for a plain 0
 *
 * Each returns 0, or leaves *ret untouched: -EINVAL (not such a number), -ERANGE (over 64 bits).
 */
#ifndef WR_BASE_UNITS_H
#define WR_BASE_UNITS_H

#include <stdint.h>

int wr_units_count(const char *text, uint64_t *ret);
int wr_units_bytes(const char *text, uint64_t *ret);
int wr_units_duration(const char *text, uint64_t *ret_ns);

#endif
