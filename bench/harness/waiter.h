/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/waiter.h - a thread that sleeps in epoll on one descriptor, and tells when it woke:
 * what no engine that sleeps can do without.
 *
 *     wakers's CPU: write(eventfd) or timerfd ──▶ epoll_wait() returns ──▶ told = now
 *
 * The descriptor is edge-triggered, so nothing is read: one call less than a waiter that reads.
 * It starts on the CPU of the thread that opens it. Thread: the owner's, which also wakes it.
 */
#ifndef WEIR_BENCH_WAITER_H
#define WEIR_BENCH_WAITER_H

#include <stdatomic.h>
#include <stdint.h>

/* A time that one thread tells another. Zero it, then wait until it is not. */
struct bench_told {
	_Alignas(128) _Atomic uint64_t ns;
};

/* The first that is told stays. */
void bench_tell(struct bench_told *told, uint64_t ns);
/* Spins until it was told, since the flusher must not find this CPU's idle. 0: not in 5 s. */
uint64_t bench_await(struct bench_told *told);
/* Sleeps until @at_ns, then again and again until it was told. 0: not in 5 s. */
uint64_t bench_await_late(struct bench_told *told, uint64_t at_ns);
/* Spins for so long. */
void bench_spin(uint64_t ns);

enum bench_waiter_kind { BENCH_WAITER_EVENT, BENCH_WAITER_TIMER };
struct bench_waiter;

struct bench_waiter *bench_waiter_open(enum bench_waiter_kind kind, struct bench_told *told);
/* EVENT: writes. */
void bench_waiter_wake(struct bench_waiter *waiter);
/* TIMER: sets it to an absolute time. */
void bench_waiter_set(struct bench_waiter *waiter, uint64_t at_ns);
void bench_waiter_close(struct bench_waiter *waiter);

#endif
