/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refuse.c - stands before the C library and refuses what a test names. Loaded by LD_PRELOAD.
 *
 * REFUSE=NAME:ERRNO[:NTH],...: that call answers ERRNO; the NTH alone (1: the first), or each.
 * REFUSE_ROOT=DIR: what is looked up below /proc and /sys is looked up below DIR/proc and DIR/sys.
 * It does not know who calls.
 */
#undef _FORTIFY_SOURCE /* its headers define some of these themselves */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(default)

/* -1 and errno when call @name, made @count times by now, is to be refused. */
static int refused(const char *name, int count)
{
	const char *at = getenv("REFUSE");
	size_t length = strlen(name);
	int error, nth, n;

	for (; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		if (strncmp(at, name, length) != 0 || at[length] != ':')
			continue;
		nth = 0;
		n = sscanf(at + length, ":%d:%d", &error, &nth);
		if (n >= 1 && (!nth || nth == count)) {
			errno = error;
			return -1;
		}
	}
	return 0;
}

/* The next function of that name, as its own type: a pointer to data is none to code. */
#define NEXT(name) \
	__extension__({ \
		static __typeof__(&name) next_; \
		if (!next_) { \
			void *found_ = dlsym(RTLD_NEXT, #name); \
			memcpy(&next_, &found_, sizeof(next_)); \
		} \
		next_; \
	})
/* ORDER none: seq_cst. Threads may call at once. */
#define COUNT() \
	__extension__({ \
		static _Atomic int count_; \
		atomic_fetch_add(&count_, 1) + 1; \
	})
#define REFUSES(name) refused(#name, COUNT())

int inotify_init1(int flags)
{
	return REFUSES(inotify_init1) ? -1 : NEXT(inotify_init1)(flags);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	return REFUSES(inotify_add_watch) ? -1 : NEXT(inotify_add_watch)(fd, path, mask);
}

int eventfd(unsigned count, int flags)
{
	return REFUSES(eventfd) ? -1 : NEXT(eventfd)(count, flags);
}

int signalfd(int fd, const sigset_t *mask, int flags)
{
	return REFUSES(signalfd) ? -1 : NEXT(signalfd)(fd, mask, flags);
}

int memfd_create(const char *name, unsigned flags)
{
	return REFUSES(memfd_create) ? -1 : NEXT(memfd_create)(name, flags);
}

int timerfd_create(clockid_t clock, int flags)
{
	return REFUSES(timerfd_create) ? -1 : NEXT(timerfd_create)(clock, flags);
}

int epoll_create1(int flags)
{
	return REFUSES(epoll_create1) ? -1 : NEXT(epoll_create1)(flags);
}

int epoll_ctl(int poll_fd, int op, int fd, struct epoll_event *event)
{
	return REFUSES(epoll_ctl) ? -1 : NEXT(epoll_ctl)(poll_fd, op, fd, event);
}

int uname(struct utsname *name)
{
	return REFUSES(uname) ? -1 : NEXT(uname)(name);
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
	static int (*next)(__rlimit_resource_t, struct rlimit *);
	void *found = dlsym(RTLD_NEXT, "getrlimit64");

	memcpy(&next, &found, sizeof(next));
	return REFUSES(getrlimit) ? -1 : next(resource, limit);
}

int clock_getres(clockid_t clock, struct timespec *step)
{
	return REFUSES(clock_getres) ? -1 : NEXT(clock_getres)(clock, step);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                   void *arg)
{
	return REFUSES(pthread_create) ? errno : NEXT(pthread_create)(thread, attributes, fn, arg);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask)
{
	return REFUSES(ppoll) ? -1 : NEXT(ppoll)(fds, count, time, mask);
}

ssize_t pread(int fd, void *buffer, size_t bytes, off_t offset)
{
	static ssize_t (*next)(int, void *, size_t, off_t);
	void *found = dlsym(RTLD_NEXT, "pread64");

	memcpy(&next, &found, sizeof(next));
	return REFUSES(pread) ? -1 : next(fd, buffer, bytes, offset);
}

ssize_t readlink(const char *path, char *buffer, size_t bytes)
{
	return REFUSES(readlink) ? -1 : NEXT(readlink)(path, buffer, bytes);
}

/* @path, or where it is to be looked up. */
static const char *looked_up(const char *path, char *room, size_t bytes)
{
	const char *root = getenv("REFUSE_ROOT");

	if (!root || (strncmp(path, "/proc/", 6) != 0 && strncmp(path, "/sys/", 5) != 0))
		return path;
	snprintf(room, bytes, "%s%s", root, path);
	return room;
}

FILE *fopen(const char *path, const char *mode)
{
	static FILE *(*next)(const char *, const char *);
	void *found = dlsym(RTLD_NEXT, "fopen64");
	char room[4096];

	memcpy(&next, &found, sizeof(next));
	return next(looked_up(path, room, sizeof(room)), mode);
}

int access(const char *path, int mode)
{
	char room[4096];

	return NEXT(access)(looked_up(path, room, sizeof(room)), mode);
}
