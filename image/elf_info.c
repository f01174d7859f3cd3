// SPDX-License-Identifier: Apache-2.0
#include "image/elf_info.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#else
#error "image/elf.c does not know this machine"
#endif

#if __BYTE_ORDER == __LITTLE_ENDIAN
#define HOST_DATA ELFDATA2LSB
#else
#define HOST_DATA ELFDATA2MSB
#endif

/* Linux takes no more program headers than this either. */
#define PHDRS_MAX (65536u / sizeof(Elf64_Phdr))
#define DYNAMIC_MAX (65536u)
#define NEEDED_MAX 4096u

/* A file that is being read. */
struct reader {
	int fd;
	uint64_t size;
	const Elf64_Phdr *phdrs;
	size_t phdr_count;
	uint64_t strings; /* file offset of the dynamic strings */
	uint64_t strings_size;
	const char **why;
};

static int elf_damaged(struct reader *r, const char *why)
{
	*r->why = why;
	return -EBADMSG;
}

/* Reads exactly size bytes at an offset, which the file must have. */
static int read_at(struct reader *r, void *data, uint64_t size, uint64_t offset)
{
	uint8_t *p = data;

	if (offset > r->size || size > r->size - offset)
		return elf_damaged(r, "it is cut short");
	while (size > 0) {
		ssize_t n = pread(r->fd, p, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return elf_damaged(r, "it is cut short");
		p += n;
		size -= (uint64_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* Finds where in the file an address lies, and how many bytes of its segment follow. */
static int address_to_offset(struct reader *r, uint64_t address, uint64_t *offset, uint64_t *left)
{
	for (size_t i = 0; i < r->phdr_count; i++) {
		const Elf64_Phdr *p = &r->phdrs[i];

		if (p->p_type == PT_LOAD && address >= p->p_vaddr &&
			address - p->p_vaddr < p->p_filesz) {
			*offset = p->p_offset + (address - p->p_vaddr);
			*left = p->p_filesz - (address - p->p_vaddr);
			return 0;
		}
	}
	return elf_damaged(r, "it is damaged: an address lies outside of its segments");
}

/* Copies one dynamic string. */
static int read_string(struct reader *r, uint64_t at, char **string)
{
	char buf[PATH_MAX];
	uint64_t size;
	int e;

	if (at >= r->strings_size)
		return elf_damaged(r, "it is damaged: a name lies outside of its strings");
	size = r->strings_size - at;
	if (size > sizeof(buf))
		size = sizeof(buf);
	e = read_at(r, buf, size, r->strings + at);
	if (e < 0)
		return e;
	if (!memchr(buf, '\0', size))
		return elf_damaged(r, "it is damaged: a name has no end");

	free(*string);
	*string = strdup(buf);
	return *string ? 0 : -ENOMEM;
}

static int check_load(struct reader *r, const Elf64_Phdr *p)
{
	if (p->p_offset > r->size || p->p_filesz > r->size - p->p_offset)
		return elf_damaged(r, "it is cut short");
	if (p->p_memsz < p->p_filesz || p->p_vaddr + p->p_memsz < p->p_vaddr)
		return elf_damaged(r, "it is damaged: a segment has no sensible size");
	return 0;
}

static int read_interpreter(struct reader *r, struct elf_info *info, const Elf64_Phdr *p)
{
	_cleanup_free_ char *path = NULL;
	int e;

	if (info->interpreter)
		return elf_damaged(r, "it is damaged: it names two interpreters");
	if (p->p_filesz < 2 || p->p_filesz > PATH_MAX)
		return elf_damaged(r, "it is damaged: its interpreter has no sensible name");
	path = calloc(1, p->p_filesz);
	if (!path)
		return -ENOMEM;
	e = read_at(r, path, p->p_filesz, p->p_offset);
	if (e < 0)
		return e;
	if (path[p->p_filesz - 1] != '\0' || path[0] == '\0')
		return elf_damaged(r, "it is damaged: its interpreter has no sensible name");
	info->interpreter = STEAL(path);
	return 0;
}

/* The strings come first: the table may be named after the entries that point into it. */
static int find_strings(struct reader *r, const Elf64_Dyn *dyn, size_t count, size_t *needed)
{
	uint64_t address = 0, size = 0, left;
	bool wanted = false;
	int e;

	*needed = 0;
	for (size_t i = 0; i < count && dyn[i].d_tag != DT_NULL; i++) {
		switch (dyn[i].d_tag) {
		case DT_STRTAB:
			address = dyn[i].d_un.d_ptr;
			break;
		case DT_STRSZ:
			size = dyn[i].d_un.d_val;
			break;
		case DT_NEEDED:
			(*needed)++;
			wanted = true;
			break;
		case DT_SONAME:
		case DT_RPATH:
		case DT_RUNPATH:
			wanted = true;
			break;
		default:
			break;
		}
	}
	if (*needed > NEEDED_MAX)
		return elf_damaged(r, "it is damaged: it needs more libraries than there can be");
	if (!wanted)
		return 0;

	e = address_to_offset(r, address, &r->strings, &left);
	if (e < 0)
		return e;
	if (size > left)
		return elf_damaged(r, "it is damaged: its strings lie outside of its segments");
	r->strings_size = size;
	return 0;
}

static int take_dynamic(struct reader *r, struct elf_info *info, const Elf64_Dyn *dyn, size_t count)
{
	size_t needed = 0;
	int e = find_strings(r, dyn, count, &needed);

	if (e < 0)
		return e;
	strv_free(info->needed);
	info->needed = calloc(needed + 1, sizeof(char *));
	if (!info->needed)
		return -ENOMEM;

	needed = 0;
	for (size_t i = 0; i < count && dyn[i].d_tag != DT_NULL && e == 0; i++) {
		uint64_t value = dyn[i].d_un.d_val;

		switch (dyn[i].d_tag) {
		case DT_NEEDED:
			e = read_string(r, value, &info->needed[needed++]);
			break;
		case DT_SONAME:
			e = read_string(r, value, &info->soname);
			break;
		case DT_RPATH:
			e = read_string(r, value, &info->rpath);
			break;
		case DT_RUNPATH:
			e = read_string(r, value, &info->runpath);
			break;
		case DT_FLAGS_1:
			info->pie = value & DF_1_PIE;
			info->no_defaults = value & DF_1_NODEFLIB;
			break;
		default:
			break;
		}
	}
	if (info->runpath) {
		free(info->rpath);
		info->rpath = NULL;
	}
	return e;
}

static int read_dynamic(struct reader *r, struct elf_info *info, const Elf64_Phdr *p)
{
	_cleanup_free_ Elf64_Dyn *dyn = NULL;
	size_t count = p->p_filesz / sizeof(*dyn);
	int e;

	if (count > DYNAMIC_MAX)
		return elf_damaged(r, "it is damaged: its dynamic section has no sensible size");
	dyn = calloc(count + 1, sizeof(*dyn));
	if (!dyn)
		return -ENOMEM;
	e = read_at(r, dyn, count * sizeof(*dyn), p->p_offset);
	return e < 0 ? e : take_dynamic(r, info, dyn, count);
}

static int read_segments(struct reader *r, struct elf_info *info, const Elf64_Ehdr *header)
{
	_cleanup_free_ Elf64_Phdr *phdrs = NULL;
	const Elf64_Phdr *dynamic = NULL;
	int e;

	if (header->e_phentsize != sizeof(*phdrs) || header->e_phnum == 0 ||
		header->e_phnum > PHDRS_MAX)
		return elf_damaged(r, "it is damaged: it has no sensible program headers");
	phdrs = calloc(header->e_phnum, sizeof(*phdrs));
	if (!phdrs)
		return -ENOMEM;
	e = read_at(r, phdrs, header->e_phnum * sizeof(*phdrs), header->e_phoff);
	if (e < 0)
		return e;
	r->phdrs = phdrs;
	r->phdr_count = header->e_phnum;

	for (size_t i = 0; i < r->phdr_count && e == 0; i++) {
		if (phdrs[i].p_type == PT_LOAD) {
			info->loadable = true;
			e = check_load(r, &phdrs[i]);
		} else if (phdrs[i].p_type == PT_INTERP) {
			e = read_interpreter(r, info, &phdrs[i]);
		} else if (phdrs[i].p_type == PT_DYNAMIC) {
			dynamic = &phdrs[i];
		}
	}
	if (e == 0 && dynamic)
		e = read_dynamic(r, info, dynamic);
	r->phdrs = NULL;
	return e;
}

static uint16_t elf_read_half(const uint8_t *p, uint8_t data)
{
	return data == ELFDATA2MSB ? (uint16_t)(p[0] << 8 | p[1]) : (uint16_t)(p[1] << 8 | p[0]);
}

static int read_header(struct reader *r, struct elf_info *info)
{
	/* Type and machine lie at the same offsets in both widths. */
	uint8_t start[EI_NIDENT + 4];
	Elf64_Ehdr header;
	int e;

	*r->why = r->size == 0 ? "it is empty" : "it is not an ELF file";
	if (r->size < SELFMAG)
		return -ENOEXEC;
	e = read_at(r, start, SELFMAG, 0);
	if (e < 0)
		return e;
	if (memcmp(start, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	e = read_at(r, start, sizeof(start), 0);
	if (e < 0)
		return e;
	if ((start[EI_CLASS] != ELFCLASS32 && start[EI_CLASS] != ELFCLASS64) ||
		(start[EI_DATA] != ELFDATA2LSB && start[EI_DATA] != ELFDATA2MSB) ||
		start[EI_VERSION] != EV_CURRENT)
		return elf_damaged(r, "it is damaged: its header makes no sense");

	info->is_64bit = start[EI_CLASS] == ELFCLASS64;
	info->type = elf_read_half(start + EI_NIDENT, start[EI_DATA]);
	info->machine = elf_read_half(start + EI_NIDENT + 2, start[EI_DATA]);
	info->foreign =
		!info->is_64bit || start[EI_DATA] != HOST_DATA || info->machine != HOST_MACHINE;
	if (info->foreign)
		return 0;

	e = read_at(r, &header, sizeof(header), 0);
	if (e < 0)
		return e;
	info->entry = header.e_entry;
	if (info->type != ET_EXEC && info->type != ET_DYN)
		return 0;
	return read_segments(r, info, &header);
}

int elf_info_read(struct elf_info *info, int fd, const char **why)
{
	struct reader r = {.fd = fd, .why = why};
	struct stat st;
	int e;

	*info = (struct elf_info){0};
	if (fstat(fd, &st) < 0)
		return -errno;
	r.size = (uint64_t)st.st_size;

	e = read_header(&r, info);
	if (e == 0 && !info->needed) {
		info->needed = calloc(1, sizeof(char *));
		if (!info->needed)
			e = -ENOMEM;
	}
	if (e < 0)
		elf_info_release(info);
	return e;
}

void elf_info_release(struct elf_info *info)
{
	free(info->interpreter);
	free(info->soname);
	free(info->rpath);
	free(info->runpath);
	strv_free(info->needed);
	*info = (struct elf_info){0};
}

const char *elf_machine_name(uint16_t machine, char buf[32])
{
	static const struct {
		uint16_t machine;
		const char *name;
	} names[] = {
		{EM_386, "i386"},
		{EM_X86_64, "x86_64"},
		{EM_ARM, "arm"},
		{EM_AARCH64, "aarch64"},
		{EM_RISCV, "riscv"},
		{EM_PPC64, "ppc64"},
		{EM_S390, "s390x"},
		{EM_MIPS, "mips"},
		{EM_SPARCV9, "sparc64"},
		{EM_LOONGARCH, "loongarch"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].machine == machine)
			return names[i].name;
	snprintf(buf, 32, "machine %u", machine);
	return buf;
}

uint16_t elf_host_machine(void)
{
	return HOST_MACHINE;
}
