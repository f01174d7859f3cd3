// SPDX-License-Identifier: Apache-2.0
#include "engine/choice/choice.h"

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

static const struct arrow_engine *choice_find_engine(const char *name, size_t size)
{
	const struct arrow_engine *const *e = arrow_engines;

	while (*e && (strncmp((*e)->name, name, size) != 0 || (*e)->name[size]))
		e++;
	return *e;
}

static const struct arrow_engine_mode *choice_find_mode(
	const struct arrow_engine *engine, const char *name)
{
	const struct arrow_engine_mode *m = engine->modes;

	while (m->name && strcmp(m->name, name) != 0)
		m++;
	return m->name ? m : NULL;
}

int arrow_engine_choose(struct arrow_engine_choice *choice, const char *name,
	const struct arrow_engine_settings *settings, const char *cache_dir,
	struct arrow_error *error)
{
	const char *mode = name ? strchr(name, ':') : NULL;
	const struct arrow_engine_mode *m;

	*choice = (struct arrow_engine_choice){.engine = arrow_engines[0], .settings = settings};
	if (name)
		choice->engine =
			choice_find_engine(name, mode ? (size_t)(mode - name) : strlen(name));
	if (!choice->engine)
		return arrow_fail(error, EINVAL, "no such engine: %s; available: qemu", name);
	if (mode) {
		choice->mode = choice_find_mode(choice->engine, mode + 1);
		if (!choice->mode)
			return arrow_fail(error, EINVAL,
				"the engine %s has no accelerator %s; available: kvm, tcg",
				choice->engine->name, mode + 1);
	}
	choice->tsc_khz = arrow_tsc_khz(cache_dir);

	if (choice->mode && !choice->mode->needs_kvm) {
		strcpy(choice->kvm.reason, "not requested");
		return 0;
	}
	arrow_kvm_probe(cache_dir, &choice->kvm);
	if (choice->mode && !choice->kvm.usable)
		return arrow_fail(error, ENODEV, "KVM cannot be used here: %s%s%s%s",
			choice->kvm.reason, choice->kvm.mend[0] ? "; run '" : "", choice->kvm.mend,
			choice->kvm.mend[0] ? "'" : "");
	for (m = choice->engine->modes; !choice->mode && m->name; m++)
		if (!m->needs_kvm || choice->kvm.usable)
			choice->mode = m;
	return choice->mode ? 0
			    : arrow_fail(error, ENODEV,
				      "the engine %s needs KVM, which cannot be used here: %s",
				      choice->engine->name, choice->kvm.reason);
}
