// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fixture.h"

#include <errno.h>

#include "core/client/entries.h"
#include "guest/worker.h"

/* Files that a guest sends to its host: whatever it sends, only what was asked for is written. */

static void put(FILE *f, const struct arrow_entry *e, const char *name, const char *link)
{
	uint8_t head[ENTRY_HEAD];
	struct arrow_entry copy = *e;

	copy.name = (uint32_t)strlen(name);
	copy.link = link ? (uint32_t)strlen(link) : 0;
	arrow_entry_encode(head, &copy);
	assert_int_equal(fwrite(head, sizeof(head), 1, f), 1);
	fputs(name, f);
	fputs(link ? link : "", f);
}

static void put_file(FILE *f, const char *name, const char *data)
{
	struct arrow_entry e = {
		.type = ENTRY_FILE, .mode = 04755, .size = strlen(data), .segments = 1};
	uint8_t segment[ENTRY_SEGMENT];

	put(f, &e, name, NULL);
	arrow_put64(segment, 0);
	arrow_put64(segment + 8, e.size);
	assert_int_equal(fwrite(segment, sizeof(segment), 1, f), 1);
	fputs(data, f);
}

static void put_end(FILE *f)
{
	uint8_t head[ENTRY_HEAD];

	arrow_entry_encode(head, &(struct arrow_entry){.type = ENTRY_END});
	assert_int_equal(fwrite(head, sizeof(head), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

/* Extracts the stream into the directory "to", as `arrow cp` does. Returns what that returns. */
static int extract(const struct entries_options *options, char **text)
{
	struct archive *to = archive_write_disk_new();
	struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_close_ int fd = open("stream", O_RDONLY | O_CLOEXEC);
	int r;

	assert_non_null(to);
	assert_int_equal(chdir("to"), 0);
	archive_write_disk_set_options(
		to, ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_UNLINK |
			    ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
			    ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
	r = entries_extract(fd, options, to, true, &error);
	archive_write_close(to);
	archive_write_free(to);
	assert_int_equal(chdir(".."), 0);
	if (text)
		*text = error.text ? strdup(error.text) : NULL;
	assert_true(r == 0 ? !error.text : error.text != NULL);
	arrow_error_clear(&error);
	return r;
}

static const struct entries_options as_it_is = {.from = "a"};

/* Of "a/.": all names are below the directory that it goes to. */
static const struct entries_options content = {.from = "."};

static void files_arrive_under_the_name_that_was_asked_for(void **state)
{
	struct arrow_entry dir = {.type = ENTRY_DIRECTORY, .mode = 0750, .mtime = 1000000000};
	FILE *f = fopen("stream", "w");

	shell("mkdir to");
	put(f, &dir, "a", NULL);
	put_file(f, "a/f", "text");
	put(f, &(struct arrow_entry){.type = ENTRY_HARD_LINK}, "a/g", "a/f");
	put_end(f);
	assert_int_equal(extract(&(struct entries_options){.from = "a", .to = "b"}, NULL), 0);
	shell("[ \"$(cat to/b/f to/b/g)\" = texttext ]; [ \"$(stat -c %a:%Y to/b)\" = 750:1000000000 ]\n"
	      /* Another's set-id bit is nothing for us. */
	      "[ \"$(stat -c %a:%h to/b/f)\" = 755:2 ]; [ \"$(ls to)\" = b ]");
	/* What was not asked for is not taken. */
	f = fopen("stream", "w");
	put_file(f, "other", "evil");
	put_end(f);
	assert_int_equal(extract(&(struct entries_options){.from = "a", .to = "b"}, NULL), -EPROTO);
	shell("[ ! -e to/other ]");
}

static void nothing_is_written_outside(void **state)
{
	static const char *const names[] = {
		"../out", "/out", "a/../../out", "..", "a/./out", "a//out"};
	struct arrow_entry link = {.type = ENTRY_LINK, .mode = 0777};
	struct arrow_entry hard = {.type = ENTRY_HARD_LINK};
	FILE *f;

	shell("mkdir to; echo secret >secret");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		f = fopen("stream", "w");
		put_file(f, names[i], "evil");
		put_end(f);
		assert_int_equal(extract(&content, NULL), -EPROTO);
	}
	/* By way of links that came before, or that are there already: those make way. */
	for (int way = 0; way < 5; way++) {
		f = fopen("stream", "w");
		if (way == 4)
			shell("ln -s .. to/link");
		else
			put(f, &link, "link", way == 1 ? "/" : "..");
		if (way == 2)
			put(f, &hard, "x", "link/secret");
		else if (way == 3)
			put(f, &hard, "x", "../secret");
		else
			put_file(f, "link/out", "evil");
		put_end(f);
		if (extract(&content, NULL) == 0)
			shell("[ \"$(cat to/link/out)\" = evil ]; [ ! -L to/link ]");
		shell("[ ! -e out ]; [ ! -e /out ]; [ ! -e to/x ]; rm -rf to; mkdir to");
	}
	/* A link in the place of the file itself is replaced. */
	shell("ln -s ../secret to/file");
	f = fopen("stream", "w");
	put_file(f, "file", "new");
	put_end(f);
	assert_int_equal(extract(&content, NULL), 0);
	shell("[ \"$(cat secret)\" = secret ]; [ \"$(cat to/file)\" = new ]; [ ! -e out ]; [ ! -e /out ]");
}

/* A loader that was taken over sends other files than those that were asked for. */
static void only_what_was_asked_for_is_written(void **state)
{
	static const struct entries_options forms[] = {
		{.from = "file", .single = true},              /* cp A:/file DIR/ */
		{.from = "file", .to = "new", .single = true}, /* cp A:/file DIR/new */
		{.from = "file"},                              /* cp A:/file DIR/, a directory */
		{.from = "file", .to = "new", .owners = true}, /* cp -a A:/file DIR/new */
	};
	static const char *const names[] = {
		".", ".ssh", ".ssh/authorized_keys", "files", "new", "fil"};
	const struct arrow_entry dir = {.type = ENTRY_DIRECTORY, .mode = 0700};
	const struct arrow_entry link = {.type = ENTRY_LINK, .mode = 0777};
	const struct arrow_entry hard = {.type = ENTRY_HARD_LINK};

	shell("mkdir to");
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		for (size_t n = 0; n < 3 * sizeof(names) / sizeof(*names); n++) {
			const char *name = names[n / 3];
			FILE *f = fopen("stream", "w");

			put_file(f, "file", "asked for");
			if (n % 3 == 0)
				put_file(f, name, "evil");
			else
				put(f, n % 3 == 1 ? &dir : &link, name, n % 3 == 1 ? NULL : "file");
			put_end(f);
			assert_int_equal(extract(&forms[i], NULL), -EPROTO);
		}
		for (int way = 0; way < 2; way++) {
			FILE *f = fopen("stream", "w");

			shell("echo there >to/there");
			put_file(f, "file", "asked for");
			put(f, &hard, way ? "file" : "there", way ? "there" : "file");
			put_end(f);
			assert_int_equal(extract(&forms[i], NULL), -EPROTO);
			shell("[ \"$(cat to/there)\" = there ]; [ $(stat -c %h to/there) = 1 ]; rm to/there");
		}
		shell(i % 2 ? "[ \"$(ls -A to)\" = new ]; rm to/new"
			    : "[ \"$(ls -A to)\" = file ]; rm to/file");
	}
}

static void a_file_that_was_asked_for_comes_as_one(void **state)
{
	const struct entries_options single = {.from = "file", .single = true};
	FILE *f = fopen("stream", "w");

	shell("mkdir to");
	put(f, &(struct arrow_entry){.type = ENTRY_DIRECTORY, .mode = 0700}, "file", NULL);
	put_file(f, "file/x", "evil");
	put_end(f);
	assert_int_equal(extract(&single, NULL), -EPROTO);
	f = fopen("stream", "w");
	put_file(f, "file", "x");
	put_file(f, "file/x", "evil");
	put_end(f);
	assert_int_equal(extract(&single, NULL), -EPROTO);
	shell("[ -f to/file ]");
}

static void a_hard_link_leads_to_a_file_that_came(void **state)
{
	const struct arrow_entry hard = {.type = ENTRY_HARD_LINK};
	FILE *f = fopen("stream", "w");

	/* What lies there already is not the guest's to give names to. */
	shell("mkdir to; echo secret >to/secret");
	put(f, &hard, "x", "secret");
	put_end(f);
	assert_int_equal(extract(&content, NULL), -EPROTO);
	shell("[ \"$(ls to)\" = secret ]");
	f = fopen("stream", "w");
	for (int i = 0; i < 1000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		put_file(f, name, name);
	}
	put(f, &hard, "x", "f0");
	put(f, &hard, "y", "f999");
	put_end(f);
	assert_int_equal(extract(&content, NULL), 0);
	shell("[ \"$(cat to/x to/y)\" = f0f999 ]");
}

static void devices_come_with_owners_only(void **state)
{
	const struct arrow_entry null = {
		.type = ENTRY_CHARACTER, .mode = 0666, .major = 1, .minor = 3};
	const struct arrow_entry block = {.type = ENTRY_BLOCK, .mode = 0666, .major = 8};
	_cleanup_free_ char *text = NULL;

	shell("mkdir to");
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen("stream", "w");

		put(f, i ? &block : &null, "a", NULL);
		put_end(f);
		assert_int_equal(extract(&as_it_is, i ? &text : NULL), -EPERM);
		shell("[ -z \"$(ls -A to)\" ]");
	}
	assert_non_null(strstr(text, "'a' is a device"));
}

static void directories_and_files_do_not_replace_each_other(void **state)
{
	_cleanup_free_ char *text = NULL;
	FILE *f = fopen("stream", "w");

	shell("mkdir -p to/a/sub");
	put_file(f, "a", "x");
	put_end(f);
	assert_true(extract(&as_it_is, &text) < 0);
	assert_string_equal(text, "cannot overwrite directory \"a\" with non-directory");
	shell("[ -d to/a/sub ]");
}

static void what_a_guest_says_is_one_line_without_escapes(void **state)
{
	_cleanup_free_ char *text = NULL;
	FILE *f = fopen("stream", "w");

	shell("mkdir to");
	put(f, &(struct arrow_entry){.type = ENTRY_ERROR}, "bad\n\033[2Jthing", NULL);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(extract(&as_it_is, &text), -EIO);
	assert_string_equal(text, "bad??[2Jthing");
}

/* What becomes of it is decided by its code, never by its text. */
static void an_error_of_a_guest_keeps_its_code(void **state)
{
	FILE *f = fopen("stream", "w");

	shell("mkdir to");
	put(f, &(struct arrow_entry){.type = ENTRY_ERROR, .major = ENOENT}, "gone", NULL);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(extract(&as_it_is, NULL), -ENOENT);
	f = fopen("stream", "w");
	put(f, &(struct arrow_entry){.type = ENTRY_ERROR}, "gone", NULL);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(extract(&as_it_is, NULL), -EIO);
	f = fopen("stream", "w");
	put(f, &(struct arrow_entry){.type = ENTRY_ERROR, .major = UINT32_MAX}, "gone", NULL);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(extract(&as_it_is, NULL), -EPROTO);
}

static void a_look_at_nothing_says_so_by_its_code(void **state)
{
	_cleanup_free_ struct entries_reader *reader = calloc(1, sizeof(*reader));
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_close_ int out = open("stream", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(worker_look(out, "/no/such/file"), 1);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	reader->fd = out;
	assert_int_equal(entries_next(reader, &error), -ENOENT);
}

/* A stream that is cut, or any bit of it changed: an error or a file, and nothing outside. */
static void a_damaged_stream_does_no_harm(void **state)
{
	_cleanup_free_ char *data = NULL;
	uint32_t random = 7;
	size_t size;
	int out;

	shell("mkdir -p a/b to; echo text >a/file; ln a/file a/hard; ln -s x a/link; echo s >secret");
	out = open("stream", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(worker_send(out, "a", false), 0);
	close(out);
	assert_int_equal(read_file(AT_FDCWD, "stream", 1 << 20, &data, &size), 0);
	for (int i = 0; i < 1500; i++) {
		size_t cut = size, at;
		FILE *f = fopen("stream", "w");

		assert_non_null(f);
		random = random * 1664525 + 1013904223;
		at = (random >> 8) % size;
		if (i % 4 == 0)
			cut = at;
		data[at] ^= (char)(1 << (random >> 28) % 8);
		assert_int_equal(fwrite(data, 1, cut, f), cut);
		data[at] ^= (char)(1 << (random >> 28) % 8);
		assert_int_equal(fclose(f), 0);
		(void)extract(i % 2 ? &as_it_is : &content, NULL);
		assert_int_equal(remove_tree(AT_FDCWD, "to"), 0);
		assert_int_equal(mkdir("to", 0755), 0);
	}
	shell("[ \"$(echo *)\" = 'a secret stream to' ]; [ \"$(cat secret)\" = s ]");
}

static void a_tree_is_sent_and_taken(void **state)
{
	struct arrow_error error = ARROW_ERROR_INIT;
	const struct entries_options options = {.from = "a", .to = "b", .owners = true};
	_cleanup_close_ int in = -1;
	_cleanup_close_ int answer = open("answer", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int out = open("stream", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	shell("mkdir -p a/deep to; echo text >a/file; ln a/file a/deep/hard; ln -s ../x a/deep/soft\n"
	      "truncate -s 5G a/sparse; echo end >>a/sparse; mkfifo a/fifo; chmod 751 a/deep");
	assert_int_equal(entries_send_path("a", false, out, &options, &error), 0);
	close(out);
	in = open("stream", O_RDONLY | O_CLOEXEC);
	assert_int_equal(worker_receive(in, answer, "to"), 0);
	shell("cd a; find . -printf '%p %y %#m %U %G %s %n %l\\n' | grep -v ' d ' | sort >../want\n"
	      "cd ../to/b; find . -printf '%p %y %#m %U %G %s %n %l\\n' | grep -v ' d ' | sort >../../have\n"
	      "cd ../..; diff want have; [ $(stat -c %b to/b/sparse) -lt 100 ]; [ $(stat -c %s stream) -lt 100000 ]\n"
	      "[ \"$(tail -c 4 to/b/sparse)\" = end ]; [ \"$(stat -c %a to/b/deep)\" = 751 ]");
}

int main(void)
{
	struct arrow_error error = ARROW_ERROR_INIT;
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(files_arrive_under_the_name_that_was_asked_for),
		FIXTURE_TEST(nothing_is_written_outside),
		FIXTURE_TEST(only_what_was_asked_for_is_written),
		FIXTURE_TEST(a_file_that_was_asked_for_comes_as_one),
		FIXTURE_TEST(a_hard_link_leads_to_a_file_that_came),
		FIXTURE_TEST(devices_come_with_owners_only),
		FIXTURE_TEST(directories_and_files_do_not_replace_each_other),
		FIXTURE_TEST(what_a_guest_says_is_one_line_without_escapes),
		FIXTURE_TEST(an_error_of_a_guest_keeps_its_code),
		FIXTURE_TEST(a_look_at_nothing_says_so_by_its_code),
		FIXTURE_TEST(a_damaged_stream_does_no_harm),
		FIXTURE_TEST(a_tree_is_sent_and_taken),
	};

	if (libarchive_load(&error) < 0)
		return 1;
	return cmocka_run_group_tests_name("entries", tests, NULL, NULL);
}
