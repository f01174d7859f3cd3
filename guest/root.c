// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "guest/loader.h"
#include "util/cleanup.h"
#include "util/io.h"

/*
 * The root is the image's EROFS below a tmpfs. Paths that the job names are only followed after
 * the loader has entered it, so links in the image or a volume lead to places of the root.
 */

/* musl comes without the kernel's headers; these are of linux/mount.h. */
#define OPEN_TREE_CLONE 1u
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#define MOVE_MOUNT_F_EMPTY_PATH 4u

/*
 * directio: reads and writes always go to the host, so both sides see each other's changes at
 * once, though one of them has the file open. cache=mmap: shared, writable mappings work (which
 * databases need); their pages reach the host with msync, munmap or the end. access=client: each
 * user acts on the host's files as itself, and what it makes is its own.
 * msize is the most that virtio takes in one request.
 */
#define OPTIONS_9P "trans=virtio,version=9p2000.L,msize=512000,cache=mmap,directio,access=client"

#define DEVICE_DEADLINE_MS 10000u
#define SAFE_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

static int mount_image(struct stage *stage, const struct job *job, struct failure *failure)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t deadline = now_ms() + DEVICE_DEADLINE_MS;
	char device[64];

	snprintf(device, sizeof(device), "/dev/%s", job->root);
	while (mount(device, LOWER_DIR, "erofs", MS_RDONLY, NULL) < 0) {
		if ((errno != ENOENT && errno != ENXIO) || now_ms() > deadline)
			return fail(failure, 125, errno, "cannot mount the root image of %s: %m%s",
				device, errno == ENODEV ? "; the guest's kernel lacks EROFS" : "");
		nanosleep(&pause, NULL);
	}
	stage->lower = open(LOWER_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount("overlay", ROOT_DIR, "overlay", 0,
		    "lowerdir=" LOWER_DIR ",upperdir=" UPPER_DIR "/upper,workdir=" UPPER_DIR
		    "/work") < 0)
		return fail(failure, 125, errno, "cannot mount the overlay of the root: %m%s",
			errno == ENODEV ? "; the guest's kernel lacks overlayfs" : "");
	return 0;
}

/* Moves /dev, /proc and /sys from where they were built to the root. */
static int move_stage(const struct job *job, struct failure *failure)
{
	static const char *const names[] = {"dev", "proc", "sys"};
	const char *from_dir = STAGE_DIR, *what;

	if (job->flags & ARROW_JOB_PRIVILEGED) {
		int r = stage_build(PRIVILEGED_DIR, true, &what);

		if (r < 0)
			return fail(failure, 125, -r, "cannot build %s of a privileged Arrow: %m",
				what);
		from_dir = PRIVILEGED_DIR;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char from[64], to[64];
		int r;

		snprintf(from, sizeof(from), "%s/%s", from_dir, names[i]);
		snprintf(to, sizeof(to), ROOT_DIR "/%s", names[i]);
		if (mkdir(to, 0755) < 0 && errno != EEXIST)
			return fail(
				failure, 125, errno, "cannot make /%s in the root: %m", names[i]);
		r = mount(from, to, NULL, MS_MOVE, NULL);
		if (r < 0)
			return fail(failure, 125, errno,
				"cannot mount /%s: %m; it must be a directory of the root",
				names[i]);
	}
	if (job->shm_size && job->shm_size != SHM_SIZE) {
		char options[48];

		snprintf(options, sizeof(options), "mode=1777,size=%llu",
			(unsigned long long)job->shm_size);
		if (mount(NULL, ROOT_DIR "/dev/shm", NULL,
			    MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0)
			return fail(failure, 125, errno, "cannot give /dev/shm %llu bytes: %m",
				(unsigned long long)job->shm_size);
	}
	return 0;
}

static bool is_name(const char *s)
{
	return *s && strlen(s) <= NAME_MAX && !strchr(s, '/') && strcmp(s, ".") != 0 &&
	       strcmp(s, "..") != 0;
}

/*
 * Mounts the share of a 9p mount in the initramfs, once however many mounts use it, and takes a
 * detached copy of what this mount shows of it. Returns a file descriptor or -errno.
 */
static int open_share(const struct job_mount *m, struct failure *failure)
{
	const char *slash = m->kind == ARROW_MOUNT_9P_FILE ? strchr(m->source, '/') : NULL;
	size_t length = slash ? (size_t)(slash - m->source) : strlen(m->source);
	char tag[64], dir[96], path[96 + NAME_MAX + 2];
	int fd;

	if (length == 0 || length >= sizeof(tag) || m->source[0] == '.' ||
		(m->kind == ARROW_MOUNT_9P_FILE && !(slash && is_name(slash + 1))) ||
		memchr(m->source, '/', length))
		return fail(failure, 125, EINVAL, "the source %s of the volume %s is malformed",
			m->source, m->target);
	snprintf(tag, sizeof(tag), "%.*s", (int)length, m->source);
	snprintf(dir, sizeof(dir), SHARES_DIR "/%s", tag);
	snprintf(path, sizeof(path), "%s%s", dir, slash ? slash : "");

	if (mkdir(dir, 0700) == 0) {
		if (mount(tag, dir, "9p", 0, OPTIONS_9P) < 0)
			return fail(failure, 125, errno, "cannot mount the volume %s: %m%s",
				m->target, errno == ENODEV ? "; the guest's kernel lacks 9p" : "");
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
static int make_target(const char *path, bool file)
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

static int place_mount(const struct job_mount *m, int tree, struct failure *failure)
{
	unsigned long flags = m->flags & SAFE_FLAGS;
	int r = make_target(m->target, m->kind == ARROW_MOUNT_9P_FILE);

	if (r < 0)
		return fail(failure, 125, -r, "cannot make the mount point %s: %m", m->target);
	if (m->kind == ARROW_MOUNT_TMPFS) {
		if (mount("tmpfs", m->target, "tmpfs", flags, m->options) < 0)
			return fail(failure, 125, errno,
				"cannot mount a tmpfs on %s with the options \"%s\": %m", m->target,
				m->options);
		return 0;
	}
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, m->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail(failure, 125, errno, "cannot mount the volume %s: %m", m->target);
	if (flags && mount(NULL, m->target, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
		return fail(failure, 125, errno, "cannot set the flags of the volume %s: %m",
			m->target);
	return 0;
}

/* Shares are opened before the root is entered, and placed in it afterwards. */
static int enter(const struct job *job, int *trees, struct failure *failure)
{
	int r = 0;

	for (size_t i = 0; i < job->mount_count; i++) {
		if (job->mounts[i].kind == ARROW_MOUNT_TMPFS)
			continue;
		trees[i] = open_share(&job->mounts[i], failure);
		if (trees[i] < 0)
			return trees[i];
	}
	if (chdir(ROOT_DIR) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
		chdir("/") < 0)
		return fail(failure, 125, errno, "cannot enter the root: %m");

	if (mkdir("/tmp", 01777) < 0 && errno != EEXIST)
		return fail(failure, 125, errno, "cannot make /tmp in the root: %m");
	r = identity_files(job, failure);
	for (size_t i = 0; r == 0 && i < job->mount_count; i++)
		r = place_mount(&job->mounts[i], trees[i], failure);
	return r;
}

int root_enter(struct stage *stage, const struct job *job, struct failure *failure)
{
	_cleanup_free_ int *trees = calloc(job->mount_count + 1, sizeof(*trees));
	int r;

	if (!trees)
		return fail(failure, 125, ENOMEM, "cannot mount %zu volumes: %m", job->mount_count);
	for (size_t i = 0; i < job->mount_count; i++)
		trees[i] = -1;
	r = mount_image(stage, job, failure);
	if (r == 0)
		r = move_stage(job, failure);
	if (r == 0)
		r = enter(job, trees, failure);
	for (size_t i = 0; i < job->mount_count; i++)
		close_keep_errno(trees[i]);

	if (r < 0)
		return r;

	r = mkdir_all(job->cwd, 0755);
	if (r < 0)
		return fail(failure, 125, -r, "cannot make the working directory %s: %m", job->cwd);
	if ((job->flags & ARROW_JOB_READ_ONLY) &&
		mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		return fail(failure, 125, errno, "cannot make the root read-only: %m");
	return 0;
}
