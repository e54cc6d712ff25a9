/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/ring.h - one ring: the words that producers and the flusher share.
 *
 * A ring knows records, counts and positions. It does not know batches, sinks or time.
 *
 * Who may run with whom:
 *
 *                   push   claim  commit  slow path  flusher
 *     push           a      a      x         x          x
 *     commit         x      x      x         x          x
 *     slow path      x      x      x         x          x
 *     flusher        x      x      x         x          -
 *
 *     a: on an rseq ring only threads of the ring's CPU, so never truly at once; on a fallback
 *        ring any thread
 *     x: at once, no lock      -: one thread
 *
 * A ring has one discipline for life: an rseq commit is a plain store, which a compare-and-swap
 * from another CPU would lose against.
 *
 * Control words are type-stable: never unmapped while the process lives, since a thread may be
 * preempted at any place on its way from a restartable section to the slow path.
 */
#ifndef WR_RING_RING_H
#define WR_RING_RING_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <weir/record.h>

#include "base/align.h"
#include "base/check.h"

#define WR_SIDE_ENTRIES 64u
#define WR_RING_IDS 4096u /* ids 1..4095; 12 bits in an order word */

enum wr_ring_kind { WR_RING_RSEQ = 1, WR_RING_FALLBACK = 2 };

/*
 * head:  {count:32 | position:32}. On an rseq ring what is committed, on a fallback ring what is
 *        reserved, where bit 0 of the position (a multiple of 8) is WR_HEAD_CLOSED.
 * alarm: {epoch:27 | log2 stride:5 | trip:32}. A push whose count reaches trip takes the slow path;
 *        trip - stride is the count already credited.
 * limit: {stop:32 | position:32}. A push that would end beyond the position takes the slow path.
 *        stop says what lies there, see WR_STOP_*.
 */
struct wr_ring {
	/* Read by every push; written by the flusher and the slow path. */
	WR_LINE_ALIGNED _Atomic uint64_t alarm;
	_Atomic uint64_t limit;
	uint8_t *data;     /* two mappings of the same memory, back to back */
	uint64_t mask;     /* bytes - 1 */
	uint64_t order_id; /* id, or 0 when the engine keeps no order */
	uint32_t id;       /* 1.., unique within the engine's life */
	uint32_t cpu;
	uint32_t kind; /* enum wr_ring_kind */
	uint32_t retired;

	/* Written by every push. */
	WR_LINE_ALIGNED _Atomic uint64_t head;
	_Atomic uint32_t side_next; /* side[] entries ever written, by aborted attempts too */
	uint32_t unused;
	_Atomic uint64_t side[WR_SIDE_ENTRIES]; /* the head before the commit of a mark or claim */

	/* Written by slow paths. */
	WR_LINE_ALIGNED _Atomic uint32_t inside; /* slow paths under way */
	_Atomic uint32_t pressed; /* pushes that found it full since room was last made */
	_Atomic uint64_t refused_full;
	_Atomic uint64_t refused_context;
	_Atomic uint64_t waits;
	_Atomic uint64_t migrations;
	_Atomic uint64_t aborts_capped;
	_Atomic uint64_t claims_begun;     /* places taken by claims and large records ... */
	_Atomic uint64_t claims_committed; /* ... and how many of them became records */

	/* Written by the flusher. */
	WR_LINE_ALIGNED _Atomic uint64_t tail;   /* released, 64-bit position */
	_Atomic uint64_t cut_count;              /* taken, 64-bit count and position */
	_Atomic uint64_t cut_position;
	_Atomic uint64_t lost; /* 0; else places that close left, with all claims but those in it */
};

static_assert(offsetof(struct wr_ring, head) == 128, "the sections know these offsets");
static_assert(offsetof(struct wr_ring, side) == 144, "the sections know these offsets");

#define WR_HEAD_CLOSED 1u
static inline uint32_t wr_head_count(uint64_t head)
{
	return (uint32_t)(head >> 32);
}
static inline uint32_t wr_head_position(uint64_t head)
{
	return (uint32_t)head & ~WR_HEAD_CLOSED;
}
static inline uint64_t wr_head_make(uint32_t count, uint32_t position)
{
	return (uint64_t)count << 32 | position;
}

/* alarm */
#define WR_ALARM_EPOCH_BITS 27
static inline uint64_t wr_alarm_make(uint32_t epoch, uint32_t log2_stride, uint32_t trip)
{
	return (uint64_t)epoch << 37 | (uint64_t)(log2_stride & 31u) << 32 | trip;
}
static inline uint32_t wr_alarm_epoch(uint64_t alarm)
{
	return (uint32_t)(alarm >> 37);
}
static inline uint32_t wr_alarm_trip(uint64_t alarm)
{
	return (uint32_t)alarm;
}
/* The count that was credited when this alarm was set. */
static inline uint32_t wr_alarm_base(uint64_t alarm)
{
	return (uint32_t)alarm - (1u << ((alarm >> 32) & 31u));
}

/* limit: stop = {epoch:19 | log2 of the byte stride:5 | kind:8} */
#define WR_STOP_FULL 0u      /* the end of the free space */
#define WR_STOP_WATERMARK 1u /* pressure: tell the flusher */
#define WR_STOP_BYTES 2u     /* credit bytes to the shared sum */
#define WR_STOP_CLOSED 0x80u
static inline uint64_t wr_limit_make(uint32_t epoch, uint32_t log2_stride, uint32_t kind,
                                     uint32_t position)
{
	return (uint64_t)epoch << 45 | (uint64_t)(log2_stride & 31u) << 40 | (uint64_t)kind << 32 |
	       position;
}
static inline uint32_t wr_limit_position(uint64_t limit)
{
	return (uint32_t)limit;
}
static inline uint32_t wr_limit_kind(uint64_t limit)
{
	return (uint32_t)(limit >> 32) & 0xffu;
}
static inline uint32_t wr_limit_epoch(uint64_t limit)
{
	return (uint32_t)(limit >> 45);
}
static inline uint32_t wr_limit_stride(uint64_t limit)
{
	return 1u << ((limit >> 40) & 31u);
}

/* Claims and large records that are no records (yet). ORDER none: relaxed. Statistics. */
static inline uint64_t wr_ring_claims(const struct wr_ring *ring)
{
	return atomic_load_explicit(&ring->claims_begun, memory_order_relaxed) -
	       atomic_load_explicit(&ring->claims_committed, memory_order_relaxed);
}

static inline void *wr_ring_at(const struct wr_ring *ring, uint64_t position)
{
	return ring->data + (position & ring->mask);
}
static inline uint64_t wr_ring_bytes(const struct wr_ring *ring)
{
	return ring->mask + 1;
}

/* The header word of the record at @position: state bits change under the reader's eyes. */
static inline _Atomic uint64_t *wr_ring_header(const struct wr_ring *ring, uint64_t position)
{
	return (_Atomic uint64_t *)wr_ring_at(ring, position);
}
#define WR_HEADER_FLAGS_SHIFT 48
static inline uint64_t wr_header_make(uint32_t size, uint16_t source, uint32_t flags)
{
	return (uint64_t)size | (uint64_t)source << 32 | (uint64_t)flags << WR_HEADER_FLAGS_SHIFT;
}
static inline uint16_t wr_header_flags(uint64_t header)
{
	return (uint16_t)(header >> WR_HEADER_FLAGS_SHIFT);
}
static inline uint64_t wr_header_total(uint64_t header)
{
	return weir_record_total((uint32_t)header, wr_header_flags(header));
}

/* What a push found when it left by another way than success. */
enum wr_exit {
	WR_PUSHED = 0,
	WR_EXIT_ABORTED, /* preempted, migrated or interrupted: start again */
	WR_EXIT_NO_RING, /* this CPU has none (yet), or the process is a forked child */
	WR_EXIT_ALARM,   /* the count reaches the alarm, or its epoch is another */
	WR_EXIT_LIMIT,   /* the end passes the limit */
	WR_EXIT_ORDER,   /* the thread's order word does not allow a push here as it is */
	WR_EXIT_CLOSED,  /* fallback only: the closed bit was set */
};

/* What an attempt loaded: only these values may the slow path compare and swap. */
struct wr_seen {
	struct wr_ring *ring;
	uint64_t head;
	uint64_t alarm;
};

/* A push with everything that is out of the ordinary. See section_x86_64.h, fallback.c. */
struct wr_put {
	uint64_t header;        /* as it will stand in the ring, committed or reserved */
	uint64_t total;         /* bytes in the ring, a multiple of 8 */
	struct wr_ring *ring;   /* NULL: any, and the order word must be {that ring} */
	uint64_t order;         /* else: what the order word must be */
	uint64_t epoch;         /* what the alarm's epoch must be; WR_ANY_EPOCH */
	const struct iovec *iov; /* what to copy behind the header */
	uint64_t iov_count;
	uint64_t side; /* 1: write a side entry (marks and claims) */
};
#define WR_ANY_EPOCH UINT64_MAX
static_assert(offsetof(struct wr_put, side) == 56, "the sections know these offsets");

/* Ends a claim: RESERVED -> @flag (COMMITTED or ABORTED). thread: any
 * 0; 1: the flusher waits for it, wake it; -ESHUTDOWN: it was given up meanwhile; -EINVAL */
int wr_ring_end_claim(_Atomic uint64_t *header, uint32_t flag);

#endif
