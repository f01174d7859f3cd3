// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fixture.h"

#include <elf.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "image/elf_info.h"

/* A file as bytes, and a memfd that is given changed copies of it. */
struct specimen {
	uint8_t *data;
	size_t size;
	int fd;
};

static struct specimen load(const char *path)
{
	struct specimen s = {.fd = memfd_create("specimen", MFD_CLOEXEC)};
	char *data;

	assert_true(s.fd >= 0);
	assert_int_equal(read_file(AT_FDCWD, path, 64u << 20, &data, &s.size), 0);
	s.data = (uint8_t *)data;
	return s;
}

static void unload(struct specimen *s)
{
	free(s->data);
	close(s->fd);
}

/* Reads the first size bytes of the specimen as a file. */
static int probe(struct specimen *s, size_t size, struct elf_info *info, const char **why)
{
	*why = NULL;
	assert_int_equal(ftruncate(s->fd, 0), 0);
	assert_int_equal(pwrite(s->fd, s->data, size, 0), size);
	return elf_info_read(info, s->fd, why);
}

static void read_path(const char *path, struct elf_info *info)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *why = NULL;

	assert_true(fd >= 0);
	assert_int_equal(elf_info_read(info, fd, &why), 0);
}

static void build(void)
{
	write_text("main.c", "int foo(void); int main(void) { return foo(); }\n");
	write_text("foo.c", "int foo(void) { return 0; }\n");
	shell("cc -shared -fPIC -Wl,-soname,libfoo.so.1 -o libfoo.so foo.c;"
	      "cc -o runpath main.c libfoo.so '-Wl,-rpath,$ORIGIN/lib' -Wl,--enable-new-dtags;"
	      "cc -o rpath main.c libfoo.so '-Wl,-rpath,$ORIGIN/lib' -Wl,--disable-new-dtags;"
	      "cc -no-pie -static -o static main.c foo.c;"
	      "cc -static-pie -o static-pie main.c foo.c;"
	      "cc -c -o main.o main.c;"
	      "musl-gcc -o musl main.c foo.c");
}

static void dynamic_programs_tell_interpreter_libraries_and_paths(void **state)
{
	struct elf_info info;

	build();
	read_path("runpath", &info);
	assert_false(info.foreign);
	assert_int_equal(info.type, ET_DYN);
	assert_true(info.pie && info.loadable && info.entry != 0);
	assert_string_equal(info.runpath, "$ORIGIN/lib");
	assert_null(info.rpath);
	assert_string_equal(info.needed[0], "libfoo.so.1");
	assert_string_equal(info.needed[1], "libc.so.6");
	assert_null(info.needed[2]);
	assert_non_null(strstr(info.interpreter, "/ld-linux"));
	elf_info_release(&info);

	read_path("rpath", &info);
	assert_string_equal(info.rpath, "$ORIGIN/lib");
	assert_null(info.runpath);
	elf_info_release(&info);

	read_path("musl", &info);
	assert_non_null(strstr(info.interpreter, "/ld-musl-"));
	elf_info_release(&info);

	read_path("libfoo.so", &info);
	assert_string_equal(info.soname, "libfoo.so.1");
	assert_false(info.pie);
	assert_null(info.interpreter);
	elf_info_release(&info);
}

static void static_programs_and_objects_are_told_apart(void **state)
{
	struct elf_info info;

	build();
	read_path("static", &info);
	assert_int_equal(info.type, ET_EXEC);
	assert_null(info.interpreter);
	assert_null(info.needed[0]);
	elf_info_release(&info);

	read_path("static-pie", &info);
	assert_int_equal(info.type, ET_DYN);
	assert_true(info.pie);
	assert_null(info.interpreter);
	elf_info_release(&info);

	read_path("main.o", &info);
	assert_int_equal(info.type, ET_REL);
	elf_info_release(&info);
}

static void other_machines_are_foreign(void **state)
{
	struct specimen s;
	struct elf_info info;
	const char *why;
	char buf[32];

	build();
	s = load("runpath");
	s.data[18] = EM_S390;
	assert_int_equal(probe(&s, s.size, &info, &why), 0);
	assert_true(info.foreign);
	assert_string_equal(elf_machine_name(info.machine, buf), "s390x");
	elf_info_release(&info);

	s.data[EI_CLASS] = ELFCLASS32;
	s.data[18] = EM_386;
	assert_int_equal(probe(&s, s.size, &info, &why), 0);
	assert_true(info.foreign && !info.is_64bit);
	assert_string_equal(elf_machine_name(info.machine, buf), "i386");
	elf_info_release(&info);

	/* Big-endian: the machine is read in the byte order of the file. */
	s.data[EI_DATA] = ELFDATA2MSB;
	s.data[18] = 0;
	s.data[19] = EM_PPC64;
	assert_int_equal(probe(&s, s.size, &info, &why), 0);
	assert_string_equal(elf_machine_name(info.machine, buf), "ppc64");
	elf_info_release(&info);
	unload(&s);
}

static void every_cut_is_an_error_with_a_reason(void **state)
{
	struct specimen s;
	const Elf64_Phdr *p;
	Elf64_Ehdr header;
	size_t end = 0, headers;

	build();
	s = load("runpath");
	memcpy(&header, s.data, sizeof(header));
	headers = header.e_phoff + header.e_phnum * sizeof(*p);
	p = (const Elf64_Phdr *)(const void *)(s.data + header.e_phoff);
	for (size_t i = 0; i < header.e_phnum; i++)
		if (p[i].p_type == PT_LOAD && p[i].p_offset + p[i].p_filesz > end)
			end = p[i].p_offset + p[i].p_filesz;
	assert_true(headers < end && end <= s.size);

	for (size_t size = 0; size < end; size += size < headers + 64 ? 1 : 97) {
		struct elf_info info;
		const char *why;
		int e = probe(&s, size, &info, &why);

		assert_int_equal(e, size < SELFMAG ? -ENOEXEC : -EBADMSG);
		assert_non_null(why);
		assert_null(info.needed);
	}
	unload(&s);
}

/* Finds the n-th program header of a type. */
static Elf64_Phdr *phdr_of(struct specimen *s, uint32_t type)
{
	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)s->data;
	Elf64_Phdr *p = (Elf64_Phdr *)(void *)(s->data + header->e_phoff);

	for (size_t i = 0; i < header->e_phnum; i++)
		if (p[i].p_type == type)
			return &p[i];
	fail_msg("no program header of type %u", type);
	return NULL;
}

static Elf64_Dyn *dyn_of(struct specimen *s, int64_t tag)
{
	Elf64_Dyn *d = (Elf64_Dyn *)(void *)(s->data + phdr_of(s, PT_DYNAMIC)->p_offset);

	while (d->d_tag != tag)
		d++;
	return d;
}

static void expect_damaged(struct specimen *s, const char *reason)
{
	struct elf_info info;
	const char *why;

	assert_int_equal(probe(s, s->size, &info, &why), -EBADMSG);
	assert_non_null(strstr(why, reason));
}

static void hostile_fields_are_refused(void **state)
{
	struct specimen s, good;
	Elf64_Ehdr *header;

	build();
	good = load("runpath");
	s = load("runpath");
	header = (Elf64_Ehdr *)(void *)s.data;
#define RESTORE() memcpy(s.data, good.data, s.size)

	header->e_phnum = 0xffff;
	expect_damaged(&s, "program headers");
	RESTORE();
	header->e_phoff = UINT64_MAX - 8;
	expect_damaged(&s, "cut short");
	RESTORE();
	phdr_of(&s, PT_LOAD)->p_offset = UINT64_MAX - 8;
	expect_damaged(&s, "cut short");
	RESTORE();
	phdr_of(&s, PT_LOAD)->p_memsz = 1;
	expect_damaged(&s, "no sensible size");
	RESTORE();
	phdr_of(&s, PT_INTERP)->p_filesz = 1u << 30;
	expect_damaged(&s, "interpreter");
	RESTORE();
	phdr_of(&s, PT_INTERP)->p_filesz -= 1;
	expect_damaged(&s, "interpreter");
	RESTORE();
	phdr_of(&s, PT_DYNAMIC)->p_filesz = UINT64_MAX;
	expect_damaged(&s, "dynamic section");
	RESTORE();
	dyn_of(&s, DT_STRTAB)->d_un.d_ptr = UINT64_MAX - 1;
	expect_damaged(&s, "an address");
	RESTORE();
	dyn_of(&s, DT_STRSZ)->d_un.d_val = UINT64_MAX;
	expect_damaged(&s, "its strings");
	RESTORE();
	dyn_of(&s, DT_NEEDED)->d_un.d_val = UINT64_MAX;
	expect_damaged(&s, "a name lies outside");
	RESTORE();
	dyn_of(&s, DT_STRSZ)->d_un.d_val = dyn_of(&s, DT_NEEDED)->d_un.d_val + 3;
	expect_damaged(&s, "a name");
#undef RESTORE
	unload(&s);
	unload(&good);
}

static void mutations_never_crash(void **state)
{
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
	size_t refused = 0, taken = 0, headers;
	struct specimen s, good;

	build();
	good = load("runpath");
	s = load("runpath");
	headers = 64 + 64 * sizeof(Elf64_Phdr);

	for (size_t round = 0; round < 2000; round++) {
		struct elf_info info;
		const char *why;
		int e;

		memcpy(s.data, good.data, s.size);
		for (int i = 0; i < 4; i++) {
			size_t at;

			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			/* Half in the headers, half in the dynamic section. */
			at = round % 2 ? seed % headers
				       : phdr_of(&good, PT_DYNAMIC)->p_offset + seed % 512;
			s.data[at % s.size] = (uint8_t)(seed >> 32);
		}
		e = probe(&s, s.size, &info, &why);
		if (e < 0) {
			assert_true(e == -ENOEXEC || e == -EBADMSG);
			assert_non_null(why);
			refused++;
			continue;
		}
		taken++;
		elf_info_release(&info);
	}
	assert_true(refused > 100 && taken > 100);
	unload(&s);
	unload(&good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(dynamic_programs_tell_interpreter_libraries_and_paths),
		FIXTURE_TEST(static_programs_and_objects_are_told_apart),
		FIXTURE_TEST(other_machines_are_foreign),
		FIXTURE_TEST(every_cut_is_an_error_with_a_reason),
		FIXTURE_TEST(hostile_fields_are_refused),
		FIXTURE_TEST(mutations_never_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
