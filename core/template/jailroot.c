// SPDX-License-Identifier: Apache-2.0
#include "core/template/jailroot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/jail.h"
#include "fs/blob.h"
#include "image/closure.h"
#include "image/identity.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

/* First in the list of files; another one makes all roots anew. */
#define FORMAT "arrow-jail 3\n"
#define LIST_MAX (1u << 20)

/* A line of the list: what a path was when it was copied, or that it was not there. */
static bool jailroot_check_line(char *line)
{
	char *path = strchr(line, '\t'), now[IDENTITY_SIZE];

	if (!path)
		return false;
	*path++ = '\0';
	identity_of_path(path, now);
	return strcmp(now, line) == 0;
}

/* Whether the root in dir is whole and made from the files as they are now. */
static bool jailroot_is_current(const char *dir)
{
	_cleanup_free_ char *path = path_format("%s/files", dir), *text = NULL;
	char *save = NULL;

	if (!path || read_file(AT_FDCWD, path, LIST_MAX, &text, NULL) < 0 ||
		strncmp(text, FORMAT, strlen(FORMAT)) != 0)
		return false;
	for (char *line = strtok_r(text + strlen(FORMAT), "\n", &save); line;
		line = strtok_r(NULL, "\n", &save))
		if (!jailroot_check_line(line))
			return false;
	return true;
}

static int jailroot_copy_file(const char *from, const char *to, mode_t mode)
{
	_cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	ssize_t n;

	if (in < 0)
		return -errno;
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	while ((n = sendfile(out, in, NULL, 1u << 30)) > 0)
		;
	return n < 0 || fchmod(out, mode) < 0 ? -errno : 0;
}

/* Copies a file of the host to where it is seen in the root, unless it is there already. */
static int jailroot_add_file(const char *root, FILE *list, const char *host, const char *guest,
	struct arrow_error *error)
{
	_cleanup_free_ char *to = path_format("%s%s", root, guest),
			    *parent = to ? strdup(to) : NULL;
	char identity[IDENTITY_SIZE];
	struct stat st;
	int r;

	if (!parent)
		return arrow_fail(error, ENOMEM, "out of memory");
	identity_of_path(host, identity);
	fprintf(list, "%s\t%s\n", identity, host);
	if (stat(host, &st) < 0 || access(to, F_OK) == 0)
		return 0; /* one that the engine can do without */
	*strrchr(parent, '/') = '\0';
	r = mkdir_all(parent, 0755);
	if (r == 0)
		r = jailroot_copy_file(host, to, st.st_mode & 0111 ? 0555 : 0444);
	return r < 0 ? arrow_fail(error, -r, "cannot copy %s to %s: %m", host, to) : 0;
}

/* The program with all that its loader opens. */
static int jailroot_add_closure(
	const char *root, FILE *list, const char *path, struct arrow_error *error)
{
	struct closure closure = {0};
	int r = closure_find(&closure, path, path, path, NULL, error);

	for (size_t i = 0; r == 0 && i < closure.object_count; i++)
		r = jailroot_add_file(
			root, list, closure.objects[i]->host, closure.objects[i]->guest, error);
	closure_release(&closure);
	return r;
}

/* The directories that every root has. */
static int jailroot_make_places(const char *root)
{
	static const char *const dirs[] = {"proc/self", "dev", "etc", "volumes"};
	_cleanup_free_ char *kvm = path_format("%s/dev/kvm", root);
	_cleanup_free_ char *dns = path_format("%s/etc/resolv.conf", root);
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		_cleanup_free_ char *path = path_format("%s/%s", root, dirs[i]);

		r = path ? mkdir_all(path, 0755) : -ENOMEM;
	}
	for (unsigned int i = 0; r == 0 && i < ARROW_JAIL_MOUNTS; i++) {
		_cleanup_free_ char *dir = path_format("%s" ARROW_JAIL_DIR, root, i);
		_cleanup_free_ char *file = path_format("%s" ARROW_JAIL_FILE, root, i);

		if (!dir || !file)
			return -ENOMEM;
		if (mkdir(dir, 0755) < 0 || mknod(file, S_IFREG | 0444, 0) < 0)
			return -errno;
	}
	if (r == 0 && (!kvm || !dns))
		r = -ENOMEM;
	if (r == 0 && (mknod(kvm, S_IFREG | 0444, 0) < 0 || mknod(dns, S_IFREG | 0444, 0) < 0))
		r = -errno;
	return r;
}

/* The root of a jail, with nothing in its places yet. */
static int jailroot_make_root(const char *root, struct arrow_error *error)
{
	int r = mkdir_all(root, 0755);

	if (r == 0)
		r = jailroot_make_places(root);
	return r < 0 ? arrow_fail(error, -r, "cannot create the root of a jail, %s: %m", root) : 0;
}

static int jailroot_fill(const char *work, char *const *files, struct arrow_error *error)
{
	_cleanup_free_ char *root = path_format("%s/root", work), *text = NULL;
	_cleanup_free_ char *path = path_format("%s/files", work);
	size_t size = 0;
	FILE *list;
	int r;

	if (!root || !path)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = jailroot_make_root(root, error);
	if (r < 0)
		return r;
	list = open_memstream(&text, &size);
	if (!list)
		return arrow_fail(error, ENOMEM, "out of memory");
	fputs(FORMAT, list);
	r = jailroot_add_closure(root, list, files[0], error);
	for (size_t i = 1; r == 0 && files[i]; i++)
		r = jailroot_add_file(root, list, files[i], files[i], error);
	if (fclose(list) != 0 && r == 0)
		r = arrow_fail(error, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	r = write_file_atomic(AT_FDCWD, path, 0600, text, size);
	return r < 0 ? arrow_fail(error, -r, "cannot write %s: %m", path) : 0;
}

/* The server's: its program. What the name of the folder says is all that it depends on. */
static int jailroot_fill_server(const char *work, struct arrow_error *error)
{
	_cleanup_free_ char *root = path_format("%s/root", work);
	_cleanup_free_ char *program = path_format("%s/root" ARROW_JAIL_SERVER, work);
	_cleanup_close_ int fd = -1;
	int r;

	if (!root || !program)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = jailroot_make_root(root, error);
	if (r < 0)
		return r;
	fd = open(program, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno
		   : write_full(fd, arrow_fs_program,
			     (size_t)(arrow_fs_program_end - arrow_fs_program));
	/* After a power failure the name must not stand for less than the whole. */
	if (r == 0 && (fchmod(fd, 0555) < 0 || fsync(fd) < 0))
		r = -errno;
	return r < 0 ? arrow_fail(error, -r, "cannot write %s: %m", program) : 0;
}

/*
 * Under the lock: makes the folder beside, and puts it in the place of one that is there.
 *   files: of an engine; NULL for the server's
 */
static int jailroot_make(
	const char *jails, const char *final, char *const *files, struct arrow_error *error)
{
	_cleanup_free_ char *work = path_format("%s/new", jails);
	mode_t mask;
	int r;

	if (!work)
		return arrow_fail(error, ENOMEM, "out of memory");
	remove_tree(AT_FDCWD, work); /* of a maker that was killed: the lock is ours */
	mask = umask(022);
	r = files ? jailroot_fill(work, files, error) : jailroot_fill_server(work, error);
	umask(mask);
	if (r == 0 && rename(work, final) < 0 &&
		renameat2(AT_FDCWD, work, AT_FDCWD, final, RENAME_EXCHANGE) < 0) {
		/* Some file systems, such as overlayfs, exchange no directories. */
		remove_tree(AT_FDCWD, final);
		if (rename(work, final) < 0)
			r = arrow_fail(error, errno,
				"cannot rename the new root of a jail to %s: %m", final);
	}
	remove_tree(AT_FDCWD, work);
	return r;
}

/* Takes the lock of the store. Returns a descriptor that holds it. */
static int jailroot_lock(const char *jails, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/lock", jails);
	_cleanup_close_ int fd = -1;
	int r = path ? mkdir_all(jails, 0700) : -ENOMEM;

	if (r == 0) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		r = fd < 0 || flock(fd, LOCK_EX) < 0 ? -errno : 0;
	}
	return r < 0 ? arrow_fail(error, -r, "cannot use %s: %m", jails) : steal_fd(&fd);
}

int arrow_jail_root(const char *store, const struct arrow_engine *engine,
	const struct arrow_engine_settings *settings, char **dir, struct arrow_error *error)
{
	_cleanup_free_ char *jails = path_format("%s/jails", store), *final = NULL;
	_cleanup_strv_ char **files = NULL;
	_cleanup_close_ int lock_fd = -1;
	char key[DIGEST_HEX];
	int r = engine->files(settings, &files, error);

	if (r < 0)
		return r;
	r = digest_data(files[0], strlen(files[0]), key);
	final = path_format("%s/jails/%s", store, key);
	*dir = path_format("%s/jails/%s/root", store, key);
	if (r < 0 || !jails || !final || !*dir)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (jailroot_is_current(final))
		return 0;

	lock_fd = jailroot_lock(jails, error);
	if (lock_fd < 0)
		return lock_fd;
	return jailroot_is_current(final) ? 0 : jailroot_make(jails, final, files, error);
}

int arrow_jail_server_root(const char *store, char **dir, struct arrow_error *error)
{
	_cleanup_free_ char *jails = path_format("%s/jails", store);
	_cleanup_free_ char *final = path_format("%s/jails/fs-%s", store, arrow_fs_digest);
	_cleanup_close_ int lock_fd = -1;

	*dir = path_format("%s/jails/fs-%s/root", store, arrow_fs_digest);
	if (!jails || !final || !*dir)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (access(final, F_OK) == 0)
		return 0;
	lock_fd = jailroot_lock(jails, error);
	if (lock_fd < 0)
		return lock_fd;
	return access(final, F_OK) == 0 ? 0 : jailroot_make(jails, final, NULL, error);
}
