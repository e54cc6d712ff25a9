/* SPDX-License-Identifier: Apache-2.0 */
/* join.c - see join.h. */
#include "join.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

/* The place of a source, made when there is none; NULL: none and none was wanted. */
static struct held *place(struct join *join, uint16_t source, int make)
{
	size_t count = (size_t)source + 1;
	struct held *held;

	if (source < join->count)
		return &join->held[source];
	if (!make)
		return NULL;
	count = count < 64 ? 64 : count + count / 2;
	held = realloc(join->held, count * sizeof(*held));
	if (!held) {
		say("out of memory");
		_exit(END_CHECK);
	}
	memset(held + join->count, 0, (count - join->count) * sizeof(*held));
	join->held = held;
	join->count = count;
	return &held[source];
}

/* Moves what was held into join->last. */
static void release(struct join *join, struct held *held, uint32_t *ret_parts)
{
	text_free(&join->last.text);
	text_free(&join->last.name);
	join->last = *held;
	*ret_parts = held->parts;
	*held = (struct held){ 0 };
}

int join_take(struct join *join, struct weir_record *record, const struct whence *whence,
              uint32_t *ret_parts)
{
	bool continues = record->flags & WEIR_REC_CONTINUES;
	struct held *held = place(join, record->source, continues);

	if (!continues && (!held || !held->parts)) {
		*ret_parts = 1;
		return 1;
	}
	text_put(&held->text, record->data, record->size);
	held->parts++;
	if (continues) {
		held->name.size = 0;
		text_put(&held->name, whence->name, strlen(whence->name) + 1);
		held->whence = *whence;
		return 0;
	}
	release(join, held, ret_parts);
	record->data = join->last.text.data;
	record->size = (uint32_t)join->last.text.size;
	return 1;
}

int join_rest(struct join *join, struct weir_record *ret, struct whence *ret_whence,
              uint32_t *ret_parts)
{
	for (size_t i = 0; i < join->count; i++) {
		if (!join->held[i].parts)
			continue;
		release(join, &join->held[i], ret_parts);
		*ret = (struct weir_record){
			.data = join->last.text.data,
			.size = (uint32_t)join->last.text.size,
			.source = (uint16_t)i,
			.flags = WEIR_REC_COMMITTED | WEIR_REC_NO_EOL,
		};
		*ret_whence = join->last.whence;
		ret_whence->name = join->last.name.data;
		return 1;
	}
	return 0;
}

void join_free(struct join *join)
{
	for (size_t i = 0; i < join->count; i++) {
		text_free(&join->held[i].text);
		text_free(&join->held[i].name);
	}
	free(join->held);
	text_free(&join->last.text);
	text_free(&join->last.name);
	*join = (struct join){ 0 };
}
