/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/vec.h"

/* bytes and states run parallel to regions. */
struct fake {
	struct insp_regions regions;
	struct {
		uint8_t **items;
		size_t n, cap;
	} bytes, states;
	struct insp_threads threads;
	struct insp_target *target;
	size_t nreads;
};

static int fake_open(struct insp_target *target, const char *spec, struct insp_error *err)
{
	(void)spec;
	(void)err;
	target->pid = 4242;
	memcpy(target->comm, "fake", 5);
	return 0;
}

static void fake_close(struct insp_target *target)
{
	(void)target;
}

static size_t region_index(const struct fake *fake, uint64_t addr)
{
	const struct insp_region *r = insp_regions_find(&fake->regions, addr);

	return r ? (size_t)(r - fake->regions.items) : SIZE_MAX;
}

static size_t fake_read(struct insp_target *target, uint64_t addr, void *buf, size_t size_bytes)
{
	struct fake *fake = target->priv;
	size_t done = 0;

	fake->nreads++;
	while (done < size_bytes) {
		size_t i = region_index(fake, addr + done), off, n;

		if (i == SIZE_MAX || !(fake->regions.items[i].prot & INSP_PROT_READ))
			break;
		off = (size_t)(addr + done - fake->regions.items[i].start);
		n = 4096 - off % 4096;
		if (fake->states.items[i][off / 4096] != INSP_PAGE_PRESENT)
			fail_msg("read of a page that is not present: %#lx", (long)(addr + done));
		if (n > size_bytes - done)
			n = size_bytes - done;
		memcpy((uint8_t *)buf + done, fake->bytes.items[i] + off, n);
		done += n;
	}
	return done;
}

static int fake_list_regions(struct insp_target *target, struct insp_pool *pool,
			     struct insp_regions *ret, struct insp_error *err)
{
	struct fake *fake = target->priv;

	(void)err;
	ret->n = fake->regions.n;
	ret->items = insp_pool_memdup(pool, fake->regions.items, ret->n * sizeof(*ret->items));
	return ret->items ? 0 : INSP_E_NOMEM;
}

static int fake_pages(struct insp_target *target, uint64_t addr, size_t npages, uint8_t *ret)
{
	struct fake *fake = target->priv;

	for (size_t p = 0; p < npages; p++, addr += 4096) {
		size_t i = region_index(fake, addr);

		ret[p] = i == SIZE_MAX ? INSP_PAGE_ABSENT
				       : fake->states.items[i][(addr - fake->regions.items[i].start) /
							       4096];
	}
	return 0;
}

static int fake_list_threads(struct insp_target *target, struct insp_pool *pool,
			     struct insp_threads *ret, struct insp_error *err)
{
	struct fake *fake = target->priv;

	(void)err;
	ret->n = fake->threads.n;
	ret->items = insp_pool_memdup(pool, fake->threads.items, ret->n * sizeof(*ret->items));
	return ret->items ? 0 : INSP_E_NOMEM;
}

static const struct insp_target_ops fake_ops = {
	.name = "fake",
	.title = "fake target",
	.open = fake_open,
	.close = fake_close,
	.read = fake_read,
	.regions = fake_list_regions,
	.pages = fake_pages,
	.threads = fake_list_threads,
};

struct fake *fake_create(void)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	assert_non_null(fake);
	assert_int_equal(insp_target_open_with(&fake_ops, "fake", fake, &fake->target, NULL), 0);
	return fake;
}

void fake_destroy(struct fake *fake)
{
	insp_target_close(fake->target);
	for (size_t i = 0; i < fake->regions.n; i++) {
		free(fake->bytes.items[i]);
		free(fake->states.items[i]);
		free((char *)fake->regions.items[i].name);
	}
	insp_vec_free(&fake->regions);
	insp_vec_free(&fake->bytes);
	insp_vec_free(&fake->states);
	insp_vec_free(&fake->threads);
	free(fake);
}

uint8_t *fake_region(struct fake *fake, uint64_t start, size_t size_bytes, uint32_t prot,
		     const char *name)
{
	size_t at = 0, n = fake->regions.n;

	assert_int_equal(size_bytes % 4096, 0);
	assert_non_null(insp_vec_push(&fake->regions));
	assert_non_null(insp_vec_push(&fake->bytes));
	assert_non_null(insp_vec_push(&fake->states));
	while (at < n && fake->regions.items[at].start < start)
		at++;
	for (size_t i = n; i > at; i--) {
		fake->regions.items[i] = fake->regions.items[i - 1];
		fake->bytes.items[i] = fake->bytes.items[i - 1];
		fake->states.items[i] = fake->states.items[i - 1];
	}
	fake->regions.items[at] = (struct insp_region){
		.start = start,
		.end = start + size_bytes,
		.prot = prot,
		.inode = strchr(name, '/') ? 77 : 0,
		.flags = !strcmp(name, "[heap]")    ? INSP_REGION_BRK
			 : !strcmp(name, "[stack]") ? INSP_REGION_STACK
						    : 0,
		.name = strdup(name),
	};
	fake->bytes.items[at] = calloc(1, size_bytes);
	fake->states.items[at] = malloc(size_bytes / 4096);
	assert_non_null(fake->bytes.items[at]);
	assert_non_null(fake->states.items[at]);
	memset(fake->states.items[at], INSP_PAGE_PRESENT, size_bytes / 4096);
	return fake->bytes.items[at];
}

static uint8_t *fake_at(struct fake *fake, uint64_t addr, size_t size_bytes)
{
	size_t i = region_index(fake, addr);

	if (i == SIZE_MAX || addr + size_bytes > fake->regions.items[i].end)
		fail_msg("no fake memory at %#lx", (long)addr);
	return fake->bytes.items[i] + (addr - fake->regions.items[i].start);
}

void fake_put(struct fake *fake, uint64_t addr, const void *bytes, size_t size_bytes)
{
	memcpy(fake_at(fake, addr, size_bytes), bytes, size_bytes);
}

void fake_put64(struct fake *fake, uint64_t addr, uint64_t value)
{
	fake_put(fake, addr, &value, sizeof(value));
}

uint64_t fake_get64(struct fake *fake, uint64_t addr)
{
	uint64_t value;

	memcpy(&value, fake_at(fake, addr, sizeof(value)), sizeof(value));
	return value;
}

void fake_page_state(struct fake *fake, uint64_t addr, size_t npages, enum insp_page_state state)
{
	size_t i = region_index(fake, addr);

	assert_int_not_equal(i, SIZE_MAX);
	memset(fake->states.items[i] + (addr - fake->regions.items[i].start) / 4096, (int)state,
	       npages);
}

struct insp_thread *fake_thread(struct fake *fake, int tid)
{
	struct insp_thread *t = insp_vec_push(&fake->threads);

	assert_non_null(t);
	t->tid = t->ns_tid = tid;
	t->syscall = -1;
	return t;
}

struct insp_target *fake_target(struct fake *fake)
{
	return fake->target;
}

const struct insp_regions *fake_regions(struct fake *fake)
{
	return &fake->regions;
}

size_t fake_reads(const struct fake *fake)
{
	return fake->nreads;
}
