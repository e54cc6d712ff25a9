/* SPDX-License-Identifier: Apache-2.0 */
/* sink_support.h - a sink of the log, and an owner that waits for each of its batches. */
#ifndef WEIR_TESTS_LOG_SINK_SUPPORT_H
#define WEIR_TESTS_LOG_SINK_SUPPORT_H

#include "support.h"

/* The verdict of the batch that was completed last. */
extern struct weir_verdict t_verdict;

int t_sink_open(const char *dir, const char *options, struct weir_sink **ret, struct weir_why *why);
/* Opened and started. */
struct weir_sink *t_sink(const char *dir, const char *options);
void t_sink_close(struct weir_sink *sink);
/* Submits one record of @size bytes and waits; the kind of the verdict. */
uint32_t t_send(struct weir_sink *sink, uint64_t seq, const void *data, uint32_t size);
uint32_t t_send_cause(struct weir_sink *sink, uint64_t seq, uint32_t cause);
/* Submits a batch as it is and waits. */
uint32_t t_submit(struct weir_sink *sink, struct weir_batch *batch);

#endif
