/* SPDX-License-Identifier: Apache-2.0 */
/* sys_test.c - what the system table of production promises, asked of the kernel itself. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "test.h"

#define ERRNO 4711 /* no call of the kernel answers this */
#define MS 1000000u

/* A descriptor that counts, at the most that it can hold. */
static int full_event(void)
{
	uint64_t most = UINT64_MAX - 1;
	int fd = wr_sys.event_open();

	T_TRUE(fd >= 0);
	T_EQ(write(fd, &most, sizeof(most)), sizeof(most));
	return fd;
}

Test(sys, a_full_event_takes_a_write_and_keeps_errno)
{
	int fd = full_event();

	errno = ERRNO;
	T_EQ(wr_sys.event_write(fd), 0);
	T_EQ(errno, ERRNO);
	T_EQ(wr_sys.close(fd), 0);
}

Test(sys, a_call_that_a_push_makes_keeps_errno_when_it_fails)
{
	_Atomic uint32_t word = 1;

	errno = ERRNO;
	T_EQ(wr_sys.event_write(-1), -EBADF);
	T_EQ(errno, ERRNO);
	T_EQ(wr_sys.timer_set(-1, 1), -EBADF);
	T_EQ(errno, ERRNO);
	T_EQ(wr_sys.futex_wait(&word, 0, UINT64_MAX), -EAGAIN);
	T_EQ(errno, ERRNO);
	T_EQ(wr_sys.futex_wait(&word, 1, 1), -ETIMEDOUT);
	T_EQ(errno, ERRNO);
}

Test(sys, a_wait_is_not_over_before_its_time)
{
	struct epoll_event event;
	int poll_fd = wr_sys.poll_open();

	T_TRUE(poll_fd >= 0);
	for (int i = 0; i < 20; i++) {
		uint64_t until = wr_sys.now() + MS + MS / 2;

		T_EQ(wr_sys.poll_wait(poll_fd, &event, 1, until), 0);
		T_TRUE(wr_sys.now() >= until);
	}
	T_EQ(wr_sys.close(poll_fd), 0);
}

Test(sys, a_wait_of_weeks_ends_with_what_comes)
{
	/* So many that the milliseconds of epoll, in 32 bits, are 0, and a little more. */
	const uint64_t weeks = (UINT64_C(1) << 32) * MS;
	struct epoll_event event = { 0 };
	int poll_fd = wr_sys.poll_open(), timer_fd = wr_sys.timer_open();

	T_TRUE(poll_fd >= 0 && timer_fd >= 0);
	T_EQ(wr_sys.poll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, EPOLLIN, 7), 0);
	T_EQ(wr_sys.timer_set(timer_fd, wr_sys.now() + 20 * MS), 0);
	T_EQ(wr_sys.poll_wait(poll_fd, &event, 1, wr_sys.now() + weeks), 1);
	T_EQ(event.data.u64, 7);
	T_EQ(wr_sys.close(poll_fd), 0);
	T_EQ(wr_sys.close(timer_fd), 0);
}

/* An empty directory of its own; the test removes it. */
static int make_place(char path[32])
{
	int fd;

	snprintf(path, 32, "/tmp/weir-sys-XXXXXX");
	T_TRUE(mkdtemp(path));
	fd = wr_sys.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	T_TRUE(fd >= 0);
	return fd;
}

static int make_file(int dir_fd, const char *name)
{
	int fd = wr_sys.openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	T_TRUE(fd >= 0);
	return fd;
}

Test(sys, a_rename_replaces_no_file)
{
	char path[32];
	int dir_fd = make_place(path), fd = make_file(dir_fd, "from");

	T_EQ(wr_sys.close(fd), 0);
	fd = make_file(dir_fd, "to");
	T_EQ(wr_sys.close(fd), 0);
	T_EQ(wr_sys.rename(dir_fd, "from", "to"), -EEXIST);
	T_EQ(wr_sys.unlinkat(dir_fd, "to"), 0);
	T_EQ(wr_sys.rename(dir_fd, "from", "to"), 0);
	T_EQ(wr_sys.unlinkat(dir_fd, "from"), -ENOENT);
	T_EQ(wr_sys.unlinkat(dir_fd, "to"), 0);
	T_EQ(wr_sys.close(dir_fd), 0);
	T_EQ(rmdir(path), 0);
}

Test(sys, a_lock_is_the_open_files_and_not_the_process_s)
{
	char path[32];
	int dir_fd = make_place(path), first = make_file(dir_fd, "lock");
	int second = wr_sys.openat(dir_fd, "lock", O_RDWR | O_CLOEXEC, 0);

	T_TRUE(second >= 0);
	T_EQ(wr_sys.lock(first, 1), 0);
	T_EQ(wr_sys.lock(second, 1), -EBUSY);
	T_EQ(wr_sys.lock(first, 0), 0);
	T_EQ(wr_sys.lock(second, 1), 0);
	T_EQ(wr_sys.close(first), 0);
	T_EQ(wr_sys.close(second), 0);
	T_EQ(wr_sys.unlinkat(dir_fd, "lock"), 0);
	T_EQ(wr_sys.close(dir_fd), 0);
	T_EQ(rmdir(path), 0);
}
