// SPDX-License-Identifier: Apache-2.0
#include "guest/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "guest/fill.h"
#include "guest/identity.h"
#include "guest/waits.h"
#include "util/cleanup.h"
#include "util/io.h"

/*
 * The root is the image's EROFS below a tmpfs. Paths that the job names are only followed after
 * the loader has entered it, so links in the image or a volume lead to places of the root.
 */

/* musl comes without the kernel's headers; these are of linux/fs.h and linux/mount.h. */
#define BLKFLSBUF _IO(0x12, 97)
#define OPEN_TREE_CLONE 1u
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#define MOVE_MOUNT_F_EMPTY_PATH 4u

/*
 * Of 9p. directio: reads and writes always go to the host, so both sides see each other's changes
 * at once, though one of them has the file open. cache=mmap: shared, writable mappings work (which
 * databases need); their pages reach the host with msync, munmap or the end. access=client: each
 * user acts on the host's files as itself, and what it makes is its own.
 * msize is the most that virtio takes in one request.
 */
#define OPTIONS_9P "trans=virtio,version=9p2000.L,msize=512000,cache=mmap,directio,access=client"

#define DISK "/dev/vda"
#define DEVICE_DEADLINE_MS 10000u
#define SAFE_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

static int root_mount_overlay(void)
{
	return mount("overlay", ROOT_DIR, "overlay", 0,
		       "lowerdir=" LOWER_DIR ",upperdir=" UPPER_DIR "/upper,workdir=" UPPER_DIR
		       "/work") < 0
		       ? -errno
		       : 0;
}

static int root_mount_image(struct stage *stage, const struct job *job, struct failure *failure)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t deadline = now_ms() + DEVICE_DEADLINE_MS;
	char device[64];
	int r;

	snprintf(device, sizeof(device), "/dev/%s", job->root);
	while (mount(device, LOWER_DIR, "erofs", MS_RDONLY, NULL) < 0) {
		if ((errno != ENOENT && errno != ENXIO) || now_ms() > deadline)
			return fail(failure, 125, errno, "cannot mount the root image of %s: %m%s",
				device, errno == ENODEV ? "; the guest's kernel lacks EROFS" : "");
		nanosleep(&pause, NULL);
	}
	stage->lower = open(LOWER_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = root_mount_overlay();
	return r < 0 ? fail(failure, 125, -r, "cannot mount the overlay of the root: %m%s",
			       r == -ENODEV ? "; the guest's kernel lacks overlayfs" : "")
		     : 0;
}

/* "DIR/NAME", which is short. */
static char *root_join_path(char path[64], const char *dir, const char *name)
{
	stpcpy(stpcpy(stpcpy(path, dir), "/"), name);
	return path;
}

/* What is built beside the root and mounted in it. */
static const char *const trees_of_stage[] = {"dev", "proc", "sys"};
#define TREES (sizeof(trees_of_stage) / sizeof(trees_of_stage[0]))

/* Files of /etc that identity.c writes. */
static const char *const etc_files[] = {"etc/hostname", "etc/hosts", "etc/machine-id"};
#define ETC_FILES (sizeof(etc_files) / sizeof(etc_files[0]))

static int root_move_trees(const char *from_dir, const char *to_dir)
{
	char from[64], to[64];

	for (size_t i = 0; i < TREES; i++)
		if (mount(root_join_path(from, from_dir, trees_of_stage[i]),
			    root_join_path(to, to_dir, trees_of_stage[i]), NULL, MS_MOVE, NULL) < 0)
			return -errno;
	return 0;
}

/*
 * What jobs have in common, in the layer of changes. Nothing of the image below may be looked at
 * yet, for it is another one in each clone: so what is mounted on is said to hide it.
 */
static int root_fill_upper(int upper)
{
	char path[64];

	for (size_t i = 0; i < TREES; i++) {
		root_join_path(path, UPPER_DIR "/upper", trees_of_stage[i]);
		if ((mkdir(path, 0755) < 0 && errno != EEXIST) ||
			setxattr(path, "trusted.overlay.opaque", "y", 1, 0) < 0)
			return -errno;
	}
	if (mkdirat(upper, "etc", 0755) < 0 && errno != EEXIST)
		return -errno;
	for (size_t i = 0; i < ETC_FILES; i++) {
		int fd = openat(upper, etc_files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return -errno;
		close(fd);
	}
	return symlinkat("/proc/mounts", upper, "etc/mtab") < 0 && errno != EEXIST ? -errno : 0;
}

static void root_clear_etc(int upper)
{
	for (size_t i = 0; i < ETC_FILES; i++)
		unlinkat(upper, etc_files[i], 0);
	unlinkat(upper, "etc/mtab", 0);
	unlinkat(upper, "etc", AT_REMOVEDIR);
}

static void root_clear_upper(int upper)
{
	root_clear_etc(upper);
	for (size_t i = 0; i < TREES; i++)
		unlinkat(upper, trees_of_stage[i], AT_REMOVEDIR);
}

/* What was read of the disk is not what is on the clone's, but for what a mount keeps. */
static void root_forget_disk(const struct stage *stage)
{
	_cleanup_close_ int fd = open(DISK, O_RDONLY | O_CLOEXEC);

	if (ioctl(fd, BLKFLSBUF, 0) < 0 ||
		posix_fadvise(stage->lower, 0, 0, POSIX_FADV_DONTNEED) != 0)
		errno = 0;
}

/*
 * It lies over the root of the loader, which a path leaves only by "/..", so that a job need not
 * move it there.
 */
#define ABOVE "/.."

static const char *root_dir(const struct stage *stage)
{
	return stage->mounted ? ABOVE : ROOT_DIR;
}

void root_mount(struct stage *stage)
{
	if (stage->upper < 0 || root_fill_upper(stage->upper) < 0 ||
		mount(DISK, LOWER_DIR, "erofs", MS_RDONLY, NULL) < 0)
		goto clear;
	stage->lower = open(LOWER_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_mount_overlay() < 0)
		goto unmount;
	if (root_move_trees(STAGE_DIR, ROOT_DIR) == 0 &&
		mount(ROOT_DIR, "/", NULL, MS_MOVE, NULL) == 0) {
		stage->mounted = true;
		root_forget_disk(stage);
		return;
	}
	(void)!root_move_trees(ROOT_DIR, STAGE_DIR);
	(void)umount2(ROOT_DIR, MNT_DETACH);
unmount:
	close_keep_errno(steal_fd(&stage->lower));
	(void)umount2(LOWER_DIR, 0);
clear:
	root_clear_upper(stage->upper);
	errno = 0;
}

int root_unmount(struct stage *stage)
{
	int r = root_move_trees(ABOVE, STAGE_DIR);

	if (r < 0)
		return r;
	if (chdir(ABOVE) < 0 || mount(".", ROOT_DIR, NULL, MS_MOVE, NULL) < 0 || chdir("/") < 0 ||
		umount2(ROOT_DIR, 0) < 0)
		return -errno;
	close_keep_errno(steal_fd(&stage->lower));
	/* Not lazily: what is mounted next must not find this one. */
	if (umount2(LOWER_DIR, 0) < 0)
		return -errno;
	stage->mounted = false;
	return 0;
}

/*
 * The root is mounted, and what it is mounted of is now the job's image: files of /etc go into the
 * layer of changes before anybody looks. Sets *etc where that cannot be: they are for the root.
 */
static int root_settle(
	const struct stage *stage, const struct job *job, bool *etc, struct failure *failure)
{
	_cleanup_close_ int dir = -1, image = -1;
	struct stat st;

	*etc = false;
	if (fstatat(stage->lower, "tmp", &st, AT_SYMLINK_NOFOLLOW) < 0 &&
		mkdirat(stage->upper, "tmp", 01777) < 0)
		return fail(failure, 125, errno, "cannot make /tmp in the root: %m");
	if (fstatat(stage->lower, "etc", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(st.st_mode) || llistxattr(LOWER_DIR "/etc", NULL, 0) > 0) {
			root_clear_etc(stage->upper);
			*etc = true;
			return 0;
		}
		if ((st.st_uid || st.st_gid || (st.st_mode & 07777) != 0755) &&
			(fchownat(stage->upper, "etc", st.st_uid, st.st_gid, 0) < 0 ||
				fchmodat(stage->upper, "etc", st.st_mode & 07777, 0) < 0))
			return fail(failure, 125, errno, "cannot make /etc in the root: %m");
		image = openat(stage->lower, "etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	dir = openat(stage->upper, "etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail(failure, 125, errno, "cannot open /etc of the root: %m");
	return identity_files_beside(job, dir, image, failure);
}

/* Moves /dev, /proc and /sys from where they were built to the root. */
static int root_move_stage(const struct stage *stage, const char *from_dir, struct failure *failure)
{
	char to[64];
	int r;

	for (size_t i = 0; i < TREES; i++)
		if (mkdir(root_join_path(to, root_dir(stage), trees_of_stage[i]), 0755) < 0 &&
			errno != EEXIST)
			return fail(failure, 125, errno, "cannot make /%s in the root: %m",
				trees_of_stage[i]);
	r = root_move_trees(from_dir, root_dir(stage));
	return r < 0 ? fail(failure, 125, -r,
			       "cannot mount /dev, /proc and /sys: %m; they must be directories of the root")
		     : 0;
}

/* Those of a privileged Arrow are others. */
static int root_move_privileged(const struct stage *stage, struct failure *failure)
{
	const char *what;
	char path[64];
	int r = stage_build(PRIVILEGED_DIR, true, &what);

	if (r < 0)
		return fail(failure, 125, -r, "cannot build %s of a privileged Arrow: %m", what);
	for (size_t i = 0; stage->mounted && i < TREES; i++)
		if (umount2(root_join_path(path, ABOVE, trees_of_stage[i]), MNT_DETACH) < 0)
			return fail(
				failure, 125, errno, "cannot unmount /%s: %m", trees_of_stage[i]);
	return root_move_stage(stage, PRIVILEGED_DIR, failure);
}

static int root_resize_shm(
	const struct stage *stage, const struct job *job, struct failure *failure)
{
	char options[48], path[64];

	if (!job->shm_size || (job->shm_size == SHM_SIZE && !(job->flags & ARROW_JOB_PRIVILEGED)))
		return 0;
	snprintf(
		options, sizeof(options), "mode=1777,size=%llu", (unsigned long long)job->shm_size);
	return mount(NULL, root_join_path(path, root_dir(stage), "dev/shm"), NULL,
		       MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0
		       ? fail(failure, 125, errno, "cannot give /dev/shm %llu bytes: %m",
				 (unsigned long long)job->shm_size)
		       : 0;
}

/* Mounts all that is there but volumes. *etc: files of /etc are still to be written. */
static int root_mount_all(
	struct stage *stage, const struct job *job, bool *etc, struct failure *failure)
{
	int r = 0;

	*etc = true;
	if (stage->mounted && !job->root_uniform) {
		r = root_unmount(stage);
		if (r < 0)
			return fail(
				failure, 125, -r, "cannot unmount the root of the template: %m");
		root_clear_upper(stage->upper);
	}
	if (!stage->mounted)
		r = root_mount_image(stage, job, failure);
	if (r == 0 && (job->flags & ARROW_JOB_PRIVILEGED))
		r = root_move_privileged(stage, failure);
	else if (r == 0 && !stage->mounted)
		r = root_move_stage(stage, STAGE_DIR, failure);
	if (r == 0 && stage->mounted)
		r = root_settle(stage, job, etc, failure);
	return r == 0 ? root_resize_shm(stage, job, failure) : r;
}

static bool root_is_name(const char *s)
{
	return *s && strlen(s) <= NAME_MAX && !strchr(s, '/') && strcmp(s, ".") != 0 &&
	       strcmp(s, "..") != 0;
}

/* A host that has no server of its own for shares has that of 9p. */
static int root_mount_share(const char *tag, const char *dir)
{
	if (mount(tag, dir, "virtiofs", 0, NULL) == 0) {
		waits_watch(dir);
		return 0;
	}
	/* EINVAL: there is no such device. ENODEV: the kernel knows of none. */
	if (errno != EINVAL && errno != ENODEV)
		return -errno;
	return mount(tag, dir, "9p", 0, OPTIONS_9P) < 0 ? -errno : 0;
}

/*
 * Mounts a share in the initramfs, once however many mounts use it, and takes a detached copy of
 * what this mount shows of it. Returns a file descriptor or -errno.
 */
static int root_open_share(const struct arrow_job_mount *m, struct failure *failure)
{
	const char *slash = strchr(m->source, '/');
	size_t length = slash ? (size_t)(slash - m->source) : strlen(m->source);
	char tag[64], dir[96], path[96 + NAME_MAX + 2];
	int fd, r;

	if (length == 0 || length >= sizeof(tag) || m->source[0] == '.' ||
		(slash ? !root_is_name(slash + 1) : m->kind == ARROW_MOUNT_SHARE_FILE))
		return fail(failure, 125, EINVAL, "the source %s of the volume %s is malformed",
			m->source, m->target);
	snprintf(tag, sizeof(tag), "%.*s", (int)length, m->source);
	snprintf(dir, sizeof(dir), SHARES_DIR "/%s", tag);
	snprintf(path, sizeof(path), "%s%s", dir, slash ? slash : "");

	if (mkdir(dir, 0700) == 0) {
		r = root_mount_share(tag, dir);
		if (r < 0)
			return fail(failure, 125, -r, "cannot mount the volume %s: %m%s", m->target,
				r == -ENOENT || r == -ENODEV
					? "; the guest's kernel lacks virtiofs, or 9p for Debian's QEMU"
					: "");
	} else if (errno != EEXIST) {
		return fail(failure, 125, errno, "cannot make %s: %m", dir);
	}
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (fd < 0)
		return fail(failure, 125, errno, "cannot open the volume %s: %m", m->target);
	return fd;
}

/* Makes the directories that lead to path, and path itself: a directory or an empty file. */
static int root_make_target(const char *path, bool file)
{
	_cleanup_free_ char *parent = strdup(path);
	_cleanup_close_ int fd = -1;
	char *slash;

	if (!file)
		return mkdir_all(path, 0755);
	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (slash > parent) {
		int r;

		*slash = '\0';
		r = mkdir_all(parent, 0755);
		if (r < 0)
			return r;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0644);
	/* Whatever is there already can be mounted on, though it may not be opened. */
	return fd < 0 && errno != EACCES && errno != ETXTBSY && errno != ENXIO && errno != EROFS
		       ? -errno
		       : 0;
}

static int root_place_mount(const struct arrow_job_mount *m, int tree, struct failure *failure)
{
	unsigned long flags = m->flags & SAFE_FLAGS;
	int r = root_make_target(m->target, m->kind == ARROW_MOUNT_SHARE_FILE);

	if (r < 0)
		return fail(failure, 125, -r, "cannot make the mount point %s: %m", m->target);
	if (m->kind == ARROW_MOUNT_TMPFS) {
		if (mount("tmpfs", m->target, "tmpfs", flags, m->options) < 0)
			return fail(failure, 125, errno,
				"cannot mount a tmpfs on %s with the options \"%s\": %m", m->target,
				m->options);
		return 0;
	}
	if (m->kind == ARROW_MOUNT_SHARE && strcmp(m->options, ARROW_MOUNT_FILL) == 0) {
		r = fill_volume(tree, m->target, failure);
		if (r < 0)
			return r;
	}
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, m->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail(failure, 125, errno, "cannot mount the volume %s: %m", m->target);
	if (flags && mount(NULL, m->target, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
		return fail(failure, 125, errno, "cannot set the flags of the volume %s: %m",
			m->target);
	return 0;
}

/* A number behind "NAME=". Returns false where there is none. */
static bool take_number(const char **at, const char *name, int base, unsigned long *number)
{
	size_t n = strlen(name);
	char *end;

	if (strncmp(*at, name, n) != 0)
		return false;
	*number = strtoul(*at + n, &end, base);
	if (end == *at + n || (*end && *end != ','))
		return false;
	*at = *end ? end + 1 : end;
	return true;
}

/* "/" is the loader's directory of changes: it becomes what the image's is. */
static int settle_root(const char *options, struct failure *failure)
{
	unsigned long mode, uid, gid;

	if (!*options)
		return 0;
	if (!take_number(&options, "mode=", 8, &mode) || !take_number(&options, "uid=", 10, &uid) ||
		!take_number(&options, "gid=", 10, &gid) || *options)
		return fail(failure, 125, EINVAL, "the options of the root are malformed");
	return lchown("/", (uid_t)uid, (gid_t)gid) < 0 || chmod("/", (mode_t)mode & 07777) < 0
		       ? fail(failure, 125, errno, "cannot set mode and owner of the root: %m")
		       : 0;
}

/* Shares are opened before the root is entered, and placed in it afterwards. */
static int root_enter_tree(const struct stage *stage, const struct job *job, int *trees, bool etc,
	struct failure *failure)
{
	int r = 0;

	for (size_t i = 0; i < job->mount_count; i++) {
		if (job->mounts[i].kind == ARROW_MOUNT_TMPFS)
			continue;
		trees[i] = root_open_share(&job->mounts[i], failure);
		if (trees[i] < 0)
			return trees[i];
	}
	if (chdir(root_dir(stage)) < 0 ||
		(!stage->mounted && mount(".", "/", NULL, MS_MOVE, NULL) < 0) || chroot(".") < 0 ||
		chdir("/") < 0)
		return fail(failure, 125, errno, "cannot enter the root: %m");

	r = settle_root(job->root_options, failure);
	if (r < 0)
		return r;
	if (etc && mkdir("/tmp", 01777) < 0 && errno != EEXIST)
		return fail(failure, 125, errno, "cannot make /tmp in the root: %m");
	if (etc)
		r = identity_files(job, failure);
	for (size_t i = 0; r == 0 && i < job->mount_count; i++)
		r = root_place_mount(&job->mounts[i], trees[i], failure);
	return r;
}

int root_enter(struct stage *stage, const struct job *job, struct failure *failure)
{
	_cleanup_free_ int *trees = calloc(job->mount_count + 1, sizeof(*trees));
	bool etc;
	int r;

	if (!trees)
		return fail(failure, 125, ENOMEM, "cannot mount %zu volumes: %m", job->mount_count);
	for (size_t i = 0; i < job->mount_count; i++)
		trees[i] = -1;
	r = root_mount_all(stage, job, &etc, failure);
	if (r == 0)
		r = root_enter_tree(stage, job, trees, etc, failure);
	for (size_t i = 0; i < job->mount_count; i++)
		close_keep_errno(trees[i]);

	if (r < 0)
		return r;

	r = strcmp(job->cwd, "/") == 0 ? 0 : mkdir_all(job->cwd, 0755);
	if (r < 0)
		return fail(failure, 125, -r, "cannot make the working directory %s: %m", job->cwd);
	if ((job->flags & ARROW_JOB_READ_ONLY) &&
		mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		return fail(failure, 125, errno, "cannot make the root read-only: %m");
	return 0;
}
