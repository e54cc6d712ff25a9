/* SPDX-License-Identifier: Apache-2.0 */
#include "base/testpoint.h"

#ifdef WR_TEST_POINTS
void (*_Atomic wr_testpoint_hook)(const char *name);
_Atomic uint32_t wr_test_switches;
#else
typedef int wr_testpoint_unused;
#endif
