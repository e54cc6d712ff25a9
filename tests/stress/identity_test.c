/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity_test.c - every way to push, every verdict, an end at any moment: what callers attempted
 * is what was delivered, dropped for a named reason, or refused, to the last record.
 *
 * Then each counter of the engine is made wrong by one in turn: the check must notice, or it would
 * prove nothing.
 */
#include "stress.h"

#include <sched.h>

#include "api/engine.h"

#define THREADS 6

struct trial {
	struct weir *weir;
	struct meter meter;
	struct ledger ledger;
	struct pusher *pushers[THREADS];
	_Atomic uint32_t go;
	uint64_t most; /* attempts per pusher */
	uint32_t own_loop;
	_Atomic uint32_t crank;
	pthread_t cranker;
};

static void look(struct meter *meter, const struct weir_record *record)
{
	ledger_once(&((struct trial *)meter->arg)->ledger, record);
}

/* Buffers of a verdict are borrowed until it was given: one per thread that decides. */
static _Thread_local uint64_t bitmap[1 << 15];
static _Thread_local int32_t codes[1 << 16];

static void partial(const struct weir_batch *batch, struct weir_verdict *verdict, uint64_t *rng)
{
	verdict->kind = WEIR_PARTIAL;
	verdict->partial = (uint32_t)below(rng, 4);
	verdict->records = below(rng, batch->records + 1);
	verdict->bytes = below(rng, batch->bytes + 1);
	if (batch->records > sizeof(codes) / sizeof(codes[0]))
		verdict->partial = WEIR_PARTIAL_RECORDS;
	if (verdict->partial == WEIR_PARTIAL_BITMAP) {
		for (uint64_t i = 0; i <= batch->records / 64; i++)
			bitmap[i] = rnd(rng);
		verdict->bitmap = bitmap;
	}
	if (verdict->partial == WEIR_PARTIAL_CODES) {
		for (uint64_t i = 0; i < batch->records; i++) {
			uint64_t kind = below(rng, 10);

			codes[i] = kind < 6 ? 0 : kind < 8 ? -EAGAIN : -EIO;
		}
		verdict->codes = codes;
	}
}

static void decide(struct meter *meter, const struct weir_batch *batch,
                   struct weir_verdict *verdict, uint64_t *rng)
{
	uint64_t kind = below(rng, 100);

	(void)meter;
	if (kind < 60)
		return;
	if (kind < 70) {
		verdict->kind = WEIR_RETRY;
		verdict->after_ns = below(rng, 2) ? 0 : below(rng, 3000000);
	} else if (kind < 88) {
		partial(batch, verdict, rng);
	} else if (kind < 94) {
		verdict->kind = WEIR_SPLIT;
	} else {
		verdict->kind = WEIR_REJECT;
		verdict->code = -EIO;
	}
}

static int push_pieces(struct trial *trial, struct pusher *pusher, size_t size)
{
	int pieces = 1 + (int)below(&pusher->rng, 12), r;
	uint8_t *at = pusher->buffer[0];
	struct iovec iov[12];
	size_t left = size;

	ticket_write(pusher, 0, at, size);
	for (int i = 0; i < pieces; i++) {
		size_t n = i == pieces - 1 ? left : (size_t)below(&pusher->rng, left + 1);

		iov[i] = (struct iovec){ at, n };
		at += n;
		left -= n;
	}
	r = weir_pushv(trial->weir, iov, pieces);
	if (r == 0)
		ticket_accepted(pusher, 0);
	tally_add(&pusher->tally[0], r);
	return r;
}

static int push_several(struct trial *trial, struct pusher *pusher)
{
	int count = 1 + (int)below(&pusher->rng, 8), r;
	struct iovec iov[8];
	uint8_t *at = pusher->buffer[0];
	uint64_t before = atomic_load(&pusher->done[0]);

	for (int i = 0; i < count; i++) {
		ticket_write(pusher, 0, at, 64);
		iov[i] = (struct iovec){ at, 64 };
		at += 64;
		atomic_store(&pusher->done[0], before + (uint64_t)i + 1);
	}
	r = weir_push_many(trial->weir, iov, count);
	atomic_store(&pusher->done[0], before + (uint64_t)(r > 0 ? r : 0));
	for (int i = 0; i < r; i++)
		tally_add(&pusher->tally[0], 0);
	if (r < 0) {
		tally_add(&pusher->tally[0], r);
		return r;
	}
	if (r < count) {
		/* One more was refused, for a reason that was not told: find out which by counts. */
		pusher->inside++;
		return -EAGAIN;
	}
	return 0;
}

static int push_claimed(struct trial *trial, struct pusher *pusher, size_t size)
{
	struct weir_claim claim;
	int r;

	ticket_write(pusher, 0, pusher->buffer[0], size);
	r = weir_claim(trial->weir, size, NULL, &claim);
	if (r) {
		tally_add(&pusher->tally[0], r);
		return r;
	}
	memcpy(claim.data, pusher->buffer[0], size);
	if (below(&pusher->rng, 16) == 0)
		nap_ns(below(&pusher->rng, 3000000));
	if (below(&pusher->rng, 5) == 0) {
		(void)weir_abort(&claim);
		return 0;
	}
	r = weir_commit(&claim);
	if (r == 0)
		ticket_accepted(pusher, 0);
	tally_add(&pusher->tally[0], r);
	return r;
}

static int push_with_options(struct trial *trial, struct pusher *pusher, size_t size)
{
	static const uint8_t uuid[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
	struct weir_push_options options = { 0 };

	options.source = (uint16_t)below(&pusher->rng, 3);
	options.uuid = below(&pusher->rng, 2) ? uuid : NULL;
	options.origin_ns = below(&pusher->rng, 2);
	options.max_age_ns = below(&pusher->rng, 4) ? 0 : 1 + below(&pusher->rng, 2000000);
	options.flags = below(&pusher->rng, 2) ? WEIR_REC_CONTINUES : 0;
	options.wait = (uint32_t)below(&pusher->rng, 3);
	options.wait_ns = below(&pusher->rng, 2000000);
	return push_ticket(trial->weir, pusher, 0, size, &options);
}

static void *push_all(void *arg)
{
	struct pusher *pusher = arg;
	struct trial *trial = pusher->arg;
	int r = 0;

	while (!atomic_load(&trial->go))
		sched_yield();
	for (uint64_t i = 0; i < trial->most; i++) {
		size_t size = sizeof(struct ticket) + below(&pusher->rng, 300);
		uint64_t kind = below(&pusher->rng, 100);

		if (kind < 50)
			r = push_ticket(trial->weir, pusher, 0, size, NULL);
		else if (kind < 60)
			r = push_ticket(trial->weir, pusher, 0, size + below(&pusher->rng, 9000), NULL);
		else if (kind < 62)
			r = push_ticket(trial->weir, pusher, 0, 60001, NULL);
		else if (kind < 72)
			r = push_pieces(trial, pusher, size);
		else if (kind < 80)
			r = push_several(trial, pusher);
		else if (kind < 88)
			r = push_claimed(trial, pusher, size);
		else
			r = push_with_options(trial, pusher, size);
		if (r == -ESHUTDOWN)
			break;
		if (r == -EAGAIN)
			sched_yield();
	}
	return NULL;
}

static void *crank(void *arg)
{
	struct trial *trial = arg;

	while (atomic_load(&trial->crank))
		(void)weir_run_once(trial->weir, 1000000);
	return NULL;
}

static void configure(struct trial *trial, uint64_t *rng, struct weir_config *config)
{
	config_small(config);
	config->threshold = 1 + below(rng, 2000);
	config->deadline_ns = below(rng, 3000000);
	config->ring_bytes = UINT64_C(65536) << below(rng, 3);
	config->record_max = config->ring_bytes / 4 < 60000 ? config->ring_bytes / 4 : 60000;
	config->full = (uint32_t)below(rng, 2);
	config->block_max_ns = 1 + below(rng, 20000000);
	config->order = (uint32_t)below(rng, 2);
	config->threshold_bytes = below(rng, 3) ? WEIR_OFF : 1 + below(rng, 100000);
	config->max_batch_records = below(rng, 3) ? config->max_batch_records : 1 + below(rng, 500);
	config->max_batch_bytes = below(rng, 3) ? config->max_batch_bytes : 1000 + below(rng, 30000);
	config->batch_total_timeout_ns = below(rng, 3) ? WEIR_SECONDS(30) : 1000000 + below(rng, 8000000);
	config->claim_max_ns = 1000000;
	trial->own_loop = below(rng, 6) == 0;
	config->loop = trial->own_loop ? WEIR_LOOP_OWN : WEIR_LOOP_THREAD;
	trial->meter.workers = (uint32_t)below(rng, 4);
	trial->meter.caps.max_inflight = (uint32_t)below(rng, 6);
	trial->meter.caps.max_records = below(rng, 4) ? 0 : 1 + below(rng, 300);
	trial->meter.busy_per_mille = below(rng, 2) ? 0 : 100;
	trial->meter.delay_ns = below(rng, 2) ? 0 : below(rng, 1000000);
	if (below(rng, 4))
		trial->meter.decide = decide;
	/* a record that nothing takes is only dropped by its time */
	if (trial->meter.decide && config->batch_total_timeout_ns > WEIR_SECONDS(1))
		config->batch_total_timeout_ns = WEIR_SECONDS(1);
	trial->most = 200 + below(rng, 20000);
}

/*
 * A sink that got no CPU within the grace of a close that had run out of time may still deliver what
 * the engine has booked as dropped by then: at least once, as promised. No more than was left there.
 */
static unsigned forgive(const struct trial *trial, const struct weir_close_report *report,
                        unsigned wrong)
{
	uint64_t extra = atomic_load(&trial->meter.delivered) - stats_of(trial->weir).delivered;

	if (!report->timed_out || !report->sink_stuck || extra > report->left_in_batches)
		return wrong;
	return wrong & ~(WRONG_DELIVERED | WRONG_BALANCE);
}

/* 0: all is as it must be. The engine is closed, and not freed. */
static unsigned run(struct trial *trial, uint64_t seed, struct tally *ret_sum, int explain)
{
	struct weir_close_report report = { .size = sizeof(report) };
	struct weir_config config;
	uint64_t rng = seed, timeout;
	unsigned wrong;

	memset(ret_sum, 0, sizeof(*ret_sum));
	meter_init(&trial->meter);
	trial->meter.rng = seed;
	trial->meter.arg = trial;
	trial->meter.record = look;
	ledger_init(&trial->ledger);
	configure(trial, &rng, &config);
	trial->weir = open_or_die(&config, &trial->meter);
	atomic_store(&trial->go, 0);
	atomic_store(&trial->crank, 1);
	if (trial->own_loop && pthread_create(&trial->cranker, NULL, crank, trial))
		abort();
	for (uint32_t i = 0; i < THREADS; i++) {
		struct pusher *pusher = trial->pushers[i];

		memset(pusher, 0, offsetof(struct pusher, buffer));
		pusher->id = i;
		pusher->rng = rnd(&rng);
		pusher->arg = trial;
		if (pthread_create(&pusher->thread, NULL, push_all, pusher))
			abort();
	}
	atomic_store(&trial->go, 1);
	nap_ns(below(&rng, 40000000));
	if (below(&rng, 2))
		(void)weir_flush(trial->weir);
	if (below(&rng, 4) == 0)
		(void)weir_flush_wait(trial->weir, below(&rng, 5000000));
	timeout = below(&rng, 3) ? WEIR_SECONDS(20) : below(&rng, 20000000);
	if (trial->own_loop) {
		atomic_store(&trial->crank, 0);
		pthread_join(trial->cranker, NULL);
	}
	(void)weir_close(trial->weir, timeout, &report);
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(trial->pushers[i]->thread, NULL);
		tally_sum(ret_sum, &trial->pushers[i]->tally[0]);
	}
	/* The one that push_many() kept to itself: its kind is whatever is missing. */
	for (uint32_t i = 0; i < THREADS; i++) {
		struct weir_stats stats = stats_of(trial->weir);
		uint32_t n = trial->pushers[i]->inside;

		ret_sum->attempted += n;
		for (; n; n--) {
			if (stats.refused_closed > ret_sum->shutdown)
				ret_sum->shutdown++;
			else
				ret_sum->again++;
		}
	}
	wrong = identity(trial->weir, ret_sum, &trial->meter, 0, explain);
	wrong = forgive(trial, &report, wrong);
	if (atomic_load(&trial->ledger.twice) || atomic_load(&trial->ledger.damaged))
		wrong |= 1u << 16;
	if (atomic_load(&trial->meter.seq_gaps))
		wrong |= 1u << 17;
	if (ret_sum->other)
		wrong |= 1u << 18;
	/* with less time a thread that only waits for a CPU counts as stuck, rightly */
	if ((report.sink_stuck || report.threads_stuck) && timeout >= WEIR_SECONDS(20))
		wrong |= 1u << 19;
	if (wrong && explain)
		note("seed %" PRIu64 ": wrong %x; %s; report: left %" PRIu64 " timed out %u sink %u "
		     "threads %u",
		     seed, wrong, trial->ledger.first_trouble, report.left, report.timed_out,
		     report.sink_stuck, report.threads_stuck);
	return wrong;
}

static void forget(struct trial *trial)
{
	weir_free(trial->weir);
	ledger_fini(&trial->ledger);
	meter_fini(&trial->meter);
}

struct plant {
	const char *name;
	unsigned must;      /* these checks must fail */
	unsigned counter;   /* of the flusher's, or PLANT_* */
};
enum { PLANT_FULL = 1000, PLANT_TOO_BIG, PLANT_CLOSED, PLANT_CONTEXT, PLANT_RING_CONTEXT,
       PLANT_BEGUN, PLANT_COMMITTED, PLANT_ABORTED, PLANT_HEAD };

static const struct plant plants[] = {
	{ "delivered", WRONG_DELIVERED | WRONG_AUDIT, WR_DELIVERED },
	{ "dropped_rejected", WRONG_BALANCE | WRONG_AUDIT, WR_DROPPED_REJECTED },
	{ "dropped_timeout", WRONG_BALANCE | WRONG_AUDIT, WR_DROPPED_TIMEOUT },
	{ "dropped_too_large", WRONG_BALANCE | WRONG_AUDIT, WR_DROPPED_TOO_LARGE },
	{ "dropped_fatal", WRONG_BALANCE | WRONG_AUDIT, WR_DROPPED_FATAL },
	{ "dropped_shutdown", WRONG_BALANCE | WRONG_AUDIT, WR_DROPPED_SHUTDOWN },
	{ "dead_lettered", WRONG_BALANCE | WRONG_AUDIT, WR_DEAD_LETTERED },
	{ "taken", WRONG_PENDING, WR_TAKEN },
	{ "refused_full", WRONG_ATTEMPTED | WRONG_REFUSED, PLANT_FULL },
	{ "refused_too_big", WRONG_ATTEMPTED | WRONG_REFUSED, PLANT_TOO_BIG },
	{ "refused_closed", WRONG_ATTEMPTED | WRONG_REFUSED, PLANT_CLOSED },
	{ "refused_context", WRONG_ATTEMPTED | WRONG_REFUSED, PLANT_CONTEXT },
	{ "refused_context of a ring", WRONG_ATTEMPTED | WRONG_REFUSED, PLANT_RING_CONTEXT },
	{ "claims begun", WRONG_ACCEPTED | WRONG_AGREE, PLANT_BEGUN },
	{ "claims committed", WRONG_ACCEPTED | WRONG_AGREE, PLANT_COMMITTED },
	{ "aborted claims taken", WRONG_AUDIT, PLANT_ABORTED },
	{ "a ring's record count", WRONG_ACCEPTED | WRONG_AUDIT, PLANT_HEAD },
};

static void plant_one(struct weir *weir, unsigned counter, uint64_t by)
{
	struct wr_ring *ring = wr_rings_by_id(&weir->rings, 1);

	switch (counter) {
	case PLANT_FULL:
		atomic_fetch_add(&ring->refused_full, by);
		break;
	case PLANT_TOO_BIG:
		atomic_fetch_add(&weir->refused_too_big, by);
		break;
	case PLANT_CLOSED:
		atomic_fetch_add(&weir->refused_closed, by);
		break;
	case PLANT_CONTEXT:
		atomic_fetch_add(&weir->refused_context, by);
		break;
	case PLANT_RING_CONTEXT:
		atomic_fetch_add(&ring->refused_context, by);
		break;
	case PLANT_BEGUN:
		atomic_fetch_add(&ring->claims_begun, by);
		break;
	case PLANT_COMMITTED:
		atomic_fetch_add(&ring->claims_committed, by);
		break;
	case PLANT_ABORTED:
		weir->flusher.cut.aborted += by;
		break;
	case PLANT_HEAD: /* the count is the head itself: one more taken than there are */
		atomic_fetch_add(&ring->head, by << 32);
		atomic_fetch_add(&ring->cut_count, by);
		weir->flusher.cut.shares[1].taken.count += by;
		break;
	default:
		atomic_fetch_add(&weir->flusher.counters.value[counter], by);
	}
}

/* Up and down by one, in every counter in turn, on an engine whose identity holds. */
static void plant_all(struct trial *trial, const struct tally *sum)
{
	for (size_t i = 0; i < sizeof(plants) / sizeof(plants[0]); i++) {
		const struct plant *plant = &plants[i];
		unsigned up, down;

		plant_one(trial->weir, plant->counter, 1);
		up = identity(trial->weir, sum, &trial->meter, 0, 0);
		plant_one(trial->weir, plant->counter, (uint64_t)-2);
		down = identity(trial->weir, sum, &trial->meter, 0, 0);
		plant_one(trial->weir, plant->counter, 1);
		ok((up & plant->must) == plant->must && (down & plant->must) == plant->must &&
		           !identity(trial->weir, sum, &trial->meter, 0, 1),
		   "%s off by one is noticed (%x, %x)", plant->name, up, down);
	}
}

int main(void)
{
	static struct trial trial;
	uint64_t seed = stress_seed(), rng = seed;
	uint64_t until = now_ns() + (uint64_t)(stress_seconds() * 1e9);
	uint64_t runs = 0, delivered = 0, accepted = 0, attempted = 0;
	unsigned wrong = 0, seen = 0;
	struct tally sum;

	for (uint32_t i = 0; i < THREADS; i++)
		trial.pushers[i] = calloc(1, sizeof(*trial.pushers[i]));
	/* WEIR_STRESS_TRIAL repeats one */
	if (getenv("WEIR_STRESS_TRIAL")) {
		wrong = run(&trial, strtoull(getenv("WEIR_STRESS_TRIAL"), NULL, 0), &sum, 1);
		forget(&trial);
		ok(!wrong, "the identity holds");
		return done();
	}
	do {
		unsigned r = run(&trial, rnd(&rng), &sum, 1);

		seen |= r;
		wrong += r != 0;
		runs++;
		attempted += sum.attempted;
		accepted += sum.accepted;
		delivered += atomic_load(&trial.meter.delivered);
		forget(&trial);
	} while (now_ns() < until);
	note("%" PRIu64 " trials, %" PRIu64 " attempted, %" PRIu64 " accepted, %" PRIu64 " delivered",
	     runs, attempted, accepted, delivered);
	ok(!wrong, "the identity holds to the record in %" PRIu64 " trials", runs);
	ok(!(seen & 1u << 16), "no record is delivered twice or damaged");
	ok(!(seen & 1u << 17), "batch ids have no gaps, and batches the records they say");
	while (run(&trial, rnd(&rng), &sum, 1) || !sum.accepted)
		forget(&trial);
	plant_all(&trial, &sum);
	forget(&trial);
	for (uint32_t i = 0; i < THREADS; i++)
		free(trial.pushers[i]);
	return done();
}
