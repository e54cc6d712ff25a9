/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/config_edit.h - several settings gathered first and applied at once, or not at all.
 *
 * An edit knows which keys were given, their values, and a preset, which goes first wherever it was
 * named. It does not know where they came from. thread: any; pure
 */
#ifndef WR_API_CONFIG_EDIT_H
#define WR_API_CONFIG_EDIT_H

#include "api/property.h"

/* One preset: the fields that every preset sets, so that nothing of a former one remains. */
struct wr_preset {
	const char *name;
	uint64_t threshold, threshold_bytes, deadline_ns, count_slack, ring_bytes;
	enum weir_mode timer_mode;
	enum weir_full full;
};

struct wr_edit {
	struct weir_config values;      /* fields of the rows in `given` */
	uint64_t given;                 /* a bit per row of the table */
	const struct wr_preset *preset; /* NULL: none */
};

/* 0; -ENOENT, @why names the nearest. */
int wr_preset_find(const char *name, const struct wr_preset **ret, struct weir_why *why);

/* Bytes of @config that both its caller and this library know; 0: it was never initialised. */
size_t wr_config_covered(const struct weir_config *config);

/* 0; -EINVAL: @config was never initialised. */
int wr_edit_test(const struct weir_config *config, struct weir_why *why);
/* key = text. 0; -ENOENT: no such key, or none that @config has room for; -EINVAL; -ERANGE. */
int wr_edit_set(struct wr_edit *edit, const struct weir_config *config, const char *key,
                const char *text, struct weir_why *why);
void wr_edit_give(struct wr_edit *edit, const struct wr_property *property,
                  const struct wr_value *value);
int wr_edit_has(const struct wr_edit *edit, const struct wr_property *property);
/* Puts the preset and then the values into @config. Number of keys, the preset being one. */
int wr_edit_apply(const struct wr_edit *edit, struct weir_config *config);

#endif
