/* SPDX-License-Identifier: Apache-2.0 */
/* stress.c - see stress.h: TAP, chance, tickets, the ledger, the identity. The sink is meter.c. */
#include "stress.h"

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned tap_count, tap_failed;

static void line(const char *head, const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	printf("%s%s\n", head, text);
	fflush(stdout);
}

void ok(int good, const char *format, ...)
{
	char head[64];
	va_list args;

	tap_count++;
	tap_failed += !good;
	snprintf(head, sizeof(head), "%sok %u - ", good ? "" : "not ", tap_count);
	va_start(args, format);
	line(head, format, args);
	va_end(args);
}

void skip(const char *why, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("ok %u - %s # SKIP %s\n", ++tap_count, text, why);
	fflush(stdout);
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line("# ", format, args);
	va_end(args);
}

int done(void)
{
	printf("1..%u\n", tap_count);
	fflush(stdout);
	return tap_failed ? 1 : 0;
}

double stress_seconds(void)
{
	const char *text = getenv("WEIR_STRESS_SECONDS");
	double seconds = text ? atof(text) : 0;

	return seconds > 0 ? seconds : 2;
}

uint64_t now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

void nap_ns(uint64_t ns)
{
	struct timespec at = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	while (nanosleep(&at, &at) < 0 && errno == EINTR)
		;
}

uint64_t stress_seed(void)
{
	static uint64_t seed;
	const char *text = getenv("WEIR_STRESS_SEED");

	if (!seed) {
		seed = (now_ns() * 2654435761u) ^ (uint64_t)getpid();
		if (text)
			seed = strtoull(text, NULL, 0);
		seed = seed ? seed : 1;
		note("WEIR_STRESS_SEED=%" PRIu64 " WEIR_STRESS_SECONDS=%g", seed, stress_seconds());
	}
	return seed;
}

uint64_t rnd(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

int stress_is_slow(void)
{
	const char *text = getenv("WEIR_STRESS_SLOW");

	return text && *text && *text != '0';
}

int wait_count(const _Atomic uint64_t *word, uint64_t value, double seconds)
{
	uint64_t until = now_ns() + (uint64_t)(seconds * 1e9);

	while (atomic_load(word) < value) {
		if (now_ns() > until)
			return 0;
		nap_ns(200000);
	}
	return 1;
}

int in_child(int (*fn)(void *arg), void *arg, unsigned seconds)
{
	uint64_t until = now_ns() + (uint64_t)seconds * 1000000000u;
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int r = fn(arg);

		fflush(stdout);
		_exit(r);
	}
	if (pid < 0)
		return 255;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ns() > until) {
			kill(pid, SIGABRT);
			waitpid(pid, &status, 0);
			break;
		}
		nap_ns(1000000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int count_entries(const char *directory)
{
	DIR *dir = opendir(directory);
	int n = 0;

	if (!dir)
		return -1;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size = 0, resident = 0;

	if (!file)
		return -1;
	if (fscanf(file, "%ld %ld", &size, &resident) != 2)
		resident = -1;
	fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

void tally_add(struct tally *tally, int r)
{
	tally->attempted++;
	switch (r) {
	case 0:
		tally->accepted++;
		break;
	case -EAGAIN:
		tally->again++;
		break;
	case -ETIMEDOUT:
		tally->timed_out++;
		break;
	case -EMSGSIZE:
		tally->too_big++;
		break;
	case -ESHUTDOWN:
		tally->shutdown++;
		break;
	case -EDEADLK:
		tally->deadlock++;
		break;
	case -ENOMEM:
		tally->no_memory++;
		break;
	default:
		tally->other++;
		tally->last_other = r;
	}
}

void tally_sum(struct tally *sum, const struct tally *tally)
{
	sum->attempted += tally->attempted;
	sum->accepted += tally->accepted;
	sum->again += tally->again;
	sum->timed_out += tally->timed_out;
	sum->too_big += tally->too_big;
	sum->shutdown += tally->shutdown;
	sum->deadlock += tally->deadlock;
	sum->no_memory += tally->no_memory;
	sum->other += tally->other;
	if (tally->last_other)
		sum->last_other = tally->last_other;
}

static uint8_t filler(const struct ticket *ticket, size_t i)
{
	return (uint8_t)(ticket->number * 31 + ticket->pusher * 7 + ticket->lane + i);
}

void ticket_write(struct pusher *pusher, unsigned lane, void *to, size_t size)
{
	struct ticket ticket = { pusher->id, lane, 0, { 0 } };
	uint8_t *at = to;

	for (unsigned i = 0; i < LANES; i++)
		ticket.done[i] = atomic_load_explicit(&pusher->done[i], memory_order_relaxed);
	ticket.number = ticket.done[lane] + 1;
	memcpy(at, &ticket, sizeof(ticket));
	/* The ends tell a torn copy; filling all of it would only slow the test down. */
	for (size_t i = sizeof(ticket); i < size; i += i + 8 < size && i > 256 ? 61 : 1)
		at[i] = filler(&ticket, i);
	if (size > sizeof(ticket))
		at[size - 1] = filler(&ticket, size - 1);
}

void ticket_accepted(struct pusher *pusher, unsigned lane)
{
	/* A handler of this thread reads it: program order is all it takes. */
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&pusher->done[lane],
	                      atomic_load_explicit(&pusher->done[lane], memory_order_relaxed) + 1,
	                      memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

int push_ticket(struct weir *weir, struct pusher *pusher, unsigned lane, size_t size,
                const struct weir_push_options *options)
{
	int r;

	ticket_write(pusher, lane, pusher->buffer[lane], size);
	r = options ? weir_push_ex(weir, pusher->buffer[lane], size, options)
	            : weir_push(weir, pusher->buffer[lane], size);
	if (r == 0)
		ticket_accepted(pusher, lane);
	tally_add(&pusher->tally[lane], r);
	return r;
}

int ticket_is_whole(const struct weir_record *record)
{
	const uint8_t *at = record->data;
	struct ticket ticket;
	size_t size = record->size;

	if (size < sizeof(ticket))
		return 0;
	memcpy(&ticket, at, sizeof(ticket));
	if (ticket.pusher >= PUSHERS_MAX || ticket.lane >= LANES || !ticket.number)
		return 0;
	for (size_t i = sizeof(ticket); i < size; i += i + 8 < size && i > 256 ? 61 : 1)
		if (at[i] != filler(&ticket, i))
			return 0;
	return size == sizeof(ticket) || at[size - 1] == filler(&ticket, size - 1);
}

void ledger_init(struct ledger *ledger)
{
	memset(ledger, 0, sizeof(*ledger));
}

void ledger_fini(struct ledger *ledger)
{
	for (unsigned i = 0; i < PUSHERS_MAX; i++)
		for (unsigned k = 0; k < LANES; k++)
			if (ledger->seen[i][k])
				munmap(ledger->seen[i][k], LEDGER_MOST / 8);
	memset(ledger, 0, sizeof(*ledger));
}

static void trouble(struct ledger *ledger, _Atomic uint64_t *counter, const char *what,
                    const struct ticket *ticket)
{
	atomic_fetch_add(counter, 1);
	if (atomic_exchange(&ledger->told, 1))
		return;
	snprintf(ledger->first_trouble, sizeof(ledger->first_trouble),
	         "%s: pusher %u lane %u number %" PRIu64 " done %" PRIu64 "/%" PRIu64 "/%" PRIu64
	         ", seen %" PRIu64 "/%" PRIu64 "/%" PRIu64,
	         what, ticket->pusher, ticket->lane, ticket->number, ticket->done[0],
	         ticket->done[1], ticket->done[2], ledger->last[ticket->pusher][0],
	         ledger->last[ticket->pusher][1], ledger->last[ticket->pusher][2]);
}

static int decode(struct ledger *ledger, const struct weir_record *record, struct ticket *ret)
{
	if (!ticket_is_whole(record)) {
		struct ticket none = { 0, 0, 0, { 0 } };

		trouble(ledger, &ledger->damaged, "damaged", &none);
		return 0;
	}
	memcpy(ret, record->data, sizeof(*ret));
	return 1;
}

void ledger_in_order(struct ledger *ledger, const struct weir_record *record)
{
	struct ticket ticket;
	uint64_t *last;

	ledger->records++;
	if (!decode(ledger, record, &ticket))
		return;
	last = ledger->last[ticket.pusher];
	if (ticket.number != last[ticket.lane] + 1)
		trouble(ledger, &ledger->misordered, "not consecutive", &ticket);
	for (unsigned i = 0; i < LANES; i++)
		if (i != ticket.lane && last[i] < ticket.done[i])
			trouble(ledger, &ledger->misordered, "before its time", &ticket);
	last[ticket.lane] = ticket.number;
}

void ledger_once(struct ledger *ledger, const struct weir_record *record)
{
	_Atomic uint64_t *bits, *none = NULL;
	struct ticket ticket;

	if (!decode(ledger, record, &ticket))
		return;
	bits = atomic_load(&ledger->seen[ticket.pusher][ticket.lane]);
	if (!bits) {
		bits = mmap(NULL, LEDGER_MOST / 8, PROT_READ | PROT_WRITE,
		            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (bits == MAP_FAILED)
			abort();
		if (!atomic_compare_exchange_strong(&ledger->seen[ticket.pusher][ticket.lane], &none,
		                                    bits)) {
			munmap(bits, LEDGER_MOST / 8);
			bits = none;
		}
	}
	if (ticket.number < LEDGER_MOST &&
	    atomic_fetch_or_explicit(&bits[ticket.number / 64], UINT64_C(1) << ticket.number % 64,
	                             memory_order_relaxed) >> ticket.number % 64 & 1)
		trouble(ledger, &ledger->twice, "twice", &ticket);
}

struct weir_stats stats_of(const struct weir *weir)
{
	struct weir_stats stats = { .size = sizeof(stats) };

	if (weir_stats(weir, &stats))
		abort();
	return stats;
}

uint64_t dropped_of(const struct weir_stats *stats)
{
	return stats->dropped_rejected + stats->dropped_timeout + stats->dropped_too_large +
	       stats->dropped_fatal + stats->dropped_shutdown;
}

static unsigned check(unsigned bit, int explain, const char *what, uint64_t a, uint64_t b)
{
	if (a == b)
		return 0;
	if (explain)
		note("identity: %s: %" PRIu64 " is not %" PRIu64, what, a, b);
	return bit;
}

unsigned identity(struct weir *weir, const struct tally *tally, const struct meter *meter,
                  uint64_t base, int explain)
{
	struct weir_stats stats = stats_of(weir);
	struct weir_audit audit = { .size = sizeof(audit) };
	uint64_t refused = stats.refused_full + stats.refused_too_big + stats.refused_closed +
	                   stats.refused_context;
	uint64_t accepted = stats.accepted - base, delivered = stats.delivered - base;
	unsigned wrong = 0;

	if (weir_audit(weir, &audit))
		return ~0u;
	wrong |= check(WRONG_ATTEMPTED, explain, "attempted = accepted + refused",
	               tally->attempted - tally->other, accepted + refused);
	wrong |= check(WRONG_ACCEPTED, explain, "accepted", tally->accepted, accepted);
	wrong |= check(WRONG_DELIVERED, explain, "delivered", atomic_load(&meter->delivered),
	               delivered);
	wrong |= check(WRONG_BALANCE, explain, "accepted = delivered + dropped + pending",
	               tally->accepted,
	               atomic_load(&meter->delivered) + dropped_of(&stats) + stats.dead_lettered +
	                       stats.pending);
	wrong |= check(WRONG_PENDING, explain, "pending", stats.pending, 0);
	wrong |= check(WRONG_AUDIT, explain, "audit's residual", (uint64_t)audit.residual, 0);
	wrong |= check(WRONG_AUDIT, explain, "audit's pending",
	               audit.pending_ring + audit.pending_batch, 0);
	wrong |= check(WRONG_AGREE, explain, "audit's accepted", audit.accepted, stats.accepted);
	wrong |= check(WRONG_AGREE, explain, "audit's dropped", audit.dropped, dropped_of(&stats));
	wrong |= check(WRONG_REFUSED, explain, "refused as full or for the context",
	               tally->again + tally->timed_out + tally->deadlock + tally->no_memory,
	               stats.refused_full + stats.refused_context);
	wrong |= check(WRONG_REFUSED, explain, "refused as too big", tally->too_big,
	               stats.refused_too_big);
	wrong |= check(WRONG_REFUSED, explain, "refused as closed", tally->shutdown,
	               stats.refused_closed);
	if (tally->other && explain)
		note("identity: %" PRIu64 " unexpected answers, the last %d", tally->other,
		     tally->last_other);
	return wrong;
}

void config_small(struct weir_config *config)
{
	weir_config_init(config);
	config->threshold = 512;
	config->deadline_ns = WEIR_MILLIS(2);
	config->ring_bytes = 256 * 1024;
	config->record_max = 60000;
}

struct weir *open_or_die(const struct weir_config *config, struct meter *meter)
{
	struct weir_why why = { "" };
	struct weir *weir = NULL;
	int r = weir_open(config, &meter->sink, &weir, &why);

	if (r) {
		printf("Bail out! weir_open: %d %s\n", r, why.text);
		fflush(stdout);
		abort();
	}
	return weir;
}
