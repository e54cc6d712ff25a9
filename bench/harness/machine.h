/* SPDX-License-Identifier: Apache-2.0 */
/* bench/harness/machine.h - what a result was measured on. Thread: the main one. */
#ifndef WEIR_BENCH_MACHINE_H
#define WEIR_BENCH_MACHINE_H

#include <stdio.h>

/* Writes members of a JSON object, with no comma behind the last. */
void bench_machine(FILE *out);
/* Seconds that the machine's host gave to others, of all CPUs, since it was started. */
double bench_steal(void);
/* @text as a JSON string, with its quotes. */
void bench_json_text(FILE *out, const char *text);

#endif
