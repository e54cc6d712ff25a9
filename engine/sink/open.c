/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - builds a sink from its address.
 *
 * It knows the names of the built-in schemes. It does not know what any of them does. thread: any
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "sink/uri.h"

typedef int open_fn(const char *path, const struct wr_uri *uri, struct weir_sink **ret_sink,
                    struct weir_why *ret_why);

static const struct scheme {
	const char *name;
	open_fn *open;
} schemes[] = {
	{ "null", wr_sink_null_open },
	{ "fd", wr_sink_fd_open },
	{ "file", wr_sink_file_open },
};

#define SCHEME_NAMES "null|fd|file"

static int open_uri(const struct wr_uri *uri, struct weir_sink **ret_sink, struct weir_why *ret_why)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (strcmp(uri->scheme, schemes[i].name) == 0)
			return schemes[i].open(uri->path, uri, ret_sink, ret_why);
	return wr_sink_why(ret_why, -EPROTONOSUPPORT,
	                   "there is no sink \"%.64s:\"%s; there are null:, fd:N and file:DIR",
	                   uri->scheme, wr_uri_hint(uri->scheme, SCHEME_NAMES).text);
}

int weir_sink_open(const char *uri, struct weir_sink **ret_sink, struct weir_why *ret_why)
{
	struct wr_uri parsed;
	size_t bytes;
	char *buffer;
	int r;

	if (!uri || !ret_sink)
		return wr_sink_why(ret_why, -EINVAL, "no address, or nowhere to put the sink");
	bytes = strlen(uri) + 1;
	buffer = wr_mem_alloc(NULL, bytes);
	if (!buffer)
		return wr_sink_why(ret_why, -ENOMEM, "no memory for the sink's address");
	r = wr_uri_parse(uri, buffer, &parsed, ret_why);
	if (!r)
		r = open_uri(&parsed, ret_sink, ret_why);
	wr_mem_free(NULL, buffer, bytes);
	return r;
}
