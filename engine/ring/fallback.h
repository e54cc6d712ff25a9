/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/fallback.h - the ring of threads without restartable sequences: reserve, then commit.
 *
 * A fallback ring knows what is reserved (head) and, header by header, what is committed. A header
 * of 0 is a place whose owner still writes: the flusher zeroes what it releases.
 *
 * The slow path lies between reserve and commit, so that a timer is set before a record is visible.
 */
#ifndef WR_RING_FALLBACK_H
#define WR_RING_FALLBACK_H

#include "ring/ring.h"

/*
 * Reserves put->total bytes. WR_PUSHED: ret->head is the place, ret->alarm the alarm as seen after
 * the reserve. WR_EXIT_LIMIT, WR_EXIT_CLOSED: nothing was done. thread: producer
 */
enum wr_exit wr_fallback_reserve(struct wr_ring *ring, const struct wr_put *put,
                                 struct wr_seen *ret);
/* Copies the pieces behind the header at ret->head. thread: producer */
void wr_fallback_copy(const struct wr_put *put, const struct wr_seen *seen);
/*
 * Makes the header @header at seen->head. 1: the flusher waits for it, wake it. thread: producer
 */
int wr_fallback_commit(const struct wr_seen *seen, uint64_t header);
/* Sets the closed bit: no reserve succeeds from now on. thread: owner, flusher */
void wr_fallback_close(struct wr_ring *ring);

#endif
