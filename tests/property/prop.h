/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/property/prop.h - random sequences of operations, and the shortest one that still fails.
 *
 * It knows operations as numbers, seeds, children and time. It does not know what an operation
 * does: a program says so in a struct prop. The numbers of an operation are drawn before anything
 * runs and are reduced when it runs (modulo what is there then), so that every part of a sequence
 * is a sequence.
 *
 *     WEIR_PROOF          slice (default), full, soak: how much
 *     WEIR_PROOF_SECONDS  slice: how long (20)
 *     WEIR_PROOF_SEED     where to begin; else the clock says
 *
 *     PROGRAM --seed N    that sequence alone, shrunk if it fails
 *     PROGRAM --ops TEXT  a sequence as it was printed, step by step
 *     PROGRAM --count N   so many from the seed on, and nothing shrunk; for mutants
 */
#ifndef WEIR_TESTS_PROPERTY_PROP_H
#define WEIR_TESTS_PROPERTY_PROP_H

#include <stdint.h>
#include <stdio.h>

#define PROP_OPS 256

struct prop_op {
	uint32_t kind, a, b, c;
};

/* One kind of operation: how often it comes, and how it is written. */
struct prop_kind {
	const char *name;
	uint32_t weight; /* of the draws; the first kind begins each sequence and has none */
};

struct prop {
	const char *rung;    /* of the line "# figure" */
	const char *promise; /* what holds when no sequence fails */
	const struct prop_kind *kinds;
	uint32_t kind_count;
	uint32_t least, most; /* operations in a sequence, the first included */
	void (*run)(const struct prop_op *ops, uint32_t count);
	void (*done)(void); /* or NULL; called in the parent with the counters below */
};

/* What the sequences did, summed over all children: shows that nothing was passed by. */
#define PROP_COUNTERS 64
void prop_hit(unsigned which, uint64_t n);
uint64_t prop_hits(unsigned which);

/* The sequence does not hold what it should: ends the child. */
_Noreturn void prop_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define P_TRUE(x) \
	do { \
		if (!(x)) \
			prop_fail("%s:%d: not true: %s", __FILE__, __LINE__, #x); \
	} while (0)
#define P_EQ(a, b) \
	do { \
		int64_t a_ = (int64_t)(a), b_ = (int64_t)(b); \
		if (a_ != b_) \
			prop_fail("%s:%d: %s is %lld, not %lld (%s)", __FILE__, __LINE__, #a, \
			          (long long)a_, (long long)b_, #b); \
	} while (0)

/* Says what a step is, when a sequence is replayed. */
extern int prop_verbose;
void prop_step(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A stream of numbers of its own, for what a sequence draws while it runs. */
struct prop_random {
	uint64_t state;
};
uint64_t prop_random(struct prop_random *random);

int prop_main(int argc, char **argv, const struct prop *prop);

#endif
