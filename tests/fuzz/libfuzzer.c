/* SPDX-License-Identifier: Apache-2.0 */
/* libfuzzer.c - the entry of libFuzzer: WEIR_FUZZ_TARGET names the target. clang only. */
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_target *target;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	target = fuzz_find(getenv("WEIR_FUZZ_TARGET"));
	if (!target) {
		fprintf(stderr, "WEIR_FUZZ_TARGET is one of:");
		for (const struct fuzz_target *one = fuzz_targets; one->name; one++)
			fprintf(stderr, " %s", one->name);
		fprintf(stderr, "\n");
		exit(2);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= target->bytes_max)
		target->run(data, size);
	return 0;
}
