/* SPDX-License-Identifier: Apache-2.0 */
/* drawn_test.c - what single changed lines showed to be untested: an engine that cannot be opened. */
#include "catch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#define LOOKED_AT 4096

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < LOOKED_AT; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(open, an_engine_that_finds_too_few_descriptors_leaves_none_open)
{
	struct catch *catch = catch_new();
	struct rlimit before, few;
	struct weir *weir = NULL;
	int failures = 0, r = -1;

	T_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 0;
	while (r && few.rlim_cur < LOOKED_AT) {
		struct weir_why why = { "" };
		int had = open_descriptors();

		T_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = weir_open(&catch->config, &catch->sink, &weir, &why);
		T_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
		few.rlim_cur++;
		if (!r)
			break;
		failures++;
		T_TRUE(!weir);
		T_TRUE(why.text[0]);
		T_EQ(open_descriptors(), had);
	}
	T_EQ(r, 0);
	T_TRUE(failures > 5); /* each of the flusher's own was the one that was missing */
	catch->weir = weir;
	catch_end(catch);
}
