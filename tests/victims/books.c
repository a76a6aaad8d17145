/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * books: a process whose resident bytes are known, one kind of memory a mode.
 *
 *   books MODE     prints "expect":[{"start":"0x..","rss":N,"line":"key"},...] (mappings) and
 *                  "lines":{"key":N} (lines of the books of which everything is known)
 *
 * SIGUSR2 calls malloc_trim(0) and prints the resident bytes before and after it of [heap] and of
 * the 64 MiB around each arena, as the kernel counts them: {"trim":{"main":[before,after],
 * "arenas":[{"start":"0x..","before":N,"after":N},...]}}.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "victim.h"

#define PAGE	  4096ul
#define HEAP_MAX  (64ul << 20)
#define ARENAS_MAX 64
#define KEPT	  2000

static char expect[1 << 16] = "\"expect\":[";
static size_t expect_len = 10;
static char smaps[8 << 20];
static uintptr_t arenas[ARENAS_MAX]; /* an address in each */
static unsigned narenas;
static pthread_barrier_t done;
static void *kept[ARENAS_MAX + 1][KEPT];

static void expecting(const void *start, size_t rss, const char *line)
{
	expect_len += (size_t)snprintf(expect + expect_len, sizeof(expect) - expect_len,
				       "%s{\"start\":\"%p\",\"rss\":%zu,\"line\":\"%s\"}",
				       expect_len > 10 ? "," : "", start, rss, line);
}

static void touch(void *p, size_t bytes)
{
	memset(p, 1, bytes);
}

/* Between two guards, so that the kernel merges it with nothing. */
static char *guarded(size_t bytes, int prot)
{
	char *p = mmap(NULL, bytes + 2 * (2 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	p += 2 << 20;
	if (mprotect(p, bytes, prot))
		_exit(5);
	return p;
}

/* Every other chunk freed: small ones, and ones that hold whole pages. */
static void fragment(void **slots, unsigned seed)
{
	for (unsigned i = 0; i < KEPT; i++) {
		size_t size = i % 4 < 2 ? 700 + seed * 16 : 3000 + i * 13 % 30000;

		slots[i] = malloc(size);
		touch(slots[i], size);
	}
	for (unsigned i = 0; i < KEPT; i += 2)
		free(slots[i]);
}

/* Fastbins full of neighbours of free chunks, tcaches, and a large top. */
static void litter(void **slots)
{
	static const size_t sizes[] = {24, 40, 72, 104};

	for (unsigned i = 0; i < KEPT; i++) {
		size_t size = i % 3 ? sizes[i % 4] : 5000 + i;

		slots[i] = malloc(size);
		touch(slots[i], size);
	}
	for (unsigned i = 0; i < KEPT * 3 / 4; i++)
		if (i % 7)
			free(slots[i]);
	for (unsigned i = KEPT; i-- > KEPT * 9 / 10;)
		free(slots[i]);
}

static void heavy_top(void)
{
	enum { N = 40000 };
	static void *p[N];

	for (unsigned i = 0; i < N; i++) {
		p[i] = malloc(1500); /* too large for a tcache, which would pin top */
		touch(p[i], 1500);
	}
	for (unsigned i = N; i-- > 0;)
		free(p[i]);
}

static void *arena_thread(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	char name[16];

	snprintf(name, sizeof(name), "arena-%u", i);
	prctl(PR_SET_NAME, name);
	if (i % 2)
		fragment(kept[i], i);
	else
		litter(kept[i]);
	arenas[i] = (uintptr_t)kept[i][1];
	pthread_barrier_wait(&done);
	for (;;)
		pause();
	return NULL;
}

static void threads(unsigned n, size_t stack, void *(*fn)(void *))
{
	pthread_attr_t attr;

	pthread_barrier_init(&done, NULL, n + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack);
	for (unsigned i = 0; i < n; i++) {
		pthread_t t;

		if (pthread_create(&t, &attr, fn, (void *)(uintptr_t)i))
			_exit(5);
	}
	pthread_barrier_wait(&done);
}

static __attribute__((noinline)) void deep(size_t bytes)
{
	char buf[bytes];

	touch(buf, bytes);
	__asm__ volatile("" : : "r"(buf) : "memory");
}

static void *stack_thread(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	deep(16384 + i % 4 * 32768);
	pthread_barrier_wait(&done);
	for (;;)
		pause();
	return NULL;
}

static void *short_thread(void *arg)
{
	deep(100000);
	return arg;
}

static void mapped_chunks(void)
{
	for (unsigned i = 0; i < 20; i++) {
		kept[0][i] = malloc((1 << 20) + i * 4096);
		touch(kept[0][i], 512 << 10);
	}
}

static void shared(void)
{
	int fd = (int)syscall(SYS_memfd_create, "books", 0), id = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
	char *p;

	if (fd < 0 || id < 0 || ftruncate(fd, 1 << 20))
		_exit(5);
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	touch(p, 100 * PAGE);
	expecting(p, 100 * PAGE, "shared_memory");
	p = shmat(id, NULL, 0);
	(void)shmctl(id, IPC_RMID, NULL);
	touch(p, 7 * PAGE);
	expecting(p, 7 * PAGE, "shared_memory");
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	touch(p + PAGE, 9 * PAGE);
	expecting(p, 9 * PAGE, "shared_memory");
}

static void files(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char *p, *q;

	if (fd < 0 || ftruncate(fd, 1 << 20))
		_exit(5);
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)madvise(p, 1 << 20, MADV_RANDOM); /* no fault-around */
	touch(p, 30 * PAGE);
	expecting(p, 30 * PAGE, "file_shared");
	q = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	(void)madvise(q, 1 << 20, MADV_RANDOM);
	touch(q + PAGE, 5 * PAGE);
	expecting(q, 5 * PAGE, "file_private");
	(void)unlink(path);
}

static void huge(void)
{
	size_t size = 8ul << 20;
	char *p = mmap(NULL, size * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	p = (char *)(((uintptr_t)p + (4ul << 20) - 1) & ~((2ul << 20) - 1));
	if (mprotect(p, size, PROT_READ | PROT_WRITE) || madvise(p, size, MADV_HUGEPAGE))
		_exit(5);
	touch(p, size);
	expecting(p, size, "anonymous");
	/* and a heap of huge pages with every other chunk freed */
	for (unsigned i = 0; i < 400; i++) {
		kept[0][i] = malloc(20000);
		if (i == 0)
			(void)madvise((void *)(((uintptr_t)kept[0][0] + PAGE) & ~(PAGE - 1)), 8 << 20,
				      MADV_HUGEPAGE);
		touch(kept[0][i], 20000);
	}
	for (unsigned i = 0; i < 400; i += 2)
		free(kept[0][i]);
}

static void anonymous(void)
{
	char *p = guarded(5 << 20, PROT_READ | PROT_WRITE);
	volatile char sink;
	pthread_t t;

	touch(p + 2 * PAGE, 3 << 20);
	for (unsigned i = 0; i < 100; i++) /* the page of zeroes: not in RSS */
		sink = p[(4 << 20) + i * PAGE];
	(void)sink;
	expecting(p, 3 << 20, "anonymous");
	p = guarded(1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC);
	touch(p, 4 * PAGE);
	expecting(p, 4 * PAGE, "jit");
	if (pthread_create(&t, NULL, short_thread, NULL) || pthread_join(t, NULL))
		_exit(5);
}

/* Freed neighbours of top, then pages given back by hand, so that not all of a free chunk is there. */
static void holes(void)
{
	fragment(kept[0], 3);
	for (unsigned i = 0; i < 30; i++) {
		kept[1][i] = malloc(100000);
		touch(kept[1][i], 100000);
	}
	for (unsigned i = 0; i < 30; i += 2)
		free(kept[1][i]);
	malloc_trim(1 << 20);
	for (unsigned i = 30; i < 60; i++) {
		kept[1][i] = malloc(90000);
		memset(kept[1][i], 1, 5000);
	}
	for (unsigned i = 31; i < 60; i += 2)
		free(kept[1][i]);
}

/* Half of the heap's pages and of a mapping's, at their starts, written out to swap, if there is any. */
static void swapped(void)
{
	char *p = guarded(4 << 20, PROT_READ | PROT_WRITE);

	touch(p, 4 << 20);
	for (unsigned i = 0; i < KEPT; i++) {
		kept[0][i] = malloc(4000 + i % 7 * 16);
		touch(kept[0][i], 4000);
	}
	(void)madvise((void *)(((uintptr_t)kept[0][0] + PAGE) & ~(PAGE - 1)), 4 << 20, MADV_PAGEOUT);
	(void)madvise(p, 2 << 20, MADV_PAGEOUT);
}

static size_t slurp(void)
{
	int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, smaps + n, sizeof(smaps) - 1 - n)) > 0)
		n += (size_t)got;
	smaps[n] = '\0';
	close(fd);
	return n;
}

/* Resident bytes of all mappings that begin in [start, end), or of [heap]. */
static size_t resident(uintptr_t start, uintptr_t end, bool heap)
{
	size_t sum = 0;
	bool in = false;

	for (char *line = smaps, *next; *line; line = next) {
		unsigned long a, b, kb;
		char *eol = strchr(line, '\n');

		next = eol ? eol + 1 : line + strlen(line);
		if (eol)
			*eol = '\0';
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2)
			in = heap ? strstr(line, "[heap]") != NULL : a >= start && a < end;
		else if (in && sscanf(line, "Rss: %lu kB", &kb) == 1)
			sum += kb * 1024;
		if (eol)
			*eol = '\n';
	}
	return sum;
}

static void measure(size_t *ret)
{
	slurp();
	ret[0] = resident(0, 0, true);
	for (unsigned i = 0; i < narenas; i++)
		ret[i + 1] = resident(arenas[i] & ~(HEAP_MAX - 1),
				      (arenas[i] & ~(HEAP_MAX - 1)) + HEAP_MAX, false);
}

static void trim(void)
{
	static size_t before[ARENAS_MAX + 1], after[ARENAS_MAX + 1];
	static char line[1 << 16];
	int n;

	measure(before);
	malloc_trim(0);
	measure(after);
	n = snprintf(line, sizeof(line), "{\"trim\":{\"main\":[%zu,%zu],\"arenas\":[", before[0], after[0]);
	for (unsigned i = 0; i < narenas; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n,
			      "%s{\"start\":\"0x%lx\",\"before\":%zu,\"after\":%zu}", i ? "," : "",
			      (unsigned long)(arenas[i] & ~(HEAP_MAX - 1)), before[i + 1], after[i + 1]);
	n += snprintf(line + n, sizeof(line) - (size_t)n, "]}}\n");
	victim_write(line, (size_t)n);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	sigset_t set;

	victim_init();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	if (!strcmp(mode, "fragmented")) {
		fragment(kept[0], 0);
	} else if (!strcmp(mode, "top")) {
		heavy_top();
	} else if (!strcmp(mode, "litter")) {
		litter(kept[0]);
	} else if (!strcmp(mode, "holes")) {
		holes();
	} else if (!strcmp(mode, "arenas")) {
		narenas = 8;
		fragment(kept[ARENAS_MAX], 0);
		threads(narenas, 1 << 20, arena_thread);
	} else if (!strcmp(mode, "stacks")) {
		threads(500, 256 << 10, stack_thread);
	} else if (!strcmp(mode, "mmapped")) {
		mallopt(M_MMAP_THRESHOLD, 128 << 10);
		mapped_chunks();
	} else if (!strcmp(mode, "shared")) {
		shared();
	} else if (!strcmp(mode, "files") && argc > 2) {
		files(argv[2]);
	} else if (!strcmp(mode, "huge")) {
		huge();
	} else if (!strcmp(mode, "anonymous")) {
		anonymous();
	} else if (!strcmp(mode, "swapped")) {
		swapped();
	} else {
		return 2;
	}
	victim_ready("%s]", expect);
	for (;;) {
		int sig;

		sigaddset(&set, SIGUSR1);
		if (sigwait(&set, &sig))
			continue;
		if (sig == SIGUSR2) {
			trim();
			continue;
		}
		victim_write("{\"alive\":true}\n", 15);
	}
}
