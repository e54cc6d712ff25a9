/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c - runs every input of the corpora once, with any compiler: fuzz-replay FOLDER [TARGET].
 *
 * Each target's inputs lie in FOLDER/TARGET. TAP: one line a target; a target without inputs has
 * failed. A broken promise ends the process; what was being run stands on standard error then.
 */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

static char current[4096];

static void died(int signal_number)
{
	ssize_t n = write(2, "while running ", 14);

	n += write(2, current, strlen(current));
	n += write(2, "\n", 1);
	(void)n;
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void run_file(const struct fuzz_target *target)
{
	FILE *file = fopen(current, "re");
	static uint8_t bytes[1 << 16];
	uint8_t *exact;
	size_t size;

	FUZZ_TRUE(file);
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	exact = malloc(size ? size : 1); /* so that a read behind its end is one */
	FUZZ_TRUE(exact);
	memcpy(exact, bytes, size);
	target->run(exact, size);
	free(exact);
}

static unsigned run_folder(const struct fuzz_target *target, const char *root)
{
	char folder[2048];
	struct dirent **names = NULL;
	unsigned ran = 0;
	int count;

	snprintf(folder, sizeof(folder), "%s/%s", root, target->name);
	count = scandir(folder, &names, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		if (names[i]->d_name[0] != '.') {
			snprintf(current, sizeof(current), "%s/%s", folder, names[i]->d_name);
			run_file(target);
			ran++;
		}
		free(names[i]);
	}
	free(names);
	return ran;
}

int main(int argc, char **argv)
{
	unsigned n = 0, failed = 0, total = 0;

	if (argc < 2) {
		fprintf(stderr, "fuzz-replay FOLDER [TARGET]\n");
		return 2;
	}
	signal(SIGABRT, died);
	signal(SIGSEGV, died);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const struct fuzz_target *target = fuzz_targets; target->name; target++) {
		unsigned ran;

		if (argc > 2 && strcmp(argv[2], target->name) != 0)
			continue;
		ran = run_folder(target, argv[1]);
		total += ran;
		failed += !ran;
		printf("%sok %u - %s holds for all %u inputs of its corpus\n", ran ? "" : "not ",
		       ++n, target->name, ran);
	}
	printf("# figure fuzz | inputs replayed | %u | %u\n", total, total);
	printf("1..%u\n", n);
	return failed || !n;
}
