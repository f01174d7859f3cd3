// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "image/image.h"
#include "image/store.h"
#include "util/digest.h"

static void need_root(void)
{
	if (geteuid() != 0) {
		print_message("# skip: takes root\n");
		skip();
	}
}

/* PATH, owned by the caller. */
static char *path_variable(void)
{
	const char *path = getenv("PATH");

	return strdup(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
}

/* A program that prints a word, and its library beside it. */
static void build_program(const char *word)
{
	_cleanup_free_ char *library =
		path_format("const char *word(void) { return \"%s\"; }\n", word);

	assert_non_null(library);
	write_text("word.c", library);
	write_text("main.c", "#include <stdio.h>\nconst char *word(void);\n"
			     "int main(void) { puts(word()); return 0; }\n");
	shell("cc -shared -fPIC -Wl,-soname,libword.so -o libword.so word.c;"
	      "cc -o prog main.c libword.so '-Wl,-rpath,$ORIGIN/first:$ORIGIN'");
}

static void make_program(const char *store, const char *path, struct arrow_image *image)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

	if (arrow_image_from_program(image, store, path, NULL, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(strlen(image->digest), 64);
}

static void make_directory(
	const char *store, const char *path, int userns_fd, struct arrow_image *image)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

	if (arrow_image_from_directory(image, store, path, userns_fd, &e) < 0)
		fail_msg("%s", e.text);
	assert_null(image->entrypoint);
}

/* Takes an image apart into a new directory. */
static void extract(const char *store, const char *digest, const char *to)
{
	_cleanup_free_ char *line = path_format(
		"fsck.erofs --preserve-perms --extract=%s %s/images/%s.erofs", to, store, digest);

	assert_non_null(line);
	shell(line);
}

/* Output of a program inside an extracted root, with /proc as an Arrow has it: $ORIGIN needs it. */
static char *run_inside(const char *root, const char *program)
{
	_cleanup_free_ char *line = path_format("unshare -rm sh -ec \"mount --rbind /proc %s/proc;"
						"exec chroot %s '%s'\"",
		root, root, program);

	assert_non_null(line);
	return shell_output(line);
}

static size_t count_entries(const char *path, const char *part)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += strstr(entry->d_name, part) != NULL;
	return n;
}

static void expect_program_error(const char *path, int status, const char *text)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_image image;

	if (arrow_image_from_program(&image, "store", path, NULL, &e) >= 0)
		fail_msg("%s has an image", path);
	assert_int_equal(image.fd, -1);
	if (!strstr(e.text, text))
		fail_msg("\"%s\" does not say \"%s\"", e.text, text);
	assert_null(strchr(e.text, '\n'));
	assert_int_equal(e.status, status);
	arrow_image_release(&image);
}

static void what_cannot_run_is_told_with_dockers_statuses(void **state)
{
	build_program("x");
	write_text("text", "hello\n");
	write_text("empty", "");
	write_text("script", "#!/bin/sh\necho\n");
	write_text("not-executable", "x");
	shell("mkdir a-directory; mkfifo fifo; chmod +x text empty script fifo;"
	      "cc -c -o object.o main.c; chmod +x object.o;"
	      "cp prog short; truncate -s 600 short;"
	      "cp prog arm; printf '\\267' | dd of=arm bs=1 seek=18 conv=notrunc status=none;"
	      "cp prog i386; printf '\\1' | dd of=i386 bs=1 seek=4 conv=notrunc status=none;"
	      "printf '\\3' | dd of=i386 bs=1 seek=18 conv=notrunc status=none;"
	      "cp prog core; printf '\\4' | dd of=core bs=1 seek=16 conv=notrunc status=none;"
	      "ln -s loop loop");

	expect_program_error("./nowhere", 127, "cannot run ./nowhere: no such file");
	expect_program_error("text/x", 127, "no such file");
	expect_program_error("no-such-program-anywhere", 127, "no such program here or in PATH");
	expect_program_error("", 127, "without a name");
	expect_program_error("./a-directory", 126, "cannot run ./a-directory: it is a directory");
	expect_program_error("a-directory", 126, "it is a directory");
	expect_program_error("./fifo", 126, "not a regular file");
	expect_program_error("./loop", 126, "Too many levels of symbolic links");
	expect_program_error("./not-executable", 126, "run chmod +x ./not-executable");
	expect_program_error("./text", 126, "not an ELF program: it is not an ELF file");
	expect_program_error("./empty", 126, "it is empty");
	expect_program_error("./script", 126, "it is a script");
	expect_program_error("./short", 126, "it is cut short");
	expect_program_error("./arm", 126, "built for aarch64, this host is x86_64");
	expect_program_error("./i386", 126, "built for i386, this host is x86_64");
	expect_program_error("./core", 126, "it is a core file");
	expect_program_error("./object.o", 126, "it is an object file");
	expect_program_error("./libword.so", 126, "it is a shared library");
	unlink("libword.so");
	expect_program_error("./prog", 125, "it needs libword.so, which is nowhere in ");
	assert_int_equal(count_entries("store/images", "erofs"), 0);
	assert_int_equal(count_entries("store/images", "tmp-"), 0);
}

static void names_in_errors_stay_on_one_line(void **state)
{
	write_text("a\nb\033[31m", "x");
	expect_program_error("./a\nb\033[31m", 126, "cannot run ./a?b?[31m: permission denied");
}

static void a_program_comes_with_its_libraries_and_runs(void **state)
{
	struct arrow_image image;
	_cleanup_free_ char *output = NULL;
	struct stat st;

	build_program("hello from inside");
	assert_int_equal(chmod("prog", 04711), 0);
	make_program("store", "./prog", &image);
	assert_string_equal(image.entrypoint, "/bin/prog");
	assert_true(image.fd >= 0);
	assert_int_equal(fcntl(image.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	extract("store", image.digest, "out");
	output = run_inside("out", image.entrypoint);
	assert_string_equal(output, "hello from inside\n");
	shell("cmp prog out/bin/prog; cmp libword.so out/bin/libword.so;"
	      "grep -q ^root: out/etc/passwd; grep -q ^nobody: out/etc/group");

	assert_int_equal(stat("out/bin/prog", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_mtime, 0);
	assert_int_equal(stat("out/tmp", &st), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(stat("store/images", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	arrow_image_release(&image);
}

static void kinds_of_programs_run_inside(void **state)
{
	static const char *const kinds[][2] = {
		{"static", "cc -static -o kind kind.c"},
		{"static PIE", "cc -static-pie -o kind kind.c"},
		{"dynamic PIE", "cc -pie -o kind kind.c"},
		{"dynamic at a fixed address", "cc -no-pie -o kind kind.c"},
		{"musl, dynamic", "musl-gcc -o kind kind.c"},
		{"musl, static", "musl-gcc -static -o kind kind.c"},
	};

	write_text("kind.c", "#include <stdio.h>\nint main(void) { return puts(\"up\") < 0; }\n");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		_cleanup_free_ char *output = NULL;
		struct arrow_image image;

		shell(kinds[i][1]);
		make_program("store", "./kind", &image);
		extract("store", image.digest, "out");
		output = run_inside("out", "/bin/kind");
		if (strcmp(output, "up\n") != 0)
			fail_msg("%s: %s", kinds[i][0], output);
		assert_int_equal(remove_tree(AT_FDCWD, "out"), 0);
		arrow_image_release(&image);
	}
}

static void names_of_programs_may_hold_anything(void **state)
{
	static const char *const names[] = {
		"with space", "new\nline", "f\303\274\303\237e", "-T9", "a'b"};
	char digest[65];

	build_program("x");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_free_ char *path = path_format("./%s", names[i]);
		_cleanup_free_ char *inside = path_format("/bin/%s", names[i]);
		_cleanup_free_ char *extracted = path_format("out/bin/%s", names[i]);
		struct arrow_image image;

		/* The name is the link's, the content its target's. */
		assert_int_equal(symlink("prog", path), 0);
		make_program("store", path, &image);
		assert_string_equal(image.entrypoint, inside);
		assert_string_not_equal(image.digest, digest);
		memcpy(digest, image.digest, sizeof(digest));
		extract("store", image.digest, "out");
		assert_int_equal(access(extracted, X_OK), 0);
		assert_int_equal(remove_tree(AT_FDCWD, "out"), 0);
		arrow_image_release(&image);
	}
}

static void a_name_is_looked_for_here_and_then_in_path(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = path_format("/nowhere:%s/in-path", f->dir);
	_cleanup_free_ char *old = path_variable();
	_cleanup_free_ char *longer = path_format("%s:%s", path, old);
	struct arrow_image here, there;

	build_program("x");
	shell("mkdir in-path; cc -static -o in-path/prog -x c - <<. \nint main(void){return 3;}\n.\n"
	      "cp in-path/prog in-path/other");
	assert_int_equal(setenv("PATH", longer, 1), 0);
	make_program("store", "prog", &here);
	make_program("store", "./prog", &there);
	assert_string_equal(here.digest, there.digest);
	arrow_image_release(&there);

	/* A directory of that name is no program. */
	shell("mkdir other");
	make_program("store", "other", &there);
	assert_string_equal(there.entrypoint, "/bin/other");
	arrow_image_release(&there);
	arrow_image_release(&here);
	assert_int_equal(setenv("PATH", old, 1), 0);
}

static void the_same_content_is_the_same_image_anywhere(void **state)
{
	struct arrow_image first, second;
	char a[DIGEST_HEX], b[DIGEST_HEX];

	build_program("x");
	make_program("store", "./prog", &first);
	shell("mkdir elsewhere; cp prog libword.so elsewhere; touch -d 2001-01-01 elsewhere/prog");
	make_program("other-store", "elsewhere/prog", &second);
	assert_string_equal(first.digest, second.digest);
	assert_int_equal(digest_fd(first.fd, a), 0);
	assert_int_equal(digest_fd(second.fd, b), 0);
	assert_string_equal(a, b);
	arrow_image_release(&first);
	arrow_image_release(&second);
}

/* The change time of the store's directory: nothing was made while it stays. */
static struct timespec store_time(void)
{
	struct stat st;

	assert_int_equal(stat("store/images", &st), 0);
	return st.st_ctim;
}

static void an_unchanged_program_starts_no_process_and_makes_nothing(void **state)
{
	_cleanup_free_ char *old = path_variable();
	struct arrow_image first, again;
	struct timespec before, after;
	struct rlimit limit, none;

	build_program("x");
	make_program("store", "./prog", &first);
	before = store_time();

	/* Neither mkfs.erofs nor anything else could be started, not even by fork. */
	assert_int_equal(getrlimit(RLIMIT_NPROC, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NPROC, &none), 0);
	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	make_program("store", "./prog", &again);
	assert_int_equal(setenv("PATH", old, 1), 0);
	assert_int_equal(setrlimit(RLIMIT_NPROC, &limit), 0);

	after = store_time();
	assert_memory_equal(&before, &after, sizeof(before));
	assert_string_equal(first.digest, again.digest);
	arrow_image_release(&first);
	arrow_image_release(&again);
}

static void a_changed_program_or_library_is_seen(void **state)
{
	struct arrow_image first, second, third;

	build_program("one");
	make_program("store", "./prog", &first);

	/* In place and of the same size. */
	write_text("word.c", "const char *word(void) { return \"two\"; }\n");
	shell("cc -shared -fPIC -Wl,-soname,libword.so -o libword.so word.c");
	make_program("store", "./prog", &second);
	assert_string_not_equal(first.digest, second.digest);

	/* A library that now comes first in the search. */
	write_text("word.c", "const char *word(void) { return \"three\"; }\n");
	shell("mkdir first; cc -shared -fPIC -Wl,-soname,libword.so -o first/libword.so word.c");
	make_program("store", "./prog", &third);
	assert_string_not_equal(second.digest, third.digest);
	extract("store", third.digest, "out");
	assert_int_equal(access("out/bin/first/libword.so", F_OK), 0);
	assert_int_equal(access("out/bin/libword.so", F_OK), -1);
	arrow_image_release(&first);
	arrow_image_release(&second);
	arrow_image_release(&third);
}

/* Overwrites a byte of a file that is not writable. */
static void damage(const char *path, off_t at)
{
	uint8_t byte;
	int fd;

	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0xff;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void shrink(const char *path, off_t size)
{
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, size), 0);
}

static void damaged_images_and_records_are_made_anew(void **state)
{
	_cleanup_free_ char *path = NULL, *record = NULL;
	struct arrow_image image;
	char good[DIGEST_HEX], now[DIGEST_HEX];

	build_program("x");
	make_program("store", "./prog", &image);
	assert_int_equal(digest_fd(image.fd, good), 0);
	path = path_format("store/images/%s.erofs", image.digest);
	record = path_format("store/images/%s.json", image.digest);
	arrow_image_release(&image);

	for (int i = 0; i < 5; i++) {
		if (i == 0)
			damage(path, 5000);
		else if (i == 1)
			shrink(path, 5000);
		else if (i == 2)
			assert_int_equal(unlink(path), 0);
		else if (i == 3)
			damage(record, 0);
		else
			assert_int_equal(unlink(record), 0);
		make_program("store", "./prog", &image);
		assert_int_equal(digest_fd(image.fd, now), 0);
		assert_string_equal(good, now);
		arrow_image_release(&image);
	}

	/* One that was only copied is hashed and kept. */
	{
		_cleanup_free_ char *line = path_format("cp -p %s x; mv x %s", path, path);
		_cleanup_free_ char *old = path_variable();

		shell(line);
		assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
		make_program("store", "./prog", &image);
		assert_int_equal(setenv("PATH", old, 1), 0);
		arrow_image_release(&image);
	}
}

static void a_damaged_index_is_ignored(void **state)
{
	_cleanup_free_ char *output = NULL, *path = NULL, *data = NULL;
	struct arrow_image image;
	char digest[65];
	size_t size;

	build_program("x");
	make_program("store", "./prog", &image);
	memcpy(digest, image.digest, sizeof(digest));
	arrow_image_release(&image);
	output = shell_output("echo store/images/index/*");
	output[strcspn(output, "\n")] = '\0';
	path = strdup(output);
	assert_int_equal(read_file(AT_FDCWD, path, 1u << 20, &data, &size), 0);

	for (size_t cut = 0; cut < size; cut += 7) {
		assert_int_equal(write_file_atomic(AT_FDCWD, path, 0600, data, cut), 0);
		make_program("store", "./prog", &image);
		assert_string_equal(image.digest, digest);
		arrow_image_release(&image);
		if (cut % 3 == 0) {
			assert_int_equal(write_file_atomic(AT_FDCWD, path, 0600, data, size), 0);
			damage(path, (off_t)cut);
			make_program("store", "./prog", &image);
			assert_string_equal(image.digest, digest);
			arrow_image_release(&image);
		}
	}
}

static void two_at_once_both_succeed(void **state)
{
	pid_t pids[4];
	int status;

	build_program("x");
	for (size_t i = 0; i < 4; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
			struct arrow_image image;

			_exit(arrow_image_from_program(&image, "store", "./prog", NULL, &e) < 0);
		}
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(count_entries("store/images", ".erofs"), 1);
	assert_int_equal(count_entries("store/images", "tmp"), 0);
}

/* In a child with a store on a small disk: 0 when the disk is told to be full and left clean. */
static int try_small_disk(const char *size)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_image image;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mkdir("small", 0755) < 0 || mount("small", "small", "tmpfs", 0, size) < 0)
		return 2;
	if (arrow_image_from_program(&image, "small", "./prog", NULL, &e) != -ENOSPC)
		return 3;
	if (e.status != 125 || strncmp(e.text, "no space left in small/images", 29) != 0)
		return 4;
	return count_entries("small/images", "tmp") || count_entries("small/images", "erofs") ? 5
											      : 0;
}

static void a_full_disk_is_told_and_nothing_stays(void **state)
{
	/* Enough for nothing, for a part of the copies, and for them but not for the image. */
	static const char *const sizes[] = {"size=64k", "size=1m", "size=2600k"};
	int status;

	need_root();
	build_program("x");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(try_small_disk(sizes[i]));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("%s: status %d", sizes[i], WEXITSTATUS(status));
		rmdir("small");
	}
}

/* Puts a script in the place of mkfs.erofs. $REAL is the real one. */
static char *replace_mkfs(const struct fixture *f, const char *script)
{
	char *old = path_variable();
	_cleanup_free_ char *real = shell_output("command -v mkfs.erofs");
	_cleanup_free_ char *path = path_format("%s/tools:%s", f->dir, old);
	_cleanup_free_ char *text = NULL;

	real[strcspn(real, "\n")] = '\0';
	text = path_format("#!/bin/sh\nREAL=%s\nHERE=%s\n%s\n", real, f->dir, script);
	assert_int_equal(mkdir("tools", 0755), 0);
	write_text("tools/mkfs.erofs", text);
	assert_int_equal(chmod("tools/mkfs.erofs", 0755), 0);
	assert_int_equal(setenv("PATH", path, 1), 0);
	return old;
}

static void restore_path(char *old)
{
	assert_int_equal(setenv("PATH", old, 1), 0);
	free(old);
}

/* Waits for a file to appear. */
static void await_file(const char *path)
{
	uint64_t end = now_ms() + 60000;
	const struct timespec pause = {0, 1000000};

	while (access(path, F_OK) < 0) {
		assert_true(now_ms() < end);
		nanosleep(&pause, NULL);
	}
}

static void a_killed_maker_leaves_nothing_torn_and_is_cleaned_up_after(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct arrow_image image;
	uint64_t end;
	pid_t pid, maker;
	int status;
	char *old;

	build_program("x");
	old = replace_mkfs(*state,
		"echo $$ >$HERE/started.tmp; mv $HERE/started.tmp $HERE/started\n"
		"exec sleep 600");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

		_exit(arrow_image_from_program(&image, "store", "./prog", NULL, &e) < 0);
	}
	await_file("started");
	restore_path(old);

	/* While it lives, its work is not taken away. */
	write_text("other.c", "int main(void) { return 0; }\n");
	shell("cc -static -o other other.c");
	make_program("store", "./other", &image);
	arrow_image_release(&image);
	assert_int_equal(count_entries("store/images", "tmp-"), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(count_entries("store/images", ".erofs"), 1);

	/* Its mkfs.erofs dies with it. */
	assert_int_equal(read_file(AT_FDCWD, "started", 64, &text, NULL), 0);
	maker = (pid_t)atoi(text);
	for (end = now_ms() + 60000; kill(maker, 0) == 0;) {
		_cleanup_free_ char *stat_path = path_format("/proc/%d/stat", (int)maker);
		_cleanup_free_ char *line = NULL;

		/* A zombie waits for an init that may not reap. */
		if (read_file(AT_FDCWD, stat_path, 4096, &line, NULL) == 0 && strstr(line, ") Z "))
			break;
		assert_true(now_ms() < end);
	}

	make_program("store", "./prog", &image);
	arrow_image_release(&image);
	assert_int_equal(count_entries("store/images", "tmp-"), 0);
	assert_int_equal(count_entries("store/images", ".erofs"), 2);
}

static void a_missing_or_failing_mkfs_is_told(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_image image;
	char *old;

	build_program("x");
	old = replace_mkfs(*state, "echo some trouble >&2; exit 1");
	expect_program_error("./prog", 125, "some trouble");
	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	assert_int_equal(arrow_image_from_program(&image, "store", "./prog", NULL, &e), -ENOENT);
	restore_path(old);
	assert_string_equal(
		e.text, "mkfs.erofs is not installed: run 'sudo apt-get install erofs-utils'");
	assert_int_equal(e.status, 125);
	assert_int_equal(count_entries("store/images", "tmp-"), 0);
}

/*
 * A child writes the program in place over and over, while images are made of it. Each image
 * must hold one of the two versions whole.
 */
static void a_program_that_changes_is_never_torn(void **state)
{
	_cleanup_free_ char *a = NULL, *b = NULL;
	size_t size = 0, made = 0;
	uint64_t end = now_ms() + 30000;
	pid_t pid;

	write_text("a.c", "char pad[1 << 20] = {1}; int main(void) { return 0; }\n");
	write_text("b.c", "char pad[1 << 20] = {2}; int main(void) { return 1; }\n");
	shell("cc -static -Wl,--build-id=none -o a a.c; cc -static -Wl,--build-id=none -o b b.c;"
	      "truncate -s 2M a b; cp a prog");
	assert_int_equal(read_file(AT_FDCWD, "a", 8u << 20, &a, &size), 0);
	assert_int_equal(read_file(AT_FDCWD, "b", 8u << 20, &b, &size), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct timespec pause = {0, 80000000};
		int fd = open("prog", O_WRONLY | O_CLOEXEC);

		for (unsigned int i = 0;; i++) {
			if (pwrite(fd, i % 2 ? a : b, size, 0) != (ssize_t)size)
				_exit(1);
			nanosleep(&pause, NULL);
		}
	}
	for (int i = 0; i < 30 && now_ms() < end; i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		_cleanup_free_ char *inside = NULL;
		struct arrow_image image;
		size_t n;

		if (arrow_image_from_program(&image, "store", "./prog", NULL, &e) < 0) {
			assert_non_null(strstr(e.text, "changes as it is copied"));
			continue;
		}
		made++;
		extract("store", image.digest, "out");
		arrow_image_release(&image);
		assert_int_equal(read_file(AT_FDCWD, "out/bin/prog", 8u << 20, &inside, &n), 0);
		assert_int_equal(n, size);
		assert_true(!memcmp(inside, a, size) || !memcmp(inside, b, size));
		assert_int_equal(remove_tree(AT_FDCWD, "out"), 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(made > 0);
}

/* ---- directories ---- */

static const char TREE[] =
	"mkdir -p tree/usr/bin tree/empty 'tree/p.r+oc (x)'; chmod 1777 tree/empty;"
	"echo one >tree/usr/bin/one; chmod 4755 tree/usr/bin/one; ln tree/usr/bin/one tree/usr/two;"
	"ln -s usr/bin/one tree/link; ln -s /nowhere tree/dangling; mkfifo tree/fifo;"
	"printf 'x' >\"tree/new\nline\"; printf y >tree/$(printf 'f\\303\\274');"
	"truncate -s 3M tree/sparse; printf z | dd of=tree/sparse bs=1 seek=2000000 conv=notrunc"
	" status=none;"
	"touch -d '2001-02-03 04:05:06.789' tree/usr/bin/one; chmod 0700 tree/usr";

static void a_tree_comes_whole(void **state)
{
	_cleanup_free_ char *links = NULL, *line = NULL, *apart = NULL;
	struct arrow_image image;
	struct stat st;

	shell(TREE);
	if (geteuid() == 0)
		shell("mknod tree/null c 1 3; chown 12:34 tree/usr/two; chmod 4755 tree/usr/two");
	make_directory("store", "tree", -1, &image);
	extract("store", image.digest, "out");

	/* fsck.erofs sets the mode before the owner, which drops the setuid bit. */
	apart = shell_output(
		"list() { (cd $1; find . -printf '%P %y %m %U:%G %T@ %l %s\\n' |"
		" sed 's/ f 4755 / f 755 /; s/^ d \\(.*\\) [0-9]*$/ d \\1/' | grep -v ' d ' |"
		" sort); }; list tree >a; list out >b; diff a b || :;"
		"(cd tree; find . -type f) | sort >a; (cd out; find . -type f) | sort >b;"
		"diff a b || :; cmp tree/sparse out/sparse");
	if (geteuid() == 0)
		assert_string_equal(apart, "");
	shell("cmp tree/usr/bin/one out/usr/bin/one; test -d out/empty");

	/* The extracted copies do not show hard links and setuid; the image does. */
	line = path_format("dump.erofs --path=/usr/two store/images/%s.erofs", image.digest);
	links = shell_output(line);
	assert_non_null(strstr(links, "Links: 2"));
	/* The zeros take no room, though mkfs.erofs wrote them. */
	assert_int_equal(fstat(image.fd, &st), 0);
	assert_true(st.st_size > 3 << 20);
	assert_true(st.st_blocks * 512 < 1 << 20);
	arrow_image_release(&image);
}

/* What the kernel sees of it, where there are loop devices. */
static void a_tree_mounts_with_its_modes_and_xattrs(void **state)
{
	_cleanup_free_ char *line = NULL, *output = NULL;
	struct arrow_image image;

	need_root();
	if (system("test -e /dev/loop-control && grep -qw erofs /proc/filesystems") != 0) {
		print_message("# skip: takes loop devices and erofs\n");
		skip();
	}
	shell(TREE);
	shell("python3 -c 'import os; os.setxattr(\"tree/sparse\", \"user.color\", b\"red\")'");
	make_directory("store", "tree", -1, &image);
	line = path_format(
		"mkdir m; mount -o loop,ro store/images/%s.erofs m; trap 'umount m' EXIT;"
		"stat -c '%%a %%h' m/usr/bin/one m/usr/two; stat -c %%a m/empty;"
		"python3 -c 'import os; print(os.getxattr(\"m/sparse\", \"user.color\"))'",
		image.digest);
	output = shell_output(line);
	assert_string_equal(output, "4755 2\n4755 2\n1777\nb'red'\n");
	arrow_image_release(&image);
}

static void an_unchanged_tree_is_not_read_and_a_changed_one_is(void **state)
{
	_cleanup_free_ char *old = path_variable();
	static const char *const changes[] = {"echo two >tree/usr/bin/one", "chmod 755 tree/empty",
		"touch -d 2002-02-02 tree/sparse", "mkdir tree/more", "rmdir tree/more",
		"mv tree/fifo tree/pipe", "rm tree/link; ln -s elsewhere tree/link"};
	struct arrow_image image;
	char digest[65];

	shell(TREE);
	make_directory("store", "tree", -1, &image);
	memcpy(digest, image.digest, sizeof(digest));
	arrow_image_release(&image);

	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	make_directory("store", "tree", -1, &image);
	make_directory("store", "./tree/../tree/", -1, &image);
	assert_int_equal(setenv("PATH", old, 1), 0);
	assert_string_equal(image.digest, digest);
	arrow_image_release(&image);

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		shell(changes[i]);
		make_directory("store", "tree", -1, &image);
		assert_string_not_equal(image.digest, digest);
		memcpy(digest, image.digest, sizeof(digest));
		arrow_image_release(&image);
	}
}

static void expect_directory_error(const char *path, const char *text)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_image image;

	assert_true(arrow_image_from_directory(&image, "store", path, -1, &e) < 0);
	if (!strstr(e.text, text))
		fail_msg("\"%s\" does not say \"%s\"", e.text, text);
	assert_int_equal(e.status, 125);
}

static void odd_directories(void **state)
{
	struct arrow_image image;

	shell("mkdir empty; touch file");
	make_directory("store", "empty", -1, &image);
	arrow_image_release(&image);
	expect_directory_error("nowhere", "cannot use nowhere as a root: No such file");
	expect_directory_error("file", "it is not a directory");
}

static void a_tree_that_changes_is_read_again_and_then_refused(void **state)
{
	struct arrow_image image;
	char *old;

	shell("mkdir tree; echo x >tree/x");
	old = replace_mkfs(*state,
		"$REAL \"$@\" || exit\n"
		"test -e $HERE/once || echo more >>$HERE/tree/x; touch $HERE/once");
	make_directory("store", "tree", -1, &image);
	extract("store", image.digest, "out");
	shell("cmp tree/x out/x");
	arrow_image_release(&image);
	restore_path(old);
	assert_int_equal(remove_tree(AT_FDCWD, "tools"), 0);

	old = replace_mkfs(*state, "$REAL \"$@\"; echo more >>$HERE/tree/x");
	shell("echo y >tree/y");
	expect_directory_error("tree", "it changes as it is read");
	/* One that goes away makes mkfs.erofs fail; the change is what is told. */
	write_text("tools/mkfs.erofs", "#!/bin/sh\necho z >>tree/z\nexit 1\n");
	expect_directory_error("tree", "it changes as it is read");
	restore_path(old);
	assert_int_equal(count_entries("store/images", "tmp-"), 0);
}

static void the_store_itself_stays_out(void **state)
{
	struct arrow_image image;

	shell("mkdir -p tree/var; echo x >tree/x");
	make_directory("tree/var/store", "tree", -1, &image);
	arrow_image_release(&image);
	make_directory("tree/var/store", "tree", -1, &image);
	extract("tree/var/store", image.digest, "out");
	assert_int_equal(access("out/var/store/images", F_OK), 0);
	assert_int_equal(count_entries("out/var/store/images", "erofs"), 0);
	arrow_image_release(&image);
}

/* Runs a part in a child and takes its status. */
static void in_child(int (*part)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(part());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("the child ended with status %x", (unsigned int)status);
}

static int with_mounts(void)
{
	struct arrow_image image;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("proc", "tree/p.r+oc (x)", "proc", 0, NULL) < 0 ||
		mount("tmp", "tree/empty", "tmpfs", 0, NULL) < 0)
		return 2;
	write_text("tree/empty/file", "x");
	make_directory("store", "tree", -1, &image);
	arrow_image_release(&image);
	/* A process came and went in the meantime: the same image all the same. */
	make_directory("store", "tree", -1, &image);
	extract("store", image.digest, "out");
	if (access("tree/p.r+oc (x)/self", F_OK) < 0)
		return 3;
	return access("out/empty/file", F_OK) == 0 && rmdir("out/p.r+oc (x)") == 0 ? 0 : 4;
}

static void mounts_of_the_kernel_stay_out_and_others_come(void **state)
{
	need_root();
	shell(TREE);
	in_child(with_mounts);
}

static int as_nobody(void)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_image image;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 2;
	if (arrow_image_from_directory(&image, "mine/store", "tree", -1, &e) != -EACCES ||
		!strstr(e.text, "/tree/usr/secret, which") || !strstr(e.text, "Permission denied"))
		return 3;
	arrow_error_clear(&e);
	if (unlink("tree/usr/secret") < 0)
		return 4;
	/* Everything is root's in it, also what is this user's. */
	make_directory("mine/store", "tree", -1, &image);
	extract("mine/store", image.digest, "mine/out");
	return strcmp(image.digest, "") != 0 ? 0 : 5;
}

static void an_ordinary_user_is_told_what_cannot_be_read(void **state)
{
	_cleanup_free_ char *output = NULL;

	need_root();
	shell(TREE);
	shell("echo s >tree/usr/secret; chmod 600 tree/usr/secret; chmod 755 tree/usr;"
	      "chown nobody tree/usr tree/usr/two; mkdir mine; chown nobody mine");
	in_child(as_nobody);
	output = shell_output("dump.erofs --path=/usr/two mine/store/images/*.erofs | grep Uid");
	assert_non_null(strstr(output, "Uid: 0"));
}

static void owners_are_those_of_the_user_namespace(void **state)
{
	_cleanup_free_ char *output = NULL, *path = NULL;
	struct arrow_image image;
	int ready[2], fd;
	char byte;
	pid_t pid;

	need_root();
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]); /* so that a child that fails is the end, not a wait */
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	path = path_format("printf '0 0 1\\n1 100000 65535\\n' >/proc/%d/uid_map;"
			   "printf '0 0 1\\n1 100000 65535\\n' >/proc/%d/gid_map",
		(int)pid, (int)pid);
	shell(path);
	free(path);
	path = path_format("/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	shell("mkdir -p tree/private; echo x >tree/private/file; echo y >tree/own;"
	      "chmod 700 tree/private; chown -R 100041:100032 tree/private");
	make_directory("store", "tree", fd, &image);
	arrow_image_release(&image);
	make_directory("store", "tree", fd, &image);
	close(fd);
	output = shell_output("i=$(echo store/images/*.erofs); dump.erofs --path=/private/file $i;"
			      "dump.erofs --path=/own $i");
	assert_non_null(strstr(output, "Uid: 42   Gid: 33"));
	assert_non_null(strstr(output, "Uid: 0   Gid: 0"));
	arrow_image_release(&image);
}

/* A sparse file of a layer may claim any size; hashing its zeros would take hours. */
static void holes_are_not_read(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_store_ struct image_store s = {.fd = -1};
	_cleanup_temp_ struct image_temp temp = {.fd = -1};
	static const off_t size = 1ll << 40;
	static char zeros[1 << 16], digest[65];
	struct stat st;
	int fd;

	memset(digest, 'a', 64);
	assert_int_equal(image_store_open(&s, "data", &e), 0);
	assert_int_equal(image_temp_begin(&temp, &s, &e), 0);
	fd = openat(temp.fd, "image", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 1 << 20), sizeof(zeros));
	assert_int_equal(pwrite(fd, "x", 1, size / 2), 1);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
	if (image_store_publish(&temp, digest, "container", "x", &fd, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	/* The zeros that were written are a hole by now. */
	assert_int_equal(lseek(fd, 1 << 20, SEEK_HOLE), 1 << 20);
	close(fd);
	/* One that was touched is hashed again, and is the same. */
	shell("touch data/images/*.erofs");
	assert_int_equal(image_store_find(&s, digest, &fd), 0);
	close(fd);
	shell("chmod u+w data/images/*.erofs; printf y | dd of=$(echo data/images/*.erofs) bs=1 "
	      "seek=9000000 conv=notrunc status=none");
	assert_int_equal(image_store_find(&s, digest, &fd), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(what_cannot_run_is_told_with_dockers_statuses),
		FIXTURE_TEST(names_in_errors_stay_on_one_line),
		FIXTURE_TEST(a_program_comes_with_its_libraries_and_runs),
		FIXTURE_TEST(kinds_of_programs_run_inside),
		FIXTURE_TEST(names_of_programs_may_hold_anything),
		FIXTURE_TEST(a_name_is_looked_for_here_and_then_in_path),
		FIXTURE_TEST(the_same_content_is_the_same_image_anywhere),
		FIXTURE_TEST(an_unchanged_program_starts_no_process_and_makes_nothing),
		FIXTURE_TEST(a_changed_program_or_library_is_seen),
		FIXTURE_TEST(damaged_images_and_records_are_made_anew),
		FIXTURE_TEST(a_damaged_index_is_ignored),
		FIXTURE_TEST(two_at_once_both_succeed),
		FIXTURE_TEST(a_full_disk_is_told_and_nothing_stays),
		FIXTURE_TEST(a_killed_maker_leaves_nothing_torn_and_is_cleaned_up_after),
		FIXTURE_TEST(a_missing_or_failing_mkfs_is_told),
		FIXTURE_TEST(a_program_that_changes_is_never_torn),
		FIXTURE_TEST(a_tree_comes_whole),
		FIXTURE_TEST(a_tree_mounts_with_its_modes_and_xattrs),
		FIXTURE_TEST(an_unchanged_tree_is_not_read_and_a_changed_one_is),
		FIXTURE_TEST(odd_directories),
		FIXTURE_TEST(a_tree_that_changes_is_read_again_and_then_refused),
		FIXTURE_TEST(the_store_itself_stays_out),
		FIXTURE_TEST(mounts_of_the_kernel_stay_out_and_others_come),
		FIXTURE_TEST(an_ordinary_user_is_told_what_cannot_be_read),
		FIXTURE_TEST(owners_are_those_of_the_user_namespace),
		FIXTURE_TEST(holes_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
