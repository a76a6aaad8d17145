/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "model/syscalls.h"

static void syscalls__agree_with_the_headers(void **state)
{
	(void)state;
	assert_string_equal(insp_syscall_name(SYS_read), "read");
	assert_string_equal(insp_syscall_name(SYS_futex), "futex");
	assert_string_equal(insp_syscall_name(SYS_epoll_pwait), "epoll_pwait");
	assert_string_equal(insp_syscall_name(SYS_clone3), "clone3");
	assert_string_equal(insp_syscall_name(SYS_rt_sigreturn), "rt_sigreturn");
}

static void syscalls__know_no_others(void **state)
{
	(void)state;
	assert_null(insp_syscall_name(-1));
	assert_null(insp_syscall_name(400));
	assert_null(insp_syscall_name(100000));
	assert_null(insp_syscall_name(INT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syscalls__agree_with_the_headers),
		cmocka_unit_test(syscalls__know_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
