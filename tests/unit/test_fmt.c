/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fmt: what people read is what was meant, and what they type is taken whole or not at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fmt.h"

static void bytes__three_digits_in_binary_units(void **state)
{
	char buf[INSP_FMT_MAX];

	(void)state;
	assert_string_equal(insp_fmt_bytes(buf, 0), "0 B");
	assert_string_equal(insp_fmt_bytes(buf, 1023), "1023 B");
	assert_string_equal(insp_fmt_bytes(buf, 1024), "1.00 KiB");
	assert_string_equal(insp_fmt_bytes(buf, 1536 * 1024), "1.50 MiB");
}

static void count__is_grouped(void **state)
{
	char buf[INSP_FMT_MAX];

	(void)state;
	assert_string_equal(insp_fmt_count(buf, 7), "7");
	assert_string_equal(insp_fmt_count(buf, 1234567), "1,234,567");
}

static void size__reads_binary_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"4096", 4096}, {"4k", 4096}, {"4KiB", 4096}, {"1.5M", 1572864},
		    {"2GiB", 2147483648ULL}};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		v = 77;
		assert_int_equal(insp_parse_size(good[i].text, &v, NULL), 0);
		assert_int_equal(v, good[i].bytes);
	}
}

static void parsers__refuse_rests_and_leave_the_result_alone(void **state)
{
	static const char *const bad[] = {"", "x", "4q", "-1", "4k4", "99999999999999999999999", "1e9999"};
	struct insp_error err = {0};
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(insp_parse_size(bad[i], &v, &err), INSP_E_USAGE);
		assert_int_equal(v, 77);
		assert_true(err.msg[0]);
	}
	assert_int_equal(insp_parse_addr("0xzz", &v, &err), INSP_E_USAGE);
	assert_int_equal(insp_parse_addr("11111111111111111", &v, &err), INSP_E_USAGE);
	assert_int_equal(v, 77);
	assert_int_equal(insp_parse_addr("7f00", &v, &err), 0);
	assert_int_equal(v, 0x7f00);
}

static void duration__plain_number_is_milliseconds(void **state)
{
	uint64_t ns = 0;

	(void)state;
	assert_int_equal(insp_parse_duration_ns("250", &ns, NULL), 0);
	assert_int_equal(ns, 250000000);
	assert_int_equal(insp_parse_duration_ns("1.5s", &ns, NULL), 0);
	assert_int_equal(ns, 1500000000);
	assert_int_equal(insp_parse_duration_ns("2min", &ns, NULL), 0);
	assert_int_equal(ns, 120000000000ULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes__three_digits_in_binary_units),
		cmocka_unit_test(count__is_grouped),
		cmocka_unit_test(size__reads_binary_units),
		cmocka_unit_test(parsers__refuse_rests_and_leave_the_result_alone),
		cmocka_unit_test(duration__plain_number_is_milliseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
