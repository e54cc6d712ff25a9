/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.c - see fault.h. The real table is base/sys_linux.c as it stands, under another name.
 */
#define wr_sys real_sys
#include "base/sys_linux.c" /* and base/sys.h with it */
#undef wr_sys

#include "nth/fault.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>

const char *const fault_names[N_CALLS] = {
	"now", "wall", "random", "timer_open", "timer_set", "event_open", "event_write", "poll_open",
	"poll_ctl", "poll_wait", "futex_wait", "futex_wake", "membarrier", "openat", "close", "writev",
	"pread", "fdatasync", "fsync", "ftruncate", "fstat", "unlinkat", "rename", "mkdirat", "lock",
	"list", "seek_data", "allocator", "calloc", "cds_lfht_new", "mmap", "munmap", "madvise",
	"memfd_create", "ftruncate of rings", "pthread_create", "sched_getaffinity", "sysconf", "open",
	"read", "membarrier (registration)", "prctl",
	"dup"
};

static _Atomic uint64_t counted[N_CALLS];
static _Atomic uint64_t failed;
static _Atomic int64_t mapped, pieces;
static _Atomic uint32_t armed; /* call + 1 */
static uint64_t from;
static int for_ever, answer;
static uint64_t began;

void fault_count(void)
{
	for (int i = 0; i < N_CALLS; i++)
		atomic_store(&counted[i], 0);
}

uint64_t fault_counted(enum fault_call call)
{
	return atomic_load(&counted[call]);
}

void fault_arm(enum fault_call call, uint64_t nth, int forever, int error)
{
	fault_count();
	from = nth;
	for_ever = forever;
	answer = error;
	atomic_store(&failed, 0);
	atomic_store(&armed, (uint32_t)call + 1);
}

uint64_t fault_lift(void)
{
	atomic_store(&armed, 0);
	return atomic_load(&failed);
}

int fault(enum fault_call call)
{
	uint64_t n = atomic_fetch_add(&counted[call], 1) + 1;

	if (atomic_load(&armed) != (uint32_t)call + 1 || n < from || (n > from && !for_ever))
		return 0;
	atomic_fetch_add(&failed, 1);
	return answer;
}

int64_t fault_mapped(void)
{
	return atomic_load(&mapped);
}

int64_t fault_pieces(void)
{
	return atomic_load(&pieces);
}

void fault_piece(int64_t n)
{
	atomic_fetch_add(&pieces, n);
}

/* Time, faster. */

uint64_t fault_now(void)
{
	uint64_t real = sys_now();

	if (!began)
		began = real;
	return began + (real - began) * FAULT_SPEED;
}

static uint64_t to_real(uint64_t at_ns)
{
	(void)fault_now();
	if (!at_ns || at_ns == UINT64_MAX)
		return at_ns;
	return at_ns <= began ? began : began + (at_ns - began) / FAULT_SPEED + 1;
}

static uint64_t f_now(void)
{
	static _Atomic uint64_t last;
	uint64_t now = fault(N_NOW) ? atomic_load(&last) : fault_now();

	if (!now) /* it has not been asked before */
		now = fault_now();
	atomic_store(&last, now); /* a failure: time stands still */
	return now;
}

static uint64_t f_wall(void)
{
	return fault(N_WALL) ? 0 : sys_wall(); /* the clock is set back to 1970 */
}

static uint64_t f_random(void)
{
	return fault(N_RANDOM) ? 0 : sys_random();
}

#define FAILS(call) \
	do { \
		int r_ = fault(call); \
		if (r_ < 0) \
			return r_; \
	} while (0)

static int f_timer_open(void)
{
	FAILS(N_TIMER_OPEN);
	return sys_timer_open();
}

static int f_timer_set(int fd, uint64_t at_ns)
{
	FAILS(N_TIMER_SET);
	return sys_timer_set(fd, to_real(at_ns));
}

static int f_event_open(void)
{
	FAILS(N_EVENT_OPEN);
	return sys_event_open();
}

static int f_event_write(int fd)
{
	FAILS(N_EVENT_WRITE);
	return sys_event_write(fd);
}

static int f_poll_open(void)
{
	FAILS(N_POLL_OPEN);
	return sys_poll_open();
}

static int f_poll_ctl(int poll_fd, int op, int fd, uint32_t events, uint64_t tag)
{
	FAILS(N_POLL_CTL);
	return sys_poll_ctl(poll_fd, op, fd, events, tag);
}

static int f_poll_wait(int poll_fd, struct epoll_event *events, int max, uint64_t until_ns)
{
	FAILS(N_POLL_WAIT);
	return sys_poll_wait(poll_fd, events, max, to_real(until_ns));
}

static int f_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	FAILS(N_FUTEX_WAIT);
	return sys_futex_wait(word, value, to_real(until_ns));
}

static int f_futex_wake(_Atomic uint32_t *word, int count)
{
	int r = sys_futex_wake(word, count);

	FAILS(N_FUTEX_WAKE); /* it has no way not to wake: only the answer is wrong */
	return r;
}

static int f_membarrier(int cpu)
{
	FAILS(N_MEMBARRIER);
	return sys_membarrier(cpu);
}

static int f_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	FAILS(N_OPENAT);
	return sys_openat(dir_fd, path, flags, mode);
}

/* As Linux does it: the descriptor is gone whatever the answer. */
static int f_close(int fd)
{
	int r = sys_close(fd);

	FAILS(N_CLOSE);
	return r;
}

static ssize_t f_writev(int fd, const struct iovec *iov, int count)
{
	int r = fault(N_WRITEV);
	struct iovec half;

	if (r < 0)
		return r;
	if (r == 0 || !count)
		return sys_writev(fd, iov, count);
	half = (struct iovec){ iov[0].iov_base, (iov[0].iov_len + 1) / 2 }; /* only some of it */
	return sys_writev(fd, &half, 1);
}

static ssize_t f_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	FAILS(N_PREAD);
	return sys_pread(fd, buffer, bytes, offset);
}

static int f_fdatasync(int fd)
{
	FAILS(N_FDATASYNC);
	return sys_fdatasync(fd);
}

static int f_fsync(int fd)
{
	FAILS(N_FSYNC);
	return sys_fsync(fd);
}

static int f_ftruncate(int fd, uint64_t bytes)
{
	FAILS(N_FTRUNCATE);
	return sys_ftruncate(fd, bytes);
}

static int f_fstat(int fd, struct stat *ret)
{
	FAILS(N_FSTAT);
	return sys_fstat(fd, ret);
}

static int f_unlinkat(int dir_fd, const char *path)
{
	FAILS(N_UNLINKAT);
	return sys_unlinkat(dir_fd, path);
}

static int f_rename(int dir_fd, const char *old, const char *new)
{
	FAILS(N_RENAME);
	return sys_rename(dir_fd, old, new);
}

static int f_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	FAILS(N_MKDIRAT);
	return sys_mkdirat(dir_fd, path, mode);
}

static int f_lock(int fd, int on)
{
	FAILS(N_LOCK);
	return sys_lock(fd, on);
}

static ssize_t f_list(int dir_fd, void *buffer, size_t bytes)
{
	FAILS(N_LIST);
	return sys_list(dir_fd, buffer, bytes);
}

static int64_t f_seek_data(int fd, uint64_t offset)
{
	FAILS(N_SEEK_DATA);
	return sys_seek_data(fd, offset);
}

const struct real_sys wr_sys = {
	.now = f_now,
	.wall = f_wall,
	.random = f_random,
	.timer_open = f_timer_open,
	.timer_set = f_timer_set,
	.event_open = f_event_open,
	.event_write = f_event_write,
	.poll_open = f_poll_open,
	.poll_ctl = f_poll_ctl,
	.poll_wait = f_poll_wait,
	.futex_wait = f_futex_wait,
	.futex_wake = f_futex_wake,
	.membarrier = f_membarrier,
	.openat = f_openat,
	.close = f_close,
	.writev = f_writev,
	.pread = f_pread,
	.fdatasync = f_fdatasync,
	.fsync = f_fsync,
	.ftruncate = f_ftruncate,
	.fstat = f_fstat,
	.unlinkat = f_unlinkat,
	.rename = f_rename,
	.mkdirat = f_mkdirat,
	.lock = f_lock,
	.list = f_list,
	.seek_data = f_seek_data,
};
_Static_assert(sizeof(wr_sys) == N_TABLE * sizeof(void (*)(void)), "an entry that never fails");

/* What does not go through the table: the linker sends these calls here. */

#define WRAPPED(type, name, arguments) \
	type __real_##name arguments; \
	type __wrap_##name arguments; \
	type __wrap_##name arguments
#define FAILS_LIBC(call, value) \
	do { \
		int r_ = fault(call); \
		if (r_) { \
			errno = -r_; \
			return value; \
		} \
	} while (0)

WRAPPED(void *, calloc, (size_t n, size_t bytes))
{
	void *memory;

	FAILS_LIBC(N_CALLOC, NULL);
	memory = __real_calloc(n, bytes);
	fault_piece(memory != NULL);
	return memory;
}

WRAPPED(void, free, (void *memory))
{
	fault_piece(-(memory != NULL));
	__real_free(memory);
}

struct cds_lfht;
WRAPPED(struct cds_lfht *, _cds_lfht_new,
        (unsigned long initial, unsigned long least, unsigned long most, int flags,
         const void *mm, const void *flavor, pthread_attr_t *attr))
{
	FAILS_LIBC(N_HASH, NULL);
	return __real__cds_lfht_new(initial, least, most, flags, mm, flavor, attr);
}

WRAPPED(void *, mmap64, (void *at, size_t bytes, int how, int flags, int fd, off_t offset))
{
	void *memory;

	FAILS_LIBC(N_MMAP, MAP_FAILED);
	memory = __real_mmap64(at, bytes, how, flags, fd, offset);
	if (memory != MAP_FAILED && !(flags & MAP_FIXED))
		atomic_fetch_add(&mapped, (int64_t)bytes);
	return memory;
}

WRAPPED(int, munmap, (void *at, size_t bytes))
{
	int r = __real_munmap(at, bytes);

	if (!r)
		atomic_fetch_sub(&mapped, (int64_t)bytes);
	FAILS_LIBC(N_MUNMAP, -1);
	return r;
}

WRAPPED(int, madvise, (void *at, size_t bytes, int what))
{
	FAILS_LIBC(N_MADVISE, -1);
	return __real_madvise(at, bytes, what);
}

WRAPPED(int, memfd_create, (const char *name, unsigned flags))
{
	FAILS_LIBC(N_MEMFD, -1);
	return __real_memfd_create(name, flags);
}

WRAPPED(int, ftruncate64, (int fd, off_t bytes))
{
	FAILS_LIBC(N_RING_FTRUNCATE, -1);
	return __real_ftruncate64(fd, bytes);
}

WRAPPED(int, pthread_create,
        (pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg))
{
	int r = fault(N_THREAD);

	return r ? -r : __real_pthread_create(ret, attr, fn, arg);
}

WRAPPED(int, sched_getaffinity, (pid_t pid, size_t bytes, cpu_set_t *ret))
{
	FAILS_LIBC(N_AFFINITY, -1);
	return __real_sched_getaffinity(pid, bytes, ret);
}

WRAPPED(long, sysconf, (int name))
{
	FAILS_LIBC(N_SYSCONF, -1);
	return __real_sysconf(name);
}

WRAPPED(int, open64, (const char *path, int flags, ...))
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	FAILS_LIBC(N_OPEN, -1);
	return __real_open64(path, flags, mode);
}

WRAPPED(ssize_t, read, (int fd, void *buffer, size_t bytes))
{
	FAILS_LIBC(N_READ, -1);
	return __real_read(fd, buffer, bytes);
}

WRAPPED(int, prctl, (int what, ...))
{
	va_list args;
	unsigned long value;

	va_start(args, what);
	value = va_arg(args, unsigned long);
	va_end(args);
	FAILS_LIBC(N_PRCTL, -1);
	return __real_prctl(what, value);
}

/* Only what finds out whether there is an rseq membarrier. */
WRAPPED(long, syscall, (long number, ...))
{
	long arguments[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arguments[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_membarrier && (arguments[0] == MEMBARRIER_CMD_QUERY ||
	                                 arguments[0] == MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ))
		FAILS_LIBC(N_REGISTER, -1);
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
	                      arguments[4], arguments[5]);
}

WRAPPED(int, fcntl64, (int fd, int what, ...))
{
	va_list args;
	void *value;

	va_start(args, what);
	value = va_arg(args, void *);
	va_end(args);
	if (what == F_DUPFD_CLOEXEC)
		FAILS_LIBC(N_DUP, -1);
	return __real_fcntl64(fd, what, value);
}
