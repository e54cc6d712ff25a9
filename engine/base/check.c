/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void wr_check_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "weir: broken invariant: %s (%s:%d)\n", what, file, line);
	abort();
}
