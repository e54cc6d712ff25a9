/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.c - the system table of the simulator: clocks, timers, events, futexes, pipes.
 *
 * It defines `wr_sys`, so the linker leaves base/sys_linux.c out of the archive, and every other
 * object of the library runs on it unchanged. It knows descriptors and time, not what they are for.
 * Files are disk.c's. The public shared library has no such symbol and cannot be simulated.
 */
#include "sim/core/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FIRST 100000
#define FDS 96

enum kind { FREE = 0, TIMER, EVENT, POLL, PIPE };

struct fd {
	enum kind kind;
	int real;          /* of a pipe: the descriptor that stands for it */
	int edge;          /* news that epoll has not told yet */
	uint64_t at_ns;    /* timer, and pipe: until then it has no room */
	uint64_t count;    /* event */
	int poll_fd;       /* 0: in none */
	uint32_t events;
	uint64_t tag;
	uint64_t bytes;    /* pipe: written */
	int full;          /* pipe: said so, and was not asked again */
	int broken;
};

static struct fd fds[FDS];
static struct rng rng;
static int poll_interrupted, futex_interrupted; /* ... and not called again */

static struct fd *fd_of(int fd)
{
	if (fd >= FIRST && fd < FIRST + FDS)
		return &fds[fd - FIRST];
	for (int i = 0; i < FDS; i++)
		if (fds[i].kind == PIPE && fds[i].real == fd)
			return &fds[i];
	return NULL;
}

static int open_fd(enum kind kind)
{
	task_call();
	if (fault_now(F_NO_DESCRIPTOR))
		return -EMFILE;
	for (int i = 0; i < FDS; i++) {
		if (fds[i].kind == FREE) {
			fds[i] = (struct fd){ .kind = kind, .real = -1 };
			return FIRST + i;
		}
	}
	return -EMFILE;
}

void sys_reset(uint64_t seed)
{
	memset(fds, 0, sizeof(fds));
	rng = rng_of(seed, 1002);
	poll_interrupted = futex_interrupted = 0;
}

void sys_forget_descriptors(void)
{
	memset(fds, 0, sizeof(fds));
	poll_interrupted = futex_interrupted = 0;
}

void sys_pipe(int real)
{
	for (int i = 0; i < FDS; i++) {
		if (fds[i].kind == FREE) {
			fds[i] = (struct fd){ .kind = PIPE, .real = real };
			return;
		}
	}
}

uint64_t sys_next(void)
{
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < FDS; i++)
		if ((fds[i].kind == TIMER || fds[i].kind == PIPE) && fds[i].at_ns &&
		    fds[i].at_ns < next)
			next = fds[i].at_ns;
	return next;
}

static void news(struct fd *fd)
{
	fd->edge = 1;
	if (fd->poll_fd)
		task_wake_poll(fd->poll_fd);
}

void sys_go_off(void)
{
	for (int i = 0; i < FDS; i++) {
		if ((fds[i].kind == TIMER || fds[i].kind == PIPE) && fds[i].at_ns &&
		    fds[i].at_ns <= vt_now) {
			fds[i].at_ns = 0;
			news(&fds[i]);
		}
	}
}

static int is_ready(const struct fd *fd)
{
	if (fd->events & EPOLLET)
		return fd->edge;
	return fd->kind == PIPE ? !fd->at_ns : fd->kind == EVENT ? fd->count > 0 : fd->edge;
}

int sys_is_ready(int poll_fd)
{
	for (int i = 0; i < FDS; i++)
		if (fds[i].kind != FREE && fds[i].poll_fd == poll_fd && is_ready(&fds[i]))
			return 1;
	return 0;
}

static uint64_t sys_now(void)
{
	if (task_self() && !vt_no_yield)
		task_call();
	return vt_now;
}

static uint64_t sys_wall(void)
{
	return vt_wall;
}

static uint64_t sys_random(void)
{
	return rng_next(&rng);
}

static int sys_timer_open(void)
{
	return open_fd(TIMER);
}

static int sys_timer_set(int number, uint64_t at_ns)
{
	struct fd *fd = fd_of(number);

	task_call();
	S_TRUE(fd && fd->kind == TIMER, "timer_set on descriptor %d, which is no timer", number);
	trace(T_CALL, "timer_set", (uint64_t)number, at_ns, 0);
	fd->at_ns = at_ns;
	fd->edge = 0; /* an expiry that was not seen is lost, as with a timerfd */
	sys_go_off();
	return 0;
}

static int sys_event_open(void)
{
	return open_fd(EVENT);
}

static int sys_event_write(int number)
{
	struct fd *fd = fd_of(number);

	task_call();
	S_TRUE(fd && fd->kind == EVENT, "event_write on descriptor %d, which is no event", number);
	trace(T_CALL, "event_write", (uint64_t)number, 0, 0);
	fd->count++;
	news(fd);
	return 0;
}

static int sys_poll_open(void)
{
	return open_fd(POLL);
}

static int sys_poll_ctl(int poll_fd, int op, int number, uint32_t events, uint64_t tag)
{
	struct fd *fd = fd_of(number);

	task_call();
	if (!fd)
		return disk_owns(number) ? -EPERM : -EBADF;
	fd->poll_fd = op == EPOLL_CTL_DEL ? 0 : poll_fd;
	fd->events = events;
	fd->tag = tag;
	return 0;
}

static int collect(int poll_fd, struct epoll_event *events, int max)
{
	int n = 0;

	for (int i = 0; i < FDS && n < max; i++) {
		struct fd *fd = &fds[i];

		if (fd->kind == FREE || fd->poll_fd != poll_fd || !is_ready(fd))
			continue;
		fd->edge = 0;
		events[n].events = fd->kind == PIPE ? EPOLLOUT : EPOLLIN;
		events[n++].data.u64 = fd->tag;
	}
	return n;
}

static int sys_poll_wait(int poll_fd, struct epoll_event *events, int max, uint64_t until_ns)
{
	int n;

	task_call();
	sys_go_off();
	if (poll_interrupted == poll_fd) {
		fault_hit(F_POLL_EINTR); /* it took the interruption, and waits again */
		poll_interrupted = 0;
	}
	n = collect(poll_fd, events, max);
	if (n || !until_ns)
		return n;
	if (fault_now(F_POLL_EINTR)) {
		poll_interrupted = poll_fd;
		return -EINTR;
	}
	while (!n && until_ns > vt_now && task_block(until_ns, NULL, poll_fd))
		n = collect(poll_fd, events, max);
	trace(T_CALL, "poll_wait", (uint64_t)poll_fd, (uint64_t)n,
	      n ? events[0].data.u64 : 0);
	return n;
}

static int sys_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	int woken;

	task_call();
	if (futex_interrupted) {
		fault_hit(F_FUTEX_EINTR);
		futex_interrupted = 0;
	}
	if (*word != value)
		return -EAGAIN;
	if (until_ns <= vt_now)
		return -ETIMEDOUT;
	if (fault_now(F_FUTEX_EINTR)) {
		futex_interrupted = 1;
		return -EINTR;
	}
	trace(T_CALL, "futex_wait", value, until_ns, 0);
	woken = task_block(until_ns, (const void *)word, -1);
	return woken ? 0 : -ETIMEDOUT;
}

static int sys_futex_wake(_Atomic uint32_t *word, int count)
{
	int n = task_wake_word((const void *)word, count);

	trace(T_CALL, "futex_wake", (uint64_t)n, 0, 0);
	task_call();
	return n;
}

static int sys_membarrier(int cpu)
{
	trace(T_CALL, "membarrier", (uint64_t)cpu, 0, 0);
	task_call();
	return 0;
}

static void crash_here(void)
{
	if (!vt_calls_to_crash || --vt_calls_to_crash || !task_self())
		return;
	vt_crashed = 1;
	trace(T_CRASH, "crash", 0, 0, 0);
	task_sleep(0); /* never comes back */
	sim_fail("a task went on after the crash");
}

/* Every call on files: it costs time, and the crash may come right before it. */
static void disk_call(void)
{
	task_call();
	crash_here();
}

static int sys_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int r;

	disk_call();
	r = disk_openat(dir_fd, path, flags, mode);
	trace(T_CALL, "openat", (uint64_t)r, (uint64_t)flags, 0);
	return r;
}

static int sys_close(int number)
{
	struct fd *fd = fd_of(number);

	if (disk_owns(number)) {
		disk_call();
		return disk_close(number);
	}
	task_call();
	if (fd && fd->kind == PIPE)
		(void)close(fd->real);
	S_TRUE(fd && fd->kind != FREE, "close of descriptor %d, which is not open", number);
	*fd = (struct fd){ .kind = FREE };
	return 0;
}

static ssize_t pipe_write(struct fd *fd, const struct iovec *iov, int count)
{
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	if (fd->full) {
		fault_hit(F_PIPE_FULL);
		fd->full = 0;
	}
	if (fd->broken || fault_now(F_PIPE_BROKEN)) {
		fd->broken = 1;
		return -EPIPE;
	}
	if (fault_now(F_PIPE_FULL)) {
		fd->at_ns = vt_now + rng_log(&rng, 16, 30);
		fd->full = 1;
		return -EAGAIN;
	}
	if (fault_now(F_WRITE_SHORT) && bytes > 1)
		bytes = rng_between(&rng, 1, bytes - 1);
	fd->bytes += bytes;
	return (ssize_t)bytes;
}

static ssize_t sys_writev(int number, const struct iovec *iov, int count)
{
	struct fd *fd = fd_of(number);
	ssize_t n;

	disk_call();
	n = fd && fd->kind == PIPE ? pipe_write(fd, iov, count) : disk_writev(number, iov, count);
	trace(T_CALL, "writev", (uint64_t)n, fd ? fd->bytes : 0, 0);
	return n;
}

static ssize_t sys_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	ssize_t n;

	disk_call();
	n = disk_pread(fd, buffer, bytes, offset);
	trace(T_CALL, "pread", (uint64_t)n, offset, bytes);
	return n;
}

static int sys_fdatasync(int fd)
{
	int r;

	disk_call();
	if (task_self() && !vt_no_yield)
		task_sleep(rng_log(&rng, 13, 21));
	crash_here();
	r = disk_fdatasync(fd);
	trace(T_CALL, "fdatasync", (uint64_t)r, 0, 0);
	return r;
}

static int sys_fsync(int fd)
{
	int r;

	disk_call();
	r = disk_fsync(fd);
	trace(T_CALL, "fsync", (uint64_t)r, 0, 0);
	return r;
}

static int sys_ftruncate(int fd, uint64_t bytes)
{
	int r;

	disk_call();
	r = disk_ftruncate(fd, bytes);
	trace(T_CALL, "ftruncate", (uint64_t)r, bytes, 0);
	return r;
}

static int sys_fstat(int fd, struct stat *ret)
{
	disk_call();
	return disk_fstat(fd, ret);
}

static int sys_unlinkat(int dir_fd, const char *path)
{
	int r;

	disk_call();
	r = disk_unlinkat(dir_fd, path);
	trace(T_CALL, "unlinkat", (uint64_t)r, 0, 0);
	return r;
}

static int sys_rename(int dir_fd, const char *from, const char *to)
{
	int r;

	disk_call();
	r = disk_rename(dir_fd, from, to);
	trace(T_CALL, "rename", (uint64_t)r, 0, 0);
	return r;
}

static int sys_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	disk_call();
	return disk_mkdirat(dir_fd, path, mode);
}

static int sys_lock(int fd, int on)
{
	disk_call();
	return disk_lock(fd, on);
}

static ssize_t sys_list(int dir_fd, void *buffer, size_t bytes)
{
	ssize_t n;

	disk_call();
	n = disk_list(dir_fd, buffer, bytes);
	trace(T_CALL, "list", (uint64_t)n, 0, 0);
	return n;
}

static int64_t sys_seek_data(int fd, uint64_t offset)
{
	disk_call();
	return disk_seek_data(fd, offset);
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
