/* SPDX-License-Identifier: Apache-2.0 */
/* sys_linux.c - the system table of production. Nothing else may be defined here: see sys.h. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define WR_NS_PER_S 1000000000u

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * WR_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / WR_NS_PER_S),
		                  .tv_nsec = (long)(ns % WR_NS_PER_S) };
}

/* The push path may come through here from a signal handler: errno is not ours to change. */
static int result(long answer, int saved_errno)
{
	int error = errno;

	errno = saved_errno;
	return answer < 0 ? -error : (int)answer;
}

static uint64_t sys_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t sys_wall(void)
{
	return clock_ns(CLOCK_REALTIME);
}

static uint64_t sys_random(void)
{
	uint64_t value = 0;

	if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
		value = clock_ns(CLOCK_MONOTONIC) * 0x9e3779b97f4a7c15u;
	return value;
}

static int sys_timer_open(void)
{
	int saved = errno;

	return result(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), saved);
}

static int sys_timer_set(int fd, uint64_t at_ns)
{
	struct itimerspec spec = { .it_value = timespec_of(at_ns) };
	int saved = errno;

	return result(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL), saved);
}

static int sys_event_open(void)
{
	int saved = errno;

	return result(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), saved);
}

static int sys_event_write(int fd)
{
	uint64_t one = 1;
	int saved = errno;
	long n = write(fd, &one, sizeof(one));
	int r = result(n, saved);

	return r == -EAGAIN || r > 0 ? 0 : r;
}

static int sys_poll_open(void)
{
	int saved = errno;

	return result(epoll_create1(EPOLL_CLOEXEC), saved);
}

static int sys_poll_ctl(int poll_fd, int op, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event event = { .events = events, .data = { .u64 = tag } };
	int saved = errno;

	return result(epoll_ctl(poll_fd, op, fd, &event), saved);
}

static int sys_poll_wait(int poll_fd, struct epoll_event *events, int max, uint64_t until_ns)
{
	int saved = errno;
	int timeout_ms = -1;

	if (until_ns != UINT64_MAX) {
		uint64_t now = until_ns ? clock_ns(CLOCK_MONOTONIC) : 0;
		uint64_t left_ms = until_ns > now ? (until_ns - now + 999999u) / 1000000u : 0;

		timeout_ms = left_ms > 1000000000u ? 1000000000 : (int)left_ms;
	}
	return result(epoll_wait(poll_fd, events, max, timeout_ms), saved);
}

static int sys_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	struct timespec until = timespec_of(until_ns);
	int saved = errno;

	/* FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time. */
	return result(syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
	                      until_ns == UINT64_MAX ? NULL : &until, NULL,
	                      FUTEX_BITSET_MATCH_ANY),
	              saved);
}

static int sys_futex_wake(_Atomic uint32_t *word, int count)
{
	int saved = errno;

	return result(syscall(SYS_futex, word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, count, NULL,
	                      NULL, FUTEX_BITSET_MATCH_ANY),
	              saved);
}

static int sys_membarrier(int cpu)
{
	int saved = errno;

	if (cpu < 0)
		return result(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0),
		              saved);
	return result(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
	                      MEMBARRIER_CMD_FLAG_CPU, cpu),
	              saved);
}

static int sys_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int saved = errno;

	return result(openat(dir_fd, path, flags, mode), saved);
}

static int sys_close(int fd)
{
	int saved = errno;

	return result(close(fd), saved);
}

static ssize_t sys_writev(int fd, const struct iovec *iov, int count)
{
	ssize_t n = writev(fd, iov, count);

	return n < 0 ? -errno : n;
}

static ssize_t sys_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	ssize_t n = pread(fd, buffer, bytes, (off_t)offset);

	return n < 0 ? -errno : n;
}

static int sys_fdatasync(int fd)
{
	int saved = errno;

	return result(fdatasync(fd), saved);
}

static int sys_fsync(int fd)
{
	int saved = errno;

	return result(fsync(fd), saved);
}

static int sys_ftruncate(int fd, uint64_t bytes)
{
	int saved = errno;

	return result(ftruncate(fd, (off_t)bytes), saved);
}

static int sys_fstat(int fd, struct stat *ret)
{
	int saved = errno;

	return result(fstat(fd, ret), saved);
}

static int sys_unlinkat(int dir_fd, const char *path)
{
	int saved = errno;

	return result(unlinkat(dir_fd, path, 0), saved);
}

static int sys_rename(int dir_fd, const char *from, const char *to)
{
	int saved = errno;

	return result(renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE), saved);
}

static int sys_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	int saved = errno;

	return result(mkdirat(dir_fd, path, mode), saved);
}

/* Of the open file, not of the process: a second opening in this process is refused as well. */
static int sys_lock(int fd, int on)
{
	struct flock whole = { .l_type = on ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET };
	int saved = errno;
	int r = result(fcntl(fd, F_OFD_SETLK, &whole), saved);

	return r == -EAGAIN || r == -EACCES ? -EBUSY : r;
}

static ssize_t sys_list(int dir_fd, void *buffer, size_t bytes)
{
	ssize_t n = syscall(SYS_getdents64, dir_fd, buffer, bytes);

	return n < 0 ? -errno : n;
}

static int64_t sys_seek_data(int fd, uint64_t offset)
{
	off_t at = lseek(fd, (off_t)offset, SEEK_DATA);

	return at < 0 ? -errno : at;
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
