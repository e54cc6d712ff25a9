/* SPDX-License-Identifier: Apache-2.0 */
/* peers.c - the peers that were built, and those whose package is missing (see meson.build). */
#include <string.h>

#include "rivals/peer.h"

#define PEER(name) extern const struct peer peer_##name;
#define MISSING(id, text, deb) PEER(id)
#include "rivals/peer_list.h"
#undef PEER
#undef MISSING

#define PEER(id)
#define MISSING(id, text, deb) \
	const struct peer peer_##id = { .name = text, .package = deb, .page = "" };
#include "rivals/peer_list.h"
#undef PEER
#undef MISSING

const struct peer *const peers[] = {
#define PEER(id) &peer_##id,
#define MISSING(id, text, deb) &peer_##id,
#include "rivals/peer_list.h"
};
const uint32_t peer_count = sizeof(peers) / sizeof(peers[0]);

const struct peer *peer_find(const char *name)
{
	for (uint32_t i = 0; i < peer_count; i++)
		if (!strcmp(peers[i]->name, name))
			return peers[i];
	return NULL;
}

void peer_source_init(struct peer_source *source, uint32_t bytes, int fresh, uint32_t producer)
{
	memset(source, 0, sizeof(*source));
	for (uint32_t i = 0; i < sizeof(source->data); i++)
		source->data[i] = (uint8_t)(i * 37u + producer + 1);
	source->bytes = bytes;
	source->fresh = fresh;
	source->next = (uint64_t)(producer + 1) << 40;
	source->each = peer_sum_of(source->data, bytes);
}
