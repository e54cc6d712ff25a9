/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_preset.c - the named starting points. thread: any; pure
 *
 * The numbers behind a name never change: others need another name. The seed- presets have the two
 * triggers of the design they come from and no third, so the byte trigger is off.
 */
#include <errno.h>
#include <string.h>

#include "api/config_edit.h"
#include "base/nearest.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define MIB (UINT64_C(1) << 20)

/* throughput: half a ring, where pressure flushes, is its byte threshold. */
static const struct wr_preset presets[] = {
	{ "balanced", 4096, MIB, 5 * MS, WEIR_AUTO, MIB, WEIR_MODE_ON, WEIR_FULL_FAIL },
	{ "latency", 256, MIB, MS, WEIR_AUTO, MIB, WEIR_MODE_ON, WEIR_FULL_FAIL },
	{ "throughput", 32768, 4 * MIB, 50 * MS, WEIR_AUTO, 8 * MIB, WEIR_MODE_ON, WEIR_FULL_FAIL },
	{ "durable", 4096, MIB, 5 * MS, WEIR_AUTO, MIB, WEIR_MODE_ON, WEIR_FULL_BLOCK },
	{ "dev", 3, MIB, 10 * MS, 0, MIB, WEIR_MODE_ON, WEIR_FULL_FAIL },
	{ "seed-default", 10, WEIR_OFF, 300 * S, WEIR_AUTO, MIB, WEIR_MODE_ON, WEIR_FULL_FAIL },
	{ "seed-high-volume", 20, WEIR_OFF, 180 * S, WEIR_AUTO, MIB, WEIR_MODE_ON, WEIR_FULL_FAIL },
	{ "seed-low-latency", 5, WEIR_OFF, 60 * S, WEIR_AUTO, MIB, WEIR_MODE_ON, WEIR_FULL_FAIL },
	{ "seed-dev", 3, WEIR_OFF, 10 * S, WEIR_AUTO, MIB, WEIR_MODE_ON, WEIR_FULL_FAIL },
};
#define PRESETS (sizeof(presets) / sizeof(presets[0]))

const char *weir_config_preset_name(size_t n)
{
	return n < PRESETS ? presets[n].name : NULL;
}

int wr_preset_find(const char *name, const struct wr_preset **ret, struct weir_why *why)
{
	const char *nearest = NULL;
	unsigned least = ~0u;

	for (size_t i = 0; i < PRESETS; i++) {
		unsigned distance = wr_nearest_distance(name, presets[i].name);

		if (strcmp(presets[i].name, name) == 0) {
			*ret = &presets[i];
			return 0;
		}
		if (distance < least) {
			least = distance;
			nearest = presets[i].name;
		}
	}
	wr_property_unknown(why, "preset", name, wr_nearest_is_near(name, least) ? nearest : NULL);
	return -ENOENT;
}

int weir_config_preset(struct weir_config *config, const char *name, struct weir_why *ret_why)
{
	struct wr_edit edit = { 0 };
	int r = wr_edit_test(config, ret_why);

	if (r)
		return r;
	if (!name)
		return wr_why(ret_why, -EINVAL, "the name of the preset is NULL");
	r = wr_preset_find(name, &edit.preset, ret_why);
	if (!r)
		(void)wr_edit_apply(&edit, config);
	return r;
}
