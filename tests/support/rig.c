/* SPDX-License-Identifier: Apache-2.0 */
/* rig.c - see rig.h. */
#include "support/rig.h"

struct rig rig;

static int rig_submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct weir_verdict verdict = { .kind = WEIR_DONE };
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;

	(void)self;
	if (rig.submit_answer)
		return rig.submit_answer;
	if (rig.submits < RIG_BATCHES)
		rig.log[rig.submits] = (struct rig_batch){
			.seq = batch->seq,
			.first_record = batch->first_record,
			.records = batch->records,
			.bytes = batch->bytes,
			.formed_ns = batch->formed_ns,
			.deadline_ns = batch->deadline_ns,
			.earliest_ns = batch->earliest_ns,
			.latest_ns = batch->latest_ns,
			.at_ns = vs.now_ns,
			.cause = batch->cause,
			.attempt = batch->attempt,
			.span_count = batch->span_count,
			.batch = batch,
		};
	rig.submits++;
	while (weir_batch_next(batch, &iter, &record)) {
		if (rig.length + record.size + 3 > sizeof(rig.text))
			continue;
		memcpy(rig.text + rig.length, record.data, record.size);
		rig.length += record.size;
		rig.text[rig.length++] = ' ';
	}
	if (rig.length + 3 < sizeof(rig.text))
		rig.text[rig.length++] = '|';
	rig.text[rig.length] = 0;
	if (rig.on_submit)
		rig.on_submit(batch);
	if (rig.hold)
		return 0;
	if (rig.verdict_next < rig.verdict_count)
		verdict = rig.verdicts[rig.verdict_next++];
	if (verdict.kind == WEIR_DONE)
		rig.records += batch->records;
	weir_batch_complete(batch, &verdict);
	return 0;
}

static int rig_settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self;
	(void)deadline_ns;
	return 0;
}

static void rig_sink_close(struct weir_sink *self)
{
	(void)self;
}

static int rig_start(struct weir_sink *self, struct weir_sink_host *host, struct weir_sink_caps *caps,
                     struct weir_why *why)
{
	(void)self, (void)host, (void)why;
	*caps = rig.caps;
	return 0;
}

static const struct weir_sink_ops rig_ops = {
	.abi = WEIR_SINK_ABI,
	.name = "rig",
	.submit = rig_submit,
	.settle = rig_settle,
	.close = rig_sink_close,
	.start = rig_start,
};

void rig_init(void)
{
	memset(&rig, 0, sizeof(rig));
	vs_reset(RIG_START);
	weir_config_init(&rig.config);
	rig.config.loop = WEIR_LOOP_OWN;
	rig.config.threshold = 1000;
	rig.config.threshold_bytes = WEIR_OFF;
	rig.config.deadline_ns = WEIR_SECONDS(2);
	rig.config.ring_bytes = SMALL_RING;
	rig.config.record_max = 8192;
	rig.config.pressure_mode = WEIR_MODE_OFF;
	rig.config.full = WEIR_FULL_FAIL;
	rig.caps.max_inflight = 16;
	rig.sink.ops = &rig_ops;
}

void rig_open(int rseq)
{
	struct weir_why why = { "" };
	int r;

	wr_rseq_force(rseq ? WR_RSEQ_UNKNOWN : WR_RSEQ_FORCED_OFF);
	r = weir_open(&rig.config, &rig.sink, &rig.weir, &why);
	if (r)
		T_FAIL("weir_open: %d %s", r, why.text);
	rig_on(0);
	vs_forget();
}

void rig_on(uint32_t cpu)
{
	wr_thread.cpu = cpu;
	wr_thread.cpu_left = 1u << 30;
}

struct wr_ring *rig_ring(uint32_t cpu)
{
	return atomic_load(&rig.weir->rings.page->fallback[cpu]);
}

void rig_push(const char *text)
{
	T_EQ(weir_push(rig.weir, text, strlen(text)), 0);
}

void rig_push_many(const char *text, uint32_t count)
{
	while (count--)
		rig_push(text);
}

void rig_turn(void)
{
	for (int i = 0; i < 1000; i++)
		if (weir_run_once(rig.weir, 0) <= 0)
			return;
	T_FAIL("the flusher never comes to rest");
}

void rig_pass(uint64_t ns)
{
	uint64_t end = vs.now_ns + ns;

	rig_turn();
	for (;;) {
		uint64_t next = vs_next_timer(rig.weir->flusher.poll_fd);

		if (next > end)
			break;
		if (next > vs.now_ns)
			vs_advance(next - vs.now_ns);
		else
			vs_advance(0);
		rig_turn();
	}
	vs_advance(end - vs.now_ns);
	rig_turn();
}

void rig_complete(uint32_t i, struct weir_verdict verdict)
{
	T_TRUE(i < rig.submits);
	weir_batch_complete(rig.log[i].batch, &verdict);
}

void rig_done(uint32_t i)
{
	rig_complete(i, (struct weir_verdict){ .kind = WEIR_DONE });
}

uint64_t rig_counted(unsigned which)
{
	return wr_counted(&rig.weir->flusher.counters, which);
}

struct weir_stats rig_stats(void)
{
	struct weir_stats stats = { .size = sizeof(stats) };

	T_EQ(weir_stats(rig.weir, &stats), 0);
	return stats;
}

void rig_audit(void)
{
	struct weir_audit audit = { .size = sizeof(audit) };

	wr_flusher_audit(&rig.weir->flusher, &audit);
	T_EQ(audit.residual, 0);
}

void rig_close(void)
{
	(void)weir_close(rig.weir, WEIR_SECONDS(5), NULL);
	rig_audit();
	T_EQ(weir_free(rig.weir), 0);
}
