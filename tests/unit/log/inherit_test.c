/* SPDX-License-Identifier: Apache-2.0 */
/* inherit_test.c - what a log has open is not for programs that its host starts. */
#include "support.h"

#define MOST 256

static uint8_t was_open[MOST];

static void remember(void)
{
	for (int fd = 0; fd < MOST; fd++)
		was_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* How many were opened since. */
static unsigned look(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < MOST; fd++) {
		int flags = was_open[fd] ? -1 : fcntl(fd, F_GETFD);

		if (flags < 0)
			continue;
		n++;
		if (!(flags & FD_CLOEXEC))
			T_FAIL("descriptor %d is left open", fd);
	}
	return n;
}

Test(log_inherit, the_descriptors_of_writer_and_reader_are_closed_on_exec)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;
	struct weir_log_reader *reader;
	char text[64] = "";

	remember();
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a" });
	T_EQ(look(), 3); /* the directory, its lock, the segment */
	reader = t_reader(dir.path);
	t_drain(reader, text, sizeof(text));
	T_EQ(look(), 5); /* and again the directory and the segment */
	weir_log_close(reader);
	t_close(writer);
	T_EQ(look(), 0);
	t_remove(&dir);
}
