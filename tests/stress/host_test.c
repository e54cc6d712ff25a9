/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_test.c - a program that is linked with neither weir nor anything of it, loads the library at
 * run time, uses it from several threads and a signal handler, and unloads it. argv[1]: the library.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <weir/weir.h>

#define THREADS 4
#define RECORDS 20000

static int failed, count;
static __typeof__(&weir_push) push;
static struct weir *weir;
static _Atomic uint64_t pushed, seen;
static _Atomic int handler_answer;

static void ok(int good, const char *what)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++count, what);
	failed |= !good;
}

static void see(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	(void)arg;
	(void)verdict;
	atomic_fetch_add(&seen, batch->records);
}

static void on_signal(int number)
{
	(void)number;
	atomic_store(&handler_answer, push(weir, "from a handler", 14));
	if (!atomic_load(&handler_answer))
		atomic_fetch_add(&pushed, 1);
}

static void *push_some(void *arg)
{
	(void)arg;
	for (int i = 0; i < RECORDS; i++)
		if (push(weir, "from a host", 11) == 0)
			atomic_fetch_add(&pushed, 1);
	return NULL;
}

/* ISO C has no conversion from an object's pointer to a function's. */
static void *look_up(void *library, const char *name)
{
	void *found = dlsym(library, name);

	if (!found)
		printf("# %s\n", dlerror());
	return found;
}
#define LOOK_UP(pointer, name) (*(void **)(void *)&(pointer) = look_up(library, (name)))

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	struct sigaction action = { .sa_handler = on_signal };
	__typeof__(&weir_sink_callback) callback;
	__typeof__(&weir_features) features_of;
	__typeof__(&weir_open) open;
	__typeof__(&weir_close) close;
	__typeof__(&weir_free) give_back;
	struct weir_features features = { .size = sizeof(features) };
	struct weir_sink *sink = NULL;
	pthread_t threads[THREADS];
	int good;

	ok(library != NULL, "the library is loaded");
	if (!library) {
		printf("# %s\n1..%d\n", dlerror(), count);
		return 1;
	}
	good = LOOK_UP(push, "weir_push") && LOOK_UP(callback, "weir_sink_callback") &&
	       LOOK_UP(features_of, "weir_features") && LOOK_UP(open, "weir_open") &&
	       LOOK_UP(close, "weir_close") && LOOK_UP(give_back, "weir_free");
	ok(good, "its functions are found");
	if (!good)
		return 1;
	(void)features_of(NULL, &features);
	ok((int)features.jemalloc == (dlsym(RTLD_DEFAULT, "mallocx") != NULL),
	   features.jemalloc ? "it sees the host's jemalloc" : "it sees that the host has no jemalloc");
	good = callback(see, NULL, &sink) == 0 && open(NULL, sink, &weir, NULL) == 0;
	ok(good, "an engine is open");
	sigaction(SIGUSR1, &action, NULL);
	atomic_store(&handler_answer, 1);
	for (int i = 0; good && i < THREADS; i++)
		good = pthread_create(&threads[i], NULL, push_some, NULL) == 0;
	raise(SIGUSR1);
	for (int i = 0; good && i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ok(atomic_load(&handler_answer) == 0, "a handler pushes");
	ok(close(weir, WEIR_SECONDS(30), NULL) == 0 && atomic_load(&seen) == atomic_load(&pushed) &&
	           atomic_load(&seen) > RECORDS,
	   "what was pushed is delivered");
	ok(push(weir, "x", 1) == -ESHUTDOWN && give_back(weir) == 0, "the engine is closed and freed");
	ok(dlclose(library) == 0 && dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) != NULL,
	   "unloading it does nothing");
	printf("1..%d\n", count);
	return failed;
}
