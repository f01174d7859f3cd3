// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fixture.h"

#include <errno.h>

#include "protocol/entries.h"
#include "guest/worker.h"

/* The loader's workers: files to entries and back, and what a program changed in its root. */

/* Takes what is sent of a path, in a file. */
static int send_to(const char *file, const char *path, bool follow)
{
	_cleanup_close_ int out = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(out >= 0);
	return worker_send(out, path, follow);
}

/* Returns the worker's status; the text of its ERROR, or "", is in answer. */
static int receive_from(const char *file, const char *dir, char answer[1100])
{
	_cleanup_close_ int in = open(file, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = open("answer", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	mode_t mask = umask(022);
	struct arrow_entry e;
	uint8_t head[ENTRY_HEAD];
	int status = worker_receive(in, out, dir);

	umask(mask);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	assert_int_equal(read(out, head, sizeof(head)), sizeof(head));
	assert_int_equal(arrow_entry_decode(head, &e), 0);
	assert_int_equal(e.type, status == 0 ? ENTRY_END : ENTRY_ERROR);
	answer[0] = '\0';
	if (e.type == ENTRY_ERROR) {
		assert_int_equal(read(out, answer, 1099), e.name);
		answer[e.name] = '\0';
	}
	return status;
}

/* An entry made by hand. */
static void put_entry(FILE *f, uint32_t type, const char *name, const char *link, const char *data)
{
	struct arrow_entry e = {.type = type, .mode = 0644, .uid = getuid(), .gid = getgid()};
	uint8_t head[ENTRY_HEAD], segment[ENTRY_SEGMENT];

	e.name = (uint32_t)strlen(name);
	e.link = link ? (uint32_t)strlen(link) : 0;
	e.size = data ? strlen(data) : 0;
	e.segments = data ? 1 : 0;
	if (type == ENTRY_DIRECTORY)
		e.mode = 0755;
	arrow_entry_encode(head, &e);
	assert_int_equal(fwrite(head, sizeof(head), 1, f), 1);
	fputs(name, f);
	fputs(link ? link : "", f);
	if (data) {
		arrow_put64(segment, 0);
		arrow_put64(segment + 8, e.size);
		assert_int_equal(fwrite(segment, sizeof(segment), 1, f), 1);
		fputs(data, f);
	}
}

static void put_end(FILE *f)
{
	uint8_t head[ENTRY_HEAD];

	arrow_entry_encode(head, &(struct arrow_entry){.type = ENTRY_END});
	assert_int_equal(fwrite(head, sizeof(head), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

static void a_tree_arrives_as_it_was(void **state)
{
	char answer[1100];

	shell("mkdir -p from/a/deep/er to\n"
	      "echo text >from/a/file; chmod 4751 from/a/file\n"
	      "head -c 300000 /dev/urandom >from/a/large\n"
	      "ln from/a/large from/a/deep/again\n"
	      "ln -s ../nowhere from/a/link\n"
	      "mkfifo from/a/fifo\n"
	      ": >from/a/empty\n"
	      "name=$(printf %0250d 7); echo long >from/a/deep/er/$name\n"
	      "touch -d '2001-02-03 04:05:06.789' from/a/file from/a/deep\n"
	      "chmod 711 from/a/deep");
	assert_int_equal(send_to("stream", "from/a", false), 0);
	assert_int_equal(receive_from("stream", "to", answer), 0);
	shell("diff -r --no-dereference -x fifo from/a to/a\n"
	      "cd from; find a -printf '%p %y %#m %U %G %T@ %l %n\\n' | sort >../want\n"
	      "cd ../to; find a -printf '%p %y %#m %U %G %T@ %l %n\\n' | sort >../have\n"
	      "cd ..; diff want have");
}

static void holes_stay_holes(void **state)
{
	struct stat st;
	char answer[1100];

	shell("mkdir to; truncate -s 40G sparse\n"
	      "printf begin | dd of=sparse conv=notrunc bs=1 seek=10000000000 2>/dev/null");
	assert_int_equal(send_to("stream", "sparse", false), 0);
	assert_int_equal(stat("stream", &st), 0);
	assert_true(st.st_size < 1 << 20);
	assert_int_equal(receive_from("stream", "to", answer), 0);
	assert_int_equal(stat("to/sparse", &st), 0);
	assert_true(st.st_size == INT64_C(40) << 30);
	assert_true(st.st_blocks < 1 << 11);
	shell("[ \"$(dd if=to/sparse bs=1 skip=10000000000 count=5 2>/dev/null)\" = begin ]");
}

static void what_is_sent_is_named_by_the_path(void **state)
{
	char answer[1100];

	shell("mkdir -p from/a to1 to2 to3; echo x >from/a/f; ln -s a from/link; ln -s a/f from/file");
	assert_int_equal(send_to("stream", "from/a/.", false), 0);
	assert_int_equal(receive_from("stream", "to1", answer), 0);
	shell("[ \"$(cd to1; echo *)\" = f ]");
	assert_int_equal(send_to("stream", "from/link", false), 0);
	assert_int_equal(receive_from("stream", "to2", answer), 0);
	shell("[ \"$(readlink to2/link)\" = a ]");
	assert_int_equal(send_to("stream", "from/link", true), 0);
	assert_int_equal(receive_from("stream", "to3", answer), 0);
	assert_int_equal(send_to("stream", "from/file", true), 0);
	assert_int_equal(receive_from("stream", "to3", answer), 0);
	shell("[ \"$(cat to3/link/f)\" = x ]; [ \"$(cat to3/file)\" = x ]; [ ! -L to3/file ]");
	assert_int_equal(send_to("stream", "from/none", false), 1);
}

static void nothing_is_written_outside(void **state)
{
	static const struct {
		const char *first, *link, *second, *target;
	} hostile[] = {
		{NULL, NULL, "../out", NULL},
		{NULL, NULL, "/out", NULL},
		{NULL, NULL, "a/../../out", NULL},
		{NULL, NULL, "a//out", NULL},
		{NULL, NULL, "./out", NULL},
		{"link", "..", "link/out", NULL},
		{"link", "/", "link/out", NULL},
		{"link", "../to/..", "link/out", NULL},
		{"hard", NULL, "x", "../secret"},
		{"link", "../secret", "x", "link/"},
		{"link", "..", "x", "link/secret"},
	};
	char answer[1100];

	shell("mkdir to; echo secret >secret");
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		FILE *f = fopen("stream", "w");

		assert_non_null(f);
		if (hostile[i].link)
			put_entry(f, ENTRY_LINK, hostile[i].first, hostile[i].link, NULL);
		if (hostile[i].target)
			put_entry(f, ENTRY_HARD_LINK, hostile[i].second, hostile[i].target, NULL);
		else
			put_entry(f, ENTRY_FILE, hostile[i].second, NULL, "evil");
		put_end(f);
		assert_int_equal(receive_from("stream", "to", answer), 1);
		shell("[ ! -e out ] && [ ! -e /out ] && [ ! -e to/x ] && [ \"$(cat secret)\" = secret ]\n"
		      "[ \"$(stat -c %h secret)\" = 1 ]; rm -rf to; mkdir to");
	}
}

static void links_that_stay_inside_are_followed(void **state)
{
	char answer[1100];
	FILE *f;

	shell("mkdir -p to/real; ln -s real to/link; echo old >to/real/file");
	f = fopen("stream", "w");
	put_entry(f, ENTRY_FILE, "link/file", NULL, "new");
	put_end(f);
	assert_int_equal(receive_from("stream", "to", answer), 0);
	shell("[ \"$(cat to/real/file)\" = new ]; [ -L to/link ]");
	/* A link in the place of the file itself is replaced, not followed. */
	shell("echo safe >safe; ln -s ../safe to/file");
	f = fopen("stream", "w");
	put_entry(f, ENTRY_FILE, "file", NULL, "new");
	put_end(f);
	assert_int_equal(receive_from("stream", "to", answer), 0);
	shell("[ \"$(cat safe)\" = safe ]; [ ! -L to/file ]; [ \"$(cat to/file)\" = new ]");
}

static void directories_and_files_do_not_replace_each_other(void **state)
{
	char answer[1100];
	FILE *f;

	shell("mkdir -p to/dir/sub; echo x >to/file");
	f = fopen("stream", "w");
	put_entry(f, ENTRY_FILE, "dir", NULL, "new");
	put_end(f);
	assert_int_equal(receive_from("stream", "to", answer), 1);
	assert_string_equal(answer, "cannot write dir: Is a directory");
	f = fopen("stream", "w");
	put_entry(f, ENTRY_DIRECTORY, "file", NULL, NULL);
	put_end(f);
	assert_int_equal(receive_from("stream", "to", answer), 1);
	assert_string_equal(answer, "cannot write file: Not a directory");
	shell("[ -d to/dir/sub ]; [ \"$(cat to/file)\" = x ]");
}

/* A stream that is cut, or any byte of it changed: an error or a file, and nothing outside. */
static void a_damaged_stream_does_no_harm(void **state)
{
	_cleanup_free_ char *data = NULL;
	char answer[1100];
	uint32_t random = 1;
	size_t size;

	shell("mkdir -p from/a to; echo text >from/a/file; ln -s x from/a/link; echo s >secret");
	assert_int_equal(send_to("stream", "from/a", false), 0);
	assert_int_equal(read_file(AT_FDCWD, "stream", 1 << 20, &data, &size), 0);
	for (int i = 0; i < 600; i++) {
		char *copy = malloc(size);
		size_t cut = size;
		FILE *f = fopen("stream", "w");

		assert_non_null(copy);
		assert_non_null(f);
		memcpy(copy, data, size);
		random = random * 1664525 + 1013904223;
		if (i % 3 == 0)
			cut = random % size;
		else
			copy[(random >> 8) % size] ^= (char)(1 << (random >> 28) % 8);
		assert_int_equal(fwrite(copy, 1, cut, f), cut);
		assert_int_equal(fclose(f), 0);
		free(copy);
		if (receive_from("stream", "to", answer) != 0)
			assert_true(answer[0] != '\0');
		assert_int_equal(remove_tree(AT_FDCWD, "to"), 0);
		assert_int_equal(mkdir("to", 0755), 0);
	}
	shell("[ \"$(echo *)\" = 'answer from secret stream to' ]");
}

static void names_lead_down_only(void **state)
{
	static const char *const good[] = {".", "a", "a/b", "...", "a/..b", ".a"};
	static const char *const bad[] = {
		"", "..", "/", "/a", "a/", "a//b", "a/..", "../a", "a/./b", "./a", "a/../b"};
	char part[300];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(arrow_entry_name_ok(good[i], (uint32_t)strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(arrow_entry_name_ok(bad[i], (uint32_t)strlen(bad[i])));
	memset(part, 'x', sizeof(part));
	assert_true(arrow_entry_name_ok(part, 255));
	assert_false(arrow_entry_name_ok(part, 256));
	assert_false(arrow_entry_name_ok("a\0b", 3));
}

static void heads_of_any_bytes_are_judged(void **state)
{
	struct arrow_entry good = {.type = ENTRY_FILE, .mode = 0644, .name = 1, .size = 5}, e;
	uint8_t head[ENTRY_HEAD], again[ENTRY_HEAD], segments[2 * ENTRY_SEGMENT];

	arrow_entry_encode(head, &good);
	assert_int_equal(arrow_entry_decode(head, &e), 0);
	arrow_entry_encode(again, &e);
	assert_memory_equal(head, again, sizeof(head));
	for (size_t at = 0; at < ENTRY_HEAD; at += 4) {
		arrow_entry_encode(head, &good);
		arrow_put32(head + at, UINT32_MAX);
		/* Owners, the low half of the size and of the time, devices: any number will do. */
		if (at != 8 && at != 12 && at != 16 && at != 24 && at != 28 && at != 36 && at != 40)
			assert_int_equal(arrow_entry_decode(head, &e), -EPROTO);
	}
	good.segments = 2;
	arrow_put64(segments, 0);
	arrow_put64(segments + 8, 2);
	arrow_put64(segments + 16, 2);
	arrow_put64(segments + 24, 3);
	assert_true(arrow_entry_segments_ok(&good, segments));
	arrow_put64(segments + 24, 4); /* behind the end */
	assert_false(arrow_entry_segments_ok(&good, segments));
	arrow_put64(segments + 24, UINT64_MAX);
	assert_false(arrow_entry_segments_ok(&good, segments));
	arrow_put64(segments + 16, 1); /* into the one before */
	arrow_put64(segments + 24, 1);
	assert_false(arrow_entry_segments_ok(&good, segments));
}

/* What worker_changes() says of the directories upper and lower, NULs as newlines. */
static char *changes(void)
{
	_cleanup_close_ int out = open("changes", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	_cleanup_close_ int upper = open("upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int lower = open("lower", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *text = NULL;
	size_t size;

	assert_int_equal(worker_changes(out, upper, lower), 0);
	assert_int_equal(read_file(AT_FDCWD, "changes", 1 << 20, &text, &size), 0);
	for (size_t i = 0; i < size; i++)
		text[i] = text[i] ? text[i] : '\n';
	return text;
}

static void changes_are_told_as_docker_does(void **state)
{
	_cleanup_free_ char *text = NULL;

	shell("mkdir -p lower/etc lower/usr/bin lower/var/lib lower/quiet upper\n"
	      "echo a >lower/etc/passwd; echo b >lower/usr/bin/tool; echo c >lower/var/lib/data\n"
	      "cp -a lower/. upper; rm -r upper/var/lib/data upper/usr\n"
	      /* as the loader leaves it */
	      "mkdir upper/dev upper/proc upper/sys upper/tmp; echo x >upper/etc/hosts\n"
	      /* as a program leaves it */
	      "echo longer >upper/etc/passwd; mkdir -p upper/new/dir; echo n >upper/new/dir/file\n"
	      "chmod 700 upper/quiet; ln -s x upper/var/lib/link");
	text = changes();
	assert_string_equal(text,
		"C /etc\nC /etc/passwd\nA /new\nA /new/dir\nA /new/dir/file\nC /quiet\n"
		"C /var\nC /var/lib\nA /var/lib/link\n");
}

static void deletions_are_told(void **state)
{
	_cleanup_free_ char *text = NULL;

	if (getuid() != 0)
		skip(); /* only root makes whiteouts */
	shell("mkdir -p lower/a/b lower/gone lower/opaque upper/a upper/opaque\n"
	      "echo 1 >lower/a/file; echo 2 >lower/opaque/old; echo 3 >lower/opaque/kept\n"
	      "mknod upper/gone c 0 0; mknod upper/a/file c 0 0; mknod upper/a/never c 0 0\n"
	      "cp -a lower/opaque/kept upper/opaque/kept; chmod 600 upper/opaque/kept");
	text = changes();
	assert_string_equal(text, "C /a\nD /a/file\nD /gone\nC /opaque\nC /opaque/kept\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(a_tree_arrives_as_it_was),
		FIXTURE_TEST(holes_stay_holes),
		FIXTURE_TEST(what_is_sent_is_named_by_the_path),
		FIXTURE_TEST(nothing_is_written_outside),
		FIXTURE_TEST(links_that_stay_inside_are_followed),
		FIXTURE_TEST(directories_and_files_do_not_replace_each_other),
		FIXTURE_TEST(a_damaged_stream_does_no_harm),
		cmocka_unit_test(names_lead_down_only),
		cmocka_unit_test(heads_of_any_bytes_are_judged),
		FIXTURE_TEST(changes_are_told_as_docker_does),
		FIXTURE_TEST(deletions_are_told),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
