/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - setting and reading single keys, and several at once. thread: any; pure
 *
 * A caller's struct may be shorter or longer than the one this library was built with: what both
 * have is used, and nothing behind its `size` is touched.
 */
#include <errno.h>
#include <string.h>

#include "api/config_edit.h"

/* More than this is no size of a struct but a stack's leftover. */
#define SIZE_ABSURD 65536

size_t wr_config_covered(const struct weir_config *config)
{
	if (config->size < offsetof(struct weir_config, threshold_bytes) ||
	    config->size > SIZE_ABSURD)
		return 0;
	return config->size < sizeof(*config) ? config->size : sizeof(*config);
}

int wr_edit_test(const struct weir_config *config, struct weir_why *why)
{
	if (!config)
		return wr_why(why, -EINVAL, "the config is NULL");
	if (!wr_config_covered(config))
		return wr_why(
			why, -EINVAL,
			"size = %zu is not the size of a config: call weir_config_init() first",
			config->size);
	return 0;
}

static uint64_t bit(const struct wr_property *property)
{
	return UINT64_C(1) << (property - wr_properties);
}

void wr_edit_give(struct wr_edit *edit, const struct wr_property *property,
                  const struct wr_value *value)
{
	wr_property_store(property, &edit->values, value);
	edit->given |= bit(property);
}

int wr_edit_has(const struct wr_edit *edit, const struct wr_property *property)
{
	return (edit->given & bit(property)) != 0;
}

int wr_edit_set(struct wr_edit *edit, const struct weir_config *config, const char *key,
                const char *text, struct weir_why *why)
{
	const struct wr_property *property;
	struct wr_value value;
	int r;

	if (strcmp(key, "preset") == 0)
		return wr_preset_find(text, &edit->preset, why);
	property = wr_property_find(key);
	if (!property) {
		wr_property_unknown(why, "key", key, wr_property_nearest(key));
		return -ENOENT;
	}
	if (wr_property_end(property) > config->size)
		return wr_why(why, -ENOENT,
		              "%s is newer than the program: its config has no such field",
		              property->seen.key);
	r = wr_property_parse(property, text, &value, why);
	if (!r)
		wr_edit_give(edit, property, &value);
	return r;
}

static void put_preset(const struct wr_preset *preset, struct weir_config *config)
{
	config->threshold = preset->threshold;
	config->threshold_bytes = preset->threshold_bytes;
	config->deadline_ns = preset->deadline_ns;
	config->timer_mode = preset->timer_mode;
	config->count_slack = preset->count_slack;
	config->ring_bytes = preset->ring_bytes;
	config->full = preset->full;
}

int wr_edit_apply(const struct wr_edit *edit, struct weir_config *config)
{
	size_t covered = wr_config_covered(config);
	struct weir_config copy = { 0 };
	int n = 0;

	memcpy(&copy, config, covered);
	if (edit->preset) {
		put_preset(edit->preset, &copy);
		n++;
	}
	for (size_t i = 0; i < wr_property_count; i++) {
		const struct wr_property *property = &wr_properties[i];

		if (wr_edit_has(edit, property)) {
			struct wr_value value = wr_property_load(property, &edit->values);

			wr_property_store(property, &copy, &value);
			n++;
		}
	}
	memcpy(config, &copy, covered);
	return n;
}

/*
 * Writes the struct as it was when this symbol was made. A library with a longer one exports a new
 * version of the symbol for programs built against it, and keeps this one for those built before.
 */
void weir_config_init(struct weir_config *config)
{
	if (!config)
		return;
	memset(config, 0, sizeof(*config));
	config->size = sizeof(*config);
	for (size_t i = 0; i < wr_property_count; i++) {
		struct wr_value value = { 0 };

		(void)wr_property_parse(&wr_properties[i], wr_properties[i].seen.initial, &value,
		                        NULL);
		wr_property_store(&wr_properties[i], config, &value);
	}
}

int weir_config_set(struct weir_config *config, const char *key, const char *value,
                    struct weir_why *ret_why)
{
	struct wr_edit edit = { 0 };
	int r = wr_edit_test(config, ret_why);

	if (r)
		return r;
	if (!key || !value)
		return wr_why(ret_why, -EINVAL, key ? "the value is NULL" : "the key is NULL");
	r = wr_edit_set(&edit, config, key, value, ret_why);
	if (!r)
		(void)wr_edit_apply(&edit, config);
	return r;
}

int weir_config_get(const struct weir_config *config, const char *key, char *text,
                    size_t text_bytes)
{
	const struct wr_property *property;
	struct wr_value value;
	char whole[64];
	size_t length;

	if (wr_edit_test(config, NULL) || !key || !text)
		return -EINVAL;
	property = wr_property_find(key);
	if (!property || wr_property_end(property) > config->size)
		return -ENOENT;
	value = wr_property_load(property, config);
	length = wr_property_print(property, &value, whole, sizeof(whole));
	if (length >= text_bytes)
		return -ENOSPC;
	memcpy(text, whole, length + 1);
	return (int)length;
}

const struct weir_property *weir_config_next(const struct weir_property *previous)
{
	if (!previous)
		return &wr_properties[0].seen;
	for (size_t i = 0; i + 1 < wr_property_count; i++) {
		if (previous == &wr_properties[i].seen)
			return &wr_properties[i + 1].seen;
	}
	return NULL;
}
