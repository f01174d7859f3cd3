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

int qemu_program_find(struct qemu_program *program, const struct arrow_engine_settings *settings,
	struct arrow_error *error)
{
	const char *named = settings->qemu;
	_cleanup_free_ char *found = NULL, *rom = NULL;

	*program = (struct qemu_program){0};
	if (named && !*named)
		named = NULL;
	if (!named)
		found = arrow_paths_find(settings->data_dir, OWN);
	if (!found)
		found = process_find(named ? named : QEMU_BINARY);
	if (!found)
		return named && strcmp(named, QEMU_BINARY) != 0
			       ? arrow_fail(error, ENOENT,
					 "no such program: %s; correct ARROW_QEMU, or unset it",
					 named)
			       : arrow_fail(error, ENOENT,
					 QEMU_BINARY
					 " is not installed; install it with 'sudo apt-get install " QEMU_PACKAGE
					 "'");
	/* By its last name: `current` may be switched while it is in use. */
	program->path = realpath(found, NULL);
	if (!program->path)
		return arrow_fail(error, errno, "cannot find the path of %s: %m", found);

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

bool qemu_keeps_code(const struct qemu_program *program, const struct arrow_vm_config *config)
{
	return program->own && (config->mode->can & ARROW_ENGINE_KEEPS_CODE);
}

bool qemu_warms_template(const struct qemu_program *program, const struct arrow_vm_config *config)
{
	return qemu_keeps_code(program, config) && config->origin == ARROW_VM_CLONE &&
	       config->cache_dir;
}

void qemu_program_release(struct qemu_program *program)
{
	free(program->path);
	free(program->firmware);
	*program = (struct qemu_program){0};
}

int qemu_program_files(
	const struct arrow_engine_settings *settings, char ***files, struct arrow_error *error)
{
	static const char *const own[] = {"qboot.rom", "bios-microvm.bin", "kvmvapic.bin"};
	static const char *const installed[] = {"../share/qemu/qboot.rom",
		"../share/qemu/bios-microvm.bin", "../share/qemu/kvmvapic.bin",
		"../lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so"};
	_cleanup_qemu_program_ struct qemu_program program = {0};
	_cleanup_strv_ char **list = NULL;
	const char *const *names;
	size_t n;
	int r = qemu_program_find(&program, settings, error);

	if (r < 0)
		return r;
	names = program.own ? own : installed;
	n = program.own ? sizeof(own) / sizeof(own[0]) : sizeof(installed) / sizeof(installed[0]);
	list = calloc(n + 2, sizeof(*list));
	if (!list)
		return arrow_fail(error, ENOMEM, "out of memory");
	list[0] = STEAL(program.path);
	for (size_t i = 0; i < n; i++) {
		const char *name = names[i];
		size_t dir = (size_t)(strrchr(list[0], '/') - list[0]);

		/* PREFIX/bin/../share is PREFIX/share, whether there is a bin in the jail or not.
		 */
		for (; strncmp(name, "../", 3) == 0 && dir > 0; name += 3)
			while (dir > 0 && list[0][--dir] != '/')
				;
		list[i + 1] = path_format("%.*s/%s", (int)dir, list[0], name);
		if (!list[i + 1])
			return arrow_fail(error, ENOMEM, "out of memory");
	}
	*files = STEAL(list);
	return 0;
}
