/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testpoint.c - the words behind test points: which function they call and what is switched off.
 * It does not know any point. A normal build has none of it.
 */
#include "base/testpoint.h"

#ifdef WR_TEST_POINTS
void (*_Atomic wr_testpoint_hook)(const char *name);
_Atomic uint32_t wr_test_switches;
#else
typedef int wr_testpoint_unused;
#endif
