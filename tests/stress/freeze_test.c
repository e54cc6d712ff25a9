/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze_test.c - a thread stops for ever at each test point of a push, is cancelled there, or jumps
 * out of a signal handler there, while others go on. Their records are delivered, the identity holds
 * but for the one record that nobody knows about, and close comes back and says what it found.
 */
#include "stress.h"

#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#ifdef WR_TEST_POINTS
#include "base/testpoint.h"
#include "ring/rseq.h"

enum mode { FREEZE, CANCEL, JUMP, MODES };
static const char *const mode_names[] = { "frozen", "cancelled", "jumped out" };

#define ON_SECTION 1u  /* reached on rseq rings */
#define ON_FALLBACK 2u /* reached on fallback rings */
#define COUNTED_IN 4u  /* the slow path is counted in there */
#define HOLDS_CLAIM 8u /* an open claim is left behind */
#define HOLDS_PLACE 16u /* on a fallback ring a reserved place is left behind */

struct point {
	const char *name;
	unsigned flags;
};
static const struct point points[] = {
	{ "push.inside", ON_SECTION | ON_FALLBACK | COUNTED_IN | HOLDS_PLACE },
	{ "wake.slow", ON_SECTION | ON_FALLBACK | COUNTED_IN | HOLDS_PLACE },
	{ "wake.bit_set", ON_SECTION | ON_FALLBACK | COUNTED_IN | HOLDS_PLACE },
	{ "wake.before_publish", ON_SECTION | ON_FALLBACK | COUNTED_IN | HOLDS_PLACE },
	{ "wake.before_settime", ON_SECTION | ON_FALLBACK | COUNTED_IN | HOLDS_PLACE },
	{ "wake.after_settime", ON_SECTION | ON_FALLBACK | COUNTED_IN | HOLDS_PLACE },
	{ "wake.covered", ON_SECTION | ON_FALLBACK | COUNTED_IN | HOLDS_PLACE },
	{ "wake.alarm_moved", ON_SECTION | ON_FALLBACK | COUNTED_IN | HOLDS_PLACE },
	{ "wake.before_limit", ON_SECTION | ON_FALLBACK | COUNTED_IN },
	{ "wake.after_commit", ON_SECTION | ON_FALLBACK },
	{ "wake.before_signal", ON_SECTION | ON_FALLBACK },
	{ "push.filled", ON_SECTION | ON_FALLBACK | HOLDS_CLAIM },
	{ "claim.end", ON_SECTION | ON_FALLBACK | HOLDS_CLAIM },
	{ "fallback.reserved", ON_FALLBACK | HOLDS_PLACE },
	{ "fallback.copied", ON_FALLBACK | HOLDS_PLACE },
};

struct scenario {
	const struct point *point;
	enum mode mode;
	int fallback;
	uint64_t seed;
};

#define OTHERS 2
#define VICTIM 2u /* pusher of the thread before it stops; one more for what it does after a jump */
#define AFTER 3u

static struct weir *weir;
static struct ledger ledger;
static struct pusher *pushers[4];
static const struct scenario *now_trying;
static _Atomic uint32_t stopped;
static _Thread_local uint32_t is_victim, hits_left, is_claiming;
static sigjmp_buf out;

static void jump_out(int number)
{
	(void)number;
	siglongjmp(out, 1);
}

static void hook(const char *name)
{
	if (!is_victim || strcmp(name, now_trying->point->name) != 0)
		return;
	/* Behind the commit of a claim's place the claim itself is still open: that is another case. */
	if ((is_claiming && !(now_trying->point->flags & COUNTED_IN)) || --hits_left)
		return;
	is_victim = 0;
	atomic_store(&stopped, 1);
	if (now_trying->mode == JUMP)
		raise(SIGUSR1);
	if (now_trying->mode == CANCEL) {
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
		pthread_cancel(pthread_self());
	}
	for (;;)
		pause();
}

static void push_any(struct pusher *pusher)
{
	size_t size = sizeof(struct ticket) + below(&pusher->rng, 200);
	struct weir_claim claim;
	int r;

	switch (below(&pusher->rng, 8)) {
	case 0:
		(void)push_ticket(weir, pusher, 0, size + 5000, NULL);
		return;
	case 1:
		ticket_write(pusher, 0, pusher->buffer[0], size);
		is_claiming = 1;
		r = weir_claim(weir, size, NULL, &claim);
		is_claiming = 0;
		if (r == 0) {
			memcpy(claim.data, pusher->buffer[0], size);
			r = weir_commit(&claim);
		}
		if (r == 0)
			ticket_accepted(pusher, 0);
		tally_add(&pusher->tally[0], r);
		return;
	case 2:
		nap_ns(4000000); /* idle: alarms are low, no timer is set */
		break;
	default:
		break;
	}
	(void)push_ticket(weir, pusher, 0, size, NULL);
}

static void *victim(void *arg)
{
	uint64_t until = now_ns() + WEIR_SECONDS(10);

	(void)arg;
	if (sigsetjmp(out, 1)) {
		for (int i = 0; i < 100; i++)
			(void)push_ticket(weir, pushers[AFTER], 0, sizeof(struct ticket) + 50, NULL);
		return NULL;
	}
	is_victim = 1;
	hits_left = 1 + (uint32_t)below(&pushers[VICTIM]->rng, 5);
	while (now_ns() < until)
		push_any(pushers[VICTIM]);
	return NULL;
}

static void *go_on(void *arg)
{
	struct pusher *pusher = arg;
	uint64_t until = now_ns() + WEIR_SECONDS(12);
	int left = 300;

	while (left > 0 && now_ns() < until) {
		size_t size = sizeof(struct ticket) + below(&pusher->rng, 100);
		int r = push_ticket(weir, pusher, 0, size, NULL);

		if (r)
			nap_ns(200000);
		if (below(&pusher->rng, 100) == 0)
			nap_ns(1000000);
		left -= atomic_load(&stopped) ? 1 : 0;
	}
	return NULL;
}

static void look(struct meter *meter, const struct weir_record *record)
{
	(void)meter;
	ledger_in_order(&ledger, record);
}

static int complain(const struct scenario *scenario, const char *what, uint64_t n)
{
	note("%s at %s on %s rings: %s (%" PRIu64 "); seed %" PRIu64, mode_names[scenario->mode],
	     scenario->point->name, scenario->fallback ? "fallback" : "rseq", what, n,
	     scenario->seed);
	return 1;
}

static int examine(const struct scenario *scenario, const struct weir_close_report *report,
                   const struct meter *meter, uint64_t took)
{
	unsigned flags = scenario->point->flags;
	struct tally sum = { 0 }, one_more, refused;
	int bad = 0;

	for (uint32_t i = 0; i < 4; i++)
		tally_sum(&sum, &pushers[i]->tally[0]);
	/* The push that never returned: not yet counted, accepted, or refused? */
	refused = one_more = sum;
	tally_add(&one_more, 0);
	tally_add(&refused, -EAGAIN);
	if (identity(weir, &sum, meter, 0, 0) && identity(weir, &refused, meter, 0, 0) &&
	    identity(weir, &one_more, meter, 0, 1))
		bad |= complain(scenario, "the identity does not hold", 0);
	if (took > WEIR_SECONDS(8))
		bad |= complain(scenario, "close took too long, ms", took / 1000000);
	if (atomic_load(&ledger.damaged) || atomic_load(&ledger.misordered)) {
		note("%s", ledger.first_trouble);
		bad |= complain(scenario, "order is not kept", 0);
	}
	if (flags & COUNTED_IN && (!report->threads_stuck || !report->descriptors_kept))
		bad |= complain(scenario, "the report does not say so", report->threads_stuck);
	if (!(flags & COUNTED_IN) && (report->threads_stuck || report->descriptors_kept))
		bad |= complain(scenario, "the report tells of stuck threads", report->threads_stuck);
	if (flags & HOLDS_CLAIM && report->claims_abandoned != 1)
		bad |= complain(scenario, "claims abandoned", report->claims_abandoned);
	if (!(scenario->fallback && flags & HOLDS_PLACE) && report->left)
		bad |= complain(scenario, "records were left", report->left);
	return bad;
}

static int try_one(void *arg)
{
	const struct scenario *scenario = arg;
	struct weir_close_report report = { .size = sizeof(report) };
	struct sigaction action = { .sa_handler = jump_out };
	static struct meter meter;
	struct weir_config config;
	pthread_t stopper;
	uint64_t from;
	int holds, bad = 0;

	now_trying = scenario;
	if (scenario->fallback)
		wr_rseq_force(WR_RSEQ_FORCED_OFF);
	sigaction(SIGUSR1, &action, NULL);
	config_small(&config);
	config.ring_bytes = 65536;
	config.record_max = 16384;
	config.threshold = 50;
	config.threshold_bytes = 16384;
	meter_init(&meter);
	meter.record = look;
	ledger_init(&ledger);
	weir = open_or_die(&config, &meter);
	atomic_store(&wr_testpoint_hook, hook);
	for (uint32_t i = 0; i < 4; i++) {
		memset(pushers[i], 0, offsetof(struct pusher, buffer));
		pushers[i]->id = i;
		pushers[i]->rng = scenario->seed + i;
	}
	for (uint32_t i = 0; i < OTHERS; i++)
		if (pthread_create(&pushers[i]->thread, NULL, go_on, pushers[i]))
			abort();
	if (pthread_create(&stopper, NULL, victim, NULL))
		abort();
	for (uint32_t i = 0; i < OTHERS; i++)
		pthread_join(pushers[i]->thread, NULL);
	if (scenario->mode != FREEZE && atomic_load(&stopped))
		pthread_join(stopper, NULL);
	if (!atomic_load(&stopped))
		return complain(scenario, "the point was not reached", 0);
	/* Without a close: what the others pushed comes out, whatever became of that thread. */
	holds = scenario->point->flags & HOLDS_CLAIM ||
	        (scenario->fallback && scenario->point->flags & HOLDS_PLACE);
	for (uint32_t i = 0; i < OTHERS && !holds; i++) {
		uint64_t n = pushers[i]->tally[0].accepted, until = now_ns() + WEIR_SECONDS(15);

		while (stats_of(weir).pending && now_ns() < until)
			nap_ns(500000);
		(void)atomic_load(&meter.delivered); /* the ledger was written before */
		if (stats_of(weir).pending || ledger.last[i][0] != n)
			bad |= complain(scenario, "records of others are not delivered", n);
	}
	from = now_ns();
	(void)weir_close(weir, WEIR_MILLIS(300), &report);
	bad |= examine(scenario, &report, &meter, now_ns() - from);
	return bad;
}

static void try_all(double seconds, int rseq)
{
	uint64_t rng = stress_seed();

	for (int fallback = rseq ? 0 : 1; fallback < 2; fallback++) {
		for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
			const struct point *point = &points[i];
			unsigned first = (unsigned)below(&rng, MODES);
			unsigned modes = seconds >= 10 ? MODES : 1;

			if (!(point->flags & (fallback ? ON_FALLBACK : ON_SECTION)))
				continue;
			for (unsigned k = 0; k < modes; k++) {
				struct scenario scenario = { point, (first + k) % MODES, fallback,
					                     rnd(&rng) };
				int r;

				/* its unwinding leaves a poisoned stack behind */
				if (STRESS_ASAN && scenario.mode == CANCEL)
					scenario.mode = FREEZE;
				r = in_child(try_one, &scenario, 60);

				ok(!r, "%s at %s on %s rings: others go on, close says so (%d)",
				   mode_names[scenario.mode], point->name,
				   fallback ? "fallback" : "rseq", r);
			}
		}
	}
}

int main(void)
{
	int rseq = wr_rseq_detect() == WR_RSEQ_YES;

	(void)stress_seed();
	for (uint32_t i = 0; i < 4; i++)
		pushers[i] = calloc(1, sizeof(*pushers[i]));
	if (!rseq)
		skip("no rseq here", "a thread frozen at any point of a push on an rseq ring");
	try_all(stress_seconds(), rseq);
	for (uint32_t i = 0; i < 4; i++)
		free(pushers[i]);
	return done();
}
#else
int main(void)
{
	skip("built without test points", "a thread frozen at any point of a push");
	return done();
}
#endif
