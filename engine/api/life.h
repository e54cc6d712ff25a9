/* SPDX-License-Identifier: Apache-2.0 */
/* api/life.h - what the end of an engine (close.c) needs of its beginning (engine.c), and back. */
#ifndef WR_API_LIFE_H
#define WR_API_LIFE_H

struct weir;

/* Unmaps and frees, and gives the slot back. thread: owner, alone */
void wr_engine_forget(struct weir *weir);

#endif
