/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - one ring of either kind against an array of records: what is in it, what a push is told,
 * and what is left behind by one that was refused. No engine, no flusher: this file releases.
 *
 * The sections get an rseq area of our own, so that they meet every exit on demand; the words that
 * stop a push (alarm, limit, order, closed) are set here. After every operation the head is what
 * the array says, and the ring holds the array's records to the last byte, read by the headers.
 */
#include "support/rings.h"

#include <stdlib.h>
#include <string.h>

#include "property/prop.h"

#define BYTES 65536u
#define LIVE 4096
#define CPU 3u

enum op { BEGIN, PUSH, PUT, CLAIM, HOLE, COMMIT, ABORT, RELEASE, ALARM, LIMIT, ORDER, MOVED, CLOSE, WAITED };
static const struct prop_kind kinds[] = {
	{ "begin", 0 },  { "push", 40 },   { "put", 20 },    { "claim", 8 }, { "hole", 5 },
	{ "commit", 12 }, { "abort", 4 },  { "release", 14 }, { "alarm", 4 }, { "limit", 4 },
	{ "order", 3 },  { "moved", 2 },   { "close", 0 },   { "waited", 3 },
};
enum hit { H_PUSHED, H_ALARM, H_LIMIT, H_ORDER, H_ABORTED, H_NO_RING, H_CLOSED, H_CLAIMS, H_WRAPS };
static const char *const hits[] = { "records", "exits by the alarm", "by the limit", "by the order",
	                            "by another CPU", "by no ring", "by closed", "claims",
	                            "rings gone round" };

enum state { OPEN, EMPTY, DONE, GONE }; /* EMPTY: reserved, without a header yet */

static struct it {
	struct wr_rings rings;
	struct wr_ring *_Atomic table[16];
	struct fake_rseq area;
	_Atomic uint64_t order;
	struct wr_ring *ring;
	int fallback, closed;
	struct record {
		enum state state;
		uint64_t header; /* as it should stand there, when done */
		uint32_t total, number;
		uint64_t head; /* before it */
		int waited;
	} live[LIVE];
	uint32_t first, last; /* live ones: first..last-1 */
	uint32_t number;      /* of all */
	uint64_t tail, end;   /* 64-bit positions */
	uint32_t count, side;
} it;
static uint8_t pattern[8192];

static struct record *at(uint32_t i)
{
	return &it.live[i % LIVE];
}

static const uint8_t *payload(uint32_t number)
{
	return pattern + number * 61 % 4000;
}

static uint64_t head_now(void)
{
	return wr_head_make(it.count, (uint32_t)it.end) | (it.closed ? WR_HEAD_CLOSED : 0);
}

/* The whole ring, by its headers. */
static void compare(void)
{
	uint64_t position = it.tail;

	if (ring_head(it.ring) != head_now())
		prop_fail("the head is %llx, not %llx", (unsigned long long)ring_head(it.ring),
		          (unsigned long long)head_now());
	if (atomic_load(&it.ring->side_next) != it.side)
		prop_fail("%u side entries, not %u", atomic_load(&it.ring->side_next), it.side);
	for (uint32_t i = it.first; i < it.last; i++) {
		const struct record *record = at(i);
		uint64_t header = atomic_load(wr_ring_header(it.ring, position));
		uint64_t waited = record->waited
		                          ? (uint64_t)WEIR_REC_WAITED << WR_HEADER_FLAGS_SHIFT
		                          : 0;

		if (header != (record->header | waited))
			prop_fail("record %u has the header %llx, not %llx", record->number,
			          (unsigned long long)header,
			          (unsigned long long)(record->header | waited));
		if (record->state == DONE &&
		    memcmp((uint8_t *)wr_ring_at(it.ring, position) + 8, payload(record->number),
		           (uint32_t)record->header))
			prop_fail("record %u has other bytes than were pushed", record->number);
		position += record->total;
	}
	P_EQ(position, it.end);
}

static int is_reached(uint32_t count, uint32_t trip)
{
	return (int32_t)(count - trip) >= 0;
}

/* What the words say that a push of now meets first; in the order in which it looks. */
static enum wr_exit expected(const struct wr_put *put, int general)
{
	uint64_t alarm = atomic_load(&it.ring->alarm), order = atomic_load(&it.order);
	uint32_t end = (uint32_t)it.end + (uint32_t)put->total;
	int full = (int32_t)(wr_limit_position(atomic_load(&it.ring->limit)) - end) < 0;

	if (it.fallback)
		return it.closed ? WR_EXIT_CLOSED : full ? WR_EXIT_LIMIT : WR_PUSHED;
	if (it.area.cpu_id != it.area.cpu_id_start)
		return WR_EXIT_ABORTED;
	if (it.area.cpu_id != CPU)
		return WR_EXIT_NO_RING;
	if (is_reached(it.count + 1, wr_alarm_trip(alarm)))
		return WR_EXIT_ALARM;
	if (general && put->epoch != WR_ANY_EPOCH && put->epoch != wr_alarm_epoch(alarm))
		return WR_EXIT_ALARM;
	if (full)
		return WR_EXIT_LIMIT;
	if (general && put->ring)
		return put->ring == it.ring && put->order == order ? WR_PUSHED : WR_EXIT_ORDER;
	return order >> 16 == it.ring->order_id ? WR_PUSHED : WR_EXIT_ORDER;
}

static void took(enum state state, const struct wr_put *put, uint64_t header)
{
	struct record *record = at(it.last++);

	P_TRUE(it.last - it.first < LIVE);
	*record = (struct record){ state, header, (uint32_t)put->total, it.number, head_now(), 0 };
	it.number++;
	it.end += put->total;
	it.count++;
	it.side += put->side && !it.fallback;
	prop_hit(H_PUSHED, 1);
	prop_hit(H_CLAIMS, state == OPEN);
}

/* The exit is the one that the words ask for; then what the push has seen is what was there. */
static int judge(enum wr_exit got, enum wr_exit want, const struct wr_seen *seen)
{
	static const uint8_t hit_of[] = { H_PUSHED, H_ABORTED, H_NO_RING, H_ALARM, H_LIMIT, H_ORDER,
		                          H_CLOSED };

	if (got != want)
		prop_fail("a push was told %d, not %d", (int)got, (int)want);
	if (got)
		prop_hit(hit_of[got], 1);
	if (!seen) /* the plain push tells nothing */
		return got == WR_PUSHED;
	if (got == WR_PUSHED || got == WR_EXIT_ALARM || got == WR_EXIT_LIMIT)
		P_TRUE(seen->ring == it.ring);
	if (got == WR_PUSHED || (got == WR_EXIT_ALARM && !it.fallback)) {
		P_EQ(seen->head, head_now());
		P_EQ(seen->alarm, atomic_load(&it.ring->alarm));
	}
	return got == WR_PUSHED;
}

static uint32_t size_of(uint32_t a)
{
	return a % 4 ? a / 4 % 100 : a / 4 % 4097;
}

static void op_push(const struct prop_op *op)
{
	uint32_t size = size_of(op->a);
	struct wr_seen seen = { 0 };
	struct iovec iov = { (void *)(uintptr_t)payload(it.number), size };
	struct wr_put put = { .header = wr_header_make(size, (uint16_t)op->b, WEIR_REC_COMMITTED),
		              .epoch = WR_ANY_EPOCH,
		              .iov = &iov,
		              .iov_count = 1 };
	enum wr_exit want, got;

	put.total = wr_header_total(put.header);
	want = expected(&put, 0);
	if (it.fallback)
		got = wr_fallback_reserve(it.ring, &put, &seen);
	else
		got = (enum wr_exit)wr_section_push(it.table, fake_offset(&it.area), &it.order,
		                                    put.header, payload(it.number), &seen);
	if (!judge(got, want, it.fallback ? &seen : NULL))
		return;
	if (it.fallback) {
		wr_fallback_copy(&put, &seen);
		P_EQ(wr_fallback_commit(&seen, put.header), 0);
	}
	took(DONE, &put, put.header);
}

/* With pieces, and all that a put may ask for; or a claim. */
static void op_put(const struct prop_op *op)
{
	int claim = op->kind == CLAIM;
	uint32_t size = size_of(op->a), left = size, flags;
	uint64_t alarm = atomic_load(&it.ring->alarm);
	const uint8_t *from = payload(it.number);
	struct wr_seen seen = { 0 };
	struct iovec iov[5];
	struct wr_put put = { .epoch = WR_ANY_EPOCH, .iov = iov, .side = (uint64_t)claim };
	enum wr_exit got, want;

	flags = claim ? WEIR_REC_RESERVED : WEIR_REC_COMMITTED;
	put.header = wr_header_make(size, (uint16_t)op->b, flags);
	put.total = wr_header_total(put.header);
	for (uint32_t i = 0; i < op->b % 5 && !claim; i++) {
		uint32_t part = i + 1 == op->b % 5 ? left : (op->c >> i) % (left + 1);

		iov[put.iov_count++] = (struct iovec){ part ? (void *)(uintptr_t)from : NULL, part };
		from += part;
		left -= part;
	}
	if (!claim && left) {
		put.header = wr_header_make(size - left, (uint16_t)op->b, flags);
		put.total = wr_header_total(put.header);
	}
	if (op->c >> 30 == 1)
		put.epoch = op->c >> 29 & 1 ? wr_alarm_epoch(alarm) : wr_alarm_epoch(alarm) + 1;
	if ((op->c >> 27 & 3) == 1) {
		put.ring = it.ring;
		put.order = op->c >> 26 & 1 ? atomic_load(&it.order) : 77;
	}
	want = expected(&put, 1);
	got = it.fallback ? wr_fallback_reserve(it.ring, &put, &seen)
	                  : (enum wr_exit)wr_section_put(it.table, fake_offset(&it.area),
	                                                 &it.order, &put, &seen);
	if (!judge(got, want, &seen))
		return;
	if (it.fallback) {
		wr_fallback_copy(&put, &seen);
		P_EQ(wr_fallback_commit(&seen, put.header), 0);
	} else if (put.side) {
		P_EQ(atomic_load(&it.ring->side[it.side % WR_SIDE_ENTRIES]), head_now());
	}
	took(claim ? OPEN : DONE, &put, put.header);
}

/* A thread that has reserved, and stopped there. */
static void op_hole(const struct prop_op *op)
{
	struct wr_put put = { .header = wr_header_make(size_of(op->a), 0, WEIR_REC_COMMITTED) };
	struct wr_seen seen = { 0 };
	enum wr_exit want;

	if (!it.fallback)
		return;
	put.total = wr_header_total(put.header);
	want = expected(&put, 1);
	if (judge(wr_fallback_reserve(it.ring, &put, &seen), want, &seen))
		took(EMPTY, &put, 0);
}

static void op_end(const struct prop_op *op)
{
	uint64_t position = it.tail;
	uint32_t n = it.last - it.first, skip = n ? op->a % n : 0;
	uint32_t flag = op->kind == COMMIT ? WEIR_REC_COMMITTED : WEIR_REC_ABORTED;
	struct record *record = NULL;
	_Atomic uint64_t *header;

	for (uint32_t i = 0; i < n; i++) {
		struct record *seen = at(it.first + i);

		if (i >= skip && (seen->state == OPEN || seen->state == EMPTY)) {
			record = seen;
			break;
		}
		position += seen->total;
	}
	if (!record)
		return;
	header = wr_ring_header(it.ring, position);
	if (record->state == EMPTY) {
		uint32_t size = record->total - 8;
		struct iovec iov = { (void *)(uintptr_t)payload(record->number), size };
		struct wr_put put = { .header = wr_header_make(size, 9, WEIR_REC_COMMITTED),
			              .total = record->total,
			              .iov = &iov,
			              .iov_count = 1 };
		struct wr_seen seen = { it.ring, record->head, 0 };

		wr_fallback_copy(&put, &seen);
		P_EQ(wr_fallback_commit(&seen, put.header), record->waited);
		record->header = put.header;
		record->state = DONE;
	} else {
		memcpy((uint8_t *)wr_ring_at(it.ring, position) + 8, payload(record->number),
		       (uint32_t)record->header);
		P_EQ(wr_ring_end_claim(header, flag), record->waited);
		record->header &= ~((uint64_t)WEIR_REC_RESERVED << WR_HEADER_FLAGS_SHIFT);
		record->header |= (uint64_t)flag << WR_HEADER_FLAGS_SHIFT;
		record->state = op->kind == COMMIT ? DONE : GONE;
		P_EQ(wr_ring_end_claim(header, flag), op->kind == COMMIT ? -EINVAL : -ESHUTDOWN);
	}
	record->waited = 0;
}

/* What the flusher does when the first records have their verdict. */
static void op_release(const struct prop_op *op)
{
	uint64_t tail = it.tail;

	for (uint32_t n = 1 + op->a % 64; n && it.first < it.last; n--) {
		struct record *record = at(it.first);

		if (record->state == OPEN || record->state == EMPTY)
			break;
		tail += record->total;
		it.first++;
	}
	if (it.fallback)
		memset(wr_ring_at(it.ring, it.tail), 0, tail - it.tail);
	it.tail = tail;
	atomic_store(&it.ring->tail, tail);
	atomic_store(&it.ring->limit, wr_limit_make(0, 0, WR_STOP_FULL, (uint32_t)tail + BYTES));
}

static void op_waited(void)
{
	uint64_t position = it.tail;

	for (uint32_t i = it.first; i < it.last; position += at(i)->total, i++) {
		if (at(i)->state != OPEN && at(i)->state != EMPTY)
			continue;
		atomic_fetch_or(wr_ring_header(it.ring, position),
		                (uint64_t)WEIR_REC_WAITED << WR_HEADER_FLAGS_SHIFT);
		at(i)->waited = 1;
		return;
	}
}

static void op_words(const struct prop_op *op)
{
	uint32_t limit = (uint32_t)it.tail + BYTES, stop = (uint32_t)it.end + op->a % 2000;

	switch ((enum op)op->kind) {
	case ALARM:
		atomic_store(&it.ring->alarm,
		             wr_alarm_make(op->b & 0x7ffffff, 3,
		                           it.count + (op->a % 4 ? FAR : op->a / 4 % 3)));
		break;
	case LIMIT:
		if (op->a % 2 && (int32_t)(limit - stop) > 0)
			limit = stop;
		atomic_store(&it.ring->limit, wr_limit_make(op->b & 0x7ffff, 2, WR_STOP_FULL, limit));
		break;
	case ORDER:
		atomic_store(&it.order, ((uint64_t)it.ring->id + !(op->a % 3)) << 16 |
		                                (op->b & 0xffff));
		break;
	case MOVED:
		it.area.cpu_id_start = op->a % 3 == 2 ? 2 : CPU;
		it.area.cpu_id = op->a % 3 ? it.area.cpu_id_start : 1;
		break;
	default:
		if (it.fallback) {
			wr_fallback_close(it.ring);
			it.closed = 1;
		}
		break;
	}
}

static void op_begin(const struct prop_op *op)
{
	static const uint32_t starts[] = { 0, UINT32_MAX - 7, UINT32_MAX - 4095, 65528, 1u << 31 };

	it.fallback = op->a & 1 || !WR_HAS_SECTION;
	it.closed = 0;
	it.first = it.last = it.number = it.side = 0;
	it.rings.start_count = it.count = op->b % 3 ? UINT32_MAX - op->b / 3 % 8 : 0;
	it.rings.start_position = starts[op->c % 5];
	it.tail = it.end = it.rings.start_position & ~7u;
	rings_begin(&it.rings, BYTES, 1);
	it.ring = ring_make(&it.rings, it.fallback ? WR_RING_FALLBACK : WR_RING_RSEQ, CPU);
	it.table[CPU] = it.ring;
	it.area.cpu_id_start = it.area.cpu_id = CPU;
	atomic_store(&it.order, (uint64_t)it.ring->id << 16);
	atomic_store(&it.ring->alarm, wr_alarm_make(7, 0, it.count + FAR));
	atomic_store(&it.ring->limit, wr_limit_make(0, 0, WR_STOP_FULL, (uint32_t)it.end + BYTES));
}

static void run_op(const struct prop_op *op)
{
	switch ((enum op)op->kind) {
	case BEGIN:
		op_begin(op);
		break;
	case PUSH:
		/* Bursts: a ring of 64 KiB is to go round. */
		for (uint32_t i = 0; i < 1 + (op->c % 4 == 3) * 30; i++)
			op_push(op);
		break;
	case PUT:
	case CLAIM:
		op_put(op);
		break;
	case HOLE:
		op_hole(op);
		break;
	case COMMIT:
	case ABORT:
		op_end(op);
		break;
	case RELEASE:
		op_release(op);
		break;
	case WAITED:
		op_waited();
		break;
	default:
		op_words(op);
		break;
	}
	compare();
}

static void run(const struct prop_op *ops, uint32_t count)
{
	uint64_t began;

	for (uint32_t i = 0; !pattern[0] && i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 251 + 1);
	for (uint32_t i = 0; i < count; i++) {
		prop_step("%s %u %u %u", kinds[ops[i].kind].name, ops[i].a, ops[i].b, ops[i].c);
		run_op(&ops[i]);
	}
	run_op(&(struct prop_op){ .kind = CLOSE });
	run_op(&(struct prop_op){ .kind = PUSH, .a = 5 });
	began = it.rings.start_position & ~7u;
	prop_hit(H_WRAPS, (it.end - began) / BYTES);
	wr_rings_close(&it.rings);
}

static void done(void)
{
	for (unsigned i = 0; i < sizeof(hits) / sizeof(hits[0]); i++)
		printf("# %-32s %llu\n", hits[i], (unsigned long long)prop_hits(i));
}

int main(int argc, char **argv)
{
	static const struct prop prop = {
		.rung = "property-ring",
		.promise = "a ring of either kind holds what an array of records would, and a push "
			   "is told what its words say",
		.kinds = kinds,
		.kind_count = sizeof(kinds) / sizeof(kinds[0]),
		.least = 8,
		.most = 140,
		.run = run,
		.done = done,
	};

	return prop_main(argc, argv, &prop);
}
