/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/str.h"
#include "symbol/symbols.h"

static int setup(void **state)
{
	*state = insp_pool_create();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	insp_pool_destroy(*state);
	return 0;
}

static void demangle__reads_cxx_and_rust(void **state)
{
	assert_string_equal(insp_demangle(*state, "_Znwm"), "operator new(unsigned long)");
	assert_string_equal(insp_demangle(*state, "_ZNSt6vectorIiSaIiEE9push_backERKi"),
			    "std::vector<int, std::allocator<int> >::push_back(int const&)");
	assert_string_equal(insp_demangle(*state, "_RNvC6_123foo3bar"), "123foo::bar");
	assert_string_equal(insp_demangle(*state, "_ZN3foo3bar17h05af221e174051e9E"), "foo::bar");
	assert_string_equal(insp_demangle(*state, "_Z3addii.cold"), "add(int, int) [clone .cold]");
}

static void demangle__leaves_other_names_alone(void **state)
{
	static const char *const names[] = {"main", "", "_", "_Z", "_R", "__libc_start_main", "i",
					    "_ZNotAName", "@x"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_ptr_equal(insp_demangle(*state, names[i]), names[i]);
}

static void demangle__drops_the_symbol_version(void **state)
{
	assert_string_equal(insp_demangle(*state, "memcpy@@GLIBC_2.14"), "memcpy");
	assert_string_equal(insp_demangle(*state, "memcpy@GLIBC_2.2.5"), "memcpy");
	assert_string_equal(insp_demangle(*state, "_ZdlPv@@GLIBCXX_3.4"), "operator delete(void*)");
}

/* Each substitution doubles the text: a kilobyte of name, more text than there is memory. */
static void demangle__gives_up_on_names_that_explode(void **state)
{
	struct insp_str s = {0};

	insp_str_add(&s, "_Z1fSt4pairIiiE");
	for (int i = 0; i < 34; i++) {
		int digit = i < 10 ? '0' + i : 'A' + i - 10;

		insp_str_addf(&s, "S_IS%c_S%c_E", digit, digit);
	}
	assert_ptr_equal(insp_demangle(*state, insp_str_text(&s)), insp_str_text(&s));
	insp_str_reset(&s);
	insp_str_add(&s, "_Z");
	insp_str_pad(&s, 'N', 100000);
	assert_ptr_equal(insp_demangle(*state, insp_str_text(&s)), insp_str_text(&s));
	insp_str_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(demangle__reads_cxx_and_rust),
		cmocka_unit_test(demangle__leaves_other_names_alone),
		cmocka_unit_test(demangle__drops_the_symbol_version),
		cmocka_unit_test(demangle__gives_up_on_names_that_explode),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
