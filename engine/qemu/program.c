// SPDX-License-Identifier: Apache-2.0
#include "engine/qemu/program.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"
#include "util/paths.h"
#include "util/process.h"

#define OWN "hypervisor/current/" QEMU_BINARY

int qemu_program_find(struct qemu_program *program, struct arrow_error *error)
{
	const char *named = getenv("ARROW_QEMU");
	_cleanup_free_ char *found = NULL, *rom = NULL;

	*program = (struct qemu_program){0};
	if (named && !*named)
		named = NULL;
	if (!named)
		found = arrow_paths_find(OWN);
	if (!found)
		found = process_find(named ? named : QEMU_BINARY);
	if (!found)
		return arrow_fail(error, ENOENT, "%s is not there; %s", named ? named : QEMU_BINARY,
			named ? "correct ARROW_QEMU, or unset it"
			      : "install it with 'sudo apt-get install " QEMU_PACKAGE "'");
	/* By its last name: `current` may be switched while it is in use. */
	program->path = realpath(found, NULL);
	if (!program->path)
		return arrow_fail(error, errno, "cannot look at %s: %m", found);

	/* Its firmware lies beside it. */
	rom = path_format("%.*s/qboot.rom", (int)(strrchr(program->path, '/') - program->path),
		program->path);
	if (rom && access(rom, R_OK) == 0) {
		program->firmware = STEAL(rom);
		*strrchr(program->firmware, '/') = '\0';
	}
	program->own = program->firmware != NULL;
	return 0;
}

void qemu_program_release(struct qemu_program *program)
{
	free(program->path);
	free(program->firmware);
	*program = (struct qemu_program){0};
}
