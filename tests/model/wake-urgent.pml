/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wake-urgent.pml - wake.pml where thread 0 pushes records with a max age: soon, seq and redo.
 *
 *     run full -DCFGB
 *     mutant full M_NO_SEQ -DCFGB
 *     mutant full M_SOON_IGNORED -DCFGB
 */
#define URGENT
#include "wake.pml"
