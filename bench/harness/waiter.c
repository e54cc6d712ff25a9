/* SPDX-License-Identifier: Apache-2.0 */
/* waiter.c - see waiter.h. It knows descriptors; it does not know what is compared with it. */
#include "harness/waiter.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/pin.h"

#define PATIENCE_NS UINT64_C(5000000000)
#define NAP_NS 100000u

struct bench_waiter {
	int wake_fd, leave_fd, poll_fd;
	struct bench_told *told;
	pthread_t thread;
};

void bench_tell(struct bench_told *told, uint64_t ns)
{
	uint64_t none = 0;

	atomic_compare_exchange_strong(&told->ns, &none, ns);
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
	if (bench_cpus() == 1)
		sched_yield();
}

uint64_t bench_await(struct bench_told *told)
{
	uint64_t t0 = bench_now(), at;

	while (!(at = atomic_load_explicit(&told->ns, memory_order_acquire))) {
		if (bench_now() - t0 > PATIENCE_NS)
			return 0;
		relax();
	}
	return at;
}

uint64_t bench_await_late(struct bench_told *told, uint64_t at_ns)
{
	uint64_t give_up = at_ns + PATIENCE_NS, at;

	for (;; at_ns = bench_now() + NAP_NS) {
		bench_sleep_until(at_ns);
		at = atomic_load_explicit(&told->ns, memory_order_acquire);
		if (at || at_ns > give_up)
			return at;
	}
}

void bench_spin(uint64_t ns)
{
	uint64_t t0 = bench_now();

	while (bench_now() - t0 < ns)
		relax();
}

static void *sleep_and_tell(void *arg)
{
	struct bench_waiter *waiter = arg;
	struct epoll_event event;

	for (;;) {
		int n = epoll_wait(waiter->poll_fd, &event, 1, -1);
		uint64_t now = bench_now();

		if (n == 1 && event.data.fd == waiter->leave_fd)
			return NULL;
		if (n == 1)
			bench_tell(waiter->told, now);
	}
}

static void watch(const struct bench_waiter *waiter, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.fd = fd };

	if (fd < 0 || epoll_ctl(waiter->poll_fd, EPOLL_CTL_ADD, fd, &event))
		bench_die("no descriptor for a thread that waits");
}

struct bench_waiter *bench_waiter_open(enum bench_waiter_kind kind, struct bench_told *told)
{
	struct bench_waiter *waiter = calloc(1, sizeof(*waiter));

	if (!waiter)
		bench_die("no memory");
	waiter->told = told;
	waiter->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	waiter->leave_fd = eventfd(0, EFD_CLOEXEC);
	waiter->wake_fd = kind == BENCH_WAITER_EVENT
	                          ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
	                          : timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	watch(waiter, waiter->wake_fd);
	watch(waiter, waiter->leave_fd);
	if (pthread_create(&waiter->thread, NULL, sleep_and_tell, waiter))
		bench_die("no thread that waits");
	return waiter;
}

static void write_one(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		bench_die("an eventfd cannot be written");
}

void bench_waiter_wake(struct bench_waiter *waiter)
{
	write_one(waiter->wake_fd);
}

void bench_waiter_set(struct bench_waiter *waiter, uint64_t at_ns)
{
	struct itimerspec spec = { .it_value = { (time_t)(at_ns / 1000000000u),
		                                 (long)(at_ns % 1000000000u) } };

	if (timerfd_settime(waiter->wake_fd, TFD_TIMER_ABSTIME, &spec, NULL))
		bench_die("a timerfd cannot be set");
}

void bench_waiter_close(struct bench_waiter *waiter)
{
	write_one(waiter->leave_fd);
	pthread_join(waiter->thread, NULL);
	close(waiter->wake_fd);
	close(waiter->leave_fd);
	close(waiter->poll_fd);
	free(waiter);
}
