/* SPDX-License-Identifier: Apache-2.0 */
/* A handler pushes elsewhere, at any instruction of a push: what its thread pushes later is later. */
#include "support/rig.h"
#include "support/step.h"

#ifdef WR_CAN_STEP
/* The ring that was made first goes out first: the handler's, and then that of the later push. */
static void come_from_the_later_ring(void)
{
	rig_on(5);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	rig.length = 0;
	rig.text[0] = 0;
}

static void push_one(void)
{
	(void)weir_push(rig.weir, "p", 1);
}

static void push_elsewhere(void)
{
	rig_on(0);
	(void)weir_push(rig.weir, "h", 1);
	rig_on(5);
}

static void push_and_look(void)
{
	const char *p, *q;

	rig_on(0);
	rig_push("q");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	p = strchr(rig.text, 'p');
	q = strchr(rig.text, 'q');
	if (!p || !q || p > q)
		T_FAIL("the order is %s", rig.text);
}

Test(flush_handler, that_pushes_elsewhere_at_any_instruction_of_a_push_moves_no_later_one_before_it)
{
	rig_init();
	rig_open(0);
	rig_on(0);
	rig_push("0");
	T_TRUE(step_through(400, come_from_the_later_ring, push_one, push_elsewhere,
	                    push_and_look) > 100);
	rig_close();
}
#endif
