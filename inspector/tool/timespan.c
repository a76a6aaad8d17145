/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool/timespan.h"

#include <string.h>
#include <time.h>

#include "base/fmt.h"

#define SECOND UINT64_C(1000000000)
#define DAY_S  86400

int insp_timespan_split(const char *text, struct insp_pool *pool, const char **ret_file,
			const char **ret_range, struct insp_error *err)
{
	const char *at = strrchr(text, '@');

	if (at && !strstr(at, ".."))
		at = NULL;
	*ret_file = at ? insp_pool_strndup(pool, text, (size_t)(at - text)) : text;
	*ret_range = at ? at + 1 : "";
	return *ret_file ? 0 : insp_fail(err, INSP_E_NOMEM, "out of memory");
}

/* All of text by one of the formats. */
static bool by_format(const char *text, const char *const *formats, struct tm *tm)
{
	for (; *formats; formats++) {
		struct tm parsed = *tm;
		const char *end = strptime(text, *formats, &parsed);

		if (end && !*end) {
			*tm = parsed;
			return true;
		}
	}
	return false;
}

/* 14:05 on the day of the last sample; were that behind the end, the day before. */
static bool time_of_day(const char *text, uint64_t last_ns, time_t *ret)
{
	static const char *const formats[] = {"%H:%M:%S", "%H:%M", NULL};
	time_t last = (time_t)(last_ns / SECOND);
	struct tm tm;

	if (!localtime_r(&last, &tm))
		return false;
	tm.tm_sec = 0;
	if (!by_format(text, formats, &tm))
		return false;
	tm.tm_isdst = -1;
	*ret = mktime(&tm);
	if (*ret > last + 60)
		*ret -= DAY_S;
	return true;
}

static bool date(const char *text, time_t *ret)
{
	static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d",
					      NULL};
	struct tm tm = {.tm_isdst = -1};

	if (!by_format(text, formats, &tm))
		return false;
	tm.tm_isdst = -1;
	*ret = mktime(&tm);
	return *ret != (time_t)-1;
}

static int parse_point(const char *text, uint64_t first_ns, uint64_t last_ns, uint64_t *ret,
		       struct insp_error *err)
{
	uint64_t distance;
	time_t at;
	int rc;

	if (*text == '+' || *text == '-') {
		rc = insp_parse_duration_ns(text + 1, &distance, err);
		if (rc)
			return rc;
		if (*text == '+')
			*ret = distance > UINT64_MAX - first_ns ? UINT64_MAX : first_ns + distance;
		else
			*ret = last_ns > distance ? last_ns - distance : 0;
		return 0;
	}
	if ((time_of_day(text, last_ns, &at) || date(text, &at)) && at >= 0) {
		*ret = (uint64_t)at * SECOND;
		return 0;
	}
	return insp_fail(err, INSP_E_USAGE,
			 "'%s' is no time (like 14:05, 2026-11-25T14:05, +10min, -10min)", text);
}

int insp_timespan_parse(const char *range, uint64_t first_ns, uint64_t last_ns,
			uint64_t *ret_from_ns, uint64_t *ret_to_ns, struct insp_error *err)
{
	const char *dots = strstr(range, "..");
	uint64_t from = 0, to = UINT64_MAX;
	char first[64];
	int rc = 0;

	if (dots) {
		size_t n = (size_t)(dots - range);

		if (n >= sizeof(first))
			return insp_fail(err, INSP_E_USAGE, "'%s' is no time", range);
		memcpy(first, range, n);
		first[n] = '\0';
		if (n)
			rc = parse_point(first, first_ns, last_ns, &from, err);
		if (!rc && dots[2])
			rc = parse_point(dots + 2, first_ns, last_ns, &to, err);
	}
	if (rc)
		return rc;
	if (from >= to)
		return insp_fail(err, INSP_E_USAGE, "'%s' ends before it begins", range);
	*ret_from_ns = from;
	*ret_to_ns = to;
	return 0;
}
