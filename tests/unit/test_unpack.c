// SPDX-License-Identifier: Apache-2.0
/* Layers into a root image: what must be kept, and what must not get in. */
#include "tests/unit/fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/xattr.h>

#include "image/oci/layer.h"
#include "image/oci/rootfs.h"
#include "util/digest.h"

/* A tree and its image file. */
struct tree {
	struct rootfs fs;
	int fd;
};

static void tree_begin_limited(struct tree *t, const struct arrow_image_limits *limits)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

	t->fd = open("image", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(t->fd >= 0);
	if (rootfs_begin(&t->fs, t->fd, limits, &e) < 0)
		fail_msg("%s", e.text);
}

static void tree_begin(struct tree *t)
{
	tree_begin_limited(t, &(struct arrow_image_limits){0});
}

static void tree_end(struct tree *t)
{
	rootfs_release(&t->fs);
	close(t->fd);
}

/* Puts the archive of a file on top. Returns what layer_apply() does; *why is the caller's. */
static int apply(struct tree *t, const char *path, uint32_t number, const char *diff_id, char **why)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct layer layer = {.fd = fd, .number = number, .what = "layer", .diff_id = diff_id};
	int r;

	assert_true(fd >= 0);
	r = layer_apply(&t->fs, &layer, &e);
	assert_int_equal(r < 0, e.text != NULL);
	if (why)
		*why = STEAL(e.text);
	else if (r < 0)
		fail_msg("%s: %s", path, e.text);
	return r;
}

/* Checks the image with the tools of erofs-utils and takes it apart into a directory. */
static void tree_extract(struct tree *t, const char *dir)
{
	_cleanup_free_ char *line =
		path_format("rm -rf %s; fsck.erofs --extract=%s image", dir, dir);
	char digest[DIGEST_HEX];

	assert_int_equal(digest_data("", 0, digest), 0);
	assert_int_equal(rootfs_write(&t->fs, digest), 0);
	shell(line);
}

/* One entry of an archive that tar would never write. */
struct item {
	const char *path, *link; /* link: target of a symbolic or hard link */
	mode_t type;
	bool hard;
};

static void write_archive(const char *path, const struct item *items, size_t n)
{
	struct archive *a = archive_write_new();

	archive_write_set_format_pax_restricted(a);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++) {
		struct archive_entry *e = archive_entry_new();

		archive_entry_set_pathname(e, items[i].path);
		archive_entry_set_perm(e, 0644);
		if (items[i].hard)
			archive_entry_set_hardlink(e, items[i].link);
		else
			archive_entry_set_filetype(e, items[i].type);
		if (!items[i].hard && items[i].link)
			archive_entry_set_symlink(e, items[i].link);
		if (items[i].type == AE_IFREG && !items[i].hard)
			archive_entry_set_size(e, 1);
		assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
		if (items[i].type == AE_IFREG && !items[i].hard)
			assert_int_equal(archive_write_data(a, "x", 1), 1);
		archive_entry_free(e);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
}

/* fsck.erofs of Debian 12 leaves these out; that Linux reads them, image.bats shows. */
static void check_rights(const struct rootfs_inode *inode)
{
	assert_int_equal(inode->mode, S_IFREG | 06755);
	assert_int_equal(inode->n_xattrs, 2);
	assert_string_equal(inode->xattrs[0].name, "k");
	assert_string_equal(inode->xattrs[1].name, "capability");
	assert_int_equal(inode->xattrs[1].size, 20);
}

static void everything_is_kept(void **state)
{
	/* cap_net_raw+ep, revision 2 */
	static const char capability[20] = "\1\0\0\2\0\40";
	struct tree t;

	if (geteuid() != 0)
		skip();
	shell("mkdir -p in/d/e; cd in; echo hello >d/f; ln d/f d/g; ln -s ../f d/l; mkfifo p;"
	      "mknod c c 1 3; mknod b b 259 70000; chown 1000:2000 d/f; chmod 6755 d/f;"
	      "truncate -s 3M sparse; printf x | dd of=sparse bs=1 seek=2000000 conv=notrunc status=none;"
	      "chmod 1777 d/e;"
	      "long=$(printf %0200d 7); mkdir -p $long/$long; echo l >$long/$long/$long;"
	      "ln -s $long/$long/$long$long$long$long$long$long$long longlink;"
	      "printf '' >'.#a'; printf '' >'..b'; printf '' >'-c'; mkdir many;"
	      "for i in $(seq 3000); do : >many/file-$i; done; touch -d @1234567890.5 d/f");
	assert_int_equal(setxattr("in/d/f", "user.k", "v", 1, 0), 0);
	assert_int_equal(setxattr("in/d/f", "security.capability", capability, 20, 0), 0);
	for (int k = 0; k < 3; k++) {
		static const char *const ways[][2] = {
			{"tar --xattrs --xattrs-include=* -SC in -cf l.tar .", "l.tar"},
			{"gzip -c l.tar >l.gz", "l.gz"}, {"zstd -qc l.tar >l.zst", "l.zst"}};

		shell(ways[k][0]);
		tree_begin(&t);
		apply(&t, ways[k][1], 1, NULL, NULL);
		tree_extract(&t, "out");
		check_rights(rootfs_find(rootfs_find(t.fs.root, "d")->inode, "g")->inode);
		tree_end(&t);
		/* The fifo aside, which fsck.erofs of Debian 12 does not make. */
		shell("cd in; find . ! -type p -printf '%p %y %m %U %G %s %l %T@\\n' | sort >../a;"
		      "cd ../out; find . ! -type p -printf '%p %y %m %U %G %s %l %T@\\n' | sort >../b");
		shell("grep -v ' d ' a | sed 's/ [0-9]*[.][0-9]*$//; s/ 6755 / 755 /' >a1;"
		      "grep -v ' d ' b | sed 's/ [0-9]*[.][0-9]*$//' >b1; diff a1 b1");
		shell("cmp in/d/f out/d/f; cmp in/sparse out/sparse");
	}
}

static void layers_hide(void **state)
{
	static const struct item lower[] = {{"a/keep", 0, AE_IFREG, 0}, {"a/gone", 0, AE_IFREG, 0},
		{"o/x", 0, AE_IFREG, 0}, {"o/y/z", 0, AE_IFREG, 0}, {"dir/in", 0, AE_IFREG, 0},
		{"file", 0, AE_IFREG, 0}, {"lib", "usr/lib", AE_IFLNK, 0},
		{"usr/lib/old", 0, AE_IFREG, 0}};
	/* The whiteout of what this layer brings itself hides nothing of it, whatever the order. */
	static const struct item upper[] = {{"a/.wh.gone", 0, AE_IFREG, 0},
		{"a/new", 0, AE_IFREG, 0}, {"a/.wh.new", 0, AE_IFREG, 0},
		{"o/first", 0, AE_IFREG, 0}, {"o/y/mine", 0, AE_IFREG, 0},
		{"o/.wh..wh..opq", 0, AE_IFREG, 0}, {"o/last", 0, AE_IFREG, 0},
		{"dir", 0, AE_IFREG, 0}, {"file/in", 0, AE_IFREG, 0},
		{".wh..wh.plnk", 0, AE_IFDIR, 0}, {"lib/new", 0, AE_IFREG, 0},
		{"none/.wh.x", 0, AE_IFREG, 0}};
	_cleanup_free_ char *why = NULL, *list = NULL;
	struct tree t;

	write_archive("1.tar", lower, 8);
	write_archive("2.tar", upper, 8);
	tree_begin(&t);
	apply(&t, "1.tar", 1, NULL, NULL);
	apply(&t, "2.tar", 2, NULL, NULL);
	/* "file" is a file of the layer below: nothing can lie in it. */
	write_archive("3.tar", upper + 8, 1);
	assert_int_equal(apply(&t, "3.tar", 3, NULL, &why), -ENOTDIR);
	write_archive("3.tar", upper + 9, 3);
	apply(&t, "3.tar", 3, NULL, NULL);
	tree_extract(&t, "out");
	tree_end(&t);
	list = shell_output("cd out; find . ! -type d | sort | tr '\\n' ' '");
	assert_string_equal(list,
		"./a/keep ./a/new ./dir ./file ./lib ./o/first ./o/last ./o/y/mine ./usr/lib/new ./usr/lib/old ");
}

static void hostile_entries_are_refused(void **state)
{
	static const struct {
		struct item items[3];
		size_t n;
		const char *why;
	} cases[] = {
		{{{"../x", 0, AE_IFREG, 0}}, 1, "outside"},
		{{{"a/../../x", 0, AE_IFREG, 0}}, 1, "outside"},
		{{{"/a/../x", 0, AE_IFREG, 0}}, 1, "outside"},
		{{{"h", "../../etc/passwd", AE_IFREG, 1}}, 1, "outside"},
		{{{"h", "/etc/passwd", AE_IFREG, 1}}, 1, "not a file of the image"},
		{{{"d", 0, AE_IFDIR, 0}, {"h", "d", AE_IFREG, 1}}, 2, "not a file of the image"},
		{{{"a", "b", AE_IFLNK, 0}, {"b", "a", AE_IFLNK, 0}, {"a/x", 0, AE_IFREG, 0}}, 3,
			"too many symbolic links"},
		{{{"f", 0, AE_IFREG, 0}, {"f/x", 0, AE_IFREG, 0}}, 2, "not a directory"},
		{{{".", 0, AE_IFREG, 0}}, 1, "place of the root"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_free_ char *why = NULL;
		struct tree t;

		write_archive("h.tar", cases[i].items, cases[i].n);
		tree_begin(&t);
		if (apply(&t, "h.tar", 1, NULL, &why) == 0)
			fail_msg("case %zu was taken", i);
		if (!strstr(why, cases[i].why) || strchr(why, '\n'))
			fail_msg("case %zu: %s", i, why);
		tree_end(&t);
	}
}

/* Links that lead out of the root lead to the same name within it. */
static void links_stay_inside(void **state)
{
	_cleanup_free_ char *abs =
		path_format("%s/outside", (char *)((struct fixture *)*state)->dir);
	const struct item items[] = {{"abs", abs, AE_IFLNK, 0}, {"abs/x", 0, AE_IFREG, 0},
		{"up", "../../../../../../up-to", AE_IFLNK, 0}, {"up/y", 0, AE_IFREG, 0},
		{"/rooted", 0, AE_IFREG, 0}};
	struct tree t;

	shell("mkdir outside");
	write_archive("l.tar", items, 5);
	tree_begin(&t);
	apply(&t, "l.tar", 1, NULL, NULL);
	tree_extract(&t, "out");
	tree_end(&t);
	shell("test -z \"$(ls outside)\"; test -f out/$PWD/outside/x; test -f out/up-to/y;"
	      "test -f out/rooted; test ! -e /rooted");
}

static void damaged_layers_are_refused(void **state)
{
	static const char *const makes[] = {"head -c 700000 l.tar >bad", "head -c 9000 l.gz >bad",
		"head -c 9000 l.zst >bad", "head -c 5000 /dev/urandom >bad", "echo hello >bad",
		"(head -c 100 l.tar; printf XXXX; tail -c +105 l.tar) >bad",
		"(head -c 100 l.gz; printf XXXX; tail -c +105 l.gz) >bad"};
	static const char other[] =
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	_cleanup_free_ char *why = NULL, *sum = NULL;
	char diff_id[OCI_DIGEST_SIZE];
	struct tree t;

	shell("mkdir in; head -c 1000000 /dev/urandom >in/f; tar -C in -cf l.tar .; gzip -k l.tar;"
	      "mv l.tar.gz l.gz; zstd -q l.tar -o l.zst");
	sum = shell_output("sha256sum <l.tar | cut -c 1-64 | tr -d '\\n'");
	snprintf(diff_id, sizeof(diff_id), "sha256:%s", sum);
	for (size_t i = 0; i < sizeof(makes) / sizeof(*makes); i++) {
		_cleanup_free_ char *text = NULL;

		shell(makes[i]);
		tree_begin(&t);
		if (apply(&t, "bad", 1, diff_id, &text) == 0)
			fail_msg("%s: taken", makes[i]);
		assert_null(strchr(text, '\n'));
		tree_end(&t);
	}
	tree_begin(&t);
	assert_int_equal(apply(&t, "l.gz", 1, other, &why), -EBADMSG);
	assert_non_null(strstr(why, "as the image says"));
	tree_end(&t);
	tree_begin(&t);
	apply(&t, "l.gz", 1, diff_id, NULL);
	tree_end(&t);
}

/* The entry of a hard link describes the file, as with docker; of a symbolic link only its owner.
 */
static void hard_links_have_metadata(void **state)
{
	struct archive *a = archive_write_new();
	const struct rootfs_inode *file, *link;
	struct tree t;

	archive_write_set_format_pax_restricted(a);
	assert_int_equal(archive_write_open_filename(a, "l.tar"), ARCHIVE_OK);
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = {"file", "link", "file2", "link2"};
		struct archive_entry *e = archive_entry_new();

		archive_entry_set_pathname(e, names[i]);
		archive_entry_set_perm(e, i < 2 ? 0600 : 04751);
		archive_entry_set_uid(e, i < 2 ? 0 : 1000 + i);
		archive_entry_set_gid(e, i < 2 ? 0 : 2000 + i);
		archive_entry_set_mtime(e, i < 2 ? 1 : 100 + i, 0);
		archive_entry_set_filetype(e, i == 1 ? AE_IFLNK : AE_IFREG);
		if (i == 1)
			archive_entry_set_symlink(e, "x");
		if (i >= 2)
			archive_entry_set_hardlink(e, names[i - 2]);
		if (i == 0)
			archive_entry_set_size(e, 1);
		if (i == 0)
			archive_entry_xattr_add_entry(e, "user.a", "old", 3);
		if (i == 2) {
			archive_entry_xattr_add_entry(e, "user.a", "new!", 4);
			archive_entry_xattr_add_entry(e, "user.b", "b", 1);
		}
		assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
		if (i == 0)
			assert_int_equal(archive_write_data(a, "x", 1), 1);
		archive_entry_free(e);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);

	tree_begin(&t);
	apply(&t, "l.tar", 1, NULL, NULL);
	file = rootfs_find(t.fs.root, "file")->inode;
	link = rootfs_find(t.fs.root, "link")->inode;
	assert_ptr_equal(file, rootfs_find(t.fs.root, "file2")->inode);
	assert_int_equal(file->mode, S_IFREG | 04751);
	assert_int_equal(file->uid, 1002);
	assert_int_equal(file->gid, 2002);
	assert_int_equal(file->mtime, 102);
	assert_int_equal(file->n_xattrs, 2);
	assert_string_equal(file->xattrs[0].name, "a");
	assert_int_equal(file->xattrs[0].size, 4);
	assert_memory_equal(file->xattrs[0].value, "new!", 4);
	assert_int_equal(link->mode & S_IFMT, S_IFLNK);
	assert_int_equal(link->mode & 07777, 0600);
	assert_int_equal(link->uid, 1003);
	assert_int_equal(link->mtime, 1);
	tree_end(&t);
}

/* What a layer of a few kilobytes unpacks to: attributes, targets of links, names. */
static void write_memory_bomb(int kind)
{
	struct archive *a = archive_write_new();
	char text[4001], name[200];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	archive_write_set_format_pax_restricted(a);
	archive_write_add_filter_gzip(a);
	assert_int_equal(archive_write_open_filename(a, "b.tar"), ARCHIVE_OK);
	for (int i = 0; i < 6000; i++) {
		struct archive_entry *e = archive_entry_new();

		snprintf(name, sizeof(name), "%0150d", i);
		archive_entry_set_pathname(e, name);
		archive_entry_set_perm(e, 0644);
		if (kind == 1) {
			archive_entry_set_filetype(e, AE_IFLNK);
			archive_entry_set_symlink(e, text);
		} else if (kind == 2 && i > 0) {
			archive_entry_set_hardlink(e, "first");
		} else {
			archive_entry_set_filetype(e, AE_IFREG);
			archive_entry_set_size(e, 0);
			if (kind == 2)
				archive_entry_set_pathname(e, "first");
			else
				archive_entry_xattr_add_entry(e, "user.x", text, sizeof(text) - 1);
		}
		assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
		archive_entry_free(e);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
}

static void memory_is_limited(void **state)
{
	static const struct arrow_image_limits little = {.max_memory = 1 << 20};

	for (int kind = 0; kind < 3; kind++) {
		_cleanup_free_ char *why = NULL;
		struct tree t;

		write_memory_bomb(kind);
		tree_begin_limited(&t, &little);
		assert_int_equal(apply(&t, "b.tar", 1, NULL, &why), -EOVERFLOW);
		assert_non_null(strstr(why, "more than 1 MiB of memory"));
		assert_true(t.fs.memory <= little.max_memory);
		tree_end(&t);
		/* All of it is given back. */
		assert_int_equal(t.fs.memory, 0);
		tree_begin(&t);
		apply(&t, "b.tar", 1, NULL, NULL);
		/* The same again takes no more. */
		apply(&t, "b.tar", 2, NULL, NULL);
		assert_true(t.fs.memory < (64u << 20));
		tree_end(&t);
		assert_int_equal(t.fs.memory, 0);
	}
}

static void bombs_are_refused(void **state)
{
	static const struct arrow_image_limits small = {.max_size = 1 << 20};
	static const struct arrow_image_limits few = {.max_files = 50};
	static const struct {
		const struct arrow_image_limits *most;
		const char *name, *archive;
	} limits[] = {
		{&small, "ARROW_IMAGE_MAX_SIZE", "truncate -s 2M f; tar -cf b.tar f"},
		{&small, "ARROW_IMAGE_MAX_SIZE", "truncate -s 2M f; tar -Scf b.tar f"},
		{&small, "ARROW_IMAGE_MAX_SIZE", "truncate -s 9M f; tar -c f | gzip >b.tar"},
		{&few, "ARROW_IMAGE_MAX_FILES",
			"mkdir d; cd d; seq 100 | xargs touch; tar -cf ../b.tar ."},
		{&few, "ARROW_IMAGE_MAX_FILES",
			"mkdir e; cd e; mkdir -p $(seq 100 | tr '\\n' /); tar -cf ../b.tar .; cd ..; rm -r e"},
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		_cleanup_free_ char *why = NULL;
		struct tree t;
		struct stat st;

		shell(limits[i].archive);
		tree_begin_limited(&t, limits[i].most);
		assert_int_equal(apply(&t, "b.tar", 1, NULL, &why), -EFBIG);
		assert_non_null(strstr(why, limits[i].name));
		assert_int_equal(fstat(t.fd, &st), 0);
		assert_true(st.st_blocks < 4096);
		tree_end(&t);
	}
}

/* As many files and bytes as there may be, and one file more. */
static void the_largest_image_is_taken(void **state)
{
	static const struct {
		struct arrow_image_limits most;
		const char *archive;
	} cases[] = {
		/* The root, d and three files. */
		{{.max_files = 5}, "mkdir -p d; touch d/1 d/2 d/3; tar -cf b.tar d"},
		{{.max_files = 4}, "tar -cf b.tar d"},
		{{.max_size = 3 << 20}, "head -c 1M /dev/zero | tr '\\0' x >f; tar -cf b.tar f"},
		{{.max_size = 1 << 20}, "tar -cf b.tar f"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_free_ char *why = NULL;
		struct tree t;
		int r;

		shell(cases[i].archive);
		tree_begin_limited(&t, &cases[i].most);
		r = apply(&t, "b.tar", 1, NULL, &why);
		if (r != (i % 2 ? -EFBIG : 0))
			fail_msg("case %zu: %d, %s", i, r, why);
		assert_true(r == 0 || strstr(why, "larger than"));
		tree_end(&t);
	}
}

/* A chain of links makes paths that are deeper than any name is long. */
static void depth_is_limited(void **state)
{
	_cleanup_free_ char *why = NULL;
	char path[1100];
	struct item items[2] = {{"l", path, AE_IFLNK, 0}, {path, 0, AE_IFREG, 0}};
	struct tree t;

	memset(path, 'd', sizeof(path));
	for (size_t i = 1; i < sizeof(path); i += 2)
		path[i] = '/';
	path[sizeof(path) - 1] = '\0';
	path[sizeof(path) - 2] = 'x';
	write_archive("d.tar", items, 2);
	tree_begin(&t);
	assert_int_equal(apply(&t, "d.tar", 1, NULL, &why), -ENAMETOOLONG);
	tree_end(&t);
}

/* What a file that is replaced took goes back to the disk. */
static void replaced_content_is_given_back(void **state)
{
	struct tree t;
	struct stat st;

	shell("head -c 4M /dev/urandom >f; tar -cf 1.tar f; echo x >f; tar -cf 2.tar f");
	tree_begin(&t);
	apply(&t, "1.tar", 1, NULL, NULL);
	apply(&t, "2.tar", 2, NULL, NULL);
	tree_extract(&t, "out");
	assert_int_equal(fstat(t.fd, &st), 0);
	assert_true(st.st_blocks * 512 < 1 << 20);
	tree_end(&t);
	shell("test \"$(cat out/f)\" = x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(everything_is_kept),
		FIXTURE_TEST(layers_hide),
		FIXTURE_TEST(hostile_entries_are_refused),
		FIXTURE_TEST(links_stay_inside),
		FIXTURE_TEST(damaged_layers_are_refused),
		FIXTURE_TEST(bombs_are_refused),
		FIXTURE_TEST(the_largest_image_is_taken),
		FIXTURE_TEST(hard_links_have_metadata),
		FIXTURE_TEST(memory_is_limited),
		FIXTURE_TEST(depth_is_limited),
		FIXTURE_TEST(replaced_content_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
