// SPDX-License-Identifier: Apache-2.0
/* Which engine is chosen, what it is told, and what it finds. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/choice/choice.h"
#include "engine/jail.h"
#include "util/cleanup.h"
#include "util/io.h"

static int choose(struct arrow_engine_choice *choice, const char *name)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

	return arrow_engine_choose(choice, name, &arrow_engine_defaults, NULL, &error);
}

static void engines_and_their_modes_are_chosen_by_their_whole_name(void **state)
{
	struct arrow_engine_choice choice;

	assert_int_equal(choose(&choice, "qemu:tcg"), 0);
	assert_string_equal(choice.engine->name, "qemu");
	assert_string_equal(choice.mode->name, "tcg");
	assert_ptr_equal(choice.settings, &arrow_engine_defaults);
	assert_int_equal(choose(&choice, "qem"), -EINVAL);
	assert_int_equal(choose(&choice, "qemux"), -EINVAL);
	assert_int_equal(choose(&choice, ""), -EINVAL);
	assert_int_equal(choose(&choice, "qemu:"), -EINVAL);
	assert_int_equal(choose(&choice, "qemu:tc"), -EINVAL);
	assert_int_equal(choose(&choice, ":tcg"), -EINVAL);
}

static void without_a_name_the_first_mode_that_works_is_chosen(void **state)
{
	struct arrow_engine_choice choice, named;

	assert_int_equal(choose(&choice, NULL), 0);
	assert_ptr_equal(choice.engine, arrow_engines[0]);
	assert_int_equal(choice.mode->needs_kvm, choice.kvm.usable);
	assert_int_equal(choose(&named, "qemu"), 0);
	assert_ptr_equal(named.mode, choice.mode);
	assert_int_equal(choose(&named, "qemu:kvm"), choice.kvm.usable ? 0 : -ENODEV);
}

/* What the code above the border relies on. */
static void every_mode_says_what_it_takes(void **state)
{
	for (size_t e = 0; arrow_engines[e]; e++) {
		assert_non_null(arrow_engines[e]->modes[0].name);
		for (const struct arrow_engine_mode *m = arrow_engines[e]->modes; m->name; m++) {
			assert_true(m->overhead > 0);
			assert_true(m->shares_max <= ARROW_JAIL_MOUNTS);
			if (m->can & ARROW_ENGINE_FORKS)
				assert_true(m->can & ARROW_ENGINE_TEMPLATES);
		}
	}
}

static void the_program_is_the_one_of_the_settings(void **state)
{
	char dir[] = "/tmp/arrow-engine.XXXXXX";
	_cleanup_free_ char *program = NULL, *found = NULL, *rom = NULL, *again = NULL;
	struct arrow_engine_settings settings = arrow_engine_defaults;
	const struct arrow_engine *engine = arrow_engines[0];
	bool own = true;

	assert_non_null(mkdtemp(dir));
	program = path_format("%s/qemu", dir);
	rom = path_format("%s/qboot.rom", dir);
	settings.qemu = program;
	assert_null(engine->find(&settings, &own));
	assert_int_equal(write_file_atomic(AT_FDCWD, program, 0755, "", 0), 0);
	/* The environment has no say. */
	assert_int_equal(setenv("ARROW_QEMU", "/nonexistent", 1), 0);
	found = engine->find(&settings, &own);
	assert_string_equal(found, program);
	assert_false(own);
	/* One with its firmware beside it was built for Arrow. */
	assert_int_equal(write_file_atomic(AT_FDCWD, rom, 0644, "", 0), 0);
	again = engine->find(&settings, &own);
	assert_string_equal(again, program);
	assert_true(own);
	unsetenv("ARROW_QEMU");
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
}

static void ids_of_jails_are_never_those_of_people(void **state)
{
	assert_int_equal(arrow_jail_uid_base(arrow_engine_defaults.jail_uid_base), 0x70000000);
	assert_int_equal(arrow_jail_uid_base(0x60000000), 0x60000000);
	assert_int_equal(arrow_jail_uid_base(0x10000), 0x10000);
	assert_int_equal(arrow_jail_uid_base(0xffff), 0x70000000);
	assert_int_equal(arrow_jail_uid_base(0), 0x70000000);
	assert_int_equal(arrow_jail_uid_base(0xffffffff), 0x70000000);
	assert_int_equal(arrow_jail_uid_base(0x100000000 + 0x60000000), 0x70000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines_and_their_modes_are_chosen_by_their_whole_name),
		cmocka_unit_test(without_a_name_the_first_mode_that_works_is_chosen),
		cmocka_unit_test(every_mode_says_what_it_takes),
		cmocka_unit_test(the_program_is_the_one_of_the_settings),
		cmocka_unit_test(ids_of_jails_are_never_those_of_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
