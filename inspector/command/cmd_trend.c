/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trend: more than two snapshots: per group a line of its sizes, its slope, and whether it only grew. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/groups.h"
#include "base/str.h"
#include "command/command.h"
#include "snapshot/file.h"
#include "watch/trace.h"

struct args {
	const char *files, *by;
	uint64_t limit;
};

static const struct insp_option options[] = {
	{"FILES", 0, INSP_OPT_FILE, NULL, "snapshot files, in any order; sorted by the time they were taken",
	 NULL, NULL, offsetof(struct args, files), .required = true, .rest = true},
	{"by", 'b', INSP_OPT_CHOICE, "KEY", "what to follow", "size", INSP_GROUP_CHOICES,
	 offsetof(struct args, by)},
	{"limit", 'n', INSP_OPT_COUNT, "N", "at most N rows; 0: all", "20", NULL,
	 offsetof(struct args, limit)},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"key", "", INSP_T_STR, 0, "the group"},
	{"first", "first", INSP_T_BYTES, 0, "bytes in the earliest snapshot"},
	{"last", "last", INSP_T_BYTES, 0, "bytes in the latest"},
	{"trend", "trend", INSP_T_STR, 0, "one mark a snapshot, lowest to highest of this row"},
	{"per_hour", "per hour", INSP_T_DELTA, 0, "slope of the straight line through all, bytes an hour"},
	{"monotone", "", INSP_T_STR, 0, "grows: no snapshot has less than the one before, the last has more"},
};

static const struct insp_table table = INSP_TABLE("trend", NULL, columns, "no groups");

struct point {
	uint64_t taken_at_ns;
	struct insp_groups groups;
};

struct row {
	const char *key;
	uint64_t rank; /* of the group */
	uint64_t *bytes; /* [npoints] */
	double *values;	 /* the same */
	double slope;	 /* bytes per second */
};

static int point_compare(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	return x->taken_at_ns < y->taken_at_ns ? -1 : x->taken_at_ns > y->taken_at_ns;
}

/* Loads one file at a time: only its groups are kept. */
static int load_point(const char *file, const char *by, struct insp_pool *pool, struct point *ret,
		      struct insp_error *err)
{
	struct insp_snapshot *s;
	int rc = insp_snapshot_load(file, &s, err);

	if (rc)
		return rc;
	ret->taken_at_ns = s->taken_at_ns;
	rc = insp_groups_make(s, by, pool, &ret->groups, err);
	for (size_t i = 0; i < ret->groups.n && !rc; i++) {
		ret->groups.items[i].key = insp_pool_strdup(pool, ret->groups.items[i].key);
		if (!ret->groups.items[i].key)
			rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	insp_snapshot_destroy(s);
	return rc;
}

static int key_compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return insp_group_order(x->rank, x->key, y->rank, y->key);
}

/* Bytes as doubles, in pool; NULL when memory is short. */
static double *doubles(const uint64_t *bytes, size_t n, struct insp_pool *pool)
{
	double *ret = insp_pool_array(pool, n, sizeof(*ret));

	for (size_t i = 0; ret && i < n; i++)
		ret[i] = (double)bytes[i];
	return ret;
}

static int slope_compare(const void *a, const void *b)
{
	double x = fabs(((const struct row *)a)->slope), y = fabs(((const struct row *)b)->slope);

	return x > y ? -1 : x < y ? 1 : key_compare(a, b);
}

static int make_rows(const struct point *points, size_t n, struct insp_pool *pool, struct row **ret,
		     size_t *ret_n, struct insp_error *err)
{
	size_t most = 0, nrows = 0;
	struct row *rows, *found, key;
	double *seconds;

	for (size_t p = 0; p < n; p++)
		most += points[p].groups.n;
	rows = insp_pool_array(pool, most + 1, sizeof(*rows));
	if (!rows)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t p = 0; p < n; p++) {
		size_t known = nrows; /* sorted so far */

		for (size_t g = 0; g < points[p].groups.n; g++) {
			const struct insp_group *group = &points[p].groups.items[g];

			key.key = group->key;
			key.rank = group->rank;
			found = known ? bsearch(&key, rows, known, sizeof(*rows), key_compare) : NULL;
			if (!found) {
				found = &rows[nrows++];
				found->key = group->key;
				found->rank = group->rank;
				found->bytes = insp_pool_array(pool, n, sizeof(*found->bytes));
				if (!found->bytes)
					return insp_fail(err, INSP_E_NOMEM, "out of memory");
			}
			found->bytes[p] = group->bytes;
		}
		if (nrows)
			qsort(rows, nrows, sizeof(*rows), key_compare);
	}
	seconds = insp_pool_array(pool, n, sizeof(*seconds));
	if (!seconds)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t p = 0; p < n; p++)
		seconds[p] = (double)(points[p].taken_at_ns - points[0].taken_at_ns) / 1e9;
	for (size_t i = 0; i < nrows; i++) {
		rows[i].values = doubles(rows[i].bytes, n, pool);
		if (!rows[i].values)
			return insp_fail(err, INSP_E_NOMEM, "out of memory");
		rows[i].slope = insp_slope(seconds, rows[i].values, n);
		if (!isfinite(rows[i].slope)) /* all taken at one instant */
			rows[i].slope = 0;
	}
	if (nrows)
		qsort(rows, nrows, sizeof(*rows), slope_compare);
	*ret = rows;
	*ret_n = nrows;
	return 0;
}

static bool grows(const uint64_t *bytes, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (bytes[i] < bytes[i - 1])
			return false;
	return n > 1 && bytes[n - 1] > bytes[0];
}

static void report_rows(struct insp_report *r, const struct row *rows, size_t nrows, size_t n,
			uint64_t limit)
{
	struct insp_str line = {0};
	size_t shown = 0;

	insp_table_begin(r, &table);
	for (; shown < nrows && (!limit || shown < limit); shown++) {
		insp_str_reset(&line);
		insp_spark_line(rows[shown].values, n, true, &line);
		insp_cell_str(r, rows[shown].key);
		insp_cell_u64(r, rows[shown].bytes[0]);
		insp_cell_u64(r, rows[shown].bytes[n - 1]);
		insp_cell_str(r, insp_str_text(&line));
		insp_cell_i64(r, (int64_t)(rows[shown].slope * 3600));
		insp_cell_str(r, grows(rows[shown].bytes, n) ? "grows" : "");
		insp_row_end(r);
	}
	insp_table_end(r);
	insp_str_deinit(&line);
	if (shown < nrows)
		insp_table_cut(r, shown, nrows, "--limit 0 shows all");
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct insp_words files = {0};
	struct point *points;
	struct row *rows = NULL;
	size_t nrows = 0;
	int rc = insp_words_split(a->files, ctx->pool, &files, err);

	if (rc)
		return rc;
	if (files.n < 2)
		return insp_fail(err, INSP_E_USAGE, "trend wants two or more snapshot files");
	points = insp_pool_array(ctx->pool, files.n, sizeof(*points));
	if (!points)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t i = 0; i < files.n && !rc; i++)
		rc = load_point(files.items[i], a->by, ctx->pool, &points[i], err);
	if (rc)
		return rc;
	qsort(points, files.n, sizeof(*points), point_compare);
	rc = make_rows(points, files.n, ctx->pool, &rows, &nrows, err);
	if (rc)
		return rc;
	insp_field_u64(report, "snapshots", "snapshots", INSP_T_COUNT, files.n);
	insp_field_u64(report, "span_ns", "over", INSP_T_DURATION,
		       points[files.n - 1].taken_at_ns - points[0].taken_at_ns);
	report_rows(report, rows, nrows, files.n, a->limit);
	return 0;
}

static const struct insp_column top_fields[] = {
	{"snapshots", NULL, INSP_T_COUNT, 0, "files that were compared"},
	{"span_ns", NULL, INSP_T_DURATION, 0, "from the first to the last"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);
static const struct insp_table *const tables[] = {&top_doc, &table, NULL};

const struct insp_command insp_cmd_trend = {
	.name = "trend",
	.group = "files",
	.summary = "how groups developed over several saved snapshots",
	.help = "Per group: its first and last size, a mark for each snapshot, the slope of the straight "
		"line through all of them, and whether it never fell. Rows that grow or fall fastest "
		"come first. File names with spaces are quoted.",
	.example = "trend monday.mi tuesday.mi wednesday.mi",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_NO_TARGET,
	.tables = tables,
	.run = run,
};
