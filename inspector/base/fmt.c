/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/fmt.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Three significant digits, so 999.6 does not come out as "1000". */
static const char *three_digits(char *buf, double v, const char *unit)
{
	int decimals = v < 9.995 ? 2 : v < 99.95 ? 1 : 0;

	snprintf(buf, INSP_FMT_MAX, "%.*f %s", decimals, v, unit);
	return buf;
}

const char *insp_fmt_bytes(char *buf, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	size_t u = 0;

	if (bytes < 1024) {
		snprintf(buf, INSP_FMT_MAX, "%" PRIu64 " B", bytes);
		return buf;
	}
	while (v >= 1023.5 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		u++;
	}
	return three_digits(buf, v, units[u]);
}

const char *insp_fmt_count(char *buf, uint64_t n)
{
	char reversed[32];
	int len = 0, digits = 0;

	do {
		if (digits && digits % 3 == 0)
			reversed[len++] = ',';
		reversed[len++] = (char)('0' + n % 10);
		n /= 10;
		digits++;
	} while (n);
	for (int i = 0; i < len; i++)
		buf[i] = reversed[len - 1 - i];
	buf[len] = '\0';
	return buf;
}

const char *insp_fmt_duration(char *buf, uint64_t ns)
{
	if (ns < 1000)
		snprintf(buf, INSP_FMT_MAX, "%" PRIu64 " ns", ns);
	else if (ns < 999500)
		three_digits(buf, (double)ns / 1e3, "us");
	else if (ns < 999500000)
		three_digits(buf, (double)ns / 1e6, "ms");
	else if (ns < 120000000000)
		three_digits(buf, (double)ns / 1e9, "s");
	else if (ns < 7200000000000)
		snprintf(buf, INSP_FMT_MAX, "%" PRIu64 " min %" PRIu64 " s", ns / 60000000000,
			 ns / 1000000000 % 60);
	else if (ns < 2 * 86400000000000)
		snprintf(buf, INSP_FMT_MAX, "%" PRIu64 " h %" PRIu64 " min", ns / 3600000000000,
			 ns / 60000000000 % 60);
	else
		snprintf(buf, INSP_FMT_MAX, "%" PRIu64 " d %" PRIu64 " h", ns / 86400000000000,
			 ns / 3600000000000 % 24);
	return buf;
}

const char *insp_fmt_percent(char *buf, double part, double whole)
{
	if (whole == 0)
		snprintf(buf, INSP_FMT_MAX, "-");
	else
		snprintf(buf, INSP_FMT_MAX, "%.1f %%", part * 100 / whole);
	return buf;
}

struct unit {
	const char *name;
	double factor;
};

/* A non-negative decimal number and one of units[] behind it; the whole text must fit. */
static int parse_scaled(const char *text, const struct unit *units, double *ret)
{
	char *end;
	double v;

	if (!isdigit((unsigned char)text[0]) && text[0] != '.')
		return -1;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return -1;
	v = strtod(text, &end);
	if (end == text || !isfinite(v) || v < 0)
		return -1;
	while (*end == ' ')
		end++;
	for (const struct unit *u = units; u->name; u++)
		if (strcasecmp(end, u->name) == 0) {
			*ret = v * u->factor;
			return 0;
		}
	return -1;
}

int insp_parse_u64(const char *text, uint64_t *ret, struct insp_error *err)
{
	char *end;

	errno = 0;
	unsigned long long v = strtoull(text, &end, 0);

	if (!isdigit((unsigned char)text[0]) || end == text || *end || errno)
		return insp_fail(err, INSP_E_USAGE, "'%s' is not a whole number", text);
	*ret = v;
	return 0;
}

int insp_parse_size(const char *text, uint64_t *ret, struct insp_error *err)
{
	static const struct unit units[] = {
		{"", 1},	     {"b", 1},		   {"k", 0x1p10},  {"kb", 0x1p10},
		{"kib", 0x1p10},     {"m", 0x1p20},	   {"mb", 0x1p20}, {"mib", 0x1p20},
		{"g", 0x1p30},	     {"gb", 0x1p30},	   {"gib", 0x1p30}, {"t", 0x1p40},
		{"tb", 0x1p40},	     {"tib", 0x1p40},	   {NULL, 0},
	};
	double v;

	if (insp_parse_u64(text, ret, NULL) == 0)
		return 0;
	if (parse_scaled(text, units, &v) || v >= 0x1p63)
		return insp_fail(err, INSP_E_USAGE, "'%s' is not a size (like 4096, 64K, 1.5GiB)",
				 text);
	*ret = (uint64_t)v;
	return 0;
}

int insp_parse_addr(const char *text, uint64_t *ret, struct insp_error *err)
{
	char *end;

	errno = 0;
	unsigned long long v = strtoull(text, &end, 16);

	if (!isxdigit((unsigned char)text[0]) || end == text || *end || errno)
		return insp_fail(err, INSP_E_USAGE, "'%s' is not an address (like 0x55d0c3a012a0)",
				 text);
	*ret = v;
	return 0;
}

int insp_parse_duration_ns(const char *text, uint64_t *ret, struct insp_error *err)
{
	static const struct unit units[] = {
		{"", 1e6},  {"ns", 1},	 {"us", 1e3},	 {"ms", 1e6},	 {"s", 1e9},
		{"m", 6e10}, {"min", 6e10}, {"h", 36e11}, {"d", 864e11}, {NULL, 0},
	};
	double v;

	if (parse_scaled(text, units, &v) || v >= 0x1p63)
		return insp_fail(err, INSP_E_USAGE, "'%s' is not a duration (like 250ms, 1.5s)",
				 text);
	*ret = (uint64_t)v;
	return 0;
}

int insp_parse_percent(const char *text, double *ret, struct insp_error *err)
{
	static const struct unit units[] = {{"", 1}, {"%", 1}, {NULL, 0}};

	if (parse_scaled(text, units, ret))
		return insp_fail(err, INSP_E_USAGE, "'%s' is not a percentage (like 70%%)", text);
	return 0;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t insp_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t insp_wallclock_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}
