/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * modules: which ELF files lie in the address space, and where.
 *
 * The list of the dynamic loader is not asked: it may be corrupt, is different for every libc,
 * and a static program has none. The mappings say it all:
 *
 *     file offset     0        0x28000            0x1e5000
 *     mapping         r--p     r-xp               rw-p         (and bss behind it)
 *                     ^ELF head, program headers
 *     PT_LOAD         vaddr 0  vaddr 0x28000      vaddr 0x1e6000 ...
 *     bias            start of a mapping - (vaddr of the PT_LOAD that holds its file offset)
 *
 * A file that is mapped twice at different biases (dlmopen) makes two modules; a file that is only
 * mapped as data makes none. Heads are read from the file, through the target, because that works
 * for pages that were never touched; from memory when the file cannot be had. What the heads
 * say is not believed: all sizes are bounded by the mappings.
 */
#include "symbol/symbols.h"

#include <elf.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/vec.h"
#include "symbol/symbols_priv.h"
#include "target/space.h"

#define MAX_SEGMENTS 64
#define MAX_NOTES_BYTES 65536
#define MAX_HULL (UINT64_C(1) << 40)

struct segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, filesz, memsz, align;
};

/* The head of an ELF file of either class, in one shape. */
struct head {
	uint16_t type, machine;
	bool is64;
	unsigned n;
	struct segment segments[MAX_SEGMENTS];
};

/* Where bytes of a file come from: a descriptor, or the first mapping of the file. */
struct source {
	int fd;
	struct insp_space *space;
	struct insp_target *vdso; /* read as it is: the kernel's own page, not the target's memory */
	const struct insp_region *region;
};

struct collect {
	struct insp_target *target;
	const struct insp_regions *regions;
	struct insp_pool *pool;
	struct insp_space *space; /* made when a head must be read from memory */
	INSP_VEC(struct insp_module) found;
	const struct insp_region *rejected; /* a file that is none: its other mappings are skipped */
	struct stat exe;
	bool have_exe;
	bool exe_is_loader;
	size_t program; /* index + 1 of what ld.so was told to run */
};

static bool source_read(const struct source *src, uint64_t offset, void *buf, size_t n)
{
	const struct insp_region *r = src->region;
	uint64_t in_region;

	if (src->fd >= 0)
		return offset < INT64_MAX && pread(src->fd, buf, n, (off_t)offset) == (ssize_t)n;
	if (offset < r->offset)
		return false;
	in_region = offset - r->offset;
	if (in_region > insp_region_bytes(r) || n > insp_region_bytes(r) - in_region)
		return false;
	if (src->vdso)
		return src->vdso->ops->read &&
		       src->vdso->ops->read(src->vdso, r->start + in_region, buf, n) == n;
	return src->space && insp_space_read(src->space, r->start + in_region, buf, n) == 0;
}

static bool read_segments(const struct source *src, struct head *head, uint64_t phoff,
			  unsigned phentsize, unsigned phnum)
{
	unsigned want = head->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

	if (phentsize != want || !phnum || phoff > MAX_HULL)
		return false;
	for (unsigned i = 0; i < phnum && head->n < MAX_SEGMENTS; i++) {
		struct segment *s = &head->segments[head->n++];

		if (head->is64) {
			Elf64_Phdr p;

			if (!source_read(src, phoff + i * sizeof(p), &p, sizeof(p)))
				return false;
			*s = (struct segment){p.p_type,	  p.p_flags, p.p_offset, p.p_vaddr,
					      p.p_filesz, p.p_memsz, p.p_align};
		} else {
			Elf32_Phdr p;

			if (!source_read(src, phoff + i * sizeof(p), &p, sizeof(p)))
				return false;
			*s = (struct segment){p.p_type,	  p.p_flags, p.p_offset, p.p_vaddr,
					      p.p_filesz, p.p_memsz, p.p_align};
		}
	}
	return true;
}

static bool read_head(const struct source *src, struct head *head)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr e32;
		Elf64_Ehdr e64;
	} u;

	memset(head, 0, sizeof(*head));
	if (!source_read(src, 0, &u.e32, sizeof(u.e32)) || memcmp(u.ident, ELFMAG, SELFMAG) ||
	    u.ident[EI_DATA] != ELFDATA2LSB)
		return false;
	head->type = u.e32.e_type;
	head->machine = u.e32.e_machine;
	if (head->type != ET_EXEC && head->type != ET_DYN)
		return false;
	if (u.ident[EI_CLASS] == ELFCLASS32)
		return read_segments(src, head, u.e32.e_phoff, u.e32.e_phentsize, u.e32.e_phnum);
	head->is64 = true;
	return u.ident[EI_CLASS] == ELFCLASS64 && source_read(src, 0, &u.e64, sizeof(u.e64)) &&
	       read_segments(src, head, u.e64.e_phoff, u.e64.e_phentsize, u.e64.e_phnum);
}

static const struct segment *head_find(const struct head *head, uint32_t type)
{
	for (unsigned i = 0; i < head->n; i++)
		if (head->segments[i].type == type)
			return &head->segments[i];
	return NULL;
}

/* The build-id among the notes in bytes. */
static void find_build_id(const uint8_t *bytes, size_t n, struct insp_module *module)
{
	size_t at = 0;

	while (n - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t name, desc;

		memcpy(&note, bytes + at, sizeof(note));
		at += sizeof(note);
		name = ((size_t)note.n_namesz + 3) & ~(size_t)3;
		desc = ((size_t)note.n_descsz + 3) & ~(size_t)3;
		if (name > n - at || desc > n - at - name)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    !memcmp(bytes + at, "GNU", 4) && note.n_descsz &&
		    note.n_descsz <= sizeof(module->build_id)) {
			memcpy(module->build_id, bytes + at + name, note.n_descsz);
			module->build_id_bytes = note.n_descsz;
			return;
		}
		at += name + desc;
	}
}

static void read_build_id(const struct source *src, const struct head *head,
			  struct insp_module *module)
{
	for (unsigned i = 0; i < head->n && !module->build_id_bytes; i++) {
		const struct segment *s = &head->segments[i];
		uint8_t *bytes;

		if (s->type != PT_NOTE || !s->filesz || s->filesz > MAX_NOTES_BYTES)
			continue;
		bytes = malloc(s->filesz);
		if (bytes && source_read(src, s->offset, bytes, s->filesz))
			find_build_id(bytes, s->filesz, module);
		free(bytes);
	}
}

bool insp_file_matches(int fd, const struct insp_module *module)
{
	struct source src = {.fd = fd};
	struct insp_module found = {0};
	struct head head;

	if (!module->build_id_bytes)
		return true;
	if (!read_head(&src, &head))
		return false;
	read_build_id(&src, &head, &found);
	return found.build_id_bytes == module->build_id_bytes &&
	       !memcmp(found.build_id, module->build_id, module->build_id_bytes);
}

/* Has the file a DT_SONAME? Then it is a library, even if it can be run like libc.so.6. */
static bool has_soname(const struct source *src, const struct head *head)
{
	const struct segment *s = head_find(head, PT_DYNAMIC);
	Elf64_Dyn dyn;

	if (!s || !head->is64)
		return false;
	for (uint64_t at = 0; at + sizeof(dyn) <= s->filesz && at < 4096; at += sizeof(dyn)) {
		if (!source_read(src, s->offset + at, &dyn, sizeof(dyn)) || dyn.d_tag == DT_NULL)
			return false;
		if (dyn.d_tag == DT_SONAME)
			return true;
	}
	return false;
}

static bool same_file(const struct insp_region *a, const struct insp_region *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major &&
	       a->dev_minor == b->dev_minor && a->inode != 0;
}

/*
 * Fills start, end and bias from the segments and the mapping r of one of them. Ends at the latest
 * where another file's mapping begins behind our last one.
 */
static bool place(const struct collect *c, size_t i, const struct head *head,
		  struct insp_module *module)
{
	const struct insp_region *r = &c->regions->items[i];
	const struct segment *holds = NULL;
	uint64_t lo = UINT64_MAX, hi = 0, bias;
	size_t last = i;

	for (unsigned k = 0; k < head->n; k++) {
		const struct segment *s = &head->segments[k];

		if (s->type != PT_LOAD || s->vaddr > UINT64_MAX / 4 || s->memsz > MAX_HULL)
			continue;
		if (s->vaddr < lo)
			lo = s->vaddr & ~UINT64_C(4095);
		if (s->vaddr + s->memsz > hi)
			hi = s->vaddr + s->memsz;
		if (!holds && (s->offset & ~UINT64_C(4095)) <= r->offset &&
		    r->offset < s->offset + s->filesz &&
		    (!(r->prot & INSP_PROT_EXEC) || s->flags & PF_X))
			holds = s;
	}
	if (!holds || hi <= lo || hi - lo > MAX_HULL)
		return false;
	bias = r->start - r->offset - (holds->vaddr - holds->offset);
	module->bias = bias;
	module->start = bias + lo;
	module->end = bias + ((hi + 4095) & ~UINT64_C(4095));
	if (module->start > r->start || module->end <= r->start)
		return false;
	for (size_t k = i + 1; k < c->regions->n && c->regions->items[k].start < module->end; k++)
		if (same_file(r, &c->regions->items[k]))
			last = k;
	for (size_t k = last + 1; k < c->regions->n && c->regions->items[k].start < module->end; k++)
		if (c->regions->items[k].inode)
			module->end = c->regions->items[k].start;
	return true;
}

static struct insp_space *collect_space(struct collect *c)
{
	if (!c->space && c->target->ops->read)
		c->space = insp_space_create(c->target, c->regions);
	return c->space;
}

/* Is the file behind src the one that /proc/PID/exe names? Compared by descriptors, because
   device numbers in maps differ from stat's on overlay and btrfs. */
static bool is_exe(const struct collect *c, const struct source *src)
{
	struct stat st;

	return c->have_exe && src->fd >= 0 && fstat(src->fd, &st) == 0 &&
	       st.st_ino == c->exe.st_ino && st.st_dev == c->exe.st_dev;
}

static void note_main(struct collect *c, const struct source *src, const struct head *head,
		      struct insp_module *module)
{
	bool program = head_find(head, PT_INTERP) && !has_soname(src, head);

	if (is_exe(c, src)) {
		module->is_main = true;
		c->exe_is_loader = !head_find(head, PT_INTERP);
	}
	if (program && !c->program)
		c->program = c->found.n;
}

static int add_module(struct collect *c, size_t i, const struct source *src,
		      const struct head *head, struct insp_error *err)
{
	const struct insp_region *r = &c->regions->items[i];
	struct insp_module at = {0}, *module;

	if (!place(c, i, head, &at))
		return 0;
	module = insp_vec_push(&c->found);
	if (!module)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	*module = at;
	module->path = insp_pool_strdup(c->pool, r->name);
	if (!module->path)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	module->inode = r->inode;
	module->dev_major = r->dev_major;
	module->dev_minor = r->dev_minor;
	module->machine = head->machine;
	module->deleted = r->flags & INSP_REGION_DELETED;
	read_build_id(src, head, module);
	note_main(c, src, head, module);
	return 0;
}

/* Only a mapping that executes, or that more of the same file follows, can start a module. */
static bool may_start(const struct collect *c, size_t i)
{
	const struct insp_region *r = &c->regions->items[i];

	if (!r->inode || r->flags & INSP_REGION_DEVICE || (c->rejected && same_file(c->rejected, r)))
		return false;
	for (size_t k = c->found.n; k-- > 0;) {
		const struct insp_module *m = &c->found.items[k];

		if (r->start < m->end && m->inode == r->inode && m->dev_major == r->dev_major &&
		    m->dev_minor == r->dev_minor)
			return false;
	}
	if (r->prot & INSP_PROT_EXEC)
		return true;
	return r->offset == 0 && i + 1 < c->regions->n && same_file(r, &c->regions->items[i + 1]);
}

static int try_region(struct collect *c, size_t i, struct insp_error *err)
{
	const struct insp_region *r = &c->regions->items[i];
	struct source src = {.fd = -1, .region = r};
	struct head head;
	int rc = 0;

	if (c->target->ops->open_file)
		src.fd = c->target->ops->open_file(c->target, INSP_TARGET_REGION_FILE, r, NULL);
	if (src.fd < 0)
		src.space = collect_space(c);
	if (read_head(&src, &head))
		rc = add_module(c, i, &src, &head, err);
	else
		c->rejected = r;
	if (src.fd >= 0)
		(void)close(src.fd);
	return rc;
}

static int try_vdso(struct collect *c, size_t i, struct insp_error *err)
{
	struct source src = {.fd = -1, .region = &c->regions->items[i], .vdso = c->target};
	struct head head;

	return read_head(&src, &head) ? add_module(c, i, &src, &head, err) : 0;
}

static void stat_exe(struct collect *c)
{
	int fd;

	if (!c->target->ops->open_file)
		return;
	fd = c->target->ops->open_file(c->target, INSP_TARGET_EXE, NULL, NULL);
	if (fd < 0)
		return;
	c->have_exe = fstat(fd, &c->exe) == 0;
	(void)close(fd);
}

/*
 * Who is the program? What /proc/PID/exe says, unless that is the loader, started as
 * `ld.so PROGRAM`: then the mapped file that asks for a loader and is no library.
 */
static void settle_main(struct collect *c)
{
	bool have_main = false;

	for (size_t i = 0; i < c->found.n; i++)
		have_main |= c->found.items[i].is_main;
	if (have_main && !(c->exe_is_loader && c->program))
		return;
	/* Nobody says: the lowest address is the program's, in nearly every layout. */
	for (size_t i = 0; i < c->found.n; i++)
		c->found.items[i].is_main = i + 1 == (c->program ? c->program : 1);
}

static int by_start(const void *a, const void *b)
{
	const struct insp_module *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int insp_modules_collect(struct insp_target *target, const struct insp_regions *regions,
			 struct insp_pool *pool, struct insp_modules *ret, struct insp_error *err)
{
	struct collect c = {.target = target, .regions = regions, .pool = pool};
	struct insp_module *items;
	int rc = 0;

	stat_exe(&c);
	for (size_t i = 0; i < regions->n && !rc; i++) {
		if (!strcmp(regions->items[i].name, "[vdso]"))
			rc = try_vdso(&c, i, err);
		else if (may_start(&c, i))
			rc = try_region(&c, i, err);
	}
	settle_main(&c);
	if (c.found.n)
		qsort(c.found.items, c.found.n, sizeof(*c.found.items), by_start);
	insp_space_destroy(c.space);
	items = c.found.n ? insp_pool_memdup(pool, c.found.items, c.found.n * sizeof(*items)) : NULL;
	if (!rc && c.found.n && !items)
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	if (!rc)
		*ret = (struct insp_modules){.items = items, .n = c.found.n, .cap = c.found.n};
	insp_vec_free(&c.found);
	return rc;
}
