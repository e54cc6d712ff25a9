/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - the one place where the library prints and ends the process: a broken invariant of its
 * own. It knows a text and a line. It does not know what the invariant was about. thread: any
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void wr_check_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "weir: broken invariant: %s (%s:%d)\n", what, file, line);
	abort();
}
