/* SPDX-License-Identifier: Apache-2.0 */
/* nearest_test.c - how far two words are apart. */
#include "base/nearest.h"

#include "test.h"

Test(nearest, equal_words_are_no_distance_apart)
{
	T_EQ(wr_nearest_distance("threshold", "threshold"), 0);
	T_EQ(wr_nearest_distance("", ""), 0);
}

Test(nearest, case_makes_no_distance)
{
	T_EQ(wr_nearest_distance("ThresholD", "tHRESHOLd"), 0);
	T_EQ(wr_nearest_distance("AZ", "az"), 0);
	T_EQ(wr_nearest_distance("@[", "`{"), 2);
}

Test(nearest, a_letter_left_out_is_one_away)
{
	T_EQ(wr_nearest_distance("treshold", "threshold"), 1);
	T_EQ(wr_nearest_distance("hreshold", "threshold"), 1);
	T_EQ(wr_nearest_distance("threshol", "threshold"), 1);
}

Test(nearest, a_letter_too_many_is_one_away)
{
	T_EQ(wr_nearest_distance("fulll", "full"), 1);
	T_EQ(wr_nearest_distance("xfull", "full"), 1);
}

Test(nearest, a_changed_letter_is_one_away)
{
	T_EQ(wr_nearest_distance("blork", "block"), 1);
}

Test(nearest, two_swapped_neighbours_are_one_away)
{
	T_EQ(wr_nearest_distance("dealdine", "deadline"), 1);
	T_EQ(wr_nearest_distance("ab", "ba"), 1);
}

Test(nearest, letters_swapped_at_a_distance_are_two_away)
{
	T_EQ(wr_nearest_distance("abc", "cba"), 2);
}

Test(nearest, mistakes_add_up)
{
	T_EQ(wr_nearest_distance("kitten", "sitting"), 3);
}

Test(nearest, an_empty_word_is_as_far_as_the_other_is_long)
{
	T_EQ(wr_nearest_distance("", "order"), 5);
	T_EQ(wr_nearest_distance("order", ""), 5);
}

Test(nearest, distance_is_the_same_both_ways)
{
	T_EQ(wr_nearest_distance("ring_byte", "record_max"),
	     wr_nearest_distance("record_max", "ring_byte"));
}

Test(nearest, long_words_are_compared_by_their_beginning)
{
	char a[200], b[200];

	memset(a, 'a', sizeof(a));
	memset(b, 'a', sizeof(b));
	a[199] = b[199] = 0;
	b[WR_NEAREST_MAX] = 'x'; /* the first letter that does not count */
	T_EQ(wr_nearest_distance(a, b), 0);
	b[WR_NEAREST_MAX - 1] = 'x';
	T_EQ(wr_nearest_distance(a, b), 1);
}

Test(nearest, one_mistake_in_four_letters_is_worth_naming)
{
	T_TRUE(wr_nearest_is_near("treshold", 3));
	T_TRUE(!wr_nearest_is_near("treshold", 4));
	T_TRUE(wr_nearest_is_near("ful", 1));
	T_TRUE(!wr_nearest_is_near("ful", 2));
}

Test(nearest, a_word_of_which_nothing_is_right_is_not_named)
{
	T_TRUE(!wr_nearest_is_near("a", 1));
	T_TRUE(!wr_nearest_is_near("", 0));
}
