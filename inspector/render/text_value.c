/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "base/fmt.h"
#include "base/utf8.h"
#include "render/text.h"

#define BAR_COLUMNS 20

void insp_text_safe(struct insp_str *str, const struct insp_render_options *options, const char *s,
		    bool lines)
{
	size_t n = strlen(s), i = 0, plain = 0;

	while (i < n) {
		uint32_t c;
		size_t len = insp_utf8_decode(s + i, n - i, &c);

		if (!insp_utf8_unsafe(c) || (lines && c == '\n')) {
			i += len;
			continue;
		}
		insp_str_addn(str, s + plain, i - plain);
		if (c == '\n')
			insp_str_add(str, "\\n");
		else if (c == '\t')
			insp_str_add(str, lines ? "    " : "\\t");
		else if (c < 0x80)
			insp_str_addf(str, "\\x%02x", (unsigned)c);
		else
			insp_str_add(str, options->utf8 ? "\xef\xbf\xbd" : "?");
		i += len;
		plain = i;
	}
	insp_str_addn(str, s + plain, n - plain);
}

static void bar(struct insp_str *str, bool utf8, double ratio)
{
	/* U+2588 and its left parts in eighths: U+258F is the thinnest. */
	double filled = ratio < 0 || !isfinite(ratio) ? 0 : ratio > 1 ? BAR_COLUMNS : ratio * BAR_COLUMNS;
	int whole = (int)filled, eighths = (int)((filled - whole) * 8 + 0.5);

	if (!utf8) {
		insp_str_pad(str, '#', (size_t)(filled + 0.5));
		return;
	}
	for (int i = 0; i < whole; i++)
		insp_str_add(str, "\xe2\x96\x88");
	if (eighths)
		insp_str_addf(str, "\xe2\x96%c", 0x90 - eighths);
	else if (!whole && ratio > 0)
		insp_str_add(str, "\xe2\x96\x8f");
}

static void local_time(struct insp_str *str, uint64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;
	char buf[40];

	if (localtime_r(&t, &tm) && strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", &tm))
		insp_str_add(str, buf);
}

static void signed_value(struct insp_str *str, bool raw, enum insp_type type, int64_t v)
{
	uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	char buf[INSP_FMT_MAX];

	if (raw) {
		insp_str_addf(str, "%+" PRId64, v);
		return;
	}
	if (v)
		insp_str_addc(str, v < 0 ? '-' : '+');
	insp_str_add(str, type == INSP_T_DELTA ? insp_fmt_bytes(buf, size) : insp_fmt_count(buf, size));
}

/* Tables may have millions of rows: no printf for their commonest cells. */
static void digits(struct insp_str *str, uint64_t v, unsigned base)
{
	char buf[24], *p = buf + sizeof(buf);

	do {
		*--p = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	if (base == 16) {
		*--p = 'x';
		*--p = '0';
	}
	insp_str_addn(str, p, (size_t)(buf + sizeof(buf) - p));
}

static void number(struct insp_str *str, bool raw, enum insp_type type, uint64_t v)
{
	char buf[INSP_FMT_MAX];

	if (raw || (v < 1000 && type == INSP_T_COUNT))
		digits(str, v, 10);
	else if (type == INSP_T_BYTES)
		insp_str_add(str, insp_fmt_bytes(buf, v));
	else if (type == INSP_T_DURATION)
		insp_str_add(str, insp_fmt_duration(buf, v));
	else
		insp_str_add(str, insp_fmt_count(buf, v));
}

void insp_text_value(struct insp_str *str, const struct insp_render_options *options,
		     enum insp_type type, const struct insp_value *value)
{
	double f;

	if (value->kind == INSP_V_UNKNOWN) {
		insp_str_addc(str, '-');
		return;
	}
	if (value->kind == INSP_V_STR) {
		insp_text_safe(str, options, value->str, false);
		return;
	}
	switch (type) {
	case INSP_T_STR:
	case INSP_T_ID:
		insp_str_addf(str, "%" PRId64, (int64_t)insp_value_u64(value));
		break;
	case INSP_T_ADDR:
		digits(str, insp_value_u64(value), 16);
		break;
	case INSP_T_BYTES:
	case INSP_T_COUNT:
	case INSP_T_DURATION:
		number(str, options->raw, type, insp_value_u64(value));
		break;
	case INSP_T_DELTA:
	case INSP_T_DELTA_COUNT:
		signed_value(str, options->raw, type, (int64_t)insp_value_u64(value));
		break;
	case INSP_T_RATIO:
	case INSP_T_FACTOR:
		f = insp_value_f64(value);
		if (!isfinite(f))
			insp_str_addc(str, '-');
		else if (options->raw)
			insp_str_addf(str, "%.6g", f);
		else if (type == INSP_T_RATIO)
			insp_str_addf(str, "%.1f %%", f * 100);
		else
			insp_str_addf(str, "%.1fx", f);
		break;
	case INSP_T_TIME:
		local_time(str, insp_value_u64(value));
		break;
	case INSP_T_BOOL:
		insp_str_add(str, insp_value_u64(value) ? "yes" : "no");
		break;
	case INSP_T_BAR:
		bar(str, options->utf8, insp_value_f64(value));
		break;
	}
}
