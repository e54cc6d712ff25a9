/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - a sink that wraps a sink and tells when things go wrong, while they do.
 *
 * It hands every batch on as it is and every verdict back as it is. It does not know what a record
 * or a destination is.
 */
#ifndef WEIR_WATCH_H
#define WEIR_WATCH_H

#include <weir/sink.h>

enum watch_event {
	WATCH_RETRYING, /* a batch was not delivered and will be tried again */
	WATCH_REJECTED, /* a batch, or some of it, was refused for good */
	WATCH_EXPIRED,  /* a batch was given up: the time that its attempts may take has passed */
	WATCH_BROKEN    /* the sink is broken for good */
};

/*
 * @trouble: what the sink says, "" for nothing. Thread: flusher, or the sink's own; must not block.
 */
typedef void (*watch_fn)(void *arg, enum watch_event event, const char *trouble);

/* Takes @child over on success: 0 or -ENOMEM. */
int watch_open(struct weir_sink *child, watch_fn fn, void *arg, struct weir_sink **ret);

#endif
