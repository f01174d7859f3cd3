// SPDX-License-Identifier: Apache-2.0
#include "image/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image/identity.h"
#include "util/cleanup.h"
#include "util/io.h"

#define MOUNTINFO_MAX ((size_t)16 * 1024 * 1024)
#define ANSWER_MAX ((size_t)16 * 1024 * 1024)

struct walk {
	const struct tree_options *options;
	struct tree *tree;
	struct digest *digest;
	int64_t started;
	size_t empty_count;
	char *mounts; /* /proc/self/mountinfo, read when first needed; owned */
	char *where;  /* what failed, relative; owned */
};

/* What of a file goes into the fingerprint, in this order and the host's byte order. */
struct record {
	uint64_t mode, uid, gid, size, ino, rdev;
	int64_t mtime, mtime_ns, ctime, ctime_ns;
};

void tree_release(struct tree *t)
{
	strv_free(t->empty);
	free(t->mount);
	*t = (struct tree){0};
}

static int fail_at(struct walk *w, int err, const char *path)
{
	free(w->where);
	w->where = strdup(path);
	return -err;
}

static void tree_note_file(struct walk *w, const char *name, const struct stat *st)
{
	const struct record r = {
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.ino = st->st_ino,
		.rdev = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? st->st_rdev : 0,
		.mtime = st->st_mtim.tv_sec,
		.mtime_ns = st->st_mtim.tv_nsec,
		.ctime = st->st_ctim.tv_sec,
		.ctime_ns = st->st_ctim.tv_nsec,
	};

	digest_add(w->digest, name, strlen(name) + 1);
	digest_add(w->digest, &r, sizeof(r));
	if (identity_racy(identity_changed(st), w->started))
		w->tree->racy = true;
}

/* ---- what is left out ---- */

static bool is_kernel_filesystem(const char *type)
{
	static const char *const types[] = {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2",
		"configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl", "hugetlbfs",
		"mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs",
		"sysfs", "tracefs"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(types[i], type))
			return true;
	return false;
}

/* Whether a device number is that of a file system which shows the state of a kernel. */
static bool is_kernel_mount(struct walk *w, dev_t dev)
{
	char wanted[32];

	if (!w->mounts &&
		read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &w->mounts, NULL) < 0)
		return false;
	snprintf(wanted, sizeof(wanted), "%u:%u", major(dev), minor(dev));

	/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS */
	for (const char *line = w->mounts; *line;) {
		size_t n = strcspn(line, "\n");
		_cleanup_free_ char *copy = strndup(line, n);
		char device[32], type[32], *tail;

		line += n;
		line += *line == '\n';
		tail = copy ? strstr(copy, " - ") : NULL;
		if (tail && sscanf(copy, "%*u %*u %31s", device) == 1 && !strcmp(device, wanted) &&
			sscanf(tail, " - %31s", type) == 1)
			return is_kernel_filesystem(type);
	}
	return false;
}

static int leave_out(struct walk *w, const char *path, const char *name, mode_t mode)
{
	char **empty = reallocarray(w->tree->empty, w->empty_count + 2, sizeof(*empty));

	if (!empty)
		return -ENOMEM;
	w->tree->empty = empty;
	empty[w->empty_count + 1] = NULL;
	empty[w->empty_count] = strdup(path);
	if (!empty[w->empty_count])
		return -ENOMEM;
	w->empty_count++;
	digest_add(w->digest, name, strlen(name) + 1);
	digest_add(w->digest, &mode, sizeof(mode));
	return 0;
}

/* ---- the walk ---- */

static int walk_directory(struct walk *w, int fd, const char *path, dev_t dev);

static int by_name(const void *a, const void *b)
{
	const char *const *x = a;
	const char *const *y = b;

	return strcmp(*x, *y);
}

static int read_names(DIR *dir, char ***names, size_t *count)
{
	size_t room = 0, n = 0;
	_cleanup_strv_ char **v = calloc(1, sizeof(char *));
	struct dirent *entry;

	if (!v)
		return -ENOMEM;
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (n >= room) {
			char **larger;

			room = room ? room * 2 : 32;
			larger = reallocarray(v, room + 1, sizeof(*v));
			if (!larger)
				return -ENOMEM;
			v = larger;
		}
		v[n] = strdup(entry->d_name);
		if (!v[n])
			return -ENOMEM;
		v[++n] = NULL;
	}
	if (errno)
		return -errno;
	qsort(v, n, sizeof(*v), by_name);
	*names = STEAL(v);
	*count = n;
	return 0;
}

static int walk_subdirectory(struct walk *w, int fd, const char *path, const char *name,
	const struct stat *st, dev_t dev)
{
	_cleanup_free_ char *below = path_format("%s%s%s", path, *path ? "/" : "", name);
	int sub;

	if (!below)
		return -ENOMEM;
	/* mkfs.erofs goes by path, and this bounds the recursion. */
	if (strlen(below) >= PATH_MAX)
		return fail_at(w, ENAMETOOLONG, path);
	if (st->st_dev == w->options->skip.st_dev && st->st_ino == w->options->skip.st_ino)
		return leave_out(w, below, name, st->st_mode);
	if (st->st_dev != dev && is_kernel_mount(w, st->st_dev)) {
		if (!w->tree->mount && !(w->tree->mount = strdup(below)))
			return -ENOMEM;
		return leave_out(w, below, name, st->st_mode);
	}

	tree_note_file(w, name, st);
	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return -ESTALE;
	if (sub < 0)
		return fail_at(w, errno, below);
	return walk_directory(w, sub, below, st->st_dev);
}

static int walk_entry(struct walk *w, int fd, const char *path, const char *name, dev_t dev)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
		_cleanup_free_ char *at = NULL;

		if (errno == ENOENT)
			return -ESTALE;
		at = path_format("%s%s%s", path, *path ? "/" : "", name);
		return at ? fail_at(w, errno, at) : -ENOMEM;
	}
	if (S_ISDIR(st.st_mode))
		return walk_subdirectory(w, fd, path, name, &st, dev);

	tree_note_file(w, name, &st);
	if (w->options->check && S_ISREG(st.st_mode) &&
		faccessat(fd, name, R_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) < 0) {
		_cleanup_free_ char *at = path_format("%s%s%s", path, *path ? "/" : "", name);

		if (errno == ENOENT)
			return -ESTALE;
		return at ? fail_at(w, errno, at) : -ENOMEM;
	}
	return 0;
}

/* Takes over fd. */
static int walk_directory(struct walk *w, int fd, const char *path, dev_t dev)
{
	_cleanup_closedir_ DIR *dir = fdopendir(fd);
	_cleanup_strv_ char **names = NULL;
	size_t count = 0;
	int e;

	if (!dir) {
		close_keep_errno(fd);
		return fail_at(w, errno, path);
	}
	e = read_names(dir, &names, &count);
	if (e == -ENOMEM)
		return e;
	if (e < 0)
		return fail_at(w, -e, path);
	for (size_t i = 0; i < count; i++) {
		e = walk_entry(w, fd, path, names[i], dev);
		if (e < 0)
			return e;
	}
	/* An empty name ends a directory, lest two trees look alike. */
	digest_add(w->digest, "", 1);
	return 0;
}

/* Walks the tree from this process. Returns 0 or a negative errno and where it failed. */
static int walk_here(const struct tree_options *o, struct tree *tree, char **where)
{
	struct walk w = {.options = o, .tree = tree, .started = identity_clock()};
	int fd = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int e;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !(w.digest = digest_begin())) {
		close_keep_errno(fd);
		return errno ? -errno : -ENOMEM;
	}
	digest_add(w.digest, o->salt, strlen(o->salt) + 1);
	tree_note_file(&w, "", &st);
	e = walk_directory(&w, fd, "", st.st_dev);
	digest_end(w.digest, tree->fingerprint);
	free(w.mounts);
	*where = w.where;
	return e;
}

/* ---- from within a user namespace ---- */

/* The answer is a row of strings: errno, whether racy, fingerprint, where it failed, a mount,
 * what is left out. */
static int send_answer(int fd, int e, const struct tree *tree, const char *where)
{
	_cleanup_free_ char *data = NULL;
	size_t size;
	FILE *f = open_memstream(&data, &size);

	if (!f)
		return -ENOMEM;
	fprintf(f, "%d%c%d%c%s%c%s%c%s%c", -e, 0, tree->racy, 0, tree->fingerprint, 0,
		where ? where : "", 0, tree->mount ? tree->mount : "", 0);
	for (size_t i = 0; tree->empty && tree->empty[i]; i++)
		fprintf(f, "%s%c", tree->empty[i], 0);
	if (fclose(f) != 0)
		return -ENOMEM;
	return write_full(fd, data, size);
}

static void __attribute__((noreturn)) walk_in_child(const struct tree_options *o, int fd)
{
	struct tree tree = {0};
	char *where = NULL;
	int e;

	if (setns(o->userns_fd, CLONE_NEWUSER) < 0 || setresgid(0, 0, 0) < 0 ||
		setresuid(0, 0, 0) < 0)
		e = -errno;
	else
		e = walk_here(o, &tree, &where);
	_exit(send_answer(fd, e, &tree, where) < 0 ? 1 : 0);
}

static const char *next_string(const char **at, const char *end)
{
	const char *s = *at;
	const char *nul = s < end ? memchr(s, '\0', (size_t)(end - s)) : NULL;

	if (nul)
		*at = nul + 1;
	return nul ? s : NULL;
}

static int take_answer(const char *data, size_t size, struct tree *tree, char **where)
{
	const char *at = data, *end = data + size, *s;
	const char *err = next_string(&at, end), *racy = next_string(&at, end);
	const char *fingerprint = next_string(&at, end), *failed = next_string(&at, end);
	const char *mount = next_string(&at, end);
	size_t count = 0;

	if (!mount || (*fingerprint && strlen(fingerprint) != DIGEST_HEX - 1))
		return -EIO;
	tree->racy = *racy == '1';
	memcpy(tree->fingerprint, fingerprint, strlen(fingerprint) + 1);
	*where = *failed ? strdup(failed) : NULL;
	tree->mount = *mount ? strdup(mount) : NULL;
	while ((s = next_string(&at, end))) {
		char **empty = reallocarray(tree->empty, count + 2, sizeof(*empty));

		if (!empty)
			return -ENOMEM;
		tree->empty = empty;
		empty[count + 1] = NULL;
		empty[count] = strdup(s);
		if (!empty[count++])
			return -ENOMEM;
	}
	return -atoi(err);
}

/* Entering a user namespace has no way back, so a child does it. */
static int walk_in_namespace(const struct tree_options *o, struct tree *tree, char **where)
{
	_cleanup_close_ int reader = -1, writer = -1;
	_cleanup_free_ char *data = NULL, *path = NULL;
	size_t size = 0;
	int fds[2], e, status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	reader = fds[0];
	writer = fds[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		walk_in_child(o, writer);
	close(steal_fd(&writer));

	path = path_format("/proc/self/fd/%d", reader);
	e = path ? read_file(AT_FDCWD, path, ANSWER_MAX, &data, &size) : -ENOMEM;
	/* Should it still write, it ends of that. */
	close(steal_fd(&reader));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return e < 0 ? e : take_answer(data, size, tree, where);
}

int tree_read(struct tree *tree, const struct tree_options *o, struct arrow_error *error)
{
	_cleanup_free_ char *where = NULL;
	int e;

	*tree = (struct tree){0};
	if (o->userns_fd > 0)
		e = walk_in_namespace(o, tree, &where);
	else
		e = walk_here(o, tree, &where);
	if (e == 0)
		return 0;

	tree_release(tree);
	if (e == -ESTALE)
		return e;
	return arrow_fail(error, -e, "cannot read %s%s%s, which an image of %s takes: %m", o->path,
		where ? "/" : "", where ? where : "", o->path);
}
