/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd.c - the sink that writes to a descriptor it was given, on a thread of its own.
 *
 * It knows a descriptor and how to wait for it. It does not know how a record looks in the stream;
 * frame.c does. thread: the sink's own, where nothing else is said
 *
 * The descriptor is duplicated, so that the host may close its own; its flags are never changed,
 * and may be blocking or not. What can be polled is waited for together with an eventfd, and then
 * gets at most PIPE_BUF bytes at once: so much fits without blocking once it is writable, unless
 * another writer of the same pipe comes in between. What cannot be polled (regular files) does not
 * block. A vanished reader raises no signal: it stays pending on this thread, where all are
 * blocked.
 */
#include "sink/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "base/sys.h"
#include "base/thread.h"
#include "sink/uri.h"

#define TAG_FD 0u
#define TAG_EVENT 1u
#define CHUNK PIPE_BUF
#define CHUNK_IOV 256
#define RETRY_NS 100000000u /* a full disk may get room */
#define PAUSE_NS 10000000u  /* it said it was writable, and is not */

static int is_interrupted(struct wr_fd *fd)
{
	/* ORDER fd.interrupted: acquire. Set before the eventfd is written. */
	return !fd->ending && atomic_load_explicit(&fd->interrupted, memory_order_acquire);
}

/* Waits until the descriptor can be written to. 0, -ECANCELED, -ETIMEDOUT (when ending), -errno. */
static int wait_writable(struct wr_fd *fd)
{
	for (;;) {
		struct epoll_event events[2];
		int n = wr_sys.poll_wait(fd->poll_fd, events, 2, fd->ending ? 0 : UINT64_MAX);

		if (is_interrupted(fd))
			return -ECANCELED;
		if (n < 0 && n != -EINTR)
			return n;
		for (int i = 0; i < n; i++)
			if (events[i].data.u64 == TAG_FD)
				return 0;
		if (fd->ending)
			return -ETIMEDOUT;
	}
}

/* As many of the pieces as fit into CHUNK bytes. */
static uint32_t take_chunk(const struct iovec *iov, uint32_t count, struct iovec *ret)
{
	size_t left = CHUNK;
	uint32_t n = 0;

	while (n < count && n < CHUNK_IOV && left) {
		ret[n] = iov[n];
		if (ret[n].iov_len > left)
			ret[n].iov_len = left;
		left -= ret[n].iov_len;
		n++;
	}
	return n;
}

ssize_t wr_fd_write_some(struct wr_fd *fd, const struct iovec *iov, uint32_t count)
{
	struct iovec chunk[CHUNK_IOV];
	ssize_t n;

	if (fd->poll_fd >= 0) {
		count = take_chunk(iov, count, chunk);
		iov = chunk;
	}
	for (;;) {
		_Atomic uint32_t nobody = 0;
		int r = is_interrupted(fd) ? -ECANCELED : 0;

		if (!r && fd->poll_fd >= 0)
			r = wait_writable(fd);
		if (r)
			return r;
		n = wr_sys.writev(fd->fd, iov, (int)count);
		if (n > 0)
			return n;
		if (n == 0 || (n != -EAGAIN && n != -EINTR) || fd->ending)
			return n ? n : -EIO;
		if (n == -EAGAIN) /* rare, another writer was faster: never a busy loop */
			(void)wr_sys.futex_wait(&nobody, 0, wr_sys.now() + PAUSE_NS);
	}
}

static int is_passing(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -ENOBUFS || error == -ENOMEM;
}

static void fd_write(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	struct wr_fd *fd = arg;
	uint64_t done = 0;
	int r = fd->broken ? fd->broken : wr_frame_batch(fd, batch, &done);

	if (!r)
		return;
	if (r != -ECANCELED) /* ORDER none: relaxed. For people. */
		atomic_store_explicit(&fd->trouble, r, memory_order_relaxed);
	if (r != -ECANCELED && !is_passing(r))
		fd->broken = r;
	*verdict = (struct weir_verdict){ .kind = fd->broken ? WEIR_FATAL : WEIR_RETRY, .code = r };
	if (done) { /* what was written counts; the rest learns of the trouble when it comes back */
		verdict->kind = WEIR_PARTIAL;
		verdict->partial = WEIR_PARTIAL_RECORDS;
		verdict->records = done;
	}
	verdict->after_ns = is_passing(r) ? RETRY_NS : 0;
}

/* thread: any */
static void fd_interrupt(void *arg)
{
	struct wr_fd *fd = arg;

	/*
	 * ORDER fd.interrupted: release. Acquired by wait_writable().
	 * Gives:     whoever is woken by the eventfd sees why.
	 * Otherwise: it goes on waiting, and nothing wakes it again.
	 */
	atomic_store_explicit(&fd->interrupted, 1, memory_order_release);
	if (fd->event_fd >= 0)
		(void)wr_sys.event_write(fd->event_fd);
}

/* thread: any */
static void fd_trouble(void *arg, struct weir_why *ret_why)
{
	struct wr_fd *fd = arg;
	/* ORDER none: relaxed. For people. */
	int error = -atomic_load_explicit(&fd->trouble, memory_order_relaxed);
	const char *text = strerrordesc_np(error);

	ret_why->text[0] = '\0';
	if (error)
		wr_sink_why(ret_why, 0, "writing to descriptor %d: %s", fd->number,
		            text ? text : "unknown error");
}

static void close_fds(struct wr_fd *fd)
{
	int fds[] = { fd->fd, fd->poll_fd, fd->event_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			(void)wr_sys.close(fds[i]);
}

/*
 * What the stream lacks is written as far as it goes without waiting. Here the thread is the host's
 * own: a SIGPIPE that this raises is taken back before its signals are let in again.
 * thread: owner
 */
static void finish(struct wr_fd *fd)
{
	const struct timespec at_once = { 0, 0 };
	sigset_t pipe_only, before, pending;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	sigpending(&pending);
	fd->ending = 1;
	(void)wr_frame_finish(fd);
	if (!sigismember(&pending, SIGPIPE))
		(void)sigtimedwait(&pipe_only, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* thread: owner, any */
static void fd_close(void *arg)
{
	struct wr_fd *fd = arg;

	if (!fd->broken && (fd->torn || fd->kept))
		finish(fd);
	close_fds(fd);
	wr_frame_free(fd);
	wr_mem_free(NULL, fd, sizeof(*fd));
}

static const struct weir_hosted_ops fd_ops = {
	.name = "fd",
	.write = fd_write,
	.interrupt = fd_interrupt,
	.trouble = fd_trouble,
	.close = fd_close,
};

/* The number in fd:N, or -EINVAL. */
static int parse_number(const char *path)
{
	int64_t number = 0;

	if (!path[0])
		return -EINVAL;
	for (; *path; path++) {
		if (*path < '0' || *path > '9')
			return -EINVAL;
		number = number * 10 + (*path - '0');
		if (number > INT_MAX)
			return -EINVAL;
	}
	return (int)number;
}

/* A duplicate of descriptor @number, if it can be written to. Or -errno. */
static int duplicate(int number, struct weir_why *ret_why)
{
	int saved = errno, flags = fcntl(number, F_GETFL), copy = -1, r = -EBADF;

	if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) {
		copy = fcntl(number, F_DUPFD_CLOEXEC, 3);
		r = copy < 0 ? -errno : 0;
	}
	errno = saved;
	if (flags < 0)
		return wr_sink_why(ret_why, r, "fd:%d: there is no open descriptor %d", number,
		                   number);
	if (r == -EBADF)
		return wr_sink_why(ret_why, r, "fd:%d: descriptor %d is not open for writing",
		                   number, number);
	if (r)
		return wr_sink_why(ret_why, r, "fd:%d: no descriptor was left", number);
	return copy;
}

/* Makes it possible to wait for the descriptor, if the kernel can. 0 or -errno. */
static int open_poll(struct wr_fd *fd)
{
	int r;

	fd->poll_fd = wr_sys.poll_open();
	if (fd->poll_fd < 0)
		return fd->poll_fd;
	r = wr_sys.poll_ctl(fd->poll_fd, EPOLL_CTL_ADD, fd->fd, EPOLLOUT, TAG_FD);
	if (r == -EPERM) {
		(void)wr_sys.close(fd->poll_fd);
		fd->poll_fd = -1;
		return 0;
	}
	if (r)
		return r;
	fd->event_fd = wr_sys.event_open();
	if (fd->event_fd < 0)
		return fd->event_fd;
	return wr_sys.poll_ctl(fd->poll_fd, EPOLL_CTL_ADD, fd->event_fd, EPOLLIN, TAG_EVENT);
}

int wr_sink_fd_open(const char *path, const struct wr_uri *uri, struct weir_sink **ret_sink,
                    struct weir_why *ret_why)
{
	const struct weir_sink_caps caps = { .max_inflight = 2, .ordered = 1 };
	uint32_t frame = WR_FRAME_LINES;
	int number = parse_number(path), copy, r;
	struct wr_fd *fd;

	if (number < 0)
		return wr_sink_why(ret_why, -EINVAL, "fd:%.64s names no descriptor, as fd:1 does",
		                   path);
	r = wr_uri_check(uri, "frame", ret_why);
	r = r ? r : wr_uri_choice(uri, "frame", WR_FRAME_NAMES, &frame, ret_why);
	if (r)
		return r;
	copy = duplicate(number, ret_why);
	if (copy < 0)
		return copy;
	fd = wr_mem_alloc(NULL, sizeof(*fd));
	if (!fd) {
		(void)wr_sys.close(copy);
		return wr_sink_why(ret_why, -ENOMEM, "no memory for the sink");
	}
	fd->fd = copy;
	fd->poll_fd = fd->event_fd = -1;
	fd->number = number;
	fd->frame = (enum wr_fd_frame)frame;
	r = open_poll(fd);
	if (r) {
		wr_sink_why(ret_why, r, "fd:%d: it cannot be waited for", number);
	} else {
		r = weir_sink_hosted(&fd_ops, fd, &caps, 0, ret_sink);
		if (r)
			wr_sink_why(ret_why, r, "no memory for the sink");
	}
	if (r)
		fd_close(fd);
	return r;
}
