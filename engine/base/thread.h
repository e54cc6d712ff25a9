/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/thread.h - the library's own threads.
 *
 * It knows how such a thread is started: with every signal blocked, so that the handlers of the
 * host never run on it and a broken pipe cannot end the process. It does not know what one does.
 */
#ifndef WR_BASE_THREAD_H
#define WR_BASE_THREAD_H

#include <pthread.h>
#include <stdint.h>

/* 0 or -errno. thread: owner */
int wr_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg);

/* Calls the calling thread weir-NAME, of which the kernel keeps 15 bytes. */
void wr_thread_name(const char *name);

/*
 * Above 0: this thread is a sink's own and runs the sink's code. A call that waits for the sink's
 * progress would wait for ever there. Static TLS: a signal handler may read it.
 */
extern _Thread_local uint32_t wr_thread_hosted __attribute__((tls_model("initial-exec")));

#endif
