/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/property.h - the one table of properties, and what can be done with one row of it.
 *
 * A row knows its key, type, range, default, field and other names. It does not know files, the
 * environment, presets, or what another row holds. thread: any; pure
 */
#ifndef WR_API_PROPERTY_H
#define WR_API_PROPERTY_H

#include <weir/config.h>

/* The C type of a field. */
enum wr_field { WR_FIELD_U64, WR_FIELD_U32, WR_FIELD_I32, WR_FIELD_NAME };

/* How the environment spells a value under another name. */
enum wr_alias_kind {
	WR_ALIAS_SAME,    /* as the key takes it */
	WR_ALIAS_SECONDS, /* decimal seconds without a unit */
	WR_ALIAS_SWITCH   /* 1 true yes on, 0 false no off: of an enum on|off */
};

struct wr_alias {
	const char *name; /* behind PREFIX_ */
	enum wr_alias_kind kind;
};

#define WR_PROPERTY_ALIASES 2
#define WR_PROPERTIES_MAX 64 /* a set of rows is a 64-bit word */

struct wr_property {
	struct weir_property seen; /* first: weir_config_next() hands it out */
	size_t offset;
	enum wr_field field;
	uint32_t power_of_two;
	int64_t min, max; /* of every type but enum and name; lengths of a name */
	struct wr_alias aliases[WR_PROPERTY_ALIASES]; /* earlier wins */
};

/* A value outside its field. Signed ones are stored as two's complement. */
struct wr_value {
	uint64_t number;
	char name[16];
};

extern const struct wr_property wr_properties[];
extern const size_t wr_property_count;

/* NULL: no such key. */
const struct wr_property *wr_property_find(const char *key);
/* Writes "unknown WHAT 'WORD'", and what was perhaps meant if @nearest is not NULL. */
void wr_property_unknown(struct weir_why *why, const char *what, const char *word,
                         const char *nearest);
/* The key that @key was perhaps meant to be, or NULL. */
const char *wr_property_nearest(const char *key);
/* The @n-th choice of an enum and its length, NULL past the last. */
const char *wr_property_choice(const struct wr_property *property, uint64_t n, size_t *ret_length);
/* Bytes of config up to the end of the field: a smaller struct does not have it. */
size_t wr_property_end(const struct wr_property *property);

/* 0, -EINVAL, -ERANGE; @why may be NULL. */
int wr_property_parse(const struct wr_property *property, const char *text, struct wr_value *ret,
                      struct weir_why *why);
/* The same, for a value under one of the other names. */
int wr_property_parse_alias(const struct wr_property *property, const struct wr_alias *alias,
                            const char *text, struct wr_value *ret, struct weir_why *why);
/* The field's value is one that parse could have given. 0, -EINVAL. */
int wr_property_check(const struct wr_property *property, const struct weir_config *config,
                      struct weir_why *why);
/* As parse takes it, in the largest exact unit; cut to @bytes. Its whole length. */
size_t wr_property_print(const struct wr_property *property, const struct wr_value *value,
                         char *text, size_t bytes);

struct wr_value wr_property_load(const struct wr_property *property,
                                 const struct weir_config *config);
void wr_property_store(const struct wr_property *property, struct weir_config *config,
                       const struct wr_value *value);

/* A foreign string for a message: control bytes become '?', the middle of a long one "...". */
#define WR_SHOWN_MAX 48
const char *wr_property_shown(const char *text, char shown[WR_SHOWN_MAX]);

/* snprintf into @why, which may be NULL; returns @error. */
int wr_why(struct weir_why *why, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
