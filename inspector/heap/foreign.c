/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * foreign: recognises allocators that have no walker here, so that a report can say what is there
 * instead of showing a nearly empty heap of glibc.
 *
 * Marks, from the surest down: symbols that the module exports or keeps (mallctl), sections
 * (.go.buildinfo), strings that its code prints, the module's file name. One row per module and
 * allocator; it is never walked.
 */
#include "heap/allocator.h"

#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STRINGS_MAX (UINT64_C(32) << 20) /* of read-only data that is searched */

struct mark {
	const char *key, *title;
	const char *symbols[4];
	const char *strings[2]; /* searched in the main program only: slow */
	const char *modules[3]; /* how their file names begin; with a slash: a part of their paths */
	const char *tools;	/* for people: whom to ask about its heap; NULL: itself, if it can tell */
};

static const struct mark marks[] = {
	{.key = "jemalloc",
	 .title = "jemalloc",
	 .symbols = {"mallctl", "je_mallctl", "_rjem_mallctl", "malloc_stats_print"},
	 .strings = {"<jemalloc>: "},
	 .modules = {"libjemalloc.so"},
	 .tools = "ask jemalloc itself: malloc_stats_print, or MALLOC_CONF=stats_print:true"},
	{.key = "tcmalloc",
	 .title = "tcmalloc",
	 .symbols = {"tc_malloc", "MallocExtension_Internal_GetStats", "tc_version",
		     "TCMalloc_Internal_GetStats"},
	 .strings = {"tcmalloc: large alloc", "Bytes in use by application"},
	 .modules = {"libtcmalloc"},
	 .tools = "ask tcmalloc itself: MallocExtension::GetStats, or its heap profiler"},
	{.key = "mimalloc",
	 .title = "mimalloc",
	 .symbols = {"mi_malloc", "mi_version", "mi_heap_malloc"},
	 .strings = {"mimalloc: "},
	 .modules = {"libmimalloc"},
	 .tools = "ask mimalloc itself: mi_stats_print, or MIMALLOC_SHOW_STATS=1"},
	{.key = "musl",
	 .title = "malloc of musl",
	 .symbols = {"__malloc_context", "__libc_malloc_impl", "__bin_chunk"},
	 .modules = {"ld-musl-", "libc.musl-", "-linux-musl/libc.so"},
	 .tools = "musl's malloc keeps no statistics: where the program also runs on glibc, look there"},
	{.key = "asan",
	 .title = "AddressSanitizer's malloc",
	 .symbols = {"__asan_init", "__asan_version_mismatch_check_v8"},
	 .modules = {"libasan.so", "libclang_rt.asan"}},
	{.key = "boehm",
	 .title = "Boehm collector",
	 .symbols = {"GC_malloc", "GC_gcollect"},
	 .modules = {"libgc.so"}},
	{.key = "go", /* told by its section: go_version */
	 .title = "Go runtime",
	 .tools = "ask the Go runtime: its /debug/pprof/heap, GODEBUG=gctrace=1; GOMEMLIMIT is its limit"},
};

#define N_MARKS (sizeof(marks) / sizeof(marks[0]))

const char *insp_allocator_tools(const char *name)
{
	for (size_t i = 0; i < N_MARKS; i++)
		if (strcmp(marks[i].key, name) == 0 && marks[i].tools)
			return marks[i].tools;
	return "ask the allocator itself, if it keeps statistics";
}

struct foreign {
	const char *key, *title, *version, *module, *evidence;
	int confidence;
};

struct search {
	const struct insp_heap_env *env;
	struct foreign **found;
	int n, max;
	bool nomem;
	unsigned seen; /* bits of marks */
};

static void add(struct search *s, const char *key, const char *title, const char *version,
		const struct insp_module *m, int confidence, const char *evidence)
{
	struct foreign *f;

	if (s->n == s->max)
		return;
	f = calloc(1, sizeof(*f));
	if (!f) {
		s->nomem = true;
		return;
	}
	*f = (struct foreign){
		.key = key,
		.title = version ? insp_pool_printf(s->env->pool, "%s %s", title, version) : title,
		.version = version,
		.module = insp_pool_strdup(s->env->pool, m->path),
		.evidence = evidence,
		.confidence = confidence,
	};
	s->found[s->n++] = f;
}

static void add_mark(struct search *s, size_t i, const struct insp_module *m, int confidence,
		     const char *what, const char *name)
{
	if (s->seen & 1u << i)
		return;
	s->seen |= 1u << i;
	add(s, marks[i].key, marks[i].title, NULL, m, confidence,
	    insp_pool_printf(s->env->pool, "%s '%s' in %s; there is no walker for it", what, name,
			     insp_module_basename(m)));
}

static void judge_symbol(struct search *s, const struct insp_module *m, const char *name)
{
	for (size_t i = 0; i < N_MARKS; i++)
		for (size_t k = 0; k < 4 && marks[i].symbols[k]; k++)
			if (strcmp(name, marks[i].symbols[k]) == 0)
				add_mark(s, i, m, 95, "symbol", marks[i].symbols[k]);
}

static void judge_symbols(struct search *s, const struct insp_module *m, Elf *elf, Elf_Scn *scn,
			  const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t n = sh->sh_entsize ? (size_t)(sh->sh_size / sh->sh_entsize) : 0;

	for (size_t i = 0; data && i < n; i++) {
		GElf_Sym sym;
		const char *name;

		if (!gelf_getsym(data, (int)i, &sym))
			return;
		if (sym.st_shndx == SHN_UNDEF)
			continue; /* used, but not here */
		name = elf_strptr(elf, sh->sh_link, sym.st_name);
		if (name && name[0])
			judge_symbol(s, m, name);
	}
}

static void judge_strings(struct search *s, const struct insp_module *m, Elf_Scn *scn)
{
	Elf_Data *data = elf_rawdata(scn, NULL);

	if (!data || !data->d_buf)
		return;
	for (size_t i = 0; i < N_MARKS; i++)
		for (size_t k = 0; k < 2 && marks[i].strings[k]; k++)
			if (memmem(data->d_buf, data->d_size < STRINGS_MAX ? data->d_size : STRINGS_MAX,
				   marks[i].strings[k], strlen(marks[i].strings[k])))
				add_mark(s, i, m, 75, "string", marks[i].strings[k]);
}

/* "go1.22.1" from .go.buildinfo: 32 bytes of header, then a string with its length before it. */
static const char *go_version(struct search *s, Elf_Scn *scn)
{
	Elf_Data *data = elf_rawdata(scn, NULL);
	const uint8_t *p = data ? data->d_buf : NULL;

	if (!p || data->d_size < 34 || memcmp(p, "\xff Go buildinf:", 14) != 0 || !(p[15] & 2))
		return NULL; /* before Go 1.18 only a pointer stands there */
	if (p[32] < 3 || p[32] > 64 || 33u + p[32] > data->d_size)
		return NULL;
	return insp_pool_strndup(s->env->pool, (const char *)p + 33, p[32]);
}

static void judge_elf(struct search *s, const struct insp_module *m, Elf *elf)
{
	size_t names = 0;
	Elf_Scn *scn = NULL, *rodata = NULL;
	unsigned before = s->seen;
	GElf_Ehdr eh;

	if (!gelf_getehdr(elf, &eh))
		return;
	if (m->is_main && gelf_getclass(elf) == ELFCLASS32) {
		add(s, "elf32", "32-bit program", NULL, m, 100,
		    "a 32-bit program: its heap is not walked; maps and threads are shown");
		return;
	}
	if (elf_getshdrstrndx(elf, &names))
		return;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr sh;
		const char *name;

		if (!gelf_getshdr(scn, &sh))
			continue;
		name = elf_strptr(elf, names, sh.sh_name);
		if (sh.sh_type == SHT_DYNSYM || (sh.sh_type == SHT_SYMTAB && m->is_main))
			judge_symbols(s, m, elf, scn, &sh);
		else if (name && strcmp(name, ".go.buildinfo") == 0)
			add(s, "go", "Go runtime", go_version(s, scn), m, 95,
			    "section .go.buildinfo: the Go runtime has a heap of its own; there is "
			    "no walker for it");
		else if (name && m->is_main && strcmp(name, ".rodata") == 0)
			rodata = scn;
	}
	if (rodata && s->seen == before)
		judge_strings(s, m, rodata);
}

static void judge_name(struct search *s, const struct insp_module *m)
{
	const char *base = insp_module_basename(m);

	for (size_t i = 0; i < N_MARKS; i++)
		for (size_t k = 0; k < 3 && marks[i].modules[k]; k++) {
			const char *mark = marks[i].modules[k];

			if (strchr(mark, '/') ? m->path && strstr(m->path, mark)
					      : strncmp(base, mark, strlen(mark)) == 0)
				add_mark(s, i, m, 85, "module", mark);
		}
}

static void judge_file(struct search *s, const struct insp_module *m)
{
	const struct insp_region *r = insp_regions_find(s->env->regions, m->start);
	const char *base = insp_module_basename(m);
	int fd;

	/* The libraries of glibc itself make up most of the work, and hold no other malloc. */
	if (strncmp(base, "libc.so", 7) == 0 || strncmp(base, "libm.so", 7) == 0 ||
	    strncmp(base, "ld-linux", 8) == 0 || strncmp(base, "libstdc++", 9) == 0)
		return;
	if (!r || insp_region_anonymous(r) || !s->env->target->ops->open_file)
		return;
	fd = s->env->target->ops->open_file(s->env->target, INSP_TARGET_REGION_FILE, r, NULL);
	if (fd < 0)
		return;
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);

	if (elf && elf_kind(elf) == ELF_K_ELF)
		judge_elf(s, m, elf);
	if (elf)
		(void)elf_end(elf);
	(void)close(fd);
}

static int probe(const struct insp_heap_env *env, void **ret, int max, struct insp_error *err)
{
	struct foreign *found[16];
	struct search s = {.env = env, .found = found, .max = max < 16 ? max : 16};

	(void)elf_version(EV_CURRENT);
	for (size_t i = 0; i < env->modules->n; i++) {
		judge_file(&s, &env->modules->items[i]);
		judge_name(&s, &env->modules->items[i]);
	}
	if (s.nomem) {
		while (s.n--)
			free(found[s.n]);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the heap walk");
	}
	for (int i = 0; i < s.n; i++)
		ret[i] = found[i];
	return s.n;
}

static void describe(void *walk, struct insp_allocator *ret)
{
	const struct foreign *f = walk;

	*ret = (struct insp_allocator){
		.name = f->key,
		.title = f->title,
		.version = f->version,
		.module = f->module,
		.confidence = f->confidence,
		.evidence = f->evidence,
	};
}

const struct insp_heap_ops insp_heap_foreign = {
	.name = "foreign",
	.title = "allocators without a walker",
	.probe = probe,
	.describe = describe,
	.close = free,
};
