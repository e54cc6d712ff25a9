/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_check.c - a whole configuration: each value, and values that contradict one another.
 *
 * It knows what fits together. It does not know where a value came from. thread: any
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/config.h"
#include "api/config_edit.h"
#include "ring/rings.h"

/* What the smallest record takes: a header. */
#define RECORD_BYTES_MIN 8u
#define HUGEPAGE_BYTES (UINT64_C(2) << 20)

/* "key = value" of a row, for a sentence. */
struct shown {
	char text[96];
};

static struct shown show(const struct weir_config *config, const char *key)
{
	const struct wr_property *property = wr_property_find(key);
	struct wr_value value = wr_property_load(property, config);
	struct shown shown;
	char text[WR_SHOWN_MAX];

	wr_property_print(property, &value, text, sizeof(text));
	snprintf(shown.text, sizeof(shown.text), "%s = %s", key, text);
	return shown;
}

/* -EINVAL, or 0. */
static int contradictions(const struct weir_config *config, struct weir_why *why)
{
	const struct weir_allocator *allocator = &config->allocator;

	if (config->record_max > config->ring_bytes / 4)
		return wr_why(why, -EINVAL,
		              "%s is more than a quarter of %s: lower the one or raise the other",
		              show(config, "record_max").text, show(config, "ring_bytes").text);
	if (config->ring_backing == WEIR_BACKING_HUGEPAGE && config->ring_bytes < HUGEPAGE_BYTES)
		return wr_why(why, -EINVAL,
		              "%s is less than a huge page: ring_backing = hugepage needs 2MiB",
		              show(config, "ring_bytes").text);
	if (!allocator->alloc != !allocator->free)
		return wr_why(why, -EINVAL,
		              "allocator.%s is set and allocator.%s is not: set both or none",
		              allocator->alloc ? "alloc" : "free",
		              allocator->alloc ? "free" : "alloc");
	if (allocator->arg && !allocator->alloc)
		return wr_why(why, -EINVAL, "allocator.arg is set without alloc and free");
	return 0;
}

static int acts(uint64_t value, uint32_t mode)
{
	return value != WEIR_OFF && mode == WEIR_MODE_ON;
}

/*
 * 1, or 0. A small threshold is no reason: that is what a stream of few records wants. Nor is a
 * byte threshold that nobody has chosen and that small rings or batches do not reach.
 */
static int unwise(const struct weir_config *config, const struct weir_config *defaults,
                  struct weir_why *why)
{
	uint64_t rings = wr_cpus_usable(), room = rings * config->ring_bytes;
	int by_count = acts(config->threshold, config->threshold_mode);
	int by_bytes = acts(config->threshold_bytes, config->bytes_mode) &&
	               config->threshold_bytes != defaults->threshold_bytes;

	if (!by_count && !acts(config->deadline_ns, config->timer_mode))
		return wr_why(why, 1,
		              "neither threshold nor deadline acts: a few records stay until a "
		              "flush is asked for or the engine closes");
	if (by_count && config->threshold > room / RECORD_BYTES_MIN)
		return wr_why(why, 1,
		              "%s is never reached: with %s, %" PRIu64
		              " rings hold at most %" PRIu64 " records",
		              show(config, "threshold").text, show(config, "ring_bytes").text,
		              rings, room / RECORD_BYTES_MIN);
	if (by_bytes && config->threshold_bytes > room)
		return wr_why(why, 1, "%s is never reached: with %s, %" PRIu64 " rings hold less",
		              show(config, "threshold_bytes").text, show(config, "ring_bytes").text,
		              rings);
	if (by_count && config->threshold > config->max_batch_records)
		return wr_why(why, 1, "%s is more than %s: a flush makes several batches",
		              show(config, "threshold").text,
		              show(config, "max_batch_records").text);
	if (by_bytes && config->threshold_bytes > config->max_batch_bytes)
		return wr_why(why, 1, "%s is more than %s: a flush makes several batches",
		              show(config, "threshold_bytes").text,
		              show(config, "max_batch_bytes").text);
	if (config->record_max > config->max_batch_bytes)
		return wr_why(why, 1, "%s is more than %s: a batch of one such record exceeds it",
		              show(config, "record_max").text,
		              show(config, "max_batch_bytes").text);
	return 0;
}

/* Defaults, then every field that the caller's struct has in full. */
static void copy(const struct weir_config *config, struct weir_config *ret)
{
	size_t covered = wr_config_covered(config);

	for (size_t i = 0; i < wr_property_count; i++) {
		const struct wr_property *property = &wr_properties[i];

		if (wr_property_end(property) <= covered) {
			struct wr_value value = wr_property_load(property, config);

			wr_property_store(property, ret, &value);
		}
	}
	if (covered >= offsetof(struct weir_config, allocator) + sizeof(config->allocator))
		ret->allocator = config->allocator;
}

int wr_config_read(const struct weir_config *config, struct weir_config *ret, struct weir_why *why)
{
	struct weir_config defaults, read;
	int r;

	weir_config_init(&defaults);
	read = defaults;
	if (config) {
		r = wr_edit_test(config, why);
		if (r)
			return r;
		copy(config, &read);
	}
	for (size_t i = 0; i < wr_property_count; i++) {
		r = wr_property_check(&wr_properties[i], &read, why);
		if (r)
			return r;
	}
	r = contradictions(&read, why);
	if (r)
		return r;
	*ret = read;
	return unwise(&read, &defaults, why);
}

int weir_config_check(const struct weir_config *config, struct weir_why *ret_why)
{
	struct weir_config ignored;

	return wr_config_read(config, &ignored, ret_why);
}
