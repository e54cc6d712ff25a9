/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/testpoint.h - names for the places where a test may stop a thread or look in.
 *
 * WR_TESTPOINT("wake.before_sleep") is nothing in a normal build. With -Dtest_points=true it calls
 * wr_testpoint_hook with the name, if a test has set one. WR_TEST_OFF(what) is 0 in a normal build:
 * with test points a test may switch a mechanism off, to prove that its own check would notice.
 */
#ifndef WR_BASE_TESTPOINT_H
#define WR_BASE_TESTPOINT_H

#ifdef WR_TEST_POINTS
#include <stdint.h>

extern void (*_Atomic wr_testpoint_hook)(const char *name);
#define WR_TESTPOINT(name) \
	do { \
		void (*hook_)(const char *) = wr_testpoint_hook; \
		if (hook_) \
			hook_(name); \
	} while (0)
#define WR_TEST_NO_MARKS 1u
#define WR_TEST_NO_CLOSURE 2u
extern _Atomic uint32_t wr_test_switches;
#define WR_TEST_OFF(what) (wr_test_switches & (what))
#else
#define WR_TESTPOINT(name) ((void)0)
#define WR_TEST_OFF(what) 0
#endif

#endif
