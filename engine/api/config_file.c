/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_file.c - settings from a flat file. thread: owner
 *
 *     file     lines that end in LF or CR LF; the last may lack it
 *     line     blank, a comment, or   key = value   and perhaps a comment behind a blank
 *     comment  from # to the end of the line
 *     key      as in the table, or preset; at most once in a file
 *
 * Blanks (space, tab) may stand around each part. Anything else is an error, with its place; then
 * nothing was set. It knows this syntax. It does not know keys or values.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/config_edit.h"

#define LINE_MAX_BYTES 4096
/* Of a path in a message the end is shown: the message has to fit behind it. */
#define PATH_SHOWN 80

struct reader {
	struct wr_edit edit;
	const struct weir_config *config;
	const char *path;
	struct weir_why *why;
	unsigned line;
	unsigned line_of[WR_PROPERTIES_MAX + 1]; /* where a key stood; the last is the preset's */
	size_t length;
	char text[LINE_MAX_BYTES + 2]; /* of the line, with a CR, and a NUL */
};

/* "path:line:column: sentence"; columns count bytes from 1. */
static int blame(const struct reader *reader, const char *at, int error, const char *sentence)
{
	size_t length = strlen(reader->path);
	const char *path = reader->path;
	const char *cut = "";

	if (length > PATH_SHOWN) {
		path += length - PATH_SHOWN;
		cut = "...";
	}
	return wr_why(reader->why, error, "%s%s:%u:%zu: %s", cut, path, reader->line,
	              (size_t)(at - reader->text) + 1, sentence);
}

static char *skip_blanks(char *at)
{
	return at + strspn(at, " \t");
}

/* Ends the value in front of blanks and a comment. */
static void trim_value(char *value)
{
	char *end = value + strlen(value);

	for (char *c = value; *c; c++) {
		if (*c == '#' && (c == value || c[-1] == ' ' || c[-1] == '\t')) {
			end = c;
			break;
		}
	}
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = 0;
}

static int set(struct reader *reader, const char *key, const char *value)
{
	const struct wr_property *property = wr_property_find(key);
	size_t row = property ? (size_t)(property - wr_properties) : WR_PROPERTIES_MAX;
	int is_key = property || strcmp(key, "preset") == 0;
	struct weir_why reason;
	char sentence[96];
	int r;

	if (is_key && reader->line_of[row]) {
		snprintf(sentence, sizeof(sentence), "%s was set in line %u already", key,
		         reader->line_of[row]);
		return blame(reader, key, -EINVAL, sentence);
	}
	r = wr_edit_set(&reader->edit, reader->config, key, value, &reason);
	if (r)
		return blame(reader, r == -ENOENT && !is_key ? key : value, r, reason.text);
	reader->line_of[row] = reader->line;
	return 0;
}

static int too_long(const struct reader *reader)
{
	return blame(reader, reader->text + LINE_MAX_BYTES, -EINVAL,
	             "the line is longer than 4096 bytes");
}

/* One line, without its end, NUL behind it. */
static int read_line(struct reader *reader)
{
	char *key, *key_end, *equals, *value, *nul;

	nul = memchr(reader->text, 0, reader->length);
	if (nul)
		return blame(reader, nul, -EINVAL, "a NUL byte");
	if (reader->length && reader->text[reader->length - 1] == '\r')
		reader->length--;
	reader->text[reader->length] = 0;
	if (reader->length > LINE_MAX_BYTES)
		return too_long(reader);
	key = skip_blanks(reader->text);
	if (!*key || *key == '#')
		return 0;
	key_end = key + strcspn(key, " \t=#");
	if (key_end == key)
		return blame(reader, key, -EINVAL, "a key is missing in front of =");
	equals = skip_blanks(key_end);
	if (*equals != '=')
		return blame(reader, equals, -EINVAL, "= is missing behind the key");
	value = skip_blanks(equals + 1);
	trim_value(value);
	*key_end = 0;
	if (!*value)
		return blame(reader, value, -EINVAL, "a value is missing behind =");
	return set(reader, key, value);
}

/* @bytes of the file, in order. */
static int feed(struct reader *reader, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r;

		if (bytes[i] != '\n') {
			/* One byte more than a line may have: it may be the CR of its end. */
			if (reader->length > LINE_MAX_BYTES)
				return too_long(reader);
			reader->text[reader->length++] = bytes[i];
			continue;
		}
		r = read_line(reader);
		if (r)
			return r;
		reader->length = 0;
		reader->line++;
	}
	return 0;
}

static int refuse_path(const struct reader *reader, const char *verb, int error)
{
	char shown[WR_SHOWN_MAX], reason[64];

	return wr_why(reader->why, error, "cannot %s '%s': %s", verb,
	              wr_property_shown(reader->path, shown),
	              strerror_r(-error, reason, sizeof(reason)));
}

static int read_all(struct reader *reader, int fd)
{
	char bytes[4096];
	ssize_t n;
	int r;

	for (;;) {
		n = read(fd, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return refuse_path(reader, "read", -errno);
		if (n == 0)
			return reader->length ? read_line(reader) : 0;
		r = feed(reader, bytes, (size_t)n);
		if (r)
			return r;
	}
}

int weir_config_file(struct weir_config *config, const char *path, struct weir_why *ret_why)
{
	struct reader reader = { .config = config, .path = path, .why = ret_why, .line = 1 };
	int fd, r = wr_edit_test(config, ret_why);

	if (r)
		return r;
	if (!path)
		return wr_why(ret_why, -EINVAL, "the path is NULL");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return refuse_path(&reader, "open", -errno);
	r = read_all(&reader, fd);
	(void)close(fd);
	return r ? r : wr_edit_apply(&reader.edit, config);
}
