/* SPDX-License-Identifier: Apache-2.0 */
/* api/config.h - the configuration as the engine takes it. thread: owner */
#ifndef WR_API_CONFIG_H
#define WR_API_CONFIG_H

#include <weir/config.h>

/*
 * Copies as much of @config as its `size` covers, defaults for the rest (NULL: all), and checks it.
 * 0; 1: legal but unwise, @why says so; -EINVAL, @why says which key, which value and what would be
 * right, and *ret is untouched.
 */
int wr_config_read(const struct weir_config *config, struct weir_config *ret,
                   struct weir_why *why);

#endif
