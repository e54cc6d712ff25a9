/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_test.c - disturbs the restartable sections at every place. TAP; see torture.h.
 *
 *     torture matrix | forced | provoked | scenes    a part, or several
 *     torture quick                                   for mutants: ends at the first thing wrong
 */
#include "torture.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ring/rseq.h"

static unsigned lines, failed;

void tap(int ok, const char *format, ...)
{
	va_list args;

	failed += !ok;
	printf("%s %u - ", ok ? "ok" : "not ok", ++lines);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

void tap_skip(const char *what, const char *why)
{
	printf("ok %u - %s # SKIP because %s\n", ++lines, what, why);
	fflush(stdout);
}

void figure(const char *what, uint64_t reached, uint64_t asked)
{
	printf("# figure torture | %s | %llu | %llu\n", what, (unsigned long long)reached,
	       (unsigned long long)asked);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (cpus_count() < 1 || area_init()) {
		printf("1..0 # SKIP because there are no restartable sequences here: %s\n",
		       wr_rseq_why(wr_rseq_detect()));
		return 0;
	}
	trap_init();
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "matrix"))
			part_matrix();
		else if (!strcmp(argv[i], "forced"))
			part_forced();
		else if (!strcmp(argv[i], "provoked"))
			part_provoked();
		else if (!strcmp(argv[i], "scenes"))
			part_scenes();
		else if (!strcmp(argv[i], "quick"))
			tap(part_quick() == 0, "nothing is wrong with the sections");
		else
			return 2;
	}
	tap(!ways_wrong, "every way of pushing is right when nothing disturbs it");
	printf("1..%u\n", lines);
	return failed != 0;
}
