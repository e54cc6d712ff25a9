/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out.h - much output through one buffer; the first error is kept and ends everything after it.
 *
 * It knows bytes and a descriptor. thread: main
 */
#ifndef WEIR_OUT_H
#define WEIR_OUT_H

#include <stddef.h>

struct out {
	int fd;
	int error; /* 0 or -errno */
	size_t used;
	char buffer[256 << 10];
};

void out_put(struct out *out, const void *data, size_t size);
/* 0 or -errno: the first error of all. */
int out_flush(struct out *out);

#endif
