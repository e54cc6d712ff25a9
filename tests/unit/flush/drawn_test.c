/* SPDX-License-Identifier: Apache-2.0 */
/* drawn_test.c - what single changed lines of the flusher showed to be untested. */
#include <string.h>

#include "base/testpoint.h"
#include "support/rig.h"

Test(flush_batch, a_batch_knows_when_the_record_was_pushed_that_woke_the_flusher)
{
	uint64_t pushed_ns;

	rig_init();
	rig_open(0);
	rig_pass(WEIR_SECONDS(1));
	pushed_ns = wr_sys.now();
	rig_push("a");
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "a |");
	T_TRUE(rig.log[0].earliest_ns <= pushed_ns);
	T_TRUE(rig.log[0].earliest_ns + 1000 > pushed_ns);
	rig_close();
}

#ifdef WR_TEST_POINTS
static struct weir_claim claim;
static unsigned heads_read, commit_at;

static void commit_behind_its_back(const char *name)
{
	if (strcmp(name, "cut.between_heads") != 0 || ++heads_read != commit_at)
		return;
	atomic_store(&wr_testpoint_hook, NULL);
	T_EQ(weir_commit(&claim), 0);
}

/* Whoever commits tells nobody, as nobody has asked for it: the flusher must see it by itself. */
Test(flush_sleep, a_claim_that_is_committed_between_a_cut_and_the_look_at_it_goes_out)
{
	for (commit_at = 1;; commit_at++) {
		rig_init();
		rig.config.threshold = 1;
		rig.config.deadline_ns = WEIR_OFF;
		rig_open(0);
		T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
		memcpy(claim.data, "a", 1);
		heads_read = 0;
		atomic_store(&wr_testpoint_hook, commit_behind_its_back);
		rig_turn();
		if (atomic_exchange(&wr_testpoint_hook, NULL))
			break;
		T_STR(rig.text, "a |");
		rig_close();
	}
	T_TRUE(commit_at > 2); /* the decision's cut and the sleep's */
	T_EQ(weir_commit(&claim), 0);
	rig_turn();
	rig_close();
}
#endif
