/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/config.h - every knob, and the ways to set one.
 *
 * The struct is what weir_open() takes. Start from weir_config_init(), then a preset, a file, the
 * environment, strings, or plain assignment: later wins, field by field. Unit, range, default and
 * meaning of every key stand in one table inside the library; weir_config_next() walks it and
 * `weir help KEY` prints it. Nothing here reads the environment unless asked.
 */
#ifndef WEIR_CONFIG_H
#define WEIR_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A trigger or limit that is switched off. */
#define WEIR_OFF UINT64_MAX
/* A value that the engine derives. */
#define WEIR_AUTO (UINT64_MAX - 1)

/* Whether a trigger acts. A shadow trigger only counts what it would have done. */
enum weir_mode { WEIR_MODE_ON = 0, WEIR_MODE_OFF = 1, WEIR_MODE_SHADOW = 2 };
/* What a push does when its ring is full. */
enum weir_full { WEIR_FULL_FAIL = 0, WEIR_FULL_BLOCK = 1 };
/* What order a batch keeps. */
enum weir_order { WEIR_ORDER_THREAD = 0, WEIR_ORDER_NONE = 1 };
/* What memory a ring is made of. */
enum weir_backing { WEIR_BACKING_ANON = 0, WEIR_BACKING_HUGEPAGE = 1 };
/* Who runs the flusher. */
enum weir_loop { WEIR_LOOP_THREAD = 0, WEIR_LOOP_OWN = 1 };

/*
 * Memory for everything but rings. All three members or none. Called by the threads that open,
 * flush and close, never by a push; @bytes of weir_allocator.free are those asked for.
 */
struct weir_allocator {
	void *(*alloc)(void *arg, size_t bytes); /* 16-byte aligned, NULL: none left */
	void (*free)(void *arg, void *memory, size_t bytes);
	void *arg;
};

/* A sentence for a person: which key, which value, what would have been right. */
struct weir_why {
	char text[256];
};

struct weir_config {
	size_t size; /* sizeof(struct weir_config) of the caller; weir_config_init() sets it */

	/* triggers */
	uint64_t threshold;       /* records; flush when the aggregate reaches it. WEIR_OFF */
	uint64_t threshold_bytes; /* bytes as framed; likewise. WEIR_OFF */
	uint64_t deadline_ns;     /* max age of the oldest record; 0: at once (50 us). WEIR_OFF */
	uint32_t threshold_mode;  /* enum weir_mode */
	uint32_t bytes_mode;
	uint32_t timer_mode;
	uint32_t pressure_mode;
	uint32_t urgent_mode;
	uint32_t pressure;    /* percent of a ring at which it is flushed whatever the aggregate */
	uint64_t count_slack; /* records a ring may keep uncounted. WEIR_AUTO; 0: exact */

	/* batches */
	uint64_t max_batch_records;
	uint64_t max_batch_bytes;
	uint32_t max_batch_spans;
	uint32_t max_inflight; /* batches at the sink at once; 0: what the sink says */

	/* rings */
	uint64_t ring_bytes;   /* power of two, 64 KiB..1 GiB */
	uint64_t record_max;   /* bytes of payload; at most ring_bytes / 4 */
	uint64_t inline_max;   /* bytes copied inside the restartable section; at most 4096 */
	uint32_t ring_backing; /* enum weir_backing */
	uint32_t full;         /* enum weir_full */
	uint64_t block_max_ns; /* bound of WEIR_FULL_BLOCK */
	uint32_t order;        /* enum weir_order */

	/* the flusher */
	uint32_t loop;         /* enum weir_loop */
	int32_t flusher_cpu;   /* -1: any */
	int32_t flusher_nice;  /* -20..19 */
	uint64_t flusher_timerslack_ns;
	char flusher_name[16]; /* the thread is called weir-NAME */

	/* time limits */
	uint64_t batch_total_timeout_ns; /* all attempts of a batch, from the first. WEIR_OFF */
	uint64_t claim_max_ns;           /* an open claim older than this is counted as stalled */
	uint64_t close_timeout_ns;       /* for commands; weir_close() takes its own */

	struct weir_allocator allocator;
};

/* What a property holds. */
enum weir_property_type {
	WEIR_TYPE_COUNT,    /* a whole number; k, M, G and Ki, Mi, Gi allowed */
	WEIR_TYPE_BYTES,    /* a size: 65536, 64KiB, 1MiB, 1MB */
	WEIR_TYPE_DURATION, /* a time: 5ms, 2s, 1.5s, 300us, 1m, 1h; a bare number is refused */
	WEIR_TYPE_PERCENT,  /* 1..100, with or without % */
	WEIR_TYPE_ENUM,     /* one of `choices` */
	WEIR_TYPE_INTEGER,  /* signed */
	WEIR_TYPE_NAME      /* letters, digits, - _ . */
};

/* One row of the property table. Static, never freed. */
struct weir_property {
	const char *key;     /* "threshold" */
	const char *unit;    /* "records" */
	const char *range;   /* "1.. or off" */
	const char *initial; /* "4096": the default, as weir_config_set() would take it */
	const char *meaning; /* one sentence */
	const char *trades;  /* what more and less of it costs */
	const char *choices; /* "fail|block" for an enum, else NULL */
	enum weir_property_type type;
	uint32_t flags; /* WEIR_PROPERTY_* */
};
#define WEIR_PROPERTY_OFF 1u  /* "off" is a value */
#define WEIR_PROPERTY_AUTO 2u /* "auto" is a value */

/* Defaults (preset `balanced`). Thread: any. */
WEIR_API void weir_config_init(struct weir_config *config);
/* key = value, as text. -EINVAL, -ENOENT (unknown key; @ret_why names the nearest), -ERANGE. */
WEIR_API int weir_config_set(struct weir_config *config, const char *key, const char *value,
                             struct weir_why *ret_why);
/* The value of @key as weir_config_set() takes it. Bytes written without the NUL, or -errno. */
WEIR_API int weir_config_get(const struct weir_config *config, const char *key, char *text,
                             size_t text_bytes);
/* Apply a named preset. -ENOENT. */
WEIR_API int weir_config_preset(struct weir_config *config, const char *name,
                                struct weir_why *ret_why);
/* Name of the n-th preset, NULL past the last. */
WEIR_API const char *weir_config_preset_name(size_t n);
/* <PREFIX>_<KEY> for every key, and the seed's aliases. Number of keys set, or -errno. */
WEIR_API int weir_config_env(struct weir_config *config, const char *prefix,
                             struct weir_why *ret_why);
/* A flat file of `key = value` lines. Number of keys set, or -errno. */
WEIR_API int weir_config_file(struct weir_config *config, const char *path,
                              struct weir_why *ret_why);
/* Whole-config check: ranges, contradictions. 0, 1 (legal but unwise, see @ret_why), -EINVAL. */
WEIR_API int weir_config_check(const struct weir_config *config, struct weir_why *ret_why);
/* Walks the property table: NULL starts, NULL ends. */
WEIR_API const struct weir_property *weir_config_next(const struct weir_property *previous);

#ifdef __cplusplus
}
#endif

#endif
