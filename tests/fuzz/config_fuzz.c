/* SPDX-License-Identifier: Apache-2.0 */
/* config_fuzz.c - settings as text: single ones, a file, the environment. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/config.h>

#include "fuzz.h"

extern char **environ;

/* Each value, written out, is read back as itself. */
static void check_config(const struct weir_config *config)
{
	const struct weir_property *property = NULL;
	struct weir_config again;
	struct weir_why why;

	(void)weir_config_check(config, &why);
	weir_config_init(&again);
	again.size = config->size;
	while ((property = weir_config_next(property))) {
		char text[64];
		int r = weir_config_get(config, property->key, text, sizeof(text));

		FUZZ_TRUE(r >= 0 || (r == -ENOENT && config->size < sizeof(*config)));
		if (r < 0)
			continue;
		FUZZ_TRUE(strlen(text) == (size_t)r);
		FUZZ_TRUE(weir_config_set(&again, property->key, text, &why) == 0);
	}
	FUZZ_TRUE(memcmp(&again, config, config->size) == 0);
}

static void begin(struct weir_config *config)
{
	weir_config_init(config);
}

/* After a call that answered @r: an error changed nothing and says why. */
static void check_after(const struct weir_config *config, int r, const struct weir_why *why)
{
	struct weir_config initial;

	FUZZ_TRUE(memchr(why->text, 0, sizeof(why->text)));
	if (r < 0) {
		begin(&initial);
		initial.size = config->size;
		FUZZ_TRUE(memcmp(&initial, config, sizeof(initial)) == 0);
		FUZZ_TRUE(why->text[0]);
	}
	check_config(config);
}

/* What a caller may do wrong: nothing is written, and a sentence says what. */
static void refuse_all(struct weir_config *config, const char *key, const char *value)
{
	struct weir_why why = { "" };
	char text[8];

	FUZZ_TRUE(weir_config_set(NULL, key, value, &why) == -EINVAL && why.text[0]);
	FUZZ_TRUE(weir_config_set(config, NULL, value, &why) == -EINVAL && why.text[0]);
	FUZZ_TRUE(weir_config_set(config, key, NULL, &why) == -EINVAL && why.text[0]);
	FUZZ_TRUE(weir_config_preset(NULL, value, &why) == -EINVAL && why.text[0]);
	FUZZ_TRUE(weir_config_preset(config, NULL, &why) == -EINVAL && why.text[0]);
	FUZZ_TRUE(weir_config_get(config, NULL, text, sizeof(text)) == -EINVAL);
	FUZZ_TRUE(weir_config_get(config, key, NULL, 0) == -EINVAL);
	FUZZ_TRUE(weir_config_get(config, "no_such_key", text, sizeof(text)) == -ENOENT);
	FUZZ_TRUE(weir_config_get(config, "deadline", text, 1) == -ENOSPC);
	FUZZ_TRUE(weir_config_check(NULL, &why) >= 0);
	FUZZ_TRUE(weir_config_preset_name(9999) == NULL && weir_config_preset_name(0));
	FUZZ_TRUE(weir_config_env(config, "no prefix", &why) == -EINVAL && why.text[0]);
	weir_config_init(NULL);
	config->size = strlen(key) % 2 ? 3 : 1u << 20;
	FUZZ_TRUE(weir_config_set(config, key, value, &why) == -EINVAL && why.text[0]);
	FUZZ_TRUE(weir_config_get(config, key, text, sizeof(text)) == -EINVAL);
	FUZZ_TRUE(weir_config_check(config, &why) == -EINVAL && why.text[0]);
	FUZZ_TRUE(weir_config_env(config, NULL, &why) == -EINVAL && why.text[0]);
	FUZZ_TRUE(weir_config_file(config, "/", &why) == -EINVAL && why.text[0]);
}

/* A program may write the fields itself: any bytes there are refused or accepted, and shown. */
static void poke(struct weir_config *config, struct feed *feed)
{
	const struct weir_property *property = NULL;
	struct weir_why why = { "" };
	int r;

	while (feed->left) {
		size_t at = sizeof(size_t) + feed_u16(feed) % (sizeof(*config) - sizeof(size_t)), n;
		const uint8_t *bytes = feed_bytes(feed, feed_u8(feed) % 17u, &n);

		if (n > sizeof(*config) - at)
			n = sizeof(*config) - at;
		memcpy((char *)config + at, bytes, n);
	}
	r = weir_config_check(config, &why);
	FUZZ_TRUE(r == 0 || ((r == 1 || r == -EINVAL) && why.text[0]));
	FUZZ_TRUE(weir_config_check(config, NULL) == r);
	while ((property = weir_config_next(property))) {
		char text[64];

		FUZZ_TRUE(weir_config_get(config, property->key, text, sizeof(text)) >= 0);
	}
}

/*
 * A key, LF, a value. The first byte: from a program with a shorter struct; or 0xfe: what follows
 * is not text but bytes for the struct; or 0xfc: a caller that does not know what it does.
 */
void fuzz_config_set(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	uint8_t cut = feed_u8(&feed);
	char *key, *value;
	struct weir_config config;
	struct weir_why why = { "" };
	int r;

	begin(&config);
	if (cut == 0xfe) {
		poke(&config, &feed);
		return;
	}
	key = feed_line(&feed);
	value = feed_text(&feed, size);
	if (cut & 1)
		config.size -= cut / 2 < 100 ? cut / 2 : 100;
	r = weir_config_set(&config, key, value, &why);
	FUZZ_TRUE(r >= -ERANGE && r <= 0);
	check_after(&config, r, &why);
	FUZZ_TRUE(weir_config_set(&config, key, value, NULL) == r);
	if (strcmp(key, "preset") == 0) {
		r = weir_config_preset(&config, value, &why);
		FUZZ_TRUE(r == 0 || r == -ENOENT);
	}
	if (cut == 0xfc)
		refuse_all(&config, key, value);
	free(key);
	free(value);
}

/* A path that is too long for a message. */
static const char *long_path(int fd)
{
	static char path[128];

	snprintf(path, sizeof(path), "/proc/self/%s%s%s%sfd/%d", "./././././././././././././",
	         "./././././././././././././", "./././././././././././././",
	         "./././././././././././././", fd);
	return path;
}

/* The bytes are the file. A first byte of 0xff: a directory, 0xfe: no file, 0xfd: a long path. */
void fuzz_config_file(const uint8_t *data, size_t size)
{
	static int fd = -1;
	uint8_t how = size && *data >= 0xfd ? *data : 0;
	char plain[64];
	const char *path = plain;
	struct weir_config config;
	struct weir_why why = { "" };
	int r;

	data += how != 0;
	size -= how != 0;
	if (fd < 0)
		fd = memfd_create("config", MFD_CLOEXEC);
	FUZZ_TRUE(fd >= 0);
	FUZZ_TRUE(ftruncate(fd, 0) == 0);
	FUZZ_TRUE(pwrite(fd, data, size, 0) == (ssize_t)size);
	snprintf(plain, sizeof(plain), "/proc/self/fd/%d", fd);
	if (how)
		path = how == 0xff ? "/proc/self" : how == 0xfe ? "/no/such/file" : long_path(fd);
	begin(&config);
	r = weir_config_file(&config, path, &why);
	check_after(&config, r, &why);
	FUZZ_TRUE(weir_config_file(&config, path, NULL) == r);
	FUZZ_TRUE(weir_config_file(&config, NULL, &why) == -EINVAL);
	FUZZ_TRUE(weir_config_file(NULL, path, &why) == -EINVAL);
}

/* A prefix, LF, then NAME=VALUE lines. The first byte: a shorter struct; no prefix is given. */
void fuzz_config_env(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	uint8_t how = feed_u8(&feed);
	char *prefix = feed_line(&feed), *lines[64], **before = environ;
	size_t count = 0;
	struct weir_config config;
	struct weir_why why = { "" };
	int r;

	while (feed.left && count < 63) {
		lines[count] = feed_line(&feed);
		if (strchr(lines[count], '='))
			count++;
		else
			free(lines[count]);
	}
	lines[count] = NULL;
	begin(&config);
	if (how & 1)
		config.size -= how / 2 < 100 ? how / 2 : 100;
	FUZZ_TRUE(weir_config_env(NULL, prefix, &why) == -EINVAL && why.text[0]);
	why.text[0] = '\0';
	environ = lines;
	r = weir_config_env(&config, how & 0x80 ? NULL : prefix, &why);
	environ = before;
	check_after(&config, r, &why);
	for (size_t i = 0; i < count; i++)
		free(lines[i]);
	free(prefix);
}
