// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/build.h"
#include "kernel/config.h"
#include "kernel/inputs.h"
#include "kernel/kernel.h"
#include "kernel/store.h"
#include "util/cleanup.h"
#include "util/io.h"

static const struct kernel_config_file fragments[] = {
	{"one.config", "# First.\nCONFIG_A=y\nCONFIG_AB=n\n"},
	{"two.config", "CONFIG_NAME=\"x y\"\nCONFIG_A=y\n"},
	{"against.config", "CONFIG_A=n\n"},
	{"wrong.config", "SWAP=y\n"},
	{NULL, NULL},
};

static void a_profile_is_read_and_its_fragments_are_joined(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct kernel_profile p;

	assert_int_equal(kernel_profile_parse(&p, "p",
				 "# Comment\nsummary a kernel\nvcpus-max 8\nobjects 100\n"
				 "append quiet x=1\nfragments one\n\nfragments two",
				 fragments, &e),
		0);
	assert_string_equal(p.summary, "a kernel");
	assert_string_equal(p.append, "quiet x=1");
	assert_int_equal(p.vcpus_max, 8);
	assert_int_equal(p.objects, 100);
	assert_string_equal(p.config, "# First.\nCONFIG_A=y\nCONFIG_AB=n\n"
				      "CONFIG_NAME=\"x y\"\nCONFIG_A=y\n");
	kernel_profile_release(&p);
}

static void assert_refused(const char *text, const char *says)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct kernel_profile p;

	assert_int_equal(kernel_profile_parse(&p, "p", text, fragments, &e), -EINVAL);
	assert_non_null(strstr(e.text, says));
}

static void a_wrong_profile_is_refused_and_the_fault_is_named(void **state)
{
	assert_refused("vcpus-max 1\nobjects 1\nfragments one three\n", "no fragment \"three\"");
	assert_refused("vcpus-max 1\nobjects 1\nfragments one against\n",
		"CONFIG_A=y and CONFIG_A=n contradict");
	assert_refused("vcpus-max 1\nobjects 1\nfragments wrong\n", "\"SWAP=y\"");
	assert_refused("vcpus-max 0\nobjects 1\nfragments one\n", "\"0\" is not a number");
	assert_refused("vcpus-max -1\nobjects 1\nfragments one\n", "\"-1\" is not a number");
	assert_refused("vcpus-max 1x\nobjects 1\nfragments one\n", "\"1x\" is not a number");
	assert_refused("vcpus-max 1\nfragments one\n", "missing");
	assert_refused("vcpus 1\n", "\"vcpus 1\" is unknown");
	assert_refused("", "missing");
}

static void the_profiles_of_this_program_are_whole(void **state)
{
	_cleanup_strv_ char **names = kernel_profile_names();

	assert_non_null(names);
	assert_string_equal(names[0], "micro");
	assert_string_equal(names[1], "general");
	assert_null(names[2]);
	for (size_t i = 0; names[i]; i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		struct kernel_profile p;

		assert_int_equal(kernel_profile_load(&p, names[i], &e), 0);
		assert_true(p.vcpus_max >= 1);
		assert_non_null(strstr(p.config, "CONFIG_PVH=y\n"));
		kernel_profile_release(&p);
	}
}

static void an_unknown_profile_is_told_with_those_there_are(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct kernel_profile p;

	assert_int_equal(kernel_profile_load(&p, "tiny", &e), -ENOENT);
	assert_string_equal(
		e.text, "there is no kernel profile \"tiny\"; there are: micro, general");
}

static void an_option_that_came_out_otherwise_is_named(void **state)
{
	static const char wanted[] = "# C\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_S=\"s\"\n";
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

	assert_int_equal(kernel_config_verify(
				 wanted, "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"s\"\n", &e),
		0);
	assert_int_equal(kernel_config_verify(wanted, "CONFIG_S=\"s\"\nCONFIG_A=y\n", &e), 0);

	assert_int_equal(
		kernel_config_verify(wanted, "CONFIG_AA=y\nCONFIG_S=\"s\"\n", &e), -EINVAL);
	assert_non_null(strstr(e.text, "CONFIG_A=y: it came out not set"));
	arrow_error_clear(&e);
	assert_int_equal(
		kernel_config_verify(wanted, "CONFIG_A=y\nCONFIG_B=y\nCONFIG_S=\"s\"\n", &e),
		-EINVAL);
	assert_non_null(strstr(e.text, "CONFIG_B=n: it came out CONFIG_B=y"));
	arrow_error_clear(&e);
	assert_int_equal(kernel_config_verify(wanted,
				 "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"st\"\n", &e),
		-EINVAL);
}

static void the_id_changes_with_each_input_and_with_nothing_else(void **state)
{
	struct kernel_inputs in = {
		.source = (char *)"/a", .compiler = (char *)"gcc 1", .binutils = (char *)"ld 1"};
	char first[DIGEST_HEX], id[DIGEST_HEX];

	strcpy(in.source_hash, "s1");
	assert_int_equal(kernel_id("c1", &in, first), 0);
	in.source = (char *)"/elsewhere";
	assert_int_equal(kernel_id("c1", &in, id), 0);
	assert_string_equal(id, first);

	assert_int_equal(kernel_id("c2", &in, id), 0);
	assert_string_not_equal(id, first);
	in.compiler = (char *)"gcc 2";
	assert_int_equal(kernel_id("c1", &in, id), 0);
	assert_string_not_equal(id, first);
	in.compiler = (char *)"gcc 1";
	in.binutils = (char *)"ld 2";
	assert_int_equal(kernel_id("c1", &in, id), 0);
	assert_string_not_equal(id, first);
	in.binutils = (char *)"ld 1";
	strcpy(in.source_hash, "s2");
	assert_int_equal(kernel_id("c1", &in, id), 0);
	assert_string_not_equal(id, first);
}

/* A store with one kernel, whose vmlinux is a few bytes. */
struct fixture {
	char dir[32];
	char *kernels, *vmlinux, *json;
	char id[DIGEST_HEX];
	const char *stores[2];
};

static void write_text(const char *path, const char *text)
{
	assert_int_equal(write_file_atomic(AT_FDCWD, path, 0644, text, strlen(text)), 0);
}

static void write_json(struct fixture *f, const char *config_hash)
{
	_cleanup_free_ char *text = NULL;
	char sha256[DIGEST_HEX];

	assert_int_equal(digest_data("kernel", 6, sha256), 0);
	text = path_format("{\"profile\": \"micro\", \"id\": \"%s\", \"sha256\": \"%s\", "
			   "\"config_sha256\": \"%s\", \"append\": \"old words\", "
			   "\"vcpus_max\": 3, \"size\": 6}",
		f->id, sha256, config_hash);
	write_text(f->json, text);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_free_ char *folder = NULL, *name = NULL;
	struct kernel_profile p;

	strcpy(f->dir, "/tmp/arrow-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(digest_data("id", 2, f->id), 0);
	f->kernels = path_format("%s/kernels", f->dir);
	folder = path_format("%s/%s", f->kernels, f->id);
	f->vmlinux = path_format("%s/vmlinux", folder);
	f->json = path_format("%s/kernel.json", folder);
	f->stores[0] = f->dir;
	assert_int_equal(mkdir_all(folder, 0755), 0);
	write_text(f->vmlinux, "kernel");
	assert_int_equal(kernel_profile_load(&p, "micro", &e), 0);
	write_json(f, p.config_hash);
	kernel_profile_release(&p);
	name = path_format("%s/micro", f->kernels);
	assert_int_equal(symlink(f->id, name), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(remove_tree(AT_FDCWD, f->dir), 0);
	free(f->kernels);
	free(f->vmlinux);
	free(f->json);
	free(f);
	return 0;
}

static void assert_open_fails(struct fixture *f, const char *name, int err, const char *says)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_kernel k;

	assert_int_equal(arrow_kernel_open(&k, f->stores, f->dir, name, &e), -err);
	assert_non_null(e.text);
	if (!strstr(e.text, says))
		fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

static void a_kernel_opens_by_profile_and_by_the_beginning_of_its_id(void **state)
{
	struct fixture *f = *state;
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_kernel k;
	char prefix[9], text[7] = "";

	assert_int_equal(arrow_kernel_open(&k, f->stores, NULL, "micro", &e), 0);
	assert_string_equal(k.id, f->id);
	assert_string_equal(k.profile, "micro");
	assert_string_equal(k.path, f->vmlinux);
	assert_int_equal(k.vcpus_max, 1);
	assert_int_equal(read_full(k.fd, text, 6), 6);
	assert_string_equal(text, "kernel");
	arrow_kernel_release(&k);

	/* By its id it is what it was when it was built. */
	snprintf(prefix, sizeof(prefix), "%.8s", f->id);
	assert_int_equal(arrow_kernel_open(&k, f->stores, NULL, prefix, &e), 0);
	assert_string_equal(k.append, "old words");
	assert_int_equal(k.vcpus_max, 3);
	arrow_kernel_release(&k);
	prefix[7] = '\0';
	assert_open_fails(f, prefix, ENOENT, "no kernel profile");
}

static void what_is_not_there_is_told_from_what_is_not_built(void **state)
{
	struct fixture *f = *state;

	assert_open_fails(f, "general", ENOENT, "is not built; run 'arrow kernel build general'");
	assert_open_fails(f, "tiny", ENOENT, "there is no kernel profile \"tiny\"");
	assert_open_fails(f, "../kernels/micro", ENOENT, "there is no kernel profile");
	assert_open_fails(f, ".", ENOENT, "there is no kernel profile");
	assert_open_fails(f, "", ENOENT, "there is no kernel profile");
}

static void a_kernel_of_an_older_configuration_is_told(void **state)
{
	struct fixture *f = *state;

	write_json(f, "0123");
	assert_open_fails(f, "micro", ENOENT,
		"was built from an older configuration; run 'arrow kernel build micro'");
}

static void a_damaged_kernel_is_found_also_after_a_good_one(void **state)
{
	struct fixture *f = *state;
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_kernel k;

	/* The first open leaves a note that the second trusts; a change makes it worthless. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(arrow_kernel_open(&k, f->stores, f->dir, "micro", &e), 0);
		arrow_kernel_release(&k);
	}
	write_text(f->vmlinux, "kernal");
	assert_open_fails(f, "micro", EBADMSG, "is damaged (its digest is not the recorded one)");
	assert_open_fails(f, "micro", EBADMSG, "&& arrow kernel build micro'");
	write_text(f->vmlinux, "kernel");
	assert_int_equal(arrow_kernel_open(&k, f->stores, f->dir, "micro", &e), 0);
	arrow_kernel_release(&k);
	write_text(f->json, "{\"profile\": \"micro\"}");
	assert_open_fails(f, "micro", EBADMSG, "is damaged (its kernel.json");
}

static const char *state_of(struct fixture *f, bool verify)
{
	static char text[16];
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	json_t *list;

	assert_int_equal(arrow_kernel_list(f->stores, verify, &list, &e), 0);
	assert_int_equal(json_array_size(list), 1);
	snprintf(text, sizeof(text), "%s",
		json_string_value(json_object_get(json_array_get(list, 0), "state")));
	json_decref(list);
	return text;
}

static void the_list_tells_states(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(state_of(f, true), "current");
	write_text(f->vmlinux, "kernal");
	assert_string_equal(state_of(f, false), "current");
	assert_string_equal(state_of(f, true), "damaged");
	write_json(f, "0123");
	assert_string_equal(state_of(f, false), "old");
	write_text(f->json, "");
	assert_string_equal(state_of(f, false), "damaged");
}

static void a_kernel_is_removed_with_its_name(void **state)
{
	struct fixture *f = *state;
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_free_ char *folder = path_format("%s/%s", f->kernels, f->id);
	_cleanup_free_ char *name = path_format("%s/micro", f->kernels);
	struct stat st;

	assert_int_equal(arrow_kernel_remove(f->dir, "micro", &e), 0);
	assert_int_equal(access(folder, F_OK), -1);
	assert_int_equal(lstat(name, &st), -1);
	assert_int_equal(arrow_kernel_remove(f->dir, "micro", &e), -ENOENT);
	arrow_error_clear(&e);
	assert_int_equal(arrow_kernel_remove(f->dir, "../kernels", &e), -ENOENT);
}

static void nothing_is_removed_while_a_build_holds_the_store(void **state)
{
	struct fixture *f = *state;
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_close_ int fd = open(f->kernels, O_RDONLY | O_DIRECTORY);
	struct stat st;
	int lock;

	/* As an older Arrow left it: who can read it can lock it. */
	close(openat(fd, ".lock", O_WRONLY | O_CREAT | O_TRUNC, 0644));
	lock = kernel_store_lock(fd, &e);
	assert_true(lock >= 0);
	assert_int_equal(fstat(lock, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(arrow_kernel_remove(f->dir, "micro", &e), -EBUSY);
	assert_int_equal(access(f->vmlinux, F_OK), 0);
	arrow_error_clear(&e);
	close(lock);
	assert_int_equal(arrow_kernel_remove(f->dir, "micro", &e), 0);
}

static void the_newest_source_is_taken(void **state)
{
	char dir[] = "/tmp/arrow-unit-XXXXXX";
	static const char *const names[] = {"linux-source-6.9.tar.xz", "linux-source-6.12.tar.xz",
		"linux-source-6.99.tar.xz.asc", "linux-6.99.tar.xz"};
	_cleanup_free_ char *found = NULL;

	assert_non_null(mkdtemp(dir));
	assert_null(kernel_source_newest(dir));
	for (size_t i = 0; i < 4; i++) {
		_cleanup_free_ char *path = path_format("%s/%s", dir, names[i]);

		write_text(path, "");
	}
	found = kernel_source_newest(dir);
	assert_non_null(found);
	assert_string_equal(strrchr(found, '/') + 1, "linux-source-6.12.tar.xz");
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
}

#define in_store(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_is_read_and_its_fragments_are_joined),
		cmocka_unit_test(a_wrong_profile_is_refused_and_the_fault_is_named),
		cmocka_unit_test(the_profiles_of_this_program_are_whole),
		cmocka_unit_test(an_unknown_profile_is_told_with_those_there_are),
		cmocka_unit_test(an_option_that_came_out_otherwise_is_named),
		cmocka_unit_test(the_id_changes_with_each_input_and_with_nothing_else),
		cmocka_unit_test(the_newest_source_is_taken),
		in_store(a_kernel_opens_by_profile_and_by_the_beginning_of_its_id),
		in_store(what_is_not_there_is_told_from_what_is_not_built),
		in_store(a_kernel_of_an_older_configuration_is_told),
		in_store(a_damaged_kernel_is_found_also_after_a_good_one),
		in_store(the_list_tells_states),
		in_store(a_kernel_is_removed_with_its_name),
		in_store(nothing_is_removed_while_a_build_holds_the_store),
	};

	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
