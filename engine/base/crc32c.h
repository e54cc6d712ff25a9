/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/crc32c.h - CRC-32C (Castagnoli, polynomial 0x1edc6f41, reflected), as in RFC 3720.
 *
 * It knows bytes. thread: any; pure.
 */
#ifndef WR_BASE_CRC32C_H
#define WR_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from @crc; 0 begins. wr_crc32c(0, "123456789", 9) is 0xe3069283. */
uint32_t wr_crc32c(uint32_t crc, const void *data, size_t bytes);

/* 1: by the processor's instruction. */
int wr_crc32c_hardware(void);

/* The portable form, for tests. */
uint32_t wr_crc32c_portable(uint32_t crc, const void *data, size_t bytes);

#endif
