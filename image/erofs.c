// SPDX-License-Identifier: Apache-2.0
#include "image/erofs.h"
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "image/uniform.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

/* A tree of many gigabytes on a slow disk; what takes longer hangs. */
#define DEADLINE_MS (60u * 60u * 1000u)
#define FIXED_ARGS 16u

/* "--exclude-regex=^PATH/" for exactly that path. */
static char *exclude_option(const char *path)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	if (!f)
		return NULL;
	fputs("--exclude-regex=^", f);
	for (; *path; path++) {
		if (strchr("\\^$.[]|()*+?{}", *path))
			fputc('\\', f);
		fputc(*path, f);
	}
	fputc('/', f);
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	return out;
}

/*
 * mkfs.erofs fails on a file system that knows no xattrs, such as proc, even in a directory that
 * it is told to leave out. So it runs where these are not mounted.
 */
static int hide_mounts(void *arg)
{
	const struct erofs_options *o = arg;

	if (!o->hide_mounts)
		return 0;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	for (size_t i = 0; o->empty[i]; i++) {
		_cleanup_free_ char *path = path_format("%s/%s", o->source, o->empty[i]);

		/* EINVAL: not a mount. */
		if (!path || (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL))
			return -1;
	}
	return 0;
}

static int run_mkfs(
	const struct erofs_options *o, const char *const *argv, struct arrow_error *error)
{
	/* The cause of a failure is read from its text. */
	static const char *const env[] = {"LC_ALL=C", NULL};
	const struct process_options run = {.argv = argv,
		.env = env,
		.userns_fd = o->userns_fd,
		.deadline_ms = DEADLINE_MS,
		.prepare = hide_mounts,
		.arg = (void *)o};
	int e = process_run(&run, error);

	if (e == -ENOENT) {
		arrow_error_clear(error);
		return arrow_fail(error, ENOENT,
			ARROW_IMAGE_TOOL
			" is not installed: run 'sudo apt-get install " ARROW_IMAGE_PACKAGE "'");
	}
	if (e == -EIO && error->text &&
		(strstr(error->text, "No space left") || strstr(error->text, "Disk quota"))) {
		arrow_error_clear(error);
		return arrow_fail(error, ENOSPC, "cannot write %s: %m", o->target);
	}
	return e;
}

int erofs_make(const struct erofs_options *o, struct arrow_error *error)
{
	_cleanup_strv_ char **excludes = NULL;
	_cleanup_free_ const char **argv = NULL;
	_cleanup_close_ int fd = -1;
	size_t count = 0, argc = 0;
	char uuid[37];
	int e;

	while (o->empty && o->empty[count])
		count++;
	excludes = calloc(count + 1, sizeof(char *));
	argv = calloc(count + FIXED_ARGS, sizeof(char *));
	if (!excludes || !argv)
		return arrow_fail(error, ENOMEM, "cannot make an image: out of memory");

	snprintf(uuid, sizeof(uuid), "%.8s-%.4s-%.4s-%.4s-%.12s", o->digest, o->digest + 8,
		o->digest + 12, o->digest + 16, o->digest + 20);
	argv[argc++] = ARROW_IMAGE_TOOL;
	argv[argc++] = "--quiet";
	/* Extended inodes have times of their own, which a uniform image needs. */
	argv[argc++] = o->canonical ? "-Enoinline_data" : "-Enoinline_data,force-inode-extended";
	argv[argc++] = "-U";
	argv[argc++] = uuid;
	if (o->canonical) {
		argv[argc++] = "-T0";
		argv[argc++] = "-x-1";
	}
	if (o->canonical || o->all_root)
		argv[argc++] = "--all-root";
	for (size_t i = 0; i < count; i++) {
		excludes[i] = exclude_option(o->empty[i]);
		if (!excludes[i])
			return arrow_fail(error, ENOMEM, "cannot make an image: out of memory");
		argv[argc++] = excludes[i];
	}
	argv[argc++] = "--";
	argv[argc++] = o->target;
	argv[argc++] = o->source;
	e = run_mkfs(o, argv, error);
	if (e < 0)
		return e;
	fd = open(o->target, O_RDWR | O_CLOEXEC);
	e = fd < 0 ? -errno : erofs_make_uniform(fd);
	return e < 0 ? arrow_fail(error, -e, "cannot write %s: %m", o->target) : 0;
}
