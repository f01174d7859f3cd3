// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fs_world.h"

#include <sys/file.h>
#include <sys/sysmacros.h>

/* The server of volumes, asked by a guest that breaks rules, and what it keeps of honest ones. */

#define FILES 1024u

static void only_init_is_heard_first(void **state)
{
	struct world *w = world_begin(FILES, false);
	struct fuse_init_in old = {.major = 7, .minor = 12}, other = {.major = 8, .minor = 38};

	assert_int_equal(
		world_do(w, FUSE_GETATTR, FUSE_ROOT_ID, &(struct fuse_getattr_in){0}, 16), -EIO);
	assert_int_equal(world_do(w, FUSE_INIT, 0, &old, sizeof(old)), -EPROTO);
	assert_int_equal(world_do(w, FUSE_INIT, 0, &other, sizeof(other)), -EPROTO);
	assert_int_equal(world_do(w, FUSE_INIT, 0, &old, 8), -EINVAL);
	assert_int_equal(world_init(w, 0, 0), 0);
	assert_int_equal(
		world_do(w, FUSE_GETATTR, FUSE_ROOT_ID, &(struct fuse_getattr_in){0}, 16), 0);
	assert_int_equal(world_end(w), 0);
}

static void modes_ask_for_what_they_need(void **state)
{
	for (int exclusive = 0; exclusive < 2; exclusive++) {
		struct world *w = world_begin(FILES, exclusive);
		const struct fuse_init_out *out = (void *)w->data;
		const struct fuse_entry_out *entry = (void *)w->data;
		const uint32_t caching = FUSE_READDIRPLUS_AUTO | FUSE_DO_READDIRPLUS;
		struct fuse_open_out *open = (void *)w->data;
		int e;

		assert_int_equal(world_init(w, ~0u, ~0ull), 0);
		assert_int_equal(w->size, sizeof(*out));
		assert_int_equal(out->max_write, FS_DATA_MAX);
		assert_int_equal(out->flags & caching, exclusive ? caching : 0);
		assert_true(out->flags & FUSE_POSIX_ACL && out->flags & FUSE_DONT_MASK);
		assert_true(!(out->flags & FUSE_SUBMOUNTS) && out->flags & FUSE_POSIX_LOCKS);
		/* What was written is on the host, whatever becomes of the guest. */
		assert_false(out->flags & FUSE_WRITEBACK_CACHE);
		/* Lookups of "." and ".." are not offered. */
		assert_false(out->flags & FUSE_EXPORT_SUPPORT);
		write_text("file", "x");
		assert_true(world_look_up(w, FUSE_ROOT_ID, "file") > 0);
		assert_int_equal(entry->attr_valid == 0, !exclusive);
		assert_int_equal(entry->entry_valid == 0, !exclusive);
		assert_true(world_open(w, FUSE_OPEN, entry->nodeid, O_RDWR, &e) > 0);
		assert_true(open->open_flags & FOPEN_DIRECT_IO);
		assert_int_equal(world_look_up(w, FUSE_ROOT_ID, "none"), exclusive ? 0 : -ENOENT);
		/* Others use the files from now on. */
		if (exclusive)
			assert_int_equal(kill(w->server, SIGUSR2), 0);
		assert_int_equal(world_look_up(w, FUSE_ROOT_ID, "none"), -ENOENT);
		assert_true(world_look_up(w, FUSE_ROOT_ID, "file") > 0);
		assert_true(entry->attr_valid == 0 && entry->entry_valid == 0);
		assert_int_equal(world_end(w), 0);
	}
}

static void names_are_of_one_entry(void **state)
{
	static const char *const bad[] = {"", ".", "..", "/", "a/b", "../x", "/etc/passwd"};
	static const uint32_t ops[] = {FUSE_LOOKUP, FUSE_UNLINK, FUSE_RMDIR};
	struct world *w = world_begin_ready(FILES);
	char name[300];

	shell("mkdir a; echo b >a/b");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const size_t size = strlen(bad[i]) + 1;

		for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++)
			assert_int_equal(world_do(w, ops[k], FUSE_ROOT_ID, bad[i], size), -EINVAL);
		assert_int_equal(
			world_do2(w, FUSE_MKDIR, FUSE_ROOT_ID, &(struct fuse_mkdir_in){0755},
				sizeof(struct fuse_mkdir_in), bad[i], size),
			-EINVAL);
		assert_int_equal(world_do2(w, FUSE_MKNOD, FUSE_ROOT_ID,
					 &(struct fuse_mknod_in){S_IFREG | 0644},
					 sizeof(struct fuse_mknod_in), bad[i], size),
			-EINVAL);
		assert_int_equal(world_do2(w, FUSE_CREATE, FUSE_ROOT_ID,
					 &(struct fuse_create_in){.flags = O_RDWR, .mode = 0644},
					 sizeof(struct fuse_create_in), bad[i], size),
			-EINVAL);
		assert_int_equal(
			world_do2(w, FUSE_SYMLINK, FUSE_ROOT_ID, bad[i], size, "target", 7),
			-EINVAL);
		assert_int_equal(world_do2(w, FUSE_LINK, FUSE_ROOT_ID, &(struct fuse_link_in){1},
					 sizeof(struct fuse_link_in), bad[i], size),
			-EINVAL);
		/* As the old name, and as the new one. */
		memcpy(name, bad[i], size);
		memcpy(name + size, "x", 2);
		assert_int_equal(world_do2(w, FUSE_RENAME, FUSE_ROOT_ID,
					 &(struct fuse_rename_in){1}, 8, name, size + 2),
			-EINVAL);
		memcpy(name, "a", 2);
		memcpy(name + 2, bad[i], size);
		assert_int_equal(world_do2(w, FUSE_RENAME, FUSE_ROOT_ID,
					 &(struct fuse_rename_in){1}, 8, name, size + 2),
			-EINVAL);
	}
	/* Without its NUL, and too long. */
	assert_int_equal(world_do(w, FUSE_LOOKUP, FUSE_ROOT_ID, "a", 1), -EINVAL);
	assert_int_equal(world_do(w, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0), -EINVAL);
	assert_int_equal(world_do(w, FUSE_SYMLINK, FUSE_ROOT_ID, "new\0target", 10), -EINVAL);
	assert_int_equal(world_do(w, FUSE_SYMLINK, FUSE_ROOT_ID, "new", 4), -EINVAL);
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	assert_int_equal(world_do(w, FUSE_LOOKUP, FUSE_ROOT_ID, name, 257), -ENAMETOOLONG);
	assert_int_equal(world_do(w, FUSE_LOOKUP, FUSE_ROOT_ID, name + 1, 256), -ENOENT);
	shell("[ \"$(ls)\" = a ] && [ \"$(ls a)\" = b ]");
	assert_int_equal(world_end(w), 0);
}

static void numbers_that_were_not_given_are_refused(void **state)
{
	static const uint64_t nodes[] = {
		0, 2, 7, UINT64_MAX, UINT64_C(1) << 63, UINT64_C(2) << 32, UINT64_C(1) << 32 | 1};
	struct world *w = world_begin_ready(FILES);
	uint8_t body[128] = {0};
	int64_t node;
	uint64_t fh;
	int e;

	shell("echo text >file; mkdir dir");
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		assert_int_equal(world_do(w, FUSE_LOOKUP, nodes[i], "file", 5), -ESTALE);
		assert_int_equal(world_do(w, FUSE_GETATTR, nodes[i], body, 16), -ESTALE);
		assert_int_equal(world_do(w, FUSE_OPEN, nodes[i], body, 8), -ESTALE);
		memcpy(body, &nodes[i], 8);
		assert_int_equal(world_do2(w, FUSE_LINK, FUSE_ROOT_ID, body, 8, "new", 4), -ESTALE);
		assert_int_equal(
			world_do2(w, FUSE_RENAME, FUSE_ROOT_ID, body, 8, "file\0new", 9), -ESTALE);
		/* As a handle: all operations that have one. */
		for (uint32_t op = 0; op < 64; op++) {
			const bool known =
				op == FUSE_READ || op == FUSE_WRITE || op == FUSE_RELEASE ||
				op == FUSE_FLUSH || op == FUSE_FSYNC || op == FUSE_FSYNCDIR ||
				op == FUSE_READDIR || op == FUSE_READDIRPLUS ||
				op == FUSE_RELEASEDIR || op == FUSE_FALLOCATE || op == FUSE_LSEEK ||
				op == FUSE_COPY_FILE_RANGE || op == FUSE_GETLK ||
				op == FUSE_SETLK || op == FUSE_SETLKW;

			if (known)
				assert_int_equal(
					world_do(w, op, FUSE_ROOT_ID, body, sizeof(body)), -EBADF);
		}
	}
	/* A number that is given up is not valid again, though its place is used. */
	node = world_look_up(w, FUSE_ROOT_ID, "file");
	world_ask(w, FUSE_FORGET, (uint64_t)node, &(uint64_t){1}, 8, NULL, 0);
	assert_int_equal(world_do(w, FUSE_GETATTR, (uint64_t)node, body + 8, 16), -ESTALE);
	assert_true(world_look_up(w, FUSE_ROOT_ID, "dir") != node);
	assert_int_equal(world_do(w, FUSE_GETATTR, (uint64_t)node, body + 8, 16), -ESTALE);
	/* A handle of a file is none of a directory. */
	fh = world_open_file(w, "file", O_RDWR);
	memcpy(body, &fh, 8);
	assert_int_equal(world_do(w, FUSE_READDIR, FUSE_ROOT_ID, body, sizeof(body)), -EBADF);
	assert_int_equal(world_do(w, FUSE_RELEASEDIR, FUSE_ROOT_ID, body, sizeof(body)), -EBADF);
	fh = world_open(w, FUSE_OPENDIR, FUSE_ROOT_ID, 0, &e);
	memcpy(body, &fh, 8);
	assert_int_equal(world_do(w, FUSE_WRITE, FUSE_ROOT_ID, body, sizeof(body)), -EBADF);
	assert_int_equal(world_do(w, FUSE_RELEASEDIR, FUSE_ROOT_ID, body, sizeof(body)), 0);
	assert_int_equal(world_do(w, FUSE_RELEASEDIR, FUSE_ROOT_ID, body, sizeof(body)), -EBADF);
	assert_int_equal(world_end(w), 0);
}

static void a_length_that_cannot_be_ends_it(void **state)
{
	static const uint32_t lengths[] = {
		0, 1, sizeof(struct fuse_in_header) - 1, FS_REQUEST_MAX + 1, UINT32_MAX};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct world *w = world_begin_ready(FILES);
		struct fuse_in_header in = {.len = lengths[i], .opcode = FUSE_STATFS, .nodeid = 1};
		char c;

		world_send(w, &in, sizeof(in));
		assert_int_equal(read(w->fd, &c, 1), 0);
		assert_int_equal(world_end(w), EPROTO);
	}
}

/* Every operation, on what there is, with everything from nothing to much behind it. */
static void bodies_of_any_length_are_judged(void **state)
{
	struct world *w = world_begin_ready(FILES);
	uint8_t body[512];
	int64_t node;

	shell("echo text >file; mkdir dir; ln -s file link");
	node = world_look_up(w, FUSE_ROOT_ID, "file");
	for (uint32_t op = 0; op < 64; op++) {
		if (op == FUSE_FORGET || op == FUSE_BATCH_FORGET || op == FUSE_INTERRUPT ||
			op == FUSE_INIT || op == FUSE_DESTROY)
			continue;
		for (size_t size = 0; size < 140; size++) {
			for (int fill = 0; fill < 3; fill++) {
				memset(body, fill == 0 ? 0 : fill == 1 ? 0xff : 'a', sizeof(body));
				world_do(w, op, fill == 2 ? FUSE_ROOT_ID : (uint64_t)node, body,
					size);
			}
		}
	}
	assert_int_equal(world_do(w, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0), 0);
	assert_int_equal(world_end(w), 0);
}

static void counts_are_bounded(void **state)
{
	struct world *w = world_begin_ready(FILES);
	struct fuse_read_in read_in = {.size = UINT32_MAX};
	struct fuse_write_in write_in = {.size = UINT32_MAX};
	struct fuse_batch_forget_in batch = {.count = UINT32_MAX};
	struct fuse_getxattr_in get = {.size = UINT32_MAX};
	struct fuse_setxattr_in set = {.size = 65537};
	struct fuse_fallocate_in allocate = {.offset = UINT64_MAX, .length = 2};
	struct fuse_lseek_in seek = {.offset = UINT64_MAX, .whence = SEEK_DATA};
	struct fuse_setattr_in attr = {.valid = FATTR_SIZE, .size = UINT64_MAX};
	const struct fuse_forget_one all[] = {{1, UINT64_MAX}, {2, UINT64_MAX}, {UINT64_MAX, 1}};
	_cleanup_free_ char *large = calloc(1, FS_DATA_MAX);
	int64_t node;
	int e;

	assert_non_null(large);
	shell("truncate -s 8M file");
	node = world_look_up(w, FUSE_ROOT_ID, "file");
	read_in.fh = write_in.fh = allocate.fh = seek.fh = world_open_file(w, "file", O_RDWR);
	assert_int_equal(world_do(w, FUSE_READ, (uint64_t)node, &read_in, sizeof(read_in)), 0);
	assert_int_equal(w->size, FS_DATA_MAX);
	read_in.offset = UINT64_MAX;
	assert_int_equal(
		world_do(w, FUSE_READ, (uint64_t)node, &read_in, sizeof(read_in)), -EINVAL);
	assert_int_equal(
		world_do2(w, FUSE_WRITE, (uint64_t)node, &write_in, sizeof(write_in), "x", 1),
		-EINVAL);
	write_in.size = FS_DATA_MAX;
	assert_int_equal(world_do2(w, FUSE_WRITE, (uint64_t)node, &write_in, sizeof(write_in),
				 large, FS_DATA_MAX),
		0);
	write_in.offset = UINT64_MAX;
	assert_int_equal(world_do2(w, FUSE_WRITE, (uint64_t)node, &write_in, sizeof(write_in),
				 large, FS_DATA_MAX),
		-EINVAL);
	assert_int_equal(
		world_do(w, FUSE_FALLOCATE, (uint64_t)node, &allocate, sizeof(allocate)), -EFBIG);
	assert_int_equal(world_do(w, FUSE_LSEEK, (uint64_t)node, &seek, sizeof(seek)), -ENXIO);
	seek.whence = 77;
	assert_int_equal(world_do(w, FUSE_LSEEK, (uint64_t)node, &seek, sizeof(seek)), -EINVAL);
	assert_int_equal(world_do(w, FUSE_SETATTR, (uint64_t)node, &attr, sizeof(attr)), -EINVAL);
	attr.valid = FATTR_MTIME;
	attr.mtimensec = 1000000000;
	assert_int_equal(world_do(w, FUSE_SETATTR, (uint64_t)node, &attr, sizeof(attr)), -EINVAL);
	assert_int_equal(
		world_do2(w, FUSE_GETXATTR, (uint64_t)node, &get, sizeof(get), "user.x", 7),
		-ENODATA);
	assert_int_equal(
		world_do2(w, FUSE_GETXATTR, (uint64_t)node, &get, sizeof(get), "user.x", 6),
		-EINVAL);
	assert_int_equal(
		world_do2(w, FUSE_SETXATTR, (uint64_t)node, &set, sizeof(set), "user.x", 7),
		-EINVAL);
	/* More forgotten than there are: what is held by nobody is gone, the root is not. */
	world_ask(w, FUSE_BATCH_FORGET, 0, &batch, sizeof(batch), all, sizeof(all));
	assert_int_equal(
		world_do(w, FUSE_GETATTR, (uint64_t)node, &(struct fuse_getattr_in){0}, 16),
		-ESTALE);
	assert_int_equal(
		world_do(w, FUSE_GETATTR, FUSE_ROOT_ID, &(struct fuse_getattr_in){0}, 16), 0);
	/* A listing in pieces of any size. */
	read_in = (struct fuse_read_in){.fh = world_open(w, FUSE_OPENDIR, FUSE_ROOT_ID, 0, &e)};
	for (uint32_t size = 0; size < 600; size++) {
		read_in.size = size;
		e = world_do(w, FUSE_READDIR, FUSE_ROOT_ID, &read_in, sizeof(read_in));
		assert_true(e == -EINVAL || (e == 0 && w->size <= size));
		e = world_do(w, FUSE_READDIRPLUS, FUSE_ROOT_ID, &read_in, sizeof(read_in));
		assert_true(e == -EINVAL || (e == 0 && w->size <= size));
	}
	read_in.size = UINT32_MAX;
	assert_int_equal(world_do(w, FUSE_READDIR, FUSE_ROOT_ID, &read_in, sizeof(read_in)), 0);
	read_in.offset = UINT64_MAX;
	e = world_do(w, FUSE_READDIR, FUSE_ROOT_ID, &read_in, sizeof(read_in));
	assert_true(e == -EINVAL || (e == 0 && w->size == 0));
	assert_int_equal(world_end(w), 0);
}

/* Opening a device or a pipe of the host has effects, and following a link leads out. */
static void only_plain_files_are_opened(void **state)
{
	struct world *w = world_begin_ready(FILES);
	int64_t node;
	int e;

	shell("mkfifo fifo; ln -s /etc/passwd link; ln -s .. up; mkdir dir");
	world_open(w, FUSE_OPEN, (uint64_t)world_look_up(w, FUSE_ROOT_ID, "fifo"), O_RDWR, &e);
	assert_int_equal(e, -ENXIO);
	world_open(w, FUSE_OPEN, (uint64_t)world_look_up(w, FUSE_ROOT_ID, "link"), O_RDONLY, &e);
	assert_int_equal(e, -ELOOP);
	world_open(w, FUSE_OPENDIR, (uint64_t)world_look_up(w, FUSE_ROOT_ID, "up"), O_RDONLY, &e);
	assert_int_equal(e, -ENOTDIR);
	node = world_look_up(w, FUSE_ROOT_ID, "up");
	assert_int_equal(world_look_up(w, (uint64_t)node, "etc"), -ENOTDIR);
	world_open(w, FUSE_OPEN, (uint64_t)world_look_up(w, FUSE_ROOT_ID, "dir"), O_RDONLY, &e);
	assert_int_equal(e, -EISDIR);
	/* A name that is taken by one of these between a lookup and the creation. */
	assert_int_equal(world_do2(w, FUSE_CREATE, FUSE_ROOT_ID,
				 &(struct fuse_create_in){.flags = O_RDWR, .mode = 0644},
				 sizeof(struct fuse_create_in), "link", 5),
		-ESTALE);
	assert_int_equal(world_do2(w, FUSE_CREATE, FUSE_ROOT_ID,
				 &(struct fuse_create_in){.flags = O_RDWR, .mode = 0644},
				 sizeof(struct fuse_create_in), "fifo", 5),
		-ESTALE);
	if (getuid() == 0 && mknod("device", S_IFCHR | 0666, makedev(1, 5)) == 0) {
		world_open(w, FUSE_OPEN, (uint64_t)world_look_up(w, FUSE_ROOT_ID, "device"),
			O_RDONLY, &e);
		assert_int_equal(e, -ENXIO);
	}
	assert_int_equal(world_end(w), 0);
}

static void open_files_have_a_limit(void **state)
{
	struct world *w = world_begin_ready(256);
	uint64_t handles[300];
	int64_t node;
	int n = 0, e;

	write_text("file", "text");
	node = world_look_up(w, FUSE_ROOT_ID, "file");
	do
		handles[n] = world_open(w, FUSE_OPEN, (uint64_t)node, O_RDONLY, &e);
	while (e == 0 && ++n < 300);
	assert_int_equal(e, -ENFILE);
	assert_true(n > 50);
	/* Everything else goes on, and one that is closed makes room for one. */
	assert_int_equal(world_do(w, FUSE_STATFS, (uint64_t)node, NULL, 0), 0);
	assert_int_equal(world_do(w, FUSE_RELEASE, (uint64_t)node,
				 &(struct fuse_release_in){.fh = handles[0]},
				 sizeof(struct fuse_release_in)),
		0);
	handles[0] = world_open(w, FUSE_OPEN, (uint64_t)node, O_RDONLY, &e);
	assert_int_equal(e, 0);
	assert_int_equal(world_end(w), 0);
}

static unsigned long server_count_fds(const struct world *w)
{
	char line[64];
	_cleanup_free_ char *text = NULL;

	snprintf(line, sizeof(line), "ls /proc/%d/fd | wc -l", (int)w->server);
	text = shell_output(line);
	return strtoul(text, NULL, 10);
}

/* More files, and deeper, than there may be descriptors. */
static void files_are_more_than_descriptors(void **state)
{
	const struct fuse_getattr_in in = {0};
	struct world *w = world_begin_ready(256);
	const struct fuse_attr_out *attr = (void *)w->data;
	int64_t nodes[1000], deep = FUSE_ROOT_ID, top = 0;
	char name[16];

	shell("for i in $(seq 0 999); do echo $i; done | xargs mkdir; touch 5/file\n"
	      "d=; for i in $(seq 200); do d=${d}deep/; done; mkdir -p $d; echo x >${d}file");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		nodes[i] = world_look_up(w, FUSE_ROOT_ID, name);
		assert_true(nodes[i] > 0);
		/* Now it has a descriptor. */
		assert_int_equal(world_look_up(w, (uint64_t)nodes[i], "none"), -ENOENT);
	}
	assert_true(server_count_fds(w) < 128);
	assert_true(world_look_up(w, (uint64_t)nodes[5], "file") > 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(world_do(w, FUSE_GETATTR, (uint64_t)nodes[i], &in, sizeof(in)), 0);
		assert_true(S_ISDIR(attr->attr.mode));
	}
	for (int i = 0; i < 200; i++) {
		deep = world_look_up(w, (uint64_t)deep, "deep");
		assert_true(deep > 0);
		top = top ? top : deep;
	}
	deep = world_look_up(w, (uint64_t)deep, "file");
	assert_true(deep > 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(world_look_up(w, (uint64_t)nodes[i], "none"), -ENOENT);
	assert_int_equal(world_do(w, FUSE_GETATTR, (uint64_t)deep, &in, sizeof(in)), 0);
	assert_int_equal(attr->attr.size, 2);
	/* A rename by the guest is followed; one by the host is not, and the guest looks again. */
	assert_int_equal(
		world_do2(w, FUSE_RENAME, FUSE_ROOT_ID,
			&(struct fuse_rename_in){(uint64_t)nodes[7]}, 8, "deep\0moved", 11),
		0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(world_look_up(w, (uint64_t)nodes[i], "none"), -ENOENT);
	assert_int_equal(world_do(w, FUSE_GETATTR, (uint64_t)deep, &in, sizeof(in)), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(world_look_up(w, (uint64_t)nodes[i], "none"), -ENOENT);
	shell("mv 7/moved 8/again; mkdir 7/moved");
	assert_int_equal(world_do(w, FUSE_GETATTR, (uint64_t)deep, &in, sizeof(in)), -ESTALE);
	assert_int_equal(world_look_up(w, (uint64_t)nodes[8], "again"), top);
	assert_int_equal(world_do(w, FUSE_GETATTR, (uint64_t)deep, &in, sizeof(in)), 0);
	assert_int_equal(world_end(w), 0);
}

/* A guest that walks a tree and forgets nothing. */
static void many_lookups_need_few_descriptors(void **state)
{
	struct world *w = world_begin_ready(FILES);
	char name[16];
	int64_t node;

	shell("mkdir many; cd many; seq 5000 | xargs touch");
	node = world_look_up(w, FUSE_ROOT_ID, "many");
	for (int round = 0; round < 20; round++) {
		for (int i = 1; i <= 5000; i++) {
			snprintf(name, sizeof(name), "%d", i);
			assert_true(world_look_up(w, (uint64_t)node, name) > 0);
		}
	}
	assert_true(server_count_fds(w) < 64);
	assert_int_equal(world_end(w), 0);
}

static void a_removed_file_stays_while_it_is_known(void **state)
{
	const struct fuse_getattr_in in = {0};
	struct world *w = world_begin_ready(FILES);
	const struct fuse_attr_out *attr = (void *)w->data;
	struct fuse_setattr_in set = {.valid = FATTR_MODE | FATTR_SIZE, .mode = 0600, .size = 1};
	int64_t node;

	write_text("file", "text");
	node = world_look_up(w, FUSE_ROOT_ID, "file");
	assert_int_equal(world_do(w, FUSE_UNLINK, FUSE_ROOT_ID, "file", 5), 0);
	/* Another file may have its inode's number by now. */
	shell("for i in 1 2 3 4; do echo other >other$i; done");
	assert_int_equal(world_do(w, FUSE_SETATTR, (uint64_t)node, &set, sizeof(set)), 0);
	assert_int_equal(attr->attr.nlink, 0);
	assert_int_equal(attr->attr.size, 1);
	for (int i = 1; i <= 4; i++) {
		char name[16];

		snprintf(name, sizeof(name), "other%d", i);
		assert_true(world_look_up(w, FUSE_ROOT_ID, name) != node);
	}
	world_ask(w, FUSE_FORGET, (uint64_t)node, &(uint64_t){1}, 8, NULL, 0);
	assert_int_equal(world_do(w, FUSE_GETATTR, (uint64_t)node, &in, sizeof(in)), -ESTALE);
	assert_int_equal(world_end(w), 0);
}

#define STATX_OUT_HEAD 32 /* of FUSE's answer, before the structure of statx(2) */

/* The number that the guest is told, and is told again by the other requests that tell one. */
static uint64_t told_number(struct world *w, uint64_t parent, const char *name)
{
	uint64_t node = (uint64_t)world_look_up(w, parent, name);
	uint64_t ino = ((const struct fuse_entry_out *)(void *)w->data)->attr.ino;
	const struct fuse_attr_out *attr = (void *)w->data;
	struct statx x;

	assert_int_equal(world_do(w, FUSE_GETATTR, node, &(struct fuse_getattr_in){0},
				 sizeof(struct fuse_getattr_in)),
		0);
	assert_true(attr->attr.ino == ino);
	assert_int_equal(world_do(w, FUSE_STATX, node, &(struct fuse_statx_in){0},
				 sizeof(struct fuse_statx_in)),
		0);
	memcpy(&x, w->data + STATX_OUT_HEAD, sizeof(x.stx_ino) + offsetof(struct statx, stx_ino));
	assert_true(x.stx_ino == ino);
	return ino;
}

static void files_of_two_file_systems_have_two_numbers(void **state)
{
	struct world *w;
	struct stat st;
	uint64_t a, b;

	if (getuid() != 0)
		skip();
	/* Each is the first one of its file system. */
	shell("mkdir one two; mount -t tmpfs none one; mount -t tmpfs none two; touch one/a two/b");
	w = world_begin_ready(FILES);
	a = told_number(w, (uint64_t)world_look_up(w, FUSE_ROOT_ID, "one"), "a");
	b = told_number(w, (uint64_t)world_look_up(w, FUSE_ROOT_ID, "two"), "b");
	assert_int_equal(stat("one/a", &st), 0);
	assert_true(a == st.st_ino);
	assert_int_equal(stat("two/b", &st), 0);
	assert_true(a == st.st_ino);
	assert_true(b != a && (uint32_t)b == (uint32_t)st.st_ino);
	assert_int_equal(world_end(w), 0);
	shell("umount one two");
}

static uint64_t ask_lock(
	struct world *w, uint32_t op, uint64_t fh, uint64_t owner, uint32_t type, bool flock)
{
	const struct fuse_lk_in in = {.fh = fh,
		.owner = owner,
		.lk = {.end = INT64_MAX, .type = type, .pid = (uint32_t)owner},
		.lk_flags = flock ? FUSE_LK_FLOCK : 0};

	return world_ask(w, op, FUSE_ROOT_ID, &in, sizeof(in), NULL, 0);
}

static int do_lock(
	struct world *w, uint32_t op, uint64_t fh, uint64_t owner, uint32_t type, bool flock)
{
	ask_lock(w, op, fh, owner, type, flock);
	return world_reply(w);
}

static void locks_of_odd_ranges_are_refused(void **state)
{
	struct world *w = world_begin_ready(FILES);
	struct fuse_lk_in in = {.owner = 1, .lk = {.start = 2, .end = 1, .type = F_WRLCK}};

	write_text("file", "x");
	in.fh = world_open_file(w, "file", O_RDWR);
	assert_int_equal(world_do(w, FUSE_SETLK, FUSE_ROOT_ID, &in, sizeof(in)), -EINVAL);
	in.lk.end = UINT64_MAX;
	assert_int_equal(world_do(w, FUSE_SETLK, FUSE_ROOT_ID, &in, sizeof(in)), -EINVAL);
	in.lk.end = INT64_MAX;
	in.lk.type = 9;
	assert_int_equal(world_do(w, FUSE_SETLK, FUSE_ROOT_ID, &in, sizeof(in)), -EINVAL);
	in.lk.type = F_UNLCK;
	assert_int_equal(world_do(w, FUSE_GETLK, FUSE_ROOT_ID, &in, sizeof(in)), -EINVAL);
	assert_int_equal(world_do(w, FUSE_SETLKW, FUSE_ROOT_ID, &in, sizeof(in)), 0);
	assert_int_equal(world_end(w), 0);
}

static void locks_hold_for_the_host_and_end_with_the_server(void **state)
{
	struct world *w = world_begin_ready(FILES);
	const struct fuse_lk_out *found = (void *)w->data;
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	uint64_t a, b;
	int fd;

	write_text("file", "x");
	fd = open("file", O_RDWR | O_CLOEXEC);
	a = world_open_file(w, "file", O_RDWR);
	b = world_open_file(w, "file", O_RDWR);
	assert_int_equal(do_lock(w, FUSE_SETLK, a, 11, F_WRLCK, false), 0);
	assert_int_equal(do_lock(w, FUSE_SETLK, b, 22, F_WRLCK, false), -EAGAIN);
	assert_int_equal(do_lock(w, FUSE_GETLK, b, 22, F_WRLCK, false), 0);
	assert_int_equal(found->lk.pid, 11);
	assert_int_equal(fcntl(fd, F_SETLK, &l), -1);
	assert_int_equal(do_lock(w, FUSE_SETLK, a, 11, F_WRLCK, true), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(world_end(w), 0);
	assert_int_equal(fcntl(fd, F_SETLK, &l), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
}

/* The read of .arrow-waits at hand. Returns how many lines it had. */
static unsigned int count_lines(const struct world *w)
{
	unsigned int n = 0;

	for (size_t i = 0; i < w->size; i++)
		n += w->data[i] == '\n';
	return n;
}

/* Two replies, in any order. */
static void expect_two(struct world *w, uint64_t a, int error_a, uint64_t b, int error_b)
{
	const int e = world_reply(w);
	const bool first = w->out.unique == a;

	assert_true(first || w->out.unique == b);
	assert_int_equal(e, first ? error_a : error_b);
	assert_int_equal(world_reply(w), first ? error_b : error_a);
	assert_int_equal(w->out.unique, first ? b : a);
}

static void waits_are_told_and_ended(void **state)
{
	struct world *w = world_begin_ready(FILES);
	struct fuse_read_in read_in = {.fh = FS_WAITS_ID, .size = 4096};
	struct fuse_write_in write_in = {.fh = FS_WAITS_ID};
	uint64_t holder, waiter, wait, reader, other;
	char text[64];
	int e;

	write_text("file", "x");
	holder = world_open_file(w, "file", O_RDWR);
	waiter = world_open_file(w, "file", O_RDWR);
	assert_int_equal(world_look_up(w, FUSE_ROOT_ID, FS_WAITS_NAME), FS_WAITS_ID);
	assert_int_equal(world_look_up(w, FS_WAITS_ID, FS_WAITS_NAME), -ENOTDIR);
	assert_int_equal(
		world_open(w, FUSE_OPEN, FS_WAITS_ID, O_RDWR, &e), getuid() == 0 ? FS_WAITS_ID : 0);
	for (int kind = 0; kind < 2; kind++) {
		assert_int_equal(do_lock(w, FUSE_SETLKW, holder, 1, F_WRLCK, kind), 0);
		/* Nobody waits: the read waits. */
		reader = world_ask(w, FUSE_READ, FS_WAITS_ID, &read_in, sizeof(read_in), NULL, 0);
		assert_false(world_answers(w, 50));
		wait = ask_lock(w, FUSE_SETLKW, waiter, 2, F_WRLCK, kind);
		assert_int_equal(world_reply(w), 0);
		assert_int_equal(w->out.unique, reader);
		snprintf(text, sizeof(text), "%llu 77\n", (unsigned long long)wait);
		assert_int_equal(w->size, strlen(text));
		assert_memory_equal(w->data, text, w->size);
		/* And again at once, as long as it waits. */
		assert_int_equal(world_do(w, FUSE_READ, FS_WAITS_ID, &read_in, sizeof(read_in)), 0);
		assert_memory_equal(w->data, text, w->size);
		snprintf(text, sizeof(text), "%llu\n", (unsigned long long)wait);
		write_in.size = (uint32_t)strlen(text);
		other = world_ask(w, FUSE_WRITE, FS_WAITS_ID, &write_in, sizeof(write_in), text,
			write_in.size);
		expect_two(w, wait, -EINTR, other, 0);
		/* The usual end of a wait; FUSE_INTERRUPT is heard, too. */
		wait = ask_lock(w, FUSE_SETLKW, waiter, 2, F_WRLCK, kind);
		world_ask(w, FUSE_INTERRUPT, 0, &wait, sizeof(wait), NULL, 0);
		assert_int_equal(world_reply(w), -EINTR);
		wait = ask_lock(w, FUSE_SETLKW, waiter, 2, F_WRLCK, kind);
		assert_false(world_answers(w, 50));
		other = ask_lock(w, FUSE_SETLK, holder, 1, F_UNLCK, kind);
		expect_two(w, wait, 0, other, 0);
		assert_int_equal(do_lock(w, FUSE_SETLK, holder, 1, F_WRLCK, kind), -EAGAIN);
		assert_int_equal(do_lock(w, FUSE_SETLK, waiter, 2, F_UNLCK, kind), 0);
	}
	/* What is written there has a form. */
	static const char *const bad[] = {"x\n", "1", "\n", "99999999999999999999999\n", "-1\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_in.size = (uint32_t)strlen(bad[i]);
		assert_int_equal(world_do2(w, FUSE_WRITE, FS_WAITS_ID, &write_in, sizeof(write_in),
					 bad[i], write_in.size),
			-EINVAL);
	}
	assert_int_equal(world_end(w), 0);
}

static void waits_have_a_limit(void **state)
{
	struct world *w = world_begin_ready(FILES);
	struct fuse_read_in read_in = {.fh = FS_WAITS_ID, .size = 65536};
	struct fuse_fsync_in sync = {0};
	uint64_t holder, waiter, last;

	write_text("file", "x");
	holder = world_open_file(w, "file", O_RDWR);
	waiter = world_open_file(w, "file", O_RDWR);
	assert_int_equal(do_lock(w, FUSE_SETLKW, holder, 1, F_WRLCK, false), 0);
	for (unsigned int i = 0; i < FS_WAITS_MAX; i++)
		ask_lock(w, FUSE_SETLKW, waiter, 100 + i, F_WRLCK, false);
	last = ask_lock(w, FUSE_SETLKW, waiter, 99, F_WRLCK, false);
	assert_int_equal(world_reply(w), -ENOLCK);
	assert_int_equal(w->out.unique, last);
	assert_int_equal(world_do(w, FUSE_READ, FS_WAITS_ID, &read_in, sizeof(read_in)), 0);
	assert_int_equal(count_lines(w), FS_WAITS_MAX);
	/* Others are served meanwhile, also what takes a thread. */
	sync.fh = holder;
	assert_int_equal(world_do(w, FUSE_FSYNC, FUSE_ROOT_ID, &sync, sizeof(sync)), 0);
	assert_int_equal(world_do(w, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0), 0);
	/* A new mount ends all of them. */
	last = world_ask(w, FUSE_DESTROY, 0, NULL, 0, NULL, 0);
	for (unsigned int i = 0; i < FS_WAITS_MAX + 1; i++) {
		int e = world_reply(w);

		/* One that is slow to be interrupted may get the lock, which has no owner any more.
		 */
		assert_true(e == 0 || (e == -EINTR && w->out.unique != last));
	}
	assert_int_equal(world_init(w, ~0u, ~0ull), 0);
	holder = world_open_file(w, "file", O_RDWR);
	assert_int_equal(do_lock(w, FUSE_SETLK, holder, 3, F_WRLCK, false), 0);
	assert_int_equal(world_end(w), 0);
}

/* Threads in locks do not keep the process. */
static void a_hangup_ends_what_waits(void **state)
{
	struct world *w = world_begin_ready(FILES);
	uint64_t waiter;
	int fd;

	write_text("file", "x");
	fd = open("file", O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	waiter = world_open_file(w, "file", O_RDWR);
	ask_lock(w, FUSE_SETLKW, waiter, 1, F_WRLCK, true);
	assert_false(world_answers(w, 50));
	assert_int_equal(world_end(w), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(only_init_is_heard_first),
		FIXTURE_TEST(modes_ask_for_what_they_need),
		FIXTURE_TEST(names_are_of_one_entry),
		FIXTURE_TEST(numbers_that_were_not_given_are_refused),
		FIXTURE_TEST(a_length_that_cannot_be_ends_it),
		FIXTURE_TEST(bodies_of_any_length_are_judged),
		FIXTURE_TEST(counts_are_bounded),
		FIXTURE_TEST(only_plain_files_are_opened),
		FIXTURE_TEST(open_files_have_a_limit),
		FIXTURE_TEST(files_are_more_than_descriptors),
		FIXTURE_TEST(many_lookups_need_few_descriptors),
		FIXTURE_TEST(a_removed_file_stays_while_it_is_known),
		FIXTURE_TEST(files_of_two_file_systems_have_two_numbers),
		FIXTURE_TEST(locks_of_odd_ranges_are_refused),
		FIXTURE_TEST(locks_hold_for_the_host_and_end_with_the_server),
		FIXTURE_TEST(waits_are_told_and_ended),
		FIXTURE_TEST(waits_have_a_limit),
		FIXTURE_TEST(a_hangup_ends_what_waits),
	};

	return cmocka_run_group_tests_name("fs", tests, NULL, NULL);
}
