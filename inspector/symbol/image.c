/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * image: an ELF file put together from memory, for modules without a file: the vdso, and
 * programs whose file cannot be had any more.
 *
 * The loader maps segments, not sections, so the section table is usually gone. Dynamic symbols
 * and unwind tables are found through program headers and survive; local symbols and lines do not.
 */
#include <elf.h>
#include <string.h>

#include "symbol/symbols_priv.h"
#include "target/space.h"

#define IMAGE_MAX   (UINT64_C(256) << 20)
#define SEGMENTS_MAX 64
#define PAGE	    4096

/* The vdso is mapped as a whole, sections and all. Its pages are the kernel's: asking whether they
   are present makes no sense. */
static uint8_t *read_vdso(struct insp_target *target, const struct insp_module *module,
			  size_t *ret_bytes)
{
	size_t n = module->end - module->start;
	uint8_t *image;

	if (!target->ops->read || n > (1 << 20))
		return NULL;
	image = calloc(1, n);
	if (!image)
		return NULL;
	*ret_bytes = target->ops->read(target, module->start, image, n);
	if (*ret_bytes >= sizeof(Elf64_Ehdr))
		return image;
	free(image);
	return NULL;
}

static size_t image_bytes(const Elf64_Phdr *segments, unsigned n)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < n; i++) {
		const Elf64_Phdr *p = &segments[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_offset > IMAGE_MAX || p->p_filesz > IMAGE_MAX)
			return 0;
		if (p->p_offset + p->p_filesz > end)
			end = p->p_offset + p->p_filesz;
	}
	return end <= IMAGE_MAX ? (size_t)end : 0;
}

/* Pages that cannot be read stay zero: they are looked at only by whoever checks tables. */
static void read_segment(struct insp_space *space, uint8_t *image, uint64_t addr,
			 const Elf64_Phdr *p)
{
	uint64_t done = 0;

	while (done < p->p_filesz) {
		uint64_t n = PAGE - ((addr + done) & (PAGE - 1));

		if (n > p->p_filesz - done)
			n = p->p_filesz - done;
		if (insp_space_read(space, addr + done, image + p->p_offset + done, n))
			memset(image + p->p_offset + done, 0, n);
		done += n;
	}
}

static uint8_t *read_segments(struct insp_space *space, const struct insp_module *module,
			      size_t *ret_bytes)
{
	Elf64_Ehdr ehdr, *head;
	Elf64_Phdr segments[SEGMENTS_MAX];
	uint8_t *image;
	size_t n;

	if (insp_space_read(space, module->start, &ehdr, sizeof(ehdr)) ||
	    memcmp(ehdr.e_ident, ELFMAG, SELFMAG) || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_phentsize != sizeof(*segments) || ehdr.e_phnum > SEGMENTS_MAX ||
	    ehdr.e_phoff > PAGE ||
	    insp_space_read(space, module->start + ehdr.e_phoff, segments,
			    ehdr.e_phnum * sizeof(*segments)))
		return NULL;
	n = image_bytes(segments, ehdr.e_phnum);
	if (n < sizeof(ehdr))
		return NULL;
	image = calloc(1, n);
	if (!image)
		return NULL;
	for (unsigned i = 0; i < ehdr.e_phnum; i++)
		if (segments[i].p_type == PT_LOAD)
			read_segment(space, image, module->bias + segments[i].p_vaddr, &segments[i]);
	head = (Elf64_Ehdr *)image;
	*head = ehdr;
	head->e_shoff = 0;
	head->e_shnum = 0;
	head->e_shstrndx = 0;
	*ret_bytes = n;
	return image;
}

uint8_t *insp_image_read(struct insp_target *target, struct insp_space *space,
			 const struct insp_module *module, size_t *ret_bytes)
{
	if (!strcmp(module->path, "[vdso]"))
		return read_vdso(target, module, ret_bytes);
	return space ? read_segments(space, module, ret_bytes) : NULL;
}
