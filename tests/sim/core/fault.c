/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.c - the kinds of fault. Each has its own stream of numbers, so that leaving one kind out
 * changes no other.
 *
 * That a fault was done proves nothing. It counts as hit when the engine showed that its branch for
 * it ran: by a counter, a verdict, an answer, or the next call that it made (see fault_hit's users).
 */
#include "sim/core/sim.h"

#include <string.h>

const struct fault_kind fault_kinds[F_KINDS] = {
#define X(id, name, meaning) { name, meaning },
	FAULTS(X)
#undef X
};
struct fault_state faults[F_KINDS];

int fault_on(enum fault kind)
{
	return faults[kind].ppm && !vt_healed;
}

int fault_now(enum fault kind)
{
	if (!fault_on(kind) || !rng_ppm(&faults[kind].rng, faults[kind].ppm))
		return 0;
	faults[kind].injected++;
	trace(T_FAULT, fault_kinds[kind].name, faults[kind].injected, 0, 0);
	return 1;
}

void fault_hit(enum fault kind)
{
	faults[kind].hit++;
}

int fault_find(const char *name)
{
	for (int i = 0; i < F_KINDS; i++)
		if (!strcmp(fault_kinds[i].name, name))
			return i;
	return -1;
}
