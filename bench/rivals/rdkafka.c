/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdkafka.c - librdkafka's producer, all the way to a broker that answers, and back.
 *
 *     producers ──▶ produce(): copied into ──▶ partition queue ──▶ broker thread ──▶ loopback TCP
 *                   a message of its own                                                  │
 *     consumer ◀── delivery report, per message ◀── reply ◀── the mock cluster's thread ◀─┘
 *
 * The broker is the mock cluster that librdkafka brings (test.mock.num.brokers): it speaks the
 * protocol over a socket of this machine, keeps nothing on a disk, and runs in this process. So
 * this is what a client costs, a great deal more than a queue between threads does; a real broker
 * costs more. What is added up is the payload of each message whose delivery was reported as done;
 * a delivery that failed is missing in the sum. The consumer, which polls, gets the reports.
 *
 * A message carries its length and is copied with a run-time size (RD_KAFKA_MSG_F_COPY). Settings
 * are the defaults, apart from the bounds of the queue, which are the room of all peers, and
 * linger.ms, which upstream calls the key to throughput. One partition keeps the order.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "rivals/loop.h"

#define TOPIC "bench"
#define LINGER_MS "5"
#define WAIT_MS 10000

struct client {
	rd_kafka_t *kafka;
	rd_kafka_topic_t *topic;
	struct peer_sum *sum; /* of the drain() that polls */
};

static void on_report(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
	struct client *client = opaque;

	(void)kafka;
	if (!message->err && client->sum)
		peer_took(client->sum, message->payload, (uint32_t)message->len);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[256];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		bench_die("rdkafka: %s", why);
}

static rd_kafka_conf_t *conf_of(const struct peer_room *room, struct client *client)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char number[32];

	set(conf, "test.mock.num.brokers", "1");
	set(conf, "bootstrap.servers", "mock"); /* replaced by the mock cluster's */
	set(conf, "linger.ms", LINGER_MS);
	snprintf(number, sizeof(number), "%llu",
	         (unsigned long long)(room->producers * room->records));
	set(conf, "queue.buffering.max.messages", number);
	set(conf, "queue.buffering.max.kbytes", "2147483647");
	set(conf, "log_level", "0");
	rd_kafka_conf_set_log_cb(conf, NULL);
	rd_kafka_conf_set_dr_msg_cb(conf, on_report);
	rd_kafka_conf_set_opaque(conf, client);
	return conf;
}

static void close_client(void *peer)
{
	struct client *client = peer;

	(void)rd_kafka_purge(client->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	(void)rd_kafka_flush(client->kafka, WAIT_MS); /* their reports */
	if (client->topic)
		rd_kafka_topic_destroy(client->topic);
	rd_kafka_destroy(client->kafka);
	free(client);
}

static void *open_client(const struct peer_room *room, char why[BENCH_WHY])
{
	struct client *client = calloc(1, sizeof(*client));
	const struct rd_kafka_metadata *metadata;
	rd_kafka_conf_t *conf;
	rd_kafka_resp_err_t r;
	char reason[128];

	if (!client)
		bench_die("no memory");
	conf = conf_of(room, client);
	client->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (!client->kafka) {
		snprintf(why, BENCH_WHY, "%.120s", reason);
		rd_kafka_conf_destroy(conf);
		free(client);
		return NULL;
	}
	/* Until the cluster is known, messages only pile up. */
	client->topic = rd_kafka_topic_new(client->kafka, TOPIC, NULL);
	r = rd_kafka_metadata(client->kafka, 0, client->topic, &metadata, WAIT_MS);
	if (r) {
		snprintf(why, BENCH_WHY, "%.120s", rd_kafka_err2str(r));
		close_client(client);
		return NULL;
	}
	rd_kafka_metadata_destroy(metadata);
	return client;
}

static void *join(void *peer, uint32_t producer)
{
	(void)producer;
	return peer;
}

static void leave(void *producer)
{
	(void)producer;
}

static inline int take(struct client *client, const void *data, uint32_t bytes)
{
	/* The message is copied: it is not written through the pointer. */
	return rd_kafka_produce(client->topic, 0, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)data,
	                        bytes, NULL, 0, NULL);
}

PEER_LOOP(push, struct client, take)

static uint64_t drain(void *peer, struct peer_sum *sum)
{
	struct client *client = peer;
	uint64_t before = sum->records;

	client->sum = sum;
	(void)rd_kafka_poll(client->kafka, 0);
	client->sum = NULL;
	return sum->records - before;
}

#define PAGE \
	"https://github.com/confluentinc/librdkafka/blob/master/INTRODUCTION.md#high-throughput"

extern const struct peer peer_rdkafka;
const struct peer peer_rdkafka = { .name = "rdkafka", .package = "librdkafka-dev", .page = PAGE,
	.flags = PEER_SLOW, .open = open_client, .join = join, .push = push, .leave = leave,
	.drain = drain, .close = close_client };
