/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/weir.h - what an application does: open, push, flush, close.
 *
 * Threads push records; one flusher hands them to a sink in batches, when `threshold` of them have
 * gathered or the oldest is `deadline` old, whichever is first.
 *
 *     struct weir_config config;
 *     struct weir_sink *sink;
 *     struct weir *weir;
 *
 *     weir_config_init(&config);
 *     weir_sink_open("file:/var/tmp/log", &sink, NULL);
 *     weir_open(&config, sink, &weir, NULL);
 *     weir_push(weir, "hello", 5);              // from any thread, any signal handler
 *     weir_close(weir, WEIR_SECONDS(10), NULL);
 *     weir_free(weir);
 *
 * Every function returns 0 or a count on success and -errno on failure; errno itself is untouched.
 * -EAGAIN always means "later", and that nothing changed.
 *
 * fork: a child's handle is inert. Every call on it answers -EPERM and touches nothing shared; the
 * parent owns all records. weir_close() and weir_free() in the child release its memory. A child
 * that was forked by a signal handler amid a push may make new calls, but must not return into that
 * push: the rings are not inherited, and a copy that was under way into a fallback ring, or of a
 * record above inline_max, would fault. liburcu knows nothing of fork: see weir_source().
 *
 * A push must not be left by siglongjmp(). The library takes the thread for one that is still in
 * it: where its pushes would wait they answer -EAGAIN from then on, and a place that was reserved
 * stays open until weir_close().
 *
 * A plug-in that links libweir.a must stay loaded as long as any thread lives that has pushed
 * through it: the kernel may still read, in its image, the descriptor of the thread's last
 * restartable section. libweir.so sees to that itself, and is never unloaded.
 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <weir/config.h>
#include <weir/export.h>
#include <weir/record.h>
#include <weir/sink.h>
#include <weir/stats.h>
#include <weir/version.h>

#ifdef __cplusplus
extern "C" {
/* As in struct stat and stat(): a function may have the name of the struct that it fills in. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

#define WEIR_MILLIS(n) ((uint64_t)(n)*1000000u)
#define WEIR_SECONDS(n) ((uint64_t)(n)*1000000000u)

/* An engine. At most 64 are open in a process at once. */
struct weir;

/**
 * weir_open - start an engine.
 *
 * @config   copied; NULL: the defaults
 * @sink     the engine's on success, still the caller's on failure
 * @ret      the handle; untouched on failure
 * @ret_why  NULL, or gets a sentence on failure
 *
 * Returns  0        open
 *          -EINVAL  @config is out of range or contradicts itself; @sink's abi is unknown
 *          -EMFILE  64 engines are open, or no descriptor was left
 *          -ENOMEM  no memory
 *          other    what the sink's start() answered
 * Thread   any.
 * Cost     a thread, three descriptors, and address space for one ring per usable CPU (pages are
 *          taken as they are used).
 * Order    what was done before, the flusher sees.
 * Since    0.1
 */
WEIR_API int weir_open(const struct weir_config *config, struct weir_sink *sink,
                       struct weir **ret, struct weir_why *ret_why);

/**
 * weir_push - copy one record into the calling CPU's ring.
 *
 * @weir  open engine
 * @data  record; borrowed until return, never kept
 * @size  bytes, 0..record_max
 *
 * Returns  0           accepted: exactly one verdict will follow
 *          -EAGAIN     ring full, nothing written; or interrupted too many pushes (signal handlers)
 *          -ETIMEDOUT  full=block, and block_max passed without room
 *          -EPIPE      full=block, no room, and the sink is broken for good
 *          -EDEADLK    full=block, on a thread that holds an open claim, or inside a sink call
 *          -EMSGSIZE   @size above record_max, nothing written
 *          -ESHUTDOWN  weir_close() has begun
 *          -EPERM      in a forked child
 *          -ENOMEM     first push on this CPU and no memory for its ring
 * Thread   any, at once; async-signal-safe, errno kept. A push that interrupted another push of its
 *          thread never waits: it answers -EAGAIN.
 * Cost     one copy of @size bytes. No allocation, lock, fence, atomic read-modify-write or clock
 *          read; a syscall only on the first record of a batch and on the one that crosses the
 *          threshold.
 * Order    what you wrote before the call, the sink sees in submit() [ring.publish]. Records of one
 *          thread reach the sink in the order of their pushes (order=thread).
 * Since    0.1
 */
WEIR_API int weir_push(struct weir *weir, const void *data, size_t size);

/**
 * weir_pushv - push one record gathered from several pieces.
 *
 * @weir   open engine
 * @iov    pieces; borrowed until return
 * @count  0..1024
 *
 * Returns  as weir_push(); -EINVAL when @count is above 1024
 * Thread   as weir_push().
 * Cost     as weir_push().
 * Order    as weir_push().
 * Since    0.1
 */
WEIR_API int weir_pushv(struct weir *weir, const struct iovec *iov, int count);

#define WEIR_PUSH_WAIT 1u    /* wait for room, whatever the engine's policy */
#define WEIR_PUSH_NO_WAIT 2u /* do not wait, whatever the engine's policy */

/* What weir_push_ex() and weir_claim() may say about a record. Zero it, set what is needed. */
struct weir_push_options {
	uint16_t source;      /* from weir_source(); 0: none */
	uint16_t flags;       /* within WEIR_REC_SETTABLE */
	uint32_t wait;        /* 0, WEIR_PUSH_WAIT or WEIR_PUSH_NO_WAIT */
	uint64_t wait_ns;     /* bound of WEIR_PUSH_WAIT; 0: the engine's block_max */
	uint64_t origin_ns;   /* 0: none; else carried to the sink */
	uint64_t max_age_ns;  /* 0: the deadline; else flush when this old, if that is sooner */
	const uint8_t *uuid;  /* NULL, or 16 bytes carried to the sink */
};

/**
 * weir_push_ex - push one record with a source, flags, uuid, origin time or max age of its own.
 *
 * @weir     open engine
 * @data     record
 * @size     bytes, 0..record_max
 * @options  NULL: as weir_push()
 *
 * Returns  as weir_push(); -EINVAL for flags or a wait that do not exist
 * Thread   as weir_push().
 * Cost     as weir_push(), and 8 to 32 bytes more per record for what is given; a max age takes
 *          the slow path and may set the timer.
 * Order    as weir_push().
 * Since    0.1
 */
WEIR_API int weir_push_ex(struct weir *weir, const void *data, size_t size,
                          const struct weir_push_options *options);

/**
 * weir_push_many - push several records.
 *
 * @weir   open engine
 * @iov    one record each; borrowed until return
 * @count  how many
 *
 * Returns  n: the first n were accepted (n < @count: the next would have been refused)
 *          -errno of the first, when none was accepted
 * Thread   as weir_push().
 * Cost     as @count pushes.
 * Order    as weir_push().
 * Since    0.1
 */
WEIR_API int weir_push_many(struct weir *weir, const struct iovec *iov, int count);

/* A place in a ring that its owner is filling. Filled in by weir_claim(); private but for data. */
struct weir_claim {
	void *data;     /* write the record here */
	uint64_t size;  /* exactly this many bytes */
	struct weir *weir;
	void *header;
	void *ring;
	uint32_t generation;
	uint32_t holder;
};

/**
 * weir_claim - reserve room to build a record in place.
 *
 * @weir     open engine
 * @size     bytes, 0..record_max
 * @options  NULL, or as weir_push_ex()
 * @ret      the claim; finish it with weir_commit() or weir_abort(), soon: records behind it in its
 *           ring wait for it
 *
 * Returns  as weir_push_ex()
 * Thread   any; async-signal-safe.
 * Cost     as a push without the copy.
 * Order    a record's place is where it was claimed.
 * Since    0.1
 */
WEIR_API int weir_claim(struct weir *weir, size_t size, const struct weir_push_options *options,
                        struct weir_claim *ret);

/**
 * weir_commit - a claimed record is complete.
 *
 * @claim  from weir_claim(), once
 *
 * Returns  0           accepted
 *          -ESHUTDOWN  weir_close() had given the claim up; the record is gone and was never
 *                      accepted
 *          -EINVAL     not an open claim
 *          -EPERM      in a forked child
 * Thread   any, not only the one that claimed.
 * Cost     one compare-and-swap; an eventfd write if the flusher waits for it.
 * Order    what was written into the claim, the sink sees [ring.publish].
 * Since    0.1
 */
WEIR_API int weir_commit(struct weir_claim *claim);

/**
 * weir_abort - give a claim up; its record never existed.
 *
 * @claim  from weir_claim(), once
 *
 * Returns  as weir_commit()
 * Thread   any.
 * Cost     as weir_commit().
 * Order    none.
 * Since    0.1
 */
WEIR_API int weir_abort(struct weir_claim *claim);

/**
 * weir_flush - ask for a flush now, and do not wait for it.
 *
 * @weir  open engine
 *
 * Returns  0, -ESHUTDOWN, -EPERM
 * Thread   any; async-signal-safe.
 * Cost     an eventfd write.
 * Order    covers every record whose push returned before the call.
 * Since    0.1
 */
WEIR_API int weir_flush(struct weir *weir);

/**
 * weir_flush_wait - flush, and wait until everything pushed before has its final verdict.
 *
 * @weir        open engine
 * @timeout_ns  bound of the wait
 *
 * Returns  0           every record pushed before the call was delivered or dropped
 *          -ETIMEDOUT  not yet
 *          -ESHUTDOWN  the engine was closed before it could be told
 *          -EDEADLK    inside a sink call, or the engine has loop=own and this is its loop's thread
 *          -EPERM      in a forked child
 * Thread   any; not in a signal handler.
 * Cost     any number of waiters share one drain.
 * Order    what the sink did with these records happened before the return.
 * Since    0.1
 */
WEIR_API int weir_flush_wait(struct weir *weir, uint64_t timeout_ns);

/**
 * weir_source - intern a tag.
 *
 * @weir  open engine
 * @name  1..255 bytes, no NUL
 *
 * Returns  1..65535    its id, the same for the same name as long as the engine lives
 *          -EINVAL     empty or too long
 *          -ENOSPC     65,535 sources exist
 *          -ENOMEM, -ESHUTDOWN, -EPERM
 * Thread   any; not in a signal handler. Look up once, push often. A thread's first call takes a
 *          lock of liburcu (bp): a process that forks while other threads may be in one, and calls
 *          this or weir_free() in the child, for an engine of the child's own too, needs
 *          urcu_bp_before_fork() and its partners around fork().
 * Cost     a hash look-up; the first time an allocation.
 * Order    none.
 * Since    0.1
 */
WEIR_API int weir_source(struct weir *weir, const char *name);

/**
 * weir_source_name - the name of a source id.
 *
 * @weir  open engine
 * @id    from weir_source()
 *
 * Returns  the name, valid until weir_free(); NULL for an id that has none
 * Thread   any. Cost: a load. Order: none. Since 0.1
 */
WEIR_API const char *weir_source_name(const struct weir *weir, uint16_t id);

/**
 * weir_stats - read the counters.
 *
 * @weir  open or closed engine
 * @ret   size set by the caller, the rest filled in as far as it reaches
 *
 * Returns  0, -EINVAL, -EPERM
 * Thread   any.
 * Cost     loads over all rings in use; costs each of their producers a cache-line transfer.
 * Order    a snapshot; while pushes are under way counters may differ by these.
 * Since    0.1
 */
WEIR_API int weir_stats(const struct weir *weir, struct weir_stats *ret);

/**
 * weir_audit - check the accounting identity by walking what is pending.
 *
 * @weir  open or closed engine
 * @ret   size set by the caller
 *
 * Returns  0 (look at ret->residual), -EINVAL, -ETIMEDOUT (the flusher did not answer in 10 s),
 *          -EDEADLK inside a sink call, -EPERM
 * Thread   any.
 * Cost     the flusher walks every pending record.
 * Order    a consistent cut.
 * Since    0.1
 */
WEIR_API int weir_audit(struct weir *weir, struct weir_audit *ret);

/* What weir_close() left behind, and why. */
struct weir_close_report {
	size_t size;                /* set by the caller */
	uint64_t left;              /* records dropped at close: shutdown and fatal */
	uint64_t left_in_rings;     /* of these, in no batch yet. A push that was stuck all the
	                             * while and then fails leaves this, and the statistics */
	uint64_t left_in_batches;   /* of these, in batches without a final verdict */
	uint64_t claims_abandoned;  /* open claims given up */
	uint32_t timed_out;         /* 1: the deadline passed */
	uint32_t threads_stuck;     /* slow paths that did not come back */
	uint32_t descriptors_kept;  /* left open, since a stuck thread might still write to them */
	uint32_t sink_stuck;        /* 1: the sink did not give its batches back */
	struct weir_why trouble;    /* what the sink says about it */
};

/**
 * weir_close - refuse new records, deliver what was accepted, stop the flusher.
 *
 * @weir        engine
 * @timeout_ns  bound of all this
 * @report      NULL, or size set by the caller
 *
 * Returns  0           everything accepted has been delivered or was dropped before
 *          -ETIMEDOUT  the bound passed; what was left is counted as dropped and in @report
 *          -EPIPE      the sink is broken; likewise
 *          -EDEADLK    inside a sink call
 *          -EPERM      in a forked child (the child's own memory is released)
 * Thread   any, also at once and again: later callers wait for the first and get its answer. Pushes
 *          may go on: they answer -ESHUTDOWN. Not in a signal handler.
 * Cost     as many batches as are needed.
 * Order    the final drain comes after every push that returned 0.
 * Since    0.1
 */
WEIR_API int weir_close(struct weir *weir, uint64_t timeout_ns, struct weir_close_report *report);

/**
 * weir_free - give a closed engine back.
 *
 * @weir  closed engine, or NULL; an open one is closed first, without waiting
 *
 * Returns  0, -EDEADLK inside a sink call
 * Thread   the caller promises that no thread uses the handle any more, nor will.
 * Cost     unmaps the rings.
 * Order    none.
 * Since    0.1
 */
WEIR_API int weir_free(struct weir *weir);

/**
 * weir_run_once - run the flusher on the caller's thread (loop=own).
 *
 * @weir        open engine
 * @timeout_ns  0: do not wait; WEIR_OFF: wait for something to do
 *
 * Returns  1           something was done
 *          0           nothing was to be done
 *          -EINVAL     the engine has its own thread
 *          -EBUSY      another thread is in it
 *          -EDEADLK    inside a sink call
 *          -ESHUTDOWN  closed
 *          -EPERM      in a forked child
 * Thread   any one at a time.
 * Cost     one turn of the flusher's loop.
 * Order    as the flusher's.
 * Since    0.1
 */
WEIR_API int weir_run_once(struct weir *weir, uint64_t timeout_ns);

/**
 * weir_poll_fd - a descriptor that is readable when weir_run_once() has something to do.
 *
 * @weir  open engine with loop=own
 *
 * Returns  a descriptor: poll it, never read or close it; -EINVAL, -ESHUTDOWN, -EPERM
 * Thread   any. Cost: a load. Order: none. Since 0.1
 */
WEIR_API int weir_poll_fd(const struct weir *weir);

/**
 * weir_next_deadline - when weir_run_once() has something to do at the latest.
 *
 * @weir    open engine
 * @ret_ns  CLOCK_MONOTONIC; UINT64_MAX: no timer runs
 *
 * Returns  0, -ESHUTDOWN, -EPERM
 * Thread   any. A push may make it earlier: the descriptor tells, this does not.
 * Cost     a load. Order: none. Since 0.1
 */
WEIR_API int weir_next_deadline(const struct weir *weir, uint64_t *ret_ns);

/* What is in use. */
struct weir_features {
	size_t size;         /* set by the caller */
	uint32_t rseq;       /* 1: pushes use restartable sequences */
	uint32_t membarrier; /* 1: the kernel's rseq membarrier is registered */
	uint32_t mirror;     /* 1: rings are mapped twice */
	uint32_t hugepage;   /* 1: rings are of huge pages */
	uint32_t crc_hardware; /* 1: CRC-32C by instruction */
	uint32_t jemalloc;   /* 1: the process has mallocx */
	uint32_t cpus_possible;
	uint32_t cpus_usable;
	uint64_t ring_bytes;
	char why_no_rseq[96]; /* "" or a reason */
};

/**
 * weir_features - what this process can use, or what an engine does use.
 *
 * @weir  an engine, or NULL for the process
 * @ret   size set by the caller
 *
 * Returns  0, -EINVAL, -EPERM
 * Thread   any. Cost: a few loads. Order: none. Since 0.1
 */
WEIR_API int weir_features(const struct weir *weir, struct weir_features *ret);

/**
 * weir_version - the version of the library in use.
 *
 * Returns  "0.1.0"; static
 * Thread   any. Cost: none. Order: none. Since 0.1
 */
WEIR_API const char *weir_version(void);

#ifdef __cplusplus
#pragma GCC diagnostic pop
}
#endif

#endif
