/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c - what is kept per thread, and who holds open claims. See thread.h. thread: any */
#include "ring/thread.h"

_Thread_local struct wr_thread wr_thread __attribute__((tls_model("initial-exec")));
struct wr_holder wr_holders[WR_HOLDERS];

uint32_t wr_hold(void)
{
	static _Atomic uint32_t given;
	uint32_t mine = 0;
	/* ORDER none: relaxed. The thread's own; a handler of it may be the first. */
	uint32_t holder = atomic_load_explicit(&wr_thread.holder, memory_order_relaxed);

	if (!holder) {
		/* ORDER none: relaxed. Only that it is another's no more matters. */
		mine = atomic_fetch_add_explicit(&given, 1, memory_order_relaxed);
		mine = 1 + mine % (WR_HOLDERS - 1);
		if (atomic_compare_exchange_strong_explicit(&wr_thread.holder, &holder, mine,
		                                            memory_order_relaxed,
		                                            memory_order_relaxed))
			holder = mine;
	}
	/* ORDER none: relaxed. Who learns that a claim was ended sees that it was let go of. */
	atomic_fetch_add_explicit(&wr_holders[holder].open, 1, memory_order_relaxed);
	return holder;
}

void wr_let_go(uint32_t holder)
{
	_Atomic uint32_t *open = &wr_holders[holder % WR_HOLDERS].open;
	/* ORDER none: relaxed, see wr_hold(). Never below 0: a copy may be ended once more. */
	uint32_t n = atomic_load_explicit(open, memory_order_relaxed);

	while (n && !atomic_compare_exchange_weak_explicit(
			    open, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
		;
}

int wr_is_holding(void)
{
	/* ORDER none: relaxed, see wr_hold(). */
	uint32_t holder = atomic_load_explicit(&wr_thread.holder, memory_order_relaxed);

	return holder &&
	       atomic_load_explicit(&wr_holders[holder].open, memory_order_relaxed) != 0;
}
