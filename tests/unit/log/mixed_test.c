/* SPDX-License-Identifier: Apache-2.0 */
/* mixed_test.c - a segment with a block of another life in it, at the very place of one of its own. */
#include "support.h"

static struct weir_log_counts counts;

/* Two batches of @life; *ret_second: where the second begins. */
static struct t_dir two(uint8_t life, uint64_t *ret_second)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_write(writer, (struct t_batch){ .life = life, .seq = 1, .records = "a" });
	*ret_second = t_size(t_segment(dir.path, 1));
	t_write(writer, (struct t_batch){ .life = life, .seq = 2, .records = "b" });
	t_close(writer);
	return dir;
}

Test(log_mixed, a_block_of_another_life_in_a_segment_is_damage)
{
	uint64_t second, same;
	struct t_dir mine = two(1, &second), other = two(2, &same);
	size_t bytes, others;
	uint8_t *data = t_load(t_segment(mine.path, 1), &bytes);
	uint8_t *foreign = t_load(t_segment(other.path, 1), &others);

	T_EQ(second, same);
	T_EQ(bytes, others);
	memcpy(data + second, foreign + second, bytes - second);
	t_store(t_segment(mine.path, 1), data, bytes);
	T_STR(t_read(mine.path, &counts), "a");
	T_EQ(counts.damaged, 1);
	T_EQ(counts.engines, 1);
	free(data);
	free(foreign);
	t_remove(&mine);
	t_remove(&other);
}
