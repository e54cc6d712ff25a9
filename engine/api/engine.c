/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - builds an engine bottom-up and takes it down again. thread: owner */
#include "api/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/config.h"
#include "api/life.h"
#include "base/sys.h"
#include "base/thread.h"
#include "ring/rseq.h"

static struct weir slots[WR_ENGINES];
struct wr_test_start wr_test_start;

static int say(struct weir_why *why, int error, const char *text)
{
	if (why)
		snprintf(why->text, sizeof(why->text), "%s", text);
	return error;
}

static struct weir *take_slot(void)
{
	for (unsigned i = 0; i < WR_ENGINES; i++) {
		uint32_t state = WR_FREE;

		/* ORDER engine.slot: acquire. What its former owner freed is free. */
		if (atomic_compare_exchange_strong_explicit(&slots[i].state, &state, WR_OPENING,
		                                            memory_order_acq_rel,
		                                            memory_order_relaxed)) {
			slots[i].order_slot = i;
			return &slots[i];
		}
	}
	return NULL;
}

static void give_slot_back(struct weir *weir)
{
	/* ORDER engine.slot: release. Acquired by take_slot(). */
	atomic_store_explicit(&weir->state, WR_FREE, memory_order_release);
}

/* The thread's own settings; the name can be seen in a debugger and in top. */
static void dress_thread(const struct weir_config *config)
{
	char name[16];

	snprintf(name, sizeof(name), "weir-%.10s", config->flusher_name);
	(void)prctl(PR_SET_NAME, name);
	(void)prctl(PR_SET_TIMERSLACK, (unsigned long)config->flusher_timerslack_ns);
	if (config->flusher_nice)
		(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), config->flusher_nice);
	if (config->flusher_cpu >= 0 && config->flusher_cpu < CPU_SETSIZE) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((size_t)config->flusher_cpu, &set);
		(void)sched_setaffinity(0, sizeof(set), &set);
	}
}

static void *flusher_main(void *arg)
{
	struct weir *weir = arg;

	dress_thread(&weir->config);
	wr_flusher_run(&weir->flusher);
	return NULL;
}

static uint64_t off_to_zero(uint64_t value)
{
	return value == WEIR_OFF ? 0 : value;
}

static void set_policy(struct weir *weir)
{
	const struct weir_config *config = &weir->config;
	struct wr_policy *policy = &weir->flusher.config.policy;
	struct wr_wake_settings *settings = &weir->wake.settings;
	uint64_t slack = config->count_slack, deadline_us = config->deadline_ns / 1000;
	uint32_t signals = 0;

	policy->threshold = off_to_zero(config->threshold);
	policy->threshold_bytes = off_to_zero(config->threshold_bytes);
	policy->watermark = config->ring_bytes * config->pressure / 100;
	policy->threshold_mode = config->threshold_mode;
	policy->bytes_mode = config->bytes_mode;
	policy->timer_mode = config->timer_mode;
	policy->urgent_mode = config->urgent_mode;
	policy->pressure_mode = config->pressure_mode;
	policy->deadline_ns = config->deadline_ns;
	signals |= config->threshold_mode == WEIR_MODE_ON ? WR_SIGNAL_SIZE : 0;
	signals |= config->bytes_mode == WEIR_MODE_ON ? WR_SIGNAL_BYTES : 0;
	signals |= config->timer_mode == WEIR_MODE_ON ? WR_SIGNAL_TIMER : 0;
	signals |= config->urgent_mode == WEIR_MODE_ON ? WR_SIGNAL_URGENT : 0;
	signals |= config->urgent_mode == WEIR_MODE_SHADOW ? WR_SIGNAL_URGENT_SHADOW : 0;
	signals |= config->pressure_mode == WEIR_MODE_ON ? WR_SIGNAL_PRESSURE : 0;
	/* Small thresholds are met exactly, wherever the pushes come from: each is counted. */
	if (slack == WEIR_AUTO && config->threshold <= 8 * (uint64_t)wr_cpus_usable())
		slack = 0;
	/* ORDER none: relaxed, all of them. The handle is not out yet. */
	atomic_store_explicit(&settings->threshold, policy->threshold, memory_order_relaxed);
	atomic_store_explicit(&settings->threshold_bytes,
	                      config->bytes_mode == WEIR_MODE_OFF ? 0 : policy->threshold_bytes,
	                      memory_order_relaxed);
	atomic_store_explicit(&settings->deadline_us,
	                      config->deadline_ns == WEIR_OFF      ? WR_DUE_NEVER
	                      : deadline_us < WR_WAKE_LEAST_US     ? WR_WAKE_LEAST_US
	                                                           : deadline_us,
	                      memory_order_relaxed);
	atomic_store_explicit(&settings->slack,
	                      slack >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)slack,
	                      memory_order_relaxed);
	atomic_store_explicit(&settings->signals, signals, memory_order_relaxed);
	atomic_store_explicit(&settings->watermark,
	                      config->pressure_mode == WEIR_MODE_OFF ? 0
	                                                             : (uint32_t)policy->watermark,
	                      memory_order_relaxed);
}

static void make_uuid(uint8_t uuid[16])
{
	uint64_t a = wr_sys.random(), b = wr_sys.random();

	memcpy(uuid, &a, 8);
	memcpy(uuid + 8, &b, 8);
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* RFC 4122, version 4 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

struct premake {
	struct weir *weir;
	enum wr_ring_kind kind;
	int result;
};

/* Rings of CPUs that are in use anyway: their first push need not make them. */
static void make_ring_of(void *arg, uint32_t cpu)
{
	struct premake *premake = arg;
	struct wr_ring *ring;

	if (!premake->result)
		premake->result = wr_rings_get(&premake->weir->rings, premake->kind, cpu, &ring);
}

static int open_rings(struct weir *weir, struct weir_why *ret_why)
{
	const struct weir_config *config = &weir->config;
	struct wr_rings *rings = &weir->rings;
	struct premake premake = { weir, weir->no_rseq ? WR_RING_FALLBACK : WR_RING_RSEQ, 0 };
	int r = wr_rings_reserve(rings);

	if (r)
		return say(ret_why, r, "no address space for the rings' control words");
	rings->start_count = wr_test_start.count;
	rings->start_position = wr_test_start.position;
	rings->start_epoch = wr_test_start.epoch;
	rings->sections = !weir->no_rseq;
	r = wr_rings_open(rings, config->ring_bytes, config->ring_backing == WEIR_BACKING_HUGEPAGE,
	                  config->order == WEIR_ORDER_THREAD);
	if (r)
		return say(ret_why, r, "no memory file for the rings (memfd_create)");
	if (wr_cpus_usable() <= 64)
		wr_cpus_each_usable(make_ring_of, &premake);
	if (premake.result) {
		wr_rings_close(rings);
		return say(ret_why, premake.result,
		           rings->hugepage ? "no huge pages for the rings (vm.nr_hugepages)"
		                           : "no memory for the rings");
	}
	return 0;
}

static void set_flusher(struct weir *weir, struct weir_sink *sink)
{
	const struct weir_config *config = &weir->config;
	struct wr_flusher *flusher = &weir->flusher;

	memset(flusher, 0, sizeof(*flusher));
	flusher->wake = &weir->wake;
	flusher->rings = &weir->rings;
	flusher->mem = weir->sources.mem;
	flusher->allocator = config->allocator;
	flusher->sink = sink;
	flusher->sources = &weir->sources.seen;
	flusher->epoch = wr_test_start.epoch;
	flusher->config.max_batch_records = config->max_batch_records;
	flusher->config.max_batch_bytes = config->max_batch_bytes;
	flusher->config.max_batch_spans = config->max_batch_spans;
	flusher->config.max_inflight = config->max_inflight;
	flusher->config.batch_total_timeout_ns = config->batch_total_timeout_ns;
	flusher->config.claim_max_ns = config->claim_max_ns;
	flusher->config.order = config->order;
	flusher->config.first_seq = wr_test_start.seq ? wr_test_start.seq : 1;
	flusher->config.total_base = wr_test_start.total;
	make_uuid(flusher->config.uuid);
	set_policy(weir);
}

/* From here on pushes may come. */
static void publish(struct weir *weir)
{
	struct wr_page *page = weir->rings.page;

	weir->table = page->rseq;
	weir->rseq = wr_rseq_offset;
	weir->inline_max = weir->config.inline_max;
	weir->fast_below = weir->no_rseq ? 0 : weir->inline_max + 1;
	weir->record_max = weir->config.record_max;
	weir->full = weir->config.full;
	weir->block_max_ns = weir->config.block_max_ns;
	if (!++weir->generation)
		weir->generation = 1;
	/* ORDER none: relaxed, all. The handle goes to other threads by the caller's means. */
	atomic_store_explicit(&weir->closing, 0, memory_order_relaxed);
	atomic_store_explicit(&weir->inside, 0, memory_order_relaxed);
	atomic_store_explicit(&weir->refused_too_big, 0, memory_order_relaxed);
	atomic_store_explicit(&weir->refused_closed, 0, memory_order_relaxed);
	atomic_store_explicit(&weir->refused_context, 0, memory_order_relaxed);
	atomic_store_explicit(&page->timer_fd1, weir->flusher.timer_fd + 1, memory_order_relaxed);
	atomic_store_explicit(&page->event_fd1, weir->flusher.event_fd + 1, memory_order_relaxed);
	/* ORDER engine.slot: release. */
	atomic_store_explicit(&page->generation, weir->generation, memory_order_release);
	atomic_store_explicit(&weir->state, WR_OPEN, memory_order_release);
}

static int start_sink(struct weir *weir, struct weir_sink *sink, struct weir_why *why)
{
	int r = 0;

	if (sink->ops->start)
		r = sink->ops->start(sink, &weir->flusher.host, &weir->flusher.caps, why);
	if (r && !why->text[0])
		say(why, r, "the sink could not be started");
	return r;
}

static int build(struct weir *weir, struct weir_sink *sink, struct weir_why *why)
{
	int r;

	weir->no_rseq = wr_rseq_detect() != WR_RSEQ_YES;
	weir->order_slot = weir->config.order == WEIR_ORDER_THREAD ? (uint32_t)(weir - slots)
	                                                           : WR_ORDER_NONE;
	r = open_rings(weir, why);
	if (r)
		return r;
	wr_wake_init(&weir->wake, weir->rings.page, wr_test_start.epoch);
	set_flusher(weir, sink);
	r = wr_flusher_init(&weir->flusher, why);
	if (r)
		goto no_flusher;
	r = start_sink(weir, sink, why);
	if (r)
		goto no_sink;
	pthread_mutex_init(&weir->control, NULL);
	publish(weir);
	weir->has_thread = weir->config.loop == WEIR_LOOP_THREAD;
	if (weir->has_thread)
		r = wr_thread_start(&weir->thread, flusher_main, weir);
	if (!r)
		return 0;
	say(why, r, "no thread for the flusher");
	/* ORDER none: relaxed. The handle was never out. */
	atomic_store_explicit(&weir->rings.page->generation, 0, memory_order_relaxed);
	(void)sink->ops->settle(sink, 0);
no_sink:
	wr_flusher_close_fds(&weir->flusher);
	wr_flusher_fini(&weir->flusher);
	sink->host = NULL;
no_flusher:
	wr_rings_close(&weir->rings);
	return r;
}

int weir_open(const struct weir_config *config, struct weir_sink *sink, struct weir **ret,
              struct weir_why *ret_why)
{
	struct weir_why ignored, *why = ret_why ? ret_why : &ignored;
	struct weir_config checked;
	struct wr_mem mem;
	struct weir *weir;
	int r;

	why->text[0] = 0;
	if (!sink || !ret || !sink->ops || sink->ops->abi != WEIR_SINK_ABI || !sink->ops->submit ||
	    !sink->ops->settle || !sink->ops->close)
		return say(why, -EINVAL, "the sink is missing, incomplete, or of an unknown abi");
	r = wr_config_read(config, &checked, why);
	if (r < 0)
		return r;
	weir = take_slot();
	if (!weir)
		return say(why, -EMFILE, "64 engines are open in this process");
	weir->config = checked;
	mem = (struct wr_mem){ checked.allocator.alloc, checked.allocator.free,
		               checked.allocator.arg };
	r = wr_sources_init(&weir->sources, &mem);
	if (r) {
		say(why, r, "no memory for the source table");
	} else {
		why->text[0] = 0;
		r = build(weir, sink, why);
		if (r)
			wr_sources_fini(&weir->sources);
	}
	if (r) {
		give_slot_back(weir);
		return r;
	}
	*ret = weir;
	return 0;
}

void wr_engine_forget(struct weir *weir)
{
	wr_flusher_fini(&weir->flusher);
	wr_sources_fini(&weir->sources);
	wr_rings_close(&weir->rings);
	pthread_mutex_destroy(&weir->control);
	give_slot_back(weir);
}
