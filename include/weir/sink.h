/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/sink.h - the contract between the engine and a sink.
 *
 * A sink takes batches and finishes them, and these are two acts. The flusher calls submit(), which
 * must not block; whoever finishes the batch, on any thread, calls weir_batch_complete() exactly
 * once, with a verdict. A batch's memory is the rings themselves: it stays readable and unchanged
 * from submit() until weir_batch_complete() returns, and not a moment longer.
 *
 * A sink that wraps a sink is a sink: it owns its child, starts it with its own struct
 * weir_sink_host and submits batches whose `owner` is itself.
 */
#ifndef WEIR_SINK_H
#define WEIR_SINK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <weir/config.h>
#include <weir/export.h>
#include <weir/record.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_SINK_ABI 1u

/* Why a batch was flushed. If several triggers hold at once, the first of this list. */
enum weir_cause {
	WEIR_CAUSE_NONE = 0,
	WEIR_CAUSE_SIZE,     /* threshold records had gathered */
	WEIR_CAUSE_BYTES,    /* threshold_bytes had gathered */
	WEIR_CAUSE_DEADLINE, /* the oldest record's age reached the deadline */
	WEIR_CAUSE_URGENT,   /* a record's own max age was reached */
	WEIR_CAUSE_PRESSURE, /* one ring passed its watermark, or was full */
	WEIR_CAUSE_MANUAL,   /* weir_flush() or weir_flush_wait() */
	WEIR_CAUSE_SHUTDOWN, /* weir_close() */
	WEIR_CAUSES
};

enum weir_verdict_kind {
	WEIR_DONE = 0, /* all of it has reached its destination */
	WEIR_RETRY,    /* none of it; submit it again, not before after_ns */
	WEIR_SPLIT,    /* none of it: too large as it is, submit halves */
	WEIR_PARTIAL,  /* some of it: `partial` says how it is told; the rest is submitted again */
	WEIR_REJECT,   /* none of it, and none ever will be */
	WEIR_FATAL     /* the sink is broken for good */
};

/* How WEIR_PARTIAL tells what was done. */
enum weir_partial {
	WEIR_PARTIAL_RECORDS = 0, /* the first `records` records */
	WEIR_PARTIAL_BYTES,       /* the whole records among the first `bytes` bytes of the spans */
	WEIR_PARTIAL_BITMAP,      /* record i when bit i%64 of bitmap[i/64] is set */
	WEIR_PARTIAL_CODES        /* record i: codes[i] 0 done, -EAGAIN again, else rejected */
};

/* Zero it, set kind, and what goes with the kind. Borrowed until weir_batch_complete() returns. */
struct weir_verdict {
	uint32_t kind;    /* enum weir_verdict_kind */
	int32_t code;     /* REJECT, FATAL, RETRY: -errno or the sink's own, for people, ledgers */
	uint64_t after_ns; /* RETRY, PARTIAL: wait this long before the next attempt */
	uint32_t partial; /* enum weir_partial */
	uint64_t records;
	uint64_t bytes;
	const uint64_t *bitmap;
	const int32_t *codes;
};

/* One contiguous run of records of one ring. */
struct weir_span {
	uint32_t ring;        /* unique within the engine's life */
	uint32_t records;     /* delivered ones: aborted claims are not counted */
	uint64_t first;       /* count of the first record in its ring, 64 bits, never reused */
	uint64_t earliest_ns; /* CLOCK_MONOTONIC: no record of it was pushed before */
	uint64_t latest_ns;   /* nor after */
};

struct weir_batch;

/* The source names that go with a batch's records; the owner's. Ids 1..count() have names. */
struct weir_sources {
	uint32_t (*count)(const struct weir_sources *sources);
	const char *(*name)(const struct weir_sources *sources, uint16_t id); /* NULL: none */
};

/* Who submitted a batch, and so who takes its verdict. */
struct weir_batch_owner {
	/* Thread: any. Takes the batch back. */
	void (*complete)(struct weir_batch *batch, const struct weir_verdict *verdict);
};

/*
 * A batch. Everything in it is the owner's; a sink only reads it. Id (engine, seq) is given when
 * the batch is formed, starts at 1, has no gaps, and is kept over retries; pieces of a split or
 * partly accepted batch keep it too and differ in first_record.
 */
struct weir_batch {
	const struct weir_batch_owner *owner;
	uint8_t engine[16];    /* uuid of this engine life */
	uint64_t seq;
	uint64_t first_record; /* index of this piece's first record in the batch as formed */
	uint64_t records;      /* delivered ones */
	uint64_t bytes;        /* as framed: sum of the iovecs */
	uint32_t cause;        /* enum weir_cause */
	uint32_t attempt;      /* 1 for the first submit */
	uint64_t formed_ns;    /* CLOCK_MONOTONIC of the cut */
	uint64_t wall_ns;      /* CLOCK_REALTIME of the cut */
	uint64_t earliest_ns;  /* min over spans */
	uint64_t latest_ns;    /* max over spans */
	uint64_t deadline_ns;  /* CLOCK_MONOTONIC, the verdict is wanted by then; or UINT64_MAX */
	uint32_t span_count;
	uint32_t reserved;
	const struct weir_span *spans; /* span_count of them, in emission order */
	const struct iovec *iov;       /* iov[i] is the memory of spans[i] */
	const struct weir_sources *sources; /* NULL: none */
};

/**
 * weir_batch_complete - finish a batch with a verdict.
 *
 * @batch    a batch that submit() took
 * @verdict  borrowed until return
 *
 * Thread   any, also inside submit(). Exactly once per submit() that returned 0.
 * Cost     a push on a list; an eventfd write when the flusher sleeps.
 * Order    what the sink did before the call, the engine sees.
 * Since    0.1
 */
WEIR_API void weir_batch_complete(struct weir_batch *batch, const struct weir_verdict *verdict);

/* Place of an iteration over a batch's records; zero it to begin. */
struct weir_iter {
	uint32_t span;
	uint32_t reserved;
	uint64_t offset;
};

/**
 * weir_batch_next - the next record of a batch.
 *
 * @batch  a batch the sink owns
 * @iter   zeroed at first
 * @ret    the record; leads into the batch's memory
 *
 * Returns  1  *@ret holds a record
 *          0  there are no more
 * Thread   any that owns the batch.
 * Cost     reads one header. Skips aborted claims.
 * Order    the order in which the batch is to be delivered.
 * Since    0.1
 */
WEIR_API int weir_batch_next(const struct weir_batch *batch, struct weir_iter *iter,
                             struct weir_record *ret);

/* What a sink can take; filled in by start(), read once after it. 0: no limit of its own. */
struct weir_sink_caps {
	uint64_t max_records;
	uint64_t max_bytes;
	uint32_t max_inflight; /* batches taken and not completed; 0 means 1 */
	uint32_t ordered;      /* 1: it delivers batches in the order of submit(), retries too */
};

struct weir_sink;
struct weir_sink_host;

/* What the side that submits offers to a sink. The engine's, or a wrapping sink's. */
struct weir_sink_host_ops {
	/* Thread: any. After submit() answered -EAGAIN: there is room again. */
	void (*ready)(struct weir_sink_host *host, struct weir_sink *sink);
	/* Thread: flusher. Calls fn there whenever @fd has @events (EPOLL*); 0 stops it. */
	int (*watch)(struct weir_sink_host *host, struct weir_sink *sink, int fd, uint32_t events,
	             void (*fn)(struct weir_sink *sink, int fd, uint32_t events));
	/* Thread: flusher. Calls ops->timer at @at_ns (CLOCK_MONOTONIC); UINT64_MAX: never. */
	int (*timer)(struct weir_sink_host *host, struct weir_sink *sink, uint64_t at_ns);
	/* Thread: owner, flusher. Memory that counts as the engine's. */
	const struct weir_allocator *(*allocator)(struct weir_sink_host *host);
};
struct weir_sink_host {
	const struct weir_sink_host_ops *ops;
};

struct weir_sink_ops {
	uint32_t abi;     /* WEIR_SINK_ABI; weir_open() refuses what it does not know */
	uint32_t reserved;
	const char *name; /* "file"; for statistics and messages */

	/*
	 * Mandatory. Thread: flusher; must not block. 0: the sink owns @batch until it calls
	 * weir_batch_complete(), perhaps before it returns. -EAGAIN: no room, nothing taken;
	 * exactly one weir_sink_ready() must follow, and only that makes the engine try again. Any
	 * other -errno: the sink is broken, @batch was not taken.
	 */
	int (*submit)(struct weir_sink *self, struct weir_batch *batch);
	/*
	 * Mandatory. Thread: owner (close), any number of times. Wait until every batch taken was
	 * completed and every weir_batch_complete() has returned, at most until @deadline_ns
	 * (CLOCK_MONOTONIC). 0 or -ETIMEDOUT.
	 */
	int (*settle)(struct weir_sink *self, uint64_t deadline_ns);
	/*
	 * Mandatory. Thread: owner, after settle(), or instead of start(). Frees self. Must return
	 * promptly even when settle() timed out: what cannot be ended then is left behind.
	 */
	void (*close)(struct weir_sink *self);

	/* Optional (NULL). Thread: owner, once, before any submit(). 0 or -errno, @ret_why set. */
	int (*start)(struct weir_sink *self, struct weir_sink_host *host,
	             struct weir_sink_caps *caps, struct weir_why *ret_why);
	/*
	 * Optional. Thread: owner. Give up on what was taken: complete every batch soon, with
	 * WEIR_RETRY for what was not delivered. Called when close runs out of time.
	 */
	void (*cancel)(struct weir_sink *self);
	/* Optional. Thread: flusher. The time asked for with weir_sink_timer() has come. */
	void (*timer)(struct weir_sink *self);
	/* Optional. Thread: any. One sentence about the last trouble, "" when there was none. */
	void (*trouble)(struct weir_sink *self, struct weir_why *ret_why);
};

/* Embed it as the first member. `host` is set before start() by whoever starts the sink. */
struct weir_sink {
	const struct weir_sink_ops *ops;
	struct weir_sink_host *host;
};

/* Shorthands for a sink's own use: see struct weir_sink_host_ops. */
static inline void weir_sink_ready(struct weir_sink *sink)
{
	sink->host->ops->ready(sink->host, sink);
}
static inline int weir_sink_watch(struct weir_sink *sink, int fd, uint32_t events,
                                  void (*fn)(struct weir_sink *sink, int fd, uint32_t events))
{
	return sink->host->ops->watch(sink->host, sink, fd, events, fn);
}
static inline int weir_sink_timer(struct weir_sink *sink, uint64_t at_ns)
{
	return sink->host->ops->timer(sink->host, sink, at_ns);
}

/**
 * weir_sink_open - build a sink from its address.
 *
 * @uri       null: | fd:N[?frame=lines|len32|nul|raw] | file:DIR[?sync=none|interval|batch&
 *            interval=200ms&segment=64MiB&max_bytes=SIZE&max_age=TIME]
 * @ret_sink  the sink; weir_open() takes it over, or ops->close() frees it
 * @ret_why   NULL, or gets a sentence on failure
 *
 * Returns  0          *@ret_sink holds a sink
 *          -EINVAL    malformed address or option
 *          -EPROTONOSUPPORT  unknown scheme
 *          -ENOMEM    no memory
 *          other      what opening the destination answered (-EACCES, -ENOENT, -EBUSY, ...)
 * Thread   any.
 * Cost     opens the destination.
 * Order    none.
 * Since    0.1
 */
WEIR_API int weir_sink_open(const char *uri, struct weir_sink **ret_sink,
                            struct weir_why *ret_why);

/* A plain function as a sink. Called on the flusher, one batch at a time; must not block. */
typedef void (*weir_sink_fn)(void *arg, const struct weir_batch *batch,
                             struct weir_verdict *verdict);

/**
 * weir_sink_callback - a sink that calls a function.
 *
 * @fn        gets each batch; *@verdict is WEIR_DONE unless it says otherwise
 * @arg       passed on
 * @ret_sink  the sink
 *
 * Returns  0 or -ENOMEM
 * Thread   any; @fn runs on the flusher, never concurrently with itself, with no lock held.
 * Cost     an indirect call per batch.
 * Order    batches in the order of their seq.
 * Since    0.1
 */
WEIR_API int weir_sink_callback(weir_sink_fn fn, void *arg, struct weir_sink **ret_sink);

/*
 * A blocking function hosted on a thread of its own. write() may block; it should return soon after
 * interrupt() was called (any thread), with WEIR_RETRY or WEIR_PARTIAL for what it did not deliver.
 */
struct weir_hosted_ops {
	const char *name;
	/* Mandatory. Thread: the sink's own. Deliver @batch; *@verdict is WEIR_DONE at first. */
	void (*write)(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict);
	/* Optional. Thread: the sink's own. Once, idle_ns (if not 0) after the last batch. */
	void (*idle)(void *arg);
	/* Optional. Thread: owner. Before the thread is started. */
	int (*start)(void *arg, struct weir_why *ret_why);
	/* Optional. Thread: any. Make a blocked write() return. */
	void (*interrupt)(void *arg);
	/* Optional. Thread: any. */
	void (*trouble)(void *arg, struct weir_why *ret_why);
	/* Optional. Thread: owner, after the thread has ended. Frees @arg. */
	void (*close)(void *arg);
};

/**
 * weir_sink_hosted - a sink that runs a blocking function on its own thread.
 *
 * @ops       static
 * @arg       passed on; the sink's once this returns 0
 * @caps      what it can take; max_inflight is the length of its queue (2 is good)
 * @idle_ns   0, or how long without a batch before ops->idle is called once
 * @ret_sink  the sink
 *
 * Returns  0, -EINVAL, -ENOMEM
 * Thread   any.
 * Cost     two thread hand-overs per batch.
 * Order    batches in the order of submit().
 * Since    0.1
 */
WEIR_API int weir_sink_hosted(const struct weir_hosted_ops *ops, void *arg,
                              const struct weir_sink_caps *caps, uint64_t idle_ns,
                              struct weir_sink **ret_sink);

#ifdef __cplusplus
}
#endif

#endif
