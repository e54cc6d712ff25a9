/* SPDX-License-Identifier: Apache-2.0 */
/* wake-urgent.pml - wake.pml where thread 0 pushes records with a max age: soon, seq and redo. */
#define URGENT
#include "wake.pml"
