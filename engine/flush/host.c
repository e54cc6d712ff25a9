/* SPDX-License-Identifier: Apache-2.0 */
/* host.c - what the engine offers to its sink: readiness, descriptors, one timer. */
#include "flush/flusher.h"

#include <errno.h>

#include "base/sys.h"
#include "ring/thread.h"

static struct wr_flusher *flusher_of(struct weir_sink_host *host)
{
	return WR_CONTAINER(host, struct wr_flusher, host);
}

/* thread: any */
static void host_ready(struct weir_sink_host *host, struct weir_sink *sink)
{
	struct wr_flusher *flusher = flusher_of(host);

	(void)sink;
	/* ORDER flush.ready: seq_cst. Set before the kick. */
	atomic_store_explicit(&flusher->control.ready, 1, memory_order_seq_cst);
	if (wr_thread.turning != flusher)
		(void)wr_sys.event_write(flusher->done_fd);
}

static int host_watch(struct weir_sink_host *host, struct weir_sink *sink, int fd, uint32_t events,
                      void (*fn)(struct weir_sink *sink, int fd, uint32_t events))
{
	struct wr_flusher *flusher = flusher_of(host);
	struct wr_watch *watch = NULL;
	int op = EPOLL_CTL_ADD, r;

	for (unsigned i = 0; i < WR_WATCHES; i++) {
		struct wr_watch *at = &flusher->watches[i];

		if (at->fn && at->fd == fd) {
			watch = at;
			op = EPOLL_CTL_MOD;
			break;
		}
		if (!at->fn && !watch)
			watch = at;
	}
	if (!events) {
		if (op == EPOLL_CTL_ADD)
			return -ENOENT;
		watch->fn = NULL;
		return wr_sys.poll_ctl(flusher->poll_fd, EPOLL_CTL_DEL, fd, 0, 0);
	}
	if (!watch)
		return -ENOSPC;
	r = wr_sys.poll_ctl(flusher->poll_fd, op, fd, events,
	                    WR_TAG_WATCH + (uint64_t)(watch - flusher->watches));
	if (r)
		return r;
	*watch = (struct wr_watch){ fd, sink, fn };
	return 0;
}

static int host_timer(struct weir_sink_host *host, struct weir_sink *sink, uint64_t at_ns)
{
	struct wr_flusher *flusher = flusher_of(host);

	flusher->sink_timer_of = sink;
	flusher->sink_timer_ns = at_ns;
	return 0;
}

static const struct weir_allocator *host_allocator(struct weir_sink_host *host)
{
	return &flusher_of(host)->allocator;
}

const struct weir_sink_host_ops wr_host_ops = {
	.ready = host_ready,
	.watch = host_watch,
	.timer = host_timer,
	.allocator = host_allocator,
};

void wr_host_event(struct wr_flusher *flusher, uint64_t tag, uint32_t events)
{
	wr_thread.sink_depth++;
	if (tag == WR_TAG_AUX) {
		flusher->aux_ns = UINT64_MAX;
		if (flusher->sink_timer_ns <= wr_sys.now()) {
			flusher->sink_timer_ns = UINT64_MAX;
			if (flusher->sink_timer_of && flusher->sink_timer_of->ops->timer)
				flusher->sink_timer_of->ops->timer(flusher->sink_timer_of);
		}
	} else if (tag >= WR_TAG_WATCH && tag < WR_TAG_WATCH + WR_WATCHES) {
		struct wr_watch watch = flusher->watches[tag - WR_TAG_WATCH];

		if (watch.fn)
			watch.fn(watch.sink, watch.fd, events);
	}
	wr_thread.sink_depth--;
}
