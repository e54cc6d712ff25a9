/* SPDX-License-Identifier: Apache-2.0 */
/* memory_test.c - what a reader does when memory is refused: it says so, and goes on when asked. */
#include "test.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log/dir.h"
#include "log/names.h"
#include "log/seen.h"
#include "log/window.h"

static unsigned requests, refused; /* the request of this number is refused; 0: none */
static long live;

static void *give(void *arg, size_t bytes)
{
	(void)arg;
	if (++requests == refused)
		return NULL;
	live++;
	return malloc(bytes);
}

static void take(void *arg, void *memory, size_t bytes)
{
	(void)arg;
	(void)bytes;
	live--;
	free(memory);
}

static const struct wr_mem mem = { give, take, NULL };

Test(log_memory, name_that_finds_no_memory_is_refused_and_taken_when_it_comes_again)
{
	/* The list by id, the bits, the text: each of the three is refused once. */
	for (unsigned n = 1; n <= 3; n++) {
		struct wr_log_names names = { .mem = mem };

		requests = 0;
		refused = n;
		T_EQ(wr_log_names_add(&names, 7, "seven", 5), -ENOMEM);
		T_TRUE(wr_log_names_get(&names, 7) == NULL);
		T_EQ(wr_log_names_add(&names, 7, "seven", 5), 0);
		T_STR(wr_log_names_get(&names, 7), "seven");
		wr_log_names_fini(&names);
		T_EQ(live, 0);
	}
}

Test(log_memory, name_stays_what_it_was_when_another_one_finds_no_memory)
{
	struct wr_log_names names = { .mem = mem };
	char longest[256];

	memset(longest, 'n', sizeof(longest));
	refused = 0;
	for (uint16_t id = 1; id <= 256; id++) /* a chunk is full */
		T_EQ(wr_log_names_add(&names, id, longest, 255), 0);
	refused = requests + 1;
	T_EQ(wr_log_names_add(&names, 2, "two", 3), -ENOMEM);
	T_EQ(strlen(wr_log_names_get(&names, 2)), 255);
	T_EQ(wr_log_names_add(&names, 2, "two", 3), 0);
	T_STR(wr_log_names_get(&names, 2), "two");
	T_EQ(strlen(wr_log_names_get(&names, 1)), 255);
	wr_log_names_fini(&names);
	T_EQ(live, 0);
}

Test(log_memory, window_that_finds_no_memory_says_so_and_reads_when_asked_again)
{
	struct wr_log_window window = { .mem = mem };
	int fd = memfd_create("window", MFD_CLOEXEC);
	const uint8_t *at = NULL;

	T_TRUE(fd >= 0);
	T_EQ(pwrite(fd, "0123456789", 10, 0), 10);
	wr_log_window_reset(&window, fd);
	requests = 0;
	refused = 1;
	T_EQ(wr_log_window_get(&window, 2, 4, &at), -ENOMEM);
	T_TRUE(at == NULL);
	T_TRUE(wr_log_window_get(&window, 2, 4, &at) >= 4);
	T_EQ(memcmp(at, "2345", 4), 0);
	/* More than there is room for: what was read stays. */
	refused = requests + 1;
	T_EQ(wr_log_window_get(&window, 2, (size_t)1 << 20, &at), -ENOMEM);
	T_TRUE(wr_log_window_get(&window, 3, 4, &at) >= 4);
	T_EQ(memcmp(at, "3456", 4), 0);
	wr_log_window_fini(&window);
	T_EQ(live, 0);
	close(fd);
}

Test(log_memory, number_of_missing_batches_stops_at_the_largest)
{
	static struct wr_log_seen seen;
	uint64_t gaps = 0, missing = UINT64_MAX - 5;

	wr_log_seen_begin(&seen, 0);
	wr_log_seen_add(&seen, 100, 0);
	wr_log_seen_gaps(&seen, &gaps, &missing);
	T_EQ(gaps, 1);
	T_TRUE(missing == UINT64_MAX);
}

Test(log_memory, error_without_a_name_has_a_sentence_too)
{
	T_STR(wr_log_reason(-41), "unknown error");
	T_TRUE(strcmp(wr_log_reason(-EIO), "unknown error") != 0);
}
