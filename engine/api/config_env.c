/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_env.c - settings from the environment, when a host asks for it. thread: owner
 *
 * It knows names of variables. A key's own name wins over its other names, and among these the
 * earlier in the table; each that is set must be well-formed all the same. A process that runs with
 * more rights than its caller sees an empty environment.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/config_edit.h"

#define PREFIX_DEFAULT "WEIR"
#define PREFIX_MAX 64
#define NAME_BYTES (PREFIX_MAX + 64)

static int test_prefix(const char *prefix, struct weir_why *why)
{
	char shown[WR_SHOWN_MAX];
	size_t length = strlen(prefix);

	if (length && length <= PREFIX_MAX && (*prefix < '0' || *prefix > '9') &&
	    strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
	            length)
		return 0;
	return wr_why(why, -EINVAL,
	              "prefix '%s' cannot begin a variable's name: letters, digits, _",
	              wr_property_shown(prefix, shown));
}

/* The value of PREFIX_KEY, or NULL if unset or empty; its name is put into @name. */
static const char *look_up(const char *prefix, const char *key, char name[NAME_BYTES])
{
	const char *value;

	snprintf(name, NAME_BYTES, "%s_%s", prefix, key);
	for (char *c = name + strlen(prefix); *c; c++) {
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	}
	value = secure_getenv(name);
	return value && *value ? value : NULL;
}

/* Puts the variable's name before what is wrong with its value. */
static int blame(const char *name, int error, const struct weir_why *reason, struct weir_why *why)
{
	return wr_why(why, error, "%s: %s", name, reason->text);
}

static int read_row(struct wr_edit *edit, const struct weir_config *config, const char *prefix,
                    const struct wr_property *property, struct weir_why *why)
{
	char name[NAME_BYTES];
	const char *text = look_up(prefix, property->seen.key, name);
	struct weir_why reason;
	struct wr_value value;
	int r;

	if (text) {
		r = wr_edit_set(edit, config, property->seen.key, text, &reason);
		if (r)
			return blame(name, r, &reason, why);
	}
	for (size_t i = 0; i < WR_PROPERTY_ALIASES && property->aliases[i].name; i++) {
		text = look_up(prefix, property->aliases[i].name, name);
		if (!text)
			continue;
		r = wr_property_parse_alias(property, &property->aliases[i], text, &value, &reason);
		if (r)
			return blame(name, r, &reason, why);
		if (!wr_edit_has(edit, property))
			wr_edit_give(edit, property, &value);
	}
	return 0;
}

int weir_config_env(struct weir_config *config, const char *prefix, struct weir_why *ret_why)
{
	struct wr_edit edit = { 0 };
	char name[NAME_BYTES];
	struct weir_why reason;
	const char *text;
	int r = wr_edit_test(config, ret_why);

	if (r)
		return r;
	if (!prefix)
		prefix = PREFIX_DEFAULT;
	r = test_prefix(prefix, ret_why);
	if (r)
		return r;
	text = look_up(prefix, "preset", name);
	if (text) {
		r = wr_edit_set(&edit, config, "preset", text, &reason);
		if (r)
			return blame(name, r, &reason, ret_why);
	}
	for (size_t i = 0; i < wr_property_count; i++) {
		/* A field that the caller's struct lacks has no variables either. */
		if (wr_property_end(&wr_properties[i]) > config->size)
			continue;
		r = read_row(&edit, config, prefix, &wr_properties[i], ret_why);
		if (r)
			return r;
	}
	return wr_edit_apply(&edit, config);
}
