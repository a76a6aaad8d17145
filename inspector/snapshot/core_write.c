/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/core_write.h"

#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>
#include <unistd.h>

#include "base/str.h"
#include "base/vec.h"
#include "target/dump.h"
#include "target/registers.h"

#define PAGE	  4096u
#define USER_CS	  0x33 /* what the kernel gives 64-bit programs */
#define USER_SS	  0x2b
#define EFLAGS_IF 0x202

struct bytes {
	uint8_t *items;
	size_t n, cap;
	bool failed;
};

struct writer {
	const struct insp_snapshot *snapshot;
	struct insp_target *memory;
	struct insp_atomic *file;
	struct insp_core_counts counts;
	struct bytes notes;
	uint64_t region_addr, region_offset; /* where the current region begins here and there */
	uint8_t *buf;
};

static void add(struct bytes *b, const void *p, size_t n)
{
	if (b->failed || !n)
		return;
	if (insp_vec_reserve(b, n)) {
		b->failed = true;
		return;
	}
	memcpy(b->items + b->n, p, n);
	b->n += n;
}

static void add_named(struct bytes *b, const char name[8], uint32_t type, const void *desc, size_t n)
{
	const Elf64_Nhdr head = {.n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = (uint32_t)n,
				 .n_type = type};

	add(b, &head, sizeof(head));
	add(b, name, 8);
	add(b, desc, n);
	add(b, "\0\0\0", (4 - n % 4) % 4);
}

static void add_note(struct bytes *b, uint32_t type, const void *desc, size_t n)
{
	add_named(b, "CORE\0\0\0", type, desc, n);
}

/* Floating point and vectors: the first in a note of its own for those who know no other. */
static void add_vectors(struct bytes *b, const struct insp_thread *t)
{
	struct user_fpregs_struct fp;

	if (t->xsave_bytes < sizeof(fp))
		return;
	memcpy(&fp, t->xsave, sizeof(fp));
	add_note(b, NT_FPREGSET, &fp, sizeof(fp));
	if (t->xsave_bytes > sizeof(fp))
		add_named(b, "LINUX\0\0", NT_X86_XSTATE, t->xsave, t->xsave_bytes);
}

static void add_thread(struct bytes *b, const struct insp_thread *t)
{
	struct elf_prstatus st = {.pr_pid = t->tid};
	struct user_regs_struct regs = {.cs = USER_CS, .ss = USER_SS, .eflags = EFLAGS_IF};

	if (!t->have_regs)
		return; /* a thread with registers of zeroes would be a lie */
	if (t->kernel_regs_bytes == sizeof(regs))
		memcpy(&regs, t->kernel_regs, sizeof(regs));
	insp_registers_give(t, &regs);
	_Static_assert(sizeof(regs) == sizeof(st.pr_reg), "pr_reg is a struct user_regs_struct");
	memcpy(&st.pr_reg, &regs, sizeof(regs));
	st.pr_utime.tv_sec = (time_t)(t->cpu_ns / 1000000000);
	st.pr_utime.tv_usec = (suseconds_t)(t->cpu_ns / 1000 % 1000000);
	add_note(b, NT_PRSTATUS, &st, sizeof(st));
}

static void add_psinfo(struct bytes *b, const struct insp_snapshot *s)
{
	struct elf_prpsinfo ps = {.pr_pid = s->pid, .pr_sname = 'S'};

	snprintf(ps.pr_fname, sizeof(ps.pr_fname), "%.15s", s->comm ? s->comm : "");
	snprintf(ps.pr_psargs, sizeof(ps.pr_psargs), "%.79s", s->cmdline ? s->cmdline : "");
	add_note(b, NT_PRPSINFO, &ps, sizeof(ps));
}

static bool has_file(const struct insp_region *r)
{
	return r->name[0] == '/' && !(r->flags & INSP_REGION_DEVICE);
}

/* Count, page size, {start, end, page offset} each, then the names. */
static void add_files(struct bytes *b, const struct insp_regions *regions)
{
	uint64_t head[2] = {0, PAGE};
	struct bytes note = {0};

	for (size_t i = 0; i < regions->n; i++)
		head[0] += has_file(&regions->items[i]);
	add(&note, head, sizeof(head));
	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];
		const uint64_t entry[3] = {r->start, r->end, r->offset / PAGE};

		if (has_file(r))
			add(&note, entry, sizeof(entry));
	}
	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];
		bool deleted = r->flags & INSP_REGION_DELETED;

		if (!has_file(r))
			continue;
		add(&note, r->name, strlen(r->name));
		add(&note, " (deleted)", deleted ? sizeof(" (deleted)") : 0);
		add(&note, "", deleted ? 0 : 1);
	}
	add_note(b, NT_FILE, note.items, note.n);
	b->failed |= note.failed;
	free(note.items);
}

static int make_notes(struct writer *w, struct insp_error *err)
{
	const struct insp_snapshot *s = w->snapshot;

	for (size_t i = 0; i < s->threads.n; i++) {
		add_thread(&w->notes, &s->threads.items[i]);
		if (!i) { /* after the first thread, as the kernel has it */
			add_psinfo(&w->notes, s);
			if (s->auxv)
				add_note(&w->notes, NT_AUXV, s->auxv, s->auxv_bytes);
			add_files(&w->notes, &s->regions);
		}
		if (s->threads.items[i].have_regs)
			add_vectors(&w->notes, &s->threads.items[i]);
	}
	return w->notes.failed ? insp_fail(err, INSP_E_NOMEM, "out of memory for the notes of the core") : 0;
}

/* How many bytes of the region have a place in the file. */
static uint64_t file_bytes(const struct insp_snapshot *s, size_t i)
{
	const struct insp_region *r = &s->regions.items[i];

	if (insp_dump_wants(&s->regions, i))
		return insp_region_bytes(r);
	/* Who the file is: its first page has the ELF head and mostly the build-id. */
	return has_file(r) && !r->offset && r->prot & INSP_PROT_READ ? PAGE : 0;
}

static int put_pages(void *ctx, uint64_t addr, const uint8_t *bytes, size_t n)
{
	struct writer *w = ctx;

	if (!bytes) {
		w->counts.missing += n;
		return 0;
	}
	insp_atomic_put(w->file, w->region_offset + (addr - w->region_addr), bytes, n);
	w->counts.bytes += n;
	return w->file->failed ? INSP_E_IO : 0;
}

/* The first page of a file: from memory, or, where it is not there any more, from the file. */
static void put_file_head(struct writer *w, const struct insp_region *r)
{
	uint8_t state = INSP_PAGE_PRESENT;
	ssize_t n = 0;

	if (!w->memory->ops->pages || !w->memory->ops->pages(w->memory, r->start, 1, &state))
		if (state == INSP_PAGE_PRESENT)
			n = (ssize_t)w->memory->ops->read(w->memory, r->start, w->buf, PAGE);
	if (n != PAGE && w->memory->ops->open_file) {
		int fd = w->memory->ops->open_file(w->memory, INSP_TARGET_REGION_FILE, r, NULL);

		n = fd >= 0 ? pread(fd, w->buf, PAGE, 0) : 0;
		if (fd >= 0)
			(void)close(fd);
	}
	if (n > 0)
		(void)put_pages(w, r->start, w->buf, (size_t)n);
}

static int put_region(struct writer *w, size_t i)
{
	const struct insp_region *r = &w->snapshot->regions.items[i];

	w->region_addr = r->start;
	if (insp_dump_wants(&w->snapshot->regions, i))
		return insp_dump_region(w->memory, r, w->buf, put_pages, w);
	put_file_head(w, r);
	return 0;
}

/* More segments than the header can count are counted by a section header. */
static void put_head(struct writer *w, uint64_t nsegments, uint64_t section_at)
{
	Elf64_Ehdr eh = {
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (uint16_t)(nsegments < PN_XNUM ? nsegments : PN_XNUM),
	};
	const Elf64_Shdr sh = {.sh_size = 1, .sh_info = (uint32_t)nsegments};

	memcpy(eh.e_ident, ELFMAG, SELFMAG);
	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	eh.e_ident[EI_VERSION] = EV_CURRENT;
	if (nsegments >= PN_XNUM) {
		eh.e_shoff = section_at;
		eh.e_shentsize = sizeof(sh);
		eh.e_shnum = 1;
		insp_atomic_put(w->file, section_at, &sh, sizeof(sh));
	}
	insp_atomic_put(w->file, 0, &eh, sizeof(eh));
}

static int put_all(struct writer *w)
{
	const struct insp_snapshot *s = w->snapshot;
	uint64_t nsegments = s->regions.n + 1;
	uint64_t table = sizeof(Elf64_Ehdr), section_at = table + nsegments * sizeof(Elf64_Phdr);
	uint64_t notes_at = section_at + sizeof(Elf64_Shdr);
	uint64_t at = (notes_at + w->notes.n + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	Elf64_Phdr ph = {.p_type = PT_NOTE, .p_offset = notes_at, .p_filesz = w->notes.n, .p_align = 4};
	int rc = 0;

	put_head(w, nsegments, section_at);
	insp_atomic_put(w->file, table, &ph, sizeof(ph));
	insp_atomic_put(w->file, notes_at, w->notes.items, w->notes.n);
	for (size_t i = 0; i < s->regions.n && !rc; i++) {
		const struct insp_region *r = &s->regions.items[i];

		w->region_offset = at;
		ph = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_flags = (r->prot & INSP_PROT_READ ? PF_R : 0u) |
				   (r->prot & INSP_PROT_WRITE ? PF_W : 0u) |
				   (r->prot & INSP_PROT_EXEC ? PF_X : 0u),
			.p_offset = at,
			.p_vaddr = r->start,
			.p_filesz = file_bytes(s, i),
			.p_memsz = insp_region_bytes(r),
			.p_align = PAGE,
		};
		insp_atomic_put(w->file, table + (i + 1) * sizeof(ph), &ph, sizeof(ph));
		if (ph.p_filesz)
			rc = put_region(w, i);
		at += ph.p_filesz;
	}
	/* The last pages may be a hole. */
	if (!rc && !w->file->failed && ftruncate(w->file->fd, (off_t)at))
		rc = INSP_E_IO;
	return rc;
}

int insp_core_write(const struct insp_snapshot *snapshot, struct insp_target *memory,
		    struct insp_atomic *file, struct insp_core_counts *ret, struct insp_error *err)
{
	struct writer w = {.snapshot = snapshot, .memory = memory, .file = file};
	int rc = make_notes(&w, err);

	w.buf = malloc(INSP_DUMP_BLOCK_BYTES);
	if (!rc && !w.buf)
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	if (!rc) {
		rc = put_all(&w);
		if (rc == INSP_E_IO)
			rc = insp_fail_errno(err, INSP_E_IO, file->failed, "'%s' was not written",
					     file->path);
		else if (rc)
			rc = insp_fail(err, (enum insp_code)rc, "'%s' was not written: interrupted",
				       file->path);
	}
	if (!rc)
		*ret = w.counts;
	free(w.buf);
	free(w.notes.items);
	return rc;
}
