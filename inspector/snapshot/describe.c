/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * describe: what of a snapshot is saved, field by field, section by section.
 *
 * A new field goes to the end of a new section, or raises INSP_FILE_FORMAT: a section has no
 * marks between its fields. Sections come in this order because later ones lean on earlier ones.
 */
#include <stdlib.h>

#include "snapshot/contents.h"
#include "snapshot/file.h"

static void meta(struct insp_codec *c, struct insp_snapshot *s)
{
	insp_codec_u32(c, &s->has);
	insp_codec_str(c, &s->target_kind);
	insp_codec_i32(c, &s->pid);
	insp_codec_i32(c, &s->ns_pid);
	insp_codec_str(c, &s->comm);
	insp_codec_str(c, &s->exe);
	insp_codec_str(c, &s->cmdline);
	insp_codec_str(c, &s->hostname);
	insp_codec_u32(c, &s->page_size);
	insp_codec_u64(c, &s->taken_at_ns);
	insp_codec_u64(c, &s->started_at_ns);
	insp_codec_str(c, &s->capture.mode);
	insp_codec_str(c, &s->capture.mode_reason);
	insp_codec_bool(c, &s->capture.consistent);
	insp_codec_str(c, &s->capture.incomplete);
	insp_codec_u64(c, &s->capture.stopped_ns);
	insp_codec_u64(c, &s->capture.to_stop_ns);
	insp_codec_u64(c, &s->capture.bytes_read);
	insp_codec_u64(c, &s->capture.estimated_stop_ns);
	insp_codec_u32(c, &s->capture.threads_unstopped);
	insp_codec_u32(c, &s->capture.restarts_mended);
	insp_codec_u64(c, &s->capture.total_ns);
	if (!c->writing && (!s->comm || !s->target_kind || !s->capture.mode)) /* nobody asks whether they are there */
		insp_codec_fail(c, INSP_E_CORRUPT);
	/* Walks over pages go on by it. */
	if (!c->writing && (s->page_size < 4096 || s->page_size & (s->page_size - 1)))
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static void region(struct insp_codec *c, struct insp_region *r)
{
	insp_codec_u64(c, &r->start);
	insp_codec_u64(c, &r->end);
	insp_codec_u64(c, &r->offset);
	insp_codec_u64(c, &r->inode);
	insp_codec_u32(c, &r->dev_major);
	insp_codec_u32(c, &r->dev_minor);
	insp_codec_u32(c, &r->prot);
	insp_codec_u32(c, &r->flags);
	insp_codec_str(c, &r->name);
	if (!c->writing && !r->name)
		r->name = "";
}

static void regions(struct insp_codec *c, struct insp_snapshot *s)
{
	insp_codec_vec(c, &s->regions, region);
	for (size_t i = 0; !c->writing && i < s->regions.n; i++) {
		const struct insp_region *r = &s->regions.items[i];

		if (r->start >= r->end || (i && r->start < r[-1].end))
			insp_codec_fail(c, INSP_E_CORRUPT);
	}
}

static void module(struct insp_codec *c, struct insp_module *m)
{
	insp_codec_str(c, &m->path);
	insp_codec_u64(c, &m->start);
	insp_codec_u64(c, &m->end);
	insp_codec_u64(c, &m->bias);
	insp_codec_u64(c, &m->inode);
	insp_codec_u32(c, &m->dev_major);
	insp_codec_u32(c, &m->dev_minor);
	insp_codec_raw(c, &m->machine, sizeof(m->machine));
	insp_codec_raw(c, m->build_id, sizeof(m->build_id));
	insp_codec_u32(c, &m->build_id_bytes);
	insp_codec_bool(c, &m->deleted);
	insp_codec_bool(c, &m->is_main);
	if (!c->writing && (!m->path || m->build_id_bytes > sizeof(m->build_id)))
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static void modules(struct insp_codec *c, struct insp_snapshot *s)
{
	insp_codec_vec(c, &s->modules, module);
}

static void frame(struct insp_codec *c, struct insp_frame *f)
{
	insp_codec_u64(c, &f->pc);
	insp_codec_u64(c, &f->sp);
	insp_codec_str(c, &f->function);
	insp_codec_u64(c, &f->function_offset);
	insp_codec_str(c, &f->module);
	insp_codec_u64(c, &f->module_offset);
	insp_codec_str(c, &f->file);
	insp_codec_u32(c, &f->line);
	insp_codec_u32(c, &f->flags);
}

static void thread(struct insp_codec *c, struct insp_thread *t)
{
	insp_codec_i32(c, &t->tid);
	insp_codec_i32(c, &t->ns_tid);
	insp_codec_raw(c, t->name, sizeof(t->name));
	t->name[sizeof(t->name) - 1] = '\0';
	insp_codec_raw(c, &t->state, 1);
	insp_codec_bool(c, &t->have_regs);
	for (size_t i = 0; i < INSP_N_REGS; i++)
		insp_codec_u64(c, &t->regs[i]);
	insp_codec_u64(c, &t->orig_rax);
	insp_codec_u64(c, &t->fs_base);
	insp_codec_i64(c, &t->syscall);
	for (size_t i = 0; i < 6; i++)
		insp_codec_u64(c, &t->syscall_args[i]);
	insp_codec_str(c, &t->wchan);
	insp_codec_u64(c, &t->cpu_ns);
	insp_codec_u64(c, &t->stack_start);
	insp_codec_u64(c, &t->stack_end);
	insp_codec_u64(c, &t->stack_addr);
	insp_codec_blob(c, &t->stack_bytes, &t->stack_len);
	insp_codec_blob(c, &t->kernel_regs, &t->kernel_regs_bytes);
	insp_codec_blob(c, &t->xsave, &t->xsave_bytes);
	insp_codec_vec(c, &t->frames, frame);
	insp_codec_bool(c, &t->frames.truncated);
	insp_codec_str(c, &t->frames.end_reason);
}

static void threads(struct insp_codec *c, struct insp_snapshot *s)
{
	insp_codec_vec(c, &s->threads, thread);
}

static void allocator(struct insp_codec *c, struct insp_allocator *a)
{
	insp_codec_str(c, &a->name);
	insp_codec_str(c, &a->title);
	insp_codec_str(c, &a->version);
	insp_codec_str(c, &a->module);
	insp_codec_i32(c, &a->confidence);
	insp_codec_str(c, &a->evidence);
	insp_codec_bool(c, &a->walked);
	insp_codec_bool(c, &a->chunks_complete);
	insp_codec_u64(c, &a->mmap_threshold);
	insp_codec_u64(c, &a->trim_threshold);
	insp_codec_u64(c, &a->top_pad);
	insp_codec_u64(c, &a->arena_max);
	insp_codec_u64(c, &a->thp_page_size);
	insp_codec_u64(c, &a->tcache_count);
	insp_codec_u64(c, &a->n_mmaps);
	insp_codec_u64(c, &a->mmapped_mem);
	insp_codec_bool(c, &a->safe_linking);
	if (!c->writing && (!a->name || !a->title))
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static void arena(struct insp_codec *c, struct insp_arena *a)
{
	insp_codec_u32(c, &a->allocator);
	insp_codec_str(c, &a->name);
	insp_codec_u64(c, &a->addr);
	insp_codec_u32(c, &a->flags);
	insp_codec_u64(c, &a->top_addr);
	insp_codec_u64(c, &a->top_bytes);
	insp_codec_u64(c, &a->system_bytes);
	insp_codec_u64(c, &a->max_system_bytes);
	insp_codec_u64(c, &a->spans_bytes);
	insp_codec_u64(c, &a->attached_threads);
	insp_codec_u32(c, &a->nheaps);
	if (!c->writing && !a->name)
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static void bin(struct insp_codec *c, struct insp_bin *b)
{
	uint32_t kind = b->kind;

	insp_codec_u32(c, &kind);
	if (kind >= INSP_N_BIN_KINDS)
		insp_codec_fail(c, INSP_E_CORRUPT);
	b->kind = kind < INSP_N_BIN_KINDS ? (enum insp_bin_kind)kind : INSP_BIN_UNSORTED;
	insp_codec_u32(c, &b->arena);
	insp_codec_i32(c, &b->tid);
	insp_codec_u32(c, &b->index);
	insp_codec_u64(c, &b->min_size);
	insp_codec_u64(c, &b->max_size);
	insp_codec_u64(c, &b->count);
	insp_codec_u64(c, &b->bytes);
	insp_codec_u64(c, &b->head);
	insp_codec_bool(c, &b->broken);
}

static void finding(struct insp_codec *c, struct insp_finding *f)
{
	uint32_t severity = f->severity;

	insp_codec_u32(c, &severity);
	f->severity = severity <= INSP_CORRUPTION ? (enum insp_severity)severity : INSP_CORRUPTION;
	insp_codec_str(c, &f->code);
	insp_codec_u64(c, &f->addr);
	insp_codec_str(c, &f->text);
	if (!c->writing && (!f->code || !f->text))
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static void heaps(struct insp_codec *c, struct insp_snapshot *s)
{
	insp_codec_vec_malloc(c, &s->allocators, allocator);
	insp_codec_vec_malloc(c, &s->arenas, arena);
	for (size_t i = 0; !c->writing && i < s->arenas.n; i++)
		if (s->arenas.items[i].allocator >= s->allocators.n)
			insp_codec_fail(c, INSP_E_CORRUPT);
	insp_codec_vec_malloc(c, &s->bins, bin);
	insp_codec_vec_malloc(c, &s->findings, finding);
	insp_codec_size(c, &s->findings.dropped);
}

static void region_usage(struct insp_codec *c, struct insp_region_usage *u)
{
	uint64_t *v = (uint64_t *)u;

	for (size_t i = 0; i < sizeof(*u) / sizeof(*v); i++)
		insp_codec_u64(c, &v[i]);
}

static void usage(struct insp_codec *c, struct insp_snapshot *s)
{
	struct insp_usage *u = &s->usage;
	uint64_t *const fields[] = {
		&u->vm_rss,	 &u->vm_hwm,	     &u->vm_size,    &u->rss_anon,
		&u->rss_file,	 &u->rss_shmem,	     &u->vm_swap,    &u->vm_pte,
		&u->vm_lck,	 &u->hugetlb,	     &u->cgroup_current, &u->cgroup_max,
		&u->cgroup_high, &u->cgroup_swap,    &u->mem_total,  &u->mem_available,
	};

	insp_codec_vec(c, u, region_usage);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		insp_codec_u64(c, fields[i]);
	insp_codec_str(c, &u->cgroup_path);
}

static void page_run(struct insp_codec *c, struct insp_page_run *run)
{
	insp_codec_u64(c, &run->start);
	insp_codec_u32(c, &run->npages);
	insp_codec_u32(c, &run->kind);
	if (run->kind > INSP_PAGES_UNSURE || run->start % 4096)
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static void residency(struct insp_codec *c, struct insp_snapshot *s)
{
	struct insp_residency *r = &s->residency;

	insp_codec_u32(c, &r->page_size);
	insp_codec_bool(c, &r->known);
	insp_codec_u64(c, &r->unscanned_bytes);
	insp_codec_vec_malloc(c, r, page_run);
	if (c->writing || c->failed)
		return;
	for (size_t i = 0; i < r->n; i++)
		if (r->page_size < 4096 || insp_page_run_end(r, &r->items[i]) <= r->items[i].start ||
		    (i && r->items[i].start < insp_page_run_end(r, &r->items[i - 1])))
			insp_codec_fail(c, INSP_E_CORRUPT);
}

static bool has_residency(const struct insp_snapshot *s)
{
	return s->residency.known;
}

/* A span as it lies in memory: the bits are the answer to where its chunks are. */
static void span_read(struct insp_codec *c, struct insp_chunks *chunks, size_t narenas,
		      size_t *ret_states)
{
	struct insp_geometry geometry = {0};
	uint64_t start, end;
	uint32_t arena_index, n;
	uint8_t *bits = NULL;
	size_t nbytes = 0;

	insp_codec_u64(c, &start);
	insp_codec_u64(c, &end);
	insp_codec_u32(c, &arena_index);
	insp_codec_u32(c, &n);
	insp_codec_u8(c, &geometry.shift);
	insp_codec_u8(c, &geometry.lead);
	insp_codec_u8(c, &geometry.tail);
	insp_codec_blob(c, &bits, &nbytes);
	if (c->failed)
		return;
	if (start >= end || !n || geometry.shift > 12 || geometry.lead > 1u << geometry.shift ||
	    arena_index >= narenas) {
		insp_codec_fail(c, INSP_E_CORRUPT);
		return;
	}
	*ret_states += n;
	if (!insp_chunks_load_span(chunks, start, end, arena_index, geometry, n, bits, nbytes))
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static void span_write(struct insp_codec *c, const struct insp_span *span)
{
	struct insp_span s = *span;
	uint8_t *bits = (uint8_t *)s.bits;
	size_t nbytes = s.nwords * sizeof(*s.bits);

	insp_codec_u64(c, &s.start);
	insp_codec_u64(c, &s.end);
	insp_codec_u32(c, &s.arena);
	insp_codec_u32(c, &s.n);
	insp_codec_u8(c, &s.geometry.shift);
	insp_codec_u8(c, &s.geometry.lead);
	insp_codec_u8(c, &s.geometry.tail);
	insp_codec_blob(c, &bits, &nbytes);
}

/* Spans are written by id, so that ids are the same on the other side. */
static void chunks(struct insp_codec *c, struct insp_snapshot *s)
{
	size_t nspans = s->chunks->nspans, total = 0;

	insp_codec_count(c, &nspans, 8);
	for (size_t i = 0; i < nspans && !c->failed; i++)
		if (c->writing)
			span_write(c, &s->chunks->spans[s->chunks->by_first[i]]);
		else
			span_read(c, s->chunks, s->arenas.n, &total);
	if (c->writing) {
		insp_codec_raw(c, s->chunks->states, s->chunks->n);
		return;
	}
	if (total > c->n - c->at || !insp_chunks_load_states(s->chunks, c->bytes + c->at, total))
		insp_codec_fail(c, INSP_E_CORRUPT);
	else
		c->at += total;
	if (!c->failed && insp_chunks_seal(s->chunks, NULL))
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static bool has_contents(const struct insp_snapshot *s)
{
	return s->contents != NULL;
}

static void type_sum(struct insp_codec *c, struct insp_type_sum *sum)
{
	insp_codec_str(c, &sum->name);
	insp_codec_u64(c, &sum->count);
	insp_codec_u64(c, &sum->bytes);
	if (!c->writing && !sum->name)
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static bool has_types(const struct insp_snapshot *s)
{
	return s->types.items != NULL;
}

static void types(struct insp_codec *c, struct insp_snapshot *s)
{
	insp_codec_vec(c, &s->types, type_sum);
}

static bool has_type_of(const struct insp_snapshot *s)
{
	return s->types.type_of != NULL;
}

static void type_of(struct insp_codec *c, struct insp_snapshot *s)
{
	struct insp_type_sums *t = &s->types;
	size_t nnames = t->n;

	insp_codec_count(c, &nnames, 1);
	if (nnames != t->n)
		insp_codec_fail(c, INSP_E_CORRUPT);
	for (size_t i = 0; i < nnames && !c->failed; i++)
		insp_codec_bool(c, &t->items[i].text);
	insp_codec_count(c, &t->ntype_of, 1);
	if (c->failed)
		return;
	if (!c->writing) {
		t->type_of = insp_pool_array(c->pool, t->ntype_of + 1, sizeof(*t->type_of));
		if (!t->type_of)
			insp_codec_fail(c, INSP_E_NOMEM);
	}
	for (size_t i = 0; i < t->ntype_of && !c->failed; i++)
		insp_codec_u32(c, &t->type_of[i]);
}

static void auxv(struct insp_codec *c, struct insp_snapshot *s)
{
	insp_codec_blob(c, &s->auxv, &s->auxv_bytes);
}

const struct insp_section insp_sections[] = {
	{"meta", meta, NULL},
	{"regions", regions, NULL},
	{"modules", modules, NULL},
	{"threads", threads, NULL},
	{"heaps", heaps, NULL},
	{"usage", usage, NULL},
	{"pages", residency, has_residency},
	{"chunks", chunks, NULL, .aside = true},
	{"pointer", insp_section_pointers, insp_section_has_pointers, .aside = true},
	{"sites", insp_section_sites, insp_section_has_sites},
	{"auxv", auxv, NULL},
	{"bytes", insp_contents_describe, has_contents},
	{"types", types, has_types},
	{"typeof", type_of, has_type_of},
};
const size_t insp_nsections = sizeof(insp_sections) / sizeof(insp_sections[0]);
