/* SPDX-License-Identifier: Apache-2.0 */
/* bench/rivals/mirror.h - bytes mapped twice, one after the other, prefaulted. Thread: any. */
#ifndef WEIR_BENCH_MIRROR_H
#define WEIR_BENCH_MIRROR_H

#include <stdint.h>

struct mirror {
	uint8_t *data;
	uint64_t bytes; /* a power of two */
};

/* At least @bytes; ends the program when there is no memory. */
void mirror_map(struct mirror *mirror, uint64_t bytes);
void mirror_unmap(struct mirror *mirror);

#endif
