/* SPDX-License-Identifier: Apache-2.0 */
/* virtual_sys.c - see virtual_sys.h. */
#include "support/virtual_sys.h"

#include <errno.h>
#include <string.h>

#include "test.h"

#define FIRST_FD 100000
#define FDS 64

enum kind { FREE = 0, TIMER, EVENT, POLL };

struct fd {
	enum kind kind;
	uint64_t at_ns; /* of a timer; 0: disarmed */
	uint64_t count; /* of an event */
	int edge;       /* something new that epoll has not told yet */
	int poll_fd;    /* 0: in none */
	uint64_t tag;
};

struct virtual_sys vs;
static struct fd fds[FDS];

static struct fd *fd_of(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + FDS ? &fds[fd - FIRST_FD] : NULL;
}

static int open_fd(enum kind kind)
{
	for (int i = 0; i < FDS; i++) {
		if (fds[i].kind == FREE) {
			fds[i] = (struct fd){ .kind = kind };
			return FIRST_FD + i;
		}
	}
	return -EMFILE;
}

void vs_reset(uint64_t now_ns)
{
	memset(&vs, 0, sizeof(vs));
	memset(fds, 0, sizeof(fds));
	vs.now_ns = now_ns;
	vs.wall_ns = UINT64_C(1700000000000000000);
}

void vs_forget(void)
{
	vs.timer_sets = vs.timer_disarms = vs.event_writes = vs.membarriers = 0;
	vs.futex_wakes = vs.futex_waits = vs.polls = vs.slept_for_ever = 0;
}

static void go_off(void)
{
	for (int i = 0; i < FDS; i++) {
		if (fds[i].kind == TIMER && fds[i].at_ns && fds[i].at_ns <= vs.now_ns) {
			fds[i].at_ns = 0;
			fds[i].edge = 1;
		}
	}
}

void vs_advance(uint64_t ns)
{
	vs.now_ns += ns;
	vs.wall_ns += ns;
	go_off();
}

uint64_t vs_timer(int fd)
{
	return fd_of(fd) ? fd_of(fd)->at_ns : 0;
}

int vs_is_ready(int poll_fd)
{
	for (int i = 0; i < FDS; i++)
		if (fds[i].kind != FREE && fds[i].poll_fd == poll_fd && fds[i].edge)
			return 1;
	return 0;
}

uint64_t vs_next_timer(int poll_fd)
{
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < FDS; i++)
		if (fds[i].kind == TIMER && fds[i].poll_fd == poll_fd && fds[i].at_ns &&
		    fds[i].at_ns < next)
			next = fds[i].at_ns;
	return next;
}

static uint64_t sys_now(void)
{
	if (vs.on_now)
		vs.on_now();
	return vs.now_ns;
}

static uint64_t sys_wall(void)
{
	return vs.wall_ns;
}

static uint64_t sys_random(void)
{
	return 42;
}

static int sys_timer_open(void)
{
	return open_fd(TIMER);
}

static int sys_timer_set(int fd, uint64_t at_ns)
{
	struct fd *timer = fd_of(fd);

	if (!timer || timer->kind != TIMER)
		T_FAIL("descriptor %d is no timer", fd);
	vs.timer_sets++;
	if (!at_ns)
		vs.timer_disarms++;
	timer->at_ns = at_ns;
	timer->edge = 0; /* an expiry that was not seen is lost, as with a timerfd */
	go_off();
	if (vs.on_timer_set)
		vs.on_timer_set(fd, at_ns);
	return 0;
}

static int sys_event_open(void)
{
	return open_fd(EVENT);
}

static int sys_event_write(int fd)
{
	struct fd *event = fd_of(fd);

	if (!event || event->kind != EVENT)
		T_FAIL("descriptor %d is no event", fd);
	vs.event_writes++;
	event->count++;
	event->edge = 1;
	if (vs.on_event_write)
		vs.on_event_write(fd);
	return 0;
}

static int sys_poll_open(void)
{
	return open_fd(POLL);
}

static int sys_poll_ctl(int poll_fd, int op, int fd, uint32_t events, uint64_t tag)
{
	struct fd *member = fd_of(fd);

	(void)events;
	if (vs.poll_ctl_fails && !--vs.poll_ctl_fails)
		return -ENOSPC;
	if (!member)
		return -EBADF;
	member->poll_fd = op == EPOLL_CTL_DEL ? 0 : poll_fd;
	member->tag = tag;
	return 0;
}

static int sys_poll_wait(int poll_fd, struct epoll_event *events, int max, uint64_t until_ns)
{
	int n = 0;

	vs.polls++;
	if (until_ns && !vs_is_ready(poll_fd)) {
		uint64_t next = vs_next_timer(poll_fd);

		next = next < until_ns ? next : until_ns;
		if (next == UINT64_MAX)
			vs.slept_for_ever++;
		else if (next > vs.now_ns)
			vs_advance(next - vs.now_ns);
	}
	for (int i = 0; i < FDS && n < max; i++) {
		if (fds[i].kind != FREE && fds[i].poll_fd == poll_fd && fds[i].edge) {
			fds[i].edge = 0;
			events[n].events = EPOLLIN;
			events[n++].data.u64 = fds[i].tag;
		}
	}
	return n;
}

static int sys_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	vs.futex_waits++;
	if (vs.on_futex_wait)
		vs.on_futex_wait(word);
	if (*word != value)
		return -EAGAIN;
	if (until_ns == UINT64_MAX)
		T_FAIL("a wait on a futex that nobody would ever end");
	if (until_ns > vs.now_ns)
		vs_advance(until_ns - vs.now_ns);
	return -ETIMEDOUT;
}

static int sys_futex_wake(_Atomic uint32_t *word, int count)
{
	(void)count;
	vs.futex_wakes++;
	vs.last_woken = (const void *)word;
	if (vs.on_futex_wake)
		vs.on_futex_wake(word);
	return 0;
}

static int sys_membarrier(int cpu)
{
	(void)cpu;
	vs.membarriers++;
	if (vs.on_membarrier)
		vs.on_membarrier();
	return 0;
}

static int sys_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	(void)dir_fd, (void)path, (void)flags, (void)mode;
	return -ENOENT;
}

static int sys_close(int fd)
{
	struct fd *closed = fd_of(fd);

	if (!closed)
		return -EBADF;
	*closed = (struct fd){ .kind = FREE };
	return 0;
}

static ssize_t sys_writev(int fd, const struct iovec *iov, int count)
{
	(void)fd, (void)iov, (void)count;
	return -EBADF;
}

static ssize_t sys_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	(void)fd, (void)buffer, (void)bytes, (void)offset;
	return -EBADF;
}

static int sys_sync(int fd)
{
	(void)fd;
	return -EBADF;
}

static int sys_ftruncate(int fd, uint64_t bytes)
{
	(void)fd, (void)bytes;
	return -EBADF;
}

static int sys_fstat(int fd, struct stat *ret)
{
	(void)fd, (void)ret;
	return -EBADF;
}

static int sys_unlinkat(int dir_fd, const char *path)
{
	(void)dir_fd, (void)path;
	return -ENOENT;
}

const struct wr_sys wr_sys = {
	.now = sys_now,
	.wall = sys_wall,
	.random = sys_random,
	.timer_open = sys_timer_open,
	.timer_set = sys_timer_set,
	.event_open = sys_event_open,
	.event_write = sys_event_write,
	.poll_open = sys_poll_open,
	.poll_ctl = sys_poll_ctl,
	.poll_wait = sys_poll_wait,
	.futex_wait = sys_futex_wait,
	.futex_wake = sys_futex_wake,
	.membarrier = sys_membarrier,
	.openat = sys_openat,
	.close = sys_close,
	.writev = sys_writev,
	.pread = sys_pread,
	.fdatasync = sys_sync,
	.fsync = sys_sync,
	.ftruncate = sys_ftruncate,
	.fstat = sys_fstat,
	.unlinkat = sys_unlinkat,
};
