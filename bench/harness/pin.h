/* SPDX-License-Identifier: Apache-2.0 */
/* bench/harness/pin.h - threads on CPUs. Thread: the one that is moved. */
#ifndef WEIR_BENCH_PIN_H
#define WEIR_BENCH_PIN_H

#include <stdint.h>

/* CPUs that this process may use: what it had when it was first asked. */
uint32_t bench_cpus(void);
/* Moves the calling thread, and the threads that it makes from now on, to the n-th of them. */
void bench_pin(uint32_t n);
/* To all of them again. */
void bench_unpin(void);

#endif
