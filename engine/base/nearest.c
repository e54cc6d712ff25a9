/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.c - the optimal string alignment distance, three rows at a time. thread: any. */
#include "base/nearest.h"

#include <stddef.h>
#include <string.h>

static int lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

unsigned wr_nearest_distance(const char *a, const char *b)
{
	unsigned rows[3][WR_NEAREST_MAX + 1];
	size_t a_len = strnlen(a, WR_NEAREST_MAX), b_len = strnlen(b, WR_NEAREST_MAX);

	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned change = lower(a[i - 1]) != lower(b[j - 1]);

			row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + change);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1])) {
				unsigned swap = rows[(i + 1) % 3][j - 2] + 1;

				row[j] = swap < row[j] ? swap : row[j];
			}
		}
	}
	return rows[a_len % 3][b_len];
}

int wr_nearest_is_near(const char *word, unsigned distance)
{
	size_t length = strnlen(word, WR_NEAREST_MAX);

	return distance <= 1 + length / 4 && distance < length;
}
