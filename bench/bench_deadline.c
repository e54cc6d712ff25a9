/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_deadline - how late is a batch that the deadline flushes, beside a bare timerfd?
 *
 *     push one record ──▶ ring ──▶ (deadline) flusher wakes ──▶ submit()
 *                                      lateness = now - (push + deadline)
 *     timerfd_settime(now + deadline) ──▶ epoll_wait() returns
 *                                      lateness = now - (settime + deadline)
 *
 * The two alternate in one run, each on a thread that sleeps in epoll. Compare medians of a run.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <weir/weir.h>

#include "harness/clock.h"

#define ROUNDS 400
#define DEADLINE_NS WEIR_MILLIS(5)

static _Atomic uint64_t submitted_ns;

static void on_batch(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	(void)arg;
	(void)batch;
	(void)verdict;
	atomic_store(&submitted_ns, bench_now());
}

static uint64_t weir_round(struct weir *weir)
{
	uint64_t t0 = bench_now(), at;

	atomic_store(&submitted_ns, 0);
	if (weir_push(weir, "x", 1))
		abort();
	while (!(at = atomic_load(&submitted_ns)))
		usleep(1000);
	return at - (t0 + DEADLINE_NS);
}

static uint64_t bare_round(int timer_fd, int poll_fd)
{
	uint64_t at = bench_now() + DEADLINE_NS, count;
	struct itimerspec spec = { .it_value = { (time_t)(at / 1000000000u),
		                                 (long)(at % 1000000000u) } };
	struct epoll_event event;

	timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	if (epoll_wait(poll_fd, &event, 1, -1) != 1)
		abort();
	count = bench_now();
	if (read(timer_fd, &at, sizeof(at)) != sizeof(at))
		abort();
	at = (uint64_t)spec.it_value.tv_sec * 1000000000u + (uint64_t)spec.it_value.tv_nsec;
	return count - at;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double microseconds(uint64_t *samples, unsigned percent)
{
	qsort(samples, ROUNDS, sizeof(*samples), compare);
	return (double)samples[(ROUNDS - 1) * percent / 100] / 1000;
}

int main(void)
{
	static uint64_t bare[ROUNDS], mine[ROUNDS];
	int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), poll_fd = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN };
	struct weir_config config;
	struct weir_sink *sink;
	struct weir *weir;
	struct weir_why why;

	weir_config_init(&config);
	config.deadline_ns = DEADLINE_NS;
	if (timer_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &event) ||
	    weir_sink_callback(on_batch, NULL, &sink) || weir_open(&config, sink, &weir, &why))
		return 1;
	for (int i = 0; i < ROUNDS; i++) {
		bare[i] = bare_round(timer_fd, poll_fd);
		mine[i] = weir_round(weir);
	}
	weir_close(weir, WEIR_SECONDS(1), NULL);
	weir_free(weir);
	printf("%-24s %10s %10s %10s\n", "lateness, us", "p50", "p90", "p99");
	printf("%-24s %10.1f %10.1f %10.1f\n", "deadline/timerfd", microseconds(bare, 50),
	       microseconds(bare, 90), microseconds(bare, 99));
	printf("%-24s %10.1f %10.1f %10.1f\n", "deadline/weir", microseconds(mine, 50),
	       microseconds(mine, 90), microseconds(mine, 99));
	printf("deadline/weir p50 is %.2fx of deadline/timerfd\n",
	       microseconds(mine, 50) / microseconds(bare, 50));
	return 0;
}
