/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * profile_tables: a profile for renderers that know tables only: its functions, as `go tool pprof -top`
 * lists them, and its stacks, one a row, as folded text.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "report/profile.h"
#include "report/report.h"

#define NCOLUMNS (INSP_PROFILE_TYPES * 2 + 4)

static enum insp_type type_of(const struct insp_profile *p, size_t t)
{
	bool bytes = strcmp(p->types[t].unit, "bytes") == 0;

	if (p->delta)
		return bytes ? INSP_T_DELTA : INSP_T_DELTA_COUNT;
	return bytes ? INSP_T_BYTES : INSP_T_COUNT;
}

static void cell(struct insp_report *r, const struct insp_profile *p, int64_t value)
{
	if (p->delta)
		insp_cell_i64(r, value);
	else
		insp_cell_u64(r, value < 0 ? 0 : (uint64_t)value);
}

static double share(int64_t part, int64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* A table whose columns depend on the sample types; lives as long as the profile's pool. */
struct made_table {
	struct insp_column columns[NCOLUMNS];
	struct insp_table table;
};

static void add_column(struct made_table *t, const char *key, const char *title, enum insp_type type,
		       uint32_t flags, const char *help)
{
	t->columns[t->table.ncolumns++] = (struct insp_column){key, title, type, flags, help};
}

static struct made_table *make_table(const struct insp_profile *p, const char *key, const char *title)
{
	struct made_table *t = insp_pool_alloc(p->pool, sizeof(*t));

	if (t)
		t->table = (struct insp_table){
			.key = key, .title = title, .columns = t->columns, .empty = "no samples"};
	return t;
}

static int report_functions(struct insp_report *r, const struct insp_profile *p, size_t limit,
			    struct insp_error *err)
{
	struct made_table *t = make_table(p, "functions", "Functions");
	struct insp_profile_functions fs;
	size_t shown = p->default_type, n = 0, rows = 0;
	int rc = t ? insp_profile_functions(p, shown, false, &fs, err)
		   : insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");

	if (rc)
		return rc;
	add_column(t, "flat", "flat", type_of(p, shown), 0, "of stacks that end in it");
	add_column(t, "flat_share", "flat %", INSP_T_RATIO, 0, "its share of all");
	add_column(t, "cum", "cum", type_of(p, shown), 0, "of stacks that go through it");
	add_column(t, "cum_share", "cum %", INSP_T_RATIO, 0, "its share of all");
	for (size_t i = 0; i < p->ntypes; i++)
		if (i != shown && t->table.ncolumns + 1 < NCOLUMNS)
			add_column(t, p->types[i].type, p->types[i].type, type_of(p, i), INSP_COL_WIDE,
				   "of stacks that end in it");
	add_column(t, "function", "function", INSP_T_STR, INSP_COL_WRAP, "name, or module and offset");
	insp_table_begin(r, &t->table);
	for (size_t i = 0; i < fs.n && !insp_report_failed(r); i++) {
		const struct insp_profile_function *f = &fs.items[i];

		if (!f->flat[shown] && !f->cum[shown])
			continue;
		n++;
		if (limit && rows == limit)
			continue;
		rows++;
		cell(r, p, f->flat[shown]);
		insp_cell_f64(r, share(f->flat[shown], fs.total[shown]));
		cell(r, p, f->cum[shown]);
		insp_cell_f64(r, share(f->cum[shown], fs.total[shown]));
		for (size_t k = 0; k < p->ntypes; k++)
			if (k != shown)
				cell(r, p, f->flat[k]);
		insp_cell_str(r, f->name);
		insp_row_end(r);
	}
	insp_table_end(r);
	if (rows < n)
		insp_table_cut(r, rows, n, "--limit 0 shows all");
	insp_profile_functions_deinit(&fs);
	return 0;
}

static int by_value(const void *a, const void *b, void *ctx)
{
	const struct insp_profile *p = ctx;
	const struct insp_profile_sample *x = &p->samples.items[*(const uint32_t *)a];
	const struct insp_profile_sample *y = &p->samples.items[*(const uint32_t *)b];
	int64_t v = x->values[p->default_type], w = y->values[p->default_type];

	return v < w ? 1 : v > w ? -1 : (x > y) - (x < y);
}

static void fold(const struct insp_profile *p, const struct insp_profile_sample *s, struct insp_str *str)
{
	insp_str_reset(str);
	for (uint32_t k = s->nlocations; k-- > 0;) {
		uint32_t l = p->stacks.items[s->first_location + k];
		const struct insp_profile_location *loc = &p->locations.items[l];

		if (!loc->nframes) {
			insp_str_add(str, str->len ? ";" : "");
			insp_str_add(str, insp_profile_location_name(p, l));
		}
		for (uint32_t f = loc->nframes; f-- > 0;) {
			const char *name = p->frames.items[loc->first_frame + f].function;

			insp_str_add(str, str->len ? ";" : "");
			insp_str_add(str, name ? name : insp_profile_location_name(p, l));
		}
	}
}

static int report_stacks(struct insp_report *r, const struct insp_profile *p, size_t limit,
			 struct insp_error *err)
{
	struct made_table *t = make_table(p, "stacks", "Stacks");
	uint32_t *order = calloc(p->samples.n + 1, sizeof(*order));
	struct insp_str str = {0};
	size_t n = limit && limit < p->samples.n ? limit : p->samples.n;

	if (!t || !order) {
		free(order);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	}
	for (size_t i = 0; i < p->ntypes; i++)
		add_column(t, p->types[i].type, p->types[i].type, type_of(p, i),
			   i == p->default_type ? 0 : INSP_COL_WIDE, "see functions");
	add_column(t, "stack", "stack, outermost first", INSP_T_STR, INSP_COL_WRAP,
		   "functions separated by ';', outermost first");
	for (uint32_t i = 0; i < p->samples.n; i++)
		order[i] = i;
	qsort_r(order, p->samples.n, sizeof(*order), by_value, (void *)p);
	insp_table_begin(r, &t->table);
	for (size_t i = 0; i < n && !insp_report_failed(r); i++) {
		const struct insp_profile_sample *s = &p->samples.items[order[i]];

		for (size_t k = 0; k < p->ntypes; k++)
			cell(r, p, s->values[k]);
		fold(p, s, &str);
		insp_cell_str(r, insp_str_text(&str));
		insp_row_end(r);
	}
	insp_table_end(r);
	if (n < p->samples.n)
		insp_table_cut(r, n, p->samples.n, "--limit 0 shows all");
	insp_str_deinit(&str);
	free(order);
	return 0;
}

int insp_report_profile_tables(struct insp_report *r, const struct insp_profile *p, size_t limit,
			       struct insp_error *err)
{
	int rc = report_functions(r, p, limit, err);

	return rc ? rc : report_stacks(r, p, limit, err);
}
