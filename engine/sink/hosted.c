/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosted.c - a blocking function as a sink: a short queue, and a thread that works it off.
 *
 *     flusher                        the sink's own thread              owner
 *     submit: slots[put], put++  ->  slots[taken], taken++
 *                                    write(); weir_batch_complete()
 *                                    completed++                    ->  settle
 *     refused = 1 (queue full)   ->  weir_sink_ready()
 *
 * It knows batches as they are taken and given back. It does not know what write() does with one.
 * No lock is ever held; the flusher makes a system call only when the thread sleeps. The thread
 * wakes for work alone: with none it sleeps for good, after one idle() if that was asked for.
 *
 * cancel() is for good: a batch that comes after it goes back at once. close() gives a write() that
 * does not return GRACE_NS after interrupt(); then the thread and all that it may touch are left
 * behind, and whatever it does later completes nothing.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/thread.h"
#include "sink/inorder.h"
#include "sink/uri.h"

#define INFLIGHT_MAX 32 /* half of WR_INORDER_MAX */
#define GRACE_NS 50000000u
#define AFTER_CANCEL_NS 1000000000u

/* Who may complete a batch: the thread, until close() gave it up. */
enum gate { GATE_OPEN, GATE_INSIDE, GATE_SHUT };

struct hosted {
	struct weir_sink sink;
	struct weir_sink_ops sink_ops; /* carries the name */
	const struct weir_hosted_ops *ops;
	void *arg;
	struct weir_sink_caps caps;
	uint64_t idle_ns;
	pthread_t thread;
	uint32_t prepared; /* ops->start() has answered 0 */
	uint32_t started;

	_Atomic uint32_t put;       /* batches taken from the flusher */
	_Atomic uint32_t taken;     /* of these, out of the queue */
	_Atomic uint32_t completed; /* of these, given back; futex of settle() */
	_Atomic uint32_t refused;   /* submit() said -EAGAIN, and ready is owed */
	_Atomic uint32_t asleep;    /* futex of the thread */
	_Atomic uint32_t settling;  /* owners that sleep on completed */
	_Atomic uint32_t cancelled;
	_Atomic uint32_t stop;
	_Atomic uint32_t in_code; /* the thread is in write() or idle() */
	_Atomic uint32_t ended; /* futex of close() */
	_Atomic uint32_t gate;

	/* thread: the sink's own */
	struct wr_inorder order;
	struct weir_verdict fatal; /* kind WEIR_FATAL: what every later batch is told */
	struct weir_batch *slots[INFLIGHT_MAX];
};

#define HOSTED_OF(self) WR_CONTAINER(self, struct hosted, sink)

/* thread: flusher, owner. After the change that the thread is to see. */
static void wake_thread(struct hosted *hosted)
{
	/* ORDER hosted.asleep: seq_cst. The thread sees the change, or this sees it asleep. */
	if (atomic_exchange_explicit(&hosted->asleep, 0, memory_order_seq_cst))
		(void)wr_sys.futex_wake(&hosted->asleep, 1);
}

static int queue_is_full(struct hosted *hosted, uint32_t put)
{
	/*
	 * ORDER hosted.taken: seq_cst. Acquire: the thread has read the slot. Sequential: either
	 * this sees the room, or the thread sees refused.
	 */
	return put - atomic_load_explicit(&hosted->taken, memory_order_seq_cst) >=
	       hosted->caps.max_inflight;
}

/* thread: flusher */
static int hosted_submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct hosted *hosted = HOSTED_OF(self);
	/* ORDER none: relaxed. Only this thread changes it. */
	uint32_t put = atomic_load_explicit(&hosted->put, memory_order_relaxed);

	if (queue_is_full(hosted, put)) {
		/* ORDER hosted.taken: seq_cst. */
		atomic_store_explicit(&hosted->refused, 1, memory_order_seq_cst);
		/* Room that came meanwhile is used, unless ready() is under way already. */
		if (queue_is_full(hosted, put) ||
		    !atomic_exchange_explicit(&hosted->refused, 0, memory_order_seq_cst))
			return -EAGAIN;
	}
	hosted->slots[put % INFLIGHT_MAX] = batch;
	/*
	 * ORDER hosted.put: seq_cst. Acquired by has_work().
	 * Gives:     the thread sees the slot, and the batch in it.
	 * Otherwise: it delivers a batch that is not there yet.
	 */
	atomic_store_explicit(&hosted->put, put + 1, memory_order_seq_cst);
	wake_thread(hosted);
	return 0;
}

/* thread: the sink's own. 1: ops->write() or ops->idle() may be called; leave_code() after it. */
static int enter_code(struct hosted *hosted, _Atomic uint32_t *unless)
{
	/* ORDER hosted.in_code: seq_cst. Either this sees *unless, or end_thread() sees in_code. */
	atomic_store_explicit(&hosted->in_code, 1, memory_order_seq_cst);
	if (atomic_load_explicit(unless, memory_order_seq_cst)) {
		atomic_store_explicit(&hosted->in_code, 0, memory_order_seq_cst);
		return 0;
	}
	wr_thread_hosted++;
	return 1;
}

static void leave_code(struct hosted *hosted)
{
	wr_thread_hosted--;
	/* ORDER hosted.in_code: seq_cst. */
	atomic_store_explicit(&hosted->in_code, 0, memory_order_seq_cst);
}

static int has_work(struct hosted *hosted)
{
	/* ORDER hosted.put: seq_cst. ORDER none for taken: relaxed, only this thread changes it. */
	return atomic_load_explicit(&hosted->put, memory_order_seq_cst) !=
	       atomic_load_explicit(&hosted->taken, memory_order_relaxed);
}

/* 1: there is a batch. 0: stop. */
static int wait_for_work(struct hosted *hosted, int idle_is_due)
{
	uint64_t idle_at = UINT64_MAX;

	if (idle_is_due && hosted->idle_ns && hosted->ops->idle && !has_work(hosted))
		idle_at = wr_sys.now() + hosted->idle_ns;
	while (!has_work(hosted)) {
		/* ORDER hosted.asleep: seq_cst, all of them. Set first, then a last look. */
		atomic_store_explicit(&hosted->asleep, 1, memory_order_seq_cst);
		if (!has_work(hosted)) {
			if (atomic_load_explicit(&hosted->stop, memory_order_seq_cst))
				return 0;
			if (wr_sys.futex_wait(&hosted->asleep, 1, idle_at) == -ETIMEDOUT) {
				idle_at = UINT64_MAX;
				if (enter_code(hosted, &hosted->stop)) {
					hosted->ops->idle(hosted->arg);
					leave_code(hosted);
				}
			}
		}
		atomic_store_explicit(&hosted->asleep, 0, memory_order_seq_cst);
	}
	return 1;
}

/* What is to become of @batch: write() says so, unless it is not to be asked. */
static void decide(struct hosted *hosted, struct weir_batch *batch, struct weir_verdict *verdict)
{
	int wanted = !hosted->caps.ordered || wr_inorder_accept(&hosted->order, batch);

	*verdict = (struct weir_verdict){ .kind = WEIR_RETRY };
	if (hosted->fatal.kind == WEIR_FATAL) {
		*verdict = hosted->fatal;
	} else if (wanted && enter_code(hosted, &hosted->cancelled)) {
		verdict->kind = WEIR_DONE;
		hosted->ops->write(hosted->arg, batch, verdict);
		leave_code(hosted);
	} else if (wanted) {
		verdict->code = -ECANCELED;
		verdict->after_ns = AFTER_CANCEL_NS;
	}
	if (verdict->kind == WEIR_FATAL)
		hosted->fatal = *verdict;
	if (hosted->caps.ordered)
		wr_inorder_answered(&hosted->order, batch, verdict);
}

/* thread: the sink's own. 0: close() has given this thread up. */
static int give_back(struct hosted *hosted, struct weir_batch *batch,
                     const struct weir_verdict *verdict)
{
	uint32_t gate = GATE_OPEN;

	/* ORDER hosted.gate: acq_rel. What close() did before it shut it, is seen. */
	if (!atomic_compare_exchange_strong_explicit(&hosted->gate, &gate, GATE_INSIDE,
	                                             memory_order_acq_rel, memory_order_acquire))
		return 0;
	/*
	 * ORDER hosted.taken: seq_cst. Before the completion: whoever learns of it may submit again
	 * at once. Otherwise: a queue with room says that it has none.
	 */
	atomic_fetch_add_explicit(&hosted->taken, 1, memory_order_seq_cst);
	weir_batch_complete(batch, verdict);
	/*
	 * ORDER hosted.completed: seq_cst. Acquired by hosted_settle().
	 * Gives:     whoever has settled sees that all completions are over.
	 * Otherwise: batches are given back to an owner that believes to have them all.
	 */
	atomic_fetch_add_explicit(&hosted->completed, 1, memory_order_seq_cst);
	if (atomic_load_explicit(&hosted->settling, memory_order_seq_cst))
		(void)wr_sys.futex_wake(&hosted->completed, 1 << 30);
	if (atomic_exchange_explicit(&hosted->refused, 0, memory_order_seq_cst))
		weir_sink_ready(&hosted->sink);
	/*
	 * ORDER hosted.gate: release. Acquired by shut_gate().
	 * Gives:     close() knows that this thread is not in foreign code.
	 * Otherwise: it returns while a completion is under way.
	 */
	atomic_store_explicit(&hosted->gate, GATE_OPEN, memory_order_release);
	return 1;
}

static void *thread_main(void *arg)
{
	struct hosted *hosted = arg;
	int worked = 0;

	wr_thread_name(hosted->sink_ops.name);
	while (wait_for_work(hosted, worked)) {
		uint32_t taken = atomic_load_explicit(&hosted->taken, memory_order_relaxed);
		/* ORDER none: relaxed. Only this thread changes it. */
		struct weir_batch *batch = hosted->slots[taken % INFLIGHT_MAX];
		struct weir_verdict verdict;

		decide(hosted, batch, &verdict);
		if (!give_back(hosted, batch, &verdict))
			return NULL;
		worked = 1;
	}
	/* ORDER hosted.ended: release. Acquired by end_thread(); pthread_join() says the rest. */
	atomic_store_explicit(&hosted->ended, 1, memory_order_release);
	(void)wr_sys.futex_wake(&hosted->ended, 1);
	return NULL;
}

/* thread: owner; so are the next four */
static int hosted_settle(struct weir_sink *self, uint64_t deadline_ns)
{
	struct hosted *hosted = HOSTED_OF(self);
	int r = 0;

	/* ORDER hosted.completed: seq_cst. Announced first: the thread wakes us, or we see it. */
	atomic_fetch_add_explicit(&hosted->settling, 1, memory_order_seq_cst);
	for (;;) {
		uint32_t completed = atomic_load_explicit(&hosted->completed, memory_order_seq_cst);

		if (completed == atomic_load_explicit(&hosted->put, memory_order_seq_cst)) {
			r = 0;
			break;
		}
		if (r == -ETIMEDOUT)
			break;
		r = wr_sys.futex_wait(&hosted->completed, completed, deadline_ns);
	}
	atomic_fetch_sub_explicit(&hosted->settling, 1, memory_order_seq_cst);
	return r;
}

static void hosted_cancel(struct weir_sink *self)
{
	struct hosted *hosted = HOSTED_OF(self);

	/* ORDER hosted.in_code: seq_cst. From here on write() is not called any more. */
	atomic_store_explicit(&hosted->cancelled, 1, memory_order_seq_cst);
	if (hosted->ops->interrupt)
		hosted->ops->interrupt(hosted->arg);
}

/* Waits until no completion is under way, and lets no other begin. Completions do not block. */
static void shut_gate(struct hosted *hosted)
{
	uint32_t gate = GATE_OPEN;

	/* ORDER hosted.gate: acq_rel. */
	while (!atomic_compare_exchange_strong_explicit(
	    &hosted->gate, &gate, GATE_SHUT, memory_order_acq_rel, memory_order_acquire)) {
		(void)wr_sys.futex_wait(&hosted->gate, gate, wr_sys.now() + 1000000u);
		gate = GATE_OPEN;
	}
}

/* 0: the thread has ended. -EBUSY: it is stuck in write() or idle(), and is left behind. */
static int end_thread(struct hosted *hosted)
{
	uint64_t until_ns = wr_sys.now() + GRACE_NS;

	/* ORDER hosted.asleep: seq_cst. */
	atomic_store_explicit(&hosted->stop, 1, memory_order_seq_cst);
	wake_thread(hosted);
	if (hosted_settle(&hosted->sink, 0) != 0)
		hosted_cancel(&hosted->sink);
	/* ORDER hosted.ended: acquire. */
	while (!atomic_load_explicit(&hosted->ended, memory_order_acquire)) {
		if (wr_sys.futex_wait(&hosted->ended, 0, until_ns) != -ETIMEDOUT)
			continue;
		/* ORDER hosted.in_code: seq_cst. Not there: it ends, as soon as it gets a CPU. */
		if (!atomic_load_explicit(&hosted->in_code, memory_order_seq_cst))
			break;
		shut_gate(hosted);
		pthread_detach(hosted->thread);
		return -EBUSY;
	}
	pthread_join(hosted->thread, NULL);
	return 0;
}

static void hosted_close(struct weir_sink *self)
{
	struct hosted *hosted = HOSTED_OF(self);

	if (hosted->started && end_thread(hosted) != 0)
		return;
	if (hosted->ops->close)
		hosted->ops->close(hosted->arg);
	wr_mem_free(NULL, hosted, sizeof(*hosted));
}

/* thread: owner. Again after a failed weir_open(): what has been done is not done twice. */
static int hosted_start(struct weir_sink *self, struct weir_sink_host *host,
                        struct weir_sink_caps *caps, struct weir_why *ret_why)
{
	struct hosted *hosted = HOSTED_OF(self);
	int r;

	(void)host;
	*caps = hosted->caps;
	if (!hosted->prepared && hosted->ops->start) {
		r = hosted->ops->start(hosted->arg, ret_why);
		if (r)
			return r;
	}
	hosted->prepared = 1;
	if (hosted->started)
		return 0;
	r = wr_thread_start(&hosted->thread, thread_main, hosted);
	if (r)
		return wr_sink_why(ret_why, r, "no thread for the sink %s", hosted->sink_ops.name);
	hosted->started = 1;
	return 0;
}

/* thread: any */
static void hosted_trouble(struct weir_sink *self, struct weir_why *ret_why)
{
	struct hosted *hosted = HOSTED_OF(self);

	ret_why->text[0] = '\0';
	if (hosted->ops->trouble)
		hosted->ops->trouble(hosted->arg, ret_why);
}

int weir_sink_hosted(const struct weir_hosted_ops *ops, void *arg,
                     const struct weir_sink_caps *caps, uint64_t idle_ns,
                     struct weir_sink **ret_sink)
{
	struct hosted *hosted;

	if (!ops || !ops->name || !ops->write || !caps || !ret_sink ||
	    caps->max_inflight > INFLIGHT_MAX)
		return -EINVAL;
	hosted = wr_mem_alloc(NULL, sizeof(*hosted));
	if (!hosted)
		return -ENOMEM;
	hosted->ops = ops;
	hosted->arg = arg;
	hosted->caps = *caps;
	if (!hosted->caps.max_inflight)
		hosted->caps.max_inflight = 1;
	hosted->idle_ns = idle_ns;
	hosted->sink_ops = (struct weir_sink_ops){
		.abi = WEIR_SINK_ABI,
		.name = ops->name,
		.submit = hosted_submit,
		.settle = hosted_settle,
		.close = hosted_close,
		.start = hosted_start,
		.cancel = hosted_cancel,
		.trouble = hosted_trouble,
	};
	hosted->sink.ops = &hosted->sink_ops;
	*ret_sink = &hosted->sink;
	return 0;
}
