/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c - see thread.h. */
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

_Thread_local uint32_t wr_thread_hosted;

int wr_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

void wr_thread_name(const char *name)
{
	char full[16];

	snprintf(full, sizeof(full), "weir-%.10s", name);
	(void)prctl(PR_SET_NAME, full);
}
