/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * core: a core file as a target. Written by the kernel, by gcore or by ourselves; perhaps
 * compressed as systemd-coredump stores them, perhaps cut short.
 *
 * The file is never read as a whole: opening costs its program headers and notes (base/source.h tells
 * why it is not mapped either). What the core leaves out (text of libraries, by the default coredump_filter) is taken from the files that
 * NT_FILE names, if the first page says that they are still the same files.
 *
 * Three kinds of missing bytes are told apart:
 *   not dumped, file behind it     INSP_PAGE_FILE: the file has them
 *   not dumped, anonymous          INSP_PAGE_SWAPPED: they existed and are not here
 *   beyond the end of the file     the same: the core was cut short, and we say so
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "base/source.h"
#include "base/str.h"
#include "base/vec.h"
#include "target/core_unpack.h"
#include "target/registers.h"
#include "target/target.h"

#define PAGE	       4096u
#define MAX_SEGMENTS   (1u << 20)
#define MAX_FILES      (1u << 20)
#define MAX_FILES_TOLD 10000 /* each is looked for among all mappings */
#define MAX_THREADS    (1u << 18)
#define AUXV_MAX       4096u
#define DEFAULT_STACK  (64u << 10)

struct segment {
	uint64_t start, end;
	uint64_t offset, filesz; /* bytes of the core that hold it, clipped to the file */
};

struct mapped_file {
	uint64_t start, end, offset;
	const char *name;
	bool deleted;
};

struct core {
	struct insp_pool *pool;
	struct insp_source source;
	INSP_VEC(struct segment) segments; /* sorted by start */
	INSP_VEC(struct mapped_file) files; /* sorted by start */
	struct insp_regions regions;
	struct insp_threads threads;
	const char *cmdline, *exe;
	uint8_t *auxv;
	uint64_t auxv_bytes;
	bool truncated;
};

static bool core_claims(const char *spec)
{
	struct stat st;

	return stat(spec, &st) == 0 && S_ISREG(st.st_mode) && insp_core_is_one(spec);
}

static int fail_cut(const char *what, const char *spec, struct insp_error *err)
{
	return insp_fail(err, INSP_E_CORRUPT, "core '%s': %s lies beyond the end of the file", spec,
			 what);
}

/* NT_PRSTATUS: one thread with its registers, in the kernel's order. */
static int add_thread(struct core *c, uint64_t at, size_t n)
{
	struct elf_prstatus st;
	struct insp_thread *t;
	struct user_regs_struct regs;

	/* Another size is another architecture's: no registers rather than wrong ones. */
	if (n < sizeof(st) || c->threads.n >= MAX_THREADS ||
	    insp_source_read(&c->source, at, &st, sizeof(st)) != sizeof(st))
		return 0;
	t = insp_vec_push(&c->threads);
	if (!t)
		return INSP_E_NOMEM;
	t->tid = t->ns_tid = st.pr_pid;
	t->state = '-';
	t->cpu_ns = ((uint64_t)st.pr_utime.tv_sec + (uint64_t)st.pr_stime.tv_sec) * 1000000000 +
		    ((uint64_t)st.pr_utime.tv_usec + (uint64_t)st.pr_stime.tv_usec) * 1000;
	_Static_assert(sizeof(regs) == sizeof(st.pr_reg), "pr_reg is a struct user_regs_struct");
	memcpy(&regs, &st.pr_reg, sizeof(regs));
	insp_registers_fill(t, &regs);
	return 0;
}

static int read_psinfo(struct core *c, struct insp_target *target, uint64_t at, size_t n)
{
	struct elf_prpsinfo ps;

	if (n < sizeof(ps) || insp_source_read(&c->source, at, &ps, sizeof(ps)) != sizeof(ps))
		return 0;
	target->pid = target->ns_pid = ps.pr_pid;
	snprintf(target->comm, sizeof(target->comm), "%.*s", (int)sizeof(ps.pr_fname), ps.pr_fname);
	c->cmdline = insp_pool_strndup(c->pool, ps.pr_psargs, sizeof(ps.pr_psargs));
	return c->cmdline ? 0 : INSP_E_NOMEM;
}

static int add_files(struct core *c, const uint8_t *desc, size_t n)
{
	static const char gone[] = " (deleted)";
	uint64_t head[2], entry[3];
	const char *names, *end = (const char *)desc + n;

	memcpy(head, desc, sizeof(head));
	if (head[0] > MAX_FILES || head[0] > (n - sizeof(head)) / sizeof(entry) || !head[1])
		return 0;
	names = (const char *)desc + sizeof(head) + head[0] * sizeof(entry);
	for (uint64_t i = 0; i < head[0] && names < end; i++) {
		size_t len = strnlen(names, (size_t)(end - names));
		struct mapped_file *f = insp_vec_push(&c->files);

		if (!f)
			return INSP_E_NOMEM;
		memcpy(entry, desc + sizeof(head) + i * sizeof(entry), sizeof(entry));
		f->start = entry[0];
		f->end = entry[1];
		f->offset = entry[2] * head[1];
		f->deleted = len > sizeof(gone) &&
			     !memcmp(names + len - (sizeof(gone) - 1), gone, sizeof(gone) - 1);
		f->name = insp_pool_strndup(c->pool, names,
					    f->deleted ? len - (sizeof(gone) - 1) : len);
		if (!f->name)
			return INSP_E_NOMEM;
		names += len + 1;
	}
	return 0;
}

/* NT_FILE: count, page size, count times {start, end, offset in pages}, then the names. */
static int read_files(struct core *c, uint64_t at, size_t n)
{
	uint8_t *desc = n >= 2 * sizeof(uint64_t) ? malloc(n) : NULL;
	int rc = 0;

	if (desc && insp_source_read(&c->source, at, desc, n) == n)
		rc = add_files(c, desc, n);
	else if (!desc && n >= 2 * sizeof(uint64_t))
		rc = INSP_E_NOMEM;
	free(desc);
	return rc;
}

static int read_auxv(struct core *c, uint64_t at, size_t n)
{
	if (n > AUXV_MAX)
		return 0;
	c->auxv = insp_pool_alloc(c->pool, n + 1);
	if (!c->auxv)
		return INSP_E_NOMEM;
	c->auxv_bytes = insp_source_read(&c->source, at, c->auxv, n);
	return 0;
}

static int read_note(struct core *c, struct insp_target *target, uint32_t type, uint64_t at, size_t n)
{
	switch (type) {
	case NT_PRSTATUS:
		return add_thread(c, at, n);
	case NT_PRPSINFO:
		return read_psinfo(c, target, at, n);
	case NT_FILE:
		return read_files(c, at, n);
	case NT_AUXV:
		return read_auxv(c, at, n);
	default:
		return 0;
	}
}

/* A part of the file, so that notes, which are small and may be many, do not cost a call each. */
struct window {
	uint64_t offset;
	size_t n;
	uint8_t bytes[32 << 10];
};

static const uint8_t *look(const struct core *c, struct window *w, uint64_t offset, size_t n)
{
	if (offset < w->offset || offset - w->offset > w->n || n > w->n - (offset - w->offset)) {
		w->offset = offset;
		w->n = insp_source_read(&c->source, offset, w->bytes, sizeof(w->bytes));
	}
	return n <= w->n - (offset - w->offset) ? w->bytes + (offset - w->offset) : NULL;
}

static int read_notes(struct core *c, struct insp_target *target, const Elf64_Phdr *ph,
		      struct insp_error *err)
{
	static const char name[] = "CORE";
	uint64_t at = ph->p_offset, end = ph->p_offset + ph->p_filesz;
	struct window w = {0};

	if (end < at || end > c->source.size_bytes)
		return fail_cut("the note segment", target->spec, err);
	while (end - at >= sizeof(Elf64_Nhdr)) {
		const uint8_t *p = look(c, &w, at, sizeof(Elf64_Nhdr));
		Elf64_Nhdr nh;
		uint64_t name_at = at + sizeof(nh), desc_at, next;
		int rc;

		if (!p)
			break;
		memcpy(&nh, p, sizeof(nh));
		desc_at = name_at + (((uint64_t)nh.n_namesz + 3) & ~UINT64_C(3));
		next = desc_at + (((uint64_t)nh.n_descsz + 3) & ~UINT64_C(3));
		if (desc_at > end || desc_at + nh.n_descsz > end)
			break;
		p = nh.n_namesz == sizeof(name) ? look(c, &w, name_at, sizeof(name)) : NULL;
		if (p && !memcmp(p, name, sizeof(name))) {
			rc = read_note(c, target, nh.n_type, desc_at, nh.n_descsz);
			if (rc)
				return insp_fail(err, rc, "out of memory for the notes of the core");
		}
		if (next > end)
			break;
		at = next;
	}
	return 0;
}

static int add_segment(struct core *c, const Elf64_Phdr *ph, struct insp_error *err)
{
	struct segment *s;
	struct insp_region *r;
	uint64_t end = ph->p_vaddr + ph->p_memsz;

	if (!ph->p_memsz || end < ph->p_vaddr || ph->p_vaddr % PAGE || end % PAGE)
		return 0; /* an odd one says nothing that could be used */
	s = insp_vec_push(&c->segments);
	r = insp_vec_push(&c->regions);
	if (!s || !r)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the segments of the core");
	s->start = ph->p_vaddr;
	s->end = end;
	s->offset = ph->p_offset;
	s->filesz = ph->p_filesz < ph->p_memsz ? ph->p_filesz : ph->p_memsz;
	if (s->offset > c->source.size_bytes)
		s->offset = c->source.size_bytes;
	if (s->filesz > c->source.size_bytes - s->offset) {
		s->filesz = (c->source.size_bytes - s->offset) & ~(uint64_t)(PAGE - 1);
		c->truncated = true;
	}
	r->start = s->start;
	r->end = s->end;
	r->name = "";
	r->prot = (ph->p_flags & PF_R ? INSP_PROT_READ : 0u) |
		  (ph->p_flags & PF_W ? INSP_PROT_WRITE : 0u) |
		  (ph->p_flags & PF_X ? INSP_PROT_EXEC : 0u);
	return 0;
}

static int segment_compare(const void *a, const void *b)
{
	/* Works for segments, regions and files: all begin with the start address. */
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

/* Sorts and drops overlaps. */
static void sort_segments(struct core *c)
{
	size_t kept = 0;

	if (!c->segments.n)
		return;
	qsort(c->segments.items, c->segments.n, sizeof(*c->segments.items), segment_compare);
	qsort(c->regions.items, c->regions.n, sizeof(*c->regions.items), segment_compare);
	for (size_t i = 0; i < c->regions.n; i++) {
		if (kept && c->regions.items[i].start < c->regions.items[kept - 1].end)
			continue;
		c->regions.items[kept] = c->regions.items[i];
		c->segments.items[kept++] = c->segments.items[i];
	}
	c->regions.n = c->segments.n = kept;
}

/* To open a device may have effects, and a core may name any. */
static int open_regular(const char *path)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* The file that the core calls name: where --exe and --sysroot say, else at its own place. */
static int open_named(const struct core *c, const struct insp_target *target, const char *name)
{
	const char *root = target->config.sysroot, *base = strrchr(name, '/');
	char path[PATH_MAX];
	int fd = -1;

	if (target->config.exe && c->exe && !strcmp(name, c->exe))
		return open_regular(target->config.exe);
	if (!root)
		return open_regular(name);
	if (snprintf(path, sizeof(path), "%s%s", root, name) < (int)sizeof(path))
		fd = open_regular(path);
	if (fd < 0 && base && snprintf(path, sizeof(path), "%s%s", root, base) < (int)sizeof(path))
		fd = open_regular(path);
	/* Our own one may be the same: whoever opens it compares. */
	return fd >= 0 ? fd : open_regular(name);
}

/* How the program headers of the file say that its offset is mapped; read and execute if unknown. */
static uint32_t file_prot(const struct core *c, const struct insp_target *target, const char *name,
			  uint64_t offset)
{
	int fd = open_named(c, target, name);
	uint32_t prot = INSP_PROT_READ | INSP_PROT_EXEC;
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	if (fd < 0)
		return prot;
	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		prot = INSP_PROT_READ; /* data, a locale archive, say */
	else
		for (unsigned i = 0; i < eh.e_phnum; i++) {
			off_t at = (off_t)(eh.e_phoff + i * sizeof(ph));

			if (pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
				break;
			if (ph.p_type == PT_LOAD && (ph.p_offset & ~(uint64_t)(PAGE - 1)) <= offset &&
			    offset < ph.p_offset + ph.p_filesz)
				prot = INSP_PROT_READ | (ph.p_flags & PF_X ? INSP_PROT_EXEC : 0u);
		}
	(void)close(fd);
	return prot;
}

/* gcore leaves mappings of files that were not written to out altogether: NT_FILE knows them. */
static int add_undumped(struct core *c, const struct insp_target *target, struct insp_error *err)
{
	size_t known = c->regions.n;

	for (size_t f = 0, i = 0; f < c->files.n; f++) {
		const struct mapped_file *m = &c->files.items[f];
		struct insp_region *r;
		struct segment *s;

		while (i < known && c->regions.items[i].end <= m->start)
			i++;
		if (m->start >= m->end || (m->start | m->end) % PAGE ||
		    (i < known && c->regions.items[i].start < m->end))
			continue;
		s = insp_vec_push(&c->segments);
		r = insp_vec_push(&c->regions);
		if (!s || !r)
			return insp_fail(err, INSP_E_NOMEM, "out of memory for the map of the core");
		*s = (struct segment){.start = m->start, .end = m->end};
		*r = (struct insp_region){.start = m->start, .end = m->end, .name = "",
					  .prot = file_prot(c, target, m->name, m->offset)};
	}
	sort_segments(c);
	return 0;
}

/* Gives regions the names of NT_FILE and marks the stack of the main thread. */
static void name_regions(struct core *c)
{
	for (size_t i = 0, f = 0; i < c->regions.n; i++) {
		struct insp_region *r = &c->regions.items[i];

		while (f < c->files.n && c->files.items[f].end <= r->start)
			f++;
		if (f == c->files.n || c->files.items[f].start > r->start)
			continue;
		r->name = c->files.items[f].name;
		r->offset = c->files.items[f].offset + (r->start - c->files.items[f].start);
		r->inode = insp_region_inode_of_name(r->name);
		if (c->files.items[f].deleted)
			r->flags |= INSP_REGION_DELETED;
	}
	/* The main stack is the highest mapping that can be written. */
	for (size_t i = c->regions.n; i-- > 0;)
		if (c->regions.items[i].prot & INSP_PROT_WRITE) {
			if (insp_region_anonymous(&c->regions.items[i]))
				c->regions.items[i].flags |= INSP_REGION_STACK;
			break;
		}
}

/* The program is the file mapped first. */
static void find_exe(struct core *c)
{
	for (size_t i = 0; i < c->files.n && !c->exe; i++)
		if (c->files.items[i].offset == 0)
			c->exe = c->files.items[i].name;
}

/* The table of segments, gives. */
static int read_table(const struct core *c, const struct insp_target *target, Elf64_Phdr **ret, uint64_t *ret_n,
		      struct insp_error *err)
{
	uint64_t size_bytes = c->source.size_bytes, n;
	Elf64_Phdr *table;
	Elf64_Ehdr eh;

	if (insp_source_read(&c->source, 0, &eh, sizeof(eh)) != sizeof(eh) ||
	    memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_type != ET_CORE)
		return insp_fail(err, INSP_E_CORRUPT, "'%s' is not a core file", target->spec);
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_X86_64 ||
	    eh.e_phentsize != sizeof(Elf64_Phdr))
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "core '%s' is of another architecture: only x86-64 is understood",
				 target->spec);
	n = eh.e_phnum;
	if (n == PN_XNUM) {
		Elf64_Shdr sh;

		if (insp_source_read(&c->source, eh.e_shoff, &sh, sizeof(sh)) != sizeof(sh))
			return fail_cut("the section header", target->spec, err);
		n = sh.sh_info;
	}
	if (n > MAX_SEGMENTS || eh.e_phoff > size_bytes || n > (size_bytes - eh.e_phoff) / sizeof(*table))
		return fail_cut("the table of segments", target->spec, err);
	table = malloc((n + 1) * sizeof(*table));
	if (!table)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the segments of the core");
	if (insp_source_read(&c->source, eh.e_phoff, table, n * sizeof(*table)) != n * sizeof(*table)) {
		free(table);
		return fail_cut("the table of segments", target->spec, err);
	}
	*ret = table;
	*ret_n = n;
	return 0;
}

static int parse(struct core *c, struct insp_target *target, struct insp_error *err)
{
	Elf64_Phdr *table = NULL;
	uint64_t n = 0;
	int rc = read_table(c, target, &table, &n, err);

	for (uint64_t i = 0; i < n && !rc; i++)
		if (table[i].p_type == PT_NOTE)
			rc = read_notes(c, target, &table[i], err);
	for (uint64_t i = 0; i < n && !rc; i++)
		if (table[i].p_type == PT_LOAD)
			rc = add_segment(c, &table[i], err);
	free(table);
	if (rc)
		return rc;
	if (!c->regions.n)
		return insp_fail(err, INSP_E_CORRUPT, "core '%s' holds no memory", target->spec);
	sort_segments(c);
	if (c->files.n)
		qsort(c->files.items, c->files.n, sizeof(*c->files.items), segment_compare);
	find_exe(c);
	if (add_undumped(c, target, err))
		return INSP_E_NOMEM;
	name_regions(c);
	return 0;
}

static const struct segment *segment_at(const struct core *c, uint64_t addr)
{
	const struct insp_region *r = insp_regions_find(&c->regions, addr);

	return r ? &c->segments.items[r - c->regions.items] : NULL;
}

/* Is the file still the one that was mapped? Its first page in the core, where it is, decides. */
static bool same_file(const struct core *c, const char *name, int fd)
{
	for (size_t i = 0; i < c->files.n; i++) {
		const struct mapped_file *f = &c->files.items[i];
		const struct segment *s;
		uint8_t page[PAGE], kept[PAGE];
		ssize_t n;

		if (f->offset || strcmp(f->name, name) != 0)
			continue;
		s = segment_at(c, f->start);
		if (!s || f->start - s->start + PAGE > s->filesz)
			continue;
		n = pread(fd, page, sizeof(page), 0);
		return n > 0 &&
		       insp_source_read(&c->source, s->offset + (f->start - s->start), kept, (size_t)n) ==
			       (size_t)n &&
		       !memcmp(page, kept, (size_t)n);
	}
	return true;
}

/* Is any part of it code? */
static bool is_code(const struct core *c, const char *name)
{
	for (size_t i = 0; i < c->regions.n; i++)
		if (c->regions.items[i].prot & INSP_PROT_EXEC &&
		    (c->regions.items[i].name == name || !strcmp(c->regions.items[i].name, name)))
			return true;
	return false;
}

/* Which programs and libraries cannot be had here: said once, in one line for each kind. */
static void tell_files(const struct core *c, const struct insp_target *target)
{
	struct insp_str missing = {0}, other = {0};

	if (c->files.n > MAX_FILES_TOLD)
		return;
	for (size_t i = 0; i < c->files.n; i++) {
		const struct mapped_file *f = &c->files.items[i];
		struct insp_str *list = &missing;
		int fd;

		if (f->offset || !is_code(c, f->name))
			continue;
		fd = open_named(c, target, f->name);
		if (fd >= 0)
			list = same_file(c, f->name, fd) ? NULL : &other;
		if (list)
			insp_str_addf(list, "%s%s", insp_str_text(list)[0] ? ", " : "", f->name);
		if (fd >= 0)
			(void)close(fd);
	}
	if (insp_str_text(&missing)[0])
		insp_log(INSP_LOG_WARN, "not here, so without names: %s; --exe and --sysroot say where they are",
			 insp_str_text(&missing));
	if (insp_str_text(&other)[0])
		insp_log(INSP_LOG_WARN, "not the files that the core was made with, so not used: %s; --exe and "
					"--sysroot say where those are", insp_str_text(&other));
	insp_str_deinit(&missing);
	insp_str_deinit(&other);
}

static int core_open(struct insp_target *target, const char *spec, struct insp_error *err)
{
	struct core *c = calloc(1, sizeof(*c));
	int fd, rc;

	target->priv = c;
	if (!c || !(c->pool = insp_pool_create()))
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	fd = insp_core_open_file(spec, err);
	if (fd < 0)
		return fd;
	rc = insp_source_init(&c->source, fd, spec, err);
	if (rc)
		return rc;
	rc = parse(c, target, err);
	if (rc)
		return rc;
	tell_files(c, target);
	if (c->truncated)
		insp_log(INSP_LOG_WARN, "core '%s' is cut short: what lies behind its end is missing",
			 spec);
	return 0;
}

static void core_close(struct insp_target *target)
{
	struct core *c = target->priv;

	if (!c)
		return;
	insp_source_deinit(&c->source);
	insp_vec_free(&c->segments);
	insp_vec_free(&c->files);
	insp_vec_free(&c->regions);
	insp_vec_free(&c->threads);
	insp_pool_destroy(c->pool);
	free(c);
}

static size_t core_read(struct insp_target *target, uint64_t addr, void *buf, size_t size_bytes)
{
	const struct core *c = target->priv;
	size_t done = 0;

	while (done < size_bytes) {
		const struct segment *s = segment_at(c, addr + done);
		uint64_t off, n;
		size_t got;

		if (!s)
			break;
		off = addr + done - s->start;
		if (off >= s->filesz)
			break;
		n = s->filesz - off;
		if (n > size_bytes - done)
			n = size_bytes - done;
		got = insp_source_read(&c->source, s->offset + off, (uint8_t *)buf + done, n);
		done += got;
		if (got < n)
			break;
	}
	return done;
}

static int core_pages(struct insp_target *target, uint64_t addr, size_t npages, uint8_t *ret)
{
	const struct core *c = target->priv;

	for (size_t i = 0; i < npages; i++, addr += PAGE) {
		const struct insp_region *r = insp_regions_find(&c->regions, addr);
		const struct segment *s;

		ret[i] = INSP_PAGE_SWAPPED;
		if (!r)
			continue;
		s = &c->segments.items[r - c->regions.items];
		if (addr - s->start < s->filesz)
			ret[i] = INSP_PAGE_PRESENT;
		else if (!insp_region_anonymous(r))
			ret[i] = INSP_PAGE_FILE;
	}
	return 0;
}

static int core_regions(struct insp_target *target, struct insp_pool *pool,
			struct insp_regions *ret, struct insp_error *err)
{
	const struct core *c = target->priv;

	ret->items = insp_pool_memdup(pool, c->regions.items, c->regions.n * sizeof(*ret->items));
	if (!ret->items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the map of the core");
	ret->n = ret->cap = c->regions.n;
	for (size_t i = 0; i < ret->n; i++) {
		ret->items[i].name = insp_pool_strdup(pool, ret->items[i].name);
		if (!ret->items[i].name)
			return insp_fail(err, INSP_E_NOMEM, "out of memory for the map of the core");
	}
	return 0;
}

/* Stack bytes are copied, as a live target's are, so that they outlive the core. */
static int fill_stack(const struct core *c, struct insp_pool *pool, struct insp_thread *t)
{
	uint64_t from = t->regs[INSP_REG_RSP] - INSP_RED_ZONE_BYTES;
	const struct insp_region *r = insp_regions_find(&c->regions, t->regs[INSP_REG_RSP]);
	const struct segment *s;
	uint64_t n;

	if (!r)
		return 0;
	t->stack_start = r->start;
	t->stack_end = r->end;
	if (from < r->start)
		from = r->start;
	s = &c->segments.items[r - c->regions.items];
	if (from - s->start >= s->filesz)
		return 0;
	n = s->filesz - (from - s->start);
	if (n > DEFAULT_STACK)
		n = DEFAULT_STACK;
	t->stack_bytes = insp_pool_alloc(pool, n);
	if (!t->stack_bytes)
		return INSP_E_NOMEM;
	t->stack_addr = from;
	t->stack_len = insp_source_read(&c->source, s->offset + (from - s->start), t->stack_bytes, n);
	return 0;
}

static int core_threads(struct insp_target *target, struct insp_pool *pool,
			struct insp_threads *ret, struct insp_error *err)
{
	const struct core *c = target->priv;

	ret->items = insp_pool_memdup(pool, c->threads.items, c->threads.n * sizeof(*ret->items));
	if (!ret->items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the threads of the core");
	ret->n = ret->cap = c->threads.n;
	for (size_t i = 0; i < ret->n; i++) {
		memcpy(ret->items[i].name, target->comm, sizeof(ret->items[i].name));
		if (fill_stack(c, pool, &ret->items[i]))
			return insp_fail(err, INSP_E_NOMEM, "out of memory for the stacks of the core");
	}
	return 0;
}

static void core_info(struct insp_target *target, struct insp_pool *pool,
		      struct insp_target_info *ret)
{
	const struct core *c = target->priv;

	ret->exe = insp_pool_strdup(pool, c->exe);
	ret->cmdline = insp_pool_strdup(pool, c->cmdline);
	if (!c->auxv_bytes)
		return;
	ret->auxv = insp_pool_memdup(pool, c->auxv, c->auxv_bytes);
	ret->auxv_bytes = ret->auxv ? c->auxv_bytes : 0;
}

static int core_open_file(struct insp_target *target, enum insp_target_file which,
			  const struct insp_region *region, struct insp_error *err)
{
	const struct core *c = target->priv;
	const char *name = which == INSP_TARGET_EXE ? c->exe : region->name;
	int fd;

	if (!name || name[0] != '/')
		return insp_fail(err, INSP_E_NOTFOUND, "no file is named");
	fd = open_named(c, target, name);
	if (fd < 0)
		return insp_fail_errno(err, INSP_E_NOTFOUND, errno, "'%s'", name);
	if (!same_file(c, name, fd)) {
		(void)close(fd);
		return insp_fail(err, INSP_E_NOTFOUND, "'%s' is not the file that was mapped", name);
	}
	return fd;
}

const struct insp_target_ops insp_target_core = {
	.name = "core",
	.title = "core file",
	.claims = core_claims,
	.open = core_open,
	.close = core_close,
	.read = core_read,
	.regions = core_regions,
	.pages = core_pages,
	.threads = core_threads,
	.info = core_info,
	.open_file = core_open_file,
};
