/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The limit on own memory: passed by what is touched alone, and then what is interrupted says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fmt.h"
#include "base/log.h"
#include "base/own_memory.h"

#define MANY (256ul << 20)

static void own_memory__is_limited_by_what_is_touched(void **state)
{
	char *p = mmap(NULL, MANY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	const uint64_t end = insp_now_ns() + 20000000000ull;
	struct insp_error err = {0};
	uint64_t limit;

	(void)state;
	assert_true(p != MAP_FAILED);
	insp_own_memory_limit(MANY / 4);
	usleep(20000); /* what is reserved does not count, and is not interrupted */
	assert_false(insp_interrupted());
	assert_int_equal(insp_fail(&err, INSP_E_INTERRUPTED, "interrupted"), INSP_E_INTERRUPTED);
	assert_string_equal(err.msg, "interrupted");

	memset(p, 1, MANY);
	while (!insp_interrupted() && insp_now_ns() < end)
		usleep(1000);
	assert_true(insp_interrupted());
	assert_true(insp_own_memory_passed(&limit));
	assert_int_equal(insp_fail(&err, INSP_E_INTERRUPTED, "interrupted"), INSP_E_NOMEM);
	assert_non_null(strstr(err.msg, "of own memory"));
	assert_int_equal(insp_fail(&err, INSP_E_GONE, "gone"), INSP_E_GONE);

	assert_int_equal(munmap(p, MANY), 0);
	insp_own_memory_limit(MANY); /* as for the next command */
	usleep(20000);
	insp_interrupt_clear();
	usleep(20000);
	assert_false(insp_interrupted());
	assert_int_equal(insp_fail(&err, INSP_E_INTERRUPTED, "interrupted"), INSP_E_INTERRUPTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(own_memory__is_limited_by_what_is_touched)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
