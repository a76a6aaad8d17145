/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Core files made by hand: what they hold, and what becomes of them when they are odd or shrink. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/pool.h"
#include "target/target.h"

#define PAGE  4096
#define START UINT64_C(0x10000)

/* Header, a note segment, two pages of memory at START. */
struct made {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	Elf64_Nhdr nh;
	char name[8];
	struct elf_prstatus st;
	uint8_t rest[PAGE];
} __attribute__((packed));

static int make(size_t shoff, uint16_t phnum)
{
	static uint8_t file[3 * PAGE];
	struct made *m = (struct made *)file;
	int fd = memfd_create("core", MFD_CLOEXEC);

	memset(file, 0, sizeof(file));
	memcpy(m->eh.e_ident, ELFMAG, SELFMAG);
	m->eh.e_ident[EI_CLASS] = ELFCLASS64;
	m->eh.e_type = ET_CORE;
	m->eh.e_machine = EM_X86_64;
	m->eh.e_phentsize = sizeof(Elf64_Phdr);
	m->eh.e_phoff = offsetof(struct made, ph);
	m->eh.e_shoff = shoff;
	m->eh.e_phnum = phnum;
	m->ph[0] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = offsetof(struct made, nh),
				.p_filesz = offsetof(struct made, rest) - offsetof(struct made, nh)};
	m->ph[1] = (Elf64_Phdr){.p_type = PT_LOAD, .p_offset = PAGE, .p_filesz = 2 * PAGE,
				.p_memsz = 2 * PAGE, .p_vaddr = START, .p_flags = PF_R | PF_W};
	m->nh = (Elf64_Nhdr){5, sizeof(m->st), NT_PRSTATUS};
	memcpy(m->name, "CORE", 5);
	m->st.pr_pid = 42;
	memset(file + PAGE, 'A', PAGE);
	memset(file + 2 * PAGE, 'B', PAGE);
	assert_true(fd >= 0 && write(fd, file, sizeof(file)) == (ssize_t)sizeof(file));
	return fd;
}

static int open_it(int fd, struct insp_target **ret, struct insp_error *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return insp_target_open_with(&insp_target_core, path, NULL, ret, err);
}

static void core__gives_what_it_holds(void **state)
{
	struct insp_target *target;
	struct insp_error err = {0};
	struct insp_pool *pool = insp_pool_create();
	struct insp_threads threads = {0};
	uint8_t buf[3 * PAGE], pages[3];
	int fd = make(0, 2);

	(void)state;
	assert_int_equal(open_it(fd, &target, &err), 0);
	assert_int_equal(target->ops->read(target, START + PAGE - 1, buf, 2), 2);
	assert_memory_equal(buf, "AB", 2);
	assert_int_equal(target->ops->read(target, START, buf, sizeof(buf)), 2 * PAGE);
	assert_int_equal(target->ops->pages(target, START, 3, pages), 0);
	assert_int_equal(pages[1], INSP_PAGE_PRESENT);
	assert_int_equal(pages[2], INSP_PAGE_SWAPPED);
	assert_int_equal(target->ops->threads(target, pool, &threads, &err), 0);
	assert_int_equal(threads.n, 1);
	assert_int_equal(threads.items[0].tid, 42);
	insp_target_close(target);
	insp_pool_destroy(pool);
	(void)close(fd);
}

static unsigned ntold;
static char told[256];

static void listen(void *ctx, enum insp_log_level level, const char *text, uint64_t part, uint64_t whole)
{
	(void)ctx;
	(void)part;
	(void)whole;
	if (level != INSP_LOG_WARN)
		return;
	ntold++;
	snprintf(told, sizeof(told), "%s", text);
}

/* With a mapping this is SIGBUS. */
static void core__cut_short_while_open_is_a_fault_and_told_once(void **state)
{
	struct insp_target *target;
	struct insp_error err = {0};
	uint8_t buf[2 * PAGE];
	int fd = make(0, 2);

	(void)state;
	assert_int_equal(open_it(fd, &target, &err), 0);
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	insp_log_set(listen, NULL);
	assert_int_equal(target->ops->read(target, START, buf, sizeof(buf)), PAGE);
	assert_int_equal(buf[PAGE - 1], 'A');
	assert_int_equal(target->ops->read(target, START + PAGE, buf, 1), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(target->ops->read(target, START, buf, 1), 0);
	insp_log_set(NULL, NULL);
	assert_int_equal(ntold, 1);
	assert_non_null(strstr(told, "was cut short while it was open"));
	insp_target_close(target);
	(void)close(fd);
}

/* Found by the fuzzer: read through a pointer, it was a misaligned one. */
static void core__takes_a_section_header_from_an_odd_place(void **state)
{
	struct insp_target *target;
	struct insp_error err = {0};
	int fd = make(13, PN_XNUM);

	(void)state;
	assert_int_equal(open_it(fd, &target, &err), INSP_E_CORRUPT);
	(void)close(fd);
	fd = make(3 * PAGE - 1, PN_XNUM);
	assert_int_equal(open_it(fd, &target, &err), INSP_E_CORRUPT);
	assert_non_null(strstr(err.msg, "beyond the end"));
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(core__gives_what_it_holds),
		cmocka_unit_test(core__cut_short_while_open_is_a_fault_and_told_once),
		cmocka_unit_test(core__takes_a_section_header_from_an_odd_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
