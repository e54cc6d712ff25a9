/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/test.h - one way to write a test, two ways to run it: Criterion, or a plain main (the only
 * one that works under ThreadSanitizer). Either way each test runs in a process of its own.
 *
 *     Test(ring, full_ring_refuses_push) { T_EQ(push(), -EAGAIN); }
 */
#ifndef WEIR_TEST_H
#define WEIR_TEST_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WEIR_TEST_CRITERION
#include <criterion/criterion.h>
#define T_FAIL(...) cr_assert_fail(__VA_ARGS__)
#define T_SKIP(why) cr_skip_test(why)
#else
struct test_case {
	const char *suite, *name;
	void (*run)(void);
	struct test_case *next;
};
void test_register(struct test_case *test);
_Noreturn void test_failed(const char *file, int line, const char *what);
#define Test(suite_, name_) \
	static void suite_##_##name_##_run(void); \
	__attribute__((constructor)) static void suite_##_##name_##_register(void) \
	{ \
		static struct test_case test_ = { #suite_, #name_, suite_##_##name_##_run, NULL }; \
		test_register(&test_); \
	} \
	static void suite_##_##name_##_run(void)
#define T_FAIL(...) \
	do { \
		char what_[2048]; \
		if (snprintf(what_, sizeof(what_), __VA_ARGS__) < 0) \
			what_[0] = 0; \
		test_failed(__FILE__, __LINE__, what_); \
	} while (0)
/* The test cannot be run here. */
#define T_SKIP(why) \
	do { \
		fprintf(stderr, "skipped: %s\n", why); \
		exit(77); \
	} while (0)
#endif

#define T_TRUE(x) \
	do { \
		if (!(x)) \
			T_FAIL("not true: %s", #x); \
	} while (0)
#define T_EQ(a, b) \
	do { \
		int64_t a_ = (int64_t)(a), b_ = (int64_t)(b); \
		if (a_ != b_) \
			T_FAIL("%s is %" PRId64 ", not %" PRId64 " (%s)", #a, a_, b_, #b); \
	} while (0)
#define T_STR(a, b) \
	do { \
		const char *a_ = (a), *b_ = (b); \
		if (!a_ || !b_ || strcmp(a_, b_) != 0) \
			T_FAIL("%s is \"%s\", not \"%s\"", #a, a_ ? a_ : "(null)", b_ ? b_ : "(null)"); \
	} while (0)

#endif
