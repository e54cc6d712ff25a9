/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/rcu.h - liburcu (bp flavour: no registration, safe in foreign threads) and the annotations
 * that ThreadSanitizer needs, since it does not see the library's own atomics.
 *
 * Read by the flusher and control calls, never by a push: a first read lock takes mutexes.
 */
#ifndef WR_BASE_RCU_H
#define WR_BASE_RCU_H

/* liburcu's headers are not written for -Wconversion and -Wpedantic. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#include <urcu/urcu-bp.h>
#include <urcu/rculfhash.h>
#pragma GCC diagnostic pop

#if defined(__SANITIZE_THREAD__)
#define WR_RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WR_RCU_TSAN 1
#endif
#endif
#ifdef WR_RCU_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define WR_RCU_PUBLISH(address) __tsan_release(address)
#define WR_RCU_FOUND(address) __tsan_acquire(address)
#else
#define WR_RCU_PUBLISH(address) ((void)(address))
#define WR_RCU_FOUND(address) ((void)(address))
#endif

#endif
