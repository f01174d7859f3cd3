// SPDX-License-Identifier: Apache-2.0
#include "image/oci/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/oci/libarchive.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

#define READ_SIZE ((size_t)256 * 1024)
#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh."
#define OPAQUE ".wh..wh..opq"

/*
 * The way of the bytes: file -> unpacker (libarchive's filters, its "raw" format) -> digest ->
 * tar (libarchive again, reading from memory) -> tree.
 */
struct reader {
	struct rootfs *fs;
	struct layer *layer;
	struct arrow_error *error;
	struct archive *unpacker, *tar;
	uint8_t *buf; /* of the file; owned */
	struct digest *sum;
	uint64_t total; /* bytes of the tar */
	int failed;     /* what the unpacker met */
};

static int reader_fail(struct reader *r, int err, const char *why)
{
	if (r->error->text)
		return -err;
	if (err == ENOSPC || err == EDQUOT)
		return arrow_fail(r->error, err,
			"no space left for the image; free some with 'arrow image prune', or set ARROW_DATA_DIR to a directory on another disk");
	return arrow_fail(r->error, err, "%s: %s", r->layer->what, why);
}

static int fail_limit(struct reader *r)
{
	if (r->error->text)
		return -EFBIG;
	return arrow_fail(r->error, EFBIG,
		"%s makes the image larger than %llu bytes or %llu files; raise ARROW_IMAGE_MAX_SIZE or ARROW_IMAGE_MAX_FILES if you trust it",
		r->layer->what, (unsigned long long)r->fs->max_size,
		(unsigned long long)r->fs->max_files);
}

/* libarchive's own words, without a line break. */
static int fail_archive(struct reader *r, struct archive *a)
{
	const char *text = archive_error_string(a);

	return reader_fail(r, EBADMSG, text && *text ? text : "it is damaged");
}

static la_ssize_t read_file_part(struct archive *a, void *arg, const void **data)
{
	struct reader *r = arg;
	ssize_t n = read_full(r->layer->fd, r->buf, READ_SIZE);

	*data = r->buf;
	if (n < 0)
		archive_set_error(a, (int)-n, "cannot read it: %s", strerror((int)-n));
	return n < 0 ? ARCHIVE_FATAL : n;
}

/* The next piece of the tar, and into the digest with it. */
static la_ssize_t read_tar_part(struct archive *a, void *arg, const void **data)
{
	struct reader *r = arg;
	la_int64_t offset;
	size_t size;
	int e;

	do {
		e = archive_read_data_block(r->unpacker, data, &size, &offset);
		if (e == ARCHIVE_EOF)
			return 0;
		if (e < ARCHIVE_WARN) {
			r->failed = fail_archive(r, r->unpacker);
			return ARCHIVE_FATAL;
		}
	} while (size == 0);
	r->total += size;
	if (r->total > r->fs->max_size) {
		r->failed = fail_limit(r);
		return ARCHIVE_FATAL;
	}
	digest_add(r->sum, *data, size);
	return (la_ssize_t)size;
}

static int entry_error(struct reader *r, const char *path, int e)
{
	const char *why;

	switch (-e) {
	case EFBIG:
		return fail_limit(r);
	case EOVERFLOW:
		return r->error->text
			       ? e
			       : arrow_fail(r->error, EOVERFLOW,
					 "%s: names, links and extended attributes of the image take more than %llu MiB of memory",
					 r->layer->what,
					 (unsigned long long)(r->fs->max_memory >> 20));
	case ENOTDIR:
		why = "lies below what is not a directory";
		break;
	case ELOOP:
		why = "leads through too many symbolic links";
		break;
	case ENAMETOOLONG:
		why = "has a name that is too long or lies too deep";
		break;
	case E2BIG:
		why = "has too many extended attributes";
		break;
	case EISDIR:
		why = "takes the place of the root";
		break;
	default:
		return reader_fail(r, -e, strerror(-e));
	}
	if (r->error->text)
		return e;
	return arrow_fail(r->error, -e, "%s: its entry '%.200s' %s", r->layer->what, path, why);
}

/* Parts a path into the directory and the last name; both "" for the root. */
static int split_path(struct reader *r, const char *path, char dir[PATH_MAX], char **name)
{
	size_t used = 0;

	*name = dir;
	dir[0] = '\0';
	for (const char *p = path; *p;) {
		size_t n;

		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return arrow_fail(r->error, EINVAL,
				"%s: its entry '%.200s' would lie outside of the image",
				r->layer->what, path);
		if (n == 0 || (n == 1 && p[0] == '.')) {
			p += n;
			continue;
		}
		if (used + n + 2 > PATH_MAX)
			return entry_error(r, path, -ENAMETOOLONG);
		/* The name before becomes a part of the directory. */
		if (used)
			dir[used - 1] = '/';
		*name = dir + used;
		memcpy(dir + used, p, n);
		dir[used + n] = '\0';
		used += n + 1;
		p += n;
	}
	if (*name != dir)
		(*name)[-1] = '\0';
	return 0;
}

/* Where a path of the layer is: the directory, links followed, and its last name. */
static int layer_locate(struct reader *r, const char *path, bool create, char buf[PATH_MAX],
	struct rootfs_inode **directory, const char **name)
{
	char *last;
	int e = split_path(r, path, buf, &last);

	if (e < 0)
		return e;
	*name = last;
	/* A lone name and the root lie in the root. */
	e = rootfs_walk(r->fs, last == buf ? "" : buf, create, r->layer->number, directory);
	if (e == -ENOENT && !create)
		return e;
	return e < 0 ? entry_error(r, path, e) : 0;
}

static int layer_whiteout(struct reader *r, const char *path)
{
	struct rootfs_inode *directory;
	char buf[PATH_MAX];
	const char *name;
	int e = layer_locate(r, path, false, buf, &directory, &name);

	if (e == -ENOENT)
		return 0;
	if (e < 0)
		return e;
	if (strcmp(name, OPAQUE) == 0)
		e = rootfs_hide(r->fs, directory, NULL, r->layer->number);
	else if (strncmp(name, WHITEOUT_META, strlen(WHITEOUT_META)) != 0)
		e = rootfs_hide(r->fs, directory, name + strlen(WHITEOUT), r->layer->number);
	return e < 0 ? entry_error(r, path, e) : 0;
}

static int write_all(int fd, const void *data, size_t size, off_t offset)
{
	const uint8_t *p = data;

	while (size > 0) {
		ssize_t n = pwrite(fd, p, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		offset += n;
		size -= (size_t)n;
	}
	return 0;
}

/* The content of a file, holes as holes. */
static int copy_content(struct reader *r, struct rootfs_inode *inode, const char *path)
{
	off_t start = (off_t)(inode->block * ROOTFS_BLOCK);
	uint64_t end = 0;
	const void *data;
	la_int64_t offset;
	size_t size;
	int e;

	while ((e = archive_read_data_block(r->tar, &data, &size, &offset)) != ARCHIVE_EOF) {
		if (e < ARCHIVE_WARN)
			return fail_archive(r, r->tar);
		if (offset < 0 || (uint64_t)offset > inode->size ||
			size > inode->size - (uint64_t)offset)
			return reader_fail(r, EBADMSG, "a file is longer than its header says");
		e = write_all(r->fs->fd, data, size, start + offset);
		if (e < 0)
			return reader_fail(r, -e, strerror(-e));
		end = (uint64_t)offset + size;
	}
	/* A sparse file may end with a hole; any other has told us how much there is. */
	if (end > inode->size)
		return reader_fail(r, EBADMSG, "a file is longer than its header says");
	return 0;
}

static int set_xattrs(struct rootfs *fs, struct rootfs_inode *inode, struct archive_entry *entry)
{
	const char *name;
	const void *value;
	size_t size;
	int e = 0;

	archive_entry_xattr_reset(entry);
	while (e == 0 && archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
		e = name ? rootfs_xattr(fs, inode, name, value, size) : 0;
	return e;
}

/* As the kernel packs a device number into 32 bits. */
static int set_device(struct rootfs_inode *inode, struct archive_entry *entry)
{
	uint64_t major = (uint64_t)archive_entry_rdevmajor(entry);
	uint64_t minor = (uint64_t)archive_entry_rdevminor(entry);

	if (major > 0xfff || minor > 0xfffff)
		return -ERANGE;
	inode->rdev = (uint32_t)((minor & 0xff) | major << 8 | (minor & ~UINT64_C(0xff)) << 12);
	return 0;
}

static int set_target(struct rootfs *fs, struct rootfs_inode *inode, struct archive_entry *entry)
{
	const char *target = archive_entry_symlink(entry);

	if (!target || !*target)
		return -EINVAL;
	if (strlen(target) > ROOTFS_LINK_MAX)
		return -ENAMETOOLONG;
	return rootfs_target(fs, inode, target);
}

static int read_owner(struct reader *r, struct archive_entry *entry, const char *path,
	uint32_t *uid, uint32_t *gid)
{
	la_int64_t u = archive_entry_uid(entry), g = archive_entry_gid(entry);

	/* 2^32 - 1 stands for "no user". */
	if (u < 0 || u >= UINT32_MAX || g < 0 || g >= UINT32_MAX)
		return arrow_fail(r->error, EINVAL,
			"%s: its entry '%.200s' has an owner out of range", r->layer->what, path);
	*uid = (uint32_t)u;
	*gid = (uint32_t)g;
	return 0;
}

/* A new inode as an entry describes it, without its content. */
static int make_inode(
	struct reader *r, struct archive_entry *entry, const char *path, struct rootfs_inode **made)
{
	la_int64_t size = archive_entry_size(entry);
	uint32_t type = archive_entry_filetype(entry);
	uint32_t uid, gid;
	struct rootfs_inode *inode;
	int e = read_owner(r, entry, path, &uid, &gid);

	if (e < 0)
		return e;
	if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK && type != AE_IFCHR &&
		type != AE_IFBLK && type != AE_IFIFO)
		return arrow_fail(r->error, EINVAL, "%s: its entry '%.200s' is of an unknown kind",
			r->layer->what, path);
	inode = rootfs_inode(type | (archive_entry_perm(entry) & 07777));
	if (!inode)
		return entry_error(r, path, -ENOMEM);
	inode->uid = uid;
	inode->gid = gid;
	inode->mtime = archive_entry_mtime(entry);
	inode->mtime_nsec = (uint32_t)archive_entry_mtime_nsec(entry);
	if (type == AE_IFLNK)
		e = set_target(r->fs, inode, entry);
	else if (type == AE_IFCHR || type == AE_IFBLK)
		e = set_device(inode, entry);
	else if (type == AE_IFREG)
		e = size < 0 ? -EINVAL : rootfs_reserve(r->fs, inode, (uint64_t)size);
	if (e == 0)
		e = set_xattrs(r->fs, inode, entry);
	if (e < 0) {
		rootfs_inode_free(r->fs, inode);
		return entry_error(r, path, e);
	}
	*made = inode;
	return 0;
}

static int hard_link(
	struct reader *r, const char *path, const char *target, struct rootfs_inode **inode)
{
	struct rootfs_inode *directory;
	struct rootfs_entry *entry;
	char buf[PATH_MAX];
	const char *name;
	int e = layer_locate(r, target, false, buf, &directory, &name);

	if (e < 0 && e != -ENOENT)
		return e;
	entry = e == 0 ? rootfs_find(directory, name) : NULL;
	if (!entry || S_ISDIR(entry->inode->mode))
		return arrow_fail(r->error, EINVAL,
			"%s: its entry '%.200s' is a hard link to '%.200s', which is not a file of the image",
			r->layer->what, path, target);
	*inode = entry->inode;
	return 0;
}

/*
 * A hard link's entry has metadata of its own, which the file takes over, as Docker's does: owner
 * and attributes, and unless it is a symbolic link mode and time.
 */
static int update_inode(
	struct reader *r, struct rootfs_inode *inode, struct archive_entry *entry, const char *path)
{
	int e = read_owner(r, entry, path, &inode->uid, &inode->gid);

	if (e < 0)
		return e;
	if (!S_ISLNK(inode->mode)) {
		inode->mode = (inode->mode & S_IFMT) | (archive_entry_perm(entry) & 07777);
		inode->mtime = archive_entry_mtime(entry);
		inode->mtime_nsec = (uint32_t)archive_entry_mtime_nsec(entry);
	}
	e = set_xattrs(r->fs, inode, entry);
	return e < 0 ? entry_error(r, path, e) : 0;
}

static int take_entry(struct reader *r, struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry);
	const char *target = archive_entry_hardlink(entry);
	struct rootfs_inode *directory, *inode = NULL;
	char buf[PATH_MAX];
	const char *name;
	int e;

	if (!path || !*path)
		return reader_fail(r, EBADMSG, "an entry has no name");
	e = layer_locate(r, path, true, buf, &directory, &name);
	if (e < 0)
		return e;
	if (target)
		e = hard_link(r, path, target, &inode);
	else
		e = make_inode(r, entry, path, &inode);
	if (e < 0)
		return e;
	if (!target && S_ISREG(inode->mode)) {
		e = copy_content(r, inode, path);
		if (e < 0) {
			rootfs_inode_free(r->fs, inode);
			return e;
		}
	}
	e = rootfs_put(r->fs, directory, name, inode, r->layer->number);
	if (e < 0 && !target)
		rootfs_inode_free(r->fs, inode);
	if (e < 0)
		return entry_error(r, path, e);
	return target ? update_inode(r, inode, entry, path) : 0;
}

static bool is_whiteout(const char *path)
{
	size_t n = path ? strlen(path) : 0;
	const char *name;

	while (n > 0 && path[n - 1] == '/')
		n--;
	name = path ? memrchr(path, '/', n) : NULL;
	name = name ? name + 1 : path;
	return name && strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0 &&
	       (size_t)(path + n - name) > strlen(WHITEOUT);
}

static int read_entries(struct reader *r)
{
	struct archive_entry *entry;
	int e;

	if (archive_read_open(r->tar, r, NULL, read_tar_part, NULL) < ARCHIVE_WARN)
		return r->failed ? r->failed : fail_archive(r, r->tar);
	for (;;) {
		e = archive_read_next_header(r->tar, &entry);
		if (r->failed)
			return r->failed;
		if (e == ARCHIVE_EOF)
			return 0;
		/* A warning is of names that are not UTF-8, which are names all the same. */
		if (e < ARCHIVE_WARN)
			return fail_archive(r, r->tar);
		if (!r->fs->root)
			e = 0;
		else if (!r->layer->plain && is_whiteout(archive_entry_pathname(entry)))
			e = layer_whiteout(r, archive_entry_pathname(entry));
		else
			e = take_entry(r, entry);
		if (r->failed)
			return r->failed;
		if (e < 0)
			return e;
	}
}

/* Opens the unpacker. Returns 1 for an empty file, which is an empty layer. */
static int open_unpacker(struct reader *r)
{
	struct archive_entry *entry;
	int e;

	r->unpacker = archive_read_new();
	r->tar = archive_read_new();
	r->buf = malloc(READ_SIZE);
	r->sum = digest_begin();
	if (!r->unpacker || !r->tar || !r->buf || !r->sum)
		return reader_fail(r, ENOMEM, "out of memory");
	if (archive_read_support_filter_gzip(r->unpacker) < ARCHIVE_WARN ||
		archive_read_support_filter_zstd(r->unpacker) < ARCHIVE_WARN ||
		archive_read_support_format_raw(r->unpacker) < ARCHIVE_WARN ||
		archive_read_support_format_empty(r->unpacker) < ARCHIVE_WARN)
		return fail_archive(r, r->unpacker);
	if (archive_read_support_format_tar(r->tar) < ARCHIVE_WARN)
		return fail_archive(r, r->tar);
	if (archive_read_open(r->unpacker, r, NULL, read_file_part, NULL) < ARCHIVE_WARN)
		return fail_archive(r, r->unpacker);
	e = archive_read_next_header(r->unpacker, &entry);
	if (e == ARCHIVE_EOF)
		return 1;
	return e < ARCHIVE_WARN ? fail_archive(r, r->unpacker) : 0;
}

static int apply(struct reader *r)
{
	const void *data;
	la_ssize_t n = 0;
	int e = open_unpacker(r);

	if (e == 0)
		e = read_entries(r);
	/* The digest is of all, also of what follows the end of the archive. */
	while (e == 0 && (n = read_tar_part(r->tar, r, &data)) > 0)
		;
	if (e < 0 || n < 0)
		return e < 0 ? e : r->failed;
	snprintf(r->layer->found, sizeof(r->layer->found), "sha256:");
	digest_end(STEAL(r->sum), r->layer->found + strlen("sha256:"));
	if (r->layer->diff_id && strcmp(r->layer->diff_id, r->layer->found) != 0)
		return arrow_fail(r->error, EBADMSG,
			"%s: its content is %s, not %s as the image says", r->layer->what,
			r->layer->found, r->layer->diff_id);
	return 0;
}

int layer_apply(struct rootfs *fs, struct layer *layer, struct arrow_error *error)
{
	struct reader r = {.fs = fs, .layer = layer, .error = error};
	/* libarchive would compose the letters of UTF-8 names anew; names are bytes. */
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), old;
	char hex[DIGEST_HEX];
	int e;

	if (!plain)
		return arrow_no_memory(error);
	old = uselocale(plain);
	e = libarchive_load(error);
	if (e == 0)
		e = apply(&r);
	uselocale(old);
	freelocale(plain);
	if (r.tar)
		archive_read_free(r.tar);
	if (r.unpacker)
		archive_read_free(r.unpacker);
	if (r.sum)
		digest_end(r.sum, hex);
	free(r.buf);
	return e;
}

int layer_scan(
	struct layer *layer, const struct arrow_image_limits *limits, struct arrow_error *error)
{
	_cleanup_rootfs_ struct rootfs fs = {.fd = -1};
	int e = rootfs_begin(&fs, -1, limits, error);

	if (e < 0)
		return e;
	rootfs_release(&fs);
	return layer_apply(&fs, layer, error);
}
