/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soak.c PUSHES [THREADS] - so many pushes in every way there is, and a sink that checks each record:
 * its number is the next of its thread, its size and its bytes are those that were pushed.
 *
 * It knows the public interface alone, so that it runs against a library built in any way, with the
 * interpreter of that way around it. Prints TAP and how long it took. It injects no faults.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weir/weir.h>

#define THREADS_MAX 16
#define LARGE 9000u /* copied outside of the section */

struct head {
	uint32_t thread, size;
	uint64_t number;
};

struct meter {
	struct weir_sink sink; /* first, so that the one is the other */
	uint64_t next[THREADS_MAX];
	uint64_t records, bytes, batches, wrong;
};

struct pusher {
	pthread_t thread;
	struct weir *weir;
	uint32_t id;
	uint64_t most, refused, failed;
};

static uint8_t pattern[LARGE + 256];

/* A size for each number, the same for who pushes and who checks. Most are small. */
static uint32_t size_of(uint64_t number)
{
	uint64_t mixed = number * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	if (mixed % 4096 == 0)
		return LARGE;
	return (uint32_t)sizeof(struct head) + (uint32_t)(mixed % (mixed % 64 ? 64 : 600));
}

static void check(struct meter *meter, const struct weir_record *record)
{
	struct head head;

	meter->records++;
	meter->bytes += record->size;
	if (record->size < sizeof(head)) {
		meter->wrong++;
		return;
	}
	memcpy(&head, record->data, sizeof(head));
	if (head.thread >= THREADS_MAX || head.number != meter->next[head.thread] ||
	    head.size != record->size || record->size != size_of(head.number) ||
	    memcmp((const uint8_t *)record->data + sizeof(head), pattern + head.number % 251,
	           record->size - sizeof(head)) != 0)
		meter->wrong++;
	if (head.thread < THREADS_MAX)
		meter->next[head.thread] = head.number + 1;
}

static int submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct meter *meter = (struct meter *)(void *)self;
	struct weir_verdict done = { .kind = WEIR_DONE };
	struct weir_iter iter = { 0 };
	struct weir_record record;

	meter->batches++;
	while (weir_batch_next(batch, &iter, &record) == 1)
		check(meter, &record);
	weir_batch_complete(batch, &done);
	return 0;
}

static int settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self, (void)deadline_ns;
	return 0;
}

static void close_meter(struct weir_sink *self)
{
	(void)self;
}

static const struct weir_sink_ops ops = {
	.abi = WEIR_SINK_ABI,
	.name = "meter",
	.submit = submit,
	.settle = settle,
	.close = close_meter,
};

/* In one of four ways. */
static int push_one(struct pusher *pusher, uint8_t *buffer, uint64_t number, uint32_t size)
{
	const struct weir_push_options options = { .source = 1, .max_age_ns = WEIR_MILLIS(1) };
	struct weir_claim claim;
	struct iovec iov[2];
	int r;

	switch (number % 64) {
	case 7:
		iov[0] = (struct iovec){ buffer, sizeof(struct head) };
		iov[1] = (struct iovec){ buffer + sizeof(struct head),
			                 size - sizeof(struct head) };
		return weir_pushv(pusher->weir, iov, 2);
	case 21:
		r = weir_claim(pusher->weir, size, NULL, &claim);
		if (r)
			return r;
		memcpy(claim.data, buffer, size);
		return weir_commit(&claim);
	case 42:
		return number % 4096 == 42 ? weir_push_ex(pusher->weir, buffer, size, &options)
		                           : weir_push(pusher->weir, buffer, size);
	default:
		return weir_push(pusher->weir, buffer, size);
	}
}

static void *push_all(void *arg)
{
	struct pusher *pusher = arg;
	uint8_t *buffer = calloc(1, LARGE + 64);

	for (uint64_t i = 0; buffer && i < pusher->most;) {
		struct head head = { pusher->id, size_of(i), i };
		int r;

		memcpy(buffer, &head, sizeof(head));
		memcpy(buffer + sizeof(head), pattern + i % 251, head.size - sizeof(head));
		r = push_one(pusher, buffer, i, head.size);
		if (r == 0) {
			i++;
		} else if (r == -EAGAIN || r == -ETIMEDOUT) {
			pusher->refused++;
			sched_yield();
		} else {
			pusher->failed++;
			break;
		}
	}
	free(buffer);
	return NULL;
}

static unsigned n, bad;

static void ok(int good, const char *what)
{
	n++;
	bad += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", n, what);
}

static int soak(uint64_t pushes, uint32_t threads)
{
	static struct meter meter;
	static struct pusher pushers[THREADS_MAX];
	struct weir_stats stats = { .size = sizeof(stats) };
	struct weir_audit audit = { .size = sizeof(audit) };
	struct weir_why why = { "" };
	struct timespec began, ended;
	struct weir_config config;
	struct weir *weir = NULL;
	uint64_t refused = 0, failed = 0;
	int r;

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 31 + (i >> 8));
	weir_config_init(&config);
	config.full = WEIR_FULL_BLOCK;
	config.threshold = 4096;
	config.deadline_ns = WEIR_MILLIS(5);
	meter.sink.ops = &ops;
	if (weir_open(&config, &meter.sink, &weir, &why)) {
		fprintf(stderr, "open: %s\n", why.text);
		return 1;
	}
	(void)weir_source(weir, "soak");
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (uint32_t i = 0; i < threads; i++) {
		pushers[i] = (struct pusher){ .weir = weir, .id = i };
		pushers[i].most = pushes / threads + (i < pushes % threads);
		if (pthread_create(&pushers[i].thread, NULL, push_all, &pushers[i]))
			return 1;
	}
	for (uint32_t i = 0; i < threads; i++) {
		pthread_join(pushers[i].thread, NULL);
		refused += pushers[i].refused;
		failed += pushers[i].failed;
	}
	r = weir_flush_wait(weir, WEIR_SECONDS(600));
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ok(!failed && r == 0, "every push is accepted in the end, and flushed");
	r = weir_audit(weir, &audit);
	ok(r == 0 && audit.residual == 0, "accepted is delivered, dropped or pending");
	r = weir_stats(weir, &stats);
	ok(r == 0 && stats.accepted == pushes && stats.delivered == pushes,
	   "as many are accepted and delivered as were pushed");
	ok(weir_close(weir, WEIR_SECONDS(60), NULL) == 0, "the end comes in time");
	ok(meter.records == pushes && !meter.wrong,
	   "each record is there once, in its thread's order, with its bytes");
	printf("# pushes %" PRIu64 " threads %u batches %" PRIu64 " bytes %" PRIu64
	       " refused %" PRIu64 " wrong %" PRIu64 " seconds %.1f\n",
	       meter.records, threads, meter.batches, meter.bytes, refused, meter.wrong,
	       (double)(ended.tv_sec - began.tv_sec) +
	           (double)(ended.tv_nsec - began.tv_nsec) / 1e9);
	printf("1..%u\n", n);
	(void)weir_free(weir);
	return bad != 0;
}

int main(int argc, char **argv)
{
	uint64_t pushes = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
	uint32_t threads = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 3;

	if (!pushes || !threads || threads > THREADS_MAX) {
		fprintf(stderr, "usage: soak PUSHES [THREADS, at most %d]\n", THREADS_MAX);
		return 2;
	}
	return soak(pushes, threads);
}
