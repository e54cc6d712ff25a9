/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order.c - a cut that keeps the records of each thread in the order of their pushes.
 *
 * A mark in a record names, per ring, a head: everything below it must go out first. The cut is
 * closed: a named ring is extended to exactly the named head, which is visible by then, or, if that
 * lies behind an uncommitted record, the marking ring is retracted to before its mark. Marks name
 * the past only, so this ends and has no cycles. Then the rings' shares are split at their marks
 * and emitted, each piece after what its mark names. thread: flusher
 */
#include "flush/cut.h"

#include <errno.h>

#include "base/testpoint.h"

int wr_cut_init(struct wr_cut *cut, const struct wr_rings *rings, const struct wr_mem *mem,
                uint32_t order)
{
	cut->rings = rings;
	cut->mem = mem;
	cut->order = order;
	cut->share_count = WR_RING_IDS;
	cut->shares = wr_mem_alloc(mem, WR_RING_IDS * sizeof(*cut->shares));
	cut->set = wr_mem_alloc(mem, WR_RING_IDS * sizeof(*cut->set));
	if (!cut->shares || !cut->set) {
		wr_cut_fini(cut);
		return -ENOMEM;
	}
	return 0;
}

void wr_cut_fini(struct wr_cut *cut)
{
	wr_mem_free(cut->mem, cut->shares, WR_RING_IDS * sizeof(*cut->shares));
	wr_mem_free(cut->mem, cut->set, WR_RING_IDS * sizeof(*cut->set));
	wr_mem_free(cut->mem, cut->notes, cut->note_room * sizeof(*cut->notes));
	wr_mem_free(cut->mem, cut->segments, cut->segment_room * sizeof(*cut->segments));
	*cut = (struct wr_cut){ 0 };
}

struct wr_share *wr_cut_share(struct wr_cut *cut, uint32_t id)
{
	struct wr_share *share = &cut->shares[id];
	struct wr_ring *ring;

	if (share->ring)
		return share;
	ring = wr_rings_by_id(cut->rings, id);
	if (!ring)
		return NULL;
	share->ring = ring;
	/* ORDER none: relaxed. Written before the ring was published, and by the flusher. */
	share->taken.count = atomic_load_explicit(&ring->cut_count, memory_order_relaxed);
	share->taken.position = atomic_load_explicit(&ring->cut_position, memory_order_relaxed);
	share->cut = share->taken;
	share->released = share->taken.position;
	share->barrier = share->taken.position;
	share->last = &share->first;
	return share;
}

static struct wr_share *join(struct wr_cut *cut, uint32_t id)
{
	struct wr_share *share = wr_cut_share(cut, id);

	if (!share || share->in_cut)
		return share;
	share->in_cut = 1;
	share->cut = share->taken;
	share->blocked = 0;
	share->notes = share->notes_last = 0;
	cut->set[cut->set_count++] = id;
	return share;
}

/* Moves the cut of @share back to before @note. */
static void retract(struct wr_cut *cut, struct wr_share *share, const struct wr_note *note)
{
	uint32_t last = 0;

	share->cut = note->at;
	share->blocked = WR_BLOCKED_RETRACTED;
	for (uint32_t i = share->notes; cut->notes[i - 1].at.count < note->at.count;
	     i = cut->notes[i - 1].next)
		last = i;
	if (last)
		cut->notes[last - 1].next = 0;
	else
		share->notes = 0;
	share->notes_last = last;
}

enum named { NAMED_PAST, NAMED_EXTENDED, NAMED_BLOCKED };

/* Makes sure that the ring @id is cut at @head or later, if that is still to come. */
static enum named extend(struct wr_cut *cut, uint32_t id, uint64_t head)
{
	struct wr_share *share = join(cut, id);
	struct wr_place now, to;
	uint32_t missing;

	if (!share)
		return NAMED_PAST; /* a ring that is gone was drained */
	now = wr_cut_head(cut, share);
	to = share->cut;
	missing = wr_head_count(head) - (uint32_t)to.count;
	/* In the future only if it lies between cut and head: anything else is long past. */
	if (missing == 0 || missing > now.count - to.count)
		return NAMED_PAST;
	to.count += missing;
	to.position += (uint32_t)(wr_head_position(head) - (uint32_t)to.position);
	wr_cut_scan(cut, share, to);
	return share->cut.count == to.count ? NAMED_EXTENDED : NAMED_BLOCKED;
}

/* One look at all marks of a ring. Returns whether anything changed. */
static int close_ring(struct wr_cut *cut, uint32_t id)
{
	struct wr_share *share = &cut->shares[id];
	int changed = 0;

	for (uint32_t i = share->notes; i; i = cut->notes[i - 1].next) {
		const struct wr_mark *mark = cut->notes[i - 1].mark;

		for (unsigned k = 0; mark && k < WR_MARK_NAMES; k++) {
			enum named named;

			if (!mark->ids[k] || mark->ids[k] == id)
				continue;
			named = extend(cut, mark->ids[k], mark->heads[k]);
			if (named == NAMED_EXTENDED)
				changed = 1;
			if (named == NAMED_BLOCKED) {
				retract(cut, share, &cut->notes[i - 1]);
				return 1;
			}
		}
	}
	return changed;
}

void wr_cut_close(struct wr_cut *cut)
{
	int changed = 1;

	while (changed) {
		changed = 0;
		for (uint32_t i = 0; i < cut->set_count; i++)
			changed |= close_ring(cut, cut->set[i]);
	}
}

static void sum_up(struct wr_cut *cut)
{
	cut->records = cut->bytes = cut->fullest = 0;
	cut->any_blocked = cut->full = 0;
	for (uint32_t i = 0; i < cut->set_count; i++) {
		struct wr_share *share = &cut->shares[cut->set[i]];
		uint64_t bytes = share->cut.position - share->taken.position;

		cut->records += share->cut.count - share->taken.count;
		cut->bytes += bytes;
		if (bytes > cut->fullest)
			cut->fullest = bytes;
		/* ORDER wake.words: seq_cst. Who counts looks whether we are busy after that. */
		if (bytes && atomic_load_explicit(&share->ring->pressed, memory_order_seq_cst))
			cut->full = 1;
		if (share->blocked)
			cut->any_blocked = 1;
		for (uint32_t n = share->notes; n; n = cut->notes[n - 1].next)
			cut->records -= cut->notes[n - 1].aborted_bytes != 0;
	}
}

void wr_cut_make(struct wr_cut *cut, const _Atomic uint64_t *bits)
{
	for (uint32_t i = 0; i < cut->set_count; i++)
		cut->shares[cut->set[i]].in_cut = 0;
	cut->set_count = cut->note_count = cut->starved = 0;
	for (uint32_t word = 0; word < wr_rings_words(cut->rings); word++) {
		/* ORDER wake.words: seq_cst. Set before a ring's first record is committed. */
		uint64_t set = atomic_load_explicit(&bits[word], memory_order_seq_cst) |
		               cut->kept[word];

		for (; set; set &= set - 1) {
			struct wr_share *share =
				join(cut, word * 64 + (uint32_t)__builtin_ctzll(set));

			if (share)
				wr_cut_scan(cut, share, wr_cut_head(cut, share));
			WR_TESTPOINT("cut.between_heads");
		}
	}
	if (cut->order && !WR_TEST_OFF(WR_TEST_NO_CLOSURE))
		wr_cut_close(cut);
	sum_up(cut);
}

/* May the record that @mark belongs to go out? */
static int is_satisfied(const struct wr_cut *cut, const struct wr_mark *mark)
{
	for (unsigned k = 0; k < WR_MARK_NAMES; k++) {
		const struct wr_share *from;
		uint32_t missing;

		if (!mark->ids[k])
			continue;
		from = &cut->shares[mark->ids[k]];
		if (!from->in_cut)
			continue;
		missing = wr_head_count(mark->heads[k]) - (uint32_t)from->sent.count;
		if (missing != 0 && missing <= from->cut.count - from->sent.count)
			return 0;
	}
	return 1;
}

static int emit(struct wr_cut *cut, struct wr_share *share, struct wr_place to, uint32_t aborted)
{
	struct wr_segment *last;

	if (cut->segment_count == cut->segment_room) {
		struct wr_segment *more =
			wr_mem_grow(cut->mem, cut->segments, &cut->segment_room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		cut->segments = more;
	}
	last = cut->segment_count ? &cut->segments[cut->segment_count - 1] : NULL;
	if (last && last->ring == share->ring->id) {
		last->end = to;
		last->aborted += aborted;
	} else {
		last = &cut->segments[cut->segment_count++];
		last->ring = share->ring->id;
		last->aborted = aborted;
		last->begin = share->sent;
		last->end = to;
		last->earliest_ns = share->cut_ns > cut->floor_ns ? share->cut_ns : cut->floor_ns;
	}
	share->sent = to;
	return 0;
}

/* Emits as much of @share as its marks allow. Returns 1 if anything, 0, or -ENOMEM. */
static int emit_ring(struct wr_cut *cut, struct wr_share *share, int force)
{
	uint32_t aborted = 0;
	struct wr_place start = share->sent, to = share->cut;

	for (; share->notes; share->notes = cut->notes[share->notes - 1].next) {
		const struct wr_note *note = &cut->notes[share->notes - 1];

		if (note->mark && cut->order && !force && !is_satisfied(cut, note->mark)) {
			to = note->at;
			break;
		}
		aborted += note->aborted_bytes != 0;
	}
	if (to.count == start.count)
		return 0;
	return emit(cut, share, to, aborted) ? -ENOMEM : 1;
}

/* Side entries below what was taken are done with. */
static void forget_side(struct wr_share *share)
{
	/* ORDER ring.publish: acquire. */
	uint32_t next = atomic_load_explicit(&share->ring->side_next, memory_order_acquire);

	if (next - share->side_seen > WR_SIDE_ENTRIES)
		share->side_seen = next - WR_SIDE_ENTRIES;
	for (; share->side_seen != next; share->side_seen++) {
		/* ORDER none: relaxed. An overrun makes the next cut walk. */
		uint64_t entry = atomic_load_explicit(
			&share->ring->side[share->side_seen % WR_SIDE_ENTRIES],
			memory_order_relaxed);

		if ((int32_t)(wr_head_count(entry) - (uint32_t)share->taken.count) >= 0)
			break;
	}
}

int wr_cut_take(struct wr_cut *cut, uint64_t now_ns, uint64_t floor_ns)
{
	uint32_t left = cut->set_count;
	int progress = 1, force = 0;

	cut->floor_ns = floor_ns;
	cut->segment_count = 0;
	for (uint32_t i = 0; i < cut->set_count; i++)
		cut->shares[cut->set[i]].sent = cut->shares[cut->set[i]].taken;
	while (left) {
		WR_ASSERT(!force || progress);
		force = !progress; /* marks cannot form a cycle; if they did, nothing may hang */
		progress = 0;
		left = 0;
		for (uint32_t i = 0; i < cut->set_count; i++) {
			struct wr_share *share = &cut->shares[cut->set[i]];
			int r = emit_ring(cut, share, force);

			if (r < 0) { /* as if it had never begun */
				cut->segment_count = 0;
				return r;
			}
			progress |= r;
			left += share->sent.count != share->cut.count;
		}
	}
	for (uint32_t i = 0; i < cut->segment_count; i++) {
		cut->shares[cut->segments[i].ring].aborted += cut->segments[i].aborted;
		cut->aborted += cut->segments[i].aborted;
	}
	for (uint32_t i = 0; i < cut->set_count; i++) {
		struct wr_share *share = &cut->shares[cut->set[i]];

		share->taken = share->cut;
		if (!share->blocked) /* what lies behind the block was pushed before this cut */
			share->cut_ns = now_ns;
		share->rescan = share->blocked;
		/*
		 * ORDER stats.heads: release. Acquired by places() in flush/control.c.
		 * Gives:     a head that is read behind these is not below them.
		 * Otherwise: the difference wraps, and 2^32 records seem to have been accepted.
		 */
		atomic_store_explicit(&share->ring->cut_position, share->taken.position,
		                      memory_order_release);
		atomic_store_explicit(&share->ring->cut_count, share->taken.count,
		                      memory_order_release);
		if (!share->rescan)
			forget_side(share);
	}
	return 0;
}
