/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/nearest.h - "did you mean": how far two words are apart.
 *
 * It knows letters. It does not know what the words name. thread: any; pure.
 */
#ifndef WR_BASE_NEAREST_H
#define WR_BASE_NEAREST_H

/* Words longer than this are compared by their beginning. */
#define WR_NEAREST_MAX 63

/*
 * The least number of letters to add, drop, change or swap with a neighbour that makes @a of @b;
 * upper and lower case are the same letter.
 */
unsigned wr_nearest_distance(const char *a, const char *b);

/* Whether a word at @distance from @word is worth naming: a typing mistake, not another word. */
int wr_nearest_is_near(const char *word, unsigned distance);

#endif
