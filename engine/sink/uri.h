/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink/uri.h - an address of a sink, taken apart: SCHEME:PATH[?KEY=VALUE&...].
 *
 * It knows the shape of an address and how a value is read. It does not know any scheme; open.c
 * does. %XX stands for a byte in PATH and in VALUE (never NUL). thread: any, in weir_sink_open().
 */
#ifndef WR_SINK_URI_H
#define WR_SINK_URI_H

#include <stdint.h>
#include <weir/sink.h>

#define WR_URI_OPTIONS_MAX 16

struct wr_uri_option {
	const char *key;
	const char *value;
};

/* The strings live as long as the call that opens the sink: copy what is kept. */
struct wr_uri {
	const char *scheme;
	const char *path;
	uint32_t option_count;
	struct wr_uri_option options[WR_URI_OPTIONS_MAX];
};

/* Splits @text into @ret, whose strings lie in @buffer (strlen(text) + 1 bytes). 0 or -EINVAL. */
int wr_uri_parse(const char *text, char *buffer, struct wr_uri *ret, struct weir_why *ret_why);

/* Every option must be one of @names ("sync|interval"; "" for none). 0 or -EINVAL. */
int wr_uri_check(const struct wr_uri *uri, const char *names, struct weir_why *ret_why);

/* The value of an option, or NULL when it was not given. */
const char *wr_uri_get(const struct wr_uri *uri, const char *key);

/*
 * Read an option. When it was not given *value stays as it is. 0, or -EINVAL with a sentence that
 * names key and value.
 */
int wr_uri_bytes(const struct wr_uri *uri, const char *key, uint64_t *value,
                 struct weir_why *ret_why);
int wr_uri_duration(const struct wr_uri *uri, const char *key, uint64_t *value_ns,
                    struct weir_why *ret_why);
/* *value becomes the place of the option's value in @choices ("none|interval|batch"). */
int wr_uri_choice(const struct wr_uri *uri, const char *key, const char *choices, uint32_t *value,
                  struct weir_why *ret_why);

/* The word of a "a|b|c" list that is nearest to @word, for a sentence; "" when none is near. */
struct wr_uri_hint {
	char text[96]; /* " (did you mean b?)" */
};
struct wr_uri_hint wr_uri_hint(const char *word, const char *choices);

/* Fills in a sentence (@ret_why may be NULL) and returns @error. */
__attribute__((format(printf, 3, 4))) int wr_sink_why(struct weir_why *ret_why, int error,
                                                      const char *format, ...);

/* The built-in openers: one sink each, on the path and options of @uri. 0 or -errno. */
int wr_sink_null_open(const char *path, const struct wr_uri *uri, struct weir_sink **ret_sink,
                      struct weir_why *ret_why);
int wr_sink_fd_open(const char *path, const struct wr_uri *uri, struct weir_sink **ret_sink,
                    struct weir_why *ret_why);
int wr_sink_file_open(const char *path, const struct wr_uri *uri, struct weir_sink **ret_sink,
                      struct weir_why *ret_why);

#endif
