/* SPDX-License-Identifier: Apache-2.0 */
/* torture.c - see torture.h. In no build but that of the torture tests. thread: producer */
#include "ring/torture.h"

_Thread_local struct wr_torture wr_torture;
