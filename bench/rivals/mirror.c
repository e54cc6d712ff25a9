/* SPDX-License-Identifier: Apache-2.0 */
/* mirror.c - see mirror.h. Thread: any. */
#include "rivals/mirror.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/bench.h"

void mirror_map(struct mirror *mirror, uint64_t bytes)
{
	uint64_t power = 65536;
	void *at;
	int fd;

	while (power < bytes)
		power *= 2;
	fd = memfd_create("bench", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)power))
		bench_die("no memory for a ring");
	at = mmap(NULL, 2 * power, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		bench_die("no room for a ring");
	mirror->data = at;
	mirror->bytes = power;
	for (uint64_t half = 0; half < 2; half++)
		if (mmap(mirror->data + half * power, power, PROT_READ | PROT_WRITE,
		         MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			bench_die("a ring cannot be mapped twice");
	close(fd);
	memset(mirror->data, 1, 2 * power);
}

void mirror_unmap(struct mirror *mirror)
{
	munmap(mirror->data, 2 * mirror->bytes);
}
