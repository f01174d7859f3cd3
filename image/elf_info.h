/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_ELF_INFO_H
#define ARROW_IMAGE_ELF_INFO_H

/*
 * What the kernel and the dynamic loader read of an ELF file: its headers, its program headers
 * and its dynamic section. Sections are never looked at, as neither of them does; every offset
 * and length is checked against the file, which may be hostile.
 */

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

struct elf_info {
	bool is_64bit;
	uint16_t machine; /* EM_... */
	uint16_t type;    /* ET_... */

	/* Built for another machine, width or byte order than this host's; nothing below is set. */
	bool foreign;

	uint64_t entry;
	bool loadable;     /* has something to load */
	bool pie;          /* says of itself that it is a program (DF_1_PIE) */
	bool no_defaults;  /* wants no library of the default directories (DF_1_NODEFLIB) */
	char *interpreter; /* owned, as are all below; NULL where there is none */
	char *soname;
	char *rpath; /* NULL also where a RUNPATH replaces it */
	char *runpath;
	char **needed; /* NULL-terminated, never NULL after a success */
};

/*
 * Reads the ELF file open at fd; the file offset does not move. Only headers are read of an
 * object or core file.
 * Returns 0; -ENOEXEC (not an ELF file) or -EBADMSG (a damaged one), both with *why as a
 * phrase for the user that starts with "it"; or another negative errno from reading.
 */
int elf_info_read(struct elf_info *info, int fd, const char **why) ARROW_MUST_CHECK;

void elf_info_release(struct elf_info *info);

/* The machine's name for users, "x86_64"; "machine N" is written to buf when unknown. */
const char *elf_machine_name(uint16_t machine, char buf[32]);

/* The machine of this host. */
uint16_t elf_host_machine(void);

#endif
