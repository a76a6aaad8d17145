/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * symbols: one Dwfl for a target, and the questions to it.
 *
 * libdwfl is told where modules lie and asks back, by callbacks, for their files when the first
 * question about one comes: so making it costs next to nothing. A module's file comes from
 *
 *     the target              also when it was deleted or lies in a container
 *     memory                  what is left of it, see image.c (always for the vdso)
 *     path, then build-id     when there is no target any more: a saved snapshot
 *
 * and its debug file from where libdwfl always looks: by build-id, by .gnu_debuglink, by
 * debuginfod. A file whose build-id is not the one seen in the target is refused.
 */
#include "symbol/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/symbols_priv.h"
#include "target/space.h"

struct insp_symbols {
	struct insp_target *target; /* NULL: a saved snapshot */
	const struct insp_regions *regions;
	const struct insp_modules *modules;
	struct insp_symbols_module *items; /* as many as modules->n, in the same order */
	struct insp_space *space;	   /* made when memory is read */
	Dwfl *dwfl;
	Dwfl_Callbacks callbacks;
	struct insp_ctypes *ctypes;
	char *name; /* what insp_symbols_at returned last */
	void *slot;
};

static struct insp_space *symbols_space(struct insp_symbols *s)
{
	if (!s->space && s->target && s->target->ops->read)
		s->space = insp_space_create(s->target, s->regions);
	return s->space;
}

static int open_path(const char *path)
{
	struct stat st;
	int fd;

	if (path[0] != '/')
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int find_by_build_id(Dwfl_Module *dwfl, void **userdata, const char *name, Dwarf_Addr base,
			    char **file_name, Elf **elfp)
{
	struct insp_symbols_module *m = *userdata;
	struct insp_remote remote;
	int fd;

	insp_remote_begin(&remote, m->owner->dwfl);
	fd = dwfl_build_id_find_elf(dwfl, userdata, name, base, file_name, elfp);
	insp_remote_end(&remote, fd >= 0 || *elfp);
	return fd;
}

static int find_debuginfo(Dwfl_Module *dwfl, void **userdata, const char *name, Dwarf_Addr base,
			  const char *file_name, const char *link, GElf_Word link_crc, char **debug_name)
{
	struct insp_symbols_module *m = *userdata;
	struct insp_remote remote;
	int fd;

	insp_remote_begin(&remote, m->owner->dwfl);
	fd = dwfl_standard_find_debuginfo(dwfl, userdata, name, base, file_name, link, link_crc, debug_name);
	insp_remote_end(&remote, fd >= 0);
	return fd;
}

/* libdwfl wants the ELF file of a module: a descriptor, or an Elf and -1. */
static int find_elf(Dwfl_Module *dwfl, void **userdata, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elfp)
{
	struct insp_symbols_module *m = *userdata;
	struct insp_target *target = m->owner->target;
	size_t n;
	int fd = -1;

	if (target && target->ops->open_file && m->region && m->module->inode)
		fd = target->ops->open_file(target, INSP_TARGET_REGION_FILE, m->region, NULL);
	if (fd < 0 && !target && m->module->inode)
		fd = open_path(m->module->path);
	/* libdwfl forgets the build-id that it was told as soon as it opens a file. */
	if (fd >= 0 && !insp_file_matches(fd, m->module)) {
		(void)close(fd);
		fd = -1;
	}
	if (fd >= 0) {
		/* The debug link is relative to it. */
		*file_name = strdup(m->module->path);
		return fd;
	}
	/* A core holds little of a library: the whole file by its build-id is better. */
	if (target && !target->ops->stop && m->module->build_id_bytes && m->module->inode) {
		fd = find_by_build_id(dwfl, userdata, name, base, file_name, elfp);
		if (fd >= 0 || *elfp)
			return fd;
	}
	if (target && !m->image) {
		m->image = insp_image_read(target, symbols_space(m->owner), m->module, &n);
		if (m->image) {
			*elfp = elf_memory((char *)m->image, n);
			return -1;
		}
	}
	return m->module->build_id_bytes && m->module->inode
		       ? find_by_build_id(dwfl, userdata, name, base, file_name, elfp)
		       : -1;
}

static const struct insp_region *first_region(const struct insp_regions *regions,
					      const struct insp_module *module)
{
	for (size_t i = 0; i < regions->n && regions->items[i].start < module->end; i++) {
		const struct insp_region *r = &regions->items[i];

		if (r->start >= module->start && r->inode == module->inode &&
		    r->dev_major == module->dev_major && r->dev_minor == module->dev_minor)
			return r;
	}
	return NULL;
}

static void report_module(struct insp_symbols *s, size_t i)
{
	struct insp_symbols_module *m = &s->items[i];
	void **userdata;

	m->owner = s;
	m->module = &s->modules->items[i];
	m->region = first_region(s->regions, m->module);
	m->dwfl = dwfl_report_module(s->dwfl, m->module->path, m->module->start, m->module->end);
	if (!m->dwfl)
		return;
	dwfl_module_info(m->dwfl, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	*userdata = m;
	if (m->module->build_id_bytes)
		(void)dwfl_module_report_build_id(m->dwfl, m->module->build_id,
						  m->module->build_id_bytes, 0);
}

int insp_symbols_create(struct insp_target *target, const struct insp_regions *regions,
			const struct insp_modules *modules, struct insp_symbols **ret,
			struct insp_error *err)
{
	struct insp_symbols *s = calloc(1, sizeof(*s));

	if (!s)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	s->target = target;
	s->regions = regions;
	s->modules = modules;
	s->callbacks.find_elf = find_elf;
	s->callbacks.find_debuginfo = find_debuginfo;
	s->items = calloc(modules->n + 1, sizeof(*s->items));
	(void)elf_version(EV_CURRENT);
	s->dwfl = dwfl_begin(&s->callbacks);
	if (!s->items || !s->dwfl) {
		insp_symbols_destroy(s);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	dwfl_report_begin(s->dwfl);
	for (size_t i = 0; i < modules->n; i++)
		report_module(s, i);
	(void)dwfl_report_end(s->dwfl, NULL, NULL);
	*ret = s;
	return 0;
}

void insp_symbols_destroy(struct insp_symbols *s)
{
	if (!s)
		return;
	insp_ctypes_destroy(s->ctypes);
	for (size_t i = 0; s->items && i < s->modules->n; i++) {
		insp_dwarf_destroy(s->items[i].dwarf);
		insp_vec_free(&s->items[i].symtab);
		insp_vec_free(&s->items[i].fdes);
	}
	if (s->dwfl)
		dwfl_end(s->dwfl);
	for (size_t i = 0; s->items && i < s->modules->n; i++)
		free(s->items[i].image);
	insp_space_destroy(s->space);
	free(s->items);
	free(s->name);
	free(s);
}

const struct insp_modules *insp_symbols_modules(const struct insp_symbols *s)
{
	return s->modules;
}

struct Dwfl *insp_symbols_dwfl(struct insp_symbols *s)
{
	return s->dwfl;
}

void **insp_symbols_slot(struct insp_symbols *s)
{
	return &s->slot;
}

const struct insp_regions *insp_symbols_regions(const struct insp_symbols *s)
{
	return s->regions;
}

struct insp_ctypes **insp_symbols_ctypes_slot(struct insp_symbols *s)
{
	return &s->ctypes;
}

struct insp_symbols_module *insp_symbols_items(struct insp_symbols *s, size_t *ret_n)
{
	*ret_n = s->modules->n;
	return s->items;
}

struct insp_symbols_module *insp_symbols_module_at(struct insp_symbols *s, uint64_t addr)
{
	const struct insp_module *m = insp_modules_find(s->modules, addr);

	return m ? &s->items[m - s->modules->items] : NULL;
}

static const struct insp_symtab *symtab_of(struct insp_symbols_module *m)
{
	if (m->dwfl)
		insp_symtab_load(&m->symtab, m->dwfl);
	return &m->symtab;
}

struct insp_dwarf *insp_module_dwarf(struct insp_symbols_module *m)
{
	Dwarf_Addr bias;
	Dwarf *dwarf;

	if (!m->dwarf_tried && m->dwfl) {
		m->dwarf_tried = true;
		dwarf = dwfl_module_getdwarf(m->dwfl, &bias);
		if (dwarf)
			m->dwarf = insp_dwarf_create(dwarf, bias);
	}
	return m->dwarf;
}

int insp_symbols_at(struct insp_symbols *s, uint64_t addr, struct insp_symbol *ret)
{
	struct insp_symbols_module *m = insp_symbols_module_at(s, addr);
	const struct insp_sym *sym = m ? insp_symtab_at(symtab_of(m), addr) : NULL;

	if (!sym)
		return INSP_E_NOTFOUND;
	free(s->name);
	s->name = insp_demangle_dup(sym->name);
	*ret = (struct insp_symbol){
		.name = s->name ? s->name : sym->name,
		.linkage_name = sym->name,
		.start = sym->start,
		.size_bytes = sym->size_bytes,
		.module = m->module,
	};
	return 0;
}

int insp_symbols_find(struct insp_symbols *s, const char *module, const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < s->modules->n; i++) {
		struct insp_symbols_module *m = &s->items[i];
		const struct insp_sym *sym;

		if (module && strcmp(insp_module_basename(m->module), module))
			continue;
		sym = insp_symtab_find(symtab_of(m), name);
		if (sym) {
			*ret = sym->start;
			return 0;
		}
	}
	return INSP_E_NOTFOUND;
}

int insp_symbols_member(struct insp_symbols *s, const char *module, const char *type,
			const char *member, uint64_t *ret)
{
	for (size_t i = 0; i < s->modules->n; i++) {
		struct insp_symbols_module *m = &s->items[i];
		struct insp_dwarf *dw;
		const struct insp_sym *sym;
		struct insp_types *types;

		if (module && strcmp(insp_module_basename(m->module), module))
			continue;
		dw = insp_module_dwarf(m);
		/* What people ask for here are nearly always malloc's own structs. */
		sym = dw ? insp_symtab_find(symtab_of(m), "malloc") : NULL;
		types = dw ? insp_dwarf_types(dw, sym ? sym->start : 0) : NULL;
		if (types && insp_types_member(types, type, member, ret) == 0)
			return 0;
	}
	return INSP_E_NOTFOUND;
}

/* Gives a frame of pool's own strings. */
static int add_frame(struct insp_pool *pool, const struct insp_frame *like,
		     const struct insp_call *call, struct insp_frames *frames)
{
	struct insp_frame *f = insp_vec_push(frames);
	char *name;

	if (!f)
		return INSP_E_NOMEM;
	*f = *like;
	if (call->function && !f->function) {
		name = insp_demangle_dup(call->function);
		f->function = insp_pool_strdup(pool, name ? name : call->function);
		free(name);
	}
	f->file = insp_pool_strdup(pool, call->file);
	f->line = call->line;
	return 0;
}

int insp_symbols_frames(struct insp_symbols *s, struct insp_pool *pool, uint64_t pc, uint64_t sp,
			bool is_activation, uint32_t flags, struct insp_frames *frames)
{
	/* A return address may be the first byte of the next function. */
	uint64_t addr = is_activation || !pc ? pc : pc - 1;
	struct insp_frame like = {.pc = pc, .sp = sp, .flags = flags};
	struct insp_symbols_module *m = insp_symbols_module_at(s, addr);
	struct insp_call calls[INSP_CALLS_MAX] = {{0}};
	struct insp_symbol symbol;
	struct insp_dwarf *dw;
	size_t n = 0;
	int rc = 0;

	if (is_activation)
		like.flags |= INSP_FRAME_ACTIVATION;
	if (!m)
		return add_frame(pool, &like, &calls[0], frames);
	like.module = m->module->path;
	like.module_offset = pc - m->module->bias;
	dw = insp_module_dwarf(m);
	if (dw)
		n = insp_dwarf_calls(dw, addr, calls);
	for (size_t i = 0; i + 1 < n && !rc; i++) {
		struct insp_frame inlined = like;

		inlined.flags |= INSP_FRAME_INLINED;
		rc = add_frame(pool, &inlined, &calls[i], frames);
	}
	if (insp_symbols_at(s, addr, &symbol) == 0) {
		like.function = insp_pool_strdup(pool, symbol.name);
		like.function_offset = pc - symbol.start;
	}
	return rc ? rc : add_frame(pool, &like, &calls[n ? n - 1 : 0], frames);
}

const char *insp_symbols_quality(struct insp_symbols *s, const struct insp_module *module)
{
	struct insp_symbols_module *m = &s->items[module - s->modules->items];
	Elf *elf = NULL;
	Elf_Scn *scn = NULL;
	GElf_Sym sym;
	GElf_Addr addr;

	if (insp_module_dwarf(m))
		return "dwarf";
	if (!symtab_of(m)->n)
		return "none";
	for (int i = 1; !elf && i < dwfl_module_getsymtab(m->dwfl); i++)
		(void)dwfl_module_getsym_info(m->dwfl, i, &sym, &addr, NULL, &elf, NULL);
	while (elf && (scn = elf_nextscn(elf, scn))) {
		GElf_Shdr shdr;

		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_SYMTAB)
			return "symtab";
	}
	return "dynsym";
}

int insp_symbols_unwind_table(struct insp_symbols *s, const struct insp_module *module,
			      struct insp_unwind_table *ret)
{
	struct insp_symbols_module *m = &s->items[module - s->modules->items];
	GElf_Addr bias;
	Elf *elf = m->dwfl ? dwfl_module_getelf(m->dwfl, &bias) : NULL;
	GElf_Phdr p;
	size_t n;

	if (!elf || elf_getphdrnum(elf, &n))
		return INSP_E_NOTFOUND;
	*ret = (struct insp_unwind_table){.start = module->start, .end = module->end};
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_GNU_EH_FRAME) {
			ret->eh_frame_hdr = p.p_vaddr + bias;
			ret->size_bytes = p.p_memsz;
			return 0;
		}
	insp_fde_table_load(&m->fdes, elf, bias);
	ret->base = m->fdes.base;
	ret->pairs = m->fdes.items;
	ret->npairs = m->fdes.n;
	return m->fdes.n ? 0 : INSP_E_NOTFOUND;
}

/* Bytes of a segment that the program cannot write to, from the ELF file. */
static bool read_file(struct insp_symbols_module *m, uint64_t addr, void *buf, size_t size_bytes)
{
	GElf_Addr bias;
	Elf *elf = m->dwfl ? dwfl_module_getelf(m->dwfl, &bias) : NULL;
	size_t n, raw_bytes;
	const char *raw;
	GElf_Phdr p;

	if (!elf || elf_getphdrnum(elf, &n) || !(raw = elf_rawfile(elf, &raw_bytes)))
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t at;

		if (!gelf_getphdr(elf, (int)i, &p) || p.p_type != PT_LOAD || p.p_flags & PF_W)
			continue;
		at = addr - bias - p.p_vaddr;
		if (at >= p.p_filesz || size_bytes > p.p_filesz - at || p.p_offset > raw_bytes ||
		    at > raw_bytes - p.p_offset || size_bytes > raw_bytes - p.p_offset - at)
			continue;
		memcpy(buf, raw + p.p_offset + at, size_bytes);
		return true;
	}
	return false;
}

int insp_symbols_read(struct insp_symbols *s, uint64_t addr, void *buf, size_t size_bytes)
{
	struct insp_symbols_module *m = insp_symbols_module_at(s, addr);

	if (m && read_file(m, addr, buf, size_bytes))
		return 0;
	if (!symbols_space(s))
		return INSP_E_FAULT;
	return insp_space_read(s->space, addr, buf, size_bytes);
}
