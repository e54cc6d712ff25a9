/* SPDX-License-Identifier: Apache-2.0 */
#include "fault_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"

struct t_fault t_faults[T_CALLS];
_Atomic uint64_t t_called[T_CALLS];
size_t t_most;
int t_interrupts, t_holes;
uint64_t t_zero_at;
void (*t_on_seek)(void);
uint64_t t_seeks_before;
uint64_t t_now, t_wall;
char t_trace[4096];

static void trace(char what)
{
	size_t n = strlen(t_trace);

	if (n + 1 < sizeof(t_trace)) {
		t_trace[n] = what;
		t_trace[n + 1] = 0;
	}
}

/* -errno when this call is to fail. */
static int fault(enum t_call call)
{
	struct t_fault *at = &t_faults[call];
	int error = at->error;

	t_called[call]++;
	if (at->which) {
		int hit = at->which & 1;

		at->which >>= 1;
		if (!at->which)
			at->error = 0;
		return hit ? error : 0;
	}
	if (!error || (at->after && at->after--))
		return 0;
	if (at->times && !--at->times)
		at->error = 0;
	return error;
}

static int interrupted(void)
{
	static int turn;

	return t_interrupts && ++turn % 2;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t sys_now(void)
{
	return t_now ? t_now : clock_ns(CLOCK_MONOTONIC);
}

static uint64_t sys_wall(void)
{
	return t_wall ? t_wall : clock_ns(CLOCK_REALTIME);
}

static int sys_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int r = 0, fd;

	if (flags & O_EXCL) { /* segments alone */
		r = fault(T_OPENAT);
		trace('o');
	}
	if (r)
		return r;
	if (t_zero_at && !--t_zero_at)
		(void)close(0);
	fd = openat(dir_fd, path, flags, mode);
	return fd < 0 ? -errno : fd;
}

static int sys_close(int fd)
{
	return close(fd) ? -errno : 0;
}

static ssize_t sys_writev(int fd, const struct iovec *iov, int count)
{
	struct iovec cut[64];
	int r;
	size_t most = t_most, sum = 0;
	ssize_t n;
	int pieces = 0;

	if (interrupted())
		return -EINTR;
	/* The part that reaches the disk before it fails is a short write of its own. */
	if (t_faults[T_WRITEV].error && !t_faults[T_WRITEV].after && t_faults[T_WRITEV].partly) {
		most = t_faults[T_WRITEV].partly;
		t_faults[T_WRITEV].partly = 0;
	} else {
		r = fault(T_WRITEV);
		if (r)
			return r == T_NOTHING ? 0 : r;
	}
	trace('w');
	for (; pieces < count && pieces < 64 && (!most || sum < most); pieces++) {
		cut[pieces] = iov[pieces];
		if (most && cut[pieces].iov_len > most - sum)
			cut[pieces].iov_len = most - sum;
		sum += cut[pieces].iov_len;
	}
	n = writev(fd, cut, pieces);
	return n < 0 ? -errno : n;
}

static ssize_t sys_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	int r;
	ssize_t n;

	if (interrupted())
		return -EINTR;
	r = fault(T_PREAD);
	if (r)
		return r == T_NOTHING ? 0 : r;
	n = pread(fd, buffer, t_most && bytes > t_most ? t_most : bytes, (off_t)offset);
	return n < 0 ? -errno : n;
}

static int sys_fdatasync(int fd)
{
	int r;

	if (interrupted())
		return -EINTR;
	r = fault(T_FDATASYNC);
	trace('s');
	return r ? r : fdatasync(fd) ? -errno : 0;
}

static int sys_fsync(int fd)
{
	int r = fault(T_FSYNC);

	trace('d');
	return r ? r : fsync(fd) ? -errno : 0;
}

static int sys_ftruncate(int fd, uint64_t bytes)
{
	int r;

	if (interrupted())
		return -EINTR;
	r = fault(T_FTRUNCATE);
	trace('t');
	return r ? r : ftruncate(fd, (off_t)bytes) ? -errno : 0;
}

static int sys_fstat(int fd, struct stat *ret)
{
	int r = fault(T_FSTAT);

	return r ? r : fstat(fd, ret) ? -errno : 0;
}

static int sys_unlinkat(int dir_fd, const char *path)
{
	int r = fault(T_UNLINKAT);

	trace('u');
	return r ? r : unlinkat(dir_fd, path, 0) ? -errno : 0;
}

static int sys_rename(int dir_fd, const char *from, const char *to)
{
	int r = fault(T_RENAME);

	trace('r');
	return r ? r : renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE) ? -errno : 0;
}

static int sys_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	return mkdirat(dir_fd, path, mode) ? -errno : 0;
}

static int sys_lock(int fd, int on)
{
	(void)fd;
	return on ? fault(T_LOCK) : 0;
}

static ssize_t sys_list(int dir_fd, void *buffer, size_t bytes)
{
	int r = fault(T_LIST);
	ssize_t n;

	if (r)
		return r;
	/* One entry or so at a time. */
	n = syscall(SYS_getdents64, dir_fd, buffer, bytes < 64 ? bytes : 64);
	return n < 0 ? -errno : n;
}

static int64_t sys_seek_data(int fd, uint64_t offset)
{
	off_t at = t_holes ? lseek(fd, (off_t)offset, SEEK_DATA) : (off_t)offset;
	void (*call)(void) = t_on_seek;

	if (call && !t_seeks_before--) {
		t_on_seek = NULL;
		call();
	}
	return at < 0 ? -errno : at;
}

/* For the thread of a hosted sink; @until_ns is on the real clock. */
static int sys_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	struct timespec until = { (time_t)(until_ns / 1000000000u),
		                  (long)(until_ns % 1000000000u) };

	return syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
	               until_ns == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY)
	           ? -errno
	           : 0;
}

static int sys_futex_wake(_Atomic uint32_t *word, int count)
{
	return syscall(SYS_futex, word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, count, NULL, NULL,
	               FUTEX_BITSET_MATCH_ANY) < 0
	           ? -errno
	           : 0;
}

/* What it is asked to wait for is a plain file, always: that cannot be waited for. */
static int sys_poll_open(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int sys_poll_ctl(int poll_fd, int op, int fd, uint32_t events, uint64_t tag)
{
	(void)poll_fd, (void)op, (void)fd, (void)events, (void)tag;
	return -EPERM;
}

const struct wr_sys wr_sys = {
	.poll_open = sys_poll_open,
	.poll_ctl = sys_poll_ctl,
	.futex_wait = sys_futex_wait,
	.futex_wake = sys_futex_wake,
	.now = sys_now,
	.wall = sys_wall,
	.openat = sys_openat,
	.close = sys_close,
	.writev = sys_writev,
	.pread = sys_pread,
	.fdatasync = sys_fdatasync,
	.fsync = sys_fsync,
	.ftruncate = sys_ftruncate,
	.fstat = sys_fstat,
	.unlinkat = sys_unlinkat,
	.rename = sys_rename,
	.mkdirat = sys_mkdirat,
	.lock = sys_lock,
	.list = sys_list,
	.seek_data = sys_seek_data,
};
