/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wake-urgent.pml - wake.pml where thread 0 pushes records with a max age: soon, seq and redo.
 *
 * The threshold is out of reach: at two, the event would make up for a timer that stands too late.
 *
 *     run full -DCFGB -DTHR=3
 *     mutant slice M_NO_SECOND_LOOK -DCFGB -DTHR=3
 *     mutant slice M_NO_REDO -DCFGB -DTHR=3
 *     mutant slice M_SOON_IGNORED -DCFGB -DTHR=3
 *     mutant slice M_SOON_LATE -DCFGB -DTHR=3
 *     mutant full M_NO_SEQ -DCFGB -DTHR=3
 *     mutant soak M_URGENT_NO_EPOCH -DCFGA -DTHR=3
 */
#define URGENT
#include "wake.pml"
