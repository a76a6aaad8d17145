/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * start: how the hook finds its place in a process, and when it stands aside instead.
 *
 * The first allocation may come from the dynamic loader, before libc has run its constructors: then
 * the real functions are looked up, and nothing more. Tables are made once the environment is there, at
 * the latest in our constructor, which also does what needs all of libc (thread exit, fork).
 *
 * It stands aside (forwards, records nothing, says why in the header) when the program runs with
 * raised privileges, or when the malloc behind or before us is not libc's.
 *
 * Environment:
 *   MEMINSPECT_HOOK           sampled (default), full, off
 *   MEMINSPECT_SAMPLE_BYTES   mean distance of two samples, 512k; k, m, g are binary
 *   MEMINSPECT_MAX_FRAMES     entries of the stack table, 1m (16 bytes each)
 *   MEMINSPECT_MAX_SITES      distinct stacks, 256k
 *   MEMINSPECT_MAX_SAMPLES    live samples, 32k (32 bytes each)
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "hook/hook.h"

struct insp_hook_header insp_hook_header = {
	.magic = INSP_HOOK_MAGIC,
	.version = INSP_HOOK_VERSION,
	.header_bytes = sizeof(struct insp_hook_header),
	.state = INSP_HOOK_NOT_STARTED,
};
int insp_hook_mode = INSP_HOOK_OFF;
struct insp_hook_limits insp_hook_limits = {.frames = 1u << 20, .sites = 1u << 18, .samples = 1u << 15};

/* The note that leads to the header: a loaded segment, in the first page of the file. */
__asm__(".pushsection .note.meminspect,\"a\",@note\n"
	"	.balign 4\n"
	"	.long 2f - 1f, 4f - 3f, 1\n" /* INSP_HOOK_NOTE_TYPE */
	"1:	.asciz \"meminspect\"\n"     /* INSP_HOOK_NOTE_NAME */
	"2:	.balign 4\n"
	"3:	.long insp_hook_header - 3b\n"
	"4:	.popsection\n");
_Static_assert(INSP_HOOK_NOTE_TYPE == 1 && sizeof(INSP_HOOK_NOTE_NAME) == 11, "the note above");

/* ---- memory while looking for memory: dlsym of older libraries allocates */

char insp_hook_early_bytes[INSP_HOOK_EARLY] __attribute__((aligned(16)));
static size_t early_used;

/* A block is its size, in 16 bytes, and the bytes. */
static void *early_alloc(size_t n)
{
	if (n > sizeof(insp_hook_early_bytes))
		return NULL;
	size_t need = 16 + ((n + 15) & ~(size_t)15);
	size_t at = __atomic_fetch_add(&early_used, need, __ATOMIC_RELAXED);

	if (at + need > sizeof(insp_hook_early_bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	memcpy(insp_hook_early_bytes + at, &n, sizeof(n));
	insp_hook_filter_add((uintptr_t)insp_hook_early_bytes + at + 16);
	return insp_hook_early_bytes + at + 16;
}

size_t insp_hook_early_size(const void *p)
{
	size_t n;

	memcpy(&n, (const char *)p - 16, sizeof(n));
	return n;
}

/* ---- the real functions */

/* volatile: libc says that dlsym never comes back to us (attribute leaf), and before 2.34 it does. */
static hook_tls volatile bool resolving;

/* dlsym's void * as a function pointer. */
static void resolve_one(const char *name, void *ret_fn)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found)
		memcpy(ret_fn, &found, sizeof(found));
}

static void resolve(void)
{
	static bool done;
	struct insp_hook_real real = insp_hook_real;

	if (resolving || __atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return;
	resolving = true;
	resolve_one("calloc", &real.calloc);
	resolve_one("realloc", &real.realloc);
	resolve_one("free", &real.free);
	resolve_one("memalign", &real.memalign);
	resolve_one("aligned_alloc", &real.aligned_alloc);
	resolve_one("posix_memalign", &real.posix_memalign);
	resolve_one("valloc", &real.valloc);
	resolve_one("pvalloc", &real.pvalloc);
	resolve_one("dlclose", &real.dlclose);
	resolve_one("malloc", &real.malloc);
	insp_hook_real = real;
	resolving = false;
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
}

static void *first_malloc(size_t n)
{
	resolve();
	return insp_hook_real.malloc == first_malloc ? early_alloc(n) : insp_hook_real.malloc(n);
}

static void *first_calloc(size_t n, size_t size_bytes)
{
	size_t total;

	if (__builtin_mul_overflow(n, size_bytes, &total))
		return NULL;
	resolve();
	return insp_hook_real.calloc == first_calloc ? early_alloc(total)
						     : insp_hook_real.calloc(n, size_bytes);
}

static void first_free(void *p)
{
	resolve();
	if (insp_hook_real.free != first_free && !insp_hook_early(p))
		insp_hook_real.free(p);
}

static void *first_realloc(void *p, size_t n)
{
	resolve();
	if (insp_hook_real.realloc != first_realloc)
		return insp_hook_real.realloc(p, n);
	void *q = early_alloc(n);

	if (q && p && insp_hook_early(p)) {
		size_t was = insp_hook_early_size(p);

		memcpy(q, p, was < n ? was : n);
	}
	return q;
}

static void *first_memalign(size_t align, size_t n)
{
	resolve();
	return insp_hook_real.memalign == first_memalign ? NULL : insp_hook_real.memalign(align, n);
}

static void *first_aligned_alloc(size_t align, size_t n)
{
	resolve();
	return insp_hook_real.aligned_alloc == first_aligned_alloc
		       ? NULL
		       : insp_hook_real.aligned_alloc(align, n);
}

static int first_posix_memalign(void **ret, size_t align, size_t n)
{
	resolve();
	return insp_hook_real.posix_memalign == first_posix_memalign
		       ? ENOMEM
		       : insp_hook_real.posix_memalign(ret, align, n);
}

static void *first_valloc(size_t n)
{
	resolve();
	return insp_hook_real.valloc == first_valloc ? NULL : insp_hook_real.valloc(n);
}

static void *first_pvalloc(size_t n)
{
	resolve();
	return insp_hook_real.pvalloc == first_pvalloc ? NULL : insp_hook_real.pvalloc(n);
}

static int first_dlclose(void *handle)
{
	resolve();
	return insp_hook_real.dlclose == first_dlclose ? -1 : insp_hook_real.dlclose(handle);
}

struct insp_hook_real insp_hook_real = {
	.malloc = first_malloc,
	.calloc = first_calloc,
	.realloc = first_realloc,
	.free = first_free,
	.memalign = first_memalign,
	.aligned_alloc = first_aligned_alloc,
	.posix_memalign = first_posix_memalign,
	.valloc = first_valloc,
	.pvalloc = first_pvalloc,
	.dlclose = first_dlclose,
};

/* ---- may it record here? */

static void stand_aside(const char *why, const char *what)
{
	char *p = insp_hook_header.reason;
	size_t room = sizeof(insp_hook_header.reason) - 1;

	for (int i = 0; i < 2; i++, why = what)
		for (; why && *why && room; room--)
			*p++ = *why++;
	*p = '\0';
	insp_hook_header.state = INSP_HOOK_ASIDE;
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path && *path ? path : "the program";
}

/* The object that the function is in, or NULL. */
static const struct link_map *object_of(void *fn)
{
	struct link_map *map = NULL;
	Dl_info info;

	return fn && dladdr1(fn, &info, (void **)&map, RTLD_DL_LINKMAP) ? map : NULL;
}

/* The program itself has no name in the loader's list. */
static bool not_ours(const struct link_map *map)
{
	Dl_info info = {.dli_fname = NULL};

	if (map)
		(void)dladdr(map->l_ld, &info);
	stand_aside("malloc is that of ", base_name(info.dli_fname));
	return false;
}

/* Only libc's malloc behind us, and nobody's before us? Else stands aside. */
static bool allocator_fits(void)
{
	void *next, *mine, *version;

	memcpy(&next, &insp_hook_real.malloc, sizeof(next));
	/* Not malloc: here as everywhere that is the function of whoever comes first. */
	memcpy(&mine, &(void *(*)(size_t)){insp_hook_slow_malloc}, sizeof(mine));
	memcpy(&version, &(const char *(*)(void)){gnu_get_libc_version}, sizeof(version));
	const struct link_map *libc = object_of(version), *ours = object_of(mine);
	const struct link_map *theirs = object_of(next);

	if (!libc || theirs != libc)
		return not_ours(theirs);
	theirs = ours ? insp_hook_first_to_define(ours, "malloc") : NULL;
	return theirs == ours || not_ours(theirs);
}

/* ---- the environment */

/* A number with k, m or g behind it; 0 for anything else. */
static uint64_t parse_number(const char *s)
{
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return 0;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return 0;
	unsigned shift = *s == 'k' || *s == 'K' ? 10 : *s == 'm' || *s == 'M' ? 20 :
			 *s == 'g' || *s == 'G' ? 30 : 0;

	if (shift)
		s++;
	return *s || v > UINT64_MAX >> shift ? 0 : v << shift;
}

/* False, and aside, when the variable makes no sense. */
static bool read_number(const char *name, uint64_t max, uint64_t *ret)
{
	const char *text = getenv(name);

	if (!text || !*text)
		return true;
	uint64_t v = parse_number(text);

	if (!v || v > max) {
		stand_aside("not a usable number: ", name);
		return false;
	}
	*ret = v;
	return true;
}

static bool read_limit(const char *name, uint32_t max, uint32_t *ret)
{
	uint64_t v = *ret;

	if (!read_number(name, max, &v))
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* The mode, or OFF with the reason given. */
static int read_environment(void)
{
	const char *mode = getenv("MEMINSPECT_HOOK");

	if (getauxval(AT_SECURE)) {
		stand_aside("the program runs with raised privileges", NULL);
		return INSP_HOOK_OFF;
	}
	insp_hook_header.sample_bytes = 512 * 1024;
	if (!read_number("MEMINSPECT_SAMPLE_BYTES", UINT64_C(1) << 40,
			 &insp_hook_header.sample_bytes) ||
	    !read_limit("MEMINSPECT_MAX_FRAMES", INSP_HOOK_SEGMENT << (INSP_HOOK_NSEGMENTS - 1),
			&insp_hook_limits.frames) ||
	    !read_limit("MEMINSPECT_MAX_SITES", INSP_HOOK_MAX_SITES, &insp_hook_limits.sites) ||
	    !read_limit("MEMINSPECT_MAX_SAMPLES", 1u << 24, &insp_hook_limits.samples))
		return INSP_HOOK_OFF;
	if (!mode || !*mode || !strcmp(mode, "sampled"))
		return INSP_HOOK_SAMPLED;
	if (!strcmp(mode, "full"))
		return INSP_HOOK_FULL;
	stand_aside(strcmp(mode, "off") ? "MEMINSPECT_HOOK is not sampled, full or off"
					: "MEMINSPECT_HOOK is off",
		    NULL);
	return INSP_HOOK_OFF;
}

/* ---- starting */

static void start_tables(int mode)
{
	bool full = mode == INSP_HOOK_FULL;

	if (insp_hook_stacks_init() || insp_hook_counters_init() || insp_hook_threads_init() ||
	    insp_hook_rules_init(full ? 15 : 11) ||
	    (full ? insp_hook_shadow_init() : insp_hook_samples_init())) {
		stand_aside("no memory for its tables", NULL);
		return;
	}
	insp_hook_header.pid = (uint32_t)getpid();
	(void)insp_hook_seconds();
	insp_hook_header.mode = (uint32_t)mode;
	insp_hook_header.state = INSP_HOOK_RUNNING;
	if (full)
		insp_hook_filter_all();
	__atomic_store_n(&insp_hook_mode, mode, __ATOMIC_RELEASE);
}

static void start_now(void)
{
	int saved = errno, mode;

	resolve();
	mode = read_environment();
	if (mode != INSP_HOOK_OFF && allocator_fits())
		start_tables(mode);
	errno = saved;
}

bool insp_hook_start(void)
{
	static int phase; /* 0 not started, 1 somebody is at it, 2 done */
	int none = 0;

	if (hook_likely(__atomic_load_n(&phase, __ATOMIC_ACQUIRE) == 2))
		return true;
	if (!environ || resolving)
		return false;
	if (!__atomic_compare_exchange_n(&phase, &none, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	start_now();
	__atomic_store_n(&phase, 2, __ATOMIC_RELEASE);
	return true;
}

/* ---- fork */

static bool busy_now(void)
{
	return insp_hook_self && insp_hook_self->busy;
}

static void before_fork(void)
{
	insp_hook_stacks_before_fork(busy_now());
}

static void after_fork_parent(void)
{
	insp_hook_stacks_after_fork(busy_now());
}

static void after_fork_child(void)
{
	insp_hook_stacks_after_fork(busy_now());
	insp_hook_header.pid = (uint32_t)getpid();
	insp_hook_threads_after_fork();
}

/* Also without any allocation: then the header at least says that it is there. */
__attribute__((constructor)) static void start_at_load(void)
{
	(void)insp_hook_start();
	if (insp_hook_mode == INSP_HOOK_OFF)
		return;
	insp_hook_threads_late_init();
	(void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}
