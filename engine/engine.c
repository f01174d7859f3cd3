// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <errno.h>
#include <string.h>

#include "engine/qemu/qemu.h"
#include "engine/qemu/zygote.h"
#include "engine/tsc.h"

const struct arrow_engine *const arrow_engines[] = {
	&arrow_engine_qemu,
	NULL,
};

int arrow_engine_helper(int argc, char **argv)
{
	if (argc > 0 && strcmp(argv[0], QEMU_ZYGOTE_NAME) == 0)
		return qemu_zygote_main(argc, argv);
	return -1;
}

int arrow_engine_choose(struct arrow_engine_choice *choice, const char *name, const char *cache_dir,
	struct arrow_error *error)
{
	const struct arrow_engine *const *e;
	const char *accel = NULL;

	memset(choice, 0, sizeof(*choice));

	/* "qemu:tcg" and "qemu:kvm" also name the accelerator. */
	if (name && strncmp(name, "qemu:", 5) == 0) {
		accel = name + 5;
		name = "qemu";
		if (strcmp(accel, "tcg") != 0 && strcmp(accel, "kvm") != 0)
			return arrow_fail(error, EINVAL,
				"no such accelerator of the qemu engine: %s; there are kvm and tcg",
				accel);
	}
	for (e = arrow_engines; *e; e++)
		if (!name || strcmp((*e)->name, name) == 0)
			break;
	if (!*e)
		return arrow_fail(error, EINVAL, "no such engine: %s; there is qemu", name);
	choice->engine = *e;
	choice->tsc_khz = arrow_tsc_khz(cache_dir);

	if (accel && strcmp(accel, "tcg") == 0) {
		choice->accel = "tcg";
		choice->kvm.usable = false;
		strcpy(choice->kvm.reason, "not asked for");
		return 0;
	}
	arrow_kvm_probe(cache_dir, &choice->kvm);
	if (accel && !choice->kvm.usable)
		return arrow_fail(error, ENODEV, "KVM cannot be used here: %s%s%s%s",
			choice->kvm.reason, choice->kvm.mend[0] ? "; run '" : "", choice->kvm.mend,
			choice->kvm.mend[0] ? "'" : "");
	choice->accel = choice->kvm.usable ? "kvm" : "tcg";
	return 0;
}
