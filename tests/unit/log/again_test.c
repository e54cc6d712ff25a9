/* SPDX-License-Identifier: Apache-2.0 */
/* again_test.c - whether a batch behind damage comes again in a later segment. */
#include "log/again.h"

#include "support.h"

static struct t_dir dir;
static struct wr_log_lives lives;
static struct wr_log_window window;
static struct wr_log_again again;

/* Batches first..last of a life, in a segment of their own. */
static void segment(uint8_t life, uint64_t first, uint64_t last)
{
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, life, first, last);
	t_close(writer);
}

/* Segment @number says that the one before it may end in a block that was given up. */
static void after_trouble(uint64_t number)
{
	const char *path = t_segment(dir.path, number);
	struct wr_log_header header;
	size_t bytes;
	uint8_t *data = t_load(path, &bytes);

	T_EQ(wr_log_decode(data, bytes, &header), WR_LOG_GOOD);
	header.start.flags |= WR_LOG_AFTER_TROUBLE;
	wr_log_encode(&header, data);
	t_store(path, data, bytes);
	free(data);
}

static void damage(uint64_t number, int block)
{
	struct wr_log_header header;
	uint64_t at = t_block(t_segment(dir.path, number), block, &header);

	t_flip(t_segment(dir.path, number), at + header.header_bytes + 8, 0);
}

static void begin(void)
{
	dir = t_dir();
	again.fd = -1;
	segment(1, 1, 4);
}

static void look(void)
{
	lives.dir_fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	T_TRUE(lives.dir_fd >= 0);
	T_TRUE(wr_log_lives_look(&lives, &window) > 0);
}

static int has(uint64_t seq)
{
	return wr_log_again_has(&again, &lives, 0, seq, 0);
}

static void end(void)
{
	wr_log_again_fini(&again);
	T_EQ(again.fd, -1);
	wr_log_lives_fini(&lives);
	wr_log_window_fini(&window);
	close(lives.dir_fd);
	t_remove(&dir);
}

Test(log_again, what_a_segment_after_trouble_holds_comes_again)
{
	begin();
	segment(1, 3, 5);
	after_trouble(2);
	look();
	T_EQ(has(3), 1);
	T_EQ(has(5), 1);
	T_EQ(has(6), 0);
	end();
}

Test(log_again, what_a_segment_in_peace_holds_does_not)
{
	begin();
	segment(1, 3, 5);
	look();
	T_EQ(has(3), 0);
	T_EQ(again.fd, -1);
	end();
}

Test(log_again, what_another_life_holds_does_not)
{
	begin();
	segment(2, 3, 5);
	after_trouble(2);
	look();
	T_EQ(has(3), 0);
	end();
}

Test(log_again, batches_are_found_in_any_order)
{
	begin();
	segment(1, 2, 4);
	after_trouble(2);
	look();
	T_EQ(has(4), 1);
	T_EQ(has(2), 1);
	T_EQ(has(3), 1);
	T_EQ(has(3), 1); /* from the start once more */
	end();
}

Test(log_again, a_batch_that_is_damaged_there_does_not_come_again)
{
	begin();
	segment(1, 2, 4);
	after_trouble(2);
	damage(2, 2);
	look();
	T_EQ(has(2), 1);
	T_EQ(has(3), 0);
	T_EQ(has(4), 1);
	end();
}

Test(log_again, what_is_damaged_in_one_may_be_whole_in_the_next)
{
	begin();
	segment(1, 2, 4);
	segment(1, 2, 4);
	after_trouble(2);
	after_trouble(3);
	damage(2, 2);
	look();
	T_EQ(has(3), 1);
	T_EQ(again.part, 2);
	end();
}

Test(log_again, the_search_ends_where_the_trouble_does)
{
	begin();
	segment(1, 2, 2);
	segment(1, 3, 3);
	after_trouble(2);
	look();
	T_EQ(has(2), 1);
	T_EQ(has(3), 0);
	end();
}

Test(log_again, a_segment_that_was_given_up_at_once_is_passed_over)
{
	begin();
	segment(1, 1, 1);
	segment(1, 2, 3);
	after_trouble(3);
	t_cut(t_segment(dir.path, 2), 40);
	look();
	T_EQ(has(3), 1);
	T_EQ(again.part, 2);
	end();
}

Test(log_again, a_lost_header_hides_its_batch_alone)
{
	begin();
	segment(1, 2, 4);
	after_trouble(2);
	t_flip(t_segment(dir.path, 2), t_block(t_segment(dir.path, 2), 2, NULL) + 60, 0);
	look();
	T_EQ(has(3), 0);
	T_EQ(has(4), 1);
	end();
}

Test(log_again, names_between_batches_are_passed_over)
{
	static const char *const names[] = { "alpha" };
	struct t_sources sources = t_sources(names, 1);
	struct wr_log_writer *writer;

	begin();
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = "b",
	                                  .sources = &sources.seen });
	t_close(writer);
	after_trouble(2);
	look();
	T_EQ(has(2), 1);
	end();
}

Test(log_again, another_piece_of_the_batch_is_not_that_piece)
{
	struct wr_log_writer *writer;

	begin();
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .first_record = 7, .records = "b" });
	t_close(writer);
	after_trouble(2);
	look();
	T_EQ(has(2), 0);
	T_EQ(wr_log_again_has(&again, &lives, 0, 2, 7), 1);
	end();
}

/* What lies before the first that was written again was durable: nobody reads on to tell that. */
Test(log_again, what_is_before_all_that_came_again_is_not_looked_for)
{
	begin();
	segment(1, 3, 5);
	after_trouble(2);
	look();
	T_EQ(has(3), 1);
	t_cut(t_segment(dir.path, 2), 0);
	T_EQ(has(2), 0);
	T_EQ(again.lowest, 3);
	wr_log_again_end(&again);
	T_EQ(again.lowest, 0);
	T_EQ(again.fd, -1);
	end();
}

Test(log_again, a_segment_that_cannot_be_opened_holds_nothing)
{
	begin();
	segment(1, 3, 5);
	after_trouble(2);
	look();
	T_EQ(unlink(t_segment(dir.path, 2)), 0);
	T_EQ(has(3), 0);
	T_EQ(again.fd, -1);
	end();
}

static int refuses;

static void *maybe_alloc(void *arg, size_t bytes)
{
	(void)arg;
	return refuses ? NULL : malloc(bytes);
}

static void give_back(void *arg, void *memory, size_t bytes)
{
	(void)arg;
	(void)bytes;
	free(memory);
}

Test(log_again, without_memory_it_says_so_and_answers_when_asked_again)
{
	begin();
	segment(1, 3, 5);
	after_trouble(2);
	look();
	again.window.mem = (struct wr_mem){ maybe_alloc, give_back, NULL };
	refuses = 1;
	T_EQ(has(4), -ENOMEM);
	refuses = 0;
	T_EQ(has(4), 1);
	end();
}

/* Headers are read, and then the memory for a body is not to be had. */
Test(log_again, a_body_that_finds_no_memory_is_no_answer)
{
	struct wr_log_writer *writer;

	begin();
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_large(writer, 3, 1032 * 1000);
	t_close(writer);
	after_trouble(2);
	look();
	again.window.mem = (struct wr_mem){ maybe_alloc, give_back, NULL };
	T_EQ(has(2), 0);
	refuses = 1;
	T_EQ(has(3), -ENOMEM);
	refuses = 0;
	T_EQ(has(3), 1);
	end();
}
