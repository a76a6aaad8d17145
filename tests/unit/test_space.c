/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"
#include "target/space.h"

#define BASE UINT64_C(0x7f0000000000)
#define MIB  ((size_t)1 << 20)

static uint8_t byte_at(uint64_t off)
{
	return (uint8_t)(off * 31 + off / 4096);
}

static struct fake *fake_with(size_t size_bytes, struct insp_space **ret)
{
	struct fake *f = fake_create();
	uint8_t *bytes = fake_region(f, BASE, size_bytes, INSP_PROT_READ | INSP_PROT_WRITE, "");

	for (size_t i = 0; i < size_bytes; i++)
		bytes[i] = byte_at(i);
	*ret = insp_space_create(fake_target(f), fake_regions(f));
	assert_non_null(*ret);
	return f;
}

static void space__reads_across_pages_and_faults_beyond(void **state)
{
	struct insp_space *s;
	struct fake *f = fake_with(3 * 4096, &s);
	uint8_t buf[200];
	uint64_t v;

	(void)state;
	assert_int_equal(insp_space_read(s, BASE + 4000, buf, 200), 0);
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(buf[i], byte_at(4000 + i));
	assert_int_equal(insp_space_read(s, BASE + 3 * 4096 - 4, &v, 8), INSP_E_FAULT);
	assert_int_equal(insp_space_u64(s, UINT64_MAX - 3, &v), INSP_E_FAULT);
	assert_int_equal(insp_space_u64(s, 0, &v), INSP_E_FAULT);
	insp_space_destroy(s);
	fake_destroy(f);
}

static void space__never_reads_what_is_not_present(void **state)
{
	struct insp_space *s;
	struct fake *f = fake_with(4 * 4096, &s);
	uint64_t v = 1;

	(void)state;
	fake_page_state(f, BASE + 4096, 1, INSP_PAGE_ABSENT);
	fake_page_state(f, BASE + 8192, 1, INSP_PAGE_SWAPPED);
	assert_int_equal(insp_space_u64(s, BASE + 4096, &v), 0); /* untouched memory is zero */
	assert_int_equal(v, 0);
	assert_int_equal(insp_space_u64(s, BASE + 8192, &v), INSP_E_FAULT);
	insp_space_destroy(s);
	fake_destroy(f);
}

static void stream__gives_the_bytes_at_every_address(void **state)
{
	size_t size = 3 * MIB + 8192, avail;
	struct insp_space *s;
	struct fake *f = fake_with(size, &s);
	struct insp_stream st;

	(void)state;
	insp_stream_begin(&st, s, BASE, BASE + size, NULL, NULL);
	for (size_t i = 0; i + 16 <= size; i += 1000) {
		const uint8_t *p = insp_stream_at(&st, BASE + i, 16, &avail);

		assert_non_null(p);
		assert_true(avail >= 16);
		assert_int_equal(p[0], byte_at(i));
		assert_int_equal(p[15], byte_at(i + 15));
	}
	assert_null(insp_stream_at(&st, BASE + size - 8, 16, &avail));
	assert_null(insp_stream_at(&st, BASE - 8, 8, &avail));
	insp_stream_end(&st);
	/* Read about once, in few blocks. */
	assert_true(insp_space_bytes_read(s) <= size + 16 * 4096);
	assert_true(fake_reads(f) < 20);
	insp_space_destroy(s);
	fake_destroy(f);
}

static void stream__skips_what_nobody_asks_for(void **state)
{
	size_t size = 16 * MIB, avail;
	struct insp_space *s;
	struct fake *f = fake_with(size, &s);
	struct insp_stream st;

	(void)state;
	insp_stream_begin(&st, s, BASE, BASE + size, NULL, NULL);
	for (size_t i = 0; i < size; i += MIB)
		assert_non_null(insp_stream_at(&st, BASE + i, 16, &avail));
	insp_stream_end(&st);
	assert_true(insp_space_bytes_read(s) <= 16 * 32 * 1024);
	insp_space_destroy(s);
	fake_destroy(f);
}

struct seen {
	uint64_t next, bytes;
};

static void on_block(void *ctx, uint64_t addr, const uint8_t *bytes, size_t size_bytes)
{
	struct seen *seen = ctx;

	assert_true(addr >= seen->next);
	assert_int_equal(bytes[0], byte_at(addr - BASE));
	seen->next = addr + size_bytes;
	seen->bytes += size_bytes;
}

static void stream__shows_every_present_byte_once(void **state)
{
	size_t size = 5 * MIB, avail;
	struct insp_space *s;
	struct fake *f = fake_with(size, &s);
	struct insp_stream st;
	struct seen seen = {.next = BASE};

	(void)state;
	fake_page_state(f, BASE + MIB, 64, INSP_PAGE_ABSENT);
	fake_page_state(f, BASE + 2 * MIB, 3, INSP_PAGE_SWAPPED);
	insp_stream_begin(&st, s, BASE, BASE + size, on_block, &seen);
	assert_non_null(insp_stream_at(&st, BASE, 16, &avail));
	assert_non_null(insp_stream_at(&st, BASE + 4000 * 1024 + 8, 16, &avail));
	insp_stream_end(&st);
	assert_int_equal(seen.bytes, size - 67 * 4096);
	assert_true(insp_space_bytes_read(s) <= seen.bytes + 8 * 4096);
	insp_space_destroy(s);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(space__reads_across_pages_and_faults_beyond),
		cmocka_unit_test(space__never_reads_what_is_not_present),
		cmocka_unit_test(stream__gives_the_bytes_at_every_address),
		cmocka_unit_test(stream__skips_what_nobody_asks_for),
		cmocka_unit_test(stream__shows_every_present_byte_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
