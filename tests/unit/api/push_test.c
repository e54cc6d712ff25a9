/* SPDX-License-Identifier: Apache-2.0 */
/* The promises of weir_push() and its relatives, as a user meets them. */
#include "catch.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testpoint.h"
#include "ring/rseq.h"

static void flush(struct catch *catch)
{
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
}

Test(push, a_pushed_record_reaches_the_sink_as_it_was)
{
	struct catch *catch = catch_new();

	T_EQ(weir_push(catch_open(catch), "hello", 5), 0);
	flush(catch);
	T_EQ(catch->count, 1);
	T_EQ(catch->records[0].size, 5);
	T_EQ(memcmp(catch->records[0].data, "hello", 5), 0);
	catch_end(catch);
}

Test(push, a_record_of_no_bytes_is_a_record)
{
	struct catch *catch = catch_new();

	T_EQ(weir_push(catch_open(catch), NULL, 0), 0);
	flush(catch);
	T_EQ(catch->count, 1);
	T_EQ(catch->records[0].size, 0);
	catch_end(catch);
}

Test(push, record_max_is_accepted_and_one_byte_more_is_refused_and_counted)
{
	struct catch *catch = catch_new();
	static uint8_t big[65537];
	struct weir *weir = catch_open(catch);

	T_EQ(weir_push(weir, big, 65536), 0);
	T_EQ(weir_push(weir, big, 65537), -EMSGSIZE);
	flush(catch);
	T_EQ(catch->count, 1);
	T_EQ(catch->records[0].size, 65536);
	T_EQ(catch_stats(catch).refused_too_big, 1);
	catch_end(catch);
}

Test(push, sizes_beyond_32_bits_are_refused)
{
	struct catch *catch = catch_new();

	T_EQ(weir_push(catch_open(catch), "x", (size_t)UINT32_MAX + 1), -EMSGSIZE);
	T_EQ(weir_push(catch->weir, "x", SIZE_MAX), -EMSGSIZE);
	catch_end(catch);
}

Test(push, pieces_are_joined_in_order)
{
	struct catch *catch = catch_new();
	struct iovec iov[12];

	for (int i = 0; i < 12; i++)
		iov[i] = (struct iovec){ &"abcdefghijkl"[i], i % 3 ? 1 : 0 };
	T_EQ(weir_pushv(catch_open(catch), iov, 3), 0);
	T_EQ(weir_pushv(catch->weir, iov, 12), 0); /* more than fit into a section */
	T_EQ(weir_pushv(catch->weir, iov, 0), 0);
	flush(catch);
	T_EQ(catch->count, 3);
	T_EQ(catch->records[0].size, 2);
	T_EQ(memcmp(catch->records[0].data, "bc", 2), 0);
	T_EQ(catch->records[1].size, 8);
	T_EQ(memcmp(catch->records[1].data, "bcefhikl", 8), 0);
	T_EQ(catch->records[2].size, 0);
	catch_end(catch);
}

Test(push, too_many_or_negative_pieces_are_refused)
{
	struct catch *catch = catch_new();
	static struct iovec iov[1025];

	T_EQ(weir_pushv(catch_open(catch), iov, 1025), -EINVAL);
	T_EQ(weir_pushv(catch->weir, iov, -1), -EINVAL);
	T_EQ(weir_pushv(catch->weir, iov, 1024), 0);
	catch_end(catch);
}

Test(push, pieces_whose_sum_overflows_are_too_big)
{
	struct catch *catch = catch_new();
	struct iovec iov[2] = { { catch, SIZE_MAX }, { catch, 2 } };

	T_EQ(weir_pushv(catch_open(catch), iov, 2), -EMSGSIZE);
	catch_end(catch);
}

Test(push, source_flags_uuid_origin_and_max_age_are_carried)
{
	struct catch *catch = catch_new();
	uint8_t uuid[16] = { 1, 2, 3, [15] = 16 };
	struct weir_push_options options = { .flags = WEIR_REC_CONTINUES | 0x3000u,
		                             .origin_ns = 77,
		                             .max_age_ns = WEIR_SECONDS(1000),
		                             .uuid = uuid };
	struct weir *weir = catch_open(catch);

	options.source = (uint16_t)weir_source(weir, "tag");
	T_EQ(weir_push_ex(weir, "payload", 7, &options), 0);
	flush(catch);
	T_EQ(catch->records[0].source, options.source);
	T_EQ(catch->records[0].flags & WEIR_REC_SETTABLE, WEIR_REC_CONTINUES | 0x3000u);
	T_EQ(catch->records[0].origin_ns, 77);
	T_EQ(catch->records[0].max_age_ns, WEIR_SECONDS(1000));
	T_TRUE(catch->records[0].has_uuid);
	T_EQ(memcmp(catch->records[0].uuid, uuid, 16), 0);
	T_EQ(memcmp(catch->records[0].data, "payload", 7), 0);
	catch_end(catch);
}

Test(push, flags_of_the_engine_cannot_be_set)
{
	struct catch *catch = catch_new();
	struct weir_push_options options = { .flags = WEIR_REC_ABORTED };

	T_EQ(weir_push_ex(catch_open(catch), "x", 1, &options), -EINVAL);
	options.flags = 0;
	options.wait = 3;
	T_EQ(weir_push_ex(catch->weir, "x", 1, &options), -EINVAL);
	catch_end(catch);
}

Test(push, push_many_stops_at_the_first_refusal_and_says_how_many)
{
	struct catch *catch = catch_new();
	static uint8_t big[70000];
	struct iovec iov[3] = { { big, 1 }, { big, 70000 }, { big, 1 } };
	struct weir *weir = catch_open(catch);

	T_EQ(weir_push_many(weir, iov, 3), 1);
	T_EQ(weir_push_many(weir, iov + 1, 2), -EMSGSIZE);
	T_EQ(weir_push_many(weir, iov, 0), 0);
	T_EQ(weir_push_many(weir, iov, -1), -EINVAL);
	flush(catch);
	T_EQ(catch->count, 1);
	catch_end(catch);
}

Test(push, a_full_ring_refuses_keeps_its_records_and_counts)
{
	struct catch *catch = catch_new();
	static uint8_t data[1000];
	uint64_t accepted = 0, refused = 0;

	catch->config.ring_bytes = 65536;
	catch->config.record_max = 16384;
	catch->config.pressure_mode = WEIR_MODE_OFF;
	catch->hold = 1;
	catch_open(catch);
	while (refused < 10) {
		int r = weir_push(catch->weir, data, sizeof(data));

		accepted += r == 0;
		refused += r == -EAGAIN;
		T_TRUE(r == 0 || r == -EAGAIN);
	}
	T_EQ(catch_stats(catch).refused_full, refused);
	T_EQ(catch_stats(catch).accepted, accepted);
	T_EQ(catch_audit(catch).accepted, accepted);
	catch_let_go(catch);
	flush(catch);
	T_EQ(catch->count, accepted);
	catch_end(catch);
}

Test(push, after_close_every_push_says_so_and_is_counted)
{
	struct catch *catch = catch_new();
	struct weir *weir = catch_open(catch);
	struct weir_claim claim;

	T_EQ(weir_close(weir, WEIR_SECONDS(1), NULL), 0);
	T_EQ(weir_push(weir, "x", 1), -ESHUTDOWN);
	T_EQ(weir_claim(weir, 1, NULL, &claim), -ESHUTDOWN);
	T_EQ(weir_flush(weir), -ESHUTDOWN);
	T_EQ(weir_flush_wait(weir, 0), -ESHUTDOWN);
	T_EQ(weir_source(weir, "x"), -ESHUTDOWN);
	T_EQ(catch_stats(catch).refused_closed, 2);
	T_EQ(weir_free(weir), 0);
}

Test(push, errno_is_left_alone)
{
	struct catch *catch = catch_new();

	catch_open(catch);
	errno = 4711;
	T_EQ(weir_push(catch->weir, "x", 1), 0);
	T_EQ(weir_flush(catch->weir), 0);
	T_EQ(errno, 4711);
	catch_end(catch);
}

Test(push, a_forked_child_is_refused_and_the_parent_keeps_its_records)
{
	struct catch *catch = catch_new();
	struct weir_stats stats = { .size = sizeof(stats) };
	pid_t child;
	int status;

	T_EQ(weir_push(catch_open(catch), "a", 1), 0);
	child = fork();
	if (!child) {
		struct weir_claim claim = { 0 };
		int ok = weir_push(catch->weir, "b", 1) == -EPERM &&
		         weir_pushv(catch->weir, NULL, 0) == -EPERM &&
		         weir_claim(catch->weir, 1, NULL, &claim) == -EPERM &&
		         weir_flush(catch->weir) == -EPERM &&
		         weir_stats(catch->weir, &stats) == -EPERM &&
		         weir_close(catch->weir, 0, NULL) == -EPERM && weir_free(catch->weir) == 0;

		_exit(ok ? 0 : 1);
	}
	T_EQ(waitpid(child, &status, 0), child);
	T_EQ(status, 0);
	T_EQ(weir_push(catch->weir, "c", 1), 0);
	flush(catch);
	T_EQ(catch->count, 2);
	catch_end(catch);
}

Test(claim, a_record_built_in_place_is_delivered_when_committed)
{
	struct catch *catch = catch_new();
	struct weir_claim claim;

	T_EQ(weir_claim(catch_open(catch), 6, NULL, &claim), 0);
	T_EQ(claim.size, 6);
	memcpy(claim.data, "inplac", 6);
	T_EQ(weir_commit(&claim), 0);
	flush(catch);
	T_EQ(catch->count, 1);
	T_EQ(memcmp(catch->records[0].data, "inplac", 6), 0);
	catch_end(catch);
}

Test(claim, an_aborted_claim_was_never_accepted)
{
	struct catch *catch = catch_new();
	struct weir_claim claim;

	T_EQ(weir_claim(catch_open(catch), 100, NULL, &claim), 0);
	T_EQ(weir_push(catch->weir, "x", 1), 0);
	T_EQ(weir_abort(&claim), 0);
	flush(catch);
	T_EQ(catch->count, 1);
	T_EQ(catch_stats(catch).accepted, 1);
	T_EQ(catch_stats(catch).pending, 0);
	T_EQ(catch_audit(catch).accepted, 1);
	catch_end(catch);
}

Test(claim, records_behind_an_open_claim_wait_for_it)
{
	struct catch *catch = catch_new();
	struct weir_claim claim;

	catch->config.threshold = 1;
	T_EQ(weir_claim(catch_open(catch), 1, NULL, &claim), 0);
	T_EQ(weir_push(catch->weir, "b", 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_MILLIS(50)), -ETIMEDOUT);
	T_EQ(catch->count, 0);
	*(char *)claim.data = 'a';
	T_EQ(weir_commit(&claim), 0);
	catch_wait(catch, 2);
	T_EQ(catch->records[0].data[0], 'a');
	T_EQ(catch->records[1].data[0], 'b');
	catch_end(catch);
}

Test(claim, a_claim_ends_once)
{
	struct catch *catch = catch_new();
	struct weir_claim claim, never = { 0 };

	T_EQ(weir_claim(catch_open(catch), 1, NULL, &claim), 0);
	T_EQ(weir_commit(&claim), 0);
	T_EQ(weir_commit(&claim), -EINVAL);
	T_EQ(weir_abort(&claim), -EINVAL);
	T_EQ(weir_commit(&never), -EINVAL);
	catch_end(catch);
}

Test(claim, close_gives_up_open_claims_and_says_how_many)
{
	struct catch *catch = catch_new();
	struct weir_close_report report = { .size = sizeof(report) };
	struct weir_claim claim;

	T_EQ(weir_claim(catch_open(catch), 8, NULL, &claim), 0);
	T_EQ(weir_push(catch->weir, "behind", 6), 0);
	T_EQ(weir_close(catch->weir, WEIR_MILLIS(20), &report), -ETIMEDOUT);
	T_EQ(report.claims_abandoned, 1);
	T_EQ(catch->count + report.left, 1); /* the one behind it: delivered, or booked */
	T_EQ(weir_commit(&claim), -ESHUTDOWN);
	T_EQ(catch_audit(catch).accepted, 1);
	T_EQ(weir_free(catch->weir), 0);
}

Test(claim, another_thread_may_commit)
{
	struct catch *catch = catch_new();
	struct weir_claim claim;
	pthread_t thread;

	T_EQ(weir_claim(catch_open(catch), 0, NULL, &claim), 0);
	T_EQ(pthread_create(&thread, NULL, (void *(*)(void *))(void (*)(void))weir_commit, &claim), 0);
	pthread_join(thread, NULL);
	flush(catch);
	T_EQ(catch->count, 1);
	catch_end(catch);
}

Test(claim, large_records_and_claims_keep_their_place_among_others)
{
	struct catch *catch = catch_new();
	static uint8_t big[20000];
	struct weir_claim claim;

	T_EQ(weir_push(catch_open(catch), "1", 1), 0);
	big[0] = '2';
	T_EQ(weir_push(catch->weir, big, sizeof(big)), 0);
	T_EQ(weir_claim(catch->weir, 1, NULL, &claim), 0);
	*(char *)claim.data = '3';
	T_EQ(weir_commit(&claim), 0);
	T_EQ(weir_push(catch->weir, "4", 1), 0);
	flush(catch);
	T_EQ(catch->count, 4);
	for (int i = 0; i < 4; i++)
		T_EQ(catch->records[i].data[0], '1' + i);
	catch_end(catch);
}

#ifdef WR_TEST_POINTS
static pid_t forked;

static void fork_once(const char *name)
{
	if (strcmp(name, "fallback.reserved") == 0) {
		atomic_store(&wr_testpoint_hook, NULL);
		forked = fork();
	}
}

/* As a signal handler may do it: the ring that was reserved in is not there any more. */
Test(push, a_child_that_was_forked_amid_a_push_is_refused_and_writes_nothing)
{
	struct catch *catch = catch_new();
	int status = 0, r;

	wr_rseq_force(WR_RSEQ_FORCED_OFF);
	T_EQ(weir_push(catch_open(catch), "x", 1), 0); /* the ring is made */
	atomic_store(&wr_testpoint_hook, fork_once);
	r = weir_push(catch->weir, "y", 1);
	if (forked == 0)
		_exit(r == -EPERM ? 7 : 8);
	T_EQ(r, 0);
	T_TRUE(forked > 0);
	T_EQ(waitpid(forked, &status, 0), forked);
	T_TRUE(WIFEXITED(status));
	T_EQ(WEXITSTATUS(status), 7);
	catch_end(catch);
	T_EQ(catch->count, 2);
}
#endif
