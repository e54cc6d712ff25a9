/* SPDX-License-Identifier: Apache-2.0 */
/*
 * property_table.c - every knob, once: what init, set, get, the environment, files, checks and the
 * help are driven by. It knows the fields of struct weir_config; it does nothing. thread: any
 */
#include "api/property.h"

#define MINUTE INT64_C(60000000000)
#define DAY (1440 * MINUTE)
#define YEAR (365 * DAY)
#define SECOND INT64_C(1000000000)
#define MILLI INT64_C(1000000)
#define GIB (INT64_C(1) << 30)
/* Counts of a batch are 32-bit words that wrap, its bytes 40-bit ones. */
#define COUNT_MAX INT64_C(2147483647)
#define BYTES_MAX (512 * GIB)

#define AT(member) .offset = offsetof(struct weir_config, member)
#define MODES "on|off|shadow"

const struct wr_property wr_properties[] = {
	{
		.seen.key = "threshold",
		.seen.unit = "records",
		.seen.range = "1..2147483647 or off",
		.seen.initial = "4096",
		.seen.meaning = "Flush when this many records wait, over all rings.",
		.seen.trades = "More: fewer and larger batches, a longer wait. Fewer: the "
		               "opposite.",
		.seen.type = WEIR_TYPE_COUNT,
		.seen.flags = WEIR_PROPERTY_OFF,
		AT(threshold),
		.field = WR_FIELD_U64, .min = 1, .max = COUNT_MAX,
		.aliases = { { "BATCH_THRESHOLD", WR_ALIAS_SAME },
		             { "LOCATION_BATCH_THRESHOLD", WR_ALIAS_SAME } },
	},
	{
		.seen.key = "threshold_bytes",
		.seen.unit = "bytes",
		.seen.range = "1..512GiB or off",
		.seen.initial = "1MiB",
		.seen.meaning = "Flush when this many bytes wait, headers and padding included.",
		.seen.trades = "More: larger writes, more memory held. Less: the opposite.",
		.seen.type = WEIR_TYPE_BYTES,
		.seen.flags = WEIR_PROPERTY_OFF,
		AT(threshold_bytes),
		.field = WR_FIELD_U64, .min = 1, .max = BYTES_MAX,
	},
	{
		.seen.key = "deadline",
		.seen.unit = "time",
		.seen.range = "0..365d or off",
		.seen.initial = "5ms",
		.seen.meaning = "Flush when the oldest record has waited this long; 0 flushes at "
		                "once, which takes 50us.",
		.seen.trades = "Longer: fewer wake-ups and larger batches at low volume. Shorter: "
		               "fresher data.",
		.seen.type = WEIR_TYPE_DURATION,
		.seen.flags = WEIR_PROPERTY_OFF,
		AT(deadline_ns),
		.field = WR_FIELD_U64, .min = 0, .max = YEAR,
		.aliases = { { "BATCH_TIME_THRESHOLD_SECONDS", WR_ALIAS_SECONDS } },
	},
	{
		.seen.key = "threshold_mode",
		.seen.unit = "",
		.seen.range = MODES,
		.seen.initial = "on",
		.seen.meaning = "Whether threshold acts; shadow only counts what it would have "
		                "done.",
		.seen.trades = "off leaves flushing to the other triggers.",
		.seen.choices = MODES,
		.seen.type = WEIR_TYPE_ENUM,
		AT(threshold_mode),
		.field = WR_FIELD_U32,
	},
	{
		.seen.key = "bytes_mode",
		.seen.unit = "",
		.seen.range = MODES,
		.seen.initial = "on",
		.seen.meaning = "Whether threshold_bytes acts; shadow only counts what it would "
		                "have done.",
		.seen.trades = "off leaves flushing to the other triggers.",
		.seen.choices = MODES,
		.seen.type = WEIR_TYPE_ENUM,
		AT(bytes_mode),
		.field = WR_FIELD_U32,
	},
	{
		.seen.key = "timer_mode",
		.seen.unit = "",
		.seen.range = MODES,
		.seen.initial = "on",
		.seen.meaning = "Whether deadline acts; shadow only counts what it would have "
		                "done.",
		.seen.trades = "off saves the timer; a few records may then wait for ever.",
		.seen.choices = MODES,
		.seen.type = WEIR_TYPE_ENUM,
		AT(timer_mode),
		.field = WR_FIELD_U32,
		.aliases = { { "ENABLE_TIMER_FLUSH", WR_ALIAS_SWITCH } },
	},
	{
		.seen.key = "pressure_mode",
		.seen.unit = "",
		.seen.range = MODES,
		.seen.initial = "on",
		.seen.meaning = "Whether pressure acts; shadow only counts what it would have "
		                "done.",
		.seen.trades = "off uses rings to the brim; a full ring is drained all the same.",
		.seen.choices = MODES,
		.seen.type = WEIR_TYPE_ENUM,
		AT(pressure_mode),
		.field = WR_FIELD_U32,
	},
	{
		.seen.key = "urgent_mode",
		.seen.unit = "",
		.seen.range = MODES,
		.seen.initial = "on",
		.seen.meaning = "Whether a record's own max age acts; shadow only counts what it "
		                "would have done.",
		.seen.trades = "off makes urgent records wait like the others.",
		.seen.choices = MODES,
		.seen.type = WEIR_TYPE_ENUM,
		AT(urgent_mode),
		.field = WR_FIELD_U32,
	},
	{
		.seen.key = "pressure",
		.seen.unit = "percent",
		.seen.range = "1..100",
		.seen.initial = "50%",
		.seen.meaning = "Flush when any one ring is this full, whatever the others hold.",
		.seen.trades = "Higher: larger batches, less room for a burst. Lower: the "
		               "opposite.",
		.seen.type = WEIR_TYPE_PERCENT,
		AT(pressure),
		.field = WR_FIELD_U32, .min = 1, .max = 100,
	},
	{
		.seen.key = "count_slack",
		.seen.unit = "records",
		.seen.range = "0..2147483647 or auto",
		.seen.initial = "auto",
		.seen.meaning = "Records that a ring may keep uncounted; 0 counts every one, auto "
		                "an eighth of threshold over all rings.",
		.seen.trades = "More: fewer writes to a shared word. Fewer: threshold is met more "
		               "exactly.",
		.seen.type = WEIR_TYPE_COUNT,
		.seen.flags = WEIR_PROPERTY_AUTO,
		AT(count_slack),
		.field = WR_FIELD_U64, .min = 0, .max = COUNT_MAX,
	},
	{
		.seen.key = "max_batch_records",
		.seen.unit = "records",
		.seen.range = "1..2147483647",
		.seen.initial = "65536",
		.seen.meaning = "Most records in one batch; a flush makes as many batches as it "
		                "takes.",
		.seen.trades = "More: fewer calls of the sink. Fewer: less to do again when one "
		               "fails.",
		.seen.type = WEIR_TYPE_COUNT,
		AT(max_batch_records),
		.field = WR_FIELD_U64, .min = 1, .max = COUNT_MAX,
	},
	{
		.seen.key = "max_batch_bytes",
		.seen.unit = "bytes",
		.seen.range = "1..512GiB",
		.seen.initial = "8MiB",
		.seen.meaning = "Most bytes in one batch, save that one record always fits.",
		.seen.trades = "More: fewer calls of the sink. Less: less to do again when one "
		               "fails.",
		.seen.type = WEIR_TYPE_BYTES,
		AT(max_batch_bytes),
		.field = WR_FIELD_U64, .min = 1, .max = BYTES_MAX,
	},
	{
		.seen.key = "max_batch_spans",
		.seen.unit = "spans",
		.seen.range = "1..1024",
		.seen.initial = "1024",
		.seen.meaning = "Most pieces of memory in one batch; 1024 is what one writev "
		                "takes.",
		.seen.trades = "Fewer: smaller batches when many CPUs push.",
		.seen.type = WEIR_TYPE_COUNT,
		AT(max_batch_spans),
		.field = WR_FIELD_U32, .min = 1, .max = 1024,
	},
	{
		.seen.key = "max_inflight",
		.seen.unit = "batches",
		.seen.range = "0..1024",
		.seen.initial = "0",
		.seen.meaning = "Most batches at the sink at once; 0 is as many as the sink says "
		                "it takes.",
		.seen.trades = "More: a slow sink is kept busy. 1: batches are finished one after "
		               "the other.",
		.seen.type = WEIR_TYPE_COUNT,
		AT(max_inflight),
		.field = WR_FIELD_U32, .min = 0, .max = 1024,
	},
	{
		.seen.key = "ring_bytes",
		.seen.unit = "bytes",
		.seen.range = "64KiB..1GiB, a power of two",
		.seen.initial = "1MiB",
		.seen.meaning = "Size of each ring; there is one per CPU that pushes.",
		.seen.trades = "More: longer bursts and sink stalls are ridden out. Less: less "
		               "memory.",
		.seen.type = WEIR_TYPE_BYTES,
		AT(ring_bytes),
		.field = WR_FIELD_U64, .power_of_two = 1, .min = 65536, .max = GIB,
	},
	{
		.seen.key = "record_max",
		.seen.unit = "bytes",
		.seen.range = "1..256MiB, at most ring_bytes/4",
		.seen.initial = "64KiB",
		.seen.meaning = "Largest payload of a record.",
		.seen.trades = "More: larger records, and a ring that is full sooner.",
		.seen.type = WEIR_TYPE_BYTES,
		AT(record_max),
		.field = WR_FIELD_U64, .min = 1, .max = GIB / 4,
	},
	{
		.seen.key = "inline_max",
		.seen.unit = "bytes",
		.seen.range = "0..4KiB",
		.seen.initial = "4KiB",
		.seen.meaning = "Payloads up to this size are copied within the restartable "
		                "section, larger ones into a claim.",
		.seen.trades = "More: no walk over records for the flusher. Less: fewer restarts "
		               "of a long copy.",
		.seen.type = WEIR_TYPE_BYTES,
		AT(inline_max),
		.field = WR_FIELD_U64, .min = 0, .max = 4096,
	},
	{
		.seen.key = "ring_backing",
		.seen.unit = "",
		.seen.range = "anon|hugepage",
		.seen.initial = "anon",
		.seen.meaning = "What memory rings are made of.",
		.seen.trades = "hugepage: fewer TLB misses; pages must be set aside "
		               "(vm.nr_hugepages).",
		.seen.choices = "anon|hugepage",
		.seen.type = WEIR_TYPE_ENUM,
		AT(ring_backing),
		.field = WR_FIELD_U32,
	},
	{
		.seen.key = "full",
		.seen.unit = "",
		.seen.range = "fail|block",
		.seen.initial = "fail",
		.seen.meaning = "What a push does when its ring is full.",
		.seen.trades = "fail: the caller decides at once. block: it waits, at most "
		               "block_max.",
		.seen.choices = "fail|block",
		.seen.type = WEIR_TYPE_ENUM,
		AT(full),
		.field = WR_FIELD_U32,
	},
	{
		.seen.key = "block_max",
		.seen.unit = "time",
		.seen.range = "0..1d",
		.seen.initial = "100ms",
		.seen.meaning = "The longest that a push waits for room when full=block.",
		.seen.trades = "Longer: fewer refusals while the sink stalls. Shorter: the caller "
		               "goes on.",
		.seen.type = WEIR_TYPE_DURATION,
		AT(block_max_ns),
		.field = WR_FIELD_U64, .min = 0, .max = DAY,
	},
	{
		.seen.key = "order",
		.seen.unit = "",
		.seen.range = "thread|none",
		.seen.initial = "thread",
		.seen.meaning = "What order is kept: that of each thread's own pushes, or none.",
		.seen.trades = "none saves the marks of a thread that changes its CPU.",
		.seen.choices = "thread|none",
		.seen.type = WEIR_TYPE_ENUM,
		AT(order),
		.field = WR_FIELD_U32,
	},
	{
		.seen.key = "loop",
		.seen.unit = "",
		.seen.range = "thread|own",
		.seen.initial = "thread",
		.seen.meaning = "Who runs the flusher: a thread of the library, or the caller's "
		                "own loop.",
		.seen.trades = "own: no thread; deadlines are as good as the caller's loop.",
		.seen.choices = "thread|own",
		.seen.type = WEIR_TYPE_ENUM,
		AT(loop),
		.field = WR_FIELD_U32,
	},
	{
		.seen.key = "flusher_cpu",
		.seen.unit = "CPU",
		.seen.range = "-1..1023",
		.seen.initial = "-1",
		.seen.meaning = "The CPU that the flusher runs on; -1: any.",
		.seen.trades = "A CPU of its own: steadier lateness. Any: the scheduler places it.",
		.seen.type = WEIR_TYPE_INTEGER,
		AT(flusher_cpu),
		.field = WR_FIELD_I32, .min = -1, .max = 1023,
	},
	{
		.seen.key = "flusher_nice",
		.seen.unit = "",
		.seen.range = "-20..19",
		.seen.initial = "0",
		.seen.meaning = "Nice level of the flusher; below 0 needs the privilege.",
		.seen.trades = "Lower: less lateness on a busy machine. Higher: others go first.",
		.seen.type = WEIR_TYPE_INTEGER,
		AT(flusher_nice),
		.field = WR_FIELD_I32, .min = -20, .max = 19,
	},
	{
		.seen.key = "flusher_timerslack",
		.seen.unit = "time",
		.seen.range = "1ns..1s",
		.seen.initial = "1ns",
		.seen.meaning = "How late the kernel may wake the flusher.",
		.seen.trades = "More: the kernel merges wake-ups. Less: less lateness.",
		.seen.type = WEIR_TYPE_DURATION,
		AT(flusher_timerslack_ns),
		.field = WR_FIELD_U64, .min = 1, .max = SECOND,
	},
	{
		.seen.key = "flusher_name",
		.seen.unit = "",
		.seen.range = "1..10 of letters, digits, - _ .",
		.seen.initial = "flush",
		.seen.meaning = "The flusher's thread is called weir-NAME.",
		.seen.trades = "Nothing; it tells engines apart.",
		.seen.type = WEIR_TYPE_NAME,
		AT(flusher_name),
		.field = WR_FIELD_NAME, .min = 1, .max = 10,
	},
	{
		.seen.key = "batch_total_timeout",
		.seen.unit = "time",
		.seen.range = "1ms..365d or off",
		.seen.initial = "1m",
		.seen.meaning = "All attempts of a batch together, from its first submit.",
		.seen.trades = "Longer: outages are ridden out while rings fill. Shorter: the "
		               "opposite.",
		.seen.type = WEIR_TYPE_DURATION,
		.seen.flags = WEIR_PROPERTY_OFF,
		AT(batch_total_timeout_ns),
		.field = WR_FIELD_U64, .min = MILLI, .max = YEAR,
	},
	{
		.seen.key = "claim_max",
		.seen.unit = "time",
		.seen.range = "1ms..1d",
		.seen.initial = "1s",
		.seen.meaning = "A claim left open for longer is counted as stalled; it is never "
		                "skipped.",
		.seen.trades = "Shorter: a stuck writer is seen sooner. Longer: no false alarm.",
		.seen.type = WEIR_TYPE_DURATION,
		AT(claim_max_ns),
		.field = WR_FIELD_U64, .min = MILLI, .max = DAY,
	},
	{
		.seen.key = "close_timeout",
		.seen.unit = "time",
		.seen.range = "0..1d",
		.seen.initial = "10s",
		.seen.meaning = "How long a command waits for the last batches when it ends.",
		.seen.trades = "Longer: a slow sink gets everything. Shorter: the command ends "
		               "sooner.",
		.seen.type = WEIR_TYPE_DURATION,
		AT(close_timeout_ns),
		.field = WR_FIELD_U64, .min = 0, .max = DAY,
	},
};

const size_t wr_property_count = sizeof(wr_properties) / sizeof(wr_properties[0]);

_Static_assert(sizeof(wr_properties) / sizeof(wr_properties[0]) <= WR_PROPERTIES_MAX,
               "a set of rows is a 64-bit word");
