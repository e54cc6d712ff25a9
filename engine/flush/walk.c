/* SPDX-License-Identifier: Apache-2.0 */
/* walk.c - how far a ring can be taken, and what in it needs a look. thread: flusher */
#include "flush/cut.h"

#include <errno.h>

#include "base/testpoint.h"
#include "ring/section.h"

struct wr_place wr_cut_head(const struct wr_cut *cut, const struct wr_share *share)
{
	/*
	 * ORDER ring.publish: acquire. Also the reader of the sections' commits.
	 * ORDER fallback.sleep: seq_cst, for a fallback ring. The alarm was stored before this.
	 */
	uint64_t head = atomic_load_explicit(&share->ring->head, memory_order_seq_cst);
	struct wr_place place = share->taken;

	(void)cut;
	WR_TSAN_READ(cut->rings->page);
	place.count += (uint32_t)(wr_head_count(head) - (uint32_t)place.count);
	place.position += (uint32_t)(wr_head_position(head) - (uint32_t)place.position);
	return place;
}

/* A record's header, and with it, if it is committed, the record. */
static uint64_t header_of(const struct wr_ring *ring, uint64_t position)
{
	/* ORDER ring.claim: acquire. */
	return atomic_load_explicit(wr_ring_header(ring, position), memory_order_acquire);
}

static int is_open(uint64_t header)
{
	return !(wr_header_flags(header) & (WEIR_REC_COMMITTED | WEIR_REC_ABORTED));
}

static struct wr_place step(struct wr_place at, uint64_t header)
{
	at.count++;
	at.position += wr_header_total(header);
	return at;
}

static const struct wr_mark *mark_of(const struct wr_ring *ring, uint64_t position, uint64_t header)
{
	uint16_t flags = wr_header_flags(header);
	uint32_t before = weir_record_ext_bytes(flags & (uint16_t)~WEIR_REC_MARK);

	return (const struct wr_mark *)wr_ring_at(ring, position + 8 + before);
}

/* 0, or -ENOMEM: then the cut must stop before this record. */
static int add_note(struct wr_cut *cut, struct wr_share *share, struct wr_place at, uint64_t header)
{
	struct wr_note *note;

	if (cut->note_count == cut->note_room) {
		struct wr_note *more =
			wr_mem_grow(cut->mem, cut->notes, &cut->note_room, sizeof(*more));

		if (!more) {
			cut->starved = 1;
			return -ENOMEM;
		}
		cut->notes = more;
	}
	note = &cut->notes[cut->note_count++];
	note->at = at;
	note->next = 0;
	note->mark = NULL;
	note->aborted_bytes = 0;
	if (wr_header_flags(header) & WEIR_REC_ABORTED)
		note->aborted_bytes = wr_header_total(header);
	/* Of an aborted claim too: what its thread pushed behind it relies on its mark. */
	if (wr_header_flags(header) & WEIR_REC_MARK)
		note->mark = mark_of(share->ring, at.position, header);
	if (share->notes_last)
		cut->notes[share->notes_last - 1].next = cut->note_count;
	else
		share->notes = cut->note_count;
	share->notes_last = cut->note_count;
	return 0;
}

/* Looks at one record; 0: the cut may go past it. */
static int look_at(struct wr_cut *cut, struct wr_share *share, struct wr_place at, uint64_t header)
{
	if (is_open(header))
		return -EBUSY;
	if (wr_header_flags(header) & (WEIR_REC_ABORTED | WEIR_REC_MARK))
		return add_note(cut, share, at, header);
	return 0;
}

static void walk_to(struct wr_cut *cut, struct wr_share *share, struct wr_place to)
{
	cut->walks++;
	while (share->cut.count != to.count) {
		uint64_t header = header_of(share->ring, share->cut.position);

		if (look_at(cut, share, share->cut, header)) {
			share->blocked = WR_BLOCKED_OPEN;
			return;
		}
		share->cut = step(share->cut, header);
	}
}

/*
 * Jumps to @to, stopping only at what the side table tells of. Returns 0, or 1 when the table was
 * overrun and only a walk will do. An entry may be false (its attempt was aborted): the header
 * there is then an ordinary one.
 */
static int jump_to(struct wr_cut *cut, struct wr_share *share, struct wr_place to)
{
	struct wr_ring *ring = share->ring;
	/* ORDER ring.publish: acquire. Entries are written before the head that was read. */
	uint32_t next = atomic_load_explicit(&ring->side_next, memory_order_acquire);
	struct wr_place start = share->cut;
	uint32_t span = (uint32_t)(to.count - start.count), last = UINT32_MAX;

	/* The entry behind `next` may be written by now, and is the oldest one's place. */
	if (next - share->side_seen >= WR_SIDE_ENTRIES)
		return 1;
	for (uint32_t i = share->side_seen; i != next; i++) {
		WR_TESTPOINT("cut.side_entry");
		/* ORDER ring.publish: acquire. Read before side_next is, again, behind the loop. */
		uint64_t entry = atomic_load_explicit(&ring->side[i % WR_SIDE_ENTRIES],
		                                      memory_order_acquire);
		uint32_t off = wr_head_count(entry) - (uint32_t)start.count;
		struct wr_place at = start;

		if (off >= span || off == last)
			continue;
		last = off;
		at.count += off;
		at.position += (uint32_t)(wr_head_position(entry) - (uint32_t)at.position);
		if (look_at(cut, share, at, header_of(ring, at.position))) {
			share->cut = at;
			share->blocked = WR_BLOCKED_OPEN;
			break;
		}
	}
	/* ORDER ring.publish: acquire. */
	if (atomic_load_explicit(&ring->side_next, memory_order_acquire) - share->side_seen >=
	    WR_SIDE_ENTRIES)
		return 1;
	if (!share->blocked)
		share->cut = to;
	return 0;
}

void wr_cut_scan(struct wr_cut *cut, struct wr_share *share, struct wr_place to)
{
	struct wr_place start = share->cut;
	uint32_t notes = share->notes, notes_last = share->notes_last;

	if (share->blocked || start.count == to.count)
		return;
	if (share->ring->kind == WR_RING_FALLBACK || share->rescan) {
		walk_to(cut, share, to);
		return;
	}
	if (!jump_to(cut, share, to))
		return;
	/* Undo what the jump noted, and walk. */
	share->cut = start;
	share->blocked = 0;
	share->notes = notes;
	share->notes_last = notes_last;
	if (notes_last)
		cut->notes[notes_last - 1].next = 0;
	walk_to(cut, share, to);
}

int wr_cut_wait_for(struct wr_share *share)
{
	_Atomic uint64_t *at = wr_ring_header(share->ring, share->cut.position);
	/* ORDER ring.claim: acquire. */
	uint64_t header = atomic_load_explicit(at, memory_order_acquire);

	while (is_open(header)) {
		if (wr_header_flags(header) & WEIR_REC_WAITED)
			return 0;
		/*
		 * ORDER wake.waited: seq_cst. Paired with the exchanges of wr_ring_end_claim() and
		 * wr_fallback_commit(), on the same word.
		 * Gives:     the commit came before this and is seen, or finds the flag and wakes.
		 * Otherwise: the flusher sleeps, and nobody tells it that the record is complete.
		 */
		if (atomic_compare_exchange_weak_explicit(
			    at, &header,
			    header | (uint64_t)WEIR_REC_WAITED << WR_HEADER_FLAGS_SHIFT,
			    memory_order_seq_cst, memory_order_acquire))
			return 0;
	}
	return 1;
}

struct wr_place wr_cut_walk(const struct wr_share *share, struct wr_place from, struct wr_place to,
                            void (*fn)(void *arg, uint64_t header), void *arg)
{
	while (from.count != to.count) {
		uint64_t header = header_of(share->ring, from.position);

		if (is_open(header) && !(wr_header_flags(header) & WEIR_REC_RESERVED))
			break;
		fn(arg, header);
		from = step(from, header);
	}
	return from;
}
